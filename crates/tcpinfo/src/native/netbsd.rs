//! NetBSD: `struct tcp_info` of `netinet/tcp.h`, 236 bytes.
//!
//! Laid out as FreeBSD's, but the congestion window and the peer's window are in segments. The
//! fields that are not in the table are never filled, or repeat `snd_rexmitpack`
//! (`__tcpi_retransmits`, `__tcpi_retrans`).

use std::time::Duration;

use super::{
    bsd::{self, Beside, Rule},
    structure::{Bytes, Row, first, structure},
};
use crate::{Options, Reading, State};

impl<B: Bytes> NetBsdTcpInfo<B> {
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let beside = Beside {
            state: State::from_bsd(self.0.first()),
            keeps_counters: true,
            rtt: self.0.number(&row::rtt.field),
            options: Options::from_bsd(self.0.number(&row::options.field) as u32),
        };
        bsd::judge(row, raw, &beside, || true)
    }
}

structure! {
    /// `struct tcp_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, native::netbsd::NetBsdTcpInfo};
    ///
    /// let info = NetBsdTcpInfo::from_bytes(&[4; 236]);
    /// assert_eq!(info.snd_cwnd(), Reading::Value(0x0404_0404)); // in segments
    /// ```
    NetBsdTcpInfo: NetBsd "tcp_info", "tcpi_", since "NetBSD ", known 236 of 384 bytes;

    state: State, "state", 0 u8, None, Label, "8", Always,
        "State of the connection.";
    options: Options, "options", 5 u8, None, Label, "8", OptionBits,
        "Options negotiated: properties of the connection, not of a direction.";
    snd_wscale: u8, "sndWScale", 6 u8 [0, 4], Count, Gauge, "8", WithWindowScale,
        "Window scale shift that the peer announced, for the windows we receive.";
    rcv_wscale: u8, "rcvWScale", 6 u8 [4, 4], Count, Gauge, "8", WithWindowScale,
        "Window scale shift that we announced.";
    rto: Duration, "rto", 8 u32, Microseconds, Gauge, "8", Connected,
        "Retransmission timeout, in steps of the kernel's tick; a default before the first RTT sample.";
    snd_mss: u32, "txMSS", 16 u32, Bytes, Gauge, "8", Connected,
        "Largest segment we send.";
    rcv_mss: u32, "rxMSS", 20 u32, Bytes, Gauge, "8", Connected,
        "The same number as `snd_mss`; the kernel has no other.";
    last_data_recv: Duration, "lastRxAt", 52 u32, Microseconds, Gauge, "8", Established,
        "Time since a segment last arrived, in steps of the kernel's tick; wraps after 71 minutes.";
    rtt: Duration, "rtt", 68 u32, Microseconds, Gauge, "8", NotZero,
        "Smoothed round-trip time; unset until the first sample.";
    rttvar: Duration, "rttVar", 72 u32, Microseconds, Gauge, "8", WithRtt,
        "Mean deviation of the round-trip time; unset until the first sample, when the kernel shows a default.";
    snd_ssthresh: u32, "txSSThreshold", 76 u32, Bytes, Gauge, "8", Finite,
        "Slow start threshold in bytes; unset while slow start was never left.";
    snd_cwnd: u32, "txCWindow", 80 u32, Segments, Gauge, "8", Established,
        "Congestion window in segments.";
    rcv_space: u32, "rxWindow", 96 u32, Bytes, Gauge, "8", Connected,
        "Window that we advertise, scaled. Here it is a window, unlike Linux's field of this name.";
    snd_wnd: u32, "txWindowSegs", 100 u32, Segments, Gauge, "8", Established,
        "Window that the peer advertised, in segments of `snd_mss` bytes, rounded down.";
    snd_nxt: u32, "sndNxt", 108 u32, Sequence, Counter, "8", Connected,
        "Sequence number that is sent next.";
    rcv_nxt: u32, "rcvNxt", 112 u32, Sequence, Counter, "8", Connected,
        "Sequence number that is expected next.";
    toe_tid: u32, "toeTID", 116 u32, None, Label, "8", NotZero,
        "Identity of the connection in an adapter that handles it; unset without one.";
    snd_rexmitpack: u32, "txRetransmitPackets", 120 u32, Packets, Counter, "8", Connected,
        "Packets retransmitted in the connection's life; wraps at 2^32.";
    rcv_ooopack: u32, "rxOutOfOrder", 124 u32, Packets, Counter, "8", Connected,
        "Packets received out of order; packets, not bytes; wraps at 2^32.";
    snd_zerowin: u32, "rxZeroWindows", 128 u32, Count, Counter, "8", Connected,
        "How often we advertised an empty window; wraps at 2^32.";
}
