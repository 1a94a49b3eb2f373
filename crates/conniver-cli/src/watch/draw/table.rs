//! The lines of the table that are visible.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Style, cut, line, put, width_of};
use crate::watch::{
    field::Field,
    state::{Shown, State},
};

/// In front of each line: whether it is new, over or selected.
const MARGIN: u16 = 1;

/// Below this width columns stand closer.
const NARROW: u16 = 100;

pub(super) fn draw(state: &mut State, style: Style, area: Rect, buffer: &mut Buffer) {
    let (heading, area) = cut(area, 1);
    let page = usize::from(area.height);
    scroll(state, page);
    let cells = Visible::of(state, page);
    let mut widths = std::mem::take(&mut state.scroll.widths);
    cells.widen(state, &mut widths);
    let places = places(state, &widths, area.width);
    state.scroll.widths = widths;
    if let Some(line) = line(heading, 0) {
        buffer.set_style(line, style.heading());
        for place in &places {
            let Some(field) = state.fields().get(place.field) else { continue };
            let look = if *field == state.sort().field { style.sorted() } else { style.heading() };
            place.put(buffer, line, heading_of(state, field).as_str(), field, look);
        }
    }
    if state.len() == 0
        && state.is_complete()
        && let Some(line) = line(area, area.height.min(2).saturating_sub(1))
    {
        let why = match state.filter().trim() {
            "" => "no sockets of this kind",
            _ => "no socket matches the filter",
        };
        put(buffer, line, MARGIN, why, style.faint());
    }
    for (number, row) in (0..area.height).zip(&cells.rows) {
        let Some(line) = line(area, number) else { break };
        draw_row(state, style, line, buffer, row, &places);
    }
}

fn draw_row(
    state: &State,
    style: Style,
    line: Rect,
    buffer: &mut Buffer,
    row: &VisibleRow,
    places: &[Place],
) {
    let mark = match row {
        VisibleRow { has_ended: true, .. } => "-",
        VisibleRow { is_selected: true, .. } => ">",
        VisibleRow { is_new: true, .. } => "+",
        _ => " ",
    };
    put(buffer, line, 0, mark, style.strong());
    for place in places {
        let (Some(field), Some(cell)) =
            (state.fields().get(place.field), row.cells.get(place.field))
        else {
            continue;
        };
        let look = match row.has_ended {
            true => style.faint(),
            false => style.cell(field, cell.as_bytes()),
        };
        place.put(buffer, line, cell, field, look);
    }
    if row.is_selected {
        buffer.set_style(line, style.selected());
    }
}

/// Makes the selected line visible.
fn scroll(state: &mut State, page: usize) {
    let last_top = state.len().saturating_sub(page);
    let mut top = state.scroll.top.min(last_top);
    match state.selected_place() {
        Some(place) if place < top => top = place,
        Some(place) if page > 0 && place >= top + page => top = place + 1 - page,
        _ => {}
    }
    state.scroll.top = top;
    state.scroll.page = page;
}

/// The text of all cells of the lines that are visible.
struct Visible {
    rows: Vec<VisibleRow>,
}

struct VisibleRow {
    cells: Vec<String>,
    is_selected: bool,
    has_ended: bool,
    is_new: bool,
}

impl Visible {
    fn of(state: &State, page: usize) -> Self {
        let top = state.scroll.top;
        let places = top..state.len().min(top.saturating_add(page));
        let mut out = Vec::new();
        let row = |place: usize| {
            let shown = state.shown(place)?;
            let Shown { connection, has_ended } = shown;
            let made_of = state.cells(shown);
            let cell = |field: &Field| {
                if has_ended && field.name() == "state" {
                    return state.word_of_end().to_owned();
                }
                out.clear();
                field.put_short(&made_of, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            };
            Some(VisibleRow {
                cells: state.fields().iter().map(cell).collect(),
                is_selected: state.selected_place() == Some(place),
                has_ended,
                is_new: connection.is_new(),
            })
        };
        Self { rows: places.filter_map(row).collect() }
    }

    /// Makes columns as wide as their headings and widest cells.
    fn widen(&self, state: &State, widths: &mut Vec<usize>) {
        widths.resize(state.fields().len(), 0);
        for (place, (field, width)) in state.fields().iter().zip(widths).enumerate() {
            let heading = width_of(&heading_of(state, field));
            let cells = self.rows.iter().filter_map(|row| row.cells.get(place));
            let widest = cells.map(|cell| width_of(cell)).max().unwrap_or_default();
            *width = (*width).max(heading).max(widest);
        }
    }
}

/// Where a column stands.
struct Place {
    field: usize,
    from: u16,
    width: u16,
}

impl Place {
    fn put(
        &self,
        buffer: &mut Buffer,
        line: Rect,
        text: &str,
        field: &Field,
        style: ratatui::style::Style,
    ) {
        let column = Rect {
            x: line.x + self.from,
            width: self.width.min(line.width.saturating_sub(self.from)),
            ..line
        };
        let len = u16::try_from(width_of(text)).unwrap_or(u16::MAX);
        let indent = if field.is_text() { 0 } else { self.width.saturating_sub(len) };
        put(buffer, column, indent, text, style);
    }
}

/// Which columns are visible: what says which connection it is, and the others from where they are
/// scrolled to.
fn places(state: &State, widths: &[usize], width: u16) -> Vec<Place> {
    let gap = if width < NARROW { 1 } else { 2 };
    let is_fixed = |field: &&Field| ["state", "local", "remote"].contains(&field.name());
    let fixed = state.fields().iter().take_while(is_fixed).count();
    let fixed_width: usize = widths.iter().take(fixed).map(|width| width + usize::from(gap)).sum();
    // They must leave room for others.
    let fixed = if fixed_width > usize::from(width) * 7 / 8 { 0 } else { fixed };
    let mut places = Vec::new();
    let mut from = MARGIN;
    for (field, wide) in widths.iter().enumerate() {
        if field >= fixed && field < fixed + state.scroll.left {
            continue;
        }
        if from >= width {
            break;
        }
        let wide = u16::try_from(*wide).unwrap_or(u16::MAX);
        let is_cut = from.saturating_add(wide) > width;
        let is_text = state.fields().get(field).is_some_and(Field::is_text);
        // Half a number is a wrong one.
        if is_cut && !is_text && !places.is_empty() {
            break;
        }
        places.push(Place { field, from, width: wide });
        from = from.saturating_add(wide).saturating_add(gap);
    }
    places
}

/// With the direction if it is sorted by.
fn heading_of(state: &State, field: &Field) -> String {
    let sort = state.sort();
    match (sort.field == *field, sort.is_descending) {
        (false, _) => field.heading().to_owned(),
        (true, true) => format!("{}▼", field.heading()),
        (true, false) => format!("{}▲", field.heading()),
    }
}
