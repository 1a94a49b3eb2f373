use std::{
    any::Any,
    error, fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Failure, Options, Role, Timestamp,
    options::{Labels, Shared},
};

/// Why no connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailReason {
    /// The name has no address, or could not be looked up.
    Resolution,
    /// Nobody listens there (`ECONNREFUSED`).
    Refused,
    /// No way leads there (`EHOSTUNREACH`, `ENETUNREACH`).
    Unreachable,
    /// Nobody answered in time.
    TimedOut,
    /// The peer reset the connection, or it was over before it was accepted.
    Reset,
    /// The connection came about, and the TLS handshake on it failed.
    Tls,
    /// The attempt was given up: its future was dropped.
    Cancelled,
    /// The process or the system has no descriptor or memory left.
    Exhausted,
    /// Another error.
    Error,
}

impl FailReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Resolution,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::Reset,
        Self::Tls,
        Self::Cancelled,
        Self::Exhausted,
        Self::Error,
    ];

    /// The reason in snake case, as labels of metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolution => "resolution",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Cancelled => "cancelled",
            Self::Exhausted => "exhausted",
            Self::Error => "error",
        }
    }

    /// The reason that an error of `connect` or `accept` gives.
    pub(crate) fn of(error: &io::Error) -> Self {
        if is_exhaustion(error) {
            return Self::Exhausted;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            _ => Self::Error,
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether an error says that there is no descriptor or memory left: asking again at once would
/// only give the same answer.
#[cfg(unix)]
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;

    Errno::from_io_error(error).is_some_and(|error| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&error)
    })
}

#[cfg(not(unix))]
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    /// `WSAEMFILE` and `WSAENOBUFS`.
    const EXHAUSTED: [i32; 2] = [10024, 10055];

    error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
        || error.kind() == io::ErrorKind::OutOfMemory
}

/// One address that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Where to.
    pub addr: SocketAddr,
    /// How long it took to fail.
    pub took: Duration,
    /// Why it failed.
    pub reason: FailReason,
    /// The error.
    pub error: Failure,
}

/// A connection that did not come about: what a [`Connector`](crate::Connector) or a
/// [`Listener`](crate::Listener) tells its observers.
#[derive(Clone)]
#[non_exhaustive]
pub struct FailedConn {
    /// When it was begun.
    pub began_at: Timestamp,
    /// How long it took to fail.
    pub took: Duration,
    /// Why it failed; with several attempts, why the last did.
    pub reason: FailReason,
    /// The error; with several attempts the last. Absent if nobody waited for it.
    pub error: Option<Failure>,
    /// What was asked for, if it was a name.
    pub target: Option<String>,
    /// The addresses that were tried, in this order, with the one that was being tried when
    /// somebody gave up; none if a listener failed to accept.
    pub attempts: Vec<Attempt>,
    pub(crate) labels: Arc<Labels>,
}

impl FailedConn {
    /// Client side if it failed to connect, server side if it failed to accept, or as the options
    /// say.
    pub fn role(&self) -> Option<Role> {
        self.labels.role
    }

    /// The label given by [`Options::category`].
    pub fn category(&self) -> Option<&str> {
        self.labels.category.as_deref()
    }

    /// The value given by [`Options::context`], if it is of this type.
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.labels.context.as_ref()?.downcast_ref()
    }
}

/// One line: who, where to, why not, and every attempt.
impl fmt::Display for FailedConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(category) = self.category() {
            write!(f, "{category} ")?;
        }
        if let Some(role) = self.role() {
            write!(f, "{role} ")?;
        }
        write!(f, "failed: {} {:?}", self.reason, self.took)?;
        if let Some(target) = &self.target {
            write!(f, " target={target:?}")?;
        }
        for Attempt { addr, reason, took, .. } in &self.attempts {
            write!(f, " {addr}={reason}/{took:?}")?;
        }
        match &self.error {
            Some(error) => write!(f, " err={:?}", error.text),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FailedConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedConn")
            .field("role", &self.role())
            .field("category", &self.category())
            .field("target", &self.target)
            .field("took", &self.took)
            .field("reason", &self.reason)
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Why [`Connector::connect`](crate::Connector::connect) gave no connection.
///
/// Becomes an [`io::Error`] of the same kind with `?`.
#[derive(Debug)]
pub struct ConnectError {
    failed: Box<FailedConn>,
    source: io::Error,
}

impl ConnectError {
    pub(crate) fn new(failed: FailedConn, source: io::Error) -> Self {
        Self { failed: Box::new(failed), source }
    }

    /// Why, in a word.
    pub fn reason(&self) -> FailReason {
        self.failed.reason
    }

    /// What was tried, as observers are told.
    pub fn failed(&self) -> &FailedConn {
        &self.failed
    }

    /// The error of the last attempt, or of the look-up.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failed.target, self.failed.attempts.as_slice()) {
            (Some(target), []) => write!(f, "cannot connect to {target:?}")?,
            (Some(target), [one]) => write!(f, "cannot connect to {target:?} at {}", one.addr)?,
            (Some(target), all) => {
                write!(f, "cannot connect to {target:?} at any of {} addresses", all.len())?;
            }
            (None, [one]) => write!(f, "cannot connect to {}", one.addr)?,
            (None, all) => write!(f, "cannot connect to any of {} addresses", all.len())?,
        }
        write!(f, ": {}", self.source)
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// Something that may fail to become a connection. Whatever becomes of it is told: also that its
/// future was dropped.
pub(crate) struct Dial {
    options: Shared,
    failed: FailedConn,
    began: Instant,
    /// The address that is being tried, and since when.
    trying: Option<(SocketAddr, Instant)>,
    is_over: bool,
}

impl Dial {
    pub(crate) fn begin(options: &Options, target: Option<String>) -> Self {
        let failed = FailedConn {
            began_at: Timestamp::now(),
            took: Duration::ZERO,
            reason: FailReason::Cancelled,
            error: None,
            target,
            attempts: Vec::new(),
            labels: options.labels(),
        };
        let began = Instant::now();
        Self { options: options.shared(), failed, began, trying: None, is_over: false }
    }

    /// Notes that an address is tried from now on.
    pub(crate) fn begin_attempt(&mut self, addr: SocketAddr) {
        self.trying = Some((addr, Instant::now()));
    }

    /// Notes that this was in vain.
    pub(crate) fn attempted(&mut self, error: &io::Error) {
        self.attempted_because(FailReason::of(error), error.into());
    }

    fn attempted_because(&mut self, reason: FailReason, error: Failure) {
        if let Some((addr, since)) = self.trying.take() {
            let took = since.elapsed();
            self.failed.attempts.push(Attempt { addr, took, reason, error });
        }
    }

    /// A connection came about.
    pub(crate) fn succeeded(mut self) {
        self.is_over = true;
    }

    /// A connection came about, and the TLS handshake on it failed.
    #[cfg(feature = "tokio-rustls")]
    pub(crate) fn failed_handshake(mut self, error: &io::Error) -> FailedConn {
        let reason = match FailReason::of(error) {
            FailReason::Error => FailReason::Tls,
            reason => reason,
        };
        self.attempted_because(reason, error.into());
        self.failed(reason, error)
    }

    /// None came about; gives what was told.
    pub(crate) fn failed(mut self, reason: FailReason, error: impl Into<Failure>) -> FailedConn {
        self.failed.reason = reason;
        self.failed.error = Some(error.into());
        self.tell();
        self.failed.clone()
    }

    fn tell(&mut self) {
        self.is_over = true;
        self.failed.took = self.began.elapsed();
        self.options.tell_failed(&self.failed);
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        if !self.is_over {
            self.attempted_because(FailReason::Cancelled, Failure::given_up());
            self.tell();
        }
    }
}
