//! One look at all connections that are meant, and the thread that takes looks.

use std::{
    ops::ControlFlow,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use sockdiag::Tell;

use super::connection::Connection;
use crate::{cli::SelectArgs, error::Error, process::Processes, source::Source};

/// What was seen at once.
#[derive(Debug)]
pub(crate) struct Look {
    /// How long it took the kernel to tell and this program to take it.
    pub(crate) took: Duration,
    /// By cookie, each once.
    pub(crate) connections: Vec<Connection>,
    pub(crate) processes: Option<Arc<Processes>>,
    /// The share of one processor that this program took since the look before.
    pub(crate) own_share: Option<f64>,
    /// Counts the filters there have been.
    pub(crate) filter: u64,
}

impl Look {
    /// What these connections look like.
    pub(crate) fn new(at: Instant, mut connections: Vec<Connection>) -> Self {
        // While it tells, the kernel may move one to a place where it tells of it again.
        connections.sort_by_key(Connection::cookie);
        connections.dedup_by_key(|connection| connection.cookie());
        Self { took: at.elapsed(), connections, processes: None, own_share: None, filter: 0 }
    }
}

/// What to look at.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) select: SelectArgs,
    pub(crate) has_holders: bool,
    /// Counts the filters there have been.
    pub(crate) filter: u64,
}

/// Takes one look after the other.
#[derive(Debug, Default)]
pub(crate) struct Looker {
    holders: Holders,
    spent: Option<(Instant, Duration)>,
    /// How many there were, so that there is room for as many at once.
    len: usize,
}

impl Looker {
    pub(crate) fn look(&mut self, wanted: &Wanted) -> Result<Look, Error> {
        // Everything is asked for, since any of it may be shown of the one that is selected. What costs
        // time is the structure of facts, which every rate needs.
        let source = Source::new(&wanted.select, Tell::ALL)?;
        let at = Instant::now();
        let mut connections = Vec::with_capacity(self.len + self.len / 8);
        source.for_each(|entry| {
            connections.push(Connection::new(entry, at));
            Ok(ControlFlow::Continue(()))
        })?;
        self.len = connections.len();
        let mut look = Look::new(at, connections);
        look.filter = wanted.filter;
        look.own_share = self.own_share();
        if wanted.has_holders {
            look.processes = Some(self.holders.of(&look.connections)?);
        }
        Ok(look)
    }

    fn own_share(&mut self) -> Option<f64> {
        let now = (Instant::now(), processor_time()?);
        let (then, spent) = self.spent.replace(now)?;
        let passed = now.0.duration_since(then).as_secs_f64();
        (passed > 0.0).then(|| now.1.saturating_sub(spent).as_secs_f64() / passed)
    }

    /// Looks whenever it is told to, until nobody tells any more.
    pub(crate) fn serve(
        mut self,
        wanted: &mpsc::Receiver<Wanted>,
        mut give: impl FnMut(Result<Look, Error>),
    ) {
        while let Ok(wanted) = wanted.recv() {
            give(self.look(&wanted));
        }
    }
}

/// Which programs hold sockets. To find them out takes longer than a look, so it is done when there are
/// sockets that were not there before, and not too often.
#[derive(Debug, Default)]
struct Holders {
    known: Option<Arc<Processes>>,
    /// Of all sockets of the last look.
    inodes: Vec<u32>,
    is_stale: bool,
    known_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Holders {
    fn of(&mut self, connections: &[Connection]) -> Result<Arc<Processes>, Error> {
        let mut inodes: Vec<u32> =
            connections.iter().filter_map(|connection| connection.entry().inode()).collect();
        inodes.sort_unstable();
        let is_known = |inode: &u32| self.inodes.binary_search(inode).is_ok();
        self.is_stale |= !inodes.iter().all(is_known);
        // A program may hand a socket on, or take another name.
        self.is_stale |= self.known_at.is_some_and(|then| then.elapsed() > LONGEST_TRUST);
        self.inodes = inodes;
        let now = Instant::now();
        match &self.known {
            Some(known) if !self.is_stale || self.not_before.is_some_and(|then| now < then) => {
                Ok(Arc::clone(known))
            }
            _ => {
                let spent = processor_time();
                let scanned = Arc::new(Processes::scan()?);
                let spent = processor_time().zip(spent).map(|(now, then)| now.saturating_sub(then));
                self.is_stale = false;
                self.known_at = Some(now);
                // At most a fiftieth of a processor's time goes into it.
                let took = spent.unwrap_or_else(|| now.elapsed());
                self.not_before = Some(Instant::now() + took * 50);
                self.known = Some(Arc::clone(&scanned));
                Ok(scanned)
            }
        }
    }
}

/// How long it is believed that nothing has changed, if all sockets are the same.
const LONGEST_TRUST: Duration = Duration::from_secs(10);

#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}
