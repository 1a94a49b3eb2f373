//! What the kernel knows about one TCP socket.
//!
//! Every TCP connection has a biography that only the kernel knows: round-trip time, congestion
//! window, retransmissions, who stalled whom. This crate reads it from any socket that a program
//! holds, with one meaning and one unit for every field, and never shows "absent" as zero.
//!
//! ```
//! # #[cfg(target_os = "linux")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::{TcpListener, TcpStream};
//! use tcpinfo::TcpInfo;
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let stream = TcpStream::connect(listener.local_addr()?)?;
//!
//! let info = TcpInfo::read(&stream)?;
//! if let Some(rtt) = info.rtt() {
//!     println!("smoothed round-trip time: {rtt:?}");
//! }
//! for warning in info.warnings() {
//!     println!("{warning}");
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(target_os = "linux"))]
//! # fn main() {}
//! ```
//!
//! Anything that lends its descriptor can be asked: streams of std, tokio, socket2, mio, or a bare
//! `BorrowedFd`.
//!
//! # Three depths
//!
//! - [`TcpInfo`] is the portable view: one method a fact, each optional.
//! - [`native`] holds the operating system's own structure, where each field answers with a
//!   [`Reading`]: absent on this kernel, nothing measured yet, or a value. All fields can be walked
//!   over, and [`schema`] lists them with unit, meaning and first kernel.
//! - [`Queues`], [`Congestion`], [`SocketMemory`], [`cookie`], [`Mptcp`], [`is_mptcp`], [`ulp`] and
//!   [`AppleSocketInfo`](native::apple_socket::AppleSocketInfo) ask for more, each at the price of
//!   system calls of its own, and each on the systems that it names.
//!
//! # Platforms
//!
//! | system | source |
//! |---|---|
//! | Linux, Android | `TCP_INFO`, 104 bytes (2.6) to 280 bytes (6.18 and later), and what is longer |
//! | macOS, iOS and relatives | `TCP_CONNECTION_INFO`, 104 or 112 bytes |
//! | Windows 10 1703 and later | `SIO_TCP_INFO`, versions 2, 1 and 0 |
//! | FreeBSD, NetBSD, OpenBSD | `TCP_INFO`, each with units and contents of its own |
//! | others | compile, and answer [`ErrorKind::Unsupported`]; [`is_supported`] says so beforehand |
//!
//! Each method of [`TcpInfo`] names the fields that it is made of on each system; [`schema`] says
//! the same to programs. Decoders work on every host: [`Native::from_bytes_in`] reads a structure
//! that was captured elsewhere.
//!
//! # Features
//!
//! - `serde`: `Serialize` for everything that is read, with durations as integer nanoseconds and
//!   absent fields left out.
//!
//! # Cost
//!
//! One `getsockopt` (0.3 to 0.6 µs on Linux) for the structure and one for the
//! congestion control name; no heap allocation. The kernel takes the socket's lock for it, so a
//! call may wait for another thread's `send` on the same socket.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

mod congestion;
mod error;
pub mod fields;
mod info;
#[cfg(feature = "serde")]
mod json;
mod mptcp;
pub mod native;
mod options;
mod packed;
mod reading;
mod sock;
mod socket;
mod state;
#[allow(unsafe_code, reason = "the system calls")]
mod sys;
mod system;
mod warning;

pub use congestion::{
    BbrInfo, CcInfo, Congestion, CongestionInfo, CongestionName, DctcpInfo, VegasInfo,
};
pub use error::{Error, ErrorKind};
pub use info::TcpInfo;
pub use mptcp::{Mptcp, Subflow};
pub use native::schema;
pub use options::{Options, TcpOption};
pub use packed::Packed;
pub use reading::Reading;
pub use sock::{AsSock, Sock};
pub use socket::{Queues, SocketMemory, cookie, is_mptcp, ulp};
pub use state::{AccEcnOption, CaState, EcnMode, FastOpenFailure, State};
pub use system::System;
pub use warning::{Thresholds, Warning};

use native::Native;

/// Whether this system's sockets can be asked at all.
pub const fn is_supported() -> bool {
    System::CURRENT.is_some()
}

/// Reads the operating system's own structure of one socket: one system call, no heap allocation,
/// fields decoded on access.
///
/// [`TcpInfo::read`] gives the portable view instead.
///
/// # Errors
///
/// Not a socket, not a TCP socket, not open, not supported on this system: see [`ErrorKind`].
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use tcpinfo::native::Native;
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// for (field, reading) in tcpinfo::read_native(&socket).unwrap().fields() {
///     println!("{:24} {reading:?} {}", field.name, field.unit);
/// }
/// # }
/// ```
#[inline(always)]
pub fn read_native(sock: &(impl AsSock + ?Sized)) -> Result<Native, Error> {
    sys::tcp_info(sock.as_sock())
}
