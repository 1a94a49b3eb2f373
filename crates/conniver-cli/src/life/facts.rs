//! What the last facts of a connection say of its life.

use std::{sync::LazyLock, time::Duration};

use tcpinfo::native::{Bytes, linux::LinuxTcpInfo};

/// Numbers of the kernel's structure as they stand there, absent if the kernel does not have them. What
/// they mean here is not what they mean of a connection that is open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) retransmits: u64,
    pub(super) probes: u64,
    pub(super) sent: Option<u64>,
    pub(super) sent_again: Option<u64>,
    pub(super) acked: Option<u64>,
    pub(super) received: Option<u64>,
    pub(super) unacked: u64,
    pub(super) pmtu: u64,
    pub(super) rtt: u64,
    pub(super) peer_window: u64,
    pub(super) segs_in: Option<u64>,
    pub(super) segs_out: Option<u64>,
    pub(super) data_segs_in: Option<u64>,
    pub(super) data_segs_out: Option<u64>,
    pub(super) since_data_sent: Duration,
    pub(super) since_data_received: Duration,
    pub(super) since_ack: Duration,
    pub(super) busy: Duration,
}

/// How long ago the handshake was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// To the kernel's tick.
    Exact(Duration),
    AtLeast(Duration),
}

/// What kind of socket it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection, which keeps its counts.
    Connection,
    /// One that was cleared before it ended.
    Aborted,
    /// An attempt that came to nothing.
    Attempt,
    /// A listener, or a socket that nothing was tried with.
    Unused,
}

impl Facts {
    pub(super) fn of(info: &LinuxTcpInfo<impl Bytes>) -> Self {
        let bytes = info.as_bytes();
        let number = |place: Place| -> Option<u64> {
            let at = bytes.get(place.offset..place.offset + place.width)?;
            Some(match *at {
                [one] => u64::from(one),
                [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
                [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                _ => return None,
            })
        };
        let places = &*PLACES;
        let or_zero = |place| number(place).unwrap_or(0);
        let millis = |place| Duration::from_millis(or_zero(place));
        Self {
            retransmits: or_zero(places.retransmits),
            probes: or_zero(places.probes),
            sent: number(places.bytes_sent),
            sent_again: number(places.bytes_retrans),
            acked: number(places.bytes_acked),
            received: number(places.bytes_received),
            unacked: or_zero(places.unacked),
            pmtu: or_zero(places.pmtu),
            rtt: or_zero(places.rtt),
            peer_window: or_zero(places.snd_wnd),
            segs_in: number(places.segs_in),
            segs_out: number(places.segs_out),
            data_segs_in: number(places.data_segs_in),
            data_segs_out: number(places.data_segs_out),
            since_data_sent: millis(places.last_data_sent),
            since_data_received: millis(places.last_data_recv),
            since_ack: millis(places.last_ack_recv),
            busy: Duration::from_micros(or_zero(places.busy_time)),
        }
    }

    /// What has no round-trip time and counted nothing was either cleared, which leaves the peer's
    /// window, or never connected; the path's size is known from the first attempt on.
    pub(super) fn kind(&self) -> Kind {
        let counted = self.segs_in.or(self.received).unwrap_or(0) > 0;
        let was_connected = self.rtt > 0 || self.received.unwrap_or(0) > 0 || self.peer_window > 0;
        match (was_connected, counted) {
            (true, true) => Kind::Connection,
            (true, false) if self.rtt > 0 => Kind::Connection,
            (true, false) => Kind::Aborted,
            (false, _) if self.pmtu > 0 || self.segs_out.unwrap_or(0) > 0 => Kind::Attempt,
            (false, _) => Kind::Unused,
        }
    }

    /// Payload that was sent, each byte once.
    pub(super) fn payload(&self) -> Option<u64> {
        self.sent?.checked_sub(self.sent_again?)
    }

    /// What was acknowledged beyond the payload: one for the SYN of who connected, one for a FIN.
    pub(super) fn acked_beyond(&self) -> Option<i64> {
        Some(i64::try_from(self.acked?).ok()? - i64::try_from(self.payload()?).ok()?)
    }

    /// Whether it connected, rather than accepted, as an open connection that has sent no FIN shows:
    /// all that it sent is acknowledged, and perhaps a SYN.
    pub(super) fn has_connected(&self) -> Option<bool> {
        match self.acked_beyond()? {
            0 if self.unacked == 0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// How long ago it began when it ended. The kernel tells of an end some time after it, by which all
    /// that it says of times is too long: so long at most.
    ///
    /// The stamps of the last data are made when the handshake is over, and as long as there was none
    /// in a direction they say since when.
    pub(super) fn age(&self, late: Late) -> Age {
        let (late, is_exact) = match late {
            Late::SinceAck => (self.since_ack, true),
            Late::AtMost(late) => (late.min(self.since_ack), late < TICKS),
        };
        let sent = self.since_data_sent.saturating_sub(late);
        let received = self.since_data_received.saturating_sub(late);
        let exact = if is_exact { Age::Exact } else { Age::AtLeast };
        match (self.kind(), self.data_segs_out, self.data_segs_in) {
            // The other stamp and the counts are cleared.
            (Kind::Aborted, ..) => Age::AtLeast(sent),
            (_, Some(0), _) => exact(sent),
            (_, _, Some(0)) => exact(received),
            (_, _, Some(_)) => Age::AtLeast(sent.max(received).max(self.busy)),
            _ => Age::AtLeast(sent.max(self.busy)),
        }
    }
}

/// How late the kernel tells of an end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Late {
    /// It ended with the last acknowledgement, whenever that was told.
    SinceAck,
    AtMost(Duration),
}

impl Late {
    pub(super) const NOT: Self = Self::AtMost(Duration::ZERO);
}

/// What is as exact as the kernel's tick, and a little more.
const TICKS: Duration = Duration::from_millis(20);

/// Where a number lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: usize,
    width: usize,
}

macro_rules! places {
    ($($name:ident,)*) => {
        #[derive(Debug)]
        struct Places {
            $($name: Place,)*
        }

        static PLACES: LazyLock<Places> = LazyLock::new(|| Places {
            $($name: place(stringify!($name)),)*
        });
    };
}

places! {
    retransmits,
    probes,
    unacked,
    last_data_sent,
    last_data_recv,
    last_ack_recv,
    pmtu,
    rtt,
    bytes_acked,
    bytes_received,
    segs_in,
    segs_out,
    data_segs_in,
    data_segs_out,
    busy_time,
    bytes_sent,
    bytes_retrans,
    snd_wnd,
}

fn place(name: &str) -> Place {
    let found = tcpinfo::native::linux::schema().find(|field| field.name == name);
    // Beyond every structure, where nothing is; a test sees to it that every name is a field's.
    found.map_or(Place { offset: usize::MAX / 2, width: 0 }, |field| Place {
        offset: field.offset,
        width: field.width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of a structure, each at its field.
    fn facts(numbers: &[(&str, u64)]) -> Facts {
        let mut bytes = vec![0; 280];
        bytes[0] = 7;
        for (name, number) in numbers {
            let Place { offset, width } = place(name);
            assert!(width > 0, "{name}");
            bytes[offset..offset + width].copy_from_slice(&number.to_ne_bytes()[..width]);
        }
        Facts::of(&LinuxTcpInfo::from_bytes(&bytes))
    }

    #[test]
    fn kinds_are_told_apart() {
        let window = ("snd_wnd", 65_536);
        let cases: [(&[(&str, u64)], Kind); 6] = [
            (&[], Kind::Unused),
            (&[("pmtu", 1_500)], Kind::Attempt),
            (&[("pmtu", 1_500), ("segs_out", 7)], Kind::Attempt),
            (&[("pmtu", 1_500), ("segs_out", 1), ("segs_in", 1)], Kind::Attempt),
            (&[("pmtu", 1_500), window], Kind::Aborted),
            (&[("pmtu", 1_500), window, ("segs_in", 2), ("rtt", 9)], Kind::Connection),
        ];
        for (numbers, kind) in cases {
            assert_eq!(facts(numbers).kind(), kind, "{numbers:?}");
        }
    }

    #[test]
    fn the_age_is_exact_while_a_direction_is_silent() {
        let alive = [("rtt", 9), ("segs_in", 2), ("last_data_sent", 40), ("last_data_recv", 70)];
        let with = |more: &[(&str, u64)], late| facts(&[&alive[..], more].concat()).age(late);
        let millis = Duration::from_millis;
        assert_eq!(with(&[], Late::NOT), Age::Exact(millis(40)));
        assert_eq!(with(&[("data_segs_out", 1)], Late::NOT), Age::Exact(millis(70)));
        let both = [("data_segs_out", 1), ("data_segs_in", 1)];
        assert_eq!(with(&both, Late::NOT), Age::AtLeast(millis(70)));
        let busy = [&both[..], &[("busy_time", 90_000)]].concat();
        assert_eq!(with(&busy, Late::NOT), Age::AtLeast(millis(90)));
        let ack = [("last_ack_recv", 30)];
        assert_eq!(with(&ack, Late::SinceAck), Age::Exact(millis(10)));
        assert_eq!(with(&ack, Late::AtMost(millis(25))), Age::AtLeast(millis(15)));
        assert_eq!(with(&ack, Late::AtMost(millis(90))), Age::AtLeast(millis(10)));
        let aborted = facts(&[("snd_wnd", 9), ("last_data_sent", 4), ("last_data_recv", 1 << 30)]);
        assert_eq!(aborted.age(Late::NOT), Age::AtLeast(millis(4)));
    }

    #[test]
    fn who_connected_has_a_syn_acknowledged() {
        let sent = [("bytes_sent", 1_100), ("bytes_retrans", 100)];
        let with = |acked, unacked| {
            facts(&[&sent[..], &[("bytes_acked", acked), ("unacked", unacked)]].concat())
        };
        assert_eq!(with(1_000, 0).has_connected(), Some(false));
        assert_eq!(with(1_000, 1).has_connected(), None);
        assert_eq!(with(1_001, 0).has_connected(), Some(true));
        assert_eq!(with(900, 1).has_connected(), None);
        assert_eq!(with(1_002, 0).acked_beyond(), Some(2));
    }
}
