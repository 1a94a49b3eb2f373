#![allow(unsafe_code, reason = "a floor has nothing around its system call")]

use std::{
    hint::black_box,
    io,
    net::SocketAddrV4,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// The bare system calls that figures are held against, into buffers that are used again.
pub(super) struct BareSocket<'a> {
    socket: BorrowedFd<'a>,
    /// As long as the library's own, so that the kernel copies as much.
    info: [u8; 512],
    /// `TCP_CA_NAME_MAX`.
    congestion: [u8; 16],
    address: [u8; size_of::<libc::sockaddr_in6>()],
}

impl<'a> BareSocket<'a> {
    pub(super) fn new(socket: &'a impl AsFd) -> Self {
        Self {
            socket: socket.as_fd(),
            info: [0; 512],
            congestion: [0; 16],
            address: [0; size_of::<libc::sockaddr_in6>()],
        }
    }

    #[inline(always)]
    pub(super) fn tcp_info(&mut self) {
        tcp_option(black_box(self.socket), libc::TCP_INFO, &mut self.info);
        black_box(&self.info);
    }

    #[inline(always)]
    pub(super) fn tcp_congestion(&mut self) {
        let option = libc::TCP_CONGESTION;
        tcp_option(black_box(self.socket), option, &mut self.congestion);
        black_box(&self.congestion);
    }

    #[inline(always)]
    pub(super) fn linger(&mut self) {
        let mut linger = libc::linger { l_onoff: 0, l_linger: 0 };
        let mut len = size_of_val(&linger) as libc::socklen_t;
        let (socket, linger) = (black_box(self.socket), &raw mut linger);
        let (level, option) = (libc::SOL_SOCKET, libc::SO_LINGER);
        // SAFETY: `socket` is open, and the kernel writes at most the structure and its length.
        let status = unsafe {
            libc::getsockopt(socket.as_raw_fd(), level, option, linger.cast(), &raw mut len)
        };
        assert_eq!(status, 0, "every socket has this option");
        black_box(linger);
    }

    #[inline(always)]
    pub(super) fn local_address(&mut self) {
        let mut len = self.address.len() as libc::socklen_t;
        let (socket, address) = (black_box(self.socket), self.address.as_mut_ptr());
        // SAFETY: `socket` is open, and the kernel writes at most `len` bytes, which the buffer
        // has, and the length itself.
        let status = unsafe { libc::getsockname(socket.as_raw_fd(), address.cast(), &raw mut len) };
        assert_eq!(status, 0, "the socket has an address");
        black_box(&self.address);
    }

    #[inline(always)]
    pub(super) fn remote_address(&mut self) {
        let mut len = self.address.len() as libc::socklen_t;
        let (socket, address) = (black_box(self.socket), self.address.as_mut_ptr());
        // SAFETY: `socket` is open, and the kernel writes at most `len` bytes, which the buffer
        // has, and the length itself.
        let status = unsafe { libc::getpeername(socket.as_raw_fd(), address.cast(), &raw mut len) };
        assert_eq!(status, 0, "the socket is connected");
        black_box(&self.address);
    }
}

#[inline(always)]
fn tcp_option(socket: BorrowedFd<'_>, option: libc::c_int, buffer: &mut [u8]) {
    let mut len = buffer.len() as libc::socklen_t;
    // SAFETY: `socket` is open, and the kernel writes at most `len` bytes, which `buffer` has, and
    // the length itself.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    assert_eq!(status, 0, "the socket is a TCP socket");
}

/// A netlink socket and one request for a connection, to send as it is and to receive what comes.
pub(super) struct BareNetlink {
    socket: OwnedFd,
    /// A header and `struct inet_diag_req_v2`.
    request: [u8; 72],
    answer: Vec<u8>,
}

impl BareNetlink {
    pub(super) fn new(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: a plain system call that takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut request = [0; 72];
        let mut put = |offset: usize, bytes: &[u8]| {
            request[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &72u32.to_ne_bytes());
        // SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST.
        put(4, &20u16.to_ne_bytes());
        put(6, &1u16.to_ne_bytes());
        // AF_INET, TCP, all that bits ask for; all states.
        put(16, &[2, 6, 0xff, 0, 0xff, 0xff, 0xff, 0xff]);
        put(24, &local.port().to_be_bytes());
        put(26, &remote.port().to_be_bytes());
        put(28, &local.ip().octets());
        put(44, &remote.ip().octets());
        // No cookie.
        put(64, &[0xff; 8]);
        Ok(Self { socket, request, answer: vec![0; 32 * 1024] })
    }

    #[inline(always)]
    pub(super) fn exchange(&mut self) {
        let (socket, request) = (black_box(self.socket.as_raw_fd()), black_box(&self.request));
        // SAFETY: the socket is open, and the request lives through the call.
        let sent = unsafe { libc::send(socket, request.as_ptr().cast(), request.len(), 0) };
        assert_eq!(sent, 72, "the kernel takes requests");
        let (start, len) = (self.answer.as_mut_ptr(), self.answer.len());
        // SAFETY: the socket is open, and the kernel writes at most `len` bytes, which the buffer has.
        let received = unsafe { libc::recv(socket, start.cast(), len, 0) };
        assert!(received > 300, "the kernel answers with the connection");
        black_box(&self.answer);
    }
}

/// A netlink socket and the request for a list of everything, to receive and not to look at.
pub(super) struct BareDump {
    socket: OwnedFd,
    /// A header and `struct inet_diag_req`.
    request: [u8; 76],
    answer: Vec<u8>,
}

impl BareDump {
    pub(super) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: a plain system call that takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut request = [0; 76];
        let mut put = |offset: usize, bytes: &[u8]| {
            request[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &76u32.to_ne_bytes());
        // TCPDIAG_GETSOCK, NLM_F_REQUEST and NLM_F_DUMP.
        put(4, &18u16.to_ne_bytes());
        put(6, &0x301u16.to_ne_bytes());
        // All that bits ask for but the older memory; all states.
        put(19, &[0x7e]);
        put(68, &0x3ffeu32.to_ne_bytes());
        Ok(Self { socket, request, answer: vec![0; 32 * 1024] })
    }

    /// Receives the list; how many bytes it has.
    pub(super) fn receive(&mut self) -> usize {
        let (socket, request) = (black_box(self.socket.as_raw_fd()), black_box(&self.request));
        // SAFETY: the socket is open, and the request lives through the call.
        let sent = unsafe { libc::send(socket, request.as_ptr().cast(), request.len(), 0) };
        assert_eq!(sent, 76, "the kernel takes requests");
        let mut total = 0;
        loop {
            let (start, len) = (self.answer.as_mut_ptr(), self.answer.len());
            // SAFETY: the socket is open, and the kernel writes at most `len` bytes, which the buffer
            // has.
            let received = unsafe { libc::recv(socket, start.cast(), len, 0) };
            let received = usize::try_from(received).expect("the kernel answers with a list");
            total += received;
            // The end is a message of its own: length 20, NLMSG_DONE.
            let end = &self.answer[received.saturating_sub(20)..received];
            if end[..4] == 20u32.to_ne_bytes() && end[4..6] == 3u16.to_ne_bytes() {
                return total;
            }
        }
    }
}
