//! The Linux decoder against what is known of the structure, on any host.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use tcpinfo::{
    AccEcnOption, EcnMode, FastOpenFailure, Reading, State, TcpInfo, TcpOption,
    native::{
        Native,
        linux::{ByteOrder, LinuxTcpInfo, schema},
    },
};

/// Size of the structure by kernel version, and the fields that came with each growth.
const GROWTHS: &[(usize, &[&str])] = &[
    (
        104,
        &[
            "state",
            "ca_state",
            "retransmits",
            "probes",
            "backoff",
            "options",
            "snd_wscale",
            "rcv_wscale",
            "rto",
            "ato",
            "snd_mss",
            "rcv_mss",
            "unacked",
            "sacked",
            "lost",
            "retrans",
            "fackets",
            "last_data_sent",
            "last_data_recv",
            "last_ack_recv",
            "pmtu",
            "rcv_ssthresh",
            "rtt",
            "rttvar",
            "snd_ssthresh",
            "snd_cwnd",
            "advmss",
            "reordering",
            "rcv_rtt",
            "rcv_space",
            "total_retrans",
        ],
    ),
    (120, &["pacing_rate", "max_pacing_rate"]),
    (136, &["bytes_acked", "bytes_received"]),
    (144, &["segs_out", "segs_in"]),
    (160, &["notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out"]),
    (168, &["delivery_rate", "delivery_rate_app_limited"]),
    (192, &["busy_time", "rwnd_limited", "sndbuf_limited"]),
    (200, &["delivered", "delivered_ce"]),
    (224, &["bytes_sent", "bytes_retrans", "dsack_dups", "reord_seen"]),
    (232, &["rcv_ooopack", "snd_wnd"]),
    (240, &["rcv_wnd", "rehash"]),
    (248, &["total_rto", "total_rto_recoveries", "total_rto_time"]),
    (
        280,
        &[
            "received_ce",
            "delivered_e1_bytes",
            "delivered_e0_bytes",
            "delivered_ce_bytes",
            "received_e1_bytes",
            "received_e0_bytes",
            "received_ce_bytes",
            "accecn_opt_seen",
            "accecn_fail_mode",
        ],
    ),
];

/// Fields whose presence the length alone does not decide; each has a test of its own.
const UNDECIDED_BY_LENGTH: &[&str] = &["fastopen_client_fail", "ecn_mode"];

/// An established connection in which every byte says something and no sentinel appears.
fn established(len: usize) -> Vec<u8> {
    let mut bytes = vec![1; len];
    for (offset, value) in [(0, 1), (5, 0x07), (6, 0x97), (7, 0)] {
        if let Some(byte) = bytes.get_mut(offset) {
            *byte = value;
        }
    }
    for byte in bytes.iter_mut().skip(276).take(4) {
        *byte = 0;
    }
    bytes
}

fn present(info: &LinuxTcpInfo) -> BTreeSet<&'static str> {
    info.fields()
        .filter(|(field, reading)| {
            !reading.is_absent() && !UNDECIDED_BY_LENGTH.contains(&field.name)
        })
        .map(|(field, _)| field.name)
        .collect()
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

#[test]
fn presence_comes_from_the_returned_length_for_every_kernel() {
    // Two more names for bytes of the base structure, of listening sockets.
    let mut expected = BTreeSet::from(["accept_queue", "accept_queue_limit"]);
    for (len, added) in GROWTHS {
        expected.extend(*added);
        if *len >= 200 {
            // Nothing fills it any more from 4.15 on.
            expected.remove("fackets");
        }
        for odd in [0, 1] {
            let info = LinuxTcpInfo::from_bytes(&established(len + odd));
            assert_eq!(present(&info), expected, "{} bytes", len + odd);
        }
    }
}

#[test]
fn a_field_is_absent_until_its_last_byte_is_there() {
    for field in schema() {
        if ["last_ack_sent", "fackets", "fastopen_client_fail", "ecn_mode"].contains(&field.name) {
            continue;
        }
        let short = LinuxTcpInfo::from_bytes(&established(field.min_len - 1));
        let exact = LinuxTcpInfo::from_bytes(&established(field.min_len));
        assert!(short.field(field.name).unwrap().is_absent(), "{} is early", field.name);
        assert!(!exact.field(field.name).unwrap().is_absent(), "{} is late", field.name);
    }
}

#[test]
fn the_table_tiles_the_structure_without_gap_or_overlap() {
    let mut covered = vec![0u32; LinuxTcpInfo::KNOWN_LEN];
    for field in schema() {
        for slot in &mut covered[field.offset..field.offset + field.width] {
            *slot += 1;
        }
    }
    for (offset, times) in covered.iter().enumerate() {
        let expected = match offset {
            // Two nibbles, two bit fields, two queue lengths under other names, three bit fields.
            6 | 7 | 24..32 => 2,
            276 => 3,
            // Reserved bits of the last word, or the other half of its older cut.
            277..280 => 0,
            _ => 1,
        };
        assert_eq!(*times, expected, "byte {offset}");
    }
    let names: BTreeSet<_> = schema().map(|field| field.name).collect();
    let keys: BTreeSet<_> = schema().map(|field| field.key).collect();
    assert_eq!(names.len(), schema().count(), "a kernel name appears twice");
    assert_eq!(keys.len(), schema().count(), "a JSON key appears twice");
}

#[test]
fn both_byte_orders_give_the_same_answers() {
    let (little, big) = sample_in_both_orders();
    let little = LinuxTcpInfo::from_bytes_in(&little, ByteOrder::Little).with_kernel_major(7);
    let big = LinuxTcpInfo::from_bytes_in(&big, ByteOrder::Big).with_kernel_major(7);
    for ((field, a), (_, b)) in little.fields().zip(big.fields()) {
        assert_eq!(a, b, "{}", field.name);
    }
    assert_eq!(big.snd_wscale(), Reading::Value(7));
    assert_eq!(big.rcv_wscale(), Reading::Value(9));
    assert_eq!(big.delivery_rate_app_limited(), Reading::Value(true));
    assert_eq!(big.fastopen_client_fail(), Reading::Value(FastOpenFailure::DataNotAcked));
    assert_eq!(big.ecn_mode(), Reading::Value(EcnMode::AccEcn));
    assert_eq!(big.accecn_opt_seen(), Reading::Value(AccEcnOption::EmptySeen));
    assert_eq!(big.accecn_fail_mode(), Reading::Value(9));
}

/// The same connection as a little-endian and as a big-endian machine lay it out, the latter by the
/// C rule that bit fields begin at the most significant bit.
fn sample_in_both_orders() -> (Vec<u8>, Vec<u8>) {
    let mut little = vec![0; 280];
    let mut big = vec![0; 280];
    put(&mut little, 0, &[1, 3, 2, 1, 4, 0x0f, 0x97, 0b101]);
    put(&mut big, 0, &[1, 3, 2, 1, 4, 0x0f, 0x79, 0b1100_0000]);
    for field in schema().filter(|field| field.bits.is_none() && field.offset >= 8) {
        let value = 0x0102_0304_0506_0708u64.rotate_left(u32::try_from(field.offset).unwrap());
        put(&mut little, field.offset, &value.to_le_bytes()[..field.width]);
        let narrow = &value.to_le_bytes()[..field.width];
        let reversed: Vec<u8> = narrow.iter().rev().copied().collect();
        put(&mut big, field.offset, &reversed);
    }
    // Mode 2, option seen 1, fail mode 9.
    little[276] = 0b1001_0110;
    big[276] = 0b1001_1001;
    (little, big)
}

#[test]
fn sentinels_are_not_values() {
    let mut bytes = vec![0; 280];
    bytes[0] = 1;
    put(&mut bytes, 72, &250_000u32.to_ne_bytes());
    put(&mut bytes, 76, &0x7fff_ffffu32.to_ne_bytes());
    put(&mut bytes, 104, &u64::MAX.to_ne_bytes());
    put(&mut bytes, 112, &u64::MAX.to_ne_bytes());
    put(&mut bytes, 148, &u32::MAX.to_ne_bytes());
    let info = LinuxTcpInfo::from_bytes(&bytes);
    assert_eq!(info.rtt(), Reading::Unset);
    assert_eq!(info.rttvar(), Reading::Unset, "the default before any sample");
    assert_eq!(info.snd_ssthresh(), Reading::Unset);
    assert_eq!(info.pacing_rate(), Reading::Unset);
    assert_eq!(info.max_pacing_rate(), Reading::Unset);
    assert_eq!(info.min_rtt(), Reading::Unset);
    assert_eq!(info.rcv_rtt(), Reading::Unset);
    assert_eq!(info.ato(), Reading::Unset);
    assert_eq!(info.delivery_rate(), Reading::Unset);
    assert_eq!(info.delivery_rate_app_limited(), Reading::Unset);
    assert_eq!(info.snd_wscale(), Reading::Unset, "window scaling was not negotiated");
    assert_eq!(info.last_data_sent(), Reading::Unset, "no data was sent");
    assert_eq!(info.total_retrans(), Reading::Value(0), "a counter at zero is a value");
    assert_eq!(info.retransmits(), Reading::Value(0));
}

#[test]
fn times_keep_the_unit_of_each_field() {
    let mut bytes = established(280);
    for offset in [8, 12, 44, 52, 56, 68, 72, 92, 148, 244] {
        put(&mut bytes, offset, &1500u32.to_ne_bytes());
    }
    for offset in [168, 176, 184] {
        put(&mut bytes, offset, &1500u64.to_ne_bytes());
    }
    let info = LinuxTcpInfo::from_bytes(&bytes);
    let (micros, millis) = (Duration::from_micros(1500), Duration::from_millis(1500));
    for reading in [
        info.rto(),
        info.ato(),
        info.rtt(),
        info.rttvar(),
        info.rcv_rtt(),
        info.min_rtt(),
        info.busy_time(),
        info.rwnd_limited(),
        info.sndbuf_limited(),
    ] {
        assert_eq!(reading, Reading::Value(micros));
    }
    for reading in
        [info.last_data_sent(), info.last_data_recv(), info.last_ack_recv(), info.total_rto_time()]
    {
        assert_eq!(reading, Reading::Value(millis));
    }
    assert_eq!(info.last_ack_sent(), Reading::Absent, "no kernel fills it");
}

#[test]
fn a_listener_shows_its_accept_queue_and_nothing_it_does_not_have() {
    let mut bytes = established(280);
    bytes[0] = 10;
    put(&mut bytes, 24, &5u32.to_ne_bytes());
    put(&mut bytes, 28, &128u32.to_ne_bytes());
    let info = LinuxTcpInfo::from_bytes(&bytes);
    let values: BTreeSet<_> = info
        .fields()
        .filter(|(_, reading)| matches!(reading, Reading::Value(_)))
        .map(|(field, _)| field.name)
        .collect();
    assert_eq!(
        values,
        BTreeSet::from([
            "state",
            "accept_queue",
            "accept_queue_limit",
            "snd_cwnd",
            "reordering",
            "pacing_rate",
            "max_pacing_rate",
        ])
    );
    assert_eq!(info.unacked(), Reading::Unset);
    assert_eq!(info.accept_queue(), Reading::Value(5));

    let portable = TcpInfo::from_native(Native::Linux(info), None);
    assert_eq!((portable.accept_queue(), portable.accept_queue_limit()), (Some(5), Some(128)));
    assert_eq!((portable.in_flight_segs(), portable.retransmitted_segs()), (None, None));
}

#[test]
fn stamps_of_a_connection_that_never_was_are_not_ages() {
    for state in [2, 3, 7, 12] {
        let mut bytes = established(280);
        bytes[0] = state;
        put(&mut bytes, 68, &[0; 4]); // rtt
        put(&mut bytes, 128, &[0; 8]); // bytes_received
        let info = LinuxTcpInfo::from_bytes(&bytes);
        for reading in [info.last_data_sent(), info.last_data_recv(), info.last_ack_recv()] {
            assert_eq!(reading, Reading::Unset, "state {state}");
        }
    }
    let mut dead = established(280);
    dead[0] = 7;
    let dead = LinuxTcpInfo::from_bytes(&dead);
    assert!(dead.last_ack_recv().value().is_some(), "a dead connection keeps its stamps");
}

#[test]
fn fast_open_bits_share_a_byte_that_older_kernels_return_too() {
    let reading = |len: usize, bits: u8| {
        let mut bytes = established(len);
        bytes[7] = if cfg!(target_endian = "big") { bits << 5 } else { bits << 1 };
        LinuxTcpInfo::from_bytes(&bytes).fastopen_client_fail()
    };
    assert_eq!(reading(224, 0), Reading::Absent);
    assert_eq!(reading(232, 0), Reading::Unset, "5.4 or 5.5: nobody can tell");
    assert_eq!(reading(240, 0), Reading::Value(FastOpenFailure::Unspecified));
    assert_eq!(reading(232, 3), Reading::Value(FastOpenFailure::SynRetransmitted));
}

#[test]
fn the_newest_option_bits_are_unknown_where_the_length_does_not_vouch_for_them() {
    let options = |len: usize, bits: u8| {
        let mut bytes = established(len);
        bytes[5] = bits;
        LinuxTcpInfo::from_bytes(&bytes).options().value().unwrap()
    };
    assert_eq!(options(240, 7).get(TcpOption::UsecTimestamps), None);
    assert_eq!(options(240, 0x47).get(TcpOption::UsecTimestamps), Some(true));
    assert_eq!(options(248, 7).get(TcpOption::UsecTimestamps), Some(false));
    assert_eq!(options(248, 7).get(TcpOption::TfoChild), None);
    assert_eq!(options(248, 0x87).get(TcpOption::TfoChild), Some(true));
    assert_eq!(options(280, 7).get(TcpOption::TfoChild), Some(false));
    assert_eq!(options(104, 7).get(TcpOption::Ecn), Some(false));
}

#[test]
fn the_last_word_is_cut_by_evidence_then_by_kernel_version() {
    let read = |word: [u8; 4], major: u8| {
        let mut bytes = established(280);
        put(&mut bytes, 276, &word);
        let info = LinuxTcpInfo::from_bytes_in(&bytes, ByteOrder::Little).with_kernel_major(major);
        (info.ecn_mode(), info.accecn_opt_seen(), info.accecn_fail_mode())
    };
    use Reading::Value;
    // The upper half is in use: 6.18, whatever the version says.
    let expected = (Reading::Absent, Value(AccEcnOption::CounterSeen), Value(1));
    assert_eq!(read([1, 0, 2, 0], 0), expected);
    // More than four bits in the first byte: 7.0.
    let expected = (Value(EcnMode::AccEcn), Value(AccEcnOption::CounterSeen), Value(1));
    assert_eq!(read([0b0001_1010, 0, 0, 0], 0), expected);
    // Both are possible: the version decides, or nobody.
    let expected = (Value(EcnMode::Rfc3168), Value(AccEcnOption::NotSeen), Value(0));
    assert_eq!(read([1, 0, 0, 0], 7), expected);
    assert_eq!(read([1, 0, 0, 0], 6), (Reading::Absent, Value(AccEcnOption::NotSeen), Value(1)));
    assert_eq!(read([1, 0, 0, 0], 0), (Reading::Absent, Reading::Absent, Reading::Absent));
    // All clear means the same in both cuts, but only one has a mode.
    assert_eq!(read([0; 4], 0), (Reading::Absent, Value(AccEcnOption::NotSeen), Value(0)));
    let expected = (Value(EcnMode::Disabled), Value(AccEcnOption::NotSeen), Value(0));
    assert_eq!(read([0; 4], 7), expected);
}

#[test]
fn bytes_past_the_known_fields_are_kept() {
    let mut bytes = established(280);
    bytes.extend([0xde, 0xad, 0xbe]);
    let info = LinuxTcpInfo::from_bytes(&bytes);
    assert_eq!(info.returned_len(), 283);
    assert_eq!(info.unknown_tail(), [0xde, 0xad, 0xbe]);
    assert_eq!(info.as_bytes(), bytes);
}

#[test]
fn states_include_those_that_only_dumps_show() {
    assert_eq!(State::from_linux(12), State::NewSynRecv);
    assert_eq!(State::from_linux(13), State::BoundInactive);
    assert_eq!(State::from_linux(14), State::Unknown(14));
    assert_eq!(State::from_linux(0).to_string(), "UNKNOWN(0)");
}

proptest! {
    #[test]
    fn any_bytes_of_any_length_decode(
        bytes in prop::collection::vec(any::<u8>(), 0..=1024),
        big in any::<bool>(),
        major in any::<u8>(),
    ) {
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let info = LinuxTcpInfo::from_bytes_in(&bytes, order).with_kernel_major(major);
        prop_assert_eq!(info.returned_len(), bytes.len().min(LinuxTcpInfo::CAPACITY));
        prop_assert!(bytes.starts_with(info.as_bytes()));
        for (field, reading) in info.fields() {
            if info.returned_len() < field.offset + field.width {
                prop_assert!(reading.is_absent(), "{} of {} bytes", field.name, bytes.len());
            }
        }
        let portable = TcpInfo::from_native(Native::Linux(info), None);
        let _ = (format!("{portable:?}"), portable.warnings());
        #[cfg(feature = "serde")]
        prop_assert!(serde_json::to_string(&portable).is_ok());
    }

    #[test]
    fn absent_and_unset_fields_never_appear_as_numbers(
        len in 0usize..=300,
        fill in prop_oneof![Just(0u8), Just(0xff), any::<u8>()],
        state in 0u8..=14,
    ) {
        let mut bytes = vec![fill; len];
        if let Some(first) = bytes.first_mut() {
            *first = state;
        }
        let info = LinuxTcpInfo::from_bytes(&bytes);
        let portable = TcpInfo::from_native(Native::Linux(info), None);
        prop_assert_eq!(portable.rtt(), info.rtt().value());
        prop_assert_eq!(portable.min_rtt().is_some(), matches!(info.min_rtt(), Reading::Value(_)));
        prop_assert_ne!(portable.min_rtt(), Some(Duration::from_micros(u64::from(u32::MAX))));
        prop_assert_ne!(portable.pacing_rate(), Some(u64::MAX));
        prop_assert_ne!(portable.rtt(), Some(Duration::ZERO));
    }
}

/// A handshake with a SYN cookie, or with a lost SYN-ACK, gives no RTT sample without timestamps.
#[test]
fn a_connection_that_only_received_is_one_also_when_it_is_over() {
    let mut bytes = [0; 280];
    bytes[0] = 7; // CLOSE
    bytes[16..20].copy_from_slice(&1460u32.to_ne_bytes()); // snd_mss
    assert_eq!(LinuxTcpInfo::from_bytes(&bytes).snd_mss(), Reading::Unset);
    bytes[128..136].copy_from_slice(&11u64.to_ne_bytes()); // bytes_received
    assert_eq!(LinuxTcpInfo::from_bytes(&bytes).snd_mss(), Reading::Value(1460));
    assert_eq!(LinuxTcpInfo::from_bytes(&bytes[..224]).snd_mss(), Reading::Unset);
}
