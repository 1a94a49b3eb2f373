//! A connection that has ended: what the kernel said last, and what was known before.

use std::{net::SocketAddr, time::Duration};

use sockdiag::Entry;

use super::{
    facts::{Age, Facts, Kind},
    known::{Holding, Seen},
    reason::Reason,
};
use crate::column::Row;

/// A connection that has ended.
pub(super) struct Ended<'a> {
    pub(super) row: Row<'a>,
    /// When it was told, since 1970.
    pub(super) at: Duration,
    pub(super) age: Option<Age>,
    pub(super) reason: Reason,
    pub(super) holding: Option<&'a Holding>,
    pub(super) facts: Facts,
}

impl Ended<'_> {
    /// Payload that was sent, each byte once.
    pub(super) fn tx_bytes(&self) -> Option<u64> {
        self.is_counted().then(|| self.facts.payload())?
    }

    /// Payload that was received; the peer's FIN, which the kernel counts for a byte, taken off where it
    /// certainly came.
    pub(super) fn rx_bytes(&self) -> Option<u64> {
        let received = self.is_counted().then_some(self.facts.received)??;
        Some(match self.reason {
            Reason::PeerClose => received.saturating_sub(1),
            _ => received,
        })
    }

    fn is_counted(&self) -> bool {
        self.facts.kind() == Kind::Connection
    }
}

/// The length of what is told of every socket (`struct inet_diag_msg`), and where its addresses lie.
const HEAD_LEN: usize = 72;
const FAMILY: usize = 0;
const STATE: usize = 1;
const LOCAL_PORT: usize = 4;
const REMOTE_PORT: usize = 6;
const LOCAL: usize = 8;
const REMOTE: usize = 24;
const INTERFACE: usize = 40;
const COOKIE: usize = 44;

/// Puts the end of a connection that was cleared together again, with the addresses that it had when it
/// was seen. Gives nothing if it has them.
pub(super) fn with_addresses(entry: &Entry<'_>, seen: &Seen, out: &mut Vec<u8>) -> bool {
    let is_same = (entry.local_addr(), entry.remote_addr()) == (seen.local, seen.remote);
    if is_same || seen.remote.port() == 0 {
        return false;
    }
    let mut head = [0; HEAD_LEN];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    for (ip_at, port_at, address) in
        [(LOCAL, LOCAL_PORT, seen.local), (REMOTE, REMOTE_PORT, seen.remote)]
    {
        put(port_at, &address.port().to_be_bytes());
        match address {
            SocketAddr::V4(four) => put(ip_at, &four.ip().octets()),
            SocketAddr::V6(six) => put(ip_at, &six.ip().octets()),
        }
    }
    // AF_INET and AF_INET6 of Linux.
    put(FAMILY, &[if seen.local.is_ipv4() { 2 } else { 10 }]);
    put(STATE, &[CLOSE]);
    put(INTERFACE, &entry.interface().unwrap_or(0).to_ne_bytes());
    let [low, high] = [entry.cookie() as u32, (entry.cookie() >> 32) as u32];
    put(COOKIE, &low.to_ne_bytes());
    put(COOKIE + 4, &high.to_ne_bytes());
    out.clear();
    out.extend_from_slice(&head);
    for attribute in entry.attributes() {
        let Ok(len) = u16::try_from(attribute.payload.len() + 4) else { continue };
        out.extend_from_slice(&len.to_ne_bytes());
        out.extend_from_slice(&attribute.number.to_ne_bytes());
        out.extend_from_slice(attribute.payload);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    true
}

/// The kernel's number of a socket that has ended.
const CLOSE: u8 = 7;
