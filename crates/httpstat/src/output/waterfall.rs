//! The phases as bars on a common time axis.

use std::{fmt::Write as _, time::Duration};

use super::style::{self, BAD, FAINT, STRONG, paint};
use crate::{
    timeline::{Phase, Span},
    units,
};

/// Draws one line a phase, at most `width` columns wide. The phase that failed stands out.
///
/// Where there is no room for bars, the numbers remain.
pub(crate) fn draw(spans: &[Span], total: Duration, failed: Option<Phase>, width: usize) -> String {
    let axis = Axis::new(total, columns(width));
    let mut text = String::new();
    if axis.columns > 0 {
        let _ = writeln!(text, "{:NUMBERS_WIDTH$}{}", "", paint(FAINT, axis.labels()));
    }
    for span in spans {
        let is_failed = failed == Some(span.phase);
        let style = if is_failed { BAD } else { style::phase(span.phase) };
        let title = format!("{:TITLE_WIDTH$}", span.phase.title());
        let line = format!(
            "{} {:>TIME_WIDTH$} {:>SHARE_WIDTH$}  {}",
            if is_failed { paint(BAD, title) } else { title },
            units::time(span.length),
            share(span.length, total),
            axis.bar(span, style),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let total = format!("{:TITLE_WIDTH$} {:>TIME_WIDTH$}", "Total", units::time(total));
    let _ = writeln!(text, "{}", paint(STRONG, total));
    text
}

/// How many columns remain for bars beside the numbers; none if too few to show anything.
pub(super) fn columns(width: usize) -> usize {
    Some(width.saturating_sub(NUMBERS_WIDTH)).filter(|columns| *columns >= MIN_COLUMNS).unwrap_or(0)
}

/// The column in which a time lies.
pub(super) fn column(time: Duration, total: Duration, columns: usize) -> usize {
    position(time, total, columns).min(columns.saturating_sub(1))
}

fn position(time: Duration, total: Duration, columns: usize) -> usize {
    let total = total.as_secs_f64().max(f64::MIN_POSITIVE);
    (time.as_secs_f64() / total * columns as f64) as usize
}

/// Time from left to right over a number of columns, with a grid at round times.
struct Axis {
    total: Duration,
    columns: usize,
    step: Duration,
}

impl Axis {
    fn new(total: Duration, columns: usize) -> Self {
        let widest = total.as_nanos().saturating_mul(LABEL_WIDTH) / (columns.max(1) as u128);
        let step = round_up(u64::try_from(widest).unwrap_or(u64::MAX));
        Self { total, columns, step: Duration::from_nanos(step) }
    }

    /// The ruler above the bars: the time of each grid line, written to its right.
    fn labels(&self) -> String {
        let mut line = String::new();
        for (column, time) in self.grid() {
            let label = units::tick(time);
            if column + label.chars().count() <= self.columns {
                let gap = column.saturating_sub(line.chars().count());
                let _ = write!(line, "{:gap$}{label}", "");
            }
        }
        line
    }

    /// Bars have a resolution of half a column, and even the shortest phase leaves a trace.
    fn bar(&self, span: &Span, style: anstyle::Style) -> String {
        if self.columns == 0 {
            return String::new();
        }
        let halves = self.columns * 2;
        let start = self.position(span.start, halves).min(halves - 1);
        let end = self.position(span.start + span.length, halves).clamp(start + 1, halves);
        let (first, last) = (start / 2, end.div_ceil(2));

        let bar: String = (first..last)
            .map(|column| match (start <= column * 2, column * 2 + 2 <= end) {
                (true, true) => '█',
                (true, false) => '▌',
                (false, _) => '▐',
            })
            .collect();
        let before: String = (0..first).map(|column| self.background(column)).collect();
        let after: String = (last..self.columns).map(|column| self.background(column)).collect();
        let after = after.trim_end();
        format!("{}{}{}", paint(FAINT, before), paint(style, bar), paint(FAINT, after))
    }

    fn background(&self, column: usize) -> char {
        match self.grid().any(|(grid, _)| grid == column && grid > 0) {
            true => '┊',
            false => ' ',
        }
    }

    fn grid(&self) -> impl Iterator<Item = (usize, Duration)> {
        (0u32..)
            .map(|number| self.step.saturating_mul(number))
            .map(|time| (self.position(time, self.columns), time))
            .take_while(|(column, _)| *column < self.columns)
            // A step of zero would never come to an end.
            .take(self.columns)
    }

    fn position(&self, time: Duration, columns: usize) -> usize {
        position(time, self.total, columns)
    }
}

/// The next number of the series 1, 2, 5, 10, 20, 50 …
pub(super) fn round_up(number: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let round = power.saturating_mul(factor);
            if round >= number {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

pub(super) fn share(part: Duration, total: Duration) -> String {
    let percent = part.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE) * 100.0;
    match percent {
        p if p > 0.0 && p < 1.0 => "<1%".to_owned(),
        p => format!("{p:.0}%"),
    }
}

const TITLE_WIDTH: usize = 17;
const TIME_WIDTH: usize = 6;
const SHARE_WIDTH: usize = 4;
/// Everything to the left of the bars.
pub(super) const NUMBERS_WIDTH: usize = TITLE_WIDTH + 1 + TIME_WIDTH + 1 + SHARE_WIDTH + 2;
/// Fewer columns show nothing that the numbers do not.
const MIN_COLUMNS: usize = 12;
/// Room for a label of the ruler and the space after it.
const LABEL_WIDTH: u128 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(lengths: &[(Phase, u64)]) -> (Vec<Span>, Duration) {
        let mut start = Duration::ZERO;
        let spans = lengths
            .iter()
            .map(|(phase, micros)| {
                let length = Duration::from_micros(*micros);
                let span = Span { phase: *phase, start, length };
                start += length;
                span
            })
            .collect();
        (spans, start)
    }

    fn plain(spans: &[Span], total: Duration, width: usize) -> String {
        anstream::adapter::strip_str(&draw(spans, total, None, width)).to_string()
    }

    #[test]
    fn bars_stand_where_their_phase_happened() {
        let (spans, total) = spans(&[
            (Phase::Dns, 400),
            (Phase::Connect, 100),
            (Phase::Tls, 19_500),
            (Phase::Send, 0),
            (Phase::Server, 40_000),
            (Phase::Transfer, 20_000),
        ]);
        let expected = "\
\u{20}                              0           20ms        40ms        60ms
DNS lookup         400µs  <1%  ▌           ┊           ┊           ┊
TCP connect        100µs  <1%  ▌           ┊           ┊           ┊
TLS handshake     19.5ms  24%  ████████████┊           ┊           ┊
Request send         0µs   0%              ▌           ┊           ┊
Server processing 40.0ms  50%              ████████████████████████▌
Content transfer  20.0ms  25%              ┊           ┊           ▐████████████
Total             80.0ms
";
        let drawn = plain(&spans, total, 80);
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let (spans, total) =
            spans(&[(Phase::Connect, 137), (Phase::Server, 7), (Phase::Transfer, 999_999)]);
        for width in 31..=80 {
            for line in plain(&spans, total, width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn without_room_the_numbers_remain() {
        let (spans, total) = spans(&[(Phase::Connect, 1_500), (Phase::Server, 500)]);
        let expected = "\
TCP connect       1.50ms  75%
Server processing  500µs  25%
Total             2.00ms
";
        assert_eq!(plain(&spans, total, 20), expected);
    }

    #[test]
    fn a_request_that_took_no_time_can_be_drawn() {
        let (spans, total) = spans(&[(Phase::Connect, 0)]);
        assert!(plain(&spans, total, 80).contains("0µs"));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0, 1, 3, 7, 11, 49, 51].map(round_up), [1, 1, 5, 10, 20, 50, 100]);
    }
}
