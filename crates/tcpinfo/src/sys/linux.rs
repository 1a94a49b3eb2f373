//! Linux and Android: `getsockopt(2)` and `ioctl(2)`.
//!
//! The calls that are made often are always inlined: the processor mispredicts the first returns
//! after a system call, and one return costs more than decoding ten fields.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
    sync::atomic::{AtomicU8, Ordering},
};

use super::unix::{Request, descriptor_number, error, getsockopt, ioctl_count, option_number};
use crate::{
    CongestionName, Error, ErrorKind, Queues, Sock, SocketMemory, State, Subflow, TcpInfo,
    congestion::CcInfo,
    native::{Native, linux::LinuxTcpInfo, mptcp::MptcpInfo},
};

pub(crate) use super::missing::apple_socket;

// The numbers below are the same on every architecture; not every libc has them.
const TCP_CC_INFO: i32 = 26;
const TCP_IS_MPTCP: i32 = 43;
const SOL_MPTCP: i32 = 284;
const MPTCP_INFO: i32 = 1;
const MPTCP_TCPINFO: i32 = 2;
const MPTCP_SUBFLOW_ADDRS: i32 = 3;
const TCP_ULP: i32 = 31;
const IPPROTO_MPTCP: i32 = 262;
const SIOCOUTQNSD: Request = 0x894b;

/// Numbers of the socket level, which differ on some architectures, though on none of Android's.
mod so {
    #[cfg(target_os = "android")]
    pub(super) const MEMINFO: i32 = 55;
    #[cfg(target_os = "android")]
    pub(super) const COOKIE: i32 = 57;

    #[cfg(not(target_os = "android"))]
    pub(super) use libc::{SO_COOKIE as COOKIE, SO_MEMINFO as MEMINFO};
}

#[inline(always)]
pub(crate) fn tcp_info(sock: Sock<'_>) -> Result<Native, Error> {
    // Made as what is returned, so that half a kilobyte is not moved for nothing.
    let mut result = Ok(Native::Linux(LinuxTcpInfo::EMPTY));
    if let Ok(Native::Linux(info)) = &mut result {
        match getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_INFO, info.0.buffer_mut()) {
            Ok(returned) => info.fill(returned, kernel_major()),
            Err(os) => result = Err(refusal(sock, "TCP_INFO", Missing::NotTcp, os)),
        }
    }
    result
}

#[inline(always)]
pub(crate) fn congestion_name(sock: Sock<'_>) -> Result<CongestionName, Error> {
    let mut name = [0; CongestionName::CAPACITY];
    let returned = getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)
        .map_err(|os| refusal(sock, "TCP_CONGESTION", Missing::NotTcp, os))?;
    Ok(CongestionName::from_bytes(name.get(..returned).unwrap_or(&name)))
}

pub(crate) fn congestion_info(sock: Sock<'_>) -> Result<CcInfo, Error> {
    let mut bytes = [0; CcInfo::CAPACITY];
    let returned = getsockopt(sock, libc::IPPROTO_TCP, TCP_CC_INFO, &mut bytes)
        .map_err(|os| refusal(sock, "TCP_CC_INFO", Missing::Unsupported, os))?;
    Ok(CcInfo::new(bytes, returned))
}

pub(crate) fn queues(sock: Sock<'_>) -> Result<Queues, Error> {
    // The requests below exist for much else, and answer for a socket without a connection too.
    let native = tcp_info(sock)?;
    let Native::Linux(info) = &native else {
        return super::missing::queues(sock);
    };
    if info.state().value() == Some(State::Listen) {
        return Ok(Queues {
            accept_queue: info.accept_queue().value().map(u64::from),
            accept_queue_limit: info.accept_queue_limit().value().map(u64::from),
            ..Queues::default()
        });
    }
    if info.is_idle() {
        return Ok(Queues::default());
    }
    let queue = |query, request| {
        ioctl_count(sock, request).map_err(|os| refusal(sock, query, Missing::Unsupported, os))
    };
    let mut unread = queue("SIOCINQ", libc::FIONREAD)?;
    // Multipath TCP shows the end of the peer's data as one byte to read.
    if unread == 1 && is_at_end(sock) {
        unread = 0;
    }
    let unsent = queue("SIOCOUTQNSD", SIOCOUTQNSD)?;
    let queued = queue("SIOCOUTQ", libc::TIOCOUTQ)?;
    Ok(Queues {
        unread_bytes: Some(unread),
        queued_bytes: Some(queued),
        unsent_bytes: Some(unsent),
        // Bytes may move between the calls. More unsent than queued then says that they did, and
        // nothing of what is in flight.
        in_flight_bytes: queued.checked_sub(unsent),
        ..Queues::default()
    })
}

/// Whether nothing can be read any more of a connection of Multipath TCP; what can be read stays
/// where it is. A socket that looks ahead from a place of its own would lose it: unknown there.
fn is_at_end(sock: Sock<'_>) -> bool {
    let option = |name| option_number(sock, libc::SOL_SOCKET, name);
    if option(libc::SO_PROTOCOL).ok() != Some(libc::IPPROTO_MPTCP)
        || option(libc::SO_PEEK_OFF).is_ok_and(|place| place >= 0)
    {
        return false;
    }
    let mut byte = 0u8;
    // SAFETY: `sock` keeps the descriptor open for the call; the kernel writes at most the one byte,
    // which is exclusively borrowed here.
    let received = unsafe {
        libc::recv(sock.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT)
    };
    received == 0
}

pub(crate) fn memory(sock: Sock<'_>) -> Result<SocketMemory, Error> {
    let mut bytes = [0; SocketMemory::LEN];
    let returned = getsockopt(sock, libc::SOL_SOCKET, so::MEMINFO, &mut bytes)
        .map_err(|os| refusal(sock, "SO_MEMINFO", Missing::Unsupported, os))?;
    Ok(SocketMemory::from_bytes(bytes.get(..returned).unwrap_or(&bytes)))
}

pub(crate) fn cookie(sock: Sock<'_>) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    getsockopt(sock, libc::SOL_SOCKET, so::COOKIE, &mut bytes)
        .map_err(|os| refusal(sock, "SO_COOKIE", Missing::Unsupported, os))?;
    Ok(u64::from_ne_bytes(bytes))
}

pub(crate) fn is_mptcp(sock: Sock<'_>) -> Result<bool, Error> {
    let os = match option_number(sock, libc::IPPROTO_TCP, TCP_IS_MPTCP) {
        Ok(answer) => return Ok(answer != 0),
        Err(os) => os,
    };
    let of_fallback = os.raw_os_error() == Some(libc::ENOPROTOOPT);
    let refusal = refusal(sock, "TCP_IS_MPTCP", Missing::Unsupported, os);
    if refusal.kind() != ErrorKind::Unsupported {
        return Err(refusal);
    }
    // Before 6.10: only a socket in which MPTCP is alive answers on the MPTCP level, and only one
    // that was made for MPTCP can have fallen back, or belong to a kernel that cannot answer.
    let mut info = [0; 4];
    if getsockopt(sock, SOL_MPTCP, MPTCP_INFO, &mut info).is_ok() {
        return Ok(true);
    }
    // A raw socket may bear TCP's number, but not its type.
    if option_number(sock, libc::SOL_SOCKET, libc::SO_TYPE).is_ok_and(|ty| ty != libc::SOCK_STREAM)
    {
        return Err(refusal.of_kind(ErrorKind::NotTcp));
    }
    match option_number(sock, libc::SOL_SOCKET, libc::SO_PROTOCOL) {
        Ok(libc::IPPROTO_TCP) => Ok(false),
        // After a fallback it is TCP that does not know the option, and TCP's word for that.
        Ok(IPPROTO_MPTCP) if of_fallback => Ok(false),
        Ok(IPPROTO_MPTCP) | Err(_) => Err(refusal),
        Ok(_) => Err(refusal.of_kind(ErrorKind::NotTcp)),
    }
}

pub(crate) fn mptcp_info(sock: Sock<'_>) -> Result<MptcpInfo, Error> {
    let mut info = MptcpInfo::EMPTY;
    let returned = getsockopt(sock, SOL_MPTCP, MPTCP_INFO, info.0.buffer_mut())
        .map_err(|os| mptcp_refusal(sock, "MPTCP_INFO", os))?;
    info.0.set_len(returned);
    Ok(info)
}

pub(crate) fn mptcp_subflows(sock: Sock<'_>) -> Result<Vec<Subflow>, Error> {
    let addresses =
        || subflow_array(sock, "MPTCP_SUBFLOW_ADDRS", MPTCP_SUBFLOW_ADDRS, SUBFLOW_ADDRS);
    let mut before = addresses()?;
    // A subflow can come or go between the calls, which list them in one order: if the addresses
    // are the same before and after, so were the subflows between.
    for _ in 0..3 {
        let infos = subflow_array(sock, "MPTCP_TCPINFO", MPTCP_TCPINFO, LinuxTcpInfo::CAPACITY)?;
        let after = addresses()?;
        if before == after && infos.len() == after.len() {
            return Ok(infos.iter().zip(&after).map(|(info, pair)| subflow(info, pair)).collect());
        }
        before = after;
    }
    Err(Error::of_socket(ErrorKind::Other, "MPTCP_TCPINFO", descriptor_number(sock)))
}

fn subflow(info: &[u8], addresses: &[u8]) -> Subflow {
    let native = LinuxTcpInfo::from_bytes(info).with_kernel_major(kernel_major());
    let (local, remote) = addresses.split_at(addresses.len() / 2);
    Subflow {
        local_addr: socket_address(local),
        // All zeros without a peer.
        remote_addr: socket_address(remote).filter(|address| address.port() != 0),
        info: TcpInfo::from_native(Native::Linux(native), None),
    }
}

/// A pair of `struct sockaddr_storage`.
const SUBFLOW_ADDRS: usize = 256;

/// Asks for one element of at most `element` bytes a subflow.
fn subflow_array(
    sock: Sock<'_>,
    query: &'static str,
    option: i32,
    element: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    // The kernel's own limit is 8 beside the first; more is asked for if there are more.
    let mut room = 9;
    loop {
        let mut buffer = vec![0; SubflowData::LEN + room * element];
        for (slot, byte) in buffer.iter_mut().zip(SubflowData::request(element).as_flattened()) {
            *slot = *byte;
        }
        let returned = getsockopt(sock, SOL_MPTCP, option, &mut buffer)
            .map_err(|os| mptcp_refusal(sock, query, os))?;
        let header = SubflowData::of(&buffer);
        if header.subflows > room && room < 256 {
            room = header.subflows.min(256);
            continue;
        }
        let array = buffer.get(SubflowData::LEN..returned).unwrap_or_default();
        return Ok(header.elements(array).map(<[u8]>::to_vec).collect());
    }
}

/// `struct mptcp_subflow_data`: its own size, number of subflows, element sizes of the kernel and of
/// the caller, each 32 bits.
struct SubflowData {
    subflows: usize,
    /// The smaller of the kernel's size and ours: how far apart the elements are.
    stride: usize,
}

impl SubflowData {
    const LEN: usize = 16;

    fn request(element: usize) -> [[u8; 4]; 4] {
        [Self::LEN, 0, 0, element].map(|size| u32::try_from(size).unwrap_or_default().to_ne_bytes())
    }

    fn of(buffer: &[u8]) -> Self {
        let number = |index: usize| {
            let word = buffer.get(4 * index..).and_then(<[u8]>::first_chunk).copied();
            usize::try_from(u32::from_ne_bytes(word.unwrap_or_default())).unwrap_or_default()
        };
        Self { subflows: number(1), stride: number(2).min(number(3)) }
    }

    fn elements<'a>(&self, array: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        array.chunks_exact(self.stride.max(1)).take(self.subflows)
    }
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => Some((Ipv4Addr::from(*rest.first_chunk::<4>()?), port).into()),
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (address, rest) = rest.split_first_chunk::<16>()?;
            Some(SocketAddr::V6(SocketAddrV6::new(
                Ipv6Addr::from(*address),
                port,
                // As the standard library has it: not turned to this machine's order.
                u32::from_ne_bytes(*flow),
                u32::from_ne_bytes(*rest.first_chunk()?),
            )))
        }
        _ => None,
    }
}

#[cold]
fn mptcp_refusal(sock: Sock<'_>, query: &'static str, os: io::Error) -> Error {
    let refusal = refusal(sock, query, Missing::Unsupported, os);
    if refusal.kind() != ErrorKind::Unsupported {
        return refusal;
    }
    match is_mptcp(sock) {
        // In use, so it is this question that the kernel is too old for.
        Ok(true) => refusal,
        Ok(false) => refusal.of_kind(ErrorKind::NotMptcp),
        Err(other) => refusal.of_kind(other.kind()),
    }
}

pub(crate) fn ulp(sock: Sock<'_>) -> Result<Option<String>, Error> {
    let mut name = [0; 16];
    let returned = getsockopt(sock, libc::IPPROTO_TCP, TCP_ULP, &mut name).map_err(|os| {
        // Older than every supported protocol is the one that tells whether it is TCP at all.
        match congestion_name(sock) {
            Ok(_) => refusal(sock, "TCP_ULP", Missing::Unsupported, os),
            Err(other) => error(other.kind(), "TCP_ULP", sock, os),
        }
    })?;
    let name = name.get(..returned).unwrap_or(&name);
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned()))
}

/// What it means that the kernel does not know an option (`ENOPROTOOPT`, `EOPNOTSUPP`).
#[derive(Clone, Copy)]
enum Missing {
    /// Every supported kernel has it for TCP, so this is another protocol.
    NotTcp,
    /// The kernel is older than the option.
    Unsupported,
}

#[cold]
fn refusal(sock: Sock<'_>, query: &'static str, missing: Missing, os: io::Error) -> Error {
    let kind = match (os.raw_os_error(), missing) {
        (Some(libc::EBADF), _) => ErrorKind::BadDescriptor,
        (Some(libc::ENOTSOCK), _) => ErrorKind::NotSocket,
        (Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT), Missing::NotTcp) => ErrorKind::NotTcp,
        (Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::ENOTTY), Missing::Unsupported) => {
            ErrorKind::Unsupported
        }
        (Some(libc::EINVAL), _) => ErrorKind::WrongState,
        _ => ErrorKind::Other,
    };
    error(kind, query, sock, os)
}

/// The running kernel's major version, asked once; 0 if its release does not begin with a number.
#[inline]
pub(crate) fn kernel_major() -> u8 {
    const NOT_ASKED: u8 = u8::MAX;
    static MAJOR: AtomicU8 = AtomicU8::new(NOT_ASKED);

    match MAJOR.load(Ordering::Relaxed) {
        NOT_ASKED => {
            let major = uname_major().filter(|major| *major != NOT_ASKED).unwrap_or(0);
            MAJOR.store(major, Ordering::Relaxed);
            major
        }
        major => major,
    }
}

#[cold]
fn uname_major() -> Option<u8> {
    // SAFETY: `utsname` is plain bytes, for which all zeros are valid.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure, which is exclusively borrowed here.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return None;
    }
    names
        .release
        .iter()
        .map(|&byte| char::from(byte.to_ne_bytes()[0]))
        .map_while(|c| c.to_digit(10))
        .try_fold(None, |major: Option<u8>, digit| {
            let major = major.unwrap_or(0).checked_mul(10)?;
            Some(Some(major.checked_add(u8::try_from(digit).ok()?)?))
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subflows_lie_as_far_apart_as_the_smaller_of_the_two_sizes() {
        let mut buffer = [16u32, 3, 4, 8].map(u32::to_ne_bytes).as_flattened().to_vec();
        buffer.extend(1..=12);
        let header = SubflowData::of(&buffer);
        let elements: Vec<_> = header.elements(&buffer[SubflowData::LEN..]).collect();
        assert_eq!(elements, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]);
    }

    #[test]
    fn a_subflow_without_a_peer_has_no_remote_address() {
        let mut addresses = [0; SUBFLOW_ADDRS];
        let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
        for end in addresses.chunks_exact_mut(SUBFLOW_ADDRS / 2) {
            end[..2].copy_from_slice(&family);
        }
        addresses[2..4].copy_from_slice(&443u16.to_be_bytes());
        let listening = subflow(&[10], &addresses);
        assert_eq!(listening.local_addr, Some("0.0.0.0:443".parse().unwrap()));
        assert_eq!(listening.remote_addr, None);
    }
}
