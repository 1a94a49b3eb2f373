//! axum's server with our listener.

use std::net::SocketAddr;

use super::log::Log;
use axum::{
    Extension, Router,
    extract::ConnectInfo,
    http::HeaderMap,
    routing::{get, post},
    serve::ListenerExt as _,
};
use conniver::{
    Conn, Exchange, Handle, Listener, Options, Role, Tracker, axum08::make_service,
    tower::ExchangeLayer,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// A server that ends when it is told to, after the last answer.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

/// Serves with what the macro's user makes of the listener.
macro_rules! serve {
    ($options:expr, $listener:ident => $made:expr, $service:expr) => {{
        let $listener = $options.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = $listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve($made, $service).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Served { address, stop, server: tokio::spawn(async { serve.await }) }
    }};
}

/// Sends a request on a connection that stays, and gives what it was answered.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        stream.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8(answer.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return body.to_owned();
        }
    }
}

#[tokio::test]
async fn handlers_know_peer_connection_and_exchange() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().category("api").tracker(&tracker).observer(log.clone());
    let whole = |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                 Extension(conn): Extension<Handle>,
                 Extension(exchange): Extension<Exchange>| async move {
        assert_eq!(conn.remote_addr(), Some(peer));
        assert_eq!(exchange.handle().id(), conn.id());
        assert!(conn.tcp_info().unwrap().is_ok(), "the socket can be asked");
        format!("{peer} {}", exchange.number())
    };
    let app = Router::new().route("/", get(whole)).layer(ExchangeLayer::new(Role::Server));
    let served = serve!(options, listener => listener, make_service(app));

    let mut one = TcpStream::connect(served.address).await.unwrap();
    let mut two = TcpStream::connect(served.address).await.unwrap();
    for number in 0..3 {
        for stream in [&mut one, &mut two] {
            let peer = stream.local_addr().unwrap();
            assert_eq!(ask(stream, "/").await, format!("{peer} {number}"));
        }
    }
    assert_eq!(tracker.connections().len(), 2);
    drop((one, two));
    served.stop.send(()).unwrap();
    served.server.await.unwrap().unwrap();
    let reports = log.closed(2).await;
    assert!(reports.iter().all(|report| report.role == Some(Role::Server)));
    assert_eq!((log.opened().len(), tracker.totals().closed()), (2, 2));
}

#[tokio::test]
async fn connect_info_can_be_the_handle() {
    async fn id(ConnectInfo(conn): ConnectInfo<Handle>, exchange: Extension<Exchange>) -> String {
        assert_eq!(exchange.handle().id(), conn.id());
        format!("{}", conn.remote_addr().unwrap())
    }
    let app = || Router::new().route("/", get(id)).layer(ExchangeLayer::new(Role::Server));

    let service = app().into_make_service_with_connect_info::<Handle>();
    let plain = serve!(Options::new(), listener => listener, service);
    let service = app().into_make_service_with_connect_info::<Handle>();
    let tapped = serve!(Options::new(), listener => listener.tap_io(|_| {}), service);
    for address in [plain.address, tapped.address] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let local = stream.local_addr().unwrap().to_string();
        assert_eq!(ask(&mut stream, "/").await, local);
    }
}

#[tokio::test]
async fn connect_info_is_still_the_address_with_a_tap() {
    async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
        peer.to_string()
    }
    let app = Router::new().route("/", get(peer));
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let tap = |listener: Listener<TcpListener>| {
        listener.tap_io(|conn: &mut Conn<TcpStream>| conn.set_nodelay(true).unwrap())
    };
    let served = serve!(Options::new(), listener => tap(listener), service);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let local = stream.local_addr().unwrap().to_string();
    assert_eq!(ask(&mut stream, "/").await, local);
}

#[tokio::test]
async fn bytes_are_counted_as_the_client_sent_them() {
    const SIZE: usize = 1_000_000;
    let log = Log::default();
    let take = |headers: HeaderMap, body: axum::body::Bytes| async move {
        assert_eq!(headers["content-length"], body.len().to_string());
        "thanks"
    };
    let app = Router::new()
        .route("/", post(take))
        .layer(axum::extract::DefaultBodyLimit::max(2 * SIZE))
        .layer(ExchangeLayer::new(Role::Server));
    let served =
        serve!(Options::new().observer(log.clone()), listener => listener, make_service(app));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; SIZE]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"thanks"));
    let report = log.closed(1).await.remove(0);
    assert_eq!(report.rx_bytes, (head.len() + SIZE) as u64);
    assert_eq!(report.tx_bytes, answer.len() as u64);
}

#[tokio::test]
async fn clients_that_say_nothing_or_nonsense_end_in_reports() {
    let log = Log::default();
    let app =
        Router::new().route("/", get(|| async { "" })).layer(ExchangeLayer::new(Role::Server));
    let served =
        serve!(Options::new().observer(log.clone()), listener => listener, make_service(app));
    drop(TcpStream::connect(served.address).await.unwrap());
    let mut nonsense = TcpStream::connect(served.address).await.unwrap();
    nonsense.write_all(b"\0\x01\x02 nonsense\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    nonsense.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    let mut halves = TcpStream::connect(served.address).await.unwrap();
    halves.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    drop(halves);
    log.closed(3).await;
}
