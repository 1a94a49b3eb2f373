//! What it costs to find a connection that somebody else may own.

use std::{hint::black_box, net::SocketAddr, net::TcpStream};

use sockdiag::{Dump, Entry, Lookup, SharedSockDiag, SockDiag};

use super::kernel::show;
use crate::bench::{
    bare::{BareDump, BareNetlink},
    beside,
    cost::{Cost, Trouble},
    counting_allocator::allocations_in,
    sockets::loopback_pair,
    timing::{Rounds, nanos_each},
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

pub(super) fn dump() -> Result<Cost, Trouble> {
    beside::population("sockdiag.dump", |sockets| {
        let mut diag = SockDiag::open().map_err(|error| Trouble::Failed(error.to_string()))?;
        let mut bare = BareDump::new()?;
        let everything = Dump::new();
        let mut list = || {
            let mut seen = 0;
            let Ok(mut entries) = diag.dump(&everything) else {
                panic!("the kernel takes requests")
            };
            while let Some(entry) = entries.next() {
                match entry {
                    Ok(entry) => every_fact(&entry),
                    Err(error) => panic!("{error}"),
                }
                seen += 1;
            }
            assert!(seen >= sockets, "{seen} of {sockets}");
        };
        // The kernel makes its pieces as large as the buffers that it has seen.
        bare.receive();
        list();
        let ((), allocations) = allocations_in(&mut list);
        let mut rounds = Rounds::default();
        while rounds.len() < DUMPS {
            let floor = nanos_each(1, || {
                black_box(bare.receive());
            });
            rounds.add(floor, nanos_each(1, &mut list));
        }
        Ok(Cost::timed(rounds.timing(), allocations as f64))
    })
}

/// Some seconds of them.
const DUMPS: usize = 41;

/// All that is told of a socket, through the methods of its type.
fn every_fact(entry: &Entry<'_>) {
    black_box((entry.state(), entry.local_addr(), entry.remote_addr(), entry.cookie()));
    black_box((entry.interface(), entry.uid(), entry.inode(), entry.timer()));
    black_box((entry.queues(), entry.shutdown(), entry.options(), entry.cgroup_id()));
    black_box((entry.mark(), entry.class_id(), entry.tos(), entry.traffic_class()));
    black_box((entry.memory(), entry.congestion(), entry.ulp(), entry.is_ipv6_only()));
    if let Some(info) = entry.native_tcp_info() {
        for reading in info.fields() {
            black_box(reading);
        }
    }
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
