use std::{borrow::Cow, fmt, io};

/// An error that happened on a connection, kept for its report.
///
/// ```
/// use conniver::Failure;
///
/// let failure = Failure::from(&std::io::Error::from(std::io::ErrorKind::BrokenPipe));
/// assert_eq!(failure.kind, std::io::ErrorKind::BrokenPipe);
/// assert_eq!(failure.to_string(), "broken pipe");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The portable kind.
    pub kind: io::ErrorKind,
    /// The operating system's number, if the error came from there.
    pub code: Option<i32>,
    /// The error in words.
    pub text: Cow<'static, str>,
}

impl Failure {
    pub(crate) const fn facts_unavailable() -> Self {
        Self {
            kind: io::ErrorKind::Unsupported,
            code: None,
            text: Cow::Borrowed("kernel facts unavailable: the stream lends no socket"),
        }
    }

    /// Of an attempt whose future was dropped.
    pub(crate) const fn given_up() -> Self {
        let text = Cow::Borrowed("given up before there was an answer");
        Self { kind: io::ErrorKind::Other, code: None, text }
    }

    /// Whether an error of this kind says something about the connection.
    ///
    /// A deadline that passed, a call that would have to wait and an interrupted call do not. On
    /// Unix a deadline shows as "would block"; "timed out" with a number is the kernel giving the
    /// connection up.
    pub(crate) fn is_failure(error: &io::Error) -> bool {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => false,
            io::ErrorKind::TimedOut => cfg!(unix) && error.raw_os_error().is_some(),
            _ => true,
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error(), text: Cow::Owned(error.to_string()) }
    }
}

impl From<tcpinfo::Error> for Failure {
    fn from(error: tcpinfo::Error) -> Self {
        let code = error.os_error().and_then(io::Error::raw_os_error);
        let text = Cow::Owned(error.to_string());
        Self { kind: io::Error::from(error).kind(), code, text }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
