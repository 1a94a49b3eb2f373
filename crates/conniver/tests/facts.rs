//! Kernel facts in reports: when they are asked for, and what they warn of.

#![cfg(target_os = "linux")]

use std::{
    io::{ErrorKind, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use conniver::{Options, Report, Warning, report_channel};
use tcpinfo::TcpInfo;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Writes down when its socket was asked for something.
struct Asked<'a>(TcpStream, &'a Mutex<Vec<SystemTime>>);

impl AsFd for Asked<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.lock().unwrap().push(SystemTime::now());
        self.0.as_fd()
    }
}

#[test]
fn the_opening_moment_is_before_the_socket_is_asked() {
    let asked: Mutex<Vec<SystemTime>> = Mutex::default();
    let (client, _server) = pair();
    let conn = Options::new().wrap_lending(Asked(client, &asked));
    let first = *asked.lock().unwrap().first().unwrap();
    assert!(conn.snapshot().opened_at.to_system_time() <= first);
}

#[test]
fn unwanted_facts_are_not_asked_for() {
    let asked: Mutex<Vec<SystemTime>> = Mutex::default();
    let times = || asked.lock().unwrap().len();
    let (observer, reports) = report_channel(2);
    let options = Options::new().observer(observer);

    let (client, _server) = pair();
    let conn = options.wrap_lending(Asked(client, &asked));
    let at_opening = times();
    drop(conn);
    assert!(times() > at_opening);
    let report = reports.try_recv().unwrap();
    assert!(report.opened_info().is_some() && report.closed_info().is_some());

    asked.lock().unwrap().clear();
    let (client, _server) = pair();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let conn = options.facts(false).wrap_lending(Asked(client, &asked));
    assert!(times() < at_opening, "only its addresses");
    asked.lock().unwrap().clear();
    drop(conn);
    assert_eq!(times(), 0);
    let report = reports.try_recv().unwrap();
    assert!(report.opened_info().is_none() && report.closed_info().is_none());
    assert_eq!(report.info_err, None, "nobody asked for facts");
    assert_eq!((report.local_addr, report.remote_addr), (Some(local), Some(remote)));
    assert_eq!(report.warnings(), []);
}

/// Fills the connection to a peer that does not read.
fn stall(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = stream.write(&[0; 1 << 16]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
}

/// Waits until sending stood still for the peer's window for so long, as the kernel counts.
fn await_limit(stream: &impl AsFd, least: Duration) {
    let limited = || TcpInfo::read(stream).unwrap().peer_window_limited().expect("since 4.10");
    while limited() < least {
        std::thread::yield_now();
    }
}

fn peer_window_warnings(report: &Report) -> Vec<Duration> {
    let time = |warning| match warning {
        Warning::Kernel(tcpinfo::Warning::PeerWindowLimited(time)) => Some(time),
        _ => None,
    };
    report.warnings().into_iter().filter_map(time).collect()
}

#[test]
fn a_peer_that_does_not_read_is_warned_of() {
    let (client, _server) = pair();
    let conn = Options::new().wrap(client);
    stall(conn.get_ref());
    await_limit(&conn, Duration::from_millis(10));
    let (_, report) = conn.into_inner();
    let limited = report.closed_info().unwrap().peer_window_limited().unwrap();
    assert_eq!(peer_window_warnings(&report), [limited]);
    let text = format!("peerWindowLimited={}", limited.as_nanos());
    assert!(report.to_string().contains(&text), "{report}");
}

#[test]
fn a_warning_of_both_samples_is_told_once_with_the_later_number() {
    let (client, _server) = pair();
    stall(&client);
    await_limit(&client, Duration::from_millis(10));
    let conn = Options::new().wrap(client);
    let earlier = conn.snapshot().opened_info().unwrap().peer_window_limited().unwrap();
    await_limit(&conn, earlier + Duration::from_millis(10));
    conn.set_reconnects(1);
    let (_, report) = conn.into_inner();
    let later = report.closed_info().unwrap().peer_window_limited().unwrap();
    assert!(later > earlier);
    assert_eq!(peer_window_warnings(&report), [later]);
    assert_eq!(report.warnings()[0], Warning::Reconnects(1));
}
