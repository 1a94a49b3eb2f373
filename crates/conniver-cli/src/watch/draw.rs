//! The picture that is made of what is known.

mod detail;
mod overlay;
mod style;
mod summary;
mod table;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
    text::Span,
};

pub(crate) use style::Style;

use super::state::{Mode, State};

/// Below this many lines the pane takes the place of the table.
const LEAST_FOR_BOTH: u16 = 18;

/// Draws everything.
pub(crate) fn draw(state: &mut State, style: Style, frame: &mut Frame<'_>) {
    let area = frame.area();
    let cursor = draw_into(state, style, area, frame.buffer_mut());
    if let Some(cursor) = cursor.filter(|cursor| area.contains(*cursor)) {
        frame.set_cursor_position(cursor);
    }
}

/// Draws everything, and says where the cursor is if something is typed.
pub(crate) fn draw_into(
    state: &mut State,
    style: Style,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    match state.mode() {
        Mode::Help { .. } => {
            overlay::help(state, style, area, buffer);
            return None;
        }
        Mode::Choice(_) => return overlay::choice(state, style, area, buffer),
        Mode::Table | Mode::Filter { .. } => {}
    }
    let (above, area) = cut(area, summary::height(state, area));
    summary::draw(state, style, above, buffer);
    let bottom = match area.height {
        0 | 1 if !matches!(state.mode(), Mode::Filter { .. }) => 0,
        _ => summary::bottom_height(state, area),
    };
    let (area, below) = cut(area, area.height.saturating_sub(bottom));
    let cursor = summary::draw_bottom(state, style, below, buffer);
    let (upper, lower) = match state.detail() {
        None => (area, None),
        Some(_) if area.height < LEAST_FOR_BOTH => {
            // The line of the one that is shown stays, and what stands above its columns.
            let (upper, lower) = cut(area, if area.height > 6 { 3 } else { 0 });
            (upper, Some(lower))
        }
        Some(_) => {
            let (upper, lower) = cut(area, area.height / 5 * 2 + area.height % 5 * 2 / 5);
            (upper, Some(lower))
        }
    };
    table::draw(state, style, upper, buffer);
    if let Some(lower) = lower {
        detail::draw(state, style, lower, buffer);
    }
    cursor
}

/// The upper lines, and the rest.
fn cut(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let upper = Rect { height, ..area };
    let lower = Rect { y: area.y + height, height: area.height - height, ..area };
    (upper, lower)
}

/// The line of an area, if there is one.
fn line(area: Rect, number: u16) -> Option<Rect> {
    (number < area.height).then(|| Rect { y: area.y + number, height: 1, ..area })
}

/// Writes text on a line from a place on, and says where it ends. What there is no room for is marked:
/// half a number looks like another one.
fn put(
    buffer: &mut Buffer,
    line: Rect,
    from: u16,
    text: &str,
    style: ratatui::style::Style,
) -> u16 {
    if from >= line.width {
        return from;
    }
    let width = usize::from(line.width - from);
    let is_cut = width_of(text) > width;
    let room = if is_cut { width - 1 } else { width };
    let (end, _) = buffer.set_stringn(line.x + from, line.y, text, room, style);
    let (end, _) = buffer.set_stringn(end, line.y, if is_cut { "…" } else { "" }, 1, style);
    end - line.x
}

/// How many places of a line the text takes.
fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}
