//! What reading a socket's facts costs.

use std::{hint::black_box, net::TcpStream};

use tcpinfo::{TcpInfo, native::Native};

use crate::bench::{
    bare::BareSocket,
    cost::{Cost, Trouble},
    sockets::loopback_pair,
};

pub(super) fn native_read() -> Result<Cost, Trouble> {
    let (stream, _peer) = loopback_pair()?;
    let mut bare = BareSocket::new(&stream);
    Ok(Cost::of(|| bare.tcp_info(), || read_three_fields(black_box(&stream))))
}

fn read_three_fields(stream: &TcpStream) {
    let Ok(Native::Linux(info)) = tcpinfo::read_native(stream) else {
        panic!("a TCP socket has facts");
    };
    black_box((info.state(), info.rtt(), info.snd_cwnd()));
}

pub(super) fn portable_read() -> Result<Cost, Trouble> {
    let (stream, _peer) = loopback_pair()?;
    let mut bare = BareSocket::new(&stream);
    let floor = || {
        bare.tcp_info();
        bare.tcp_congestion();
    };
    Ok(Cost::of(floor, || read_what_programs_show(black_box(&stream))))
}

fn read_what_programs_show(stream: &TcpStream) {
    let Ok(info) = TcpInfo::read(stream) else {
        panic!("a TCP socket has facts");
    };
    show(&info);
}

/// Nine facts and the name of the congestion control.
pub(super) fn show(info: &TcpInfo) {
    black_box((info.state(), info.rtt(), info.rtt_var(), info.min_rtt(), info.rto()));
    black_box((info.tx_cwnd(), info.tx_mss(), info.delivery_rate(), info.retransmitted_segs()));
    black_box(info.congestion());
}
