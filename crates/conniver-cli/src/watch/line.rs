//! One line of text that is being typed.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::escape::is_treacherous;

/// One line of text that is being typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    text: Vec<char>,
    cursor: usize,
}

/// Longer than any that a person types.
const MOST_CHARS: usize = 4_096;

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<_> = text.chars().collect();
        Self { cursor: text.len(), text }
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub(crate) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// To where the byte of the text is.
    pub(crate) fn move_to_byte(&mut self, byte: usize) {
        let mut bytes = 0;
        let before = self.text.iter().take_while(|c| {
            bytes += c.len_utf8();
            bytes <= byte
        });
        self.cursor = before.count();
    }

    /// Takes a key, and says whether it was one for a line.
    pub(crate) fn take(&mut self, key: KeyEvent) -> bool {
        let len = self.text.len();
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if has_control => self.cursor = 0,
            KeyCode::Char('e') if has_control => self.cursor = len,
            KeyCode::Char('u') if has_control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('k') if has_control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if has_control => self.delete_word(),
            KeyCode::Char('h') if has_control => self.delete_before(),
            KeyCode::Char(c)
                if !has_control
                    && !key.modifiers.contains(KeyModifiers::ALT)
                    && !is_treacherous(c) =>
            {
                if len < MOST_CHARS {
                    self.text.insert(self.cursor, c);
                    self.cursor += 1;
                }
            }
            KeyCode::Backspace => self.delete_before(),
            KeyCode::Delete if self.cursor < len => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(len),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = len,
            _ => return false,
        }
        true
    }

    fn delete_before(&mut self) {
        if let Some(before) = self.cursor.checked_sub(1) {
            self.text.remove(before);
            self.cursor = before;
        }
    }

    fn delete_word(&mut self) {
        while self.cursor > 0 && self.text[self.cursor - 1] == ' ' {
            self.delete_before();
        }
        while self.cursor > 0 && self.text[self.cursor - 1] != ' ' {
            self.delete_before();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_into(line: &mut Line, keys: &str) {
        for c in keys.chars() {
            line.take(KeyEvent::from(KeyCode::Char(c)));
        }
    }

    #[test]
    fn text_is_put_in_and_taken_out_where_the_cursor_is() {
        let mut line = Line::new("dport :80");
        type_into(&mut line, "80");
        assert_eq!(line.text(), "dport :8080");
        line.take(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        type_into(&mut line, "= é");
        line.take(KeyEvent::from(KeyCode::Left));
        line.take(KeyEvent::from(KeyCode::Backspace));
        assert_eq!((line.text().as_str(), line.cursor()), ("dport =é", 7));
        line.move_to_byte(line.text().len());
        line.take(KeyEvent::from(KeyCode::Backspace));
        line.take(KeyEvent::from(KeyCode::Home));
        line.take(KeyEvent::from(KeyCode::Delete));
        assert_eq!(line.text(), "port =");
        line.take(KeyEvent::new(KeyCode::Char('k'), KeyModifiers::CONTROL));
        assert_eq!(line.text(), "");
        line.take(KeyEvent::from(KeyCode::Backspace));
        line.take(KeyEvent::from(KeyCode::Delete));
        assert_eq!((line.text().as_str(), line.cursor()), ("", 0));
    }

    #[test]
    fn what_could_steer_the_terminal_is_not_taken() {
        let mut line = Line::default();
        type_into(&mut line, "a\u{1b}\u{202e}b");
        assert_eq!(line.text(), "ab");
    }
}
