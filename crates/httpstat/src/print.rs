//! The report on its way out, to a reader who may keep the writer waiting.

use std::io::{self, IsTerminal as _};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use tokio::task::spawn_blocking;

/// Where a report goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Stdout,
    Stderr,
}

impl Destination {
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    /// Decides on colours, and writes as much as is taken without a wait: mostly all, and then no
    /// thread is needed for it.
    pub(crate) fn begin(self, color: ColorChoice, text: String) -> io::Result<Rest> {
        let choice = match self {
            Self::Stdout => AutoStream::new(io::stdout(), color).current_choice(),
            Self::Stderr => AutoStream::new(io::stderr(), color).current_choice(),
        };
        let text = match choice {
            // Stripped beforehand, it is written at once and not piece by piece.
            ColorChoice::Never => strip_str(&text).to_string(),
            _ => text,
        };
        let taken = match self {
            // Keeping it waiting takes no more than a key.
            _ if self.is_terminal() => 0,
            Self::Stdout => taken_at_once(io::stdout(), text.as_bytes())?,
            Self::Stderr => taken_at_once(io::stderr(), text.as_bytes())?,
        };
        Ok(Rest { destination: self, choice, text, taken })
    }

    fn write(self, choice: ColorChoice, bytes: &[u8]) -> io::Result<()> {
        match (self, choice) {
            (Self::Stdout, ColorChoice::Never) => write(io::stdout().lock(), bytes),
            (Self::Stderr, ColorChoice::Never) => write(io::stderr().lock(), bytes),
            (Self::Stdout, choice) => write(AutoStream::new(io::stdout().lock(), choice), bytes),
            (Self::Stderr, choice) => write(AutoStream::new(io::stderr().lock(), choice), bytes),
        }
    }
}

/// What is still to be written.
#[derive(Debug)]
pub(crate) struct Rest {
    destination: Destination,
    choice: ColorChoice,
    text: String,
    taken: usize,
}

impl Rest {
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == self.text.len()
    }

    /// Writes it from a thread, so that signals still count.
    pub(crate) async fn written(self) -> io::Result<()> {
        let write = move || {
            let left = self.text.as_bytes().get(self.taken..).unwrap_or_default();
            self.destination.write(self.choice, left)
        };
        spawn_blocking(write).await.map_err(io::Error::other)?
    }
}

fn write(mut stream: impl io::Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Writes pieces that a pipe with any room takes whole (POSIX's `PIPE_BUF` on Linux), as long as
/// there is room.
#[cfg(unix)]
fn taken_at_once(stream: impl std::os::fd::AsFd, bytes: &[u8]) -> io::Result<usize> {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::{Errno, write},
    };

    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut taken = 0;
    while let Some(left) = bytes.get(taken..).filter(|left| !left.is_empty()) {
        let mut wanted = [PollFd::new(&stream, PollFlags::OUT)];
        if poll(&mut wanted, Some(&at_once)).is_err()
            || !wanted.iter().all(|wanted| wanted.revents() == PollFlags::OUT)
        {
            break;
        }
        match write(&stream, left.get(..PIECE_LEN).unwrap_or(left)) {
            Ok(written) => taken += written,
            Err(Errno::INTR | Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(taken)
}

#[cfg(not(unix))]
fn taken_at_once<S>(_stream: S, _bytes: &[u8]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(target_os = "linux")]
const PIECE_LEN: usize = 4096;
/// What POSIX promises everywhere.
#[cfg(all(unix, not(target_os = "linux")))]
const PIECE_LEN: usize = 512;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_pipe_takes_what_it_has_room_for_and_the_writer_does_not_wait() {
        let (mut reader, writer) = io::pipe().unwrap();
        let report = vec![b'x'; 1 << 20];
        let taken = taken_at_once(&writer, &report).unwrap();
        assert!((PIECE_LEN..report.len()).contains(&taken), "{taken}");
        assert_eq!(taken_at_once(&writer, &report).unwrap(), 0);
        drop(writer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, report[..taken]);
    }

    #[test]
    fn a_short_report_is_taken_whole() {
        let (_reader, writer) = io::pipe().unwrap();
        assert_eq!(taken_at_once(&writer, &[b'x'; 5_000]).unwrap(), 5_000);
        let file = tempfile::tempfile().unwrap();
        assert_eq!(taken_at_once(&file, &[b'x'; 200_000]).unwrap(), 200_000);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_or_left_to_the_thread() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        match taken_at_once(&writer, b"x") {
            Ok(taken) => assert_eq!(taken, 0),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
        }
    }
}
