//! What a read or write through the wrapper must not do.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{self, IoSlice, Read, Write},
    sync::Barrier,
    thread,
};

use conniver::{Options, Report};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn reading_and_writing_allocate_nothing() {
    let mut conn = Options::new().wrap_opaque(io::Cursor::new(vec![0; 1 << 16]));
    let mut buf = [0; 64];
    let count = allocations(|| {
        for _ in 0..100 {
            conn.read_exact(&mut buf).unwrap();
            conn.write_all(&buf).unwrap();
            let _ = conn.write_vectored(&[IoSlice::new(&buf), IoSlice::new(&buf)]).unwrap();
        }
    });
    assert_eq!(count, 0);

    let conn = Options::new().wrap_opaque(Null);
    let count = allocations(|| {
        for _ in 0..100 {
            (&conn).write_all(&buf).unwrap();
            (&conn).read_exact(&mut buf).unwrap();
        }
    });
    assert_eq!(count, 0);
}

/// Moves whatever it is given.
struct Null;

impl Read for &Null {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(buf.len())
    }
}

impl Write for &Null {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_whole_life_without_facts_takes_at_most_two_allocations() {
    let options = Options::new().observer(|report: &Report| assert_eq!(report.rx_bytes, 0));
    let count = allocations(|| drop(options.wrap_opaque(io::empty())));
    assert!((1..=2).contains(&count), "{count} allocations");
    assert_eq!(options.observer_panics(), 0);
}

#[test]
fn threads_that_share_a_connection_allocate_nothing_after_their_first_operation() {
    let conn = Options::new().wrap_opaque(Null);
    let begun = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut buf = [0; 64];
                let mut both = || {
                    (&conn).write_all(&buf).unwrap();
                    (&conn).read_exact(&mut buf).unwrap();
                };
                both();
                begun.wait();
                assert_eq!(allocations(|| (0..100).for_each(|_| both())), 0);
            });
        }
    });
    assert_eq!(conn.snapshot().tx_ops, 202);
}
