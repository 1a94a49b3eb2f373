//! Proxies, and other ways to the server than the URL's own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use hyper::{Response, body::Bytes};
use serde_json::Value;

use crate::{
    server::{Identity, canned, raw, read_head, recording, refusing, site},
    tool::{command, hop, run_json},
};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Moves bytes both ways until both ends are closed.
fn join(a: TcpStream, b: TcpStream) {
    let (mut from, mut to) = (a.try_clone().unwrap(), b.try_clone().unwrap());
    let there = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (b, a);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
    there.join().unwrap();
}

/// Leads to wherever CONNECT asks for, always to `server`, and shows what it was asked.
fn connecting(server: SocketAddr) -> (SocketAddr, Receiver<String>) {
    let (sender, asked) = channel();
    let address = raw(move |mut stream| {
        let _ = sender.send(read_head(&mut stream));
        stream.write_all(b"HTTP/1.1 200 Established\r\nVia: test\r\n\r\n").unwrap();
        join(stream, TcpStream::connect(server).unwrap());
    });
    (address, asked)
}

/// What a SOCKS proxy was told.
struct Wanted {
    credentials: Vec<u8>,
    /// Its kind, itself, and the port.
    address: Vec<u8>,
}

/// RFC 1928.
fn socks(server: SocketAddr, reply: u8) -> (SocketAddr, Receiver<Wanted>) {
    let (sender, asked) = channel();
    let address = raw(move |mut stream| {
        let take = |stream: &mut TcpStream, length: usize| {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        };
        let greeting = take(&mut stream, 2);
        let methods = take(&mut stream, greeting[1].into());
        let mut credentials = Vec::new();
        stream.write_all(&[5, methods[0]]).unwrap();
        if methods[0] == 2 {
            for _ in 0..2 {
                let skip = if credentials.is_empty() { 2 } else { 1 };
                let length = *take(&mut stream, skip).last().unwrap();
                credentials.extend(take(&mut stream, length.into()));
                credentials.push(b':');
            }
            stream.write_all(&[1, 0]).unwrap();
        }
        let kind = take(&mut stream, 4)[3];
        let length = match kind {
            1 => 4,
            4 => 16,
            _ => take(&mut stream, 1)[0].into(),
        };
        let mut wanted = vec![kind];
        wanted.extend(take(&mut stream, length + 2));
        let _ = sender.send(Wanted { credentials, address: wanted });
        stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        if reply == 0 {
            join(stream, TcpStream::connect(server).unwrap());
        }
    });
    (address, asked)
}

fn secure_site() -> (SocketAddr, tempfile::NamedTempFile) {
    let identity = Identity::for_loopback();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &identity.pem).unwrap();
    let config = identity.config(&[&rustls::version::TLS13], &["h2", "http/1.1"]);
    let (address, _) = site(Some(config), |_| Response::new(Bytes::from_static(b"ok")));
    (address, file)
}

fn keys(hop: &Value) -> Vec<&str> {
    ["connect", "proxy", "tls", "send"]
        .into_iter()
        .filter(|key| hop["timings_ms"].get(key).is_some())
        .collect()
}

#[test]
fn a_proxy_forwards_what_is_not_encrypted() {
    let (proxy, requests) = recording();
    let hop = hop(&["http://name.invalid/a?b", "-x", &format!("http://me:secret@{proxy}")]);
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET http://name.invalid/a?b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: name.invalid\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{request}");
    assert_eq!(keys(&hop), ["connect", "send"]);
    assert_eq!(hop["proxy"]["url"], format!("http://{proxy}"));
    assert_eq!(hop["proxy"]["tunnel"], false);
    assert_eq!(hop["response"]["remote_port"], proxy.port());
}

#[test]
fn a_tunnel_is_a_phase_of_its_own() {
    let (server, certificate) = secure_site();
    let (proxy, asked) = connecting(server);
    let url = format!("https://127.0.0.1:{}/", server.port());
    let cacert = certificate.path().to_str().unwrap();
    let hop = hop(&[&url, "--cacert", cacert, "-x", &proxy.to_string(), "-U", "me:pass"]);
    assert_eq!(keys(&hop), ["connect", "proxy", "tls", "send"]);
    assert_eq!(hop["proxy"]["tunnel"], true);
    assert_eq!(hop["response"]["http_version"], "HTTP/2");
    let request = asked.recv().unwrap();
    assert!(request.starts_with(&format!("CONNECT 127.0.0.1:{} ", server.port())), "{request}");
    assert!(request.contains("proxy-authorization: Basic bWU6cGFzcw==\r\n"), "{request}");
}

#[test]
fn a_proxy_may_be_behind_tls_itself() {
    let (server, certificate) = secure_site();
    let identity = Identity::for_loopback();
    let proxy_certificate = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(proxy_certificate.path(), &identity.pem).unwrap();
    // It only has to take the TLS off: what is inside goes to a proxy without.
    let (plain, asked) = connecting(server);
    let config = identity.config(&[&rustls::version::TLS13], &["http/1.1"]);
    let proxy = raw(move |stream| unwrap_tls(stream, config.clone(), plain));
    let url = format!("https://127.0.0.1:{}/", server.port());
    let cacert = certificate.path().to_str().unwrap();
    let proxy = format!("https://127.0.0.1:{}", proxy.port());
    let trust = proxy_certificate.path().to_str().unwrap();
    let options = [url.as_str(), "--cacert", cacert, "-x", &proxy];
    let found = hop(&[options.as_slice(), &["--proxy-cacert", trust]].concat());
    assert_eq!(keys(&found), ["connect", "proxy", "tls", "send"]);
    assert!(asked.recv().unwrap().starts_with("CONNECT 127.0.0.1:"));
    hop(&[options.as_slice(), &["--proxy-insecure"]].concat());
    // What is trusted for the server says nothing about the proxy.
    let (run, refused) = run_json(&options);
    assert_eq!(run.code, 60, "{run:?}");
    assert_eq!(refused["error"]["phase"], "proxy");
    let remedies = "accept it with --proxy-insecure, or trust its issuer with --proxy-cacert FILE";
    assert!(run.complaint().contains(remedies), "{run:?}");
}

fn unwrap_tls(stream: TcpStream, config: std::sync::Arc<rustls::ServerConfig>, to: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        let Ok(mut inside) = acceptor.accept(stream).await else { return };
        let mut outside = tokio::net::TcpStream::connect(to).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    });
}

#[test]
fn socks_leads_to_addresses_and_names() {
    let server = canned(FINE);
    let port = server.port();
    let (proxy, asked) = socks(server, 0);
    let url = format!("http://localhost:{port}/");
    let found = hop(&[&url, "-4", "-x", &format!("socks5h://me:pass@{proxy}")]);
    assert_eq!(keys(&found), ["connect", "proxy", "send"]);
    let Wanted { credentials, address } = asked.recv().unwrap();
    assert_eq!(credentials, b"me:pass:");
    assert_eq!(address, [&[3], b"localhost".as_slice(), &port.to_be_bytes()].concat());

    hop(&[&url, "-x", &format!("socks5://{proxy}")]);
    let Wanted { credentials, address } = asked.recv().unwrap();
    assert!(credentials.is_empty());
    assert!(matches!(address[0], 1 | 4), "{address:?}");
    assert_eq!(address[address.len() - 2..], port.to_be_bytes());
}

#[test]
fn the_environment_names_proxies_and_exceptions() {
    let (proxy, requests) = recording();
    let (direct, _) = recording();
    let answer = |variables: &[(&str, &str)], url: &str| {
        let mut command = command(&[url, "--format", "jsonl"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["hops"][0]["proxy"].clone()
    };
    let named = proxy.to_string();
    let through = format!("http://{proxy}");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        assert_eq!(answer(&[(name, &named)], "http://name.invalid/")["url"], through, "{name}");
        requests.recv().unwrap();
    }
    let url = format!("http://{direct}/");
    for except in ["127.0.0.1", "127.0.0.0/8", "*"] {
        let variables = [("http_proxy", named.as_str()), ("NO_PROXY", except)];
        assert_eq!(answer(&variables, &url), Value::Null, "{except}");
    }
    assert_eq!(answer(&[("https_proxy", &named)], &url), Value::Null);
    let cgi = [("HTTP_PROXY", named.as_str()), ("REQUEST_METHOD", "GET")];
    assert_eq!(answer(&cgi, &url), Value::Null);
}

#[test]
fn a_proxy_that_refuses_or_lies_is_named() {
    let through = |proxy: String| {
        let (run, value) = run_json(&["https://name.invalid/", "-x", &proxy, "--max-time", "20"]);
        assert_eq!(value["error"]["phase"], "proxy", "{run:?}");
        let complaint = run.complaint().to_owned();
        assert!(complaint.contains(proxy.split("//").last().unwrap()), "{complaint}");
        (run.code, complaint)
    };
    let answers = |answer: &'static [u8]| through(format!("http://{}", canned(answer)));
    let denied = "HTTP/1.1 407 Who\u{9b}31mare you\r\nContent-Length: 0\r\n\r\n";
    let (code, complaint) = answers(denied.as_bytes());
    assert_eq!(code, 97, "{complaint}");
    assert!(complaint.contains("--proxy-user") && !complaint.contains('\u{9b}'), "{complaint}");
    assert_eq!(answers(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n").0, 97);
    assert_eq!(answers(b"SSH-2.0-OpenSSH\r\n").0, 8);
    assert_eq!(answers(b"").0, 52);
    // Says yes, and then speaks of something else.
    let lying = canned("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    let (run, value) = run_json(&["https://name.invalid/", "-x", &lying.to_string()]);
    assert_eq!((run.code, &value["error"]["phase"]), (35, &"tls".into()), "{run:?}");

    let endless = raw(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-Endless: yes\r\n").is_ok() {}
    });
    assert_eq!(through(format!("http://{endless}")).0, 8);

    let (refusing_socks, _asked) = socks(lying, 5);
    assert_eq!(through(format!("socks5h://{refusing_socks}")).0, 97);
    for greeting in [&b""[..], b"\x05", b"\x05\xff", b"\x05\x02", b"HTTP/1.1 400 Bad\r\n\r\n"] {
        let proxy = raw(move |mut stream| {
            let _ = stream.read(&mut [0; 3]);
            let _ = stream.write_all(greeting);
        });
        assert_eq!(through(format!("socks5h://{proxy}")).0, 97, "{greeting:?}");
    }
}

#[test]
fn a_proxy_out_of_reach_is_what_could_not_be_reached() {
    let (proxy, _kept) = refusing();
    let (run, value) = run_json(&["http://name.invalid/", "-x", &proxy.to_string()]);
    assert_eq!((run.code, &value["error"]["phase"]), (7, &"connect".into()), "{run:?}");
    let words = format!("the proxy http://{proxy} is out of reach: could not connect to {proxy}");
    assert!(run.complaint().contains(&words), "{run:?}");
    for nonsense in ["ftp://proxy", "http://", "socks4://proxy"] {
        let (run, value) = run_json(&["http://name.invalid/", "-x", nonsense]);
        assert_eq!(run.code, 97, "{run:?}");
        assert_eq!(value["hops"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn a_silent_proxy_ends_at_the_connect_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (run, value) =
        run_json(&["https://name.invalid/", "-x", &proxy, "--connect-timeout", "0.3"]);
    assert_eq!((run.code, &value["error"]["phase"]), (28, &"proxy".into()), "{run:?}");
}

#[test]
fn names_can_be_pinned_and_connections_led_elsewhere() {
    let (address, requests) = recording();
    let port = address.port();
    let pin = format!("name.invalid:{port}:127.0.0.1");
    let pinned = hop(&[&format!("http://name.invalid:{port}/"), "--resolve", &pin]);
    assert_eq!(pinned["timings_ms"].get("dns"), None, "{pinned:#}");
    assert!(requests.recv().unwrap().contains(&format!("host: name.invalid:{port}")));

    let detour = format!("name.invalid:80:127.0.0.1:{port}");
    let led = hop(&["http://name.invalid/", "--connect-to", &detour]);
    assert_eq!(led["response"]["remote_port"], port);
    assert!(requests.recv().unwrap().contains("host: name.invalid\r\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn connections_start_where_they_are_told_to() {
    let server = canned(FINE);
    let url = format!("http://{server}/");
    let found = hop(&[&url, "--interface", "127.0.0.7"]);
    let local = found["connection"]["localAddr"].as_str().unwrap();
    assert!(local.starts_with("127.0.0.7:"), "{local}");
    hop(&[&url, "--interface", "lo"]);
    let (run, _) = run_json(&[&url, "--interface", "192.0.2.1"]);
    assert_eq!(run.code, 7, "{run:?}");
    let (run, _) = run_json(&[&url, "--interface", "no-such-device"]);
    assert_eq!(run.code, 7, "{run:?}");
}
