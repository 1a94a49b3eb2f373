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

/// Whether nobody will ever read what is written, as after the end of `head`. A file never says so.
pub(crate) fn is_unread() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let stdout = io::stdout();
        let mut state = [PollFd::new(&stdout, PollFlags::empty())];
        let is_told = poll(&mut state, Some(&now)).is_ok();
        let [state] = state;
        is_told && state.revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
    #[cfg(not(unix))]
    false
}
