use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    Entry, Error, ErrorKind,
    message::{HEADER_LEN, kind},
};
use tcpinfo::State;

/// Which connection is looked for: the addresses of both ends, and what else may be known of it.
///
/// ```
/// use sockdiag::Lookup;
///
/// let local = "[::ffff:10.0.0.1]:443".parse().unwrap(); // as a socket of both protocols has it
/// let remote = "10.0.0.7:51534".parse().unwrap();
/// let lookup = Lookup::new(local, remote).cookie(0x1e93);
/// assert_eq!(lookup.to_string(), "[::ffff:10.0.0.1]:443 -> 10.0.0.7:51534 with cookie 0x1e93");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lookup {
    local: SocketAddr,
    remote: SocketAddr,
    cookie: Option<u64>,
    interface: Option<u32>,
}

impl Lookup {
    /// The connection between this host's end and the other.
    ///
    /// An IPv4 address may also be given as IPv6 (`::ffff:10.0.0.1`); both find the connection,
    /// whichever its socket has. An address that belongs to one link (`fe80::…`) needs its scope, which
    /// is taken from either end.
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, cookie: None, interface: None }
    }

    /// Only the socket with this cookie (`SO_COOKIE`, [`tcpinfo::cookie`]), which no later
    /// connection between the same addresses has.
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// Looks for a socket that is bound to this network interface, or VRF, as `SO_BINDTODEVICE` does.
    /// Such a socket is not found without it. Sockets that are bound to none are found, too.
    #[must_use]
    pub const fn interface(mut self, index: u32) -> Self {
        self.interface = Some(index);
        self
    }

    /// This host's end.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The other end.
    pub const fn remote_addr(&self) -> SocketAddr {
        self.remote
    }

    /// What is asked of the kernel.
    #[inline]
    pub(crate) fn question(&self) -> Result<Question, Error> {
        let bad = |detail| Err(Error::new(ErrorKind::BadQuestion, detail));
        if self.local.port() == 0 || self.remote.port() == 0 {
            return bad("no connection has port 0");
        }
        let (local, remote) = (self.local.ip().to_canonical(), self.remote.ip().to_canonical());
        if local.is_unspecified() || remote.is_unspecified() {
            return bad("no connection has an address of all zeros; name the address of this end");
        }
        if local.is_ipv4() != remote.is_ipv4() {
            return bad("one end is IPv4 and the other IPv6");
        }
        let mut interface = self.interface.unwrap_or(0);
        for scope in [scope(&self.local), scope(&self.remote)] {
            if scope != 0 && interface != 0 && scope != interface {
                return bad("its ends, or the interface that is asked for, are on different links");
            }
            interface = interface.max(scope);
        }
        Ok(Question {
            local: (local, self.local.port()),
            remote: (remote, self.remote.port()),
            cookie: self.cookie,
            interface,
        })
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)?;
        if let Some(interface) = self.interface {
            write!(f, " on interface {interface}")?;
        }
        match self.cookie {
            Some(cookie) => write!(f, " with cookie {cookie:#x}"),
            None => Ok(()),
        }
    }
}

const fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// `AF_INET` and `AF_INET6` of Linux.
pub(crate) const INET: u8 = 2;
pub(crate) const INET6: u8 = 10;

pub(crate) const IPPROTO_TCP: u8 = 6;

/// Bits for the attributes 1 to 8, and with them all that come without being asked for by a bit.
const EVERY_EXTENSION: u8 = 0xff;

/// `INET_DIAG_NOCOOKIE`.
const NO_COOKIE: u64 = u64::MAX;

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const DUMP: u16 = 0x300;

/// A header and `struct inet_diag_req_v2`.
pub(crate) const REQUEST_LEN: usize = HEADER_LEN + 56;

/// A connection as the kernel is asked for it: addresses in their shortest form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    cookie: Option<u64>,
    interface: u32,
}

impl Question {
    /// The request for this one connection.
    #[inline]
    pub(crate) fn request(&self) -> Request {
        let mut request = Request::new(REQUEST);
        let family = if self.local.0.is_ipv4() { INET } else { INET6 };
        // The kernel looks at no state here; all of them say so to whoever reads along.
        request.put([family, IPPROTO_TCP, EVERY_EXTENSION, 0]).put(u32::MAX.to_ne_bytes());
        request.put(self.local.1.to_be_bytes()).put(self.remote.1.to_be_bytes());
        request.put(octets(self.local.0)).put(octets(self.remote.0));
        request.put(self.interface.to_ne_bytes());
        let cookie = self.cookie.unwrap_or(NO_COOKIE);
        request.put((cookie as u32).to_ne_bytes()).put(((cookie >> 32) as u32).to_ne_bytes());
        request
    }

    /// Whether the kernel's answer is the connection that was asked for. It answers with a listener
    /// on the same port if it has no connection.
    #[inline]
    pub(crate) fn is_answered_by(&self, entry: &Entry<'_>) -> bool {
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        canonical(entry.local_addr()) == self.local
            && canonical(entry.remote_addr()) == self.remote
            && !matches!(entry.state(), State::Listen | State::Close | State::BoundInactive)
            && self.cookie.is_none_or(|cookie| cookie == entry.cookie())
            && entry.interface().is_none_or(|interface| interface == self.interface)
    }
}

/// A message to the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    bytes: [u8; REQUEST_LEN],
    filled: usize,
}

impl Request {
    #[inline]
    fn new(flags: u16) -> Self {
        let mut request = Self { bytes: [0; REQUEST_LEN], filled: 0 };
        request.put((REQUEST_LEN as u32).to_ne_bytes());
        request.put(kind::SOCK_DIAG_BY_FAMILY.to_ne_bytes()).put(flags.to_ne_bytes());
        // Sequence number and port come at the last moment.
        request.put([0; 8]);
        request
    }

    /// A list of the TCP sockets in none of all states: it is empty, unless nobody is there to make
    /// it.
    pub(crate) fn empty_dump() -> Self {
        let mut request = Self::new(REQUEST | DUMP);
        request.put([INET, IPPROTO_TCP, 0, 0]);
        request
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        if let Some(slot) = self.bytes.get_mut(self.filled..).and_then(<[u8]>::first_chunk_mut) {
            *slot = bytes;
        }
        self.filled += N;
        self
    }

    /// The bytes to send, under this sequence number.
    #[inline]
    pub(crate) fn numbered(&mut self, sequence: u32) -> &[u8] {
        self.filled = 8;
        self.put(sequence.to_ne_bytes());
        &self.bytes
    }
}

#[inline]
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}
