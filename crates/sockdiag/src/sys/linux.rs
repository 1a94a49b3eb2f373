use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FsWord, Mode, OFlags, PROC_SUPER_MAGIC, open, statfs},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, send, socket_with,
        sockopt::{
            Timeout, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force,
            set_socket_timeout, socket_recv_buffer_size,
        },
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tcpinfo::SocketMemory;

use crate::{Error, ErrorKind, conversation::Transport, events::Source};

/// As much as the kernel hands out of a directory at once is worth it.
pub(crate) const DIRECTORY_BUFFER_LEN: usize = 32 * 1024;

pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
pub(crate) const READ_DIRECTORY: OFlags = READ.union(OFlags::DIRECTORY);

/// A socket of `NETLINK_SOCK_DIAG` that hears the kernel and nobody else.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// A socket that waits no longer than `timeout` for an answer, and its netlink port.
    pub(crate) fn open(timeout: Duration) -> Result<(Self, u32), Error> {
        let socket = socket().map_err(refusal)?;
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
        received(&self.socket, buffer, RecvFlags::empty())
    }

    fn receive_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        received(&self.socket, buffer, RecvFlags::DONTWAIT)
    }
}

/// Receives one datagram and tells how long it is, also if there was less room for it.
#[inline(always)]
fn received(socket: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    // With this flag the kernel tells the length of the whole datagram.
    let received = recv(socket, buffer, RecvFlags::TRUNC | flags);
    received.map(|(_, len)| len).map_err(io::Error::from)
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    socket_with(family, SocketType::RAW, flags, Some(SOCK_DIAG))
}

/// A socket of `NETLINK_SOCK_DIAG` that hears of TCP sockets that end.
#[derive(Debug)]
pub(crate) struct NetlinkEvents {
    socket: OwnedFd,
    buffer_bytes: usize,
}

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`, one bit each.
const ENDS_OF_TCP: u32 = 1 << 0 | 1 << 2;

impl NetlinkEvents {
    /// A socket with room for this much, or what this user may have.
    pub(crate) fn open(bytes: usize) -> Result<Self, Error> {
        let socket = socket().map_err(refusal)?;
        // The kernel takes twice of what it is asked for.
        let asked = (bytes / 2).min(i32::MAX as usize / 2);
        set_socket_recv_buffer_size_force(&socket, asked)
            .or_else(|_| set_socket_recv_buffer_size(&socket, asked))
            .map_err(refusal)?;
        let buffer_bytes = socket_recv_buffer_size(&socket).map_err(refusal)?;
        // From here on events come.
        bind(&socket, &SocketAddrNetlink::new(0, ENDS_OF_TCP)).map_err(refusal)?;
        // Nobody else's messages come.
        connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(refusal)?;
        Ok(Self { socket, buffer_bytes })
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }
}

impl Source for NetlinkEvents {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        received(&self.socket, buffer, RecvFlags::DONTWAIT)
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut readable = [PollFd::new(&self.socket, PollFlags::IN)];
        Ok(poll(&mut readable, timeout.as_ref())? > 0)
    }

    fn dropped(&self) -> Option<u32> {
        SocketMemory::read(&self.socket).ok()?.dropped_packets
    }
}

impl AsFd for NetlinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Moves this thread into the network namespace at the first of these paths at which there is something.
pub(crate) fn enter(paths: &[PathBuf]) -> Result<(), Error> {
    let mut missing = None;
    for path in paths {
        match open_namespace(path) {
            Ok(file) => {
                let network = Some(LinkNameSpaceType::Network);
                return move_into_link_name_space(file.as_fd(), network).map_err(not_entered);
            }
            Err(Errno::NOENT) => missing = Some(Errno::NOENT),
            Err(errno) => return Err(not_opened(errno)),
        }
    }
    let os = missing.unwrap_or(Errno::NOENT).into();
    let is_of_process = paths.iter().any(|path| path.starts_with("/proc"));
    let detail = match statfs("/proc").is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC) {
        false if is_of_process => {
            "those of processes are in /proc, which is not mounted (mount -t proc proc /proc)"
        }
        // Each PID namespace has a first process.
        _ if is_of_process && Path::new("/proc/1").symlink_metadata().is_err() => {
            "there is no such process, or /proc hides it (hidepid, ProtectProc) from who is neither root \
             nor has CAP_SYS_PTRACE"
        }
        _ => {
            "there is none such; `ip netns` lists those with names, and /proc/PID/ns/net is that of a \
             process"
        }
    };
    Err(Error::os(ErrorKind::NoNamespace, detail, os))
}

/// A file that may be a namespace; of others not even the opening is tried, which may wait (a pipe) or do
/// something (a device).
fn open_namespace(path: &Path) -> Result<OwnedFd, Errno> {
    let kind = statfs(path)?.f_type;
    // Before Linux 3.19 they were files of /proc itself.
    if kind != NSFS_MAGIC && kind != PROC_SUPER_MAGIC {
        return Err(Errno::INVAL);
    }
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

/// Of `linux/magic.h`.
const NSFS_MAGIC: FsWord = 0x6e73_6673;

#[cold]
fn not_opened(errno: Errno) -> Error {
    let (kind, detail) = match errno {
        Errno::ACCESS | Errno::PERM => (
            ErrorKind::NotPermitted,
            "its file may not be opened; that of another user's process takes CAP_SYS_PTRACE",
        ),
        Errno::INVAL => (ErrorKind::NoNamespace, NONE),
        _ => (ErrorKind::NoNamespace, "its file cannot be opened"),
    };
    Error::os(kind, detail, errno.into())
}

const NONE: &str = "that file is no network namespace";

#[cold]
fn not_entered(errno: Errno) -> Error {
    let (kind, detail) = match errno {
        Errno::PERM => (
            ErrorKind::NotPermitted,
            "entering it takes CAP_SYS_ADMIN, there and here; run it as root",
        ),
        Errno::INVAL => (ErrorKind::NoNamespace, NONE),
        Errno::NOSYS => (ErrorKind::Unsupported, "this kernel has no network namespaces"),
        _ => (ErrorKind::Other, "it cannot be entered"),
    };
    Error::os(kind, detail, errno.into())
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

/// The number of a cgroup (version 2): the inode of its directory. The path is either the whole, or
/// begins where the cgroups are mounted.
pub(crate) fn cgroup_id(path: &str) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let root = cgroups().ok()?;
    let path = Path::new(path);
    let inner = path.strip_prefix(&root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    let metadata = std::fs::metadata(Path::new(&root).join(inner)).ok()?;
    metadata.is_dir().then(|| metadata.ino())
}

/// Why no cgroup is found by its path, if that is so of all.
pub(crate) fn without_cgroups() -> Option<&'static str> {
    cgroups().err()
}

/// Where the cgroups (version 2) are mounted, or why that is not known.
pub(crate) fn cgroups() -> Result<String, &'static str> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(
        |_| "/proc, which tells where cgroups are mounted, is not mounted or not readable",
    )?;
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| place.to_owned())
    });
    root.ok_or("the cgroups of version 2 are not mounted (mount -t cgroup2 none /sys/fs/cgroup)")
}

/// As `uname -r` has it; empty where `/proc` is missing.
pub(crate) fn kernel_release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim_end().to_owned()
}
