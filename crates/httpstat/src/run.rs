//! From the command line to the exit code.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    cli::{Cli, Format, Generated},
    demo::Demo,
    error::{Error, Kind, reason},
    escape,
    exchange::Versions,
    hop::{Hop, Plan},
    output::{self, Record, View},
    print::Destination,
    redirect::Trail,
    request::{Ask, Draft},
    stop::Stops,
    target::{Target, redact},
    tls::{self, Trust},
};

/// Measures what was asked for, prints what was learnt, and says how it went.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let cli = Arc::new(cli);
    let mut record = Record::default();
    record.error = in_event_loop(measure(&cli, &mut record)).err();
    for hop in &mut record.hops {
        hop.collect();
    }
    let unwritten = print(&cli, &record).err();

    // A report that is stuck in the standard error keeps all else out of it.
    let is_stuck =
        cli.body_to_stdout() && unwritten.as_ref().is_some_and(|error| error.kind != Kind::Output);
    let error = record.error.or(unwritten);
    if let Some(error) = error.as_ref().filter(|_| !is_stuck) {
        complain(error);
    }
    error.map_or(ExitCode::SUCCESS, |error| ExitCode::from(error.kind.exit_code()))
}

/// Writes what other programs make of the command line's definition.
pub(crate) fn generate(what: Generated) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let written =
        what.text().and_then(|text| stdout.write_all(&text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = Error::new(Kind::Output, format!("cannot write it: {}", reason(&error)));
            complain(&error);
            ExitCode::from(error.kind.exit_code())
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Does the work. Whatever still holds a connection then ends here, except for threads in a system
/// call that nobody can cancel: a name lookup, or a pipe without a partner.
fn in_event_loop(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_event_loop)?;
    // Not on the stack, where each call on the way would hold a copy.
    let outcome = runtime.block_on(Box::pin(work));
    runtime.shutdown_background();
    outcome
}

async fn measure(cli: &Arc<Cli>, record: &mut Record) -> Result<(), Error> {
    let mut stops = Stops::new(cli.max_time).map_err(no_event_loop)?;
    let (url, trust) = match &cli.url {
        Some(url) => (url.clone(), cli.trust()),
        None => {
            let demo = Demo::start()?;
            (demo.url, Trust::Only(demo.certificate))
        }
    };
    record.url = redact(&url);
    let target = Target::parse(&url)?;
    target.as_str().clone_into(&mut record.url);

    let route = cli.route()?;
    let versions = cli.versions();
    let all = Arc::clone(cli);
    let roots = trust.clone();
    let wants_proxy_tls = route.proxies.want_tls();
    let (mut prepared, mut sink, proxy_tls) = aside(&mut stops, cli.opens_files, move || {
        let first = Prepared::new(all.ask(target)?, &roots, versions, None)?;
        let sink = all.sink()?;
        let proxy_tls = || tls::Client::new(&all.proxy_trust(), Versions::Http1).map(Arc::new);
        Ok((first, sink, wants_proxy_tls.then(proxy_tls).transpose()?))
    })
    .await?;
    let mut trail = Trail::new(cli.max_redirs);
    loop {
        let Prepared { ask, draft, client } = prepared;
        trail.step(&ask)?;
        let mut hop = Hop::new(&ask);
        let plan = Plan {
            draft,
            versions,
            tls: client.clone(),
            proxy_tls: proxy_tls.clone(),
            route: &route,
            connect_timeout: cli.connect_timeout,
            follows: cli.location.then_some(ask),
            sink: &mut sink,
        };
        let outcome = hop.measure(plan, &mut stops).await;
        let next = hop.next.take();
        record.hops.push(hop);
        outcome?;
        let Some(ask) = next else { return Ok(()) };
        let roots = trust.clone();
        prepared = aside(&mut stops, cli.opens_files, move || {
            Prepared::new(*ask, &roots, versions, client)
        })
        .await?;
    }
}

/// A request that is ready to be made.
struct Prepared {
    ask: Ask,
    draft: Draft,
    /// Absent for `http`, unless an earlier request needed it.
    client: Option<Arc<tls::Client>>,
}

impl Prepared {
    fn new(
        ask: Ask,
        trust: &Trust,
        versions: Versions,
        client: Option<Arc<tls::Client>>,
    ) -> Result<Self, Error> {
        let draft = Draft::new(&ask)?;
        let client = match client {
            None if ask.target.is_https() => Some(Arc::new(tls::Client::new(trust, versions)?)),
            client => client,
        };
        Ok(Self { ask, draft, client })
    }
}

/// Does what may have to wait for input or output, pipes whose other end is slow to come; without
/// files there is no need for a thread.
async fn aside<T: Send + 'static>(
    stops: &mut Stops,
    opens_files: bool,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if !opens_files {
        return work();
    }
    stops
        .heeded_by(spawn_blocking(work))
        .await
        .map_err(|stop| stop.error("what --data and --output name was not ready"))?
        .map_err(|error| no_event_loop(error.into()))?
}

/// Writes the report, beside the body if that has the standard output.
fn print(cli: &Cli, record: &Record) -> Result<(), Error> {
    let destination = match cli.body_to_stdout() {
        true => Destination::Stderr,
        false => Destination::Stdout,
    };
    let view = View::new(cli.verbose, destination.is_terminal());
    let text = match cli.format {
        Format::Pretty => output::pretty(record, &view),
        Format::Json => output::json(record),
        Format::Jsonl => output::jsonl(record),
    };
    match destination.begin(cli.color(), text) {
        Ok(rest) if rest.is_empty() => Ok(()),
        Ok(rest) => in_event_loop(async {
            let mut stops = Stops::new(None).map_err(no_event_loop)?;
            let written = stops.heeded_by(rest.written()).await;
            unless_unread(written.map_err(|stop| stop.error("nobody read the report"))?)
        }),
        Err(error) => unless_unread(Err(error)),
    }
}

/// A reader that has seen enough is no failure, as in `httpstat … | head -1`.
fn unless_unread(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Error::new(Kind::Output, format!("cannot write the report: {}", reason(&error))))
        }
        Ok(()) => Ok(()),
    }
}

/// One line on the standard error. If even that is closed, the exit code must do.
fn complain(error: &Error) {
    let line = escape::text(&error.to_string());
    // A URL, a host name or a certificate may be of any length.
    let end = line.char_indices().nth(MAX_COMPLAINT_LEN).map(|(end, _)| end);
    let line = match end {
        Some(end) => format!("httpstat: {}…\n", &line[..end]),
        None => format!("httpstat: {line}\n"),
    };
    let _ = io::stderr().write_all(line.as_bytes());
}

fn no_event_loop(error: io::Error) -> Error {
    Error::new(Kind::Connect, format!("no event loop: {}", reason(&error)))
}

const MAX_COMPLAINT_LEN: usize = 2_000;
