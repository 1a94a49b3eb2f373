//! The JSON of reports and snapshots: its keys are a contract with other programs.

// Literal errors are those of Linux.
#![cfg(all(feature = "serde", target_os = "linux"))]

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use conniver::{Close, Options, Role, report_channel};
use serde_json::json;

/// Moves up to two bytes a call and fails at the end, each time with a number of its own.
struct Failing;

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match buf.len() {
            0 => Err(io::Error::from_raw_os_error(104)),
            room => Ok(room.min(2)),
        }
    }
}

impl Write for Failing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match buf.len() {
            0 => Err(io::Error::other("out of order")),
            room => Ok(room.min(2)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Close for Failing {
    fn close(self) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(5))
    }
}

#[test]
fn a_report_with_everything_in_it() {
    let (observer, reports) = report_channel(1);
    let options = Options::new().role(Role::Server).category("json").observer(observer);
    let (local, remote) = ("192.0.2.1:80".parse().unwrap(), "[2001:db8::1]:4242".parse().unwrap());
    let mut conn = options.wrap_opaque_with_addresses(Failing, Some(local), Some(remote));
    conn.set_reconnects(2);
    conn.write_all(b"abcde").unwrap();
    conn.read_exact(&mut [0; 3]).unwrap();
    assert!(conn.read(&mut []).is_err() && conn.write(&[]).is_err());
    assert!(conn.close().is_err());

    let report = reports.try_recv().unwrap();
    let expected = json!({
        "id": report.id.get(),
        "role": "server",
        "category": "json",
        "localAddr": "192.0.2.1:80",
        "remoteAddr": "[2001:db8::1]:4242",
        "openedAt": report.opened_at.unix_nanos(),
        "firstRxAt": report.first_rx_at.unwrap().unix_nanos(),
        "firstTxAt": report.first_tx_at.unwrap().unix_nanos(),
        "lastRxAt": report.last_rx_at.unwrap().unix_nanos(),
        "lastTxAt": report.last_tx_at.unwrap().unix_nanos(),
        "closedAt": report.closed_at.unix_nanos(),
        "closeReason": "reset_received",
        "txBytes": 5,
        "rxBytes": 3,
        "txOps": 3,
        "rxOps": 2,
        "rxErr": "Connection reset by peer (os error 104)",
        "rxErrKind": "ConnectionReset",
        "rxErrCode": 104,
        "txErr": "out of order",
        "txErrKind": "Other",
        "closeErr": "Input/output error (os error 5)",
        "closeErrKind": format!("{:?}", io::Error::from_raw_os_error(5).kind()),
        "closeErrCode": 5,
        "infoErr": "kernel facts unavailable: the stream lends no socket",
        "infoErrKind": "Unsupported",
        "reconnects": 2,
        "warnings": ["reconnects=2"],
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
}

#[test]
fn a_report_with_nothing_in_it() {
    let conn = Options::new().facts(false).wrap_opaque(io::empty());
    let now = conn.snapshot();
    let json = serde_json::to_value(&now).unwrap();
    let expected = json!({
        "id": now.id.get(),
        "openedAt": now.opened_at.unix_nanos(),
        "takenAt": now.taken_at.unix_nanos(),
        "txBytes": 0,
        "rxBytes": 0,
        "txOps": 0,
        "rxOps": 0,
        "warnings": [],
    });
    assert_eq!(json, expected);

    let (_, report) = conn.into_inner();
    let keys = serde_json::to_value(&report).unwrap();
    let keys: Vec<_> = keys.as_object().unwrap().keys().cloned().collect();
    let expected = [
        "closeReason",
        "closedAt",
        "id",
        "openedAt",
        "rxBytes",
        "rxOps",
        "txBytes",
        "txOps",
        "warnings",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn facts_of_both_ends_and_ends_of_both_streams_have_keys_of_their_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let mut conn = Options::new().role(Role::Client).wrap(client);
    conn.shutdown(std::net::Shutdown::Write).unwrap();
    drop(server);
    assert_eq!(conn.read(&mut [0; 1]).unwrap(), 0);
    let (_, report) = conn.into_inner();
    let json = serde_json::to_value(&report).unwrap();
    let (tx_end, rx_end) = (report.tx_ended_at.unwrap(), report.rx_ended_at.unwrap());
    assert_eq!((&json["role"], &json["warnings"]), (&json!("client"), &json!([])));
    assert_eq!(json["txEndedAt"], json!(tx_end.unix_nanos()));
    assert_eq!(json["rxEndedAt"], json!(rx_end.unix_nanos()));
    let (opened, closed) = (report.opened_info().unwrap(), report.closed_info().unwrap());
    assert_ne!(opened, closed);
    assert_eq!(json["openedInfo"], serde_json::to_value(opened).unwrap());
    assert_eq!(json["closedInfo"], serde_json::to_value(closed).unwrap());
    assert_eq!(json["openedInfo"]["state"], "ESTABLISHED");
}
