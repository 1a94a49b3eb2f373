use std::{io, os::fd::OwnedFd, path::Path, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, getsockname,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use crate::{Error, ErrorKind, conversation::Transport};

/// A socket of `NETLINK_SOCK_DIAG` that hears the kernel and nobody else.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// A socket that waits no longer than `timeout` for an answer, and its netlink port.
    pub(crate) fn open(timeout: Duration) -> Result<(Self, u32), Error> {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let socket =
            socket_with(family, SocketType::RAW, flags, Some(SOCK_DIAG)).map_err(refusal)?;
        // Binds it to a port of the kernel's choice, and has the kernel refuse what other programs
        // send there.
        connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(refusal)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(timeout)).map_err(refusal)?;
        let port = getsockname(&socket).and_then(SocketAddrNetlink::try_from).map_err(refusal)?;
        Ok((Self { socket }, port.pid()))
    }
}

impl Transport for Netlink {
    #[inline(always)]
    fn send(&self, request: &[u8]) -> io::Result<()> {
        // A message is sent whole or not at all.
        send(&self.socket, request, SendFlags::empty()).map(drop).map_err(io::Error::from)
    }

    #[inline(always)]
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // With this flag the kernel tells the length of the whole datagram.
        let received = recv(&self.socket, buffer, RecvFlags::TRUNC);
        received.map(|(_, len)| len).map_err(io::Error::from)
    }
}

#[cold]
fn refusal(errno: Errno) -> Error {
    let (kind, detail) = match errno {
        Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::CONNREFUSED => (
            ErrorKind::Unsupported,
            "this kernel has no NETLINK_SOCK_DIAG; it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG",
        ),
        Errno::PERM | Errno::ACCESS => (
            ErrorKind::NotPermitted,
            "a security policy such as seccomp or SELinux forbids netlink sockets here",
        ),
        Errno::MFILE | Errno::NFILE => {
            (ErrorKind::Other, "there is no descriptor left for a netlink socket; raise the limit")
        }
        _ => (ErrorKind::Other, "a netlink socket cannot be opened"),
    };
    Error::os(kind, detail, errno.into())
}

/// The index of a network interface of this thread's namespace.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
    let socket = socket_with(family, SocketType::DGRAM, flags, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

/// The number of a cgroup (version 2): the inode of its directory. The path is either the whole, or
/// begins where the cgroups are mounted.
pub(crate) fn cgroup_id(path: &str) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next()? == "cgroup2").then_some(place)
    })?;
    let path = Path::new(path);
    let inner = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    let metadata = std::fs::metadata(Path::new(root).join(inner)).ok()?;
    metadata.is_dir().then(|| metadata.ino())
}
