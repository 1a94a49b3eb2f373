//! Exchanges that fail: one clear line, the right exit code, and all that was known until then.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    process::Stdio,
    sync::{Mutex, mpsc::channel},
};

use serde_json::Value;

use crate::{
    server,
    tool::{Run, command, run, run_json},
};

/// Requests the address over `http` and checks exit code, phase and the words of the complaint.
fn fails(address: SocketAddr, options: &[&str], code: i32, phase: &str, words: &[&str]) -> Value {
    let url = format!("http://{address}/");
    let (run, mut value) = run_json(&[&[url.as_str()], options].concat());
    assert_eq!(run.code, code, "{run:?}");
    assert_eq!(value["error"]["phase"], phase, "{value:#}");
    for word in words {
        assert!(run.complaint().contains(word), "{word:?} is not in {run:?}");
    }
    value["hops"][0].take()
}

#[test]
fn a_refused_connection_still_shows_the_attempt() {
    let (address, _sockets) = server::refusing();
    let port = format!("port {}", address.port());
    let words = ["TCP connect", &address.to_string(), "refused", &port];
    let hop = fails(address, &[], 7, "connect", &words);
    assert_eq!(hop["attempts"][0]["outcome"], "failed");
    assert_eq!(hop["attempts"][0]["port"], address.port());
    assert!(hop["timings_ms"]["connect"].as_f64().unwrap() > 0.0);
    assert_eq!(hop["timings_ms"].get("initial_connect"), None);
    assert_eq!(hop.get("connection"), None);

    let pretty = run(&[&format!("http://localhost:{}/", address.port()), "-4"]);
    for part in ["DNS lookup", "connection refused after", "TCP connect", "Total"] {
        assert!(pretty.stdout.contains(part), "{part:?} is not in {pretty:?}");
    }
}

#[test]
fn a_name_with_only_dead_addresses_names_them_all() {
    let (address, _kept) = server::refusing();
    let port = address.port();
    let pin = format!("dead.invalid:{port}:127.0.0.1,127.0.0.2,[::1]");
    let (run, value) = run_json(&[&format!("http://dead.invalid:{port}/"), "--resolve", &pin]);
    assert_eq!((run.code, &value["error"]["phase"]), (7, &"connect".into()), "{run:?}");
    for ip in ["127.0.0.1", "127.0.0.2", "[::1]"] {
        assert!(run.complaint().contains(ip), "{run:?}");
    }
    let attempts = value["hops"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{value:#}");
    assert!(attempts.iter().all(|attempt| attempt["outcome"] == "failed"), "{value:#}");
}

#[test]
fn a_name_that_does_not_exist_is_not_resolved() {
    // RFC 6761 reserves the name for exactly this.
    let (run, value) = run_json(&["http://name.invalid/"]);
    assert_eq!(run.code, 6);
    assert_eq!(value["error"]["phase"], "dns");
    assert!(run.complaint().contains("name.invalid"), "{run:?}");
    assert!(value["hops"][0]["timings_ms"]["dns"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_address_of_the_wrong_family_is_not_used() {
    let (run, _) = run_json(&["-6", "http://127.0.0.1/"]);
    assert_eq!(run.code, 6);
    assert!(run.complaint().contains("IPv6"), "{run:?}");
}

#[test]
fn garbage_is_shown_but_cannot_harm() {
    let address = server::canned("SSH-2.0-Open\x1b[31m\r\n");
    let hop = fails(address, &[], 8, "server", &["not HTTP", "SSH-2.0-Open\\x1b[31m"]);
    assert_eq!(hop.get("response"), None);
    assert!(hop["connection"]["rxBytes"].as_u64().unwrap() > 0);
}

#[test]
fn no_answer_at_all_is_named() {
    fails(server::canned(""), &[], 52, "server", &["without answering"]);
}

#[test]
fn half_a_head_is_no_response() {
    let address = server::canned("HTTP/1.1 200 OK\r\nContent-Le");
    fails(address, &[], 56, "server", &["before the response head was complete"]);
}

#[test]
fn half_a_body_is_partial_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let address = server::canned("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
    let options = ["-o", path.to_str().unwrap()];
    let hop = fails(address, &options, 18, "transfer", &["after 4 bytes"]);
    assert_eq!(hop["response"]["body_bytes"], 4);
    assert_eq!(hop["response"]["status_code"], 200);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_malformed_chunk_is_a_malformed_response() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let address = server::canned(format!("{head}5\r\nhello\r\nnonsense\r\n"));
    fails(address, &[], 8, "transfer", &["chunked", "after 5 bytes"]);
}

#[test]
fn a_reset_instead_of_an_answer_is_a_failure_to_receive() {
    let address = server::raw(|mut stream| {
        // Closing with unread data makes the kernel send a reset.
        stream.read_exact(&mut [0]).unwrap();
    });
    let hop = fails(address, &[], 56, "server", &["reset", "waiting for the response"]);
    assert!(hop["connection"]["txBytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_reset_in_the_body_is_a_failure_to_receive() {
    let (seen, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let address = server::raw(move |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").unwrap();
        wait.lock().unwrap().recv().unwrap();
        // Closing with unread data makes the kernel send a reset.
    });
    let mut child = command(&[&format!("http://{address}/"), "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut half = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut half).unwrap();
    seen.send(()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 56, "{run:?}");
    assert!(run.stderr.contains("Content transfer: connection reset"), "{run:?}");
}

#[test]
fn silence_ends_at_the_time_limit() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        // Keeps the connection open until the client leaves.
        server::read_head(&mut stream);
    });
    let words = ["no response from", &address.to_string(), "300ms", "--max-time"];
    let hop = fails(address, &["--max-time", "0.3"], 28, "server", &words);
    let timings = &hop["timings_ms"];
    // The limit is of the whole run, which begins a little sooner.
    let [total, server] = ["total", "server"].map(|name| timings[name].as_f64().unwrap());
    assert!(server > 0.0 && total >= server, "{timings}");
    assert_eq!(hop["timings_ms"].get("starttransfer"), None);
    assert!(hop["connection"]["txBytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_body_that_stops_ends_at_the_time_limit() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").unwrap();
        server::read_head(&mut stream);
    });
    let words = ["after 4 bytes", "--max-time"];
    let hop = fails(address, &["--max-time", "0.3"], 28, "transfer", &words);
    assert_eq!(hop["response"]["body_bytes"], 4);
}

#[test]
fn a_silent_handshake_ends_at_the_connect_limit() {
    let address = server::raw(|mut stream| {
        // Takes everything and says nothing, until the client leaves.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let (run, value) =
        run_json(&["-k", &format!("https://{address}/"), "--connect-timeout", "0.3"]);
    assert_eq!(run.code, 28);
    assert_eq!(value["error"]["phase"], "tls");
    assert!(run.complaint().contains("--connect-timeout"), "{run:?}");
}

#[test]
fn a_server_that_takes_no_more_shows_as_sending() {
    let (done, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let address = server::raw(move |stream| {
        // Never reads, so that its window fills up.
        let _ = wait.lock().unwrap().recv();
        drop(stream);
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 << 20).unwrap();
    let data = format!("@{}", file.path().display());
    let words = ["did not take the whole request"];
    fails(address, &["--max-time", "0.5", "-d", &data], 28, "send", &words);
    done.send(()).unwrap();
}

#[test]
fn endless_interim_responses_are_given_up() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
        while stream.write_all(interim.as_bytes()).is_ok() {}
    });
    fails(address, &[], 8, "server", &["sends without end", &address.to_string()]);
}

#[test]
fn every_failure_of_an_exchange_names_the_server() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let answers = [
        (String::new(), 52),
        (head.to_owned(), 56),
        ("HTTP/7.0 200 OK\r\n\r\n".to_owned(), 8),
        ("<html>hello</html>".to_owned() + "\r\n\r\n", 8),
        (format!("{head}Content-Length: -5\r\n\r\nhello"), 8),
        (format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 8),
        (format!("{head}Content-Length: 99999999999999999999\r\n\r\nhello"), 8),
        (format!("{head}Content-Length: 9\r\n\r\nhello"), 18),
        (format!("{head}{chunked}-5\r\nhello\r\n0\r\n\r\n"), 8),
        (format!("{head}{chunked}fffffffffffffffff\r\nhello"), 8),
        (format!("{head}{chunked}5\r\nhello\r\n"), 18),
        ("\x15\x03\x01\0\x02\x02\x46".to_owned(), 8),
    ];
    for (answer, code) in answers {
        let address = server::canned(answer.clone());
        let (run, _) = run_json(&[&format!("http://{address}/")]);
        assert_eq!(run.code, code, "{answer:?}: {run:?}");
        assert!(run.complaint().contains(&address.to_string()), "{answer:?}: {run:?}");
    }
}

#[test]
fn a_complaint_is_one_line_of_bounded_length() {
    let (run, _) = run_json(&[&format!("http://{}.invalid/", "a".repeat(100_000))]);
    assert!(run.complaint().len() < 3_000, "{}", run.stderr.len());
}

#[test]
fn an_endless_head_is_given_up() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while stream.write_all(&[b'x'; 64 * 1024]).is_ok() {}
    });
    fails(address, &[], 8, "server", &["larger than this program accepts"]);
}

#[test]
fn a_huge_header_is_taken_as_it_is() {
    let value = "v".repeat(100_000);
    let response = format!("HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{}/", server::canned(response));
    let (run, json) = run_json(&[&url]);
    assert_eq!(run.code, 0);
    assert_eq!(json["hops"][0]["response"]["headers"][0][1], value);
}

#[test]
fn what_is_no_url_is_told_before_anything_is_tried() {
    for url in ["http://", "ftp://example.com/", "http://exa mple/", "https://[::1/"] {
        let (run, value) = run_json(&[url]);
        assert_eq!(run.code, 3, "{run:?}");
        assert_eq!(value["hops"].as_array().unwrap().len(), 0);
    }
    let (run, value) = run_json(&["http://me:secret@exa mple/"]);
    assert!(!format!("{run:?}{value}").contains("secret"));
}

#[test]
fn a_senseless_command_line_is_a_usage_error() {
    let nonsense: [&[&str]; 4] =
        [&[], &["--no-such-option"], &["u", "-I", "-d", "x"], &["u", "--max-time", "soon"]];
    for arguments in nonsense {
        let run = run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

#[test]
fn unreadable_data_and_unwritable_output_are_told_before_connecting() {
    let (address, _sockets) = server::refusing();
    let url = format!("http://{address}/");
    let (data, _) = run_json(&[&url, "-d", "@/no/such/file"]);
    assert_eq!(data.code, 26);
    assert!(data.complaint().contains("/no/such/file"), "{data:?}");
    let (output, _) = run_json(&[&url, "-o", "/no/such/folder/file"]);
    assert_eq!(output.code, 23);
    assert!(output.complaint().contains("/no/such/folder/file"), "{output:?}");
}

#[test]
fn a_reader_that_leaves_is_no_reason_to_panic() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let address = server::raw(move |mut stream| {
        server::read_head(&mut stream);
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let mut child = command(&[&format!("http://{address}/")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    go_on.send(()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}
