//! Exchanges that succeed: what is sent, what is measured, where the body goes.

use std::{
    fs,
    io::Write as _,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hyper::{Response, StatusCode, body::Bytes};
use serde_json::Value;

use crate::{
    once::once,
    server,
    tool::{Run, command, hop, run, run_json},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn phases_add_up_and_marks_ascend() {
    let url = format!("http://{}/", server::canned(OK));
    let hop = hop(&[&url]);
    let timings = hop["timings_ms"].as_object().unwrap();
    let time = |key: &str| timings[key].as_f64().unwrap();
    let sum: f64 = ["connect", "send", "server", "transfer"].into_iter().map(time).sum();
    assert!((sum - time("total")).abs() < 1e-6, "{timings:?}");
    let marks = ["initial_connect", "pretransfer", "starttransfer", "total"].map(time);
    assert!(marks.is_sorted() && marks[0] > 0.0, "{timings:?}");
}

#[test]
fn phases_that_did_not_happen_have_no_key() {
    let url = format!("http://{}/", server::canned(OK));
    let timings = hop(&[&url])["timings_ms"].take();
    for key in ["dns", "namelookup", "tls"] {
        assert_eq!(timings.get(key), None);
    }
}

#[test]
fn a_name_lookup_is_a_phase() {
    let url = format!("http://localhost:{}/", server::canned(OK).port());
    let timings = hop(&["-4", &url])["timings_ms"].take();
    assert!(timings["dns"].as_f64().unwrap() > 0.0);
    assert_eq!(timings["dns"], timings["namelookup"]);
}

/// The time shown lies between what the server's own clock says and what passed around the command.
#[test]
fn a_slow_server_shows_as_server_processing() {
    once(|| {
        const DELAY: Duration = Duration::from_millis(200);
        let (clock, intervals) = mpsc::sync_channel(1);
        let address = server::raw(move |mut stream| {
            server::read_head(&mut stream);
            let received = Instant::now();
            thread::sleep(DELAY);
            clock.send(received.elapsed()).unwrap();
            stream.write_all(OK.as_bytes()).unwrap();
        });
        let begun = Instant::now();
        let timings = hop(&[&format!("http://{address}/")])["timings_ms"].take();
        let around = begun.elapsed();
        let time = |key: &str| Duration::from_secs_f64(timings[key].as_f64().unwrap() / 1e3);
        let within = intervals.recv().unwrap();
        assert!(within >= DELAY);
        assert!((within..=around).contains(&time("server")), "{within:?} {timings} {around:?}");
        assert!(time("server") > time("total") / 2, "{timings}");
    });
}

#[test]
fn a_slow_body_shows_as_content_transfer() {
    once(|| {
        let address = server::raw(|mut stream| {
            server::read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").unwrap();
            thread::sleep(Duration::from_millis(200));
            stream.write_all(b"llo").unwrap();
        });
        let timings = hop(&[&format!("http://{address}/")])["timings_ms"].take();
        assert!(timings["transfer"].as_f64().unwrap() >= 100.0, "{timings}");
    });
}

#[test]
fn a_plain_request_says_who_asks_and_no_more() {
    let (address, requests) = server::recording();
    assert_eq!(run(&[&format!("http://{address}/path?query#fragment")]).code, 0);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /path?query HTTP/1.1\r\nhost: {address}\r\nuser-agent: httpstat/{version}\r\n\
         accept: */*\r\n\r\n"
    );
    assert_eq!(requests.recv().unwrap(), expected);
}

#[test]
fn data_makes_a_post_of_a_form() {
    let (address, requests) = server::recording();
    let url = format!("http://{address}/");
    let hop = hop(&[&url, "-d", "a=1", "-d", "b=2"]);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
    assert!(request.contains("\r\ncontent-length: 7\r\n"));
    assert!(request.ends_with("\r\n\r\na=1&b=2"), "{request}");
    assert!(hop["speed"]["upload_bytes_per_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn data_from_a_file_is_sent_byte_for_byte() {
    let (address, requests) = server::recording();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let content = "line\r\nline\n\t=&\n".repeat(10_000);
    file.write_all(content.as_bytes()).unwrap();
    let data = format!("@{}", file.path().display());
    let arguments = ["-X", "PUT", "-H", "Content-Type: text/plain", "-d", &data];
    let run = run(&[&[format!("http://{address}/").as_str()], arguments.as_slice()].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let request = requests.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/plain"), "{head}");
    assert!(body == content);
}

#[test]
fn headers_can_be_added_replaced_and_omitted() {
    let (address, requests) = server::recording();
    let url = format!("http://{address}/");
    run(&[&url, "-H", "Host: example.com", "-H", "X-Empty;", "-H", "Accept:", "-H", "X-A: 1"]);
    let request = requests.recv().unwrap();
    assert!(request.contains("\r\nhost: example.com\r\n"), "{request}");
    assert!(request.contains("\r\nx-empty: \r\n"), "{request}");
    assert!(request.contains("\r\nx-a: 1\r\n"), "{request}");
    assert!(!request.contains("accept"), "{request}");
}

#[test]
fn credentials_in_the_url_are_sent_but_never_shown() {
    let (address, requests) = server::recording();
    let url = format!("http://Aladdin:open%20sesame@{address}/");
    let runs = [run(&[&url, "-v"]), run(&[&url, "--format", "json"])];
    for run in runs {
        let request = requests.recv().unwrap();
        let expected = "\r\nauthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert!(request.contains(expected), "{request}");
        for secret in ["sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
            assert!(!run.stdout.contains(secret), "{run:?}");
        }
    }
}

#[test]
fn asking_for_the_header_waits_for_no_body() {
    let address = server::raw(|mut stream| {
        let head = server::read_head(&mut stream);
        assert!(head.starts_with("HEAD /"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        // Keeps the connection open until the client leaves.
        server::read_head(&mut stream);
    });
    let hop = hop(&["-I", &format!("http://{address}/")]);
    assert_eq!(hop["request"]["method"], "HEAD");
    assert_eq!(hop["response"]["body_bytes"], 0);
}

#[test]
fn any_status_is_a_complete_exchange() {
    for status in [204, 301, 404, 500, 599] {
        let (address, _) = server::site(None, move |_| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        let hop = hop(&[&format!("http://{address}/")]);
        assert_eq!(hop["response"]["status_code"], status);
    }
}

#[test]
fn repeated_headers_and_the_servers_own_words_are_kept() {
    let response = "HTTP/1.0 299 Quite Fine\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\nuntil the end";
    let hop = hop(&[&format!("http://{}/", server::canned(response))]);
    let response = &hop["response"];
    assert_eq!(response["status_line"], "HTTP/1.0 299 Quite Fine");
    assert_eq!(response["http_version"], "HTTP/1.0");
    let headers: Vec<(String, String)> =
        serde_json::from_value(response["headers"].clone()).unwrap();
    let repeated: Vec<_> =
        headers.iter().filter(|(name, _)| name == "x-a").map(|(_, value)| value).collect();
    assert_eq!(repeated, ["1", "3"]);
    assert_eq!(response["body_bytes"], "until the end".len());
}

#[test]
fn a_chunked_body_is_counted_without_its_framing() {
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
    let hop = hop(&[&format!("http://{}/", server::canned(response))]);
    assert_eq!(hop["response"]["body_bytes"], 12);
}

#[test]
fn bytes_on_the_connection_are_those_the_server_counted() {
    let body = Bytes::from(vec![b'x'; 3_000_000]);
    let (address, counts) = server::site(None, move |_| Response::new(body.clone()));
    let hop = hop(&[&format!("http://{address}/"), "-d", "some data"]);
    let counts = counts.recv().unwrap();
    assert_eq!(hop["response"]["body_bytes"], 3_000_000);
    assert_eq!(hop["connection"]["txBytes"], counts.received);
    assert_eq!(hop["connection"]["rxBytes"], counts.sent);
    if cfg!(target_os = "linux") {
        let info = &hop["connection"]["closedInfo"];
        assert_eq!(info["txBytes"], counts.received, "{info:#}");
        // Linux counts the server's FIN as a byte, if it was there before the socket closed.
        let received = info["rxBytes"].as_u64().unwrap();
        assert!((counts.sent..=counts.sent + 1).contains(&received), "{info:#}");
        assert_eq!(hop["connection"]["openedInfo"]["state"], "ESTABLISHED");
    }
}

#[test]
fn an_answer_without_body_ends_with_its_head() {
    for status in ["204 No Content", "304 Not Modified"] {
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello");
        let hop = hop(&[&format!("http://{}/", server::canned(response))]);
        assert_eq!(hop["response"]["body_bytes"], 0);
    }
}

#[test]
fn an_early_answer_to_a_large_upload_is_shown() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").unwrap();
        // Keeps the connection open until the client leaves.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8 << 20).unwrap();
    let hop = hop(&[&format!("http://{address}/"), "-d", &format!("@{}", file.path().display())]);
    assert_eq!(hop["response"]["status_code"], 413);
}

#[test]
fn a_saved_body_is_the_body() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let body: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let served = Bytes::from(body.clone());
    let (address, _) = server::site(None, move |_| Response::new(served.clone()));
    let url = format!("http://{address}/");
    let run = run(&[&url, "-o", path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("1,000,000 B saved to"), "{run:?}");
    assert!(fs::read(&path).unwrap() == body);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_body_on_the_standard_output_stands_there_alone() {
    let url = format!("http://{}/", server::canned(OK));
    let pretty = run(&[&url, "-o", "-"]);
    assert_eq!(pretty.stdout, "hello");
    assert!(pretty.stderr.contains("200 OK"), "{pretty:?}");
    let json = run(&[&url, "-o", "-", "--format", "jsonl"]);
    assert_eq!(json.stdout, "hello");
    assert_eq!(serde_json::from_str::<Value>(&json.stderr).unwrap()["ok"], true);
}

#[test]
fn the_body_on_the_standard_output_arrives_while_it_is_received() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = server::raw(move |mut stream| {
        server::read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1").unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"2").unwrap();
    });
    let mut child = command(&[&format!("http://{address}/"), "-o", "-"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(first, *b"1");
    go_on.send(()).unwrap();
    let rest = Run::from(child.wait_with_output().unwrap());
    assert_eq!((rest.stdout.as_str(), rest.code), ("2", 0));
}

#[test]
fn the_demonstration_needs_nothing() {
    once(|| {
        let (run, value) = run_json(&["--demo"]);
        assert_eq!(run.code, 0);
        let hop = &value["hops"][0];
        assert_eq!(hop["response"]["status_code"], 200);
        assert_eq!(hop["response"]["body_bytes"], 1024 * 1024);
        assert_eq!(hop["tls"]["alpn"], "h2");
        assert!(hop["timings_ms"]["server"].as_f64().unwrap() >= 40.0);
    });
}

#[test]
fn the_demonstration_answers_head_without_a_body() {
    for version in ["--http2", "--http1.1"] {
        let (run, value) = run_json(&["--demo", "-I", version]);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(value["hops"][0]["response"]["body_bytes"], 0);
    }
}

#[test]
fn the_demonstration_asks_no_proxy_of_the_environment() {
    let proxy = "http://127.0.0.1:1";
    let output = command(&["--demo"]).env("https_proxy", proxy).output().unwrap();
    assert_eq!(Run::from(output).code, 0);
    assert_eq!(run(&["--demo", "--proxy", proxy]).code, 7);
}
