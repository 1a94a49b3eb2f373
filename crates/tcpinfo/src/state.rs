use std::fmt;

/// State of a TCP connection (RFC 9293, section 3.3.2).
///
/// [`NewSynRecv`](Self::NewSynRecv) and [`BoundInactive`](Self::BoundInactive) are Linux's: they
/// select sockets in a dump and are never read from a descriptor.
///
/// ```
/// use tcpinfo::State;
///
/// assert_eq!(State::from_linux(8), State::CloseWait);
/// assert_eq!(State::from_linux(8).to_string(), "CLOSE_WAIT");
/// assert_eq!(State::from_linux(99), State::Unknown(99));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Data can flow both ways.
    Established,
    /// SYN sent, waiting for the answer.
    SynSent,
    /// SYN received and answered.
    SynRecv,
    /// We closed first and wait for the acknowledgement of our FIN.
    FinWait1,
    /// Our FIN is acknowledged; the peer has not closed yet.
    FinWait2,
    /// Both sides closed; late segments are awaited.
    TimeWait,
    /// No connection: not yet opened, or over (also after a reset).
    Close,
    /// The peer closed; we have not.
    CloseWait,
    /// The peer closed first, we closed too, and wait for the last acknowledgement.
    LastAck,
    /// Waiting for connections.
    Listen,
    /// Both sides closed at the same time.
    Closing,
    /// A connection request that is not a full socket yet (Linux, dumps only).
    NewSynRecv,
    /// Bound to a port but neither listening nor connected (Linux 6.8, dumps only).
    BoundInactive,
    /// A state this version of the crate does not know.
    Unknown(u8),
}

impl State {
    /// The state behind Linux's number (`enum` in `include/net/tcp_states.h`).
    #[inline]
    pub const fn from_linux(code: u8) -> Self {
        match code {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynRecv,
            13 => Self::BoundInactive,
            other => Self::Unknown(other),
        }
    }

    /// The state behind the number that macOS, FreeBSD, NetBSD and OpenBSD use (`TCPS_*` in
    /// `netinet/tcp_fsm.h`).
    #[inline]
    pub const fn from_bsd(code: u8) -> Self {
        match code {
            0 => Self::Close,
            1 => Self::Listen,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::Established,
            5 => Self::CloseWait,
            6 => Self::FinWait1,
            7 => Self::Closing,
            8 => Self::LastAck,
            9 => Self::FinWait2,
            10 => Self::TimeWait,
            other => Self::Unknown(other),
        }
    }

    /// The state behind Windows' number (`TCPSTATE` in `mstcpip.h`), which is not that of the BSDs.
    #[inline]
    pub const fn from_windows(code: u8) -> Self {
        match code {
            0 => Self::Close,
            1 => Self::Listen,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::Established,
            5 => Self::FinWait1,
            6 => Self::FinWait2,
            7 => Self::CloseWait,
            8 => Self::Closing,
            9 => Self::LastAck,
            10 => Self::TimeWait,
            other => Self::Unknown(other),
        }
    }

    /// Whether the handshake was completed at some time, so far as the state alone can tell: a
    /// closed socket may never have been connected.
    #[inline]
    pub(crate) const fn is_past_handshake(self) -> bool {
        !matches!(
            self,
            Self::Listen | Self::SynSent | Self::SynRecv | Self::NewSynRecv | Self::BoundInactive
        )
    }

    /// The name as Linux spells it, without its `TCP_` prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
            Self::BoundInactive => "BOUND_INACTIVE",
            Self::Unknown(_) => "UNKNOWN",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) => write!(f, "UNKNOWN({code})"),
            known => f.write_str(known.name()),
        }
    }
}

/// State of the sender's loss recovery (Linux `tcpi_ca_state`).
///
/// ```
/// use tcpinfo::CaState;
///
/// assert_eq!(CaState::from_linux(3).to_string(), "Recovery");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CaState {
    /// Nothing is wrong.
    Open,
    /// Duplicate acknowledgements or SACKs arrived; not yet taken for a loss.
    Disorder,
    /// The window is being reduced after an explicit congestion notification or local congestion.
    Cwr,
    /// Fast retransmit is under way.
    Recovery,
    /// A retransmission timeout happened.
    Loss,
    /// A state this version of the crate does not know.
    Unknown(u8),
}

impl CaState {
    /// The state behind Linux's number (`enum tcp_ca_state` in `include/uapi/linux/tcp.h`).
    #[inline]
    pub const fn from_linux(code: u8) -> Self {
        match code {
            0 => Self::Open,
            1 => Self::Disorder,
            2 => Self::Cwr,
            3 => Self::Recovery,
            4 => Self::Loss,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for CaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Disorder => "Disorder",
            Self::Cwr => "CWR",
            Self::Recovery => "Recovery",
            Self::Loss => "Loss",
            Self::Unknown(code) => return write!(f, "Unknown({code})"),
        })
    }
}

/// Why TCP Fast Open did not carry data in the client's SYN (Linux `tcpi_fastopen_client_fail`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FastOpenFailure {
    /// No failure, or no reason recorded.
    Unspecified,
    /// There was no cookie for this server.
    CookieUnavailable,
    /// The server did not acknowledge the data in the SYN.
    DataNotAcked,
    /// The SYN with data was retransmitted without it.
    SynRetransmitted,
}

impl FastOpenFailure {
    pub(crate) const fn from_linux(code: u8) -> Self {
        match code & 3 {
            1 => Self::CookieUnavailable,
            2 => Self::DataNotAcked,
            3 => Self::SynRetransmitted,
            _ => Self::Unspecified,
        }
    }
}

impl fmt::Display for FastOpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "Unspecified",
            Self::CookieUnavailable => "CookieUnavailable",
            Self::DataNotAcked => "DataNotAcked",
            Self::SynRetransmitted => "SynRetransmitted",
        })
    }
}

/// Which kind of explicit congestion notification is in use (Linux 7.0 `tcpi_ecn_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EcnMode {
    /// None.
    Disabled,
    /// Classic ECN, RFC 3168.
    Rfc3168,
    /// Accurate ECN.
    AccEcn,
    /// Accurate ECN was offered; the handshake has not settled it.
    Pending,
}

impl EcnMode {
    pub(crate) const fn from_linux(code: u8) -> Self {
        match code & 3 {
            1 => Self::Rfc3168,
            2 => Self::AccEcn,
            3 => Self::Pending,
            _ => Self::Disabled,
        }
    }
}

impl fmt::Display for EcnMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "Disabled",
            Self::Rfc3168 => "RFC3168",
            Self::AccEcn => "AccECN",
            Self::Pending => "Pending",
        })
    }
}

/// What was seen of the peer's Accurate ECN option (Linux 6.18 `tcpi_accecn_opt_seen`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccEcnOption {
    /// No option arrived.
    NotSeen,
    /// The option arrived without counters.
    EmptySeen,
    /// The option arrived with counters.
    CounterSeen,
    /// The option arrived and was found invalid.
    Failed,
}

impl AccEcnOption {
    pub(crate) const fn from_linux(code: u8) -> Self {
        match code & 3 {
            1 => Self::EmptySeen,
            2 => Self::CounterSeen,
            3 => Self::Failed,
            _ => Self::NotSeen,
        }
    }
}

impl fmt::Display for AccEcnOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSeen => "NotSeen",
            Self::EmptySeen => "EmptySeen",
            Self::CounterSeen => "CounterSeen",
            Self::Failed => "Failed",
        })
    }
}
