//! The caller's own code, run by the tracker's work, that uses the tracker in turn or panics.

use std::{
    cell::Cell,
    io::{self, Write},
    net::{TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use conniver::{Conn, Group, Handle, Observer, Options, Query, Report, Role, Snapshot, Tracker};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// Fails instead of waiting for ever.
fn finishes(what: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let worker = thread::spawn(move || {
        what();
        let _ = done.send(());
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it waits for itself"),
        _ => worker.join().unwrap(),
    }
}

/// Asks a tracker everything.
fn ask(tracker: &Tracker) {
    let _ = (tracker.len(), tracker.query(&Query::new().facts(true)), tracker.ended());
    let _ = (tracker.totals(), tracker.totals_by_group());
    drop(Options::new().category("inside").tracker(tracker).wrap_opaque(io::empty()));
}

/// A context that uses a tracker when it goes.
struct Asks(Tracker);

impl Drop for Asks {
    fn drop(&mut self) {
        ask(&self.0);
    }
}

/// Whoever looks may be the last to hold a connection that ended meanwhile.
#[test]
fn a_context_that_goes_while_somebody_looks_may_use_the_tracker() {
    finishes(|| {
        let tracker = Tracker::builder().ended(0).build();
        let end = Instant::now() + Duration::from_millis(400);
        thread::scope(|scope| {
            scope.spawn(|| {
                while Instant::now() < end {
                    let options = Options::new().context(Asks(tracker.clone())).tracker(&tracker);
                    let conns = [(); 8].map(|()| options.wrap_opaque(io::empty()));
                    drop(options);
                    drop(conns);
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        tracker.totals();
                        tracker.connections();
                    }
                });
            }
        });
        assert!(tracker.is_empty());
    });
}

#[test]
fn a_context_that_goes_with_what_is_forgotten_may_use_the_tracker() {
    finishes(|| {
        // It remembers connections whose contexts hold it, and forgets them again.
        let tracker = Tracker::builder().ended(2).build();
        for _ in 0..10 {
            let options = Options::new().context(Asks(tracker.clone())).tracker(&tracker);
            drop(options.wrap_opaque(io::empty()));
        }
        assert_eq!(tracker.ended().len(), 2);
        assert!(tracker.is_empty());
    });
}

/// Uses the tracker at each event.
struct Curious(Tracker);

impl Observer for Curious {
    fn opened(&self, conn: &Handle) {
        ask(&self.0);
        assert!(self.0.connections().iter().any(|listed| listed.id() == conn.id()));
    }

    fn closing(&self, conn: &Snapshot) {
        ask(&self.0);
        assert!(self.0.connections().iter().any(|listed| listed.id() == conn.id));
    }

    fn closed(&self, report: &Report) {
        ask(&self.0);
        assert!(self.0.connections().iter().all(|listed| listed.id() != report.id));
    }
}

#[test]
fn an_observer_may_use_the_tracker_at_each_event() {
    finishes(|| {
        let tracker = Tracker::new();
        let options = Options::new().tracker(&tracker).observer(Curious(tracker.clone()));
        drop(options.wrap_opaque(io::empty()));
        options.wrap_opaque(io::empty()).into_inner();
        assert_eq!(options.observer_panics(), 0);
        assert!(tracker.is_empty());
    });
}

/// A connection may end while another one's end is being told of.
#[test]
fn an_observer_may_close_other_connections_of_the_same_tracker() {
    finishes(|| {
        let tracker = Tracker::new();
        let others: Arc<Mutex<Vec<Conn<io::Empty>>>> = Arc::default();
        let held = Arc::clone(&others);
        let options = Options::new().tracker(&tracker).observer(move |_: &Report| {
            let next = held.lock().unwrap().pop();
            drop(next);
        });
        let mut conns: Vec<_> = (0..20).map(|_| options.wrap_opaque(io::empty())).collect();
        let first = conns.pop();
        others.lock().unwrap().append(&mut conns);
        drop(first);
        assert_eq!((tracker.len(), tracker.totals().closed()), (0, 20));
        assert_eq!(options.observer_panics(), 0);
        assert_eq!(tracker.ended().len(), 20);
    });
}

struct Panics;

impl Observer for Panics {
    fn opened(&self, _: &Handle) {
        panic!("on purpose");
    }

    fn closing(&self, _: &Snapshot) {
        panic!("on purpose");
    }

    fn closed(&self, _: &Report) {
        panic!("on purpose");
    }
}

#[test]
fn an_observer_that_panics_at_each_event_loses_nothing() {
    let tracker = Tracker::builder().limit(1).build();
    let options = Options::new().tracker(&tracker).observer(Panics);
    let conns = [(); 3].map(|()| options.wrap_opaque(io::empty()));
    assert_eq!((tracker.len(), tracker.totals().open), (1, 3));
    drop(conns);
    assert_eq!(options.observer_panics(), 9);
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.closed(), totals.unlisted), (3, 3, 2));
    assert_eq!((tracker.len(), tracker.ended().len()), (0, 3));
    let _next = options.wrap_opaque(io::empty());
    assert_eq!(tracker.len(), 1, "the place is free again");
}

/// A context that panics when it goes.
struct Bomb(Arc<AtomicU64>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
        panic!("on purpose");
    }
}

/// Whoever closes a connection has nothing to do with the context of one that is forgotten then,
/// and may be panicking already, when a second panic would end the process.
/// Blocks in one event of the connection with this category until it is let go.
struct Blocks {
    category: &'static str,
    event: &'static str,
    has_come: mpsc::Sender<()>,
    may_go: Mutex<mpsc::Receiver<()>>,
}

impl Blocks {
    fn at(&self, event: &str, category: Option<&str>) {
        if event == self.event && category == Some(self.category) {
            self.has_come.send(()).unwrap();
            self.may_go.lock().unwrap().recv().unwrap();
        }
    }
}

impl Observer for Blocks {
    fn opened(&self, conn: &Handle) {
        self.at("opened", conn.category());
    }

    fn closing(&self, conn: &Snapshot) {
        self.at("closing", conn.category());
    }

    fn closed(&self, report: &Report) {
        self.at("closed", report.category());
    }
}

#[test]
fn an_observer_that_blocks_holds_up_its_own_connection_only() {
    for event in ["opened", "closing", "closed"] {
        finishes(move || {
            let tracker = Tracker::new();
            let (has_come, came) = mpsc::channel();
            let (go, may_go) = mpsc::channel();
            let may_go = Mutex::new(may_go);
            let options = Options::new().tracker(&tracker).observer(Blocks {
                category: "slow",
                event,
                has_come,
                may_go,
            });
            let slow = options.clone().category("slow");
            let (client, server) = pair();
            let held_up = thread::spawn(move || drop(slow.wrap(client)));
            came.recv().unwrap();

            // Everybody else goes on: other connections with the same observer, and who looks.
            let before = tracker.totals().closed();
            for _ in 0..100 {
                drop(options.clone().category("quick").wrap_opaque(io::empty()));
            }
            drop(options.wrap(server));
            ask(&tracker);
            let totals = tracker.totals();
            assert_eq!(totals.closed(), before + 102, "{event}");
            // A connection counts as open until it is closed, and as closed when observers hear so.
            let slow_is_open = tracker.connections().len() as u64;
            assert_eq!(slow_is_open, totals.open, "{event}");
            assert_eq!(totals.open, u64::from(event != "closed"), "{event}");

            go.send(()).unwrap();
            held_up.join().unwrap();
            assert_eq!(tracker.totals().open, 0);
        });
    }
}

#[test]
fn a_context_that_panics_when_it_is_forgotten_harms_nobody() {
    let gone = Arc::new(AtomicU64::new(0));
    for observed in [false, true] {
        let tracker = Tracker::builder().ended(1).build();
        let before = gone.load(Relaxed);
        let options = Options::new().tracker(&tracker).context(Bomb(Arc::clone(&gone)));
        drop(options.wrap_opaque(io::empty()));
        drop(options);
        let mut innocent = Options::new().tracker(&tracker);
        if observed {
            innocent = innocent.observer(|_: &Report| {});
        }
        let panicking = catch_unwind(AssertUnwindSafe(|| {
            let _conn = innocent.wrap_opaque(io::empty());
            panic!("its own");
        }));
        let payload = panicking.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"its own"));
        assert_eq!(gone.load(Relaxed), before + 1);
        let [report] = &tracker.ended()[..] else { panic!("{:?}", tracker.ended()) };
        assert_eq!(report.reason, conniver::CloseReason::Cancelled);
        assert_eq!((tracker.len(), tracker.totals().closed()), (0, 2));
    }
}

/// Whoever looks at connections may be the last to hold one, or several: two panics at a time would
/// end the process.
#[test]
fn a_context_that_panics_when_it_goes_harms_nobody_who_looks() {
    let gone = Arc::new(AtomicU64::new(0));
    let tracker = Tracker::builder().ended(0).build();
    let conn = || {
        let options = Options::new().tracker(&tracker).context(Bomb(Arc::clone(&gone)));
        options.wrap_opaque(io::empty())
    };
    let conns = [conn(), conn()];
    let (handles, seen) = (conns.each_ref().map(Conn::handle), tracker.connections());
    drop(conns);
    drop(seen);
    assert_eq!(gone.load(Relaxed), 0);
    drop(handles);
    assert_eq!(gone.load(Relaxed), 2);

    let end = Instant::now() + Duration::from_millis(200);
    thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < end {
                drop([(); 8].map(|()| conn()));
            }
        });
        while Instant::now() < end {
            tracker.totals();
            tracker.query(&Query::new().category("none"));
        }
    });
    assert_eq!(tracker.totals().closed(), gone.load(Relaxed));
}

/// Each of the two ends in turn, and the outer one first.
#[test]
fn a_wrapper_in_a_wrapper_is_a_connection_of_its_own() {
    finishes(|| {
        let tracker = Tracker::new();
        let options = Options::new().tracker(&tracker).observer(Curious(tracker.clone()));
        let (client, _server) = pair();
        let conn = options.wrap(options.wrap(client));
        let asked = tracker.query(&Query::new().facts(true));
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|conn| conn.info().is_some() || conn.info_err().is_some()));
        drop(conn);
        assert_eq!((tracker.len(), options.observer_panics()), (0, 0));
        assert!(asked.iter().all(|conn| conn.handle().tcp_info().is_none()));
    });
}

/// By then the thread has nothing of its own that tells it from others.
#[test]
fn connections_come_and_go_while_a_thread_ends() {
    thread_local! {
        static LAST: Cell<Option<AtTheEnd>> = const { Cell::new(None) };
    }

    struct AtTheEnd(Tracker, Conn<TcpStream>);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            // Before the connection goes itself.
            let Self(tracker, conn) = self;
            ask(tracker);
            assert!(conn.handle().ended_at().is_none());
        }
    }

    finishes(|| {
        let tracker = Tracker::new();
        let options = Options::new().tracker(&tracker);
        for _ in 0..4 {
            let (client, _server) = pair();
            let last = AtTheEnd(tracker.clone(), options.wrap(client));
            thread::spawn(move || LAST.set(Some(last))).join().unwrap();
        }
        assert_eq!((tracker.len(), tracker.totals().closed()), (0, 8));
        assert_eq!(tracker.ended().len(), 8);
    });
}

#[test]
fn limits_of_zero_are_limits() {
    let tracker = Tracker::builder().limit(0).groups(0).ended(0).build();
    let options = Options::new().tracker(&tracker).role(Role::Server).category("x");
    let mut conn = options.wrap_opaque(io::sink());
    conn.write_all(&[0; 3]).unwrap();
    assert!(tracker.is_empty() && tracker.connections().is_empty());
    drop(conn);
    let [(group, totals)] = &tracker.totals_by_group()[..] else { panic!("one group") };
    assert_eq!((group.category.as_deref(), group.role), (Some(Group::OTHER), Some(Role::Server)));
    assert_eq!((totals.opened, totals.closed(), totals.unlisted, totals.tx_bytes), (1, 1, 1, 3));
    assert!(tracker.ended().is_empty());
}

/// The connections keep what they need.
#[test]
fn a_tracker_that_everybody_let_go_of_serves_its_connections_to_the_end() {
    let told = Arc::new(AtomicU64::new(0));
    let (weak, mut conns) = {
        let tracker = Tracker::new();
        let tell = Arc::clone(&told);
        let options = Options::new().tracker(&tracker).context(Arc::clone(&told)).observer(
            move |_: &Report| {
                tell.fetch_add(1, Relaxed);
            },
        );
        (
            Arc::downgrade(&told),
            (0..4).map(|_| options.wrap_opaque(io::empty())).collect::<Vec<_>>(),
        )
    };
    thread::scope(|scope| {
        for conn in conns.drain(..) {
            scope.spawn(move || drop(conn));
        }
    });
    assert_eq!(told.load(Relaxed), 4);
    drop(told);
    assert!(weak.upgrade().is_none(), "the tracker and what it remembered are gone");
}
