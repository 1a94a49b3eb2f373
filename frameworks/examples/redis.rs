//! Commands to redis over a wrapped connection.
//!
//!     cargo run -p conniver-frameworks --example redis -- 127.0.0.1:6379

use std::error::Error;

use conniver::{Options, Report};
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:6379".to_owned());
    let options =
        Options::new().category("redis").observer(|report: &Report| println!("closed: {report}"));
    let conn = options.connector().nodelay(true).connect_tokio(address).await?;
    let handle = conn.handle();

    let info = RedisConnectionInfo::default();
    let config = AsyncConnectionConfig::new();
    let (mut redis, driver) = MultiplexedConnection::new_with_config(&info, conn, config).await?;
    let driver = tokio::spawn(driver);

    let mark = handle.mark();
    redis.set::<_, _, ()>("conniver", "hello").await?;
    let value: String = redis.get("conniver").await?;
    let difference = mark.difference();
    println!(
        "{value}: {:?} for two commands; {} bytes there, {} back",
        difference.took, difference.tx_bytes, difference.rx_bytes
    );
    drop(redis);
    driver.await?;
    Ok(())
}
