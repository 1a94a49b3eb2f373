//! reqwest lets nobody near its streams; each connection can be observed all the same.
//!
//!     cargo run -p conniver-frameworks --example reqwest -- http://127.0.0.1:8080/

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use conniver::{
    FailedConn, Observer, Options,
    tower::{ObserveLayer, Observed},
};
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
    let conns = Arc::<Mutex<Vec<Observed>>>::default();
    let keep = Arc::clone(&conns);
    let layer = ObserveLayer::new(&options, move |conn| {
        println!("new connection: {conn}");
        if let Ok(mut conns) = keep.lock() {
            conns.push(conn.clone());
        }
    });
    let client = reqwest::Client::builder().connector_layer(layer).build()?;

    for _ in 0..2 {
        let response = client.get(&url).send().await?;
        let over = response.extensions().get::<HttpInfo>().map(HttpInfo::local_addr);
        println!("{} over {over:?}", response.status());
        response.bytes().await?;
    }
    for conn in conns.lock().map_err(|_| "a thread panicked")?.iter() {
        let info = conn.tcp_info()?.ok_or("the connection is over")?;
        println!("round trip {:?}, received {:?} bytes", info.rtt(), info.rx_bytes());
    }
    Ok(())
}
