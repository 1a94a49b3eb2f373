//! The thread that hears of the end of every connection.

use std::{
    sync::{
        Mutex, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use sockdiag::{Event, Events, Namespace};

use super::{ledger::Ledger, lock, sight::Sight};
use crate::error::Error;

/// What was heard and not yet counted, and how it goes.
#[derive(Debug)]
pub(super) struct Ends {
    begun: Instant,
    /// While a look at all sockets is at work, which goes first: a list may tell of a connection whose
    /// end was heard meanwhile.
    waiting: Mutex<Vec<Heard>>,
    pub(super) lost: AtomicU64,
    /// Lost, but not yet counted as such by the ledger.
    has_lost: AtomicBool,
    pub(super) is_listening: AtomicBool,
    pub(super) buffer_bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    sight: Sight,
    rule: Option<u16>,
}

/// So many may wait; a look that takes longer than those take to come would be a very long one.
const MOST_WAITING: usize = 1 << 19;

/// How long to wait before listening is tried again.
const PAUSE: Duration = Duration::from_secs(5);

impl Ends {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            waiting: Mutex::new(Vec::new()),
            lost: AtomicU64::new(0),
            has_lost: AtomicBool::new(false),
            is_listening: AtomicBool::new(false),
            buffer_bytes: AtomicU64::new(0),
        }
    }

    /// In seconds since the beginning.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Opens the ear, if the kernel lets it.
    pub(super) fn open(&self, namespace: Option<&Namespace>) -> Result<Events, Error> {
        let events = match namespace {
            None => Events::open(),
            Some(namespace) => Events::open_in(namespace),
        }?;
        self.buffer_bytes.store(events.buffer_bytes() as u64, Relaxed);
        self.is_listening.store(true, Relaxed);
        Ok(events)
    }

    /// Listens for as long as the process lives.
    pub(super) fn listen(
        &self,
        mut events: Option<Events>,
        namespace: Option<&Namespace>,
        ledger: &Mutex<Ledger>,
    ) -> ! {
        // The rules stay as they are.
        let grouping = lock(ledger).grouping().clone();
        loop {
            let Some(ear) = &mut events else {
                thread::sleep(PAUSE);
                events = self.open(namespace).ok();
                // What ended meanwhile was not heard.
                self.lose(0);
                continue;
            };
            match ear.next(None) {
                Ok(Some(Event::Ended(entry))) => {
                    let rule = if grouping.has_rules() { grouping.rule(&entry) } else { None };
                    self.hear(Heard { sight: Sight::of_ended(&entry), rule }, ledger);
                }
                Ok(Some(Event::Lost { events, .. })) => self.lose(u64::from(events.unwrap_or(1))),
                Ok(_) => {}
                Err(_) => {
                    self.is_listening.store(false, Relaxed);
                    self.lose(1);
                    events = None;
                }
            }
        }
    }

    fn hear(&self, heard: Heard, ledger: &Mutex<Ledger>) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= MOST_WAITING {
            drop(waiting);
            return self.lose(1);
        }
        waiting.push(heard);
        let ledger = match ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // A look is at work, and sees to it afterwards.
            Err(TryLockError::WouldBlock) => return,
        };
        self.count(&mut waiting, ledger);
    }

    fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Relaxed);
        self.has_lost.store(true, Relaxed);
    }

    /// Counts what was heard while a look was at work.
    pub(super) fn settle(&self, ledger: &mut Ledger) {
        let mut waiting = lock(&self.waiting);
        self.count(&mut waiting, ledger);
        if waiting.capacity() > 1 << 12 {
            waiting.shrink_to(1 << 12);
        }
    }

    fn count(
        &self,
        waiting: &mut Vec<Heard>,
        mut ledger: impl std::ops::DerefMut<Target = Ledger>,
    ) {
        let now = self.now();
        if self.has_lost.swap(false, Relaxed) {
            ledger.lose(now);
        }
        for Heard { sight, rule } in waiting.drain(..) {
            ledger.end(&sight, rule, now);
        }
    }

    /// Tells the ledger if ends are not heard at present.
    pub(super) fn report_deafness(&self, ledger: &mut Ledger) {
        if !self.is_listening.load(Relaxed) || self.has_lost.swap(false, Relaxed) {
            ledger.lose(self.now());
        }
    }
}
