//! The program's allocator: the system's, with a tally for each thread.

#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct CountingAllocator;

/// A tally of a thread's own costs next to nothing, where a shared one would slow what is timed.
struct Tally {
    allocations: Cell<u64>,
    live_bytes: Cell<i64>,
}

thread_local! {
    // A constant without a destructor: reading it neither allocates nor fails.
    static TALLY: Tally = const {
        Tally {
            allocations: Cell::new(0),
            live_bytes: Cell::new(0),
        }
    };
}

/// What a piece of work gives, and how many allocations this thread makes for it.
///
/// Growing an allocation counts as one, also where it stays in place.
pub(super) fn allocations_in<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let allocations = || TALLY.with(|tally| tally.allocations.get());
    let before = allocations();
    let result = work();
    (result, allocations() - before)
}

/// How many allocations an operation makes: the mean of many, after a first one that may set up
/// what is set up once.
pub(super) fn allocations_each(mut operation: impl FnMut()) -> f64 {
    const OPERATIONS: u32 = 100;

    operation();
    let ((), allocations) = allocations_in(|| (0..OPERATIONS).for_each(|_| operation()));
    allocations as f64 / f64::from(OPERATIONS)
}

/// Bytes that this thread asked for and did not give back, without the allocator's own overhead.
pub(super) fn live_bytes() -> i64 {
    TALLY.with(|tally| tally.live_bytes.get())
}

fn count_allocation() {
    TALLY.with(|tally| tally.allocations.set(tally.allocations.get() + 1));
}

fn count_bytes(more: usize, less: usize) {
    TALLY.with(|tally| {
        let live = tally.live_bytes.get() + more as i64 - less as i64;
        tally.live_bytes.set(live);
    });
}

// SAFETY: every call is passed on to the system's allocator as it came, and a tally neither
// allocates nor panics.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        count_bytes(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        count_bytes(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_allocation();
        count_bytes(size, layout.size());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::realloc`, and the block is one
        // of the system's allocator.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count_bytes(0, layout.size());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`, and the block is one
        // of the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }
}
