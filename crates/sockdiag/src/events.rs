//! Ends of connections, which the kernel tells to who listens.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use crate::{
    Entry, Error, ErrorKind, SockDiag,
    attribute::Index,
    message::{HEADER_LEN, kind, messages},
    sys::NetlinkEvents,
};

/// The end of every TCP connection of the network namespace, as it comes, with the last facts of each;
/// whoever owned it, and without any privilege.
///
/// The kernel tells of a socket when nothing is left of it but perhaps `TIME_WAIT`: then the counters are
/// final. A socket that was closed and lingers (`FIN_WAIT2`, `LAST_ACK`) ends later. Listeners and sockets
/// that never connected are told of, too.
///
/// Know a connection by its [cookie](Entry::cookie), which [`tcpinfo::cookie`] reads while it is open:
/// addresses are used again, and are not told of a connection that was aborted.
///
/// What comes faster than it is taken waits in a buffer of the kernel. When that is full events are
/// lost, and [`Event::Lost`] says so.
///
/// ```
/// use std::{net::{TcpListener, TcpStream}, time::Duration};
/// use sockdiag::{Event, Events};
///
/// # if !sockdiag::is_supported() { return }
/// let mut events = Events::open().unwrap();
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let cookie = tcpinfo::cookie(&stream).unwrap();
/// drop((stream, listener));
///
/// while let Some(event) = events.next(Some(Duration::from_secs(5))).unwrap() {
///     match event {
///         Event::Ended(entry) if entry.cookie() == cookie => {
///             println!("{:?}", entry.tcp_info().and_then(|info| info.rtt()));
///             return;
///         }
///         Event::Lost { events, .. } => println!("{events:?} were lost"),
///         _ => {} // somebody else's
///     }
/// }
/// # panic!("the end was not told");
/// ```
#[derive(Debug)]
pub struct Events {
    stream: Stream<NetlinkEvents>,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A socket is no more: its last facts, of which there are addresses, cookie,
    /// [protocol](Entry::protocol) and [`tcp_info`](Entry::tcp_info). It has no owner, queue or timer any
    /// more.
    ///
    /// A connection that was aborted (`SO_LINGER` with zero seconds, or connected to nowhere) is cleared
    /// before it is told of: the remote port and every counter are zero, on some kernels the addresses,
    /// too, and only cookie and local port say whose end it is.
    Ended(Entry<'a>),
    /// The kernel's buffer was full, and it threw away what came until there was room for all again.
    #[non_exhaustive]
    Lost {
        /// How many events were lost since that was last said; absent where the kernel does not count
        /// (before Linux 4.12).
        events: Option<u32>,
    },
}

impl Events {
    /// Buffer of [`open`](Self::open): some ten thousand events.
    pub const BUFFER_BYTES: usize = 16 << 20;

    /// Listens in the network namespace of the thread, from now on, with a buffer of 16 MiB or what this
    /// user may have. It takes memory only while events wait in it.
    ///
    /// # Errors
    ///
    /// As of [`SockDiag::open`]; and if the kernel cannot tell of TCP sockets.
    pub fn open() -> Result<Self, Error> {
        Self::open_with_buffer(Self::BUFFER_BYTES)
    }

    /// The same with a buffer of another size: what this user may have of it, see
    /// [`buffer_bytes`](Self::buffer_bytes). Beyond the limit `net.core.rmem_max` it takes
    /// `CAP_NET_ADMIN`.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_with_buffer(bytes: usize) -> Result<Self, Error> {
        // Loads the kernel's modules, without which nobody is told anything, or says that there are
        // none.
        SockDiag::open()?.conversation.see_whether_served()?;
        Ok(Self { stream: Stream::new(NetlinkEvents::open(bytes)?) })
    }

    /// The size of the kernel's buffer. An event takes about a kilobyte of it, as the kernel counts.
    pub fn buffer_bytes(&self) -> usize {
        self.stream.source.buffer_bytes()
    }

    /// The next event; `None` if none came in time. Without a time it waits until one comes; with none
    /// at all (`Duration::ZERO`) it takes what is there, for programs that wait by the descriptor.
    ///
    /// # Errors
    ///
    /// The kernel's message cannot be received, or not be read. What comes after it can.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Event<'_>>, Error> {
        self.stream.next(timeout)
    }
}

/// Readable when there is an event, or a loss, to take.
#[cfg(any(target_os = "linux", target_os = "android"))]
impl std::os::fd::AsFd for Events {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.source.as_fd()
    }
}

/// From where events come.
pub(crate) trait Source {
    /// Fills the buffer with one datagram, as far as it has room, and tells how long the datagram is;
    /// never waits.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Whether something came before the time was over.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool>;

    /// How many datagrams were thrown away since the beginning.
    fn dropped(&self) -> Option<u32>;
}

// Of Linux, but for some architectures, which `is_overflow` knows.
const ENOBUFS: i32 = 105;
const ENOBUFS_MIPS: i32 = 132;
const ENOBUFS_SPARC: i32 = 55;

/// Room for one event of any kernel.
const BUFFER_LEN: usize = 16 * 1024;

struct Stream<S> {
    source: S,
    buffer: Box<[u8]>,
    /// How many lost events were told of.
    told: u32,
    /// Whether more may be lost than was told: the kernel says it once, and goes on throwing away.
    is_losing: bool,
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("lost", &self.told).finish_non_exhaustive()
    }
}

/// What [`Stream::step`] came upon.
enum Step {
    Event(std::ops::Range<usize>, Index),
    Lost(Option<u32>),
    Nothing,
}

impl<S: Source> Stream<S> {
    fn new(source: S) -> Self {
        let buffer = vec![0; BUFFER_LEN].into_boxed_slice();
        Self { source, buffer, told: 0, is_losing: false }
    }

    fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Event<'_>>, Error> {
        // On the ordinary path, with an event at hand, no clock is read.
        let mut deadline = None;
        loop {
            match self.step()? {
                Step::Event(range, index) => {
                    let bytes = self.buffer.get(range).unwrap_or_default();
                    return Ok(Entry::indexed(bytes, index).map(Event::Ended));
                }
                Step::Lost(events) => return Ok(Some(Event::Lost { events })),
                Step::Nothing => {}
            }
            if timeout == Some(Duration::ZERO) {
                return Ok(None);
            }
            let now = Instant::now();
            let deadline = *deadline.get_or_insert_with(|| now.checked_add(timeout?));
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            match self.source.wait(left) {
                Ok(_) => {}
                Err(os) if os.kind() == io::ErrorKind::Interrupted => {}
                Err(os) => return Err(broken(os)),
            }
        }
    }

    /// Takes what is there, up to an event.
    fn step(&mut self) -> Result<Step, Error> {
        loop {
            let len = match self.source.receive(&mut self.buffer) {
                Ok(len) => len,
                Err(os) if os.kind() == io::ErrorKind::Interrupted => continue,
                Err(os) if is_overflow(&os) => {
                    self.is_losing = true;
                    return Ok(Step::Lost(self.count_lost()));
                }
                Err(os) if os.kind() == io::ErrorKind::WouldBlock => {
                    // The buffer is empty, and the kernel fills it again.
                    if std::mem::take(&mut self.is_losing) {
                        if let Some(more @ 1..) = self.count_lost() {
                            return Ok(Step::Lost(Some(more)));
                        }
                    }
                    return Ok(Step::Nothing);
                }
                Err(os) => return Err(broken(os)),
            };
            let Some(datagram) = self.buffer.get(..len) else {
                let detail = "an event is longer than 16 KiB";
                return Err(Error::new(ErrorKind::Truncated, detail));
            };
            // Each event is a datagram of its own.
            let Some(message) = messages(datagram).next().transpose()? else { continue };
            if message.kind == kind::SOCK_DIAG_BY_FAMILY && message.sequence == 0 {
                let index = Entry::from_bytes(message.payload)?.index();
                let range = HEADER_LEN..HEADER_LEN + message.payload.len();
                return Ok(Step::Event(range, index));
            }
        }
    }

    fn count_lost(&mut self) -> Option<u32> {
        let dropped = self.source.dropped()?;
        let more = dropped.wrapping_sub(self.told);
        self.told = dropped;
        Some(more)
    }
}

/// Whether the kernel says that its buffer was full.
fn is_overflow(os: &io::Error) -> bool {
    let number = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        ENOBUFS_MIPS
    } else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        ENOBUFS_SPARC
    } else {
        ENOBUFS
    };
    os.raw_os_error() == Some(number)
}

#[cold]
fn broken(os: io::Error) -> Error {
    Error::os(ErrorKind::Other, "events of sockets that end cannot be received", os)
}

#[cfg(test)]
mod tests;
