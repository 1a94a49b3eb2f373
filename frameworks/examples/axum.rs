//! An axum server whose handlers know their connection, with a page of all of them.
//!
//!     cargo run -p conniver-frameworks --example axum -- 127.0.0.1:8080

use std::{fmt::Write as _, io, net::SocketAddr};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, State},
    routing::get,
};
use conniver::{
    Exchange, Handle, Options, Order, Query, Role, Tracker, axum08, tower::ExchangeLayer,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let tracker = Tracker::new();
    let listener = Options::new()
        .category("api")
        .tracker(&tracker)
        .listener(TcpListener::bind(address).await?)
        .nodelay(true);
    println!("listening on http://{}/ (also /connections)", listener.local_addr()?);

    let app = Router::new()
        .route("/", get(hello))
        .route("/connections", get(connections))
        .layer(ExchangeLayer::new(Role::Server))
        .with_state(tracker);
    axum::serve(listener, axum08::make_service(app)).await
}

async fn hello(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(conn): Extension<Handle>,
    Extension(exchange): Extension<Exchange>,
) -> String {
    let rtt = conn.tcp_info().and_then(Result::ok).and_then(|info| info.rtt());
    let number = exchange.number() + 1;
    format!("hello {peer}, this is request {number} on your connection; round trip {rtt:?}\n")
}

async fn connections(State(tracker): State<Tracker>) -> String {
    let query = Query::new().order(Order::Oldest).facts(true);
    tracker.query(&query).iter().fold(String::new(), |mut page, conn| {
        let _ = writeln!(page, "{conn}");
        page
    })
}
