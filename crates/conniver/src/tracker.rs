use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tcpinfo::Packed;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
use tcpinfo::TcpInfo;

use crate::{
    CloseReason, FailReason, Handle, Report, Role,
    block::Block,
    clock,
    report::Remains,
    slot::{KernelCounts, Told},
    sync::{Mutex, lock},
};

mod connection;
#[cfg(feature = "prometheus-client")]
mod observed;
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod quantity;
mod rates;
mod registry;
mod ring;
mod totals;
mod watchdog;

pub use connection::{Connection, Order, Query};
pub use rates::{Rate, Rates};
pub use totals::Totals;
pub use watchdog::{Alarm, Trouble, Watchdog};

#[cfg(feature = "prometheus-client")]
pub(crate) use observed::{Histogram, Observed};
#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
pub(crate) use quantity::Quantity;
pub(crate) use registry::Place;
pub(crate) use totals::Sums;

#[cfg(feature = "prometheus-client")]
use observed::Last;
use registry::Registry;
use ring::Ring;
use totals::ByGroup;

/// Knows every connection that a program has, and what became of those it had.
///
/// A program has one, or several that know nothing of each other. Connections belong to it that were
/// wrapped by [`Options`](crate::Options) with this [tracker](crate::Options::tracker). It costs a
/// connection one short lock when it opens and one when it ends, and nothing in between: whoever
/// looks does the work.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use conniver::{Options, Role, Tracker};
///
/// let tracker = Tracker::new();
/// let options = Options::new().role(Role::Client).category("billing").tracker(&tracker);
///
/// # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// # let address = listener.local_addr().unwrap();
/// let conn = options.wrap(TcpStream::connect(address).unwrap());
/// for conn in tracker.connections() {
///     println!("{conn}"); // billing client 127.0.0.1:38652 -> 127.0.0.1:41371 1.2ms …
/// }
/// drop(conn);
///
/// assert_eq!((tracker.len(), tracker.totals().closed()), (0, 1));
/// ```
#[derive(Clone)]
pub struct Tracker {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry<Arc<Block>, ByGroup, Ring>,
    /// How many of those that ended are remembered.
    memory: usize,
    groups: Mutex<Groups>,
    /// How many connections may be listed.
    limit: usize,
    /// How many are, if there is a limit.
    listed: AtomicUsize,
    /// Whether somebody wants to know what was observed of connections at their end.
    #[cfg(feature = "prometheus-client")]
    observes: std::sync::atomic::AtomicBool,
}

/// The pairs of category and side that there were, in the order of their coming.
struct Groups {
    numbers: HashMap<Group, u32>,
    names: Vec<Group>,
    /// How many there may be.
    limit: usize,
}

/// What the connections of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Group {
    /// The label given by [`Options::category`](crate::Options::category). Once there are as many
    /// groups as [allowed](TrackerBuilder::groups), it is [`Group::OTHER`] for further ones.
    pub category: Option<Arc<str>>,
    /// Client or server side, if the caller said so.
    pub role: Option<Role>,
}

impl Group {
    /// The category of what came when there were already as many groups as allowed.
    pub const OTHER: &'static str = "(other)";
}

impl Tracker {
    /// A tracker without a limit, that remembers the last 128 connections.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A tracker with limits of one's own.
    pub fn builder() -> TrackerBuilder {
        TrackerBuilder { limit: usize::MAX, ended: 128, groups: 1024 }
    }

    /// How many connections are listed now.
    pub fn len(&self) -> usize {
        self.inner.registry.len()
    }

    /// Whether no connection is listed now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every connection that lives now, in any order.
    ///
    /// A connection that opens or ends during the call may be in the list or not. Nobody who opens
    /// or ends one waits for more than a small part of the work.
    pub fn connections(&self) -> Vec<Connection> {
        self.query(&Query::new())
    }

    /// The connections that live now, as asked: which, in which order, and with fresh kernel facts
    /// or without.
    ///
    /// Kernel facts are read from the connections' own sockets while their owners use them. An owner
    /// that closes its connection at this moment waits for one such reading.
    pub fn query(&self, query: &Query) -> Vec<Connection> {
        let now = clock::precise();
        let mut list = Vec::new();
        self.inner.registry.for_each(|block| list.extend(query.look(Handle::new(block), now)));
        query.finish(&mut list);
        list
    }

    /// The connections that ended last, the newest first.
    pub fn ended(&self) -> Vec<Report> {
        let mut all: Vec<Remains> = Vec::new();
        // The reports are written when no lock is held, and only those that are wanted.
        self.inner.registry.for_each_kept(|ring| all.extend(ring.all().cloned()));
        all.sort_unstable_by_key(|remains| Reverse((remains.closed_at(), remains.id())));
        all.truncate(self.inner.memory);
        all.iter().map(Remains::report).collect()
    }

    /// What all connections of this tracker moved, and what became of them.
    ///
    /// The numbers are those of one moment for each connection: it counts as open or as closed,
    /// never as both.
    pub fn totals(&self) -> Totals {
        let mut all = Totals::default();
        self.totals_by_group().iter().for_each(|(_, totals)| all.add(totals));
        all.settle();
        all
    }

    /// The same for each group, in the order of their coming.
    pub fn totals_by_group(&self) -> Vec<(Group, Totals)> {
        totals_of(self.sum(Block::kernel_counts))
    }

    /// The same, after asking the kernel about every connection that is listed: one system call
    /// each.
    pub fn kernel_totals_by_group(&self) -> Vec<(Group, Totals)> {
        totals_of(self.sum(|block| block.fresh_kernel_counts(|_| {})))
    }

    /// The same with all that is summed up, and shows what the kernel says of each connection,
    /// with the number of its group: the place of the group in the answer.
    #[cfg(any(feature = "metrics", feature = "prometheus-client"))]
    pub(crate) fn sample(&self, mut look: impl FnMut(u32, &TcpInfo)) -> Vec<(Group, Sums)> {
        self.sum(|block| block.fresh_kernel_counts(|info| look(block.group, info)))
    }

    /// From now on, what the kernel says right before a connection ends is observed.
    #[cfg(feature = "prometheus-client")]
    pub(crate) fn observe_ends(&self) {
        self.inner.observes.store(true, Relaxed);
    }

    fn sum(
        &self,
        mut counts: impl FnMut(&Block) -> Option<(KernelCounts, Told)>,
    ) -> Vec<(Group, Sums)> {
        let sums = std::cell::RefCell::new(ByGroup::default());
        let mut ended = Vec::new();
        self.inner.registry.sum(
            |block| {
                let counts = counts(&block);
                if let Some(sums) = sums.borrow_mut().of(block.group) {
                    sums.moved(&block, counts);
                }
                // Whose last holder this is goes later: its context may run the caller's code,
                // which may sum up in turn.
                ended.extend(Arc::into_inner(block));
            },
            |gone| sums.borrow_mut().add(gone),
        );
        let names = lock(&self.inner.groups).names.clone();
        let settled = |mut sums: Sums| {
            sums.totals.settle();
            sums
        };
        let mut sums = sums.into_inner().into_vec().into_iter();
        names
            .into_iter()
            .map(|group| (group, sums.next().map(settled).unwrap_or_default()))
            .collect()
    }

    /// The number of a group, which may stand for all that came too late.
    pub(crate) fn group(&self, category: Option<&Arc<str>>, role: Option<Role>) -> u32 {
        lock(&self.inner.groups).number(Group { category: category.cloned(), role })
    }

    /// The group that a connection is counted in, or would be.
    #[cfg(feature = "metrics")]
    pub(crate) fn group_of(&self, report: &Report) -> Group {
        let groups = &mut *lock(&self.inner.groups);
        let group = Group { category: report.category_shared().cloned(), role: report.role };
        let number = groups.number(group.clone());
        groups.names.get(number as usize).cloned().unwrap_or(group)
    }

    /// Adds a connection to those that live, and to the list if it is not full.
    pub(crate) fn begin(&self, block: &Arc<Block>) -> Place {
        let group = block.group;
        let open = |sums: &mut ByGroup, is_listed| {
            if let Some(sums) = sums.of(group) {
                sums.totals.open(is_listed);
            }
        };
        let may_list = self.may_list();
        let place = self.inner.registry.insert(may_list.then(|| Arc::clone(block)), open);
        if may_list && !place.is_listed() {
            self.unlist();
        }
        place
    }

    /// Moves a connection from those that live to the sums, and keeps what is left of it.
    pub(crate) fn end(&self, place: Place, block: &Block, reason: CloseReason, left: Left<'_>) {
        #[cfg(feature = "prometheus-client")]
        let last = self.inner.observes.load(Relaxed).then(|| Last::of(block, left.info()));
        let mut forgotten = None;
        let close = |sums: &mut ByGroup, ring: &mut Ring| {
            if let Some(sums) = sums.of(block.group) {
                sums.close(block, reason);
                #[cfg(feature = "prometheus-client")]
                if let Some(last) = &last {
                    last.observe_in(sums.observed.get_or_insert_default());
                }
            }
            if let Left::Remains(remains) = left {
                forgotten = ring.push(remains, self.inner.memory);
            }
        };
        let removed = self.inner.registry.remove(place, close);
        debug_assert_eq!(removed.is_some(), place.is_listed(), "a connection ends once");
        if place.is_listed() {
            self.unlist();
        }
        // Which may run the caller's code: not under a lock.
        drop(forgotten);
    }

    /// Counts a connection that did not come about.
    pub(crate) fn fail(&self, group: u32, reason: FailReason) {
        self.inner.registry.add(|sums| {
            if let Some(sums) = sums.of(group) {
                sums.totals.fail(reason);
            }
        });
    }

    /// Keeps what is left of a connection that ended.
    pub(crate) fn remember(&self, remains: Remains) {
        let mut forgotten = None;
        self.inner.registry.keep(|ring| forgotten = ring.push(remains, self.inner.memory));
        // Which may run the caller's code: not under a lock.
        drop(forgotten);
    }

    fn may_list(&self) -> bool {
        let limit = self.inner.limit;
        limit == usize::MAX
            || self
                .inner
                .listed
                .fetch_update(Relaxed, Relaxed, |listed| (listed < limit).then_some(listed + 1))
                .is_ok()
    }

    fn unlist(&self) {
        if self.inner.limit != usize::MAX {
            self.inner.listed.fetch_sub(1, Relaxed);
        }
    }
}

/// What a connection leaves at its end.
pub(crate) enum Left<'a> {
    /// What the tracker shall keep.
    Remains(Remains),
    /// What the kernel said last, if it was asked; a report is kept later or never.
    #[cfg_attr(not(feature = "prometheus-client"), expect(dead_code, reason = "nobody observes"))]
    Info(Option<&'a Packed>),
}

impl Left<'_> {
    #[cfg(feature = "prometheus-client")]
    fn info(&self) -> Option<&Packed> {
        match self {
            Self::Remains(remains) => remains.info(),
            Self::Info(info) => *info,
        }
    }
}

fn totals_of(sums: Vec<(Group, Sums)>) -> Vec<(Group, Totals)> {
    sums.into_iter().map(|(group, sums)| (group, sums.totals)).collect()
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Groups {
    fn number(&mut self, group: Group) -> u32 {
        if let Some(number) = self.numbers.get(&group) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        if self.names.len() < self.limit {
            self.names.push(group.clone());
            self.numbers.insert(group, number);
            return number;
        }
        // One more for each side, whatever the number of categories.
        let other = Group { category: Some(Group::OTHER.into()), role: group.role };
        if let Some(number) = self.numbers.get(&other) {
            return *number;
        }
        self.names.push(other.clone());
        self.numbers.insert(other, number);
        number
    }
}

/// Limits of a [`Tracker`].
///
/// ```
/// let tracker = conniver::Tracker::builder().limit(10_000).ended(0).build();
/// assert!(tracker.is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct TrackerBuilder {
    limit: usize,
    ended: usize,
    groups: usize,
}

impl TrackerBuilder {
    /// How many connections are listed at the same time. Those beyond are wrapped, reported and
    /// counted like the others, and are in no list; [`Totals::unlisted`] says how many there were.
    /// Default: no limit.
    #[must_use]
    pub fn limit(mut self, connections: usize) -> Self {
        self.limit = connections;
        self
    }

    /// How many connections are remembered after their end. Default: 128; each takes about a
    /// kilobyte. Threads that close connections keep up to so many each, in up to sixteen places.
    #[must_use]
    pub fn ended(mut self, connections: usize) -> Self {
        self.ended = connections;
        self
    }

    /// How many groups, pairs of category and side, are counted apart. Further ones are counted
    /// together as [`Group::OTHER`]. Default: 1024.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The tracker.
    pub fn build(self) -> Tracker {
        let groups = Groups { numbers: HashMap::new(), names: Vec::new(), limit: self.groups };
        Tracker {
            inner: Arc::new(Inner {
                registry: Registry::new(),
                memory: self.ended,
                groups: Mutex::new(groups),
                limit: self.limit,
                listed: AtomicUsize::new(0),
                #[cfg(feature = "prometheus-client")]
                observes: false.into(),
            }),
        }
    }
}
