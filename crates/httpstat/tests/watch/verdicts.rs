//! Verdicts about real connections on loopback, each with a cause that is known.

use std::{fs::File, io::Read as _, process::Stdio, thread, time::Duration};

use serde_json::Value;

use crate::{
    Test, facts, has,
    once::once,
    server,
    tool::{command, hop, run},
};

pub(crate) fn trials() -> Vec<Test> {
    let info = facts();
    let told = |of: fn(&tcpinfo::TcpInfo) -> bool| info.as_ref().is_some_and(of);
    let bytes = told(|info| info.rx_bytes().is_some());
    let segments = told(|info| info.rx_data_segs().is_some());
    let window =
        told(|info| info.rx_window().is_some()) && cfg!(unix) && has("mkfifo", "--version");
    let limits = told(|info| info.peer_window_limited().is_some());
    vec![
        ("a_server_that_pauses_binds_the_download", bytes, a_server_that_pauses as fn()),
        ("a_server_that_trickles_binds_the_download", segments, a_server_that_trickles),
        ("a_reader_that_is_slow_binds_the_download", window, a_slow_reader),
        ("a_server_that_does_not_read_binds_the_upload", limits, a_reluctant_server),
        ("waiting_for_room_is_no_work_of_the_server", limits, a_small_upload),
        ("nothing_is_said_of_a_few_bytes", true, nothing_is_said_of_a_few_bytes),
    ]
}

/// What a finding says, and one of its numbers.
pub(crate) fn finding(hop: &Value, direction: &str, measure: &str) -> (String, Option<f64>) {
    let finding = &hop["verdict"][direction];
    let evidence = finding["evidence"].as_array().unwrap();
    let found = evidence.iter().find(|evidence| evidence["measure"] == measure);
    let bound = finding["bound_by"].as_str().unwrap().to_owned();
    (bound, found.and_then(|evidence| evidence["value"].as_f64()))
}

fn a_server_that_pauses() {
    once(pauses);
}

fn pauses() {
    let hop = hop(&[&server::local(server::pausing)]);
    let (bound, share) = finding(&hop, "transfer", "starved_share");
    assert_eq!(bound, "server", "{:#}", hop["verdict"]);
    assert!(share.unwrap() > 0.5);
    assert_eq!(hop["verdict"]["dominant_phase"], "transfer");
}

fn a_server_that_trickles() {
    once(trickles);
}

fn trickles() {
    let hop = hop(&[&server::local(server::trickling)]);
    let (bound, _) = finding(&hop, "transfer", "mean_segment_bytes");
    assert_eq!(bound, "server", "{:#}", hop["verdict"]);
}

/// Through a pipe whose reader takes a little at a time, until it has seen enough of that.
fn a_slow_reader() {
    once(reads_slowly);
}

fn reads_slowly() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let url = server::local(server::generous);
    let arguments = [&url, "-o", pipe.to_str().unwrap(), "--format", "json", "--timeline"];
    let child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = File::open(&pipe).unwrap();
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..40 {
        let _ = reader.read(&mut buffer).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    let value: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let hop = &value["hops"][0];
    assert_eq!(hop["response"]["body_bytes"], server::GENEROUS);
    let (bound, share) = finding(hop, "transfer", "window_closed_share");
    assert_eq!(bound, "receive_window", "{:#}", hop["verdict"]);
    assert!(share.unwrap() >= 0.5);
}

fn a_reluctant_server() {
    once(does_not_read);
}

fn does_not_read() {
    let mut body = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut body, &vec![b'x'; 16 << 20]).unwrap();
    let data = format!("@{}", body.path().display());
    let hop = hop(&[&server::local(server::reluctant), "-d", &data]);
    let (bound, share) = finding(&hop, "upload", "peer_window_limited_share");
    assert_eq!(bound, "peer_window", "{:#}", hop["verdict"]);
    assert!(share.unwrap() >= 0.5);
}

fn a_small_upload() {
    once(waits_for_room);
}

/// The send buffer takes all of it at once, the window of the server does not.
fn waits_for_room() {
    let data = "x".repeat(100_000);
    let arguments = [&server::local(server::reluctant), "-d", &data, "-d", &data, "-d", &data];
    let hop = hop(&arguments);
    let (bound, _) = finding(&hop, "upload", "peer_window_limited_share");
    let verdict = &hop["verdict"];
    assert_eq!((bound.as_str(), &verdict["dominant_phase"]), ("peer_window", &"server".into()));
    let server = hop["timings_ms"]["server"].as_f64().unwrap();
    let sending = verdict["still_sending_ms"].as_f64().unwrap();
    assert!(server * 0.9 <= sending && sending <= server, "{sending} of {server}");
    let shown = run(&arguments).stdout.replace("\n  ", " ");
    assert!(shown.contains("of it the request was still on its way."), "{shown}");
}

fn nothing_is_said_of_a_few_bytes() {
    once(says_nothing);
}

fn says_nothing() {
    let shown = run(&[&server::local(server::brief), "-d", "x"]).stdout;
    assert!(shown.contains("\nVerdict\n"), "{shown}");
    assert!(!shown.contains("Download:") && !shown.contains("Upload:"), "{shown}");
}
