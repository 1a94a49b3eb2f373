//! The registry, against every order in which threads can come.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use loom::thread;

use super::{PAGE, Place, Registry, Sum};
use crate::thread_token::become_thread;

/// A counter that only grows, and which one it is.
struct Counter {
    id: u32,
    count: AtomicU64,
}

/// What went, and how far it had counted.
#[derive(Default)]
struct Gone(Vec<(u32, u64)>);

impl Sum for Gone {
    fn absorb(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }
}

type Counters = Registry<Arc<Counter>, Gone, ()>;

fn come(counters: &Counters, id: u32) -> (Arc<Counter>, Place) {
    let counter = Arc::new(Counter { id, count: AtomicU64::new(0) });
    let place = counters.insert(Some(Arc::clone(&counter)), |_, is_listed| assert!(is_listed));
    (counter, place)
}

fn go(counters: &Counters, (counter, place): (Arc<Counter>, Place)) {
    let removed =
        counters.remove(place, |gone, ()| gone.0.push((counter.id, counter.count.load(Relaxed))));
    assert_eq!(removed.map(|removed| removed.id), Some(counter.id));
}

/// How often each is shown.
fn shown(counters: &Counters) -> BTreeMap<u32, usize> {
    let mut shown = BTreeMap::new();
    counters.for_each(|counter| *shown.entry(counter.id).or_default() += 1);
    shown
}

/// The count of each, living or gone; panics if one is both.
fn sum(counters: &Counters) -> BTreeMap<u32, u64> {
    let all = std::cell::RefCell::new(BTreeMap::new());
    let count = |id, count| {
        let before = all.borrow_mut().insert(id, count);
        assert_eq!(before, None, "{id} is counted twice");
    };
    counters.sum(
        |counter| count(counter.id, counter.count.load(Relaxed)),
        |gone| gone.0.iter().for_each(|(id, at_end)| count(*id, *at_end)),
    );
    all.into_inner()
}

/// Panics if what was counted is counted no longer, or less.
fn assert_grew(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) {
    for (id, count) in before {
        let now = after.get(id);
        assert!(now >= Some(count), "{id}: {count}, then {now:?}");
    }
}

#[test]
fn who_lives_all_the_time_is_shown_once() {
    loom::model(|| {
        let counters = Arc::new(Counters::new());
        // Two pages, so that places become free before and behind the one that is looked at.
        let staying: Vec<_> = (0..PAGE as u32).map(|id| come(&counters, id)).collect();
        let going = [10, 11].map(|id| come(&counters, id));
        let owner = {
            let counters = Arc::clone(&counters);
            thread::spawn(move || {
                let [first, second] = going;
                go(&counters, first);
                let next = [20, 21].map(|id| come(&counters, id));
                go(&counters, second);
                next.into_iter().for_each(|one| go(&counters, one));
            })
        };
        let neighbour = {
            let counters = Arc::clone(&counters);
            thread::spawn(move || {
                become_thread(1);
                go(&counters, come(&counters, 30));
            })
        };
        let shown = shown(&counters);
        assert!(shown.values().all(|times| *times == 1), "{shown:?}");
        assert!(staying.iter().all(|(counter, _)| shown.contains_key(&counter.id)), "{shown:?}");
        owner.join().unwrap();
        neighbour.join().unwrap();
        assert_eq!(counters.len(), staying.len());
    });
}

#[test]
fn a_sum_counts_each_once_and_never_shrinks() {
    loom::model(|| {
        let counters = Arc::new(Counters::new());
        let owner = {
            let counters = Arc::clone(&counters);
            let going = [0, 1, 2].map(|id| come(&counters, id));
            thread::spawn(move || {
                let [first, second, third] = going;
                for (counter, place) in [third, first] {
                    counter.count.fetch_add(1, Relaxed);
                    go(&counters, (counter, place));
                }
                // Where one went that may have been counted.
                let next = come(&counters, 3);
                next.0.count.fetch_add(1, Relaxed);
                go(&counters, next);
                second.0.count.fetch_add(1, Relaxed);
            })
        };
        let mut before = sum(&counters);
        assert!([0, 1, 2].iter().all(|id| before.contains_key(id)), "{before:?}");
        for _ in 0..2 {
            let after = sum(&counters);
            assert_grew(&before, &after);
            before = after;
        }
        owner.join().unwrap();
        let after = sum(&counters);
        assert_grew(&before, &after);
        assert_eq!(after, BTreeMap::from([(0, 1), (1, 1), (2, 1), (3, 1)]));
    });
}

#[test]
fn two_sums_at_the_same_time_do_not_disturb_each_other() {
    loom::model(|| {
        let counters = Arc::new(Counters::new());
        let going = [0, 1, 2].map(|id| come(&counters, id));
        let owner = {
            let counters = Arc::clone(&counters);
            thread::spawn(move || going.into_iter().for_each(|one| go(&counters, one)))
        };
        let other = {
            let counters = Arc::clone(&counters);
            thread::spawn(move || sum(&counters))
        };
        let all = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
        assert_eq!(sum(&counters), all);
        assert_eq!(other.join().unwrap(), all);
        owner.join().unwrap();
        assert_eq!(sum(&counters), all);
    });
}

#[test]
fn threads_of_two_shards_are_summed_up_alike() {
    loom::model(|| {
        let counters = Arc::new(Counters::new());
        let owners = [0, 1].map(|stripe| {
            let counters = Arc::clone(&counters);
            thread::spawn(move || {
                become_thread(stripe);
                let one = come(&counters, stripe as u32);
                one.0.count.fetch_add(5, Relaxed);
                // It may end in another thread, whose stripe is not its own.
                become_thread(1 - stripe);
                go(&counters, one);
            })
        });
        let before = sum(&counters);
        assert_grew(&before, &sum(&counters));
        for owner in owners {
            owner.join().unwrap();
        }
        assert_eq!(sum(&counters), BTreeMap::from([(0, 5), (1, 5)]));
        assert_eq!(counters.len(), 0);
    });
}
