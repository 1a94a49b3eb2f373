//! HTTP/3 against real servers on loopback, some of which know no manners.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use h3::{error::Code, server::RequestStream};
use hyper::{
    Request, Response,
    body::{Buf as _, Bytes},
    header::{HeaderMap, HeaderValue},
};
use quinn::{Connection, Endpoint, SendStream, VarInt};
use rcgen::SanType;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use crate::{
    once::once,
    server::{self, Identity},
    tool::{hop, run, run_json},
};

type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Hands each connection to `behave`, and says what its end of it has counted.
fn quic<F>(
    identity: &Identity,
    alpn: &[&str],
    behave: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> (SocketAddr, Receiver<quinn::ConnectionStats>)
where
    F: Future<Output = ()> + Send + 'static,
{
    quic_with(identity, alpn, false, behave)
}

/// The same with a server that may first want proof that a client is where it says it is.
fn quic_with<F>(
    identity: &Identity,
    alpn: &[&str],
    demand_proof: bool,
    behave: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> (SocketAddr, Receiver<quinn::ConnectionStats>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let config = identity.quic_config(alpn);
    let (address, addresses) = channel();
    let (sender, counts) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
            address.send(endpoint.local_addr().unwrap()).unwrap();
            while let Some(incoming) = endpoint.accept().await {
                if demand_proof && !incoming.remote_address_validated() {
                    incoming.retry().unwrap();
                    continue;
                }
                // A client that refuses shows in its own result.
                let Ok(connection) = incoming.await else { continue };
                behave(connection.clone()).await;
                connection.closed().await;
                // Most tests do not ask.
                let _ = sender.send(connection.stats());
            }
        });
    });
    (addresses.recv().unwrap(), counts)
}

/// A site that answers with what `respond` does to the stream.
fn site<F>(
    respond: impl Fn(Request<()>, Stream) -> F + Clone + Send + Sync + 'static,
) -> (String, Receiver<quinn::ConnectionStats>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (address, counts) = quic(&Identity::for_loopback(), &["h3"], move |connection| {
        speak(connection, respond.clone())
    });
    (format!("https://{address}/"), counts)
}

async fn speak<F>(connection: Connection, respond: impl Fn(Request<()>, Stream) -> F)
where
    F: Future<Output = ()>,
{
    let mut connection =
        h3::server::Connection::<_, Bytes>::new(h3_quinn::Connection::new(connection))
            .await
            .unwrap();
    // Until the client leaves.
    while let Ok(Some(request)) = connection.accept().await {
        let (request, stream) = request.resolve_request().await.unwrap();
        respond(request, stream).await;
    }
}

async fn answer(mut stream: Stream, body: impl Into<Bytes>) {
    stream.send_response(Response::new(())).await.unwrap();
    stream.send_data(body.into()).await.unwrap();
    stream.finish().await.unwrap();
}

/// A server that has agreed on HTTP/3 and sends these bytes in the place of a response.
fn unruly<F>(behave: impl Fn(Connection, SendStream) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = ()> + Send,
{
    let (address, _) = quic(&Identity::for_loopback(), &["h3"], move |connection| {
        let behave = behave.clone();
        async move {
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(SETTINGS).await.unwrap();
            let (sending, mut receiving) = connection.accept_bi().await.unwrap();
            // The whole request, so that the client can only be waiting for the response.
            let _ = receiving.read_to_end(1 << 20).await;
            behave(connection.clone(), sending).await;
            connection.closed().await;
        }
    });
    format!("https://{address}/")
}

/// Answers with these bytes on the stream of the request.
fn canned(response: &'static [u8]) -> String {
    unruly(move |_, mut stream| async move {
        stream.write_all(response).await.unwrap();
        stream.finish().unwrap();
    })
}

fn asked(hop: &Value, name: &str) -> String {
    let headers: Vec<(String, String)> =
        serde_json::from_value(hop["response"]["headers"].clone()).unwrap();
    headers.into_iter().find(|(other, _)| other == name).unwrap().1
}

/// Runs against the URL and checks exit code, phase and the words of the complaint.
fn fails(url: &str, options: &[&str], code: i32, phase: &str, words: &[&str]) -> Value {
    let (run, mut value) = run_json(&[&["--http3-only", "-k", url], options].concat());
    assert_eq!(run.code, code, "{run:?}");
    assert_eq!(value["error"]["phase"], phase, "{value:#}");
    for word in words {
        assert!(run.complaint().contains(word), "{word:?} is not in {run:?}");
    }
    value["hops"][0].take()
}

fn entries(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

#[test]
fn a_request_is_made_and_its_connection_known() {
    let (url, _) = site(|request, stream| async move {
        assert_eq!(
            request.headers()["user-agent"].to_str().unwrap().split('/').next(),
            Some("httpstat")
        );
        answer(stream, "hello").await;
    });
    let hop = hop(&["--http3-only", "-k", &url]);
    assert_eq!(hop["response"]["status_line"], "HTTP/3 200");
    assert_eq!(hop["response"]["http_version"], "HTTP/3");
    assert_eq!(hop["response"]["body_bytes"], 5);
    assert_eq!(hop["response"]["remote_ip"], "127.0.0.1");
    assert_eq!(hop["tls"]["version"], "TLS 1.3");
    assert_eq!(hop["tls"]["alpn"], "h3");
    assert!(hop["tls"]["group"].is_string());
    assert_eq!(hop["attempts"][0]["transport"], "quic");
    assert_eq!(hop["attempts"][0]["outcome"], "connected");
    assert_eq!(hop.get("connection"), None);

    let timings = hop["timings_ms"].as_object().unwrap();
    let time = |key: &str| timings[key].as_f64().unwrap();
    let sum: f64 = ["quic", "send", "server", "transfer"].into_iter().map(time).sum();
    assert!((sum - time("total")).abs() < 1e-6, "{timings:?}");
    for absent in ["connect", "tls", "initial_connect"] {
        assert_eq!(timings.get(absent), None);
    }
    assert!(time("quic") > 0.0 && time("pretransfer") == time("quic"), "{timings:?}");
}

#[test]
fn bytes_are_those_the_server_counted() {
    let body = Bytes::from(vec![b'x'; 500_000]);
    let (url, counts) = site(move |_, stream| answer(stream, body.clone()));
    let hop = hop(&["--http3-only", "-k", &url]);
    let counts = counts.recv().unwrap();
    let count = |key: &str| hop["quic"]["closed"][key].as_u64().unwrap();
    assert!(count("received_bytes") > 500_000);
    assert!(counts.udp_tx.bytes >= count("received_bytes"), "{counts:?} {hop:#}");
    // The goodbye, and what was on its way when it was said; a server of quinn does not count the
    // first datagram, whose length is fixed.
    let unseen = counts.udp_rx.bytes + 1_200 - count("sent_bytes");
    assert!(unseen < 5_000, "{unseen}");
    let rtt = hop["quic"]["closed"]["min_rtt_ms"].as_f64().unwrap();
    assert!(rtt > 0.0 && rtt <= hop["timings_ms"]["quic"].as_f64().unwrap(), "{hop:#}");
    for early in ["sent_packets", "sent_bytes", "received_bytes", "sent_datagrams"] {
        assert!(hop["quic"]["opened"][early].as_u64().unwrap() <= count(early), "{early}: {hop:#}");
    }
}

#[test]
fn a_request_body_and_a_response_cross() {
    let (url, _) = site(|_, mut stream| async move {
        let mut received = Vec::new();
        while let Some(data) = stream.recv_data().await.unwrap() {
            received.extend_from_slice(data.chunk());
        }
        answer(stream, received).await;
    });
    let folder = tempfile::tempdir().unwrap();
    let (data, body) = (folder.path().join("data"), folder.path().join("body"));
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n.to_be_bytes()[2]).collect();
    std::fs::write(&data, &content).unwrap();
    let data = format!("@{}", data.display());
    let hop = hop(&["--http3-only", "-k", &url, "-d", &data, "-o", body.to_str().unwrap()]);
    assert_eq!(hop["request"]["method"], "POST");
    assert!(std::fs::read(body).unwrap() == content);
    assert!(hop["timings_ms"]["send"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_response_may_begin_before_the_request_has_ended() {
    let (url, _) = site(|_, mut stream| async move {
        stream.send_response(Response::new(())).await.unwrap();
        while let Some(mut data) = stream.recv_data().await.unwrap() {
            let data = data.copy_to_bytes(data.remaining());
            stream.send_data(data).await.unwrap();
        }
        stream.finish().await.unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // More than fits into every buffer on the way.
    std::fs::write(&data, vec![b'x'; 30_000_000]).unwrap();
    let hop = hop(&["--http3-only", "-k", &url, "-d", &format!("@{}", data.display())]);
    assert_eq!(hop["response"]["body_bytes"], 30_000_000);
}

#[test]
fn a_server_need_not_read_the_whole_request() {
    let (url, _) = site(|_, mut stream| async move {
        stream.stop_sending(Code::H3_NO_ERROR);
        answer(stream, "enough").await;
    });
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::write(&data, vec![b'x'; 30_000_000]).unwrap();
    let hop = hop(&["--http3-only", "-k", &url, "-d", &format!("@{}", data.display())]);
    assert_eq!(hop["response"]["body_bytes"], "enough".len());
}

#[test]
fn only_the_head_is_asked_for() {
    let (url, _) = site(|request, mut stream| async move {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert("content-length", HeaderValue::from_static("5"));
        headers.insert("x-asked", request.method().as_str().parse().unwrap());
        stream.send_response(response).await.unwrap();
        stream.finish().await.unwrap();
    });
    assert_eq!(asked(&hop(&["--http3-only", "-k", "-I", &url]), "x-asked"), "HEAD");
}

#[test]
fn headers_are_those_that_http3_allows() {
    let (url, _) = site(|request, mut stream| async move {
        let mut response = Response::new(());
        let names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        let asked = format!("{} {}", request.uri().authority().unwrap(), names.join(","));
        response.headers_mut().insert("x-asked", asked.parse().unwrap());
        stream.send_response(response).await.unwrap();
        stream.finish().await.unwrap();
    });
    let edits = ["-H", "Connection: close", "-H", "TE: gzip", "-H", "Host: example.com:1"];
    let hop = hop(&[&["--http3-only", "-k", &url], edits.as_slice()].concat());
    assert_eq!(asked(&hop, "x-asked"), "example.com:1 user-agent,accept");
}

#[test]
fn a_slow_server_shows_as_server_processing() {
    once(|| {
        const DELAY: Duration = Duration::from_millis(200);
        let (url, _) = site(|_, stream| async move {
            tokio::time::sleep(DELAY).await;
            answer(stream, "late").await;
        });
        let begun = Instant::now();
        let hop = hop(&["--http3-only", "-k", &url]);
        let time = Duration::from_secs_f64(hop["timings_ms"]["server"].as_f64().unwrap() / 1e3);
        assert!((DELAY..begun.elapsed()).contains(&time), "{hop:#}");
    });
}

#[test]
fn interim_responses_and_trailers_are_no_response_and_no_body() {
    let (url, _) = site(|_, mut stream| async move {
        let hints = Response::builder().status(103).header("link", "</a>").body(()).unwrap();
        stream.send_response(hints).await.unwrap();
        stream.send_response(Response::new(())).await.unwrap();
        stream.send_data(Bytes::from_static(b"body")).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        stream.send_trailers(trailers).await.unwrap();
        stream.finish().await.unwrap();
    });
    let hop = hop(&["--http3-only", "-k", &url]);
    assert_eq!(hop["response"]["status_code"], 200);
    assert_eq!(hop["response"]["body_bytes"], 4);
    assert_eq!(hop["interim_responses"][0]["status_code"], 103, "{hop:#}");
    assert_eq!(hop["response"]["trailers"][0][0], "x-checksum", "{hop:#}");
}

#[test]
fn each_redirect_is_a_request_over_http3() {
    let (url, _) = site(|request, mut stream| async move {
        if request.uri().path() == "/there" {
            return answer(stream, "here").await;
        }
        let response =
            Response::builder().status(302).header("location", "there").body(()).unwrap();
        stream.send_response(response).await.unwrap();
        stream.finish().await.unwrap();
    });
    let (run, value) = run_json(&["--http3-only", "-k", "-L", &url]);
    assert_eq!(run.code, 0, "{run:?}");
    let hops = value["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2);
    assert!(hops.iter().all(|hop| hop["quic"]["closed"].is_object()), "{value:#}");
    assert_eq!(hops[1]["response"]["body_bytes"], 4);
}

#[test]
fn a_series_counts_the_handshake() {
    let (url, _) = site(|_, stream| answer(stream, "hello"));
    let run = run(&["--http3-only", "-k", &url, "-n", "2", "--format", "json"]);
    let series: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(series["statistics"]["quic"]["count"], 2, "{series:#}");
    let together = crate::tool::run(&["--http3-only", "--keep-alive", &url]);
    assert_eq!(together.code, 2, "{together:?}");
}

#[test]
fn the_connection_is_shown_to_people() {
    let (url, _) = site(|_, stream| answer(stream, "hello"));
    let run = run(&["--http3-only", "-k", &url, "-v"]);
    for part in ["(QUIC) connected", "QUIC handshake", "QUIC connection", "Packets lost", "ALPN h3"]
    {
        assert!(run.stdout.contains(part), "{part:?} is not in {run:?}");
    }
    assert!(!run.stdout.contains("TCP connect"), "{run:?}");
}

/// A port at which one server listens with TCP, and another or nobody with UDP.
fn tcp_site() -> SocketAddr {
    let config = Identity::for_loopback().config(&[&TLS12, &TLS13], &["h2"]);
    server::site(Some(config), |_| Response::new(Bytes::from_static(b"over TCP"))).0
}

#[test]
fn tcp_is_used_where_nobody_answers_over_quic() {
    let refused = hop(&["--http3", "-k", &format!("https://{}/", tcp_site())]);
    let silent = loop {
        let address = tcp_site();
        // The port may be somebody else's for UDP.
        let Ok(_socket) = UdpSocket::bind(address) else { continue };
        break hop(&["--http3", "-k", &format!("https://{address}/")]);
    };
    assert_eq!(silent["attempts"][0]["outcome"], "abandoned");
    assert!(silent["timings_ms"]["quic"].as_f64().unwrap() >= 2_000.0, "{silent:#}");
    for hop in [refused, silent] {
        assert_eq!(hop["response"]["http_version"], "HTTP/2", "{hop:#}");
        assert_eq!(hop["attempts"][0]["transport"], "quic");
        assert_eq!(hop["attempts"][1].get("transport"), None);
        assert_eq!(hop["attempts"][1]["outcome"], "connected");
        assert_eq!(hop.get("quic"), None);
        for phase in ["quic", "connect", "tls"] {
            assert!(hop["timings_ms"][phase].as_f64().unwrap() > 0.0, "{hop:#}");
        }
    }
}

#[test]
fn http3_is_preferred_where_both_are_spoken() {
    let (url, _) = site(|_, stream| answer(stream, "hello"));
    let address: SocketAddr = url["https://".len()..].trim_end_matches('/').parse().unwrap();
    let _tcp = std::net::TcpListener::bind(address);
    assert_eq!(hop(&["--http3", "-k", &url])["response"]["http_version"], "HTTP/3");
}

#[test]
fn the_way_of_a_request_is_the_same_as_over_tcp() {
    let (url, _) = site(|request, mut stream| async move {
        let asked = request.uri().authority().unwrap().to_string();
        let response = Response::builder().header("x-asked", asked).body(()).unwrap();
        stream.send_response(response).await.unwrap();
        stream.finish().await.unwrap();
    });
    let (_, port) = url.trim_end_matches('/').rsplit_once(':').unwrap();
    let named = format!("https://pinned.test:{port}/");
    let pin = format!("pinned.test:{port}:127.0.0.1");
    let hop = hop(&["--http3-only", "-k", &named, "--resolve", &pin, "--interface", "127.0.0.2"]);
    assert_eq!(asked(&hop, "x-asked"), format!("pinned.test:{port}"));
    if cfg!(target_os = "linux") {
        let local = hop["quic"]["local_addr"].as_str().unwrap();
        assert!(local.starts_with("127.0.0.2:"), "{local}");
    }
}

#[test]
fn a_proxy_is_no_way_for_quic() {
    let words = ["QUIC does not lead through the proxy 127.0.0.1:1", "--noproxy"];
    let (run, value) =
        run_json(&["--http3-only", "-k", "https://127.0.0.1:2/", "-x", "http://127.0.0.1:1"]);
    assert_eq!(run.code, 97, "{run:?}");
    for word in words {
        assert!(run.complaint().contains(word), "{run:?}");
    }
    assert_eq!(value["hops"][0]["attempts"].as_array().unwrap().len(), 0);
    // Where it may be left, TCP is the way.
    let (run, value) =
        run_json(&["--http3", "-k", "https://127.0.0.1:2/", "-x", "http://127.0.0.1:1"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert_eq!(value["error"]["phase"], "connect");
}

#[test]
fn a_server_may_want_proof_of_the_address() {
    let (address, _) = quic_with(&Identity::for_loopback(), &["h3"], true, |connection| {
        speak(connection, |_, stream| answer(stream, "hello"))
    });
    let hop = hop(&["--http3-only", "-k", &format!("https://{address}/")]);
    assert_eq!(hop["response"]["body_bytes"], 5);
}

#[test]
fn a_server_of_another_version_of_quic_is_recognised() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 2_000];
        let (_, client) = socket.recv_from(&mut datagram).unwrap();
        // RFC 8999, sections 5.1 and 6: the connection's identifiers, swapped, and version 2.
        let (to, rest) = datagram[6..].split_at(datagram[5].into());
        let from = &rest[1..][..rest[0].into()];
        let mut answer = vec![0xc0, 0, 0, 0, 0];
        for id in [from, to] {
            answer.push(u8::try_from(id.len()).unwrap());
            answer.extend_from_slice(id);
        }
        answer.extend_from_slice(&[0x6b, 0x33, 0x43, 0xcf]);
        socket.send_to(&answer, client).unwrap();
    });
    fails(&format!("https://{address}/"), &[], 96, "quic", &["speaks no version of QUIC"]);
}

#[test]
fn plain_http_has_no_http3() {
    let plain = server::canned("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{plain}/");
    assert_eq!(hop(&["--http3", &url])["response"]["http_version"], "HTTP/1.1");
    let (run, _) = run_json(&["--http3-only", &url]);
    assert_eq!(run.code, 3);
    assert!(run.complaint().contains("is not https"), "{run:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_refusal_is_heard_at_once() {
    // A socket that speaks with itself is no answer to others.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    let url = format!("https://{address}/");
    let hop = fails(&url, &[], 7, "quic", &["refused", &format!("UDP port {}", address.port())]);
    assert_eq!(hop["attempts"][0]["outcome"], "failed");
    assert_eq!(hop.get("quic"), None);
}

#[test]
fn silence_ends_at_the_connect_limit() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", socket.local_addr().unwrap());
    let hop = fails(&url, &["--connect-timeout", "0.3"], 28, "quic", &["--connect-timeout"]);
    assert_eq!(hop["attempts"][0]["outcome"], "abandoned");
}

#[test]
fn a_body_that_stops_ends_at_the_time_limit_and_leaves_no_file() {
    let (url, _) = site(|_, mut stream| async move {
        stream.send_response(Response::new(())).await.unwrap();
        stream.send_data(Bytes::from_static(b"half")).await.unwrap();
        std::future::pending::<()>().await;
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let options = ["--max-time", "0.5", "-o", file.to_str().unwrap()];
    let hop = fails(&url, &options, 28, "transfer", &["after 4 bytes", "--max-time"]);
    assert_eq!(hop["response"]["body_bytes"], 4);
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_certificate_is_checked_as_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let trusted = |identity: &Identity| {
        std::fs::write(&path, &identity.pem).unwrap();
        let (address, _) = quic(identity, &["h3"], |connection| {
            speak(connection, |_, stream| answer(stream, "hello"))
        });
        let url = format!("https://{address}/");
        let unknown = run_json(&["--http3-only", &url]);
        assert_eq!(unknown.0.code, 60, "{unknown:?}");
        assert_eq!(unknown.1["error"]["phase"], "quic");
        // Who the server says it is, is known all the same.
        let shown = &unknown.1["hops"][0]["tls"];
        assert_eq!(shown["certificates"].as_array().unwrap().len(), 1, "{shown:#}");
        assert_eq!(shown["verified"], false);
        run_json(&["--http3-only", "--cacert", path.to_str().unwrap(), &url])
    };
    let (run, value) = trusted(&Identity::for_loopback());
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(value["hops"][0]["tls"]["verified"], true);
    let (run, _) = run_json(&["--http3-only", "--tls-max", "1.2", "https://127.0.0.1:1/"]);
    assert_eq!(run.code, 35, "{run:?}");
    assert!(run.complaint().contains("HTTP/3 needs TLS 1.3"), "{run:?}");

    let name = SanType::DnsName("example.com".try_into().unwrap());
    let (elsewhere, _) = trusted(&Identity::for_names(vec![name]));
    assert_eq!(elsewhere.code, 60);
    assert!(elsewhere.complaint().contains("example.com"), "{elsewhere:?}");
}

#[test]
fn a_server_of_something_else_over_quic_is_recognised() {
    let (address, _) = quic(&Identity::for_loopback(), &["doq"], |_| async {});
    fails(&format!("https://{address}/"), &[], 96, "quic", &["speaks QUIC, but not HTTP/3"]);
}

#[test]
fn what_ends_a_stream_is_named() {
    let reset = unruly(|_, mut stream| async move {
        stream.reset(VarInt::from_u32(0x102)).unwrap();
    });
    fails(&reset, &[], 95, "server", &["cancelled with H3_INTERNAL_ERROR", "before the response"]);

    let (url, _) = site(|_, mut stream| async move {
        stream.send_response(Response::new(())).await.unwrap();
        stream.send_data(Bytes::from_static(b"half")).await.unwrap();
        // Data that has not left may be overtaken by the reset.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.stop_stream(Code::H3_EXCESSIVE_LOAD);
    });
    let hop = fails(&url, &[], 95, "transfer", &["H3_EXCESSIVE_LOAD", "after 4 bytes"]);
    assert_eq!(hop["response"]["body_bytes"], 4);
}

#[test]
fn what_ends_a_connection_is_named() {
    let close = |code: u32, reason: &'static [u8]| {
        unruly(move |connection, _stream| async move { connection.close(code.into(), reason) })
    };
    let words = ["closed the connection with H3_INTERNAL_ERROR", "no \\x1b[31mway"];
    let hop = fails(&close(0x102, b"no \x1b[31mway"), &[], 95, "server", &words);
    assert!(hop["quic"]["closed"].is_object(), "{hop:#}");
    fails(&close(0x100, b""), &[], 56, "server", &["closed the connection before"]);
}

#[test]
fn no_answer_at_all_is_named() {
    fails(&canned(b""), &[], 52, "server", &["without answering"]);
}

#[test]
fn half_a_body_is_partial_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let options = ["-o", file.to_str().unwrap()];
    // A frame of 9 bytes, of which 4 come.
    let cut = canned(b"\x01\x03\0\0\xd9\x00\x09half");
    let hop = fails(&cut, &options, 18, "transfer", &["bytes of the body"]);
    assert_eq!(hop["response"]["status_code"], 200);

    let (url, _) = site(|_, mut stream| async move {
        let response = Response::builder().header("content-length", "9").body(()).unwrap();
        stream.send_response(response).await.unwrap();
        stream.send_data(Bytes::from_static(b"half")).await.unwrap();
        stream.finish().await.unwrap();
    });
    fails(&url, &options, 18, "transfer", &["after 4 bytes"]);
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn more_than_was_announced_is_a_malformed_response() {
    let (url, _) = site(|_, mut stream| async move {
        let response = Response::builder().header("content-length", "2").body(()).unwrap();
        stream.send_response(response).await.unwrap();
        stream.send_data(Bytes::from_static(b"more")).await.unwrap();
        stream.finish().await.unwrap();
    });
    fails(&url, &[], 8, "transfer", &["longer body than it announced"]);
}

#[test]
fn what_breaks_the_protocol_is_named() {
    // A body before any head, and a head that refers to a table which does not exist.
    fails(&canned(b"\x00\x04body"), &[], 95, "server", &["broke HTTP/3", "H3_FRAME_UNEXPECTED"]);
    fails(&canned(b"\x01\x03\x09\0\x80"), &[], 95, "server", &["QPACK_DECOMPRESSION_FAILED"]);
}

#[test]
fn a_huge_head_is_given_up() {
    let mut head = vec![1, 0x80, 0x09, 0x27, 0xc9, 0, 0, 0xd9, 0x21, b'x', 0x7f];
    // RFC 7541, section 5.1: 600,000 - 127 in groups of seven bits.
    head.extend_from_slice(&[0xc1, 0xce, 0x24]);
    head.extend_from_slice(&[b'x'; 600_000]);
    let head = Arc::new(head);
    let url = unruly(move |_, mut stream| {
        let head = Arc::clone(&head);
        async move { stream.write_all(&head).await.unwrap() }
    });
    fails(&url, &[], 8, "server", &["larger than this program accepts"]);
}

#[test]
fn what_never_becomes_a_response_is_given_up() {
    /// Sends these bytes until the client has had enough.
    fn endless(beginning: &'static [u8], piece: Vec<u8>) -> String {
        let piece = Arc::new(piece);
        unruly(move |_, mut stream| {
            let piece = Arc::clone(&piece);
            async move {
                stream.write_all(beginning).await.unwrap();
                while stream.write_all(&piece).await.is_ok() {}
            }
        })
    }

    // Each with the status 103 and a header of 100 bytes.
    let hints = [b"\x01\x40\x6a\0\0\xd8\x21x\x64".as_slice(), &[b'x'; 100]].concat();
    let interim = endless(b"", hints.repeat(100));
    // A head of 4 GiB, says the length of its frame.
    let head = endless(b"\x01\xc0\0\0\x01\0\0\0\0", vec![b'x'; 10_000]);
    for url in [interim, head] {
        fails(&url, &["--max-time", "20"], 8, "server", &["without end"]);
    }
    // The same where trailers are expected.
    let trailers = endless(b"\x01\x03\0\0\xd9\x01\xc0\0\0\x01\0\0\0\0", vec![b'x'; 10_000]);
    fails(&trailers, &["--max-time", "20"], 8, "transfer", &["without end"]);
}

/// The type of the stream, and a frame of no settings.
const SETTINGS: &[u8] = b"\0\x04\0";
