//! What is counted of whom.
//!
//! Every connection has an account, known by its cookie: what was counted of it so far. Whatever tells
//! of it, a list or its end, adds to its group what was counted since; so nothing is counted twice, and
//! no sum shrinks, whoever goes, moves to another group or is cleared by the kernel. An account is
//! closed by the event of the end. A connection that leaves the list without one is not gone: its
//! program has not closed it yet. Only if events were lost it is given up.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use sockdiag::Entry;

use super::{
    group::{GROUP_SERIES, Group, Grouping, Groups, Key, Name},
    listener::{LISTENER_SERIES, Listeners},
    sight::{Counts, Sight},
};

/// All accounts, and the groups that they add up to.
#[derive(Debug)]
pub(super) struct Ledger {
    grouping: Grouping,
    pub(super) groups: Groups,
    pub(super) listeners: Listeners,
    accounts: HashMap<u64, Account, BuildHasherDefault<CookieHasher>>,
    /// Those that were given up, in case something is told of them after all.
    given_up: HashMap<u64, Account, BuildHasherDefault<CookieHasher>>,
    /// Connections whose program is to be found yet.
    waiting: Vec<Waiting>,
    generation: u32,
    /// In seconds since the beginning, as all times here.
    now: u32,
    looked: u32,
    lost: Option<u32>,
    pub(super) sums: Sums,
}

/// What is counted once for the whole machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Sockets that the last look told of.
    pub(super) sockets: u64,
    /// Connections that left the list, and whose end is awaited.
    pub(super) unlisted: u64,
    /// Ends that were given up.
    pub(super) missed: u64,
    /// Ends of sockets that nobody knew and that had no peer.
    pub(super) without_peer: u64,
    /// Ends that were told.
    pub(super) ends: u64,
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
struct Account {
    counts: Counts,
    group: u32,
    /// Of the look that last told of it.
    generation: u32,
    /// When it was last listed, if it is no more.
    unlisted: Option<std::num::NonZeroU32>,
    /// Whether it came about.
    is_connection: bool,
    /// Whether its end was counted: it was given up, and is there after all.
    is_closed: bool,
    /// Whether its program was found.
    has_process: bool,
}

/// A connection whose program is to be found.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    sight: Sight,
    key: Key,
}

/// An end is given up so long after events were lost.
const PATIENCE_AFTER_LOSS: u32 = 60;

/// And so long after it left the list in any case: sockets of the kernel itself end without an event.
const PATIENCE: u32 = 3_600;

const MOST_GIVEN_UP: usize = 1 << 16;

/// Series that are neither of groups nor of listeners.
const OWN_SERIES: usize = 50;

impl Ledger {
    pub(super) fn new(grouping: Grouping, max_series: u32) -> Self {
        let most = (max_series as usize).saturating_sub(OWN_SERIES);
        let listeners = most / 4 / LISTENER_SERIES - 1;
        let groups = (most - most / 4) / GROUP_SERIES - 1;
        Self {
            groups: Groups::new(&grouping, groups),
            grouping,
            listeners: Listeners::new(listeners),
            accounts: HashMap::default(),
            given_up: HashMap::default(),
            waiting: Vec::new(),
            generation: 0,
            now: 1,
            looked: 1,
            lost: None,
            sums: Sums::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// A look at all sockets begins, first at those that listen.
    pub(super) fn begin(&mut self, now: u32) {
        self.now = now.max(1);
        self.generation = self.generation.wrapping_add(1);
        self.groups.begin();
        self.listeners.begin();
        self.waiting.clear();
        self.sums.sockets = 0;
    }

    /// A socket that listens.
    pub(super) fn see_listener(&mut self, entry: &Entry<'_>) {
        self.sums.sockets += 1;
        self.listeners.see(entry, self.now);
    }

    /// A connection.
    #[inline]
    pub(super) fn see(&mut self, entry: &Entry<'_>) {
        let rule = if self.grouping.has_rules() { self.grouping.rule(entry) } else { None };
        self.see_sight(&Sight::of_listed(entry), rule);
    }

    #[inline]
    fn see_sight(&mut self, sight: &Sight, rule: Option<u16>) {
        self.sums.sockets += 1;
        if sight.facts.is_none() {
            // The kernel keeps only its state, and a cookie that is not the connection's.
            let key = self.key(sight, rule);
            let place = self.groups.place(key, &self.grouping, self.now);
            self.groups.touch(place, self.now).see(sight);
            return;
        }
        if let Some(account) = self.accounts.get_mut(&sight.cookie) {
            if account.generation == self.generation {
                // A list can tell of a socket twice.
                self.sums.sockets -= 1;
                return;
            }
            let knows_group = !self.grouping.has_rules()
                && (account.has_process || !self.grouping.by_process || sight.inode.is_none());
            if knows_group {
                let group = self.groups.of(account.group);
                account.see(sight, group, self.generation);
                return;
            }
        }
        let key = self.key(sight, rule);
        if self.grouping.by_process && sight.inode.is_some() {
            self.waiting.push(Waiting { sight: *sight, key });
        } else {
            self.enter(sight, key, false);
        }
    }

    fn key(&self, sight: &Sight, rule: Option<u16>) -> Key {
        self.grouping.key(sight, self.listeners.has_port(sight.local_port), rule)
    }

    /// Sees a connection in the group of this key.
    fn enter(&mut self, sight: &Sight, key: Key, has_process: bool) {
        let place = self.groups.place(key, &self.grouping, self.now);
        let account = self.accounts.entry(sight.cookie).or_insert_with(|| {
            self.groups.join(place);
            let known = self.given_up.remove(&sight.cookie);
            known.map(|known| Account { group: place, is_closed: true, ..known }).unwrap_or(
                Account {
                    counts: Counts::default(),
                    group: place,
                    generation: self.generation.wrapping_sub(1),
                    unlisted: None,
                    is_connection: false,
                    is_closed: false,
                    has_process: false,
                },
            )
        });
        if account.generation == self.generation {
            self.sums.sockets -= 1;
            return;
        }
        if account.group != place {
            self.groups.leave(account.group, self.now);
            self.groups.join(place);
            account.group = place;
        }
        account.has_process = has_process;
        account.see(sight, self.groups.of(place), self.generation);
    }

    /// Whether programs have to be looked for.
    pub(super) fn wants_processes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sees the connections that wait for their programs, found by the inodes of their sockets.
    pub(super) fn assign(&mut self, process: impl Fn(u32) -> Option<Name>) {
        let waiting = std::mem::take(&mut self.waiting);
        for Waiting { sight, key } in &waiting {
            let mut key = *key;
            key.process = sight.inode.and_then(&process);
            self.enter(sight, key, key.process.is_some());
        }
        self.waiting = waiting;
        self.waiting.clear();
    }

    /// All that are there were seen.
    pub(super) fn finish(&mut self) {
        let Self { accounts, groups, given_up, sums, generation, now, looked, lost, .. } = self;
        sums.unlisted = 0;
        accounts.retain(|cookie, account| {
            if account.generation == *generation {
                return true;
            }
            let since = *account.unlisted.get_or_insert_with(|| {
                std::num::NonZeroU32::new(*looked).unwrap_or(std::num::NonZeroU32::MIN)
            });
            let waited = now.saturating_sub(since.get());
            let is_lost = lost.is_some_and(|lost| lost >= since.get());
            if waited <= if is_lost { PATIENCE_AFTER_LOSS } else { PATIENCE } {
                sums.unlisted += 1;
                return true;
            }
            groups.leave(account.group, *now);
            account.close(groups.of(account.group));
            sums.missed += u64::from(!account.is_closed);
            if given_up.len() < MOST_GIVEN_UP {
                given_up.insert(*cookie, *account);
            }
            false
        });
        self.looked = self.now;
        self.listeners.finish();
    }

    /// Events of ends were lost, or were not to be had.
    pub(super) fn lose(&mut self, now: u32) {
        self.lost = Some(now.max(1));
    }

    /// A socket has ended.
    pub(super) fn end(&mut self, sight: &Sight, rule: Option<u16>, now: u32) {
        self.sums.ends += 1;
        if self.given_up.remove(&sight.cookie).is_some() || self.listeners.end(sight.cookie) {
            return;
        }
        if let Some(mut account) = self.accounts.remove(&sight.cookie) {
            if account.unlisted.is_some() {
                self.sums.unlisted = self.sums.unlisted.saturating_sub(1);
            }
            self.groups.leave(account.group, now);
            let group = self.groups.of(account.group);
            account.add(sight, group);
            account.close(group);
            return;
        }
        if sight.remote.is_none() {
            // A listener, or one that never was connected; or one that was, and was cleared.
            self.sums.without_peer += 1;
            return;
        }
        let key = self.key(sight, rule);
        let place = self.groups.place(key, &self.grouping, now);
        let group = self.groups.touch(place, now);
        let mut account = Account {
            counts: Counts::default(),
            group: place,
            generation: 0,
            unlisted: None,
            is_connection: false,
            is_closed: false,
            has_process: false,
        };
        account.add(sight, group);
        account.close(group);
    }

    /// The first rule that a socket matches that has ended.
    pub(super) const fn grouping(&self) -> &Grouping {
        &self.grouping
    }
}

impl Account {
    /// The list tells of it.
    #[inline]
    fn see(&mut self, sight: &Sight, group: &mut Group, generation: u32) {
        self.generation = generation;
        self.unlisted = None;
        group.see(sight);
        self.add(sight, group);
    }

    /// Adds to its group what was counted since it was last told of.
    #[inline]
    fn add(&mut self, sight: &Sight, group: &mut Group) {
        if sight.is_connection && !self.is_connection {
            self.is_connection = true;
            group.created += 1;
        }
        if let Some(facts) = &sight.facts {
            group.counts.add_growth(&mut self.counts, &facts.counts);
            group.observe(&facts.samples);
        }
    }

    fn close(&self, group: &mut Group) {
        if self.is_closed {
            // Counted already.
        } else if self.is_connection {
            group.closed += 1;
        } else {
            group.failed += 1;
        }
    }
}

/// Cookies are numbers that the kernel gives out one after the other: they are spread already, and
/// those that are listed together lie together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CookieHasher(u64);

impl Hasher for CookieHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, cookie: u64) {
        // The table chooses a place by the low bits, and compares the highest seven.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let low = cookie & ((1 << 57) - 1);
        self.0 = low ^ (cookie.wrapping_mul(SPREAD) >> 57 << 57);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
pub(super) mod tests;
