//! A gRPC server and a client of it with tonic, both tracked: here the standard health service.
//!
//!     cargo run -p conniver-frameworks --example tonic

use std::error::Error;

use conniver::{Handle, Options, Report, Tracker};
use tokio::net::TcpListener;
use tonic::{
    Request, Status,
    transport::{Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tracker = Tracker::new();
    let options =
        Options::new().tracker(&tracker).observer(|report: &Report| println!("closed: {report}"));

    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await?).nodelay(true);
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;
    let (_, health) = tonic_health::server::health_reporter();
    let service = tonic::service::interceptor::InterceptedService::new(health, who);
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(listener.into_incoming().with_handles());
    let server = tokio::spawn(server);

    let connector = options.connector().nodelay(true);
    let channel = endpoint.connect_with_connector(connector).await?;
    let mut client = HealthClient::new(channel);
    let answer = client.check(HealthCheckRequest::default()).await?;
    println!("the service says {:?}", answer.into_inner().status());

    for conn in tracker.connections() {
        println!("open: {conn}");
    }
    drop(client);
    server.abort();
    Ok(())
}

/// Every request knows its connection.
fn who(request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(conn) = request.extensions().get::<Handle>() {
        println!("asked by {:?}, {} bytes so far", conn.remote_addr(), conn.rx_bytes());
    }
    Ok(request)
}
