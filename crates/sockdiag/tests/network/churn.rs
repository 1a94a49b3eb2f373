//! Connections that end, many and fast, and what is told of each.

use std::{
    collections::{HashMap, HashSet},
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sockdiag::{
    Dump, Entry, EntryBuf, Event, Events, Filter, Lookup, Recorder, Replay, SockDiag, States,
};
use tcpinfo::State;

use super::{
    everything::replay,
    scene::{connect, in_network},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("every_connection_of_a_churn_ends_once_with_its_bytes", churn),
    ("a_full_buffer_is_told_and_every_event_accounted_for", overflow),
    ("an_aborted_connection_is_known_by_its_cookie", aborted),
    ("ends_of_connections_are_recorded_and_replayed", recorded),
    ("events_are_waited_for_by_their_descriptor", descriptor),
    ("who_has_no_privilege_listens_too", unprivileged),
    ("the_buffer_is_as_large_as_told", buffer),
];

const CONNECTIONS: usize = 20_000;
const THREADS: usize = 2;

/// What one end sent, and what it received; the kernel counts the peer's FIN for a byte.
type Bytes = (u64, u64);

/// What is expected of it.
#[derive(Debug, Clone, Copy)]
struct Expected {
    sent: u64,
    received: u64,
    /// Whether the peer's FIN must have come: not to who closed first, whose socket the kernel may have
    /// made small before, and not where there may have been a reset instead.
    has_fin: bool,
}

impl Expected {
    fn is_met_by(&self, (sent, received): Bytes) -> bool {
        let with_fin = received == self.received + 1;
        sent == self.sent && (with_fin || !self.has_fin && received == self.received)
    }
}

fn churn() {
    in_network(|| {
        let mut events = Events::open().unwrap();
        // No more ends at a time than the buffer of any user has room for.
        let window = events.buffer_bytes() / 8192;
        let (expected, seen) = (Mutex::new(HashMap::new()), AtomicUsize::new(0));
        let ended = thread::scope(|scope| {
            for thread in 0..THREADS {
                let (expected, seen) = (&expected, &seen);
                scope.spawn(move || make(thread, window / THREADS, expected, seen));
            }
            take(&mut events, &expected, &seen)
        });
        let expected = expected.into_inner().unwrap();
        assert_eq!(expected.len(), 2 * CONNECTIONS);
        for (cookie, expected) in &expected {
            let [bytes] = &*ended[cookie] else { panic!("not once: {:?}", ended[cookie]) };
            assert!(expected.is_met_by(*bytes), "{bytes:?}, not {expected:?}");
        }
        assert_eq!(ended.len(), expected.len());
    });
}

/// The share of one thread: each connection in one of the ways in which they end.
fn make(
    thread: usize,
    window: usize,
    expected: &Mutex<HashMap<u64, Expected>>,
    seen: &AtomicUsize,
) {
    // Each its own address, so that there are ports for all.
    let host = Ipv4Addr::new(127, 0, 0, u8::try_from(thread + 1).unwrap());
    let listener = TcpListener::bind((host, 0)).unwrap();
    let mut block = vec![7; 5_000];
    for number in 0..CONNECTIONS / THREADS {
        let (mut client, mut server) = connect(&listener);
        let cookies = [&client, &server].map(|end| tcpinfo::cookie(end).unwrap());
        let (up, down) = (number % 4_999, number * 31 % 1_999);
        client.write_all(&block[..up]).unwrap();
        let down = match number % 4 {
            0 => {
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(server.read_to_end(&mut Vec::new()).unwrap(), up);
                server.write_all(&block[..down]).unwrap();
                drop(server);
                assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), down);
                down
            }
            1 => {
                server.read_exact(&mut block[..up]).unwrap();
                server.write_all(&vec![1; down]).unwrap();
                drop(server);
                assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), down);
                down
            }
            // A reset, for there may be bytes that nobody read.
            2 => {
                server.write_all(&block[..down]).unwrap();
                // What comes later than the end is not received.
                for (end, bytes) in [(&server, up), (&client, down)] {
                    assert!(bytes == 0 || end.peek(&mut [0]).unwrap() == 1);
                }
                drop((server, client));
                down
            }
            _ => {
                drop(client);
                assert_eq!(server.read_to_end(&mut Vec::new()).unwrap(), up);
                0
            }
        };
        let fins = [[true, true], [true, false], [false, false], [false, true]][number % 4];
        let of = |sent, received, has_fin| Expected {
            sent: sent as u64,
            received: received as u64,
            has_fin,
        };
        let both = [of(up, down, fins[0]), of(down, up, fins[1])];
        expected.lock().unwrap().extend(cookies.into_iter().zip(both));
        while THREADS * 2 * number > seen.load(Ordering::Relaxed) + THREADS * 2 * window {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

/// Every end that is told, until there is one of each connection and nothing more comes.
fn take(
    events: &mut Events,
    expected: &Mutex<HashMap<u64, Expected>>,
    seen: &AtomicUsize,
) -> HashMap<u64, Vec<Bytes>> {
    let mut ended: HashMap<u64, Vec<Bytes>> = HashMap::new();
    let begun = Instant::now();
    loop {
        match events.next(Some(Duration::from_millis(200))).unwrap() {
            Some(Event::Ended(entry)) => {
                assert_eq!(entry.state(), State::Close);
                assert_eq!((entry.inode(), entry.uid()), (None, None));
                // A listener's end is told of, too.
                if entry.remote_addr().port() != 0 {
                    ended.entry(entry.cookie()).or_default().push(bytes(&entry));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
            Some(Event::Lost { events, .. }) => panic!("{events:?} events are lost"),
            Some(other) => panic!("{other:?}"),
            // Nothing more comes.
            None if ended.len() >= 2 * CONNECTIONS => return ended,
            None => {
                let made = expected.lock().unwrap().len();
                let waited = begun.elapsed();
                let told = ended.len();
                assert!(waited < Duration::from_secs(300), "{told} of {made} in {waited:?}");
            }
        }
    }
}

fn bytes(entry: &Entry<'_>) -> Bytes {
    let info = entry.native_tcp_info().unwrap();
    let again = info.bytes_retrans().value().unwrap();
    (info.bytes_sent().value().unwrap() - again, info.bytes_received().value().unwrap())
}

fn overflow() {
    const ENDS: u32 = 2 * 300;
    in_network(|| {
        let mut events = Events::open_with_buffer(30_000).unwrap();
        let mut roomy = Events::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..ENDS / 2 {
            drop(connect(&listener));
        }
        for _ in 0..ENDS {
            let event = roomy.next(Some(Duration::from_secs(120))).unwrap();
            assert!(matches!(event, Some(Event::Ended(_))), "{event:?}");
        }
        let (mut ended, mut lost) = (0, 0);
        while ended + lost < ENDS {
            match events.next(Some(Duration::from_secs(120))).unwrap().expect("not all are told of")
            {
                Event::Ended(_) => ended += 1,
                Event::Lost { events, .. } => {
                    lost += events.expect("this kernel counts");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ended + lost, ENDS);
        assert!(lost > 0 && ended > 0, "{lost} lost, {ended} told of");
        // Afterwards there is room again.
        let (client, server) = connect(&listener);
        let cookie = tcpinfo::cookie(&client).unwrap();
        drop((client, server));
        until_ended(&mut events, cookie);
    });
}

/// Waits for the end of one socket and gives it to look at.
fn until_ended(events: &mut Events, cookie: u64) -> EntryBuf {
    loop {
        match events.next(Some(Duration::from_secs(120))).unwrap() {
            Some(Event::Ended(entry)) if entry.cookie() == cookie => return entry.to_buf(),
            Some(Event::Ended(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn aborted() {
    in_network(|| {
        let mut events = Events::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut client, server) = connect(&listener);
        client.write_all(b"last words").unwrap();
        let ours = tcpinfo::cookie(&client).unwrap();
        let theirs = tcpinfo::cookie(&server).unwrap();
        let local = client.local_addr().unwrap();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let buf = until_ended(&mut events, ours);
        let entry = buf.entry();
        assert_eq!(entry.remote_addr().port(), 0);
        assert_eq!(entry.local_addr().port(), local.port());
        assert_eq!(bytes(&entry), (0, 0));
        drop(server);
        let buf = until_ended(&mut events, theirs);
        assert_eq!(buf.entry().remote_addr(), local);
        assert_eq!(bytes(&buf.entry()), (0, 10), "a reset is no byte");
        assert_eq!(buf.entry().protocol(), Some(6));
    });
}

fn recorded() {
    in_network(|| {
        let mut events = Events::open().unwrap();
        let (mut ours, mut lookups) = (HashSet::new(), Vec::new());
        for (bound, host) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let Ok(listener) = TcpListener::bind(bound) else { continue };
            let port = listener.local_addr().unwrap().port();
            let mut client = TcpStream::connect((host, port)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[1; 20_000]).unwrap();
            server.read_exact(&mut [0; 20_000]).unwrap();
            server.write_all(&[2; 300]).unwrap();
            client.read_exact(&mut [0; 300]).unwrap();
            for end in [&client, &server] {
                ours.insert(tcpinfo::cookie(end).unwrap());
                lookups.push(Lookup::new(end.local_addr().unwrap(), end.peer_addr().unwrap()));
            }
            if bound == "[::]:0" {
                // Aborted, and so cleared before it is told of.
                socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        let mut recorder = Recorder::new(Vec::new(), &Dump::new());
        let mut told = Vec::new();
        while told.len() < ours.len() {
            match events.next(Some(Duration::from_secs(60))).unwrap() {
                Some(Event::Ended(entry)) if ours.contains(&entry.cookie()) => {
                    recorder.write(&entry).unwrap();
                    told.push(entry.to_buf());
                }
                // A listener's.
                Some(Event::Ended(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        let file = recorder.finish().unwrap();
        let again = replay(&file, &Dump::new());
        assert_eq!(again, told);
        let facts = |buf: &EntryBuf| {
            let entry = buf.entry();
            let info = entry.native_tcp_info().unwrap();
            let fields =
                info.fields().map(|(field, reading)| format!("{} {reading:?}", field.name));
            let fields: Vec<_> = fields.collect();
            (format!("{entry:?} {:?} {:?}", entry.congestion(), entry.memory()), fields)
        };
        for (again, told) in again.iter().zip(&told) {
            assert_eq!(facts(again), facts(told));
            assert_eq!((again.entry().state(), again.entry().protocol()), (State::Close, Some(6)));
            #[cfg(feature = "serde")]
            assert_eq!(serde_json::to_value(again).unwrap(), serde_json::to_value(told).unwrap());
        }
        // They are closed sockets to lists and filters, and no connections.
        assert_eq!(replay(&file, &Dump::new().states(State::Close.into())), told);
        assert_eq!(replay(&file, &Dump::new().states(States::CONNECTED)), []);
        let filter: Filter = "bytes_received > 10000".parse().unwrap();
        let expected: Vec<_> =
            told.iter().filter(|buf| filter.matches(&buf.entry())).cloned().collect();
        assert!(!expected.is_empty());
        assert_eq!(replay(&file, &Dump::new().filter(&filter)), expected);
        for lookup in lookups {
            let found = Replay::open(&*file).unwrap().lookup(&lookup).unwrap().is_some();
            assert!(!found, "{lookup}");
        }
    });
}

fn descriptor() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    in_network(|| {
        let mut events = Events::open().unwrap();
        let is_readable = |events: &Events, timeout: i64| {
            let timeout = Timespec { tv_sec: timeout, tv_nsec: 0 };
            poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&timeout)).unwrap() == 1
        };
        assert!(!is_readable(&events, 0));
        assert!(events.next(Some(Duration::ZERO)).unwrap().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cookie = tcpinfo::cookie(&listener).unwrap();
        drop(listener);
        assert!(is_readable(&events, 20));
        until_ended(&mut events, cookie);
        assert!(!is_readable(&events, 0));
    });
}

/// Without a single capability, which belong to the thread.
fn unprivileged() {
    in_network(|| {
        super::namespaces::give_up_privileges();
        let mut events = Events::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let cookie = tcpinfo::cookie(&stream).unwrap();
        drop((stream, listener));
        until_ended(&mut events, cookie);
        assert!(SockDiag::open().is_ok());
    });
}

fn buffer() {
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max")
        .map_or(212_992, |text| text.trim().parse().unwrap());
    in_network(|| {
        super::namespaces::give_up_privileges();
        for asked in [100_000, 1 << 20, 1 << 30] {
            let events = Events::open_with_buffer(asked).unwrap();
            assert_eq!(events.buffer_bytes(), asked.min(2 * most));
        }
    });
}
