//! Lists of this machine, kept and read again; also by `ss`, and kept by `ss`.

use std::{collections::BTreeSet, io::Write, net::SocketAddr, process::Command};

use sockdiag::{Dump, EntryBuf, Lookup, Recorder, Replay, SockDiag, States};

use super::{
    scene::{
        Pair, Test, find, found, lookup_of, loopbacks, mapped_pair, needs, pair_at, test, until,
    },
    shown::printed_by,
};

pub(crate) fn tests() -> Vec<Test> {
    let ss = Command::new("ss").arg("-V").output();
    let has_ss = needs(ss.is_ok_and(|output| output.status.success()), "ss is missing");
    vec![
        test("a_replay_tells_what_the_kernel_told", round_trip),
        test("filters_select_the_same_of_a_replay", filters),
        test("lookups_find_the_same_in_a_replay", lookups),
        Test { name: "ss_reads_a_recording", needs: has_ss, run: read_by_ss },
        Test { name: "what_ss_recorded_is_replayed", needs: has_ss, run: made_by_ss },
    ]
}

/// Connections with something to tell of.
fn population() -> Vec<Pair> {
    let mut pairs = Vec::new();
    // The tests are four, at the same time, and a process may often have no more than 1,024 descriptors.
    for number in 0..20 {
        pairs.extend(loopbacks().into_iter().map(pair_at));
        pairs.extend(mapped_pair());
        let pair: &mut Pair = pairs.last_mut().unwrap();
        pair.client.write_all(&vec![1; number * 250]).unwrap();
    }
    pairs
}

/// A list as the kernel tells it, and the recording of it.
fn record(dump: &Dump) -> (Vec<EntryBuf>, Vec<u8>) {
    let mut diag = SockDiag::open().unwrap();
    let mut recorder = Recorder::new(Vec::new(), dump);
    let mut entries = diag.dump(dump).unwrap();
    let mut live = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        recorder.write(&entry).unwrap();
        live.push(entry.to_buf());
    }
    (live, recorder.finish().unwrap())
}

fn replay(file: &[u8], dump: &Dump) -> Vec<EntryBuf> {
    let mut replay = Replay::open(file).unwrap();
    let mut entries = replay.dump(dump).unwrap();
    let mut all = Vec::new();
    while let Some(entry) = entries.next() {
        all.push(entry.unwrap().to_buf());
    }
    all
}

/// All that is decoded of a socket.
fn facts(buf: &EntryBuf) -> String {
    let entry = buf.entry();
    let readings = entry.native_tcp_info().map(|info| {
        info.fields().map(|(field, reading)| format!("{} {reading:?}", field.name)).collect()
    });
    let readings: Vec<String> = readings.unwrap_or_default();
    format!("{entry:?} {readings:?} {:?} {:?}", entry.congestion(), entry.memory())
}

fn round_trip() {
    let _pairs = population();
    let (live, file) = record(&Dump::new());
    let again = replay(&file, &Dump::new());
    assert!(live.len() >= 60 && file.len() > 20_000);
    assert_eq!(again.len(), live.len());
    for (live, again) in live.iter().zip(&again) {
        assert!(again == live, "{again:?} was {live:?}");
        assert_eq!(facts(again), facts(live));
        #[cfg(feature = "serde")]
        assert_eq!(serde_json::to_value(again).unwrap(), serde_json::to_value(live).unwrap());
    }
}

fn filters() {
    let pairs = population();
    let (live, file) = record(&Dump::new());
    let port = pairs[7].listener.local_addr().unwrap().port();
    for text in [
        "state established".to_owned(),
        format!("sport = :{port}"),
        format!("dport = :{port} or src 127.0.0.1"),
        "not src 127.0.0.0/8 and state connected".to_owned(),
    ] {
        let filter: sockdiag::Filter = text.parse().unwrap();
        let expected: Vec<_> =
            live.iter().filter(|buf| filter.matches(&buf.entry())).cloned().collect();
        assert!(!expected.is_empty(), "{text}");
        assert!(replay(&file, &Dump::new().filter(&filter)) == expected, "{text}");
    }
    let big = |buf: &&EntryBuf| States::BIG.contains(buf.entry().state());
    let expected = live.iter().filter(big).count();
    assert_eq!(replay(&file, &Dump::new().states(States::BIG)).len(), expected);
}

fn lookups() {
    let pairs = population();
    let (_, file) = record(&Dump::new());
    for Pair { client, server, listener } in &pairs {
        for stream in [client, server] {
            let (live, lookup) = (found(stream), lookup_of(stream));
            let cookie = live.entry().cookie();
            for lookup in [lookup, lookup.cookie(cookie)] {
                let mut replay = Replay::open(&*file).unwrap();
                let again = replay.lookup(&lookup).unwrap().unwrap();
                assert_eq!((again.cookie(), again.inode()), (cookie, live.entry().inode()));
                assert_eq!(again.tcp_info().is_some(), live.entry().tcp_info().is_some());
            }
        }
        let nobody = Lookup::new(client.local_addr().unwrap(), client.local_addr().unwrap());
        let theirs = tcpinfo::cookie(server).unwrap();
        let port = listener.local_addr().unwrap().port();
        let here = SocketAddr::new(client.peer_addr().unwrap().ip(), port);
        let waiting = Lookup::new(here, SocketAddr::new(here.ip(), 1));
        let cookie = tcpinfo::cookie(listener).unwrap();
        for lookup in [nobody, lookup_of(client).cookie(theirs), waiting, waiting.cookie(cookie)] {
            let mut replay = Replay::open(&*file).unwrap();
            assert_eq!(replay.lookup(&lookup).unwrap(), None, "{lookup}");
            assert_eq!(find(&lookup), None, "{lookup}");
        }
    }
}

fn ss(arguments: &[&str], file: Option<&std::path::Path>) -> String {
    let mut command = Command::new("ss");
    if let Some(file) = file {
        command.env("TCPDIAG_FILE", file);
    }
    command.args(arguments);
    printed_by(command)
}

/// Cookies as `ss -e` prints them.
fn cookies(text: &str) -> Vec<u64> {
    let words = text.split_whitespace().filter_map(|word| word.strip_prefix("sk:"));
    words.map(|cookie| u64::from_str_radix(cookie, 16).unwrap()).collect()
}

fn read_by_ss() {
    let _pairs = population();
    let (live, bytes) = record(&Dump::new());
    let file = Scratch::new("ours");
    std::fs::write(&file.0, bytes).unwrap();
    let text = ss(&["-tanieH"], Some(&file.0));
    let ours: Vec<_> = live.iter().map(|buf| buf.entry().cookie()).collect();
    assert_eq!(cookies(&text), ours);
    // The facts of the first connection, which is the message with the header in it.
    let mut file_again = Replay::open(std::fs::File::open(&file.0).unwrap()).unwrap();
    assert!(file_again.recorded_at().is_some());
    let mut entries = file_again.dump(&Dump::new()).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().to_buf(), live[0]);
}

fn made_by_ss() {
    let pairs = population();
    let ours: BTreeSet<u64> =
        pairs.iter().map(|pair| tcpinfo::cookie(&pair.server).unwrap()).collect();
    let file = Scratch::new("theirs");
    let name = file.0.to_str().unwrap();
    ss(&["-tani", "-D", name], None);
    let all = until("a file of ss that is whole", || {
        let bytes = std::fs::read(&file.0).ok()?;
        let replay = Replay::open(&*bytes).unwrap();
        assert_eq!((replay.recorded_at(), replay.kernel_release()), (None, None));
        Some(self::replay(&bytes, &Dump::new()))
    });
    let found: BTreeSet<u64> = all.iter().map(|buf| buf.entry().cookie()).collect();
    assert!(ours.is_subset(&found), "{} of {}", (&ours & &found).len(), ours.len());
    let of_ours = all.iter().find(|buf| ours.contains(&buf.entry().cookie())).unwrap();
    assert!(of_ours.entry().tcp_info().is_some());
    // And what ss itself makes of it is the same, up to the first end of its several lists.
    let theirs = cookies(&ss(&["-taneH"], Some(&file.0)));
    let told: Vec<_> = all.iter().take(theirs.len()).map(|buf| buf.entry().cookie()).collect();
    assert_eq!(told, theirs);
}

/// A file that goes when it is no longer needed.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("sockdiag-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
