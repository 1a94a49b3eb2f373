#![allow(unsafe_code, reason = "the standard library makes no networks and sends no signals")]

use std::{io, net::Ipv4Addr, os::fd::AsRawFd as _};

/// Takes this thread, and those that it starts, into a network of their own.
pub(super) fn enter_own() -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // `struct ifreq`: 16 bytes of name, and 24 of what is asked, which begins with the flags.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = libc::IFF_UP as u8;
    // SAFETY: the request reads one `ifreq`, which lives through the call.
    checked(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, request.as_mut_ptr())
    })
}

/// Tells a child, which was not waited for yet, that it is enough.
pub(super) fn interrupt(id: u32) {
    // SAFETY: a plain system call that takes no pointers.
    let _ = unsafe { libc::kill(id as libc::pid_t, libc::SIGINT) };
}

fn checked(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
