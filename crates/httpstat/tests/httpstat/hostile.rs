//! Peers that mean harm: bounded memory, one line, the right exit code, and no file.

use std::{
    io::{Read as _, Write},
    net::{Shutdown, SocketAddr},
    thread,
    time::Duration,
};

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::{Value, json};

use crate::{
    http2::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM},
    measured::run_measured,
    once::once,
    server,
    tool::{hop, run, run_json},
};

/// What the command may have at most, whatever the peer does: 8 MiB that wait to be decoded, a window
/// of 16 MiB, and the command itself, here a debug build.
const MAX_PEAK_KIB: u64 = 64 * 1024;

/// A run with these options that must end with this code, bounded memory, one line and no file.
fn fails(url: &str, options: &[&str], code: i32, words: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let fixed = ["-k", "-o", path.to_str().unwrap()];
    let (run, mut value, peak) = run_measured(url, &[fixed.as_slice(), options].concat());
    let complaint = run.complaint();
    assert_eq!(run.code, code, "{complaint}");
    for word in words {
        assert!(complaint.contains(word), "{word:?} is not in {complaint}");
    }
    assert!(complaint.chars().all(|c| !c.is_control()), "{complaint:?}");
    assert!(peak.is_none_or(|peak| peak < MAX_PEAK_KIB), "{peak:?} KiB: {complaint}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{complaint}");
    value["hops"][0].take()
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}/")
}

fn https(address: SocketAddr) -> String {
    format!("https://{address}/")
}

/// Sends this after each request head, and then that until the client leaves.
fn endless(head: &'static [u8], rest: impl Into<Vec<u8>>) -> SocketAddr {
    let rest = rest.into();
    server::raw(move |mut stream| {
        server::read_head(&mut stream);
        let _ = stream.write_all(head);
        while stream.write_all(&rest).is_ok() {}
    })
}

#[test]
fn heads_without_end_are_given_up() {
    let line = b"X-Again: and again and again\r\n".repeat(1_000);
    let words = ["larger than this program accepts"];
    fails(&http(endless(b"HTTP/1.1 200 OK\r\n", line)), &[], 8, &words);
    let value = vec![b'x'; 64 * 1024];
    fails(&http(endless(b"HTTP/1.1 200 OK\r\nX: ", value)), &[], 8, &words);
    fails(&http(endless(b"HTTP/1.1 200 ", "O".repeat(10_000))), &[], 8, &words);
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\nbody", "x".repeat(10 << 20));
    fails(&http(server::canned(huge)), &[], 8, &words);
}

#[test]
fn a_body_without_end_ends_at_the_limit() {
    let address = endless(b"HTTP/1.1 200 OK\r\n\r\n", vec![0; 64 * 1024]);
    fails(&http(address), &["--max-time", "1"], 28, &["no end of the body", "--max-time"]);
    let chunk = b"1\r\nx\r\n".repeat(1_000);
    let chunks = endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk);
    fails(&http(chunks), &["--max-time", "1"], 28, &["no end of the body"]);
}

#[test]
fn a_trickle_ends_at_the_limit_and_is_counted() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let hop = fails(&http(address), &["--max-time", "0.6"], 28, &["no end of the body"]);
    assert!(hop["response"]["body_bytes"].as_u64().unwrap() >= 2, "{hop:#}");
}

#[test]
fn lengths_that_are_wrong_are_noticed() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (answer, code) in [
        ("Content-Length: 9\r\n\r\nhello", 18),
        ("Content-Length: 9223372036854775807\r\n\r\nhello", 18),
        ("Content-Length: 18446744073709551615\r\n\r\nhello", 8),
        ("Content-Length: 99999999999999999999\r\n\r\nhello", 8),
        ("Content-Length: -5\r\n\r\nhello", 8),
        ("Content-Length: +5\r\n\r\nhello", 8),
        ("Content-Length: 0x5\r\n\r\nhello", 8),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 8),
        ("Content-Length: 5, 6\r\n\r\nhello!", 8),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhel", 18),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 18),
        ("Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", 8),
        ("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello", 8),
        ("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello", 18),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", 8),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n", 18),
    ] {
        let address = server::canned(format!("{head}{answer}"));
        fails(&http(address), &[], code, &[&address.to_string()]);
    }
    // What follows the body is not its business.
    let longer = server::canned(format!("{head}Content-Length: 5\r\n\r\nhello, and more"));
    assert_eq!(hop(&[&http(longer)])["response"]["body_bytes"], 5);
}

#[test]
fn extensions_of_chunks_and_trailers_without_end_are_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;";
    fails(&http(endless(head, "x".repeat(10_000))), &[], 8, &["chunked", "malformed"]);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let trailer = "X-Again: and again\r\n".repeat(1_000);
    fails(&http(endless(head, trailer)), &[], 8, &["chunked", "malformed"]);
}

/// It may arrive before or after the request has left; either way it is told for what it is.
#[test]
fn an_answer_before_the_question_does_no_harm() {
    let address = server::raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        server::read_head(&mut stream);
    });
    for _ in 0..10 {
        let (run, _) = run_json(&[&http(address)]);
        match run.code {
            0 => {}
            code => {
                assert_eq!(code, 8, "{}", run.stderr);
                assert!(run.complaint().contains("before it was asked"), "{}", run.stderr);
            }
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let layer = compress_to_vec_zlib(&vec![0; 64 << 20], 9);
    let twice = compress_to_vec_zlib(&layer, 9);
    let zeros = include_bytes!("coded/zeros.br").as_slice();
    // Frames of blocks that repeat one byte, RFC 8878, section 3.1.1.2.
    let block = (128u32 << 10 << 3 | 1 << 1).to_le_bytes();
    let block = [block[0], block[1], block[2], 0];
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3], block.repeat(10_000).as_slice()].concat();
    for (coding, bomb) in
        [("deflate", &*layer), ("deflate, deflate", &*twice), ("br", zeros), ("zstd", &*zstd)]
    {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n");
        let url = http(server::canned([head.as_bytes(), bomb].concat()));
        fails(&url, &["--compressed", "--max-filesize", "20M"], 63, &["decodes to", "20,971,520"]);
    }
}

/// Without a limit, a bomb costs time and disk, but no memory.
#[test]
fn a_bomb_that_is_asked_for_is_decoded_in_bounded_memory() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n".as_bytes();
    let url = http(server::canned([head, include_bytes!("coded/zeros.br")].concat()));
    let (run, value, peak) = run_measured(&url, &["--compressed"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let decoded = &value["hops"][0]["response"]["content_encoding"]["decoded_bytes"];
    assert_eq!(*decoded, 256u64 << 20);
    assert!(peak.is_none_or(|peak| peak < MAX_PEAK_KIB), "{peak:?} KiB");
}

#[test]
fn what_cannot_be_decoded_is_told_and_leaves_no_file() {
    let gzip = include_bytes!("coded/text.gz").as_slice();
    let mut damaged = gzip.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for (coding, body, words) in [
        ("gzip", &gzip[..gzip.len() / 2], ["gzip body", "breaks off after"]),
        ("gzip", &damaged, ["gzip body", "corrupt after 9456 decoded bytes"]),
        ("br", b"<html>", ["br body", "corrupt"]),
        ("gzip, zstd", b"<html>", ["gzip, zstd body", "there is no zstd frame"]),
        ("martian\u{9b}", b"x", ["\"martian", "gzip, deflate, br, zstd"]),
        ("br,br,br,br,br,br", b"x", ["more than 5 times", "--compressed"]),
    ] {
        let head = [b"HTTP/1.1 200 OK\r\nContent-Encoding: ", coding.as_bytes(), b"\r\n\r\n"];
        let url = http(server::canned([&head.concat(), body].concat()));
        fails(&url, &["--compressed"], 61, &words);
    }
}

#[test]
fn nothing_that_a_server_says_steers_the_terminal() {
    let response = b"HTTP/1.1 103 Early\x9b2J\r\nX: \xc2\x9b1m\r\n\r\n\
        HTTP/1.1 200 O\xc2\x9bK\r\nServer-Timing: a\xe2\x80\xae;dur=1, b;desc=\"\xc2\x9b2J\xe2\x80\xae\"\r\n\
        Content-Encoding: \xc2\x9b3J\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\nX-T: \xe2\x80\xae\xc2\x9b\r\n\r\n";
    let url = http(server::canned(response.as_slice()));
    for format in ["pretty", "json", "jsonl"] {
        let run = run(&[&url, "-v", "--format", format]);
        assert_eq!(run.code, 0, "{run:?}");
        let steering = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!run.stdout.contains(steering), "{run:?}");
    }
    let trailer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: \x1b[31m\r\n\r\n";
    fails(&http(server::canned(trailer)), &[], 8, &["chunked"]);
}

#[test]
fn a_reset_is_told_with_its_phase() {
    let tls = server::raw(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
    });
    let hop = fails(&https(tls), &[], 35, &["TLS handshake", "reset"]);
    assert!(hop["timings_ms"]["tls"].is_number());

    // Closing with unread data makes the kernel send a reset.
    let send = server::raw(|mut stream| {
        stream.read_exact(&mut [0; 1000]).unwrap();
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 << 20).unwrap();
    let data = format!("@{}", file.path().display());
    let (run, _) = run_json(&[&http(send), "-d", &data]);
    let complaint = run.complaint();
    assert!([55, 56].contains(&run.code), "{complaint}");
    assert!(complaint.contains("reset") || complaint.contains("broken"), "{complaint}");

    let server = server::raw(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
    });
    fails(&http(server), &[], 56, &["Server processing", "reset"]);
}

#[test]
fn http2_that_is_cancelled_is_told() {
    let stream = http2::serve(&[], |peer| {
        // REFUSED_STREAM
        peer.frame(RST_STREAM, 0, 1, &7u32.to_be_bytes())?;
        peer.linger();
        Ok(())
    });
    fails(&https(stream), &[], 56, &["cancelled with REFUSED_STREAM", "before the response head"]);
    let body = http2::serve(&[], |peer| {
        peer.frame(HEADERS, END_HEADERS, 1, http2::OK)?;
        peer.frame(DATA, 0, 1, b"hello")?;
        // INTERNAL_ERROR
        peer.frame(RST_STREAM, 0, 1, &2u32.to_be_bytes())?;
        peer.linger();
        Ok(())
    });
    let words = ["cancelled with INTERNAL_ERROR", "after 5 bytes of the body"];
    fails(&https(body), &[], 56, &words);
    let away = http2::serve(&[], |peer| {
        // Nothing was processed; ENHANCE_YOUR_CALM.
        peer.frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])?;
        peer.linger();
        Ok(())
    });
    fails(&https(away), &[], 56, &["ENHANCE_YOUR_CALM"]);
    let closed = http2::serve(&[], |peer| {
        peer.frame(HEADERS, END_HEADERS, 1, http2::OK)?;
        peer.0.sock.shutdown(Shutdown::Write)?;
        peer.linger();
        Ok(())
    });
    fails(&https(closed), &[], 18, &["ended the connection", "after 0 bytes"]);
}

#[test]
fn http2_that_breaks_the_rules_is_told() {
    let oversized = http2::serve(&[], |peer| {
        peer.frame(HEADERS, END_HEADERS, 1, http2::OK)?;
        peer.frame(DATA, 0, 1, &vec![0; 1 << 20])?;
        peer.linger();
        Ok(())
    });
    fails(&https(oversized), &[], 8, &["broke HTTP/2", "FRAME_SIZE_ERROR"]);
    let endless = http2::serve(&[], |peer| {
        peer.frame(HEADERS, 0, 1, http2::OK)?;
        let more: Vec<u8> = (0..100).flat_map(|_| http2::field("x-again", "and again")).collect();
        loop {
            peer.frame(CONTINUATION, 0, 1, &more)?;
        }
    });
    fails(&https(endless), &[], 8, &["larger than this program accepts"]);
    let window = http2::serve(&[], |peer| {
        peer.frame(HEADERS, END_HEADERS, 1, http2::OK)?;
        loop {
            peer.frame(DATA, 0, 1, &[0; 16 * 1024])?;
        }
    });
    fails(&https(window), &["--max-time", "2"], 8, &["FLOW_CONTROL_ERROR"]);
}

#[test]
fn a_bomb_of_hpack_is_refused() {
    let address = http2::serve(&[], |peer| {
        // A field of 4000 bytes enters the table, and each byte after it stands for all of them.
        let long = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], "v".repeat(4000).as_bytes()].concat();
        let block = [http2::OK, &long, &[0xbe; 12_000]].concat();
        peer.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)?;
        peer.linger();
        Ok(())
    });
    fails(&https(address), &[], 8, &["larger than this program accepts"]);
}

#[test]
fn interim_responses_of_http2_are_shown_and_not_without_end() {
    once(|| {
        let early = [0x08, 3, b'1', b'0', b'3'];
        let address = http2::serve(&[], move |peer| {
            let link = http2::field("link", "</a.css>");
            peer.frame(HEADERS, END_HEADERS, 1, &[&early[..], &link].concat())?;
            thread::sleep(Duration::from_millis(150));
            let timing = http2::field("server-timing", "db;dur=2");
            peer.frame(HEADERS, END_HEADERS, 1, &[http2::OK, &timing].concat())?;
            peer.frame(DATA, 0, 1, b"hello")?;
            peer.frame(HEADERS, END_HEADERS | END_STREAM, 1, &http2::field("x-sum", "5"))?;
            peer.linger();
            Ok(())
        });
        let hop = hop(&["-k", &https(address)]);
        assert_eq!(hop["interim_responses"][0]["status_code"], 103);
        assert_eq!(hop["interim_responses"][0]["headers"], json!([["link", "</a.css>"]]));
        assert!(hop["timings_ms"]["server"].as_f64().unwrap() >= 140.0, "{hop:#}");
        assert_eq!(hop["response"]["trailers"], json!([["x-sum", "5"]]));
        assert_eq!(hop["response"]["server_timing"], json!([{ "name": "db", "dur_ms": 2.0 }]));
        assert_eq!(hop["response"]["body_bytes"], 5);

        let storm = http2::serve(&[], move |peer| {
            let link = http2::field("link", &"x".repeat(100));
            let block = [&early[..], &link].concat();
            loop {
                peer.frame(HEADERS, END_HEADERS, 1, &block)?;
            }
        });
        fails(&https(storm), &[], 8, &["sends without end"]);
    });
}

#[test]
fn a_window_that_is_never_opened_shows_as_sending() {
    // SETTINGS_INITIAL_WINDOW_SIZE of zero.
    let address = http2::serve(&[0, 4, 0, 0, 0, 0], |peer| {
        peer.linger();
        Ok(())
    });
    let words = ["Request send", "did not take the whole request"];
    // More than may be sent before the settings are known.
    let data = "x".repeat(100_000);
    fails(&https(address), &["-d", &data, "--max-time", "0.5"], 28, &words);
}

#[test]
fn a_flood_of_pings_ends_at_the_limit() {
    let address = http2::serve(&[], |peer| {
        loop {
            peer.frame(PING, 0, 0, &[0; 8])?;
        }
    });
    fails(&https(address), &["--max-time", "1"], 28, &["no response"]);
}
