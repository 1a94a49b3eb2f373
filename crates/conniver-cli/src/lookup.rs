//! `conniver lookup`: one connection, found by its addresses.

use std::process::ExitCode;

use sockdiag::{Lookup, SockDiag};

use crate::{
    cli::LookupArgs, column::Row, error::Error, json, list::Long, output, process::Processes,
    run::complain,
};

pub(crate) fn run(arguments: &LookupArgs) -> Result<ExitCode, Error> {
    let mut lookup = Lookup::new(arguments.local, arguments.remote);
    if let Some(cookie) = arguments.cookie {
        lookup = lookup.cookie(cookie);
    }
    if let Some(index) = arguments.interface {
        lookup = lookup.interface(index);
    }
    let mut diag = SockDiag::open()?;
    let Some(entry) = diag.lookup(&lookup)? else {
        complain(&format!("{lookup}: there is no such connection in this network namespace"));
        return Ok(ExitCode::FAILURE);
    };
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
