//! From the command line to the exit code.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::{Cli, Command},
    error::Error,
    escape, life, list, lookup, schema, serve, watch,
};

/// Does what was asked for and says how it went.
pub(crate) fn run() -> ExitCode {
    survive_limits();
    let done = match Cli::from_process() {
        Ok(Some(cli)) => obey(cli),
        Ok(None) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            match &error {
                Error::Unwanted => {}
                Error::Unreadable(message) => {
                    // The mark stands below its place, so the first line must not be indented either.
                    let mut lines = message.lines();
                    complain(lines.next().unwrap_or_default());
                    lines.for_each(|line| write_line(&escape::line(line)));
                }
                other => complain(&other.to_string()),
            }
            error.exit_code()
        }
    }
}

fn obey(cli: Cli) -> Result<ExitCode, Error> {
    match (cli.generate, cli.command) {
        (Some(what), _) => what.print(),
        (None, None) => list::run(&cli.list),
        (None, Some(Command::List(arguments))) => list::run(&arguments),
        (None, Some(Command::Life(arguments))) => life::run(&arguments),
        (None, Some(Command::Lookup(arguments))) => lookup::run(&arguments),
        (None, Some(Command::Schema(arguments))) => schema::run(&arguments),
        (None, Some(Command::Serve(arguments))) => serve::run(&arguments),
        (None, Some(Command::Watch(arguments))) => watch::run(&arguments),
    }
}

/// Has a file that may not grow any more (`RLIMIT_FSIZE`) be an error rather than the end.
fn survive_limits() {
    #[cfg(unix)]
    {
        let flag = std::sync::Arc::default();
        // Without it, the signal tells who started this process.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, flag);
    }
}

/// One line on the standard error. If even that is closed, the exit code must do.
pub(crate) fn complain(text: &str) {
    let line = escape::line(text);
    // What was asked for may be of any length.
    let end = line.char_indices().nth(MAX_COMPLAINT_LEN).map(|(end, _)| end);
    match end {
        Some(end) => write_line(&format!("conniver: {}…", &line[..end])),
        None => write_line(&format!("conniver: {line}")),
    }
}

fn write_line(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

const MAX_COMPLAINT_LEN: usize = 2_000;
