//! HTTPS: versions, protocols and trust.

use std::io::{Read as _, Write as _};

use hyper::{Response, Version, body::Bytes};
use rcgen::SanType;
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    server::{self, Identity},
    tool::{hop, run, run_json},
};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// A site that answers with the authority and the protocol it was asked by.
fn site(versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> String {
    let config = Identity::for_loopback().config(versions, alpn);
    let (address, _) = server::site(Some(config), |request| {
        let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
        let authority = request.uri().authority().map(|authority| authority.to_string());
        let mut response = Response::new(Bytes::from_static(b"hello"));
        let asked = format!("{:?} {}", request.version(), authority.or(host).unwrap());
        response.headers_mut().insert("x-asked", asked.parse().unwrap());
        response
    });
    format!("https://{address}/")
}

fn asked(hop: &serde_json::Value) -> String {
    let headers: Vec<(String, String)> =
        serde_json::from_value(hop["response"]["headers"].clone()).unwrap();
    headers.into_iter().find(|(name, _)| name == "x-asked").unwrap().1
}

#[test]
fn http2_is_spoken_where_the_server_offers_it() {
    let url = site(&BOTH, &ALPN);
    let hop = hop(&["-k", &url]);
    let authority = url.strip_prefix("https://").unwrap().strip_suffix('/').unwrap();
    assert_eq!(asked(&hop), format!("{:?} {authority}", Version::HTTP_2));
    assert_eq!(hop["response"]["status_line"], "HTTP/2 200");
    assert_eq!(hop["tls"]["version"], "TLS 1.3");
    assert_eq!(hop["tls"]["alpn"], "h2");
    assert!(hop["tls"]["group"].is_string());
    assert!(hop["timings_ms"]["tls"].as_f64().unwrap() > 0.0);
}

#[test]
fn http1_is_spoken_where_the_server_wants_it_or_says_nothing() {
    let chosen = hop(&["-k", &site(&BOTH, &["http/1.1"])]);
    assert_eq!(chosen["tls"]["alpn"], "http/1.1");
    let silent = hop(&["-k", &site(&BOTH, &[])]);
    assert_eq!(silent["tls"].get("alpn"), None);
    for hop in [chosen, silent] {
        assert!(asked(&hop).starts_with("HTTP/1.1 127.0.0.1:"));
        assert_eq!(hop["response"]["http_version"], "HTTP/1.1");
    }
}

#[test]
fn an_unchecked_certificate_is_no_secret() {
    let url = site(&BOTH, &ALPN);
    assert_eq!(hop(&["-k", &url])["tls"]["verified"], false);
    assert!(run(&["-k", &url]).stdout.contains("not checked"));
    assert!(!run(&["--demo"]).stdout.contains("not checked"));
}

#[test]
fn tls_1_2_is_enough() {
    let hop = hop(&["-k", &site(&[&TLS12], &ALPN)]);
    assert_eq!(hop["tls"]["version"], "TLS 1.2");
    assert_eq!(hop["response"]["status_code"], 200);
}

#[test]
fn a_host_header_becomes_the_authority_of_http2() {
    for alpn in ALPN {
        let hop = hop(&["-k", "-H", "Host: example.com:1", &site(&BOTH, &[alpn])]);
        assert!(asked(&hop).ends_with(" example.com:1"), "{hop}");
    }
}

#[test]
fn a_request_body_crosses_http2() {
    let config = Identity::for_loopback().config(&BOTH, &ALPN);
    let (address, counts) = server::site(Some(config), |request| {
        let length = hyper::body::Body::size_hint(request.body()).exact().unwrap();
        Response::new(Bytes::from(length.to_string()))
    });
    let folder = tempfile::tempdir().unwrap();
    let (data, body) = (folder.path().join("data"), folder.path().join("body"));
    std::fs::write(&data, vec![b'x'; 60_000]).unwrap();
    let data = format!("@{}", data.display());
    let hop =
        hop(&["-k", &format!("https://{address}/"), "-d", &data, "-o", body.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(body).unwrap(), "60000");
    assert_eq!(hop["connection"]["txBytes"], counts.recv().unwrap().received);
    let sent = hop["timings_ms"]["send"].as_f64().unwrap();
    assert!(sent > 0.0);
}

#[test]
fn bytes_below_tls_are_those_the_server_counted() {
    for alpn in ALPN {
        let config = Identity::for_loopback().config(&BOTH, &[alpn]);
        let body = Bytes::from(vec![b'x'; 500_000]);
        let (address, counts) = server::site(Some(config), move |_| Response::new(body.clone()));
        let hop = hop(&["-k", &format!("https://{address}/")]);
        let counts = counts.recv().unwrap();
        assert_eq!(hop["connection"]["txBytes"], counts.received, "{alpn}");
        // The server's farewell may come when the client has gone.
        let unread = counts.sent - hop["connection"]["rxBytes"].as_u64().unwrap();
        assert!(unread < 100, "{unread} bytes over {alpn}");
    }
}

#[test]
fn a_certificate_from_nowhere_is_not_trusted() {
    let (run, value) = run_json(&[&site(&BOTH, &ALPN)]);
    assert_eq!(run.code, 60);
    let complaint = run.complaint();
    for part in ["TLS handshake", "127.0.0.1:", "issuer is unknown", "-k", "--cacert"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    let hop = &value["hops"][0];
    assert_eq!(value["error"]["phase"], "tls");
    assert!(hop["timings_ms"]["initial_connect"].as_f64().unwrap() > 0.0);
    assert!(hop["connection"]["rxBytes"].as_u64().unwrap() > 0);
    assert_eq!(hop.get("response"), None);
}

#[test]
fn a_named_certificate_is_trusted_for_its_own_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = |identity: &Identity| {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, &identity.pem).unwrap();
        let (address, _) =
            server::site(Some(identity.config(&BOTH, &ALPN)), |_| Response::new(Bytes::new()));
        run_json(&["--cacert", path.to_str().unwrap(), &format!("https://{address}/")]).0
    };
    assert_eq!(trusted(&Identity::for_loopback()).code, 0);

    let name = SanType::DnsName("example.com".try_into().unwrap());
    let elsewhere = trusted(&Identity::for_names(vec![name]));
    assert_eq!(elsewhere.code, 60);
    assert!(elsewhere.complaint().contains("example.com"), "{elsewhere:?}");
}

#[test]
fn a_file_without_certificates_is_refused_before_connecting() {
    let (run, value) = run_json(&["--cacert", "/no/such/file", "https://127.0.0.1:1/"]);
    assert_eq!(run.code, 60);
    assert!(run.complaint().contains("/no/such/file"));
    assert_eq!(value["hops"].as_array().unwrap().len(), 0);
}

#[test]
fn a_reset_in_the_handshake_is_named() {
    let address = server::raw(|mut stream| {
        // Closing with unread data makes the kernel send a reset.
        stream.read_exact(&mut [0]).unwrap();
    });
    let (run, value) = run_json(&["-k", &format!("https://{address}/")]);
    assert_eq!(run.code, 35);
    assert_eq!(value["error"]["phase"], "tls");
    assert!(run.complaint().contains("reset"), "{run:?}");
}

#[test]
fn a_server_without_tls_is_recognised() {
    let plain = server::raw(|mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        server::read_head(&mut stream);
    });
    let (run, _) = run_json(&["-k", &format!("https://{plain}/")]);
    assert_eq!(run.code, 35);
    assert!(run.complaint().contains("http://"), "{run:?}");
}

#[test]
fn a_server_with_tls_is_recognised() {
    let url = site(&BOTH, &ALPN).replace("https://", "http://");
    let (run, _) = run_json(&[&url]);
    assert_eq!(run.code, 8);
    assert!(run.complaint().contains("https://"), "{run:?}");
}

/// A TLS server that has agreed on HTTP/2 and then does as it likes.
fn unruly<F>(behave: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = ()>,
{
    let config = Identity::for_loopback().config(&BOTH, &["h2"]);
    let address = server::raw(move |stream| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            stream.set_nonblocking(true).unwrap();
            let stream = TcpStream::from_std(stream).unwrap();
            let stream = TlsAcceptor::from(config.clone()).accept(stream).await.unwrap();
            behave(stream).await;
        });
    });
    format!("https://{address}/")
}

#[test]
fn a_cancelled_stream_is_a_failure_to_receive() {
    let url = unruly(|stream| async {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        // The data and the reset are sent in one go, so the reset may overtake the data.
        body.send_reset(h2::Reason::INTERNAL_ERROR);
        while connection.accept().await.is_some() {}
    });
    let (run, value) = run_json(&["-k", &url]);
    assert_eq!(run.code, 56, "{run:?}");
    assert!(run.complaint().contains("cancelled with INTERNAL_ERROR"), "{run:?}");
    assert!(value["hops"][0]["connection"].is_object());
}

#[test]
fn a_server_that_goes_away_is_a_failure_to_receive() {
    // RFC 9113, section 6.8: no stream was or will be processed, ENHANCE_YOUR_CALM.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b];
    let url = unruly(move |mut stream| async move {
        stream.write_all(&[settings.as_slice(), &goaway].concat()).await.unwrap();
        // Keeps the connection open until the client leaves.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let (run, _) = run_json(&["-k", &url]);
    assert_eq!(run.code, 56, "{run:?}");
    assert!(run.complaint().contains("cancelled with ENHANCE_YOUR_CALM"), "{run:?}");
}

#[test]
fn garbage_instead_of_http2_is_a_malformed_response() {
    let url = unruly(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Keeps the connection open until the client leaves.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let (run, value) = run_json(&["-k", &url]);
    assert_eq!(run.code, 8, "{run:?}");
    assert_eq!(value["error"]["phase"], "server");
}
