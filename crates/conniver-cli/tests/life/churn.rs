//! Connections that end, many and fast.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    network::{abort, connect},
    tool::{Life, check},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("every_connection_of_a_churn_is_told_once_with_its_bytes_and_reason", churn),
    ("sums_are_those_of_the_churn", sums),
];

const CONNECTIONS: usize = 20_000;
const THREADS: usize = 2;

/// No more ends at a time than the kernel's buffer of any user has room for.
const WINDOW: usize = 40;

/// What is expected of one end.
#[derive(Debug, Clone, Copy)]
struct Expected {
    sent: u64,
    received: u64,
    reason: &'static str,
}

fn churn() {
    let mut life = Life::begin(&["--format", "jsonl", "--local", "127.0.0.0/29"]);
    let (expected, seen) = (Mutex::new(HashMap::new()), AtomicUsize::new(0));
    let mut ended: HashMap<u64, Vec<Value>> = HashMap::new();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (expected, seen) = (&expected, &seen);
            scope.spawn(move || make(thread, expected, seen));
        }
        for _ in 0..2 * CONNECTIONS {
            // Other tests see to it that the schema allows it.
            let end: Value = serde_json::from_str(&life.next()).unwrap();
            assert!(end["lost"].is_null(), "{end}");
            ended.entry(end["cookie"].as_u64().unwrap()).or_default().push(end);
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Nothing comes twice.
    thread::sleep(Duration::from_millis(300));
    life.signal(libc::SIGTERM);
    let (rest, complaint, status) = life.finish();
    assert_eq!((&*rest, &*complaint, status.code()), ("", "", Some(143)));
    let expected = expected.into_inner().unwrap();
    assert_eq!((expected.len(), ended.len()), (2 * CONNECTIONS, 2 * CONNECTIONS));
    for (cookie, expected) in &expected {
        let [end] = &*ended[cookie] else { panic!("not once: {:?}", ended[cookie]) };
        let fact = |name: &str| end["info"]["sysInfo"][name].as_u64().unwrap();
        assert_eq!(fact("bytesSent") - fact("bytesRetrans"), expected.sent, "{end}");
        // The kernel counts the peer's FIN for a byte, where it came before the end.
        let received = fact("bytesReceived") - u64::from(expected.reason == "peer_close");
        assert!((expected.received..=expected.received + 1).contains(&received), "{end}");
        // A machine that is too busy tells of an end so late that it may have been another one.
        let ago = fact("lastRxAckAt");
        let is_late = ago >= 3_000_000_000 && end["reason"] == "unknown";
        assert!(end["reason"] == expected.reason || is_late, "{}: {end}", expected.reason);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let ago = now.as_nanos() - u128::from(end["endedAt"].as_u64().unwrap());
        assert!(ago < 600_000_000_000, "{end}");
        assert!(end["duration"].is_u64() != end["durationAtLeast"].is_u64(), "{end}");
    }
}

/// The share of one thread: each connection in one of the ways in which they end.
fn make(thread: usize, expected: &Mutex<HashMap<u64, Expected>>, seen: &AtomicUsize) {
    // Each its own address, so that there are ports for all.
    let host = Ipv4Addr::new(127, 0, 0, u8::try_from(thread + 1).unwrap());
    // No two connections have the same addresses: what the kernel keeps of one goes with the next.
    let listeners = [(); 4].map(|()| TcpListener::bind((host, 0)).unwrap());
    let mut block = vec![7; 5_000];
    for number in 0..CONNECTIONS / THREADS {
        let listener = &listeners[number * listeners.len() / (CONNECTIONS / THREADS)];
        let (mut client, mut server) = connect(listener);
        let cookies = [&client, &server].map(|end| tcpinfo::cookie(end).unwrap());
        let (up, down) = (1 + number % 4_999, 1 + number * 31 % 1_999);
        client.write_all(&block[..up]).unwrap();
        let (down, reasons) = match number % 4 {
            0 => {
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(server.read_to_end(&mut Vec::new()).unwrap(), up);
                server.write_all(&block[..down]).unwrap();
                drop(server);
                assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), down);
                (down, ["local_close", "peer_close"])
            }
            1 => {
                server.read_exact(&mut block[..up]).unwrap();
                server.write_all(&vec![1; down]).unwrap();
                drop(server);
                assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), down);
                (down, ["peer_close", "local_close"])
            }
            // The server has not read.
            2 => {
                server.write_all(&block[..down]).unwrap();
                client.read_exact(&mut block[..down]).unwrap();
                // But could.
                assert_eq!(server.peek(&mut [0]).unwrap(), 1);
                drop(server);
                (down, ["reset", "reset"])
            }
            _ => {
                drop(client);
                assert_eq!(server.read_to_end(&mut Vec::new()).unwrap(), up);
                (0, ["local_close", "peer_close"])
            }
        };
        let of = |sent: usize, received: usize, reason| Expected {
            sent: sent as u64,
            received: received as u64,
            reason,
        };
        let both = [of(up, down, reasons[0]), of(down, up, reasons[1])];
        expected.lock().unwrap().extend(cookies.into_iter().zip(both));
        while THREADS * 2 * number > seen.load(Ordering::Relaxed) + THREADS * 2 * WINDOW {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

fn sums() {
    let listener = TcpListener::bind("127.0.0.30:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (format, count) in [("jsonl", 60), ("table", 40)] {
        let mut life = Life::begin(&["--format", format, "--summary"]);
        let mut told = 0;
        for number in 0..count {
            let (mut client, mut server) = connect(&listener);
            client.write_all(&[1; 1_000]).unwrap();
            server.read_exact(&mut [0; 1_000]).unwrap();
            if number % 4 == 3 {
                abort(client);
            } else {
                drop(client);
            }
            drop(server);
            while told < 2 * (number + 1) {
                let line = life.next();
                told += usize::from(line.contains("127.0.0.30:") || line.contains("aborted"));
            }
        }
        life.signal(libc::SIGINT);
        let (rest, complaint, status) = life.finish();
        assert_eq!((&*complaint, status.code()), ("", Some(130)), "{port}");
        if format == "jsonl" {
            let sums = check(rest.lines().last().unwrap());
            let sums = &sums["summary"];
            // Those that looked whether it listens are among them.
            assert!(sums["connections"].as_u64().unwrap() > 2 * 60);
            assert_eq!(sums["reasons"]["aborted"], 15);
            assert_eq!(sums["txBytes"], 45_000);
            assert_eq!(sums["lost"], 0);
        } else {
            assert!(rest.contains("10 aborted"), "{rest}");
            assert!(rest.contains("payload        30000 B sent, "), "{rest}");
            assert!(rest.contains("lost           0 events"), "{rest}");
        }
    }
}
