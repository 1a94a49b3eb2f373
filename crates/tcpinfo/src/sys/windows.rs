//! Windows: `WSAIoctl(SIO_TCP_INFO)`.

use std::{
    io,
    mem::offset_of,
    os::windows::io::AsRawSocket,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use windows_sys::Win32::Networking::WinSock::{
    FIONREAD, IPPROTO_TCP, SIO_TCP_INFO, SO_PROTOCOL_INFOW, SOCKADDR_STORAGE, SOCKET, SOL_SOCKET,
    TCP_INFO_v0, TCP_INFO_v1, WSAECONNABORTED, WSAECONNRESET, WSAEINVAL, WSAENOTCONN, WSAENOTSOCK,
    WSAEOPNOTSUPP, WSAIoctl, WSAPROTOCOL_INFOW, getpeername, getsockopt, ioctlsocket,
};

use crate::{
    Error, ErrorKind, Queues, Sock, State,
    native::{
        Native,
        windows::{WindowsTcpInfo, offset},
    },
};

pub(crate) use super::missing::{
    apple_socket, congestion_info, congestion_name, cookie, is_mptcp, memory, mptcp_info,
    mptcp_subflows, ulp,
};

/// Bytes of each version of the structure. A version is asked for by number and is not a minimum.
const VERSIONS: [usize; 3] = [88, 136, 152];

/// The newest version that this Windows is not known to refuse.
static NEWEST: AtomicU32 = AtomicU32::new(2);

pub(crate) fn tcp_info(sock: Sock<'_>) -> Result<Native, Error> {
    let newest = NEWEST.load(Ordering::Relaxed);
    let mut version = newest;
    loop {
        match tcp_info_version(sock, version) {
            Ok(info) => {
                if version == newest {
                    return Ok(Native::Windows(info));
                }
                // Remembered only if the newer version is refused once more, now that the socket
                // answers: what was refused before may have been its state.
                return match tcp_info_version(sock, newest) {
                    Ok(newer) => Ok(Native::Windows(newer)),
                    Err(_) => {
                        NEWEST.fetch_min(version, Ordering::Relaxed);
                        Ok(Native::Windows(info))
                    }
                };
            }
            Err(os) if is_refused_version(&os) && version > 0 => version -= 1,
            Err(os) => return Err(refusal(sock, "SIO_TCP_INFO", os)),
        }
    }
}

fn tcp_info_version(sock: Sock<'_>, version: u32) -> io::Result<WindowsTcpInfo> {
    let mut info = WindowsTcpInfo::EMPTY;
    let index = usize::try_from(version).unwrap_or_default();
    let len = VERSIONS.get(index).copied().unwrap_or_default();
    let mut returned = 0;
    // SAFETY: `sock` keeps the socket open for the call, which is synchronous without an overlapped
    // structure; Windows reads the four bytes of `version` and writes at most `len` bytes, which the
    // buffer has, and their number, both exclusively borrowed here.
    let status = unsafe {
        WSAIoctl(
            raw(sock),
            SIO_TCP_INFO,
            (&raw const version).cast(),
            4,
            info.0.buffer_mut().as_mut_ptr().cast(),
            u32::try_from(len).unwrap_or_default(),
            &raw mut returned,
            ptr::null_mut(),
            None,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    info.0.set_len(usize::try_from(returned).unwrap_or_default().min(len));
    Ok(info)
}

/// What Windows says to a version that it does not know is not documented beyond these.
fn is_refused_version(os: &io::Error) -> bool {
    matches!(os.raw_os_error(), Some(WSAEINVAL | WSAEOPNOTSUPP))
}

pub(crate) fn queues(sock: Sock<'_>) -> Result<Queues, Error> {
    let in_flight = match tcp_info(sock) {
        Ok(Native::Windows(info)) => match info.state().value() {
            Some(State::Listen | State::Close) => return Ok(Queues::default()),
            _ => info.bytes_in_flight().value().map(u64::from),
        },
        // The number of unread bytes is older than the structure.
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error),
        Ok(_) => None,
    };
    let mut unread = 0;
    // SAFETY: `sock` keeps the socket open for the call, which writes one `u_long`, exclusively
    // borrowed here.
    if unsafe { ioctlsocket(raw(sock), FIONREAD, &raw mut unread) } != 0 {
        return Err(refusal(sock, "FIONREAD", io::Error::last_os_error()));
    }
    Ok(Queues {
        unread_bytes: Some(u64::from(unread)),
        in_flight_bytes: in_flight,
        ..Queues::default()
    })
}

/// What a refusal means. Windows answers `WSAEINVAL` to a question that it does not know and to one
/// that does not fit the socket, and Wine refuses without a look at the socket, so it is asked.
#[cold]
fn refusal(sock: Sock<'_>, query: &'static str, os: io::Error) -> Error {
    let protocol = protocol(sock).map_err(|error| error.raw_os_error());
    let kind = match (os.raw_os_error(), protocol) {
        (Some(WSAENOTSOCK), _) | (_, Err(Some(WSAENOTSOCK))) => ErrorKind::NotSocket,
        (_, Ok(protocol)) if protocol != IPPROTO_TCP => ErrorKind::NotTcp,
        (Some(WSAENOTCONN | WSAECONNRESET | WSAECONNABORTED), _) => ErrorKind::WrongState,
        (Some(WSAEINVAL), _) if is_unconnected(sock) => ErrorKind::WrongState,
        (Some(WSAEOPNOTSUPP | WSAEINVAL), _) => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    Error::from_os(kind, query, sock.as_raw_socket(), os)
}

/// The number of the socket's protocol.
fn protocol(sock: Sock<'_>) -> io::Result<i32> {
    // SAFETY: the structure is plain numbers, for which all zeros are valid.
    let mut protocol: WSAPROTOCOL_INFOW = unsafe { std::mem::zeroed() };
    let mut len = i32::try_from(size_of_val(&protocol)).unwrap_or_default();
    // SAFETY: `sock` keeps the socket open for the call; Windows writes at most `len` bytes, which
    // the structure has, and their number, both exclusively borrowed here.
    let status = unsafe {
        getsockopt(
            raw(sock),
            SOL_SOCKET,
            SO_PROTOCOL_INFOW,
            (&raw mut protocol).cast(),
            &raw mut len,
        )
    };
    if status == 0 { Ok(protocol.iProtocol) } else { Err(io::Error::last_os_error()) }
}

/// Whether the socket has no peer.
fn is_unconnected(sock: Sock<'_>) -> bool {
    // SAFETY: the structure is plain numbers, for which all zeros are valid.
    let mut peer: SOCKADDR_STORAGE = unsafe { std::mem::zeroed() };
    let mut len = i32::try_from(size_of_val(&peer)).unwrap_or_default();
    // SAFETY: `sock` keeps the socket open for the call; Windows writes at most `len` bytes, which
    // the address has, and their number, both exclusively borrowed here.
    let status = unsafe { getpeername(raw(sock), (&raw mut peer).cast(), &raw mut len) };
    status != 0 && io::Error::last_os_error().raw_os_error() == Some(WSAENOTCONN)
}

fn raw(sock: Sock<'_>) -> SOCKET {
    SOCKET::try_from(sock.as_raw_socket()).unwrap_or_default()
}

// The second version is not in the bindings.
const _: () = {
    assert!(size_of::<TCP_INFO_v0>() == VERSIONS[0]);
    assert!(size_of::<TCP_INFO_v1>() == VERSIONS[1]);
    assert!(WindowsTcpInfo::KNOWN_LEN == VERSIONS[2]);
    assert!(offset_of!(TCP_INFO_v1, ConnectionTimeMs) == offset::connection_time_ms);
    assert!(offset_of!(TCP_INFO_v1, TimestampsEnabled) == offset::timestamps_enabled);
    assert!(offset_of!(TCP_INFO_v1, RttUs) == offset::rtt_us);
    assert!(offset_of!(TCP_INFO_v1, MinRttUs) == offset::min_rtt_us);
    assert!(offset_of!(TCP_INFO_v1, BytesInFlight) == offset::bytes_in_flight);
    assert!(offset_of!(TCP_INFO_v1, Cwnd) == offset::cwnd);
    assert!(offset_of!(TCP_INFO_v1, RcvBuf) == offset::rcv_buf);
    assert!(offset_of!(TCP_INFO_v1, BytesOut) == offset::bytes_out);
    assert!(offset_of!(TCP_INFO_v1, BytesReordered) == offset::bytes_reordered);
    assert!(offset_of!(TCP_INFO_v1, TimeoutEpisodes) == offset::timeout_episodes);
    assert!(offset_of!(TCP_INFO_v1, SynRetrans) == offset::syn_retrans);
    assert!(offset_of!(TCP_INFO_v1, SndLimTransRwin) == offset::snd_lim_trans_rwin);
    assert!(offset_of!(TCP_INFO_v1, SndLimBytesRwin) == offset::snd_lim_bytes_rwin);
    assert!(offset_of!(TCP_INFO_v1, SndLimTimeCwnd) == offset::snd_lim_time_cwnd);
    assert!(offset_of!(TCP_INFO_v1, SndLimBytesSnd) == offset::snd_lim_bytes_snd);
};
