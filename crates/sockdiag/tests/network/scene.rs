//! Networks of one's own, and connections in them.

use std::{
    ffi::CStr,
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread,
};

/// Takes the process out of the host's network and mounts for good, and gives it the right to make
/// others. Call it before any thread is started.
///
/// In a user namespace of its own it needs no privilege; root needs none of those.
pub(crate) fn leave_host() -> Result<(), String> {
    let apart = libc::CLONE_NEWNET | libc::CLONE_NEWNS;
    // SAFETY: a plain system call that takes no pointers.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    unshare(apart)
        .or_else(|_| {
            unshare(libc::CLONE_NEWUSER | apart)?;
            // Files can be made by users with a number only.
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
            std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
        })
        .map_err(|error| format!("a network namespace cannot be made: {error}"))?;
    // What is mounted from here on is nobody else's.
    mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    mount(Some(c"tmpfs"), c"/run", Some(c"tmpfs"), 0, None)?;
    bring_loopback_up().map_err(|error| format!("loopback cannot be brought up: {error}"))
}

pub(crate) fn unshare(what: i32) -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    checked(unsafe { libc::unshare(what) })
}

pub(crate) fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    options: Option<&CStr>,
) -> Result<(), String> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (from, kind, options) = (pointer(source), pointer(kind), pointer(options));
    // SAFETY: each is null or a C string that lives through the call.
    let status = unsafe { libc::mount(from, target.as_ptr(), kind, flags, options.cast()) };
    checked(status).map_err(|error| format!("{source:?} cannot be mounted at {target:?}: {error}"))
}

fn checked(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this is the superuser of the machine, or of a container.
pub(crate) fn is_root() -> bool {
    // SAFETY: a plain system call that takes no pointers.
    unsafe { libc::geteuid() == 0 }
}

/// Runs something in a thread with another file system at `/proc`.
pub(crate) fn with_proc<T: Send>(
    kind: &'static CStr,
    options: &'static CStr,
    run: impl FnOnce() -> T + Send,
) -> T {
    let inside = || {
        unshare(libc::CLONE_NEWNS).unwrap();
        mount(Some(kind), c"/proc", Some(kind), 0, Some(options)).unwrap();
        run()
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sets the flag `IFF_UP` of `lo` in the thread's network.
fn bring_loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // `struct ifreq`: 16 bytes of name, and 24 of what is asked, which begins with the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = libc::IFF_UP as u8;
    let fd = socket.as_raw_fd();
    // SAFETY: the request reads one `ifreq`, which lives through the call.
    checked(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, request.as_mut_ptr()) })
}

/// Gives `lo` of the thread's network, which is down meanwhile, another name.
pub(crate) fn rename_loopback(old: &str, new: &str) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let fd = socket.as_raw_fd();
    // `struct ifreq`: both names here, or name and flags.
    let request = |tail: &[u8]| {
        let mut request = [0u8; 40];
        request[..old.len()].copy_from_slice(old.as_bytes());
        request[16..16 + tail.len()].copy_from_slice(tail);
        request
    };
    let mut down = request(&[]);
    // SAFETY: the request reads one `ifreq`, which lives through the call.
    checked(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, down.as_mut_ptr()) })?;
    let mut rename = request(new.as_bytes());
    // SAFETY: as above.
    checked(unsafe { libc::ioctl(fd, libc::SIOCSIFNAME as _, rename.as_mut_ptr()) })
}

/// Runs something in a thread whose network is its own and empty, and goes with it.
pub(crate) fn in_network<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        unshare(libc::CLONE_NEWNET).unwrap();
        bring_loopback_up().unwrap();
        run()
    };
    thread::scope(|scope| scope.spawn(inside).join()).unwrap()
}

/// Runs something in a thread that joins a network.
pub(crate) fn inside<T: Send>(network: &File, run: impl FnOnce() -> T + Send) -> T {
    let join = || {
        // SAFETY: a plain system call that takes no pointers.
        checked(unsafe { libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) }).unwrap();
        run()
    };
    let done = thread::scope(|scope| scope.spawn(join).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Who connected and who accepted.
pub(crate) fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}
