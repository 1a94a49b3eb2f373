//! The connection of HTTP/3, as QUIC in this program knew it.

use std::fmt::Write as _;

use super::{
    View,
    pretty::{DOT, flow},
    socket::table,
    style::{BAD, paint},
};
use crate::{hop::Hop, http3::Snapshot, units};

/// The panel about the connection, empty if it was another or none.
pub(super) fn panel(hop: &Hop, view: &View) -> String {
    let Some(quic) = &hop.quic else { return String::new() };
    let facts = FACTS.iter().chain(COUNTERS.iter().filter(|_| view.verbose));
    let cell = |snapshot: Option<&Snapshot>, fact: Fact| snapshot.map(fact);
    let rows = facts.map(|(label, fact)| {
        (*label, cell(Some(&quic.opened), *fact), cell(quic.closed.as_ref(), *fact))
    });
    let mut text = table("QUIC connection", rows, view);
    let last = quic.closed.unwrap_or(quic.opened);
    let moved = [("sent", last.sent_bytes), ("received", last.received_bytes)];
    text.push_str(&flow(moved.map(|(label, bytes)| (label, units::bytes(bytes))), DOT, view));
    for warning in warnings(&last) {
        let _ = writeln!(text, "{}", paint(BAD, format_args!("! {warning}")));
    }
    text
}

type Fact = fn(&Snapshot) -> String;

const FACTS: [(&str, Fact); 7] = [
    ("Round-trip time", |seen| units::time(seen.rtt)),
    ("  minimum", |seen| units::time(seen.min_rtt)),
    ("Congestion window", |seen| units::bytes(seen.cwnd_bytes)),
    ("Datagram size", |seen| units::bytes(seen.datagram_bytes.into())),
    ("Packets sent", |seen| units::count(seen.sent_packets)),
    ("Packets lost", |seen| packets(seen.lost_packets, seen.lost_bytes)),
    ("Congestion events", |seen| units::count(seen.congestion_events)),
];

const COUNTERS: [(&str, Fact); 5] = [
    ("Datagrams sent", |seen| units::count(seen.sent_datagrams)),
    ("Datagrams received", |seen| units::count(seen.received_datagrams)),
    ("Size probes sent", |seen| units::count(seen.mtu_probes_sent)),
    ("Size probes lost", |seen| units::count(seen.mtu_probes_lost)),
    ("Black holes", |seen| units::count(seen.black_holes)),
];

fn packets(count: u64, bytes: u64) -> String {
    format!("{}{DOT}{}", units::count(count), units::bytes(bytes))
}

fn warnings(last: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if last.lost_packets > 0 {
        let lost = units::count(last.lost_packets);
        let bytes = units::bytes(last.lost_bytes);
        warnings.push(format!("{lost} packets ({bytes}) were lost and had to be sent again"));
    }
    if last.black_holes > 0 {
        let times = last.black_holes;
        warnings.push(format!("{times} times the path ceased to carry datagrams of a known size"));
    }
    warnings
}
