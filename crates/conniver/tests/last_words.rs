//! What the kernel says of a connection after its close.

#![cfg(target_os = "linux")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use conniver::{Conn, Fate, LastWord, LastWords, Options, report_channel};

/// Long, if something should happen.
const LONG: Duration = Duration::from_secs(60);

/// Short, if nothing should.
const SHORT: Duration = Duration::from_millis(300);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn ended(fate: Option<Fate>) -> LastWord {
    match fate {
        Some(Fate::Ended(word)) => word,
        other => panic!("{other:?}"),
    }
}

/// Writes until nothing more fits, and says how much did.
fn fill(conn: &mut Conn<TcpStream>) -> u64 {
    conn.get_ref().set_nonblocking(true).unwrap();
    let mut written = 0;
    loop {
        match conn.write(&[1; 65_536]) {
            Ok(len) => written += len as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_acknowledged_after_the_close_only_is_told() {
    let mut words = LastWords::open().unwrap();
    let (observer, reports) = report_channel(1);
    let (client, mut server) = pair();
    let mut conn = Options::new().observer(observer).wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    assert_eq!(expected.cookie(), tcpinfo::cookie(&conn).unwrap());
    let written = fill(&mut conn);
    drop(conn);
    let report = reports.recv().unwrap();
    assert_eq!(report.tx_bytes, written);
    assert!(report.kernel_tx_bytes().unwrap() < written, "something waits");
    // It lingers, for nobody reads.
    assert!(words.wait(expected, SHORT).unwrap().is_none());
    assert_eq!((words.len(), words.poll().unwrap()), (1, 0));

    assert_eq!(server.read_to_end(&mut Vec::new()).unwrap() as u64, written);
    let word = ended(words.wait(expected, LONG).unwrap());
    assert_eq!(word.delivered(), Some(true));
    assert_eq!(word.fin_acked(), Some(true));
    assert_eq!((word.sent_bytes(), word.acked_bytes()), (Some(written), Some(written)));
    assert_eq!(word.unacked_bytes(), Some(0));
    assert_eq!((word.id(), word.expected()), (Some(report.id), expected));
    assert!(!word.is_aborted() && word.tcp_info().unwrap().rtt().is_some());
    assert!(
        word.to_string().starts_with(&format!("delivered acked={written} unacked=0 ")),
        "{word}"
    );
    // It is given once.
    assert!(words.is_empty());
    assert_eq!(words.wait(expected, SHORT).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_peer_that_resets_leaves_something_undelivered() {
    let mut words = LastWords::open().unwrap();
    let (client, server) = pair();
    let mut conn = Options::new().wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    let written = fill(&mut conn);
    drop(conn);
    assert!(words.wait(expected, SHORT).unwrap().is_none());
    // With what it has not read.
    drop(server);
    let word = ended(words.wait(expected, LONG).unwrap());
    assert_eq!((word.delivered(), word.fin_acked()), (Some(false), Some(false)));
    let (sent, acked) = (word.sent_bytes().unwrap(), word.acked_bytes().unwrap());
    assert!(acked <= sent && sent < written && acked > 0, "{acked} of {sent} of {written}");
    // The FIN behind it was not sent, either.
    assert_eq!(word.unacked_bytes(), Some(written - acked + 1));
    assert!(word.to_string().starts_with("not delivered "), "{word}");
}

#[test]
fn a_reset_after_everything_arrived_is_a_delivery() {
    let mut words = LastWords::open().unwrap();
    let (client, mut server) = pair();
    let mut conn = Options::new().wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    conn.write_all(b"read").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    server.write_all(b"never read").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // Closed with unread bytes: ours resets it.
    drop(conn);
    let word = ended(words.wait(expected, LONG).unwrap());
    assert_eq!((word.delivered(), word.fin_acked()), (Some(true), Some(false)));
    assert_eq!((word.sent_bytes(), word.acked_bytes()), (Some(4), Some(4)));
}

#[test]
fn an_aborted_connection_is_told_from_one_that_sent_nothing() {
    let mut words = LastWords::open().unwrap();
    let (client, _server) = pair();
    let mut conn = Options::new().wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    conn.write_all(b"thrown away, perhaps").unwrap();
    socket2::SockRef::from(conn.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(conn);
    let word = ended(words.wait(expected, LONG).unwrap());
    assert!(word.is_aborted());
    assert_eq!((word.delivered(), word.fin_acked()), (None, None));
    assert_eq!((word.sent_bytes(), word.acked_bytes(), word.unacked_bytes()), (None, None, None));
    assert_eq!(word.to_string(), "aborted");

    let (client, server) = pair();
    let conn = Options::new().wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    drop((conn, server));
    let word = ended(words.wait(expected, LONG).unwrap());
    assert!(!word.is_aborted());
    assert_eq!((word.delivered(), word.sent_bytes()), (Some(true), Some(0)));
}

/// Who accepted has no SYN acknowledged; whichever side is expected, and whenever.
#[test]
fn both_sides_and_all_moments_count_alike() {
    let mut words = LastWords::open().unwrap();
    for number in 0..200_usize {
        let (client, server) = pair();
        let mut conns = [client, server].map(|stream| Options::new().wrap(stream));
        let mut expected = Vec::new();
        let before = number % 3;
        let mut expect = |words: &mut LastWords, conns: &[Conn<TcpStream>; 2]| {
            expected = conns.iter().map(|conn| words.expect(&conn.handle()).unwrap()).collect();
        };
        if before == 0 {
            expect(&mut words, &conns);
        }
        let (up, down) = (number * 331, number * 17 % 1_009);
        conns[0].write_all(&vec![1; up]).unwrap();
        if before == 1 {
            // While bytes move.
            expect(&mut words, &conns);
        }
        conns[1].read_exact(&mut vec![0; up]).unwrap();
        conns[1].write_all(&vec![2; down]).unwrap();
        conns[0].read_exact(&mut vec![0; down]).unwrap();
        if before == 2 {
            expect(&mut words, &conns);
        }
        let [client, server] = conns;
        if number % 2 == 0 {
            drop(client);
            drop(server);
        } else {
            drop(server);
            drop(client);
        }
        for (expected, sent) in expected.iter().zip([up, down]) {
            let word = ended(words.wait(*expected, LONG).unwrap());
            assert_eq!(word.sent_bytes(), Some(sent as u64), "{number}: {word:?}");
            assert_eq!(word.acked_bytes(), Some(sent as u64), "{number}: {word:?}");
            assert_eq!(word.delivered(), Some(true), "{number}: {word:?}");
        }
    }
    assert!(words.is_empty());
}

#[test]
fn a_half_that_stays_open_is_no_end() {
    let mut words = LastWords::open().unwrap();
    let (client, mut server) = pair();
    let expected = words.expect_sock(&client).unwrap();
    assert_eq!(words.expect_sock(&client).unwrap(), expected, "named twice is named once");
    assert_eq!(words.len(), 1);
    (&client).write_all(b"half").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    assert!(words.wait(expected, SHORT).unwrap().is_none());
    drop((client, server));
    let word = ended(words.wait(expected, LONG).unwrap());
    assert_eq!((word.id(), word.delivered(), word.acked_bytes()), (None, Some(true), Some(4)));
}

#[test]
fn words_come_in_the_order_of_the_ends() {
    let mut words = LastWords::open().unwrap();
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    let expected: Vec<_> =
        pairs.iter().map(|(client, _)| words.expect_sock(client).unwrap()).collect();
    assert!(words.forget(expected[3]) && !words.forget(expected[3]));
    for (client, server) in pairs {
        drop(client);
        drop(server);
    }
    let mut told = Vec::new();
    while let Some(word) = words.next(if told.len() < 19 { LONG } else { SHORT }).unwrap() {
        told.push(word.expected());
    }
    let mut wanted = expected.clone();
    wanted.remove(3);
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}

#[test]
fn who_cannot_be_asked_is_not_expected() {
    let mut words = LastWords::open().unwrap();
    let (client, _server) = pair();
    let conn = Options::new().wrap(client);
    let handle = conn.handle();
    drop(conn);
    assert_eq!(words.expect(&handle).unwrap_err().kind(), ErrorKind::NotConnected);
    let conn = Options::new().wrap_opaque(Vec::<u8>::new());
    assert_eq!(words.expect(&conn.handle()).unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(words.is_empty());
}

#[test]
fn what_was_lost_is_said() {
    let mut words = LastWords::open_with_buffer(20_000).unwrap();
    let (lingers, _peer) = pair();
    let lingers_on = words.expect_sock(&lingers).unwrap();
    for _ in 0..500 {
        drop(pair());
    }
    // That something was lost may be told late.
    let begun = Instant::now();
    while !matches!(words.wait(lingers_on, SHORT).unwrap(), Some(Fate::Lost)) {
        assert!(begun.elapsed() < LONG);
    }
    assert!(words.is_empty());
    // Afterwards it hears again.
    let expected = words.expect_sock(&lingers).unwrap();
    drop((lingers, _peer));
    let word = ended(words.wait(expected, LONG).unwrap());
    assert_eq!(word.delivered(), Some(true));
}

#[tokio::test]
async fn tasks_wait_without_a_thread() {
    let mut words = LastWords::open().unwrap();
    let (client, mut server) = pair();
    let mut conn = Options::new().wrap(client);
    let expected = words.expect(&conn.handle()).unwrap();
    conn.write_all(b"late").unwrap();
    let half = conn.into_inner().0;
    half.shutdown(Shutdown::Write).unwrap();
    assert!(words.wait_async(expected, SHORT).await.unwrap().is_none());
    let closing = tokio::task::spawn_blocking(move || {
        std::thread::sleep(SHORT);
        server.read_to_end(&mut Vec::new()).unwrap();
        drop((server, half));
    });
    let word = ended(words.wait_async(expected, LONG).await.unwrap());
    assert_eq!((word.delivered(), word.acked_bytes()), (Some(true), Some(4)));
    closing.await.unwrap();

    let (client, server) = pair();
    let expected = words.expect_sock(&client).unwrap();
    assert!(words.next_async(Duration::ZERO).await.unwrap().is_none());
    drop((client, server));
    assert_eq!(words.next_async(LONG).await.unwrap().unwrap().expected(), expected);
}
