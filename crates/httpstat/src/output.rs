//! What was learnt, for a person or for a program.

mod body;
mod history;
mod html;
mod json;
mod markup;
mod picture;
mod pretty;
#[cfg(feature = "http3")]
mod quic;
mod repeat;
mod repeat_json;
mod socket;
mod style;
mod timeline;
mod tls;
mod verdict;
mod waterfall;

use crate::{cli::Cli, error::Error, hop::Hop, repeat::Findings};
pub(crate) use html::html;
pub(crate) use json::{json, jsonl};
pub(crate) use picture::svg;
pub(crate) use pretty::pretty;
pub(crate) use repeat::series as series_pretty;
pub(crate) use repeat_json::{series_json, series_jsonl};

/// The result of a run: every request made, and why the run failed if it did.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// As it may be shown: without credentials.
    pub(crate) url: String,
    pub(crate) hops: Vec<Hop>,
    pub(crate) error: Option<Error>,
    /// Which run of a series it is.
    pub(crate) number: Option<u32>,
    /// About this run alone.
    pub(crate) findings: Findings,
}

impl Record {
    /// Why this request failed: the last one does if the run does.
    fn error_of(&self, hop: &Hop) -> Option<&Error> {
        let is_last = self.hops.last().is_some_and(|last| std::ptr::eq(last, hop));
        self.error.as_ref().filter(|_| is_last)
    }
}

/// How the pretty output is laid out.
#[derive(Debug)]
pub(crate) struct View {
    /// Columns that may be used.
    width: usize,
    /// Long headers are folded, which a program reading the output would not expect.
    fold: bool,
    verbose: bool,
    /// Samples are shown.
    timeline: bool,
    /// Both ends of the socket are shown.
    ends: bool,
    /// The speed of both bodies is shown.
    speed: bool,
}

impl View {
    pub(crate) fn new(cli: &Cli, is_terminal: bool) -> Self {
        let terminal = is_terminal.then(terminal_size::terminal_size).flatten();
        // Some terminals, as those of serial lines, say 0 because they do not know.
        let width = terminal.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0);
        let width = width.map_or(MAX_WIDTH, |width| width.min(MAX_WIDTH));
        Self {
            width,
            fold: is_terminal,
            verbose: cli.is_verbose,
            timeline: cli.watch.timeline,
            ends: !cli.hides_ends,
            speed: cli.shows_speed,
        }
    }

    /// Whether JSON lists every sample.
    fn has_samples(&self) -> bool {
        self.timeline || self.verbose
    }
}

/// A waterfall wider than this is harder to read, not easier.
const MAX_WIDTH: usize = 80;
