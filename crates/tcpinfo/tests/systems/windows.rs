//! `TCP_INFO_v0` to `v2` of Windows.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    Reading::{Unset, Value},
    State, System, TcpInfo, TcpOption,
    fields::Unit::{Bytes, Count, Microseconds, Milliseconds, None as Code, Packets},
    native::{
        ByteOrder, Native,
        windows::{WindowsTcpInfo, schema},
    },
};

use super::{
    Row, assert_facts, assert_layout, assert_presence, assert_readings, put, values, words,
};

const LAYOUT: &[Row] = &[
    ("State", 0, 4, None, Code, 4),
    ("Mss", 4, 4, None, Bytes, 8),
    ("ConnectionTimeMs", 8, 8, None, Milliseconds, 16),
    ("TimestampsEnabled", 16, 1, None, Code, 17),
    ("RttUs", 20, 4, None, Microseconds, 24),
    ("MinRttUs", 24, 4, None, Microseconds, 28),
    ("BytesInFlight", 28, 4, None, Bytes, 32),
    ("Cwnd", 32, 4, None, Bytes, 36),
    ("SndWnd", 36, 4, None, Bytes, 40),
    ("RcvWnd", 40, 4, None, Bytes, 44),
    ("RcvBuf", 44, 4, None, Bytes, 48),
    ("BytesOut", 48, 8, None, Bytes, 56),
    ("BytesIn", 56, 8, None, Bytes, 64),
    ("BytesReordered", 64, 4, None, Bytes, 68),
    ("BytesRetrans", 68, 4, None, Bytes, 72),
    ("FastRetrans", 72, 4, None, Count, 76),
    ("DupAcksIn", 76, 4, None, Count, 80),
    ("TimeoutEpisodes", 80, 4, None, Count, 84),
    ("SynRetrans", 84, 1, None, Count, 85),
    ("SndLimTransRwin", 88, 4, None, Count, 92),
    ("SndLimTimeRwin", 92, 4, None, Milliseconds, 96),
    ("SndLimBytesRwin", 96, 8, None, Bytes, 104),
    ("SndLimTransCwnd", 104, 4, None, Count, 108),
    ("SndLimTimeCwnd", 108, 4, None, Milliseconds, 112),
    ("SndLimBytesCwnd", 112, 8, None, Bytes, 120),
    ("SndLimTransSnd", 120, 4, None, Count, 124),
    ("SndLimTimeSnd", 124, 4, None, Milliseconds, 128),
    ("SndLimBytesSnd", 128, 8, None, Bytes, 136),
    ("OutOfOrderPktsIn", 136, 4, None, Packets, 140),
    ("EcnNegotiated", 140, 1, None, Code, 141),
    ("EceAcksIn", 144, 4, None, Count, 148),
    ("PtoEpisodes", 148, 4, None, Count, 152),
];

/// An established connection of version 2: 1000 + offset in 32 bits, 2^40 besides in 64, and padding
/// that is not zero.
pub(crate) fn connection() -> Vec<u8> {
    let mut bytes = words(152, ByteOrder::Little);
    for offset in [8, 48, 56, 96, 112, 128] {
        put(&mut bytes, ByteOrder::Little, offset, 8, (1 << 40) + 1000 + offset as u64);
    }
    bytes[..4].copy_from_slice(&[4, 0, 0, 0]);
    bytes[16..20].copy_from_slice(&[1, 0xee, 0xee, 0xee]);
    bytes[84..88].copy_from_slice(&[3, 0xee, 0xee, 0xee]);
    bytes[140..144].copy_from_slice(&[1, 0xee, 0xee, 0xee]);
    bytes
}

fn read(bytes: &[u8]) -> WindowsTcpInfo {
    WindowsTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn view(bytes: &[u8]) -> TcpInfo {
    super::view(Native::Windows(read(bytes)))
}

fn with(numbers: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = connection();
    for (offset, number) in numbers {
        put(&mut bytes, ByteOrder::Little, *offset, 4, u64::from(*number));
    }
    bytes
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::Windows, "TCP_INFO", LAYOUT);
    assert_eq!(WindowsTcpInfo::KNOWN_LEN, 152);
}

#[test]
fn every_field_is_read_from_its_place() {
    const HIGH: u64 = 1 << 40;
    let micros = |number| Value(Duration::from_micros(number));
    let millis = |number| Value(Duration::from_millis(number));
    let info = read(&connection());
    assert_readings!(info, {
        state = "State": Value(State::Established),
        mss = "Mss": Value(1004),
        connection_time_ms = "ConnectionTimeMs": millis(HIGH + 1008),
        timestamps_enabled = "TimestampsEnabled": Value(true),
        rtt_us = "RttUs": micros(1020),
        min_rtt_us = "MinRttUs": micros(1024),
        bytes_in_flight = "BytesInFlight": Value(1028),
        cwnd = "Cwnd": Value(1032),
        snd_wnd = "SndWnd": Value(1036),
        rcv_wnd = "RcvWnd": Value(1040),
        rcv_buf = "RcvBuf": Value(1044),
        bytes_out = "BytesOut": Value(HIGH + 1048),
        bytes_in = "BytesIn": Value(HIGH + 1056),
        bytes_reordered = "BytesReordered": Value(1064),
        bytes_retrans = "BytesRetrans": Value(1068),
        fast_retrans = "FastRetrans": Value(1072),
        dup_acks_in = "DupAcksIn": Value(1076),
        timeout_episodes = "TimeoutEpisodes": Value(1080),
        syn_retrans = "SynRetrans": Value(3),
        snd_lim_trans_rwin = "SndLimTransRwin": Value(1088),
        snd_lim_time_rwin = "SndLimTimeRwin": millis(1092),
        snd_lim_bytes_rwin = "SndLimBytesRwin": Value(HIGH + 1096),
        snd_lim_trans_cwnd = "SndLimTransCwnd": Value(1104),
        snd_lim_time_cwnd = "SndLimTimeCwnd": millis(1108),
        snd_lim_bytes_cwnd = "SndLimBytesCwnd": Value(HIGH + 1112),
        snd_lim_trans_snd = "SndLimTransSnd": Value(1120),
        snd_lim_time_snd = "SndLimTimeSnd": millis(1124),
        snd_lim_bytes_snd = "SndLimBytesSnd": Value(HIGH + 1128),
        out_of_order_pkts_in = "OutOfOrderPktsIn": Value(1136),
        ecn_negotiated = "EcnNegotiated": Value(true),
        ece_acks_in = "EceAcksIn": Value(1144),
        pto_episodes = "PtoEpisodes": Value(1148),
    });
}

#[test]
fn presence_follows_the_returned_length() {
    assert_presence(LAYOUT, &[], &connection(), |bytes| {
        read(bytes).fields().map(|(field, reading)| (field.name, reading)).collect()
    });
}

#[test]
fn each_version_of_the_structure_has_its_facts() {
    let v0: &[_] = &[
        ("state", "ESTABLISHED"),
        ("txMSS", "1004"),
        ("rtt", "1.02ms"),
        ("minRTT", "1.024ms"),
        ("connectionAge", "1099511628.784s"),
        ("rxWindow", "1040"),
        ("txWindow", "1036"),
        ("txCWindowBytes", "1032"),
        ("txCWindowSegs", "1"),
        ("retransmittedBytes", "1068"),
        ("timeouts", "1080"),
        ("fastRetransmits", "1072"),
        ("synRetransmits", "3"),
        ("duplicateAcks", "1076"),
        ("txBytes", "1099511628824"),
        ("rxBytes", "1099511628832"),
        ("reorderingSeen", "true"),
        ("txReorderedBytes", "1064"),
        ("inFlightBytes", "1028"),
    ];
    let v1: &[_] =
        &[("peerWindowLimited", "1.092s"), ("cwndLimited", "1.108s"), ("senderLimited", "1.124s")];
    let v2: &[_] = &[("rxOutOfOrderPackets", "1136"), ("rxECEAcks", "1144")];
    let bytes = connection();
    assert_facts(&view(&bytes[..88]), v0);
    assert_facts(&view(&bytes[..136]), &[v0, v1].concat());
    assert_facts(&view(&bytes), &[v0, v1, v2].concat());
}

#[test]
fn two_options_are_told_and_the_second_since_version_2() {
    let options = |bytes: &[u8]| view(bytes).options().unwrap();
    let old = options(&connection()[..136]);
    assert_eq!(old.get(TcpOption::Timestamps), Some(true));
    assert_eq!(old.get(TcpOption::Ecn), None, "not told, so not off");
    let mut bytes = connection();
    assert_eq!(options(&bytes).get(TcpOption::Ecn), Some(true));
    (bytes[16], bytes[140]) = (0, 0);
    assert_eq!(options(&bytes).get(TcpOption::Timestamps), Some(false));
    assert_eq!(options(&bytes).get(TcpOption::Ecn), Some(false));
    for never in [TcpOption::Sack, TcpOption::WindowScale, TcpOption::FastOpen] {
        assert_eq!(options(&bytes).get(never), None);
    }
    assert_eq!(view(&bytes[..16]).options(), None);
}

#[test]
fn any_byte_but_zero_is_true() {
    for byte in 1..=u8::MAX {
        let mut bytes = connection();
        (bytes[16], bytes[140]) = (byte, byte);
        let info = read(&bytes);
        assert_eq!((info.timestamps_enabled(), info.ecn_negotiated()), (Value(true), Value(true)));
    }
}

#[test]
fn times_without_a_sample_are_unset() {
    for none in [0, u32::MAX] {
        let info = read(&with(&[(20, none), (24, 500)]));
        assert_eq!((info.rtt_us(), info.min_rtt_us()), (Unset, Value(Duration::from_micros(500))));
        let info = view(&with(&[(20, 700), (24, none)]));
        assert_eq!((info.rtt(), info.min_rtt()), (Some(Duration::from_micros(700)), None));
    }
    let quick = view(&with(&[(20, 1), (24, u32::MAX - 1)]));
    assert_eq!(quick.rtt(), Some(Duration::from_micros(1)));
    assert_eq!(quick.min_rtt(), Some(Duration::from_micros(4_294_967_294)));
}

#[test]
fn a_window_without_a_segment_size_is_no_number_of_segments() {
    let info = view(&with(&[(4, 0), (32, 14_600)]));
    assert_eq!((info.tx_cwnd(), info.tx_cwnd_segs()), (Some(14_600), None));
    let info = view(&with(&[(4, 1460), (32, 14_599)]));
    assert_eq!(info.tx_cwnd_segs(), Some(9));
}

#[test]
fn without_a_connection_only_counters_remain() {
    let mut listening = connection();
    listening[0] = 1;
    assert_eq!(values(&Native::Windows(read(&listening))), BTreeSet::from(["State"]));

    let mut closed = connection();
    closed[0] = 0;
    let gauges = [
        "Mss",
        "ConnectionTimeMs",
        "TimestampsEnabled",
        "RttUs",
        "MinRttUs",
        "BytesInFlight",
        "Cwnd",
        "SndWnd",
        "RcvWnd",
        "RcvBuf",
        "EcnNegotiated",
    ];
    let all = values(&Native::Windows(read(&connection())));
    let remaining: BTreeSet<_> = all.difference(&gauges.into()).copied().collect();
    assert_eq!(values(&Native::Windows(read(&closed))), remaining);
    assert_eq!(view(&closed).options(), None);
}

/// 5 is FIN_WAIT1 here and CLOSE_WAIT on the BSDs.
#[test]
fn states_have_numbers_of_their_own() {
    let states = [
        State::Close,
        State::Listen,
        State::SynSent,
        State::SynRecv,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ];
    super::assert_states(System::Windows, &states);
    // The number is 32 bits wide: 260 is not 4.
    for beyond in [256 + 4, u32::MAX] {
        assert_eq!(view(&with(&[(0, beyond)])).state(), Some(State::Unknown(255)));
    }
}
