//! OpenBSD: `struct tcp_info` of `netinet/tcp.h`, 212 bytes.
//!
//! Everything from offset 100 on is filled for the superuser only. For others it is zero, which says
//! nothing, and is then reported as absent; for the superuser the sizes of the buffers are among it
//! and never zero. The fields before that are not in the table are never filled.

use std::time::Duration;

use super::{
    bsd::{self, Beside, Rule},
    structure::{Bytes, Row, first, structure},
};
use crate::{Options, Reading, State};

impl<B: Bytes> OpenBsdTcpInfo<B> {
    /// Whether the kernel filled the part that it keeps from unprivileged processes.
    pub fn is_privileged(&self) -> bool {
        self.as_bytes().get(PRIVILEGED..).is_some_and(|part| part.iter().any(|byte| *byte != 0))
    }

    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let beside = Beside {
            state: State::from_bsd(self.0.first()),
            keeps_counters: true,
            rtt: self.0.number(&row::rtt.field),
            options: Options::from_bsd(self.0.number(&row::options.field) as u32),
        };
        bsd::judge(row, raw, &beside, || self.is_privileged())
    }
}

/// Where the part begins that is filled for the superuser only.
const PRIVILEGED: usize = 100;

structure! {
    /// `struct tcp_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, native::openbsd::OpenBsdTcpInfo};
    ///
    /// let mut bytes = [0; 212];
    /// bytes[0] = 4;
    /// let unprivileged = OpenBsdTcpInfo::from_bytes(&bytes);
    /// assert_eq!(unprivileged.snd_rexmitpack(), Reading::Absent); // not told, so not zero
    ///
    /// bytes[185] = 64; // the limit of the receive buffer, which only the superuser sees
    /// let privileged = OpenBsdTcpInfo::from_bytes(&bytes);
    /// assert_eq!(privileged.snd_rexmitpack(), Reading::Value(0));
    /// ```
    OpenBsdTcpInfo: OpenBsd "tcp_info", "tcpi_", since "OpenBSD ", known 212 of 384 bytes;

    state: State, "state", 0 u8, None, Label, "7.3", Always,
        "State of the connection.";
    options: Options, "options", 5 u8, None, Label, "7.3", OptionBits,
        "Options negotiated: properties of the connection, not of a direction.";
    snd_wscale: u8, "sndWScale", 6 u8, Count, Gauge, "7.3", WithWindowScale,
        "Window scale shift that the peer announced, for the windows we receive.";
    rcv_wscale: u8, "rcvWScale", 7 u8, Count, Gauge, "7.3", WithWindowScale,
        "Window scale shift that we announced.";
    rto: Duration, "rto", 8 u32, Microseconds, Gauge, "7.3", Connected,
        "Retransmission timeout, in steps of the kernel's tick; a default before the first RTT sample.";
    snd_mss: u32, "txMSS", 16 u32, Bytes, Gauge, "7.3", Connected,
        "Largest segment we send.";
    rcv_mss: u32, "rxMSS", 20 u32, Bytes, Gauge, "7.3", Connected,
        "Largest segment that the peer announced it can take.";
    last_data_sent: Duration, "lastTxAt", 44 u32, Microseconds, Gauge, "7.3", Established,
        "Time since data was last sent, in steps of one millisecond; wraps after 71 minutes.";
    last_ack_sent: Duration, "lastTxAckAt", 48 u32, Microseconds, Gauge, "7.3", Established,
        "Time since an acknowledgement was last sent, in steps of one millisecond; wraps after 71 minutes.";
    last_data_recv: Duration, "lastRxAt", 52 u32, Microseconds, Gauge, "7.3", Established,
        "Time since a segment last arrived, in steps of one millisecond; wraps after 71 minutes.";
    last_ack_recv: Duration, "lastRxAckAt", 56 u32, Microseconds, Gauge, "7.3", Established,
        "Time since an acknowledgement last arrived, in steps of one millisecond; wraps after 71 minutes.";
    rtt: Duration, "rtt", 68 u32, Microseconds, Gauge, "7.3", NotZero,
        "Smoothed round-trip time; unset until the first sample.";
    rttvar: Duration, "rttVar", 72 u32, Microseconds, Gauge, "7.3", WithRtt,
        "Mean deviation of the round-trip time; unset until the first sample, when the kernel shows a default.";
    snd_ssthresh: u32, "txSSThreshold", 76 u32, Bytes, Gauge, "7.3", Finite,
        "Slow start threshold in bytes; unset while slow start was never left.";
    snd_cwnd: u32, "txCWindowBytes", 80 u32, Bytes, Gauge, "7.3", Established,
        "Congestion window in bytes.";
    rcv_space: u32, "rxWindow", 96 u32, Bytes, Gauge, "7.3", Connected,
        "Window that we advertise, scaled. Here it is a window, unlike Linux's field of this name.";
    snd_wnd: u32, "txWindow", 100 u32, Bytes, Gauge, "7.3", IfTold,
        "Window that the peer advertised, scaled.";
    snd_nxt: u32, "sndNxt", 104 u32, Sequence, Counter, "7.3", IfTold,
        "Sequence number that is sent next, counted from the first.";
    rcv_nxt: u32, "rcvNxt", 108 u32, Sequence, Counter, "7.3", IfTold,
        "Sequence number that is expected next, counted from the first.";
    snd_rexmitpack: u32, "txRetransmitPackets", 116 u32, Packets, Counter, "7.3", IfTold,
        "Packets retransmitted in the connection's life; wraps at 2^32.";
    rcv_ooopack: u32, "rxOutOfOrder", 120 u32, Packets, Counter, "7.3", IfTold,
        "Packets received out of order; packets, not bytes; wraps at 2^32.";
    snd_zerowin: u32, "rxZeroWindows", 124 u32, Count, Counter, "7.3", IfTold,
        "How often we advertised an empty window; wraps at 2^32.";
    rttmin: Duration, "rtoMin", 128 u32, Microseconds, Gauge, "7.3", IfTold,
        "Smallest retransmission timeout allowed. Not a round-trip time that was seen.";
    max_sndwnd: u32, "maxTxWindow", 132 u32, Bytes, Gauge, "7.3", IfTold,
        "Largest window that the peer advertised so far.";
    rcv_adv: u32, "rcvAdv", 136 u32, Sequence, Counter, "7.3", IfTold,
        "Sequence number up to which we advertised a window, counted from the first.";
    rcv_up: u32, "rcvUp", 140 u32, Sequence, Counter, "7.3", IfTold,
        "Urgent pointer of the receiver.";
    snd_una: u32, "sndUna", 144 u32, Sequence, Counter, "7.3", IfTold,
        "Oldest sequence number that is not acknowledged, counted from the first.";
    snd_up: u32, "sndUp", 148 u32, Sequence, Counter, "7.3", IfTold,
        "Urgent pointer of the sender.";
    snd_wl1: u32, "sndWl1", 152 u32, Sequence, Counter, "7.3", IfTold,
        "Sequence number of the last window update.";
    snd_wl2: u32, "sndWl2", 156 u32, Sequence, Counter, "7.3", IfTold,
        "Acknowledgement number of the last window update.";
    snd_max: u32, "sndMax", 160 u32, Sequence, Counter, "7.3", IfTold,
        "Highest sequence number that was sent, counted from the first.";
    ts_recent: u32, "tsRecent", 164 u32, None, Gauge, "7.3", IfTold,
        "Last timestamp received, in the peer's unit.";
    ts_recent_age: Duration, "tsRecentAge", 168 u32, Microseconds, Gauge, "7.3", IfTold,
        "Time since that timestamp arrived; wraps after 71 minutes.";
    rfbuf_cnt: u32, "rxTuningBytes", 172 u32, Bytes, Gauge, "7.3", IfTold,
        "Bytes received in the current step of receive-buffer tuning.";
    rfbuf_ts: Duration, "rxTuningAge", 176 u32, Microseconds, Gauge, "7.3", IfTold,
        "Time since that step began; wraps after 71 minutes.";
    so_rcv_sb_cc: u32, "rxQueuedBytes", 180 u32, Bytes, Gauge, "7.3", IfTold,
        "Bytes received and not yet read by the program.";
    so_rcv_sb_hiwat: u32, "rxBuffer", 184 u32, Bytes, Gauge, "7.3", IfTold,
        "Limit of the receive buffer.";
    so_rcv_sb_lowat: u32, "rxLowWater", 188 u32, Bytes, Gauge, "7.3", IfTold,
        "Bytes from which on the socket is readable.";
    so_rcv_sb_wat: u32, "rxWater", 192 u32, Bytes, Gauge, "7.3", IfTold,
        "Size that the receive buffer was set to.";
    so_snd_sb_cc: u32, "txQueuedBytes", 196 u32, Bytes, Gauge, "7.3", IfTold,
        "Bytes in the send queue: not sent, and sent but not acknowledged.";
    so_snd_sb_hiwat: u32, "txBuffer", 200 u32, Bytes, Gauge, "7.3", IfTold,
        "Limit of the send buffer.";
    so_snd_sb_lowat: u32, "txLowWater", 204 u32, Bytes, Gauge, "7.3", IfTold,
        "Free bytes from which on the socket is writable.";
    so_snd_sb_wat: u32, "txWater", 208 u32, Bytes, Gauge, "7.3", IfTold,
        "Size that the send buffer was set to.";
}
