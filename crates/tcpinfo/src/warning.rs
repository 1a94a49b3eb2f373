use std::{fmt, mem, time::Duration};

use crate::TcpInfo;

/// Something in a connection's facts that deserves attention.
///
/// ```
/// use tcpinfo::Warning;
///
/// assert_eq!(Warning::RetransmittedSegs(3).to_string(), "retransmittedSegs=3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// Payload was retransmitted: this many bytes.
    RetransmittedBytes(u64),
    /// Segments were retransmitted: this many.
    RetransmittedSegs(u64),
    /// SYNs were retransmitted: this many. On systems that count them apart.
    SynRetransmits(u64),
    /// Retransmission timeouts happened: this many.
    Timeouts(u64),
    /// The retransmission timeout is doubled this many times at the moment: nobody answers.
    Backoff(u8),
    /// This many probes in a row are unanswered.
    UnansweredProbes(u8),
    /// This many retransmissions were needless.
    SpuriousRetransmits(u64),
    /// Packets arrived out of order: this many.
    OutOfOrderPackets(u64),
    /// Payload arrived out of order: this many bytes.
    OutOfOrderBytes(u64),
    /// Sending stood still for the peer's receive window: this long.
    PeerWindowLimited(Duration),
    /// Sending stood still for our send buffer: this long.
    SendBufferLimited(Duration),
    /// This many segments bore a congestion mark, in either direction.
    CongestionMarkedSegs(u64),
    /// This many acknowledgements reported a congestion mark. On systems that count these.
    CongestionMarkedAcks(u64),
    /// The listener's accept queue is longer than its limit: connections are being lost.
    AcceptQueueOverflow(u64),
}

impl Warning {
    /// Adds the warnings of a later sample: a kind that both have is kept once, with the later
    /// number, because counters only grow and gauges are best when fresh.
    pub fn merge(earlier: &mut Vec<Self>, later: impl IntoIterator<Item = Self>) {
        for warning in later {
            let same_kind =
                |other: &&mut Self| mem::discriminant::<Self>(other) == mem::discriminant(&warning);
            match earlier.iter_mut().find(same_kind) {
                Some(slot) => *slot = warning,
                None => earlier.push(warning),
            }
        }
    }
}

/// As `name=number`; times in nanoseconds, as everywhere in JSON.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetransmittedBytes(bytes) => write!(f, "retransmittedBytes={bytes}"),
            Self::RetransmittedSegs(segs) => write!(f, "retransmittedSegs={segs}"),
            Self::SynRetransmits(count) => write!(f, "synRetransmits={count}"),
            Self::Timeouts(count) => write!(f, "timeouts={count}"),
            Self::Backoff(count) => write!(f, "backoff={count}"),
            Self::UnansweredProbes(count) => write!(f, "unansweredProbes={count}"),
            Self::SpuriousRetransmits(count) => write!(f, "spuriousRetransmits={count}"),
            Self::OutOfOrderPackets(packets) => write!(f, "outOfOrderPackets={packets}"),
            Self::OutOfOrderBytes(bytes) => write!(f, "outOfOrderBytes={bytes}"),
            Self::PeerWindowLimited(time) => write!(f, "peerWindowLimited={}", time.as_nanos()),
            Self::SendBufferLimited(time) => write!(f, "sendBufferLimited={}", time.as_nanos()),
            Self::CongestionMarkedSegs(segs) => write!(f, "congestionMarkedSegs={segs}"),
            Self::CongestionMarkedAcks(acks) => write!(f, "congestionMarkedAcks={acks}"),
            Self::AcceptQueueOverflow(length) => write!(f, "acceptQueueOverflow={length}"),
        }
    }
}

/// From which number on a fact becomes a [`Warning`].
///
/// ```
/// use std::time::Duration;
/// use tcpinfo::Thresholds;
///
/// let mut strict = Thresholds::default();
/// strict.limited_time = Duration::from_millis(1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thresholds {
    /// Retransmitted segments or SYNs, and with them the retransmitted bytes. Default 1.
    pub retransmitted_segs: u64,
    /// Retransmission timeouts. Default 1.
    pub timeouts: u64,
    /// Doublings of the retransmission timeout. Default 1.
    pub backoff: u8,
    /// Unanswered probes in a row. Default 2: one is normal on an idle connection.
    pub unanswered_probes: u8,
    /// Needless retransmissions. Default 1.
    pub spurious_retransmits: u64,
    /// Packets out of order. Default 1.
    pub out_of_order_packets: u64,
    /// Bytes out of order, on systems that count these. Default 1.
    pub out_of_order_bytes: u64,
    /// Time limited by the peer's window or by our send buffer. Default 10 ms: less is ordinary
    /// back-pressure, and not far above the kernel's tick.
    pub limited_time: Duration,
    /// Segments with a congestion mark, or acknowledgements that report one. Default 1.
    pub congestion_marked_segs: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            retransmitted_segs: 1,
            timeouts: 1,
            backoff: 1,
            unanswered_probes: 2,
            spurious_retransmits: 1,
            out_of_order_packets: 1,
            out_of_order_bytes: 1,
            limited_time: Duration::from_millis(10),
            congestion_marked_segs: 1,
        }
    }
}

pub(crate) fn find(info: &TcpInfo, thresholds: &Thresholds) -> Vec<Warning> {
    let retransmitted =
        info.retransmitted_segs().filter(|segs| *segs >= thresholds.retransmitted_segs);
    let retransmitted_bytes = info.retransmitted_bytes().filter(|bytes| {
        *bytes > 0 && (retransmitted.is_some() || info.retransmitted_segs().is_none())
    });
    let limited = |time: Option<Duration>| time.filter(|time| *time >= thresholds.limited_time);
    let marked = [info.tx_ce_segs(), info.rx_ce_segs()].into_iter().flatten().reduce(|a, b| a + b);
    [
        retransmitted_bytes.map(Warning::RetransmittedBytes),
        retransmitted.map(Warning::RetransmittedSegs),
        info.syn_retransmits()
            .filter(|count| *count >= thresholds.retransmitted_segs)
            .map(Warning::SynRetransmits),
        info.timeouts().filter(|count| *count >= thresholds.timeouts).map(Warning::Timeouts),
        info.backoff().filter(|count| *count >= thresholds.backoff).map(Warning::Backoff),
        info.unanswered_probes()
            .filter(|count| *count >= thresholds.unanswered_probes)
            .map(Warning::UnansweredProbes),
        info.spurious_retransmits()
            .filter(|count| *count >= thresholds.spurious_retransmits)
            .map(Warning::SpuriousRetransmits),
        info.rx_out_of_order_packets()
            .filter(|packets| *packets >= thresholds.out_of_order_packets)
            .map(Warning::OutOfOrderPackets),
        info.rx_out_of_order_bytes()
            .filter(|bytes| *bytes >= thresholds.out_of_order_bytes)
            .map(Warning::OutOfOrderBytes),
        limited(info.peer_window_limited()).map(Warning::PeerWindowLimited),
        limited(info.send_buffer_limited()).map(Warning::SendBufferLimited),
        marked
            .filter(|segs| *segs >= thresholds.congestion_marked_segs)
            .map(Warning::CongestionMarkedSegs),
        info.rx_ece_acks()
            .filter(|acks| *acks >= thresholds.congestion_marked_segs)
            .map(Warning::CongestionMarkedAcks),
        overflow(info).map(Warning::AcceptQueueOverflow),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn overflow(info: &TcpInfo) -> Option<u64> {
    info.accept_queue()
        .filter(|length| info.accept_queue_limit().is_some_and(|limit| *length > limit))
}
