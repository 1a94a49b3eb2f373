//! Observers: they may keep what they get, and whatever they or the stream do, the others are told.

mod kernel;

use std::{
    io,
    net::{TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::Receiver,
    },
    thread,
};

use conniver::{Close, Conn, Handle, Observer, Options, Report, Snapshot, report_channel};

fn watched() -> (Options, Receiver<Report>) {
    let (observer, reports) = report_channel(64);
    (Options::new().observer(observer), reports)
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Runs what must panic, without letting it out.
fn panics(work: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
}

fn panic(what: &'static str) -> ! {
    resume_unwind(Box::new(what)) // without a message on the terminal
}

/// Keeps everything that an observer is given.
#[derive(Default)]
struct Keeper {
    handles: Mutex<Vec<Handle>>,
    snapshots: Mutex<Vec<Snapshot>>,
    reports: Mutex<Vec<Report>>,
    /// Gone with the keeper.
    life: Arc<()>,
}

impl Observer for Keeper {
    fn opened(&self, conn: &Handle) {
        self.handles.lock().unwrap().push(conn.clone());
    }

    fn closing(&self, conn: &Snapshot) {
        self.snapshots.lock().unwrap().push(conn.clone());
    }

    fn closed(&self, report: &Report) {
        self.reports.lock().unwrap().push(report.clone());
    }
}

#[test]
fn an_observer_that_keeps_what_it_gets_is_freed_with_its_options() {
    let keeper = Keeper::default();
    let life: Weak<()> = Arc::downgrade(&keeper.life);
    let options = Options::new().observer(keeper);
    drop(options.wrap_opaque(io::empty()));
    let (client, _server) = pair();
    drop(options.wrap(client));
    assert_eq!(life.strong_count(), 1);
    drop(options);
    assert_eq!(life.strong_count(), 0, "it keeps itself alive");
}

#[test]
fn the_receiver_of_reports_ends_with_the_last_sender_though_reports_are_kept() {
    let (observer, reports) = report_channel(8);
    let options = Options::new().observer(observer);
    let handle = {
        let conn = options.wrap_opaque(io::empty());
        drop(options.wrap_opaque(io::empty()));
        conn.handle()
    };
    drop(options);
    let (done, outcome) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(reports.iter().collect::<Vec<_>>()));
    let kept = outcome.recv_timeout(std::time::Duration::from_secs(60)).expect("it never ends");
    assert_eq!(kept.len(), 2);
    assert_eq!(handle.id(), kept[1].id);
}

#[test]
fn a_stream_whose_drop_panics_is_reported_once() {
    struct Stream;
    impl Drop for Stream {
        fn drop(&mut self) {
            panic("drop");
        }
    }
    let (options, reports) = watched();
    panics(|| drop(options.wrap_opaque(Stream)));
    assert_eq!(reports.try_iter().count(), 1);
}

#[test]
fn a_stream_whose_close_panics_is_reported_once() {
    struct Stream;
    impl Close for Stream {
        fn close(self) -> io::Result<()> {
            panic("close")
        }
    }
    let (options, reports) = watched();
    panics(|| drop(options.wrap_opaque(Stream).close()));
    assert_eq!(reports.try_iter().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_stream_that_panics_when_it_is_asked_for_its_socket_is_reported_once() {
    use std::{
        os::fd::{AsFd, BorrowedFd},
        sync::atomic::AtomicBool,
    };

    struct Stream<'a>(TcpStream, &'a AtomicBool);
    impl AsFd for Stream<'_> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            if self.1.load(Relaxed) { panic("as_fd") } else { self.0.as_fd() }
        }
    }
    let (options, reports) = watched();
    let (client, _server) = pair();
    let armed = AtomicBool::new(false);
    let conn = options.wrap_lending(Stream(client, &armed));
    armed.store(true, Relaxed);
    panics(|| drop(conn));
    assert_eq!(reports.try_iter().count(), 1);
}

#[test]
fn a_panic_whose_payload_panics_again_is_contained_and_counted_once() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic("payload");
        }
    }
    let (observer, reports) = report_channel(8);
    let options =
        Options::new().observer(|_: &Report| resume_unwind(Box::new(Payload))).observer(observer);
    drop(options.wrap_opaque(io::empty()));
    assert_eq!(reports.try_iter().count(), 1, "the other observer");
    assert_eq!(options.observer_panics(), 1);
}

#[test]
fn an_observer_that_panics_while_the_owner_unwinds_is_contained() {
    let (observer, reports) = report_channel(8);
    let options = Options::new().observer(|_: &Report| panic("observer")).observer(observer);
    panics(|| {
        let _conn = options.wrap_opaque(io::empty());
        panic("owner");
    });
    assert_eq!(reports.try_iter().count(), 1);
    assert_eq!(options.observer_panics(), 1);
}

#[test]
fn observers_may_open_look_at_and_close_connections() {
    #[derive(Default)]
    struct Busy {
        held: Mutex<Option<Conn<TcpStream>>>,
        handles: Mutex<Vec<Handle>>,
        closed: AtomicU32,
    }
    struct Shared(Arc<Busy>);
    impl Observer for Shared {
        fn opened(&self, conn: &Handle) {
            assert_eq!(conn.snapshot().info_err.is_none(), kernel::answers());
            self.0.handles.lock().unwrap().push(conn.clone());
        }
        fn closing(&self, _: &Snapshot) {
            for handle in &*self.0.handles.lock().unwrap() {
                handle.set_reconnects(handle.snapshot().reconnects);
            }
            let held = self.0.held.lock().unwrap().take();
            drop(held);
        }
        fn closed(&self, _: &Report) {
            self.0.closed.fetch_add(1, Relaxed);
            drop(Options::new().wrap_opaque(io::empty()));
        }
    }
    let busy = Arc::new(Busy::default());
    let options = Options::new().observer(Shared(Arc::clone(&busy)));
    let ((one, _far_one), (other, _far_other)) = (pair(), pair());
    let conn = options.wrap(one);
    *busy.held.lock().unwrap() = Some(options.wrap(other));
    drop(conn);
    assert_eq!(busy.closed.load(Relaxed), 2);
    assert_eq!(options.observer_panics(), 0);
}

/// A report is made when the connection ends, so a later change through a handle does not reach it.
#[test]
fn reconnects_are_set_not_added_up() {
    let (options, reports) = watched();
    let conn = options.wrap_opaque(io::empty());
    conn.set_reconnects(5);
    let handle = conn.handle();
    handle.set_reconnects(2);
    drop(conn);
    handle.set_reconnects(7);
    assert_eq!(reports.try_recv().unwrap().reconnects, 2);
}
