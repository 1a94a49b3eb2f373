//! What it costs to know every connection.

use std::{
    hint::black_box,
    net::TcpStream,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use conniver::{Conn, Options, Query, Role, Tracker};
use prometheus_client::{encoding::text, registry::Registry};

use super::io::{NullStream, read, write};
use crate::bench::{
    bare::BareSocket,
    cost::{Cost, Trouble},
    counting_allocator::allocations_each,
    sockets::loopback_pair,
    timing::{ROUNDS, Rounds, Timing, nanos_each},
};

/// Connections in a long list.
const MANY: usize = 100_000;

/// Pairs of sockets in a list with facts, fewer than the descriptors that a process may have.
const PAIRS: usize = 400;

/// Rounds of what takes milliseconds.
const LONG_ROUNDS: usize = 31;

pub(super) fn churn() -> Result<Cost, Trouble> {
    let tracker = Tracker::new();
    let (plain, tracked) = (options(), options().tracker(&tracker));
    Ok(Cost::of(|| churn_once(&plain), || churn_once(&tracked)))
}

pub(super) fn churn_by_two_threads() -> Result<Cost, Trouble> {
    const OPERATIONS: u32 = 20_000;

    if thread::available_parallelism()?.get() < 2 {
        return Err(Trouble::Skipped("one processor"));
    }
    let tracker = Tracker::new();
    let options = options().tracker(&tracker);
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let alone = nanos_each(OPERATIONS, || churn_once(&options));
        let gate = Barrier::new(2);
        // A clone each, as a server has that accepts in two threads.
        let half = || {
            let options = options.clone();
            gate.wait();
            nanos_each(OPERATIONS, || churn_once(&options))
        };
        let together = thread::scope(|scope| {
            let other = scope.spawn(half);
            half().max(other.join().expect("a null stream does not panic"))
        });
        rounds.add(alone, together);
    }
    Ok(Cost::timed(rounds.timing(), allocations_each(|| churn_once(&options))))
}

pub(super) fn io() -> Result<Cost, Trouble> {
    let tracker = Tracker::new();
    let mut plain = options().wrap_opaque(NullStream);
    let mut tracked = options().tracker(&tracker).wrap_opaque(NullStream);
    let reading = Cost::of(|| read(&mut plain), || read(&mut tracked));
    let writing = Cost::of(|| write(&mut plain), || write(&mut tracked));
    Ok(reading.worse(writing))
}

pub(super) fn list() -> Result<Cost, Trouble> {
    let (tracker, conns) = many();
    let handles: Vec<_> = conns.iter().map(Conn::handle).collect();
    let floor = || handles.iter().map(|handle| handle.rx_bytes() + handle.tx_bytes()).sum::<u64>();
    let mut rounds = Rounds::default();
    for _ in 0..LONG_ROUNDS {
        let floor = nanos_each(1, || {
            black_box(floor());
        });
        let mut list = Vec::new();
        let subject = nanos_each(1, || list = tracker.connections());
        assert_eq!(black_box(list).len(), MANY);
        rounds.add(floor, subject);
    }
    let allocs = allocations_each(|| drop(black_box(tracker.connections())));
    Ok(Cost::timed(rounds.timing(), allocs))
}

pub(super) fn wait() -> Result<Cost, Trouble> {
    let (tracker, _conns) = many();
    let options = options().tracker(&tracker);
    let mut rounds = Rounds::default();
    for _ in 0..LONG_ROUNDS {
        let list = || drop(black_box(tracker.connections()));
        let nothing = || thread::sleep(Duration::from_millis(5));
        rounds.add(longest_during(&options, nothing), longest_during(&options, list));
    }
    Ok(Cost::timed(rounds.timing(), 0.0))
}

/// The longest that wrapping or dropping a connection takes while something else happens.
fn longest_during(options: &Options, work: impl FnOnce() + Send) -> f64 {
    let done = AtomicBool::new(false);
    let gate = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait();
            work();
            done.store(true, Relaxed);
        });
        gate.wait();
        let mut longest = Duration::ZERO;
        while !done.load(Relaxed) {
            let begin = Instant::now();
            churn_once(options);
            longest = longest.max(begin.elapsed());
        }
        longest.as_nanos() as f64
    })
}

pub(super) fn list_with_facts() -> Result<Cost, Trouble> {
    let tracker = Tracker::new();
    let options = Options::new().facts(false).tracker(&tracker);
    let mut conns: Vec<Conn<TcpStream>> = Vec::with_capacity(2 * PAIRS);
    for _ in 0..PAIRS {
        let (client, server) = loopback_pair()?;
        conns.extend([options.wrap(client), options.wrap(server)]);
    }
    let query = Query::new().facts(true);
    let mut bare: Vec<_> = conns.iter().map(BareSocket::new).collect();
    let floor = || {
        for socket in &mut bare {
            socket.tcp_info();
            socket.tcp_congestion();
        }
    };
    let subject = || {
        let list = tracker.query(&query);
        assert_eq!(black_box(list).len(), conns.len());
    };
    let allocs = allocations_each(subject) / conns.len() as f64;
    let timing = Timing::of(floor, subject);
    let each = |nanos: f64| nanos / conns.len() as f64;
    let timing = Timing { subject: each(timing.subject), floor: each(timing.floor), ..timing };
    Ok(Cost::timed(timing, allocs))
}

pub(super) fn scrape() -> Result<Cost, Trouble> {
    /// What a scrape of a few groups may be long.
    const TEXT: usize = 64 << 10;

    // Many connections share each socket, as descriptors are few.
    let mut sockets = Vec::with_capacity(2 * PAIRS);
    for _ in 0..PAIRS {
        let (client, server) = loopback_pair()?;
        sockets.extend([Arc::new(client), Arc::new(server)]);
    }
    let tracker = Tracker::new();
    let groups: Vec<_> = [("api", Role::Client), ("api", Role::Server), ("db", Role::Client)]
        .into_iter()
        .map(|(category, role)| options().category(category).role(role))
        .chain([options()])
        .map(|options| options.tracker(&tracker))
        .collect();
    let mut conns = Vec::with_capacity(MANY);
    for (options, socket) in groups.iter().cycle().zip(sockets.iter().cycle()).take(MANY) {
        conns.push(options.wrap(Arc::clone(socket)));
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(tracker.collector()));
    let mut bare: Vec<_> = sockets.iter().map(BareSocket::new).collect();
    let handles: Vec<_> = conns.iter().map(Conn::handle).collect();
    let mut text = String::new();
    let mut scrape = || {
        text.clear();
        text::encode(&mut text, &registry).expect("a string takes any text");
    };
    scrape();
    let allocs = allocations_each(&mut scrape);
    let mut rounds = Rounds::default();
    for _ in 0..LONG_ROUNDS {
        let floor = nanos_each(1, || {
            for (number, handle) in handles.iter().enumerate() {
                bare[number % (2 * PAIRS)].tcp_info();
                black_box(handle.rx_bytes() + handle.tx_bytes());
            }
        });
        rounds.add(floor, nanos_each(1, &mut scrape));
    }
    if text.len() > TEXT {
        return Err(Trouble::Failed(format!("{} bytes of text", text.len())));
    }
    Ok(Cost::timed(rounds.timing(), allocs))
}

fn options() -> Options {
    Options::new().facts(false)
}

#[inline(never)]
fn churn_once(options: &Options) {
    drop(black_box(options.wrap_opaque(NullStream)));
}

fn many() -> (Tracker, Vec<Conn<NullStream>>) {
    let tracker = Tracker::new();
    let options = options().tracker(&tracker);
    let conns = (0..MANY).map(|_| options.wrap_opaque(NullStream)).collect();
    (tracker, conns)
}
