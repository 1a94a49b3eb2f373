//! Bodies that are coded, what comes before and after them, and what the server says of its time.

use std::{
    fs,
    io::{Read as _, Write as _},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    once::once,
    server,
    tool::{hop, run, run_json},
};

/// The same text as coded by gzip, zlib, brotli and zstd themselves.
const SAMPLES: [(&str, &[u8]); 5] = [
    ("gzip", include_bytes!("coded/text.gz")),
    ("deflate", include_bytes!("coded/text.zlib")),
    ("deflate", include_bytes!("coded/text.deflate")),
    ("br", include_bytes!("coded/text.br")),
    ("zstd", include_bytes!("coded/text.zst")),
];

fn text() -> Vec<u8> {
    let numbers = (0..2_000u32).map(|n| n.wrapping_mul(2_654_435_761) >> 20);
    numbers.flat_map(|number| format!("{number} ").into_bytes()).collect()
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The sizes and the body saved, of a run with these options.
fn saved(response: Vec<u8>, options: &[&str]) -> (Value, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let url = format!("http://{}/", server::canned(response));
    let found = hop(&[&[url.as_str(), "-o", path.to_str().unwrap()], options].concat());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    (found["response"].clone(), fs::read(path).unwrap())
}

#[test]
fn a_compressed_body_is_decoded_and_both_sizes_are_told() {
    for (coding, sample) in SAMPLES {
        let (response, body) = saved(coded(coding, sample), &["--compressed"]);
        assert!(body == text(), "{coding}");
        assert_eq!(response["body_bytes"], sample.len());
        assert_eq!(response["content_encoding"]["decoded_bytes"], text().len());
        assert_eq!(response["content_encoding"]["codings"], json!([coding]));
        assert!(response["content_encoding"]["after_transfer_ms"].is_number());
    }
    let url = format!("http://{}/", server::canned(coded("br", SAMPLES[3].1)));
    let report = run(&[&url, "--compressed"]).stdout;
    let expected = format!("body: {} B br, decoded 9,456 B discarded", "3,671");
    assert!(report.contains(&expected), "{report}");
    assert!(report.contains("decoding took"), "{report}");
}

#[test]
fn without_being_asked_nothing_is_decoded() {
    for (coding, sample) in SAMPLES {
        let (response, body) = saved(coded(coding, sample), &[]);
        assert!(body == sample, "{coding}");
        assert_eq!(response["content_encoding"], json!({ "codings": [coding] }));
        assert_eq!(response["body_bytes"], sample.len());
    }
}

#[test]
fn what_can_be_decoded_is_asked_for_unless_the_user_says_otherwise() {
    let (address, requests) = server::recording();
    let url = format!("http://{address}/");
    for (options, expected) in [
        (&["--compressed"][..], Some("gzip, deflate, br, zstd")),
        (&["--compressed", "-H", "Accept-Encoding: br"], Some("br")),
        (&["--compressed", "-H", "Accept-Encoding:"], None),
        (&[], None),
    ] {
        assert_eq!(run(&[&[url.as_str()], options].concat()).code, 0);
        let request = requests.recv().unwrap();
        let found = request.lines().find_map(|line| line.strip_prefix("accept-encoding: "));
        assert_eq!(found, expected, "{request}");
    }
}

#[test]
fn an_answer_without_body_needs_no_known_coding() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: martian\r\nContent-Length: 9\r\n\r\n";
    let url = format!("http://{}/", server::canned(head));
    assert_eq!(run(&[&url, "-I", "--compressed"]).code, 0);
    let (empty, body) = saved(coded("gzip", b""), &["--compressed"]);
    assert_eq!((empty["body_bytes"].as_u64(), body.len()), (Some(0), 0));
}

#[test]
fn the_end_of_the_transfer_does_not_wait_for_the_decoder() {
    // A quarter of a gigabyte, of which the transfer needs to know 421 bytes.
    let bomb = include_bytes!("coded/zeros.br");
    let url = format!("http://{}/", server::canned(coded("br", bomb)));
    let found = hop(&[&url, "--compressed"]);
    let coding = &found["response"]["content_encoding"];
    assert_eq!(coding["decoded_bytes"], 256u64 << 20);
    let (transfer, after) = (&found["timings_ms"]["transfer"], &coding["after_transfer_ms"]);
    assert!(after.as_f64().unwrap() > 10.0 * transfer.as_f64().unwrap(), "{coding} {transfer}");
    assert!(coding["decode_ms"].as_f64().unwrap() > transfer.as_f64().unwrap(), "{coding}");
}

#[test]
fn a_limit_holds_for_what_is_announced_what_comes_and_what_it_decodes_to() {
    let bomb = include_bytes!("coded/zeros.br");
    let endless = server::raw(|mut stream| {
        server::read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    let announced = server::canned("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
    let decoded = server::canned(coded("br", bomb));
    for (address, words) in [
        (announced, "is announced with 2,000,000 B"),
        (endless, "has sent"),
        (decoded, "decodes to"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let options = ["--max-filesize", "1M", "--compressed", "-o", path.to_str().unwrap()];
        let url = format!("http://{address}/");
        let (run, value) = run_json(&[&[url.as_str()], options.as_slice()].concat());
        assert_eq!((run.code, &value["error"]["kind"]), (63, &json!("too_large")), "{run:?}");
        assert!(run.complaint().contains(words), "{run:?}");
        assert!(run.complaint().contains("--max-filesize"), "{run:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    let (_, body) = saved(coded("br", SAMPLES[3].1), &["--compressed", "--max-filesize", "9456"]);
    assert_eq!(body.len(), 9456);
}

#[test]
fn chunks_and_trailers_are_shown() {
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                    5\r\nhello\r\n0\r\nX-Sum: 1234\r\nServer-Timing: late;dur=1.5\r\n\r\n";
    let url = format!("http://{}/", server::canned(response));
    let found = hop(&[&url])["response"].take();
    assert_eq!(found["transfer_coding"], "chunked");
    assert_eq!(found["trailers"], json!([["x-sum", "1234"], ["server-timing", "late;dur=1.5"]]));
    assert_eq!(found["server_timing"], json!([{ "name": "late", "dur_ms": 1.5 }]));
    let report = run(&[&url]).stdout;
    for part in ["trailer x-sum: 1234\n", "body: 5 B discarded · chunked", "\n  late "] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}

#[test]
fn the_servers_own_times_stand_under_its_phase() {
    let response = "HTTP/1.1 200 OK\r\nServer-Timing: db;dur=0.002;desc=\"two, \\\"three\\\"\", ,;=\r\n\
                    Server-Timing: cache;desc=HIT\r\nContent-Length: 0\r\n\r\n";
    let url = format!("http://{}/", server::canned(response));
    let found = hop(&[&url])["response"]["server_timing"].take();
    let expected = json!([
        { "name": "db", "dur_ms": 0.002, "desc": "two, \"three\"" },
        { "name": "cache", "desc": "HIT" },
    ]);
    assert_eq!(found, expected);
    let report = run(&[&url]).stdout;
    let lines: Vec<_> = report.lines().collect();
    let server = lines.iter().position(|line| line.starts_with("Server processing")).unwrap();
    assert!(lines[server + 1].starts_with("  db              2.00µs"), "{report}");
    assert!(lines[server + 2].starts_with("  cache                –"), "{report}");
    assert!(lines[server + 2].ends_with("HIT"), "{report}");
}

/// The time until an early hint is told, and is no part of the time until the answer.
#[test]
fn early_hints_are_shown_with_their_times() {
    once(|| {
        let address = server::raw(|mut stream| {
            server::read_head(&mut stream);
            let hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            stream.write_all(hint).unwrap();
            thread::sleep(Duration::from_millis(150));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let url = format!("http://{address}/");
        let found = hop(&[&url]);
        let hints = found["interim_responses"].as_array().unwrap();
        assert_eq!(hints.len(), 1);
        assert_eq!(hints[0]["status_code"], 103);
        assert_eq!(hints[0]["headers"], json!([["link", "</a.css>; rel=preload"]]));
        let timings = &found["timings_ms"];
        let server = timings["server"].as_f64().unwrap();
        assert!(server >= 140.0, "{timings}");
        let gap = timings["starttransfer"].as_f64().unwrap() - hints[0]["at_ms"].as_f64().unwrap();
        assert!(gap >= 140.0, "{found}");
        let report = run(&[&url]).stdout;
        for part in ["103 Early Hints after ", "  link: </a.css>; rel=preload\nHTTP/1.1 200 OK"] {
            assert!(report.contains(part), "{part:?} is not in\n{report}");
        }
    });
}

#[test]
fn interim_and_final_response_in_one_piece_have_times_all_the_same() {
    let response = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20)
        + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let found = hop(&[&format!("http://{}/", server::canned(response))]);
    assert_eq!(found["interim_responses"].as_array().unwrap().len(), 16);
    assert_eq!(found["interim_responses_left_out"], 4);
    let timings = &found["timings_ms"];
    assert!(timings["starttransfer"].as_f64().unwrap() > 0.0, "{timings}");
}

#[test]
fn a_body_waits_for_100_if_the_request_says_so() {
    once(|| {
        let (sender, seen) = channel();
        let address = server::raw(move |mut stream| {
            let head = server::read_head(&mut stream);
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let early = stream.read(&mut [0; 1]).is_ok();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            stream.set_read_timeout(None).unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            sender.send((head, early, body)).unwrap();
        });
        let found =
            hop(&[&format!("http://{address}/"), "-d", "data", "-H", "Expect: 100-continue"]);
        let (head, early, body) = seen.recv().unwrap();
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        assert_eq!((early, &body), (false, b"data"));
        assert_eq!(found["interim_responses"][0]["status_code"], 100);
        // The body was sent after the 100, and the answer came after the body.
        assert!(found["timings_ms"]["send"].as_f64().unwrap() >= 190.0, "{found:#}");
    });
}

#[test]
fn a_body_that_is_refused_is_not_sent_and_one_that_is_ignored_is() {
    let (sender, seen) = channel();
    let address = server::raw(move |mut stream| {
        server::read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        sender.send(rest).unwrap();
    });
    let options = ["-d", "data", "-H", "Expect: 100-continue"];
    let url = format!("http://{address}/");
    let found = hop(&[&[url.as_str()], options.as_slice()].concat());
    assert_eq!(found["response"]["status_code"], 417);
    assert_eq!(seen.recv().unwrap(), b"");

    let (address, requests) = server::recording();
    let url = format!("http://{address}/");
    assert_eq!(run(&[&[url.as_str()], options.as_slice()].concat()).code, 0);
    assert!(requests.recv().unwrap().ends_with("\r\n\r\ndata"));
}
