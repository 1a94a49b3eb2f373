//! Each integration against the real framework, over loopback.

mod axum;
mod hyper;
mod log;
mod reqwest;
mod tls;
mod tonic;
mod websocket;

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// An address at which nobody listens: bound, so that nobody else gets it.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
