//! How far a series has come, on one line of a terminal that is erased again.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use crate::units;

/// Writes to the standard error, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: usize,
    is_wanted: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: 0, is_wanted: io::stderr().is_terminal() }
    }

    /// Shows how many runs of how many are done.
    pub(crate) fn show(&mut self, state: &State) {
        if self.is_wanted {
            let line = state.line();
            self.write(&line);
            self.shown = line.chars().count();
        }
    }

    /// Leaves the line as if nothing had been there.
    pub(crate) fn erase(&mut self) {
        if self.shown > 0 {
            self.write("");
            self.shown = 0;
        }
    }

    fn write(&self, line: &str) {
        // Spaces erase on every terminal, also where escape sequences are not understood.
        let blank = " ".repeat(self.shown.saturating_sub(line.chars().count()));
        let back = if line.is_empty() { "\r" } else { "" };
        let mut stderr = io::stderr().lock();
        // A terminal that is gone is no reason to stop measuring.
        let _ = write!(stderr, "\r{line}{blank}{back}").and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
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
    /// Narrower than a terminal, so that it does not wrap.
    fn line(&self) -> String {
        let filled = usize::try_from(u64::from(self.done) * COLUMNS / u64::from(self.of.max(1)));
        let bar = "█".repeat(filled.unwrap_or_default().min(COLUMNS as usize));
        let label = if self.is_warmup { "warm-up " } else { "" };
        let mut line = format!("{label}▕{bar:<24}▏ {}/{}", self.done, self.of);
        if self.failed > 0 {
            line.push_str(&format!("  {} failed", self.failed));
        }
        if let Some(last) = self.last {
            line.push_str(&format!("  {}", units::time(last)));
        }
        line
    }
}

const COLUMNS: u64 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_from_left_to_right_and_never_overflows() {
        let line = |done, of| {
            let state = State { done, of, failed: 0, last: None, is_warmup: false };
            state.line()
        };
        assert_eq!(line(0, 4), format!("▕{}▏ 0/4", " ".repeat(24)));
        assert_eq!(line(2, 4), format!("▕{}{}▏ 2/4", "█".repeat(12), " ".repeat(12)));
        assert_eq!(line(4, 4), format!("▕{}▏ 4/4", "█".repeat(24)));
        let longest = State {
            done: 100_000,
            of: 100_000,
            failed: 100_000,
            last: Some(Duration::from_secs(1_000_000)),
            is_warmup: true,
        };
        assert!(longest.line().chars().count() <= 78);
    }
}
