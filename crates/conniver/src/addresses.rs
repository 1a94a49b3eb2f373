//! The two addresses of any socket.

use std::net::SocketAddr;

use tcpinfo::AsSock;

/// Local and remote address; absent where the socket has none that is an internet address.
#[cfg(unix)]
pub(crate) fn addresses(sock: &impl AsSock) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let sock = sock.as_sock();
    let local = rustix::net::getsockname(sock).ok();
    let remote = rustix::net::getpeername(sock).ok().flatten();
    let internet = |address: Option<rustix::net::SocketAddrAny>| address?.try_into().ok();
    (internet(local), internet(remote))
}

/// Local and remote address; absent where the socket has none that is an internet address.
#[cfg(windows)]
pub(crate) fn addresses(sock: &impl AsSock) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let sock = sock.as_sock();
    let sock = socket2::SockRef::from(&sock);
    let internet = |address: std::io::Result<socket2::SockAddr>| address.ok()?.as_socket();
    (internet(sock.local_addr()), internet(sock.peer_addr()))
}

/// Local and remote address; absent where the socket has none that is an internet address.
#[cfg(not(any(unix, windows)))]
pub(crate) fn addresses(_: &impl AsSock) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (None, None)
}
