//! What is sampled, and that it is true.

use serde_json::Value;

use crate::{
    Test, facts, server,
    tool::{hop, run},
};

pub(crate) fn trials() -> Vec<Test> {
    let told = facts().is_some();
    let bytes = facts().is_some_and(|info| info.rx_bytes().is_some());
    let drawn = bytes && facts().is_some_and(|info| info.rtt().is_some());
    vec![
        ("each_moment_of_a_request_is_there", told, each_moment as fn()),
        ("a_brief_request_has_its_moments", told, a_brief_request),
        ("samples_come_at_their_interval_and_count_every_byte", bytes, samples_count),
        ("samples_are_listed_only_when_asked_for", told, samples_when_asked),
        ("the_timeline_is_drawn_below_the_phases", drawn, the_timeline_is_drawn),
        ("a_request_that_fails_has_its_socket", told, a_failed_request),
    ]
}

fn moments(hop: &Value) -> Vec<&str> {
    let moments = hop["socket"]["moments"].as_array().unwrap();
    moments.iter().map(|moment| moment["moment"].as_str().unwrap()).collect()
}

fn each_moment() {
    let hop = hop(&["--demo"]);
    assert_eq!(moments(&hop), ["connect", "tls", "first_byte", "end"]);
    let at: Vec<_> = hop["socket"]["moments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|moment| moment["at_ms"].as_f64().unwrap())
        .collect();
    assert!(at.is_sorted(), "{at:?}");
    // Each right after the phase that it ends.
    let timings = &hop["timings_ms"];
    for (at, mark) in at.iter().zip(["initial_connect", "pretransfer", "starttransfer", "total"]) {
        let mark = timings[mark].as_f64().unwrap();
        assert!((mark - 5.0..mark + 50.0).contains(at), "{at} is not after {mark}");
    }
}

fn a_brief_request() {
    let url = server::local(server::brief);
    let first = hop(&[&url]);
    assert_eq!(moments(&first), ["connect", "first_byte", "end"]);
    let hop = hop(&[&url, "--sample-interval", "off", "-v"]);
    assert_eq!(moments(&hop), ["connect", "first_byte", "end"]);
    let socket = &hop["socket"];
    assert_eq!(socket["samples_taken"], 0);
    assert_eq!(socket["samples"].as_array().unwrap().len(), 0);
    assert!(socket.get("sample_interval_ms").is_none(), "{socket:#}");
    assert_eq!(hop["verdict"]["transfer"]["bound_by"], "unknown");
    assert_eq!(hop["verdict"]["transfer"]["evidence"][0]["measure"], "readings");
}

fn samples_count() {
    let hop = hop(&[&server::local(server::pausing), "--timeline", "--sample-interval", "5"]);
    let samples = hop["socket"]["samples"].as_array().unwrap();
    let total = hop["timings_ms"]["total"].as_f64().unwrap();
    assert_eq!(hop["socket"]["samples_taken"], samples.len());
    // A busy machine makes them fewer; more there cannot be.
    let most = total / 5.0;
    assert!(
        (most / 4.0..=most + 1.0).contains(&(samples.len() as f64)),
        "{} of {most}",
        samples.len()
    );
    let counts = |key: &str| -> Vec<u64> {
        samples.iter().map(|sample| sample[key].as_u64().unwrap()).collect()
    };
    for key in ["rxBytes", "readBytes"] {
        assert!(counts(key).is_sorted(), "{key}");
    }
    let end = hop["socket"]["moments"].as_array().unwrap().last().unwrap();
    let report = &hop["connection"];
    assert_eq!(end["readBytes"], report["rxBytes"]);
    assert!(end["rxBytes"].as_u64().unwrap() >= 1_000_000);
}

fn samples_when_asked() {
    let url = server::local(server::trickling);
    assert!(hop(&[&url])["socket"].get("samples").is_none());
    for option in ["--timeline", "-v"] {
        assert!(!hop(&[&url, option])["socket"]["samples"].as_array().unwrap().is_empty());
    }
}

fn the_timeline_is_drawn() {
    let url = server::local(server::pausing);
    let plain = run(&[&url]).stdout;
    assert!(plain.contains("\nVerdict\nContent transfer took "), "{plain}");
    assert!(!plain.contains('▁'), "{plain}");
    let run = run(&[&url, "--timeline"]);
    let rows: Vec<_> = run.stdout.lines().filter(|line| line.contains('▁')).collect();
    for title in ["Received", "Round-trip time"] {
        assert!(run.stdout.contains(title), "{title} is not in\n{}", run.stdout);
    }
    assert!(rows.len() >= 2, "{run:?}");
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // Ten bursts show as so many peaks, or some fewer where two fall together.
    let received = rows.iter().find(|row| row.starts_with("Received")).unwrap();
    let high = |c: char| "▄▅▆▇█".contains(c);
    let course: Vec<_> = received.chars().skip(31).map(high).collect();
    let peaks = course.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    assert!((3..=10).contains(&peaks), "{peaks} in {received}");
}

fn a_failed_request() {
    let url = server::local(|mut request| request.head(1_000_000));
    let (run, value) = crate::tool::run_json(&[&url, "--timeline"]);
    assert_eq!(run.code, 18, "{run:?}");
    let moments = moments(&value["hops"][0]);
    assert_eq!(moments, ["connect", "first_byte", "end"]);
}
