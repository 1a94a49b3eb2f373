//! Everything at the same time: connections that threads open, use, share and close while their
//! descriptors are given out again, and others that list, ask and sum up.
//!
//! `CONNIVER_STRESS_SECONDS` says for how long; one and a half if it is not set.

#![cfg(target_os = "linux")]

mod pace;

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use conniver::{
    CloseReason, Conn, ConnId, Handle, Observer, Options, Order, Query, Report, Role, Totals,
    Tracker,
};
use pace::limit_pace;
use tcpinfo::{TcpInfo, native::Native};

const WORKERS: u64 = 3;

/// How many ended connections are remembered.
const MEMORY: usize = 32;

/// How many connections are listed: less than there mostly are.
const LIMIT: usize = 12;

/// How many connections any thread may use.
const SHARED: usize = 16;

/// Each socket bears a number of its own, as a pace above what it could slow down, which the kernel
/// tells with its facts. Its connection bears the same number in `reconnects`, once it has it.
const PACE: u32 = 1 << 30;

type Shared = Arc<Conn<TcpStream>>;

#[derive(Default)]
struct World {
    is_over: AtomicBool,
    marks: AtomicU32,
    shared: Mutex<Vec<Shared>>,
    opened: AtomicU64,
    observed: AtomicU64,
    given_back: AtomicU64,
    rx_bytes: AtomicU64,
    tx_bytes: AtomicU64,
}

/// Is told of every connection's opening and end, and finds out if one is missing or twice.
#[derive(Clone, Default)]
struct Ledger(Arc<Entries>);

#[derive(Default)]
struct Entries {
    open: Mutex<HashSet<ConnId>>,
    opened: AtomicU64,
    closed: AtomicU64,
    wrong: AtomicU64,
}

impl Ledger {
    fn strike_out(&self, id: ConnId) {
        if !self.0.open.lock().unwrap().remove(&id) {
            self.0.wrong.fetch_add(1, Relaxed);
        }
    }
}

impl Observer for Ledger {
    fn opened(&self, conn: &Handle) {
        self.0.opened.fetch_add(1, Relaxed);
        if !self.0.open.lock().unwrap().insert(conn.id()) {
            self.0.wrong.fetch_add(1, Relaxed);
        }
    }

    fn closed(&self, report: &Report) {
        self.0.closed.fetch_add(1, Relaxed);
        self.strike_out(report.id);
        if !bears_its_mark(report.reconnects, report.closed_info()) {
            self.0.wrong.fetch_add(1, Relaxed);
        }
    }
}

/// Tells the others to stop, also when something went wrong.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Small numbers without a pattern.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % sides
    }
}

#[test]
fn nothing_is_lost_mixed_up_or_counted_twice() {
    let seconds = std::env::var("CONNIVER_STRESS_SECONDS")
        .map_or(1.5, |text| text.parse().expect("CONNIVER_STRESS_SECONDS is a number of seconds"));
    let tracker = Tracker::builder().ended(MEMORY).limit(LIMIT).build();
    let ledger = Ledger::default();
    let options = Options::new().tracker(&tracker);
    let observed = options.clone().role(Role::Client).observer(ledger.clone());
    let world = World::default();

    let (facts, remembered) = thread::scope(|scope| {
        let _stop = Stop(&world.is_over);
        for seed in 1..=WORKERS {
            let (world, ledger) = (&world, &ledger);
            // One thread shares its options' counts with nobody.
            let options = if seed == 1 { options.clone() } else { options.clone().category("x") };
            let observed = observed.clone();
            scope.spawn(move || {
                let _stop = Stop(&world.is_over);
                work(world, &options, &observed, ledger, Dice(seed << 40 | 0x9e37_79b9));
            });
        }
        let bookkeeper = scope.spawn(|| {
            let _stop = Stop(&world.is_over);
            keep_books(&world, &tracker)
        });
        let facts = list(&world, &tracker, Duration::from_secs_f64(seconds));
        world.is_over.store(true, Relaxed);
        (facts, bookkeeper.join().unwrap())
    });
    assert!(tracker.len() <= LIMIT);
    let shared = std::mem::take(&mut *world.shared.lock().unwrap());
    assert_eq!(tracker.totals().open, shared.len() as u64);
    drop(shared);

    let [opened, told, given_back, rx_bytes, tx_bytes] =
        [&world.opened, &world.observed, &world.given_back, &world.rx_bytes, &world.tx_bytes]
            .map(|count| count.load(Relaxed));
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.closed(), totals.open), (opened, opened, 0));
    assert_eq!((totals.rx_bytes, totals.tx_bytes), (rx_bytes, tx_bytes));
    assert_eq!(totals.closed_by(CloseReason::GivenBack), given_back);
    assert_eq!(tracker.ended().len(), MEMORY);
    assert!(tracker.is_empty() && tracker.connections().is_empty());

    let entries = &ledger.0;
    assert_eq!(observed.observer_panics(), 0);
    assert_eq!(entries.wrong.load(Relaxed), 0, "told of twice or too early, or of another's facts");
    assert_eq!(entries.opened.load(Relaxed), told);
    assert_eq!(entries.closed.load(Relaxed), told - given_back);
    assert!(entries.open.lock().unwrap().is_empty());

    println!(
        "{opened} connections, {} beyond the limit; {facts} facts of live ones and {remembered} of \
         ended ones were their own",
        totals.unlisted
    );
    assert!(opened > 100 && totals.unlisted > 0 && facts > 100 && remembered > 100);
}

/// Opens connections and does with each what the dice say, and with those of others too.
fn work(world: &World, options: &Options, observed: &Options, ledger: &Ledger, mut dice: Dice) {
    while !world.is_over.load(Relaxed) {
        // A listener now and then, so that addresses do not run out.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..16 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let client = world.wrap(observed, client, &mut dice);
            let server = world.wrap(options, server, &mut dice);
            world.observed.fetch_add(1, Relaxed);
            world.send(&client, dice.roll(500));
            world.receive(&server);
            world.send(&server, dice.roll(500));
            if dice.roll(8) == 0 {
                let id = client.handle().id();
                let (stream, _) = client.into_inner();
                world.given_back.fetch_add(1, Relaxed);
                ledger.strike_out(id);
                drop((stream, server));
                continue;
            }
            match dice.roll(4) {
                0 => drop((client, server)),
                1 => client.close().unwrap(),
                _ => {
                    world.share(client, &mut dice);
                    world.share(server, &mut dice);
                }
            }
            for _ in 0..dice.roll(4) {
                world.use_one_of_all(&mut dice);
            }
        }
    }
}

impl World {
    fn wrap(&self, options: &Options, stream: TcpStream, dice: &mut Dice) -> Conn<TcpStream> {
        let mark = self.marks.fetch_add(1, Relaxed) + 1;
        limit_pace(&stream, PACE + mark);
        stream.set_nonblocking(true).unwrap();
        if dice.roll(3) > 0 {
            // Most end by a reset, which frees their addresses at once.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let conn = options.wrap(stream);
        self.opened.fetch_add(1, Relaxed);
        conn.set_reconnects(mark);
        conn
    }

    /// Writes, perhaps while others write to the same; the peer may be gone, or read nothing.
    fn send(&self, mut conn: &Conn<TcpStream>, bytes: usize) {
        if let Ok(sent) = conn.write(&[7; 500][..bytes]) {
            self.tx_bytes.fetch_add(sent as u64, Relaxed);
        }
    }

    fn receive(&self, mut conn: &Conn<TcpStream>) {
        if let Ok(received) = conn.read(&mut [0; 300]) {
            self.rx_bytes.fetch_add(received as u64, Relaxed);
        }
    }

    /// Hands a connection over to all, in place of another, which may end here or where it is used.
    fn share(&self, conn: Conn<TcpStream>, dice: &mut Dice) {
        let mut shared = self.shared.lock().unwrap();
        let replaced = if shared.len() < SHARED {
            shared.push(Arc::new(conn));
            None
        } else {
            Some(std::mem::replace(&mut shared[dice.roll(SHARED)], Arc::new(conn)))
        };
        drop(shared);
        drop(replaced);
    }

    fn use_one_of_all(&self, dice: &mut Dice) {
        let conn = {
            let shared = self.shared.lock().unwrap();
            if shared.is_empty() {
                return;
            }
            Arc::clone(&shared[dice.roll(shared.len())])
        };
        self.send(&conn, dice.roll(50));
        self.receive(&conn);
    }
}

/// Lists and asks until the time is over; how many facts there were.
fn list(world: &World, tracker: &Tracker, time: Duration) -> u64 {
    let begin = Instant::now();
    let mut facts = 0;
    let mut handles: Vec<Handle> = Vec::new();
    while begin.elapsed() < time && !world.is_over.load(Relaxed) {
        let list = tracker.query(&Query::new().facts(true).order(Order::Oldest));
        let ids: HashSet<_> = list.iter().map(conniver::Connection::id).collect();
        assert_eq!(ids.len(), list.len(), "each is listed once");
        for conn in &list {
            assert!(conn.info_err().is_none(), "{:?}", conn.info_err());
            facts += u64::from(conn.info().is_some());
            assert!(bears_its_mark(conn.snapshot().reconnects, conn.info()), "{conn}");
        }
        // Of an earlier list: by now most are over.
        for handle in handles.drain(..) {
            let was_over = handle.ended_at().is_some();
            if let Some(info) = handle.tcp_info() {
                assert!(!was_over, "{handle:?}");
                assert!(bears_its_mark(handle.snapshot().reconnects, info.ok()), "{handle:?}");
            }
        }
        handles.extend(list.iter().map(|conn| conn.handle().clone()));
    }
    facts
}

/// Sums up and reads what is remembered until the time is over; how many facts of it there were.
fn keep_books(world: &World, tracker: &Tracker) -> u64 {
    let mut before = Totals::default();
    let mut facts = 0;
    while !world.is_over.load(Relaxed) {
        let now = tracker.totals();
        assert!(now.opened >= before.opened && now.closed() >= before.closed());
        assert!(now.closed() <= now.opened, "{now:?}");
        assert_eq!(now.open, now.opened - now.closed());
        assert!(now.rx_bytes >= before.rx_bytes, "{before:?}, then {now:?}");
        assert!(now.tx_bytes >= before.tx_bytes, "{before:?}, then {now:?}");
        assert!(now.rx_ops >= before.rx_ops && now.tx_ops >= before.tx_ops);
        assert!(now.unlisted >= before.unlisted && now.lived >= before.lived);
        before = now;

        let ended = tracker.ended();
        assert!(ended.len() <= MEMORY);
        assert!(ended.is_sorted_by(|one, next| one.closed_at >= next.closed_at));
        let ids: HashSet<_> = ended.iter().map(|report| report.id).collect();
        assert_eq!(ids.len(), ended.len(), "each ends once");
        for report in &ended {
            let info = report.closed_info();
            facts += u64::from(info.is_some());
            assert!(bears_its_mark(report.reconnects, info), "{report}");
        }
    }
    facts
}

/// Whether facts are those of the socket with this mark, as far as both are there.
fn bears_its_mark(mark: u32, info: Option<TcpInfo>) -> bool {
    let Some(info) = info.filter(|_| mark != 0) else { return true };
    let Native::Linux(info) = info.native() else { return false };
    info.max_pacing_rate().value() == Some(u64::from(PACE + mark))
}
