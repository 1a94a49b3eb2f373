//! hyper-util's client with our connectors, hyper's server with our listener.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{log::Log, refusing};
use conniver::{
    CloseReason, Connector, Exchange, FailReason, Handle, Options, Report, Role, Tracker,
    tower::{ExchangeLayer, Exchanges, WrapLayer},
};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, UPGRADE},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, HttpInfo},
    },
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tower::{Layer as _, Service as _, ServiceExt as _};

type Body = Empty<Bytes>;

const SIZE: usize = 100_000;

/// A server whose connections are wrapped; `/upgrade` echoes bytes instead of answering.
async fn server(options: &Options) -> SocketAddr {
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            let handle = conn.handle();
            let respond = tower::service_fn(respond);
            let respond = ExchangeLayer::new(Role::Server).layer(respond);
            // Plain hyper knows no connection, so it is put into each request.
            let respond = tower::util::MapRequest::new(respond, move |mut request: Request<_>| {
                request.extensions_mut().insert(handle.clone());
                request
            });
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let service = TowerToHyperService::new(respond);
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(conn), service).await;
            });
        }
    });
    address
}

async fn respond(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let exchange = request.extensions().get::<Exchange>().unwrap();
    let number = exchange.number();
    if request.method() == Method::GET && request.uri().path() == "/upgrade" {
        tokio::spawn(async move {
            let mut upgraded = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut bytes = [0; 5];
            upgraded.read_exact(&mut bytes).await.unwrap();
            upgraded.write_all(&bytes).await.unwrap();
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "echo");
        return Ok(response.body(Full::default()).unwrap());
    }
    let response = Response::builder().header("number", number);
    Ok(response.body(Full::from(vec![b'x'; SIZE])).unwrap())
}

fn client(connector: Connector) -> Exchanges<Client<Connector, Body>> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    ExchangeLayer::new(Role::Client).layer(client)
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_knows_its_connection() {
    let (ours, theirs) = (Log::default(), Log::default());
    let address = server(&Options::new().observer(theirs.clone())).await;
    let tracker = Tracker::new();
    let options = Options::new().category("pages").tracker(&tracker).observer(ours.clone());
    let mut client = client(options.connector());

    // How often each connection was used: a client may need another one if the last body has not
    // quite left the first when the next request comes.
    let mut used = HashMap::new();
    for _ in 0..20 {
        let response = client.call(get(&format!("http://{address}/"))).await.unwrap();
        let handle = response.extensions().get::<Handle>().unwrap().clone();
        let info = response.extensions().get::<HttpInfo>().unwrap();
        assert_eq!(handle.remote_addr(), Some(info.remote_addr()), "what the client had stays");
        assert_eq!(handle.category(), Some("pages"));

        let exchange = response.extensions().get::<Exchange>().unwrap().clone();
        let uses: &mut u64 = used.entry(handle.id()).or_default();
        assert_eq!((exchange.number(), exchange.is_reuse()), (*uses, *uses > 0));
        assert_eq!(exchange.handle().id(), handle.id());
        // The server counted the same on its side.
        assert_eq!(response.headers()["number"], uses.to_string());
        *uses += 1;

        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), SIZE);
        let difference = exchange.difference();
        assert!((SIZE..SIZE + 500).contains(&(difference.rx_bytes as usize)), "{difference:?}");
        assert!((20..500).contains(&difference.tx_bytes), "{difference:?}");
        assert!(!difference.is_shared, "one request after the other");
    }
    assert!(used.values().any(|&uses| uses > 1), "{used:?}");
    // The client may have made connections that it never used, and closed others.
    assert!(tracker.totals().opened >= used.len() as u64);

    drop(client);
    let was_used = |report: &Report| report.rx_bytes > 0;
    let mut reports = ours.closed_that(was_used, used.len()).await;
    let mut theirs = theirs.closed_that(was_used, used.len()).await;
    reports.sort_by_key(|report| report.local_addr);
    theirs.sort_by_key(|report| report.remote_addr);
    for (report, theirs) in reports.iter().zip(&theirs) {
        assert_eq!((report.role, report.reason), (Some(Role::Client), CloseReason::LocalClose));
        assert_eq!(theirs.role, Some(Role::Server));
        assert_eq!((theirs.tx_bytes, theirs.rx_bytes), (report.rx_bytes, report.tx_bytes));
    }
}

#[tokio::test]
async fn requests_at_the_same_time_on_one_connection_are_shared() {
    let address = server(&Options::new()).await;
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.http2_only(true).build::<_, Body>(Options::new().connector());
    let client = ExchangeLayer::new(Role::Client).layer(client);
    let uri = format!("http://{address}/");
    // Makes the connection; those that follow share it.
    drop(client.clone().oneshot(get(&uri)).await.unwrap());

    let (one, two) =
        tokio::join!(client.clone().oneshot(get(&uri)), client.clone().oneshot(get(&uri)));
    let exchange =
        |response: &Response<_>| response.extensions().get::<Exchange>().cloned().unwrap();
    let (one, two) = (exchange(&one.unwrap()), exchange(&two.unwrap()));
    assert_eq!(one.handle().id(), two.handle().id());
    assert!(one.difference().is_shared && two.difference().is_shared);
    assert!(one.is_reuse() && two.is_reuse());
    assert_ne!(one.number(), two.number());
}

/// A response that never comes, and notes whether its exchange was still there when it went.
struct Never(Handle, Arc<AtomicBool>);

impl Future for Never {
    type Output = Result<Response<()>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Never {
    fn drop(&mut self) {
        // By now a client may have given the connection to the next request.
        self.1.store(self.0.mark().difference().is_shared, SeqCst);
    }
}

#[tokio::test]
async fn an_exchange_ends_with_its_response_or_before_its_future() {
    let handle = Options::new().wrap_opaque(tokio::io::empty()).handle();
    let request = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(handle.clone());
        request
    };
    let layer = ExchangeLayer::new(Role::Server);
    let answer = |_| async { Ok::<_, Infallible>(Response::new(())) };
    let mut answered = pin!(layer.layer(tower::service_fn(answer)).call(request()));
    let response = answered.as_mut().await.unwrap();
    assert_eq!(response.extensions().get::<Exchange>().unwrap().number(), 0);
    drop(response);
    assert!(!handle.mark().difference().is_shared, "the future holds nothing any more");

    let is_late = Arc::new(AtomicBool::new(true));
    let never = |_| Never(handle.clone(), Arc::clone(&is_late));
    let mut given_up = Box::pin(layer.layer(tower::service_fn(never)).call(request()));
    assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(handle.mark().difference().is_shared);
    drop(given_up);
    assert!(!is_late.load(SeqCst));
    assert!(!handle.mark().difference().is_shared);
}

#[tokio::test]
async fn a_layer_in_a_layer_counts_a_request_once() {
    let handle = Options::new().wrap_opaque(tokio::io::empty()).handle();
    let layer = ExchangeLayer::new(Role::Server);
    let answer = |_| async { Ok::<_, Infallible>(Response::new(())) };
    let mut service = layer.layer(layer.layer(tower::service_fn(answer)));
    for number in 0..3 {
        let mut request = Request::new(());
        request.extensions_mut().insert(handle.clone());
        let response = service.call(request).await.unwrap();
        let exchange = response.extensions().get::<Exchange>().unwrap();
        assert_eq!((exchange.number(), exchange.difference().is_shared), (number, false));
    }
}

#[tokio::test]
async fn a_client_that_finds_its_connection_dead_takes_another() {
    // A server that answers once on each connection, and then closes it without a word before.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    });
    let log = Log::default();
    let mut client = client(Options::new().observer(log.clone()).connector());
    for number in 0..5 {
        let response = client.call(get(&format!("http://{address}/"))).await.unwrap();
        let exchange = response.extensions().get::<Exchange>().unwrap();
        let handle = response.extensions().get::<Handle>().unwrap();
        assert_eq!(exchange.handle().id(), handle.id(), "of the connection that answered");
        assert!(!exchange.is_reuse(), "attempt {number} needs a connection of its own");
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(log.opened().len(), 5);
    log.closed(5).await;
}

#[tokio::test]
async fn a_proxy_has_an_exchange_on_each_side() {
    let origin = server(&Options::new()).await;
    let (front, back) = (Log::default(), Log::default());
    let listener = Options::new().observer(front.clone());
    let listener = listener.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let proxy = listener.local_addr().unwrap();
    let behind = client(Options::new().observer(back.clone()).connector());
    tokio::spawn(async move {
        let (conn, _) = listener.accept().await.unwrap();
        let handle = conn.handle();
        let forward = tower::service_fn(move |request: Request<Incoming>| {
            let behind = behind.clone();
            async move {
                // The request goes on with all that it carries.
                let mut request = request.map(|_| Body::new());
                *request.uri_mut() = format!("http://{origin}/").parse().unwrap();
                let response = behind.oneshot(request).await?;
                let exchange = response.extensions().get::<Exchange>().unwrap();
                assert_eq!(exchange.handle().remote_addr(), Some(origin));
                Ok::<_, hyper_util::client::legacy::Error>(response)
            }
        });
        let forward = ExchangeLayer::new(Role::Server).layer(forward);
        let id = handle.id();
        let forward = tower::util::MapRequest::new(forward, move |mut request: Request<_>| {
            request.extensions_mut().insert(handle.clone());
            request
        });
        let forward = tower::util::MapResponse::new(forward, move |response: Response<_>| {
            assert_eq!(response.extensions().get::<Exchange>().unwrap().handle().id(), id);
            response
        });
        let builder = Builder::new(TokioExecutor::new());
        builder
            .serve_connection(TokioIo::new(conn), TowerToHyperService::new(forward))
            .await
            .unwrap();
    });
    let outside = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let response = outside.request(get(&format!("http://{proxy}/"))).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), SIZE);
    drop(outside);
    assert_eq!((front.closed(1).await.len(), back.opened().len()), (1, 1));
}

#[tokio::test]
async fn an_upgraded_connection_is_one_connection() {
    let (ours, theirs) = (Log::default(), Log::default());
    let address = server(&Options::new().observer(theirs.clone())).await;
    let client = client(Options::new().observer(ours.clone()).connector());
    let mut request = get(&format!("http://{address}/upgrade"));
    request.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
    request.headers_mut().insert(UPGRADE, "echo".parse().unwrap());
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let handle = response.extensions().get::<Handle>().unwrap().clone();
    let before = (handle.tx_bytes(), handle.rx_bytes());

    let mut upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    upgraded.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    upgraded.read_exact(&mut bytes).await.unwrap();
    assert_eq!((handle.tx_bytes(), handle.rx_bytes()), (before.0 + 5, before.1 + 5));
    drop(upgraded);
    let report = ours.closed(1).await.remove(0);
    assert_eq!((report.tx_bytes, report.rx_bytes), (before.0 + 5, before.1 + 5));
    theirs.closed(1).await;
    assert_eq!((ours.opened().len(), theirs.opened().len()), (1, 1));
}

#[tokio::test]
async fn failures_are_told_by_both_connectors() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker).observer(log.clone());
    let (_socket, address) = refusing();
    let own = client(options.connector());
    let mut wrapped = HttpConnector::new();
    wrapped.enforce_http(false);
    let wrapped = WrapLayer::new(&options).layer(wrapped);
    let wrapped = Client::builder(TokioExecutor::new()).build::<_, Body>(wrapped);

    let uri = format!("http://{address}/");
    own.clone().oneshot(get(&uri)).await.unwrap_err();
    wrapped.request(get(&uri)).await.unwrap_err();
    let missing = "http://nowhere.invalid/";
    own.clone().oneshot(get(missing)).await.unwrap_err();
    wrapped.request(get(missing)).await.unwrap_err();

    let failed = log.failed();
    let reasons: Vec<_> = failed.iter().map(|failed| failed.reason).collect();
    use FailReason::{Refused, Resolution};
    assert_eq!(reasons, [Refused, Refused, Resolution, Resolution], "{failed:?}");
    let targets: Vec<_> = failed.iter().map(|failed| failed.target.clone().unwrap()).collect();
    let address = address.to_string();
    assert_eq!(targets, [&*address, &*address, "nowhere.invalid:80", "nowhere.invalid"]);
    assert!(failed.iter().all(|failed| failed.role() == Some(Role::Client)));
    assert!(failed[1].error.as_ref().unwrap().text.contains("refused"), "{:?}", failed[1].error);
    assert_eq!(tracker.totals().failed(), 4);

    // A URI that leads nowhere is an error that says so.
    let error = own.clone().oneshot(get("gopher://host/")).await.unwrap_err();
    let text = format!("{:?}", std::error::Error::source(&error));
    assert!(text.contains("no port"), "{text}");
}

#[tokio::test]
async fn a_password_in_a_uri_is_told_to_nobody() {
    let log = Log::default();
    let options = Options::new().observer(log.clone());
    let (_socket, address) = refusing();
    for uri in
        [&*format!("http://me:secret@{address}/?key=secret"), "gopher://me:secret@host/secret"]
    {
        let uri: hyper::Uri = uri.parse().unwrap();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        WrapLayer::new(&options).layer(connector).oneshot(uri.clone()).await.unwrap_err();
        let error = options.connector().oneshot(uri).await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let told = log.failed();
    let targets: Vec<_> = told.iter().map(|failed| failed.target.as_deref().unwrap()).collect();
    let address = address.to_string();
    assert_eq!(targets, [&*address, &*address, "host", "gopher://host"]);
    assert!(told.iter().all(|failed| !format!("{failed} {failed:?}").contains("secret")));
}

#[tokio::test]
async fn a_uri_leads_to_the_port_it_names_or_nowhere() {
    let log = Log::default();
    let mut connector = Options::new().observer(log.clone()).connector();
    let six = TcpListener::bind("[::1]:0").await.unwrap();
    let four = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (six, four) = (six.local_addr().unwrap(), four.local_addr().unwrap());
    for (uri, address) in [
        (format!("http://{six}/"), six),
        (format!("HTTPS://{four}"), four),
        (format!("ws://me@{four}/"), four),
    ] {
        let stream = connector.call(uri.parse().unwrap()).await.unwrap();
        assert_eq!(stream.inner().handle().remote_addr(), Some(address), "{uri}");
    }
    // Not the usual port of the scheme instead.
    for uri in ["http://127.0.0.1:65536/", "http://[::1]:99999/", "http://me:1@localhost:123456/"] {
        let error = connector.call(uri.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.reason(), FailReason::Error, "{uri}");
        assert!(error.to_string().contains("port of the URI"), "{error}");
    }
    // A scheme may be written in any case.
    for (uri, target) in
        [("WS://a.invalid:/", "a.invalid:80"), ("Wss://b.invalid", "b.invalid:443")]
    {
        connector.call(uri.parse().unwrap()).await.unwrap_err();
        assert_eq!(log.failed().last().unwrap().target.as_deref(), Some(target), "{uri}");
    }
    assert_eq!((log.opened().len(), log.failed().len()), (3, 5));
}

#[tokio::test]
async fn hyper_utils_own_connector_is_wrapped_by_the_layer() {
    let address = server(&Options::new()).await;
    let log = Log::default();
    let options = Options::new().observer(log.clone());
    let connector = WrapLayer::new(&options).layer(HttpConnector::new());
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let response = client.request(get(&format!("http://{address}/"))).await.unwrap();
    let handle = response.extensions().get::<Handle>().unwrap().clone();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), SIZE);
    assert!(handle.tcp_info().unwrap().unwrap().rx_bytes().unwrap() > SIZE as u64);
    drop(client);
    assert_eq!(log.closed(1).await[0].role, Some(Role::Client));
}

#[tokio::test]
async fn who_gives_up_connecting_is_told_of() {
    // A listener whose queue is full answers no further one.
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let _listener = listener.listen(0).unwrap();
    let _first = tokio::net::TcpStream::connect(address).await.unwrap();

    let log = Log::default();
    let options = Options::new().observer(log.clone());
    let wrapped = WrapLayer::new(&options).layer(HttpConnector::new());
    let uri: hyper::Uri = format!("http://{address}/").parse().unwrap();
    let patience = Duration::from_millis(50);
    tokio::time::timeout(patience, wrapped.oneshot(uri.clone())).await.unwrap_err();
    tokio::time::timeout(patience, options.connector().oneshot(uri)).await.unwrap_err();
    let reasons: Vec<_> = log.failed().iter().map(|failed| failed.reason).collect();
    assert_eq!(reasons, [FailReason::Cancelled, FailReason::Cancelled]);
}

#[tokio::test]
async fn https_is_counted_on_the_wire() {
    let (client_config, mut server_config) = conniver_frameworks::tls().unwrap();
    server_config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server_config));
    let listener = Options::new().listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (conn, _) = listener.accept().await.unwrap();
        let stream = listener.handshake(conn, &acceptor).await.unwrap();
        let service = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(vec![b'x'; SIZE])))
        });
        let builder = Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    });

    let log = Log::default();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(client_config)
        .https_only()
        .enable_http1()
        .wrap_connector(Options::new().observer(log.clone()).connector());
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let response = client.request(get(&format!("https://localhost:{port}/"))).await.unwrap();
    let handle = response.extensions().get::<Handle>().unwrap().clone();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), SIZE);
    // The kernel's count of the socket includes the handshake and what TLS adds, and so does ours.
    let kernel = handle.tcp_info().unwrap().unwrap().rx_bytes().unwrap();
    assert!(handle.rx_bytes() > SIZE as u64 + 500);
    assert_eq!(kernel, handle.rx_bytes());
    drop(client);
    log.closed(1).await;
}
