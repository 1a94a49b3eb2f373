//! From the command line to the exit code.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstream::adapter::strip_str;
use anstream::stream::{AsLockedWrite, RawStream};
use anstream::{AutoStream, ColorChoice};

use crate::cli::{Cli, Format};
use crate::demo::Demo;
use crate::error::{Error, Kind, reason};
use crate::escape;
use crate::hop::{Hop, Plan};
use crate::output::{self, Record, View};
use crate::payload::Payload;
use crate::request::Draft;
use crate::sink::Sink;
use crate::target::{Target, redact};
use crate::tls::{self, Trust};

/// Measures what was asked for, prints what was learnt, and says how it went.
pub(crate) fn run(cli: &Cli) -> ExitCode {
    let mut record = Record::default();
    record.error = measure(cli, &mut record).err();
    let unwritten = print(cli, &record).err();

    let error = record.error.or(unwritten);
    if let Some(error) = &error {
        complain(error);
    }
    error.map_or(ExitCode::SUCCESS, |error| ExitCode::from(error.kind.exit_code()))
}

fn measure(cli: &Cli, record: &mut Record) -> Result<(), Error> {
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

    let method = cli.method();
    let payload = (!cli.data.is_empty()).then(|| Payload::from_arguments(&cli.data)).transpose()?;
    let plan = Plan {
        draft: Draft::new(&target, method.clone(), &cli.headers, payload)?,
        tls: target.is_https().then(|| tls::Client::new(&trust)).transpose()?,
        family: cli.family(),
        limits: cli.limits(),
        sink: Sink::open(cli.output.as_deref())?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Connect, format!("no event loop: {}", reason(&error))))?;

    let mut hop = Hop::new(target, method);
    let outcome = runtime.block_on(hop.measure(plan));
    // Whatever still holds the connection ends here, except a name lookup that nobody can cancel.
    runtime.shutdown_background();
    hop.collect();
    record.hops.push(hop);
    outcome
}

/// Writes the report, beside the body if that has the standard output.
fn print(cli: &Cli, record: &Record) -> Result<(), Error> {
    let to_stderr = cli.body_to_stdout();
    let is_terminal =
        if to_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let view = View::new(cli.verbose, is_terminal, cli.output.as_deref());
    let text = match cli.format {
        Format::Pretty => output::pretty(record, &view),
        Format::Json => output::json(record),
        Format::Jsonl => output::jsonl(record),
    };
    let written = match to_stderr {
        true => write(io::stderr().lock(), cli.color(), &text),
        false => write(io::stdout().lock(), cli.color(), &text),
    };
    match written {
        // The reader has seen enough, as in `httpstat … | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Error::new(Kind::Output, format!("cannot write the report: {}", reason(&error))))
        }
        Ok(()) => Ok(()),
    }
}

fn write<S: RawStream + AsLockedWrite>(
    stream: S,
    color: ColorChoice,
    text: &str,
) -> io::Result<()> {
    let mut stream = AutoStream::new(stream, color);
    if stream.current_choice() == ColorChoice::Never {
        // Stripped beforehand, it is written at once and not piece by piece.
        let mut plain = stream.into_inner();
        plain.write_all(strip_str(text).to_string().as_bytes())?;
        return plain.flush();
    }
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// One line on the standard error. If even that is closed, the exit code must do.
fn complain(error: &Error) {
    let line = format!("httpstat: {}\n", escape::text(&error.to_string()));
    let _ = io::stderr().write_all(line.as_bytes());
}
