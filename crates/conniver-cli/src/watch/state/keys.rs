//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sockdiag::Filter;

use super::{Choice, Complaint, Detail, Line, Mode, Purpose, Sort, State, Wish};
use crate::watch::field::Field;

/// The keys and what they do.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  PgUp PgDn  Home End", "select a connection; it stays selected wherever it moves"),
    ("← →", "show the columns to the left or right"),
    ("Enter", "everything about the selected connection, with its course"),
    ("Tab", "move through that with the arrows, or through the table again"),
    ("Esc", "close what is open; select nothing"),
    ("< >  or  s", "sort by the column to the left or right; or by any, chosen by name"),
    ("1 to 9", "sort by that column; again, the other way round"),
    ("r", "sort the other way round"),
    ("/", "type a filter in the language of ss, such as: dport = :443 and rtt > 50ms"),
    ("c", "choose columns"),
    ("p", "show the programs that hold sockets, or hide them"),
    ("Space", "pause and go on"),
    ("Ctrl-L", "draw everything again"),
    ("Ctrl-Z", "suspend; fg brings it back"),
    ("q  or  Ctrl-C", "end"),
];

impl State {
    /// Does what a key asks for, and says what is to be done outside.
    pub(crate) fn take_key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Wish::Interrupt,
                KeyCode::Char('z') => return Wish::Suspend,
                KeyCode::Char('l') => return Wish::Redraw,
                _ => {}
            }
        }
        match &mut self.mode {
            Mode::Table => self.take_table_key(key),
            Mode::Filter { .. } => self.take_filter_key(key),
            Mode::Help { scroll } => {
                match key.code {
                    KeyCode::Up | KeyCode::Char('k') => *scroll = scroll.saturating_sub(1),
                    KeyCode::Down | KeyCode::Char('j') => *scroll += 1,
                    KeyCode::PageUp => *scroll = scroll.saturating_sub(self.scroll.page),
                    KeyCode::PageDown => *scroll += self.scroll.page,
                    _ => self.mode = Mode::Table,
                }
                Wish::Nothing
            }
            Mode::Choice(_) => self.take_choice_key(key),
        }
    }

    fn take_table_key(&mut self, key: KeyEvent) -> Wish {
        if self.take_movement(key.code) {
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help { scroll: 0 },
            KeyCode::Char('/') => {
                self.mode = Mode::Filter { line: Line::new(&self.filter), complaint: None };
            }
            KeyCode::Char('c') => self.choose(Purpose::Columns),
            KeyCode::Char('s') => self.choose(Purpose::Sort),
            KeyCode::Char('p') => return self.toggle_holders(),
            KeyCode::Char(' ') => return self.toggle_pause(),
            KeyCode::Char('<') => return self.sort_by_neighbour(false),
            KeyCode::Char('>') => return self.sort_by_neighbour(true),
            KeyCode::Char('r') => {
                self.sort.is_descending = !self.sort.is_descending;
                self.reorder();
            }
            KeyCode::Char(digit @ '1'..='9') => {
                let place = digit as usize - '1' as usize;
                if let Some(field) = self.fields.get(place).copied() {
                    return self.sort_by(field);
                }
            }
            KeyCode::Left => self.scroll.left = self.scroll.left.saturating_sub(1),
            KeyCode::Right => {
                self.scroll.left = (self.scroll.left + 1).min(self.fields.len().saturating_sub(1));
            }
            KeyCode::Enter if self.detail.is_some() => self.detail = None,
            KeyCode::Enter => {
                if self.selected.is_none() {
                    self.select(self.scroll.top);
                }
                self.detail = self.selected.map(|_| Detail::default());
                return self.look_for_holders();
            }
            KeyCode::Tab => {
                if let Some(detail) = &mut self.detail {
                    detail.has_focus = !detail.has_focus;
                }
            }
            KeyCode::Esc => match self.detail {
                Some(_) => self.detail = None,
                None => self.selected = None,
            },
            _ => {}
        }
        Wish::Nothing
    }

    /// Moves the selection, or what is visible of the pane.
    fn take_movement(&mut self, code: KeyCode) -> bool {
        let page = self.scroll.page.max(1);
        if let Some(detail) = self.detail.as_mut().filter(|detail| detail.has_focus) {
            match code {
                KeyCode::Up | KeyCode::Char('k') => {
                    detail.scroll = detail.scroll.saturating_sub(1);
                }
                KeyCode::Down | KeyCode::Char('j') => detail.scroll += 1,
                KeyCode::PageUp => detail.scroll = detail.scroll.saturating_sub(page),
                KeyCode::PageDown => detail.scroll += page,
                KeyCode::Home | KeyCode::Char('g') => detail.scroll = 0,
                // Drawing knows where the end is.
                KeyCode::End | KeyCode::Char('G') => detail.scroll = usize::MAX / 2,
                _ => return false,
            }
            return true;
        }
        let place = self.selected_place();
        let place = match code {
            KeyCode::Up | KeyCode::Char('k') => {
                place.map_or(self.scroll.top, |place| place.saturating_sub(1))
            }
            KeyCode::Down | KeyCode::Char('j') => {
                place.map_or(self.scroll.top, |place| place.saturating_add(1))
            }
            KeyCode::PageUp => place.unwrap_or(self.scroll.top).saturating_sub(page),
            KeyCode::PageDown => place.unwrap_or(self.scroll.top).saturating_add(page),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            _ => return false,
        };
        self.select(place);
        true
    }

    fn take_filter_key(&mut self, key: KeyEvent) -> Wish {
        let Mode::Filter { line, complaint } = &mut self.mode else { return Wish::Nothing };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Table,
            KeyCode::Enter => {
                let text = line.text();
                let filter = match text.trim() {
                    "" => Ok(Filter::everything()),
                    text => text.parse::<Filter>(),
                };
                match filter {
                    Ok(filter) => match self.unanswerable(&filter) {
                        None => {
                            self.mode = Mode::Table;
                            return self.apply_filter(text.trim().to_owned(), filter);
                        }
                        Some(words) => self.complain(Complaint::Unanswerable(words)),
                    },
                    Err(why) => {
                        // The error counts from where the text begins.
                        let start = text.len() - text.trim_start().len();
                        line.move_to_byte(start + why.place().start);
                        *complaint = Some(Complaint::Unreadable(why));
                    }
                }
            }
            _ => {
                if line.take(key) {
                    *complaint = None;
                }
            }
        }
        Wish::Nothing
    }

    fn complain(&mut self, why: Complaint) {
        if let Mode::Filter { complaint, .. } = &mut self.mode {
            *complaint = Some(why);
        }
    }

    /// What keeps a filter from choosing among what is shown while it is paused.
    fn unanswerable(&self, filter: &Filter) -> Option<&'static str> {
        if !self.is_paused {
            return None;
        }
        let mut sockets = self.connections.iter();
        if filter.needs_kernel() {
            Some("autobound is known to the kernel only: Esc, and Space to go on, first")
        } else if filter.needs_net_admin() && sockets.all(|one| one.entry().mark().is_none()) {
            Some("no fwmark was told: the kernel tells it only a program with CAP_NET_ADMIN")
        } else {
            None
        }
    }

    fn apply_filter(&mut self, text: String, filter: Filter) -> Wish {
        self.filter = text;
        self.begin_anew();
        if self.is_paused {
            self.view = Some(filter);
            self.reorder();
            return Wish::Nothing;
        }
        self.is_awaited = true;
        // What does not match any more is not to be taken for ended.
        self.connections.retain(|connection| filter.matches(&connection.entry()));
        self.ended.clear();
        self.reorder();
        Wish::Look
    }

    fn toggle_pause(&mut self) -> Wish {
        self.is_paused = !self.is_paused;
        if self.is_paused {
            return Wish::Nothing;
        }
        if let Some(view) = self.view.take() {
            self.connections.retain(|connection| view.matches(&connection.entry()));
            self.ended.clear();
            self.reorder();
        }
        Wish::Look
    }

    fn toggle_holders(&mut self) -> Wish {
        if self.fields.iter().any(Field::needs_holders) {
            self.fields.retain(|field| !field.needs_holders());
            if self.fields.is_empty() {
                self.fields.extend(Field::usual(false));
            }
        } else if let Ok(field) = Field::find("process") {
            // Behind what says which connection it is.
            let is_end = |field: &Field| ["state", "local", "remote"].contains(&field.name());
            let place = self.fields.iter().take_while(|field| is_end(field)).count();
            self.fields.insert(place, field);
        }
        self.fields_changed()
    }

    fn fields_changed(&mut self) -> Wish {
        self.scroll.widths.clear();
        self.scroll.left = self.scroll.left.min(self.fields.len().saturating_sub(1));
        self.look_for_holders()
    }

    /// If they are needed and not known.
    fn look_for_holders(&self) -> Wish {
        if self.needs_holders() && self.processes.is_none() { Wish::Look } else { Wish::Nothing }
    }

    fn sort_by(&mut self, field: Field) -> Wish {
        self.sort = Sort {
            field,
            is_descending: match self.sort.field == field {
                true => !self.sort.is_descending,
                false => field.begins_with_largest(),
            },
        };
        self.reorder();
        self.look_for_holders()
    }

    fn sort_by_neighbour(&mut self, is_right: bool) -> Wish {
        let place = self.fields.iter().position(|field| *field == self.sort.field);
        let last = self.fields.len().saturating_sub(1);
        let next = match (place, is_right) {
            (None, true) => 0,
            (None, false) => last,
            (Some(place), true) => place + 1,
            (Some(0), false) => return Wish::Nothing,
            (Some(place), false) => place - 1,
        };
        match self.fields.get(next).copied() {
            Some(field) => self.sort_by(field),
            None => Wish::Nothing,
        }
    }

    fn choose(&mut self, purpose: Purpose) {
        let cursor = match purpose {
            Purpose::Columns => 0,
            Purpose::Sort => {
                Field::all().position(|field| field == self.sort.field).unwrap_or_default()
            }
        };
        self.mode = Mode::Choice(Choice { purpose, cursor, search: Line::default() });
    }

    fn take_choice_key(&mut self, key: KeyEvent) -> Wish {
        let page = self.scroll.page.max(1);
        let Mode::Choice(choice) = &mut self.mode else { return Wish::Nothing };
        let fields = choice.fields();
        let last = fields.len().saturating_sub(1);
        match (key.code, choice.purpose) {
            (KeyCode::Up, _) => choice.cursor = choice.cursor.saturating_sub(1),
            (KeyCode::Down, _) => choice.cursor = (choice.cursor + 1).min(last),
            (KeyCode::PageUp, _) => choice.cursor = choice.cursor.saturating_sub(page),
            (KeyCode::PageDown, _) => choice.cursor = (choice.cursor + page).min(last),
            (KeyCode::Esc, _) => self.mode = Mode::Table,
            (KeyCode::Enter, Purpose::Sort) => {
                let field = fields.get(choice.cursor).copied();
                self.mode = Mode::Table;
                return field.map_or(Wish::Nothing, |field| self.sort_by(field));
            }
            (KeyCode::Char(' '), Purpose::Columns) => {
                let Some(field) = fields.get(choice.cursor).copied() else { return Wish::Nothing };
                match self.fields.iter().position(|shown| *shown == field) {
                    // One must stay.
                    Some(place) if self.fields.len() > 1 => {
                        self.fields.remove(place);
                    }
                    Some(_) => {}
                    None => self.fields.push(field),
                }
                return self.fields_changed();
            }
            (KeyCode::Enter, Purpose::Columns) => self.mode = Mode::Table,
            _ => {
                if choice.search.take(key) {
                    choice.cursor = 0;
                }
            }
        }
        Wish::Nothing
    }
}
