//! macOS, iOS and their relatives: `struct tcp_connection_info` of `netinet/tcp.h`, read with
//! `TCP_CONNECTION_INFO`.
//!
//! 112 bytes, 104 before macOS 10.12.4. All times have a resolution of one millisecond, so that a
//! loopback connection reads as zero and then as [unset](Reading::Unset). A socket that listens or
//! is closed fills nothing but its state.

use std::time::Duration;

use super::{
    bsd::{self, Beside, Rule},
    structure::{Bytes, Row, first, structure},
};
use crate::{Options, Reading, State};

impl<B: Bytes> AppleTcpInfo<B> {
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let beside = Beside {
            state: State::from_bsd(self.0.first()),
            keeps_counters: false,
            rtt: self.0.number(&row::srtt.field),
            options: Options::from_bsd(self.0.number(&row::options.field) as u32),
        };
        bsd::judge(row, raw, &beside, || raw != 0 || self.returned_len() >= LEN_SINCE_10_12_4)
    }
}

/// The length since macOS 10.12.4.
const LEN_SINCE_10_12_4: usize = 112;

structure! {
    /// `struct tcp_connection_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tcpinfo::{Reading, State, native::{ByteOrder, apple::AppleTcpInfo}};
    ///
    /// let mut bytes = [0; 104]; // as macOS before 10.12.4 returns it
    /// bytes[0] = 4;
    /// bytes[44] = 23;
    /// let info = AppleTcpInfo::from_bytes_in(&bytes, ByteOrder::Little);
    ///
    /// assert_eq!(info.state(), Reading::Value(State::Established));
    /// assert_eq!(info.srtt(), Reading::Value(Duration::from_millis(23)));
    /// assert_eq!(info.rto(), Reading::Unset); // the retransmission timer is not running
    /// assert_eq!(info.txretransmitpackets(), Reading::Absent);
    /// ```
    AppleTcpInfo: Apple "tcp_connection_info", "tcpi_", since "macOS ", known 112 of 384 bytes;

    state: State, "state", 0 u8, None, Label, "10.11", Always,
        "State of the connection.";
    snd_wscale: u8, "sndWScale", 1 u8, Count, Gauge, "10.11", WithWindowScale,
        "Window scale shift that the peer announced, for the windows we receive.";
    rcv_wscale: u8, "rcvWScale", 2 u8, Count, Gauge, "10.11", WithWindowScale,
        "Window scale shift that we announced.";
    options: Options, "options", 4 u32, None, Label, "10.11", OptionBits,
        "Options negotiated: properties of the connection, not of a direction.";
    lossrecovery = "flags.LOSSRECOVERY": bool, "lossRecovery", 8 u32 [0, 1], None, Gauge, "10.11", Connected,
        "Whether lost data is being retransmitted at the moment.";
    reordering_detected = "flags.REORDERING_DETECTED": bool, "reorderingDetected", 8 u32 [1, 1], None, Gauge, "10.11", Connected,
        "Whether the sender saw the path reorder.";
    rto: Duration, "rto", 12 u32, Milliseconds, Gauge, "10.11", NotZero,
        "Retransmission timeout; unset while its timer is not running.";
    maxseg: u32, "txMSS", 16 u32, Bytes, Gauge, "10.11", Connected,
        "Largest segment we send.";
    snd_ssthresh: u32, "txSSThreshold", 20 u32, Bytes, Gauge, "10.11", Finite,
        "Slow start threshold; unset while slow start was never left.";
    snd_cwnd: u32, "txCWindowBytes", 24 u32, Bytes, Gauge, "10.11", Connected,
        "Congestion window.";
    snd_wnd: u32, "txWindow", 28 u32, Bytes, Gauge, "10.11", Connected,
        "Window that the peer advertised, scaled.";
    snd_sbbytes: u32, "txQueuedBytes", 32 u32, Bytes, Gauge, "10.11", Connected,
        "Bytes in the send queue: not sent, and sent but not acknowledged.";
    rcv_wnd: u32, "rxWindow", 36 u32, Bytes, Gauge, "10.11", Connected,
        "Window that we advertised, scaled. Can read as zero for a moment when sequence numbers wrap.";
    rttcur: Duration, "rttLast", 40 u32, Milliseconds, Gauge, "10.11", NotZero,
        "Most recent round-trip sample, which the receiving side's estimator overwrites too; unset below one millisecond.";
    srtt: Duration, "rtt", 44 u32, Milliseconds, Gauge, "10.11", NotZero,
        "Smoothed round-trip time; unset until the first sample and below one millisecond.";
    rttvar: Duration, "rttVar", 48 u32, Milliseconds, Gauge, "10.11", WithRtt,
        "Mean deviation of the round-trip time; unset without a round-trip time.";
    tfo_cookie_req: bool, "tfoCookieReq", 52 u32 [0, 1], None, Label, "10.11", Connected,
        "Fast Open: we asked for a cookie.";
    tfo_cookie_rcv: bool, "tfoCookieRcv", 52 u32 [1, 1], None, Label, "10.11", Connected,
        "Fast Open: we got a cookie.";
    tfo_syn_loss: bool, "tfoSynLoss", 52 u32 [2, 1], None, Label, "10.11", Connected,
        "Fast Open: the SYN was lost and sent again without data.";
    tfo_syn_data_sent: bool, "tfoSynDataSent", 52 u32 [3, 1], None, Label, "10.11", Connected,
        "Fast Open: our SYN carried data.";
    tfo_syn_data_acked: bool, "tfoSynDataAcked", 52 u32 [4, 1], None, Label, "10.11", Connected,
        "Fast Open: the data in our SYN was acknowledged.";
    tfo_syn_data_rcv: bool, "tfoSynDataRcv", 52 u32 [5, 1], None, Label, "10.11", Connected,
        "Fast Open: the peer's SYN carried data.";
    tfo_cookie_req_rcv: bool, "tfoCookieReqRcv", 52 u32 [6, 1], None, Label, "10.11", Connected,
        "Fast Open: the peer asked for a cookie.";
    tfo_cookie_sent: bool, "tfoCookieSent", 52 u32 [7, 1], None, Label, "10.11", Connected,
        "Fast Open: we sent a cookie.";
    tfo_cookie_invalid: bool, "tfoCookieInvalid", 52 u32 [8, 1], None, Label, "10.11", Connected,
        "Fast Open: the peer's SYN bore an invalid cookie.";
    tfo_cookie_wrong: bool, "tfoCookieWrong", 52 u32 [9, 1], None, Label, "10.12", IfTold,
        "Fast Open: the cookie that we sent was refused.";
    tfo_no_cookie_rcv: bool, "tfoNoCookieRcv", 52 u32 [10, 1], None, Label, "10.12", IfTold,
        "Fast Open: we asked for a cookie and got none.";
    tfo_heuristics_disable: bool, "tfoHeuristicsDisable", 52 u32 [11, 1], None, Label, "10.12", IfTold,
        "Fast Open: turned off by the system's experience with this network.";
    tfo_send_blackhole: bool, "tfoSendBlackhole", 52 u32 [12, 1], None, Label, "10.12", IfTold,
        "Fast Open: what we sent vanished on the way.";
    tfo_recv_blackhole: bool, "tfoRecvBlackhole", 52 u32 [13, 1], None, Label, "10.12", IfTold,
        "Fast Open: what the peer sent vanished on the way.";
    tfo_onebyte_proxy: bool, "tfoOneByteProxy", 52 u32 [14, 1], None, Label, "10.13", IfTold,
        "Fast Open: a proxy on the way acknowledged one byte only.";
    txpackets: u64, "txPackets", 56 u64, Packets, Counter, "10.11", Connected,
        "Packets sent; what the network adapter splits counts once.";
    txbytes: u64, "txBytes", 64 u64, Bytes, Counter, "10.11", Connected,
        "Payload sent, retransmissions included.";
    txretransmitbytes: u64, "txRetransmitBytes", 72 u64, Bytes, Counter, "10.11", Connected,
        "Payload retransmitted.";
    rxpackets: u64, "rxPackets", 80 u64, Packets, Counter, "10.11", Connected,
        "Packets received; what the network adapter joins counts once.";
    rxbytes: u64, "rxBytes", 88 u64, Bytes, Counter, "10.11", Connected,
        "Payload received.";
    rxoutoforderbytes: u64, "rxOutOfOrderBytes", 96 u64, Bytes, Counter, "10.11", Connected,
        "Payload received out of order; bytes, not packets.";
    txretransmitpackets: u64, "txRetransmitPackets", 104 u64, Packets, Counter, "10.12.4", Connected,
        "Packets retransmitted.";
}
