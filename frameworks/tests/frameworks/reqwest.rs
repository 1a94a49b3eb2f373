//! reqwest, whose connections can be observed and not wrapped.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::log::Log;
use axum::{Router, routing::get};
use conniver::{
    FailReason, Options, Role, Tracker,
    axum08::make_service,
    tower::{ObserveLayer, Observed},
};
use hyper_util::client::legacy::connect::HttpInfo;
use tokio::net::TcpListener;

#[tokio::test]
async fn each_connection_is_told_once_with_its_addresses() {
    // The other side knows the truth.
    let tracker = Tracker::new();
    let listener = Options::new().tracker(&tracker);
    let listener = listener.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/last", get(|| async { ([("connection", "close")], "goodbye") }));
    tokio::spawn(async { axum::serve(listener, make_service(app)).await });

    let observed = Arc::new(Mutex::new(Vec::<Observed>::new()));
    let seen = Arc::clone(&observed);
    let layer =
        ObserveLayer::new(&Options::new(), move |conn| seen.lock().unwrap().push(conn.clone()));
    // With an address of ours that is bound first, our port is nobody else's, nor was it lately.
    let client = reqwest::Client::builder().local_address(address.ip()).connector_layer(layer);
    let client = client.build().unwrap();
    for _ in 0..3 {
        let response = client.get(format!("http://{address}/")).send().await.unwrap();
        let over = response.extensions().get::<HttpInfo>().unwrap().local_addr();
        assert_eq!(response.text().await.unwrap(), "hello");
        let observed = observed.lock().unwrap();
        let [conn] = &observed[..] else { panic!("{observed:?}") };
        assert_eq!((conn.local_addr, conn.remote_addr), (Some(over), Some(address)));
        assert!(!conn.took.is_zero());
        let theirs = &tracker.connections()[0];
        assert_eq!(theirs.remote_addr(), conn.local_addr);
        // What is asked by addresses agrees with what the other end counted.
        let info = conn.tcp_info().unwrap().unwrap();
        assert_eq!(info.rx_bytes(), Some(theirs.tx_bytes()));
        assert_eq!(info.state(), Some(tcpinfo::State::Established));
    }
    let conn = observed.lock().unwrap()[0].clone();
    // The server closes first, because the client does not yet read, and keeps what is left of the
    // connection: our port is free at once.
    let response = client.get(format!("http://{address}/last")).send().await.unwrap();
    while !tracker.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(response.text().await.unwrap(), "goodbye");
    let end = Instant::now() + Duration::from_secs(10);
    while conn.tcp_info().unwrap().is_some() {
        assert!(Instant::now() < end, "it is over");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // Another connection between the same addresses is not this one.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&conn.local_addr.unwrap().into()).unwrap();
    socket.connect(&address.into()).unwrap();
    assert!(conn.tcp_info().unwrap().is_none(), "another one");
}

#[tokio::test]
async fn failures_are_told_and_counted_and_panics_contained() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().category("out").tracker(&tracker).observer(log.clone());
    let layer = ObserveLayer::new(&options, |_| panic!("never mind"));
    let client = reqwest::Client::builder().connector_layer(layer).build().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    client.get(format!("http://{address}/")).send().await.unwrap_err();
    client.get("http://nowhere.invalid/").send().await.unwrap_err();
    let failed = log.failed();
    let reasons: Vec<_> = failed.iter().map(|failed| failed.reason).collect();
    assert_eq!(reasons, [FailReason::Refused, FailReason::Resolution], "{failed:?}");
    assert_eq!((failed[0].role(), failed[0].category()), (Some(Role::Client), Some("out")));
    assert_eq!(tracker.totals().failed(), 2);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(async { axum::serve(listener, app).await });
    let response = client.get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(options.observer_panics(), 1);
}
