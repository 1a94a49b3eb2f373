//! Redirects as a sequence of requests.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    server::{canned, raw, read_head},
    tool::{run, run_json},
};

/// Answers each path with what `respond` makes of it, and shows the requests.
fn site(
    respond: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (SocketAddr, Receiver<String>) {
    let (sender, requests) = channel();
    let address = raw(move |mut stream| {
        let mut request = read_head(&mut stream);
        let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        let path = request.split(' ').nth(1).unwrap_or_default();
        let response = respond(path);
        // Known before it can be asked for.
        let _ = sender.send(request);
        let _ = stream.write_all(response.as_bytes());
    });
    (address, requests)
}

fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\nthis")
}

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthat";

fn statuses(run: &Value) -> Vec<u64> {
    let hops = run["hops"].as_array().unwrap();
    hops.iter().map(|hop| hop["response"]["status_code"].as_u64().unwrap()).collect()
}

#[test]
fn each_hop_is_timed_with_a_socket_of_its_own() {
    let (address, requests) = site(|path| match path {
        "/a" => to(302, "b?c=d"),
        "/b?c=d" => to(307, "/e"),
        _ => FINE.to_owned(),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let url = format!("http://{address}/a");
    let (_, run) = run_json(&[&url, "-L", "-o", file.to_str().unwrap()]);
    assert_eq!(statuses(&run), [302, 307, 200], "{run:#}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "that");
    let hops = run["hops"].as_array().unwrap();
    let mut ports: Vec<_> = hops.iter().map(|hop| hop["connection"]["localAddr"].clone()).collect();
    ports.dedup();
    assert_eq!(ports.len(), 3, "{run:#}");
    assert!(hops.iter().all(|hop| hop["timings_ms"]["total"].as_f64().unwrap() > 0.0));
    assert_eq!(run["url"], url);
    assert_eq!(hops[2]["request"]["url"], format!("http://{address}/e"));
    assert_eq!(requests.try_iter().count(), 3);
}

#[test]
fn all_hops_have_a_total() {
    let (address, _) = site(|path| {
        thread::sleep(Duration::from_millis(30));
        match path {
            "/a" => to(302, "b"),
            "/b" => to(302, "c"),
            _ => FINE.to_owned(),
        }
    });
    let url = format!("http://{address}/a");
    let started = Instant::now();
    let (_, run) = run_json(&[&url, "-L"]);
    let outside = started.elapsed().as_secs_f64() * 1e3;
    let together = &run["together"];
    assert_eq!(together["requests"], 3);
    let mut names: Vec<_> = together["timings_ms"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["connect", "send", "server", "total", "transfer"]);
    for name in names {
        let hops = run["hops"].as_array().unwrap().iter();
        let sum: f64 = hops.map(|hop| hop["timings_ms"][name].as_f64().unwrap()).sum();
        let told = together["timings_ms"][name].as_f64().unwrap();
        assert!((told - sum).abs() < 1e-6, "{name} in {run:#}");
    }
    let (sum, elapsed) = (&together["timings_ms"]["total"], &together["elapsed_ms"]);
    let (sum, elapsed) = (sum.as_f64().unwrap(), elapsed.as_f64().unwrap());
    assert!(90.0 <= sum && sum <= elapsed && elapsed <= outside, "{sum} {elapsed} {outside}");

    let (_, alone) = run_json(&[&format!("http://{address}/c"), "-L"]);
    let (together, hop) = (&alone["together"], &alone["hops"][0]);
    assert_eq!(together["requests"], 1);
    assert_eq!(together["elapsed_ms"], hop["timings_ms"]["total"]);
    let (nothing, value) = run_json(&["ftp://127.0.0.1/"]);
    assert_eq!((nothing.code, value.get("together")), (3, None));
}

#[test]
fn a_redirect_is_shown_and_not_followed_unless_asked() {
    let (address, requests) = site(|_| to(301, "/elsewhere"));
    let (_, run) = run_json(&[&format!("http://{address}/")]);
    assert_eq!(statuses(&run), [301]);
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn not_modified_is_no_redirect() {
    let (address, _) = site(|_| "HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n".to_owned());
    let (_, run) = run_json(&[&format!("http://{address}/"), "-L"]);
    assert_eq!(statuses(&run), [304]);
}

#[test]
fn secrets_stay_at_their_origin() {
    let (other, seen_there) = site(|_| FINE.to_owned());
    let (address, seen_here) = site(move |path| match path {
        "/a" => to(302, "/b"),
        _ => to(302, &format!("http://{other}/")),
    });
    let url = format!("http://me:secret@{address}/a");
    let options = ["-L", "-H", "Cookie: c=1", "-H", "Host: name.example", "-H", "X-Kept: yes"];
    let (run, _) = run_json(&[&[url.as_str()], options.as_slice()].concat());
    let here: Vec<_> = seen_here.try_iter().collect();
    assert_eq!(here.len(), 2);
    for request in here {
        for name in ["authorization: Basic ", "cookie: c=1", "host: name.example"] {
            assert!(request.contains(name), "{request}");
        }
    }
    let there = seen_there.recv().unwrap();
    for name in ["authorization", "cookie", "name.example"] {
        assert!(!there.contains(name), "{there}");
    }
    assert!(there.contains("x-kept: yes"), "{there}");
    assert!(!run.stdout.contains("secret"), "{run:?}");
}

#[test]
fn a_body_is_sent_again_where_the_method_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    std::fs::write(&file, "from a file").unwrap();
    let data = format!("@{}", file.display());
    for (status, method, body) in [(308, "POST", "from a file"), (302, "GET", "")] {
        let (address, requests) = site(move |path| match path {
            "/" => to(status, "/next"),
            _ => FINE.to_owned(),
        });
        run_json(&[&format!("http://{address}/"), "-L", "-d", &data]);
        let request = requests.try_iter().nth(1).unwrap();
        assert!(request.starts_with(&format!("{method} /next HTTP/1.1")), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
        assert_eq!(request.contains("content-type"), !body.is_empty(), "{request}");
    }
}

#[test]
fn circles_and_endless_ways_end_with_what_is_known() {
    let (address, _) = site(|path| to(302, if path == "/a" { "/b" } else { "/a" }));
    let (run, circle) = run_json(&[&format!("http://{address}/a"), "-L"]);
    assert_eq!((run.code, statuses(&circle).len()), (47, 2), "{run:?}");
    assert!(run.complaint().contains("in a circle"), "{run:?}");

    let (address, _) = site(|path| to(302, &format!("{path}x")));
    let url = format!("http://{address}/");
    for (options, hops) in [(&[][..], 11), (&["--max-redirs", "2"][..], 3)] {
        let (run, endless) = run_json(&[&[url.as_str(), "-L"], options].concat());
        assert_eq!((run.code, statuses(&endless).len()), (47, hops), "{run:?}");
        assert!(run.complaint().contains("--max-redirs"), "{run:?}");
    }
}

#[test]
fn a_redirect_to_a_file_is_refused() {
    for location in ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[", "data:,x"] {
        let address = canned(to(302, location));
        let (run, _) = run_json(&[&format!("http://{address}/"), "-L"]);
        assert_eq!(run.code, 47, "{run:?}");
        assert!(run.complaint().contains(location), "{run:?}");
    }
}

#[test]
fn a_failure_on_the_way_leaves_no_file_and_shows_the_hops() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let (address, _) = site(|path| match path {
        "/" => to(302, "/cut"),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart".to_owned(),
    });
    let url = format!("http://{address}/");
    let run = run(&[&url, "-L", "-o", file.to_str().unwrap()]);
    assert_eq!(run.code, 18, "{run:?}");
    assert!(run.stdout.contains("302 Moved") && run.stdout.contains("200 OK"), "{run:?}");
    assert!(run.stdout.contains("body: 4 B discarded"), "{run:?}");
    assert_eq!(run.stdout.matches("\n2 requests took ").count(), 1, "{run:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_endless_body_of_a_redirect_is_not_waited_for() {
    let address = raw(|mut stream| {
        let request = read_head(&mut stream);
        let first = request.starts_with("GET / ");
        let head = if first { "HTTP/1.1 302 Moved\r\nLocation: /end\r\n\r\n" } else { FINE };
        stream.write_all(head.as_bytes()).unwrap();
        while first && stream.write_all(&[b'.'; 65536]).is_ok() {}
    });
    let (_, run) = run_json(&[&format!("http://{address}/"), "-L", "--max-time", "20"]);
    assert_eq!(statuses(&run), [302, 200], "{run:#}");
}
