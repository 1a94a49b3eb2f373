//! `struct tcp_info` of FreeBSD.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    Options,
    Reading::{Absent, Unset, Value},
    State, System, TcpInfo, TcpOption,
    fields::Unit::{Bytes, Count, Microseconds, None as Code, Packets, Sequence},
    native::{
        ByteOrder, Native,
        freebsd::{FreeBsdTcpInfo, schema},
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
    ("snd_cwnd", 80, 4, None, Bytes, 84),
    ("rcv_space", 96, 4, None, Bytes, 100),
    ("snd_wnd", 100, 4, None, Bytes, 104),
    ("snd_nxt", 108, 4, None, Sequence, 112),
    ("rcv_nxt", 112, 4, None, Sequence, 116),
    ("toe_tid", 116, 4, None, Code, 120),
    ("snd_rexmitpack", 120, 4, None, Packets, 124),
    ("rcv_ooopack", 124, 4, None, Packets, 128),
    ("snd_zerowin", 128, 4, None, Count, 132),
    ("delivered_ce", 132, 4, None, Packets, 136),
    ("received_ce", 136, 4, None, Packets, 140),
    ("total_tlp", 164, 4, None, Count, 168),
    ("total_tlp_bytes", 168, 8, None, Bytes, 176),
    ("snd_una", 176, 4, None, Sequence, 180),
    ("snd_max", 180, 4, None, Sequence, 184),
    ("rcv_numsacks", 184, 4, None, Count, 188),
    ("rcv_adv", 188, 4, None, Sequence, 192),
    ("dupacks", 192, 4, None, Count, 196),
    // Four bytes of what earlier releases return as padding.
    ("rttmin", 196, 4, None, Code, 256),
];

/// An established connection of FreeBSD 15: every word, also of those that no kernel fills, holds
/// 1000 + its offset, and the one of 64 bits 2^40 besides.
pub(crate) fn connection(order: ByteOrder) -> Vec<u8> {
    let mut bytes = words(256, order);
    let scales = if order == ByteOrder::Little { 0x97 } else { 0x79 };
    bytes[..8].copy_from_slice(&[4, 0xee, 0xee, 0xee, 0xee, 0x57, scales, 0xee]);
    put(&mut bytes, order, 168, 8, (1 << 40) + 1168);
    bytes
}

fn read(bytes: &[u8]) -> FreeBsdTcpInfo {
    FreeBsdTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn view(bytes: &[u8]) -> TcpInfo {
    super::view(Native::FreeBsd(read(bytes)))
}

fn with(numbers: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = connection(ByteOrder::Little);
    for (offset, number) in numbers {
        put(&mut bytes, ByteOrder::Little, *offset, 4, u64::from(*number));
    }
    bytes
}

/// FreeBSD 13: zeros from 132 on.
fn thirteen() -> Vec<u8> {
    let mut bytes = connection(ByteOrder::Little);
    bytes.truncate(236);
    bytes[132..].fill(0);
    bytes
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::FreeBsd, "tcp_info", LAYOUT);
    assert_eq!(FreeBsdTcpInfo::KNOWN_LEN, 256);
}

#[test]
fn every_field_is_read_from_its_place_in_both_byte_orders() {
    let micros = |number| Value(Duration::from_micros(number));
    for order in ORDERS {
        let info = FreeBsdTcpInfo::from_bytes_in(&connection(order), order);
        assert_readings!(info, {
            state: Value(State::Established),
            options: Value(Options::from_freebsd(0x57, 256)),
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
            delivered_ce: Value(1132),
            received_ce: Value(1136),
            total_tlp: Value(1164),
            total_tlp_bytes: Value((1 << 40) + 1168),
            snd_una: Value(1176),
            snd_max: Value(1180),
            rcv_numsacks: Value(1184),
            rcv_adv: Value(1188),
            dupacks: Value(1192),
            rttmin: Value(1196),
        });
    }
}

#[test]
fn presence_follows_the_returned_length() {
    for order in ORDERS {
        assert_presence(LAYOUT, &[], &connection(order), |bytes| {
            let info = FreeBsdTcpInfo::from_bytes_in(bytes, order);
            info.fields().map(|(field, reading)| (field.name, reading)).collect()
        });
    }
}

#[test]
fn the_portable_view_takes_each_fact_from_its_field() {
    for order in ORDERS {
        let native = FreeBsdTcpInfo::from_bytes_in(&connection(order), order);
        let info = super::view(Native::FreeBsd(native));
        assert_facts(
            &info,
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
                ("txWindow", "1100"),
                ("txSSThreshold", "1076"),
                ("txCWindowBytes", "1080"),
                ("txCWindowSegs", "1"),
                ("retransmits", "1120"),
                ("rxOutOfOrderPackets", "1124"),
                ("txCESegs", "1132"),
                ("rxCESegs", "1136"),
                ("inFlightBytes", "4"),
                ("rxZeroWindows", "1128"),
            ],
        );
    }
}

#[test]
fn options_have_bits_of_this_systems_own() {
    let options = view(&connection(ByteOrder::Little)).options().unwrap();
    let on = [
        TcpOption::Timestamps,
        TcpOption::Sack,
        TcpOption::WindowScale,
        TcpOption::Offload,
        TcpOption::AccurateEcn,
    ];
    assert!(options.iter().eq(on));
    assert_eq!(options.get(TcpOption::Ecn), Some(false));
    assert_eq!(options.get(TcpOption::FastOpen), Some(false));
    for linux_only in [TcpOption::EcnSeen, TcpOption::SynData, TcpOption::UsecTimestamps] {
        assert_eq!(options.get(linux_only), None, "another option has its bit here");
    }
    assert!(Options::from_freebsd(0x28, 256).iter().eq([TcpOption::Ecn, TcpOption::FastOpen]));
}

#[test]
fn thirteen_says_nothing_where_fourteen_has_its_new_fields() {
    let native = Native::FreeBsd(read(&thirteen()));
    for (field, reading) in native.fields() {
        assert_eq!(reading.is_absent(), field.offset >= 132, "{}", field.name);
    }
    let info = super::view(native);
    assert_eq!((info.tx_ce_segs(), info.rx_ce_segs(), info.in_flight_bytes()), (None, None, None));
    assert_eq!(info.retransmitted_segs(), Some(1120));
}

#[test]
fn fourteen_counts_to_zero() {
    let mut bytes = thirteen();
    bytes.resize(240, 0);
    let info = read(&bytes);
    for counter in [info.delivered_ce(), info.received_ce(), info.snd_una(), info.snd_max()] {
        assert_eq!(counter, Value(0));
    }
    assert_eq!(
        (info.dupacks(), info.rcv_numsacks(), info.rcv_adv()),
        (Value(0), Value(0), Value(0))
    );
    assert_eq!(
        (info.total_tlp(), info.total_tlp_bytes()),
        (Unset, Unset),
        "only one of its TCP stacks counts these"
    );
    assert_eq!(info.rttmin(), Absent);
    assert_eq!(view(&bytes).tx_ce_segs(), Some(0));
    let cut = read(&bytes[..239]);
    assert_eq!((cut.delivered_ce(), cut.total_tlp()), (Absent, Absent), "nobody can tell");
}

/// On 32-bit machines 14 is as long as 13, and has fields where 13 has zeros.
#[test]
fn a_number_that_is_not_zero_is_believed_at_either_length() {
    let mut bytes = thirteen();
    put(&mut bytes, ByteOrder::Little, 136, 4, 5);
    put(&mut bytes, ByteOrder::Little, 164, 4, 6);
    let info = read(&bytes);
    assert_eq!((info.delivered_ce(), info.received_ce()), (Absent, Value(5)));
    assert_eq!((info.total_tlp(), info.total_tlp_bytes()), (Value(6), Absent));
    assert_eq!(view(&bytes).rx_ce_segs(), Some(5));
}

/// Its unit depends on the TCP stack: ticks or microseconds.
#[test]
fn rttmin_is_no_minimum_round_trip_time() {
    let bytes = connection(ByteOrder::Little);
    assert_eq!(read(&bytes[..255]).rttmin(), Absent);
    assert_eq!(read(&bytes).rttmin(), Value(1196));
    assert_eq!(view(&bytes).min_rtt(), None);
    assert_eq!(read(&with(&[(196, 0)])).rttmin(), Unset);
    let field = schema().find(|field| field.name == "rttmin").unwrap();
    assert_eq!(field.facts().count(), 0);
}

#[test]
fn bytes_in_flight_survive_the_end_of_the_sequence() {
    assert_eq!(view(&with(&[(176, u32::MAX - 9), (180, 90)])).in_flight_bytes(), Some(100));
}

#[test]
fn defaults_are_not_measurements() {
    let unmeasured = read(&with(&[(68, 0)]));
    assert_eq!((unmeasured.rtt(), unmeasured.rttvar()), (Unset, Unset));
    assert_eq!(read(&with(&[(68, 1)])).rtt(), Value(Duration::from_micros(1)));
    assert_eq!(read(&with(&[(72, 0)])).rttvar(), Value(Duration::ZERO));
    assert_eq!(read(&with(&[(76, 65_535 << 14)])).snd_ssthresh(), Unset);
    assert_eq!(read(&with(&[(76, (65_535 << 14) - 1)])).snd_ssthresh(), Value((65_535 << 14) - 1));
    assert_eq!(read(&with(&[(116, 0)])).toe_tid(), Unset);
    assert_eq!(read(&with(&[(52, 0)])).last_data_recv(), Value(Duration::ZERO));
    let mut unscaled = connection(ByteOrder::Little);
    unscaled[5] = 0x53;
    assert_eq!((read(&unscaled).snd_wscale(), read(&unscaled).rcv_wscale()), (Unset, Unset));
    // Before the handshake: the kernel shows what the control block begins with.
    for state in [2, 3] {
        let mut early = with(&[(80, 65_535 << 14), (100, 0)]);
        early[0] = state;
        let info = read(&early);
        assert_eq!((info.snd_cwnd(), info.snd_wnd(), info.last_data_recv()), (Unset, Unset, Unset));
        assert_eq!(view(&early).tx_cwnd_segs(), None);
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
        "delivered_ce",
        "received_ce",
        "total_tlp",
        "total_tlp_bytes",
        "snd_una",
        "snd_max",
        "rcv_adv",
    ]);
    for (state, told) in [(0, counters), (1, BTreeSet::from(["state"]))] {
        let mut bytes = connection(ByteOrder::Little);
        bytes[0] = state;
        assert_eq!(values(&Native::FreeBsd(read(&bytes))), told);
    }
}

#[test]
fn states_are_numbered_as_the_bsds_do() {
    super::assert_states(System::FreeBsd, &BSD_STATES);
}
