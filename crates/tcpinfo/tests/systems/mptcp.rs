//! `struct mptcp_info` of Linux.

use std::time::Duration;

use tcpinfo::{
    Reading::{Absent, Unset, Value},
    System,
    fields::Unit::{Bytes, Count, Milliseconds, None as Code, Sequence},
    native::{
        ByteOrder,
        mptcp::{MptcpInfo, schema},
    },
};

use super::{ORDERS, Row, assert_layout, assert_presence, assert_readings, put};

/// The structure grew from 48 bytes (5.16) to 80 (6.5), 88 (6.8) and 96 (6.10), its end filled up to a
/// multiple of eight: a field in what was filler before comes with the next size.
const LAYOUT: &[Row] = &[
    ("subflows", 0, 1, None, Count, 1),
    ("add_addr_signal", 1, 1, None, Count, 2),
    ("add_addr_accepted", 2, 1, None, Count, 3),
    ("subflows_max", 3, 1, None, Count, 4),
    ("add_addr_signal_max", 4, 1, None, Count, 5),
    ("add_addr_accepted_max", 5, 1, None, Count, 6),
    ("flags", 8, 4, None, Code, 12),
    ("token", 12, 4, None, Code, 16),
    ("write_seq", 16, 8, None, Sequence, 24),
    ("snd_una", 24, 8, None, Sequence, 32),
    ("rcv_nxt", 32, 8, None, Sequence, 40),
    ("local_addr_used", 40, 1, None, Count, 41),
    ("local_addr_max", 41, 1, None, Count, 42),
    ("csum_enabled", 42, 1, None, Code, 43),
    ("retransmits", 44, 4, None, Count, 80),
    ("bytes_retrans", 48, 8, None, Bytes, 56),
    ("bytes_sent", 56, 8, None, Bytes, 64),
    ("bytes_received", 64, 8, None, Bytes, 72),
    ("bytes_acked", 72, 8, None, Bytes, 80),
    ("subflows_total", 80, 1, None, Count, 81),
    ("endp_laminar_max", 81, 1, None, Count, 96),
    ("endp_fullmesh_max", 82, 1, None, Count, 96),
    ("last_data_sent", 84, 4, None, Milliseconds, 96),
    ("last_data_recv", 88, 4, None, Milliseconds, 92),
    ("last_ack_recv", 92, 4, None, Milliseconds, 96),
];

/// 10 + offset in bytes, 1000 + offset in 32 bits, and 2^40 besides in 64; holes are not zero.
pub(crate) fn connection(order: ByteOrder) -> Vec<u8> {
    let mut bytes: Vec<u8> = (10..106).collect();
    for offset in [8, 12, 44, 84, 88, 92] {
        put(&mut bytes, order, offset, 4, 1000 + offset as u64);
    }
    for offset in [16, 24, 32, 48, 56, 64, 72] {
        put(&mut bytes, order, offset, 8, (1 << 40) + 1000 + offset as u64);
    }
    bytes
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::Linux, "mptcp_info", LAYOUT);
    assert_eq!(MptcpInfo::KNOWN_LEN, 96);
    assert_eq!(schema().flat_map(|field| field.facts()).count(), 0, "of no single TCP connection");
}

#[test]
fn every_field_is_read_from_its_place_in_both_byte_orders() {
    const HIGH: u64 = 1 << 40;
    let millis = |number| Value(Duration::from_millis(number));
    for order in ORDERS {
        let info = MptcpInfo::from_bytes_in(&connection(order), order);
        assert_readings!(info, {
            subflows: Value(10),
            add_addr_signal: Value(11),
            add_addr_accepted: Value(12),
            subflows_max: Value(13),
            add_addr_signal_max: Value(14),
            add_addr_accepted_max: Value(15),
            flags: Value(1008),
            token: Value(1012),
            write_seq: Value(HIGH + 1016),
            snd_una: Value(HIGH + 1024),
            rcv_nxt: Value(HIGH + 1032),
            local_addr_used: Value(50),
            local_addr_max: Value(51),
            csum_enabled: Value(true),
            retransmits: Value(1044),
            bytes_retrans: Value(HIGH + 1048),
            bytes_sent: Value(HIGH + 1056),
            bytes_received: Value(HIGH + 1064),
            bytes_acked: Value(HIGH + 1072),
            subflows_total: Value(90),
            endp_laminar_max: Value(91),
            endp_fullmesh_max: Value(92),
            last_data_sent: millis(1084),
            last_data_recv: millis(1088),
            last_ack_recv: millis(1092),
        });
    }
}

#[test]
fn presence_follows_the_returned_length() {
    for order in ORDERS {
        assert_presence(LAYOUT, &[], &connection(order), |bytes| {
            let info = MptcpInfo::from_bytes_in(bytes, order);
            info.fields().map(|(field, reading)| (field.name, reading)).collect()
        });
    }
}

/// The number of fields that each release returns.
#[test]
fn each_kernel_has_the_fields_of_its_size() {
    for (size, names) in [(48, 14), (80, 19), (88, 20), (96, 25)] {
        let info = MptcpInfo::from_bytes(&connection(ByteOrder::NATIVE)[..size]);
        let present = info.fields().filter(|(_, reading)| !reading.is_absent()).count();
        assert_eq!(present, names, "{size} bytes");
    }
}

#[test]
fn the_filler_at_the_end_of_an_older_structure_is_no_field() {
    let of_5_16 = MptcpInfo::from_bytes(&[0; 48]);
    assert_eq!((of_5_16.csum_enabled(), of_5_16.retransmits()), (Value(false), Absent));
    let of_6_8 = MptcpInfo::from_bytes(&[0; 88]);
    assert_eq!((of_6_8.subflows_total(), of_6_8.last_data_sent()), (Value(0), Absent));
    assert_eq!((of_6_8.endp_laminar_max(), of_6_8.endp_fullmesh_max()), (Absent, Absent));
}

/// Before the handshake the kernel has set none of the times, and tells how long it runs.
#[test]
fn without_a_connection_no_time_was_measured() {
    for order in ORDERS {
        let mut bytes = connection(order);
        bytes[12..16].fill(0);
        let info = MptcpInfo::from_bytes_in(&bytes, order);
        assert_eq!(info.token(), Value(0));
        assert_eq!((info.last_data_sent(), info.last_data_recv()), (Unset, Unset));
        assert_eq!(info.last_ack_recv(), Unset);
        assert!(matches!(info.bytes_sent(), Value(_)));
    }
}

#[test]
fn flags_have_names() {
    let flags = |number: u64| {
        let mut bytes = [0; 48];
        put(&mut bytes, ByteOrder::Big, 8, 4, number);
        let info = MptcpInfo::from_bytes_in(&bytes, ByteOrder::Big);
        (info.is_fallback(), info.has_remote_key())
    };
    assert_eq!(flags(0), (Some(false), Some(false)));
    assert_eq!(flags(1), (Some(true), Some(false)));
    assert_eq!(flags(2), (Some(false), Some(true)));
    assert_eq!(MptcpInfo::from_bytes(&[0; 11]).is_fallback(), None);
}
