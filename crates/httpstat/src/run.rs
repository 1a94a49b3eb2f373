//! From the command line to the exit code.

use std::{
    io::{self, Write as _},
    mem,
    ops::ControlFlow,
    panic::resume_unwind,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    task::{spawn, spawn_blocking},
};

#[cfg(feature = "http3")]
use crate::http3;
use crate::{
    body::BodyArgs,
    cli::{Cli, Format, Generated},
    demo::Demo,
    error::{Error, Kind, reason},
    escape,
    exchange::Versions,
    hop::{Hop, Plan, Reach},
    keep::Pool,
    output::{self, Record, View},
    print::{Destination, Rest},
    redirect::Trail,
    repeat::{self, Findings, Progress, RepeatArgs, Run, Series, State, baseline::Baseline},
    request::{Ask, Draft},
    route::Route,
    sink::{Sink, check_writable, write_whole},
    stop::Stops,
    target::{Target, redact},
    tls::{self, Repeatable, Trust},
};

/// Measures what was asked for, prints what was learnt, and says how it went.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let cli = Arc::new(cli);
    let (mut work, ended) = Work::measured(&cli);
    let error = work.conclude(&cli, ended);
    // A file that cannot be written is no reason to keep the report back.
    let unsaved = work.draw(&cli).err();
    let unwritten = work.publish(&cli).err();

    // A report that is stuck in the standard error keeps all else out of it.
    let is_stuck =
        cli.body_to_stdout() && unwritten.as_ref().is_some_and(|error| error.kind != Kind::Output);
    let error = error.or(unwritten).or(unsaved);
    let findings = work.findings();
    if !is_stuck {
        findings.complaints(cli.repeat.fail_if_slower).iter().for_each(|line| complain(line));
        if let Some(error) = &error {
            complain(&error.to_string());
        }
    }
    let code = match &error {
        Some(error) => error.kind.exit_code(),
        None => findings.exit_code(cli.repeat.fail_if_slower),
    };
    ExitCode::from(code)
}

/// What is being done, and what has come of it.
#[derive(Default)]
struct Work {
    /// Of the only run, or the last one.
    record: Record,
    /// Of several runs.
    series: Option<Series>,
    baseline: Option<Baseline>,
    save: Sink,
    junit: Sink,
}

/// Writes what other programs make of the command line's definition.
pub(crate) fn generate(what: Generated) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let written =
        what.text().and_then(|text| stdout.write_all(&text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = Error::new(
                Kind::Output,
                format!("cannot write to the standard output: {}", reason(&error)),
            );
            complain(&error.to_string());
            ExitCode::from(error.kind.exit_code())
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Does the work. Whatever still holds a connection then ends here, except for threads in a system
/// call that nobody can cancel: a name lookup, or a pipe without a partner.
fn in_event_loop<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_event_loop)?;
    // Not on the stack, where each call on the way would hold a copy.
    let outcome = runtime.block_on(Box::pin(work));
    runtime.shutdown_background();
    outcome
}

impl Work {
    fn measured(cli: &Arc<Cli>) -> (Self, Option<Error>) {
        let cli = Arc::clone(cli);
        let done = in_event_loop(async {
            let mut work = Self::default();
            // What the event loop itself waits for is only looked at together with the kernel's events,
            // which would be asked for after each piece of a body.
            let task = spawn(async move {
                let outcome = work.measure(&cli).await;
                (work, outcome)
            });
            Ok(task.await.unwrap_or_else(|died| resume_unwind(died.into_panic())))
        });
        match done {
            Ok((work, outcome)) => (work, outcome.err()),
            Err(error) => (Self::default(), Some(error)),
        }
    }

    async fn measure(&mut self, cli: &Arc<Cli>) -> Result<(), Error> {
        let mut stops = Stops::new(cli.max_time).map_err(no_event_loop)?;
        let (url, tls) = match &cli.url {
            Some(url) => (url.clone(), cli.tls.options()),
            None => {
                let demo = Demo::start()?;
                (demo.url, cli.tls.options().checking(Trust::Only(demo.certificate)))
            }
        };
        self.record.url = redact(&url);
        let target = Target::parse(&url)?;
        target.as_str().clone_into(&mut self.record.url);

        let tls = tls.meant_for(&target).speaking(cli.versions());
        let mut way = Way::new(cli, tls)?;
        let all = Arc::clone(cli);
        let options = way.tls.clone();
        let wants_proxy_tls = way.route.proxies.want_tls();
        let (first, mut sink);
        (first, sink, way.proxy_tls, self.baseline, [self.save, self.junit]) =
            aside(&mut stops, cli.opens_files, move || {
                let clients = Clients {
                    #[cfg(feature = "http3")]
                    wish: all.protocol.http3(),
                    ..Clients::default()
                };
                all.watch.pictures().try_for_each(check_writable)?;
                let first = Prepared::new(all.ask(target)?, &options, clients)?;
                let proxy_tls = || tls::Client::new(&tls::Options::for_proxy(all.proxy_trust()));
                let proxy_tls = wants_proxy_tls.then(proxy_tls).transpose()?.map(Arc::new);
                let baseline = all.repeat.read_baseline()?;
                let [save, junit] = [&all.repeat.save, &all.repeat.junit];
                let copies = [Sink::open(save.as_deref())?, Sink::open(junit.as_deref())?];
                Ok((first, all.sink()?, proxy_tls, baseline, copies))
            })
            .await?;
        if cli.repeat.is_single() {
            let record = &mut self.record;
            return way.follow(first, &mut sink, None, &mut stops, record).await.map(drop);
        }
        self.measure_all(cli, first, &way, sink, stops).await
    }

    /// Makes all runs, with those before them that do not count.
    async fn measure_all(
        &mut self,
        cli: &Cli,
        first: Prepared,
        way: &Way,
        mut sink: Sink,
        mut stops: Stops,
    ) -> Result<(), Error> {
        let repeat = &cli.repeat;
        if repeat.is_series() {
            self.series = Some(Series::new(&self.record.url, cli));
        }
        let mut pool = repeat.keep_alive.then(Pool::default);
        let mut progress = Progress::new(cli.body.shows_progress());
        let (ask, mut clients) = (first.ask.clone(), first.clients.clone());
        let mut prepared = Some(first);
        for number in 1..=repeat.warmup + repeat.count {
            progress.show(&self.state(number, repeat));
            let prepared = match prepared.take() {
                Some(first) => first,
                None => {
                    if let Some(interval) = repeat.interval {
                        let paused = stops.pause(interval).await;
                        paused.map_err(|stop| stop.error("not all runs were made"))?;
                    }
                    stops.restart();
                    way.prepare(ask.clone(), clients.clone(), &mut stops).await?
                }
            };
            let is_last = number == repeat.warmup + repeat.count;
            if let Some(pool) = &mut pool {
                pool.is_last = is_last;
            }
            let counted = number.checked_sub(repeat.warmup).filter(|number| *number > 0);
            let mut record = Record { url: self.record.url.clone(), ..Record::default() };
            record.number = counted.filter(|_| repeat.is_series());
            let sink = &mut sink;
            let pool = pool.as_mut();
            match way.follow(prepared, sink, pool, &mut stops, &mut record).await {
                Ok(used) => clients = used,
                Err(error) => {
                    if let (Some(_), None) = (counted, &self.series) {
                        self.record = record;
                        return Err(error);
                    }
                    // The run that it interrupts is not one to be counted.
                    if matches!(error.kind, Kind::HungUp | Kind::Interrupted | Kind::Terminated) {
                        return Err(error);
                    }
                    record.error = Some(error);
                }
            }
            for hop in &mut record.hops {
                if record.error.is_some() {
                    hop.wind_up().await;
                }
                hop.collect();
            }
            progress.erase();
            match (counted, &mut self.series) {
                (Some(number), Some(series)) => {
                    series.runs.push(Run::of(number, &record));
                    if cli.format == Format::Jsonl && self.pass_on(cli, &record).await?.is_break() {
                        return Ok(());
                    }
                    self.record = record;
                }
                (Some(_), None) => self.record = record,
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn state(&self, number: u32, repeat: &RepeatArgs) -> State {
        let runs = self.series.as_ref().map(|series| series.runs.as_slice()).unwrap_or_default();
        let is_warmup = number <= repeat.warmup;
        State {
            done: number - 1 - if is_warmup { 0 } else { repeat.warmup },
            of: if is_warmup { repeat.warmup } else { repeat.count },
            failed: runs.iter().filter(|run| !run.is_ok()).count(),
            last: runs.last().and_then(Run::total),
            is_warmup,
        }
    }

    /// Prints a run of a series while the others are still to come, and says whether anybody reads.
    async fn pass_on(&mut self, cli: &Cli, record: &Record) -> Result<ControlFlow<()>, Error> {
        let line = output::jsonl(record, &view(cli));
        let _ = self.save.write(line.clone().into()).await?;
        print(cli, line).await
    }

    /// Draws the conclusions, and says why it is no success.
    fn conclude(&mut self, cli: &Cli, ended: Option<Error>) -> Option<Error> {
        let (objectives, baseline) = (cli.repeat.objectives(), self.baseline.as_ref());
        if let Some(series) = &mut self.series {
            series.cut_short = ended;
            series.judge(&objectives, baseline);
            return series.error();
        }
        let record = &mut self.record;
        record.error.clone_from(&ended);
        record.hops.iter_mut().for_each(Hop::collect);
        let values = ended.is_none().then(|| repeat::values(&record.hops));
        let runs = values.as_slice();
        record.findings = Findings::of(&record.url, runs, &objectives, baseline);
        ended
    }

    fn findings(&self) -> &Findings {
        match &self.series {
            Some(series) => &series.findings,
            None => &self.record.findings,
        }
    }

    /// Writes the files that show the result, also that of a request that failed; of several runs
    /// they show the last.
    fn draw(&self, cli: &Cli) -> Result<(), Error> {
        let record = &self.record;
        let page = cli.watch.html.as_ref().map(|path| (path.clone(), output::html(record)));
        let picture = cli.watch.svg.as_ref().map(|path| (path.clone(), output::svg(record)));
        if page.is_none() && picture.is_none() {
            return Ok(());
        }
        in_event_loop(async {
            let written = spawn_blocking(move || {
                let written = [page, picture].into_iter().flatten();
                let written: Vec<_> =
                    written.map(|(path, text)| write_whole(&path, &text)).collect();
                written.into_iter().collect()
            });
            unless_stopped(written, "nobody read what --html or --svg names")
                .await?
                .map_err(|error| no_event_loop(error.into()))?
        })
    }

    /// Writes the report where it is wanted. Where one copy cannot be written, the others still are.
    ///
    /// What nobody keeps waiting needs no event loop, which takes as long to make as all of this.
    fn publish(&mut self, cli: &Cli) -> Result<(), Error> {
        let view = view(cli);
        let json = || match (&self.series, cli.format) {
            (None, Format::Jsonl) => output::jsonl(&self.record, &view),
            (None, _) => output::json(&self.record, &view),
            (Some(series), Format::Jsonl) => output::series_jsonl(series),
            (Some(series), _) => output::series_json(series),
        };
        let text = match (&self.series, cli.format) {
            (None, Format::Pretty) => output::pretty(&self.record, &view),
            (Some(series), Format::Pretty) => output::series_pretty(series, &view),
            _ => json(),
        };
        let saved = cli.repeat.save.as_ref().map(|_| json());
        let printed = match destination(cli).begin(cli.color(), text) {
            Ok(rest) if !rest.is_empty() => in_event_loop(finish(rest)),
            taken => told(taken.map(drop)),
        };
        let saved = keep(&mut self.save, saved);
        let junit = cli.repeat.junit.as_ref().map(|_| {
            let fails_if_slower = cli.repeat.fail_if_slower;
            match &self.series {
                Some(series) => repeat::suite(series, &series.findings, fails_if_slower).xml(),
                None => {
                    let single = Series::single(&self.record, cli);
                    repeat::suite(&single, &self.record.findings, fails_if_slower).xml()
                }
            }
        });
        let kept = keep(&mut self.junit, junit);
        printed.map(drop).and(saved).and(kept)
    }
}

/// Writes a copy of the result; what was left open because nothing was measured stays as it was.
fn keep(sink: &mut Sink, text: Option<String>) -> Result<(), Error> {
    let Some(text) = text else { return Ok(()) };
    let mut sink = mem::take(sink);
    in_event_loop(async {
        let written = async {
            let _ = sink.write(text.into()).await?;
            sink.finish()
        };
        unless_stopped(written, "nobody read the result").await?
    })
}

/// Does what waits for a reader, who may keep it waiting until a signal comes.
async fn unless_stopped<T>(work: impl Future<Output = T>, otherwise: &str) -> Result<T, Error> {
    let mut stops = Stops::new(None).map_err(no_event_loop)?;
    stops.heeded_by(work).await.map_err(|stop| stop.error(otherwise))
}

/// What is the same for every request.
struct Way {
    tls: tls::Options,
    sample_interval: Option<Duration>,
    versions: Versions,
    route: Route,
    proxy_tls: Option<Arc<tls::Client>>,
    connect_timeout: Option<Duration>,
    body: BodyArgs,
    follows: bool,
    max_redirs: usize,
    opens_files: bool,
}

impl Way {
    fn new(cli: &Cli, tls: tls::Options) -> Result<Self, Error> {
        Ok(Self {
            tls,
            sample_interval: cli.watch.interval(),
            versions: cli.versions(),
            route: cli.route()?,
            proxy_tls: None,
            connect_timeout: cli.connect_timeout,
            // A series has a bar of its own.
            body: if cli.repeat.is_single() { cli.body.clone() } else { cli.body.silent() },
            follows: cli.location,
            max_redirs: cli.max_redirs,
            opens_files: cli.opens_files,
        })
    }

    /// Makes one run: a request, and those that redirects lead to. Returns what TLS was prepared.
    async fn follow(
        &self,
        first: Prepared,
        sink: &mut Sink,
        mut pool: Option<&mut Pool>,
        stops: &mut Stops,
        record: &mut Record,
    ) -> Result<Clients, Error> {
        let mut prepared = first;
        let mut trail = Trail::new(self.max_redirs);
        loop {
            let Prepared { ask, draft, clients } = prepared;
            trail.step(&ask)?;
            let mut hop = Hop::new(&ask, self.sample_interval);
            let plan = Plan {
                draft,
                reach: Reach {
                    versions: self.versions,
                    tls: clients.tls.clone(),
                    #[cfg(feature = "http3")]
                    http3: clients.http3.clone(),
                    proxy_tls: self.proxy_tls.clone(),
                    route: &self.route,
                    connect_timeout: self.connect_timeout,
                    body: &self.body,
                    repeatable: Repeatable::of(&ask),
                },
                ask,
                follows: self.follows,
                pool: pool.as_deref_mut(),
                sink,
            };
            let outcome = hop.measure(plan, stops).await;
            let next = hop.next.take();
            record.hops.push(hop);
            outcome?;
            let Some(ask) = next else { return Ok(clients) };
            prepared = self.prepare(*ask, clients, stops).await?;
        }
    }

    async fn prepare(
        &self,
        ask: Ask,
        clients: Clients,
        stops: &mut Stops,
    ) -> Result<Prepared, Error> {
        let options = self.tls.clone();
        aside(stops, self.opens_files, move || Prepared::new(ask, &options, clients)).await
    }
}

/// A request that is ready to be made.
struct Prepared {
    ask: Ask,
    draft: Draft,
    clients: Clients,
}

/// What was needed so far to shake hands.
#[derive(Clone, Default)]
struct Clients {
    /// Absent for `http`, unless an earlier request needed it.
    tls: Option<Arc<tls::Client>>,
    #[cfg(feature = "http3")]
    http3: Option<http3::Client>,
    #[cfg(feature = "http3")]
    wish: Option<http3::Wish>,
}

impl Clients {
    /// Adds what this target needs.
    fn complete(&mut self, target: &Target, options: &tls::Options) -> Result<(), Error> {
        #[cfg(feature = "http3")]
        match self.wish {
            Some(http3::Wish::Only) if !target.is_https() => {
                return Err(http3::needs_https(target));
            }
            Some(wish) if target.is_https() && self.http3.is_none() => {
                self.http3 = Some(http3::Client::new(tls::Client::for_quic(options)?, wish)?);
            }
            _ => {}
        }
        #[cfg(feature = "http3")]
        if self.wish == Some(http3::Wish::Only) {
            return Ok(());
        }
        if target.is_https() && self.tls.is_none() {
            self.tls = Some(Arc::new(tls::Client::new(options)?));
        }
        Ok(())
    }
}

impl Prepared {
    fn new(ask: Ask, options: &tls::Options, mut clients: Clients) -> Result<Self, Error> {
        let draft = Draft::new(&ask)?;
        clients.complete(&ask.target, options)?;
        Ok(Self { ask, draft, clients })
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
        .map_err(|stop| stop.error("a file or pipe that an option names was not ready"))?
        .map_err(|error| no_event_loop(error.into()))?
}

/// How the pretty report is laid out.
fn view(cli: &Cli) -> View {
    View::new(cli, destination(cli).is_terminal())
}

fn destination(cli: &Cli) -> Destination {
    if cli.body_to_stdout() { Destination::Stderr } else { Destination::Stdout }
}

/// Writes the report, or a part of it, beside the body if that has the standard output. Says whether
/// its reader wants more.
async fn print(cli: &Cli, text: String) -> Result<ControlFlow<()>, Error> {
    match destination(cli).begin(cli.color(), text) {
        Ok(rest) if !rest.is_empty() => finish(rest).await,
        taken => told(taken.map(drop)),
    }
}

/// Writes what was not taken at once.
async fn finish(rest: Rest) -> Result<ControlFlow<()>, Error> {
    told(unless_stopped(rest.written(), "nobody read the report").await?)
}

/// What it means that a report was written, or was not.
fn told(written: io::Result<()>) -> Result<ControlFlow<()>, Error> {
    match written {
        // The reader has seen enough, as in `httpstat … | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => {
            Err(Error::new(Kind::Output, format!("cannot write the report: {}", reason(&error))))
        }
        Ok(()) => Ok(ControlFlow::Continue(())),
    }
}

/// One line on the standard error. If even that is closed, the exit code must do.
fn complain(text: &str) {
    let line = escape::text(text);
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
