use std::{
    any::Any,
    cell::Cell,
    fmt,
    net::SocketAddr,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tcpinfo::TcpInfo;

use crate::{Snapshot, Timestamp, block::Block, clock};

/// Looks at a connection from anywhere, while it lives and after.
///
/// A handle does not keep the connection open.
///
/// ```
/// use std::io::Write;
/// use conniver::Options;
///
/// let mut conn = Options::new().wrap_opaque(Vec::new());
/// let handle = conn.handle();
/// conn.write_all(b"hello").unwrap();
/// assert_eq!(handle.snapshot().tx_bytes, 5);
/// ```
#[derive(Clone)]
pub struct Handle {
    block: Arc<Block>,
}

impl Handle {
    pub(crate) const fn new(block: Arc<Block>) -> Self {
        Self { block }
    }

    #[inline]
    pub(crate) const fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Identity of the connection in this process.
    pub fn id(&self) -> ConnId {
        self.block.id
    }

    /// Client or server side, if the caller said so.
    pub fn role(&self) -> Option<Role> {
        self.block.labels.role
    }

    /// The label given by [`Options::category`](crate::Options::category).
    pub fn category(&self) -> Option<&str> {
        self.block.labels.category.as_deref()
    }

    /// The value given by [`Options::context`](crate::Options::context), if it is of this type.
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.block.labels.context.as_ref()?.downcast_ref()
    }

    /// Address of our end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.block.local_addr
    }

    /// Address of the other end.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.block.remote_addr
    }

    /// When the stream was wrapped.
    pub fn opened_at(&self) -> Timestamp {
        self.block.anchor.opened()
    }

    /// When the connection was closed, or given back by
    /// [`Conn::into_inner`](crate::Conn::into_inner); absent while it lives.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let ended_at = self.block.ended_at.load(Relaxed);
        (ended_at != 0).then(|| self.block.anchor.at(ended_at))
    }

    /// Bytes that the program has received.
    pub fn rx_bytes(&self) -> u64 {
        self.block.rx_counts().bytes
    }

    /// Bytes that the program has sent.
    pub fn tx_bytes(&self) -> u64 {
        self.block.tx_counts().bytes
    }

    /// The connection as it is now, or was at its end: counts, times and errors, without asking the
    /// kernel.
    pub fn snapshot(&self) -> Snapshot {
        let now = match self.block.ended_at.load(Relaxed) {
            0 => clock::precise(),
            ended_at => ended_at,
        };
        Snapshot::take(&self.block, now)
    }

    /// Asks the kernel about the connection while its owner uses it: two system calls. Absent when
    /// the connection is over, and for streams that cannot be asked from outside: opaque ones, and
    /// those wrapped by [`Options::wrap_lending`](crate::Options::wrap_lending).
    ///
    /// An owner that closes the connection at this moment waits for the answer.
    pub fn tcp_info(&self) -> Option<Result<TcpInfo, tcpinfo::Error>> {
        self.block.slot.read()
    }

    /// Sets how many attempts failed before this connection was made; the report says so.
    pub fn set_reconnects(&self, reconnects: u32) {
        self.block.reconnects.store(reconnects, Relaxed);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id())
            .field("local_addr", &self.local_addr())
            .field("remote_addr", &self.remote_addr())
            .finish_non_exhaustive()
    }
}

/// Identity of a wrapped connection: unique in this process.
///
/// Those that one thread wraps are in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(NonZeroU64);

impl ConnId {
    /// Each thread takes numbers by the hundred, so that threads do not wait for each other.
    pub(crate) fn next() -> Self {
        const AT_ONCE: u64 = 128;
        static NEXT: AtomicU64 = AtomicU64::new(1);
        thread_local! {
            static OURS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
        }

        let taken = OURS.try_with(|ours| {
            let (mut next, mut end) = ours.get();
            if next == end {
                next = NEXT.fetch_add(AT_ONCE, Relaxed);
                end = next.wrapping_add(AT_ONCE);
            }
            ours.set((next.wrapping_add(1), end));
            next
        });
        // While a thread ends it has nothing of its own any more.
        let number = taken.unwrap_or_else(|_| NEXT.fetch_add(1, Relaxed));
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which side of a connection this program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a connection has two sides")]
pub enum Role {
    /// We connected.
    Client,
    /// We accepted.
    Server,
}

impl Role {
    /// The side in lower case, as labels of metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
