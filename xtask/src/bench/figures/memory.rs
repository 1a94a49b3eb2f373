//! What a live connection takes.

use std::net::TcpStream;

use conniver::{Conn, Options, Report};

use crate::bench::{
    cost::{Cost, Trouble},
    counting_allocator::{allocations_in, live_bytes},
    sockets::loopback_pair,
};

pub(super) const LIMIT_BYTES: f64 = 512.0;

const CONNECTIONS: usize = 200;

pub(super) fn per_connection() -> Result<Cost, Trouble> {
    let pairs: Vec<_> = (0..CONNECTIONS).map(|_| loopback_pair()).collect::<Result<_, _>>()?;
    let (streams, _peers): (Vec<TcpStream>, Vec<TcpStream>) = pairs.into_iter().unzip();
    let options = Options::new().observer(|_: &Report| ());
    let mut conns: Vec<Conn<TcpStream>> = Vec::with_capacity(CONNECTIONS);

    let before = live_bytes();
    let ((), allocations) =
        allocations_in(|| conns.extend(streams.into_iter().map(|stream| options.wrap(stream))));
    let heap = (live_bytes() - before) as f64 / CONNECTIONS as f64;
    Ok(Cost {
        value: heap + size_of::<Conn<TcpStream>>() as f64,
        floor: LIMIT_BYTES,
        spread: None,
        allocs: Some(allocations as f64 / CONNECTIONS as f64),
    })
}
