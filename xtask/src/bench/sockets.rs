use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// The two ends of a TCP connection over loopback, without Nagle's delay.
pub(super) fn loopback_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}
