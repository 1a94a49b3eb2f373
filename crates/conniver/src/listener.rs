use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tcpinfo::{AsSock, Queues};

use crate::{
    Conn, FailReason, Keepalive, Options, StableSock, dial::Dial, socket_options::SocketOptions,
};

#[cfg(feature = "tokio")]
mod tokio_net;
#[cfg(feature = "tokio-rustls")]
mod tokio_tls;

/// A listener whose connections are wrapped as they are accepted.
///
/// Made by [`Options::listener`] of a listener of the standard library or of tokio. A connection
/// that could not be accepted is told to the [observers](crate::Observer::failed).
///
/// ```
/// use std::{io::Read, net::{TcpListener, TcpStream}};
/// use conniver::{Options, Tracker};
///
/// # fn main() -> std::io::Result<()> {
/// let tracker = Tracker::new();
/// let listener = Options::new()
///     .category("api")
///     .tracker(&tracker)
///     .listener(TcpListener::bind("127.0.0.1:0")?)
///     .nodelay(true);
///
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let (conn, peer) = listener.accept()?;
/// assert_eq!(tracker.connections()[0].remote_addr(), Some(peer));
/// # Ok(())
/// # }
/// ```
pub struct Listener<L> {
    listener: L,
    options: Options,
    socket_options: SocketOptions,
    backs_off: bool,
    /// How often in a row accepting failed in a way that made it pause.
    failures: AtomicU32,
}

impl<L> Listener<L> {
    pub(crate) fn new(listener: L, options: Options) -> Self {
        Self {
            listener,
            options,
            socket_options: SocketOptions::default(),
            backs_off: false,
            failures: AtomicU32::new(0),
        }
    }

    /// Whether small segments are sent at once (`TCP_NODELAY`). Default: as the system has it.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.socket_options.nodelay = Some(nodelay);
        self
    }

    /// When the kernel asks a silent peer whether it is still there. Default: as the system has it.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.socket_options.keepalive = Some(keepalive);
        self
    }

    /// Whether accepting goes on when the process or the system has no descriptor or memory left,
    /// or a connection was over before it was accepted. Then observers are told of each failure,
    /// nothing is returned, and with nothing left there is a pause before the next attempt: 5 ms, and
    /// twice as long each time up to a second. Default: no, the error is returned, and who asks again
    /// at once gets it again at once.
    ///
    /// With tokio the pause needs a runtime with a timer, as every one has that was made with
    /// `enable_all` or `#[tokio::main]`.
    #[must_use]
    pub fn back_off(mut self, backs_off: bool) -> Self {
        self.backs_off = backs_off;
        self
    }

    /// The options that connections are wrapped with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The listener itself. What is accepted through it is not wrapped.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }

    /// Gives the listener back.
    pub fn into_inner(self) -> L {
        self.listener
    }

    /// How many connections wait to be accepted, and how many may, where the system says so: see
    /// [`Queues`].
    ///
    /// # Errors
    ///
    /// Those of [`Queues::read`].
    pub fn queues(&self) -> Result<Queues, tcpinfo::Error>
    where
        L: AsSock,
    {
        Queues::read(&self.listener)
    }

    /// Wraps what was accepted. A socket option that this system lacks is an error.
    fn accepted<S: StableSock>(
        &self,
        (stream, peer): (S, SocketAddr),
    ) -> io::Result<(Conn<S>, SocketAddr)> {
        self.failures.store(0, Relaxed);
        self.socket_options.apply(&stream).map_err(|error| self.tell(error))?;
        Ok((self.options.wrap(stream), peer))
    }

    /// Tells of an error, unless it only says that none waits.
    fn tell(&self, error: io::Error) -> io::Error {
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            Dial::begin(&self.options, None).failed(FailReason::of(&error), &error);
        }
        error
    }

    /// How long to pause after an error, if at all, or the error if it shall be returned.
    fn pause_after(&self, error: io::Error) -> io::Result<Duration> {
        let error = self.tell(error);
        match FailReason::of(&error) {
            _ if !self.backs_off => Err(error),
            FailReason::Exhausted => Ok(self.next_pause()),
            // A peer's connection was over; the listener is as good as before.
            FailReason::Reset => Ok(Duration::ZERO),
            _ => Err(error),
        }
    }

    fn next_pause(&self) -> Duration {
        const FIRST: Duration = Duration::from_millis(5);
        const LONGEST: Duration = Duration::from_secs(1);

        let times = self.failures.fetch_add(1, Relaxed).min(10);
        (FIRST * (1 << times)).min(LONGEST)
    }
}

impl Listener<TcpListener> {
    /// Accepts a connection and wraps it.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::accept`], except what [`back_off`](Self::back_off) holds back. Also
    /// if this system lacks a socket option that was asked for.
    pub fn accept(&self) -> io::Result<(Conn<TcpStream>, SocketAddr)> {
        loop {
            match self.listener.accept() {
                Ok(accepted) => return self.accepted(accepted),
                Err(error) => std::thread::sleep(self.pause_after(error)?),
            }
        }
    }

    /// Accepts one connection after the other, without end; an error does not end it.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<Conn<TcpStream>>> + '_ {
        std::iter::repeat_with(|| self.accept().map(|(conn, _)| conn))
    }

    /// As [`TcpListener::local_addr`].
    ///
    /// # Errors
    ///
    /// Those of the bare listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl<L> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("options", &self.options)
            .field("backs_off", &self.backs_off)
            .finish_non_exhaustive()
    }
}
