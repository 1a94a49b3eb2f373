//! Linux and Android: `getsockopt(2)` and `ioctl(2)`.
//!
//! The calls that are made often are always inlined: the processor mispredicts the first returns
//! after a system call, and one return costs more than decoding ten fields.

use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    CongestionName, Error, ErrorKind, Queues, Sock, SocketMemory,
    congestion::CcInfo,
    native::{Native, linux::LinuxTcpInfo},
};

pub(crate) const SUPPORTED: bool = true;

// The numbers below are the same on every architecture; not every libc has them.
const TCP_CC_INFO: i32 = 26;
const TCP_IS_MPTCP: i32 = 43;
const SOL_MPTCP: i32 = 284;
const MPTCP_INFO: i32 = 1;
const IPPROTO_MPTCP: i32 = 262;
const SIOCOUTQNSD: libc::Ioctl = 0x894b;

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
        match getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_INFO, info.buffer_mut()) {
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
    let queue = |query, request| {
        ioctl_count(sock, request).map_err(|os| {
            // These requests exist for much else, and say nothing about what they were asked of.
            match congestion_name(sock) {
                Ok(_) => refusal(sock, query, Missing::Unsupported, os),
                Err(other) => Error::from_os(other.kind(), query, descriptor_number(sock), os),
            }
        })
    };
    let unread = queue("SIOCINQ", libc::FIONREAD)?;
    let unsent = queue("SIOCOUTQNSD", SIOCOUTQNSD)?;
    let queued = queue("SIOCOUTQ", libc::TIOCOUTQ)?;
    Ok(Queues {
        unread_bytes: unread,
        unsent_bytes: unsent,
        // Three calls, so bytes may move between them.
        unacked_bytes: queued.saturating_sub(unsent),
    })
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
    let mut bytes = [0; 4];
    let Err(os) = getsockopt(sock, libc::IPPROTO_TCP, TCP_IS_MPTCP, &mut bytes) else {
        return Ok(i32::from_ne_bytes(bytes) != 0);
    };
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
    let mut protocol = [0; 4];
    match getsockopt(sock, libc::SOL_SOCKET, libc::SO_PROTOCOL, &mut protocol) {
        Ok(_) if i32::from_ne_bytes(protocol) == libc::IPPROTO_TCP => Ok(false),
        Ok(_) if i32::from_ne_bytes(protocol) != IPPROTO_MPTCP => Err(not_tcp(sock, refusal)),
        _ => Err(refusal),
    }
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
    Error::from_os(kind, query, descriptor_number(sock), os)
}

fn not_tcp(sock: Sock<'_>, refusal: Error) -> Error {
    let os = refusal.os_error().and_then(io::Error::raw_os_error).unwrap_or(libc::EOPNOTSUPP);
    let os = io::Error::from_raw_os_error(os);
    Error::from_os(ErrorKind::NotTcp, refusal.query(), descriptor_number(sock), os)
}

/// The number, for an error message.
fn descriptor_number(sock: Sock<'_>) -> u64 {
    u64::try_from(sock.as_raw_fd()).unwrap_or_default()
}

/// Fills `buffer` and gives the length that the kernel returned.
#[inline(always)]
fn getsockopt(sock: Sock<'_>, level: i32, option: i32, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = libc::socklen_t::try_from(buffer.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: `sock` keeps the descriptor open for the call; the kernel writes at most `len` bytes,
    // which `buffer` has, and the length itself, both exclusively borrowed here.
    let status = unsafe {
        libc::getsockopt(sock.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut len)
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(len).unwrap_or(0))
}

/// An `ioctl` that answers with one `int`.
fn ioctl_count(sock: Sock<'_>, request: libc::Ioctl) -> io::Result<u32> {
    let mut count: libc::c_int = 0;
    // SAFETY: `sock` keeps the descriptor open for the call, and every request passed here writes
    // one `int`, which is exclusively borrowed here.
    let status = unsafe { libc::ioctl(sock.as_raw_fd(), request, &raw mut count) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(count).unwrap_or(0))
}

/// The running kernel's major version, asked once; 0 if its release does not begin with a number.
#[inline]
fn kernel_major() -> u8 {
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
