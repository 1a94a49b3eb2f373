//! One connection that pings its peer twice a second, and its metrics for Prometheus.
//!
//!     cargo run -p conniver --features prometheus-client --example metrics [PORT]
//!     curl http://127.0.0.1:PORT/metrics

use std::{
    env,
    io::{self, Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use conniver::{Options, Tracker};
use prometheus_client::registry::Registry;

mod endpoint;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).map_or(Ok(0), |port| port.parse()).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("not a port: {error}"))
    })?;
    let tracker = Tracker::new();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(tracker.collector().per_connection(10)));

    let options = Options::new().category("ping").tracker(&tracker);
    let peer = options.listener(TcpListener::bind("127.0.0.1:0")?);
    let mut conn = options.connector().connect(peer.local_addr()?)?;
    let (mut echo, _) = peer.accept()?;
    thread::spawn(move || {
        let mut byte = [0];
        while echo.read_exact(&mut byte).and_then(|()| echo.write_all(&byte)).is_ok() {}
    });
    thread::spawn(move || {
        while conn.write_all(b"!").and_then(|()| conn.read_exact(&mut [0])).is_ok() {
            thread::sleep(Duration::from_millis(500));
        }
    });

    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}"))
    })?;
    println!("metrics at http://{}/metrics", listener.local_addr()?);
    endpoint::serve(&listener, &registry)
}
