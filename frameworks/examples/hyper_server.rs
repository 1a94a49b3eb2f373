//! A server with hyper alone that tells each client what it knows of its connection.
//!
//!     cargo run -p conniver-frameworks --example hyper_server -- 127.0.0.1:8080

use std::{convert::Infallible, error::Error};

use conniver::{Exchange, Options, Report};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = Options::new()
        .category("example")
        .observer(|report: &Report| println!("closed: {report}"))
        .listener(TcpListener::bind(address).await?)
        .back_off(true);
    println!("listening on http://{}/", listener.local_addr()?);

    loop {
        let (conn, _) = listener.accept().await?;
        let handle = conn.handle();
        tokio::spawn(async move {
            let service = service_fn(|_: Request<Incoming>| {
                let exchange = Exchange::begin(&handle);
                let said = format!(
                    "request {} on connection {} from {:?}, which sent {} bytes\n",
                    exchange.number() + 1,
                    handle.id(),
                    handle.remote_addr(),
                    handle.rx_bytes(),
                );
                async { Ok::<_, Infallible>(Response::new(said)) }
            });
            let server = Builder::new(TokioExecutor::new());
            if let Err(error) =
                server.serve_connection_with_upgrades(TokioIo::new(conn), service).await
            {
                eprintln!("{:?}: {error}", handle.remote_addr());
            }
        });
    }
}
