//! The socket's numbers over time, on the axis of the waterfall above them.

use std::{fmt::Write as _, time::Duration};

use super::{
    style::{BAD, FAINT, NAME, paint},
    waterfall,
};
use crate::{
    series::{Course, Events},
    units,
};

/// A row for each number: its range, and its course from the least to the most. Of several readings
/// in one column the worst is shown: the smallest window, the longest round trip.
pub(super) fn draw(course: &Course, total: Duration, width: usize) -> String {
    let columns = waterfall::columns(width);
    if course.is_empty() {
        let why = "No samples: this system told nothing of the socket while it was used.";
        return format!("{}\n", paint(FAINT, why));
    }
    let mut text = String::new();
    for series in &course.series {
        let values = series.columns(total, columns.max(1));
        let (least, most) = series.scale(&values);
        let spark: String = values.iter().map(|value| level(*value, least, most)).collect();
        let label = label(series.title, &series.unit.range(least, most));
        let spark = paint(NAME, spark.trim_end());
        let line = if columns > 0 { format!("{label}  {spark}") } else { label };
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for events in &course.events {
        let _ = writeln!(text, "{}", row_of(events, total, columns).trim_end());
    }
    text
}

fn row_of(events: &Events, total: Duration, columns: usize) -> String {
    let mut marks = vec![' '; columns];
    for event in &events.events {
        if let Some(mark) = marks.get_mut(waterfall::column(event.at, total, columns)) {
            *mark = '×';
        }
    }
    let marks: String = marks.into_iter().collect();
    let label = label(events.title, &units::count(events.total));
    match marks.trim_end() {
        "" => label,
        marks => format!("{label}  {}", paint(BAD, marks)),
    }
}

fn label(title: &str, range: &str) -> String {
    let room = waterfall::NUMBERS_WIDTH - 2;
    let gap = room.saturating_sub(title.chars().count() + range.chars().count()).max(1);
    format!("{title}{:gap$}{range}", "")
}

/// One of eight heights. What never changes is drawn in the middle.
fn level(value: Option<f64>, least: f64, most: f64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

    let Some(value) = value else { return ' ' };
    let part = if most > least { (value - least) / (most - least) } else { 0.5 };
    let number = (part.clamp(0.0, 1.0) * (LEVELS.len() - 1) as f64).round() as usize;
    LEVELS.get(number).copied().unwrap_or(' ')
}
