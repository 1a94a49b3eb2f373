#![allow(unsafe_code, reason = "a floor has nothing around its system call")]

use std::{
    hint::black_box,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
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
