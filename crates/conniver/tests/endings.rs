//! However a connection ends, there is exactly one report, and it tells the truth.

mod kernel;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::Receiver,
    thread,
    time::Duration,
};

use conniver::{
    Close, Conn, Handle, Observer, Options, Report, ReportSender, Role, Snapshot, report_channel,
};

fn watched() -> (Options, Receiver<Report>) {
    let (observer, reports) = report_channel(64);
    (Options::new().observer(observer), reports)
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The report that must have arrived, and that no other did.
fn only(reports: &Receiver<Report>) -> Report {
    let report = reports.try_recv().expect("no report");
    assert!(reports.try_recv().is_err(), "more than one report");
    report
}

#[test]
fn a_drop_gives_one_report() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let mut conn = options.role(Role::Client).category("test").wrap(client);
    conn.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    server.write_all(b"world!").unwrap();
    conn.read_exact(&mut [0; 6]).unwrap();
    drop(conn);

    let report = only(&reports);
    assert_eq!((report.tx_bytes, report.rx_bytes), (5, 6));
    assert_eq!((report.tx_ops, report.rx_ops), (1, 1));
    assert_eq!((report.local_addr, report.remote_addr), (Some(local), Some(remote)));
    assert_eq!((report.role, report.category()), (Some(Role::Client), Some("test")));
    assert_eq!((&report.rx_err, &report.tx_err), (&None, &None));
    let opened = report.opened_at;
    let (first_tx, first_rx) = (report.first_tx_at.unwrap(), report.first_rx_at.unwrap());
    assert!(opened <= first_tx && first_tx <= first_rx && first_rx <= report.closed_at);
    assert!(report.last_rx_at.unwrap() >= first_rx && report.last_tx_at.unwrap() >= first_tx);
    assert!(report.last_rx_at.unwrap() <= report.closed_at);
    assert_eq!((report.rx_ended_at, report.tx_ended_at), (None, None));
    assert!(report.to_string().contains("tx=5 rx=6"), "{report}");
}

#[test]
fn the_wall_clock_is_that_of_the_machine() {
    let (options, reports) = watched();
    let before = std::time::SystemTime::now();
    drop(options.wrap_opaque(io::empty()));
    let after = std::time::SystemTime::now();
    let report = only(&reports);
    let opened = report.opened_at.to_system_time();
    let slack = Duration::from_millis(1); // the clock may be slewed in between
    assert!(before <= opened && opened <= after);
    assert!(report.closed_at.to_system_time() <= after + slack);
    assert!(report.closed_at >= report.opened_at);
}

#[test]
fn an_explicit_close_gives_one_report_and_the_answer() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    options.wrap(client).close().unwrap();
    assert_eq!(only(&reports).close_err, None);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0, "the peer must see the end");

    struct Failing;
    impl Close for Failing {
        fn close(self) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let error = options.wrap_opaque(Failing).close().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
    let failure = only(&reports).close_err.unwrap();
    assert_eq!((failure.code, failure.text.as_ref()), (Some(5), error.to_string().as_str()));
}

#[test]
fn into_inner_hands_over_the_report_and_nobody_else_gets_one() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    let mut conn = options.wrap(client);
    conn.write_all(b"abc").unwrap();
    let (mut client, report) = conn.into_inner();
    assert_eq!(report.tx_bytes, 3);
    assert_eq!(report.closed_info().is_some(), kernel::answers());
    client.write_all(b"still open").unwrap();
    server.read_exact(&mut [0; 13]).unwrap();
    drop(client);
    assert!(reports.try_recv().is_err());
}

#[test]
fn a_reset_by_the_peer_is_reported_with_what_was_moved_before() {
    let (options, reports) = watched();
    let (client, server) = pair();
    let mut conn = options.wrap(client);
    conn.write_all(&[7; 100]).unwrap();
    server.peek(&mut [0; 1]).unwrap();
    drop(server); // unread data: the kernel resets the connection
    let error = conn.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(conn);
    let report = only(&reports);
    let failure = report.rx_err.clone().unwrap();
    assert_eq!((failure.kind, failure.code), (error.kind(), error.raw_os_error()));
    assert_eq!(failure.text, error.to_string());
    assert_eq!((report.tx_bytes, report.rx_bytes), (100, 0));
    match report.closed_info() {
        Some(info) => assert_eq!(info.state(), Some(tcpinfo::State::Close)),
        // Other systems than Linux may have nothing left to tell, and then say so.
        None => assert!(report.info_err.is_some() && !cfg!(target_os = "linux")),
    }
}

#[test]
fn a_write_after_the_peer_is_gone_is_reported_on_the_sending_side() {
    let (options, reports) = watched();
    let (client, server) = pair();
    let mut conn = options.wrap(client);
    drop(server);
    let error = loop {
        match conn.write_all(&[0; 1024]) {
            Ok(()) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    drop(conn);
    let report = only(&reports);
    assert_eq!(report.tx_err.as_ref().map(|failure| failure.kind), Some(error.kind()));
    assert_eq!(report.rx_err, None);
}

#[test]
fn deadlines_and_would_block_are_no_errors() {
    let (options, reports) = watched();
    let (client, _server) = pair();
    let mut conn = options.wrap(client);
    conn.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(conn.read(&mut [0; 1]).is_err());
    conn.set_nonblocking(true).unwrap();
    assert_eq!(conn.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(conn);
    let report = only(&reports);
    assert_eq!((&report.rx_err, &report.tx_err), (&None, &None));
}

#[test]
fn a_half_closed_connection_shows_who_ended_and_when() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    let mut conn = options.wrap(client);
    conn.write_all(b"last words").unwrap();
    conn.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).unwrap();
    server.write_all(b"answer").unwrap();
    drop(server);
    conn.read_to_end(&mut Vec::new()).unwrap();
    drop(conn);
    let report = only(&reports);
    assert_eq!(heard, b"last words");
    assert_eq!(report.rx_bytes, 6);
    let (tx_end, rx_end) = (report.tx_ended_at.unwrap(), report.rx_ended_at.unwrap());
    assert!(report.first_tx_at.unwrap() <= tx_end && tx_end <= rx_end);
    assert!(rx_end <= report.closed_at);
}

#[test]
fn a_panic_that_unwinds_through_the_owner_gives_one_report() {
    let (options, reports) = watched();
    let outcome = thread::spawn(move || {
        let mut conn = options.wrap_opaque(Vec::new());
        conn.write_all(b"before").unwrap();
        std::panic::resume_unwind(Box::new("the owner panics"));
    })
    .join();
    assert!(outcome.is_err());
    assert_eq!(only(&reports).tx_bytes, 6);
}

/// The order of events, as the descriptor itself shows it.
#[cfg(target_os = "linux")]
mod order {
    use std::{
        path::PathBuf,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Writes down what it is told, with the state of the descriptor at that moment.
    struct Diary {
        entries: Arc<Mutex<Vec<String>>>,
        socket: Arc<Mutex<Option<(i32, PathBuf)>>>,
    }

    impl Diary {
        fn note(&self, event: &str) {
            let open = match &*self.socket.lock().unwrap() {
                None => "unknown",
                Some((fd, socket)) => {
                    let now = std::fs::read_link(format!("/proc/self/fd/{fd}"));
                    if now.is_ok_and(|now| now == *socket) { "open" } else { "closed" }
                }
            };
            self.entries.lock().unwrap().push(format!("{event} {open}"));
        }
    }

    impl Observer for Diary {
        fn opened(&self, conn: &Handle) {
            assert!(conn.snapshot().opened_info().is_some());
            self.note("opened");
        }

        fn closing(&self, conn: &Snapshot) {
            assert!(conn.info().is_some());
            self.note("closing");
        }

        fn closed(&self, report: &Report) {
            assert!(report.closed_info().is_some());
            self.note("closed");
        }
    }

    #[test]
    fn closing_comes_while_the_descriptor_is_open_and_closed_after() {
        use std::os::fd::AsRawFd;

        let entries = Arc::new(Mutex::new(Vec::new()));
        let socket = Arc::new(Mutex::new(None));
        let options = Options::new()
            .observer(Diary { entries: Arc::clone(&entries), socket: Arc::clone(&socket) });
        for explicit in [false, true] {
            let (client, _server) = pair();
            let fd = client.as_raw_fd();
            let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
            *socket.lock().unwrap() = Some((fd, link));
            let conn = options.wrap(client);
            if explicit {
                conn.close().unwrap();
            } else {
                drop(conn);
            }
            let story = std::mem::take(&mut *entries.lock().unwrap());
            assert_eq!(story, ["opened open", "closing open", "closed closed"]);
        }
    }
}

#[test]
fn a_panicking_observer_is_contained_and_counted() {
    struct Panics;
    impl Observer for Panics {
        fn opened(&self, _: &Handle) {
            std::panic::resume_unwind(Box::new("opened"));
        }
        fn closing(&self, _: &Snapshot) {
            std::panic::resume_unwind(Box::new("closing"));
        }
        fn closed(&self, _: &Report) {
            std::panic::resume_unwind(Box::new("closed"));
        }
    }
    let (observer, reports) = report_channel(1);
    let options = Options::new().observer(Panics).observer(observer);
    let mut conn = options.wrap_opaque(Vec::new());
    conn.write_all(b"x").unwrap();
    drop(conn);
    assert_eq!(only(&reports).tx_bytes, 1, "the other observer still gets its report");
    assert_eq!(options.observer_panics(), 3);
}

#[test]
fn a_slow_consumer_never_holds_up_a_close() {
    let (observer, reports) = report_channel(2);
    let sender: ReportSender = observer.clone();
    let options = Options::new().observer(observer);
    for _ in 0..5 {
        drop(options.wrap_opaque(io::empty()));
    }
    assert_eq!(sender.dropped(), 3);
    assert_eq!(reports.try_iter().count(), 2);
    drop(reports);
    drop(options.wrap_opaque(io::empty()));
    assert_eq!(sender.dropped(), 4, "nobody listens any more");
}

#[test]
fn opaque_streams_say_that_kernel_facts_are_unavailable() {
    let (options, reports) = watched();
    let addresses: [SocketAddr; 2] =
        ["192.0.2.1:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap()];
    drop(options.wrap_opaque_with_addresses(io::empty(), Some(addresses[0]), Some(addresses[1])));
    let report = only(&reports);
    assert!(report.opened_info().is_none() && report.closed_info().is_none());
    assert_eq!(report.info_err.as_ref().unwrap().kind, ErrorKind::Unsupported);
    assert_eq!((report.local_addr, report.remote_addr), (Some(addresses[0]), Some(addresses[1])));

    drop(options.facts(false).wrap_opaque(io::empty()));
    assert_eq!(only(&reports).info_err, None, "nobody asked for facts");
}

#[cfg(unix)]
#[test]
fn a_socket_that_is_not_tcp_counts_bytes_and_says_why_facts_are_missing() {
    let (options, reports) = watched();
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut conn = options.wrap(near);
    conn.write_all(b"local").unwrap();
    far.read_exact(&mut [0; 5]).unwrap();
    drop(conn);
    let report = only(&reports);
    assert_eq!(report.tx_bytes, 5);
    assert!(report.info_err.is_some());
    assert_eq!((report.local_addr, report.remote_addr), (None, None));
}

#[test]
fn context_reconnects_and_warnings_reach_the_report() {
    #[derive(Debug, PartialEq)]
    struct Tenant(u32);
    let (options, reports) = watched();
    let conn = options.context(Tenant(7)).wrap_opaque(io::empty());
    conn.set_reconnects(2);
    drop(conn);
    let report = only(&reports);
    assert_eq!(report.context::<Tenant>(), Some(&Tenant(7)));
    assert_eq!(report.context::<String>(), None);
    assert_eq!(report.reconnects, 2);
    assert_eq!(report.warnings(), [conniver::Warning::Reconnects(2)]);
}

#[test]
fn a_handle_outlives_the_connection_and_does_not_keep_it_open() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    let conn = options.wrap(client);
    let handle = conn.handle();
    drop(conn);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0, "the peer must see the end");
    let report = only(&reports);
    assert_eq!(handle.id(), report.id);
    assert_eq!(handle.snapshot().remote_addr, report.remote_addr);
}

#[test]
fn connections_have_identities_of_their_own() {
    let options = Options::new();
    let ids: std::collections::HashSet<_> =
        (0..100).map(|_| options.wrap_opaque(io::empty()).handle().id()).collect();
    assert_eq!(ids.len(), 100);
}

#[cfg(target_os = "linux")]
#[test]
fn facts_at_both_ends_are_the_kernels() {
    let (options, reports) = watched();
    let (client, mut server) = pair();
    let mut conn = options.wrap(client);
    conn.write_all(&[1; 5000]).unwrap();
    server.read_exact(&mut [0; 5000]).unwrap();
    drop(conn);
    let report = only(&reports);
    let (opened, closed) = (report.opened_info().unwrap(), report.closed_info().unwrap());
    assert_eq!((opened.tx_bytes(), opened.tx_data_segs()), (Some(0), Some(0)));
    assert_eq!(closed.tx_bytes().unwrap() - closed.retransmitted_bytes().unwrap(), report.tx_bytes);
    assert_eq!(closed.state(), Some(tcpinfo::State::Established));
}

#[cfg(feature = "serde")]
#[test]
fn json_keeps_its_keys_and_leaves_absent_ones_out() {
    let (options, reports) = watched();
    let (client, _server) = pair();
    let mut conn = options.category("json").wrap(client);
    conn.write_all(b"x").unwrap();
    conn.shutdown(Shutdown::Write).unwrap();
    assert!(conn.write(b"y").is_err());
    drop(conn);
    let json = serde_json::to_value(only(&reports)).unwrap();
    let keys = json.as_object().unwrap();
    for key in ["openedAt", "closedAt", "firstTxAt", "lastTxAt", "txEndedAt"] {
        assert!(keys[key].is_u64(), "{key}: {json:#}");
    }
    for key in ["localAddr", "remoteAddr", "txErr", "txErrKind"] {
        assert!(keys[key].is_string(), "{key}: {json:#}");
    }
    assert_eq!((&keys["txBytes"], &keys["rxBytes"]), (&1.into(), &0.into()));
    for key in ["firstRxAt", "lastRxAt", "rxEndedAt", "rxErr", "reconnects", "closeErr"] {
        assert!(!keys.contains_key(key), "{key}: {json:#}");
    }
    assert!(keys["warnings"].is_array());
    if kernel::answers() {
        assert!(!keys.contains_key("infoErr"), "{json:#}");
        assert_eq!(keys["openedInfo"]["state"], "ESTABLISHED");
        assert!(keys["closedInfo"]["sysInfo"]["length"].as_u64().unwrap() >= 88);
    } else {
        assert_eq!(keys["infoErrKind"], "Unsupported");
        assert!(!keys.contains_key("openedInfo") && !keys.contains_key("closedInfo"), "{json:#}");
    }
}

/// The wrapper can be used wherever the bare stream can.
#[test]
fn wrapped_streams_are_send_and_sync() {
    fn is<T: Send + Sync>() {}
    is::<Conn<TcpStream>>();
    is::<Handle>();
    is::<Report>();
    is::<Options>();
}
