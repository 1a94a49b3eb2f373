//! Windows: `TCP_INFO_v0`, `v1` and `v2` of `mstcpip.h`, read with `SIO_TCP_INFO`.
//!
//! Each version begins with the one before: 88, 136 and 152 bytes, so the length that Windows
//! returned says which fields are there. Flags are read as bytes, since any number may stand for
//! "true" in a foreign structure.

use std::time::Duration;

use super::structure::{Bytes, Row, first, structure};
use crate::{Reading, State, fields::Kind};

impl<B: Bytes> WindowsTcpInfo<B> {
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let code = u8::try_from(self.0.number(&row::state.field)).unwrap_or(u8::MAX);
        let state = State::from_windows(code);
        let unset = match row.rule {
            Rule::Always => false,
            _ if matches!(state, State::Listen) => true,
            _ if matches!(state, State::Close) && !matches!(row.field.kind, Kind::Counter) => true,
            Rule::Connected => false,
            Rule::Measured => raw == 0 || raw == u64::from(u32::MAX),
        };
        if unset { Reading::Unset } else { Reading::Value(raw) }
    }
}

/// When a number that Windows returned means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// In every state.
    Always,
    /// Of a connection; the counters also of one that is over.
    Connected,
    /// Zero and all ones stand for "no sample".
    Measured,
}

structure! {
    /// `TCP_INFO_v0` to `v2`: the bytes as Windows returned them, decoded on access.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tcpinfo::{Reading, State, native::{ByteOrder, windows::WindowsTcpInfo}};
    ///
    /// let mut bytes = [0; 88]; // version 0
    /// bytes[0] = 4;
    /// bytes[20] = 200;
    /// let info = WindowsTcpInfo::from_bytes_in(&bytes, ByteOrder::Little);
    ///
    /// assert_eq!(info.state(), Reading::Value(State::Established));
    /// assert_eq!(info.rtt_us(), Reading::Value(Duration::from_micros(200)));
    /// assert_eq!(info.snd_lim_time_rwin(), Reading::Absent); // version 1
    /// ```
    WindowsTcpInfo: Windows "TCP_INFO", "", since "Windows ", known 152 of 384 bytes;

    state = "State": State, "state", 0 u32, None, Label, "10 1703", Always,
        "State of the connection.";
    mss = "Mss": u32, "txMSS", 4 u32, Bytes, Gauge, "10 1703", Connected,
        "Largest segment we send.";
    connection_time_ms = "ConnectionTimeMs": Duration, "connectionTime", 8 u64, Milliseconds, Gauge, "10 1703", Connected,
        "Time since the connection was established.";
    timestamps_enabled = "TimestampsEnabled": bool, "timestampsEnabled", 16 u8, None, Label, "10 1703", Connected,
        "Whether timestamps are in use (RFC 7323).";
    rtt_us = "RttUs": Duration, "rtt", 20 u32, Microseconds, Gauge, "10 1703", Measured,
        "Smoothed round-trip time; unset until the first sample.";
    min_rtt_us = "MinRttUs": Duration, "minRTT", 24 u32, Microseconds, Gauge, "10 1703", Measured,
        "Minimum round-trip time of the connection's life; unset until the first sample.";
    bytes_in_flight = "BytesInFlight": u32, "inFlightBytes", 28 u32, Bytes, Gauge, "10 1703", Connected,
        "Bytes sent and not yet acknowledged.";
    cwnd = "Cwnd": u32, "txCWindowBytes", 32 u32, Bytes, Gauge, "10 1703", Connected,
        "Congestion window.";
    snd_wnd = "SndWnd": u32, "txWindow", 36 u32, Bytes, Gauge, "10 1703", Connected,
        "Window that the peer advertised, scaled.";
    rcv_wnd = "RcvWnd": u32, "rxWindow", 40 u32, Bytes, Gauge, "10 1703", Connected,
        "Window that we advertised, scaled.";
    rcv_buf = "RcvBuf": u32, "rxBuffer", 44 u32, Bytes, Gauge, "10 1703", Connected,
        "Size of the receive buffer, as tuned at the moment.";
    bytes_out = "BytesOut": u64, "txBytes", 48 u64, Bytes, Counter, "10 1703", Connected,
        "Payload sent.";
    bytes_in = "BytesIn": u64, "rxBytes", 56 u64, Bytes, Counter, "10 1703", Connected,
        "Payload received.";
    bytes_reordered = "BytesReordered": u32, "txReorderedBytes", 64 u32, Bytes, Counter, "10 1703", Connected,
        "Payload that we sent and that the path reordered: a fact of the sender, not of what arrived here; wraps at 2^32.";
    bytes_retrans = "BytesRetrans": u32, "txRetransmitBytes", 68 u32, Bytes, Counter, "10 1703", Connected,
        "Payload retransmitted; wraps at 2^32.";
    fast_retrans = "FastRetrans": u32, "fastRetransmits", 72 u32, Count, Counter, "10 1703", Connected,
        "Fast retransmissions: events, not segments.";
    dup_acks_in = "DupAcksIn": u32, "rxDuplicateAcks", 76 u32, Count, Counter, "10 1703", Connected,
        "Duplicate acknowledgements received.";
    timeout_episodes = "TimeoutEpisodes": u32, "timeoutEpisodes", 80 u32, Count, Counter, "10 1703", Connected,
        "Episodes of retransmission timeouts; one may hold many timeouts.";
    syn_retrans = "SynRetrans": u8, "synRetransmits", 84 u8, Count, Counter, "10 1703", Connected,
        "SYNs retransmitted.";
    snd_lim_trans_rwin = "SndLimTransRwin": u32, "rwinLimitedTransitions", 88 u32, Count, Counter, "10 1809", Connected,
        "How often sending came to be limited by the peer's receive window.";
    snd_lim_time_rwin = "SndLimTimeRwin": Duration, "rwinLimitedTime", 92 u32, Milliseconds, Counter, "10 1809", Connected,
        "Time that sending was limited by the peer's receive window.";
    snd_lim_bytes_rwin = "SndLimBytesRwin": u64, "rwinLimitedBytes", 96 u64, Bytes, Counter, "10 1809", Connected,
        "Payload sent while limited by the peer's receive window.";
    snd_lim_trans_cwnd = "SndLimTransCwnd": u32, "cwndLimitedTransitions", 104 u32, Count, Counter, "10 1809", Connected,
        "How often sending came to be limited by the congestion window.";
    snd_lim_time_cwnd = "SndLimTimeCwnd": Duration, "cwndLimitedTime", 108 u32, Milliseconds, Counter, "10 1809", Connected,
        "Time that sending was limited by the congestion window.";
    snd_lim_bytes_cwnd = "SndLimBytesCwnd": u64, "cwndLimitedBytes", 112 u64, Bytes, Counter, "10 1809", Connected,
        "Payload sent while limited by the congestion window.";
    snd_lim_trans_snd = "SndLimTransSnd": u32, "senderLimitedTransitions", 120 u32, Count, Counter, "10 1809", Connected,
        "How often sending came to be limited by the sender itself.";
    snd_lim_time_snd = "SndLimTimeSnd": Duration, "senderLimitedTime", 124 u32, Milliseconds, Counter, "10 1809", Connected,
        "Time that sending was limited by the sender itself: its send buffer, or a program with nothing to send.";
    snd_lim_bytes_snd = "SndLimBytesSnd": u64, "senderLimitedBytes", 128 u64, Bytes, Counter, "10 1809", Connected,
        "Payload sent while limited by the sender itself.";
    out_of_order_pkts_in = "OutOfOrderPktsIn": u32, "rxOutOfOrder", 136 u32, Packets, Counter, "11 24H2", Connected,
        "Packets received out of order; packets, not bytes.";
    ecn_negotiated = "EcnNegotiated": bool, "ecnNegotiated", 140 u8, None, Label, "11 24H2", Connected,
        "Whether explicit congestion notification was negotiated (RFC 3168).";
    ece_acks_in = "EceAcksIn": u32, "rxEceAcks", 144 u32, Count, Counter, "11 24H2", Connected,
        "Acknowledgements received that reported a congestion mark.";
    pto_episodes = "PtoEpisodes": u32, "ptoEpisodes", 148 u32, Count, Counter, "11 24H2", Connected,
        "Episodes of probe timeouts (RFC 8985).";
}
