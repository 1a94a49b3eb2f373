//! The forms in which sockets are written.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    scene::Scene,
    tool::{check, check_as, command, printed, run, sockets},
};

/// Without what is left of an earlier test that had the same port.
const ALIVE: &str = "exclude time-wait";

/// What does not change between two looks at a connection on which nothing happens.
const STEADY: &[&str] =
    &["localAddr", "remoteAddr", "state", "cookie", "inode", "uid", "queues", "options"];

#[test]
fn json_and_jsonl_are_the_same_objects() {
    let scene = Scene::new(3);
    let port = scene.port();
    let array = check_as(
        "connections",
        &printed(&["-a", "--port", &port, "--format", "json", "--process", ALIVE]),
    );
    let array = array.as_array().unwrap();
    assert_eq!(array.len(), 7);
    let lines = sockets(&["list", "-a", "--port", &port, ALIVE]);
    let by_cookie = |sockets: &[Value]| -> BTreeMap<u64, Vec<Value>> {
        let steady = |socket: &Value| STEADY.iter().map(|key| socket[key].clone()).collect();
        sockets.iter().map(|one| (one["cookie"].as_u64().unwrap(), steady(one))).collect()
    };
    assert_eq!(by_cookie(array), by_cookie(&lines));
}

#[test]
fn no_sockets_are_an_empty_array_and_no_lines() {
    let nobody = ["dst", "=", "192.0.2.1:9"];
    let shown = |arguments: &[&str]| printed(&[arguments, &nobody].concat());
    assert_eq!(shown(&["--format", "json"]), "[]\n");
    check_as("connections", "[]");
    let sums = check_as("summary", &shown(&["--summary", "--format", "jsonl"]));
    assert_eq!((&sums["sockets"], &sums["rtt"]), (&0.into(), &Value::Null));
    // Of the whole machine, in whatever states its sockets are.
    check_as("summary", &printed(&["--summary", "--format", "json"]));
    assert_eq!(shown(&["--format", "jsonl"]), "");
    assert_eq!(shown(&["--format", "csv", "--columns", "rtt,local"]), "rtt_ns,local\n");
    assert_eq!(shown(&["--columns", "rtt,local"]), "RTT  LOCAL\n");
    assert_eq!(shown(&["-H"]), "");
    assert_eq!(shown(&["-i"]), "");
}

#[test]
fn numbers_are_what_the_descriptor_tells() {
    let mut scene = Scene::new(1);
    scene.talk(100_000);
    let port = scene.port();
    let columns = "local,cookie,bytes_sent,bytes_received,total_retrans,rtt,snd_mss,inode";
    let text = printed(&["--port", &port, "--format", "csv", "--columns", columns]);
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("local,cookie,bytes_sent,bytes_received,total_retrans,rtt_ns,snd_mss,inode")
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2);
    for stream in [&scene.clients[0], &scene.servers[0]] {
        let info = tcpinfo::TcpInfo::read(stream).unwrap();
        let local = stream.local_addr().unwrap().to_string();
        let row = rows.iter().find(|row| row[0] == local).unwrap();
        assert_eq!(row[1], format!("{:#x}", tcpinfo::cookie(stream).unwrap()));
        assert_eq!(row[2], info.tx_bytes().unwrap().to_string());
        assert_eq!(row[3], info.rx_bytes().unwrap().to_string());
        assert_eq!(row[4], info.retransmitted_segs().unwrap().to_string());
        assert_eq!(row[5], info.rtt().unwrap().as_nanos().to_string());
        assert_eq!(row[6], info.tx_mss().unwrap().to_string());
    }
    assert!(rows.iter().any(|row| row[2] == "100000"));
    assert!(rows.iter().any(|row| row[2] == "0"), "a true zero is shown");
}

#[test]
fn absent_is_shown_as_such_and_never_as_zero() {
    let scene = Scene::new(0);
    let port = scene.port();
    let columns = ["--columns", "state,rtt,total_retrans,remote,snd_cwnd"];
    let listed = |format| {
        printed(&[&["-l", "-H", "--port", &port, "--format", format], &columns[..]].concat())
    };
    assert_eq!(listed("table"), "LISTEN  -  -  -  10\n");
    assert_eq!(listed("csv"), "LISTEN,,,,10\n");
    let socket = &sockets(&["-l", "--port", &port])[0];
    assert!(socket["info"].get("rtt").is_none() && socket["info"].get("retransmits").is_none());
    assert_eq!(socket["remoteAddr"], "0.0.0.0:*");
}

#[test]
fn the_long_view_has_every_field() {
    let mut scene = Scene::new(1);
    scene.talk(5_000);
    let text = printed(&["-i", "dport", "=", &format!(":{}", scene.port())]);
    let info = tcpinfo::read_native(&scene.clients[0]).unwrap();
    let tcpinfo::native::Native::Linux(info) = info else { panic!() };
    for (field, reading) in info.fields() {
        // The state comes first, and a connection has no queue of connections.
        if field.name == "state" || field.name.starts_with("accept_queue") {
            continue;
        }
        let name = format!(" {}:", field.name);
        assert_eq!(text.contains(&name), !reading.is_absent(), "{} in {text}", field.name);
    }
    for name in ["cookie:", "inode:", "congestion:", "skmem:(", "shutdown:no", "bytes_sent:5000 "] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(text.contains(" total_retrans:0 "), "a true zero is shown: {text}");
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    let local = scene.clients[0].local_addr().unwrap();
    assert!(first.starts_with(&format!("ESTABLISHED {local} ")), "{first}");
    assert!(lines.all(|line| line.starts_with("    ") && !line.ends_with(' ')), "{text}");
}

#[test]
fn every_column_can_be_shown() {
    let mut scene = Scene::new(1);
    scene.talk(10);
    let port = scene.port();
    let help = printed(&["--columns", "help"]);
    let names: Vec<_> = help.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 110, "{}", names.len());
    let text = printed(&["-a", "--port", &port, "--columns", "all", "--format", "csv", ALIVE]);
    let mut lines = text.lines();
    let heading: Vec<_> = lines.next().unwrap().split(',').collect();
    assert_eq!(heading.len(), names.len());
    for (shown, name) in heading.iter().zip(&names) {
        assert_eq!(shown.strip_suffix("_ns").unwrap_or(shown), *name);
    }
    assert_eq!(lines.count(), 3);
}

#[test]
fn sockets_are_in_the_order_that_is_asked_for() {
    let mut scene = Scene::new(12);
    for sent in 0..12 {
        use std::io::Write as _;
        scene.clients[sent].write_all(&vec![0; 100 * (sent * 7 % 12)]).unwrap();
    }
    let port = scene.port();
    let order = |sort: &str, more: &[&str]| -> Vec<String> {
        let arguments = ["--remote-port", &port, "-H", "--columns", "bytes_sent", "--sort", sort];
        let text = printed(&[&arguments, more].concat());
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    let up: Vec<_> = (0..12).map(|sent| (100 * sent).to_string()).collect();
    let down: Vec<_> = up.iter().rev().cloned().collect();
    assert_eq!(order("bytes_sent", &[]), up);
    assert_eq!(order("-bytes_sent", &[]), down);
    assert_eq!(order("-bytes_sent", &["--limit", "3"]), down[..3]);
    assert_eq!(order("-bytes_sent", &["--limit", "3", "--format", "csv"]), down[..3]);
    assert_eq!(order("-bytes_sent", &["--limit", "0"]), [""; 0]);
    let arguments = ["--port", &port, "-a", "-H", "--columns", "state", "--sort"];
    for sort in ["rtt", "-rtt"] {
        let text = printed(&[&arguments[..], &[sort]].concat());
        assert_eq!(text.lines().last(), Some("LISTEN"), "what has none comes last");
    }
}

#[test]
fn a_limit_is_kept() {
    let scene = Scene::new(5);
    let port = scene.port();
    for (limit, count) in [("0", 0), ("1", 1), ("7", 7), ("99", 10)] {
        assert_eq!(sockets(&["--port", &port, "--limit", limit]).len(), count);
        let text = printed(&["--port", &port, "--limit", limit, "-H"]);
        assert_eq!(text.lines().count(), count);
    }
}

#[test]
fn a_summary_counts() {
    let mut scene = Scene::new(4);
    scene.talk(1_000);
    let port = scene.port();
    let text = printed(&["--summary", "--format", "json", "--port", &port, ALIVE]);
    let summary = check_as("summary", &text);
    assert_eq!(summary["sockets"], 9);
    assert_eq!(summary["states"]["ESTABLISHED"], 8);
    assert_eq!(summary["states"]["LISTEN"], 1);
    assert_eq!(summary["families"]["IPv4"], 9);
    assert_eq!(summary["connections"]["count"], 8);
    assert_eq!(summary["connections"]["txBytes"], 1_000);
    let algorithms = summary["congestion"].as_object().unwrap();
    assert_eq!(algorithms.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 8);
    let rtt = &summary["rtt"];
    assert!(
        rtt["min"].as_u64() <= rtt["p50"].as_u64() && rtt["p50"].as_u64() <= rtt["max"].as_u64()
    );
    let text = printed(&["-s", "--port", &port, ALIVE]);
    assert!(text.contains("8 ESTABLISHED, 1 LISTEN"), "{text}");
}

/// More than a pipe holds.
#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let scene = Scene::new(200);
    let port = scene.port();
    for form in [&["-i"][..], &["--format", "json"], &["--format", "jsonl"]] {
        let mut command = command(&[&["--port", &port], form].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{form:?}");
        assert_eq!(output.stderr, b"", "{form:?}");
    }
}

#[test]
fn colours_are_for_who_wants_them() {
    let scene = Scene::new(1);
    let port = scene.port();
    assert!(!printed(&["--port", &port]).contains('\x1b'));
    let coloured = printed(&["--port", &port, "--color", "always"]);
    assert!(coloured.contains("\x1b[32mESTABLISHED\x1b[0m"), "{coloured:?}");
    let plain = printed(&["--port", &port, "--color", "never", "--columns", "state,local"]);
    let coloured = printed(&["--port", &port, "--color", "always", "--columns", "state,local"]);
    let stripped: String = strip(&coloured);
    assert_eq!(sorted(&stripped), sorted(&plain));
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Without what is between an escape and the letter that ends it.
fn strip(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = behind.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[test]
fn a_full_device_is_said() {
    let scene = Scene::new(1);
    let port = scene.port();
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    for format in ["table", "long", "json", "jsonl", "csv"] {
        let mut command = command(&["--port", &port, "--format", format]);
        let output = command.stdout(full.try_clone().unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            text,
            "conniver: cannot write to the standard output: No space left on device; the list is not \
             complete\n"
        );
    }
    assert_eq!(run(&["--port", &port]).code, 0);
}

/// In a file that may not grow any more, nothing follows what was cut off.
#[test]
#[cfg(target_os = "linux")]
fn a_list_that_is_cut_off_is_said() {
    use std::os::unix::process::CommandExt as _;

    const MOST: u64 = 10_000;
    let scene = Scene::new(20);
    let port = scene.port();
    let whole = printed(&["--port", &port, "--format", "jsonl"]);
    assert!(whole.len() as u64 > 2 * MOST, "{}", whole.len());
    let mut file = tempfile::tempfile().unwrap();
    let mut command = command(&["--port", &port, "--format", "jsonl"]);
    let limit_size = || {
        let limit = libc::rlimit { rlim_cur: MOST, rlim_max: MOST };
        // SAFETY: the kernel reads the structure that it is given.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: nothing is called between but the one above, which may be.
    unsafe { command.pre_exec(limit_size) };
    let output = command.stdout(file.try_clone().unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "conniver: cannot write to the standard output: File too large; the list is not complete\n"
    );
    let mut kept = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_string(&mut file, &mut kept).unwrap();
    assert_eq!(kept.len() as u64, MOST);
    let lines: Vec<_> = kept.split_inclusive('\n').collect();
    let (last, lines) = lines.split_last().unwrap();
    assert!(lines.len() > 2 && !last.ends_with('\n'));
    lines.iter().for_each(|line| drop(check(line)));
}
