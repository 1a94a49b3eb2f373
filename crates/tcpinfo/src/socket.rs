//! What else a socket can be asked, each on request because each is a system call of its own.

use crate::{AsSock, Error, sys};

/// Lengths of a socket's queues: of a connection's data, or of a listener's connections.
///
/// What this system does not tell, or what has no meaning for the socket, is absent. Each number is
/// asked by a call of its own, so bytes may move between them.
///
/// | | Linux | macOS, iOS | Windows | FreeBSD | NetBSD | OpenBSD |
/// |---|---|---|---|---|---|---|
/// | unread | `SIOCINQ` | `FIONREAD` | `FIONREAD` | `FIONREAD` | `FIONREAD` | `FIONREAD` |
/// | queued | `SIOCOUTQ` | `SO_NWRITE` | | `FIONWRITE` | `FIONWRITE` | superuser |
/// | in flight, unsent | `SIOCOUTQNSD` | | in flight | 14 and later | | superuser |
/// | accept queue | `TCP_INFO` | macOS | | `SO_LISTENQLEN` | | |
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use std::{io::Write, net::{TcpListener, TcpStream}};
/// use tcpinfo::Queues;
///
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// assert_eq!(Queues::read(&listener).unwrap().accept_queue, Some(1));
///
/// let (server, _) = listener.accept().unwrap();
/// client.write_all(b"hello").unwrap();
/// while Queues::read(&server).unwrap().unread_bytes != Some(5) {}
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Queues {
    /// Bytes received and not yet read by the program.
    pub unread_bytes: Option<u64>,
    /// Bytes written by the program and not yet acknowledged: unsent and in flight. On Linux plus one
    /// for a FIN that waits behind them or is not acknowledged; so are the two parts below.
    pub queued_bytes: Option<u64>,
    /// Bytes written by the program and not yet sent.
    pub unsent_bytes: Option<u64>,
    /// Bytes sent and not yet acknowledged. On Linux absent if bytes were seen to move while it was
    /// asked.
    pub in_flight_bytes: Option<u64>,
    /// Connections that wait to be accepted.
    pub accept_queue: Option<u64>,
    /// Limit of the accept queue.
    pub accept_queue_limit: Option<u64>,
}

impl Queues {
    /// Asks a socket for its queues: up to four system calls.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        sys::queues(sock.as_sock())
    }
}

/// Memory that the kernel holds for a socket (Linux `SO_MEMINFO`, 4.12), in bytes.
///
/// A kernel that returns fewer numbers leaves the last ones absent.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let memory = tcpinfo::SocketMemory::read(&socket).unwrap();
/// assert!(memory.rx_buffer_bytes.is_some_and(|limit| limit > 0));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SocketMemory {
    /// Used by received data. `SK_MEMINFO_RMEM_ALLOC`.
    pub rx_alloc_bytes: Option<u32>,
    /// Limit of the receive buffer. `SK_MEMINFO_RCVBUF`.
    pub rx_buffer_bytes: Option<u32>,
    /// Used by data handed to the device. `SK_MEMINFO_WMEM_ALLOC`.
    pub tx_alloc_bytes: Option<u32>,
    /// Limit of the send buffer. `SK_MEMINFO_SNDBUF`.
    pub tx_buffer_bytes: Option<u32>,
    /// Reserved for the socket and not used. `SK_MEMINFO_FWD_ALLOC`.
    pub forward_alloc_bytes: Option<u32>,
    /// Used by data in the send queue. `SK_MEMINFO_WMEM_QUEUED`.
    pub tx_queued_bytes: Option<u32>,
    /// Used by socket options. `SK_MEMINFO_OPTMEM`.
    pub option_bytes: Option<u32>,
    /// Used by packets that wait for the socket's owner. `SK_MEMINFO_BACKLOG`.
    pub backlog_bytes: Option<u32>,
    /// Packets dropped, for want of memory or otherwise. `SK_MEMINFO_DROPS`.
    pub dropped_packets: Option<u32>,
}

impl SocketMemory {
    /// `SK_MEMINFO_VARS` numbers of 32 bits.
    #[allow(dead_code, reason = "only Linux is asked for it")]
    pub(crate) const LEN: usize = 36;

    /// Asks a socket for its memory.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        sys::memory(sock.as_sock())
    }

    /// Decodes the numbers as the kernel returned them, in this machine's byte order.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(4).map(|word| word.try_into().map(u32::from_ne_bytes));
        let mut next = || words.next().and_then(Result::ok);
        Self {
            rx_alloc_bytes: next(),
            rx_buffer_bytes: next(),
            tx_alloc_bytes: next(),
            tx_buffer_bytes: next(),
            forward_alloc_bytes: next(),
            tx_queued_bytes: next(),
            option_bytes: next(),
            backlog_bytes: next(),
            dropped_packets: next(),
        }
    }
}

/// The kernel's own identity of a socket (Linux `SO_COOKIE`, 4.12): never reused while the machine
/// runs, and the same in netlink dumps and in BPF programs.
///
/// # Errors
///
/// See [`ErrorKind`](crate::ErrorKind).
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// assert_eq!(tcpinfo::cookie(&socket).unwrap(), tcpinfo::cookie(&socket).unwrap());
/// # }
/// ```
pub fn cookie(sock: &(impl AsSock + ?Sized)) -> Result<u64, Error> {
    sys::cookie(sock.as_sock())
}

/// Whether Multipath TCP is in use on this socket: false for plain TCP and after a fallback to it.
///
/// Linux: `TCP_IS_MPTCP` (6.10), on older kernels what `MPTCP_INFO` says.
///
/// # Errors
///
/// See [`ErrorKind`](crate::ErrorKind); `Unsupported` also where an older kernel leaves it open.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// assert!(!tcpinfo::is_mptcp(&socket).unwrap());
/// # }
/// ```
pub fn is_mptcp(sock: &(impl AsSock + ?Sized)) -> Result<bool, Error> {
    sys::is_mptcp(sock.as_sock())
}

/// The upper layer protocol that the kernel runs on this socket, such as `tls` or `mptcp`; `None`
/// where there is none.
///
/// Linux: `TCP_ULP` (4.13).
///
/// # Errors
///
/// See [`ErrorKind`](crate::ErrorKind).
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// assert_eq!(tcpinfo::ulp(&socket).unwrap(), None);
/// # }
/// ```
pub fn ulp(sock: &(impl AsSock + ?Sized)) -> Result<Option<String>, Error> {
    sys::ulp(sock.as_sock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_leaves_the_newest_numbers_absent() {
        let bytes: Vec<u8> = (1..=7u32).flat_map(u32::to_ne_bytes).collect();
        let memory = SocketMemory::from_bytes(&bytes);
        assert_eq!(memory.rx_alloc_bytes, Some(1));
        assert_eq!(memory.option_bytes, Some(7));
        assert_eq!(memory.backlog_bytes, None);
        assert_eq!(memory.dropped_packets, None);
    }
}
