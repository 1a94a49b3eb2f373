//! reqwest lets nobody near its streams; each connection can be observed all the same.
//!
//!     cargo run -p conniver-frameworks --example reqwest -- http://127.0.0.1:8080/

use std::error::Error;

use conniver::{FailedConn, Observer, Options, tower::ObserveLayer};
use hyper_util::client::legacy::connect::HttpInfo;

struct PrintFailures;

impl Observer for PrintFailures {
    fn failed(&self, failed: &FailedConn) {
        eprintln!("{failed}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url =
        std::env::args().nth(1).ok_or("usage: reqwest URL, such as http://127.0.0.1:8080/")?;
    let options = Options::new().category("example").observer(PrintFailures);
    let layer = ObserveLayer::new(&options, |conn| println!("new connection: {conn}"));
    let client = reqwest::Client::builder().connector_layer(layer).build()?;

    for _ in 0..2 {
        let response = client.get(&url).send().await?;
        let over = response.extensions().get::<HttpInfo>().map(HttpInfo::local_addr);
        println!("{} over {over:?}", response.status());
        response.bytes().await?;
    }
    Ok(())
}
