//! `conniver list --summary`: how many there are, and how they fare.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use serde_json::{Map, Value as Json, json};
use sockdiag::{Entry, Tell, TimerKind};
use tcpinfo::State;

use crate::{
    error::Error,
    source::{Source, Work},
    text::{Put as _, PutText as _},
};

/// What is counted.
pub(super) const TELL: Tell = Tell::INFO.with(Tell::CONGESTION_NAME).with(Tell::MEMORY);

/// Counts all sockets of the source.
pub(super) fn count(source: &Source) -> Result<Counts, Error> {
    let parts = source.work(&Counting, usize::MAX)?;
    Ok(parts.into_iter().fold(Counts::default(), Counts::with))
}

struct Counting;

impl Work for Counting {
    type Part = Counts;

    fn begin(&self, _parts: usize) -> Counts {
        Counts::default()
    }

    fn take(&self, counts: &mut Counts, entry: Entry<'_>) -> Result<ControlFlow<()>, Error> {
        counts.take(&entry);
        Ok(ControlFlow::Continue(()))
    }

    fn end(&self, _counts: &mut Counts) -> Result<(), Error> {
        Ok(())
    }
}

/// How many sockets there are of each kind.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sockets: u64,
    states: BTreeMap<&'static str, u64>,
    families: BTreeMap<&'static str, u64>,
    congestion: BTreeMap<String, u64>,
    timers: BTreeMap<String, u64>,
    of_no_program: u64,
    unread_bytes: u64,
    queued_bytes: u64,
    memory_bytes: u64,
    waiting: u64,
    full_listeners: u64,
    connections: u64,
    ever_retransmitted: u64,
    retransmitting: u64,
    recovering: u64,
    probing: u64,
    peer_limited: u64,
    marked: u64,
    sent_bytes: u64,
    retransmitted_bytes: u64,
    rtt: Quantiles,
}

impl Counts {
    fn take(&mut self, entry: &Entry<'_>) {
        self.sockets += 1;
        *self.states.entry(entry.state().name()).or_default() += 1;
        let local = entry.local_addr();
        let family = match local.ip() {
            _ if local.is_ipv4() => "IPv4",
            ip if ip.to_canonical().is_ipv4() => "IPv6, speaking IPv4",
            _ => "IPv6",
        };
        *self.families.entry(family).or_default() += 1;
        self.of_no_program += u64::from(entry.inode().is_none());
        if let Some(timer) = entry.timer() {
            let name = timer.kind.to_string();
            *self.timers.entry(name).or_default() += 1;
            self.probing += u64::from(timer.kind == TimerKind::ZeroWindowProbe);
        }
        let queues = entry.queues();
        self.unread_bytes += queues.unread_bytes.unwrap_or(0);
        self.queued_bytes += queues.queued_bytes.unwrap_or(0);
        if let (Some(waiting), Some(limit)) = (queues.accept_queue, queues.accept_queue_limit) {
            self.waiting += waiting;
            // The kernel takes one more than its limit.
            self.full_listeners += u64::from(waiting > limit);
        }
        if let Some(memory) = entry.memory() {
            let parts = [memory.rx_alloc_bytes, memory.tx_queued_bytes, memory.forward_alloc_bytes];
            self.memory_bytes += parts.into_iter().flatten().map(u64::from).sum::<u64>();
        }
        let is_connection = !matches!(entry.state(), State::Listen | State::Close);
        let Some(info) = entry.native_tcp_info().filter(|_| is_connection) else { return };
        self.connections += 1;
        if let Some(name) = entry.congestion_name() {
            match self.congestion.get_mut(name.as_str()) {
                Some(count) => *count += 1,
                None => {
                    self.congestion.insert(name.as_str().to_owned(), 1);
                }
            }
        }
        let some = |count: Option<u32>| u64::from(count.is_some_and(|count| count > 0));
        self.ever_retransmitted += some(info.total_retrans().value());
        self.retransmitting += some(info.retrans().value())
            .max(u64::from(info.retransmits().value().is_some_and(|count| count > 0)));
        let recovers = info.ca_state().value().is_some_and(|state| {
            matches!(state, tcpinfo::CaState::Recovery | tcpinfo::CaState::Loss)
        });
        self.recovering += u64::from(recovers);
        let limited = info.rwnd_limited().value();
        self.peer_limited += u64::from(limited.is_some_and(|time| time > Duration::ZERO));
        self.marked += some(info.delivered_ce().value());
        self.sent_bytes = self.sent_bytes.saturating_add(info.bytes_sent().value().unwrap_or(0));
        self.retransmitted_bytes =
            self.retransmitted_bytes.saturating_add(info.bytes_retrans().value().unwrap_or(0));
        if let Some(rtt) = info.rtt().value() {
            self.rtt.take(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn with(mut self, other: Self) -> Self {
        fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
            for (name, count) in more {
                *counts.entry(name).or_default() += count;
            }
        }
        add(&mut self.states, other.states);
        add(&mut self.families, other.families);
        add(&mut self.congestion, other.congestion);
        add(&mut self.timers, other.timers);
        self.sockets += other.sockets;
        self.of_no_program += other.of_no_program;
        self.unread_bytes += other.unread_bytes;
        self.queued_bytes += other.queued_bytes;
        self.memory_bytes += other.memory_bytes;
        self.waiting += other.waiting;
        self.full_listeners += other.full_listeners;
        self.connections += other.connections;
        self.ever_retransmitted += other.ever_retransmitted;
        self.retransmitting += other.retransmitting;
        self.recovering += other.recovering;
        self.probing += other.probing;
        self.peer_limited += other.peer_limited;
        self.marked += other.marked;
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.retransmitted_bytes =
            self.retransmitted_bytes.saturating_add(other.retransmitted_bytes);
        self.rtt.merge(&other.rtt);
        self
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let mut out = Vec::new();
        line(&mut out, "sockets", &[("", self.sockets)]);
        line(&mut out, "state", &largest_first(&self.states));
        line(&mut out, "family", &largest_first(&self.families));
        line(&mut out, "congestion", &largest_first(&self.congestion));
        line(&mut out, "timer", &largest_first(&self.timers));
        let of_connections = [
            ("have retransmitted", self.ever_retransmitted),
            ("retransmit now", self.retransmitting),
            ("recover from loss", self.recovering),
            ("probe an empty window", self.probing),
            ("were held up by the peer's window", self.peer_limited),
            ("saw congestion marks", self.marked),
        ];
        line(&mut out, "connections", &[("", self.connections)]);
        for (what, count) in of_connections {
            line(&mut out, "", &[(what, count)]);
        }
        line(&mut out, "listeners", &[("are full", self.full_listeners)]);
        line(&mut out, "", &[("connections wait for them", self.waiting)]);
        line(&mut out, "of no program", &[("", self.of_no_program)]);
        let sizes = [
            ("queues", "B unread", self.unread_bytes),
            ("", "B not acknowledged", self.queued_bytes),
            ("memory", "B", self.memory_bytes),
            ("payload", "B sent", self.sent_bytes),
            ("", "B of it sent again", self.retransmitted_bytes),
        ];
        for (name, unit, bytes) in sizes {
            label(&mut out, name);
            out.put_number(bytes);
            out.push(b' ');
            out.put(unit);
            out.push(b'\n');
        }
        label(&mut out, "round trip");
        match self.rtt.summary() {
            None => out.put("-\n"),
            Some(figures) => {
                for (place, (name, micros)) in figures.into_iter().enumerate() {
                    out.put(if place == 0 { "" } else { ", " });
                    out.put(name);
                    out.push(b' ');
                    out.put_time(Duration::from_micros(micros));
                }
                out.push(b'\n');
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// For a program.
    pub(super) fn json(&self) -> Json {
        let rtt: Option<Map<String, Json>> = self.rtt.summary().map(|figures| {
            let key =
                |name: &str| if name == "median" { "p50".to_owned() } else { name.to_owned() };
            let nanos = |micros: u64| json!(micros.saturating_mul(1_000));
            figures.into_iter().map(|(name, micros)| (key(name), nanos(micros))).collect()
        });
        let mut summary = json!({
            "sockets": self.sockets,
            "states": self.states,
            "families": self.families,
            "congestion": self.congestion,
            "timers": self.timers,
            "ofNoProgram": self.of_no_program,
            "unreadBytes": self.unread_bytes,
            "queuedBytes": self.queued_bytes,
            "memoryBytes": self.memory_bytes,
            "listeners": { "waiting": self.waiting, "full": self.full_listeners },
            "connections": {
                "count": self.connections,
                "everRetransmitted": self.ever_retransmitted,
                "retransmitting": self.retransmitting,
                "recovering": self.recovering,
                "probingWindow": self.probing,
                "peerWindowLimited": self.peer_limited,
                "congestionMarked": self.marked,
                "txBytes": self.sent_bytes,
                "retransmittedBytes": self.retransmitted_bytes,
            },
        });
        if let (Some(rtt), Some(object)) = (rtt, summary.as_object_mut()) {
            object.insert("rtt".to_owned(), Json::Object(rtt));
        }
        summary
    }
}

fn largest_first<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> Vec<(&str, u64)> {
    let mut sorted: Vec<_> = counts.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted
}

fn label(out: &mut Vec<u8>, name: &str) {
    out.put(name);
    out.resize(out.len() + LABEL_WIDTH.saturating_sub(name.len()), b' ');
}

/// A label, and numbers each with its name.
fn line(out: &mut Vec<u8>, name: &str, counts: &[(&str, u64)]) {
    label(out, name);
    for (place, (name, count)) in counts.iter().enumerate() {
        out.put(if place == 0 { "" } else { ", " });
        out.put_number(*count);
        if !name.is_empty() {
            out.push(b' ');
            out.put_escaped(name);
        }
    }
    if counts.is_empty() {
        out.push(b'-');
    }
    out.push(b'\n');
}

const LABEL_WIDTH: usize = 15;

/// How numbers are spread, to within a thirty-second, in a few kilobytes however many there are.
#[derive(Debug)]
struct Quantiles {
    buckets: Vec<u64>,
    count: u64,
    least: u64,
    most: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * 32], count: 0, least: u64::MAX, most: 0 }
    }
}

impl Quantiles {
    fn take(&mut self, number: u64) {
        self.count += 1;
        self.least = self.least.min(number);
        self.most = self.most.max(number);
        if let Some(bucket) = self.buckets.get_mut(Self::bucket(number)) {
            *bucket += 1;
        }
    }

    /// The first 64 numbers each have their own; then 32 to each power of two.
    fn bucket(number: u64) -> usize {
        let power = (u64::BITS - number.leading_zeros()).saturating_sub(6);
        32 * power as usize + (number >> power) as usize
    }

    /// The middle of the numbers that a bucket has.
    fn middle(bucket: usize) -> u64 {
        let power = (bucket / 32).saturating_sub(1) as u32;
        let first = (bucket as u64 - 32 * u64::from(power)) << power;
        first + ((1_u64 << power) >> 1)
    }

    fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(self.most, Self::middle).clamp(self.least, self.most)
    }

    fn summary(&self) -> Option<[(&'static str, u64); 5]> {
        (self.count > 0).then(|| {
            [
                ("min", self.least),
                ("median", self.quantile(0.5)),
                ("p90", self.quantile(0.9)),
                ("p99", self.quantile(0.99)),
                ("max", self.most),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut numbers: Vec<u64> = (0..10_000).map(|n| n * n % 1_000_003 + n % 50).collect();
        let mut quantiles = Quantiles::default();
        numbers.iter().for_each(|number| quantiles.take(*number));
        numbers.sort_unstable();
        for share in [0.01, 0.1, 0.5, 0.9, 0.99, 1.0] {
            let exact = numbers[(share * 10_000.0) as usize - 1] as f64;
            let found = quantiles.quantile(share) as f64;
            assert!((found - exact).abs() <= exact / 30.0 + 1.0, "{share}: {found}, {exact}");
        }
    }

    #[test]
    fn every_number_has_a_bucket() {
        let mut before = 0;
        for power in 0..64 {
            for number in
                [1_u64 << power, (1 << power) + (1 << power) / 3, u64::MAX >> (63 - power)]
            {
                let bucket = Quantiles::bucket(number);
                assert!(bucket < 64 * 32 && bucket >= before, "{number}");
                before = bucket;
                let middle = Quantiles::middle(bucket) as f64;
                assert!(
                    (middle - number as f64).abs() <= number as f64 / 32.0,
                    "{number}: {middle}"
                );
            }
        }
        assert_eq!(Quantiles::middle(Quantiles::bucket(7)), 7);
    }
}
