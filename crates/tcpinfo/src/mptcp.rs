//! Multipath TCP: the connection as a whole, and its subflows.

use std::net::SocketAddr;

use crate::{AsSock, Error, TcpInfo, native::mptcp::MptcpInfo, sys};

/// A Multipath TCP connection (RFC 8684; Linux 5.16): its own numbers, and those of each subflow.
///
/// The other readings of this crate answer for the first subflow only.
///
/// ```
/// use tcpinfo::{ErrorKind, Mptcp};
///
/// let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// match Mptcp::read(&plain) {
///     Ok(mptcp) => println!("{} subflows", mptcp.subflows.len()),
///     Err(error) => assert!(
///         matches!(error.kind(), ErrorKind::NotMptcp | ErrorKind::Unsupported),
///         "{error}",
///     ),
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Mptcp {
    /// The connection as a whole. `MPTCP_INFO`.
    pub info: MptcpInfo,
    /// Its subflows. `MPTCP_TCPINFO` and `MPTCP_SUBFLOW_ADDRS`.
    pub subflows: Vec<Subflow>,
}

/// One path of a Multipath TCP connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Subflow {
    /// The address of our end.
    pub local_addr: Option<SocketAddr>,
    /// The address of the peer; absent while there is none.
    pub remote_addr: Option<SocketAddr>,
    /// What the kernel knows of it, as of any TCP connection; without congestion control's name.
    pub info: TcpInfo,
}

impl Mptcp {
    /// Asks a socket for its Multipath TCP connection: four system calls.
    ///
    /// # Errors
    ///
    /// `NotMptcp` for plain TCP and after a fallback to it, `Unsupported` on other systems and
    /// where the kernel was built without; else see [`ErrorKind`](crate::ErrorKind).
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        let sock = sock.as_sock();
        Ok(Self { info: sys::mptcp_info(sock)?, subflows: sys::mptcp_subflows(sock)? })
    }
}
