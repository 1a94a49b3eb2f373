//! A bar on the terminal beside work that takes long.

use std::{
    io::{self, IsTerminal as _, Write as _},
    pin::pin,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// What a bar shows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// How much is done, from 0 to 1, where that is known.
    pub(crate) fraction: Option<f64>,
    /// Numbers to the right of the bar.
    pub(crate) trailing: String,
}

impl Bar {
    /// The bar as one line of at most `width` columns.
    ///
    /// Where there is little room the bar itself goes first, the end of the numbers next.
    fn line(&self, width: usize) -> String {
        let mut line = self.label.clone();
        if let Some(fraction) = self.fraction {
            let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
            // Not 100% before it is true.
            let percent = format!("{:>3.0}%", (fraction * 100.0).floor());
            let texts = [&self.label, &percent, &self.trailing];
            let taken: usize = texts.iter().map(|text| text.chars().count() + 1).sum();
            let columns = width.saturating_sub(taken).min(MAX_COLUMNS);
            if columns >= MIN_COLUMNS {
                line.push(' ');
                let halves = (fraction * (columns * 2) as f64) as usize;
                let filled = (0..columns).map(|column| match halves.saturating_sub(column * 2) {
                    0 => '░',
                    1 => '▌',
                    _ => '█',
                });
                line.extend(filled);
            }
            line.push(' ');
            line.push_str(&percent);
        }
        line.push(' ');
        line.push_str(&self.trailing);
        line.chars().take(width).collect()
    }
}

/// Does the work and meanwhile shows what `state` says on the standard error, if that is a terminal.
///
/// Nothing appears for the first second. The line is gone when the work has ended, also when it is
/// given up.
pub(crate) async fn beside<T>(
    is_wanted: bool,
    work: impl Future<Output = T>,
    mut state: impl FnMut() -> Option<Bar>,
) -> T {
    if !is_wanted || !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    let mut line = Line::default();
    let mut next = Instant::now() + DELAY;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(next) => {
                match state() {
                    Some(bar) => line.show(&bar),
                    None => line.erase(),
                }
                next = Instant::now() + PERIOD;
            }
        }
    }
}

/// The line of the terminal that is written over and over.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Columns written to, the bar's or a longer one's before it.
    used: usize,
}

impl Line {
    pub(crate) fn show(&mut self, bar: &Bar) {
        let text = bar.line(columns());
        let used = text.chars().count();
        let padding = self.used.saturating_sub(used);
        // At once, so that it does not flicker; a terminal that fails is no reason to stop working.
        let _ = io::stderr().write_all(format!("\r{text}{:padding$}", "").as_bytes());
        self.used = used;
    }

    /// Leaves the line as if nothing had been there.
    pub(crate) fn erase(&mut self) {
        if self.used > 0 {
            let _ = io::stderr().write_all(format!("\r{:1$}\r", "", self.used).as_bytes());
            self.used = 0;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.erase();
    }
}

/// One less than the terminal has, because some begin a new line after the last one.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    let columns = size.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0);
    columns.unwrap_or(MAX_WIDTH).min(MAX_WIDTH) - 1
}

/// Short work needs no bar.
const DELAY: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(100);
const MIN_COLUMNS: usize = 8;
const MAX_COLUMNS: usize = 30;
const MAX_WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(fraction: Option<f64>) -> Bar {
        let trailing = "12.3 MB of 24.6 MB".to_owned();
        Bar { label: "download".to_owned(), fraction, trailing }
    }

    #[test]
    fn a_bar_is_filled_to_its_fraction() {
        let line = |fraction| bar(Some(fraction)).line(48);
        assert_eq!(line(0.0), "download ░░░░░░░░░░░░░░░   0% 12.3 MB of 24.6 MB");
        assert_eq!(line(0.5), "download ███████▌░░░░░░░  50% 12.3 MB of 24.6 MB");
        assert_eq!(line(0.9999), "download ██████████████▌  99% 12.3 MB of 24.6 MB");
        assert_eq!(line(7.0), "download ███████████████ 100% 12.3 MB of 24.6 MB");
        assert_eq!(line(f64::NAN), line(0.0));
    }

    #[test]
    fn without_a_fraction_the_numbers_remain() {
        assert_eq!(bar(None).line(80), "download 12.3 MB of 24.6 MB");
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for fraction in [None, Some(0.0), Some(0.37), Some(1.0)] {
            for width in 0..100 {
                assert!(bar(fraction).line(width).chars().count() <= width);
            }
        }
    }
}
