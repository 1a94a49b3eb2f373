//! `/proc/net/tcp`: the kernel's own text about a socket, written by code that shares nothing with
//! `TCP_INFO` but the socket.

use std::{net::SocketAddrV4, os::fd::OwnedFd};

use super::raw;

/// One line of the table. Times are in `USER_HZ`, hundredths of a second.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) state: u8,
    /// Unsent and unacknowledged, FIN included.
    pub(crate) tx_queue: u32,
    /// Unread, FIN included; the accept queue of a listener.
    pub(crate) rx_queue: u32,
    pub(crate) retransmits: u8,
    pub(crate) probes: u8,
    /// What only a connection has.
    pub(crate) connection: Option<Connection>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) rto: u64,
    pub(crate) ato: u64,
    pub(crate) cwnd: u32,
    /// `None` in the first slow start.
    pub(crate) ssthresh: Option<u32>,
}

/// The line of a socket, if the table has it: what is neither bound nor connected is not listed.
pub(crate) fn line(fd: &OwnedFd) -> Option<Line> {
    let (local, remote) = raw::addresses(fd);
    let hex = |address: SocketAddrV4| {
        let ip = u32::from_ne_bytes(address.ip().octets());
        format!("{ip:08X}:{:04X}", address.port())
    };
    let local = hex(local?);
    let remote = match remote {
        Some(remote) => Some(hex(remote)),
        // A connection that was accepted here has the same address and port.
        None if raw::option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN).unwrap() == 1 => {
            Some("00000000:0000".to_owned())
        }
        // The peer is not told before the handshake; no other socket of these tests has this port.
        None => None,
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&local)
            && remote.as_deref().is_none_or(|remote| words.next() == Some(remote))
    })?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |text: &str| u32::from_str_radix(text, 16).unwrap();
    let (tx_queue, rx_queue) = words[4].split_once(':').unwrap();
    let state = u8::try_from(number(words[3])).unwrap();
    const LISTEN: u8 = 10;
    let connection = words.get(12..17).filter(|_| state != LISTEN).map(|rest| Connection {
        rto: rest[0].parse().unwrap(),
        ato: rest[1].parse().unwrap(),
        cwnd: rest[3].parse().unwrap(),
        ssthresh: rest[4].parse().ok(),
    });
    Some(Line {
        state,
        tx_queue: number(tx_queue),
        rx_queue: number(rx_queue),
        retransmits: u8::try_from(number(words[6])).unwrap(),
        probes: words[8].parse().unwrap(),
        connection,
    })
}
