//! The forms in which ends are written, each as it comes.

use super::{
    column::{self, Shown},
    ended::Ended,
    facts::Age,
};
use crate::{column::Unit, json, text::Put as _};

/// In which form ends are written.
#[derive(Debug)]
pub(super) enum Form {
    Table {
        columns: Vec<Shown>,
        widths: Vec<usize>,
        most: Option<usize>,
    },
    Csv(Vec<Shown>),
    Jsonl,
    /// Only the sums are wanted.
    Nothing,
}

impl Form {
    /// A table, on a terminal no wider than that.
    pub(super) fn table(columns: Vec<Shown>, most: Option<usize>) -> Self {
        let widths = columns.iter().map(Shown::width).collect();
        Self::Table { columns, widths, most }
    }

    pub(super) fn put_header(&self, out: &mut Vec<u8>) {
        match self {
            Self::Table { columns, widths, .. } => {
                for (place, (column, width)) in columns.iter().zip(widths).enumerate() {
                    let start = out.len();
                    out.put(column.heading());
                    pad(out, start, *width, column.unit(), place + 1 == columns.len());
                }
                out.push(b'\n');
            }
            Self::Csv(columns) => {
                for (place, column) in columns.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.put(column.name());
                    if column.unit() == Unit::Time {
                        out.put("_ns");
                    }
                }
                out.push(b'\n');
            }
            Self::Jsonl | Self::Nothing => {}
        }
    }

    pub(super) fn put(&mut self, end: &Ended<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Table { columns, widths, most } => {
                for (place, column) in columns.iter().enumerate() {
                    let start = out.len();
                    column.put_short(end, out);
                    let needed = String::from_utf8_lossy(&out[start..]).chars().count();
                    if needed > widths[place] {
                        // From now on, if there is room; else this line alone is out of order.
                        let wider = column::total(widths.iter().copied()) + needed - widths[place];
                        if most.is_none_or(|most| wider <= most) {
                            widths[place] = needed;
                        }
                    }
                    pad(out, start, widths[place], column.unit(), place + 1 == columns.len());
                }
                out.push(b'\n');
            }
            Self::Csv(columns) => {
                for (place, column) in columns.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    column.value(end).put_field(out);
                }
                out.push(b'\n');
            }
            Self::Jsonl => put_json(end, out),
            Self::Nothing => {}
        }
    }

    /// That ends were not told, where there is a form for it.
    pub(super) fn put_loss(&self, at: std::time::Duration, events: Option<u32>, out: &mut Vec<u8>) {
        if !matches!(self, Self::Jsonl) {
            return;
        }
        out.put("{\"lost\":{\"at\":");
        out.put_number(nanos(at));
        if let Some(events) = events {
            out.put(",\"events\":");
            out.put_number(u64::from(events));
        }
        out.put("}}\n");
    }
}

/// The object of the socket, and what an end has besides.
fn put_json(end: &Ended<'_>, out: &mut Vec<u8>) {
    json::put(&end.row, out);
    out.pop();
    out.put(",\"endedAt\":");
    out.put_number(nanos(end.at));
    if let Some(age) = end.age {
        let (key, time) = match age {
            Age::Exact(time) => (",\"duration\":", time),
            Age::AtLeast(time) => (",\"durationAtLeast\":", time),
        };
        out.put(key);
        out.put_number(nanos(time));
    }
    if let Some(holding) = end.holding {
        out.put(",\"process\":");
        out.extend_from_slice(&holding.json);
    }
    out.put(",\"reason\":\"");
    out.put(end.reason.as_str());
    out.put("\"}\n");
}

pub(super) fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Fills a cell that begins there up to its width; text to the left, numbers to the right.
fn pad(out: &mut Vec<u8>, start: usize, width: usize, unit: Unit, is_last: bool) {
    // Signs of more than one byte are few, and counted once.
    let shown = out[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    let missing = width.saturating_sub(shown);
    if unit == Unit::Text {
        if !is_last {
            out.resize(out.len() + missing + 2, b' ');
        }
        return;
    }
    if missing > 0 {
        let end = out.len();
        out.resize(end + missing, b' ');
        out.copy_within(start..end, start + missing);
        out[start..start + missing].fill(b' ');
    }
    if !is_last {
        out.put("  ");
    }
}
