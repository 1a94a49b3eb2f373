//! What two threads, one a direction, cost each other.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use conniver::{Conn, Options};

use super::{NullStream, read, write};
use crate::bench::{
    cost::{Cost, Trouble},
    counting_allocator::allocations_in,
    timing::{ROUNDS, Rounds},
};

/// Reads of the one thread, and writes of the other, in a round.
const OPERATIONS: u32 = 20_000;

pub(in crate::bench::figures) fn two_threads() -> Result<Cost, Trouble> {
    if thread::available_parallelism()?.get() < 2 {
        return Err(Trouble::Skipped("one processor"));
    }
    let mut rounds = Rounds::default();
    let mut allocations = 0;
    for _ in 0..ROUNDS {
        let alone = one_after_the_other();
        let (together, more) = at_the_same_time();
        rounds.add(alone, together);
        allocations += more;
    }
    let operations = ROUNDS as f64 * 2.0 * f64::from(OPERATIONS);
    Ok(Cost::timed(rounds.timing(), allocations as f64 / operations))
}

/// Nanoseconds an operation of the slower direction, if one thread does both.
fn one_after_the_other() -> f64 {
    let conn = Apart::new();
    let open = AtomicU32::new(1);
    let (reader, writer) = (reads(&conn, &open), writes(&conn, &open));
    nanos_each((reader.end - reader.start).max(writer.end - writer.start))
}

/// Nanoseconds an operation from the start of both threads to the end of both, and allocations.
fn at_the_same_time() -> (f64, u64) {
    loop {
        let conn = Apart::new();
        let gate = AtomicU32::new(0);
        let (reader, writer) = thread::scope(|scope| {
            let writer = scope.spawn(|| writes(&conn, &gate));
            let reader = reads(&conn, &gate);
            (reader, writer.join().expect("a null stream does not panic"))
        });
        let first = reader.start.min(writer.start);
        let second = reader.start.max(writer.start);
        // On a busy machine the one may have had its turn after the other.
        if second - first < Duration::from_micros(2) {
            let elapsed = reader.end.max(writer.end) - first;
            return (nanos_each(elapsed), reader.allocations + writer.allocations);
        }
    }
}

fn nanos_each(elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / f64::from(OPERATIONS)
}

/// A connection that shares no cache line with the stack of the thread that made it.
#[repr(align(128))]
struct Apart(Conn<NullStream>);

impl Apart {
    fn new() -> Self {
        Self(Options::new().wrap_opaque(NullStream))
    }
}

#[inline(never)]
fn reads(conn: &Apart, gate: &AtomicU32) -> Span {
    Span::of(gate, || read(&mut &conn.0))
}

#[inline(never)]
fn writes(conn: &Apart, gate: &AtomicU32) -> Span {
    Span::of(gate, || write(&mut &conn.0))
}

/// When a thread did its operations, and what it allocated for them.
struct Span {
    start: Instant,
    end: Instant,
    allocations: u64,
}

impl Span {
    /// Starts when two have come to the gate.
    #[inline(always)]
    fn of(gate: &AtomicU32, operation: impl Fn()) -> Self {
        gate.fetch_add(1, Ordering::AcqRel);
        while gate.load(Ordering::Acquire) < 2 {
            spin_loop();
        }
        let start = Instant::now();
        let ((), allocations) = allocations_in(|| (0..OPERATIONS).for_each(|_| operation()));
        let end = Instant::now();
        Self { start, end, allocations }
    }
}
