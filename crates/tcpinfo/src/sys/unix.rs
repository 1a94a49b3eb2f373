//! `getsockopt(2)` and `ioctl(2)`, as every Unix has them.

use std::{io, os::fd::AsRawFd};

use crate::{Error, ErrorKind, Sock};

/// Fills `buffer` and gives the length that the kernel returned.
#[inline(always)]
pub(super) fn getsockopt(
    sock: Sock<'_>,
    level: i32,
    option: i32,
    buffer: &mut [u8],
) -> io::Result<usize> {
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

/// A socket option that is one `int`.
pub(super) fn option_number(sock: Sock<'_>, level: i32, option: i32) -> io::Result<i32> {
    let mut number = [0; 4];
    getsockopt(sock, level, option, &mut number)?;
    Ok(i32::from_ne_bytes(number))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) type Request = libc::Ioctl;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) type Request = libc::c_ulong;

/// An `ioctl` that answers with one `int`.
pub(super) fn ioctl_count(sock: Sock<'_>, request: Request) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: `sock` keeps the descriptor open for the call, and every request passed here writes
    // one `int`, which is exclusively borrowed here.
    let status = unsafe { libc::ioctl(sock.as_raw_fd(), request, &raw mut count) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::try_from(count).unwrap_or(0))
}

/// An error about this socket.
pub(super) fn error(kind: ErrorKind, query: &'static str, sock: Sock<'_>, os: io::Error) -> Error {
    Error::from_os(kind, query, descriptor_number(sock), os)
}

/// The number, for a message.
pub(super) fn descriptor_number(sock: Sock<'_>) -> u64 {
    u64::try_from(sock.as_raw_fd()).unwrap_or_default()
}

/// What a refusal means on macOS and the BSDs, where other sockets and connections that are gone
/// answer alike.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[cold]
pub(super) fn refusal(sock: Sock<'_>, query: &'static str, os: io::Error) -> Error {
    let kind = match os.raw_os_error() {
        Some(libc::EBADF) => ErrorKind::BadDescriptor,
        Some(libc::ENOTSOCK) => ErrorKind::NotSocket,
        _ if !is_socket(sock) => ErrorKind::NotSocket,
        _ if !is_tcp(sock) => ErrorKind::NotTcp,
        Some(libc::ECONNRESET | libc::ENOTCONN | libc::EINVAL) => ErrorKind::WrongState,
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENOTTY) => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    error(kind, query, sock, os)
}

/// Whether it is a socket at all; not every call says so itself.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_socket(sock: Sock<'_>) -> bool {
    let ty = option_number(sock, libc::SOL_SOCKET, libc::SO_TYPE);
    !ty.is_err_and(|os| os.raw_os_error() == Some(libc::ENOTSOCK))
}

/// Whether it is a stream of the internet families. A socket that does not even tell its type is
/// given the benefit of the doubt: its connection may be gone.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_tcp(sock: Sock<'_>) -> bool {
    if option_number(sock, libc::SOL_SOCKET, libc::SO_TYPE).is_ok_and(|ty| ty != libc::SOCK_STREAM)
    {
        return false;
    }
    // There are other streams than TCP's where the protocol can be asked for: SCTP has some.
    #[cfg(any(target_os = "freebsd", target_os = "openbsd"))]
    if let Ok(protocol) = option_number(sock, libc::SOL_SOCKET, libc::SO_PROTOCOL) {
        return protocol == libc::IPPROTO_TCP;
    }
    // SAFETY: the structure is plain bytes, for which all zeros are valid.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or_default();
    // SAFETY: `sock` keeps the descriptor open for the call; the kernel writes at most `len` bytes,
    // which the address has, and the length itself, both exclusively borrowed here.
    let status =
        unsafe { libc::getsockname(sock.as_raw_fd(), (&raw mut address).cast(), &raw mut len) };
    let family = i32::from(address.ss_family);
    status != 0 || matches!(family, libc::AF_INET | libc::AF_INET6)
}
