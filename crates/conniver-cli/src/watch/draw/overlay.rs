//! What takes the place of everything else: the keys, and fields to choose from.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{Style, cut, detail::wrap, line, put};
use crate::watch::state::{HELP, Mode, Purpose, State};

/// The keys and what they do.
pub(super) fn help(state: &mut State, style: Style, area: Rect, buffer: &mut Buffer) {
    let (title, area) = cut(area, 1);
    if let Some(line) = line(title, 0) {
        buffer.set_style(line, style.heading());
        put(buffer, line, 0, " Keys  (any other key: back)", style.sorted());
    }
    let width = usize::from(area.width);
    let names = HELP.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, meaning) in HELP {
        put_meaning(&mut lines, width, names, name, meaning);
    }
    lines.push((String::new(), String::new()));
    for (name, meaning) in MARKS {
        put_meaning(&mut lines, width, names, name, meaning);
    }
    let page = usize::from(area.height);
    state.scroll.page = page;
    let last = lines.len().saturating_sub(page);
    let Mode::Help { scroll } = state.mode_mut() else { return };
    *scroll = (*scroll).min(last);
    for (number, (name, meaning)) in (0..area.height).zip(lines.iter().skip(*scroll)) {
        let Some(line) = line(area, number) else { break };
        let end = put(buffer, line, 0, name, style.strong());
        put(buffer, line, end, meaning, style.plain());
    }
}

/// Beside the name or, where that is too narrow, below it.
fn put_meaning(
    lines: &mut Vec<(String, String)>,
    width: usize,
    names: usize,
    name: &str,
    meaning: &str,
) {
    let beside = names + 3;
    let is_beside = width >= names + LEAST_MEANING;
    let indent = if is_beside { beside } else { 3 };
    let mut parts = wrap(meaning, width.saturating_sub(indent).max(1)).into_iter();
    if is_beside {
        let first = parts.next().unwrap_or_default();
        lines.push((format!(" {name:names$}  "), first));
    } else {
        lines.push((format!(" {name}"), String::new()));
    }
    lines.extend(parts.map(|part| (" ".repeat(indent), part)));
}

const LEAST_MEANING: usize = 40;

/// What stands in front of lines.
const MARKS: &[(&str, &str)] = &[
    (">", "the selected connection"),
    ("+", "a connection that the last look did not show"),
    ("-", "one that has ended since, or does not match the filter any more"),
    ("TX/S RX/S", "bytes acknowledged and received a second, since the last look"),
];

/// Fields to choose from.
pub(super) fn choice(
    state: &mut State,
    style: Style,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Position> {
    let Mode::Choice(choice) = state.mode() else { return None };
    let (title, area) = cut(area, 1);
    let (prompt, area) = cut(area, u16::from(area.height > 1));
    let said = match choice.purpose {
        Purpose::Columns => " Columns  (Space: show or hide, Enter: back)",
        Purpose::Sort => " Sort by  (Enter: this one, Esc: back)",
    };
    if let Some(line) = line(title, 0) {
        buffer.set_style(line, style.heading());
        put(buffer, line, 0, said, style.sorted());
    }
    let cursor = line(prompt, 0).map(|line| {
        let text = choice.search.text();
        let start = put(buffer, line, 0, " name: ", style.strong());
        put(buffer, line, start, &text, style.plain());
        let before = u16::try_from(choice.search.cursor()).unwrap_or(u16::MAX);
        Position { x: line.x.saturating_add(start).saturating_add(before), y: line.y }
    });
    let fields = choice.fields();
    let page = usize::from(area.height);
    let top = (choice.cursor + 1).saturating_sub(page);
    for (number, (place, field)) in (0..area.height).zip(fields.iter().enumerate().skip(top)) {
        let Some(line) = line(area, number) else { break };
        let is_shown = match choice.purpose {
            Purpose::Columns => state.fields().contains(field),
            Purpose::Sort => state.sort().field == *field,
        };
        let mark = if is_shown { "x" } else { " " };
        let name = format!(" [{mark}] {:25} ", field.name());
        let end = put(buffer, line, 0, &name, style.plain());
        put(buffer, line, end, field.meaning(), style.faint());
        if place == choice.cursor {
            buffer.set_style(line, style.selected());
        }
    }
    state.scroll.page = page;
    cursor
}
