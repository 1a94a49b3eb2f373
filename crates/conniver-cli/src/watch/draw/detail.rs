//! Everything about the selected connection.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    widgets::{Sparkline, SparklineBar, Widget as _},
};

use super::{Style, cut, line, put};
use crate::{
    column::{Unit, Value},
    text::{Put as _, PutText as _},
    watch::{
        field::Field,
        history::{Point, RATE_SCALE},
        state::State,
    },
};

pub(super) fn draw(state: &mut State, style: Style, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (title, area) = cut(area, 1);
    draw_title(state, style, title, buffer);
    let graphs = match (area.height, area.width) {
        (0..=4, _) => 0,
        (5..=8, _) | (_, 0..=39) => 1,
        (_, 0..=99) => 4,
        _ => 2,
    };
    let (upper, area) = cut(area, graphs);
    draw_graphs(state, style, upper, buffer);
    let lines = lines(state, usize::from(area.width));
    let page = usize::from(area.height);
    let last = lines.len().saturating_sub(page);
    let scroll = match state.detail_mut() {
        Some(detail) => {
            detail.scroll = detail.scroll.min(last);
            detail.scroll
        }
        None => 0,
    };
    for (number, entry) in (0..area.height).zip(lines.iter().skip(scroll)) {
        let Some(line) = line(area, number) else { break };
        let end = put(buffer, line, 0, &entry.name, style.strong());
        let end = put(
            buffer,
            line,
            end,
            &entry.value,
            match entry.value.trim() {
                "-" => style.faint(),
                _ => style.plain(),
            },
        );
        put(buffer, line, end, &entry.meaning, style.faint());
    }
}

/// Which connection it is.
fn draw_title(state: &State, style: Style, area: Rect, buffer: &mut Buffer) {
    let Some(line) = line(area, 0) else { return };
    buffer.set_style(line, style.heading());
    let Some(shown) = state.selected() else { return };
    let (local, remote) = shown.connection.ends();
    let over = if shown.has_ended { format!("  {}", state.word_of_end()) } else { String::new() };
    let hint = match state.detail().is_some_and(|detail| detail.has_focus) {
        true => "  (the arrows move here; Tab: the table)",
        false => "  (Tab: move here)",
    };
    let end = put(buffer, line, 0, &format!(" {local} → {remote}{over}"), style.sorted());
    put(buffer, line, end, hint, style.heading());
}

/// The course of what changes most.
fn draw_graphs(state: &State, style: Style, area: Rect, buffer: &mut Buffer) {
    type Get = fn(&Point) -> Option<u32>;
    type PutNumber<'a> = &'a dyn Fn(u32, &mut Vec<u8>);
    let rate = |number: u32, out: &mut Vec<u8>| {
        let rate = f64::from(number) * RATE_SCALE;
        Value::Number(rate as u64).put_short(out, Unit::BytesPerSecond);
    };
    let graphs: [(&str, Get, PutNumber<'_>); 4] = [
        ("RTT", |point| point.rtt, &|micros, out| {
            out.put_time(std::time::Duration::from_micros(u64::from(micros)));
        }),
        ("CWND", |point| point.cwnd, &|number, out| out.put_number(u64::from(number))),
        ("TX/S", |point| point.tx, &rate),
        ("RX/S", |point| point.rx, &rate),
    ];
    let columns: u16 = if area.height >= 4 { 1 } else { 2 };
    let width = area.width / columns;
    for (place, (name, get, put_number)) in (0..).zip(graphs) {
        let Some(line) = line(area, place / columns) else { break };
        let area = Rect { x: line.x + place % columns * width, width, ..line };
        let points: Vec<Option<u32>> = state.history().map(get).collect();
        let shown = |number: Option<u32>| {
            let mut out = Vec::new();
            match number {
                Some(number) => put_number(number, &mut out),
                None => out.push(b'-'),
            }
            String::from_utf8_lossy(&out).into_owned()
        };
        let now = shown(points.last().copied().flatten());
        let most = points.iter().flatten().max().copied();
        let end = put(buffer, area, 0, &format!("{name:>4} "), style.strong());
        put(buffer, area, end, &format!("{now:<9}"), style.plain());
        let most = format!(" ≤{}", shown(most));
        let label = GRAPH_START + MOST_WIDTH;
        if area.width <= label + 3 {
            continue;
        }
        let graph = Rect { x: area.x + GRAPH_START, width: area.width - label, ..area };
        draw_graph(&points, style, graph, buffer);
        put(buffer, area, area.width - MOST_WIDTH, &most, style.faint());
    }
}

/// Where the course begins, behind its name and what it is now.
const GRAPH_START: u16 = 14;

/// What the largest is, behind the course.
const MOST_WIDTH: u16 = 11;

/// The last looks, the newest at the right end.
fn draw_graph(points: &[Option<u32>], style: Style, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.width);
    let visible = points.get(points.len().saturating_sub(room)..).unwrap_or_default();
    let blank = u16::try_from(room - visible.len()).unwrap_or(0);
    let area = Rect { x: area.x + blank, width: area.width - blank, ..area };
    let most = points.iter().flatten().max().copied().unwrap_or(0).max(1);
    // What is little is not to be taken for nothing.
    let least = most.div_ceil(8);
    let height = |number: u32| u64::from(if number == 0 { 0 } else { number.max(least) });
    let bars = visible.iter().map(|point| SparklineBar::from(point.map(height)));
    Sparkline::default()
        .data(bars)
        .max(u64::from(most))
        .absent_value_symbol(" ")
        .style(style.course())
        .render(area, buffer);
}

/// One line of a field: the rest of a long meaning has neither name nor value.
struct Entry {
    name: String,
    value: String,
    meaning: String,
}

/// Every field with value, unit and meaning.
fn lines(state: &State, width: usize) -> Vec<Entry> {
    let Some(shown) = state.selected() else { return Vec::new() };
    let cells = state.cells(shown);
    let mut lines = Vec::new();
    let mut out = Vec::new();
    for field in Field::all() {
        out.clear();
        field.put_exact(&cells, &mut out);
        let mut value = String::from_utf8_lossy(&out).into_owned();
        if value != "-" && !field.unit().is_empty() {
            value = format!("{value} {}", field.unit());
        }
        put_lines(&mut lines, width, field.name(), value, field.meaning());
    }
    for unknown in shown.connection.entry().unknown_attributes() {
        out.clear();
        out.put_bytes(unknown.payload);
        let value = String::from_utf8_lossy(&out).into_owned();
        let name = format!("attribute_{}", unknown.number);
        put_lines(&mut lines, width, &name, value, "Something that this version does not know");
    }
    lines
}

fn put_lines(lines: &mut Vec<Entry>, width: usize, name: &str, value: String, meaning: &str) {
    let name = format!("{name:<NAME_WIDTH$} ");
    let rest = width.saturating_sub(NAME_WIDTH + 1);
    if rest < VALUE_WIDTH + LEAST_MEANING {
        // Too narrow for both side by side.
        lines.push(Entry { name, value, meaning: String::new() });
        for part in wrap(meaning, width.saturating_sub(2).max(1)) {
            let meaning = format!("  {part}");
            lines.push(Entry { name: String::new(), value: String::new(), meaning });
        }
        return;
    }
    let value = format!("{value:<VALUE_WIDTH$} ");
    let room = rest.saturating_sub(value.chars().count()).max(LEAST_MEANING);
    let mut parts = wrap(meaning, room).into_iter();
    let indent = width.saturating_sub(room);
    lines.push(Entry { name, value, meaning: parts.next().unwrap_or_default() });
    for part in parts {
        let meaning = format!("{:indent$}{part}", "");
        lines.push(Entry { name: String::new(), value: String::new(), meaning });
    }
}

const NAME_WIDTH: usize = 25;
const VALUE_WIDTH: usize = 15;
const LEAST_MEANING: usize = 24;

/// Breaks text into lines at spaces.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
