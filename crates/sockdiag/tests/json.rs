//! The JSON of a socket, against literal text: its keys are a contract with other programs.

#![cfg(feature = "serde")]

use serde_json::{Value, json};
use sockdiag::{Entry, EntryBuf};

type Part<'a> = (u16, &'a [u8]);

/// 10.0.0.1:443 to 192.0.2.7:51534, or the same addresses mapped.
fn entry(family: u8, state: u8, attributes: &[Part<'_>]) -> EntryBuf {
    let mut bytes = vec![family, state, 2, 1];
    bytes.extend([443u16, 51534].map(u16::to_be_bytes).as_flattened());
    for address in [[10, 0, 0, 1], [192, 0, 2, 7]] {
        let mapped = [[0; 8].as_slice(), &[0, 0, 0xff, 0xff], &address].concat();
        let plain = [address.as_slice(), &[0; 12]].concat();
        bytes.extend(if family == 10 { mapped } else { plain });
    }
    // Interface, cookie, expires, rqueue, wqueue, uid, inode.
    for word in [0u32, 0x1e93, 0, 1500, 3, 5, 1000, 77] {
        bytes.extend(word.to_ne_bytes());
    }
    for (number, payload) in attributes {
        bytes.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
        bytes.extend(number.to_ne_bytes());
        bytes.extend(*payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Entry::from_bytes(&bytes).unwrap().to_buf()
}

fn json_of(buf: &EntryBuf) -> Value {
    serde_json::to_value(buf.entry()).unwrap()
}

#[test]
fn absent_facts_are_left_out() {
    let expected = json!({
        "localAddr": "10.0.0.1:443",
        "remoteAddr": "192.0.2.7:51534",
        "state": "ESTABLISHED",
        "cookie": 7827,
        "uid": 1000,
        "inode": 77,
        "queues": { "unreadBytes": 3, "queuedBytes": 5 },
        "timer": { "kind": "keepalive", "expires": 1_500_000_000, "count": 1 },
    });
    let buf = entry(2, 1, &[]);
    assert_eq!(json_of(&buf), expected);
    assert_eq!(serde_json::to_value(&buf).unwrap(), expected);
    let text = serde_json::to_string(&buf).unwrap();
    assert!(text.starts_with(r#"{"localAddr":"10.0.0.1:443","remoteAddr":"#), "{text}");
}

#[test]
fn every_attribute_has_its_key() {
    let nested = |parts: &[Part<'_>]| -> Vec<u8> {
        let list = parts.iter().flat_map(|(number, payload)| {
            let len = u16::try_from(4 + payload.len()).unwrap();
            let mut bytes = [len.to_ne_bytes(), number.to_ne_bytes()].concat();
            bytes.extend(*payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        });
        list.collect()
    };
    let tls = nested(&[(1, &0x304u16.to_ne_bytes()), (3, &2u16.to_ne_bytes())]);
    let path = nested(&[(2, &9u32.to_ne_bytes()), (10, &[3])]);
    let ulp = nested(&[(1, b"tls\0"), (2, &tls), (3, &path)]);
    let mut signature = [2, 24, 0, 0, 192, 0, 2, 0].to_vec();
    signature[2..4].copy_from_slice(&8u16.to_ne_bytes());
    signature.resize(20, 0);
    signature.extend(b"a secret");
    signature.resize(100, 0);
    let memory: Vec<u8> = (1..=9u32).flat_map(u32::to_ne_bytes).collect();
    let both = if cfg!(target_endian = "big") { [0x40, 0x80] } else { [2, 1] };
    let buf = entry(
        10,
        10,
        &[
            (4, b"dctcp\0"),
            (5, &[0xb8]),
            (6, &[0x20]),
            (7, &memory),
            (8, &[2]),
            (9, &[0; 16]),
            (11, &[1]),
            (15, &7u32.to_ne_bytes()),
            (17, &8u32.to_ne_bytes()),
            (18, &signature),
            (19, &ulp),
            (21, &99u64.to_ne_bytes()),
            (22, &both),
            (40, &[0xab, 1]),
            (40, &[2]),
            (41, &[]),
        ],
    );
    let expected = json!({
        "localAddr": "[::ffff:10.0.0.1]:443",
        "remoteAddr": "[::ffff:192.0.2.7]:51534",
        "state": "LISTEN",
        "cookie": 7827,
        "uid": 1000,
        "inode": 77,
        "queues": { "acceptQueue": 3, "acceptQueueLimit": 5 },
        "timer": { "kind": "keepalive", "expires": 1_500_000_000, "count": 1 },
        "congestion": {
            "name": "dctcp",
            "dctcp": {
                "enabled": false, "ceState": 0, "alpha": 0.0, "ackedECNBytes": 0, "ackedBytes": 0
            },
        },
        "memory": {
            "rxAllocBytes": 1, "rxBufferBytes": 2, "txAllocBytes": 3, "txBufferBytes": 4,
            "forwardAllocBytes": 5, "txQueuedBytes": 6, "optionBytes": 7, "backlogBytes": 8,
            "droppedPackets": 9,
        },
        "tos": 184,
        "trafficClass": 32,
        "classId": 8,
        "mark": 7,
        "cgroupId": 99,
        "shutdown": { "receive": false, "send": true },
        "ipv6Only": true,
        "options": ["isIcsk", "bindAddressNoPort"],
        "ulp": {
            "name": "tls",
            "tls": {
                "version": 772, "tx": "software", "zeroCopy": false, "withoutPadding": false
            },
            "mptcp": { "localToken": 9, "localId": 3 },
        },
        "md5Keys": [{ "addr": "192.0.2.0", "prefixLen": 24, "keyLen": 8 }],
        "unknownAttributes": { "40": "ab01", "41": "" },
    });
    assert_eq!(json_of(&buf), expected);
    assert!(!serde_json::to_string(&buf).unwrap().contains("secret"));
}

#[test]
fn the_facts_are_those_of_tcpinfo() {
    let mut info = [0; 104];
    info[..2].copy_from_slice(&[1, 0]);
    info[68..72].copy_from_slice(&1_500u32.to_ne_bytes());
    let buf = entry(2, 1, &[(2, &info), (4, b"cubic\0")]);
    let json = json_of(&buf);
    let own = buf.entry().tcp_info().unwrap();
    assert_eq!(json["info"], serde_json::to_value(own).unwrap());
    assert_eq!(json["info"]["rtt"], 1_500_000);
    assert_eq!(json["congestion"], json!({ "name": "cubic" }));
    assert_eq!(json["state"], json["info"]["state"]);
}

#[test]
fn what_the_kernel_keeps_small_has_few_keys() {
    let mut bytes = [0; 72];
    bytes[..3].copy_from_slice(&[2, 6, 3]);
    let json = serde_json::to_value(Entry::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(
        json,
        json!({
            "localAddr": "0.0.0.0:*",
            "remoteAddr": "0.0.0.0:*",
            "state": "TIME_WAIT",
            "cookie": 0,
            "timer": { "kind": "time-wait", "expires": 0, "count": 0 },
        })
    );
}
