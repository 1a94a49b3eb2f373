//! Who lives: shards of pages, so that nobody waits long for anybody.

#[cfg(all(test, conniver_loom))]
mod models;

use std::num::NonZeroU32;

use crate::{
    sync::{Mutex, MutexGuard, lock},
    thread_token::thread_token,
};

/// Shards; a power of two. Models have as few as show what can happen.
const SHARDS: usize = if cfg!(all(test, conniver_loom)) { 2 } else { 16 };

/// Entries that are looked at under one lock: some microseconds.
const PAGE: usize = if cfg!(all(test, conniver_loom)) { 2 } else { 64 };

/// A value for every few threads, so that threads that write do not meet each other.
pub(crate) struct Striped<T> {
    stripes: [Stripe<T>; SHARDS],
}

/// A stripe has its cache lines to itself.
#[repr(align(128))]
struct Stripe<T>(Mutex<T>);

impl<T: Default> Striped<T> {
    pub(crate) fn new() -> Self {
        Self { stripes: std::array::from_fn(|_| Stripe(Mutex::new(T::default()))) }
    }

    /// The calling thread's.
    pub(crate) fn own(&self) -> MutexGuard<'_, T> {
        self.get(own_stripe())
    }

    #[expect(clippy::indexing_slicing, reason = "a number is taken below the count of stripes")]
    fn get(&self, number: u32) -> MutexGuard<'_, T> {
        lock(&self.stripes[number as usize].0)
    }

    pub(crate) fn for_each(&self, mut look: impl FnMut(&T)) {
        self.stripes.iter().for_each(|stripe| look(&lock(&stripe.0)));
    }
}

fn own_stripe() -> u32 {
    (thread_token() % SHARDS as u64) as u32
}

/// Values that live, sums of those that are gone, and what is kept of these.
///
/// Opening and closing lock one shard for some nanoseconds. Looking at all locks each shard for one
/// page at a time.
pub(crate) struct Registry<T, S, K> {
    shards: Striped<Shard<T, S, K>>,
    /// Held by whoever sums up: two of them at the same time would disturb each other's cursors.
    summing: Mutex<()>,
}

struct Shard<T, S, K> {
    pages: Vec<Box<[Option<T>; PAGE]>>,
    free: Vec<u32>,
    live: usize,
    gone: S,
    /// Values below this place were counted as living by the sum that is being made.
    counted: usize,
    kept: K,
    /// Sums of such values that went since: not yet to be added to those that are gone.
    gone_since: S,
}

/// Where a value belongs: a shard, and a place in it if it is listed, in one word so that a
/// connection keeps it for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(NonZeroU32);

impl Place {
    /// Behind the last place of a shard, which has more than any system has sockets.
    const UNLISTED: u32 = (u32::MAX - 1) / SHARDS as u32 - 1;

    fn new(shard: u32, index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index * SHARDS as u32 + shard))
    }

    const fn shard(self) -> u32 {
        (self.0.get() - 1) % SHARDS as u32
    }

    const fn index(self) -> u32 {
        (self.0.get() - 1) / SHARDS as u32
    }

    /// Whether there is a value at this place.
    pub(crate) const fn is_listed(self) -> bool {
        self.index() != Self::UNLISTED
    }
}

/// What can be added up.
pub(crate) trait Sum: Default {
    /// Adds `other`, which is empty afterwards.
    fn absorb(&mut self, other: &mut Self);
}

impl<T: Clone, S: Sum, K: Default> Registry<T, S, K> {
    pub(crate) fn new() -> Self {
        Self { shards: Striped::new(), summing: Mutex::new(()) }
    }

    /// Adds a value if there is one and a place for it, and to the sums what its coming adds, listed
    /// or not.
    ///
    /// What is not listed has a shard too: its coming and its going are summed up there, so that no
    /// sum knows of the second alone.
    pub(crate) fn insert(&self, value: Option<T>, add: impl FnOnce(&mut S, bool)) -> Place {
        let shard = own_stripe();
        let mut inner = self.shards.get(shard);
        let index = value.and_then(|value| inner.place(value)).unwrap_or(Place::UNLISTED);
        let place = Place::new(shard, index);
        add(&mut inner.gone, place.is_listed());
        place
    }

    /// Adds to the sums what belongs to no value.
    pub(crate) fn add(&self, add: impl FnOnce(&mut S)) {
        add(&mut self.shards.own().gone);
    }

    /// Keeps something more.
    pub(crate) fn keep(&self, keep: impl FnOnce(&mut K)) {
        keep(&mut self.shards.own().kept);
    }

    /// Removes a value, if it was listed, adds to the sums what it leaves, and keeps what shall be
    /// kept of it.
    pub(crate) fn remove(&self, place: Place, add: impl FnOnce(&mut S, &mut K)) -> Option<T> {
        let inner = &mut *self.shards.get(place.shard());
        if !place.is_listed() {
            add(&mut inner.gone, &mut inner.kept);
            return None;
        }
        let value = inner.entry(place.index()).take();
        if value.is_some() {
            inner.free.push(place.index());
            inner.live -= 1;
            let was_counted = (place.index() as usize) < inner.counted;
            let sums = if was_counted { &mut inner.gone_since } else { &mut inner.gone };
            add(sums, &mut inner.kept);
        }
        value
    }

    /// Shows what was kept.
    pub(crate) fn for_each_kept(&self, mut look: impl FnMut(&K)) {
        self.shards.for_each(|shard| look(&shard.kept));
    }

    pub(crate) fn len(&self) -> usize {
        let mut len = 0;
        self.shards.for_each(|shard| len += shard.live);
        len
    }

    /// Shows every value that lives from before this call until after it, once; of the others some.
    /// No lock is held while a value is looked at.
    pub(crate) fn for_each(&self, mut look: impl FnMut(T)) {
        let mut page = Vec::with_capacity(PAGE);
        for shard in &self.shards.stripes {
            for number in 0.. {
                if !lock(&shard.0).copy_page(number, &mut page) {
                    break;
                }
                page.drain(..).for_each(&mut look);
            }
        }
    }

    /// Shows every value once, as living to `look` or as gone in the sums that `add` gets, never as
    /// both. So what is added up of numbers that only grow never shrinks from one call to the next.
    pub(crate) fn sum(&self, mut look: impl FnMut(T), mut add: impl FnMut(&S)) {
        let _alone = lock(&self.summing);
        let mut page = Vec::with_capacity(PAGE);
        for shard in &self.shards.stripes {
            lock(&shard.0).begin_sum();
            for number in 0.. {
                {
                    let mut inner = lock(&shard.0);
                    if !inner.copy_page(number, &mut page) {
                        add(&inner.gone);
                        inner.begin_sum();
                        break;
                    }
                    inner.counted = (number + 1) * PAGE;
                }
                page.drain(..).for_each(&mut look);
            }
        }
    }
}

// Derived, it would ask for values that have a default.
impl<T, S: Sum, K: Default> Default for Shard<T, S, K> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            live: 0,
            gone: S::default(),
            kept: K::default(),
            counted: 0,
            gone_since: S::default(),
        }
    }
}

impl<T: Clone, S: Sum, K: Default> Shard<T, S, K> {
    /// Puts a value where there is room.
    fn place(&mut self, value: T) -> Option<u32> {
        let index = self.free_index()?;
        *self.entry(index) = Some(value);
        self.live += 1;
        Some(index)
    }

    fn free_index(&mut self) -> Option<u32> {
        let first = self.pages.len() * PAGE;
        if self.free.is_empty() && first + PAGE <= Place::UNLISTED as usize {
            self.pages.push(Box::new([const { None }; PAGE]));
            // The lowest place is taken first.
            self.free.extend((first..first + PAGE).rev().map(|index| index as u32));
        }
        self.free.pop()
    }

    #[expect(clippy::indexing_slicing, reason = "a place is given out with its page, which stays")]
    fn entry(&mut self, index: u32) -> &mut Option<T> {
        let index = index as usize;
        &mut self.pages[index / PAGE][index % PAGE]
    }

    /// Copies what lives in a page; `false` if there is no such page.
    fn copy_page(&self, number: usize, into: &mut Vec<T>) -> bool {
        let Some(page) = self.pages.get(number) else { return false };
        into.extend(page.iter().flatten().cloned());
        true
    }

    /// No value is counted as living; those that went after they were counted are gone now.
    fn begin_sum(&mut self) {
        self.counted = 0;
        self.gone.absorb(&mut self.gone_since);
    }
}
