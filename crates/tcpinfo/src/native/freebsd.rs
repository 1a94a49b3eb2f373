//! FreeBSD: `struct tcp_info` of `netinet/tcp.h`.
//!
//! Named after Linux's structure of old, with units and contents of its own. The fields that are
//! not in the table exist and are never filled (`__tcpi_ato`, `__tcpi_pmtu` and others). 236 bytes in
//! 13 and on 32-bit machines, 240 in 14, 256 in 15; 13 returns zeros where 14 has its new fields.

use std::time::Duration;

use super::{
    bsd::{self, Beside, Rule},
    structure::{Bytes, Row, first, structure},
};
use crate::{Options, Reading, State};

impl<B: Bytes> FreeBsdTcpInfo<B> {
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let beside = Beside {
            state: State::from_bsd(self.0.first()),
            keeps_counters: true,
            rtt: self.0.number(&row::rtt.field),
            options: Options::from_freebsd(
                self.0.number(&row::options.field) as u8,
                self.returned_len(),
            ),
        };
        bsd::judge(row, raw, &beside, || raw != 0 || self.returned_len() >= LEN_OF_14)
    }
}

/// The length from which on the fields of FreeBSD 14 are there; below, zero says nothing.
const LEN_OF_14: usize = 240;

structure! {
    /// `struct tcp_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, native::freebsd::FreeBsdTcpInfo};
    ///
    /// let thirteen = FreeBsdTcpInfo::from_bytes(&[4; 132]);
    /// assert_eq!(thirteen.snd_cwnd(), Reading::Value(0x0404_0404)); // in bytes
    /// assert_eq!(thirteen.dupacks(), Reading::Absent); // FreeBSD 14
    /// ```
    FreeBsdTcpInfo: FreeBsd "tcp_info", "tcpi_", since "FreeBSD ", known 256 of 384 bytes;

    state: State, "state", 0 u8, None, Label, "13", Always,
        "State of the connection.";
    options: Options, "options", 5 u8, None, Label, "13", OptionBits,
        "Options negotiated: properties of the connection, not of a direction.";
    snd_wscale: u8, "sndWScale", 6 u8 [0, 4], Count, Gauge, "13", WithWindowScale,
        "Window scale shift that the peer announced, for the windows we receive.";
    rcv_wscale: u8, "rcvWScale", 6 u8 [4, 4], Count, Gauge, "13", WithWindowScale,
        "Window scale shift that we announced.";
    rto: Duration, "rto", 8 u32, Microseconds, Gauge, "13", Connected,
        "Retransmission timeout, in steps of the kernel's tick; a default before the first RTT sample.";
    snd_mss: u32, "txMSS", 16 u32, Bytes, Gauge, "13", Connected,
        "Largest segment we send.";
    rcv_mss: u32, "rxMSS", 20 u32, Bytes, Gauge, "13", Connected,
        "The same number as `snd_mss`; the kernel has no other.";
    last_data_recv: Duration, "lastRxAt", 52 u32, Microseconds, Gauge, "13", Established,
        "Time since a segment last arrived, in steps of the kernel's tick; wraps after 71 minutes.";
    rtt: Duration, "rtt", 68 u32, Microseconds, Gauge, "13", NotZero,
        "Smoothed round-trip time; unset until the first sample.";
    rttvar: Duration, "rttVar", 72 u32, Microseconds, Gauge, "13", WithRtt,
        "Mean deviation of the round-trip time; unset until the first sample, when the kernel shows a default.";
    snd_ssthresh: u32, "txSSThreshold", 76 u32, Bytes, Gauge, "13", Finite,
        "Slow start threshold in bytes; unset while slow start was never left.";
    snd_cwnd: u32, "txCWindowBytes", 80 u32, Bytes, Gauge, "13", Established,
        "Congestion window in bytes.";
    rcv_space: u32, "rxWindow", 96 u32, Bytes, Gauge, "13", Connected,
        "Window that we advertise, scaled. Here it is a window, unlike Linux's field of this name.";
    snd_wnd: u32, "txWindow", 100 u32, Bytes, Gauge, "13", Established,
        "Window that the peer advertised, scaled.";
    snd_nxt: u32, "sndNxt", 108 u32, Sequence, Counter, "13", Connected,
        "Sequence number that is sent next.";
    rcv_nxt: u32, "rcvNxt", 112 u32, Sequence, Counter, "13", Connected,
        "Sequence number that is expected next.";
    toe_tid: u32, "toeTID", 116 u32, None, Label, "13", NotZero,
        "Identity of the connection in an adapter that handles it; unset without one.";
    snd_rexmitpack: u32, "txRetransmitPackets", 120 u32, Packets, Counter, "13", Connected,
        "Packets retransmitted in the connection's life; wraps at 2^32.";
    rcv_ooopack: u32, "rxOutOfOrder", 124 u32, Packets, Counter, "13", Connected,
        "Packets received out of order; packets, not bytes; wraps at 2^32.";
    snd_zerowin: u32, "rxZeroWindows", 128 u32, Count, Counter, "13", Connected,
        "How often we advertised an empty window; wraps at 2^32.";
    delivered_ce: u32, "deliveredCE", 132 u32, Packets, Counter, "14", IfTold,
        "Packets delivered that the peer reported as marked for congestion; wraps at 2^32.";
    received_ce: u32, "receivedCE", 136 u32, Packets, Counter, "14", IfTold,
        "Packets received with a congestion mark; wraps at 2^32.";
    total_tlp: u32, "tailLossProbes", 164 u32, Count, Counter, "14", IfToldNotZero,
        "Tail loss probes sent (RFC 8985); only the RACK stack counts them.";
    total_tlp_bytes: u64, "tailLossProbeBytes", 168 u64, Bytes, Counter, "14", IfToldNotZero,
        "Payload sent in such probes.";
    snd_una: u32, "sndUna", 176 u32, Sequence, Counter, "14", IfTold,
        "Oldest sequence number that is not acknowledged.";
    snd_max: u32, "sndMax", 180 u32, Sequence, Counter, "14", IfTold,
        "Highest sequence number that was sent.";
    rcv_numsacks: u32, "rxSacks", 184 u32, Count, Gauge, "14", IfTold,
        "Selective acknowledgements that wait to be sent.";
    rcv_adv: u32, "rcvAdv", 188 u32, Sequence, Counter, "14", IfTold,
        "Sequence number up to which we advertised a window.";
    dupacks: u32, "rxDuplicateAcks", 192 u32, Count, Gauge, "14", IfTold,
        "Duplicate acknowledgements received in a row.";
    rttmin: u32, "rttMinRaw", 196 u32, None, Gauge, "15" >= 256, NotZero,
        "Minimum round-trip time in a unit that depends on the TCP stack: ticks or microseconds.";
}
