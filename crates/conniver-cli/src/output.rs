//! The standard output.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};

use crate::error::Error;

/// Writes all of a short text.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).map_err(|error| failed(&error))
}

/// What could not be written to the standard output.
pub(crate) fn failed(error: &io::Error) -> Error {
    Error::output("the standard output", error)
}

/// Whether a person looks at it.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether it shows colours, as far as this wish leaves it open.
pub(crate) fn has_color(wish: ColorChoice) -> bool {
    AutoStream::new(io::stdout(), wish).current_choice() != ColorChoice::Never
}

/// How many characters fit on a line; a file has no limit.
pub(crate) fn width() -> Option<usize> {
    if !is_terminal() {
        return None;
    }
    let (width, _) = terminal_size::terminal_size()?;
    Some(usize::from(width.0).max(1))
}
