//! Which fields feed which portable fact, as a literal table, against what the schema says and against
//! what happens when one field changes.

use std::collections::{BTreeMap, BTreeSet};

use tcpinfo::{
    Reading, System, TcpInfo,
    fields::Field,
    native::{ByteOrder, Native, linux::LinuxTcpInfo},
};

use super::{apple, freebsd, netbsd, openbsd, put, windows};

/// A portable fact, and the accessors of the fields that it is made of on Linux, Apple, Windows,
/// FreeBSD, NetBSD and OpenBSD; "" where the system does not tell it.
const TABLE: &[(&str, [&str; 6])] = &[
    ("state", ["state", "state", "state", "state", "state", "state"]),
    (
        "options",
        [
            "options",
            "options",
            "timestamps_enabled ecn_negotiated",
            "options",
            "options",
            "options",
        ],
    ),
    ("ca_state", ["ca_state", "", "", "", "", ""]),
    ("in_loss_recovery", ["ca_state", "lossrecovery", "", "", "", ""]),
    // What we announced scales the windows that we advertise.
    ("tx_window_scale", ["rcv_wscale", "rcv_wscale", "", "rcv_wscale", "rcv_wscale", "rcv_wscale"]),
    ("rx_window_scale", ["snd_wscale", "snd_wscale", "", "snd_wscale", "snd_wscale", "snd_wscale"]),
    ("tx_mss", ["snd_mss", "maxseg", "mss", "snd_mss", "snd_mss", "snd_mss"]),
    // `rcv_mss` of FreeBSD and NetBSD repeats `snd_mss`.
    ("rx_mss", ["rcv_mss", "", "", "", "", "rcv_mss"]),
    ("path_mtu", ["pmtu", "", "", "", "", ""]),
    ("rtt", ["rtt", "srtt", "rtt_us", "rtt", "rtt", "rtt"]),
    ("rtt_var", ["rttvar", "rttvar", "", "rttvar", "rttvar", "rttvar"]),
    ("rtt_last", ["", "rttcur", "", "", "", ""]),
    // `rttmin` is of unknown unit on FreeBSD, and the floor of the timeout on OpenBSD.
    ("min_rtt", ["min_rtt", "", "min_rtt_us", "", "", ""]),
    ("rx_rtt", ["rcv_rtt", "", "", "", "", ""]),
    ("rto", ["rto", "rto", "", "rto", "rto", "rto"]),
    ("ato", ["ato", "", "", "", "", ""]),
    ("connection_age", ["", "", "connection_time_ms", "", "", ""]),
    ("last_tx_age", ["last_data_sent", "", "", "", "", "last_data_sent"]),
    (
        "last_rx_age",
        ["last_data_recv", "", "", "last_data_recv", "last_data_recv", "last_data_recv"],
    ),
    ("last_tx_ack_age", ["", "", "", "", "", "last_ack_sent"]),
    ("last_rx_ack_age", ["last_ack_recv", "", "", "", "", "last_ack_recv"]),
    ("rx_window", ["rcv_wnd", "rcv_wnd", "rcv_wnd", "rcv_space", "rcv_space", "rcv_space"]),
    ("tx_window", ["snd_wnd", "snd_wnd", "snd_wnd", "snd_wnd", "snd_wnd snd_mss", "snd_wnd"]),
    (
        "tx_ssthresh",
        [
            "snd_ssthresh snd_mss",
            "snd_ssthresh",
            "",
            "snd_ssthresh",
            "snd_ssthresh",
            "snd_ssthresh",
        ],
    ),
    ("tx_ssthresh_segs", ["snd_ssthresh", "", "", "", "", ""]),
    ("rx_ssthresh", ["rcv_ssthresh", "", "", "", "", ""]),
    (
        "tx_cwnd",
        ["snd_cwnd snd_mss", "snd_cwnd", "cwnd", "snd_cwnd", "snd_cwnd snd_mss", "snd_cwnd"],
    ),
    (
        "tx_cwnd_segs",
        [
            "snd_cwnd",
            "snd_cwnd maxseg",
            "cwnd mss",
            "snd_cwnd snd_mss",
            "snd_cwnd",
            "snd_cwnd snd_mss",
        ],
    ),
    ("reordering_segs", ["reordering", "", "", "", "", ""]),
    (
        "retransmitted_segs",
        [
            "total_retrans",
            "txretransmitpackets",
            "",
            "snd_rexmitpack",
            "snd_rexmitpack",
            "snd_rexmitpack",
        ],
    ),
    ("retransmitted_bytes", ["bytes_retrans", "txretransmitbytes", "bytes_retrans", "", "", ""]),
    ("timeouts", ["total_rto", "", "timeout_episodes", "", "", ""]),
    ("fast_retransmits", ["", "", "fast_retrans", "", "", ""]),
    ("syn_retransmits", ["", "", "syn_retrans", "", "", ""]),
    ("backoff", ["backoff", "", "", "", "", ""]),
    ("unanswered_probes", ["probes", "", "", "", "", ""]),
    ("spurious_retransmits", ["dsack_dups", "", "", "", "", ""]),
    // FreeBSD's `dupacks` are those in a row, not those of the connection's life.
    ("duplicate_acks", ["", "", "dup_acks_in", "", "", ""]),
    ("tx_bytes", ["bytes_sent", "txbytes", "bytes_out", "", "", ""]),
    ("tx_acked_bytes", ["bytes_acked", "", "", "", "", ""]),
    ("rx_bytes", ["bytes_received", "rxbytes", "bytes_in", "", "", ""]),
    ("tx_segs", ["segs_out", "", "", "", "", ""]),
    ("rx_segs", ["segs_in", "", "", "", "", ""]),
    ("tx_packets", ["", "txpackets", "", "", "", ""]),
    ("rx_packets", ["", "rxpackets", "", "", "", ""]),
    ("tx_data_segs", ["data_segs_out", "", "", "", "", ""]),
    ("rx_data_segs", ["data_segs_in", "", "", "", "", ""]),
    (
        "rx_out_of_order_packets",
        ["rcv_ooopack", "", "out_of_order_pkts_in", "rcv_ooopack", "rcv_ooopack", "rcv_ooopack"],
    ),
    ("rx_out_of_order_bytes", ["", "rxoutoforderbytes", "", "", "", ""]),
    ("reordering_events", ["reord_seen", "", "", "", "", ""]),
    ("reordering_seen", ["reord_seen", "reordering_detected", "bytes_reordered", "", "", ""]),
    ("tx_reordered_bytes", ["", "", "bytes_reordered", "", "", ""]),
    ("tx_ce_segs", ["delivered_ce", "", "", "delivered_ce", "", ""]),
    ("rx_ce_segs", ["received_ce", "", "", "received_ce", "", ""]),
    ("rx_ece_acks", ["", "", "ece_acks_in", "", "", ""]),
    ("delivery_rate", ["delivery_rate", "", "", "", "", ""]),
    ("app_limited", ["delivery_rate_app_limited", "", "", "", "", ""]),
    ("pacing_rate", ["pacing_rate", "", "", "", "", ""]),
    ("in_flight_segs", ["unacked sacked lost retrans", "", "", "", "", ""]),
    ("in_flight_bytes", ["", "", "bytes_in_flight", "snd_max snd_una", "", "snd_max snd_una"]),
    ("unsent_bytes", ["notsent_bytes", "", "", "", "", ""]),
    ("tx_queued_bytes", ["", "snd_sbbytes", "", "", "", "so_snd_sb_cc"]),
    ("rx_queued_bytes", ["", "", "", "", "", "so_rcv_sb_cc"]),
    ("accept_queue", ["accept_queue", "", "", "", "", ""]),
    ("accept_queue_limit", ["accept_queue_limit", "", "", "", "", ""]),
    ("busy_time", ["busy_time", "", "", "", "", ""]),
    ("peer_window_limited", ["rwnd_limited", "", "snd_lim_time_rwin", "", "", ""]),
    ("send_buffer_limited", ["sndbuf_limited", "", "", "", "", ""]),
    ("cwnd_limited", ["", "", "snd_lim_time_cwnd", "", "", ""]),
    ("sender_limited", ["", "", "snd_lim_time_snd", "", "", ""]),
    ("rx_zero_windows", ["", "", "", "snd_zerowin", "snd_zerowin", "snd_zerowin"]),
];

/// The order of the columns, spelled out for itself.
const COLUMNS: [System; 6] = [
    System::Linux,
    System::Apple,
    System::Windows,
    System::FreeBsd,
    System::NetBsd,
    System::OpenBsd,
];

/// The facts that the table says a field feeds.
fn fed_by(system: System, accessor: &str) -> BTreeSet<&'static str> {
    let column = COLUMNS.iter().position(|other| *other == system).unwrap();
    TABLE
        .iter()
        .filter(|(_, fields)| fields[column].split(' ').any(|field| field == accessor))
        .map(|(fact, _)| *fact)
        .collect()
}

/// The fields of the structure that the portable view reads.
fn main_schema(system: System) -> impl Iterator<Item = &'static Field> {
    tcpinfo::schema()
        .filter(move |field| field.system == system && field.structure == system.structure())
}

macro_rules! every_fact {
    ($info:expr; $($name:ident)*) => {{
        let info: &TcpInfo = $info;
        BTreeMap::from([$((stringify!($name), info.$name().map(|value| format!("{value:?}")))),*])
    }};
}

/// Each method of the portable view by its name, with the text of its answer.
fn answers(info: &TcpInfo) -> BTreeMap<&'static str, Option<String>> {
    every_fact!(info;
        state options ca_state in_loss_recovery tx_window_scale rx_window_scale tx_mss rx_mss
        path_mtu rtt rtt_var rtt_last min_rtt rx_rtt rto ato connection_age last_tx_age last_rx_age
        last_tx_ack_age last_rx_ack_age rx_window tx_window tx_ssthresh tx_ssthresh_segs rx_ssthresh
        tx_cwnd tx_cwnd_segs reordering_segs retransmitted_segs retransmitted_bytes timeouts
        fast_retransmits syn_retransmits backoff unanswered_probes spurious_retransmits
        duplicate_acks tx_bytes tx_acked_bytes rx_bytes tx_segs rx_segs tx_packets rx_packets
        tx_data_segs rx_data_segs rx_out_of_order_packets rx_out_of_order_bytes reordering_events
        reordering_seen tx_reordered_bytes tx_ce_segs rx_ce_segs rx_ece_acks delivery_rate
        app_limited pacing_rate in_flight_segs in_flight_bytes unsent_bytes tx_queued_bytes
        rx_queued_bytes accept_queue accept_queue_limit busy_time peer_window_limited
        send_buffer_limited cwnd_limited sender_limited rx_zero_windows
    )
}

#[test]
fn the_table_names_every_fact_of_the_portable_view() {
    let info = super::view_of(System::Linux, &[0; 280], ByteOrder::Little);
    let names: BTreeSet<_> = TABLE.iter().map(|(fact, _)| *fact).collect();
    assert_eq!(names.len(), TABLE.len());
    assert_eq!(names, answers(&info).into_keys().collect());
    // The options are told by direction in JSON, all others under a key each.
    assert_eq!(info.facts().count() + 1, TABLE.len());
    assert_eq!(System::ALL, COLUMNS);
}

#[test]
fn the_schema_says_the_same_of_every_field() {
    for system in COLUMNS {
        let mut named = 0;
        for field in main_schema(system) {
            let facts: Vec<_> = field.facts().collect();
            let expected = fed_by(system, field.accessor);
            assert_eq!(
                facts.iter().copied().collect::<BTreeSet<_>>(),
                expected,
                "{system} {}",
                field.name
            );
            assert_eq!(facts.len(), expected.len(), "a fact twice: {system} {}", field.name);
            named += facts.len();
        }
        let column = COLUMNS.iter().position(|other| *other == system).unwrap();
        let in_table: usize =
            TABLE.iter().map(|(_, fields)| fields[column].split_whitespace().count()).sum();
        assert_eq!(named, in_table, "{system}: the table names a field that is not there");
    }
}

/// Connections in which every field is a value and stays one when it grows by one: small numbers, of
/// which the products and quotients all change.
fn baseline(system: System) -> (Vec<u8>, ByteOrder) {
    let order = ByteOrder::Little;
    let mut bytes = match system {
        System::Linux => linux(),
        System::Apple => apple::connection().to_vec(),
        System::Windows => windows::connection(),
        System::FreeBsd => freebsd::connection(order),
        System::NetBsd => netbsd::connection(order),
        System::OpenBsd => openbsd::connection(order),
        _ => unreachable!("a system without a baseline"),
    };
    // Segments of 2 bytes and a window of 5: both 6 and 5 bytes by 2 and 3 give another number.
    let numbers: &[(usize, u64)] = match system {
        System::Linux => &[(16, 2), (80, 5), (220, 0)],
        System::Apple => &[(16, 2), (24, 5)],
        System::Windows => &[(4, 2), (32, 5), (64, 0)],
        _ => &[(16, 2), (80, 5)],
    };
    for (offset, number) in numbers {
        put(&mut bytes, order, *offset, 4, *number);
    }
    // Options with a free lowest bit.
    match system {
        System::Linux | System::FreeBsd | System::NetBsd | System::OpenBsd => bytes[5] = 0x0e,
        System::Apple => bytes[4] = 0x0e,
        _ => {}
    }
    if system == System::Windows {
        (bytes[16], bytes[140]) = (0, 0);
    }
    (bytes, order)
}

/// A connection of Linux 7.0 in FIN_WAIT1 and CWR.
fn linux() -> Vec<u8> {
    let mut bytes = super::words(280, ByteOrder::Little);
    bytes[..8].copy_from_slice(&[4, 2, 3, 4, 5, 0x0e, 0x97, 0]);
    for (offset, segs) in [(24, 50), (28, 7), (32, 5), (36, 2)] {
        put(&mut bytes, ByteOrder::Little, offset, 4, segs);
    }
    bytes[276..].copy_from_slice(&[0b1001_0101, 0, 0, 0]);
    bytes
}

fn native(system: System, bytes: &[u8], order: ByteOrder) -> Native {
    match system {
        System::Linux => {
            Native::Linux(LinuxTcpInfo::from_bytes_in(bytes, order).with_kernel_major(7))
        }
        other => Native::from_bytes_in(other, bytes, order),
    }
}

/// Adds one to a field, within its bits.
fn grow(bytes: &mut [u8], field: &Field) {
    let range = field.offset..field.offset + field.width;
    let mut word = [0; 8];
    word[..field.width].copy_from_slice(&bytes[range.clone()]);
    let word = u64::from_le_bytes(word);
    let (shift, len) =
        field.bits.map_or((0, 8 * field.width as u32), |bits| (bits.shift, bits.len));
    let mask = (u64::MAX >> (64 - len)) << shift;
    let grown = (word & !mask) | (word.wrapping_add(1 << shift) & mask);
    bytes[range].copy_from_slice(&grown.to_le_bytes()[..field.width]);
}

#[test]
fn a_field_changes_the_facts_that_it_feeds_and_no_other() {
    /// Named in the portable view because it exists, but filled by no kernel.
    const NEVER_FILLED: &str = "last_ack_sent";

    let mut tried = 0;
    for system in COLUMNS {
        for listening in [false, true] {
            let (mut bytes, order) = baseline(system);
            if listening {
                bytes[0] = if system == System::Linux { 10 } else { 1 };
            }
            let before = native(system, &bytes, order);
            for (field, reading) in before.fields() {
                let queue = field.accessor.starts_with("accept_queue");
                if listening != queue {
                    continue;
                }
                if system == System::Linux && ["fackets", NEVER_FILLED].contains(&field.name) {
                    assert!(reading.is_absent());
                    continue;
                }
                assert!(matches!(reading, Reading::Value(_)), "{system} {}", field.name);
                let mut changed = bytes.clone();
                grow(&mut changed, field);
                let after = native(system, &changed, order);
                let now = after.fields().find(|(other, _)| other.accessor == field.accessor);
                assert_ne!(now.unwrap().1, reading, "{system} {} did not change", field.name);

                let (old, new) = (answers(&super::view(before)), answers(&super::view(after)));
                let differing: BTreeSet<_> =
                    old.keys().copied().filter(|fact| old[fact] != new[fact]).collect();
                assert_eq!(differing, fed_by(system, field.accessor), "{system} {}", field.name);
                tried += 1;
            }
        }
    }
    let fields: usize = COLUMNS.iter().map(|system| main_schema(*system).count()).sum();
    assert_eq!(tried, fields - 2, "all but the two of Linux that nothing fills");
}

/// Padding, and the fields that the BSDs declare and never fill.
#[test]
fn bytes_that_no_field_covers_change_nothing() {
    for system in COLUMNS {
        let (bytes, order) = baseline(system);
        let known: BTreeSet<usize> = main_schema(system)
            .flat_map(|field| field.offset..field.offset + field.width)
            .collect();
        let before = answers(&super::view(native(system, &bytes, order)));
        let mut changed = bytes.clone();
        for (offset, byte) in changed.iter_mut().enumerate() {
            // The word at 276 of Linux tells by its upper bytes how it is cut.
            let cut_of_linux = system == System::Linux && offset > 276;
            if !known.contains(&offset) && !cut_of_linux {
                *byte = !*byte;
            }
        }
        assert_eq!(answers(&super::view(native(system, &changed, order))), before, "{system}");
        if !matches!(system, System::Linux | System::Windows) {
            assert_ne!(changed, bytes, "{system} has unused bytes");
        }
    }
}
