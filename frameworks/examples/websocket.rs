//! A WebSocket server and client with tokio-tungstenite, over wrapped connections.
//!
//!     cargo run -p conniver-frameworks --example websocket

use std::error::Error;

use conniver::{Options, Report};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::new().observer(|report: &Report| println!("closed: {report}"));
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;

    let server = tokio::spawn(async move {
        let (conn, _) = listener.accept().await?;
        let mut socket = accept_async(conn).await?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_text() {
                socket.send(message).await?;
            }
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });

    let conn = options.connector().connect_tokio(address).await?;
    let handle = conn.handle();
    let (mut socket, _) = client_async(format!("ws://{address}/"), conn).await?;
    for text in ["one", "two", "three"] {
        let mark = handle.mark();
        socket.send(Message::text(text)).await?;
        let answer = socket.next().await.ok_or("the server has gone")??;
        let difference = mark.difference();
        println!(
            "{answer}: {} bytes there, {} back, {:?}",
            difference.tx_bytes, difference.rx_bytes, difference.took
        );
    }
    socket.close(None).await?;
    while socket.next().await.is_some() {}
    server.await?
}
