//! A server that echoes what its clients send, and exports them to Prometheus.
//!
//!     cargo run -p conniver --features prometheus-client --example exporter [ADDRESS [METRICS]]
//!
//! Without addresses the system chooses ports on 127.0.0.1. Connect with `nc` or a browser, and
//! point Prometheus at the second address: `docs/prometheus.yml`, `docs/grafana-dashboard.json`.

use std::{env, io, net::TcpListener, thread};

use conniver::{Options, Tracker};
use prometheus_client::registry::Registry;

mod endpoint;

fn main() -> io::Result<()> {
    let mut addresses = env::args().skip(1);
    let mut bind = || {
        let address = addresses.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
        TcpListener::bind(&address).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address:?}: {error}"))
        })
    };
    let (clients, scrapers) = (bind()?, bind()?);
    println!("echo at {}", clients.local_addr()?);
    println!("metrics at http://{}/metrics", scrapers.local_addr()?);
    run(clients, &scrapers, &Tracker::new())
}

/// Serves both until a listener fails.
pub(crate) fn run(
    clients: TcpListener,
    scrapers: &TcpListener,
    tracker: &Tracker,
) -> io::Result<()> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(tracker.collector().per_connection(20)));

    let clients = Options::new().category("echo").tracker(tracker).listener(clients).back_off(true);
    thread::spawn(move || {
        for conn in clients.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &conn, &mut &conn));
        }
    });
    endpoint::serve(scrapers, &registry)
}
