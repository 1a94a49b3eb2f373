//! What a read or write through the wrapper must not do.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{self, IoSlice, Read, Write},
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

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_behind_neither_threads_nor_descriptors() {
    // Other tests of this file open no descriptors and the harness keeps its threads.
    let entries = |directory: &str| std::fs::read_dir(directory).unwrap().count();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let before = entries("/proc/self/fd");
    for _ in 0..10 {
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let conn = Options::new().wrap(stream);
        let _ = (conn.snapshot(), conn.handle());
        listener.accept().unwrap();
    }
    assert_eq!(entries("/proc/self/fd"), before);
}
