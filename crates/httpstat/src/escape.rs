//! Text from the network, made harmless for a terminal.

use std::fmt::Write as _;

/// The bytes as one line of text that cannot steer a terminal.
///
/// Printable UTF-8 stays as it is. Control characters, invalid bytes and characters that change how
/// others are displayed become escapes; a tab becomes `\t`.
pub(crate) fn bytes(input: &[u8]) -> String {
    decode(input, push)
}

/// The same for text that is already known to be UTF-8.
pub(crate) fn text(input: &str) -> String {
    let mut safe = String::with_capacity(input.len());
    push(&mut safe, input);
    safe
}

/// Valid UTF-8 unchanged, invalid bytes as `\xNN`: for JSON, whose own escapes do the rest.
pub(crate) fn invalid_only(input: &[u8]) -> String {
    decode(input, String::push_str)
}

/// Whether a terminal might act on the character or hide it instead of showing it.
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, zero-width characters, bidirectional marks, line separators.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn decode(input: &[u8], push_valid: fn(&mut String, &str)) -> String {
    let mut decoded = String::with_capacity(input.len());
    for chunk in input.utf8_chunks() {
        push_valid(&mut decoded, chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(decoded, "\\x{byte:02x}");
        }
    }
    decoded
}

fn push(safe: &mut String, input: &str) {
    for c in input.chars() {
        match c {
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            '\n' => safe.push_str("\\n"),
            c if is_treacherous(c) && u32::from(c) < 0x80 => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c if is_treacherous(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        assert_eq!(bytes(b"\x1b[31mred\x07\x7f\0"), "\\x1b[31mred\\x07\\x7f\\x00");
        assert_eq!(bytes("\u{9b}2J".as_bytes()), "\\u{9b}2J");
        assert_eq!(bytes(b"\x9b2J\xff"), "\\x9b2J\\xff");
        assert_eq!(text("a\r\nb\t\u{202e}c\u{200b}"), "a\\r\\nb\\t\\u{202e}c\\u{200b}");
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for line in ["text/html; charset=utf-8", "Ελληνικά", "日本語", "naïve — “quoted”"]
        {
            assert_eq!(bytes(line.as_bytes()), line);
        }
    }

    #[test]
    fn every_byte_string_becomes_printable() {
        for first in 0..=255u8 {
            for second in [0, 0x1b, b'a', 0x80, 0x9b, 0xc2, 0xe2, 0xff] {
                assert!(!bytes(&[first, second, first]).chars().any(is_treacherous));
            }
        }
    }
}
