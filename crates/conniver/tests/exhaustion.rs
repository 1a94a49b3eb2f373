//! No descriptor left. The only test of its process, because it takes them from the whole of it.

#![cfg(target_os = "linux")]

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use conniver::{FailReason, FailedConn, Observer, Options, Tracker};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<FailReason>>>);

impl Observer for Log {
    fn failed(&self, failed: &FailedConn) {
        self.0.lock().unwrap().push(failed.reason);
    }
}

#[test]
fn a_listener_without_descriptors_pauses_and_goes_on() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().observer(log.clone()).tracker(&tracker);
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").unwrap());
    let address: SocketAddr = listener.local_addr().unwrap();
    // Made before there is nothing left, connected after.
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let spare = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    client.connect(&address.into()).unwrap();

    let error = listener.accept().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(*log.0.lock().unwrap(), [FailReason::Exhausted]);
    let error = options.connector().connect(address).unwrap_err();
    assert_eq!(error.reason(), FailReason::Exhausted);

    let listener = listener.back_off(true);
    let began = Instant::now();
    let (conn, _) = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            drop(spare);
            setrlimit(Resource::Nofile, before).unwrap();
        });
        listener.accept().unwrap()
    });
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(conn.peer_addr().unwrap(), client.local_addr().unwrap().as_socket().unwrap());
    let told = log.0.lock().unwrap().clone();
    assert!(told.iter().all(|reason| *reason == FailReason::Exhausted));
    // 5, 10, 20, 40, 80, 160 ms: some, and not thousands.
    assert!((4..=12).contains(&told.len()), "{told:?}");
    let totals = tracker.totals();
    assert_eq!(totals.failed_by(FailReason::Exhausted), told.len() as u64);
    assert_eq!(totals.opened, 1);
}
