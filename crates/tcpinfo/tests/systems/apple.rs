//! `struct tcp_connection_info` of macOS and iOS.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    Options,
    Reading::{Absent, Unset, Value},
    State, System, TcpInfo, TcpOption,
    fields::Unit::{Bytes, Count, Milliseconds, None as Code, Packets},
    native::{
        ByteOrder, Native,
        apple::{AppleTcpInfo, schema},
    },
};

use super::{
    BSD_STATES, Row, assert_facts, assert_layout, assert_presence, assert_readings, values,
};

const LAYOUT: &[Row] = &[
    ("state", 0, 1, None, Code, 1),
    ("snd_wscale", 1, 1, None, Count, 2),
    ("rcv_wscale", 2, 1, None, Count, 3),
    ("options", 4, 4, None, Code, 8),
    ("flags.LOSSRECOVERY", 8, 4, Some((0, 1)), Code, 12),
    ("flags.REORDERING_DETECTED", 8, 4, Some((1, 1)), Code, 12),
    ("rto", 12, 4, None, Milliseconds, 16),
    ("maxseg", 16, 4, None, Bytes, 20),
    ("snd_ssthresh", 20, 4, None, Bytes, 24),
    ("snd_cwnd", 24, 4, None, Bytes, 28),
    ("snd_wnd", 28, 4, None, Bytes, 32),
    ("snd_sbbytes", 32, 4, None, Bytes, 36),
    ("rcv_wnd", 36, 4, None, Bytes, 40),
    ("rttcur", 40, 4, None, Milliseconds, 44),
    ("srtt", 44, 4, None, Milliseconds, 48),
    ("rttvar", 48, 4, None, Milliseconds, 52),
    ("tfo_cookie_req", 52, 4, Some((0, 1)), Code, 56),
    ("tfo_cookie_rcv", 52, 4, Some((1, 1)), Code, 56),
    ("tfo_syn_loss", 52, 4, Some((2, 1)), Code, 56),
    ("tfo_syn_data_sent", 52, 4, Some((3, 1)), Code, 56),
    ("tfo_syn_data_acked", 52, 4, Some((4, 1)), Code, 56),
    ("tfo_syn_data_rcv", 52, 4, Some((5, 1)), Code, 56),
    ("tfo_cookie_req_rcv", 52, 4, Some((6, 1)), Code, 56),
    ("tfo_cookie_sent", 52, 4, Some((7, 1)), Code, 56),
    ("tfo_cookie_invalid", 52, 4, Some((8, 1)), Code, 56),
    ("tfo_cookie_wrong", 52, 4, Some((9, 1)), Code, 56),
    ("tfo_no_cookie_rcv", 52, 4, Some((10, 1)), Code, 56),
    ("tfo_heuristics_disable", 52, 4, Some((11, 1)), Code, 56),
    ("tfo_send_blackhole", 52, 4, Some((12, 1)), Code, 56),
    ("tfo_recv_blackhole", 52, 4, Some((13, 1)), Code, 56),
    ("tfo_onebyte_proxy", 52, 4, Some((14, 1)), Code, 56),
    ("txpackets", 56, 8, None, Packets, 64),
    ("txbytes", 64, 8, None, Bytes, 72),
    ("txretransmitbytes", 72, 8, None, Bytes, 80),
    ("rxpackets", 80, 8, None, Packets, 88),
    ("rxbytes", 88, 8, None, Bytes, 96),
    ("rxoutoforderbytes", 96, 8, None, Bytes, 104),
    ("txretransmitpackets", 104, 8, None, Packets, 112),
];

/// An established connection with a number of its own in every field: 1000 + offset in 32 bits, and
/// 2^40 besides in 64; every second Fast Open bit.
pub(crate) fn connection() -> [u8; 112] {
    let mut bytes = [0; 112];
    bytes[..4].copy_from_slice(&[4, 7, 9, 0xee]);
    for offset in (12..52).step_by(4) {
        bytes[offset..offset + 4].copy_from_slice(&(1000 + offset as u32).to_le_bytes());
    }
    for offset in (56..112).step_by(8) {
        let number = (1u64 << 40) + 1000 + offset as u64;
        bytes[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
    }
    (bytes[4], bytes[8]) = (0x0d, 0b01);
    bytes[52..56].copy_from_slice(&0x5555u32.to_le_bytes());
    bytes
}

fn read(bytes: &[u8]) -> AppleTcpInfo {
    AppleTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn view(bytes: &[u8]) -> TcpInfo {
    super::view(Native::Apple(read(bytes)))
}

fn with(numbers: &[(usize, u32)]) -> [u8; 112] {
    let mut bytes = connection();
    for (offset, number) in numbers {
        bytes[*offset..offset + 4].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::Apple, "tcp_connection_info", LAYOUT);
    assert_eq!(AppleTcpInfo::KNOWN_LEN, 112);
}

#[test]
fn every_field_is_read_from_its_place() {
    const HIGH: u64 = 1 << 40;
    let millis = |number| Value(Duration::from_millis(number));
    let info = read(&connection());
    assert_readings!(info, {
        state: Value(State::Established),
        snd_wscale: Value(7),
        rcv_wscale: Value(9),
        options: Value(Options::from_bsd(0x0d)),
        lossrecovery = "flags.LOSSRECOVERY": Value(true),
        reordering_detected = "flags.REORDERING_DETECTED": Value(false),
        rto: millis(1012),
        maxseg: Value(1016),
        snd_ssthresh: Value(1020),
        snd_cwnd: Value(1024),
        snd_wnd: Value(1028),
        snd_sbbytes: Value(1032),
        rcv_wnd: Value(1036),
        rttcur: millis(1040),
        srtt: millis(1044),
        rttvar: millis(1048),
        tfo_cookie_req: Value(true),
        tfo_cookie_rcv: Value(false),
        tfo_syn_loss: Value(true),
        tfo_syn_data_sent: Value(false),
        tfo_syn_data_acked: Value(true),
        tfo_syn_data_rcv: Value(false),
        tfo_cookie_req_rcv: Value(true),
        tfo_cookie_sent: Value(false),
        tfo_cookie_invalid: Value(true),
        tfo_cookie_wrong: Value(false),
        tfo_no_cookie_rcv: Value(true),
        tfo_heuristics_disable: Value(false),
        tfo_send_blackhole: Value(true),
        tfo_recv_blackhole: Value(false),
        tfo_onebyte_proxy: Value(true),
        txpackets: Value(HIGH + 1056),
        txbytes: Value(HIGH + 1064),
        txretransmitbytes: Value(HIGH + 1072),
        rxpackets: Value(HIGH + 1080),
        rxbytes: Value(HIGH + 1088),
        rxoutoforderbytes: Value(HIGH + 1096),
        txretransmitpackets: Value(HIGH + 1104),
    });
}

#[test]
fn presence_follows_the_returned_length() {
    // Whether the shifts mean anything is said by the options, which come after them.
    let needs = [("snd_wscale", 8), ("rcv_wscale", 8)];
    let mut bytes = connection();
    bytes[52..54].fill(0xff); // a set bit is always there
    assert_presence(LAYOUT, &needs, &bytes, |bytes| {
        read(bytes).fields().map(|(field, reading)| (field.name, reading)).collect()
    });
}

/// The six youngest bits lie in a word that systems without them return too.
#[test]
fn a_clear_bit_of_fast_open_may_be_one_that_the_system_does_not_have() {
    let mut bytes = connection();
    bytes[52..56].fill(0);
    let absent = |len: usize| {
        let info = read(&bytes[..len]);
        let fast_open = info.fields().filter(|(field, _)| field.name.starts_with("tfo_"));
        fast_open.filter(|(_, reading)| reading.is_absent()).count()
    };
    assert_eq!((absent(104), absent(112)), (6, 0));
}

#[test]
fn the_portable_view_takes_each_fact_from_its_field() {
    let info = view(&connection());
    assert_facts(
        &info,
        &[
            ("state", "ESTABLISHED"),
            ("inLossRecovery", "true"),
            ("txWindowScale", "9"),
            ("rxWindowScale", "7"),
            ("txMSS", "1016"),
            ("rtt", "1.044s"),
            ("rttVar", "1.048s"),
            ("rttLast", "1.04s"),
            ("rto", "1.012s"),
            ("rxWindow", "1036"),
            ("txWindow", "1028"),
            ("txSSThreshold", "1020"),
            ("txCWindowBytes", "1024"),
            ("txCWindowSegs", "1"),
            ("retransmits", "1099511628880"),
            ("retransmittedBytes", "1099511628848"),
            ("txBytes", "1099511628840"),
            ("rxBytes", "1099511628864"),
            ("txPackets", "1099511628832"),
            ("rxPackets", "1099511628856"),
            ("rxOutOfOrderBytes", "1099511628872"),
            ("reorderingSeen", "false"),
            ("txQueuedBytes", "1032"),
        ],
    );
    let options = info.options().unwrap();
    assert_eq!(options.get(TcpOption::Timestamps), Some(true));
    assert_eq!(options.get(TcpOption::Sack), Some(false));
    assert_eq!(options.get(TcpOption::WindowScale), Some(true));
    assert_eq!(options.get(TcpOption::Ecn), Some(true));
    assert_eq!(options.get(TcpOption::EcnSeen), None, "not told here");
}

/// macOS 10.12.4 appended one counter.
#[test]
fn a_structure_of_104_bytes_counts_no_retransmitted_packets() {
    let old = view(&connection()[..104]);
    assert_eq!(old.retransmitted_segs(), None);
    assert_eq!(old.retransmitted_bytes(), Some((1 << 40) + 1072));
    assert_eq!(old.rx_out_of_order_bytes(), Some((1 << 40) + 1096));
    let mut new = connection();
    new[104..].fill(0);
    assert_eq!(view(&new).retransmitted_segs(), Some(0), "counted, and none");
}

#[test]
fn numbers_that_stand_for_nothing_are_unset() {
    assert_eq!(read(&with(&[(12, 0)])).rto(), Unset, "its timer is not running");
    assert_eq!(view(&with(&[(12, 0)])).rto(), None);
    for infinite in [1_073_725_440, u32::MAX] {
        assert_eq!(read(&with(&[(20, infinite)])).snd_ssthresh(), Unset);
    }
    assert_eq!(read(&with(&[(20, 1_073_725_439)])).snd_ssthresh(), Value(1_073_725_439));
    assert_eq!(read(&with(&[(40, 0)])).rttcur(), Unset);
    let unmeasured = read(&with(&[(44, 0)]));
    assert_eq!((unmeasured.srtt(), unmeasured.rttvar()), (Unset, Unset), "rttvar is a default");
    assert_eq!(read(&with(&[(48, 0)])).rttvar(), Value(Duration::ZERO), "a steady path");
    let quick = read(&with(&[(12, 1), (40, 1), (44, 1)]));
    let one = Value(Duration::from_millis(1));
    assert_eq!((quick.rto(), quick.rttcur(), quick.srtt()), (one, one, one));
    let unscaled = read(&with(&[(4, 0x0b)]));
    assert_eq!((unscaled.snd_wscale(), unscaled.rcv_wscale()), (Unset, Unset));
}

#[test]
fn a_socket_that_listens_or_is_closed_tells_its_state_only() {
    for state in [0, 1] {
        // Whatever lies in the rest.
        let mut bytes = connection();
        bytes[0] = state;
        let native = Native::Apple(read(&bytes));
        assert_eq!(values(&native), BTreeSet::from(["state"]));
        assert!(native.fields().all(|(_, reading)| !reading.is_absent()));
        let info = super::view(native);
        assert_facts(&info, &[("state", ["CLOSE", "LISTEN"][usize::from(state)])]);
        assert_eq!((info.options(), info.warnings()), (None, vec![]));
    }
    for state in 2..=10 {
        let mut bytes = connection();
        bytes[0] = state;
        // Before the peer's answer nothing is negotiated.
        let untold = usize::from(state == 2);
        let told = values(&Native::Apple(read(&bytes))).len();
        assert_eq!(told + untold, LAYOUT.len(), "state {state}");
    }
}

#[test]
fn states_are_numbered_as_the_bsds_do() {
    super::assert_states(System::Apple, &BSD_STATES);
}

#[test]
fn each_flag_is_a_bit_of_its_own() {
    let set = |info: &AppleTcpInfo, from: usize| -> Vec<_> {
        info.fields()
            .filter(|(field, _)| field.offset == from)
            .filter(|(_, reading)| *reading == Value(tcpinfo::fields::Value::Bool(true)))
            .map(|(field, _)| field.name)
            .collect()
    };
    let names: Vec<_> = LAYOUT.iter().filter(|row| row.1 == 52).map(|row| row.0).collect();
    assert_eq!(names.len(), 15);
    for (bit, name) in names.into_iter().enumerate() {
        assert_eq!(set(&read(&with(&[(52, 1 << bit)])), 52), [name]);
    }
    assert!(set(&read(&with(&[(52, u32::MAX << 15)])), 52).is_empty(), "the rest is padding");
    assert_eq!(set(&read(&with(&[(8, 1)])), 8), ["flags.LOSSRECOVERY"]);
    assert_eq!(set(&read(&with(&[(8, 2)])), 8), ["flags.REORDERING_DETECTED"]);
    assert!(set(&read(&with(&[(8, u32::MAX << 2)])), 8).is_empty());
}

/// A structure that gives each Fast Open bit a word of its own is 176 bytes long.
#[test]
fn the_fast_open_bits_share_one_word() {
    let mut bytes = [0; 112];
    bytes[0] = 4;
    bytes[56] = 3;
    bytes[64] = 5;
    let info = read(&bytes);
    assert_eq!((info.txpackets(), info.txbytes()), (Value(3), Value(5)));
    assert_eq!(info.tfo_cookie_rcv(), Value(false), "not the word at 56");
    let beyond = read(&[&bytes[..], &[1; 64]].concat());
    assert_eq!(beyond.txpackets(), Value(3));
    assert_eq!(beyond.unknown_tail().len(), 64);
    assert_eq!(beyond.txretransmitpackets(), Value(0), "not from beyond its place");
    assert_eq!(read(&bytes[..111]).txretransmitpackets(), Absent);
}
