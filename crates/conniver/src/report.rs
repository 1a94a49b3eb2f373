use std::{
    any::Any,
    fmt, io,
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tcpinfo::{Packed, System, TcpInfo, Thresholds};

use crate::{CloseReason, ConnId, Failure, Role, Timestamp, block::Block, clock};

/// A connection at one moment of its life.
///
/// ```
/// use std::io::Write;
/// use conniver::Options;
///
/// let mut conn = Options::new().wrap_opaque(Vec::new());
/// conn.write_all(b"hello").unwrap();
/// assert_eq!(conn.snapshot().tx_bytes, 5);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Identity of the connection in this process.
    pub id: ConnId,
    /// Client or server side, if the caller said so.
    pub role: Option<Role>,
    /// Address of our end, valid also after the close.
    pub local_addr: Option<SocketAddr>,
    /// Address of the other end, valid also after the close.
    pub remote_addr: Option<SocketAddr>,
    /// When the stream was wrapped.
    pub opened_at: Timestamp,
    /// The moment that this snapshot shows; for the last one before a close to the scheduler's tick.
    pub taken_at: Timestamp,
    /// When the first byte arrived.
    pub first_rx_at: Option<Timestamp>,
    /// When the first byte was sent.
    pub first_tx_at: Option<Timestamp>,
    /// When data last arrived, to the scheduler's tick (1 to 10 ms).
    pub last_rx_at: Option<Timestamp>,
    /// When data was last sent, to the scheduler's tick (1 to 10 ms).
    pub last_tx_at: Option<Timestamp>,
    /// When the peer's end of stream was read.
    pub rx_ended_at: Option<Timestamp>,
    /// When our side was shut down for writing, before the close.
    pub tx_ended_at: Option<Timestamp>,
    /// Bytes that the program received.
    pub rx_bytes: u64,
    /// Bytes that the program sent.
    pub tx_bytes: u64,
    /// Reads that moved at least one byte.
    pub rx_ops: u64,
    /// Writes that moved at least one byte.
    pub tx_ops: u64,
    /// Last error of a read. A passed deadline and "would block" are none.
    pub rx_err: Option<Failure>,
    /// Last error of a write. A passed deadline and "would block" are none.
    pub tx_err: Option<Failure>,
    /// Why kernel facts are missing.
    pub info_err: Option<Failure>,
    /// Attempts that failed before this connection was made, as the caller set it.
    pub reconnects: u32,
    info: Option<Packed>,
    block: Arc<Block>,
}

impl Snapshot {
    /// `now` may be a coarse reading of the clock.
    #[inline(always)]
    pub(crate) fn take(block: &Arc<Block>, now: u64) -> Self {
        let anchor = &block.anchor;
        let moment = |at: u64| (at != 0).then(|| anchor.at(at));
        let (rx, tx) = (block.rx_counts(), block.tx_counts());
        let failures = block.failures();
        // A coarse reading may lag behind what was stamped with an exact one.
        let stamped = [rx.last_at, tx.last_at, rx.ended_at, tx.ended_at].into_iter().max();
        Self {
            id: block.id,
            role: block.labels.role,
            local_addr: block.local_addr,
            remote_addr: block.remote_addr,
            opened_at: anchor.opened(),
            taken_at: anchor.at(now.max(stamped.unwrap_or(0))),
            first_rx_at: moment(rx.first_at),
            first_tx_at: moment(tx.first_at),
            last_rx_at: moment(rx.last_at),
            last_tx_at: moment(tx.last_at),
            rx_ended_at: moment(rx.ended_at),
            tx_ended_at: moment(tx.ended_at),
            rx_bytes: rx.bytes,
            tx_bytes: tx.bytes,
            rx_ops: rx.ops,
            tx_ops: tx.ops,
            rx_err: failures.rx,
            tx_err: failures.tx,
            info_err: failures.info,
            reconnects: block.reconnects.load(Relaxed),
            info: None,
            block: Arc::clone(block),
        }
    }

    /// Adds the kernel facts of this moment.
    pub(crate) fn set_info(&mut self, answer: Result<Packed, tcpinfo::Error>) {
        match answer {
            Ok(info) => self.info = Some(info),
            Err(error) => self.info_err = Some(Failure::from(error)),
        }
    }

    /// Time since the stream was wrapped.
    pub const fn age(&self) -> Duration {
        self.taken_at.since(self.opened_at)
    }

    /// The label given by [`Options::category`](crate::Options::category).
    pub fn category(&self) -> Option<&str> {
        self.block.labels.category.as_deref()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn category_shared(&self) -> Option<&Arc<str>> {
        self.block.labels.category.as_ref()
    }

    /// The value given by [`Options::context`](crate::Options::context), if it is of this type.
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.block.labels.context.as_ref()?.downcast_ref()
    }

    /// What the kernel knew when the stream was wrapped.
    pub fn opened_info(&self) -> Option<TcpInfo> {
        self.block.opened_info.as_ref().map(Packed::unpack)
    }

    /// What the kernel knew at the moment of this snapshot. It is asked right before the close.
    pub fn info(&self) -> Option<TcpInfo> {
        self.info.as_ref().map(Packed::unpack)
    }

    pub(crate) const fn packed_info(&self) -> Option<&Packed> {
        self.info.as_ref()
    }

    /// What the kernel knew right before our side was shut down for writing, if it was.
    pub fn shutdown_info(&self) -> Option<TcpInfo> {
        self.block.shutdown_info().map(Packed::unpack)
    }

    /// What deserves attention in the facts of both samples, by the default [`Thresholds`]; each
    /// kind at most once.
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings_above(&Thresholds::default())
    }

    /// What in the facts of both samples reaches the given thresholds; each kind at most once.
    pub fn warnings_above(&self, thresholds: &Thresholds) -> Vec<Warning> {
        let mut kernel = Vec::new();
        for info in [self.opened_info(), self.info()].into_iter().flatten() {
            tcpinfo::Warning::merge(&mut kernel, info.warnings_above(thresholds));
        }
        let reconnects = (self.reconnects > 0).then_some(Warning::Reconnects(self.reconnects));
        reconnects.into_iter().chain(kernel.into_iter().map(Warning::Kernel)).collect()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("category", &self.category())
            .field("local_addr", &self.local_addr)
            .field("remote_addr", &self.remote_addr)
            .field("age", &self.age())
            .field("rx_bytes", &self.rx_bytes)
            .field("tx_bytes", &self.tx_bytes)
            .field("rx_err", &self.rx_err)
            .field("tx_err", &self.tx_err)
            .field("info_err", &self.info_err)
            .finish_non_exhaustive()
    }
}

/// What is left of a connection when it ended: its last snapshot, and how it was closed.
///
/// It borrows nothing and may be kept or sent to another thread. Its text is one line.
///
/// ```
/// use std::io::Read;
/// use conniver::Options;
///
/// let mut conn = Options::new().wrap_opaque(&b"hello"[..]);
/// conn.read_to_end(&mut Vec::new()).unwrap();
///
/// let (_, report) = conn.into_inner();
/// assert_eq!(report.rx_bytes, 5);
/// assert!(report.rx_ended_at.is_some());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The connection right before it was closed.
    pub last: Snapshot,
    /// When it was closed, or given back by [`Conn::into_inner`](crate::Conn::into_inner).
    pub closed_at: Timestamp,
    /// Why it ended.
    pub reason: CloseReason,
    /// What the operating system said to an explicit [`Conn::close`](crate::Conn::close).
    pub close_err: Option<Failure>,
}

impl Report {
    /// The report of a connection that is about to end, made where it will stay.
    #[inline(always)]
    pub(crate) fn begin(block: &Arc<Block>) -> Self {
        let last = Snapshot::take(block, clock::coarse());
        Self { closed_at: last.taken_at, last, reason: CloseReason::Unknown, close_err: None }
    }

    /// States that the connection has ended now, and why.
    pub(crate) fn finish(&mut self, reason: CloseReason) {
        self.reason = reason;
        let block = &self.last.block;
        let now = clock::precise();
        block.end(now);
        self.closed_at = block.anchor.at(now);
    }

    /// How long the connection lived.
    pub const fn duration(&self) -> Duration {
        self.closed_at.since(self.last.opened_at)
    }

    /// What the kernel knew right before the descriptor closed.
    pub fn closed_info(&self) -> Option<TcpInfo> {
        self.last.info()
    }

    /// Payload that the kernel sent while the stream was wrapped, without retransmissions.
    ///
    /// Less than [`tx_bytes`](Snapshot::tx_bytes) by what was still queued at the close; more by what
    /// was sent past the wrapper. Absent on Windows, which does not say whether its number holds the
    /// retransmissions.
    pub fn kernel_tx_bytes(&self) -> Option<u64> {
        let sent = |info: TcpInfo| match info.native().system() {
            System::Windows => None,
            _ => info.tx_bytes()?.checked_sub(info.retransmitted_bytes()?),
        };
        sent(self.closed_info()?)?.checked_sub(sent(self.opened_info()?)?)
    }

    /// Payload that the kernel received while the stream was wrapped; Linux adds one for the peer's
    /// end of stream.
    ///
    /// More than [`rx_bytes`](Snapshot::rx_bytes) by what was never read, or read past the wrapper.
    pub fn kernel_rx_bytes(&self) -> Option<u64> {
        self.closed_info()?.rx_bytes()?.checked_sub(self.opened_info()?.rx_bytes()?)
    }
}

/// What a connection leaves that is not in its block: a report not yet written.
#[derive(Clone)]
pub(crate) struct Remains {
    pub(crate) reason: CloseReason,
    block: Arc<Block>,
    info: Option<Packed>,
    /// Hardly ever there.
    errors: Option<Box<Errors>>,
}

#[derive(Clone, Default)]
struct Errors {
    info: Option<Failure>,
    close: Option<Failure>,
}

impl Remains {
    pub(crate) fn of(block: &Arc<Block>) -> Self {
        Self { reason: CloseReason::Unknown, block: Arc::clone(block), info: None, errors: None }
    }

    pub(crate) fn set_info(&mut self, answer: Result<Packed, tcpinfo::Error>) {
        match answer {
            Ok(info) => self.info = Some(info),
            Err(error) => self.errors.get_or_insert_default().info = Some(Failure::from(error)),
        }
    }

    pub(crate) fn set_close_err(&mut self, error: &io::Error) {
        self.errors.get_or_insert_default().close = Some(Failure::from(error));
    }

    pub(crate) fn id(&self) -> ConnId {
        self.block.id
    }

    #[cfg(feature = "prometheus-client")]
    pub(crate) const fn info(&self) -> Option<&Packed> {
        self.info.as_ref()
    }

    pub(crate) fn closed_at(&self) -> Timestamp {
        self.block.anchor.at(self.block.ended_at.load(Relaxed))
    }

    /// The report. What the block says has not changed since the end.
    pub(crate) fn report(&self) -> Report {
        let ended_at = self.block.ended_at.load(Relaxed);
        let mut last = Snapshot::take(&self.block, ended_at);
        let errors = self.errors.as_deref().cloned().unwrap_or_default();
        last.info = self.info.clone();
        last.info_err = errors.info.or(last.info_err);
        Report { last, closed_at: self.closed_at(), reason: self.reason, close_err: errors.close }
    }
}

impl From<Report> for Remains {
    fn from(report: Report) -> Self {
        let Report { last, reason, close_err, .. } = report;
        let errors = Errors { info: last.info_err, close: close_err };
        let has_errors = errors.info.is_some() || errors.close.is_some();
        let errors = has_errors.then(|| Box::new(errors));
        Self { reason, block: last.block, info: last.info, errors }
    }
}

impl Deref for Report {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.last
    }
}

/// One line: who, how long, how much, how healthy, what went wrong.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |address: Option<SocketAddr>| {
            address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
        };
        if let Some(category) = self.category() {
            write!(f, "{category} ")?;
        }
        if let Some(role) = self.role {
            write!(f, "{role} ")?;
        }
        write!(f, "{} -> {}", address(self.local_addr), address(self.remote_addr))?;
        write!(f, " {:?} tx={} rx={}", self.duration(), self.tx_bytes, self.rx_bytes)?;
        write!(f, " reason={}", self.reason)?;
        for (name, info) in [("open", self.opened_info()), ("close", self.closed_info())] {
            if let Some((rtt, var)) = info.and_then(|info| Some((info.rtt()?, info.rtt_var()?))) {
                write!(f, " {name}_rtt={rtt:?}/{var:?}")?;
            }
        }
        let failures = [
            ("rx_err", &self.rx_err),
            ("tx_err", &self.tx_err),
            ("close_err", &self.close_err),
            ("info_err", &self.info_err),
        ];
        for (name, failure) in failures {
            if let Some(failure) = failure {
                write!(f, " {name}={:?}", failure.text)?;
            }
        }
        for warning in self.warnings() {
            write!(f, " {warning}")?;
        }
        Ok(())
    }
}

/// Something in a connection's report that deserves attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// This many attempts failed before the connection was made.
    Reconnects(u32),
    /// What the kernel's facts say.
    Kernel(tcpinfo::Warning),
}

/// As `name=number`.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reconnects(count) => write!(f, "reconnects={count}"),
            Self::Kernel(warning) => warning.fmt(f),
        }
    }
}
