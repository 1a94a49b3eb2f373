use std::{error, fmt, io};

/// Why a socket could not be asked.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use tcpinfo::{ErrorKind, TcpInfo};
///
/// let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
/// let error = TcpInfo::read(&udp).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotTcp);
/// assert!(error.os_error().is_some());
/// # }
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    query: &'static str,
    descriptor: Option<u64>,
    os: Option<io::Error>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The descriptor is not open, or open as a path only (`EBADF`). Windows cannot tell this from
    /// what is not a socket.
    BadDescriptor,
    /// The descriptor is not a socket (`ENOTSOCK`).
    NotSocket,
    /// The socket is not a TCP socket.
    NotTcp,
    /// The socket is a TCP socket on which Multipath TCP is not in use.
    NotMptcp,
    /// This operating system, or the running version of it, cannot answer the question.
    Unsupported,
    /// The socket's state gives the question no meaning: not connected, or its connection is gone
    /// and the system kept nothing of it.
    WrongState,
    /// Anything else the operating system said.
    Other,
}

impl Error {
    pub(crate) const fn unsupported(query: &'static str) -> Self {
        Self { kind: ErrorKind::Unsupported, query, descriptor: None, os: None }
    }

    #[allow(dead_code, reason = "a system that cannot be asked has no errors")]
    pub(crate) const fn from_os(
        kind: ErrorKind,
        query: &'static str,
        descriptor: u64,
        os: io::Error,
    ) -> Self {
        Self { kind, query, descriptor: Some(descriptor), os: Some(os) }
    }

    /// An error that the operating system did not name.
    #[allow(dead_code, reason = "only Linux has one")]
    pub(crate) const fn of_socket(kind: ErrorKind, query: &'static str, descriptor: u64) -> Self {
        Self { kind, query, descriptor: Some(descriptor), os: None }
    }

    /// The same refusal, understood better.
    #[allow(dead_code, reason = "only Linux asks again")]
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was asked: the name of the socket option or request.
    pub const fn query(&self) -> &'static str {
        self.query
    }

    /// The operating system's own error, if it was asked at all.
    pub const fn os_error(&self) -> Option<&io::Error> {
        self.os.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}", self.query)?;
        if let Some(descriptor) = self.descriptor {
            write!(f, " of descriptor {descriptor}")?;
        }
        let reason = match self.kind {
            ErrorKind::BadDescriptor => "it is not open, or open as a path only",
            ErrorKind::NotSocket => "it is not a socket",
            ErrorKind::NotTcp => "it is not a TCP socket",
            ErrorKind::NotMptcp => "Multipath TCP is not in use on it",
            ErrorKind::Unsupported => "this system does not offer it",
            ErrorKind::WrongState => "it means nothing in the socket's state",
            ErrorKind::Other => "the system refused",
        };
        write!(f, ": {reason}")?;
        match &self.os {
            Some(os) => write!(f, " ({os})"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.os.as_ref().map(|os| os as _)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::BadDescriptor
            | ErrorKind::NotSocket
            | ErrorKind::NotTcp
            | ErrorKind::NotMptcp
            | ErrorKind::WrongState => io::ErrorKind::InvalidInput,
            ErrorKind::Other => error.os.as_ref().map_or(io::ErrorKind::Other, Self::kind),
        };
        Self::new(kind, error)
    }
}
