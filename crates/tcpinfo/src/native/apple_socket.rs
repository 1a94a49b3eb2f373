//! macOS: `struct socket_fdinfo` of `sys/proc_info.h`, what the kernel tells of any socket of the
//! process: ports, buffers, accept queue, timers.
//!
//! 792 bytes: a general part, the socket, and for TCP the parts `in_sockinfo` and `tcp_sockinfo`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::structure::{ByteOrder, Bytes, Row, first, structure};
use crate::{AsSock, Error, Reading, State, sys};

impl AppleSocketInfo {
    /// Asks the kernel about one socket of this process, on macOS only: one system call.
    ///
    /// # Errors
    ///
    /// `Unsupported` on other systems. On iOS the call is not open to published programs.
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        sys::apple_socket(sock.as_sock())
    }
}

impl<B: Bytes> AppleSocketInfo<B> {
    /// The address of our end, IPv4 or IPv6.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address(INSI_LPORT, INSI_LADDR)
    }

    /// The address of the peer, IPv4 or IPv6; absent while there is none.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.address(INSI_FPORT, INSI_FADDR).filter(|address| address.port() != 0)
    }

    fn address(&self, port: usize, address: usize) -> Option<SocketAddr> {
        let family = self.insi_vflag().value()?;
        if self.returned_len() < address + 16 {
            return None;
        }
        // In network byte order, in the low half of an `int` of the host's.
        let port: [u8; 4] = self.0.array(port)?;
        let port = u16::from_be_bytes(match self.byte_order() {
            ByteOrder::Little => *port.first_chunk()?,
            ByteOrder::Big => *port.last_chunk()?,
        });
        let bytes: [u8; 16] = self.0.array(address)?;
        let [.., a, b, c, d] = bytes;
        let ip = match family {
            flags if flags & VFLAG_IPV6 != 0 => IpAddr::V6(Ipv6Addr::from(bytes)),
            flags if flags & VFLAG_IPV4 != 0 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        let kind = self.0.number(&row::soi_kind.field);
        let is_tcp = kind == KIND_TCP;
        let state = u8::try_from(self.0.number(&row::tcpsi_state.field)).unwrap_or(u8::MAX);
        let listening = matches!(State::from_bsd(state), State::Listen);
        let unset = match row.rule {
            Rule::Always => false,
            Rule::Listening => !(is_tcp && listening),
            Rule::Internet => !is_tcp && kind != KIND_INTERNET,
            Rule::Tcp => !is_tcp,
            Rule::TcpNotZero => !is_tcp || raw == 0,
        };
        if unset { Reading::Unset } else { Reading::Value(raw) }
    }
}

/// Where the addresses lie: ports and 16 bytes each, of which an IPv4 address fills the last four.
const INSI_FPORT: usize = 264;
const INSI_LPORT: usize = 268;
const INSI_FADDR: usize = 296;
const INSI_LADDR: usize = 312;

/// `SOCKINFO_IN` and `SOCKINFO_TCP`.
const KIND_INTERNET: u64 = 1;
const KIND_TCP: u64 = 2;

/// `INI_IPV4` and `INI_IPV6`; an IPv6 socket that waits for connections of both has both.
const VFLAG_IPV4: u8 = 1;
const VFLAG_IPV6: u8 = 2;

/// When a number that the kernel returned means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// For every socket.
    Always,
    /// For a TCP socket that listens.
    Listening,
    /// For a socket of the internet families.
    Internet,
    /// For a TCP socket.
    Tcp,
    /// For a TCP socket; zero stands for "none" or "not running".
    TcpNotZero,
}

structure! {
    /// `struct socket_fdinfo`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, State, native::{ByteOrder, apple_socket::AppleSocketInfo}};
    ///
    /// let mut bytes = [0; 792];
    /// bytes[256] = 2; // TCP
    /// bytes[344] = 1; // listening
    /// bytes[194] = 3;
    /// let info = AppleSocketInfo::from_bytes_in(&bytes, ByteOrder::Little);
    /// assert_eq!(info.tcpsi_state(), Reading::Value(State::Listen));
    /// assert_eq!(info.soi_qlen(), Reading::Value(3));
    /// ```
    AppleSocketInfo: Apple "socket_fdinfo", "", since "macOS ", known 792 of 1024 bytes;

    soi_type: u32, "type", 176 u32, None, Label, "10.5", Always,
        "Type of the socket, as `SOCK_STREAM`.";
    soi_protocol: u32, "protocol", 180 u32, None, Label, "10.5", Always,
        "Protocol of the socket, as `IPPROTO_TCP`.";
    soi_family: u32, "family", 184 u32, None, Label, "10.5", Always,
        "Address family, as `AF_INET6`.";
    soi_options: u16, "options", 188 u16, None, Label, "10.5", Always,
        "Socket options that are on, as `SO_KEEPALIVE`.";
    soi_linger: u16, "linger", 190 u16, None, Gauge, "10.5", Always,
        "Linger time of `SO_LINGER`.";
    soi_state: u16, "socketState", 192 u16, None, Label, "10.5", Always,
        "State of the socket beside that of TCP, as `SS_CANTRCVMORE`.";
    soi_qlen: u16, "acceptQueue", 194 u16, Connections, Gauge, "10.5", Listening,
        "Connections that wait to be accepted.";
    soi_incqlen: u16, "acceptQueueIncomplete", 196 u16, Connections, Gauge, "10.5", Listening,
        "Connections whose handshake is not completed.";
    soi_qlimit: u16, "acceptQueueLimit", 198 u16, Connections, Gauge, "10.5", Listening,
        "Limit of the accept queue.";
    soi_error: u16, "error", 202 u16, None, Label, "10.5", Always,
        "Error that the next call will return, as a number of `errno.h`; zero for none.";
    soi_rcv_cc = "soi_rcv.sbi_cc": u32, "rxQueuedBytes", 208 u32, Bytes, Gauge, "10.5", Always,
        "Bytes received and not yet read by the program.";
    soi_rcv_hiwat = "soi_rcv.sbi_hiwat": u32, "rxBuffer", 212 u32, Bytes, Gauge, "10.5", Always,
        "Limit of the receive buffer.";
    soi_rcv_mbcnt = "soi_rcv.sbi_mbcnt": u32, "rxAllocBytes", 216 u32, Bytes, Gauge, "10.5", Always,
        "Memory in use by received data.";
    soi_rcv_mbmax = "soi_rcv.sbi_mbmax": u32, "rxAllocLimit", 220 u32, Bytes, Gauge, "10.5", Always,
        "Limit of that memory.";
    soi_rcv_lowat = "soi_rcv.sbi_lowat": u32, "rxLowWater", 224 u32, Bytes, Gauge, "10.5", Always,
        "Bytes from which on the socket is readable.";
    soi_snd_cc = "soi_snd.sbi_cc": u32, "txQueuedBytes", 232 u32, Bytes, Gauge, "10.5", Always,
        "Bytes in the send queue: not sent, and sent but not acknowledged.";
    soi_snd_hiwat = "soi_snd.sbi_hiwat": u32, "txBuffer", 236 u32, Bytes, Gauge, "10.5", Always,
        "Limit of the send buffer.";
    soi_snd_mbcnt = "soi_snd.sbi_mbcnt": u32, "txAllocBytes", 240 u32, Bytes, Gauge, "10.5", Always,
        "Memory in use by data to send.";
    soi_snd_mbmax = "soi_snd.sbi_mbmax": u32, "txAllocLimit", 244 u32, Bytes, Gauge, "10.5", Always,
        "Limit of that memory.";
    soi_snd_lowat = "soi_snd.sbi_lowat": u32, "txLowWater", 248 u32, Bytes, Gauge, "10.5", Always,
        "Free bytes from which on the socket is writable.";
    soi_kind: u32, "kind", 256 u32, None, Label, "10.5", Always,
        "Which parts follow: 1 for internet sockets, 2 for TCP.";
    insi_vflag: u8, "addressFamilies", 288 u8, None, Label, "10.5", Internet,
        "Families of the addresses: 1 for IPv4, 2 for IPv6.";
    insi_ip_ttl: u8, "ttl", 289 u8, Count, Gauge, "10.5", Internet,
        "Time to live, or hop limit, of packets that are sent.";
    tcpsi_state: State, "state", 344 u32, None, Label, "10.5", Tcp,
        "State of the connection.";
    tcpsi_timer_rexmt = "tcpsi_timer[0]": u32, "timerRetransmit", 348 u32, None, Gauge, "10.5", TcpNotZero,
        "When the retransmission timer ends, in milliseconds from a start that only the kernel knows; unset while it is not running.";
    tcpsi_timer_persist = "tcpsi_timer[1]": u32, "timerPersist", 352 u32, None, Gauge, "10.5", TcpNotZero,
        "The same of the timer that probes an empty window.";
    tcpsi_timer_keep = "tcpsi_timer[2]": u32, "timerKeepalive", 356 u32, None, Gauge, "10.5", TcpNotZero,
        "The same of the keepalive timer.";
    tcpsi_timer_2msl = "tcpsi_timer[3]": u32, "timer2MSL", 360 u32, None, Gauge, "10.5", TcpNotZero,
        "The same of the timer that ends TIME_WAIT.";
    tcpsi_mss: u32, "txMSS", 364 u32, Bytes, Gauge, "10.5", Tcp,
        "Largest segment we send.";
    tcpsi_flags: u32, "flags", 368 u32, None, Label, "10.5", Tcp,
        "Flags of the connection inside the kernel (`TF_*`).";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a word decides nothing, though it reads as that of a listener.
    #[test]
    fn a_state_that_is_cut_off_is_no_listener() {
        let mut bytes = [0; 792];
        bytes[256] = 2;
        bytes[344..346].fill(1);
        for len in [345, 346, 347, 348, 792] {
            let info = AppleSocketInfo::from_bytes_in(&bytes[..len], ByteOrder::Little);
            assert_eq!(info.soi_qlen(), Reading::Unset, "{len} bytes");
        }
    }
}
