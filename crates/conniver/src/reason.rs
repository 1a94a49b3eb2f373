use std::{fmt, io};

use tcpinfo::{AsSock, Error, Packed, Queues, State, TcpInfo};

use crate::{Failure, block::Block};

/// Why a connection ended.
///
/// It follows from what the program met (errors, the end of the stream), and from what the kernel
/// says right before the close: the state of the connection, an error nobody fetched, bytes nobody
/// read, and whether the close is to be a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed first.
    LocalClose,
    /// The peer closed first.
    PeerClose,
    /// We closed with a reset: `SO_LINGER` is zero, or received bytes were never read.
    ResetSent,
    /// The peer reset the connection.
    ResetReceived,
    /// The kernel gave the peer up (`ETIMEDOUT`).
    TimedOut,
    /// The stream was dropped by a panic, or while a write waited for room.
    Cancelled,
    /// Another error.
    Error,
    /// The stream was given back by [`Conn::into_inner`](crate::Conn::into_inner), and lives on.
    GivenBack,
    /// The connection was over, and nothing says why.
    Unknown,
}

impl CloseReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::LocalClose,
        Self::PeerClose,
        Self::ResetSent,
        Self::ResetReceived,
        Self::TimedOut,
        Self::Cancelled,
        Self::Error,
        Self::GivenBack,
        Self::Unknown,
    ];

    /// The reason in snake case, as labels of metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LocalClose => "local_close",
            Self::PeerClose => "peer_close",
            Self::ResetSent => "reset_sent",
            Self::ResetReceived => "reset_received",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
            Self::GivenBack => "given_back",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known when a connection ends, besides the errors that the program met.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// When the end of the stream was read, by the monotonic clock; zero for never.
    pub(crate) rx_ended_at: u64,
    /// When our side was shut down for writing; zero for never.
    pub(crate) tx_ended_at: u64,
    /// A write is waiting for room.
    pub(crate) is_writing: bool,
    /// A panic is dropping the stream.
    pub(crate) is_panicking: bool,
    /// The kernel's state right before our side was shut down, if it was.
    pub(crate) shutdown_state: Option<State>,
    /// What was asked right before the close.
    pub(crate) kernel: Kernel,
}

/// What the kernel says right before the close.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) state: Option<State>,
    /// The error that nobody fetched.
    pub(crate) error: Option<io::ErrorKind>,
    /// Received bytes that nobody read.
    pub(crate) has_unread: bool,
    /// The close will be a reset.
    pub(crate) is_abortive: bool,
}

impl Kernel {
    /// Asks a socket for its facts, and if its connection is about to end, for what says why.
    pub(crate) fn ask(sock: &impl AsSock, ending: Option<&Block>) -> (Result<Packed, Error>, Self) {
        let Some(block) = ending else { return (Packed::read(sock), Self::default()) };
        let answer = TcpInfo::read(sock);
        match &answer {
            Ok(info) => (Ok(Packed::from(info)), Self::of(sock, block, info)),
            Err(_) => (answer.map(|info| Packed::from(&info)), Self::default()),
        }
    }

    fn of(sock: &impl AsSock, block: &Block, info: &TcpInfo) -> Self {
        block.slot.count_as(info);
        let state = info.state();
        Self {
            state,
            error: if state == Some(State::Close) { pending_error(sock) } else { None },
            has_unread: has_unread(sock, block, info),
            is_abortive: is_abortive(sock),
        }
    }
}

/// Whether bytes arrived that nobody has read. The queue is asked only if the counts leave room for
/// doubt.
fn has_unread(sock: &impl AsSock, block: &Block, info: &TcpInfo) -> bool {
    let rx = block.rx_counts();
    // Linux counts the peer's end as one byte more.
    let end = u64::from(rx.ended_at != 0);
    let before_wrapping = || {
        let opened = block.opened_info.as_ref().map(Packed::unpack);
        opened.and_then(|info| info.rx_bytes()).unwrap_or_default()
    };
    let all_read = info.rx_bytes().is_some_and(|received| {
        let read = rx.bytes + end;
        received <= read || received <= before_wrapping() + read
    });
    let unread = || Queues::read(sock).ok()?.unread_bytes;
    !all_read && unread().is_some_and(|bytes| bytes > 0)
}

#[cfg(unix)]
fn pending_error(sock: &impl AsSock) -> Option<io::ErrorKind> {
    let error = rustix::net::sockopt::socket_error(sock.as_sock()).ok()?.err()?;
    Some(io::Error::from(error).kind())
}

#[cfg(unix)]
fn is_abortive(sock: &impl AsSock) -> bool {
    let linger = rustix::net::sockopt::socket_linger(sock.as_sock());
    linger.is_ok_and(|linger| linger.is_some_and(|time| time.is_zero()))
}

#[cfg(windows)]
fn pending_error(sock: &impl AsSock) -> Option<io::ErrorKind> {
    let sock = sock.as_sock();
    let error = socket2::SockRef::from(&sock).take_error().ok()??;
    Some(error.kind())
}

#[cfg(windows)]
fn is_abortive(sock: &impl AsSock) -> bool {
    let sock = sock.as_sock();
    let linger = socket2::SockRef::from(&sock).linger();
    linger.is_ok_and(|linger| linger.is_some_and(|time| time.is_zero()))
}

#[cfg(not(any(unix, windows)))]
fn pending_error(_: &impl AsSock) -> Option<io::ErrorKind> {
    None
}

#[cfg(not(any(unix, windows)))]
fn is_abortive(_: &impl AsSock) -> bool {
    false
}

impl Evidence {
    pub(crate) fn of(block: &Block) -> Self {
        Self {
            rx_ended_at: block.rx_counts().ended_at,
            tx_ended_at: block.tx_counts().ended_at,
            is_writing: block.is_writing(),
            is_panicking: std::thread::panicking(),
            shutdown_state: block.shutdown_info().and_then(|info| info.unpack().state()),
            kernel: Kernel::default(),
        }
    }

    /// The reason, given the errors that the program met.
    pub(crate) fn reason(&self, rx: Option<&Failure>, tx: Option<&Failure>) -> CloseReason {
        if let Some(reason) = self.reason_of_error(rx, tx) {
            return reason;
        }
        if self.is_panicking || self.is_writing {
            return CloseReason::Cancelled;
        }
        let state = self.kernel.state;
        let open = !matches!(state, Some(State::Close | State::TimeWait));
        if open && (self.kernel.is_abortive || self.kernel.has_unread) {
            return CloseReason::ResetSent;
        }
        if self.peer_was_first() {
            return CloseReason::PeerClose;
        }
        // Closed without an error and without an end that we read: somebody else fetched it.
        if state == Some(State::Close) && self.tx_ended_at == 0 && self.rx_ended_at == 0 {
            return CloseReason::Unknown;
        }
        CloseReason::LocalClose
    }

    fn reason_of_error(&self, rx: Option<&Failure>, tx: Option<&Failure>) -> Option<CloseReason> {
        let kind = |failure: &Failure| failure.kind;
        let kinds = [rx.map(kind), tx.map(kind), self.kernel.error];
        let met = |sought: io::ErrorKind| kinds.contains(&Some(sought));
        if met(io::ErrorKind::ConnectionReset) {
            return Some(CloseReason::ResetReceived);
        }
        if met(io::ErrorKind::TimedOut) {
            return Some(CloseReason::TimedOut);
        }
        if met(io::ErrorKind::BrokenPipe) {
            // Writing after our own end says nothing of the peer. Else the reset came first.
            return match self.tx_ended_at {
                0 => Some(CloseReason::ResetReceived),
                _ => None,
            };
        }
        kinds.iter().any(Option::is_some).then_some(CloseReason::Error)
    }

    /// Whether the peer's end came before ours.
    fn peer_was_first(&self) -> bool {
        if let Some(state) = self.shutdown_state {
            return state == State::CloseWait;
        }
        match (self.rx_ended_at, self.tx_ended_at) {
            (0, _) => matches!(self.kernel.state, Some(State::CloseWait | State::LastAck)),
            (_, 0) => true,
            (theirs, ours) => theirs < ours,
        }
    }
}
