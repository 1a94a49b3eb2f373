//! The state of one connection that others may read: one block, no lock on the way of a byte.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use tcpinfo::{Packed, TcpInfo};

use crate::{
    ConnId, Failure,
    clock::{self, Anchor},
    mark::Marks,
    options::Labels,
    slot::{KernelCounts, Slot, Told},
    thread_token::thread_token,
};

/// Everything known of a connection while it lives, and of which its report is made.
///
/// The order of the fields is that in memory: what never changes lies between the two directions,
/// so that two threads, one a direction, do not share a cache line.
#[repr(C)]
pub(crate) struct Block {
    pub(crate) rx: Direction,
    pub(crate) id: ConnId,
    pub(crate) anchor: Anchor,
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) tx: Direction,
    pub(crate) labels: Arc<Labels>,
    pub(crate) opened_info: Option<Packed>,
    /// When the connection was closed or given back, by the monotonic clock; zero while it lives.
    pub(crate) ended_at: AtomicU64,
    pub(crate) reconnects: AtomicU32,
    /// The group that a tracker counts it in.
    pub(crate) group: u32,
    /// Where the kernel can be asked from outside.
    pub(crate) slot: Slot,
    /// Whether there ever was a socket in the slot.
    has_socket: bool,
    /// A write is waiting for room.
    is_writing: AtomicBool,
    /// Facts are wanted, and the stream lends no socket.
    facts_unavailable: bool,
    /// Made for the first of what it holds: most connections never have any, or only at their end.
    rare: OnceLock<Box<Rare>>,
}

/// What most connections do without.
#[derive(Default)]
pub(crate) struct Rare {
    /// Facts of the moment before our side was shut down for writing.
    pub(crate) shutdown_info: OnceLock<Packed>,
    /// Made for the first error.
    failures: OnceLock<Box<Mutex<Failures>>>,
    /// Made for the first thread that shares a direction with its owner.
    spills: OnceLock<Box<Spills>>,
    /// Marks that were set on the connection, and those that still are.
    pub(crate) marks: Marks,
    /// Requests that were begun on the connection, as far as anybody said so.
    pub(crate) exchanges: AtomicU64,
}

/// The last error of each sort.
#[derive(Debug, Default, Clone)]
pub(crate) struct Failures {
    pub(crate) rx: Option<Failure>,
    pub(crate) tx: Option<Failure>,
    pub(crate) info: Option<Failure>,
}

impl Block {
    /// The block of a stream whose socket was asked for the given facts, or not asked at all.
    pub(crate) fn new(
        labels: Arc<Labels>,
        anchor: Anchor,
        addresses: (Option<SocketAddr>, Option<SocketAddr>),
        opened_info: Option<Result<Packed, tcpinfo::Error>>,
    ) -> Self {
        let mut block = Self::opaque(labels, false, anchor, addresses);
        match opened_info {
            Some(Ok(info)) => block.opened_info = Some(info),
            Some(Err(error)) => block.note_info_error(error),
            None => {}
        }
        block
    }

    /// The block of a stream that has no socket.
    #[inline(always)]
    pub(crate) fn opaque(
        labels: Arc<Labels>,
        facts_unavailable: bool,
        anchor: Anchor,
        (local_addr, remote_addr): (Option<SocketAddr>, Option<SocketAddr>),
    ) -> Self {
        Self {
            rx: Direction::default(),
            id: ConnId::next(),
            anchor,
            local_addr,
            remote_addr,
            tx: Direction::default(),
            labels,
            opened_info: None,
            ended_at: AtomicU64::new(0),
            reconnects: AtomicU32::new(0),
            group: 0,
            slot: Slot::empty(),
            has_socket: false,
            is_writing: AtomicBool::new(false),
            facts_unavailable,
            rare: OnceLock::new(),
        }
    }

    /// Counts what a read into `room` bytes through `&mut` did.
    #[inline]
    pub(crate) fn received(&self, room: usize, result: &io::Result<usize>) {
        self.note_end_of_stream(room, result);
        self.count(Side::Rx, result, Direction::add);
    }

    /// Counts what a read through `&` did, which another thread may do at the same time.
    #[inline]
    pub(crate) fn received_shared(&self, room: usize, result: &io::Result<usize>) {
        self.note_end_of_stream(room, result);
        self.count(Side::Rx, result, |rx, bytes| rx.add_shared(bytes, || &self.spills().rx));
    }

    /// Counts what a write through `&mut` did.
    #[inline]
    pub(crate) fn sent(&self, result: &io::Result<usize>) {
        self.count(Side::Tx, result, Direction::add);
    }

    /// Counts what a write through `&` did, which another thread may do at the same time.
    #[inline]
    pub(crate) fn sent_shared(&self, result: &io::Result<usize>) {
        self.count(Side::Tx, result, |tx, bytes| tx.add_shared(bytes, || &self.spills().tx));
    }

    /// A read that had room and got nothing has met the end of the stream.
    #[inline]
    fn note_end_of_stream(&self, room: usize, result: &io::Result<usize>) {
        if room > 0 && matches!(result, Ok(0)) {
            self.rx.end();
        }
    }

    #[inline]
    fn count(
        &self,
        side: Side,
        result: &io::Result<usize>,
        add: impl FnOnce(&Direction, NonZeroU64),
    ) {
        match result {
            Ok(moved) => {
                if let Some(bytes) = NonZeroU64::new(u64::try_from(*moved).unwrap_or(u64::MAX)) {
                    add(self.direction(side), bytes);
                }
            }
            Err(error) => self.note_error(side, error),
        }
    }

    /// Notes that our side was shut down for writing, or why not.
    pub(crate) fn shut_down(&self, result: &io::Result<()>) {
        self.note_shutdown_error(Side::Tx, result);
        if result.is_ok() {
            self.tx.end();
        }
    }

    /// That the peer was faster says nothing about the connection which was not known before.
    pub(crate) fn note_shutdown_error(&self, side: Side, result: &io::Result<()>) {
        if let Err(error) = result {
            if error.kind() != io::ErrorKind::NotConnected {
                self.note_error(side, error);
            }
        }
    }

    /// Notes whether a write waits for room.
    #[inline]
    #[cfg(feature = "tokio")]
    pub(crate) fn set_writing(&self, is_writing: bool) {
        // Looked at first, because storing takes the line from whoever reads it.
        if self.is_writing.load(Relaxed) != is_writing {
            self.is_writing.store(is_writing, Relaxed);
        }
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.is_writing.load(Relaxed)
    }

    /// Marks the connection as over for those who still hold a handle.
    pub(crate) fn end(&self, now: u64) {
        self.ended_at.store(now, Relaxed);
    }

    /// Allows to ask the stream's socket from outside, until [`close_slot`](Self::close_slot).
    pub(crate) fn open_slot(&mut self, slot: Slot) {
        self.slot = slot;
        self.has_socket = true;
    }

    /// When this returns, nobody asks the socket from outside.
    #[inline]
    pub(crate) fn close_slot(&self) {
        if self.has_socket {
            self.slot.clear();
        }
    }

    /// What the kernel had counted when it was last asked for it. Of a stream without a socket it
    /// counts nothing, and there is no need to lock.
    #[inline]
    pub(crate) fn kernel_counts(&self) -> Option<(KernelCounts, Told)> {
        (self.has_socket || self.opened_info.is_some()).then(|| self.slot.counts())
    }

    /// The same after asking the kernel, if it can be asked from outside, and showing its answer.
    pub(crate) fn fresh_kernel_counts(
        &self,
        look: impl FnOnce(&TcpInfo),
    ) -> Option<(KernelCounts, Told)> {
        if self.has_socket { Some(self.slot.count(look)) } else { self.kernel_counts() }
    }

    /// How long the connection lived; zero while it lives.
    pub(crate) fn lived(&self) -> Duration {
        self.anchor.until(self.ended_at.load(Relaxed))
    }

    pub(crate) fn rx_counts(&self) -> Counts {
        self.rx.counts(self.spilled().map(|spills| &spills.rx))
    }

    pub(crate) fn tx_counts(&self) -> Counts {
        self.tx.counts(self.spilled().map(|spills| &spills.tx))
    }

    /// What the kernel knew right before our side was shut down for writing, if it was.
    pub(crate) fn shutdown_info(&self) -> Option<&Packed> {
        self.rare.get()?.shutdown_info.get()
    }

    pub(crate) fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    fn spilled(&self) -> Option<&Spills> {
        self.rare.get()?.spills.get().map(|spills| &**spills)
    }

    fn spills(&self) -> &Spills {
        self.rare().spills.get_or_init(Box::default)
    }

    #[inline]
    fn direction(&self, side: Side) -> &Direction {
        match side {
            Side::Rx => &self.rx,
            Side::Tx => &self.tx,
        }
    }

    /// Remembers an error, unless it says nothing about the connection.
    #[cold]
    pub(crate) fn note_error(&self, side: Side, error: &io::Error) {
        if Failure::is_failure(error) {
            let failure = Some(Failure::from(error));
            self.note_failure(|failures| match side {
                Side::Rx => failures.rx = failure,
                Side::Tx => failures.tx = failure,
            });
        }
    }

    #[cold]
    pub(crate) fn note_info_error(&self, error: tcpinfo::Error) {
        self.note_failure(|failures| failures.info = Some(Failure::from(error)));
    }

    pub(crate) fn failures(&self) -> Failures {
        let mut failures = match self.rare.get().and_then(|rare| rare.failures.get()) {
            Some(failures) => failures.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => Failures::default(),
        };
        if self.facts_unavailable {
            failures.info = Some(Failure::facts_unavailable());
        }
        failures
    }

    fn note_failure(&self, note: impl FnOnce(&mut Failures)) {
        let failures = self.rare().failures.get_or_init(Box::default);
        note(&mut failures.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which way bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Rx,
    Tx,
}

/// The counters of one direction.
///
/// One thread at a time writes them with plain loads and stores, which cost a tenth of an atomic
/// addition: the holder of `&mut`, or the first thread that came by `&`. Should another thread read
/// or write in the same direction through `&`, it counts in a [`Spill`], and the sum is exact.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Direction {
    bytes: AtomicU64,
    ops: AtomicU64,
    first_at: AtomicU64,
    last_at: AtomicU64,
    ended_at: AtomicU64,
    owner: AtomicU64,
}

/// Counters of threads that share a direction with its owner, for both directions.
#[derive(Default)]
struct Spills {
    rx: Spill,
    tx: Spill,
}

#[derive(Default)]
struct Spill {
    bytes: AtomicU64,
    ops: AtomicU64,
    last_at: AtomicU64,
}

/// A consistent enough reading of a direction; moments are of the monotonic clock, zero for never.
pub(crate) struct Counts {
    pub(crate) bytes: u64,
    pub(crate) ops: u64,
    pub(crate) first_at: u64,
    pub(crate) last_at: u64,
    pub(crate) ended_at: u64,
}

impl Direction {
    /// Adds one operation; the caller is the only one to write this direction.
    #[inline]
    fn add(&self, bytes: NonZeroU64) {
        let mut now = clock::coarse();
        if self.first_at.load(Relaxed) == 0 {
            now = self.begin();
        }
        self.last_at.store(now, Relaxed);
        self.bytes.store(self.bytes.load(Relaxed).wrapping_add(bytes.get()), Relaxed);
        self.ops.store(self.ops.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Adds one operation, perhaps while another thread does the same.
    #[inline]
    fn add_shared<'a>(&self, bytes: NonZeroU64, spill: impl FnOnce() -> &'a Spill) {
        let token = thread_token();
        if token != 0 && self.owner.load(Relaxed) == token {
            self.add(bytes);
        } else {
            self.add_as_newcomer(token, bytes, spill);
        }
    }

    #[cold]
    fn add_as_newcomer<'a>(
        &self,
        token: u64,
        bytes: NonZeroU64,
        spill: impl FnOnce() -> &'a Spill,
    ) {
        if token != 0 && self.owner.compare_exchange(0, token, AcqRel, Acquire).is_ok() {
            return self.add(bytes);
        }
        let now = if self.first_at.load(Relaxed) == 0 { self.begin() } else { clock::coarse() };
        let spill = spill();
        // Whoever is last by less than a tick does not matter.
        spill.last_at.store(now, Relaxed);
        spill.bytes.fetch_add(bytes.get(), Relaxed);
        spill.ops.fetch_add(1, Relaxed);
    }

    /// The first byte deserves the exact clock.
    #[cold]
    fn begin(&self) -> u64 {
        let now = clock::precise();
        let _ = self.first_at.compare_exchange(0, now, Relaxed, Relaxed);
        now
    }

    /// Marks the direction as over: end of stream received, or our side shut down.
    #[cold]
    pub(crate) fn end(&self) {
        if self.ended_at.load(Relaxed) == 0 {
            let _ = self.ended_at.compare_exchange(0, clock::precise(), Relaxed, Relaxed);
        }
    }

    fn counts(&self, spill: Option<&Spill>) -> Counts {
        let first_at = self.first_at.load(Relaxed);
        let mut counts = Counts {
            bytes: self.bytes.load(Relaxed),
            ops: self.ops.load(Relaxed),
            first_at,
            // The coarse clock may lag behind the exact one that the first byte was stamped with.
            last_at: self.last_at.load(Relaxed).max(first_at),
            ended_at: self.ended_at.load(Relaxed),
        };
        if let Some(spill) = spill {
            counts.bytes = counts.bytes.wrapping_add(spill.bytes.load(Relaxed));
            counts.ops = counts.ops.wrapping_add(spill.ops.load(Relaxed));
            counts.last_at = counts.last_at.max(spill.last_at.load(Relaxed));
        }
        counts
    }
}
