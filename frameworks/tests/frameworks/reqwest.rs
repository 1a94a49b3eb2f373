//! reqwest, whose connections can be observed and not wrapped.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{log::Log, refusing};
use axum::{Router, routing::get};
use conniver::{
    FailReason, Options, Role, Tracker,
    axum08::make_service,
    tower::{ObserveLayer, Observed},
};
use hyper_util::client::legacy::connect::HttpInfo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
};

#[tokio::test]
async fn each_connection_is_told_once_with_its_addresses() {
    // The other side knows the truth.
    let tracker = Tracker::new();
    let listener = Options::new().tracker(&tracker);
    let listener = listener.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { "hello" }));
    tokio::spawn(async { axum::serve(listener, make_service(app)).await });

    let observed = Arc::new(Mutex::new(Vec::<Observed>::new()));
    let seen = Arc::clone(&observed);
    let layer =
        ObserveLayer::new(&Options::new(), move |conn| seen.lock().unwrap().push(conn.clone()));
    let client = reqwest::Client::builder().connector_layer(layer).build().unwrap();
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
    drop(client);
    while !tracker.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(conn.tcp_info().unwrap().is_none(), "it is over");
}

#[tokio::test]
async fn a_later_connection_between_the_same_addresses_is_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let observed = Arc::new(Mutex::new(Vec::<Observed>::new()));
    let seen = Arc::clone(&observed);
    let layer =
        ObserveLayer::new(&Options::new(), move |conn| seen.lock().unwrap().push(conn.clone()));
    // An address that no other test takes ports of.
    let client = reqwest::Client::builder()
        .connector_layer(layer)
        .local_address(IpAddr::from([127, 83, 21, 7]))
        .build()
        .unwrap();
    let get = tokio::spawn(client.get(format!("http://{address}/")).send());
    let (mut server, _) = listener.accept().await.unwrap();
    assert_ne!(server.read(&mut [0; 1024]).await.unwrap(), 0);
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    get.await.unwrap().unwrap();
    let conn = observed.lock().unwrap()[0].clone();
    assert!(conn.tcp_info().unwrap().is_some());

    // A reset leaves nothing of the connection behind, so that its port is free at once.
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop((client, server));
    while conn.tcp_info().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = TcpSocket::new_v4().unwrap();
    again.bind(conn.local_addr.unwrap()).unwrap();
    let again = again.connect(address).await.unwrap();
    assert_eq!(Some(again.local_addr().unwrap()), conn.local_addr);
    assert!(conn.tcp_info().unwrap().is_none(), "that is another one");
}

#[tokio::test]
async fn failures_are_told_and_counted_and_panics_contained() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().category("out").tracker(&tracker).observer(log.clone());
    let layer = ObserveLayer::new(&options, |_| panic!("never mind"));
    let client = reqwest::Client::builder().connector_layer(layer).build().unwrap();
    let (_socket, address) = refusing();
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
