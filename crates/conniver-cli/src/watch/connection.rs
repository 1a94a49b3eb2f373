//! One connection as it is kept between two looks.

use std::{net::SocketAddr, time::Instant};

use sockdiag::{Entry, EntryBuf};
use tcpinfo::native::{Lent, linux::LinuxTcpInfo};

/// One connection: what the kernel told of it, and what has changed since.
///
/// What is shown of it is decoded when it is shown, since most connections are not visible.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    told: EntryBuf,
    cookie: u64,
    /// What changes are counted from.
    base: Counters,
    base_at: Instant,
    change: Option<Change>,
    is_new: bool,
}

impl Connection {
    pub(crate) fn new(entry: Entry<'_>, at: Instant) -> Self {
        let base = entry.native_tcp_info().as_ref().map(Counters::of).unwrap_or_default();
        Self {
            told: entry.to_buf(),
            cookie: entry.cookie(),
            base,
            base_at: at,
            change: None,
            is_new: false,
        }
    }

    /// The kernel's identity of it.
    pub(crate) const fn cookie(&self) -> u64 {
        self.cookie
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
        self.told.entry()
    }

    pub(crate) fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.entry().local_addr(), self.entry().remote_addr())
    }

    /// What has changed since the look before; absent if it was not there, or tells nothing.
    pub(crate) const fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// Whether the look before did not show it.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    pub(crate) const fn mark_new(&mut self) {
        self.is_new = true;
    }

    /// The same connection as the last look had it.
    ///
    /// Of a look that follows soon upon another, because somebody asked for it, nothing but noise could
    /// be told: what was told before stays.
    pub(crate) fn follow(&mut self, before: &Self) {
        if self.ends() != before.ends() {
            // A program may use its socket again for another connection.
            self.is_new = true;
            return;
        }
        let seconds = self.base_at.saturating_duration_since(before.base_at).as_secs_f64();
        if seconds >= SHORTEST_SECONDS {
            self.change = Change::between(&before.base, &self.base, seconds);
        } else {
            self.change = before.change;
            self.base = before.base;
            self.base_at = before.base_at;
        }
    }
}

/// The time over which changes are counted at least.
const SHORTEST_SECONDS: f64 = 0.09;

/// What is compared from look to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) bytes_acked: Option<u64>,
    pub(crate) bytes_received: Option<u64>,
    pub(crate) bytes_sent: Option<u64>,
    pub(crate) bytes_retrans: Option<u64>,
    pub(crate) total_retrans: Option<u32>,
    pub(crate) segs_out: Option<u32>,
    pub(crate) segs_in: Option<u32>,
    pub(crate) rtt_micros: Option<i64>,
    pub(crate) cwnd: Option<u32>,
}

impl Counters {
    fn of(info: &LinuxTcpInfo<Lent<'_>>) -> Self {
        Self {
            bytes_acked: info.bytes_acked().value(),
            bytes_received: info.bytes_received().value(),
            bytes_sent: info.bytes_sent().value(),
            bytes_retrans: info.bytes_retrans().value(),
            total_retrans: info.total_retrans().value(),
            segs_out: info.segs_out().value(),
            segs_in: info.segs_in().value(),
            rtt_micros: info.rtt().value().and_then(|rtt| i64::try_from(rtt.as_micros()).ok()),
            cwnd: info.snd_cwnd().value(),
        }
    }
}

/// What has changed from one look to the next: each absent if either look did not tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// Bytes a second that the peer has acknowledged.
    pub(crate) tx: Option<f64>,
    /// Bytes a second that were received in order.
    pub(crate) rx: Option<f64>,
    /// Bytes a second that were sent, those again included.
    pub(crate) sent: Option<f64>,
    /// Bytes that were sent, and how many of them again.
    pub(crate) new_sent: Option<u64>,
    pub(crate) new_resent: Option<u64>,
    /// Segments sent again, all and a second.
    pub(crate) new_retrans: Option<u32>,
    pub(crate) retrans: Option<f64>,
    pub(crate) segs_out: Option<f64>,
    pub(crate) segs_in: Option<f64>,
    pub(crate) rtt_micros: Option<i64>,
    pub(crate) cwnd: Option<i64>,
}

impl Change {
    pub(crate) fn between(before: &Counters, now: &Counters, seconds: f64) -> Option<Self> {
        // One that fell was begun anew, and the others with it.
        let is_anew = [
            (before.bytes_acked, now.bytes_acked),
            (before.bytes_received, now.bytes_received),
            (before.bytes_sent, now.bytes_sent),
        ];
        if is_anew.iter().any(|(before, now)| matches!((before, now), (Some(b), Some(n)) if n < b))
        {
            return None;
        }
        let long = |before: Option<u64>, now: Option<u64>| now?.checked_sub(before?);
        let rate = |difference: Option<u64>| Some(difference? as f64 / seconds);
        let short_rate = |before, now| rate(short_difference(before, now).map(u64::from));
        let both = |before: Option<i64>, now: Option<i64>| Some(now? - before?);
        let new_retrans = short_difference(before.total_retrans, now.total_retrans);
        let new_sent = long(before.bytes_sent, now.bytes_sent);
        Some(Self {
            tx: rate(long(before.bytes_acked, now.bytes_acked)),
            rx: rate(long(before.bytes_received, now.bytes_received)),
            sent: rate(new_sent),
            new_sent,
            new_resent: long(before.bytes_retrans, now.bytes_retrans),
            new_retrans,
            retrans: rate(new_retrans.map(u64::from)),
            segs_out: short_rate(before.segs_out, now.segs_out),
            segs_in: short_rate(before.segs_in, now.segs_in),
            rtt_micros: both(before.rtt_micros, now.rtt_micros),
            cwnd: both(before.cwnd.map(i64::from), now.cwnd.map(i64::from)),
        })
    }

    /// Bytes a second both ways.
    pub(crate) fn throughput(&self) -> Option<f64> {
        match (self.tx, self.rx) {
            (None, None) => None,
            (tx, rx) => Some(tx.unwrap_or(0.0) + rx.unwrap_or(0.0)),
        }
    }
}

/// The difference of two readings of a counter of 32 bits, which begins at zero again after its largest
/// number. One that fell otherwise tells nothing.
fn short_difference(before: Option<u32>, now: Option<u32>) -> Option<u32> {
    let difference = now?.wrapping_sub(before?);
    (difference <= u32::MAX / 2).then_some(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(bytes: u64, retrans: u32) -> Counters {
        Counters {
            bytes_acked: Some(bytes),
            bytes_received: Some(bytes),
            bytes_sent: Some(bytes),
            total_retrans: Some(retrans),
            ..Counters::default()
        }
    }

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let change = Change::between(&counters(1_000, 5), &counters(3_000, 6), 2.0).unwrap();
        assert_eq!((change.tx, change.rx), (Some(1_000.0), Some(1_000.0)));
        assert_eq!((change.new_retrans, change.retrans), (Some(1), Some(0.5)));
        assert_eq!(change.throughput(), Some(2_000.0));
        // What was not told is not zero.
        assert_eq!((change.segs_out, change.rtt_micros, change.new_resent), (None, None, None));
    }

    #[test]
    fn a_counter_of_32_bits_goes_on_after_its_largest_number() {
        let change = Change::between(&counters(0, u32::MAX - 1), &counters(0, 3), 1.0).unwrap();
        assert_eq!(change.new_retrans, Some(5));
        let change = Change::between(&counters(0, 9), &counters(0, 3), 1.0).unwrap();
        assert_eq!(change.new_retrans, None);
    }

    #[test]
    fn a_socket_that_was_begun_anew_has_no_rates() {
        assert_eq!(Change::between(&counters(5_000, 5), &counters(100, 6), 1.0), None);
    }
}
