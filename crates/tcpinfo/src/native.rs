//! The operating systems' own structures, decoded on every host.
//!
//! A decoder takes the bytes and the length that the kernel returned and holds no system call, so a
//! structure captured on one machine can be read on any other.

pub mod linux;

use linux::LinuxTcpInfo;

use crate::{Reading, fields::Field, fields::Value};

/// The structure as the running operating system returned it.
///
/// ```
/// use tcpinfo::native::{Native, linux::LinuxTcpInfo};
///
/// let native = Native::Linux(LinuxTcpInfo::from_bytes(&[1; 104]));
/// assert_eq!(native.fields().next().unwrap().0.name, "state");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Native {
    /// Linux and Android: `struct tcp_info`.
    Linux(LinuxTcpInfo),
}

impl Native {
    /// Every field of the structure with its reading.
    pub fn fields(&self) -> impl Iterator<Item = (&'static Field, Reading<Value>)> + '_ {
        match self {
            Self::Linux(info) => info.fields(),
        }
    }

    /// The bytes as the kernel returned them.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Linux(info) => info.as_bytes(),
        }
    }

    /// Bytes past the last field that this version of the crate knows.
    pub fn unknown_tail(&self) -> &[u8] {
        match self {
            Self::Linux(info) => info.unknown_tail(),
        }
    }
}
