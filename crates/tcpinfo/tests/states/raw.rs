//! The system calls that std does not offer, and readings that share nothing with the crate.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call that takes no pointers.
    owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// What a system call returned as a new descriptor.
pub(crate) fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn checked(status: i32) -> io::Result<i32> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// A fresh TCP socket over IPv4.
pub(crate) fn tcp() -> OwnedFd {
    socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap()
}

fn loopback(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    }
}

pub(crate) fn bind(fd: &impl AsFd, port: u16) {
    let address = loopback(port);
    let len = socklen(&address);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the address lives through the call and `len` is its size.
    checked(unsafe { libc::bind(fd, (&raw const address).cast(), len) }).unwrap();
}

pub(crate) fn listen(fd: &impl AsFd, backlog: i32) {
    // SAFETY: a plain system call that takes no pointers.
    checked(unsafe { libc::listen(fd.as_fd().as_raw_fd(), backlog) }).unwrap();
}

pub(crate) fn connect(fd: &impl AsFd, port: u16) -> io::Result<()> {
    let address = loopback(port);
    let len = socklen(&address);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the address lives through the call and `len` is its size.
    checked(unsafe { libc::connect(fd, (&raw const address).cast(), len) }).map(drop)
}

/// Begins to connect, where no answer is to be expected.
pub(crate) fn begin_connect(fd: &impl AsFd, port: u16) {
    set_nonblocking(fd);
    let error = connect(fd, port).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS));
}

/// Dissolves a socket's connection, which leaves it as good as new.
pub(crate) fn disconnect(fd: &impl AsFd) {
    // SAFETY: plain bytes, for which all zeros are valid: the family is `AF_UNSPEC`.
    let address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    let len = socklen(&address);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the address lives through the call and `len` is its size.
    checked(unsafe { libc::connect(fd, (&raw const address).cast(), len) }).unwrap();
}

pub(crate) fn set_nonblocking(fd: &impl AsFd) {
    // SAFETY: a plain system call that takes no pointers.
    let status = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    checked(status).unwrap();
}

pub(crate) fn local_port(fd: &OwnedFd) -> u16 {
    let stream = TcpStream::from(fd.try_clone().unwrap());
    stream.local_addr().unwrap().port()
}

/// Both addresses of a socket, as far as it has them.
pub(crate) fn addresses(fd: &OwnedFd) -> (Option<SocketAddrV4>, Option<SocketAddrV4>) {
    let stream = TcpStream::from(fd.try_clone().unwrap());
    let v4 = |address: io::Result<SocketAddr>| match address {
        Ok(SocketAddr::V4(address)) => Some(address),
        _ => None,
    };
    (v4(stream.local_addr()), v4(stream.peer_addr()))
}

pub(crate) fn set_option(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = socklen(&value);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the number lives through the call and `len` is its size.
    checked(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) }).map(drop)
}

pub(crate) fn option(fd: &impl AsFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut len = socklen(&value);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the number and its length live through the call, and `len` is the number's size.
    checked(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

/// The name of the congestion control algorithm.
pub(crate) fn congestion(fd: &impl AsFd) -> String {
    let mut name = [0u8; 16];
    let mut len = socklen(&name);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the buffer and its length live through the call, and `len` is the buffer's size.
    checked(unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_mut_ptr().cast(),
            &raw mut len,
        )
    })
    .unwrap();
    name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}

/// `SIOCINQ`, `SIOCOUTQNSD` and `SIOCOUTQ`.
pub(crate) fn queues(fd: &impl AsFd) -> [i32; 3] {
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    [libc::FIONREAD, SIOCOUTQNSD, libc::TIOCOUTQ].map(|request| {
        let mut count = 0i32;
        // SAFETY: each of the requests writes one `int`, which lives through the call.
        checked(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, &raw mut count) }).unwrap();
        count
    })
}

/// Lets the socket receive nothing any more: a filter that keeps no byte of any packet drops each
/// before TCP sees it, without any privilege and without a trace at the sender.
pub(crate) fn deafen(fd: &impl AsFd) {
    try_deafen(fd).unwrap();
}

/// Whether this kernel lets us: the stock kernel lets everybody.
pub(crate) fn can_deafen() -> bool {
    try_deafen(&tcp()).is_ok()
}

fn try_deafen(fd: &impl AsFd) -> io::Result<()> {
    let mut drop_all =
        libc::sock_filter { code: 0x06 /* BPF_RET | BPF_K */, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut drop_all };
    let len = socklen(&program);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the program and its one instruction live through the call; `len` is its size.
    checked(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            len,
        )
    })
    .map(drop)
}

/// Lets it receive again.
pub(crate) fn undeafen(fd: &impl AsFd) {
    set_option(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0).unwrap();
}

fn socklen<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).unwrap()
}

/// Waits until something is so, far longer than it can take on a loaded machine.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
