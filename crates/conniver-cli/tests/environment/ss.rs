//! Beside `ss`, which was written by others, and other programs that read what is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    scene::Scene,
    tool::{printed, sockets},
};

/// What `ss` shows, a socket a line.
fn ss(arguments: &[&str]) -> Vec<Shown> {
    let output = Command::new("ss").args(["-tniemopOH"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.contains(" sk:")).map(Shown::new).collect()
}

/// One socket as `ss` shows it.
#[derive(Debug)]
struct Shown {
    words: Vec<String>,
    pairs: BTreeMap<String, String>,
    cookie: u64,
}

impl Shown {
    fn new(line: &str) -> Self {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let pairs: BTreeMap<_, _> = words
            .iter()
            .skip(5)
            .filter_map(|word| word.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let cookie = u64::from_str_radix(&pairs["sk"], 16).unwrap();
        Self { words, pairs, cookie }
    }
}

/// Connections and listeners of IPv4 and IPv6, some of which have talked.
fn scenes() -> Vec<Scene> {
    let mut scenes = vec![Scene::new(4), Scene::new(1)];
    scenes.extend(Scene::ipv6(3));
    for scene in &mut scenes {
        scene.talk(30_000);
        scene.servers[0].write_all(&[0; 700]).unwrap();
    }
    // One that waits to be accepted, and one of which the peer has closed its half.
    let waiting = TcpStream::connect(scenes[1].listener.local_addr().unwrap()).unwrap();
    scenes[1].clients.push(waiting);
    scenes[0].clients[1].shutdown(Shutdown::Write).unwrap();
    scenes
}

/// What selects the sockets of a scene, for either program.
fn filter(scene: &Scene) -> String {
    let port = scene.port();
    format!("( sport = :{port} or dport = :{port} )")
}

pub(crate) fn the_same_sockets() {
    for scene in &scenes() {
        let filter = &*filter(scene);
        for (theirs, ours) in [
            (&[][..], &[][..]),
            (&["-a"], &["-a", "--state", "big"]),
            (&["-l"], &["-l"]),
            (&["-4"], &["-4"]),
            (&["-6"], &["-6"]),
        ] {
            // Both list states as they like beyond those of full sockets.
            let ours: &[&str] = if theirs == ["-a"] { &["--state", "big"] } else { ours };
            let theirs: BTreeSet<_> = ss(&[theirs, &[filter]].concat())
                .into_iter()
                .filter(|shown| !matches!(&*shown.words[0], "TIME-WAIT" | "SYN-RECV"))
                .map(|shown| shown.cookie)
                .collect();
            let ours: BTreeSet<_> = sockets(&[ours, &[filter]].concat())
                .iter()
                .map(|socket| socket["cookie"].as_u64().unwrap())
                .collect();
            assert_eq!(ours, theirs, "{filter}");
        }
    }
}

/// Names of `ss`, and where the same is in the JSON: the key in `info.sysInfo`, and what a number of
/// theirs is there.
const FIELDS: &[(&str, &str, f64)] = &[
    ("rto", "rto", 1e6),
    ("ato", "ato", 1e6),
    ("mss", "txMSS", 1.0),
    ("rcvmss", "rxMSS", 1.0),
    ("advmss", "advMSS", 1.0),
    ("pmtu", "pmtu", 1.0),
    ("cwnd", "txCWindow", 1.0),
    ("ssthresh", "txSSThreshold", 1.0),
    ("bytes_sent", "bytesSent", 1.0),
    ("bytes_retrans", "bytesRetrans", 1.0),
    ("bytes_acked", "bytesAcked", 1.0),
    ("bytes_received", "bytesReceived", 1.0),
    ("segs_out", "segsOut", 1.0),
    ("segs_in", "segsIn", 1.0),
    ("data_segs_out", "dataSegsOut", 1.0),
    ("data_segs_in", "dataSegsIn", 1.0),
    ("delivered", "delivered", 1.0),
    ("busy", "busyTime", 1e6),
    ("unacked", "unAcked", 1.0),
    ("sacked", "sacked", 1.0),
    ("lost", "lost", 1.0),
    ("backoff", "backoff", 1.0),
    ("notsent", "notSentBytes", 1.0),
    ("minrtt", "minRTT", 1e6),
    ("rcv_rtt", "rxRTT", 1e6),
    ("rcv_space", "rxSpace", 1.0),
    ("rcv_ssthresh", "rxSSThreshold", 1.0),
    ("snd_wnd", "txWindow", 1.0),
    ("rcv_wnd", "rxWindow", 1.0),
    ("reordering", "reordering", 1.0),
    ("reord_seen", "reordSeen", 1.0),
    ("dsack_dups", "dsackDups", 1.0),
    ("rcv_ooopack", "rxOutOfOrder", 1.0),
    ("rehash", "rehash", 1.0),
];

pub(crate) fn the_same_facts() {
    let scenes = scenes();
    let mut compared = BTreeSet::new();
    for scene in &scenes {
        let filter = &*filter(scene);
        // Until nothing happened while both looked.
        let (ours, theirs) = (0..50)
            .find_map(|_| {
                let before = by_cookie(sockets(&["-a", "-p", filter]));
                let theirs = ss(&["-a", filter]);
                let after = by_cookie(sockets(&["-a", "-p", filter]));
                let steady = |socket: &Value| {
                    let info = &socket["info"]["sysInfo"];
                    let keys = ["segsIn", "segsOut", "rto", "txCWindow", "rxMSS", "rxSpace", "rtt"];
                    (
                        keys.map(|key| info[key].clone()),
                        socket["queues"].clone(),
                        socket["state"].clone(),
                    )
                };
                let is_quiet = before.len() == after.len()
                    && before.iter().all(|(cookie, socket)| {
                        after.get(cookie).is_some_and(|after| steady(after) == steady(socket))
                    });
                is_quiet.then_some((before, theirs))
            })
            .expect("a moment in which nothing happens");
        for shown in &theirs {
            let Some(socket) = ours.get(&shown.cookie) else {
                assert!(matches!(&*shown.words[0], "TIME-WAIT"), "{shown:?} is not listed");
                continue;
            };
            compare(shown, socket, &mut compared);
        }
    }
    for name in ["rto", "cwnd", "bytes_sent", "bytes_received", "minrtt", "snd_wnd", "users"] {
        assert!(compared.contains(name), "{name} was never compared: {compared:?}");
    }
}

fn by_cookie(sockets: Vec<Value>) -> BTreeMap<u64, Value> {
    sockets.into_iter().map(|socket| (socket["cookie"].as_u64().unwrap(), socket)).collect()
}

fn compare(shown: &Shown, socket: &Value, compared: &mut BTreeSet<String>) {
    let what = || format!("{shown:?}\n{socket:#}");
    let state = match &*shown.words[0] {
        "ESTAB" => "ESTABLISHED".to_owned(),
        "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
        "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
        other => other.replace('-', "_"),
    };
    assert_eq!(socket["state"], state, "{}", what());
    // A wildcard stands for an address and a port of zeros.
    let theirs = |word: &str| word.replace(":*", ":0");
    assert_eq!(socket["localAddr"], theirs(&shown.words[3]), "{}", what());
    assert_eq!(socket["remoteAddr"], theirs(&shown.words[4]), "{}", what());
    let (first, second) = match state.as_str() {
        "LISTEN" => ("acceptQueue", "acceptQueueLimit"),
        _ => ("unreadBytes", "queuedBytes"),
    };
    // The peer's FIN, which is no byte to read, is counted by them.
    let fin = u64::from(matches!(&*state, "CLOSE_WAIT" | "LAST_ACK" | "CLOSING"));
    let queued = |key: &str| socket["queues"][key].as_u64();
    assert_eq!(
        queued(first).map(|count| (count + fin).to_string()).as_ref(),
        Some(&shown.words[1]),
        "{}",
        what()
    );
    assert_eq!(
        queued(second).map(|count| count.to_string()).as_ref(),
        Some(&shown.words[2]),
        "{}",
        what()
    );
    let ino = shown.pairs.get("ino").map_or(0, |ino| ino.parse::<u64>().unwrap());
    assert_eq!(socket["inode"].as_u64().unwrap_or(0), ino, "{}", what());
    if let Some(uid) = shown.pairs.get("uid") {
        assert_eq!(socket["uid"].to_string(), *uid);
    }
    for (name, key, scale) in FIELDS {
        let Some(text) = shown.pairs.get(*name) else { continue };
        if state == "LISTEN" {
            continue;
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let theirs = text[..end].parse::<f64>().unwrap() * scale;
        let ours = socket["info"]["sysInfo"][key].as_f64();
        let ours = ours.unwrap_or_else(|| panic!("{key} is missing: {}", what()));
        // They show six digits, and milliseconds of what is in microseconds.
        let slack = theirs.abs() * 1e-5 + if *name == "busy" { 1e6 } else { 0.0 };
        assert!((ours - theirs).abs() <= slack, "{name}: {ours}, {theirs}, {}", what());
        compared.insert((*name).to_owned());
    }
    if let Some(rtt) = shown.pairs.get("rtt") {
        let info = &socket["info"];
        let ours = [&info["rtt"], &info["rttVar"]].map(|time| time.as_f64().unwrap() / 1e6);
        for (ours, theirs) in ours.iter().zip(rtt.split('/')) {
            let theirs: f64 = theirs.parse().unwrap();
            assert!((ours - theirs).abs() <= theirs * 1e-5, "{}", what());
        }
    }
    if let Some(skmem) = shown.pairs.get("skmem") {
        let memory = &socket["memory"];
        let keys = [
            ("r", "rxAllocBytes"),
            ("rb", "rxBufferBytes"),
            ("t", "txAllocBytes"),
            ("tb", "txBufferBytes"),
            ("f", "forwardAllocBytes"),
            ("w", "txQueuedBytes"),
            ("o", "optionBytes"),
            ("bl", "backlogBytes"),
            ("d", "droppedPackets"),
        ];
        let ours: Vec<_> =
            keys.iter().map(|(name, key)| format!("{name}{}", memory[*key])).collect();
        assert_eq!(format!("({})", ours.join(",")), *skmem, "{}", what());
    }
    if let Some(name) = socket["congestion"]["name"].as_str().filter(|_| state != "LISTEN") {
        assert!(shown.words.iter().any(|word| word == name), "{}", what());
    }
    if let Some(users) = shown.pairs.get("users") {
        for holder in socket["process"].as_array().unwrap() {
            for descriptor in holder["descriptors"].as_array().unwrap() {
                let theirs =
                    format!("({},pid={},fd={descriptor})", holder["command"], holder["pid"]);
                assert!(users.contains(&theirs), "{theirs} in {}", what());
            }
        }
        compared.insert("users".to_owned());
    }
}

pub(crate) fn what_was_saved() {
    let scene = Scene::new(2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    printed(&["--save", file.to_str().unwrap(), "--port", &scene.port()]);
    let mut command = Command::new("ss");
    let output = command.args(["-tanOH"]).env("TCPDIAG_FILE", &file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let states: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let count = |state| states.iter().filter(|shown| **shown == state).count();
    assert_eq!((count("ESTAB"), count("LISTEN")), (4, 1), "{text}");
}

/// Whether this `ss` writes sockets that are about.
pub(crate) fn can_save() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let file = folder.path().join("dump");
    let status = Command::new("ss").args(["-ta", "-D"]).arg(&file).status();
    status.is_ok_and(|status| status.success())
        && fs::metadata(&file).is_ok_and(|file| file.len() > 0)
}

pub(crate) fn what_ss_saved() {
    let scene = Scene::new(2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    assert!(Command::new("ss").args(["-ta", "-D"]).arg(&file).status().unwrap().success());
    let from = ["--from", file.to_str().unwrap(), "--port", &scene.port()];
    let saved: BTreeSet<_> = sockets(&from).iter().map(|one| one["cookie"].to_string()).collect();
    let live: BTreeSet<_> =
        sockets(&from[2..]).iter().map(|one| one["cookie"].to_string()).collect();
    assert_eq!(saved, live);
    assert_eq!(live.len(), 4);
}

const PARSERS: &str = "
import csv, json, sys
lines = [json.loads(line) for line in open(sys.argv[1] + '/jsonl')]
array = json.load(open(sys.argv[1] + '/json'))
rows = list(csv.DictReader(open(sys.argv[1] + '/csv', newline='')))
assert len(lines) == len(array) == len(rows) == 4, (len(lines), len(array), len(rows))
by_cookie = {format(line['cookie'], 'x'): line for line in lines}
for row in rows:
    line = by_cookie[row['cookie']]
    assert None not in row and None not in row.values(), row
    assert row['local'] == line['localAddr'] and row['remote'] == line['remoteAddr']
    assert row['state'] == line['state'] and int(row['inode']) == line['inode']
    assert int(row['bytes_sent']) == line['info']['txBytes']
    pids = [int(one.rsplit('/', 1)[1]) for one in row['process'].split(',')]
    assert pids == [one['pid'] for one in line['process']], row
print('same')
";

pub(crate) fn other_parsers() {
    let mut scene = Scene::new(2);
    scene.talk(9_000);
    let port = scene.port();
    let folder = tempfile::tempdir().unwrap();
    for format in ["json", "jsonl", "csv"] {
        let columns: &[&str] = if format == "csv" { &["--columns", "all"] } else { &[] };
        let text = printed(&[&["-p", "--port", &port, "--format", format], columns].concat());
        fs::write(folder.path().join(format), text).unwrap();
    }
    let mut command = Command::new("python3");
    let command = command.args(["-c", PARSERS]).arg(folder.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "same\n", "{output:?}");
}
