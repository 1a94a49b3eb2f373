//! As much of HTTP as a scraper needs, with the standard library alone. A program that has a server
//! already answers there instead.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use prometheus_client::{encoding::text, registry::Registry};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers every request for `/metrics` with what the registry says at that moment.
pub(crate) fn serve(listener: &TcpListener, registry: &Registry) -> io::Result<()> {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            // Whoever asks badly or goes away harms nobody else.
            scope.spawn(move || answer(stream, registry));
        }
        Ok(())
    })
}

fn answer(mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
    const LONGEST_REQUEST: u64 = 8 << 10;

    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new((&stream).take(LONGEST_REQUEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = if path == "/metrics" {
        let mut body = String::new();
        text::encode(&mut body, registry).expect("a string takes any text");
        ("200 OK", OPEN_METRICS, body)
    } else {
        ("404 Not Found", "text/plain", "metrics are at /metrics\n".to_owned())
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
