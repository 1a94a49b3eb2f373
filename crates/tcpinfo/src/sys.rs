//! The system calls: the only place with `unsafe`, and the only one that knows the running system.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "sys/linux.rs"]
mod running;

#[cfg(target_vendor = "apple")]
#[path = "sys/apple.rs"]
mod running;

#[cfg(any(target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
#[path = "sys/bsd.rs"]
mod running;

#[cfg(windows)]
#[path = "sys/windows.rs"]
mod running;

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    windows
)))]
#[path = "sys/unsupported.rs"]
mod running;

pub(crate) use running::*;

/// No version of Linux runs here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const fn kernel_major() -> u8 {
    0
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
mod unix;

/// The answers of a system that lacks a question.
#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    allow(dead_code, reason = "Linux lacks one of them")
)]
mod missing {
    use crate::{
        CongestionName, Error, Queues, Sock, SocketMemory, Subflow,
        congestion::CcInfo,
        native::{Native, apple_socket::AppleSocketInfo, mptcp::MptcpInfo},
    };

    macro_rules! missing {
        ($($name:ident: $answer:ty, $query:literal;)*) => {$(
            #[allow(dead_code, reason = "each system lacks other ones")]
            pub(crate) fn $name(_: Sock<'_>) -> Result<$answer, Error> {
                Err(Error::unsupported($query))
            }
        )*};
    }

    missing! {
        tcp_info: Native, "TCP_INFO";
        congestion_name: CongestionName, "TCP_CONGESTION";
        congestion_info: CcInfo, "TCP_CC_INFO";
        queues: Queues, "the queue lengths";
        memory: SocketMemory, "SO_MEMINFO";
        cookie: u64, "SO_COOKIE";
        is_mptcp: bool, "TCP_IS_MPTCP";
        mptcp_info: MptcpInfo, "MPTCP_INFO";
        mptcp_subflows: Vec<Subflow>, "MPTCP_TCPINFO";
        ulp: Option<String>, "TCP_ULP";
        apple_socket: AppleSocketInfo, "PROC_PIDFDSOCKETINFO";
    }
}
