use std::{error, fmt, io};

use crate::{Lookup, Namespace};

/// Why the kernel's table of sockets could not be asked, or its answer not be used.
///
/// It says what was asked and what to do about it, and keeps the system's own error.
///
/// ```
/// use sockdiag::{Lookup, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let nobody = Lookup::new("127.0.0.1:0".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
/// let error = SockDiag::open().unwrap().lookup(&nobody).unwrap_err();
/// assert_eq!(error.kind(), sockdiag::ErrorKind::BadQuestion);
/// assert!(error.to_string().contains("127.0.0.1:0 -> 127.0.0.1:80"));
/// ```
pub struct Error {
    /// Elsewhere, so that an answer without an error is not as long as one.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    lookup: Option<Lookup>,
    namespace: Option<Namespace>,
    is_of_recording: bool,
    detail: &'static str,
    source: Source,
}

#[derive(Debug)]
enum Source {
    None,
    Os(io::Error),
    Malformed(Malformed),
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// This operating system has no `NETLINK_SOCK_DIAG`, or the running kernel was built without it
    /// or cannot load its modules `inet_diag` and `tcp_diag`.
    Unsupported,
    /// A security policy forbids it: seccomp, SELinux, as for Android's apps. The kernel itself lets
    /// everybody look.
    NotPermitted,
    /// No connection can be as it was asked for: a port or an address is zero, one end is IPv4 and
    /// the other IPv6, or the ends are in different scopes.
    BadQuestion,
    /// There is no such network namespace, or what lies there is none.
    NoNamespace,
    /// No answer came in time.
    TimedOut,
    /// The answer is longer than the buffer, and its end is lost.
    Truncated,
    /// The answer is none that the kernel's headers describe, or a file no recording.
    Malformed,
    /// Anything else that the operating system said.
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: &'static str) -> Self {
        Self::of(kind, detail, Source::None)
    }

    pub(crate) fn os(kind: ErrorKind, detail: &'static str, os: io::Error) -> Self {
        Self::of(kind, detail, Source::Os(os))
    }

    #[cold]
    fn of(kind: ErrorKind, detail: &'static str, source: Source) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                lookup: None,
                namespace: None,
                is_of_recording: false,
                detail,
                source,
            }),
        }
    }

    /// The same, with what was asked.
    #[cold]
    pub(crate) fn about(mut self, lookup: &Lookup) -> Self {
        self.inner.lookup = Some(*lookup);
        self
    }

    /// The same, with where it was asked.
    #[cold]
    pub(crate) fn in_namespace(mut self, namespace: &Namespace) -> Self {
        self.inner.namespace = Some(namespace.clone());
        self
    }

    /// The same of a file instead of the kernel.
    #[cold]
    pub(crate) fn of_recording(mut self) -> Self {
        self.inner.is_of_recording = true;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The connection that was asked for, if it came to that.
    pub fn lookup(&self) -> Option<&Lookup> {
        self.inner.lookup.as_ref()
    }

    /// The network namespace that was asked for, if it was not the thread's own.
    pub fn namespace(&self) -> Option<&Namespace> {
        self.inner.namespace.as_ref()
    }

    /// The operating system's own error, if it said one.
    pub fn os_error(&self) -> Option<&io::Error> {
        match &self.inner.source {
            Source::Os(os) => Some(os),
            Source::None | Source::Malformed(_) => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, lookup, namespace, is_of_recording, detail, source } = &*self.inner;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("lookup", lookup)
            .field("namespace", namespace)
            .field("is_of_recording", is_of_recording)
            .field("detail", detail)
            .field("source", source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { lookup, namespace, is_of_recording, detail, source, .. } = &*self.inner;
        match lookup {
            Some(lookup) => {
                let place = if *is_of_recording { " in the recording" } else { "" };
                write!(f, "cannot look up {lookup}{place}")?;
            }
            None if *is_of_recording => f.write_str("cannot read the recording")?,
            None => f.write_str("cannot ask the kernel for its sockets")?,
        }
        if let Some(namespace) = namespace {
            write!(f, " in the network namespace {namespace}")?;
        }
        if let (true, Source::Malformed(malformed)) = (*is_of_recording, source) {
            return write!(f, ": {malformed}");
        }
        write!(f, ": {detail}")?;
        match source {
            Source::None => Ok(()),
            Source::Os(os) => write!(f, " ({os})"),
            Source::Malformed(malformed) => write!(f, " ({malformed})"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.inner.source {
            Source::None => None,
            Source::Os(os) => Some(os),
            Source::Malformed(malformed) => Some(malformed),
        }
    }
}

impl From<Malformed> for Error {
    #[cold]
    fn from(malformed: Malformed) -> Self {
        Self::of(ErrorKind::Malformed, "the answer cannot be read", Source::Malformed(malformed))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::NotPermitted => io::ErrorKind::PermissionDenied,
            ErrorKind::BadQuestion => io::ErrorKind::InvalidInput,
            ErrorKind::NoNamespace => io::ErrorKind::NotFound,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Truncated | ErrorKind::Malformed => io::ErrorKind::InvalidData,
            ErrorKind::Other => error.os_error().map_or(io::ErrorKind::Other, Self::kind),
        };
        Self::new(kind, error)
    }
}

/// Bytes that are no message or entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    offset: usize,
    what: &'static str,
}

impl Malformed {
    #[cold]
    pub(crate) const fn new(offset: usize, what: &'static str) -> Self {
        Self { offset, what }
    }

    /// The same of bytes that begin further on.
    pub(crate) const fn moved_by(mut self, offset: usize) -> Self {
        self.offset = self.offset.saturating_add(offset);
        self
    }

    /// Where in the bytes it shows.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl error::Error for Malformed {}
