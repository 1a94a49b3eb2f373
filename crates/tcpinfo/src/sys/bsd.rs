//! FreeBSD, NetBSD and OpenBSD: `TCP_INFO`, and the ioctls for queue lengths that each has.

use std::mem::offset_of;

use super::unix::{getsockopt, ioctl_count, refusal};
use crate::{Error, Queues, Sock, State, TcpInfo, native::Native};

#[cfg(target_os = "freebsd")]
use crate::native::freebsd::{FreeBsdTcpInfo as SystemTcpInfo, offset};
#[cfg(target_os = "netbsd")]
use crate::native::netbsd::{NetBsdTcpInfo as SystemTcpInfo, offset};
#[cfg(target_os = "openbsd")]
use crate::native::openbsd::{OpenBsdTcpInfo as SystemTcpInfo, offset};

pub(crate) use super::missing::{
    apple_socket, congestion_info, cookie, is_mptcp, memory, mptcp_info, mptcp_subflows, ulp,
};

pub(crate) fn tcp_info(sock: Sock<'_>) -> Result<Native, Error> {
    let mut info = SystemTcpInfo::EMPTY;
    let returned = getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_INFO, info.0.buffer_mut())
        .map_err(|os| refusal(sock, "TCP_INFO", os))?;
    info.0.set_len(returned);
    #[cfg(target_os = "freebsd")]
    return Ok(Native::FreeBsd(info));
    #[cfg(target_os = "netbsd")]
    return Ok(Native::NetBsd(info));
    #[cfg(target_os = "openbsd")]
    return Ok(Native::OpenBsd(info));
}

#[cfg(not(target_os = "freebsd"))]
pub(crate) use super::missing::congestion_name;

#[cfg(target_os = "freebsd")]
pub(crate) fn congestion_name(sock: Sock<'_>) -> Result<crate::CongestionName, Error> {
    let mut name = [0; crate::CongestionName::CAPACITY];
    let returned = getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &mut name)
        .map_err(|os| refusal(sock, "TCP_CONGESTION", os))?;
    Ok(crate::CongestionName::from_bytes(name.get(..returned).unwrap_or(&name)))
}

pub(crate) fn queues(sock: Sock<'_>) -> Result<Queues, Error> {
    let info = TcpInfo::from_native(tcp_info(sock)?, None);
    match info.state() {
        Some(State::Listen) => return accept_queue(sock),
        // Never connected: of a connection that is over these systems tell nothing at all.
        Some(State::Close) => return Ok(Queues::default()),
        _ => {}
    }
    let unread = ioctl_count(sock, libc::FIONREAD).map_err(|os| refusal(sock, "FIONREAD", os))?;
    let queued = send_queue(sock, &info)?;
    let in_flight = info.in_flight_bytes();
    Ok(Queues {
        unread_bytes: Some(unread),
        queued_bytes: queued,
        // Asked one after the other, so bytes may move between the answers.
        unsent_bytes: queued.zip(in_flight).map(|(queued, flying)| queued.saturating_sub(flying)),
        in_flight_bytes: in_flight,
        ..Queues::default()
    })
}

#[cfg(any(target_os = "freebsd", target_os = "netbsd"))]
fn send_queue(sock: Sock<'_>, _: &TcpInfo) -> Result<Option<u64>, Error> {
    let queued = ioctl_count(sock, libc::FIONWRITE);
    queued.map(Some).map_err(|os| refusal(sock, "FIONWRITE", os))
}

#[cfg(target_os = "openbsd")]
fn send_queue(_: Sock<'_>, info: &TcpInfo) -> Result<Option<u64>, Error> {
    Ok(info.tx_queued_bytes())
}

#[cfg(target_os = "freebsd")]
fn accept_queue(sock: Sock<'_>) -> Result<Queues, Error> {
    let number = |query, option| match super::unix::option_number(sock, libc::SOL_SOCKET, option) {
        Ok(number) => Ok(u64::try_from(number).ok()),
        Err(os) => Err(refusal(sock, query, os)),
    };
    Ok(Queues {
        accept_queue: number("SO_LISTENQLEN", libc::SO_LISTENQLEN)?,
        accept_queue_limit: number("SO_LISTENQLIMIT", libc::SO_LISTENQLIMIT)?,
        ..Queues::default()
    })
}

/// Nothing is told of a listening socket.
#[cfg(not(target_os = "freebsd"))]
fn accept_queue(_: Sock<'_>) -> Result<Queues, Error> {
    Ok(Queues::default())
}

// The C library's structures split FreeBSD's and NetBSD's window scales wrongly; the rest is right.
const _: () = {
    assert!(size_of::<libc::tcp_info>() <= SystemTcpInfo::CAPACITY);
    assert!(offset_of!(libc::tcp_info, tcpi_options) == offset::options);
    assert!(offset_of!(libc::tcp_info, tcpi_rto) == offset::rto);
    assert!(offset_of!(libc::tcp_info, tcpi_last_data_recv) == offset::last_data_recv);
    assert!(offset_of!(libc::tcp_info, tcpi_rtt) == offset::rtt);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_cwnd) == offset::snd_cwnd);
    assert!(offset_of!(libc::tcp_info, tcpi_rcv_space) == offset::rcv_space);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_wnd) == offset::snd_wnd);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_rexmitpack) == offset::snd_rexmitpack);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_zerowin) == offset::snd_zerowin);
};

#[cfg(target_os = "openbsd")]
const _: () = {
    assert!(size_of::<libc::tcp_info>() == SystemTcpInfo::KNOWN_LEN);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_wscale) == offset::snd_wscale);
    assert!(offset_of!(libc::tcp_info, tcpi_rcv_wscale) == offset::rcv_wscale);
    assert!(offset_of!(libc::tcp_info, tcpi_snd_max) == offset::snd_max);
    assert!(offset_of!(libc::tcp_info, tcpi_so_snd_sb_cc) == offset::so_snd_sb_cc);
};
