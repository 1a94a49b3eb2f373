//! What stands above and below the table: all connections in sum, and what is being typed.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{Style, detail::wrap, line, put, width_of};
use crate::{
    column::{Unit, Value},
    escape,
    process::Processes,
    text::Put as _,
    watch::state::{Mode, State, Totals},
};

/// How many lines the sum takes.
pub(super) fn height(state: &State, area: Rect) -> u16 {
    // While a filter is typed on a very small screen, nothing else matters.
    let is_typing = matches!(state.mode(), Mode::Filter { .. });
    match area.height {
        0..=1 if is_typing => 0,
        0..=5 => 1,
        _ => 2,
    }
}

pub(super) fn draw(state: &State, style: Style, area: Rect, buffer: &mut Buffer) {
    let totals = state.totals();
    if let Some(first) = line(area, 0) {
        let count = put(buffer, first, 0, &thousands(totals.count), style.strong());
        let word = if totals.count == 1 { " socket" } else { " sockets" };
        let mut end = put(buffer, first, count, word, style.plain());
        for (place, (state, count)) in totals.states.iter().enumerate() {
            let gap = if place == 0 { ":  " } else { "  " };
            let name = state.name().to_lowercase().replace('_', "-");
            let text = format!("{gap}{} {name}", thousands(*count));
            end = put(buffer, first, end, &text, style.plain());
        }
        if state.is_paused() {
            let word = " paused ";
            let from = area.width.saturating_sub(u16::try_from(word.len()).unwrap_or(0));
            put(buffer, first, from, word, style.sorted());
        }
    }
    if let Some(second) = line(area, 1) {
        put(buffer, second, 0, &rates(state, totals), style.plain());
    }
}

/// The most important first, since a small terminal shows no more.
fn rates(state: &State, totals: &Totals) -> String {
    let rate = |rate: Option<f64>| {
        text(|out| match rate {
            None => out.push(b'-'),
            Some(rate) => {
                Value::Number(rate.round() as u64).put_short(out, Unit::BytesPerSecond);
            }
        })
    };
    let retrans = match totals.retrans {
        None => "-".to_owned(),
        Some(rate) if rate < 100.0 && rate.fract() != 0.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    };
    let share =
        totals.retrans_share.map_or(String::new(), |share| format!(" {:.2}%", share * 100.0));
    let took = text(|out| out.put_time(totals.took));
    let own = totals.own_share.map_or(String::new(), |share| format!(" cpu {:.1}%", share * 100.0));
    let every = text(|out| out.put_exact_time(state.interval()));
    let (new, ended) = (thousands(totals.new), thousands(totals.ended));
    format!(
        "tx {} rx {} retrans {retrans}{share} +{new} -{ended} look {took}{own} every {every}",
        rate(totals.tx),
        rate(totals.rx)
    )
}

/// How many lines there are below the table.
pub(super) fn bottom_height(state: &State, area: Rect) -> u16 {
    match state.mode() {
        Mode::Filter { complaint: Some(complaint), .. } => {
            let said = wrap(&escape::line(complaint.words()), usize::from(area.width)).len();
            // The place, and what is expected there.
            let places = usize::from(complaint.place().is_some());
            u16::try_from(1 + places + said).unwrap_or(u16::MAX).min(area.height)
        }
        _ if area.height < LEAST_FOR_NOTICE => 1,
        _ => {
            let said = notice(state).map_or(0, |notice| notice.lines(area.width).len());
            u16::try_from(1 + said).unwrap_or(u16::MAX).min(area.height / 3)
        }
    }
}

/// Below this many lines what is to be said takes the place of what can be pressed, and no more.
const LEAST_FOR_NOTICE: u16 = 12;

/// Something that is to be said.
struct Notice {
    text: String,
    is_trouble: bool,
}

impl Notice {
    fn lines(&self, width: u16) -> Vec<String> {
        wrap(&self.text, usize::from(width))
    }

    fn look(&self, style: Style) -> ratatui::style::Style {
        if self.is_trouble { style.trouble() } else { style.notice() }
    }
}

/// Why there is nothing newer, or why not all programs are known.
fn notice(state: &State) -> Option<Notice> {
    if let Some(trouble) = state.trouble() {
        return Some(Notice { text: escape::line(trouble), is_trouble: true });
    }
    let text = state.processes().and_then(Processes::missed)?;
    Some(Notice { text, is_trouble: false })
}

/// What is typed or said, and where the cursor is.
pub(super) fn draw_bottom(
    state: &State,
    style: Style,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let first = line(area, 0)?;
    let Mode::Filter { line: typed, complaint } = state.mode() else {
        let mut notice = notice(state);
        let last = area.height - 1;
        if last > 0
            && let Some(notice) = notice.take()
        {
            let lines = (0..last).filter_map(|number| line(area, number));
            for (line, said) in lines.zip(notice.lines(area.width)) {
                put(buffer, line, 0, &said, notice.look(style));
            }
        }
        let first = line(area, last)?;
        let sorted = sort(state);
        let sorted_width = u16::try_from(width_of(&sorted)).unwrap_or(u16::MAX);
        // What stands at the right end is left out where there is no room for both.
        let (said, at) = match first.width.checked_sub(sorted_width + 1) {
            Some(room) if room > sorted_width => (Rect { width: room, ..first }, Some(room + 1)),
            _ => (first, None),
        };
        let is_filtered = !state.filter().trim().is_empty();
        match notice {
            Some(notice) if notice.is_trouble || !is_filtered => {
                put(buffer, said, 0, &notice.text, notice.look(style));
            }
            _ if is_filtered => {
                let end = put(buffer, said, 0, PROMPT, style.notice());
                put(buffer, said, end, &escape::line(state.filter()), style.plain());
            }
            _ => {
                put(buffer, said, 0, HINT, style.faint());
            }
        }
        if let Some(at) = at {
            put(buffer, first, at, &sorted, style.faint());
        }
        return None;
    };
    let start = put(buffer, first, 0, PROMPT, style.strong());
    let text: Vec<char> = typed.text().chars().collect();
    // Of a line that is too long, what lies before the cursor is shown.
    let room = usize::from(first.width.saturating_sub(start)).max(1);
    let skipped = (typed.cursor() + 1).saturating_sub(room);
    let shown: String = text.iter().skip(skipped).collect();
    put(buffer, first, start, &shown, style.plain());
    let before: String = text.iter().take(typed.cursor()).skip(skipped).collect();
    let cursor = start + u16::try_from(width_of(&before)).unwrap_or(u16::MAX - start);
    if let Some(complaint) = complaint {
        let said = wrap(&escape::line(complaint.words()), usize::from(area.width));
        let mut lines = (1..area.height).filter_map(|number| line(area, number));
        if let Some(place) = complaint.place()
            && usize::from(area.height) > said.len() + 1
            && let Some(line) = lines.next()
        {
            let marked = typed.text().get(place).map_or(1, |text| text.chars().count().max(1));
            let mark = "^".repeat(marked.min(room));
            put(buffer, line, cursor, &mark, style.trouble());
        }
        for (line, said) in lines.zip(&said) {
            put(buffer, line, 0, said, style.trouble());
        }
    }
    Some(Position { x: first.x + cursor.min(first.width - 1), y: first.y })
}

/// By what connections are sorted, which may not be among the columns.
fn sort(state: &State) -> String {
    let sort = state.sort();
    let direction = if sort.is_descending { '▼' } else { '▲' };
    format!("by {}{direction}", sort.field.name())
}

const PROMPT: &str = "filter: ";

const HINT: &str = "? help  / filter  s sort  c columns  p programs  Enter details  q quit";

fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    put(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// With a thin gap between thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
