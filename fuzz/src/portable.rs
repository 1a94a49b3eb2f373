//! The portable view of any system's structure: the facts, the warnings, JSON, and packing.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use serde_json::{Map, json};
use tcpinfo::{
    CaState, CongestionName, Packed, Reading, System, TcpInfo, TcpOption, Thresholds, Warning,
    fields::Value,
    native::{Native, linux::LinuxTcpInfo},
};

use crate::{input::Input, json};

/// Byte order, Linux' major version, system, thresholds, a name; then the structure.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (order, kernel_major) = (input.order(), input.byte());
    let system = System::ALL[usize::from(input.byte()) % System::ALL.len()];
    let level = input.byte();
    let name = match input.byte() % 20 {
        0 => None,
        len => Some(CongestionName::from_bytes(input.bytes(usize::from(len) - 1))),
    };
    let bytes = input.rest();
    let native = match system {
        System::Linux => {
            Native::Linux(LinuxTcpInfo::from_bytes_in(bytes, order).with_kernel_major(kernel_major))
        }
        other => Native::from_bytes_in(other, bytes, order),
    };
    let info = TcpInfo::from_native(native, name);

    assert_eq!((native.system(), native.byte_order()), (system, order));
    assert_eq!(*info.native(), native);
    assert_eq!(info.congestion(), name);
    assert!(bytes.starts_with(native.as_bytes()));
    assert!(native.as_bytes().ends_with(native.unknown_tail()));
    check_facts(&info);
    check_warnings(&info, &Thresholds::default(), &info.warnings());
    let thresholds = thresholds(level);
    check_warnings(&info, &thresholds, &info.warnings_above(&thresholds));
    check_json(&info);
    check_packed(&info, native.as_bytes().len());
}

macro_rules! facts {
    ($($name:ident)*) => {
        /// The facts in their order, but for the options, with what their methods answer.
        fn facts(info: &TcpInfo) -> Vec<(&'static str, Option<Value>)> {
            vec![$((stringify!($name), info.$name().map(Value::from))),*]
        }
    };
}

facts! {
    state ca_state in_loss_recovery tx_window_scale rx_window_scale tx_mss rx_mss path_mtu rtt
    rtt_var rtt_last min_rtt rx_rtt rto ato connection_age last_tx_age last_rx_age last_tx_ack_age
    last_rx_ack_age rx_window tx_window tx_ssthresh tx_ssthresh_segs rx_ssthresh tx_cwnd
    tx_cwnd_segs reordering_segs retransmitted_segs retransmitted_bytes timeouts fast_retransmits
    syn_retransmits backoff unanswered_probes spurious_retransmits duplicate_acks tx_bytes
    tx_acked_bytes rx_bytes tx_segs rx_segs tx_packets rx_packets tx_data_segs rx_data_segs
    rx_out_of_order_packets rx_out_of_order_bytes reordering_events reordering_seen
    tx_reordered_bytes tx_ce_segs rx_ce_segs rx_ece_acks delivery_rate app_limited pacing_rate in_flight_segs in_flight_bytes unsent_bytes
    tx_queued_bytes rx_queued_bytes accept_queue accept_queue_limit busy_time peer_window_limited
    send_buffer_limited cwnd_limited sender_limited rx_zero_windows
}

/// Each fact is what the schema says it is made of.
fn check_facts(info: &TcpInfo) {
    let system = info.native().system();
    let readings: HashMap<_, _> =
        info.native().fields().map(|(field, reading)| (field.accessor, reading)).collect();
    let value = |field: &str| match readings[field] {
        Reading::Value(value) => Some(value),
        _ => None,
    };
    let number = |field: &str| match value(field)? {
        Value::Unsigned(number) => Some(number),
        other => panic!("{field}: {other:?} is no number"),
    };
    let named = facts(info);
    assert_eq!(named.len(), info.facts().count());
    for ((fact, answer), (key, listed)) in named.into_iter().zip(info.facts()) {
        assert_eq!(answer, listed, "{fact} is listed as {key}");
        let expected = match (fact, sources(system, fact)) {
            (_, []) => None,
            ("in_loss_recovery", ["ca_state"]) => value("ca_state").map(|state| {
                let lost = [CaState::Recovery, CaState::Loss].map(Value::CaState);
                Value::Bool(lost.contains(&state))
            }),
            ("reordering_seen", [counter @ ("reord_seen" | "bytes_reordered")]) => {
                number(counter).map(|count| Value::Bool(count > 0))
            }
            (_, [field]) => value(field),
            ("tx_cwnd_segs", [size, bytes]) => match (number(bytes), number(size)) {
                (Some(bytes), Some(size @ 1..)) => Some(Value::Unsigned(bytes / size)),
                _ => None,
            },
            ("tx_cwnd" | "tx_window" | "tx_ssthresh", [size, segs]) => {
                number(segs).zip(number(size)).map(|(segs, size)| Value::Unsigned(segs * size))
            }
            ("in_flight_bytes", ["snd_una", "snd_max"]) => number("snd_max")
                .zip(number("snd_una"))
                .map(|(end, start)| Value::Unsigned(end.wrapping_sub(start) & 0xffff_ffff)),
            ("in_flight_segs", ["unacked", "sacked", "lost", "retrans"]) => {
                let all = ["unacked", "sacked", "lost", "retrans"].map(number);
                match all {
                    [Some(unacked), Some(sacked), Some(lost), Some(retrans)] => {
                        let (sent, left) = (unacked + retrans, sacked + lost);
                        Some(Value::Unsigned(sent.max(left) - left))
                    }
                    _ => None,
                }
            }
            (fact, fields) => panic!("{fact} of {system} is made of {fields:?}: how?"),
        };
        assert_eq!(answer, expected, "{fact} of {system}");
    }
    let options = match system {
        System::Windows => {
            let flag = |field| value(field).map(|flag| flag == Value::Bool(true));
            let options = info.options();
            let get = |option| options.and_then(|options| options.get(option));
            assert_eq!(get(TcpOption::Timestamps), flag("timestamps_enabled"));
            assert_eq!(get(TcpOption::Sack), None);
            if options.is_some() {
                assert_eq!(get(TcpOption::Ecn), flag("ecn_negotiated"));
            }
            options.map(Value::Options)
        }
        _ => value("options"),
    };
    assert_eq!(info.options().map(Value::Options), options);
}

/// The fields that a fact is made of, in the order of the structure.
fn sources(system: System, fact: &str) -> &'static [&'static str] {
    type Sources = HashMap<(System, &'static str), Vec<&'static str>>;
    static SOURCES: OnceLock<Sources> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| {
        let mut sources = Sources::new();
        for field in tcpinfo::schema() {
            for fact in field.facts() {
                sources.entry((field.system, fact)).or_default().push(field.accessor);
            }
        }
        sources
    });
    let key = sources.keys().find(|key| key.0 == system && key.1 == fact);
    key.map_or(&[], |key| &sources[key])
}

fn thresholds(level: u8) -> Thresholds {
    let number = match level {
        0 => 0,
        u8::MAX => u64::MAX,
        level => u64::from(level) << (level % 40),
    };
    let small = u8::try_from(number).unwrap_or(u8::MAX);
    let mut thresholds = Thresholds::default();
    thresholds.retransmitted_segs = number;
    thresholds.timeouts = number;
    thresholds.backoff = small;
    thresholds.unanswered_probes = small;
    thresholds.spurious_retransmits = number;
    thresholds.out_of_order_packets = number;
    thresholds.out_of_order_bytes = number;
    thresholds.limited_time = Duration::from_micros(number);
    thresholds.congestion_marked_segs = number;
    thresholds
}

/// A warning for each fact that reaches its threshold, and for no other.
fn check_warnings(info: &TcpInfo, least: &Thresholds, warnings: &[Warning]) {
    let segs = info.retransmitted_segs();
    let enough = |count: Option<u64>, least: u64| count.filter(|count| *count >= least);
    let few = |count: Option<u8>, least: u8| count.filter(|count| *count >= least);
    let long = |time: Option<Duration>| time.filter(|time| *time >= least.limited_time);
    let marked = match (info.tx_ce_segs(), info.rx_ce_segs()) {
        (None, None) => None,
        (sent, received) => Some(sent.unwrap_or(0) + received.unwrap_or(0)),
    };
    let bytes = info
        .retransmitted_bytes()
        .filter(|bytes| *bytes > 0 && segs.is_none_or(|segs| segs >= least.retransmitted_segs));
    let queue = info.accept_queue().zip(info.accept_queue_limit());
    let expected: Vec<Warning> = [
        bytes.map(Warning::RetransmittedBytes),
        enough(segs, least.retransmitted_segs).map(Warning::RetransmittedSegs),
        enough(info.syn_retransmits(), least.retransmitted_segs).map(Warning::SynRetransmits),
        enough(info.timeouts(), least.timeouts).map(Warning::Timeouts),
        few(info.backoff(), least.backoff).map(Warning::Backoff),
        few(info.unanswered_probes(), least.unanswered_probes).map(Warning::UnansweredProbes),
        enough(info.spurious_retransmits(), least.spurious_retransmits)
            .map(Warning::SpuriousRetransmits),
        enough(info.rx_out_of_order_packets(), least.out_of_order_packets)
            .map(Warning::OutOfOrderPackets),
        enough(info.rx_out_of_order_bytes(), least.out_of_order_bytes)
            .map(Warning::OutOfOrderBytes),
        long(info.peer_window_limited()).map(Warning::PeerWindowLimited),
        long(info.send_buffer_limited()).map(Warning::SendBufferLimited),
        enough(marked, least.congestion_marked_segs).map(Warning::CongestionMarkedSegs),
        enough(info.rx_ece_acks(), least.congestion_marked_segs).map(Warning::CongestionMarkedAcks),
        queue.filter(|(len, limit)| len > limit).map(|(len, _)| Warning::AcceptQueueOverflow(len)),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(
        warnings.len() == expected.len() && warnings.iter().all(|one| expected.contains(one)),
        "{warnings:?} instead of {expected:?}"
    );
    // A second look at the same facts adds nothing.
    let mut merged = warnings.to_vec();
    Warning::merge(&mut merged, warnings.iter().copied());
    assert_eq!(merged, warnings);
}

fn check_json(info: &TcpInfo) {
    let json = serde_json::to_value(info).expect("JSON has room for every fact");
    let mut expected: Map<_, _> =
        info.facts().filter_map(|(key, value)| Some((key.to_owned(), json::of(&value?)))).collect();
    let native = serde_json::to_value(info.native()).expect("JSON has room for every field");
    expected.insert("sysInfo".to_owned(), native);
    if let Some(name) = info.congestion() {
        expected.insert("congestion".to_owned(), json!(name.as_str()));
    }
    if let Some(options) = info.options() {
        for (key, shift) in
            [("txOptions", info.tx_window_scale()), ("rxOptions", info.rx_window_scale())]
        {
            let names = options.iter().map(|option| match (option, shift) {
                (TcpOption::WindowScale, Some(shift)) => json!(format!("{option}:{shift:02x}")),
                _ => json!(option.to_string()),
            });
            expected.insert(key.to_owned(), names.collect());
        }
    }
    assert_eq!(json.as_object(), Some(&expected));
}

/// Packing loses nothing, not even what only shows in text.
fn check_packed(info: &TcpInfo, len: usize) {
    let packed = Packed::from(info);
    let unpacked = packed.unpack();
    assert_eq!(unpacked, *info);
    assert_eq!(unpacked.native().as_bytes(), info.native().as_bytes());
    assert_eq!(Packed::from(&unpacked), packed);
    assert_eq!(format!("{packed:?}"), format!("{info:?}"));
    let name = info.congestion().map_or(0, |name| name.to_string().len().max(16));
    assert!(packed.heap_bytes() <= 13 + len.next_multiple_of(8) + name);
}
