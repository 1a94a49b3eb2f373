//! `struct tcp_info` of OpenBSD, of which the superuser sees more.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    Options,
    Reading::{Absent, Unset, Value},
    State, System, TcpInfo,
    fields::Unit::{Bytes, Count, Microseconds, None as Code, Packets, Sequence},
    native::{
        ByteOrder, Native,
        openbsd::{OpenBsdTcpInfo, schema},
    },
};

use super::{
    BSD_STATES, ORDERS, Row, assert_facts, assert_layout, assert_presence, assert_readings, put,
    values, words,
};

const LAYOUT: &[Row] = &[
    ("state", 0, 1, None, Code, 1),
    ("options", 5, 1, None, Code, 6),
    ("snd_wscale", 6, 1, None, Count, 7),
    ("rcv_wscale", 7, 1, None, Count, 8),
    ("rto", 8, 4, None, Microseconds, 12),
    ("snd_mss", 16, 4, None, Bytes, 20),
    ("rcv_mss", 20, 4, None, Bytes, 24),
    ("last_data_sent", 44, 4, None, Microseconds, 48),
    ("last_ack_sent", 48, 4, None, Microseconds, 52),
    ("last_data_recv", 52, 4, None, Microseconds, 56),
    ("last_ack_recv", 56, 4, None, Microseconds, 60),
    ("rtt", 68, 4, None, Microseconds, 72),
    ("rttvar", 72, 4, None, Microseconds, 76),
    ("snd_ssthresh", 76, 4, None, Bytes, 80),
    ("snd_cwnd", 80, 4, None, Bytes, 84),
    ("rcv_space", 96, 4, None, Bytes, 100),
    ("snd_wnd", 100, 4, None, Bytes, 104),
    ("snd_nxt", 104, 4, None, Sequence, 108),
    ("rcv_nxt", 108, 4, None, Sequence, 112),
    ("snd_rexmitpack", 116, 4, None, Packets, 120),
    ("rcv_ooopack", 120, 4, None, Packets, 124),
    ("snd_zerowin", 124, 4, None, Count, 128),
    ("rttmin", 128, 4, None, Microseconds, 132),
    ("max_sndwnd", 132, 4, None, Bytes, 136),
    ("rcv_adv", 136, 4, None, Sequence, 140),
    ("rcv_up", 140, 4, None, Sequence, 144),
    ("snd_una", 144, 4, None, Sequence, 148),
    ("snd_up", 148, 4, None, Sequence, 152),
    ("snd_wl1", 152, 4, None, Sequence, 156),
    ("snd_wl2", 156, 4, None, Sequence, 160),
    ("snd_max", 160, 4, None, Sequence, 164),
    ("ts_recent", 164, 4, None, Code, 168),
    ("ts_recent_age", 168, 4, None, Microseconds, 172),
    ("rfbuf_cnt", 172, 4, None, Bytes, 176),
    ("rfbuf_ts", 176, 4, None, Microseconds, 180),
    ("so_rcv_sb_cc", 180, 4, None, Bytes, 184),
    ("so_rcv_sb_hiwat", 184, 4, None, Bytes, 188),
    ("so_rcv_sb_lowat", 188, 4, None, Bytes, 192),
    ("so_rcv_sb_wat", 192, 4, None, Bytes, 196),
    ("so_snd_sb_cc", 196, 4, None, Bytes, 200),
    ("so_snd_sb_hiwat", 200, 4, None, Bytes, 204),
    ("so_snd_sb_lowat", 204, 4, None, Bytes, 208),
    ("so_snd_sb_wat", 208, 4, None, Bytes, 212),
];

/// An established connection as the superuser sees it: every word, also of those that no kernel
/// fills, holds 1000 + its offset.
pub(crate) fn connection(order: ByteOrder) -> Vec<u8> {
    let mut bytes = words(212, order);
    bytes[..8].copy_from_slice(&[4, 0xee, 0xee, 0xee, 0xee, 0x0e, 7, 9]);
    bytes
}

/// The same as anybody else sees it.
fn unprivileged() -> Vec<u8> {
    let mut bytes = connection(ByteOrder::Little);
    bytes[100..].fill(0);
    bytes
}

fn read(bytes: &[u8]) -> OpenBsdTcpInfo {
    OpenBsdTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn view(bytes: &[u8]) -> TcpInfo {
    super::view(Native::OpenBsd(read(bytes)))
}

fn with(numbers: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = connection(ByteOrder::Little);
    for (offset, number) in numbers {
        put(&mut bytes, ByteOrder::Little, *offset, 4, u64::from(*number));
    }
    bytes
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::OpenBsd, "tcp_info", LAYOUT);
    assert_eq!(OpenBsdTcpInfo::KNOWN_LEN, 212);
}

#[test]
fn every_field_is_read_from_its_place_in_both_byte_orders() {
    let micros = |number| Value(Duration::from_micros(number));
    for order in ORDERS {
        let info = OpenBsdTcpInfo::from_bytes_in(&connection(order), order);
        assert_readings!(info, {
            state: Value(State::Established),
            options: Value(Options::from_bsd(0x0e)),
            snd_wscale: Value(7),
            rcv_wscale: Value(9),
            rto: micros(1008),
            snd_mss: Value(1016),
            rcv_mss: Value(1020),
            last_data_sent: micros(1044),
            last_ack_sent: micros(1048),
            last_data_recv: micros(1052),
            last_ack_recv: micros(1056),
            rtt: micros(1068),
            rttvar: micros(1072),
            snd_ssthresh: Value(1076),
            snd_cwnd: Value(1080),
            rcv_space: Value(1096),
            snd_wnd: Value(1100),
            snd_nxt: Value(1104),
            rcv_nxt: Value(1108),
            snd_rexmitpack: Value(1116),
            rcv_ooopack: Value(1120),
            snd_zerowin: Value(1124),
            rttmin: micros(1128),
            max_sndwnd: Value(1132),
            rcv_adv: Value(1136),
            rcv_up: Value(1140),
            snd_una: Value(1144),
            snd_up: Value(1148),
            snd_wl1: Value(1152),
            snd_wl2: Value(1156),
            snd_max: Value(1160),
            ts_recent: Value(1164),
            ts_recent_age: micros(1168),
            rfbuf_cnt: Value(1172),
            rfbuf_ts: micros(1176),
            so_rcv_sb_cc: Value(1180),
            so_rcv_sb_hiwat: Value(1184),
            so_rcv_sb_lowat: Value(1188),
            so_rcv_sb_wat: Value(1192),
            so_snd_sb_cc: Value(1196),
            so_snd_sb_hiwat: Value(1200),
            so_snd_sb_lowat: Value(1204),
            so_snd_sb_wat: Value(1208),
        });
    }
}

#[test]
fn presence_follows_the_returned_length() {
    for order in ORDERS {
        assert_presence(LAYOUT, &[], &connection(order), |bytes| {
            let info = OpenBsdTcpInfo::from_bytes_in(bytes, order);
            info.fields().map(|(field, reading)| (field.name, reading)).collect()
        });
    }
}

/// What everybody is told; none of it lies at 100 or beyond.
const PUBLIC_FACTS: &[(&str, &str)] = &[
    ("state", "ESTABLISHED"),
    ("txWindowScale", "9"),
    ("rxWindowScale", "7"),
    ("txMSS", "1016"),
    ("rxMSS", "1020"),
    ("rtt", "1.068ms"),
    ("rttVar", "1.072ms"),
    ("rto", "1.008ms"),
    ("lastTxAt", "1.044ms"),
    ("lastTxAckAt", "1.048ms"),
    ("lastRxAt", "1.052ms"),
    ("lastRxAckAt", "1.056ms"),
    ("rxWindow", "1096"),
    ("txSSThreshold", "1076"),
    ("txCWindowBytes", "1080"),
    ("txCWindowSegs", "1"),
];

#[test]
fn the_portable_view_takes_each_fact_from_its_field() {
    for order in ORDERS {
        let native = OpenBsdTcpInfo::from_bytes_in(&connection(order), order);
        let privileged: &[_] = &[
            ("txWindow", "1100"),
            ("retransmits", "1116"),
            ("rxOutOfOrderPackets", "1120"),
            ("rxZeroWindows", "1124"),
            ("inFlightBytes", "16"),
            ("txQueuedBytes", "1196"),
            ("rxQueuedBytes", "1180"),
        ];
        let all = [PUBLIC_FACTS, privileged].concat();
        assert_facts(&super::view(Native::OpenBsd(native)), &all);
    }
}

#[test]
fn what_the_superuser_alone_is_told_is_absent_for_others() {
    let info = read(&unprivileged());
    assert!(!info.is_privileged());
    for (field, reading) in info.fields() {
        assert_eq!(reading.is_absent(), field.offset >= 100, "{}", field.name);
    }
    assert_facts(&super::view(Native::OpenBsd(info)), PUBLIC_FACTS);
    assert_eq!(view(&unprivileged()).warnings(), []);
}

#[test]
fn zeros_are_zeros_for_the_superuser() {
    for limit in [184, 200, 208] {
        let mut bytes = unprivileged();
        put(&mut bytes, ByteOrder::Little, limit, 4, 65_536);
        let info = read(&bytes);
        assert!(info.is_privileged());
        assert!(info.fields().all(|(_, reading)| matches!(reading, Value(_))));
        assert_eq!(info.snd_rexmitpack(), Value(0));
        let portable = view(&bytes);
        assert_eq!((portable.tx_window(), portable.in_flight_bytes()), (Some(0), Some(0)));
    }
    assert!(!read(&connection(ByteOrder::Little)[..100]).is_privileged());
    assert!(!read(&[]).is_privileged());
}

/// Shifts of 8 bits each, where the other systems with these names have 4.
#[test]
fn window_scales_are_whole_bytes() {
    let mut bytes = connection(ByteOrder::Little);
    (bytes[6], bytes[7]) = (0x0e, 0);
    let info = read(&bytes);
    assert_eq!((info.snd_wscale(), info.rcv_wscale()), (Value(14), Value(0)));
    (bytes[6], bytes[7]) = (0, 0x0e);
    assert_eq!(
        (view(&bytes).rx_window_scale(), view(&bytes).tx_window_scale()),
        (Some(0), Some(14))
    );
}

#[test]
fn rttmin_is_no_minimum_round_trip_time() {
    assert_eq!(view(&with(&[(128, 30_000)])).min_rtt(), None);
    let field = schema().find(|field| field.name == "rttmin").unwrap();
    assert_eq!((field.facts().count(), field.key), (0, "rtoMin"));
}

#[test]
fn bytes_in_flight_survive_the_end_of_the_sequence() {
    assert_eq!(view(&with(&[(144, u32::MAX - 9), (160, 90)])).in_flight_bytes(), Some(100));
}

#[test]
fn defaults_are_not_measurements() {
    let unmeasured = read(&with(&[(68, 0)]));
    assert_eq!((unmeasured.rtt(), unmeasured.rttvar()), (Unset, Unset));
    assert_eq!(read(&with(&[(68, 1)])).rtt(), Value(Duration::from_micros(1)));
    assert_eq!(read(&with(&[(76, 65_535 << 14)])).snd_ssthresh(), Unset);
    let mut unscaled = connection(ByteOrder::Little);
    unscaled[5] = 0x0a;
    assert_eq!((read(&unscaled).snd_wscale(), read(&unscaled).rcv_wscale()), (Unset, Unset));
    for state in [2, 3] {
        let mut early = connection(ByteOrder::Little);
        early[0] = state;
        let info = read(&early);
        assert_eq!(info.snd_cwnd(), Unset);
        for age in [
            info.last_data_sent(),
            info.last_ack_sent(),
            info.last_data_recv(),
            info.last_ack_recv(),
        ] {
            assert_eq!(age, Unset, "the stamps are not set yet");
        }
    }
}

#[test]
fn a_closed_socket_tells_its_counters_and_a_listener_nothing() {
    let counters = BTreeSet::from([
        "state",
        "snd_nxt",
        "rcv_nxt",
        "snd_rexmitpack",
        "rcv_ooopack",
        "snd_zerowin",
        "rcv_adv",
        "rcv_up",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wl2",
        "snd_max",
    ]);
    for (state, told) in [(0, counters), (1, BTreeSet::from(["state"]))] {
        let mut bytes = connection(ByteOrder::Little);
        bytes[0] = state;
        assert_eq!(values(&Native::OpenBsd(read(&bytes))), told);
        bytes[100..].fill(0);
        assert_eq!(values(&Native::OpenBsd(read(&bytes))), BTreeSet::from(["state"]));
        assert_eq!(read(&bytes).snd_rexmitpack(), Absent);
    }
}

#[test]
fn states_are_numbered_as_the_bsds_do() {
    super::assert_states(System::OpenBsd, &BSD_STATES);
}
