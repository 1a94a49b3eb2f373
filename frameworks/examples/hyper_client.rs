//! Gets a page twice with hyper-util's client, and says which connection each response came over.
//!
//!     cargo run -p conniver-frameworks --example hyper_client -- http://127.0.0.1:8080/

use std::error::Error;

use conniver::{Exchange, Options, Report, Role, tower::ExchangeLayer};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Uri, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer as _, Service as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: hyper_client URL, such as http://127.0.0.1:8080/";
    let uri: Uri = std::env::args().nth(1).ok_or(usage)?.parse()?;

    let connector = Options::new()
        .category("example")
        .observer(|report: &Report| println!("closed: {report}"))
        .connector()
        .nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let mut client = ExchangeLayer::new(Role::Client).layer(client);

    for _ in 0..2 {
        let request = Request::get(&uri).body(Empty::new())?;
        let response = client.call(request).await?;
        let exchange = response.extensions().get::<Exchange>().cloned();
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{status}, {} bytes", body.len());
        if let Some(exchange) = exchange {
            let difference = exchange.difference();
            println!(
                "  {} connection to {:?}: {} bytes there, {} back, {:?}, retransmitted {:?}",
                if exchange.is_reuse() { "same" } else { "new" },
                exchange.handle().remote_addr(),
                difference.tx_bytes,
                difference.rx_bytes,
                difference.took,
                difference.retransmitted_segs,
            );
        }
    }
    Ok(())
}
