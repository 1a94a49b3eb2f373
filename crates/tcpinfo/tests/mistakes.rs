//! Mistakes that readers of these structures make, each with a test of what is true instead.
//!
//! Bytes are laid out by hand, little-endian, with offsets from the systems' headers.

use std::time::Duration;

use tcpinfo::{
    Congestion, CongestionInfo, CongestionName, Packed, Reading, State, System, TcpInfo, TcpOption,
    Warning,
    fields::{Kind, Type, Unit},
    native::{ByteOrder, Native, apple_socket::AppleSocketInfo, linux::LinuxTcpInfo},
};

const MICRO: Duration = Duration::from_micros(1);
const MILLI: Duration = Duration::from_millis(1);

/// An established connection of the given length, zero but for these 32-bit numbers.
fn view(system: System, len: usize, numbers: &[(usize, u32)]) -> TcpInfo {
    let mut bytes = vec![0; len];
    bytes[0] = if system == System::Linux { 1 } else { 4 };
    for (offset, number) in numbers {
        bytes[*offset..*offset + 4].copy_from_slice(&number.to_le_bytes());
    }
    decode(system, &bytes)
}

fn decode(system: System, bytes: &[u8]) -> TcpInfo {
    TcpInfo::from_native(Native::from_bytes_in(system, bytes, ByteOrder::Little), None)
}

fn linux(bytes: &[u8]) -> LinuxTcpInfo {
    LinuxTcpInfo::from_bytes_in(bytes, ByteOrder::Little)
}

/// Guards against reading Linux's ages as microseconds, which makes them a thousand times too small.
#[test]
fn ages_are_milliseconds_on_linux_and_microseconds_on_the_bsds() {
    let ages = [(44, 1500), (48, 1500), (52, 1500), (56, 1500)];
    let info = view(System::Linux, 104, &ages);
    assert_eq!(info.last_tx_age(), Some(1500 * MILLI));
    assert_eq!(info.last_rx_age(), Some(1500 * MILLI));
    assert_eq!(info.last_rx_ack_age(), Some(1500 * MILLI));
    assert_eq!(info.last_tx_ack_age(), None, "never filled");
    for system in [System::FreeBsd, System::NetBsd, System::OpenBsd] {
        assert_eq!(view(system, 212, &ages).last_rx_age(), Some(1500 * MICRO), "{system}");
    }
    assert_eq!(view(System::OpenBsd, 212, &ages).last_tx_ack_age(), Some(1500 * MICRO));
}

/// Guards against a buffer too short for the kernel, whose missing end then passes for zeros.
#[test]
fn fields_beyond_a_buffer_cut_short_are_absent() {
    let whole = view(System::Linux, 168, &[(148, 900), (152, 7), (156, 8), (160, 5000)]);
    assert_eq!(whole.min_rtt(), Some(900 * MICRO));
    assert_eq!((whole.rx_data_segs(), whole.tx_data_segs()), (Some(7), Some(8)));
    assert_eq!((whole.delivery_rate(), whole.app_limited()), (Some(5000), Some(false)));
    let cut = decode(System::Linux, &whole.native().as_bytes()[..148]);
    assert_eq!((cut.min_rtt(), cut.rx_data_segs(), cut.tx_data_segs()), (None, None, None));
    assert_eq!((cut.delivery_rate(), cut.app_limited()), (None, None));
    assert_eq!(cut.unsent_bytes(), Some(0), "its bytes are there");
}

/// Guards against dating the count of timeouts to 6.2, whose structure ends where the count begins.
#[test]
fn timeouts_are_counted_since_the_structure_has_248_bytes() {
    let of_6_2 = view(System::Linux, 240, &[]);
    assert_eq!((of_6_2.timeouts(), of_6_2.rx_window()), (None, Some(0)));
    let of_6_7 = linux(&[1; 248]);
    assert_eq!(of_6_7.total_rto(), Reading::Value(257));
    for absent in ["total_rto", "total_rto_recoveries", "total_rto_time"] {
        let Native::Linux(old) = of_6_2.native() else { panic!("not of Linux") };
        assert_eq!(old.field(absent), Some(Reading::Absent), "{absent}");
        assert!(!of_6_7.field(absent).unwrap().is_absent());
    }
}

/// Guards against deciding by the kernel's version which fields there are: versions are backported.
#[test]
fn presence_is_a_matter_of_length_whatever_the_version() {
    let presence = |info: LinuxTcpInfo| -> Vec<_> {
        let decided_by_length = |(field, reading): &(&tcpinfo::fields::Field, _)| {
            (field.offset < 276).then_some((field.name, Reading::is_absent(reading)))
        };
        info.fields().filter_map(|pair| decided_by_length(&pair)).collect()
    };
    for len in [104, 160, 248, 280] {
        let info = linux(&vec![1; len]);
        let expected = presence(info);
        for major in [2, 3, 4, 5, 6, 7, 255] {
            assert_eq!(presence(info.with_kernel_major(major)), expected, "{len} of {major}");
        }
    }
    assert!(!linux(&[1; 280]).with_kernel_major(2).received_ce().is_absent());
}

/// Guards against showing the target of receive-buffer tuning as the window, which it is on the BSDs.
#[test]
fn the_space_of_linux_is_no_window_and_that_of_the_bsds_is() {
    let old = view(System::Linux, 232, &[(96, 65_495)]);
    assert_eq!(old.rx_window(), None, "not told before 6.2");
    let new = view(System::Linux, 240, &[(96, 65_495), (232, 65_536)]);
    assert_eq!(new.rx_window(), Some(65_536));
    for system in [System::FreeBsd, System::NetBsd, System::OpenBsd] {
        assert_eq!(view(system, 212, &[(96, 65_495)]).rx_window(), Some(65_495), "{system}");
    }
}

/// Guards against swapping the window scales: `snd` is what the peer announced, on every system.
#[test]
fn the_scale_for_sending_is_the_peers_on_every_system() {
    // Shift 7 of the peer and 9 of ours, window scaling among the options.
    let structures: [(System, &[(usize, u8)]); 5] = [
        (System::Linux, &[(0, 1), (5, 4), (6, 0x97)]),
        (System::Apple, &[(0, 4), (4, 4), (1, 7), (2, 9)]),
        (System::FreeBsd, &[(0, 4), (5, 4), (6, 0x97)]),
        (System::NetBsd, &[(0, 4), (5, 4), (6, 0x97)]),
        (System::OpenBsd, &[(0, 4), (5, 4), (6, 7), (7, 9)]),
    ];
    for (system, numbers) in structures {
        let mut bytes = [0; 104];
        for (offset, number) in numbers {
            bytes[*offset] = *number;
        }
        let info = decode(system, &bytes);
        assert_eq!(
            (info.tx_window_scale(), info.rx_window_scale()),
            (Some(9), Some(7)),
            "{system}"
        );
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_value(info).unwrap();
            assert_eq!(json["txOptions"], serde_json::json!(["WindowScale:09"]), "{system}");
            assert_eq!(json["rxOptions"], serde_json::json!(["WindowScale:07"]), "{system}");
        }
    }
}

/// Guards against showing "none", "no limit" and defaults as measurements.
#[test]
fn numbers_that_stand_for_nothing_are_not_shown() {
    let unlimited = [(104, u32::MAX), (108, u32::MAX), (112, u32::MAX), (116, u32::MAX)];
    let numbers = [(72, 250_000), (76, 0x7fff_ffff), (148, u32::MAX)];
    let info = view(System::Linux, 280, &[&unlimited[..], &numbers[..]].concat());
    assert_eq!((info.min_rtt(), info.rtt(), info.rtt_var()), (None, None, None));
    assert_eq!(
        (info.pacing_rate(), info.tx_ssthresh(), info.tx_ssthresh_segs()),
        (None, None, None)
    );
    for (system, threshold) in
        [(System::Apple, 20), (System::FreeBsd, 76), (System::NetBsd, 76), (System::OpenBsd, 76)]
    {
        assert_eq!(
            view(system, 112, &[(threshold, 1_073_725_440)]).tx_ssthresh(),
            None,
            "{system}"
        );
    }
    let info = view(System::Windows, 88, &[(20, u32::MAX), (24, u32::MAX)]);
    assert_eq!((info.rtt(), info.min_rtt()), (None, None));
}

/// Guards against printing packets out of order as bytes, or bytes as packets.
#[test]
fn what_arrives_out_of_order_is_named_after_its_unit() {
    let packets = [
        (System::Linux, 280, 224),
        (System::Windows, 152, 136),
        (System::FreeBsd, 236, 124),
        (System::NetBsd, 236, 124),
        (System::OpenBsd, 212, 120),
    ];
    for (system, len, offset) in packets {
        let info = view(system, len, &[(offset, 3)]);
        assert_eq!(info.rx_out_of_order_packets(), Some(3), "{system}");
        assert_eq!(info.rx_out_of_order_bytes(), None, "{system}");
        assert_eq!(info.warnings()[0].to_string(), "outOfOrderPackets=3", "{system}");
    }
    let info = view(System::Apple, 112, &[(96, 3000)]);
    assert_eq!((info.rx_out_of_order_packets(), info.rx_out_of_order_bytes()), (None, Some(3000)));
    assert_eq!(info.warnings()[0].to_string(), "outOfOrderBytes=3000");
}

/// Guards against taking the time in recovery from timeouts for nanoseconds or microseconds.
#[test]
fn time_in_recovery_from_timeouts_is_milliseconds() {
    let info = view(System::Linux, 248, &[(244, 1200)]);
    let Native::Linux(info) = info.native() else { panic!("not of Linux") };
    assert_eq!(info.total_rto_time(), Reading::Value(1200 * MILLI));
}

/// Guards against two bandwidths of 32 bits where there is one of 64, in bytes a second.
#[test]
fn the_bandwidth_of_bbr_is_one_number() {
    let words: Vec<u8> = [5u32, 1, 900, 256, 512].into_iter().flat_map(u32::to_ne_bytes).collect();
    let bbr = Congestion::decode(CongestionName::from_bytes(b"bbr"), &words);
    let Some(CongestionInfo::Bbr(bbr)) = bbr.info else { panic!("not decoded") };
    assert_eq!((bbr.bandwidth, bbr.min_rtt), (Some((1 << 32) + 5), Some(900 * MICRO)));
}

/// Guards against a listener's queue as segments in flight, and stamps of boot as ages.
#[test]
fn a_listener_has_connections_and_an_opener_no_ages() {
    let numbers = [(24, 129), (28, 128), (44, 2_485_500), (52, 2_485_500), (56, 2_485_500)];
    let mut bytes = view(System::Linux, 280, &numbers).native().as_bytes().to_vec();
    bytes[0] = 10;
    let listener = decode(System::Linux, &bytes);
    assert_eq!((listener.accept_queue(), listener.accept_queue_limit()), (Some(129), Some(128)));
    assert_eq!((listener.in_flight_segs(), listener.last_rx_ack_age()), (None, None));
    bytes[0] = 2;
    let opener = decode(System::Linux, &bytes);
    assert_eq!(
        (opener.last_tx_age(), opener.last_rx_age(), opener.last_rx_ack_age()),
        (None, None, None)
    );
    assert_eq!((opener.accept_queue(), opener.accept_queue_limit()), (None, None));
}

/// Guards against Windows' minimum in the place of its estimate, and SYNs in that of segments.
#[test]
fn windows_tells_an_estimate_a_minimum_and_windows_in_bytes() {
    let numbers =
        [(4, 1460), (20, 30_000), (24, 20_000), (32, 14_600), (36, 65_536), (68, 2920), (84, 2)];
    let info = view(System::Windows, 88, &numbers);
    assert_eq!((info.rtt(), info.min_rtt()), (Some(30 * MILLI), Some(20 * MILLI)));
    assert_eq!((info.tx_cwnd(), info.tx_cwnd_segs()), (Some(14_600), Some(10)));
    assert_eq!(info.tx_window(), Some(65_536), "the peer's, no congestion window");
    assert_eq!((info.retransmitted_segs(), info.syn_retransmits()), (None, Some(2)));
    assert_eq!(info.retransmitted_bytes(), Some(2920));
    assert_eq!((info.tx_ssthresh(), info.rto(), info.rtt_var()), (None, None, None));
}

/// Guards against what we sent and the path reordered, shown as received out of order.
#[test]
fn bytes_reordered_are_the_senders() {
    let info = view(System::Windows, 152, &[(64, 5000)]);
    assert_eq!((info.tx_reordered_bytes(), info.reordering_seen()), (Some(5000), Some(true)));
    assert_eq!((info.rx_out_of_order_bytes(), info.rx_out_of_order_packets()), (None, Some(0)));
    assert_eq!(info.warnings(), []);
}

/// Guards against dropping the one option that Windows tells, and against a foreign byte as a flag.
#[test]
fn an_odd_byte_for_true_is_the_option_that_windows_tells() {
    for byte in [1, 2, 0x80, 0xff] {
        let options = view(System::Windows, 88, &[(16, byte)]).options().unwrap();
        assert_eq!(options.get(TcpOption::Timestamps), Some(true));
        assert_eq!(options.get(TcpOption::Ecn), None);
    }
    let options = view(System::Windows, 152, &[(140, 0xff)]).options().unwrap();
    assert_eq!(
        (options.get(TcpOption::Timestamps), options.get(TcpOption::Ecn)),
        (Some(false), Some(true))
    );
}

/// Guards against treating a structure of an older version as a failure, or a newer one as unknown.
#[test]
fn each_version_of_windows_structure_is_read_as_far_as_it_goes() {
    for (len, limited, packets) in
        [(88, None, None), (136, Some(Duration::ZERO), None), (152, Some(Duration::ZERO), Some(0))]
    {
        let info = view(System::Windows, len, &[(20, 900)]);
        assert_eq!(info.rtt(), Some(900 * MICRO));
        assert_eq!(
            (info.peer_window_limited(), info.rx_out_of_order_packets()),
            (limited, packets)
        );
    }
}

/// Guards against segments for the peer's window, its MSS for ours, and an idle timer as zero.
#[test]
fn apples_windows_are_bytes_and_its_timeout_may_be_idle() {
    let info = view(System::Apple, 104, &[(16, 1400), (24, 14_000), (28, 131_072)]);
    assert_eq!(info.tx_window(), Some(131_072));
    assert_eq!((info.tx_cwnd(), info.tx_cwnd_segs()), (Some(14_000), Some(10)));
    assert_eq!((info.tx_mss(), info.rx_mss()), (Some(1400), None));
    assert_eq!(info.rto(), None, "the timer is not running");
    assert_eq!(info.retransmitted_segs(), None, "not counted before macOS 10.12.4");
}

/// Guards against a table of states with gaps, or one that is indexed without looking.
#[test]
fn every_state_has_a_name() {
    for system in System::ALL {
        for code in 0..=u8::MAX {
            let mut bytes = vec![0; 112];
            bytes[0] = code;
            let info = decode(system, &bytes);
            let state = info.state().unwrap();
            assert!(!state.to_string().is_empty());
            if !matches!(state, State::Unknown(_)) {
                continue;
            }
            assert_eq!(state, State::Unknown(code));
            assert_eq!(state.to_string(), format!("UNKNOWN({code})"));
        }
    }
    assert_eq!(State::from_linux(12).to_string(), "NEW_SYN_RECV");
    assert_eq!(State::from_linux(13).to_string(), "BOUND_INACTIVE");
}

/// Guards against one key for zero and absent, and one number for segments, packets and SYNs.
#[cfg(feature = "serde")]
#[test]
fn zero_and_absent_differ_in_json() {
    let json = |info: TcpInfo| serde_json::to_value(info).unwrap();
    let zero = json(view(System::Linux, 280, &[]));
    assert_eq!((&zero["retransmits"], &zero["retransmittedBytes"]), (&0.into(), &0.into()));
    let absent = json(view(System::Linux, 160, &[]));
    assert_eq!((absent.get("retransmittedBytes"), absent.get("timeouts")), (None, None));
    assert_eq!(zero.get("pacingRate"), Some(&0.into()));
    let unlimited: Vec<_> = (104..120).step_by(4).map(|offset| (offset, u32::MAX)).collect();
    assert_eq!(json(view(System::Linux, 280, &unlimited)).get("pacingRate"), None);

    let windows = json(view(System::Windows, 88, &[(84, 2)]));
    assert_eq!((windows.get("retransmits"), &windows["synRetransmits"]), (None, &2.into()));
    let segs = json(view(System::NetBsd, 236, &[(16, 1000), (80, 10), (76, 5000)]));
    assert_eq!((&segs["txCWindowSegs"], &segs["txCWindowBytes"]), (&10.into(), &10_000.into()));
    assert_eq!((&segs["txSSThreshold"], segs.get("txSSThresholdSegs")), (&5000.into(), None));
}

/// Guards against a structure of fixed size laid over a shorter reply.
#[test]
fn a_reply_shorter_than_the_oldest_structure_is_read_no_further() {
    for len in 0..=104 {
        let bytes = vec![0xff; len];
        let info = linux(&bytes);
        assert_eq!((info.returned_len(), info.as_bytes()), (len, &bytes[..]));
        for (field, reading) in info.fields() {
            assert!(len >= field.min_len || reading.is_absent(), "{} of {len}", field.name);
        }
    }
    let info = linux(&[1; 87]);
    assert_eq!((info.snd_cwnd(), info.advmss()), (Reading::Value(0x0101_0101), Reading::Absent));
}

/// Guards against sizes filed under the wrong kernel, which drop fields that are there.
#[test]
fn lengths_between_two_known_ones_keep_what_they_cover() {
    let all = view(System::Linux, 160, &[(120, 9), (128, 8), (136, 7), (140, 6), (144, 5)]);
    let bytes = all.native().as_bytes();
    let info = |len: usize| decode(System::Linux, &bytes[..len]);
    assert_eq!((info(128).tx_acked_bytes(), info(128).rx_bytes()), (Some(9), None));
    assert_eq!((info(136).rx_bytes(), info(136).tx_segs()), (Some(8), None));
    assert_eq!((info(144).tx_segs(), info(144).rx_segs()), (Some(7), Some(6)));
    assert_eq!((info(159).unsent_bytes(), info(159).tx_data_segs()), (Some(5), None));
}

/// Guards against Apple's last sample in the place of its smoothed time.
#[test]
fn the_smoothed_time_is_not_the_last_sample() {
    let info = view(System::Apple, 112, &[(40, 90), (44, 30), (48, 5)]);
    assert_eq!((info.rtt(), info.rtt_last()), (Some(30 * MILLI), Some(90 * MILLI)));
    assert_eq!(info.rtt_var(), Some(5 * MILLI));
    let quick = view(System::Apple, 112, &[(40, 90)]);
    assert_eq!((quick.rtt(), quick.rtt_last()), (None, Some(90 * MILLI)));
}

/// Guards against fields that the BSDs have by name and never fill, shown as zeros that were measured.
#[test]
fn fields_that_are_never_filled_are_not_told() {
    let all = vec![0x11; 256];
    for system in [System::FreeBsd, System::NetBsd] {
        let info = decode(system, &[&[4], &all[1..]].concat());
        assert_eq!(
            (info.ato(), info.path_mtu(), info.rx_ssthresh()),
            (None, None, None),
            "{system}"
        );
        assert_eq!((info.last_tx_age(), info.last_rx_ack_age()), (None, None), "{system}");
        assert_eq!((info.in_flight_segs(), info.reordering_segs()), (None, None), "{system}");
        assert_eq!((info.rx_rtt(), info.backoff()), (None, None), "{system}");
    }
    let info = decode(System::OpenBsd, &[&[4], &all[1..]].concat());
    assert_eq!((info.ato(), info.path_mtu(), info.rx_rtt()), (None, None, None));
}

/// Guards against giving out memory around a structure in the place of its bytes.
#[test]
fn the_bytes_given_out_are_those_taken_in() {
    for system in System::ALL {
        for len in [0, 1, 87, 104, 236, 300] {
            let bytes: Vec<u8> = (1..=len).map(|n| (n % 255) as u8).collect();
            let info = decode(system, &bytes);
            assert_eq!(info.native().as_bytes(), bytes, "{system}");
            assert_eq!(Packed::from(&info).unpack().native().as_bytes(), bytes, "{system}");
        }
    }
}

/// Guards against signed counters, and a structure that ends at the fields of 5.4.
#[test]
fn counters_are_unsigned_and_the_newest_fields_are_read() {
    let info = view(System::Linux, 280, &[(136, u32::MAX), (140, 1 << 31), (248, 4), (272, 5)]);
    assert_eq!((info.tx_segs(), info.rx_segs()), (Some(4_294_967_295), Some(2_147_483_648)));
    assert_eq!(info.rx_ce_segs(), Some(4));
    let Native::Linux(native) = info.native() else { panic!("not of Linux") };
    assert_eq!(native.received_ce_bytes(), Reading::Value(5));
}

/// Guards against demanding one exact length: less is older, more is newer, and both are good.
#[test]
fn a_longer_reply_is_whole_and_a_shorter_one_is_not_filled_up() {
    for (system, len) in [
        (System::Linux, 280),
        (System::Apple, 112),
        (System::Windows, 152),
        (System::FreeBsd, 256),
        (System::NetBsd, 236),
        (System::OpenBsd, 212),
    ] {
        let bytes: Vec<u8> = [if system == System::Linux { 1 } else { 4 }]
            .into_iter()
            .chain(vec![1; len + 40])
            .collect();
        let exact = decode(system, &bytes[..len]);
        let longer = decode(system, &bytes[..len + 40]);
        assert!(exact.native().unknown_tail().is_empty(), "{system}");
        assert_eq!(longer.native().unknown_tail(), [1; 40], "{system}");
        assert!(exact.native().fields().eq(longer.native().fields()), "{system}");
        let absent = |info: &TcpInfo| {
            info.native().fields().filter(|(_, reading)| reading.is_absent()).count()
        };
        let shorter = decode(system, &bytes[..len / 2]);
        assert!(absent(&shorter) > absent(&exact), "{system}");
    }
}

/// Guards against a declaration that leaves Linux's byte 7 out, and the older cut of the last word.
#[test]
fn the_bits_beside_the_window_scales_and_the_last_word_are_read() {
    let mut bytes = vec![0; 280];
    (bytes[0], bytes[7], bytes[276]) = (1, 0b0000_0101, 0b0100_1010);
    (bytes[156], bytes[160]) = (1, 1); // one segment with payload, and its rate
    let info = linux(&bytes);
    assert_eq!(info.delivery_rate_app_limited(), Reading::Value(true));
    assert_eq!(
        info.fastopen_client_fail().map(|why| why.to_string()),
        Reading::Value("DataNotAcked".into())
    );
    assert_eq!(info.ecn_mode().map(|mode| mode.to_string()), Reading::Value("AccECN".into()));
    assert_eq!(info.accecn_fail_mode(), Reading::Value(4));
}

/// Guards against a word for each of Apple's Fast Open bits, which shifts all counters behind them.
#[test]
fn apples_counters_begin_at_56() {
    let info = view(System::Apple, 112, &[(52, 0x7fff), (64, 500), (88, 600), (104, 7)]);
    assert_eq!((info.tx_bytes(), info.rx_bytes()), (Some(500), Some(600)));
    assert_eq!(info.retransmitted_segs(), Some(7));
}

/// Guards against two bytes for the two window scales of FreeBSD and NetBSD, and halves on OpenBSD.
#[test]
fn two_scales_share_a_byte_where_the_header_says_so() {
    for (system, bytes, expected) in [
        (System::FreeBsd, [0x97, 0x33], (7, 9)),
        (System::NetBsd, [0x97, 0x33], (7, 9)),
        (System::OpenBsd, [0x0a, 0x0b], (10, 11)),
    ] {
        let info = decode(system, &[4, 0, 0, 0, 0, 4, bytes[0], bytes[1]]);
        let scales = (info.rx_window_scale(), info.tx_window_scale());
        assert_eq!(scales, (Some(expected.0), Some(expected.1)), "{system}");
    }
}

/// Guards against refusing IPv6, a reply of another length, and a state read six bytes early.
#[test]
fn a_socket_of_ipv6_is_read_and_its_state_lies_at_80_of_its_part() {
    let mut bytes = vec![0; 792 + 24];
    bytes[184] = 30; // AF_INET6
    (bytes[256], bytes[288]) = (2, 2);
    (bytes[264], bytes[265], bytes[311]) = (0x01, 0xbb, 1);
    bytes[338..344].fill(0xff);
    bytes[344] = 4;
    for len in [368, 792, 816] {
        let info = AppleSocketInfo::from_bytes_in(&bytes[..len], ByteOrder::Little);
        assert_eq!(info.tcpsi_state(), Reading::Value(State::Established));
        assert_eq!(info.remote_addr().unwrap().to_string(), "[::1]:443");
        assert_eq!(info.tcpsi_timer_rexmt().value(), None, "an idle timer has no time");
    }
}

/// Guards against numbers of which nobody knows whether they are milliseconds or microseconds.
#[test]
fn every_time_has_a_unit_and_every_field_a_meaning() {
    for field in tcpinfo::schema() {
        let timed = matches!(field.unit, Unit::Microseconds | Unit::Milliseconds);
        assert_eq!(timed, field.ty == Type::Duration, "{} {}", field.system, field.name);
        assert!(!field.doc.is_empty() && !field.since.is_empty(), "{}", field.name);
    }
}

/// Guards against counters that are published as gauges.
#[test]
fn what_only_grows_is_a_counter() {
    let totals = [
        "retransmitted_segs",
        "retransmitted_bytes",
        "timeouts",
        "fast_retransmits",
        "syn_retransmits",
        "spurious_retransmits",
        "duplicate_acks",
        "tx_bytes",
        "tx_acked_bytes",
        "rx_bytes",
        "tx_segs",
        "rx_segs",
        "tx_packets",
        "rx_packets",
        "tx_data_segs",
        "rx_data_segs",
        "rx_out_of_order_packets",
        "rx_out_of_order_bytes",
        "reordering_events",
        "tx_reordered_bytes",
        "tx_ce_segs",
        "rx_ce_segs",
        "rx_ece_acks",
        "busy_time",
        "peer_window_limited",
        "send_buffer_limited",
        "cwnd_limited",
        "sender_limited",
        "rx_zero_windows",
    ];
    let span_of_counters = ["in_flight_bytes", "reordering_seen"];
    for field in tcpinfo::schema() {
        for fact in field.facts().filter(|fact| !span_of_counters.contains(fact)) {
            let counter = field.kind == Kind::Counter;
            assert_eq!(counter, totals.contains(&fact), "{} {}", field.system, field.name);
        }
    }
    let rtt = tcpinfo::schema().find(|field| field.name == "rtt").unwrap();
    assert_eq!(rtt.kind, Kind::Gauge);
}

/// Guards against warnings made of fields that the system does not have.
#[test]
fn absent_fields_warn_of_nothing() {
    for system in System::ALL {
        assert_eq!(view(system, 8, &[]).warnings(), []);
    }
    let info = view(System::OpenBsd, 212, &[]);
    assert_eq!((info.retransmitted_segs(), info.warnings()), (None, Vec::<Warning>::new()));
}
