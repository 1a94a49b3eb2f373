//! What it costs to find a connection that somebody else may own.

use std::{hint::black_box, net::SocketAddr, net::TcpStream};

use sockdiag::{Entry, Lookup, SharedSockDiag, SockDiag};

use super::kernel::show;
use crate::bench::{
    bare::BareNetlink,
    cost::{Cost, Trouble},
    sockets::loopback_pair,
};

pub(super) fn lookup() -> Result<Cost, Trouble> {
    measure(|diag, lookup| match diag.lookup(black_box(lookup)) {
        Ok(Some(entry)) => three_fields(entry),
        other => panic!("the connection is open: {other:?}"),
    })
}

pub(super) fn portable() -> Result<Cost, Trouble> {
    measure(|diag, lookup| match diag.lookup(black_box(lookup)) {
        Ok(Some(entry)) => {
            if let Some(info) = entry.tcp_info() {
                show(&info);
            }
        }
        other => panic!("the connection is open: {other:?}"),
    })
}

pub(super) fn shared() -> Result<Cost, Trouble> {
    let shared = SharedSockDiag::new();
    measure(move |_, lookup| match shared.lookup_with(black_box(lookup), three_fields) {
        Ok(Some(())) => {}
        other => panic!("the connection is open: {other:?}"),
    })
}

fn three_fields(entry: Entry<'_>) {
    let Some(info) = entry.native_tcp_info() else {
        panic!("an open connection has facts");
    };
    black_box((info.state(), info.rtt(), info.snd_cwnd()));
}

fn measure(subject: impl Fn(&mut SockDiag, &Lookup)) -> Result<Cost, Trouble> {
    let (stream, _peer) = loopback_pair()?;
    let (local, remote) = ends(&stream)?;
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (local, remote) else {
        return Err(Trouble::Failed("loopback is not IPv4".to_owned()));
    };
    let mut diag = match SockDiag::open() {
        Ok(diag) => diag,
        Err(error) if error.kind() == sockdiag::ErrorKind::Unsupported => {
            return Err(Trouble::Skipped("this kernel has no NETLINK_SOCK_DIAG"));
        }
        Err(error) => return Err(Trouble::Failed(error.to_string())),
    };
    let mut bare = BareNetlink::new(from, to)?;
    let lookup = Lookup::new(local, remote);
    Ok(Cost::of(|| bare.exchange(), || subject(&mut diag, &lookup)))
}

fn ends(stream: &TcpStream) -> std::io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}
