//! Beside `ss`, which was written by others, and other programs that read what is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{Shutdown, TcpStream},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    keys::compare,
    scene::Scene,
    shown::{self, Shown},
    tool::{printed, sockets},
};

/// The TCP sockets that `ss` shows.
fn ss(arguments: &[&str]) -> Vec<Shown> {
    shown::ss(&[&["-tp"], arguments].concat())
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
                .filter(|shown| !matches!(&*shown.state, "TIME-WAIT" | "SYN-RECV"))
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

/// What goes on while nothing happens.
const GOING_ON: [&str; 7] =
    ["lastsnd", "lastrcv", "lastack", "busy", "rwnd_limited", "sndbuf_limited", "timer"];

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
                // A program that another test just starts holds what this one holds for a moment.
                let is_held_alike = theirs.iter().all(|shown| {
                    let theirs =
                        shown.facts.get("users").map_or(0, |all| all.matches("pid=").count());
                    before.get(&shown.cookie).is_none_or(|socket| held(socket) == theirs)
                });
                (is_quiet && is_held_alike).then_some((before, theirs))
            })
            .expect("a moment in which nothing happens");
        for mut shown in theirs {
            let Some(socket) = ours.get(&shown.cookie) else {
                assert!(matches!(&*shown.state, "TIME-WAIT"), "{shown:?} is not listed");
                continue;
            };
            shown.facts.retain(|name, _| !GOING_ON.contains(&name.as_str()));
            compare(&shown, socket, &mut compared);
        }
    }
    for name in ["rto", "cwnd", "bytes_sent", "bytes_received", "minrtt", "snd_wnd", "users"] {
        assert!(compared.contains(name), "{name} was never compared: {compared:?}");
    }
}

/// By how many descriptors.
fn held(socket: &Value) -> usize {
    let processes = socket["process"].as_array().into_iter().flatten();
    processes.map(|process| process["descriptors"].as_array().map_or(0, Vec::len)).sum()
}

fn by_cookie(sockets: Vec<Value>) -> BTreeMap<u64, Value> {
    sockets.into_iter().map(|socket| (socket["cookie"].as_u64().unwrap(), socket)).collect()
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
by_cookie = {hex(line['cookie']): line for line in lines}
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
    let mut read = || {
        for format in ["json", "jsonl", "csv"] {
            let columns: &[&str] = if format == "csv" { &["--columns", "all"] } else { &[] };
            let text = printed(&[&["-p", "--port", &port, "--format", format], columns].concat());
            fs::write(folder.path().join(format), text).unwrap();
        }
        let mut command = Command::new("python3");
        let command = command.args(["-c", PARSERS]).arg(folder.path()).stdin(Stdio::null());
        command.output().unwrap()
    };
    // A program that another test just starts holds what this one holds for a moment.
    let is_same = |output: &Output| output.stdout == b"same\n";
    let output = (0..20).map(|_| read()).find(is_same).unwrap_or_else(&mut read);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "same\n", "{output:?}");
}
