//! A population of thousands of sockets in every state: what is told of it here, by `ss` at the same
//! moment, by filters, and by recordings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sockdiag::{
    Dump, Entry, EntryBuf, Filter, FilterFact, FilterUnit, Lookup, Owners, Protocol, Recorder,
    Replay, SockDiag, States,
};
use tcpinfo::State;

use super::{
    expected::{Verdict, compare, is_quiet, state_of},
    population::Population,
    scene::{in_network, inside},
    shown::{ss, ss_of},
    texts::{Vocabulary, some},
};

/// Each compares with `ss`.
pub(crate) const ALL: &[(&str, fn())] = &[
    ("ss_shows_the_same_of_thousands_of_sockets", as_ss),
    ("filters_select_the_same_of_thousands_of_sockets_everywhere", filters),
    ("a_recording_of_thousands_of_sockets_is_what_was_told", recordings),
    ("lookups_find_the_same_in_a_recording_of_thousands_of_sockets", lookups),
];

/// A population, and its network.
#[derive(Debug)]
struct Place {
    population: Population,
    made: Instant,
    network: File,
}

impl Place {
    fn new() -> Self {
        in_network(|| {
            let made = Instant::now();
            let network = File::open("/proc/thread-self/ns/net").unwrap();
            let population = Population::new();
            eprintln!("{} sockets in {:?}", population.len(), made.elapsed());
            Self { population, made, network }
        })
    }
}

/// The population that all tests look at, or another if it is so old that some of it would be gone
/// soon: `TIME_WAIT` takes a minute.
fn place() -> Arc<Place> {
    static PLACE: Mutex<Option<Arc<Place>>> = Mutex::new(None);
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*place {
        Some(place) if place.made.elapsed() < Duration::from_secs(20) => place.clone(),
        _ => place.insert(Arc::new(Place::new())).clone(),
    }
}

/// Looks at it from within its network; again at another if this one was gone before it was looked at.
fn beside_population(look: impl Fn(&Population) + Send + Sync) {
    for _ in 0..5 {
        let place = place();
        let population = &place.population;
        let is_whole = inside(&place.network, || {
            let mut counts = counts(&list(&Dump::new()));
            // What is bound and does nothing is told since Linux 6.8.
            if !counts.contains_key("UNCONN") {
                counts.extend(
                    population.counts.get_key_value("UNCONN").map(|(k, v)| (k.clone(), *v)),
                );
            }
            let is_old = place.made.elapsed() > Duration::from_secs(40);
            if !is_old {
                // Exactly what was made is there.
                assert_eq!(counts, population.counts);
            }
            if counts == population.counts {
                look(population);
            }
            counts == population.counts
        });
        if is_whole {
            return;
        }
    }
    panic!("it takes so long to make a population that part of it is gone before it is looked at");
}

fn counts(all: &[EntryBuf]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for buf in all {
        *counts.entry(state_of(&buf.entry()).to_owned()).or_default() += 1;
    }
    counts
}

fn list(dump: &Dump) -> Vec<EntryBuf> {
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(dump).unwrap();
    let mut all = Vec::new();
    while let Some(entry) = entries.next() {
        all.push(entry.unwrap_or_else(|error| panic!("{error}")).to_buf());
    }
    all
}

/// The cookies of those that the filter selects, each once.
fn select(filter: &Filter) -> BTreeSet<u64> {
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&Dump::new().filter(filter)).unwrap();
    let mut all = BTreeSet::new();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap_or_else(|error| panic!("{error}"));
        assert!(all.insert(entry.cookie()), "a socket was listed twice");
    }
    all
}

/// Each once.
fn by_cookie(all: Vec<EntryBuf>) -> BTreeMap<u64, EntryBuf> {
    let count = all.len();
    let all: BTreeMap<_, _> = all.into_iter().map(|buf| (buf.entry().cookie(), buf)).collect();
    assert_eq!(all.len(), count, "a socket was listed twice");
    all
}

/// The sockets that `ss` is to list: what is bound and does nothing it lists only if asked to, and not
/// before 6.9.
fn of_ss(all: &BTreeMap<u64, EntryBuf>) -> BTreeSet<u64> {
    let is_bound = |buf: &EntryBuf| buf.entry().state() == State::Close;
    all.iter().filter(|(_, buf)| !is_bound(buf)).map(|(cookie, _)| *cookie).collect()
}

fn as_ss() {
    beside_population(|population| {
        assert!(population.len() > 4_000, "{:?}", population.counts);
        assert_eq!(population.counts.len(), 11, "{:?}", population.counts);
        let compared = agrees(&Dump::new(), &["-ta"]);
        for name in KEYS {
            let is_missing = population.missing.iter().any(|what| what.contains(missing_key(name)));
            let count = compared.get(name).copied().unwrap_or(0);
            assert!(count > 0 || is_missing, "{name} was never compared: {compared:?}");
        }
        holders();
        if population.multipath == 0 {
            return;
        }
        let dump = Dump::new().protocol(Protocol::Mptcp);
        let whole = by_cookie(list(&dump));
        assert_eq!(whole.len(), population.multipath);
        let compared = agrees(&dump, &["-Ma"]);
        assert!(compared["write_seq"] > 0 && compared["remote_key"] > 0, "{compared:?}");
    });
}

/// Words that the population must have had `ss` print.
const KEYS: [&str; 62] = [
    "advmss",
    "app_limited",
    "ato",
    "backoff",
    "bbr",
    "busy",
    "bytes_acked",
    "bytes_received",
    "bytes_retrans",
    "bytes_sent",
    "class_id",
    "congestion",
    "cwnd",
    "data_segs_in",
    "data_segs_out",
    "delivered",
    "delivery_rate",
    "dsack_dups",
    "ecn",
    "ecnseen",
    "fastopen",
    "flags",
    "fwmark",
    "inet-sockopt",
    "ino",
    "lastack",
    "lastrcv",
    "lastsnd",
    "lost",
    "maplen",
    "md5keys",
    "minrtt",
    "mss",
    "notsent",
    "pacing_rate",
    "pmtu",
    "rcv_ooopack",
    "rcv_rtt",
    "rcv_space",
    "rcv_ssthresh",
    "rcvmss",
    "retrans",
    "rto",
    "rtt",
    "rwnd_limited",
    "sack",
    "segs_in",
    "segs_out",
    "send",
    "seq",
    "sfseq",
    "shutdown",
    "skmem",
    "snd_wnd",
    "ssnoff",
    "tclass",
    "timer",
    "token",
    "tos",
    "ts",
    "unacked",
    "wscale",
];

/// What a population without such words says that it lacks.
fn missing_key(name: &str) -> &'static str {
    match name {
        "md5keys" => "signatures",
        "fwmark" => "marks",
        "flags" | "maplen" | "seq" | "sfseq" | "ssnoff" | "token" => "Multipath TCP",
        "fastopen" => "tcp_fastopen",
        "ecn" | "ecnseen" => "tcp_ecn",
        "bbr" => "the congestion control bbr",
        "tclass" => "IPv6",
        _ => "?",
    }
}

/// What was compared so far.
#[derive(Default)]
struct Tally {
    seen: BTreeSet<u64>,
    /// How often each word was the same.
    words: BTreeMap<&'static str, usize>,
}

/// Compares what `ss` lists with what is listed before and after, until each socket was once still
/// meanwhile, and counts how often each word was the same.
fn agrees(dump: &Dump, arguments: &[&str]) -> BTreeMap<&'static str, usize> {
    let mut tally = Tally::default();
    let (begun, mut rounds) = (Instant::now(), 0);
    let mut left = compare_all(dump, arguments, &mut tally);
    while !left.is_empty() {
        // The fewer are looked at, the less can happen meanwhile.
        let some: BTreeSet<_> = left.iter().copied().take(50).collect();
        let texts: Vec<_> = some.iter().map(|port| format!("sport = :{port}")).collect();
        let text = &*texts.join(" or ");
        let dump = dump.clone().filter(&text.parse().unwrap());
        let busy = compare_all(&dump, &[arguments, &[text]].concat(), &mut tally);
        left.retain(|port| !some.contains(port) || busy.contains(port));
        rounds += 1;
        // Whoever is stopped for a while has not tried.
        let is_late = begun.elapsed() > Duration::from_secs(60) && rounds > 200;
        assert!(!is_late, "always something happens to {:?}", list(&dump));
    }
    let words: usize = tally.words.values().sum();
    eprintln!("{} sockets agree with ss in {words} words", tally.seen.len());
    tally.words
}

/// Compares once, and returns the ports of sockets that were not still.
fn compare_all(dump: &Dump, arguments: &[&str], tally: &mut Tally) -> BTreeSet<u16> {
    let begun = Instant::now();
    let before = by_cookie(list(dump));
    let listed = Instant::now();
    let theirs = ss(arguments);
    let least = listed.elapsed();
    let after = by_cookie(list(dump));
    let passed = (least, begun.elapsed());

    let cookies: BTreeSet<_> = theirs.iter().map(|shown| shown.cookie).collect();
    assert_eq!(cookies.len(), theirs.len(), "ss shows a socket twice");
    // What came or went meanwhile may be there or not.
    let (first, last) = (of_ss(&before), of_ss(&after));
    let missing = &(&first & &last) - &cookies;
    let missing: Vec<_> = missing.iter().map(|cookie| &before[cookie]).collect();
    assert!(missing.is_empty(), "ss does not show {missing:?}");
    let more = &cookies - &(&first | &last);
    assert!(more.is_empty(), "ss shows {more:x?}, too");

    let mut busy = BTreeSet::new();
    for shown in &theirs {
        let both = before.get(&shown.cookie).zip(after.get(&shown.cookie));
        let Some((before, after)) = both else { continue };
        if tally.seen.contains(&shown.cookie) {
            continue;
        }
        match compare(&before.entry(), shown, &after.entry(), passed) {
            Verdict::Moved => drop(busy.insert(before.entry().local_addr().port())),
            Verdict::Same(names) => {
                tally.seen.insert(shown.cookie);
                for name in names {
                    *tally.words.entry(name).or_default() += 1;
                }
            }
        }
    }
    busy
}

/// Who holds each socket is who `ss` says.
fn holders() {
    let owners = Owners::scan().unwrap();
    let all = by_cookie(list(&Dump::new()));
    let mut held = 0;
    for shown in ss(&["-tap"]) {
        let theirs = shown.facts.get("users").map_or("", String::as_str);
        let inode = all.get(&shown.cookie).and_then(|buf| buf.entry().inode());
        let ours: Vec<_> = inode.into_iter().flat_map(|inode| owners.of(inode)).collect();
        for owner in &ours {
            let (name, pid) = (owner.process.command(), owner.process.pid());
            let text = format!("(\"{name}\",pid={pid},fd={})", owner.descriptor);
            assert!(theirs.contains(&text), "{text} in {shown:?}");
        }
        assert_eq!(theirs.matches("pid=").count(), ours.len(), "{shown:?}");
        held += ours.len();
    }
    eprintln!("{held} of {} sockets are held by whom ss says", all.len());
    assert!(held > all.len() / 3);
}

fn filters() {
    beside_population(|population| {
        let before = by_cookie(list(&Dump::new()));
        let (mut selected, mut by_ss) = (Vec::new(), Vec::new());
        for text in some(&vocabulary(population, false).texts(), 240) {
            let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
            let found = select(&filter);
            selected.push((text, filter, found));
        }
        for (number, text) in
            some(&vocabulary(population, true).texts(), 100).into_iter().enumerate()
        {
            // Which states are meant stands in front, there.
            let states = STATES[number % STATES.len()];
            let filter: Filter = format!("{states} ( {text} )").parse().unwrap();
            let found = select(&filter);
            let mut arguments = vec!["-tneHO"];
            arguments.extend(states.split(' '));
            arguments.push(&text);
            let theirs = cookies_of_ss(&arguments);
            by_ss.push((format!("{states} {text}"), found, theirs));
        }
        let after = by_cookie(list(&Dump::new()));
        let still: BTreeSet<_> = before
            .iter()
            .filter(|(cookie, buf)| {
                after.get(cookie).is_some_and(|after| is_quiet(&buf.entry(), &after.entry()))
            })
            .map(|(cookie, _)| *cookie)
            .collect();
        assert!(still.len() > population.len() / 2, "{} of {}", still.len(), population.len());
        let says_something = |found: &BTreeSet<u64>| !found.is_empty() && found.len() < still.len();
        let mut some = 0;
        for (text, filter, found) in &selected {
            let expected: BTreeSet<_> = still
                .iter()
                .filter(|cookie| filter.matches(&after[cookie].entry()))
                .copied()
                .collect();
            assert_eq!(found & &still, expected, "{text}");
            some += usize::from(says_something(&expected));
        }
        assert!(some > selected.len() / 3, "most select everything or nothing: {some}");
        let (of_ss, mut some_of_ss) = (of_ss(&after), 0);
        for (text, ours, theirs) in &by_ss {
            // What an older kernel (5.10) does not tell it compares as zero, for who does not look again.
            let is_comparable = |cookie: &u64| {
                still.contains(cookie)
                    && (!text.contains("fwmark") || after[cookie].entry().mark().is_some())
            };
            let ours: BTreeSet<_> = (ours & &of_ss).into_iter().filter(is_comparable).collect();
            let theirs: BTreeSet<_> = theirs.iter().copied().filter(is_comparable).collect();
            assert_eq!(ours, theirs, "{text}");
            some_of_ss += usize::from(says_something(&theirs));
        }
        assert!(some_of_ss > by_ss.len() / 3, "most select everything or nothing: {some_of_ss}");
        eprintln!(
            "{} of {} filters select some of {} sockets, {some_of_ss} of {} as ss does",
            some,
            selected.len(),
            still.len(),
            by_ss.len()
        );
    });
}

/// The cookies of those that `ss` lists by these arguments.
fn cookies_of_ss(arguments: &[&str]) -> BTreeSet<u64> {
    let output = Command::new("ss").args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    let cookies = text.split_whitespace().filter_map(|word| word.strip_prefix("sk:"));
    cookies.map(|cookie| u64::from_str_radix(cookie, 16).unwrap()).collect()
}

const STATES: [&str; 10] = [
    "state all",
    "state connected",
    "state synchronized",
    "state bucket",
    "state big",
    "state established",
    "state listening",
    "state fin-wait-2",
    "state syn-recv",
    "exclude established",
];

/// What filters of the population are made of; what `ss` reads, too, or all.
fn vocabulary(population: &Population, is_for_ss: bool) -> Vocabulary {
    let mut networks =
        ["127/8", "127.2/16", "127.3.0.1/31", "[::1]", "[::ffff:127.1.0.0/112]", "[fe80::/10]"]
            .map(str::to_owned)
            .to_vec();
    let mut others = Vec::new();
    if !is_for_ss {
        // By its own look, which it takes as soon as an interface is named, `ss` does not tell families
        // apart where all bits are zero.
        networks.extend(["[::]", "[::/0]", "0.0.0.0/0"].map(str::to_owned));
        others.extend(["family inet", "family inet6"].map(str::to_owned));
        others.extend(States::ALL.iter().map(|state| format!("state {state}")));
        others.extend(STATES.map(str::to_owned));
        others.extend(facts());
    }
    let some_ports: Vec<_> = population.ports.iter().copied().step_by(9).collect();
    let hosts = vec![
        (1..5).flat_map(|net| (1..8).map(move |last| format!("127.{net}.0.{last}"))).collect(),
        some_ports.iter().map(|port| format!("*:{port}")).collect(),
        some_ports.iter().map(|port| format!("127.0.0.0/9:{port}")).collect(),
        networks,
    ];
    Vocabulary { hosts, ports: population.ports.clone(), others }
}

/// Conditions on every fact that stays while nothing happens.
fn facts() -> Vec<String> {
    let goes_on = [
        "expires",
        "lastsnd",
        "lastrcv",
        "lastack",
        "busy",
        "rwnd_limited",
        "sndbuf_limited",
        "total_rto_time",
    ];
    let of = |fact: &FilterFact| {
        let values: &[&str] = match fact.unit {
            FilterUnit::Count => &["0", "1", "3", "10"],
            FilterUnit::Bytes => &["0", "536", "1k", "64Ki"],
            FilterUnit::Time => &["10us", "1ms", "201ms", "1s"],
            FilterUnit::Rate => &["1Mbps", "10Gbps", "1TB/s"],
            FilterUnit::Number => &["0", "1", "0x10"],
            FilterUnit::Flag => &["yes", "no"],
            FilterUnit::Text => &["bbr", "cubic", "mptcp", "on", "off", "timewait", "open", "loss"],
            other => panic!("{other:?} is new"),
        };
        let operators: &[&str] = match fact.unit {
            FilterUnit::Flag | FilterUnit::Text => &["=", "!="],
            _ => &[">", "<="],
        };
        let of_value = |value: &&str| -> Vec<String> {
            operators.iter().map(|operator| format!("{} {operator} {value}", fact.name)).collect()
        };
        values
            .iter()
            .flat_map(of_value)
            .filter(|text| text.parse::<Filter>().is_ok())
            .collect::<Vec<_>>()
    };
    let facts = FilterFact::all().filter(|fact| !goes_on.contains(&fact.name));
    facts.flat_map(of).collect()
}

pub(crate) fn replay(bytes: &[u8], dump: &Dump) -> Vec<EntryBuf> {
    let mut replay = Replay::open(bytes).unwrap();
    let mut entries = replay.dump(dump).unwrap();
    let mut all = Vec::new();
    while let Some(entry) = entries.next() {
        all.push(entry.unwrap().to_buf());
    }
    all
}

/// Everything as the kernel tells it, and the recording of it.
fn record() -> (Vec<EntryBuf>, Vec<u8>) {
    let dump = Dump::new();
    let mut recorder = Recorder::new(Vec::new(), &dump);
    let mut live = Vec::new();
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&dump).unwrap();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        recorder.write(&entry).unwrap();
        live.push(entry.to_buf());
    }
    (live, recorder.finish().unwrap())
}

fn recordings() {
    beside_population(|population| {
        let dump = Dump::new();
        let before = by_cookie(list(&dump));
        let (live, ours) = record();
        let again = replay(&ours, &dump);
        assert_eq!(counts(&again), counts(&live));
        assert_eq!(again.len(), live.len());
        for (again, live) in again.iter().zip(&live) {
            if is_signed(live) {
                // Keys are secret, and nothing else is.
                let told = |buf: &EntryBuf| {
                    let others = buf.entry().attributes().filter(|one| one.number != MD5SIG);
                    let others = others.map(|one| (one.number, one.payload.to_vec()));
                    others.collect::<Vec<_>>()
                };
                assert!(!is_signed(again) && told(again) == told(live), "{again:?} was {live:?}");
                continue;
            }
            assert!(again == live, "{again:?} was {live:?}");
            #[cfg(feature = "serde")]
            assert_eq!(serde_json::to_string(again).unwrap(), serde_json::to_string(live).unwrap());
        }
        // What the kernel tells afterwards is that, too, but for what has happened meanwhile.
        let after = by_cookie(list(&dump));
        let mut same = 0;
        for buf in &again {
            let cookie = buf.entry().cookie();
            let Some((before, after)) = before.get(&cookie).zip(after.get(&cookie)) else {
                continue;
            };
            if before == after && !is_signed(before) {
                assert!(buf == before, "{buf:?} was {before:?}");
                same += 1;
            } else if !is_signed(before) && is_quiet(&before.entry(), &after.entry()) {
                assert!(is_quiet(&before.entry(), &buf.entry()), "{buf:?} was {before:?}");
                same += 1;
            }
        }
        assert!(same > again.len() / 2, "{same} of {}", again.len());
        for text in some(&vocabulary(population, false).texts(), 50) {
            let filter: Filter = text.parse().unwrap();
            let expected: Vec<_> =
                again.iter().filter(|buf| filter.matches(&buf.entry())).cloned().collect();
            assert!(replay(&ours, &dump.clone().filter(&filter)) == expected, "{text}");
        }
        let folder = Scratch::new();
        // As `ss` reads it, word for word: the same bytes, so that nothing went on.
        let file = folder.0.join("ours");
        std::fs::write(&file, &ours).unwrap();
        assert_eq!(agrees_of(&file, &again), live.len());
        // What `ss` writes is several lists, of which it reads the first again.
        let file = folder.0.join("theirs");
        ss(&["-ta", "-D", file.to_str().unwrap()]);
        let theirs = replay(&std::fs::read(&file).unwrap(), &dump);
        let cookies: BTreeSet<_> = theirs.iter().map(|buf| buf.entry().cookie()).collect();
        assert!(cookies.is_superset(&(&of_ss(&before) & &of_ss(&by_cookie(list(&dump))))));
        let four = theirs.iter().filter(|buf| buf.entry().local_addr().is_ipv4()).count();
        assert_eq!(agrees_of(&file, &theirs), four);
        eprintln!("{} sockets of ours and {four} of ss are replayed", live.len());
    });
}

/// The socket's own addresses and interface.
fn lookup_of(entry: &Entry<'_>) -> Lookup {
    let lookup = Lookup::new(entry.local_addr(), entry.remote_addr());
    entry.interface().map_or(lookup, |interface| lookup.interface(interface))
}

/// What both the kernel and a recording are asked for.
struct Both<'a> {
    diag: SockDiag,
    file: &'a [u8],
    /// Sockets that only one of them found.
    differing: BTreeSet<u64>,
}

impl Both<'_> {
    /// Whether there is such a connection, of which both tell the cookie.
    fn find(&mut self, lookup: &Lookup) -> bool {
        let live = self.diag.lookup(lookup).map(|found| found.map(|entry| entry.cookie()));
        let mut replay = Replay::open(self.file).unwrap();
        let recorded = replay.lookup(lookup).map(|found| found.map(|entry| entry.cookie()));
        let (live, recorded) = match (live, recorded) {
            (Ok(live), Ok(recorded)) => (live, recorded),
            (Err(live), Err(recorded)) => {
                assert_eq!(live.to_string(), recorded.to_string());
                assert_eq!((live.kind(), live.lookup()), (recorded.kind(), Some(lookup)));
                return false;
            }
            (live, recorded) => panic!("{lookup}: {live:?}, and {recorded:?}"),
        };
        if live != recorded {
            self.differing.extend(live.into_iter().chain(recorded));
        }
        recorded.is_some()
    }
}

fn lookups() {
    beside_population(|_| {
        let (all, file) = record();
        let mut both =
            Both { diag: SockDiag::open().unwrap(), file: &file, differing: BTreeSet::new() };
        let is_connection = |buf: &&EntryBuf| States::CONNECTED.contains(buf.entry().state());
        let (connections, others): (Vec<_>, Vec<_>) = all.iter().partition(is_connection);
        assert!(connections.len() > 4_000 && others.len() > 100);
        // Every one, in the order in which they were recorded.
        let mut replay = Replay::open(&*file).unwrap();
        for buf in &connections {
            let (lookup, cookie) = (lookup_of(&buf.entry()), buf.entry().cookie());
            let found = replay.lookup(&lookup).unwrap().unwrap_or_else(|| panic!("{lookup}"));
            assert_eq!(found.cookie(), cookie, "{lookup}");
            assert_eq!(found.tcp_info().is_some(), buf.entry().tcp_info().is_some());
            let live = both.diag.lookup(&lookup.cookie(cookie)).unwrap();
            if live.is_none_or(|entry| entry.cookie() != cookie) {
                both.differing.insert(cookie);
            }
        }
        // Some in the whole recording, of every kind.
        let mut kinds: BTreeMap<_, Vec<&EntryBuf>> = BTreeMap::new();
        for buf in connections {
            let entry = buf.entry();
            let kind = (entry.state().name(), entry.interface(), entry.local_addr().is_ipv4());
            kinds.entry(kind).or_default().push(buf);
        }
        let mut peers = 0;
        for buf in kinds.values().flat_map(|of_kind| of_kind.iter().step_by(of_kind.len() / 3 + 1))
        {
            let (entry, lookup) = (buf.entry(), lookup_of(&buf.entry()));
            assert!(both.find(&lookup) && both.find(&lookup.cookie(entry.cookie())), "{lookup}");
            for other in [entry.cookie() ^ 1 << 40, 0, u64::MAX] {
                assert!(!both.find(&lookup.cookie(other)), "{lookup} has cookie {other:x}");
            }
            let swapped = Lookup::new(lookup.remote_addr(), lookup.local_addr());
            assert!(!both.find(&swapped.cookie(entry.cookie())), "{swapped}");
            // The other end is here, too, if it is still there.
            peers += usize::from(both.find(&swapped));
            both.find(&swapped.interface(entry.interface().unwrap_or(1)));
            assert!(!both.find(&lookup.interface(77)) || entry.interface().is_none(), "{lookup}");
        }
        assert!(kinds.len() > 12 && peers > 10, "{:?} {peers}", kinds.keys());
        // Where somebody listens, or is bound, and nobody is connected.
        for buf in others.into_iter().step_by(7) {
            let own = buf.entry().local_addr();
            let nobody = Lookup::new(own, SocketAddr::new(own.ip(), 1));
            for lookup in [nobody, nobody.cookie(buf.entry().cookie()), lookup_of(&buf.entry())] {
                assert!(!both.find(&lookup), "{lookup}");
            }
        }
        // What ended, or began, since.
        let after = by_cookie(list(&Dump::new()));
        let before = by_cookie(all);
        let was_there = |cookie: &u64| before.contains_key(cookie) && after.contains_key(cookie);
        let differing: Vec<_> = both.differing.iter().filter(|one| was_there(one)).collect();
        assert!(differing.is_empty(), "{differing:?}");
    });
}

/// `INET_DIAG_MD5SIG`.
const MD5SIG: u16 = 18;

/// Whether the kernel told keys of signatures.
fn is_signed(buf: &EntryBuf) -> bool {
    buf.entry().md5_keys().next().is_some()
}

/// Compares what `ss` shows of a file with what was replayed of it, and says of how many sockets.
fn agrees_of(file: &Path, all: &[EntryBuf]) -> usize {
    let all = by_cookie(all.to_vec());
    let theirs = ss_of(Some(file), &["-ta"]);
    for shown in &theirs {
        let entry = all[&shown.cookie].entry();
        assert!(
            matches!(
                compare(&entry, shown, &entry, (Duration::ZERO, Duration::ZERO)),
                Verdict::Same(_)
            ),
            "{shown:?}"
        );
    }
    theirs.len()
}

/// A folder that goes when it is no longer needed.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sockdiag-everything-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
