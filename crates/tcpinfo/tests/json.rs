//! The JSON of what is read, against literal text: its keys are a contract with other programs.

#![cfg(feature = "serde")]

use serde_json::{Value, json};
use tcpinfo::{
    Congestion, CongestionName, Packed, SocketMemory, TcpInfo, TcpOption, Warning,
    native::{
        Native,
        linux::{ByteOrder, LinuxTcpInfo},
    },
};

/// A connection as Linux 4.5 returns it, in which few words are not zero.
fn connection() -> [u8; 144] {
    let mut bytes = [0; 144];
    // ESTABLISHED, Open, timestamps and SACK and window scaling, shift 7 of the peer, 10 of ours.
    bytes[..8].copy_from_slice(&[1, 0, 0, 0, 0, 0x07, 0xa7, 0]);
    for (offset, number) in [
        (8, 204_000u32),
        (16, 1448),
        (20, 536),
        (44, 12),
        (64, 65_535),
        (68, 1_500),
        (72, 750),
        (76, 0x7fff_ffff),
        (80, 10),
    ] {
        bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
    }
    bytes[104..120].fill(0xff);
    bytes
}

fn view(bytes: &[u8]) -> TcpInfo {
    let native = LinuxTcpInfo::from_bytes_in(bytes, ByteOrder::Little);
    TcpInfo::from_native(Native::Linux(native), Some(CongestionName::from_bytes(b"cubic")))
}

#[test]
fn durations_are_nanoseconds_and_absent_facts_are_left_out() {
    let expected: Value = serde_json::from_str(
        r#"{
        "state": "ESTABLISHED",
        "caState": "Open",
        "txWindowScale": 10,
        "rxWindowScale": 7,
        "txMSS": 1448,
        "rxMSS": 536,
        "rtt": 1500000,
        "rttVar": 750000,
        "rto": 204000000,
        "lastTxAt": 12000000,
        "lastRxAt": 0,
        "lastRxAckAt": 0,
        "rxSSThreshold": 65535,
        "txCWindowBytes": 14480,
        "txCWindowSegs": 10,
        "reorderingSegs": 0,
        "retransmits": 0,
        "backoff": 0,
        "unansweredProbes": 0,
        "txAckedBytes": 0,
        "rxBytes": 0,
        "txSegs": 0,
        "rxSegs": 0,
        "inFlightSegs": 0, "inLossRecovery": false,
        "txOptions": ["Timestamps", "SACK", "WindowScale:0a"],
        "rxOptions": ["Timestamps", "SACK", "WindowScale:07"],
        "congestion": "cubic",
        "sysInfo": {
            "length": 144,
            "state": "ESTABLISHED",
            "caState": "Open",
            "retransmits": 0,
            "probes": 0,
            "backoff": 0,
            "options": ["Timestamps", "SACK", "WindowScale"],
            "sndWScale": 7,
            "rcvWScale": 10,
            "rto": 204000000,
            "txMSS": 1448,
            "rxMSS": 536,
            "unAcked": 0,
            "sacked": 0,
            "lost": 0,
            "retrans": 0,
            "fackets": 0,
            "lastTxAt": 12000000,
            "lastRxAt": 0,
            "lastRxAckAt": 0,
            "rxSSThreshold": 65535,
            "rtt": 1500000,
            "rttVar": 750000,
            "txCWindow": 10,
            "advMSS": 0,
            "reordering": 0,
            "rxSpace": 0,
            "totalRetrans": 0,
            "bytesAcked": 0,
            "bytesReceived": 0,
            "segsOut": 0,
            "segsIn": 0
        }
    }"#,
    )
    .unwrap();
    let info = view(&connection());
    assert_eq!(serde_json::to_value(info).unwrap(), expected);
    assert_eq!(serde_json::to_value(Packed::from(&info)).unwrap(), expected);
}

/// Every portable key, in a structure of the newest kernel that leaves no fact out.
#[test]
fn every_portable_fact_has_its_key() {
    let mut bytes = [1; 280];
    bytes[5..8].copy_from_slice(&[0x07, 0x97, 0x01]);
    bytes[276..].fill(0);
    let json = serde_json::to_value(view(&bytes)).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "state",
        "caState",
        "txWindowScale",
        "rxWindowScale",
        "txMSS",
        "rxMSS",
        "pathMTU",
        "rtt",
        "rttVar",
        "minRTT",
        "rxRTT",
        "rto",
        "ato",
        "lastTxAt",
        "lastRxAt",
        "lastRxAckAt",
        "rxWindow",
        "txWindow",
        "txSSThreshold",
        "txSSThresholdSegs",
        "rxSSThreshold",
        "txCWindowBytes",
        "txCWindowSegs",
        "reorderingSegs",
        "retransmits",
        "retransmittedBytes",
        "timeouts",
        "backoff",
        "unansweredProbes",
        "spuriousRetransmits",
        "txBytes",
        "txAckedBytes",
        "rxBytes",
        "txSegs",
        "rxSegs",
        "txDataSegs",
        "rxDataSegs",
        "rxOutOfOrderPackets",
        "reorderingEvents",
        "reorderingSeen",
        "txCESegs",
        "rxCESegs",
        "deliveryRate",
        "appLimited",
        "pacingRate",
        "inFlightSegs",
        "inLossRecovery",
        "unsentBytes",
        "busyTime",
        "peerWindowLimited",
        "sendBufferLimited",
        "txOptions",
        "rxOptions",
        "congestion",
        "sysInfo",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected, "serde_json keeps keys in order");
    assert_eq!(json["appLimited"], true);
}

#[test]
fn a_listener_tells_its_queue_and_no_options() {
    let mut bytes = [0; 104];
    bytes[0] = 10;
    (bytes[24], bytes[28]) = (5, 128);
    let json = serde_json::to_value(view(&bytes)).unwrap();
    assert_eq!(
        (&json["state"], &json["acceptQueue"], &json["acceptQueueLimit"]),
        (&json!("LISTEN"), &json!(5), &json!(128))
    );
    for key in ["rtt", "rto", "txOptions", "rxOptions", "inFlightSegs", "retransmits"] {
        assert!(json.get(key).is_none(), "{key}");
    }
}

#[test]
fn the_unknown_tail_is_hexadecimal() {
    let mut bytes = vec![0; 280];
    bytes.extend([0x00, 0xde, 0x0a]);
    let json = serde_json::to_value(LinuxTcpInfo::from_bytes(&bytes)).unwrap();
    assert_eq!((&json["length"], &json["unknownTail"]), (&json!(283), &json!("00de0a")));
}

#[test]
fn congestion_control_is_told_under_the_name_of_its_format() {
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
    let json = |name: &[u8], bytes: &[u8]| {
        serde_json::to_value(Congestion::decode(CongestionName::from_bytes(name), bytes)).unwrap()
    };
    assert_eq!(json(b"cubic", &[]), json!({"name": "cubic"}));
    assert_eq!(json(b"odd", &[0xab, 1]), json!({"name": "odd", "bytes": "ab01"}));
    assert_eq!(
        json(b"bbr", &words(&[7, 2, 1500, 640, 512])),
        json!({"name": "bbr", "bbr": {
            "bandwidth": 8_589_934_599u64, "minRTT": 1_500_000, "pacingGain": 2.5, "cwndGain": 2.0,
        }})
    );
    assert_eq!(
        json(b"vegas", &words(&[1, 3, 250, 0x7fff_ffff])),
        json!({"name": "vegas", "vegas": {"enabled": true, "rttSamples": 3, "rtt": 250_000}})
    );
}

#[test]
fn memory_names_the_numbers_that_the_kernel_returned() {
    let bytes: Vec<_> = (1..=8u32).flat_map(u32::to_ne_bytes).collect();
    assert_eq!(
        serde_json::to_value(SocketMemory::from_bytes(&bytes)).unwrap(),
        json!({
            "rxAllocBytes": 1, "rxBufferBytes": 2, "txAllocBytes": 3, "txBufferBytes": 4,
            "forwardAllocBytes": 5, "txQueuedBytes": 6, "optionBytes": 7, "backlogBytes": 8,
        })
    );
}

#[test]
fn warnings_and_options_are_text() {
    let json = serde_json::to_string(&(Warning::Timeouts(2), TcpOption::UsecTimestamps)).unwrap();
    assert_eq!(json, r#"["timeouts=2","UsecTS"]"#);
}
