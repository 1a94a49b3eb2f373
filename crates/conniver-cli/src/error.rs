//! Why a command failed, in words for a person and a number for a script.

use std::{fmt, io, process::ExitCode};

/// What was tried, what went wrong and, where something can be done about it, what to do.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line makes no sense.
    Usage(String),
    /// A filter is none, with a mark where, on lines of their own.
    Unreadable(String),
    /// Anything else.
    Failure(String),
    /// The reader of the output has seen enough, as in `conniver | head`.
    Unwanted,
}

impl Error {
    pub(crate) fn failure(message: impl Into<String>) -> Self {
        Self::Failure(message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Something could not be written there.
    pub(crate) fn output(place: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unwanted,
            _ => Self::Failure(format!("cannot write to {place}: {}", reason(error))),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Unreadable(_) => ExitCode::from(2),
            Self::Failure(_) => ExitCode::FAILURE,
            Self::Unwanted => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Unreadable(message) | Self::Failure(message) => {
                f.write_str(message)
            }
            Self::Unwanted => f.write_str("nobody reads the output"),
        }
    }
}

impl From<sockdiag::Error> for Error {
    fn from(error: sockdiag::Error) -> Self {
        let advice = match error.kind() {
            sockdiag::ErrorKind::Unsupported if cfg!(target_os = "linux") => {
                "; as the superuser, \"modprobe tcp_diag\" may help"
            }
            sockdiag::ErrorKind::Unsupported => {
                "; the connections of this system cannot be listed yet, only those of Linux, or of a \
                 recording with --from FILE"
            }
            _ => "",
        };
        match error.kind() {
            sockdiag::ErrorKind::BadQuestion => Self::Usage(error.to_string()),
            _ => Self::Failure(format!("{error}{advice}")),
        }
    }
}

/// The system's words for it, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
