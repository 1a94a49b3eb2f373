//! The portable view: each fact from the field that means it, in the portable unit.

use std::{collections::BTreeSet, time::Duration};

use tcpinfo::{
    CaState, CongestionName, State, TcpInfo, TcpOption,
    native::{
        Native,
        linux::{ByteOrder, LinuxTcpInfo},
    },
};

/// A connection whose 32-bit words hold 1000 + their offset and whose 64-bit words hold that and
/// 2^40 besides, but for the four that make up the segments in flight.
fn connection() -> [u8; 280] {
    let mut bytes = [0; 280];
    for offset in (8..276).step_by(4) {
        bytes[offset..offset + 4].copy_from_slice(&(1000 + offset as u32).to_le_bytes());
    }
    for offset in (104..136).step_by(8).chain((160..192).step_by(8)).chain([200, 208]) {
        let number = (1u64 << 40) + 1000 + offset as u64;
        bytes[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
    }
    // 50 unacknowledged, 7 of them acknowledged selectively, 5 lost, 2 sent again.
    for (offset, segs) in [(24, 50), (28, 7), (32, 5), (36, 2)] {
        bytes[offset] = segs;
        bytes[offset + 1..offset + 4].fill(0);
    }
    bytes[240..244].copy_from_slice(&[0xc0, 0x08, 0xc2, 0x08]); // 2240 and 2242
    // ESTABLISHED, Recovery, 3 retransmits, 4 probes, backoff 5, window scaling among the options,
    // shift 7 of the peer and 9 of ours, a limited rate.
    bytes[..8].copy_from_slice(&[1, 3, 3, 4, 5, 0x07, 0x97, 0x01]);
    bytes
}

fn view(bytes: &[u8]) -> TcpInfo {
    let native = LinuxTcpInfo::from_bytes_in(bytes, ByteOrder::Little);
    TcpInfo::from_native(Native::Linux(native), Some(CongestionName::from_bytes(b"cubic")))
}

#[test]
fn every_fact_comes_from_the_field_that_means_it() {
    const HIGH: u64 = 1 << 40;
    let micros = |number| Some(Duration::from_micros(number));
    let millis = |number| Some(Duration::from_millis(number));
    let info = view(&connection());
    assert_eq!(info.state(), Some(State::Established));
    assert_eq!(info.ca_state(), Some(CaState::Recovery));
    assert_eq!(info.tx_window_scale(), Some(9), "what we announced");
    assert_eq!(info.rx_window_scale(), Some(7), "what the peer announced");
    assert_eq!(info.tx_mss(), Some(1016));
    assert_eq!(info.rx_mss(), Some(1020));
    assert_eq!(info.path_mtu(), Some(1060));
    assert_eq!(info.rtt(), micros(1068));
    assert_eq!(info.rtt_var(), micros(1072));
    assert_eq!(info.min_rtt(), micros(1148));
    assert_eq!(info.rx_rtt(), micros(1092));
    assert_eq!(info.rto(), micros(1008));
    assert_eq!(info.ato(), micros(1012));
    assert_eq!(info.last_tx_age(), millis(1044));
    assert_eq!(info.last_rx_age(), millis(1052));
    assert_eq!(info.last_tx_ack_age(), None, "no kernel fills it");
    assert_eq!(info.last_rx_ack_age(), millis(1056));
    assert_eq!(info.rx_window(), Some(1232), "rcv_wnd; rcv_space at 96 is no window");
    assert_eq!(info.tx_window(), Some(1228));
    assert_eq!(info.tx_ssthresh_segs(), Some(1076));
    assert_eq!(info.tx_ssthresh(), Some(1076 * 1016));
    assert_eq!(info.rx_ssthresh(), Some(1064));
    assert_eq!(info.tx_cwnd_segs(), Some(1080));
    assert_eq!(info.tx_cwnd(), Some(1080 * 1016));
    assert_eq!(info.reordering_segs(), Some(1088));
    assert_eq!(info.retransmitted_segs(), Some(1100));
    assert_eq!(info.retransmitted_bytes(), Some(HIGH + 1208));
    assert_eq!(info.timeouts(), Some(2240));
    assert_eq!(info.backoff(), Some(5));
    assert_eq!(info.unanswered_probes(), Some(4));
    assert_eq!(info.spurious_retransmits(), Some(1216));
    assert_eq!(info.tx_bytes(), Some(HIGH + 1200));
    assert_eq!(info.tx_acked_bytes(), Some(HIGH + 1120));
    assert_eq!(info.rx_bytes(), Some(HIGH + 1128));
    assert_eq!(info.tx_segs(), Some(1136));
    assert_eq!(info.rx_segs(), Some(1140));
    assert_eq!(info.tx_data_segs(), Some(1156));
    assert_eq!(info.rx_data_segs(), Some(1152));
    assert_eq!(info.rx_out_of_order_packets(), Some(1224));
    assert_eq!(info.reordering_events(), Some(1220));
    assert_eq!(info.tx_ce_segs(), Some(1196));
    assert_eq!(info.rx_ce_segs(), Some(1248));
    assert_eq!(info.delivery_rate(), Some(HIGH + 1160));
    assert_eq!(info.app_limited(), Some(true));
    assert_eq!(info.pacing_rate(), Some(HIGH + 1104));
    assert_eq!(info.in_flight_segs(), Some(50 - 7 - 5 + 2));
    assert_eq!(info.in_loss_recovery(), Some(true));
    assert_eq!(info.reordering_seen(), Some(true));
    assert_eq!(info.unsent_bytes(), Some(1144));
    assert_eq!((info.accept_queue(), info.accept_queue_limit()), (None, None));
    assert_eq!(info.busy_time(), micros(HIGH + 1168));
    assert_eq!(info.peer_window_limited(), micros(HIGH + 1176));
    assert_eq!(info.send_buffer_limited(), micros(HIGH + 1184));
    assert_eq!(info.options().unwrap().get(TcpOption::WindowScale), Some(true));
    assert_eq!(info.congestion().unwrap().as_str(), "cubic");
}

/// Estimates of different age may contradict each other for a moment.
#[test]
fn segments_in_flight_are_never_negative() {
    let mut bytes = connection();
    bytes[24] = 3;
    assert_eq!(view(&bytes).in_flight_segs(), Some(0));
}

#[test]
fn a_product_is_absent_with_either_of_its_factors() {
    let mut bytes = connection();
    bytes[76..80].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    let info = view(&bytes);
    assert_eq!((info.tx_ssthresh(), info.tx_ssthresh_segs()), (None, None));
    assert_eq!(view(&bytes[..16]).tx_cwnd(), None);
}

#[test]
fn loss_recovery_is_under_way_in_two_of_the_states() {
    for (code, expected) in [(0, false), (1, false), (2, false), (3, true), (4, true), (5, false)] {
        let mut bytes = connection();
        bytes[1] = code;
        assert_eq!(view(&bytes).in_loss_recovery(), Some(expected), "{code}");
    }
}

#[test]
fn all_facts_are_listed_under_keys_of_their_own() {
    let info = view(&connection());
    let facts: Vec<_> = info.facts().collect();
    let keys: BTreeSet<_> = facts.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys.len(), facts.len());
    let absent: Vec<_> =
        facts.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect();
    // What no kernel of this system tells, what none fills, and what only a listener has.
    let of_others = [
        "rttLast",
        "connectionAge",
        "fastRetransmits",
        "synRetransmits",
        "duplicateAcks",
        "txPackets",
        "rxPackets",
        "rxOutOfOrderBytes",
        "txReorderedBytes",
        "rxECEAcks",
        "inFlightBytes",
        "txQueuedBytes",
        "rxQueuedBytes",
        "cwndLimited",
        "senderLimited",
        "rxZeroWindows",
    ];
    let expected: BTreeSet<_> =
        of_others.into_iter().chain(["lastTxAckAt", "acceptQueue", "acceptQueueLimit"]).collect();
    assert_eq!(absent.into_iter().collect::<BTreeSet<_>>(), expected);
}
