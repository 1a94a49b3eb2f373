//! Leaks and stalls, and what happened between two points of a connection.

#![cfg(target_os = "linux")]

use std::{
    hint,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use conniver::{Alarm, Exchange, Options, Query, Tracker, Trouble, Watchdog};

const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_millis(350);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn troubles(watchdog: &mut Watchdog) -> Vec<Trouble> {
    watchdog.look().into_iter().map(|alarm| alarm.trouble).collect()
}

/// Looks until there is trouble.
fn await_trouble(watchdog: &mut Watchdog) -> Alarm {
    let begin = Instant::now();
    loop {
        if let Some(alarm) = watchdog.look().pop() {
            return alarm;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no trouble was found");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_not_asked_for_is_not_looked_for() {
    let tracker = Tracker::new();
    let (client, _server) = pair();
    let _conn = Options::new().tracker(&tracker).wrap(client);
    thread::sleep(LATER);
    assert!(troubles(&mut Watchdog::new(&tracker)).is_empty());
    assert!(troubles(&mut Watchdog::new(&tracker).stalled(SOON).half_closed(SOON)).is_empty());
}

#[test]
fn an_idle_connection_is_found_and_told_of_once_each_time() {
    let tracker = Tracker::new();
    let mut conn = Options::new().tracker(&tracker).wrap_opaque(io::sink());
    let mut watchdog = Watchdog::new(&tracker).idle(SOON);
    assert!(troubles(&mut watchdog).is_empty());
    thread::sleep(LATER);
    let [Trouble::Idle(time)] = troubles(&mut watchdog)[..] else { panic!("not found") };
    assert!(time >= SOON && time < Duration::from_secs(60));

    let mut told = Vec::new();
    watchdog.watch(|alarm| told.push(alarm.to_string()));
    watchdog.watch(|alarm| told.push(alarm.to_string()));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("idle for "), "{told:?}");
    assert_eq!(troubles(&mut watchdog).len(), 1, "looking says it again");
    conn.write_all(&[1]).unwrap();
    watchdog.watch(|alarm| told.push(alarm.to_string()));
    thread::sleep(LATER);
    watchdog.watch(|alarm| told.push(alarm.to_string()));
    assert_eq!(told.len(), 2, "once more after it had moved something");
}

#[test]
fn only_those_of_the_query_are_looked_at() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let _one = options.clone().category("one").wrap_opaque(io::sink());
    let _two = options.clone().category("two").wrap_opaque(io::sink());
    thread::sleep(LATER);
    let mut watchdog = Watchdog::new(&tracker).only(Query::new().category("two")).idle(SOON);
    let alarms = watchdog.look();
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].conn.category(), Some("two"));
}

#[test]
fn a_connection_that_only_one_side_ended_is_found() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let mut watchdog = Watchdog::new(&tracker).half_closed(SOON);

    let (client, server) = pair();
    let mut conn = options.wrap(client);
    conn.shutdown(Shutdown::Write).unwrap();
    assert!(troubles(&mut watchdog).is_empty(), "not for so long");
    assert!(
        matches!(await_trouble(&mut watchdog).trouble, Trouble::HalfClosed(time) if time >= SOON)
    );
    drop(server);
    assert_eq!(conn.read(&mut [0; 8]).unwrap(), 0);
    assert!(troubles(&mut watchdog).is_empty(), "now both sides have ended");
    drop(conn);

    let (client, server) = pair();
    let mut conn = options.wrap(client);
    drop(server);
    assert_eq!(conn.read(&mut [0; 8]).unwrap(), 0);
    assert!(matches!(await_trouble(&mut watchdog).trouble, Trouble::HalfClosed(_)));
}

/// The classic leak: the peer has closed, and the program neither reads nor closes.
#[test]
fn an_end_that_nobody_reads_is_found() {
    let tracker = Tracker::new();
    let (client, server) = pair();
    let conn = Options::new().tracker(&tracker).wrap(client);
    let mut watchdog = Watchdog::new(&tracker).half_closed(SOON);
    assert!(troubles(&mut watchdog).is_empty());
    drop(server);
    assert!(
        matches!(await_trouble(&mut watchdog).trouble, Trouble::HalfClosed(time) if time >= SOON)
    );
    drop(conn);
    assert!(troubles(&mut watchdog).is_empty());
}

#[test]
fn a_peer_that_does_not_read_stalls_the_connection() {
    let tracker = Tracker::new();
    let (client, mut server) = pair();
    let mut conn = Options::new().tracker(&tracker).wrap(client);
    let mut watchdog = Watchdog::new(&tracker).stalled(SOON);
    conn.set_nonblocking(true).unwrap();
    let begin = Instant::now();
    // Until nothing has gone into the full queue for a while.
    let mut last = Instant::now();
    while last.elapsed() < SOON && begin.elapsed() < Duration::from_secs(60) {
        match conn.write(&[0; 1 << 16]) {
            Ok(bytes) => {
                assert!(bytes > 0);
                last = Instant::now();
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    let alarm = await_trouble(&mut watchdog);
    assert!(matches!(alarm.trouble, Trouble::Stalled(time) if time >= SOON), "{alarm}");

    // The peer takes everything: nothing waits any more.
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while server.read(&mut vec![0; 1 << 20]).is_ok_and(|bytes| bytes > 0) {}
    assert!(troubles(&mut watchdog).is_empty());
    thread::sleep(LATER);
    assert!(troubles(&mut watchdog).is_empty(), "idle is not stalled");
}

#[test]
fn a_mark_says_what_happened_since() {
    let (client, mut server) = pair();
    let mut conn = Options::new().wrap(client);
    conn.write_all(&[0; 1000]).unwrap();
    let mark = conn.handle().mark();
    assert_eq!(mark.handle().id(), conn.handle().id());
    conn.write_all(&[0; 500]).unwrap();
    server.write_all(&[0; 30]).unwrap();
    conn.read_exact(&mut [0; 30]).unwrap();
    thread::sleep(Duration::from_millis(5));
    let difference = mark.difference();
    assert_eq!((difference.tx_bytes, difference.rx_bytes), (500, 30));
    assert!(difference.took >= Duration::from_millis(5));
    assert_eq!(difference.retransmitted_segs, Some(0));
    assert!(difference.rtt_before.is_some() && difference.rtt_after.is_some());
    assert!(!difference.is_shared);

    let (_, report) = conn.into_inner();
    assert_eq!(report.tx_bytes, 1500);
    let after = mark.difference();
    assert_eq!((after.tx_bytes, after.rtt_after), (500, None), "the socket is not ours any more");
}

/// Time that the peer's window holds data back is that of the marked request.
#[test]
fn a_mark_tells_the_time_that_was_lost_to_the_peer() {
    let (client, mut server) = pair();
    let mut conn = Options::new().wrap(client);
    let mark = conn.handle().mark();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(150));
        io::copy(&mut server, &mut io::sink()).unwrap()
    });
    // More than all the buffers between the two hold.
    for _ in 0..256 {
        conn.write_all(&[0; 1 << 16]).unwrap();
    }
    let difference = mark.difference();
    assert_eq!(difference.tx_bytes, 1 << 24);
    let limited = difference.peer_window_limited.unwrap() + difference.send_buffer_limited.unwrap();
    assert!(limited >= Duration::from_millis(50), "{difference:?}");
    assert!(limited <= difference.took + Duration::from_millis(20), "{difference:?}");
    drop(conn);
    assert_eq!(reader.join().unwrap(), 1 << 24);
}

#[test]
fn marks_that_overlap_are_shared() {
    let conn = Options::new().wrap_opaque(io::sink());
    let handle = conn.handle();
    let first = handle.mark();
    assert!(!first.difference().is_shared);
    drop(first);
    let second = handle.mark();
    assert!(!second.difference().is_shared, "one after the other");
    let third = handle.mark();
    assert!(second.difference().is_shared && third.difference().is_shared);
    drop(second);
    assert!(third.difference().is_shared, "it was, at its beginning");
    drop(third);
    let fourth = handle.mark();
    drop(handle.mark());
    assert!(fourth.difference().is_shared, "another came and went");
}

#[test]
fn of_two_marks_that_are_set_at_the_same_time_each_knows_of_the_other() {
    let conn = Options::new().wrap_opaque(io::empty());
    let handle = conn.handle();
    let steps = [AtomicU32::new(0), AtomicU32::new(0)];
    let end = Instant::now() + Duration::from_millis(500);
    thread::scope(|scope| {
        for (ours, theirs) in [(0, 1), (1, 0)] {
            let (steps, handle) = (&steps, &handle);
            scope.spawn(move || {
                let mut step = 0;
                // Whether the other one came too.
                let mut meet = || {
                    step += 1;
                    steps[ours].store(step, SeqCst);
                    for spins in 1_u32.. {
                        match steps[theirs].load(SeqCst) {
                            u32::MAX => return false,
                            their_step if their_step >= step => break,
                            // With one processor it cannot come otherwise.
                            _ if spins % 1024 == 0 => thread::yield_now(),
                            _ => hint::spin_loop(),
                        }
                    }
                    true
                };
                let mut unaware = 0;
                while Instant::now() < end && meet() {
                    let exchange = Exchange::begin_counts(handle);
                    meet();
                    unaware += u32::from(!exchange.difference().is_shared);
                    meet();
                    drop(exchange);
                }
                steps[ours].store(u32::MAX, SeqCst);
                assert_eq!(unaware, 0);
            });
        }
    });
    assert!(!handle.mark().difference().is_shared, "the others are gone");
}
