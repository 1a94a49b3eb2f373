//! What was learnt, for a person or for a program.

mod json;
mod pretty;
mod socket;
mod style;
mod waterfall;

use crate::{error::Error, hop::Hop};
pub(crate) use json::{json, jsonl};
pub(crate) use pretty::pretty;

/// The result of a run: every request made, and why the run failed if it did.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// As it may be shown: without credentials.
    pub(crate) url: String,
    pub(crate) hops: Vec<Hop>,
    pub(crate) error: Option<Error>,
}

/// How the pretty output is laid out.
#[derive(Debug)]
pub(crate) struct View {
    /// Columns that may be used.
    width: usize,
    /// Long headers are folded, which a program reading the output would not expect.
    fold: bool,
    verbose: bool,
}

impl View {
    pub(crate) fn new(verbose: bool, is_terminal: bool) -> Self {
        let terminal = is_terminal.then(terminal_size::terminal_size).flatten();
        // Some terminals, as those of serial lines, say 0 because they do not know.
        let width = terminal.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0);
        let width = width.map_or(MAX_WIDTH, |width| width.min(MAX_WIDTH));
        Self { width, fold: is_terminal, verbose }
    }
}

/// A waterfall wider than this is harder to read, not easier.
const MAX_WIDTH: usize = 80;
