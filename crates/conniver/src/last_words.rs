//! What the kernel says of a connection after it was closed.

use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    time::{Duration, Instant},
};

use sockdiag::{Event, Events};
use tcpinfo::{
    AsSock, Packed, Queues, State, TcpInfo, native::Native, native::linux::LinuxTcpInfo,
};

use crate::{ConnId, Handle};

/// Hears the last words of connections: what the kernel knows of each when nothing is left of it, which
/// may be long after the program closed it. *Did my last write arrive?*
///
/// A close returns while the last bytes are still on their way. Whether they were acknowledged, sent
/// again or thrown away is known only when the kernel is done with the socket: when the peer has
/// acknowledged our FIN (and, if it closed first, was acknowledged itself), when it answered with a reset,
/// or when it was given up. Linux tells of that moment to who listens, without any privilege, and this
/// listens: a [connection](Self::expect) that is to be heard of is named before it is closed, and
/// [`wait`](Self::wait) gives its [`LastWord`].
///
/// ```
/// use std::{io::{Read, Write}, net::{TcpListener, TcpStream}, time::Duration};
/// use conniver::{Fate, LastWords, Options};
///
/// # if !sockdiag::is_supported() { return }
/// # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// # let address = listener.local_addr().unwrap();
/// # let peer = std::thread::spawn(move || {
/// #     listener.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap();
/// # });
/// let mut words = LastWords::open().unwrap();
///
/// let mut conn = Options::new().wrap(TcpStream::connect(address).unwrap());
/// conn.write_all(b"the end").unwrap();
/// let expected = words.expect(&conn.handle()).unwrap();
/// drop(conn);
///
/// match words.wait(expected, Duration::from_secs(5)).unwrap() {
///     Some(Fate::Ended(word)) => assert_eq!(word.delivered(), Some(true)),
///     Some(Fate::Lost) => println!("the kernel told more than was taken"),
///     Some(other) => println!("{other:?}"),
///     None => println!("not over yet: the peer has not acknowledged the end"),
/// }
/// # peer.join().unwrap();
/// ```
///
/// # What it costs
///
/// The kernel tells of every TCP socket of the network namespace that ends, whoever owned it, and each is
/// looked at, a µs or two each, by whoever [waits](Self::wait); there is no thread behind this. What
/// nobody takes waits in a buffer of the kernel, of 16 MiB if this user may have that, and is lost when
/// that is full. So on a busy machine take often: wait, [`poll`](Self::poll), or watch the descriptor
/// (`AsFd`), which is readable when there is something to take.
///
/// Only the connections that were named are kept, each until its word was given, or it is
/// [forgotten](Self::forget).
pub struct LastWords {
    events: Events,
    expected: HashMap<u64, Promise>,
    /// Those that can be given, in the order in which they ended.
    ready: VecDeque<u64>,
}

/// Names a connection whose last word is expected: its identity in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expected(u64);

impl Expected {
    /// The kernel's identity of the socket, as [`tcpinfo::cookie`] reads it: never used again while the
    /// machine runs.
    pub const fn cookie(self) -> u64 {
        self.0
    }
}

/// What became of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fate {
    /// It has ended, and this is what the kernel said last.
    Ended(LastWord),
    /// The kernel told more ends than were taken and threw some away, perhaps this one: nothing was heard
    /// of it in time.
    Lost,
}

/// What the kernel said last of a connection.
///
/// Its times are those of the moment at which the kernel told it.
#[derive(Clone)]
pub struct LastWord {
    id: Option<ConnId>,
    expected: Expected,
    has_connected: Option<bool>,
    info: Option<Packed>,
}

/// A connection of which nothing was heard yet, or what was.
#[derive(Debug)]
struct Promise {
    id: Option<ConnId>,
    /// Whether our SYN counts among what is acknowledged.
    has_connected: Option<bool>,
    /// Ends were lost since.
    is_doubtful: bool,
    word: Option<LastWord>,
}

impl LastWords {
    /// Listens from now on, in the network namespace of the thread.
    ///
    /// # Errors
    ///
    /// Only Linux tells ([`Unsupported`](io::ErrorKind::Unsupported)), and a security policy may forbid it
    /// ([`PermissionDenied`](io::ErrorKind::PermissionDenied)).
    pub fn open() -> io::Result<Self> {
        Ok(Self::listening(Events::open()?))
    }

    /// The same with a buffer of another size, as far as this user may have it, see
    /// [`Events::open_with_buffer`].
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_with_buffer(bytes: usize) -> io::Result<Self> {
        Ok(Self::listening(Events::open_with_buffer(bytes)?))
    }

    fn listening(events: Events) -> Self {
        Self { events, expected: HashMap::new(), ready: VecDeque::new() }
    }

    /// Names a wrapped connection, from any thread, before it is closed. A few system calls.
    ///
    /// # Errors
    ///
    /// The connection is over, or its stream cannot be asked from outside
    /// ([`NotConnected`](io::ErrorKind::NotConnected)): opaque ones, and those that were
    /// [lent](crate::Options::wrap_lending), which [`expect_sock`](Self::expect_sock) takes.
    pub fn expect(&mut self, handle: &Handle) -> io::Result<Expected> {
        let asked = handle.block().slot.ask(|sock| ask(&sock));
        let (expected, has_connected) = asked.ok_or_else(|| {
            let text = "the connection is over, or its stream cannot be asked from outside";
            io::Error::new(io::ErrorKind::NotConnected, text)
        })??;
        self.promise(expected, Some(handle.id()), has_connected);
        Ok(expected)
    }

    /// Names any connected socket, wrapped or not, before it is closed. A few system calls.
    ///
    /// # Errors
    ///
    /// It is no TCP socket, or its kernel does not tell its identity (before Linux 4.12).
    pub fn expect_sock(&mut self, sock: &(impl AsSock + ?Sized)) -> io::Result<Expected> {
        let (expected, has_connected) = ask(sock)?;
        self.promise(expected, None, has_connected);
        Ok(expected)
    }

    fn promise(&mut self, Expected(cookie): Expected, id: Option<ConnId>, connected: Option<bool>) {
        let promise = Promise { id, has_connected: connected, is_doubtful: false, word: None };
        let promise = match self.expected.remove(&cookie) {
            // Named twice; what was known before holds.
            Some(before) => Promise {
                id: before.id.or(id),
                has_connected: before.has_connected.or(connected),
                ..before
            },
            None => promise,
        };
        self.expected.insert(cookie, promise);
    }

    /// No longer expects a connection, and says whether it did.
    pub fn forget(&mut self, expected: Expected) -> bool {
        self.ready.retain(|cookie| *cookie != expected.0);
        self.expected.remove(&expected.0).is_some()
    }

    /// How many connections are expected, those included whose word was not given yet.
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Whether none is expected.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Waits for the last word of one connection, which is given once. Absent if the connection is not
    /// over in that time: its peer has not acknowledged the end of what was sent, or not closed its side,
    /// as long as ours did not close first. Then it is still expected.
    ///
    /// # Errors
    ///
    /// The connection is [not expected](io::ErrorKind::NotFound), or the kernel's message cannot be
    /// received.
    pub fn wait(&mut self, expected: Expected, timeout: Duration) -> io::Result<Option<Fate>> {
        self.must_expect(expected)?;
        let mut clock = Clock::new(timeout);
        loop {
            if let Some(word) = self.give(expected) {
                return Ok(Some(Fate::Ended(word)));
            }
            if !self.take(&mut clock)? {
                return Ok(self.give_up(expected));
            }
        }
    }

    /// Waits for the last word of whichever connection ends first. Absent if none does in that time; what
    /// was lost is said by [`wait`](Self::wait) only.
    ///
    /// # Errors
    ///
    /// The kernel's message cannot be received.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<LastWord>> {
        let mut clock = Clock::new(timeout);
        loop {
            if let Some(word) = self.give_first() {
                return Ok(Some(word));
            }
            if !self.take(&mut clock)? {
                return Ok(None);
            }
        }
    }

    /// Takes what the kernel has told so far, without waiting, and says how many words can be given.
    ///
    /// # Errors
    ///
    /// The kernel's message cannot be received.
    pub fn poll(&mut self) -> io::Result<usize> {
        let mut clock = Clock::new(Duration::ZERO);
        while self.take(&mut clock)? {}
        Ok(self.ready.len())
    }

    fn must_expect(&self, Expected(cookie): Expected) -> io::Result<()> {
        if self.expected.contains_key(&cookie) {
            return Ok(());
        }
        let text = "the last word of this connection is not expected, or was given before";
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }

    /// The word of this connection, if it was heard.
    fn give(&mut self, expected: Expected) -> Option<LastWord> {
        self.expected.get(&expected.0)?.word.as_ref()?;
        self.ready.retain(|cookie| *cookie != expected.0);
        self.expected.remove(&expected.0)?.word
    }

    fn give_first(&mut self) -> Option<LastWord> {
        let cookie = self.ready.pop_front()?;
        self.expected.remove(&cookie)?.word
    }

    /// What is to be said of a connection that was not heard of in time.
    fn give_up(&mut self, expected: Expected) -> Option<Fate> {
        let is_doubtful = self.expected.get(&expected.0).is_some_and(|promise| promise.is_doubtful);
        if !is_doubtful {
            return None;
        }
        self.forget(expected);
        Some(Fate::Lost)
    }

    /// Takes one thing that the kernel tells; no if there was none in time.
    fn take(&mut self, clock: &mut Clock) -> io::Result<bool> {
        let Some(timeout) = clock.left() else { return Ok(false) };
        match self.events.next(Some(timeout))? {
            None => return Ok(false),
            Some(Event::Ended(entry)) => {
                let cookie = entry.cookie();
                if let Some(promise) = self.expected.get_mut(&cookie) {
                    if promise.word.is_none() {
                        self.ready.push_back(cookie);
                    }
                    promise.word = Some(LastWord {
                        id: promise.id,
                        expected: Expected(cookie),
                        has_connected: promise.has_connected,
                        info: entry.tcp_info().map(|info| Packed::from(&info)),
                    });
                }
            }
            Some(Event::Lost { .. }) => {
                self.expected.values_mut().for_each(|promise| promise.is_doubtful = true);
            }
            Some(_) => {}
        }
        Ok(true)
    }
}

#[cfg(all(feature = "tokio", any(target_os = "linux", target_os = "android")))]
impl LastWords {
    /// The same as [`wait`](Self::wait) for a task of tokio. If the future is dropped, nothing is lost.
    ///
    /// # Errors
    ///
    /// As of [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn wait_async(
        &mut self,
        expected: Expected,
        timeout: Duration,
    ) -> io::Result<Option<Fate>> {
        self.must_expect(expected)?;
        let until = tokio::time::Instant::now().checked_add(timeout);
        loop {
            self.poll()?;
            if let Some(word) = self.give(expected) {
                return Ok(Some(Fate::Ended(word)));
            }
            if !self.is_readable(until).await? {
                return Ok(self.give_up(expected));
            }
        }
    }

    /// The same as [`next`](Self::next) for a task of tokio. If the future is dropped, nothing is lost.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn next_async(&mut self, timeout: Duration) -> io::Result<Option<LastWord>> {
        let until = tokio::time::Instant::now().checked_add(timeout);
        loop {
            self.poll()?;
            if let Some(word) = self.give_first() {
                return Ok(Some(word));
            }
            if !self.is_readable(until).await? {
                return Ok(None);
            }
        }
    }

    /// Waits until there is something to take; no if there is not in time.
    async fn is_readable(&self, until: Option<tokio::time::Instant>) -> io::Result<bool> {
        use std::os::fd::AsFd as _;
        use tokio::io::{Interest, unix::AsyncFd};

        #[allow(
            deprecated,
            reason = "what follows it is newer than the tokio that is asked for; a loan is open"
        )]
        // Of what is there already the runtime is told as soon as it watches.
        let socket = AsyncFd::with_interest(self.events.as_fd(), Interest::READABLE)?;
        match until {
            None => socket.readable().await.map(|_| true),
            Some(until) => match tokio::time::timeout_at(until, socket.readable()).await {
                Ok(readable) => readable.map(|_| true),
                Err(_) => Ok(false),
            },
        }
    }
}

/// Readable when there is something to take.
#[cfg(any(target_os = "linux", target_os = "android"))]
impl std::os::fd::AsFd for LastWords {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastWords")
            .field("expected", &self.expected.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl LastWord {
    /// The connection, if it was named by its [handle](LastWords::expect), as its
    /// [report](crate::Report) has it.
    pub const fn id(&self) -> Option<ConnId> {
        self.id
    }

    /// The name under which it was expected.
    pub const fn expected(&self) -> Expected {
        self.expected
    }

    /// Everything that the kernel said. Its counts are final, except of a connection that was
    /// [aborted](Self::is_aborted), whose counts are cleared.
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.info.as_ref().map(Packed::unpack)
    }

    /// Whether our side threw the connection away (`SO_LINGER` with zero seconds, or disconnected): then
    /// the kernel clears its counts before it tells of it, and nothing is known of what arrived.
    pub fn is_aborted(&self) -> bool {
        let nothing = |info: &LinuxTcpInfo| {
            let (sent, received) = (info.segs_out().value()?, info.segs_in().value()?);
            Some(sent == 0 && received == 0)
        };
        self.native().as_ref().and_then(nothing).unwrap_or(false)
    }

    /// Whether everything that the program wrote was acknowledged by the peer, that is, has arrived at its
    /// machine. Whether the peer's program has read it no kernel knows.
    ///
    /// Absent if that cannot be said: of a connection that was [aborted](Self::is_aborted), and on kernels
    /// that do not count enough (before Linux 4.19).
    pub fn delivered(&self) -> Option<bool> {
        let (sent, acked) = (self.sent_bytes()?, self.acked_by_peer()?);
        if acked > sent {
            // The FIN stands behind everything else.
            return Some(true);
        }
        match (self.native()?.notsent_bytes().value()?, acked == sent) {
            (0, true) => Some(true),
            // A byte, or a FIN that was not sent.
            (1, true) => None,
            _ => Some(false),
        }
    }

    /// Whether the peer acknowledged that nothing more comes: the end of a close in order.
    pub fn fin_acked(&self) -> Option<bool> {
        Some(self.acked_by_peer()? > self.sent_bytes()?)
    }

    /// Payload that was sent, each byte once. Absent of a connection that was
    /// [aborted](Self::is_aborted).
    pub fn sent_bytes(&self) -> Option<u64> {
        let info = self.native().filter(|_| !self.is_aborted())?;
        info.bytes_sent().value()?.checked_sub(info.bytes_retrans().value()?)
    }

    /// Payload that the peer acknowledged.
    pub fn acked_bytes(&self) -> Option<u64> {
        Some(self.acked_by_peer()?.min(self.sent_bytes()?))
    }

    /// Payload that the program wrote and the peer did not acknowledge: in vain as far as is known. A FIN
    /// that was not sent counts for a byte.
    pub fn unacked_bytes(&self) -> Option<u64> {
        let (sent, acked) = (self.sent_bytes()?, self.acked_by_peer()?);
        let unsent = u64::from(self.native()?.notsent_bytes().value()?);
        Some(if acked > sent { 0 } else { sent - acked + unsent })
    }

    /// What the peer acknowledged, a FIN for one byte, without our SYN.
    fn acked_by_peer(&self) -> Option<u64> {
        let info = self.native().filter(|_| !self.is_aborted())?;
        let acked = info.bytes_acked().value()?;
        match self.has_connected {
            Some(connected) => acked.checked_sub(u64::from(connected)),
            // SYN and FIN are acknowledged, or neither.
            None => {
                let sent = self.sent_bytes()?;
                match acked.checked_sub(sent) {
                    Some(2..) => Some(sent + 1),
                    Some(1) => None,
                    _ => Some(acked),
                }
            }
        }
    }

    fn native(&self) -> Option<LinuxTcpInfo> {
        match self.tcp_info()?.native() {
            Native::Linux(info) => Some(*info),
            _ => None,
        }
    }
}

impl fmt::Debug for LastWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastWord")
            .field("id", &self.id)
            .field("expected", &self.expected)
            .field("is_aborted", &self.is_aborted())
            .field("delivered", &self.delivered())
            .field("sent_bytes", &self.sent_bytes())
            .field("acked_bytes", &self.acked_bytes())
            .finish_non_exhaustive()
    }
}

/// One line: whether it arrived, how much, how healthy.
impl fmt::Display for LastWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.delivered() {
            _ if self.is_aborted() => "aborted",
            Some(true) => "delivered",
            Some(false) => "not delivered",
            None => "not known to be delivered",
        })?;
        if let (Some(acked), Some(unacked)) = (self.acked_bytes(), self.unacked_bytes()) {
            write!(f, " acked={acked} unacked={unacked}")?;
        }
        let Some(info) = self.tcp_info().filter(|_| !self.is_aborted()) else { return Ok(()) };
        if let Some(segments) = info.retransmitted_segs() {
            write!(f, " retransmitted={segments}")?;
        }
        if let Some(rtt) = info.rtt() {
            write!(f, " rtt={rtt:?}")?;
        }
        Ok(())
    }
}

/// How long there is still to wait.
struct Clock {
    begun: Instant,
    timeout: Duration,
    /// What came in time is taken, but not for ever.
    late: u32,
}

impl Clock {
    fn new(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout, late: 0 }
    }

    /// None if it is over, whatever comes.
    fn left(&mut self) -> Option<Duration> {
        /// More than a buffer of the usual size holds.
        const MOST: u32 = 1 << 16;

        let left = self.timeout.saturating_sub(self.begun.elapsed());
        self.late += u32::from(left.is_zero());
        (self.late <= MOST).then_some(left)
    }
}

/// The identity of a connection, and whether it connected or accepted, as what is acknowledged so far
/// shows.
fn ask(sock: &(impl AsSock + ?Sized)) -> io::Result<(Expected, Option<bool>)> {
    let cookie = tcpinfo::cookie(sock).map_err(io::Error::from)?;
    let numbers = || match tcpinfo::read_native(sock) {
        Ok(Native::Linux(info)) => Some(info),
        _ => None,
    };
    // While bytes move, numbers of different moments do not fit together.
    for _ in 0..8 {
        let Some(before) = numbers() else { break };
        let queues = Queues::read(sock).unwrap_or_default();
        let Some(after) = numbers() else { break };
        let counts = |info: &LinuxTcpInfo| {
            let sent = info.bytes_sent().value()?.checked_sub(info.bytes_retrans().value()?)?;
            Some((sent, info.bytes_acked().value()?))
        };
        let open = matches!(after.state().value(), Some(State::Established | State::CloseWait));
        let Some((sent, acked)) = counts(&after).filter(|_| open) else { break };
        if counts(&before) != Some((sent, acked)) {
            continue;
        }
        let Some(in_flight) = queues.in_flight_bytes else { continue };
        let connected = match (acked + in_flight).checked_sub(sent) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => continue,
        };
        return Ok((Expected(cookie), connected));
    }
    Ok((Expected(cookie), None))
}
