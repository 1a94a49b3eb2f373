//! How far a series has come.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use crate::{
    progress::{Bar, Line},
    units,
};

/// Writes to the standard error, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress(Option<Line>);

impl Progress {
    pub(crate) fn new(is_wanted: bool) -> Self {
        Self((is_wanted && io::stderr().is_terminal()).then(Line::default))
    }

    pub(crate) fn show(&mut self, state: &State) {
        if let Some(line) = &mut self.0 {
            line.show(&state.bar());
        }
    }

    pub(crate) fn erase(&mut self) {
        if let Some(line) = &mut self.0 {
            line.erase();
        }
    }
}

/// What there is to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) done: u32,
    pub(crate) of: u32,
    pub(crate) failed: usize,
    /// The total of the last run.
    pub(crate) last: Option<Duration>,
    /// These runs do not count.
    pub(crate) is_warmup: bool,
}

impl State {
    fn bar(&self) -> Bar {
        let mut trailing = format!("{}/{}", self.done, self.of);
        if self.failed > 0 {
            trailing.push_str(&format!("  {} failed", self.failed));
        }
        if let Some(last) = self.last {
            trailing.push_str(&format!("  {}", units::time(last)));
        }
        let label = if self.is_warmup { "warm-up" } else { "runs" };
        let fraction = f64::from(self.done) / f64::from(self.of.max(1));
        Bar { label: label.to_owned(), fraction: Some(fraction), trailing }
    }
}
