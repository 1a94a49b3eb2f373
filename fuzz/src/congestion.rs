//! Linux' answers that have no field table: congestion control's structures, and socket memory.

use std::time::Duration;

use serde_json::json;
use tcpinfo::{Congestion, CongestionInfo, CongestionName, SocketMemory, native::ByteOrder};

use crate::{input::Input, json, word};

const NAMES: [&str; 10] =
    ["vegas", "yeah", "westwood", "illinois", "nv", "dctcp", "bbr", "bbr3", "cubic", ""];

/// Which name, or the length of one and its bytes; then the structure.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = usize::from(input.byte());
    let given = match NAMES.get(choice) {
        Some(name) => name.as_bytes(),
        None => input.bytes(choice % 24),
    };
    let bytes = input.rest();
    let name = CongestionName::from_bytes(given);
    check_name(name, given);
    let congestion = Congestion::decode(name, bytes);
    assert_eq!(congestion.name, name);
    let lent = Congestion::lent(name, bytes);
    assert_eq!(congestion, lent.to_kept());
    if bytes.len() <= 64 {
        assert_eq!(serde_json::to_value(lent).ok(), serde_json::to_value(congestion).ok());
    }
    check_info(name.as_str(), &congestion, bytes);
    check_memory(bytes);
}

fn check_name(name: CongestionName, given: &[u8]) {
    let end = given.iter().position(|byte| *byte == 0).unwrap_or(given.len()).min(16);
    let text = match std::str::from_utf8(&given[..end]) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&given[..error.valid_up_to()]).expect("checked"),
    };
    assert_eq!(name.as_str(), text);
    assert_eq!(name.to_string(), text);
    assert_eq!(format!("{name:?}"), format!("{text:?}"));
    assert_eq!(serde_json::to_value(name).expect("a string"), json!(text));
}

fn check_info(name: &str, congestion: &Congestion, bytes: &[u8]) {
    let word =
        |index: usize| -> u64 { word::read(&bytes[4 * index..4 * index + 4], ByteOrder::NATIVE) };
    let micros = |index: usize| Duration::from_micros(word(index));
    let json = serde_json::to_value(congestion).expect("JSON has room for every value");
    assert_eq!(json["name"], json!(name));
    assert!(format!("{congestion:?}").starts_with("Congestion"));
    let vegas = matches!(name, "vegas" | "yeah" | "westwood" | "illinois" | "nv");
    match congestion.info {
        None => {
            assert!(bytes.is_empty());
            assert_eq!(json.as_object().expect("an object").len(), 1);
        }
        Some(CongestionInfo::Vegas(info)) => {
            assert!(vegas && bytes.len() == 16);
            assert_eq!((info.enabled, u64::from(info.rtt_samples)), (word(0) != 0, word(1)));
            let measured = |index| (1..0x7fff_ffff).contains(&word(index)).then(|| micros(index));
            assert_eq!((info.rtt, info.min_rtt), (measured(2), measured(3)));
            assert_eq!(json["vegas"]["rtt"].as_u64(), measured(2).map(|rtt| rtt.as_nanos() as u64));
        }
        Some(CongestionInfo::Dctcp(info)) => {
            assert!(name == "dctcp" && bytes.len() == 16);
            assert_eq!(info.enabled, bytes[..2] != [0, 0]);
            assert_eq!(u64::from(info.ce_state), word::read(&bytes[2..4], ByteOrder::NATIVE));
            assert_eq!(info.alpha * 1024.0, word(1) as f64);
            assert_eq!(
                (u64::from(info.acked_ecn_bytes), u64::from(info.acked_bytes)),
                (word(2), word(3))
            );
            assert_eq!(json["dctcp"]["alpha"].as_f64(), Some(info.alpha));
        }
        Some(CongestionInfo::Bbr(info)) => {
            assert!(name.starts_with("bbr") && bytes.len() >= 20);
            let bandwidth = word(1) << 32 | word(0);
            assert_eq!(info.bandwidth, Some(bandwidth).filter(|rate| *rate > 0));
            let unmeasured = [0, 0xffff_ffff].contains(&word(2));
            assert_eq!(info.min_rtt, (!unmeasured).then(|| micros(2)));
            for (gain, raw) in [(info.pacing_gain, word(3)), (info.cwnd_gain, word(4))] {
                assert_eq!(gain.map(|gain| gain * 256.0), (raw > 0).then_some(raw as f64));
            }
            let tail = &bytes[20..bytes.len().min(20 + 64)];
            assert_eq!(info.tail.as_bytes(), tail);
            assert_eq!(
                json["bbr"].get("tail").cloned(),
                (!tail.is_empty()).then(|| json::hex(tail))
            );
        }
        Some(CongestionInfo::Other(info)) => {
            assert!(!bytes.is_empty());
            let decodable = (vegas || name == "dctcp") && bytes.len() == 16
                || name.starts_with("bbr") && bytes.len() >= 20;
            assert!(!decodable, "{name} of {} bytes was not decoded", bytes.len());
            let kept = &bytes[..bytes.len().min(64)];
            assert_eq!(info.as_bytes(), kept);
            assert_eq!(json["bytes"], json::hex(kept));
        }
        other => panic!("{other:?}"),
    }
}

fn check_memory(bytes: &[u8]) {
    let memory = SocketMemory::from_bytes(bytes);
    let numbers = [
        memory.rx_alloc_bytes,
        memory.rx_buffer_bytes,
        memory.tx_alloc_bytes,
        memory.tx_buffer_bytes,
        memory.forward_alloc_bytes,
        memory.tx_queued_bytes,
        memory.option_bytes,
        memory.backlog_bytes,
        memory.dropped_packets,
    ];
    for (index, number) in numbers.into_iter().enumerate() {
        let whole = bytes.get(4 * index..4 * index + 4);
        let expected = whole.map(|whole| word::read(whole, ByteOrder::NATIVE));
        assert_eq!(number.map(u64::from), expected, "number {index}");
    }
    let json = serde_json::to_value(memory).expect("JSON has room for every number");
    assert_eq!(json.as_object().expect("an object").len(), numbers.iter().flatten().count());
}
