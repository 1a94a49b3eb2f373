use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{Entry, EntryBuf, Error, Lookup, conversation::Conversation, sys::Netlink};

/// A netlink socket through which the kernel tells of every TCP socket of the host, or of the
/// container: of the network namespace in which it was opened, whoever owns them. No privilege is
/// needed.
///
/// Open one and use it again: that costs one descriptor and a buffer, of which lookups use 32 KiB and
/// lists 128, and a lookup then two system calls and no heap allocation. It may move to another thread; see [`SharedSockDiag`] for several. A
/// child of `fork` must not use its parent's, or each takes the other's answers.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use sockdiag::{Lookup, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
///
/// let mut diag = SockDiag::open().unwrap();
/// // Both ends are on this host, each a connection of its own.
/// let ours = diag.lookup(&Lookup::new(here, there)).unwrap().map(|entry| entry.cookie());
/// let theirs = diag.lookup(&Lookup::new(there, here)).unwrap().map(|entry| entry.cookie());
/// assert!(ours.is_some() && theirs.is_some() && ours != theirs);
/// ```
#[derive(Debug)]
pub struct SockDiag {
    pub(crate) conversation: Conversation<Netlink>,
}

impl SockDiag {
    /// Longer than the kernel, which answers before the request is sent, ever takes.
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// Opens a socket in the network namespace of the thread.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) on other systems than Linux and on kernels
    /// without it; [`NotPermitted`](crate::ErrorKind::NotPermitted) where a security policy has
    /// something against it; otherwise what the system says, such as that no descriptor is left.
    pub fn open() -> Result<Self, Error> {
        Self::open_with_timeout(Self::TIMEOUT)
    }

    /// The same with another time after which a wait gives up: 5 seconds otherwise, a millisecond at
    /// least, an hour at most. It never comes, unless the kernel has no memory for an answer.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_with_timeout(timeout: Duration) -> Result<Self, Error> {
        // Zero would be for ever.
        let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        let (netlink, port) = Netlink::open(timeout)?;
        Ok(Self { conversation: Conversation::new(netlink, port, timeout) })
    }

    /// The one connection that is asked for, or `None` if there is none.
    ///
    /// The kernel finds it by its hash, so that the number of other sockets does not matter. Where it
    /// answers with a listener on the same port, because there is no such connection, that is `None`,
    /// and so is a connection with another cookie. A connection may be in any
    /// [state](Entry::state), also one that is over ([`TimeWait`](tcpinfo::State::TimeWait)) or still to
    /// come ([`SynRecv`](tcpinfo::State::SynRecv)).
    ///
    /// # Errors
    ///
    /// [`BadQuestion`](crate::ErrorKind::BadQuestion) if no connection can have such addresses, and what
    /// [`ErrorKind`](crate::ErrorKind) names. After an error the socket can be used as before.
    #[inline]
    pub fn lookup(&mut self, lookup: &Lookup) -> Result<Option<Entry<'_>>, Error> {
        let question = lookup.question().map_err(|error| error.about(lookup))?;
        self.conversation.look_up(&question).map_err(|error| error.about(lookup))
    }
}

/// [`SockDiag`]s for any number of threads, each of which takes one that nobody uses, or opens one.
///
/// At most eight are kept while nobody uses them. They stay in the network namespace of the threads
/// that opened them, so do not share them between threads in different ones.
///
/// ```
/// use sockdiag::{Lookup, SharedSockDiag};
///
/// static SOCKETS: SharedSockDiag = SharedSockDiag::new();
///
/// # if !sockdiag::is_supported() { return }
/// let nobody = Lookup::new("127.0.0.1:9".parse().unwrap(), "127.0.0.1:9".parse().unwrap());
/// let state = SOCKETS.lookup_with(&nobody, |entry| entry.state()).unwrap();
/// assert_eq!(state, None);
/// ```
#[derive(Debug, Default)]
pub struct SharedSockDiag {
    idle: Mutex<Vec<SockDiag>>,
}

impl SharedSockDiag {
    const MOST_IDLE: usize = 8;

    /// None yet; the first lookup opens one.
    pub const fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    /// Looks for a connection and keeps what the kernel tells of it.
    ///
    /// # Errors
    ///
    /// As of [`SockDiag::open`] and [`SockDiag::lookup`].
    pub fn lookup(&self, lookup: &Lookup) -> Result<Option<EntryBuf>, Error> {
        self.lookup_with(lookup, |entry| entry.to_buf())
    }

    /// Looks for a connection and reads what the kernel tells of it, without a heap allocation.
    ///
    /// # Errors
    ///
    /// As of [`SockDiag::open`] and [`SockDiag::lookup`].
    pub fn lookup_with<R>(
        &self,
        lookup: &Lookup,
        read: impl FnOnce(Entry<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut diag = match idle {
            Some(diag) => diag,
            None => SockDiag::open().map_err(|error| error.about(lookup))?,
        };
        let answer = diag.lookup(lookup).map(|entry| entry.map(read));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < Self::MOST_IDLE {
            idle.push(diag);
        }
        answer
    }
}
