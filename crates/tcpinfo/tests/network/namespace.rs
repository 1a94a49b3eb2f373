//! A network of one's own, and one device in it whose other end is a descriptor.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread,
};

/// Takes the process out of the host's network for good, and gives it the right to make others.
///
/// In a user namespace of its own it needs no privilege; where those are not allowed, root will do.
pub(crate) fn leave_host() -> Result<(), String> {
    // SAFETY: plain system calls that take no pointers.
    let alone = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    if alone == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    let as_root = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    checked(as_root)
        .map(drop)
        .map_err(|error| format!("a network namespace cannot be made, not being root: {error}"))
}

/// A network namespace, which lives as long as this and the sockets that were made in it.
pub(crate) struct Namespace {
    handle: File,
}

impl Namespace {
    /// A new one with a point-to-point device; what is sent through it is read from the descriptor.
    pub(crate) fn with_device(own: Ipv4Addr, peer: Ipv4Addr) -> Result<(Self, OwnedFd), String> {
        let make = move || {
            // SAFETY: a plain system call that takes no pointers; it moves this thread only.
            checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })
                .map_err(|error| format!("a network namespace cannot be made: {error}"))?;
            let device = device(own, peer)?;
            let handle = File::open("/proc/thread-self/ns/net")
                .map_err(|error| format!("/proc/thread-self/ns/net: {error}"))?;
            Ok((Self { handle }, device))
        };
        thread::spawn(make).join().map_err(|_| "the thread of the namespace died".to_owned())?
    }

    /// Does something in this namespace; sockets stay where they were made.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = || {
                // SAFETY: the handle is open; the call moves this thread only.
                let entered = unsafe { libc::setns(self.handle.as_raw_fd(), libc::CLONE_NEWNET) };
                checked(entered).unwrap();
                work()
            };
            scope.spawn(inside).join().unwrap()
        })
    }
}

fn device(own: Ipv4Addr, peer: Ipv4Addr) -> Result<OwnedFd, String> {
    let tun = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map_err(|error| format!("/dev/net/tun cannot be opened: {error}"))?;
    let mut request = Request::new();
    request.set_number(libc::IFF_TUN | libc::IFF_NO_PI);
    request.send(&tun, libc::TUNSETIFF, "TUNSETIFF")?;
    set_nonblocking(&tun).map_err(|error| format!("the device's descriptor: {error}"))?;

    // SAFETY: a plain system call that takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    checked(socket).map_err(|error| format!("a socket: {error}"))?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    request.set_address(own);
    request.send(&socket, libc::SIOCSIFADDR, "SIOCSIFADDR")?;
    request.set_address(peer);
    request.send(&socket, libc::SIOCSIFDSTADDR, "SIOCSIFDSTADDR")?;
    request.set_number(libc::IFF_UP | libc::IFF_RUNNING);
    request.send(&socket, libc::SIOCSIFFLAGS, "SIOCSIFFLAGS")?;
    Ok(tun.into())
}

fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<i32> {
    // SAFETY: a plain system call that takes no pointers.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
}

/// `struct ifreq`: 16 bytes of name and 24 of what is asked.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

impl Request {
    fn new() -> Self {
        let mut name = [0; 16];
        name[..5].copy_from_slice(b"path0");
        Self { name, value: [0; 24] }
    }

    /// `ifr_flags`, a short.
    fn set_number(&mut self, flags: i32) {
        self.value = [0; 24];
        self.value[..2].copy_from_slice(&u16::try_from(flags).unwrap().to_ne_bytes());
    }

    /// `ifr_addr`, a `sockaddr_in`.
    fn set_address(&mut self, address: Ipv4Addr) {
        self.value = [0; 24];
        let family = u16::try_from(libc::AF_INET).unwrap();
        self.value[..2].copy_from_slice(&family.to_ne_bytes());
        self.value[4..8].copy_from_slice(&address.octets());
    }

    fn send(
        &mut self,
        fd: &impl AsRawFd,
        code: impl TryInto<libc::Ioctl>,
        what: &str,
    ) -> Result<(), String> {
        let code = code.try_into().ok().ok_or("an ioctl's number")?;
        // SAFETY: each of the requests reads and writes one `ifreq`, which lives through the call.
        let status = unsafe { libc::ioctl(fd.as_raw_fd(), code, &raw mut *self) };
        checked(status).map(drop).map_err(|error| format!("{what}: {error}"))
    }
}

fn checked(status: i32) -> io::Result<i32> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}
