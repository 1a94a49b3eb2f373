//! What is taken of a socket when the kernel tells of it.

use std::{net::IpAddr, time::Duration};

use sockdiag::Entry;
use tcpinfo::{State, TcpInfo, native::Native};

use super::histogram::Quantity;

/// What is taken of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) cookie: u64,
    pub(super) state: State,
    pub(super) local_port: u16,
    /// The peer, an IPv4 address as such.
    pub(super) remote: Option<IpAddr>,
    pub(super) inode: Option<u32>,
    /// Whether there is one: it was accepted, or a peer has answered.
    pub(super) is_connection: bool,
    /// Absent where the kernel keeps no full socket.
    pub(super) facts: Option<Facts>,
    pub(super) unread_bytes: u64,
    pub(super) queued_bytes: u64,
}

/// What the kernel measures and counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) counts: Counts,
    pub(super) samples: [Option<u64>; Quantity::ALL.len()],
}

impl Sight {
    /// Of a connection in a list.
    #[inline]
    pub(super) fn of_listed(entry: &Entry<'_>) -> Self {
        let (rqueue, wqueue) = (u64::from(entry.rqueue()), u64::from(entry.wqueue()));
        let is_over = matches!(
            entry.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        Self {
            is_connection: !matches!(entry.state(), State::SynSent | State::SynRecv),
            // The peer's FIN counts as one until the program has read to the end.
            unread_bytes: rqueue.saturating_sub(u64::from(is_over)),
            queued_bytes: wqueue,
            ..Self::of(entry)
        }
    }

    /// Of one that has ended.
    pub(super) fn of_ended(entry: &Entry<'_>) -> Self {
        let info = entry.tcp_info();
        // An attempt that failed has no sample, and nothing was received.
        let has_talked =
            |info: TcpInfo| info.rtt().is_some() || info.rx_bytes().is_some_and(|bytes| bytes > 0);
        Self { is_connection: info.is_some_and(has_talked), ..Self::of(entry) }
    }

    #[inline]
    fn of(entry: &Entry<'_>) -> Self {
        let remote = entry.remote_addr();
        let has_peer = remote.port() != 0;
        Self {
            cookie: entry.cookie(),
            state: entry.state(),
            local_port: entry.local_addr().port(),
            remote: has_peer.then(|| remote.ip().to_canonical()),
            inode: entry.inode(),
            is_connection: false,
            facts: entry.native_tcp_info().map(|native| {
                Facts::of(&TcpInfo::from_native(Native::Linux(native.to_kept()), None))
            }),
            unread_bytes: 0,
            queued_bytes: 0,
        }
    }
}

impl Facts {
    #[inline]
    fn of(info: &TcpInfo) -> Self {
        Self {
            counts: Counts::of(info),
            samples: Quantity::ALL.map(|quantity| quantity.read(info)),
        }
    }
}

/// What the kernel counts of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    SentSegs,
    RetransmittedSegs,
    SentBytes,
    RetransmittedBytes,
    ReceivedBytes,
    /// In nanoseconds.
    PeerWindowLimited,
    /// In nanoseconds.
    SendBufferLimited,
}

impl Count {
    pub(super) const ALL: [Self; 7] = [
        Self::SentSegs,
        Self::RetransmittedSegs,
        Self::SentBytes,
        Self::RetransmittedBytes,
        Self::ReceivedBytes,
        Self::PeerWindowLimited,
        Self::SendBufferLimited,
    ];

    #[inline]
    fn read(self, info: &TcpInfo) -> Option<u64> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::SentSegs => info.tx_data_segs(),
            Self::RetransmittedSegs => info.retransmitted_segs(),
            Self::SentBytes => info.tx_bytes(),
            Self::RetransmittedBytes => info.retransmitted_bytes(),
            Self::ReceivedBytes => info.rx_bytes(),
            Self::PeerWindowLimited => info.peer_window_limited().map(nanos),
            Self::SendBufferLimited => info.send_buffer_limited().map(nanos),
        }
    }

    /// How much was counted from one reading to the next of the same socket.
    #[inline]
    fn growth(self, before: u64, now: u64) -> u64 {
        if let Some(growth) = now.checked_sub(before) {
            return growth;
        }
        match self {
            // Counted in 32 bits, which begin again at zero.
            Self::SentSegs | Self::RetransmittedSegs if before - now > 1 << 31 => {
                (now + (1 << 32)).saturating_sub(before)
            }
            // Never cleared.
            Self::PeerWindowLimited | Self::SendBufferLimited => 0,
            // The socket was disconnected, which clears its counts, and perhaps connected again.
            _ => now,
        }
    }
}

/// A number of each [`Count`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    numbers: [u64; Count::ALL.len()],
    /// A bit for each that the kernel told.
    told: u8,
}

impl Counts {
    #[inline]
    fn of(info: &TcpInfo) -> Self {
        let mut counts = Self::default();
        for (place, count) in Count::ALL.into_iter().enumerate() {
            if let Some(number) = count.read(info) {
                counts.numbers[place] = number;
                counts.told |= 1 << place;
            }
        }
        counts
    }

    /// What the kernel told; absent if it never did.
    pub(super) fn told(&self, count: Count) -> Option<u64> {
        let place = count as usize;
        (self.told & 1 << place != 0).then_some(self.numbers[place])
    }

    /// Adds what was counted from an earlier reading of a socket, which is brought up to date, to the
    /// next.
    #[inline]
    pub(super) fn add_growth(&mut self, before: &mut Self, now: &Self) {
        self.told |= now.told;
        before.told |= now.told;
        for (place, count) in Count::ALL.into_iter().enumerate() {
            if now.told & 1 << place == 0 {
                continue;
            }
            let growth = count.growth(before.numbers[place], now.numbers[place]);
            self.numbers[place] = self.numbers[place].saturating_add(growth);
            before.numbers[place] = match count {
                Count::PeerWindowLimited | Count::SendBufferLimited => {
                    before.numbers[place].max(now.numbers[place])
                }
                _ => now.numbers[place],
            };
        }
    }

    #[cfg(test)]
    pub(super) fn made_of(numbers: [u64; Count::ALL.len()]) -> Self {
        Self { numbers, told: (1 << Count::ALL.len()) - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_beyond_the_kernels_width_and_survive_a_new_connection() {
        let growth = |count: Count, before, now| count.growth(before, now);
        assert_eq!(growth(Count::SentSegs, 5, 9), 4);
        assert_eq!(growth(Count::SentSegs, u64::from(u32::MAX) - 1, 3), 5);
        // Cleared by a disconnect, not turned over.
        assert_eq!(growth(Count::SentSegs, 1_000, 3), 3);
        assert_eq!(growth(Count::SentBytes, u64::from(u32::MAX), 3), 3);
        assert_eq!(growth(Count::PeerWindowLimited, 1_000, 3), 0);
    }

    #[test]
    fn what_is_not_told_is_not_counted() {
        let mut sum = Counts::default();
        let mut before = Counts::made_of([1; 7]);
        sum.add_growth(&mut before, &Counts::default());
        assert_eq!(sum.told(Count::SentBytes), None);
        sum.add_growth(&mut before, &Counts::made_of([3; 7]));
        assert_eq!(sum.told(Count::SentBytes), Some(2));
        assert_eq!(before, Counts::made_of([3; 7]));
    }
}
