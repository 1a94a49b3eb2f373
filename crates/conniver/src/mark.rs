use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tcpinfo::TcpInfo;

use crate::{Handle, clock};

/// A point in the life of a connection, such as the start of a request on it; its
/// [`difference`](Self::difference) says what happened since.
///
/// ```
/// use std::io::Write;
/// use conniver::Options;
///
/// let mut conn = Options::new().wrap_opaque(Vec::new());
/// let mark = conn.handle().mark();
/// conn.write_all(b"request").unwrap();
/// let difference = mark.difference();
/// assert_eq!(difference.tx_bytes, 7);
/// assert!(!difference.is_shared);
/// ```
#[derive(Debug)]
pub struct Mark {
    handle: Handle,
    at: u64,
    counts: Counts,
    info: Option<TcpInfo>,
    /// How many marks had been set on the connection when this one was.
    number: u32,
    was_alone: bool,
}

/// How many marks were set on a connection, in the upper half, and how many still are, in the lower:
/// in one number, so that of two marks that are set at the same time each knows of the other.
#[derive(Default)]
pub(crate) struct Marks(AtomicU64);

impl Marks {
    const ONE: u64 = (1 << 32) + 1;

    /// How many were set with this one, and whether there was no other.
    fn set(&self) -> (u32, bool) {
        let before = self.0.fetch_add(Self::ONE, Relaxed);
        (Self::upper(before.wrapping_add(Self::ONE)), before as u32 == 0)
    }

    fn count(&self) -> u32 {
        Self::upper(self.0.load(Relaxed))
    }

    fn remove(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    const fn upper(marks: u64) -> u32 {
        (marks >> 32) as u32
    }
}

/// What a connection had moved at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    rx_bytes: u64,
    tx_bytes: u64,
}

impl Counts {
    pub(crate) fn of(handle: &Handle) -> Self {
        Self { rx_bytes: handle.rx_bytes(), tx_bytes: handle.tx_bytes() }
    }
}

/// What happened on a connection between two points.
///
/// What the kernel counts is absent if one of the two points has no facts, or this system does not
/// count it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Time between the two points.
    pub took: Duration,
    /// Bytes that the program received.
    pub rx_bytes: u64,
    /// Bytes that the program sent.
    pub tx_bytes: u64,
    /// Segments that were sent again.
    pub retransmitted_segs: Option<u64>,
    /// Payload that was sent again, in bytes.
    pub retransmitted_bytes: Option<u64>,
    /// Time during which the peer's window held back our data.
    pub peer_window_limited: Option<Duration>,
    /// Time during which our send buffer held back our data.
    pub send_buffer_limited: Option<Duration>,
    /// Smoothed round-trip time at the first point.
    pub rtt_before: Option<Duration>,
    /// Smoothed round-trip time at the second point.
    pub rtt_after: Option<Duration>,
    /// Whether the connection bore other marks between the two points: then what happened is not
    /// that of one request alone.
    pub is_shared: bool,
}

impl Handle {
    /// Marks this point in the connection's life, and asks the kernel: one system call.
    pub fn mark(&self) -> Mark {
        self.mark_since(Counts::of(self), true)
    }

    /// Marks this point in time, of which these are the counts.
    pub(crate) fn mark_since(&self, counts: Counts, facts: bool) -> Mark {
        let (number, was_alone) = self.block().rare().marks.set();
        Mark {
            at: clock::precise(),
            counts,
            info: if facts { self.numbers() } else { None },
            number,
            was_alone,
            handle: self.clone(),
        }
    }
}

impl Handle {
    fn numbers(&self) -> Option<TcpInfo> {
        self.block().slot.read_numbers()?.ok()
    }
}

impl Mark {
    /// The connection.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What happened since the mark was set. The kernel is asked again; of a connection that has
    /// ended meanwhile only what the program counted is known.
    pub fn difference(&self) -> Difference {
        let (block, before) = (self.handle.block(), &self.counts);
        let now = Counts::of(&self.handle);
        // Half an answer would be none.
        let info = self.info.as_ref().and_then(|_| self.handle.numbers());
        let both = self.info.as_ref().zip(info.as_ref());
        let grown = |count: fn(&TcpInfo) -> Option<u64>| {
            let (before, after) = both?;
            Some(grown_by(count(before)?, count(after)?))
        };
        let longer = |time: fn(&TcpInfo) -> Option<Duration>| {
            let (before, after) = both?;
            Some(time(after)?.saturating_sub(time(before)?))
        };
        Difference {
            took: Duration::from_nanos(clock::precise().saturating_sub(self.at)),
            rx_bytes: now.rx_bytes.wrapping_sub(before.rx_bytes),
            tx_bytes: now.tx_bytes.wrapping_sub(before.tx_bytes),
            retransmitted_segs: grown(TcpInfo::retransmitted_segs),
            retransmitted_bytes: grown(TcpInfo::retransmitted_bytes),
            peer_window_limited: longer(TcpInfo::peer_window_limited),
            send_buffer_limited: longer(TcpInfo::send_buffer_limited),
            rtt_before: self.info.as_ref().and_then(TcpInfo::rtt),
            rtt_after: info.as_ref().and_then(TcpInfo::rtt),
            is_shared: !self.was_alone || block.rare().marks.count() != self.number,
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.handle.block().rare().marks.remove();
    }
}

/// How much a counter has grown that may be one of 32 bits, and begin again at zero.
fn grown_by(before: u64, after: u64) -> u64 {
    match after.checked_sub(before) {
        Some(grown) => grown,
        None => after.wrapping_sub(before) & u64::from(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::grown_by;

    #[test]
    fn counters_of_32_bits_begin_again() {
        assert_eq!(grown_by(7, 12), 5);
        assert_eq!(grown_by(u64::from(u32::MAX), 2), 3);
        assert_eq!(grown_by(5, 5), 0);
    }
}
