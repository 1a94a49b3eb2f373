//! Linux and Android: `struct tcp_info` of `include/uapi/linux/tcp.h`.
//!
//! The structure only ever grows at its end, so the length that the kernel returned says which
//! fields are there; kernel versions do not, because distributions backport fields. The table below
//! is the only place where a field is described.

use std::time::Duration;

use super::structure::{Bytes, Lent, Row, first, structure};
use crate::{
    AccEcnOption, CaState, EcnMode, FastOpenFailure, Options, Reading, State, TcpOption,
    fields::{Field, Kind, Type},
};

pub use super::structure::ByteOrder;

impl LinuxTcpInfo {
    /// States the major version of the kernel that filled the structure.
    ///
    /// One word cannot be read without it: the last one changed its layout between 6.18 and 7.0
    /// at the same length. Where the bytes do not settle it and no version is given, the
    /// fields of that word are [absent](Reading::Absent).
    #[must_use]
    pub fn with_kernel_major(mut self, major: u8) -> Self {
        self.0.set_hint(major);
        self
    }

    /// States what the system call wrote into the buffer, and which kernel it was.
    #[allow(dead_code, reason = "each system fills its own structure only")]
    #[inline]
    pub(crate) fn fill(&mut self, len: usize, kernel_major: u8) {
        self.0.set_len(len);
        self.0.set_hint(kernel_major);
    }
}

impl<'a> LinuxTcpInfo<Lent<'a>> {
    /// Looks at a structure that the running kernel handed out otherwise than by `getsockopt`, such as
    /// in a netlink message. Nothing is copied; [`to_kept`](Self::to_kept) does.
    ///
    /// On Linux every field reads as [`read_native`](crate::read_native) has it. Elsewhere no version of
    /// the kernel is assumed.
    #[inline(always)]
    pub fn of_running_kernel(bytes: &'a [u8]) -> Self {
        Self::of_kernel(bytes, crate::sys::kernel_major())
    }

    /// The same of a kernel of the given [major version](LinuxTcpInfo::with_kernel_major), or of an
    /// unknown one if that is zero, of a machine of this byte order.
    #[inline(always)]
    pub const fn of_kernel(bytes: &'a [u8], major: u8) -> Self {
        Self(Lent::new(bytes, ByteOrder::NATIVE, major))
    }
}

impl<B: Bytes> LinuxTcpInfo<B> {
    #[inline(always)]
    pub(crate) fn kernel_major(&self) -> u8 {
        self.0.hint()
    }

    /// Whether a number that is there means something: sentinels and states.
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let state = State::from_linux(self.0.first());
        let listening = matches!(state, State::Listen);
        let early = !state.is_past_handshake();
        let unset = match row.rule {
            Rule::Always => false,
            Rule::Setting => raw == u64::MAX,
            Rule::Listening => !listening,
            Rule::NeverFilled => return Reading::Absent,
            Rule::UntilFackRemoval => return self.fackets_reading(raw).unset_if(listening),
            Rule::SharedByte7 => return self.fast_open_reading(raw).unset_if(listening),
            Rule::EcnModeWord => return self.last_word().ecn_mode().unset_if(listening),
            Rule::OptionSeenWord => return self.last_word().option_seen().unset_if(listening),
            Rule::FailModeWord => return self.last_word().fail_mode().unset_if(listening),
            _ if self.is_idle() && !matches!(row.field.kind, Kind::Counter) => true,
            // Disconnecting a socket clears its counters, but not these times.
            Rule::Stopwatch => listening || self.is_idle(),
            Rule::ListeningToo => false,
            Rule::ListeningTooButAllOnes => raw == u64::MAX,
            _ if listening => true,
            Rule::Connected => false,
            Rule::Negotiated => matches!(state, State::SynSent),
            Rule::NotZero => raw == 0,
            Rule::Measured => raw == u64::from(u32::MAX),
            Rule::Finite => raw >= INFINITE_SSTHRESH,
            Rule::WithRtt => self.0.number(&row::rtt.field) == 0,
            Rule::OptionBits if matches!(state, State::SynSent) => true,
            Rule::WithWindowScale => self.0.number(&row::options.field) & OPT_WSCALE == 0,
            // Before the handshake these stamps count from boot.
            Rule::SinceDataSent => early || self.never(&row::data_segs_out.field),
            Rule::SinceDataReceived => early || self.never(&row::data_segs_in.field),
            Rule::SinceAckReceived => early,
            // A SYN that was acknowledged makes a rate, though no payload was delivered.
            Rule::DeliveryRate => raw == 0 || self.never(&row::data_segs_out.field),
            Rule::WithDeliveryRate => {
                self.0.number(&row::delivery_rate.field) == 0
                    || self.never(&row::data_segs_out.field)
            }
            Rule::OptionBits => {
                let bits = u8::try_from(raw).unwrap_or_default();
                return Reading::Value(Options::from_linux(bits, self.returned_len()).to_raw());
            }
        };
        if unset { Reading::Unset } else { Reading::Value(raw) }
    }

    /// The kernel has the counter, and it stands at zero.
    #[inline(always)]
    fn never(&self, counter: &Field) -> bool {
        self.returned_len() >= counter.min_len && self.0.number(counter) == 0
    }

    /// No connection now and none before: fresh, refused, or disconnected from its peer.
    ///
    /// Its gauges are defaults or left over from the connection before. A connection that is over
    /// keeps its last numbers, and an RTT sample shows that it was one. So does payload that arrived:
    /// who only receives may have no sample, if the handshake gave none.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        matches!(State::from_linux(self.0.first()), State::Close)
            && has_no_past(
                self.0.number(&row::rtt.field),
                self.0.number(&row::bytes_received.field),
                self.returned_len(),
            )
    }

    /// FACK was removed in 4.15, between two growths of the structure (192 bytes: 4.10 to 4.17).
    fn fackets_reading(&self, raw: u64) -> Reading<u64> {
        match (self.returned_len(), raw) {
            (200.., _) => Reading::Absent,
            (192.., 0) => Reading::Unset,
            _ => Reading::Value(raw),
        }
    }

    /// The two bits came in 5.5 without a change of length: 5.4 to 6.1 all return 232 bytes.
    fn fast_open_reading(&self, raw: u64) -> Reading<u64> {
        match (raw, self.returned_len()) {
            (1.., _) | (0, 240..) => Reading::Value(raw),
            (0, 232..) => Reading::Unset,
            _ => Reading::Absent,
        }
    }

    /// The four bytes at 276, whose cut changed in 7.0 at an unchanged length.
    fn last_word(&self) -> LastWord {
        let Some([b0, b1, b2, b3]) = self.0.array(276) else {
            return LastWord::Undecided;
        };
        if [b0, b1, b2, b3] == [0; 4] {
            return LastWord::Zero { has_mode: self.kernel_major() >= 7 };
        }
        let one_word = match self.byte_order() {
            ByteOrder::Little => {
                LastWord::OneWord { mode: b0 & 3, option_seen: (b0 >> 2) & 3, fail_mode: b0 >> 4 }
            }
            ByteOrder::Big => {
                LastWord::OneWord { mode: b0 >> 6, option_seen: (b0 >> 4) & 3, fail_mode: b0 & 15 }
            }
        };
        // The older cut holds numbers of at most 4 and 2 bits, each in the low byte of its half.
        let (two_halves, halves_fit, halves_seen) = match self.byte_order() {
            ByteOrder::Little => (
                LastWord::TwoHalves { fail_mode: b0, option_seen: b2 },
                b0 <= 15 && b1 == 0 && b3 == 0,
                b2 != 0,
            ),
            ByteOrder::Big => {
                (LastWord::TwoHalves { fail_mode: b1, option_seen: b3 }, b0 == 0 && b2 == 0, true)
            }
        };
        match self.kernel_major() {
            7.. => one_word,
            _ if !halves_fit => one_word,
            1.. => two_halves,
            0 if halves_seen => two_halves,
            0 => LastWord::Undecided,
        }
    }
}

/// Apart from each field's code, most of which it would be, while it is hardly ever asked.
#[cold]
#[inline(never)]
const fn has_no_past(rtt: u64, bytes_received: u64, returned_len: usize) -> bool {
    rtt == 0 && !(returned_len >= LEN_OF_5_4 && bytes_received > 0)
}

/// The length from which on disconnecting a socket clears its count of bytes received, too.
const LEN_OF_5_4: usize = 232;

/// `TCP_INFINITE_SSTHRESH`: slow start was never left.
const INFINITE_SSTHRESH: u64 = 0x7fff_ffff;

/// `TCPI_OPT_WSCALE`.
const OPT_WSCALE: u64 = 4;

/// When a number that the kernel returned means something.
///
/// On a listening socket the kernel fills only the first rules, down to `ListeningTooButAllOnes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// In every state.
    Always,
    /// In every state, because the program sets it; all ones stand for "no limit".
    Setting,
    /// Only on a listening socket, where the kernel reuses the field.
    Listening,
    /// Of a connection, and on a listening socket what its connections will begin with.
    ListeningToo,
    /// As above; all ones stand for "no limit".
    ListeningTooButAllOnes,
    /// Unless listening.
    Connected,
    /// Once the peer answered.
    Negotiated,
    /// While there is a connection or the memory of one.
    Stopwatch,
    /// Zero stands for "no sample" or "none".
    NotZero,
    /// All ones in 32 bits stand for "no sample".
    Measured,
    /// `TCP_INFINITE_SSTHRESH` stands for "never left slow start".
    Finite,
    /// A default until the first RTT sample.
    WithRtt,
    /// Only if window scaling was negotiated.
    WithWindowScale,
    /// Counts from boot before the handshake, from the handshake before the first data.
    SinceDataSent,
    /// As above.
    SinceDataReceived,
    /// Counts from boot before the handshake.
    SinceAckReceived,
    /// Zero stands for "none"; not of payload if none was sent.
    DeliveryRate,
    /// Says something about the delivery rate, if there is one.
    WithDeliveryRate,
    /// No kernel fills it.
    NeverFilled,
    /// See [`LinuxTcpInfo::fackets_reading`].
    UntilFackRemoval,
    /// See [`LinuxTcpInfo::fast_open_reading`].
    SharedByte7,
    /// See [`Options::from_linux`].
    OptionBits,
    /// See [`LinuxTcpInfo::last_word`].
    EcnModeWord,
    /// As above.
    OptionSeenWord,
    /// As above.
    FailModeWord,
}

/// The word at 276 in either of its cuts.
enum LastWord {
    /// All bits clear, which both cuts agree on; only one of them has a mode.
    Zero { has_mode: bool },
    /// 6.18 and 6.19: two 16-bit halves.
    TwoHalves { fail_mode: u8, option_seen: u8 },
    /// 7.0 and later: bit fields.
    OneWord { mode: u8, option_seen: u8, fail_mode: u8 },
    /// The bytes allow both, and the kernel's version is not known.
    Undecided,
}

impl LastWord {
    fn ecn_mode(&self) -> Reading<u64> {
        match *self {
            Self::Zero { has_mode: true } => Reading::Value(0),
            Self::OneWord { mode, .. } => Reading::Value(u64::from(mode)),
            Self::Zero { has_mode: false } | Self::TwoHalves { .. } | Self::Undecided => {
                Reading::Absent
            }
        }
    }

    fn option_seen(&self) -> Reading<u64> {
        match *self {
            Self::Zero { .. } => Reading::Value(0),
            Self::TwoHalves { option_seen, .. } | Self::OneWord { option_seen, .. } => {
                Reading::Value(u64::from(option_seen))
            }
            Self::Undecided => Reading::Absent,
        }
    }

    fn fail_mode(&self) -> Reading<u64> {
        match *self {
            Self::Zero { .. } => Reading::Value(0),
            Self::TwoHalves { fail_mode, .. } | Self::OneWord { fail_mode, .. } => {
                Reading::Value(u64::from(fail_mode))
            }
            Self::Undecided => Reading::Absent,
        }
    }
}

// Key names follow those that Go programs already write, where such a name exists. A kernel "since"
// of 2.4 means: in the 104 bytes that every kernel returns.
structure! {
    /// `struct tcp_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, State, native::linux::LinuxTcpInfo};
    ///
    /// let mut bytes = [0; 104]; // as a kernel before 3.15 returns it
    /// bytes[0] = 1;
    /// let info = LinuxTcpInfo::from_bytes(&bytes);
    ///
    /// assert_eq!(info.state(), Reading::Value(State::Established));
    /// assert_eq!(info.rtt(), Reading::Unset); // no sample yet
    /// assert_eq!(info.bytes_acked(), Reading::Absent); // Linux 4.1
    /// ```
    LinuxTcpInfo: Linux "tcp_info", "tcpi_", since "Linux ", known 280 of 512 bytes;

    state: State, "state", 0 u8, None, Label, "2.4", Always,
        "State of the connection.";
    ca_state: CaState, "caState", 1 u8, None, Label, "2.4", Connected,
        "State of the sender's loss recovery.";
    retransmits: u8, "retransmits", 2 u8, Count, Gauge, "2.4", Connected,
        "Retransmission timeouts in a row for the segment at the head of the queue; back to zero on progress, so not a total.";
    probes: u8, "probes", 3 u8, Count, Gauge, "2.4", Connected,
        "Zero-window or keepalive probes sent in a row and not answered.";
    backoff: u8, "backoff", 4 u8, Count, Gauge, "2.4", Connected,
        "How often the retransmission timeout is doubled at the moment.";
    options: Options, "options", 5 u8, None, Label, "2.4", OptionBits,
        "Options negotiated: properties of the connection, not of a direction.";
    snd_wscale: u8, "sndWScale", 6 u8 [0, 4], Count, Gauge, "2.4", WithWindowScale,
        "Window scale shift that the peer announced, for the windows we receive.";
    rcv_wscale: u8, "rcvWScale", 6 u8 [4, 4], Count, Gauge, "2.4", WithWindowScale,
        "Window scale shift that we announced.";
    delivery_rate_app_limited: bool, "deliveryRateAppLimited", 7 u8 [0, 1], None, Gauge, "4.9" >= 168, WithDeliveryRate,
        "Whether the delivery rate was held down by the application rather than by the network; unset without a delivery rate.";
    fastopen_client_fail: FastOpenFailure, "fastOpenClientFail", 7 u8 [1, 2], None, Label, "5.5", SharedByte7,
        "Why Fast Open did not carry data in our SYN.";
    rto: Duration, "rto", 8 u32, Microseconds, Gauge, "2.4", Connected,
        "Retransmission timeout, in steps of the kernel's tick; one second before the first RTT sample.";
    ato: Duration, "ato", 12 u32, Microseconds, Gauge, "2.4", NotZero,
        "Estimate of the delayed-acknowledgement timer, in steps of the kernel's tick; unset until data arrived.";
    snd_mss: u32, "txMSS", 16 u32, Bytes, Gauge, "2.4", Connected,
        "Largest segment we send at the moment.";
    rcv_mss: u32, "rxMSS", 20 u32, Bytes, Gauge, "2.4", Connected,
        "Estimate of the peer's segment size from what arrived; 536 until larger segments do.";
    unacked: u32, "unAcked", 24 u32, Segments, Gauge, "2.4", Connected,
        "Segments sent and not yet acknowledged.";
    accept_queue: u32, "acceptQueue", 24 u32, Connections, Gauge, "2.4", Listening,
        "Connections that wait to be accepted. Shares its bytes with `unacked`.";
    sacked: u32, "sacked", 28 u32, Segments, Gauge, "2.4", Connected,
        "Segments in flight that the peer acknowledged selectively.";
    accept_queue_limit: u32, "acceptQueueLimit", 28 u32, Connections, Gauge, "2.4", Listening,
        "Backlog limit of the accept queue; overflow shows as a longer queue than this. Shares its bytes with `sacked`.";
    lost: u32, "lost", 32 u32, Segments, Gauge, "2.4", Connected,
        "Segments in flight that are taken for lost at the moment; an estimate that can fall.";
    retrans: u32, "retrans", 36 u32, Segments, Gauge, "2.4", Connected,
        "Segments retransmitted and still in flight at the moment.";
    fackets: u32, "fackets", 40 u32, Segments, Gauge, "2.4", UntilFackRemoval,
        "Forward acknowledged segments; always zero since 4.15 and then reported as absent.";
    last_data_sent: Duration, "lastTxAt", 44 u32, Milliseconds, Gauge, "2.4", SinceDataSent,
        "Time since data was last sent, in steps of the kernel's tick; unset if none was.";
    last_ack_sent: Duration, "lastTxAckAt", 48 u32, Milliseconds, Gauge, "2.4", NeverFilled,
        "Time since an acknowledgement was last sent. No kernel fills it.";
    last_data_recv: Duration, "lastRxAt", 52 u32, Milliseconds, Gauge, "2.4", SinceDataReceived,
        "Time since data last arrived, in steps of the kernel's tick; unset if none did.";
    last_ack_recv: Duration, "lastRxAckAt", 56 u32, Milliseconds, Gauge, "2.4", SinceAckReceived,
        "Time since an acknowledgement last arrived, in steps of the kernel's tick.";
    pmtu: u32, "pmtu", 60 u32, Bytes, Gauge, "2.4", NotZero,
        "Path MTU.";
    rcv_ssthresh: u32, "rxSSThreshold", 64 u32, Bytes, Gauge, "2.4", Connected,
        "How far the advertised receive window may grow at the moment.";
    rtt: Duration, "rtt", 68 u32, Microseconds, Gauge, "2.4", NotZero,
        "Smoothed round-trip time; unset until the first sample.";
    rttvar: Duration, "rttVar", 72 u32, Microseconds, Gauge, "2.4", WithRtt,
        "Mean deviation of the round-trip time; unset until the first sample, when the kernel shows a default of 250 ms.";
    snd_ssthresh: u32, "txSSThreshold", 76 u32, Segments, Gauge, "2.4", Finite,
        "Slow start threshold; unset while slow start was never left.";
    snd_cwnd: u32, "txCWindow", 80 u32, Segments, Gauge, "2.4", ListeningToo,
        "Congestion window.";
    advmss: u32, "advMSS", 84 u32, Bytes, Gauge, "2.4", Connected,
        "Segment size we announced: the upper bound of what the peer sends.";
    reordering: u32, "reordering", 88 u32, Segments, Gauge, "2.4", ListeningToo,
        "By how many segments the path may reorder before a loss is assumed; 3 at the start.";
    rcv_rtt: Duration, "rxRTT", 92 u32, Microseconds, Gauge, "2.6", NotZero,
        "Round-trip time as the receiving side estimates it; unset until the first sample.";
    rcv_space: u32, "rxSpace", 96 u32, Bytes, Gauge, "2.6", Connected,
        "Target of receive-buffer tuning. Not a window.";
    total_retrans: u32, "totalRetrans", 100 u32, Segments, Counter, "2.6", Connected,
        "Segments retransmitted in the connection's life; wraps at 2^32.";
    pacing_rate: u64, "pacingRate", 104 u64, BytesPerSecond, Gauge, "3.15", ListeningTooButAllOnes,
        "Rate at which sending is paced; unset if unlimited.";
    max_pacing_rate: u64, "maxPacingRate", 112 u64, BytesPerSecond, Gauge, "3.15", Setting,
        "Limit set by SO_MAX_PACING_RATE; unset if unlimited.";
    bytes_acked: u64, "bytesAcked", 120 u64, Bytes, Counter, "4.1", Connected,
        "Payload acknowledged by the peer, plus one for the SYN of the side that connected and one for the FIN.";
    bytes_received: u64, "bytesReceived", 128 u64, Bytes, Counter, "4.1", Connected,
        "Payload received in order, plus one for the peer's FIN.";
    segs_out: u32, "segsOut", 136 u32, Segments, Counter, "4.2", Connected,
        "Segments sent: data, retransmissions, pure acknowledgements, SYN and FIN, but not the SYN-ACK of an accepted connection; wraps at 2^32.";
    segs_in: u32, "segsIn", 140 u32, Segments, Counter, "4.2", Connected,
        "Segments received of any kind; wraps at 2^32.";
    notsent_bytes: u32, "notSentBytes", 144 u32, Bytes, Gauge, "4.6", Connected,
        "Bytes in the send queue that were not sent yet, plus one for a FIN behind them.";
    min_rtt: Duration, "minRTT", 148 u32, Microseconds, Gauge, "4.6", Measured,
        "Minimum round-trip time in the last five minutes (net.ipv4.tcp_min_rtt_wlen), not of the whole life; unset until the first sample.";
    data_segs_in: u32, "dataSegsIn", 152 u32, Segments, Counter, "4.6", Connected,
        "Segments with payload received; wraps at 2^32.";
    data_segs_out: u32, "dataSegsOut", 156 u32, Segments, Counter, "4.6", Connected,
        "Segments with payload sent, retransmissions included; wraps at 2^32.";
    delivery_rate: u64, "deliveryRate", 160 u64, BytesPerSecond, Gauge, "4.9", DeliveryRate,
        "Most recent goodput sample, preferably one not limited by the application; unset until there is one.";
    busy_time: Duration, "busyTime", 168 u64, Microseconds, Counter, "4.10", Stopwatch,
        "Time with data outstanding, including the two limited times below.";
    rwnd_limited: Duration, "rxWindowLimited", 176 u64, Microseconds, Counter, "4.10", Stopwatch,
        "Time that sending stood still for the peer's receive window.";
    sndbuf_limited: Duration, "txBufferLimited", 184 u64, Microseconds, Counter, "4.10", Stopwatch,
        "Time that sending stood still for our send buffer.";
    delivered: u32, "delivered", 192 u32, Segments, Counter, "4.18", Connected,
        "Segments delivered to the peer, the SYN included; wraps at 2^32.";
    delivered_ce: u32, "deliveredCE", 196 u32, Segments, Counter, "4.18", Connected,
        "Segments delivered that the peer reported as marked for congestion; wraps at 2^32.";
    bytes_sent: u64, "bytesSent", 200 u64, Bytes, Counter, "4.19", Connected,
        "Payload sent, retransmissions included.";
    bytes_retrans: u64, "bytesRetrans", 208 u64, Bytes, Counter, "4.19", Connected,
        "Payload retransmitted.";
    dsack_dups: u32, "dsackDups", 216 u32, Count, Counter, "4.19", Connected,
        "Duplicates that the peer reported (DSACK): evidence of needless retransmissions; wraps at 2^32.";
    reord_seen: u32, "reordSeen", 220 u32, Count, Counter, "4.19", Connected,
        "Reordering events seen by the sender; wraps at 2^32.";
    rcv_ooopack: u32, "rxOutOfOrder", 224 u32, Packets, Counter, "5.4", Connected,
        "Packets received out of order; packets, not bytes; wraps at 2^32.";
    snd_wnd: u32, "txWindow", 228 u32, Bytes, Gauge, "5.4", Negotiated,
        "Window that the peer advertised, scaled.";
    rcv_wnd: u32, "rxWindow", 232 u32, Bytes, Gauge, "6.2", Connected,
        "Window that we advertised last, scaled.";
    rehash: u32, "rehash", 236 u32, Count, Counter, "6.2", Connected,
        "Attempts to find another path by a new flow hash; wraps at 2^32.";
    total_rto: u16, "totalRTO", 240 u16, Count, Counter, "6.7", Connected,
        "Retransmission timeouts, those of the SYN and repeated ones included; wraps at 2^16.";
    total_rto_recoveries: u16, "totalRTORecoveries", 242 u16, Count, Counter, "6.7", Connected,
        "Recoveries from retransmission timeouts, an unfinished one included; wraps at 2^16.";
    total_rto_time: Duration, "totalRTOTime", 244 u32, Milliseconds, Counter, "6.7", Connected,
        "Time spent in such recoveries, an unfinished one included.";
    received_ce: u32, "receivedCE", 248 u32, Segments, Counter, "6.18", Connected,
        "Segments received with a congestion mark; wraps at 2^32.";
    delivered_e1_bytes: u32, "deliveredE1Bytes", 252 u32, Bytes, Counter, "6.18", Connected,
        "Payload that the peer reported as received with ECT(1), by Accurate ECN; wraps at 2^32.";
    delivered_e0_bytes: u32, "deliveredE0Bytes", 256 u32, Bytes, Counter, "6.18", Connected,
        "Payload that the peer reported as received with ECT(0), by Accurate ECN; wraps at 2^32.";
    delivered_ce_bytes: u32, "deliveredCEBytes", 260 u32, Bytes, Counter, "6.18", Connected,
        "Payload that the peer reported as received with a congestion mark, by Accurate ECN; wraps at 2^32.";
    received_e1_bytes: u32, "receivedE1Bytes", 264 u32, Bytes, Counter, "6.18", Connected,
        "Payload received with ECT(1); wraps at 2^32.";
    received_e0_bytes: u32, "receivedE0Bytes", 268 u32, Bytes, Counter, "6.18", Connected,
        "Payload received with ECT(0); wraps at 2^32.";
    received_ce_bytes: u32, "receivedCEBytes", 272 u32, Bytes, Counter, "6.18", Connected,
        "Payload received with a congestion mark; wraps at 2^32.";
    ecn_mode: EcnMode, "ecnMode", 276 u8 [0, 2], None, Label, "7.0" >= 280, EcnModeWord,
        "Kind of explicit congestion notification in use.";
    accecn_opt_seen: AccEcnOption, "accECNOptSeen", 276 u8 [2, 2], None, Label, "6.18" >= 280, OptionSeenWord,
        "What was seen of the peer's Accurate ECN option. At 276 since 7.0, 16 bits at 278 before.";
    accecn_fail_mode: u8, "accECNFailMode", 276 u8 [4, 4], None, Label, "6.18" >= 280, FailModeWord,
        "How Accurate ECN failed: 1 ACE sending, 2 ACE receiving, 4 option sending, 8 option receiving. At 276 since 7.0, 16 bits at 276 before.";
}

const _: () = {
    assert!(LinuxTcpInfo::KNOWN_LEN < LinuxTcpInfo::CAPACITY);
    assert!(matches!(row::options.field.ty, Type::Options));
    assert!(TcpOption::WindowScale.bit() as u64 == OPT_WSCALE);
};
