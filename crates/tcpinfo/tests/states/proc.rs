//! `/proc/net/tcp`: the kernel's own text about a socket, written by code that shares nothing with
//! `TCP_INFO` but the socket.

use std::{
    fs::{self, File},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
};

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

/// The number of a socket, as the kernel's tables write it.
pub(crate) fn inode(fd: &OwnedFd) -> String {
    File::from(fd.try_clone().unwrap()).metadata().unwrap().ino().to_string()
}

/// The line of a socket, if the table has it: what is neither bound nor connected is not listed.
/// Told by its inode: what waits in TIME_WAIT has none, and may have this socket's port.
pub(crate) fn line(fd: &OwnedFd) -> Option<Line> {
    let inode = inode(fd);
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.split_whitespace().nth(9) == Some(&inode))?;
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
