//! Numbers for threads.

#[cfg(all(test, conniver_loom))]
pub(crate) use modelled::{become_thread, thread_token};

#[cfg(not(all(test, conniver_loom)))]
use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A number that is this thread's alone and is never given to another; 0 while the thread ends.
#[cfg(not(all(test, conniver_loom)))]
#[inline]
pub(crate) fn thread_token() -> u64 {
    thread_local! {
        static TOKEN: Cell<u64> = const { Cell::new(0) };
    }

    #[cold]
    fn next_token() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Relaxed)
    }

    TOKEN
        .try_with(|token| match token.get() {
            0 => {
                let fresh = next_token();
                token.set(fresh);
                fresh
            }
            known => known,
        })
        .unwrap_or(0)
}

/// A model's threads say themselves which ones they are, so that each of its runs is the same.
#[cfg(all(test, conniver_loom))]
mod modelled {
    use std::cell::Cell;

    loom::thread_local! {
        static TOKEN: Cell<u64> = Cell::new(0);
    }

    pub(crate) fn thread_token() -> u64 {
        TOKEN.with(Cell::get)
    }

    pub(crate) fn become_thread(token: u64) {
        TOKEN.with(|own| own.set(token));
    }
}
