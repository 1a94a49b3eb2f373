//! Windows: a system that refuses the question costs a report its facts and nothing else.

#![cfg(windows)]

mod kernel;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use conniver::{Options, Report, Role, report_channel};

const WSAEINVAL: i32 = 10022;
const WSAEOPNOTSUPP: i32 = 10045;

/// Facts at both ends, or the refusal as `tcpinfo` understood it.
fn assert_facts(report: &Report) {
    let ends = (report.opened_info().is_some(), report.closed_info().is_some());
    match &report.info_err {
        None => {
            eprintln!("note: SIO_TCP_INFO answered");
            assert!(kernel::answers());
            assert_eq!(ends, (true, true));
            assert_eq!(report.kernel_tx_bytes(), Some(report.tx_bytes));
        }
        Some(failure) => {
            eprintln!("note: {failure}");
            assert!(!kernel::answers(), "{failure}");
            assert_eq!((failure.kind, ends), (ErrorKind::Unsupported, (false, false)));
            assert!(matches!(failure.code, Some(WSAEINVAL | WSAEOPNOTSUPP)), "{failure}");
            assert!(failure.text.contains("SIO_TCP_INFO"), "{failure}");
            assert_eq!((report.kernel_tx_bytes(), report.kernel_rx_bytes()), (None, None));
        }
    }
}

#[test]
fn both_ends_are_counted_and_reported_once_with_facts_or_the_refusal() {
    let (observer, reports) = report_channel(64);
    let options = Options::new().observer(observer);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();

    let server = options.clone().role(Role::Server);
    let server = thread::spawn(move || {
        let mut conn = server.wrap(listener.accept().unwrap().0);
        let mut heard = Vec::new();
        conn.read_to_end(&mut heard).unwrap();
        conn.write_all(&heard[..100]).unwrap();
        (conn, heard.len()) // so that neither end is over before its facts are asked
    });
    let mut conn = options.role(Role::Client).wrap(TcpStream::connect(address).unwrap());
    let local = conn.local_addr().unwrap();
    for _ in 0..50 {
        conn.write_all(&[7; 1000]).unwrap();
    }
    conn.shutdown(Shutdown::Write).unwrap();
    conn.read_exact(&mut [0; 100]).unwrap();
    conn.close().unwrap();
    let (server, heard) = server.join().unwrap();
    drop(server);
    assert_eq!(heard, 50_000);

    let reports: Vec<Report> = reports.try_iter().collect();
    assert_eq!(reports.len(), 2, "one a connection");
    for report in &reports {
        let counts = (report.tx_bytes, report.rx_bytes);
        match report.role {
            Some(Role::Client) => {
                assert_eq!(counts, (50_000, 100));
                assert_eq!(report.tx_ops, 50);
                assert_eq!((report.local_addr, report.remote_addr), (Some(local), Some(address)));
                assert!(report.first_tx_at.unwrap() <= report.tx_ended_at.unwrap());
                assert_eq!(report.rx_ended_at, None);
            }
            _ => {
                assert_eq!(counts, (100, 50_000));
                assert_eq!((report.local_addr, report.remote_addr), (Some(address), Some(local)));
                assert!(report.rx_ended_at.is_some());
            }
        }
        assert_eq!((&report.rx_err, &report.tx_err, &report.close_err), (&None, &None, &None));
        assert_facts(report);
    }
}

/// Nobody who does not ask is told of a refusal.
#[test]
fn without_facts_wanted_there_is_no_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, report) = Options::new().facts(false).wrap(client).into_inner();
    assert_eq!((report.info_err.is_some(), report.closed_info().is_some()), (false, false));
}
