//! TLS on both sides: the facts are those of the socket below.
//!
//!     cargo run -p conniver-frameworks --example tls

use std::{error::Error, sync::Arc, time::Duration};

use conniver::{FailedConn, Handle, Observer, Options, Report};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Print;

impl Observer for Print {
    fn failed(&self, failed: &FailedConn) {
        println!("{failed}");
    }

    fn closed(&self, report: &Report) {
        println!("closed: {report}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, server) = conniver_frameworks::tls()?;
    let (connector, acceptor) =
        (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
    let options = Options::new().observer(Print);

    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (conn, _) = listener.accept().await?;
        // A peer that never finishes its handshake must not stay for ever.
        let handshake = listener.handshake(conn, &acceptor);
        let mut stream = timeout(Duration::from_secs(10), handshake).await??;
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await?;
        stream.write_all(&buffer).await?;
        stream.shutdown().await
    });

    let name = "localhost".try_into()?;
    let mut stream = options.connector().connect_tls(address, &connector, name).await?;
    stream.write_all(b"hello").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    println!("answer: {}", String::from_utf8_lossy(&answer));

    let handle: Handle = stream.get_ref().0.handle();
    println!("bytes on the wire: {} there, {} back", handle.tx_bytes(), handle.rx_bytes());
    println!("round trip: {:?}", handle.tcp_info().transpose()?.and_then(|info| info.rtt()));
    echo.await??;
    Ok(())
}
