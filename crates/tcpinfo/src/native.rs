//! The operating systems' own structures, decoded on every host.
//!
//! A decoder takes the bytes and the length that the kernel returned and holds no system call, so a
//! structure captured on one machine can be read on any other.

mod bsd;
mod structure;

pub mod apple;
pub mod apple_socket;
pub mod freebsd;
pub mod linux;
pub mod mptcp;
pub mod netbsd;
pub mod openbsd;
pub mod windows;

pub(crate) use structure::first;
pub use structure::{ByteOrder, Bytes, Kept, Lent};

use apple::AppleTcpInfo;
use freebsd::FreeBsdTcpInfo;
use linux::LinuxTcpInfo;
use netbsd::NetBsdTcpInfo;
use openbsd::OpenBsdTcpInfo;
use windows::WindowsTcpInfo;

use crate::{Reading, System, fields::Field, fields::Value};

/// Every field of every system's structure: what it is, and which portable facts it feeds.
///
/// In the repository, `cargo xtask schema` prints it as a table or as JSON.
///
/// ```
/// use tcpinfo::System;
///
/// // Who measures the round-trip time?
/// let rtt = tcpinfo::schema().filter(|field| field.facts().any(|fact| fact == "rtt"));
/// assert_eq!(rtt.map(|field| field.system).collect::<Vec<_>>(), System::ALL);
/// ```
pub fn schema() -> impl Iterator<Item = &'static Field> {
    linux::schema()
        .chain(mptcp::schema())
        .chain(apple::schema())
        .chain(apple_socket::schema())
        .chain(windows::schema())
        .chain(freebsd::schema())
        .chain(netbsd::schema())
        .chain(openbsd::schema())
}

/// The structure as the running operating system returned it.
///
/// ```
/// use tcpinfo::{System, native::{Native, linux::LinuxTcpInfo}};
///
/// let native = Native::Linux(LinuxTcpInfo::from_bytes(&[1; 104]));
/// assert_eq!(native.system(), System::Linux);
/// assert_eq!(native.fields().next().unwrap().0.name, "state");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Native {
    /// Linux and Android: `struct tcp_info`.
    Linux(LinuxTcpInfo),
    /// macOS, iOS and their relatives: `struct tcp_connection_info`.
    Apple(AppleTcpInfo),
    /// Windows: `TCP_INFO_v0` to `v2`.
    Windows(WindowsTcpInfo),
    /// FreeBSD: `struct tcp_info`.
    FreeBsd(FreeBsdTcpInfo),
    /// NetBSD: `struct tcp_info`.
    NetBsd(NetBsdTcpInfo),
    /// OpenBSD: `struct tcp_info`.
    OpenBsd(OpenBsdTcpInfo),
}

/// The same expression for the structure of whichever system.
macro_rules! each {
    ($native:expr, $info:ident => $value:expr) => {
        match $native {
            Native::Linux($info) => $value,
            Native::Apple($info) => $value,
            Native::Windows($info) => $value,
            Native::FreeBsd($info) => $value,
            Native::NetBsd($info) => $value,
            Native::OpenBsd($info) => $value,
        }
    };
}

#[cfg(feature = "serde")]
pub(crate) use each;

impl Native {
    /// Takes over a structure that a machine of the given system and byte order returned.
    pub fn from_bytes_in(system: System, bytes: &[u8], order: ByteOrder) -> Self {
        match system {
            System::Linux => Self::Linux(LinuxTcpInfo::from_bytes_in(bytes, order)),
            System::Apple => Self::Apple(AppleTcpInfo::from_bytes_in(bytes, order)),
            System::Windows => Self::Windows(WindowsTcpInfo::from_bytes_in(bytes, order)),
            System::FreeBsd => Self::FreeBsd(FreeBsdTcpInfo::from_bytes_in(bytes, order)),
            System::NetBsd => Self::NetBsd(NetBsdTcpInfo::from_bytes_in(bytes, order)),
            System::OpenBsd => Self::OpenBsd(OpenBsdTcpInfo::from_bytes_in(bytes, order)),
        }
    }

    /// The system whose structure it is.
    #[inline]
    pub const fn system(&self) -> System {
        match self {
            Self::Linux(_) => System::Linux,
            Self::Apple(_) => System::Apple,
            Self::Windows(_) => System::Windows,
            Self::FreeBsd(_) => System::FreeBsd,
            Self::NetBsd(_) => System::NetBsd,
            Self::OpenBsd(_) => System::OpenBsd,
        }
    }

    /// Every field of the structure with its reading.
    pub fn fields(&self) -> impl Iterator<Item = (&'static Field, Reading<Value>)> + '_ {
        (0..).map_while(move |index| each!(self, info => info.nth(index)))
    }

    /// The bytes as the kernel returned them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        each!(self, info => info.as_bytes())
    }

    /// The byte order of the machine that filled the structure.
    pub fn byte_order(&self) -> ByteOrder {
        each!(self, info => info.byte_order())
    }

    /// Bytes past the last field that this version of the crate knows.
    pub fn unknown_tail(&self) -> &[u8] {
        each!(self, info => info.unknown_tail())
    }
}
