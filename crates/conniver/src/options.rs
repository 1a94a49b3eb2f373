use std::{
    any::Any,
    fmt,
    net::SocketAddr,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tcpinfo::{AsSock, Packed};

use crate::{Conn, Observer, Role, addresses::addresses, block::Block, clock::Anchor, conn::Probe};

/// How connections are wrapped: made once, used for any number of them.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use conniver::{Options, Report, Role};
///
/// let options = Options::new()
///     .role(Role::Client)
///     .category("billing")
///     .observer(|report: &Report| println!("{report}"));
///
/// # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// # let address = listener.local_addr().unwrap();
/// let conn = options.wrap(TcpStream::connect(address).unwrap());
/// drop(conn); // prints one line
/// ```
#[derive(Clone)]
pub struct Options {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    labels: Arc<Labels>,
    facts: bool,
    observers: Vec<Arc<dyn Observer>>,
    observer_panics: Arc<AtomicU64>,
}

/// What reports carry of the options. It is apart from the observers, so that a report or handle
/// which an observer keeps does not keep the observer alive in turn.
#[derive(Clone, Default)]
pub(crate) struct Labels {
    pub(crate) role: Option<Role>,
    pub(crate) category: Option<Arc<str>>,
    pub(crate) context: Option<Context>,
}

/// A value of the caller's, as reports carry it.
pub(crate) type Context = Arc<dyn Any + Send + Sync>;

impl Options {
    /// No observer, no labels, kernel facts at both ends.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                labels: Arc::default(),
                facts: true,
                observers: Vec::new(),
                observer_panics: Arc::default(),
            }),
        }
    }

    /// Which side of the connections this program is.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.labels_mut().role = Some(role);
        self
    }

    /// A label for these connections as a group, such as the name of the service they go to.
    #[must_use]
    pub fn category(mut self, category: impl Into<Arc<str>>) -> Self {
        self.labels_mut().category = Some(category.into());
        self
    }

    /// A value that is carried into every report and given back by
    /// [`Snapshot::context`](crate::Snapshot::context).
    #[must_use]
    pub fn context(mut self, value: impl Any + Send + Sync) -> Self {
        self.labels_mut().context = Some(Arc::new(value));
        self
    }

    /// Whether the kernel is asked for its facts when a connection opens and closes: two system calls
    /// each time, besides the two for the addresses. Default: yes.
    #[must_use]
    pub fn facts(mut self, facts: bool) -> Self {
        self.inner_mut().facts = facts;
        self
    }

    /// Adds an observer; those added before stay.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.inner_mut().observers.push(Arc::new(observer));
        self
    }

    /// Wraps a stream whose socket can be asked.
    pub fn wrap<S: AsSock>(&self, stream: S) -> Conn<S> {
        let anchor = Anchor::now();
        let addresses = addresses(&stream);
        let opened_info = self.inner.facts.then(|| Packed::read(&stream));
        let block = Block::new(self.labels(), anchor, addresses, opened_info);
        let probe: Option<Probe<S>> = if self.inner.facts { Some(Packed::read) } else { None };
        Conn::new(stream, block, probe, self.clone())
    }

    /// Wraps a stream that has no socket of its own, such as TLS over another stream or a pipe in
    /// memory: bytes, times and errors are recorded, and the report says that kernel facts are not
    /// to be had.
    pub fn wrap_opaque<S>(&self, stream: S) -> Conn<S> {
        self.wrap_opaque_with_addresses(stream, None, None)
    }

    /// Wraps such a stream and states the addresses that its report shall show.
    pub fn wrap_opaque_with_addresses<S>(
        &self,
        stream: S,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) -> Conn<S> {
        let block = Block::opaque(self.labels(), self.inner.facts, Anchor::now(), (local, remote));
        Conn::new(stream, block, None, self.clone())
    }

    /// How often an observer panicked, of these options and of all derived from the same ones. A
    /// panic is contained and reaches nobody else.
    pub fn observer_panics(&self) -> u64 {
        self.inner.observer_panics.load(Relaxed)
    }

    pub(crate) fn observers(&self) -> &[Arc<dyn Observer>] {
        &self.inner.observers
    }

    pub(crate) fn count_observer_panic(&self) {
        self.inner.observer_panics.fetch_add(1, Relaxed);
    }

    fn labels(&self) -> Arc<Labels> {
        Arc::clone(&self.inner.labels)
    }

    fn labels_mut(&mut self) -> &mut Labels {
        Arc::make_mut(&mut self.inner_mut().labels)
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

// Panics of observers are contained, and the caller's context is only handed through.
impl UnwindSafe for Options {}
impl RefUnwindSafe for Options {}
impl UnwindSafe for Labels {}
impl RefUnwindSafe for Labels {}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("role", &self.inner.labels.role)
            .field("category", &self.inner.labels.category)
            .field("facts", &self.inner.facts)
            .field("observers", &self.inner.observers.len())
            .finish_non_exhaustive()
    }
}
