//! Reads the kernel's facts of the same connection through the stream types of std, socket2, tokio
//! and mio.
//!
//! `cargo run -p tcpinfo --example streams -- HOST:PORT`, or without an address to dial itself.

use std::{
    env, io,
    net::{TcpListener, TcpStream, ToSocketAddrs},
    process::ExitCode,
};

use tcpinfo::{AsSock, TcpInfo};

fn main() -> ExitCode {
    let address = env::args().nth(1);
    if address.as_ref().is_some_and(|address| address.starts_with('-')) {
        eprintln!("usage: streams [HOST:PORT]");
        return ExitCode::from(2);
    }
    match dial_all(address.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streams: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dial_all(address: Option<&str>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = match address {
        Some(address) => first(address)?,
        None => listener.local_addr()?,
    };

    let std_stream = TcpStream::connect(address)?;
    show("std", &std_stream)?;

    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.connect(&address.into())?;
    show("socket2", &socket)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tokio_stream = runtime.block_on(tokio::net::TcpStream::connect(address))?;
    show("tokio", &tokio_stream)?;

    // A mio stream begins to connect and goes on by itself; here it takes over one that has.
    std_stream.set_nonblocking(true)?;
    show("mio", &mio::net::TcpStream::from_std(std_stream))
}

fn first(address: &str) -> io::Result<std::net::SocketAddr> {
    let nothing = || io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    address.to_socket_addrs()?.next().ok_or_else(nothing)
}

/// One function for all of them: whatever lends its socket can be asked.
fn show(kind: &str, stream: &impl AsSock) -> io::Result<()> {
    let info = TcpInfo::read(stream)?;
    let state = info.state().map_or("unknown state".to_owned(), |state| state.to_string());
    let rtt = info.rtt().map_or("not measured".to_owned(), |rtt| format!("{rtt:?}"));
    let cwnd = info.tx_cwnd().map_or("not told".to_owned(), |bytes| format!("{bytes} bytes"));
    println!("{kind:8} {state:12} round trip {rtt:14} congestion window {cwnd}");
    Ok(())
}
