use ratatui::style::{Color, Modifier, Style as Look};

use crate::watch::field::Field;

/// How things are told apart: with colours, or without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    has_color: bool,
}

impl Style {
    pub(crate) const fn new(has_color: bool) -> Self {
        Self { has_color }
    }

    fn colored(self, color: Color) -> Look {
        if self.has_color { Look::new().fg(color) } else { Look::new() }
    }

    pub(super) fn plain(self) -> Look {
        Look::new()
    }

    pub(super) fn strong(self) -> Look {
        Look::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn faint(self) -> Look {
        Look::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn heading(self) -> Look {
        Look::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn sorted(self) -> Look {
        Look::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    pub(super) fn selected(self) -> Look {
        Look::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn trouble(self) -> Look {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn notice(self) -> Look {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn course(self) -> Look {
        self.colored(Color::Cyan)
    }

    /// What is noticed first: that something is not as it mostly is.
    pub(super) fn cell(self, field: &Field, cell: &[u8]) -> Look {
        match (field.name(), cell) {
            (_, b"-") => self.faint(),
            ("state", b"ESTABLISHED") => self.colored(Color::Green),
            ("state", b"LISTEN") => self.colored(Color::Cyan),
            ("state", _) => self.colored(Color::Yellow),
            (
                "retrans_rate" | "retrans_new" | "retrans_new_share" | "lost" | "retransmits",
                cell,
            ) if !matches!(cell, b"0" | b"0.00%") => self.colored(Color::Red),
            _ => self.plain(),
        }
    }
}
