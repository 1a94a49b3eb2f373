//! A network of one's own, and connections in it.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// Takes the process, and what it starts, out of the host's network for good. Call it before any thread
/// is started.
///
/// In a user namespace of its own it needs no privilege; root needs none of those.
pub(crate) fn leave_host() -> Result<(), String> {
    // SAFETY: a plain system call that takes no pointers.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    unshare(libc::CLONE_NEWNET)
        .or_else(|_| {
            unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
            std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
        })
        .and_then(|()| set_loopback(true))
        .map_err(|error| format!("a network namespace cannot be made: {error}"))
}

fn unshare(what: i32) -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    let status = unsafe { libc::unshare(what) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs something in a thread whose network is its own and empty, and goes with it.
pub(crate) fn in_network<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        unshare(libc::CLONE_NEWNET).unwrap();
        set_loopback(true).unwrap();
        run()
    };
    let done = std::thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sets the flag `IFF_UP` of `lo` in the thread's network, or takes it away.
pub(crate) fn set_loopback(is_up: bool) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // `struct ifreq`: 16 bytes of name, and 24 of what is asked, which begins with the flags.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = if is_up { libc::IFF_UP as u8 } else { 0 };
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: the request reads one `ifreq`, which lives through the call.
    let status = unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, request.as_mut_ptr()) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Who connected and who accepted.
pub(crate) fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// The next close is a reset that throws everything away.
pub(crate) fn abort(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}
