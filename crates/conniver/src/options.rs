use std::{
    any::Any,
    fmt,
    net::SocketAddr,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tcpinfo::{AsSock, Packed};

use crate::{
    Conn, Connector, FailedConn, Listener, Observer, Role, StableSock, Tracker,
    addresses::addresses,
    block::Block,
    clock::Anchor,
    conn::Probe,
    observer::{is_completed, tell},
    reason::Kernel,
    slot::Slot,
};

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
///
/// A clone is equal and apart: threads that open and close very many connections at the same time
/// meet less if each has a clone of its own.
pub struct Options {
    inner: Arc<Inner>,
}

/// What a connection keeps of its options.
pub(crate) type Shared = Arc<Inner>;

/// Apart from the count of its owners, which every connection changes: who reads this does not wait
/// for those who open and close.
#[derive(Clone)]
#[repr(align(128))]
pub(crate) struct Inner {
    labels: Arc<Labels>,
    facts: bool,
    observers: Vec<Arc<dyn Observer>>,
    /// Whether one of them wants to know of every read and write.
    watches_io: bool,
    observer_panics: Arc<AtomicU64>,
    tracking: Option<Tracking>,
}

/// Who tracks the connections, and as what.
#[derive(Clone)]
struct Tracking {
    tracker: Tracker,
    /// Known from the first connection on.
    group: OnceLock<u32>,
}

/// What reports carry of the options. It is apart from the observers, so that a report or handle
/// which an observer keeps does not keep the observer alive in turn.
#[derive(Clone, Default)]
pub(crate) struct Labels {
    pub(crate) role: Option<Role>,
    pub(crate) category: Option<Arc<str>>,
    pub(crate) context: Option<Context>,
}

/// The caller's value may be dropped wherever a connection is looked at: by a scrape, by whoever
/// closes another connection. They have nothing to do with a panic of it, and two at a time would
/// end the process.
impl Drop for Labels {
    fn drop(&mut self) {
        if let Some(context) = self.context.take() {
            is_completed(|| drop(context));
        }
    }
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
                watches_io: false,
                observer_panics: Arc::default(),
                tracking: None,
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
    ///
    /// A panic of the value when it is dropped is contained.
    ///
    /// A [tracker](Self::tracker) keeps the values of the connections that it remembers, so one that
    /// keeps the tracker in turn may keep both for ever.
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
        let inner = self.inner_mut();
        inner.watches_io |= observer.wants_io();
        inner.observers.push(Arc::new(observer));
        self
    }

    /// Makes the connections known to a tracker, from their opening to their end.
    #[must_use]
    pub fn tracker(mut self, tracker: &Tracker) -> Self {
        self.inner_mut().tracking =
            Some(Tracking { tracker: tracker.clone(), group: OnceLock::new() });
        self
    }

    /// Wraps a stream whose socket can be asked, also from outside while the stream is in use.
    pub fn wrap<S: StableSock>(&self, stream: S) -> Conn<S> {
        self.wrap_after(stream, 0)
    }

    /// Wraps a stream that took so many attempts before.
    pub(crate) fn wrap_after<S: StableSock>(&self, stream: S, reconnects: u32) -> Conn<S> {
        let mut block = self.block(&stream);
        block.open_slot(Slot::of(&stream));
        block.reconnects = reconnects.into();
        Conn::new(stream, block, self.probe(), Arc::clone(&self.inner))
    }

    /// Wraps a stream that lends a socket, and may not lend the same one for its whole life. It is
    /// asked at both ends of the connection, and not from outside in between.
    pub fn wrap_lending<S: AsSock>(&self, stream: S) -> Conn<S> {
        let block = self.block(&stream);
        Conn::new(stream, block, self.probe(), Arc::clone(&self.inner))
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
        Conn::new(stream, block, None, Arc::clone(&self.inner))
    }

    /// A listener whose connections are wrapped with these options, as of the server side unless a
    /// side is set.
    pub fn listener<L>(&self, listener: L) -> Listener<L> {
        Listener::new(listener, self.clone().role_unless_set(Role::Server))
    }

    /// Makes connections that are wrapped with these options, as of the client side unless a side is
    /// set.
    pub fn connector(&self) -> Connector {
        Connector::new(self.clone().role_unless_set(Role::Client))
    }

    /// How often an observer panicked, of these options and of all derived from the same ones. A
    /// panic is contained and reaches nobody else.
    pub fn observer_panics(&self) -> u64 {
        self.inner.observer_panics.load(Relaxed)
    }

    /// Runs the caller's code as an observer is run.
    #[cfg(feature = "tower")]
    pub(crate) fn contain(&self, run: impl FnOnce()) {
        if !is_completed(run) {
            self.inner.count_observer_panic();
        }
    }

    pub(crate) fn role_unless_set(self, role: Role) -> Self {
        if self.inner.labels.role.is_some() { self } else { self.role(role) }
    }

    fn block(&self, stream: &impl AsSock) -> Block {
        let anchor = Anchor::now();
        let addresses = addresses(stream);
        let opened_info = self.inner.facts.then(|| Packed::read(stream));
        Block::new(self.labels(), anchor, addresses, opened_info)
    }

    fn probe<S: AsSock>(&self) -> Option<Probe<S>> {
        if self.inner.facts { Some(Kernel::ask) } else { None }
    }

    pub(crate) fn shared(&self) -> Shared {
        Arc::clone(&self.inner)
    }

    pub(crate) fn labels(&self) -> Arc<Labels> {
        Arc::clone(&self.inner.labels)
    }

    fn labels_mut(&mut self) -> &mut Labels {
        let inner = self.inner_mut();
        if let Some(tracking) = &mut inner.tracking {
            tracking.group.take();
        }
        Arc::make_mut(&mut inner.labels)
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }
}

impl Inner {
    pub(crate) fn observers(&self) -> &[Arc<dyn Observer>] {
        &self.observers
    }

    pub(crate) fn count_observer_panic(&self) {
        self.observer_panics.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(crate) fn watches_io(&self) -> bool {
        self.watches_io
    }

    /// Tells tracker and observers of a connection that did not come about.
    pub(crate) fn tell_failed(self: &Arc<Self>, failed: &FailedConn) {
        if let Some(tracker) = self.tracked_by() {
            tracker.fail(self.group(), failed.reason);
        }
        tell(self, |observer| observer.failed(failed));
    }

    /// The tracker of these connections, if they have one.
    #[inline]
    pub(crate) fn tracked_by(&self) -> Option<&Tracker> {
        self.tracking.as_ref().map(|tracking| &tracking.tracker)
    }

    /// The group that the tracker counts these connections in.
    pub(crate) fn group(&self) -> u32 {
        let Some(Tracking { tracker, group }) = &self.tracking else { return 0 };
        let Labels { category, role, .. } = &*self.labels;
        *group.get_or_init(|| tracker.group(category.as_ref(), *role))
    }
}

impl Clone for Options {
    fn clone(&self) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.labels = Arc::new(Labels::clone(&inner.labels));
        Self { inner: Arc::new(inner) }
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
            .field("tracker", &self.inner.tracking.as_ref().map(|tracking| &tracking.tracker))
            .finish_non_exhaustive()
    }
}
