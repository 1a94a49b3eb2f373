//! The JSON of what is read, against literal text: its keys are a contract with other programs.

#![cfg(feature = "serde")]

use serde_json::{Value, json};
use tcpinfo::{
    Congestion, CongestionName, Packed, SocketMemory, System, TcpInfo, TcpOption, Warning,
    native::{
        Native,
        apple_socket::AppleSocketInfo,
        linux::{ByteOrder, LinuxTcpInfo},
        mptcp::MptcpInfo,
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

/// What a system does not tell has no key, and what it tells has the key of every other system.
#[test]
fn the_portable_keys_are_those_of_linux_on_every_system() {
    let json = |system: System, len: usize, numbers: &[(usize, u32)]| {
        let mut bytes = vec![0; len];
        bytes[0] = 4;
        for (offset, number) in numbers {
            bytes[*offset..*offset + 4].copy_from_slice(&number.to_le_bytes());
        }
        let native = Native::from_bytes_in(system, &bytes, ByteOrder::Little);
        let mut json = serde_json::to_value(TcpInfo::from_native(native, None)).unwrap();
        json.as_object_mut().unwrap().remove("sysInfo");
        json
    };
    assert_eq!(
        json(System::Windows, 88, &[(4, 1460), (8, 2500), (16, 1), (20, 1500), (32, 14_600)]),
        json!({
            "state": "ESTABLISHED", "txMSS": 1460, "rtt": 1_500_000,
            "connectionAge": 2_500_000_000u64, "rxWindow": 0, "txWindow": 0,
            "txCWindowBytes": 14_600, "txCWindowSegs": 10, "retransmittedBytes": 0, "timeouts": 0,
            "fastRetransmits": 0, "synRetransmits": 0, "duplicateAcks": 0, "txBytes": 0,
            "rxBytes": 0, "reorderingSeen": false, "txReorderedBytes": 0, "inFlightBytes": 0,
            "txOptions": ["Timestamps"], "rxOptions": ["Timestamps"],
        })
    );
    assert_eq!(
        json(System::Apple, 104, &[(1, 0x0806), (4, 5), (16, 1400), (24, 2800), (44, 12)]),
        json!({
            "state": "ESTABLISHED", "inLossRecovery": false, "txWindowScale": 8,
            "rxWindowScale": 6, "txMSS": 1400, "rtt": 12_000_000, "rttVar": 0, "rxWindow": 0,
            "txWindow": 0, "txSSThreshold": 0, "txCWindowBytes": 2800, "txCWindowSegs": 2,
            "retransmittedBytes": 0, "txBytes": 0, "rxBytes": 0, "txPackets": 0, "rxPackets": 0,
            "rxOutOfOrderBytes": 0, "reorderingSeen": false, "txQueuedBytes": 0,
            "txOptions": ["Timestamps", "WindowScale:08"],
            "rxOptions": ["Timestamps", "WindowScale:06"],
        })
    );
    assert_eq!(
        json(System::OpenBsd, 212, &[(16, 1440), (44, 7), (48, 8), (68, 900), (80, 4320)]),
        json!({
            "state": "ESTABLISHED", "txMSS": 1440, "rxMSS": 0, "rtt": 900_000, "rttVar": 0,
            "rto": 0, "lastTxAt": 7000, "lastTxAckAt": 8000, "lastRxAt": 0, "lastRxAckAt": 0,
            "rxWindow": 0, "txSSThreshold": 0, "txCWindowBytes": 4320, "txCWindowSegs": 3,
            "txOptions": [], "rxOptions": [],
        })
    );
}

#[test]
fn the_socket_of_macos_tells_its_addresses() {
    let mut bytes = [0; 792];
    (bytes[256], bytes[288], bytes[344]) = (2, 1, 4);
    bytes[264..266].copy_from_slice(&443u16.to_be_bytes());
    bytes[268..270].copy_from_slice(&50_000u16.to_be_bytes());
    bytes[308..312].copy_from_slice(&[192, 0, 2, 1]);
    bytes[324..328].copy_from_slice(&[192, 0, 2, 2]);
    let json =
        serde_json::to_value(AppleSocketInfo::from_bytes_in(&bytes, ByteOrder::Little)).unwrap();
    assert_eq!((&json["length"], &json["kind"]), (&json!(792), &json!(2)));
    assert_eq!(
        (&json["localAddr"], &json["remoteAddr"]),
        (&json!("192.0.2.2:50000"), &json!("192.0.2.1:443"))
    );
    assert_eq!((&json["state"], json.get("acceptQueue")), (&json!("ESTABLISHED"), None));

    bytes[344] = 1;
    bytes[264..266].fill(0);
    let json =
        serde_json::to_value(AppleSocketInfo::from_bytes_in(&bytes, ByteOrder::Little)).unwrap();
    assert_eq!((&json["acceptQueue"], json.get("remoteAddr")), (&json!(0), None));
}

#[test]
fn multipath_tcp_tells_what_its_length_covers() {
    let mut bytes = [0; 48];
    bytes[0] = 2;
    bytes[42] = 1;
    assert_eq!(
        serde_json::to_value(MptcpInfo::from_bytes_in(&bytes, ByteOrder::Little)).unwrap(),
        json!({
            "length": 48, "subflows": 2, "addAddrSignal": 0, "addAddrAccepted": 0,
            "subflowsMax": 0, "addAddrSignalMax": 0, "addAddrAcceptedMax": 0, "flags": 0,
            "token": 0, "writeSeq": 0, "sndUna": 0, "rcvNxt": 0, "localAddrUsed": 0,
            "localAddrMax": 0, "csumEnabled": true,
        })
    );
}
