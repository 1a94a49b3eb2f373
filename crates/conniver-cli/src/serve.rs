//! `conniver serve`: the machine's connections for Prometheus, and as JSON.

mod catalogue;
mod connections;
mod events;
mod exposition;
mod group;
mod histogram;
mod http;
mod ledger;
mod listener;
mod look;
mod own;
mod patience;
mod sight;

use std::{
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use sockdiag::{Dump, ErrorKind, Filter, Namespace, States, Tell};
use tcpinfo::State;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    cli::{LabelRule, ServeArgs},
    error::{Error, reason},
    run::complain,
    source,
};
use group::Grouping;
use http::Server;
use ledger::Ledger;
use look::{Looker, Shared};

/// So many may wait for the next look.
const MOST_WISHES: usize = 256;

pub(crate) fn run(arguments: &ServeArgs) -> Result<ExitCode, Error> {
    let namespace = arguments.netns.as_deref().map(source::namespace).transpose()?;
    check_permission(&arguments.labels, namespace.as_ref())?;
    let grouping = Grouping::new(arguments);
    let mut looker = Looker::new(namespace.clone(), grouping.tell(), arguments.max_age);
    let shared = Arc::new(Shared::new(Ledger::new(grouping, arguments.max_series)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("cannot wait for clients: {}", reason(&error))))?;
    // From here on a signal ends it in order.
    let end = runtime.block_on(async { Ends::new() })?;
    let listeners = runtime.block_on(bind(&arguments.listen))?;

    // Before the first look, so that no end between the two is missed.
    let events = shared.ends.open(namespace.as_ref());
    // What keeps it from the namespace is told once, by the look.
    looker.look(&shared)?;
    let events = events.map_err(|error| {
        complain(&format!("the ends of connections are not heard, and counted late: {error}"));
    });
    start("ends", {
        let shared = Arc::clone(&shared);
        move || shared.ends.listen(events.ok(), namespace.as_ref(), &shared.ledger)
    })?;
    let (wishes, wished) = mpsc::channel(MOST_WISHES);
    start("looks", {
        let shared = Arc::clone(&shared);
        move || looker.serve(&shared, wished)
    })?;

    let mut is_local = true;
    for listener in &listeners {
        let address = listener.local_addr().map_err(|error| cannot_listen(None, &error))?;
        is_local &= address.ip().is_loopback();
        let warning = match address.ip().is_loopback() {
            true => "",
            false => " to everybody who can reach it",
        };
        complain(&format!("serving http://{address}/metrics{warning}"));
    }
    let server = Server::new(shared, wishes, arguments.netns.clone(), is_local);
    runtime.block_on(Arc::new(server).serve(listeners, end.wait()));
    // A list that nobody reads may still be waiting.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Refuses filters that no socket would match because the kernel does not tell this program of what
/// they ask for.
fn check_permission(labels: &[LabelRule], namespace: Option<&Namespace>) -> Result<(), Error> {
    let Some(rule) = labels.iter().find(|rule| rule.filter.needs_net_admin()) else {
        return Ok(());
    };
    // Who is not told of marks may not ask for them either. Hardly any socket is in this state.
    let question = Dump::new()
        .states(States::of(State::Close))
        .tell(Tell::NOTHING)
        .filter(&Filter::mark(1, u32::MAX));
    let mut diag = source::open(namespace)?;
    let asked = diag.dump(&question).and_then(|mut sockets| sockets.next().transpose().map(drop));
    asked.map_err(|error| match error.kind() {
        ErrorKind::NotPermitted => Error::failure(format!(
            "--label {:?} asks for fwmark, which the kernel tells only a program with CAP_NET_ADMIN: give \
             it that capability, run it as root, or leave fwmark out",
            rule.name
        )),
        _ => error.into(),
    })
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started
        .map(drop)
        .map_err(|error| Error::failure(format!("cannot start a thread: {}", reason(&error))))
}

async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| cannot_listen(Some(*address), &error))?);
    }
    Ok(listeners)
}

fn cannot_listen(address: Option<SocketAddr>, error: &io::Error) -> Error {
    let place = address.map(|address| format!(" on {address}")).unwrap_or_default();
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program does, perhaps another conniver: choose another port with --listen"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for the superuser",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    };
    Error::failure(format!("cannot listen{place}: {}{advice}", reason(error)))
}

/// The signals that end it.
#[derive(Debug)]
struct Ends {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Ends {
    fn new() -> Result<Self, Error> {
        let failed = |error| Error::failure(format!("cannot wait for signals: {}", reason(&error)));
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};

            let listen = |kind| signal(kind).map_err(failed);
            Ok(Self {
                signals: [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?],
            })
        }
        #[cfg(windows)]
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c().map_err(failed)? })
    }

    async fn wait(mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}

/// What another thread left half done when it panicked is still of use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
