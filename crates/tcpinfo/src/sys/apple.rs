//! macOS, iOS and their relatives: `TCP_CONNECTION_INFO`, and on macOS `proc_pidfdinfo`.

use std::mem::offset_of;

use super::unix::{getsockopt, ioctl_count, option_number, refusal};
use crate::{
    Error, Queues, Sock, State,
    native::{
        Native,
        apple::{AppleTcpInfo, offset},
    },
};

pub(crate) use super::missing::{
    congestion_info, congestion_name, cookie, is_mptcp, memory, mptcp_info, mptcp_subflows, ulp,
};

pub(crate) fn tcp_info(sock: Sock<'_>) -> Result<Native, Error> {
    let mut info = AppleTcpInfo::EMPTY;
    let returned =
        getsockopt(sock, libc::IPPROTO_TCP, libc::TCP_CONNECTION_INFO, info.0.buffer_mut())
            .map_err(|os| refusal(sock, "TCP_CONNECTION_INFO", os))?;
    info.0.set_len(returned);
    Ok(Native::Apple(info))
}

pub(crate) fn queues(sock: Sock<'_>) -> Result<Queues, Error> {
    let Native::Apple(info) = tcp_info(sock)? else {
        return super::missing::queues(sock);
    };
    match info.state().value() {
        Some(State::Listen) => return Ok(accept_queue(sock).unwrap_or_default()),
        Some(State::Close) => return Ok(Queues::default()),
        _ => {}
    }
    let unread = ioctl_count(sock, libc::FIONREAD).map_err(|os| refusal(sock, "FIONREAD", os))?;
    let queued = option_number(sock, libc::SOL_SOCKET, libc::SO_NWRITE)
        .map_err(|os| refusal(sock, "SO_NWRITE", os))?;
    Ok(Queues {
        unread_bytes: Some(unread),
        queued_bytes: u64::try_from(queued).ok(),
        ..Queues::default()
    })
}

#[cfg(target_os = "macos")]
fn accept_queue(sock: Sock<'_>) -> Option<Queues> {
    let socket = apple_socket(sock).ok()?;
    Some(Queues {
        accept_queue: socket.soi_qlen().value().map(u64::from),
        accept_queue_limit: socket.soi_qlimit().value().map(u64::from),
        ..Queues::default()
    })
}

// Elsewhere the call is not for programs that are to be published.
#[cfg(not(target_os = "macos"))]
fn accept_queue(_: Sock<'_>) -> Option<Queues> {
    None
}

#[cfg(not(target_os = "macos"))]
pub(crate) use super::missing::apple_socket;

#[cfg(target_os = "macos")]
pub(crate) fn apple_socket(
    sock: Sock<'_>,
) -> Result<crate::native::apple_socket::AppleSocketInfo, Error> {
    use std::{io, os::fd::AsRawFd};

    /// `<sys/proc_info.h>`; not in the `libc` crate.
    const PROC_PIDFDSOCKETINFO: libc::c_int = 3;

    let mut info = crate::native::apple_socket::AppleSocketInfo::EMPTY;
    let buffer = info.0.buffer_mut();
    let len = libc::c_int::try_from(buffer.len()).unwrap_or(libc::c_int::MAX);
    let pid = libc::c_int::try_from(std::process::id()).unwrap_or_default();
    // SAFETY: `sock` keeps the descriptor open for the call; the kernel writes at most `len` bytes,
    // which `buffer` has and which is exclusively borrowed here.
    let returned = unsafe {
        libc::proc_pidfdinfo(
            pid,
            sock.as_raw_fd(),
            PROC_PIDFDSOCKETINFO,
            buffer.as_mut_ptr().cast(),
            len,
        )
    };
    match usize::try_from(returned) {
        Ok(returned @ 1..) => {
            info.0.set_len(returned);
            Ok(info)
        }
        _ => Err(refusal(sock, "PROC_PIDFDSOCKETINFO", io::Error::last_os_error())),
    }
}

// The C library's structure is right up to the Fast Open bits.
const _: () = {
    assert!(size_of::<libc::tcp_connection_info>() <= AppleTcpInfo::CAPACITY);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_options) == offset::options);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_rto) == offset::rto);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_snd_cwnd) == offset::snd_cwnd);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_rcv_wnd) == offset::rcv_wnd);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_srtt) == offset::srtt);
    assert!(offset_of!(libc::tcp_connection_info, tcpi_rttvar) == offset::rttvar);
};
