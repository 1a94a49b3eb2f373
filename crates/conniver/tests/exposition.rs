//! What a collector says of a tracker, as text of the exposition format.
#![cfg(feature = "prometheus-client")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use conniver::{CloseReason, Conn, FailReason, Group, Options, Role, Tracker, TrackerCollector};
use prometheus_client::{encoding::text, registry::Registry};

/// A scrape, read back by a parser of our own.
#[derive(Debug, Default)]
struct Scrape {
    text: String,
    /// Type, unit and help of each metric, by name.
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
}

#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    unit: String,
    help: String,
    labels: BTreeSet<String>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    fn of(registry: &Registry) -> Self {
        let mut text = String::new();
        text::encode(&mut text, registry).unwrap();
        Self::parse(text)
    }

    fn parse(text: String) -> Self {
        let mut scrape = Self::default();
        let body = text.strip_suffix("# EOF\n").expect("an end");
        for line in body.split_terminator('\n') {
            let Some(comment) = line.strip_prefix("# ") else {
                scrape.add(Sample::parse(line));
                continue;
            };
            let [what, name, rest] =
                comment.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("three words");
            let family = scrape.families.entry(name.to_owned()).or_default();
            let known = match what {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                _ => panic!("a comment: {line}"),
            };
            assert!(known.is_empty(), "told twice: {line}");
            *known = rest.to_owned();
        }
        scrape.text = text;
        scrape
    }

    fn add(&mut self, sample: Sample) {
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let family = suffixes
            .iter()
            .filter_map(|suffix| sample.name.strip_suffix(suffix))
            .find(|name| self.families.contains_key(*name));
        let family = family.unwrap_or_else(|| panic!("no family of {}", sample.name)).to_owned();
        let labels = sample.labels.keys().filter(|label| *label != "le").cloned();
        self.families.get_mut(&family).unwrap().labels.extend(labels);
        self.samples.push(sample);
    }

    /// The value of the only sample that has this name and these labels, among others.
    fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).unwrap() == value)
        };
        let mut found = self.samples.iter().filter(has);
        let value = found.next().map(|sample| sample.value);
        assert!(found.next().is_none(), "several of {name} {labels:?}");
        value
    }

    /// Everything that must never shrink.
    fn counters(&self) -> BTreeMap<(String, Vec<(String, String)>), f64> {
        let gauges: BTreeSet<_> = self
            .families
            .iter()
            .filter(|(_, family)| family.kind == "gauge")
            .map(|(name, _)| name.as_str())
            .collect();
        self.samples
            .iter()
            .filter(|sample| !gauges.contains(sample.name.as_str()))
            .map(|sample| {
                let labels = sample.labels.clone().into_iter().collect();
                ((sample.name.clone(), labels), sample.value)
            })
            .collect()
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (name, mut rest) = match line.split_once('{') {
            Some((name, rest)) => (name, rest),
            None => {
                let (name, value) = line.split_once(' ').expect("a value");
                let value = value.parse().expect("a number");
                return Self { name: name.to_owned(), labels: BTreeMap::new(), value };
            }
        };
        let mut labels = BTreeMap::new();
        loop {
            let (key, value) = rest.split_once("=\"").expect("a label");
            let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            assert!(is_word(key), "{key:?} in {line}");
            let mut text = String::new();
            let mut characters = value.char_indices();
            let end = loop {
                match characters.next().expect("a closing quote") {
                    (_, '\\') => match characters.next().expect("an escaped character").1 {
                        'n' => text.push('\n'),
                        escaped @ ('"' | '\\') => text.push(escaped),
                        other => panic!("{other:?} escaped in {line}"),
                    },
                    (end, '"') => break end,
                    (_, other) => text.push(other),
                }
            };
            assert!(labels.insert(key.to_owned(), text).is_none(), "{key} twice in {line}");
            rest = &value[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        let value = rest.strip_prefix("} ").expect("a value").parse().expect("a number");
        Self { name: name.to_owned(), labels, value }
    }
}

fn registry(collector: TrackerCollector) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    registry
}

/// Two ends of a connection over loopback, both wrapped.
fn pair(client: &Options, server: &Options) -> (Conn<TcpStream>, Conn<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = client.wrap(TcpStream::connect(address).unwrap());
    (client, server.wrap(listener.accept().unwrap().0))
}

fn both_sides(tracker: &Tracker) -> (Options, Options) {
    let options = Options::new().category("pair").tracker(tracker);
    (options.clone().role(Role::Client), options.role(Role::Server))
}

const CLIENT: [(&str, &str); 2] = [("category", "pair"), ("role", "client")];
const SERVER: [(&str, &str); 2] = [("category", "pair"), ("role", "server")];

fn with<'a>(labels: [(&'a str, &'a str); 2], more: (&'a str, &'a str)) -> [(&'a str, &'a str); 3] {
    let [category, role] = labels;
    [category, role, more]
}

#[test]
fn a_scrape_says_what_happened() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let (client, server) = both_sides(&tracker);
    let (mut ours, mut theirs) = pair(&client, &server);
    ours.write_all(&[1; 1000]).unwrap();
    theirs.read_exact(&mut [0; 1000]).unwrap();
    theirs.write_all(&[2; 30]).unwrap();
    ours.read_exact(&mut [0; 30]).unwrap();

    let scrape = Scrape::of(&registry);
    for labels in [CLIENT, SERVER] {
        assert_eq!(scrape.get("tcp_connection_count", &labels), Some(1.0));
        assert_eq!(scrape.get("tcp_connections_created_total", &labels), Some(1.0));
        assert_eq!(scrape.get("tcp_connections_unlisted_total", &labels), Some(0.0));
        assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &labels), Some(0.0));
    }
    assert_eq!(scrape.get("tcp_application_sent_bytes_total", &CLIENT), Some(1000.0));
    assert_eq!(scrape.get("tcp_application_received_bytes_total", &CLIENT), Some(30.0));
    assert_eq!(scrape.get("tcp_application_sent_bytes_total", &SERVER), Some(30.0));
    assert_eq!(scrape.get("tcp_application_received_bytes_total", &SERVER), Some(1000.0));
    assert_eq!(scrape.get("tcp_application_writes_total", &CLIENT), Some(1.0));
    assert_eq!(scrape.get("tcp_application_reads_total", &CLIENT), Some(1.0));

    drop(ours);
    theirs.read_to_end(&mut Vec::new()).unwrap();
    drop(theirs);
    let scrape = Scrape::of(&registry);
    let (local, peer) = (CloseReason::LocalClose.as_str(), CloseReason::PeerClose.as_str());
    assert_eq!(scrape.get("tcp_connection_count", &CLIENT), Some(0.0));
    let closed = |labels, reason| {
        scrape.get("tcp_connections_closed_total", &with(labels, ("reason", reason)))
    };
    assert_eq!((closed(CLIENT, local), closed(CLIENT, peer)), (Some(1.0), Some(0.0)));
    assert_eq!((closed(SERVER, local), closed(SERVER, peer)), (Some(0.0), Some(1.0)));
    assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &CLIENT), Some(1.0));
}

#[test]
#[cfg(target_os = "linux")]
fn facts_are_observed_at_each_scrape_and_at_the_end() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let (client, server) = both_sides(&tracker);
    let (mut ours, mut theirs) = pair(&client, &server);
    ours.write_all(b"x").unwrap();
    theirs.read_exact(&mut [0]).unwrap();
    let rtt = ours.handle().tcp_info().unwrap().unwrap().rtt().unwrap().as_secs_f64();

    let counts = |scrape: &Scrape| {
        ["tcp_rtt_seconds_count", "tcp_congestion_window_bytes_count"]
            .map(|name| scrape.get(name, &CLIENT).unwrap())
    };
    let first = Scrape::of(&registry);
    assert_eq!(counts(&first), [1.0, 1.0]);
    assert_eq!(first.get("tcp_rtt_seconds_sum", &CLIENT), Some(rtt));
    assert_eq!(first.get("tcp_packets_retransmitted_total", &CLIENT), Some(0.0));
    for name in ["tcp_peer_window_limited_seconds_total", "tcp_send_buffer_limited_seconds_total"] {
        assert!(first.get(name, &CLIENT).is_some(), "{name}");
    }
    assert_eq!(counts(&Scrape::of(&registry)), [2.0, 2.0]);
    drop(ours);
    assert_eq!(counts(&Scrape::of(&registry)), [3.0, 3.0]);
    assert_eq!(counts(&Scrape::of(&registry)), [3.0, 3.0]);

    // Another collector has seen the end alone.
    let late = self::registry(tracker.collector());
    assert_eq!(counts(&Scrape::of(&late)), [1.0, 1.0]);

    // Given back, a connection has ended too.
    let (_stream, report) = theirs.into_inner();
    let scrape = Scrape::of(&registry);
    let rtts = scrape.get("tcp_rtt_seconds_count", &SERVER).unwrap();
    assert!(report.closed_info().unwrap().rtt().is_some());
    assert_eq!(rtts, 5.0, "four scrapes and the end");
    assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &SERVER), Some(1.0));
}

#[test]
#[cfg(target_os = "linux")]
fn ends_are_observed_with_and_without_an_observer() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let (client, server) = both_sides(&tracker);
    let (ours, theirs) = pair(&client, &server.observer(|_: &conniver::Report| {}));
    drop((ours, theirs));
    let scrape = Scrape::of(&registry);
    for labels in [CLIENT, SERVER] {
        assert_eq!(scrape.get("tcp_rtt_seconds_count", &labels), Some(1.0), "{labels:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_kernel_counted_of_a_connection_survives_it() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let (client, server) = both_sides(&tracker);
    let (ours, theirs) = pair(&client, &server);
    drop(ours);
    drop(theirs.into_inner());
    let scrape = Scrape::of(&registry);
    for labels in [CLIENT, SERVER] {
        assert_eq!(scrape.get("tcp_packets_retransmitted_total", &labels), Some(0.0));
    }
}

#[test]
fn without_a_collector_no_end_is_observed() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    drop(options.wrap_opaque(io::empty()));
    let registry = registry(tracker.collector());
    drop(options.wrap_opaque(io::empty()));
    let scrape = Scrape::of(&registry);
    let labels = [("category", ""), ("role", "")];
    assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &labels), Some(1.0));
    assert_eq!(scrape.get("tcp_connections_created_total", &labels), Some(2.0));
}

#[test]
fn what_no_kernel_told_is_absent() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let conn = Options::new().tracker(&tracker).wrap_opaque(io::empty());
    for scrape in [Scrape::of(&registry), {
        drop(conn);
        Scrape::of(&registry)
    }] {
        assert_eq!(scrape.get("tcp_rtt_seconds_count", &[]), Some(0.0));
        for name in [
            "tcp_packets_retransmitted_total",
            "tcp_bytes_retransmitted_total",
            "tcp_peer_window_limited_seconds_total",
            "tcp_send_buffer_limited_seconds_total",
        ] {
            assert_eq!(scrape.get(name, &[]), None, "{name}");
        }
    }
}

#[test]
fn every_reason_has_its_counter() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let options = Options::new().category("pair").tracker(&tracker);
    // Nobody listens at the other end of a connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    options.connector().connect(taken.local_addr().unwrap()).unwrap_err();
    let scrape = Scrape::of(&registry);
    for reason in FailReason::ALL {
        let labels = with(CLIENT, ("reason", reason.as_str()));
        let count = f64::from(u8::from(reason == FailReason::Refused));
        assert_eq!(scrape.get("tcp_connections_failed_total", &labels), Some(count), "{reason}");
    }
    for reason in CloseReason::ALL {
        let labels = with(CLIENT, ("reason", reason.as_str()));
        assert_eq!(scrape.get("tcp_connections_closed_total", &labels), Some(0.0), "{reason}");
    }
}

#[test]
fn any_category_is_a_valid_label() {
    let odd = [
        "\"quoted\"",
        "back\\slash",
        "\\n is no newline",
        "two\nlines\r\n",
        "日本語 žluťoučký 🐎",
        "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{feff}",
        "a=\"b\",c=\"d\"} 7",
        "# EOF",
        "ends in \\",
        "",
    ];
    let tracker = Tracker::new();
    let registry = registry(tracker.collector().per_connection(100));
    let conns: Vec<_> = odd
        .iter()
        .map(|name| Options::new().category(*name).tracker(&tracker).wrap_opaque(io::empty()))
        .collect();
    let scrape = Scrape::of(&registry);
    for name in odd {
        for metric in ["tcp_connection_count", "tcp_conn_age_seconds"] {
            assert!(scrape.get(metric, &[("category", name)]).is_some(), "{metric} {name:?}");
        }
    }
    drop(conns);
}

#[test]
fn an_empty_category_and_none_are_one_series() {
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    let none = Options::new().tracker(&tracker).wrap_opaque(io::empty());
    let empty = Options::new().category("").tracker(&tracker).wrap_opaque(io::empty());
    let scrape = Scrape::of(&registry);
    assert_eq!(scrape.get("tcp_connection_count", &[]), Some(2.0));
    drop((none, empty));
    let scrape = Scrape::of(&registry);
    assert_eq!(scrape.get("tcp_connection_count", &[]), Some(0.0));
    assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &[]), Some(2.0));
}

#[test]
fn a_million_categories_stay_bounded() {
    let tracker = Tracker::builder().groups(3).ended(0).build();
    let registry = registry(tracker.collector());
    for number in 0..1_000_000 {
        let options = Options::new().facts(false).category(number.to_string()).tracker(&tracker);
        drop(options.wrap_opaque(io::sink()));
    }
    let scrape = Scrape::of(&registry);
    let of = |category| [("category", category), ("role", "")];
    let created = "tcp_connections_created_total";
    for first in ["0", "1", "2"] {
        assert_eq!(scrape.get(created, &of(first)), Some(1.0));
    }
    assert_eq!(scrape.get(created, &of(Group::OTHER)), Some(999_997.0));
    let categories: BTreeSet<_> =
        scrape.samples.iter().filter_map(|sample| sample.labels.get("category")).collect();
    assert_eq!(categories.len(), 4);
    assert!(scrape.text.len() <= 64 << 10, "{} bytes", scrape.text.len());
}

#[test]
fn series_of_single_connections_are_capped_and_the_rest_is_counted() {
    let tracker = Tracker::new();
    let aggregates = registry(tracker.collector());
    let registry = registry(tracker.collector().per_connection(2));
    let (client, server) = both_sides(&tracker);
    let pairs: Vec<_> = (0..3).map(|_| pair(&client, &server)).collect();
    let scrape = Scrape::of(&registry);
    let ids: BTreeSet<_> =
        scrape.samples.iter().filter_map(|sample| sample.labels.get("id")).cloned().collect();
    let oldest = &pairs[0];
    let oldest = [oldest.0.handle(), oldest.1.handle()];
    assert_eq!(ids, oldest.iter().map(|conn| conn.id().to_string()).collect());
    assert_eq!(scrape.get("tcp_conn_omitted", &[]), Some(4.0));

    let [ours, _] = &oldest;
    let (local, peer) = (ours.local_addr().unwrap(), ours.remote_addr().unwrap());
    let labels = [
        ("id", &*ours.id().to_string()),
        ("category", "pair"),
        ("role", "client"),
        ("network_local_address", "127.0.0.1"),
        ("network_local_port", &*local.port().to_string()),
        ("network_peer_address", "127.0.0.1"),
        ("network_peer_port", &*peer.port().to_string()),
    ];
    assert_eq!(scrape.get("tcp_conn_application_sent_bytes_total", &labels), Some(0.0));
    if cfg!(target_os = "linux") {
        assert!(scrape.get("tcp_conn_rtt_seconds", &labels).unwrap() > 0.0);
    }

    assert!(!Scrape::of(&aggregates).text.contains("tcp_conn_"), "only on request");
    drop(pairs);
    assert_eq!(Scrape::of(&registry).get("tcp_conn_omitted", &[]), Some(0.0));
}

/// Buckets are cumulative and end in the count, and nothing shrinks, whoever scrapes and whatever
/// ends meanwhile.
#[test]
fn counters_never_go_backwards() {
    const ROUNDS: usize = 150;

    let tracker = Tracker::new();
    let registries = [registry(tracker.collector()), registry(tracker.collector())];
    let (client, server) = both_sides(&tracker);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let churns: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut living = Vec::new();
                    let mut ended = 0;
                    while !is_over.load(Relaxed) {
                        let (mut ours, mut theirs) = pair(&client, &server);
                        ours.write_all(&[0; 100]).unwrap();
                        theirs.read_exact(&mut [0; 100]).unwrap();
                        living.push((ours, theirs));
                        if living.len() == 20 {
                            living.drain(..10).for_each(drop);
                            ended += 10;
                        }
                    }
                    ended + living.len()
                })
            })
            .collect();
        // Two share a collector, the third has one of its own.
        let scrapers: Vec<_> = [0, 0, 1]
            .map(|number| {
                let registry = &registries[number];
                scope.spawn(move || {
                    let mut before = BTreeMap::new();
                    for _ in 0..ROUNDS {
                        let scrape = Scrape::of(registry);
                        check_histograms(&scrape);
                        let now = scrape.counters();
                        for (series, value) in &before {
                            let now = now.get(series).copied();
                            assert!(now >= Some(*value), "{series:?}: {value} then {now:?}");
                        }
                        before = now;
                    }
                })
            })
            .into_iter()
            .collect();
        scrapers.into_iter().for_each(|scraper| scraper.join().unwrap());
        is_over.store(true, Relaxed);
        let pairs: usize = churns.into_iter().map(|churn| churn.join().unwrap()).sum();
        let scrape = Scrape::of(&registries[0]);
        let count = Some(pairs as f64);
        assert_eq!(scrape.get("tcp_connection_duration_seconds_count", &CLIENT), count);
        assert_eq!(
            scrape.get("tcp_application_sent_bytes_total", &CLIENT),
            Some(100.0 * pairs as f64)
        );
    });
}

fn check_histograms(scrape: &Scrape) {
    let kinds = scrape.families.iter().filter(|(_, family)| family.kind == "histogram");
    for (name, _) in kinds {
        for labels in [CLIENT, SERVER] {
            let bucket = format!("{name}_bucket");
            let buckets: Vec<_> = scrape
                .samples
                .iter()
                .filter(|sample| sample.name == bucket)
                .filter(|sample| labels.iter().all(|(key, value)| sample.labels[*key] == *value))
                .map(|sample| (sample.labels["le"].parse::<f64>().unwrap(), sample.value))
                .collect();
            let Some((last, total)) = buckets.last() else { continue };
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
            assert_eq!(*last, f64::INFINITY, "{name}");
            assert_eq!(scrape.get(&format!("{name}_count"), &labels), Some(*total), "{name}");
        }
    }
}

/// Name, type, unit, labels and meaning of every metric are as `docs/metrics.md` has them.
#[test]
#[cfg(target_os = "linux")]
fn the_document_lists_what_is_exported() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let document = std::fs::read_to_string(document).unwrap();
    let words = |text: &str| -> BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
    let of_group = words("category role");
    let of_conn = words(
        "id category role network_local_address network_local_port network_peer_address \
         network_peer_port",
    );
    let mut documented = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `tcp_")) {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, name, kind, unit, ..] = cells.as_slice() else { continue };
        let is_conn = name.starts_with("tcp_conn_");
        let (mut labels, help) = match cells.as_slice() {
            // The table of buckets.
            [_, _, _, _] => continue,
            [_, _, _, _, help, ..] if is_conn => (of_conn.clone(), help),
            [_, _, _, _, more, help, ..] => {
                let more = words(more).into_iter().filter(|label| !label.is_empty());
                (of_group.clone().into_iter().chain(more).collect(), help)
            }
            _ => panic!("{line}"),
        };
        if name == "tcp_conn_omitted" {
            labels.clear();
        }
        let family = Family { kind: kind.clone(), unit: unit.clone(), help: help.clone(), labels };
        let name = if kind == "counter" { name.strip_suffix("_total").unwrap() } else { name };
        assert!(documented.insert(name.to_owned(), family).is_none(), "{name} twice");
    }

    let tracker = Tracker::new();
    let registry = registry(tracker.collector().per_connection(10));
    let (client, server) = both_sides(&tracker);
    let (ours, mut theirs) = pair(&client, &server);
    // Until the kernel has a sample of the delivery rate that we did not hold down.
    let scrape = loop {
        thread::scope(|scope| {
            scope.spawn(|| (&ours).write_all(&vec![0; 16 << 20]).unwrap());
            theirs.read_exact(&mut vec![0; 16 << 20]).unwrap();
        });
        let scrape = Scrape::of(&registry);
        let name = "tcp_conn_delivery_rate_bytes_per_second";
        if !scrape.families[name].labels.is_empty() {
            break scrape;
        }
    };
    for (name, family) in &scrape.families {
        assert_eq!(documented.get(name), Some(family), "{name}");
    }
    let missing: Vec<_> =
        documented.keys().filter(|name| !scrape.families.contains_key(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "documented and not exported");
}

/// The bounds that `docs/metrics.md` states.
#[test]
fn buckets_are_as_documented() {
    let decades = |from: i32, to: i32| {
        let steps = (from..to).flat_map(|power| [1.0, 2.5, 5.0].map(|step| (step, power)));
        steps.chain([(1.0, to)]).map(|(step, power)| format!("{step}e{power}").parse().unwrap())
    };
    let durations = decades(-3, 1).chain([30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0]);
    let expected: [(&str, Vec<f64>); 5] = [
        ("tcp_connection_duration_seconds", durations.collect()),
        ("tcp_rtt_seconds", decades(-5, 1).collect()),
        ("tcp_min_rtt_seconds", decades(-5, 1).collect()),
        ("tcp_congestion_window_bytes", (10..=28).map(|power| f64::from(1 << power)).collect()),
        ("tcp_delivery_rate_bytes_per_second", decades(4, 10).collect()),
    ];
    let tracker = Tracker::new();
    let registry = registry(tracker.collector());
    drop(Options::new().tracker(&tracker).wrap_opaque(io::empty()));
    let scrape = Scrape::of(&registry);
    for (name, mut bounds) in expected {
        bounds.push(f64::INFINITY);
        let bucket = format!("{name}_bucket");
        let samples = scrape.samples.iter().filter(|sample| sample.name == bucket);
        let found: Vec<f64> = samples.map(|sample| sample.labels["le"].parse().unwrap()).collect();
        assert_eq!(found, bounds, "{name}");
    }
}
