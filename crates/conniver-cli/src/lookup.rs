//! `conniver lookup`: one connection, found by its addresses.

use std::{path::Path, process::ExitCode};

use sockdiag::{Dump, Entry, Filter, Lookup, SockDiag, States, Tell};

use crate::{
    cli::LookupArgs,
    column::Row,
    error::Error,
    escape, interface, json,
    list::Long,
    output,
    process::Processes,
    run::complain,
    source::{self, Recording},
};

pub(crate) fn run(arguments: &LookupArgs) -> Result<ExitCode, Error> {
    if let Some(path) = &arguments.from {
        return run_in_file(arguments, path);
    }
    let namespace = arguments.netns.as_deref().map(source::namespace).transpose()?;
    let mut diag = source::open(namespace.as_ref())?;
    interface::names_in(namespace);
    let interface = interface_of(arguments)?;
    let lookup = lookup(arguments, interface);
    if let Some(entry) = diag.lookup(&lookup)? {
        return show(entry, arguments);
    }
    let advice = advice(&mut diag, arguments, interface)?;
    let place = arguments.netns.as_ref().map_or("this network namespace".to_owned(), |name| {
        format!("the network namespace {}", escape::line(name))
    });
    complain(&format!("{lookup}: there is no such connection in {place}{advice}"));
    Ok(ExitCode::FAILURE)
}

fn run_in_file(arguments: &LookupArgs, path: &Path) -> Result<ExitCode, Error> {
    interface::names_of_file();
    let lookup = lookup(arguments, interface_of(arguments)?);
    let mut recording = Recording::open(path)?;
    match recording.lookup(&lookup)? {
        Some(found) => show(found.entry(), arguments),
        None => {
            let name = recording.name();
            complain(&format!("{lookup}: there is no such connection in {name}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn lookup(arguments: &LookupArgs, interface: Option<u32>) -> Lookup {
    let mut lookup = Lookup::new(arguments.local.address, arguments.remote.address);
    if let Some(cookie) = arguments.cookie {
        lookup = lookup.cookie(cookie);
    }
    if let Some(index) = interface {
        lookup = lookup.interface(index);
    }
    lookup
}

fn show(entry: Entry<'_>, arguments: &LookupArgs) -> Result<ExitCode, Error> {
    let processes = arguments.process.then(Processes::scan).transpose()?;
    let holders = processes.as_ref().map(|processes| processes.holders(entry.inode()));
    let row = Row::new(entry, holders);
    let mut out = Vec::new();
    if arguments.json {
        json::put(&row, &mut out);
        out.push(b'\n');
    } else {
        Long { width: output::width() }.put(&row, &mut out);
    }
    output::print(out)?;
    if let Some(why) = processes.as_ref().and_then(Processes::missed) {
        complain(&why);
    }
    Ok(ExitCode::SUCCESS)
}

/// The interface to which the connection is bound, if one is named.
fn interface_of(arguments: &LookupArgs) -> Result<Option<u32>, Error> {
    let LookupArgs { local, remote, interface, .. } = arguments;
    let mut chosen = None;
    for name in [interface, &local.interface, &remote.interface].into_iter().flatten() {
        let index = interface::number(name).ok_or_else(|| {
            Error::usage(format!(
                "{name:?} is neither a network interface that is there nor an index; \"ip link\" lists \
                 them"
            ))
        })?;
        if chosen.is_some_and(|other| other != index) {
            return Err(Error::usage("a connection is bound to one interface, and here are two"));
        }
        chosen = Some(index);
    }
    Ok(chosen)
}

/// What else would find a connection between these addresses: the kernel finds one that is bound to an
/// interface only if it is asked for with that.
fn advice(
    diag: &mut SockDiag,
    arguments: &LookupArgs,
    interface: Option<u32>,
) -> Result<String, Error> {
    let (local, remote) = (arguments.local.address, arguments.remote.address);
    let between = Filter::local_net(local.ip().to_canonical(), u8::MAX)
        .and(Filter::remote_net(remote.ip().to_canonical(), u8::MAX))
        .and(Filter::local_port(local.port()))
        .and(Filter::remote_port(remote.port()));
    let dump = Dump::new().states(States::ALL).tell(Tell::NOTHING).filter(&between);
    let mut entries = diag.dump(&dump)?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if arguments.cookie.is_some_and(|cookie| cookie != entry.cookie()) {
            return Ok(format!(
                "; the one between these addresses has cookie {:#x}",
                entry.cookie()
            ));
        }
        if let Some(index) = entry.interface().filter(|index| Some(*index) != interface) {
            let end = entry.local_end(interface::names());
            let name = interface::names().name(index);
            let name = name.map_or_else(|| index.to_string(), |name| name.to_string());
            return Ok(format!(
                "; the one between these addresses is bound to {name}: add --interface {name}, or \
                 write this machine's end as {end}"
            ));
        }
    }
    Ok(String::new())
}
