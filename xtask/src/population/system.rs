#![allow(unsafe_code, reason = "what the standard library has no words for")]

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd,
};

/// Takes the process out of the host's network for good. Call it before any thread is started.
///
/// In a user namespace of its own it needs no privilege; root needs none of those.
pub(super) fn leave_host() -> Result<(), String> {
    unshare(libc::CLONE_NEWNET)
        .or_else(|_| unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET))
        .map_err(|error| format!("a network of its own cannot be made: {error}"))?;
    bring_loopback_up().map_err(|error| format!("loopback cannot be brought up: {error}"))
}

fn unshare(what: libc::c_int) -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    checked(unsafe { libc::unshare(what) })
}

fn checked(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the flag `IFF_UP` of `lo`.
fn bring_loopback_up() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // `struct ifreq`: 16 bytes of name, and 24 of what is asked, which begins with the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = libc::IFF_UP as u8;
    // SAFETY: the request reads one `ifreq`, which lives through the call.
    checked(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, request.as_mut_ptr())
    })
}

/// Raises the limit of open descriptors as far as it goes, and says what it is.
pub(super) fn raise_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the structure that it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads the structure that it is given.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return 1024;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}
