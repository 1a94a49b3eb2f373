//! Where each field lies, against a second copy of the layout that shares nothing with the first:
//! literal offsets after `include/uapi/linux/tcp.h`, and the C structure of the `libc` crate.

use std::time::Duration;

use tcpinfo::{
    AccEcnOption, CaState, EcnMode, FastOpenFailure, Options, Reading,
    Reading::Value,
    State,
    fields::Unit::{
        self, Bytes, BytesPerSecond, Connections, Count, Microseconds, Milliseconds, None as Code,
        Packets, Segments,
    },
    native::linux::{ByteOrder, LinuxTcpInfo, schema},
};

/// Kernel name, offset, bytes, unit, and the length of the first structure that had the field.
///
/// A field younger than the bytes that it shares with others has the length of the bytes, where no
/// later growth shows it. The last three are those of Linux 7.0.
const LAYOUT: &[(&str, usize, usize, Unit, usize)] = &[
    ("state", 0, 1, Code, 104),
    ("ca_state", 1, 1, Code, 104),
    ("retransmits", 2, 1, Count, 104),
    ("probes", 3, 1, Count, 104),
    ("backoff", 4, 1, Count, 104),
    ("options", 5, 1, Code, 104),
    ("snd_wscale", 6, 1, Count, 104),
    ("rcv_wscale", 6, 1, Count, 104),
    ("delivery_rate_app_limited", 7, 1, Code, 168),
    ("fastopen_client_fail", 7, 1, Code, 104),
    ("rto", 8, 4, Microseconds, 104),
    ("ato", 12, 4, Microseconds, 104),
    ("snd_mss", 16, 4, Bytes, 104),
    ("rcv_mss", 20, 4, Bytes, 104),
    ("unacked", 24, 4, Segments, 104),
    ("accept_queue", 24, 4, Connections, 104),
    ("sacked", 28, 4, Segments, 104),
    ("accept_queue_limit", 28, 4, Connections, 104),
    ("lost", 32, 4, Segments, 104),
    ("retrans", 36, 4, Segments, 104),
    ("fackets", 40, 4, Segments, 104),
    ("last_data_sent", 44, 4, Milliseconds, 104),
    ("last_ack_sent", 48, 4, Milliseconds, 104),
    ("last_data_recv", 52, 4, Milliseconds, 104),
    ("last_ack_recv", 56, 4, Milliseconds, 104),
    ("pmtu", 60, 4, Bytes, 104),
    ("rcv_ssthresh", 64, 4, Bytes, 104),
    ("rtt", 68, 4, Microseconds, 104),
    ("rttvar", 72, 4, Microseconds, 104),
    ("snd_ssthresh", 76, 4, Segments, 104),
    ("snd_cwnd", 80, 4, Segments, 104),
    ("advmss", 84, 4, Bytes, 104),
    ("reordering", 88, 4, Segments, 104),
    ("rcv_rtt", 92, 4, Microseconds, 104),
    ("rcv_space", 96, 4, Bytes, 104),
    ("total_retrans", 100, 4, Segments, 104),
    ("pacing_rate", 104, 8, BytesPerSecond, 120),
    ("max_pacing_rate", 112, 8, BytesPerSecond, 120),
    ("bytes_acked", 120, 8, Bytes, 136),
    ("bytes_received", 128, 8, Bytes, 136),
    ("segs_out", 136, 4, Segments, 144),
    ("segs_in", 140, 4, Segments, 144),
    ("notsent_bytes", 144, 4, Bytes, 160),
    ("min_rtt", 148, 4, Microseconds, 160),
    ("data_segs_in", 152, 4, Segments, 160),
    ("data_segs_out", 156, 4, Segments, 160),
    ("delivery_rate", 160, 8, BytesPerSecond, 168),
    ("busy_time", 168, 8, Microseconds, 192),
    ("rwnd_limited", 176, 8, Microseconds, 192),
    ("sndbuf_limited", 184, 8, Microseconds, 192),
    ("delivered", 192, 4, Segments, 200),
    ("delivered_ce", 196, 4, Segments, 200),
    ("bytes_sent", 200, 8, Bytes, 224),
    ("bytes_retrans", 208, 8, Bytes, 224),
    ("dsack_dups", 216, 4, Count, 224),
    ("reord_seen", 220, 4, Count, 224),
    ("rcv_ooopack", 224, 4, Packets, 232),
    ("snd_wnd", 228, 4, Bytes, 232),
    ("rcv_wnd", 232, 4, Bytes, 240),
    ("rehash", 236, 4, Count, 240),
    ("total_rto", 240, 2, Count, 248),
    ("total_rto_recoveries", 242, 2, Count, 248),
    ("total_rto_time", 244, 4, Milliseconds, 248),
    ("received_ce", 248, 4, Segments, 280),
    ("delivered_e1_bytes", 252, 4, Bytes, 280),
    ("delivered_e0_bytes", 256, 4, Bytes, 280),
    ("delivered_ce_bytes", 260, 4, Bytes, 280),
    ("received_e1_bytes", 264, 4, Bytes, 280),
    ("received_e0_bytes", 268, 4, Bytes, 280),
    ("received_ce_bytes", 272, 4, Bytes, 280),
    ("ecn_mode", 276, 1, Code, 280),
    ("accecn_opt_seen", 276, 1, Code, 280),
    ("accecn_fail_mode", 276, 1, Code, 280),
];

/// The bit fields: name, bits declared before in the same word, own bits.
const BIT_FIELDS: &[(&str, u32, u32)] = &[
    ("snd_wscale", 0, 4),
    ("rcv_wscale", 4, 4),
    ("delivery_rate_app_limited", 0, 1),
    ("fastopen_client_fail", 1, 2),
    ("ecn_mode", 0, 2),
    ("accecn_opt_seen", 2, 2),
    ("accecn_fail_mode", 4, 4),
];

/// Sizes of the structure, from the oldest kernel to the newest.
const SIZES: &[usize] = &[104, 120, 136, 144, 160, 168, 192, 200, 224, 232, 240, 248, 280];

#[test]
fn the_schema_is_that_of_the_kernels_header() {
    let ours: Vec<_> = schema()
        .map(|field| {
            // Kernels return whole structures, so a field comes with the size that first covers it.
            let size = SIZES.iter().find(|size| **size >= field.min_len).unwrap();
            (field.name, field.offset, field.width, field.unit, *size)
        })
        .collect();
    for (ours, theirs) in ours.iter().zip(LAYOUT) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), LAYOUT.len());

    let bits: Vec<_> = schema()
        .filter_map(|field| field.bits.map(|bits| (field.name, bits.shift, bits.len)))
        .collect();
    assert_eq!(bits, BIT_FIELDS);
}

/// The structure that the `libc` crate declares, which the C rules of alignment lay out.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn offsets_are_those_of_the_c_structure() {
    macro_rules! compare {
        ($($ours:literal $theirs:ident),* $(,)?) => {$(
            let field = schema().find(|field| field.name == $ours).unwrap();
            assert_eq!(field.offset, std::mem::offset_of!(libc::tcp_info, $theirs), $ours);
        )*};
    }
    compare! {
        "state" tcpi_state, "ca_state" tcpi_ca_state, "retransmits" tcpi_retransmits,
        "probes" tcpi_probes, "backoff" tcpi_backoff, "options" tcpi_options, "rto" tcpi_rto,
        "ato" tcpi_ato, "snd_mss" tcpi_snd_mss, "rcv_mss" tcpi_rcv_mss, "unacked" tcpi_unacked,
        "sacked" tcpi_sacked, "lost" tcpi_lost, "retrans" tcpi_retrans, "fackets" tcpi_fackets,
        "last_data_sent" tcpi_last_data_sent, "last_ack_sent" tcpi_last_ack_sent,
        "last_data_recv" tcpi_last_data_recv, "last_ack_recv" tcpi_last_ack_recv, "pmtu" tcpi_pmtu,
        "rcv_ssthresh" tcpi_rcv_ssthresh, "rtt" tcpi_rtt, "rttvar" tcpi_rttvar,
        "snd_ssthresh" tcpi_snd_ssthresh, "snd_cwnd" tcpi_snd_cwnd, "advmss" tcpi_advmss,
        "reordering" tcpi_reordering, "rcv_rtt" tcpi_rcv_rtt, "rcv_space" tcpi_rcv_space,
        "total_retrans" tcpi_total_retrans, "pacing_rate" tcpi_pacing_rate,
        "max_pacing_rate" tcpi_max_pacing_rate, "bytes_acked" tcpi_bytes_acked,
        "bytes_received" tcpi_bytes_received, "segs_out" tcpi_segs_out, "segs_in" tcpi_segs_in,
        "notsent_bytes" tcpi_notsent_bytes, "min_rtt" tcpi_min_rtt,
        "data_segs_in" tcpi_data_segs_in, "data_segs_out" tcpi_data_segs_out,
        "delivery_rate" tcpi_delivery_rate, "busy_time" tcpi_busy_time,
        "rwnd_limited" tcpi_rwnd_limited, "sndbuf_limited" tcpi_sndbuf_limited,
        "delivered" tcpi_delivered, "delivered_ce" tcpi_delivered_ce, "bytes_sent" tcpi_bytes_sent,
        "bytes_retrans" tcpi_bytes_retrans, "dsack_dups" tcpi_dsack_dups,
        "reord_seen" tcpi_reord_seen, "rcv_ooopack" tcpi_rcv_ooopack, "snd_wnd" tcpi_snd_wnd,
        "rcv_wnd" tcpi_rcv_wnd, "rehash" tcpi_rehash, "total_rto" tcpi_total_rto,
        "total_rto_recoveries" tcpi_total_rto_recoveries, "total_rto_time" tcpi_total_rto_time,
        "received_ce" tcpi_received_ce, "delivered_e1_bytes" tcpi_delivered_e1_bytes,
        "delivered_e0_bytes" tcpi_delivered_e0_bytes, "delivered_ce_bytes" tcpi_delivered_ce_bytes,
        "received_e1_bytes" tcpi_received_e1_bytes, "received_e0_bytes" tcpi_received_e0_bytes,
        "received_ce_bytes" tcpi_received_ce_bytes,
    }
}

/// A structure laid out by hand: every word says where it lies, so no two are alike.
///
/// A 16-bit word holds 2000 + its offset, a 32-bit word 1000 + its offset, and a 64-bit word that
/// and 2^40 besides.
fn structure(order: ByteOrder) -> [u8; 280] {
    fn put<const N: usize>(bytes: &mut [u8], offset: usize, little: [u8; N], order: ByteOrder) {
        let mut word = little;
        if order == ByteOrder::Big {
            word.reverse();
        }
        bytes[offset..offset + N].copy_from_slice(&word);
    }
    let mut bytes = [0; 280];
    // ESTABLISHED, Loss, 3 retransmits, 4 probes, backoff 5, timestamps and SACK and window scaling.
    bytes[..6].copy_from_slice(&[1, 4, 3, 4, 5, 0x07]);
    // Shifts 7 of the peer and 9 of ours; a limited rate, and data that was not acknowledged;
    // mode 2, option seen 1, fail mode 9.
    [bytes[6], bytes[7], bytes[276]] = match order {
        ByteOrder::Little => [0x97, 0b0000_0101, 0b1001_0110],
        ByteOrder::Big => [0x79, 0b1100_0000, 0b1001_1001],
    };
    for words in [8..104, 136..160, 192..200, 216..240, 244..276] {
        for offset in words.step_by(4) {
            put(&mut bytes, offset, (1000 + offset as u32).to_le_bytes(), order);
        }
    }
    for words in [104..136, 160..192, 200..216] {
        for offset in words.step_by(8) {
            put(&mut bytes, offset, ((1 << 40) + 1000 + offset as u64).to_le_bytes(), order);
        }
    }
    for offset in [240, 242] {
        put(&mut bytes, offset, (2000 + offset as u16).to_le_bytes(), order);
    }
    bytes
}

#[test]
fn every_field_is_read_from_its_place_in_both_byte_orders() {
    const fn micros(number: u64) -> Reading<Duration> {
        Value(Duration::from_micros(number))
    }
    const fn millis(number: u64) -> Reading<Duration> {
        Value(Duration::from_millis(number))
    }
    const HIGH: u64 = 1 << 40;
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let info = LinuxTcpInfo::from_bytes_in(&structure(order), order).with_kernel_major(7);
        assert_eq!(info.byte_order(), order);
        assert_eq!(info.state(), Value(State::Established));
        assert_eq!(info.ca_state(), Value(CaState::Loss));
        assert_eq!(info.retransmits(), Value(3));
        assert_eq!(info.probes(), Value(4));
        assert_eq!(info.backoff(), Value(5));
        assert_eq!(info.options(), Value(Options::from_linux(0x07, info.returned_len())));
        assert_eq!(info.snd_wscale(), Value(7));
        assert_eq!(info.rcv_wscale(), Value(9));
        assert_eq!(info.delivery_rate_app_limited(), Value(true));
        assert_eq!(info.fastopen_client_fail(), Value(FastOpenFailure::DataNotAcked));
        assert_eq!(info.rto(), micros(1008));
        assert_eq!(info.ato(), micros(1012));
        assert_eq!(info.snd_mss(), Value(1016));
        assert_eq!(info.rcv_mss(), Value(1020));
        assert_eq!(info.unacked(), Value(1024));
        assert_eq!(info.sacked(), Value(1028));
        assert_eq!(info.lost(), Value(1032));
        assert_eq!(info.retrans(), Value(1036));
        assert_eq!(info.fackets(), Reading::Absent);
        assert_eq!(info.last_data_sent(), millis(1044));
        assert_eq!(info.last_ack_sent(), Reading::Absent);
        assert_eq!(info.last_data_recv(), millis(1052));
        assert_eq!(info.last_ack_recv(), millis(1056));
        assert_eq!(info.pmtu(), Value(1060));
        assert_eq!(info.rcv_ssthresh(), Value(1064));
        assert_eq!(info.rtt(), micros(1068));
        assert_eq!(info.rttvar(), micros(1072));
        assert_eq!(info.snd_ssthresh(), Value(1076));
        assert_eq!(info.snd_cwnd(), Value(1080));
        assert_eq!(info.advmss(), Value(1084));
        assert_eq!(info.reordering(), Value(1088));
        assert_eq!(info.rcv_rtt(), micros(1092));
        assert_eq!(info.rcv_space(), Value(1096));
        assert_eq!(info.total_retrans(), Value(1100));
        assert_eq!(info.pacing_rate(), Value(HIGH + 1104));
        assert_eq!(info.max_pacing_rate(), Value(HIGH + 1112));
        assert_eq!(info.bytes_acked(), Value(HIGH + 1120));
        assert_eq!(info.bytes_received(), Value(HIGH + 1128));
        assert_eq!(info.segs_out(), Value(1136));
        assert_eq!(info.segs_in(), Value(1140));
        assert_eq!(info.notsent_bytes(), Value(1144));
        assert_eq!(info.min_rtt(), micros(1148));
        assert_eq!(info.data_segs_in(), Value(1152));
        assert_eq!(info.data_segs_out(), Value(1156));
        assert_eq!(info.delivery_rate(), Value(HIGH + 1160));
        assert_eq!(info.busy_time(), micros(HIGH + 1168));
        assert_eq!(info.rwnd_limited(), micros(HIGH + 1176));
        assert_eq!(info.sndbuf_limited(), micros(HIGH + 1184));
        assert_eq!(info.delivered(), Value(1192));
        assert_eq!(info.delivered_ce(), Value(1196));
        assert_eq!(info.bytes_sent(), Value(HIGH + 1200));
        assert_eq!(info.bytes_retrans(), Value(HIGH + 1208));
        assert_eq!(info.dsack_dups(), Value(1216));
        assert_eq!(info.reord_seen(), Value(1220));
        assert_eq!(info.rcv_ooopack(), Value(1224));
        assert_eq!(info.snd_wnd(), Value(1228));
        assert_eq!(info.rcv_wnd(), Value(1232));
        assert_eq!(info.rehash(), Value(1236));
        assert_eq!(info.total_rto(), Value(2240));
        assert_eq!(info.total_rto_recoveries(), Value(2242));
        assert_eq!(info.total_rto_time(), millis(1244));
        assert_eq!(info.received_ce(), Value(1248));
        assert_eq!(info.delivered_e1_bytes(), Value(1252));
        assert_eq!(info.delivered_e0_bytes(), Value(1256));
        assert_eq!(info.delivered_ce_bytes(), Value(1260));
        assert_eq!(info.received_e1_bytes(), Value(1264));
        assert_eq!(info.received_e0_bytes(), Value(1268));
        assert_eq!(info.received_ce_bytes(), Value(1272));
        assert_eq!(info.ecn_mode(), Value(EcnMode::AccEcn));
        assert_eq!(info.accecn_opt_seen(), Value(AccEcnOption::EmptySeen));
        assert_eq!(info.accecn_fail_mode(), Value(9));
        assert_eq!(
            (info.accept_queue(), info.accept_queue_limit()),
            (Reading::Unset, Reading::Unset)
        );
        assert!(info.unknown_tail().is_empty());
    }
}

/// Before 7.0 the last word was two halves of 16 bits: the fail mode, then the option seen.
#[test]
fn the_last_word_of_6_18_is_two_halves_in_both_byte_orders() {
    for (order, word) in [(ByteOrder::Little, [5, 0, 2, 0]), (ByteOrder::Big, [0, 5, 0, 2])] {
        let mut bytes = structure(order);
        bytes[276..].copy_from_slice(&word);
        let info = LinuxTcpInfo::from_bytes_in(&bytes, order).with_kernel_major(6);
        assert_eq!(info.accecn_fail_mode(), Value(5), "{order:?}");
        assert_eq!(info.accecn_opt_seen(), Value(AccEcnOption::CounterSeen), "{order:?}");
        assert_eq!(info.ecn_mode(), Reading::Absent, "{order:?}");
    }
}

#[test]
fn a_listener_reads_its_queue_where_connections_count_segments() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut bytes = structure(order);
        bytes[0] = 10;
        let info = LinuxTcpInfo::from_bytes_in(&bytes, order);
        assert_eq!((info.accept_queue(), info.accept_queue_limit()), (Value(1024), Value(1028)));
        assert_eq!((info.unacked(), info.sacked()), (Reading::Unset, Reading::Unset));
    }
}

/// Each age is told by the counter of its own direction.
#[test]
fn the_age_of_data_is_unset_while_the_counter_of_its_direction_is_zero() {
    let read = |counter: usize| {
        let mut bytes = structure(ByteOrder::Little);
        bytes[counter..counter + 4].fill(0);
        let info = LinuxTcpInfo::from_bytes_in(&bytes, ByteOrder::Little);
        (info.last_data_sent(), info.last_data_recv())
    };
    let (sent, received) = (Value(Duration::from_millis(1044)), Value(Duration::from_millis(1052)));
    assert_eq!(read(152), (sent, Reading::Unset), "no segment with data came in");
    assert_eq!(read(156), (Reading::Unset, received), "no segment with data went out");

    // Before 4.6 no counter says so, and the age stands.
    let mut bytes = structure(ByteOrder::Little);
    bytes[144..].fill(0);
    let info = LinuxTcpInfo::from_bytes_in(&bytes[..144], ByteOrder::Little);
    assert_eq!((info.last_data_sent(), info.last_data_recv()), (sent, received));
}
