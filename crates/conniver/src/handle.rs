use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

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

    /// The connection as it is now, or was at its end: counts, times and errors, without asking the
    /// kernel.
    pub fn snapshot(&self) -> Snapshot {
        let now = match self.block.ended_at.load(Relaxed) {
            0 => clock::precise(),
            ended_at => ended_at,
        };
        Snapshot::take(&self.block, now)
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

/// Identity of a wrapped connection: unique in this process, in the order of wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(NonZeroU64);

impl ConnId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NonZeroU64::new(NEXT.fetch_add(1, Relaxed)).unwrap_or(NonZeroU64::MAX))
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a connection has two sides")]
pub enum Role {
    /// We connected.
    Client,
    /// We accepted.
    Server,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}
