//! The colours, each with one meaning.

use anstyle::{AnsiColor, Style};
use hyper::StatusCode;

use crate::timeline::Phase;

/// What is read first.
pub(crate) const STRONG: Style = Style::new().bold();
/// Labels, rulers and what is absent.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// Names of headers and facts.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// What is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong, and warnings.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

pub(crate) const fn phase(phase: Phase) -> Style {
    let color = match phase {
        Phase::Dns => AnsiColor::Cyan,
        Phase::Connect => AnsiColor::Green,
        Phase::Proxy => AnsiColor::BrightGreen,
        Phase::Tls | Phase::Quic => AnsiColor::Magenta,
        Phase::Send => AnsiColor::BrightYellow,
        Phase::Server => AnsiColor::Yellow,
        Phase::Transfer => AnsiColor::Blue,
    };
    color.on_default()
}

pub(crate) fn status(status: StatusCode) -> Style {
    let color = match status.as_u16() {
        200..300 => AnsiColor::Green,
        300..400 => AnsiColor::Cyan,
        400..500 => AnsiColor::Yellow,
        500.. => AnsiColor::Red,
        _ => AnsiColor::White,
    };
    color.on_default().bold()
}

/// The text in a style, which the writer strips where colours are not wanted.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
