//! `struct tcp_info` of NetBSD: laid out as FreeBSD's, with two windows in segments.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    Options,
    Reading::{Unset, Value},
    State, System, TcpInfo,
    fields::Unit::{Bytes, Count, Microseconds, None as Code, Packets, Segments, Sequence},
    native::{
        ByteOrder, Native,
        netbsd::{NetBsdTcpInfo, schema},
    },
};

use super::{
    BSD_STATES, ORDERS, Row, assert_facts, assert_layout, assert_presence, assert_readings, put,
    values, words,
};

const LAYOUT: &[Row] = &[
    ("state", 0, 1, None, Code, 1),
    ("options", 5, 1, None, Code, 6),
    ("snd_wscale", 6, 1, Some((0, 4)), Count, 7),
    ("rcv_wscale", 6, 1, Some((4, 4)), Count, 7),
    ("rto", 8, 4, None, Microseconds, 12),
    ("snd_mss", 16, 4, None, Bytes, 20),
    ("rcv_mss", 20, 4, None, Bytes, 24),
    ("last_data_recv", 52, 4, None, Microseconds, 56),
    ("rtt", 68, 4, None, Microseconds, 72),
    ("rttvar", 72, 4, None, Microseconds, 76),
    ("snd_ssthresh", 76, 4, None, Bytes, 80),
    ("snd_cwnd", 80, 4, None, Segments, 84),
    ("rcv_space", 96, 4, None, Bytes, 100),
    ("snd_wnd", 100, 4, None, Segments, 104),
    ("snd_nxt", 108, 4, None, Sequence, 112),
    ("rcv_nxt", 112, 4, None, Sequence, 116),
    ("toe_tid", 116, 4, None, Code, 120),
    ("snd_rexmitpack", 120, 4, None, Packets, 124),
    ("rcv_ooopack", 124, 4, None, Packets, 128),
    ("snd_zerowin", 128, 4, None, Count, 132),
];

/// An established connection: every word, also of those that mean nothing, holds 1000 + its offset.
pub(crate) fn connection(order: ByteOrder) -> Vec<u8> {
    let mut bytes = words(236, order);
    let scales = if order == ByteOrder::Little { 0x97 } else { 0x79 };
    bytes[..8].copy_from_slice(&[4, 0xee, 0xee, 0xee, 0xee, 0x07, scales, 0xee]);
    bytes
}

fn read(bytes: &[u8]) -> NetBsdTcpInfo {
    NetBsdTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn view(bytes: &[u8]) -> TcpInfo {
    super::view(Native::NetBsd(read(bytes)))
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
    assert_layout(schema(), System::NetBsd, "tcp_info", LAYOUT);
    assert_eq!(NetBsdTcpInfo::KNOWN_LEN, 236);
}

#[test]
fn every_field_is_read_from_its_place_in_both_byte_orders() {
    let micros = |number| Value(Duration::from_micros(number));
    for order in ORDERS {
        let info = NetBsdTcpInfo::from_bytes_in(&connection(order), order);
        assert_readings!(info, {
            state: Value(State::Established),
            options: Value(Options::from_bsd(0x07)),
            snd_wscale: Value(7),
            rcv_wscale: Value(9),
            rto: micros(1008),
            snd_mss: Value(1016),
            rcv_mss: Value(1020),
            last_data_recv: micros(1052),
            rtt: micros(1068),
            rttvar: micros(1072),
            snd_ssthresh: Value(1076),
            snd_cwnd: Value(1080),
            rcv_space: Value(1096),
            snd_wnd: Value(1100),
            snd_nxt: Value(1108),
            rcv_nxt: Value(1112),
            toe_tid: Value(1116),
            snd_rexmitpack: Value(1120),
            rcv_ooopack: Value(1124),
            snd_zerowin: Value(1128),
        });
    }
}

#[test]
fn presence_follows_the_returned_length() {
    for order in ORDERS {
        assert_presence(LAYOUT, &[], &connection(order), |bytes| {
            let info = NetBsdTcpInfo::from_bytes_in(bytes, order);
            info.fields().map(|(field, reading)| (field.name, reading)).collect()
        });
    }
}

#[test]
fn the_portable_view_takes_each_fact_from_its_field() {
    for order in ORDERS {
        let native = NetBsdTcpInfo::from_bytes_in(&connection(order), order);
        assert_facts(
            &super::view(Native::NetBsd(native)),
            &[
                ("state", "ESTABLISHED"),
                ("txWindowScale", "9"),
                ("rxWindowScale", "7"),
                ("txMSS", "1016"),
                ("rtt", "1.068ms"),
                ("rttVar", "1.072ms"),
                ("rto", "1.008ms"),
                ("lastRxAt", "1.052ms"),
                ("rxWindow", "1096"),
                // 1100 segments and 1080 segments of 1016 bytes.
                ("txWindow", "1117600"),
                ("txCWindowBytes", "1097280"),
                ("txCWindowSegs", "1080"),
                ("txSSThreshold", "1076"),
                ("retransmits", "1120"),
                ("rxOutOfOrderPackets", "1124"),
                ("rxZeroWindows", "1128"),
            ],
        );
    }
}

/// Segments times their size can be more bytes than 32 bits count.
#[test]
fn a_product_of_segments_does_not_wrap() {
    let info = view(&with(&[(16, 65_535), (80, 70_000), (100, 80_000)]));
    assert_eq!(info.tx_cwnd(), Some(4_587_450_000));
    assert_eq!(info.tx_window(), Some(5_242_800_000));
}

#[test]
fn defaults_are_not_measurements() {
    let unmeasured = read(&with(&[(68, 0)]));
    assert_eq!((unmeasured.rtt(), unmeasured.rttvar()), (Unset, Unset));
    assert_eq!(read(&with(&[(68, 1)])).rtt(), Value(Duration::from_micros(1)));
    assert_eq!(read(&with(&[(76, 65_535 << 14)])).snd_ssthresh(), Unset);
    assert_eq!(read(&with(&[(116, 0)])).toe_tid(), Unset);
    let mut unscaled = connection(ByteOrder::Little);
    unscaled[5] = 0x03;
    assert_eq!((read(&unscaled).snd_wscale(), read(&unscaled).rcv_wscale()), (Unset, Unset));
    for state in [2, 3] {
        let mut early = connection(ByteOrder::Little);
        early[0] = state;
        let info = read(&early);
        assert_eq!((info.snd_cwnd(), info.snd_wnd(), info.last_data_recv()), (Unset, Unset, Unset));
        assert_eq!((view(&early).tx_cwnd(), view(&early).tx_window()), (None, None));
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
    ]);
    for (state, told) in [(0, counters), (1, BTreeSet::from(["state"]))] {
        let mut bytes = connection(ByteOrder::Little);
        bytes[0] = state;
        assert_eq!(values(&Native::NetBsd(read(&bytes))), told);
    }
}

#[test]
fn states_are_numbered_as_the_bsds_do() {
    super::assert_states(System::NetBsd, &BSD_STATES);
}
