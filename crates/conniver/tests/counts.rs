//! Counts equal what was moved, whatever the stream does and however many threads share it.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use conniver::Options;
use proptest::prelude::*;

/// What a scripted stream does next.
#[derive(Debug, Clone)]
enum Step {
    /// Moves at most this many bytes.
    Move(usize),
    Fail(io::ErrorKind),
    End,
}

/// A stream that follows a script and counts for itself what it moved.
struct Scripted {
    steps: std::vec::IntoIter<Step>,
    moved: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
}

impl Scripted {
    fn next(&mut self, room: usize) -> io::Result<usize> {
        let moved = match self.steps.next() {
            Some(Step::Move(most)) => room.min(most),
            Some(Step::Fail(kind)) => return Err(kind.into()),
            Some(Step::End) | None => 0,
        };
        self.moved.fetch_add(moved as u64, Relaxed);
        self.calls.fetch_add(u64::from(moved > 0), Relaxed);
        Ok(moved)
    }
}

impl Read for Scripted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.next(buf.len())
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.next(bufs.iter().map(|buf| buf.len()).sum())
    }
}

impl Write for Scripted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.next(buf.len())
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.next(bufs.iter().map(|buf| buf.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next(0).map(drop)
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..5000).prop_map(Step::Move),
        1 => prop_oneof![
            Just(io::ErrorKind::WouldBlock),
            Just(io::ErrorKind::Interrupted),
            Just(io::ErrorKind::ConnectionReset),
            Just(io::ErrorKind::TimedOut),
        ].prop_map(Step::Fail),
        1 => Just(Step::End),
    ]
}

proptest! {
    #[test]
    fn counts_equal_what_the_stream_moved(
        steps in prop::collection::vec(step(), 0..60),
        sizes in prop::collection::vec(0usize..4000, 0..60),
        vectored in any::<bool>(),
        reading in any::<bool>(),
    ) {
        let (moved, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let failed = steps.iter().take(sizes.len()).rev().find_map(|step| match step {
            Step::Fail(kind @ io::ErrorKind::ConnectionReset) => Some(*kind),
            _ => None,
        });
        let stream = Scripted {
            steps: steps.into_iter(),
            moved: Arc::clone(&moved),
            calls: Arc::clone(&calls),
        };
        let mut conn = Options::new().wrap_opaque(stream);
        for size in sizes {
            let (mut a, mut b) = (vec![0; size / 3], vec![0; size - size / 3]);
            let _ = match (reading, vectored) {
                (true, false) => conn.read(&mut a),
                (true, true) => {
                    conn.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])
                }
                (false, false) => conn.write(&a),
                (false, true) => conn.write_vectored(&[IoSlice::new(&a), IoSlice::new(&b)]),
            };
        }
        let (_, report) = conn.into_inner();
        let (ours, ops, idle, error) = if reading {
            (report.rx_bytes, report.rx_ops, report.tx_bytes, &report.rx_err)
        } else {
            (report.tx_bytes, report.tx_ops, report.rx_bytes, &report.tx_err)
        };
        prop_assert_eq!(ours, moved.load(Relaxed));
        prop_assert_eq!(ops, calls.load(Relaxed));
        prop_assert_eq!(idle, 0);
        prop_assert_eq!(error.as_ref().map(|failure| failure.kind), failed);
    }
}

#[test]
fn one_thread_reads_while_another_writes_and_the_peer_counts_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let peer = thread::spawn(move || {
        let mut received = 0u64;
        let mut buf = [0; 4096];
        loop {
            match server.read(&mut buf).unwrap() {
                0 => return received,
                n => {
                    received += n as u64;
                    server.write_all(&buf[..n]).unwrap();
                }
            }
        }
    });
    let conn = Options::new().wrap(client);
    let echoed = thread::scope(|scope| {
        let reader = scope.spawn(|| io::copy(&mut &conn, &mut io::sink()).unwrap());
        for size in 0..600 {
            (&conn).write_all(&vec![1; size]).unwrap();
        }
        conn.shutdown(std::net::Shutdown::Write).unwrap();
        reader.join().unwrap()
    });
    let received = peer.join().unwrap();
    let (_, report) = conn.into_inner();
    assert_eq!(report.tx_bytes, received);
    assert_eq!((report.rx_bytes, echoed), (received, received));
}

/// Moves whatever it is given, from as many threads as like.
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

impl Write for Null {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn many_threads_in_the_same_direction_lose_no_byte() {
    const ROUNDS: usize = 20_000;
    let conn = Options::new().wrap_opaque(Null);
    for _ in 0..2 {
        // The second time around, the thread that owned the direction is gone.
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for size in 1..=4 {
                let (conn, start) = (&conn, &start);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..ROUNDS {
                        (&mut &*conn).write_all(&[0; 8][..size]).unwrap();
                        (&mut &*conn).read_exact(&mut [0; 8][..size]).unwrap();
                    }
                });
            }
        });
    }
    let report = conn.snapshot();
    let rounds = 2 * ROUNDS as u64;
    assert_eq!((report.tx_bytes, report.rx_bytes), (10 * rounds, 10 * rounds));
    assert_eq!((report.tx_ops, report.rx_ops), (4 * rounds, 4 * rounds));
    assert!(report.last_tx_at >= report.first_tx_at);
}

/// The first moment is exact and the last one to the tick, which may lie before it.
#[test]
fn the_last_byte_is_never_before_the_first() {
    for _ in 0..1000 {
        let mut conn = Options::new().wrap_opaque(Null);
        let before = conn.snapshot().taken_at;
        for _ in 0..3 {
            conn.write_all(&[0; 1]).unwrap();
            (&conn).read_exact(&mut [0; 1]).unwrap();
            let now = conn.snapshot();
            assert!(before <= now.first_tx_at.unwrap() && before <= now.first_rx_at.unwrap());
            assert!(now.first_tx_at <= now.last_tx_at && now.first_rx_at <= now.last_rx_at);
            assert!(now.last_tx_at.unwrap() <= now.taken_at);
        }
    }
}

#[test]
fn the_last_byte_may_be_that_of_any_thread() {
    let conn = Options::new().wrap_opaque(Null);
    (&conn).write_all(&[0; 1]).unwrap();
    let of_first_thread = conn.snapshot().last_tx_at;
    thread::scope(|scope| {
        scope.spawn(|| {
            let give_up = Instant::now() + Duration::from_secs(60);
            while conn.snapshot().last_tx_at == of_first_thread && Instant::now() < give_up {
                (&conn).write_all(&[0; 1]).unwrap();
            }
        });
    });
    assert!(conn.snapshot().last_tx_at > of_first_thread);
}

#[test]
fn ages_go_on_as_the_monotonic_clock_does() {
    let before = Instant::now();
    let conn = Options::new().wrap_opaque(Null);
    let after = Instant::now();
    thread::sleep(Duration::from_millis(20));
    let least = after.elapsed();
    let age = conn.snapshot().age();
    assert!(least <= age && age <= before.elapsed(), "{age:?}");
}

#[test]
fn exclusive_and_shared_use_add_up() {
    let mut conn = Options::new().wrap_opaque(Null);
    thread::scope(|scope| {
        scope.spawn(|| (&conn).write_all(&[0; 10]).unwrap());
    });
    conn.write_all(&[0; 5]).unwrap();
    (&conn).write_all(&[0; 3]).unwrap();
    thread::spawn(move || {
        conn.write_all(&[0; 2]).unwrap();
        assert_eq!((conn.snapshot().tx_bytes, conn.snapshot().tx_ops), (20, 4));
    })
    .join()
    .unwrap();
}
