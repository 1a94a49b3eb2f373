//! Handshakes that resume earlier ones, and requests that do not wait for them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
};

use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::Value;

use crate::{
    authority::{Authority, Issued},
    server,
    tool::run_json,
};

/// How much of a request came before the end of the handshake.
type Early = usize;

/// A server that redirects the first of two connections to itself. The second one is served with
/// the second configuration.
fn twice(configs: [ServerConfig; 2]) -> (SocketAddr, Receiver<Early>) {
    let configs = configs.map(Arc::new);
    let (sender, early) = channel();
    let turn = AtomicUsize::new(0);
    let address = server::raw(move |mut stream| {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        let mut tls = ServerConnection::new(Arc::clone(&configs[turn])).unwrap();
        let mut request = Vec::new();
        while tls.is_handshaking() {
            tls.read_tls(&mut stream).unwrap();
            tls.process_new_packets().unwrap();
            if let Some(mut early) = tls.early_data() {
                early.read_to_end(&mut request).unwrap();
            }
            while tls.wants_write() {
                tls.write_tls(&mut stream).unwrap();
            }
        }
        if let Some(mut early) = tls.early_data() {
            early.read_to_end(&mut request).unwrap();
        }
        sender.send(request.len()).unwrap();
        let response = match turn {
            0 => "HTTP/1.1 307 Here\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthat",
        };
        answer(&mut tls, &mut stream, request, response);
    });
    (address, early)
}

fn answer(
    tls: &mut ServerConnection,
    socket: &mut TcpStream,
    mut request: Vec<u8>,
    response: &str,
) {
    let mut stream = Stream::new(tls, socket);
    let mut byte = [0];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    stream.write_all(response.as_bytes()).unwrap();
    stream.conn.send_close_notify();
    let _ = stream.flush();
    // A body may follow, and the client closes when it has what it wants.
    let _ = socket.read_to_end(&mut Vec::new());
}

fn config(issued: &Issued, max_early_data: u32) -> ServerConfig {
    let mut config = issued.config();
    config.max_early_data_size = max_early_data;
    config
}

/// Two requests to the same server, and what became of TLS in each.
fn resumed(max_early_data: [u32; 2], options: &[&str]) -> ([Value; 2], [Early; 2]) {
    let issued = Authority::new().issue(|_| {});
    let first = config(&issued, max_early_data[0]);
    let mut second = config(&issued, max_early_data[1]);
    second.session_storage = Arc::clone(&first.session_storage);
    let (address, early) = twice([first, second]);
    let (run, mut value) =
        run_json(&[&["-k", "-L", &format!("https://{address}/")], options].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(value["hops"].as_array().unwrap().len(), 2);
    let tls = [0, 1].map(|hop| value["hops"][hop]["tls"].take());
    (tls, [early.recv().unwrap(), early.recv().unwrap()])
}

#[test]
fn handshakes_are_full_unless_asked_otherwise() {
    let ([first, second], early) = resumed([16_384; 2], &[]);
    for tls in [first, second] {
        assert_eq!(tls["handshake"], "full");
        assert_eq!(tls.get("early_data"), None);
    }
    assert_eq!(early, [0, 0]);
}

#[test]
fn a_session_is_resumed_when_asked_for() {
    let ([first, second], early) = resumed([16_384; 2], &["--tls-resume"]);
    assert_eq!(first["handshake"], "full");
    assert_eq!(second["handshake"], "resumed");
    assert_eq!(second["certificates"], first["certificates"]);
    assert_eq!(second.get("signature_scheme"), None);
    assert_eq!(second.get("early_data"), None);
    assert_eq!(early, [0, 0]);
}

#[test]
fn early_data_is_sent_when_asked_for() {
    let ([first, second], early) = resumed([16_384; 2], &["--tls-earlydata"]);
    assert_eq!(first.get("early_data"), None);
    assert_eq!(second["handshake"], "resumed");
    assert_eq!(second["early_data"], "accepted");
    assert_eq!(second["version"], "TLS 1.3");
    assert_eq!(second["certificates"], first["certificates"]);
    assert!(early[0] == 0 && early[1] > 0, "{early:?}");
}

#[test]
fn early_data_that_is_rejected_is_sent_again() {
    let ([_, second], early) = resumed([16_384, 0], &["--tls-earlydata"]);
    assert_eq!(second["early_data"], "rejected");
    assert_eq!(early, [0, 0]);
}

#[test]
fn what_must_not_be_repeated_waits_for_the_handshake() {
    for options in [["-d", "body"], ["-X", "DELETE"]] {
        let ([_, second], early) =
            resumed([16_384; 2], &[&["--tls-earlydata"], options.as_slice()].concat());
        assert_eq!(second["handshake"], "resumed");
        assert_eq!(second.get("early_data"), None);
        assert_eq!(early, [0, 0]);
    }
}
