//! Text from elsewhere, such as the names of programs, made harmless for a terminal.

use std::fmt::Write as _;

/// The text on one line that cannot steer a terminal: control characters, and those that change how
/// others are displayed, become escapes.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            '\n' => safe.push_str("\\n"),
            c if is_treacherous(c) && c.is_ascii() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c if is_treacherous(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Whether a terminal might act on the character or hide it instead of showing it.
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, zero-width characters, bidirectional marks, line separators.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        assert_eq!(line("\x1b[31mred\x07\x7f\0"), "\\x1b[31mred\\x07\\x7f\\x00");
        assert_eq!(line("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(line("a\r\nb\t\u{202e}c\u{200b}"), "a\\r\\nb\\t\\u{202e}c\\u{200b}");
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for text in ["nginx: worker", "Ελληνικά", "日本語", "naïve — “quoted”"] {
            assert_eq!(line(text), text);
        }
    }
}
