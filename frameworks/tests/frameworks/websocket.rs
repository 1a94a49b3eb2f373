//! tokio-tungstenite over our connections.

use super::log::Log;
use conniver::{CloseReason, Options};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message};

#[tokio::test]
async fn frames_are_counted_on_both_sides() {
    const SIZE: usize = 70_000;
    let (ours, theirs) = (Log::default(), Log::default());
    let listener = Options::new().observer(theirs.clone());
    let listener = listener.listener(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (conn, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(conn).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });

    let options = Options::new().observer(ours.clone());
    let conn = options.connector().connect_tokio(address).await.unwrap();
    let handle = conn.handle();
    let (mut socket, _) = client_async(format!("ws://{address}/"), conn).await.unwrap();
    for _ in 0..10 {
        let mark = handle.mark();
        socket.send(Message::binary(vec![7; SIZE])).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_data().len(), SIZE);
        let difference = mark.difference();
        // RFC 6455, section 5.2: such a frame has 10 bytes of head, and 4 more for a client's mask.
        assert_eq!(difference.tx_bytes, SIZE as u64 + 14);
        assert_eq!(difference.rx_bytes, SIZE as u64 + 10);
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    server.await.unwrap();
    drop(socket);
    let (ours, theirs) = (ours.closed(1).await.remove(0), theirs.closed(1).await.remove(0));
    assert_eq!((ours.tx_bytes, ours.rx_bytes), (theirs.rx_bytes, theirs.tx_bytes));
    assert_eq!(theirs.reason, CloseReason::LocalClose, "RFC 6455, section 7.1.1");
}
