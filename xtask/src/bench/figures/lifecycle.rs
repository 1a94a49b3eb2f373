//! What a connection costs besides its reads and writes: wrapping it, and its report at the end.

use std::{
    hint::black_box,
    net::TcpStream,
    time::{Instant, SystemTime},
};

use conniver::{Options, Report};

use crate::bench::{
    bare::BareSocket,
    cost::{Cost, Trouble},
    sockets::loopback_pair,
};

pub(super) fn without_facts() -> Result<Cost, Trouble> {
    struct NullStream;

    let options = observed();
    let floor = || {
        black_box((SystemTime::now(), Instant::now()));
        black_box(Vec::<u8>::with_capacity(256));
    };
    let subject = || drop(black_box(options.wrap_opaque(NullStream)));
    Ok(Cost::of(floor, subject))
}

/// Over a socket that stays open for ever, so that its own close is in neither.
pub(super) fn with_facts() -> Result<Cost, Trouble> {
    let (stream, _peer) = loopback_pair()?;
    let stream: &'static TcpStream = Box::leak(Box::new(stream));
    let mut bare = BareSocket::new(stream);
    let floor = || {
        bare.local_address();
        bare.remote_address();
        for _ in ["at the opening", "at the close"] {
            bare.tcp_info();
            bare.tcp_congestion();
        }
        bare.linger();
    };
    let options = observed();
    let subject = || drop(black_box(options.wrap(black_box(stream))));
    Ok(Cost::of(floor, subject))
}

/// Options with an observer that only looks.
fn observed() -> Options {
    Options::new().observer(|report: &Report| {
        black_box(report);
    })
}
