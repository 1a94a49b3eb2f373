//! A query with tokio-postgres over a wrapped connection.
//!
//!     cargo run -p conniver-frameworks --example postgres -- "host=127.0.0.1 user=postgres"

use std::error::Error;

use conniver::{Options, Report};
use tokio_postgres::{Config, NoTls, config::Host};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: postgres CONFIG, such as \"host=127.0.0.1 user=postgres\"";
    let config: Config = std::env::args().nth(1).ok_or(usage)?.parse()?;
    let Some(Host::Tcp(host)) = config.get_hosts().first() else {
        return Err("the configuration names no host to connect to over TCP".into());
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);

    let options = Options::new()
        .category("postgres")
        .observer(|report: &Report| println!("closed: {report}"));
    let conn = options.connector().nodelay(true).connect_tokio((host.as_str(), port)).await?;
    let handle = conn.handle();
    let (client, driver) = config.connect_raw(conn, NoTls).await?;
    let driver = tokio::spawn(driver);

    let mark = handle.mark();
    let row = client.query_one("SELECT version()", &[]).await?;
    let difference = mark.difference();
    println!("{}", row.get::<_, &str>(0));
    println!(
        "the query took {:?}, of which a round trip is {:?}; {} bytes there, {} back",
        difference.took, difference.rtt_after, difference.tx_bytes, difference.rx_bytes
    );
    drop(client);
    driver.await??;
    Ok(())
}
