//! What deserves attention: each kind from its own field, at its threshold and not below.

use std::time::Duration;

use tcpinfo::{
    System, TcpInfo, Thresholds, Warning,
    native::{
        Native,
        linux::{ByteOrder, LinuxTcpInfo},
    },
};

/// An established connection on which nothing is wrong, with the given little-endian numbers.
fn connection(numbers: &[(usize, u64)]) -> TcpInfo {
    let mut bytes = [0; 280];
    bytes[0] = 1;
    for &(offset, number) in numbers {
        let width = match offset {
            0..8 => 1,
            168..192 | 208 => 8,
            240 => 2,
            _ => 4,
        };
        bytes[offset..offset + width].copy_from_slice(&number.to_le_bytes()[..width]);
    }
    let native = LinuxTcpInfo::from_bytes_in(&bytes, ByteOrder::Little);
    TcpInfo::from_native(Native::Linux(native), None)
}

#[test]
fn a_connection_without_trouble_has_no_warnings() {
    assert_eq!(connection(&[]).warnings(), []);
}

#[test]
fn each_kind_appears_at_its_default_threshold_and_not_below() {
    let ten_ms = Duration::from_millis(10);
    let kinds: &[(usize, u64, Warning)] = &[
        (100, 1, Warning::RetransmittedSegs(1)),
        (240, 1, Warning::Timeouts(1)),
        (4, 1, Warning::Backoff(1)),
        (3, 2, Warning::UnansweredProbes(2)),
        (216, 1, Warning::SpuriousRetransmits(1)),
        (224, 1, Warning::OutOfOrderPackets(1)),
        (176, 10_000, Warning::PeerWindowLimited(ten_ms)),
        (184, 10_000, Warning::SendBufferLimited(ten_ms)),
        (196, 1, Warning::CongestionMarkedSegs(1)),
        (248, 1, Warning::CongestionMarkedSegs(1)),
    ];
    for &(offset, number, warning) in kinds {
        assert_eq!(connection(&[(offset, number)]).warnings(), [warning]);
        assert_eq!(connection(&[(offset, number - 1)]).warnings(), [], "below {warning}");
    }
}

#[test]
fn each_threshold_is_respected_for_its_own_kind() {
    let numbers = [
        (100, 20),
        (208, 30_000),
        (240, 21),
        (4, 22),
        (3, 23),
        (216, 24),
        (224, 25),
        (176, 26_000),
        (184, 27_000),
        (196, 14),
        (248, 14),
    ];
    let info = connection(&numbers);
    let limits = |less: u64| {
        let mut limits = Thresholds::default();
        limits.retransmitted_segs = 21 - less;
        limits.timeouts = 22 - less;
        limits.backoff = 23 - less as u8;
        limits.unanswered_probes = 24 - less as u8;
        limits.spurious_retransmits = 25 - less;
        limits.out_of_order_packets = 26 - less;
        limits.limited_time = Duration::from_millis(28 - less);
        limits.congestion_marked_segs = 29 - less;
        limits
    };
    assert_eq!(info.warnings_above(&limits(0)), []);
    let all = [
        Warning::RetransmittedBytes(30_000),
        Warning::RetransmittedSegs(20),
        Warning::Timeouts(21),
        Warning::Backoff(22),
        Warning::UnansweredProbes(23),
        Warning::SpuriousRetransmits(24),
        Warning::OutOfOrderPackets(25),
        Warning::SendBufferLimited(Duration::from_millis(27)),
        Warning::CongestionMarkedSegs(28),
    ];
    assert_eq!(info.warnings_above(&limits(1)), all, "the peer's window by 26 ms of 27 only");

    type Loosen = fn(&mut Thresholds);
    let one_at_a_time: [Loosen; 8] = [
        |limits| limits.retransmitted_segs -= 1,
        |limits| limits.timeouts -= 1,
        |limits| limits.backoff -= 1,
        |limits| limits.unanswered_probes -= 1,
        |limits| limits.spurious_retransmits -= 1,
        |limits| limits.out_of_order_packets -= 1,
        |limits| limits.limited_time -= Duration::from_millis(1),
        |limits| limits.congestion_marked_segs -= 1,
    ];
    let expected = [
        &all[..2],
        &all[2..3],
        &all[3..4],
        &all[4..5],
        &all[5..6],
        &all[6..7],
        &all[7..8],
        &all[8..],
    ];
    for (loosen, expected) in one_at_a_time.into_iter().zip(expected) {
        let mut limits = limits(0);
        loosen(&mut limits);
        assert_eq!(info.warnings_above(&limits), expected);
    }
}

#[test]
fn marks_of_both_directions_are_added_up() {
    let info = connection(&[(196, 3), (248, 4)]);
    assert_eq!(info.warnings(), [Warning::CongestionMarkedSegs(7)]);
}

#[test]
fn retransmitted_bytes_come_with_their_segments() {
    let info = connection(&[(100, 2), (208, 2896)]);
    let both = [Warning::RetransmittedBytes(2896), Warning::RetransmittedSegs(2)];
    assert_eq!(info.warnings(), both);
    let mut limits = Thresholds::default();
    limits.retransmitted_segs = 3;
    assert_eq!(info.warnings_above(&limits), [], "too few segments to speak of");
}

#[test]
fn an_accept_queue_overflows_when_it_is_longer_than_its_limit() {
    let listener = |length, limit| connection(&[(0, 10), (24, length), (28, limit)]).warnings();
    assert_eq!(listener(128, 128), []);
    assert_eq!(listener(129, 128), [Warning::AcceptQueueOverflow(129)]);
}

#[test]
fn merging_keeps_each_kind_once_with_the_later_number() {
    let mut warnings = vec![Warning::RetransmittedSegs(1), Warning::Backoff(3)];
    Warning::merge(
        &mut warnings,
        [Warning::Backoff(2), Warning::Timeouts(4), Warning::RetransmittedSegs(9)],
    );
    let expected = [Warning::RetransmittedSegs(9), Warning::Backoff(2), Warning::Timeouts(4)];
    assert_eq!(warnings, expected);
    Warning::merge(&mut warnings, []);
    assert_eq!(warnings, expected);
}

#[test]
fn warnings_are_written_as_name_and_number() {
    let time = Duration::from_micros(12_345);
    for (warning, text) in [
        (Warning::RetransmittedBytes(1), "retransmittedBytes=1"),
        (Warning::RetransmittedSegs(2), "retransmittedSegs=2"),
        (Warning::Timeouts(3), "timeouts=3"),
        (Warning::Backoff(4), "backoff=4"),
        (Warning::UnansweredProbes(5), "unansweredProbes=5"),
        (Warning::SpuriousRetransmits(6), "spuriousRetransmits=6"),
        (Warning::OutOfOrderPackets(7), "outOfOrderPackets=7"),
        (Warning::OutOfOrderBytes(10), "outOfOrderBytes=10"),
        (Warning::PeerWindowLimited(time), "peerWindowLimited=12345000"),
        (Warning::SendBufferLimited(time), "sendBufferLimited=12345000"),
        (Warning::CongestionMarkedSegs(8), "congestionMarkedSegs=8"),
        (Warning::AcceptQueueOverflow(9), "acceptQueueOverflow=9"),
    ] {
        assert_eq!(warning.to_string(), text);
    }
}

/// An established connection of any system on which nothing is wrong, with one number of a width.
fn connection_of(system: System, len: usize, offset: usize, width: usize, number: u64) -> TcpInfo {
    let mut bytes = vec![0; len];
    bytes[0] = if system == System::Linux { 1 } else { 4 };
    if system == System::OpenBsd {
        bytes[186] = 1; // the superuser sees the limit of the receive buffer
    }
    bytes[offset..offset + width].copy_from_slice(&number.to_le_bytes()[..width]);
    TcpInfo::from_native(Native::from_bytes_in(system, &bytes, ByteOrder::Little), None)
}

/// The structure of each system at its newest.
const NEWEST: &[(System, usize)] = &[
    (System::Linux, 280),
    (System::Apple, 112),
    (System::Windows, 152),
    (System::FreeBsd, 256),
    (System::NetBsd, 236),
    (System::OpenBsd, 212),
];

#[test]
fn a_connection_of_any_system_without_trouble_has_no_warnings() {
    for (system, len) in NEWEST {
        assert_eq!(connection_of(*system, *len, 0, 0, 0).warnings(), [], "{system}");
    }
}

#[test]
fn the_same_fact_has_the_same_name_on_every_system() {
    /// Where a number lies: the system, the offset, and the width.
    type Place = (System, usize, usize);
    let kinds: &[(&str, u64, &[Place])] = &[
        (
            "retransmittedSegs=7",
            7,
            &[
                (System::Linux, 100, 4),
                (System::Apple, 104, 8),
                (System::FreeBsd, 120, 4),
                (System::NetBsd, 120, 4),
                (System::OpenBsd, 116, 4),
            ],
        ),
        ("synRetransmits=7", 7, &[(System::Windows, 84, 1)]),
        ("timeouts=7", 7, &[(System::Linux, 240, 2), (System::Windows, 80, 4)]),
        (
            "outOfOrderPackets=7",
            7,
            &[
                (System::Linux, 224, 4),
                (System::Windows, 136, 4),
                (System::FreeBsd, 124, 4),
                (System::NetBsd, 124, 4),
                (System::OpenBsd, 120, 4),
            ],
        ),
        ("outOfOrderBytes=7", 7, &[(System::Apple, 96, 8)]),
        ("retransmittedBytes=7", 7, &[(System::Windows, 68, 4)]),
        ("peerWindowLimited=20000000", 20_000, &[(System::Linux, 176, 8)]),
        ("peerWindowLimited=20000000", 20, &[(System::Windows, 92, 4)]),
        ("sendBufferLimited=20000000", 20_000, &[(System::Linux, 184, 8)]),
        (
            "congestionMarkedSegs=7",
            7,
            &[
                (System::Linux, 196, 4),
                (System::Linux, 248, 4),
                (System::FreeBsd, 132, 4),
                (System::FreeBsd, 136, 4),
            ],
        ),
        ("congestionMarkedAcks=7", 7, &[(System::Windows, 144, 4)]),
    ];
    for (text, number, places) in kinds {
        for (system, offset, width) in *places {
            let len = NEWEST.iter().find(|(other, _)| other == system).unwrap().1;
            let info = connection_of(*system, len, *offset, *width, *number);
            let texts: Vec<_> = info.warnings().iter().map(ToString::to_string).collect();
            assert_eq!(texts, [*text], "{system} at {offset}");
        }
    }
}

/// Beside segments that are counted too, and alone where they are not.
#[test]
fn retransmitted_bytes_are_told_with_and_without_segments() {
    let mut bytes = [0; 112];
    (bytes[0], bytes[72], bytes[104]) = (4, 9, 2);
    let apple = |len: usize| {
        TcpInfo::from_native(
            Native::from_bytes_in(System::Apple, &bytes[..len], ByteOrder::Little),
            None,
        )
    };
    let (sent_again, segs) = (Warning::RetransmittedBytes(9), Warning::RetransmittedSegs(2));
    assert_eq!(apple(112).warnings(), [sent_again, segs]);
    assert_eq!(apple(104).warnings(), [sent_again], "before macOS 10.12.4");
    let mut limits = Thresholds::default();
    limits.retransmitted_segs = 3;
    assert_eq!(apple(112).warnings_above(&limits), []);
}

#[test]
fn bytes_out_of_order_have_a_threshold_of_their_own() {
    let info = connection_of(System::Apple, 112, 96, 8, 3000);
    let mut limits = Thresholds::default();
    (limits.out_of_order_packets, limits.out_of_order_bytes) = (1, 3001);
    assert_eq!(info.warnings_above(&limits), []);
    (limits.out_of_order_packets, limits.out_of_order_bytes) = (u64::MAX, 3000);
    assert_eq!(info.warnings_above(&limits), [Warning::OutOfOrderBytes(3000)]);
}

/// Facts that resemble one that is warned of, and are another.
#[test]
fn what_is_no_trouble_or_another_fact_is_not_warned_of() {
    let others: &[(System, usize, usize, usize)] = &[
        (System::Windows, 152, 64, 4),  // BytesReordered: the sender's
        (System::Windows, 152, 72, 4),  // FastRetrans: events
        (System::Windows, 152, 108, 4), // limited by the congestion window
        (System::Windows, 152, 124, 4), // limited by the sender
        (System::FreeBsd, 256, 128, 4), // windows that we closed
        (System::FreeBsd, 256, 36, 4),  // __tcpi_retrans: not filled
        (System::NetBsd, 236, 2, 1),    // __tcpi_retransmits: a total under another name
        (System::NetBsd, 236, 36, 4),   // __tcpi_retrans: the same
        (System::Apple, 112, 8, 4),     // flags
    ];
    for (system, len, offset, width) in others {
        let info = connection_of(*system, *len, *offset, *width, 0x7f);
        assert_eq!(info.warnings(), [], "{system} at {offset}");
    }
}

/// Where nothing is counted, nothing is warned of: shorter structures, and unprivileged readers.
#[test]
fn absent_facts_warn_of_nothing() {
    for (system, newest) in NEWEST {
        // Every counter stands at one, so each warning comes with the last byte of its field.
        let mut bytes = vec![1; *newest];
        bytes[0] = if *system == System::Linux { 1 } else { 4 };
        let kinds = |len: usize| {
            let native = Native::from_bytes_in(*system, &bytes[..len], ByteOrder::Little);
            TcpInfo::from_native(native, None).warnings().len()
        };
        let kinds: Vec<_> = (0..=*newest).map(kinds).collect();
        assert!(kinds.is_sorted(), "{system}: a longer structure tells less");
        assert!(kinds.first() == Some(&0) && kinds.last() > Some(&0), "{system}");
    }
    let mut bytes = vec![1; 212];
    bytes[0] = 4;
    bytes[100..].fill(0);
    let native = Native::from_bytes_in(System::OpenBsd, &bytes, ByteOrder::Little);
    assert_eq!(TcpInfo::from_native(native, None).warnings(), []);
    // Zeros of FreeBSD 13 are no congestion marks, and no count of them either.
    let mut limits = Thresholds::default();
    limits.congestion_marked_segs = 0;
    let thirteen = connection_of(System::FreeBsd, 236, 0, 0, 0).warnings_above(&limits);
    assert_eq!(thirteen, []);
    let fourteen = connection_of(System::FreeBsd, 240, 0, 0, 0).warnings_above(&limits);
    assert_eq!(fourteen, [Warning::CongestionMarkedSegs(0)]);
}
