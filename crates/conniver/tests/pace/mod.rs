//! A mark on a socket.

use std::net::TcpStream;

/// Sets a number that nothing else has on a socket, and that the kernel's facts tell: the most
/// bytes a second that it sends.
#[allow(unsafe_code, reason = "no library sets this option")]
pub(crate) fn limit_pace(stream: &TcpStream, rate: u32) {
    use std::os::fd::AsRawFd;

    // SAFETY: the kernel reads four bytes.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            (&raw const rate).cast(),
            size_of_val(&rate) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}
