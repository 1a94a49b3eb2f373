//! Tests that need a kernel with Multipath TCP or IPv6.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use libtest_mimic::{Failed, Trial};
use tcpinfo::{ErrorKind, TcpInfo, is_mptcp};

use super::{Test, same};

pub(crate) fn trials() -> [Trial; 3] {
    let has_mptcp = mptcp_socket().is_ok();
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let tests: [(bool, &str, Test); 3] = [
        (has_ipv6, "connections_over_ipv6_are_counted_and_told_from_udp", ipv6),
        (has_mptcp, "multipath_tcp_is_seen_at_both_ends", multipath),
        (has_mptcp, "a_fallback_from_multipath_tcp_is_plain_tcp", multipath_fallback),
    ];
    tests.map(|(possible, name, test)| Trial::test(name, test).with_ignored_flag(!possible))
}

/// For a socket that is not TCP the kernel answers otherwise than over IPv4.
fn ipv6() -> Result<(), Failed> {
    let listener = TcpListener::bind("[::1]:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(&[1; 12_345])?;
    server.read_exact(&mut [0; 12_345])?;
    same("received", TcpInfo::read(&server)?.rx_bytes(), Some(12_345))?;
    same("sent", TcpInfo::read(&client)?.tx_bytes().is_some_and(|sent| sent >= 12_345), true)?;

    let udp = UdpSocket::bind("[::1]:0")?;
    same("UDP", TcpInfo::read(&udp).unwrap_err().kind(), ErrorKind::NotTcp)
}

fn multipath() -> Result<(), Failed> {
    let listener = mptcp_listener()?;
    let client = connected(mptcp_socket()?, &listener)?;
    let (server, _) = listener.accept()?;
    same("client", is_mptcp(&client)?, true)?;
    same("server", is_mptcp(&server)?, true)
}

fn multipath_fallback() -> Result<(), Failed> {
    let plain = TcpListener::bind("127.0.0.1:0")?;
    let client = connected(mptcp_socket()?, &plain)?;
    same("client of a plain server", is_mptcp(&client)?, false)?;
    same("plain server", is_mptcp(&plain.accept()?.0)?, false)?;

    let listener = mptcp_listener()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    same("plain client", is_mptcp(&client)?, false)?;
    same("server of a plain client", is_mptcp(&listener.accept()?.0)?, false)
}

fn mptcp_socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call that takes no pointers.
    let fd = unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_MPTCP)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn mptcp_listener() -> io::Result<TcpListener> {
    let socket = mptcp_socket()?;
    // SAFETY: a plain system call that takes no pointers; the kernel chooses address and port.
    answer(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
    Ok(socket.into())
}

fn connected(socket: OwnedFd, listener: &TcpListener) -> io::Result<TcpStream> {
    let address = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: listener.local_addr()?.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
    // SAFETY: the address lives through the call and `len` is its size.
    answer(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(socket.into())
}

fn answer(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
