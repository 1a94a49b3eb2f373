//! What is set on every connection that is made or accepted.

use std::{io, time::Duration};

use tcpinfo::AsSock;

/// When the kernel asks a silent peer whether it is still there.
///
/// What is not set stays as the system has it. OpenBSD has none of the three for a single socket.
///
/// ```
/// use std::time::Duration;
/// use conniver::Keepalive;
///
/// let keepalive = Keepalive::new()
///     .idle(Duration::from_secs(30))
///     .interval(Duration::from_secs(5))
///     .probes(4);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keepalive {
    idle: Option<Duration>,
    interval: Option<Duration>,
    probes: Option<u32>,
}

impl Keepalive {
    /// Asks at all, with the system's times.
    pub const fn new() -> Self {
        Self { idle: None, interval: None, probes: None }
    }

    /// How long a peer may be silent before it is asked (`TCP_KEEPIDLE`, on macOS `TCP_KEEPALIVE`);
    /// in whole seconds, rounded up.
    #[must_use]
    pub const fn idle(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// How long to wait between two questions (`TCP_KEEPINTVL`); in whole seconds, rounded up.
    #[must_use]
    pub const fn interval(mut self, time: Duration) -> Self {
        self.interval = Some(time);
        self
    }

    /// How many questions without an answer end the connection (`TCP_KEEPCNT`).
    #[must_use]
    pub const fn probes(mut self, count: u32) -> Self {
        self.probes = Some(count);
        self
    }
}

/// What a listener or connector sets on its connections.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: Option<bool>,
    pub(crate) keepalive: Option<Keepalive>,
}

impl SocketOptions {
    /// Sets them. Of a connection that is over already nothing can be set, which is no error here:
    /// its first read or write will say so.
    pub(crate) fn apply(&self, sock: &impl AsSock) -> io::Result<()> {
        match self.set(sock) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(error),
            _ => Ok(()),
        }
    }

    #[cfg(unix)]
    fn set(&self, sock: &impl AsSock) -> io::Result<()> {
        use rustix::net::sockopt;

        let sock = sock.as_sock();
        if let Some(nodelay) = self.nodelay {
            sockopt::set_tcp_nodelay(sock, nodelay)?;
        }
        let Some(keepalive) = self.keepalive else { return Ok(()) };
        sockopt::set_socket_keepalive(sock, true)?;
        #[cfg(not(target_os = "openbsd"))]
        {
            if let Some(time) = keepalive.idle {
                sockopt::set_tcp_keepidle(sock, whole_seconds(time))?;
            }
            if let Some(time) = keepalive.interval {
                sockopt::set_tcp_keepintvl(sock, whole_seconds(time))?;
            }
            if let Some(count) = keepalive.probes {
                sockopt::set_tcp_keepcnt(sock, count)?;
            }
        }
        #[cfg(target_os = "openbsd")]
        if keepalive != Keepalive::new() {
            return Err(unsupported());
        }
        Ok(())
    }

    #[cfg(windows)]
    fn set(&self, sock: &impl AsSock) -> io::Result<()> {
        let sock = sock.as_sock();
        let sock = socket2::SockRef::from(&sock);
        if let Some(nodelay) = self.nodelay {
            sock.set_tcp_nodelay(nodelay)?;
        }
        let Some(Keepalive { idle, interval, probes }) = self.keepalive else { return Ok(()) };
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(time) = idle {
            keepalive = keepalive.with_time(whole_seconds(time));
        }
        if let Some(time) = interval {
            keepalive = keepalive.with_interval(whole_seconds(time));
        }
        if let Some(count) = probes {
            keepalive = keepalive.with_retries(count);
        }
        sock.set_tcp_keepalive(&keepalive)
    }

    #[cfg(not(any(unix, windows)))]
    fn set(&self, _: &impl AsSock) -> io::Result<()> {
        match (self.nodelay, self.keepalive) {
            (None, None) => Ok(()),
            _ => Err(unsupported()),
        }
    }
}

#[cfg(any(target_os = "openbsd", not(any(unix, windows))))]
fn unsupported() -> io::Error {
    let text = "this system has no such option for a single socket";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// The kernel takes whole seconds, at least one.
#[cfg(any(all(unix, not(target_os = "openbsd")), windows))]
fn whole_seconds(time: Duration) -> Duration {
    let part = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs((time.as_secs() + part).max(1))
}
