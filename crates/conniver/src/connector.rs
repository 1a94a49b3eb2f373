use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    Conn, ConnectError, FailReason, Keepalive, Options, StableSock, dial::Dial,
    socket_options::SocketOptions,
};

#[cfg(feature = "tokio")]
mod tokio_net;
#[cfg(feature = "tokio-rustls")]
mod tokio_tls;

/// Makes connections and wraps them.
///
/// Every address that a name has is tried, one after the other, and an attempt that fails is told to
/// the [observers](crate::Observer::failed) with each address and its reason. How often it failed in
/// a row before a connection came about is the [`reconnects`](crate::Snapshot::reconnects) of that
/// connection; so it makes sense to have a connector for each peer. Its clones count together.
///
/// ```
/// use std::{io::Write, net::TcpListener, time::Duration};
/// use conniver::Options;
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// let connector = Options::new()
///     .category("billing")
///     .connector()
///     .nodelay(true)
///     .timeout(Duration::from_secs(3));
///
/// let mut conn = connector.connect(address)?; // or "billing.internal:443"
/// conn.write_all(b"hello")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connector {
    /// HTTP clients clone their connector for every request.
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    options: Options,
    socket_options: SocketOptions,
    timeout: Option<Duration>,
    /// Failures since the last connection.
    failures: Arc<AtomicU32>,
}

impl Connector {
    pub(crate) fn new(options: Options) -> Self {
        let socket_options = SocketOptions::default();
        let inner = Inner { options, socket_options, timeout: None, failures: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Whether small segments are sent at once (`TCP_NODELAY`). Default: as the system has it.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.inner_mut().socket_options.nodelay = Some(nodelay);
        self
    }

    /// When the kernel asks a silent peer whether it is still there. Default: as the system has it.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.inner_mut().socket_options.keepalive = Some(keepalive);
        self
    }

    /// How long one address may take to answer. Default: as long as the system waits.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.inner_mut().timeout = Some(timeout);
        self
    }

    /// The options that connections are wrapped with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }

    /// Connects to the first address that answers, and wraps the stream.
    ///
    /// # Errors
    ///
    /// If the name has no address, or none of them can be connected to: with every address that was
    /// tried. Also if this system lacks a socket option that was asked for.
    pub fn connect(&self, target: impl Into<Target>) -> Result<Conn<TcpStream>, ConnectError> {
        let target = target.into();
        let mut dial = Dial::begin(self.options(), target.name());
        let addrs = match target {
            Target::Addrs(addrs) => addrs,
            Target::Name(name) => match name.to_socket_addrs() {
                Ok(addrs) => addrs.collect(),
                Err(error) => return Err(self.failed(dial, FailReason::Resolution, error)),
            },
        };
        let mut last = no_address();
        for addr in addrs {
            dial.begin_attempt(addr);
            let connected = match self.inner.timeout {
                Some(timeout) => TcpStream::connect_timeout(&addr, timeout),
                None => TcpStream::connect(addr),
            };
            match connected.and_then(|stream| self.prepared(stream)) {
                Ok(stream) => return Ok(self.succeeded(dial, stream)),
                Err(error) => {
                    dial.attempted(&error);
                    last = (FailReason::of(&error), error);
                }
            }
        }
        Err(self.failed(dial, last.0, last.1))
    }

    /// Wraps what a function of the caller's connects, which may know better where to and how: over
    /// a proxy, from a certain address, to a path. A `target` in words is shown if it fails.
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # fn connect() -> Result<(), conniver::ConnectError> {
    /// use std::os::unix::net::UnixStream;
    /// use conniver::Options;
    ///
    /// let path = "/run/billing.sock";
    /// let conn = Options::new().connector().connect_with(path, || UnixStream::connect(path))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the function. Also if this system lacks a socket option that was asked for.
    pub fn connect_with<S: StableSock>(
        &self,
        target: impl Into<String>,
        connect: impl FnOnce() -> io::Result<S>,
    ) -> Result<Conn<S>, ConnectError> {
        let dial = Dial::begin(self.options(), Some(target.into()));
        self.finish(dial, connect())
    }

    fn finish<S: StableSock>(
        &self,
        dial: Dial,
        connected: io::Result<S>,
    ) -> Result<Conn<S>, ConnectError> {
        match connected.and_then(|stream| self.prepared(stream)) {
            Ok(stream) => Ok(self.succeeded(dial, stream)),
            Err(error) => Err(self.failed(dial, FailReason::of(&error), error)),
        }
    }

    fn prepared<S: StableSock>(&self, stream: S) -> io::Result<S> {
        self.inner.socket_options.apply(&stream)?;
        Ok(stream)
    }

    fn succeeded<S: StableSock>(&self, dial: Dial, stream: S) -> Conn<S> {
        dial.succeeded();
        let reconnects = self.inner.failures.swap(0, Relaxed);
        self.options().wrap_after(stream, reconnects)
    }

    /// Tells of a target that cannot be connected to, because there is no such thing.
    #[cfg(feature = "hyper-util")]
    pub(crate) fn refuse(&self, target: String, error: io::Error) -> ConnectError {
        let dial = Dial::begin(self.options(), Some(target));
        ConnectError::new(dial.failed(FailReason::Error, &error), error)
    }

    fn failed(&self, dial: Dial, reason: FailReason, error: io::Error) -> ConnectError {
        let failures = &self.inner.failures;
        let _ = failures.fetch_update(Relaxed, Relaxed, |count| count.checked_add(1));
        ConnectError::new(dial.failed(reason, &error), error)
    }
}

fn no_address() -> (FailReason, io::Error) {
    let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    (FailReason::Resolution, error)
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A host, by name or address, and a port: `"example.org:443"`, `"[2001:db8::1]:80"`.
    Name(String),
    /// Addresses, to be tried in this order.
    Addrs(Vec<SocketAddr>),
}

impl Target {
    fn name(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Addrs(_) => None,
        }
    }
}

impl From<&str> for Target {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Target {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Self {
        // An IPv6 address needs brackets beside a port.
        match host.contains(':') && !host.starts_with('[') {
            true => Self::Name(format!("[{host}]:{port}")),
            false => Self::Name(format!("{host}:{port}")),
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(addr: SocketAddr) -> Self {
        Self::Addrs(vec![addr])
    }
}

impl From<&[SocketAddr]> for Target {
    fn from(addrs: &[SocketAddr]) -> Self {
        Self::Addrs(addrs.to_vec())
    }
}

impl From<Vec<SocketAddr>> for Target {
    fn from(addrs: Vec<SocketAddr>) -> Self {
        Self::Addrs(addrs)
    }
}
