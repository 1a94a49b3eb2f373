//! tonic's server with our listener, its client with our connector.

use std::net::SocketAddr;

use super::{log::Log, refusing};
use conniver::{Exchange, Handle, Options, Role, Tracker, tower::ExchangeLayer};
use tokio::net::TcpListener;
use tonic::{
    Request, Status,
    service::interceptor::InterceptedService,
    transport::{Endpoint, Server},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Checks requests before the service sees them.
type Check = fn(Request<()>) -> Result<Request<()>, Status>;

/// A server whose connections are wrapped, with or without handles in its requests.
async fn server(options: &Options, with_handles: bool, check: Check) -> SocketAddr {
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await.unwrap()).nodelay(true);
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let router = Server::builder()
        .layer(ExchangeLayer::new(Role::Server))
        .add_service(InterceptedService::new(health, check));
    let incoming = listener.into_incoming();
    tokio::spawn(async move {
        match with_handles {
            true => router.serve_with_incoming(incoming.with_handles()).await,
            false => router.serve_with_incoming(incoming).await,
        }
    });
    address
}

async fn ask(options: &Options, address: SocketAddr, times: usize) -> Result<(), Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect_with_connector(options.connector()).await.unwrap();
    let mut client = HealthClient::new(channel);
    for _ in 0..times {
        let answer = client.check(HealthCheckRequest::default()).await?;
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
    Ok(())
}

#[tokio::test]
async fn both_sides_are_tracked_and_requests_know_their_peer() {
    fn peer_is_known(request: Request<()>) -> Result<Request<()>, Status> {
        let peer = request.remote_addr().filter(|peer| peer.ip().is_loopback());
        peer.ok_or(Status::internal("no peer")).map(|_| request)
    }

    let (ours, theirs) = (Log::default(), Log::default());
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let address = server(&options.clone().observer(theirs.clone()), false, peer_is_known).await;
    ask(&options.clone().observer(ours.clone()), address, 5).await.unwrap();

    let ours = ours.closed(1).await.remove(0);
    let theirs = theirs.closed(1).await.remove(0);
    assert_eq!((ours.role, theirs.role), (Some(Role::Client), Some(Role::Server)));
    assert_eq!(ours.remote_addr, Some(address));
    assert_eq!(ours.tx_bytes, theirs.rx_bytes);
    // What the server still wrote when the client was gone, nobody received.
    assert!(ours.rx_bytes <= theirs.tx_bytes && ours.rx_bytes > 5 * 9);
    assert_eq!((tracker.totals().opened, tracker.totals().closed()), (2, 2));
}

#[tokio::test]
async fn requests_can_know_their_connection() {
    fn connection_is_known(request: Request<()>) -> Result<Request<()>, Status> {
        let unknown = || Status::internal("no connection");
        let handle = request.extensions().get::<Handle>().ok_or_else(unknown)?;
        let exchange = request.extensions().get::<Exchange>().ok_or_else(unknown)?;
        let is_right = exchange.handle().id() == handle.id()
            && handle.tcp_info().is_some_and(|info| info.is_ok())
            && handle.rx_bytes() > 0;
        if is_right { Ok(request) } else { Err(Status::internal("another connection")) }
    }

    let log = Log::default();
    let address = server(&Options::new().observer(log.clone()), true, connection_is_known).await;
    ask(&Options::new(), address, 3).await.unwrap();
    log.closed(1).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of() {
    let (_socket, address) = refusing();
    let log = Log::default();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let connector = Options::new().observer(log.clone()).connector();
    endpoint.connect_with_connector(connector).await.unwrap_err();
    let failed = log.failed();
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|failed| failed.reason == conniver::FailReason::Refused));
}
