//! Lines of columns.
//!
//! A terminal gets as many of the usual columns as fit, each as wide as its widest cell; of columns that
//! were asked for by name all, where names of programs are cut before a line is broken. Elsewhere all
//! are shown whole, and when there are very many sockets the first thousands decide how wide the
//! columns are, so that the rest can be written as it comes.

use std::{borrow::Cow, io::Write as _};

use anstyle::{AnsiColor, Style};

use crate::{
    column::{Column, Row, Unit},
    text::Word,
};

/// Between two columns.
const GAP: usize = 2;

/// How a table is written.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    /// Whether columns may be left out for want of space: not those that were asked for by name.
    pub(crate) may_omit: bool,
    pub(crate) width: Option<usize>,
    pub(crate) has_header: bool,
    pub(crate) has_color: bool,
}

impl Table {
    /// What is known of columns without a socket.
    pub(crate) fn least_extents(&self) -> Vec<Extent> {
        let width =
            |column: &Column| if self.has_header { column.heading.chars().count() } else { 0 };
        let extent = |column| Extent { width: width(column), is_filled: false };
        self.columns.iter().map(extent).collect()
    }

    /// Appends the cells of a socket, each behind its length in bytes, and notes how wide they are.
    #[inline]
    pub(crate) fn put_cells(&self, row: &Row<'_>, out: &mut Vec<u8>, extents: &mut [Extent]) {
        for (column, extent) in self.columns.iter().zip(extents) {
            let start = out.len();
            out.extend_from_slice(&[0; 2]);
            (column.value)(row).put_short(out, column.unit);
            let len = u16::try_from(out.len() - start - 2).unwrap_or_else(|_| {
                out.truncate(start + 2 + usize::from(u16::MAX));
                u16::MAX
            });
            out[start..start + 2].copy_from_slice(&len.to_ne_bytes());
            let cell = &out[start + 2..];
            extent.width = extent.width.max(shown_width(cell));
            extent.is_filled |= cell != b"-";
        }
    }

    /// Cells as they were put, as a line.
    pub(crate) fn put_line(&self, cells: &[u8], layout: &Layout, out: &mut Vec<u8>) {
        let mut rest = cells;
        let mut line = Line::default();
        for (column, width) in self.columns.iter().zip(&layout.widths) {
            let Some((len, behind)) = rest.split_first_chunk() else { break };
            let len = usize::from(u16::from_ne_bytes(*len));
            let (cell, behind) = behind.split_at_checked(len).unwrap_or((behind, &[]));
            rest = behind;
            let Some(width) = width else { continue };
            let cell = self.fit(column, cell, *width);
            if self.has_color {
                let style = style(column, &cell);
                line.put_styled(&cell, *width, column.unit, style, out);
            } else {
                line.put(&cell, *width, column.unit, out);
            }
        }
        out.push(b'\n');
    }

    /// A socket as a line at once, when it is known how wide columns are.
    #[inline]
    pub(crate) fn put(&self, row: &Row<'_>, layout: &Layout, out: &mut Vec<u8>) {
        let mut owed = 0;
        for (column, width) in self.columns.iter().zip(&layout.widths) {
            let Some(width) = width else { continue };
            let value = (column.value)(row);
            if column.unit != Unit::Text {
                let mut word = Word::default();
                if value.put_if_short(&mut word, column.unit) && word.is_whole() {
                    put_spaces(owed + width.saturating_sub(word.width()), out);
                    word.append_to(out);
                    owed = GAP;
                    continue;
                }
            }
            put_spaces(owed, out);
            let start = out.len();
            value.put_short(out, column.unit);
            if let Cow::Owned(cut) = self.fit(column, &out[start..], *width) {
                out.truncate(start);
                out.extend_from_slice(&cut);
            }
            let padding = width.saturating_sub(shown_width(&out[start..]));
            owed = GAP;
            if column.unit == Unit::Text {
                owed += padding;
            } else if padding > 0 {
                let end = out.len();
                put_spaces(padding, out);
                out.copy_within(start..end, start + padding);
                out[start..start + padding].fill(b' ');
            }
        }
        out.push(b'\n');
    }

    /// A cell as it fits its column: on a terminal, where names of programs are cut.
    #[inline]
    fn fit<'a>(&self, column: &Column, cell: &'a [u8], width: usize) -> Cow<'a, [u8]> {
        if self.width.is_none() || !is_free(column) || shown_width(cell) <= width {
            return Cow::Borrowed(cell);
        }
        let mut cut = Vec::with_capacity(width + 2);
        let mut used = 0;
        for c in cell.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
            used += char_width(c);
            if used >= width {
                break;
            }
            cut.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        cut.extend_from_slice("…".as_bytes());
        Cow::Owned(cut)
    }

    /// The least that is left of a column whose cells are cut.
    fn least_width(&self, column: &Column) -> usize {
        let heading = if self.has_header { column.heading.chars().count() } else { 0 };
        heading.max(LEAST_CUT)
    }

    /// The names of the columns.
    pub(crate) fn put_header(&self, layout: &Layout, out: &mut Vec<u8>) {
        if !self.has_header {
            return;
        }
        let mut line = Line::default();
        for (column, width) in self.columns.iter().zip(&layout.widths) {
            let Some(width) = width else { continue };
            let heading = column.heading.as_bytes();
            if self.has_color {
                line.put_styled(heading, *width, column.unit, Style::new().bold(), out);
            } else {
                line.put(heading, *width, column.unit, out);
            }
        }
        out.push(b'\n');
    }

    /// Which columns are shown: on a terminal as many as fit of those that have something to show.
    pub(crate) fn layout(&self, extents: &[Extent]) -> Layout {
        let mut widths: Vec<_> = extents.iter().map(|extent| extent.width).collect();
        let all = |widths: Vec<_>| Layout { widths: widths.into_iter().map(Some).collect() };
        let Some(most) = self.width else { return all(widths) };
        if !self.may_omit {
            let whole: usize = extents.iter().map(|extent| extent.width + GAP).sum();
            let mut excess = whole.saturating_sub(GAP + most);
            let free = self.columns.iter().zip(&mut widths).rev();
            for (column, width) in free.filter(|(column, _)| is_free(column)) {
                let cut = excess.min(width.saturating_sub(self.least_width(column)));
                *width -= cut;
                excess -= cut;
            }
            return all(widths);
        }
        let mut used = 0;
        let shown = |(place, extent): (usize, &Extent)| {
            if place < LEAST_COLUMNS {
                used += extent.width + GAP;
                return Some(extent.width);
            }
            if !extent.is_filled {
                return None;
            }
            let left = most.saturating_sub(used);
            used += extent.width + GAP;
            let is_cut = self.columns.get(place).is_some_and(|column| {
                is_free(column) && (self.least_width(column)..extent.width).contains(&left)
            });
            if is_cut { Some(left) } else { Some(extent.width).filter(|width| *width <= left) }
        };
        Layout { widths: extents.iter().enumerate().map(shown).collect() }
    }
}

/// What a column takes, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) width: usize,
    /// Something is known in it of some socket.
    pub(crate) is_filled: bool,
}

/// Without state and addresses a socket cannot be told from others.
const LEAST_COLUMNS: usize = 3;

/// Of names that are cut, at least so much is left.
const LEAST_CUT: usize = 8;

/// Whether it holds names of programs, of which there is no end.
fn is_free(column: &Column) -> bool {
    column.needs_holders && column.unit == Unit::Text
}

/// How wide the columns are that are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    widths: Vec<Option<usize>>,
}

/// A line that grows.
#[derive(Default)]
struct Line {
    /// Spaces that come before the next cell, if there is one.
    owed: usize,
}

impl Line {
    #[inline]
    fn put(&mut self, cell: &[u8], width: usize, unit: Unit, out: &mut Vec<u8>) {
        self.put_padding(cell, width, unit, out);
        out.extend_from_slice(cell);
    }

    fn put_styled(
        &mut self,
        cell: &[u8],
        width: usize,
        unit: Unit,
        style: Style,
        out: &mut Vec<u8>,
    ) {
        self.put_padding(cell, width, unit, out);
        let _ = write!(out, "{style}");
        out.extend_from_slice(cell);
        let _ = write!(out, "{style:#}");
    }

    /// What comes before the cell, the rest of what came behind the last included.
    #[inline]
    fn put_padding(&mut self, cell: &[u8], width: usize, unit: Unit, out: &mut Vec<u8>) {
        let padding = width.saturating_sub(shown_width(cell));
        let before = if unit == Unit::Text { 0 } else { padding };
        put_spaces(self.owed + before, out);
        self.owed = GAP + padding - before;
    }
}

#[inline]
fn put_spaces(count: usize, out: &mut Vec<u8>) {
    const SPACES: [u8; 32] = [b' '; 32];
    let end = out.len() + count;
    if count <= SPACES.len() {
        // A copy of known length is two instructions, one of another length is a call.
        out.extend_from_slice(&SPACES);
        out.truncate(end);
    } else {
        out.resize(end, b' ');
    }
}

/// What is noticed first: that something is not as it mostly is.
fn style(column: &Column, cell: &[u8]) -> Style {
    match (column.name, cell) {
        (_, b"-") => Style::new().dimmed(),
        ("state", b"ESTABLISHED") => AnsiColor::Green.on_default(),
        ("state", b"LISTEN") => AnsiColor::Cyan.on_default(),
        ("state", _) => AnsiColor::Yellow.on_default(),
        ("total_retrans" | "lost" | "retransmits", cell) if cell != b"0" => {
            AnsiColor::Red.on_default()
        }
        _ => Style::new(),
    }
}

/// How many places of a terminal's line the text takes.
#[inline]
fn shown_width(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).map(char_width).sum()
}

/// Two for the characters of East Asia that are as wide as high, none for those that are put on others.
fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x1ab0..=0x1aff | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::find;

    fn table(names: &[&str], may_omit: bool, width: Option<usize>) -> Table {
        let columns = names.iter().map(|name| *find(name).unwrap()).collect();
        Table { columns, may_omit, width, has_header: true, has_color: false }
    }

    fn cells(texts: &[&str]) -> Vec<u8> {
        let mut cells = Vec::new();
        for text in texts {
            cells.extend_from_slice(&u16::try_from(text.len()).unwrap().to_ne_bytes());
            cells.extend_from_slice(text.as_bytes());
        }
        cells
    }

    #[test]
    fn numbers_stand_to_the_right_and_text_to_the_left() {
        let table = table(&["state", "rtt", "command"], true, None);
        let layout = table.layout(&extents(&[6, 5, 4]));
        let mut out = Vec::new();
        table.put_header(&layout, &mut out);
        table.put_line(&cells(&["LISTEN", "-", "日本"]), &layout, &mut out);
        table.put_line(&cells(&["X", "412µs", "a"]), &layout, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "STATE     RTT  COMMAND\nLISTEN      -  日本\nX       412µs  a\n");
    }

    fn extents(widths: &[usize]) -> Vec<Extent> {
        widths.iter().map(|width| Extent { width: *width, is_filled: true }).collect()
    }

    #[test]
    fn as_many_columns_as_fit_are_shown() {
        let extents = extents(&[11, 21, 21, 7, 5]);
        let names = ["state", "local", "remote", "rtt", "total_retrans"];
        let shown = |may_omit, width| {
            table(&names, may_omit, width).layout(&extents).widths.into_iter().flatten().count()
        };
        assert_eq!(shown(true, None), 5);
        assert_eq!(shown(true, Some(73)), 5);
        assert_eq!(shown(true, Some(72)), 4);
        assert_eq!(shown(true, Some(66)), 4);
        assert_eq!(shown(true, Some(65)), 3);
        assert_eq!(shown(true, Some(1)), 3);
        assert_eq!(shown(false, Some(1)), 5);
    }

    #[test]
    fn names_of_programs_are_cut_before_a_line_is_broken() {
        let names = ["state", "process", "local", "command"];
        let extents = extents(&[6, 30, 14, 20]);
        let widths = |may_omit, width| {
            let layout = table(&names, may_omit, width).layout(&extents);
            layout.widths.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
        };
        assert_eq!(widths(false, None), [6, 30, 14, 20]);
        assert_eq!(widths(false, Some(76)), [6, 30, 14, 20]);
        assert_eq!(widths(false, Some(75)), [6, 30, 14, 19], "the last first");
        assert_eq!(widths(false, Some(64)), [6, 30, 14, 8]);
        assert_eq!(widths(false, Some(60)), [6, 26, 14, 8]);
        assert_eq!(widths(false, Some(20)), [6, 8, 14, 8], "all are shown");
        assert_eq!(widths(true, Some(65)), [6, 30, 14, 9]);
        assert_eq!(widths(true, Some(63)), [6, 30, 14, 0], "as few say nothing");

        let mut table = table(&["command", "state"], false, Some(20));
        table.has_header = false;
        let layout = Layout { widths: vec![Some(8), Some(6)] };
        let mut out = Vec::new();
        for name in ["12345678", "123456789", "日本日本日", "é23456789"] {
            table.put_line(&cells(&[name, "a long word"]), &layout, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "12345678  a long word\n1234567…  a long word\n日本日…   a long word\n\
             é234567…  a long word\n"
        );
        table.width = None;
        let mut out = Vec::new();
        table.put_line(&cells(&["123456789", "X"]), &layout, &mut out);
        assert_eq!(out, b"123456789  X\n", "elsewhere nothing is cut");
    }

    #[test]
    fn a_terminal_is_spared_columns_in_which_nothing_is_known() {
        let mut extents = extents(&[6, 14, 6, 3, 7]);
        extents[3].is_filled = false;
        let names = ["state", "local", "remote", "rtt", "total_retrans"];
        let layout = |may_omit, width| table(&names, may_omit, width).layout(&extents).widths;
        assert_eq!(layout(true, Some(80))[3], None);
        assert_eq!(layout(true, Some(80))[4], Some(7));
        assert_eq!(layout(false, Some(80))[3], Some(3));
        assert_eq!(layout(true, None)[3], Some(3));
    }
}
