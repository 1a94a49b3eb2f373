//! Connections one at a time: who, how long, why.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::{
    network::{abort, connect, set_loopback},
    tool::Life,
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("who_holds_it_is_shown_when_it_was_seen", process),
    ("those_of_a_process_or_a_user_are_shown_if_they_were_seen", whose),
    ("an_aborted_connection_says_so_and_has_its_addresses_if_it_was_seen", aborted),
    ("how_long_it_lived_is_exact_while_one_end_was_silent", lived),
    ("a_listener_that_is_gone_does_not_make_a_reset_of_a_close", gone),
    ("who_was_stopped_does_not_guess_who_closed_first", stopped),
    ("what_never_connected_is_shown_on_request_only", attempts),
    ("a_connection_that_is_not_answered_any_more_has_timed_out", timed_out),
];

fn process() {
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "50ms"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) = connect(&listener);
    let cookie = tcpinfo::cookie(&client).unwrap();
    let own = u64::from(std::process::id());
    // Looks are further apart on a machine on which one takes long.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut pair = (client, server, cookie);
    loop {
        thread::sleep(Duration::from_millis(500));
        let (client, server, cookie) = pair;
        drop((client, server));
        let end = life.until(cookie);
        if !end["process"].is_null() {
            let process = &end["process"][0];
            assert_eq!(process["pid"], own, "{end}");
            assert!(process["command"].is_string(), "{end}");
            break;
        }
        assert!(Instant::now() < deadline, "it is never known");
        let (client, server) = connect(&listener);
        pair = (client, server, 0);
        pair.2 = tcpinfo::cookie(&pair.0).unwrap();
    }
    life.signal(libc::SIGTERM);
    life.finish();
    // Without looks, what began later is not guessed.
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "0"]);
    let (client, server) = connect(&listener);
    let cookie = tcpinfo::cookie(&client).unwrap();
    drop((client, server));
    let end = life.until(cookie);
    assert!(end.get("process").is_none(), "{end}");
    life.signal(libc::SIGTERM);
    life.finish();
}

fn whose() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = |whose: [&str; 2]| {
        let columns = ["--format", "csv", "--columns", "cookie", "--refresh", "0"];
        Life::with_header(&[&columns[..], &whose].concat())
    };
    let hexadecimal = |stream: &TcpStream| format!("{:#x}\n", tcpinfo::cookie(stream).unwrap());
    let (client, server) = connect(&listener);
    let (other_client, other_server) = connect(&listener);
    // Two programs hold this one.
    let socket = std::os::fd::OwnedFd::from(client.try_clone().unwrap());
    let mut child = Command::new("cat").stdin(socket).stdout(Stdio::null()).spawn().unwrap();
    let own = std::process::id().to_string();
    // SAFETY: a plain system call that takes no pointers.
    let user = unsafe { libc::geteuid() };
    let mut of_child = begin(["--pid", &child.id().to_string()]);
    let mut of_own = begin(["--pid", &own]);
    let mut of_user = begin(["--user", &user.to_string()]);
    let of_nobody = begin(["--user", "4000000000"]);
    // Nobody has seen these.
    drop(connect(&listener));
    let mut expected = [&client, &server, &other_client, &other_server].map(hexadecimal);
    let shared = expected[0].clone();
    drop((other_client, other_server));
    child.kill().unwrap();
    child.wait().unwrap();
    drop((client, server));
    assert_eq!(of_child.next(), shared);
    expected.sort();
    for life in [&mut of_own, &mut of_user] {
        let mut told = [(); 4].map(|()| life.next());
        told.sort();
        assert_eq!(told, expected);
    }
    for life in [of_child, of_own, of_user, of_nobody] {
        life.signal(libc::SIGTERM);
        assert_eq!(life.finish().0, "");
    }
}

fn aborted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = || {
        let (mut client, server) = connect(&listener);
        client.write_all(&[1; 100]).unwrap();
        (tcpinfo::cookie(&client).unwrap(), client, server)
    };
    // Seen at the start.
    let (cookie, client, _server) = begin();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "0"]);
    abort(client);
    let end = life.until(cookie);
    assert_eq!(end["reason"], "aborted", "{end}");
    assert_eq!(end["localAddr"], local.to_string());
    assert_eq!(end["remoteAddr"], remote.to_string());
    assert_eq!(end["info"]["sysInfo"]["bytesSent"], 0, "as the kernel has it");
    assert!(end["process"][0]["pid"] == u64::from(std::process::id()), "{end}");
    // Not seen.
    let (cookie, client, _server) = begin();
    let port = client.local_addr().unwrap().port();
    abort(client);
    let end = life.until(cookie);
    assert_eq!(end["reason"], "aborted", "{end}");
    assert!(end["localAddr"].as_str().unwrap().ends_with(&format!(":{port}")));
    assert!(end["remoteAddr"].as_str().unwrap().ends_with(":*"), "{end}");
    life.signal(libc::SIGTERM);
    life.finish();
    // A count that was thrown away is not shown as zero.
    let (_, client, _server) = begin();
    let local = client.local_addr().unwrap().to_string();
    let columns = "local,tx_bytes,rx_bytes,total_retrans,rtt,reason";
    let mut life = Life::begin(&["--format", "csv", "--refresh", "0", "--columns", columns]);
    abort(client);
    let line = loop {
        let line = life.next();
        if line.starts_with(&local) {
            break line;
        }
    };
    assert_eq!(line.trim_end(), format!("{local},,,0,,aborted"));
    life.signal(libc::SIGTERM);
    life.finish();
}

fn lived() {
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "0"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let (mut client, mut server) = connect(&listener);
    let cookies = [&client, &server].map(|end| tcpinfo::cookie(end).unwrap());
    thread::sleep(Duration::from_millis(300));
    client.write_all(b"one way").unwrap();
    server.read_exact(&mut [0; 7]).unwrap();
    let least = 300_000_000 - 30_000_000;
    drop((client, server));
    for cookie in cookies {
        let end = life.until(cookie);
        let most = u64::try_from(begun.elapsed().as_nanos()).unwrap() + 30_000_000;
        let lived = end["duration"].as_u64().unwrap_or_else(|| panic!("not exact: {end}"));
        assert!((least..=most).contains(&lived), "{lived}: {end}");
    }
    // Both ways it is at least as long as since the last byte.
    let (mut client, mut server) = connect(&listener);
    let cookie = tcpinfo::cookie(&client).unwrap();
    client.write_all(b"?").unwrap();
    server.read_exact(&mut [0]).unwrap();
    server.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(200));
    drop((client, server));
    let end = life.until(cookie);
    assert!(end.get("duration").is_none(), "{end}");
    assert!(end["durationAtLeast"].as_u64().unwrap() >= 170_000_000, "{end}");
    life.signal(libc::SIGTERM);
    life.finish();
}

fn gone() {
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "0"]);
    for _ in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut client, mut server) = connect(&listener);
        let cookie = tcpinfo::cookie(&server).unwrap();
        client.write_all(b"?").unwrap();
        drop(listener);
        drop(client);
        server.read_to_end(&mut Vec::new()).unwrap();
        drop(server);
        let end = life.until(cookie);
        assert!(end["reason"] == "peer_close" || end["reason"] == "unknown", "{end}");
    }
    life.signal(libc::SIGTERM);
    life.finish();
}

/// What the kernel keeps for a minute to say that this end closed first is gone when it goes on.
fn stopped() {
    let mut life = Life::begin(&["--format", "jsonl"]);
    let stop = Instant::now();
    life.signal(libc::SIGSTOP);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let from = |here: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&here.into()).unwrap();
        socket.connect(&there.into()).map(|()| TcpStream::from(socket))
    };
    let client = from("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut server = listener.accept().unwrap().0;
    let here = client.local_addr().unwrap();
    let cookie = tcpinfo::cookie(&client).unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    drop(server);
    // Others may have the same addresses after a second, and take them along when they are reset.
    let again = loop {
        match from(here) {
            Ok(again) => break again,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable),
        }
        assert!(stop.elapsed() < Duration::from_secs(60), "the addresses stay taken");
        thread::sleep(Duration::from_millis(50));
    };
    let other = listener.accept().unwrap().0;
    abort(again);
    drop(other);
    thread::sleep(Duration::from_millis(3_500).saturating_sub(stop.elapsed()));
    life.signal(libc::SIGCONT);
    let end = life.until(cookie);
    assert_eq!(end["reason"], "closed", "{end}");
    life.signal(libc::SIGTERM);
    life.finish();
}

fn attempts() {
    for (arguments, all) in
        [(&["--format", "jsonl"][..], false), (&["--format", "jsonl", "--all"], true)]
    {
        let mut life = Life::begin(arguments);
        drop(TcpListener::bind("127.0.0.1:0").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, server) = connect(&listener);
        // At the client's end nobody listens.
        assert!(TcpStream::connect(client.local_addr().unwrap()).is_err());
        let cookie = tcpinfo::cookie(&server).unwrap();
        drop((client, server));
        // Each processor tells of its own, in their order.
        let (mut no_connections, mut is_over) = (BTreeSet::new(), false);
        while !is_over || all && no_connections.len() < 2 {
            let end = life.next_json();
            match end["reason"].as_str().unwrap() {
                reason @ ("not_connected" | "connect_failed") => {
                    no_connections.insert(reason.to_owned());
                }
                _ => is_over |= end["cookie"] == cookie,
            }
        }
        assert_eq!(no_connections.is_empty(), !all, "{no_connections:?}");
        life.signal(libc::SIGTERM);
        life.finish();
    }
}

/// The network goes away below two connections, one of which has something to send, and one asks now and
/// then whether the peer is there.
fn timed_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut sends, _peer) = connect(&listener);
    let (mut asks, _other) = connect(&listener);
    let cookies = [&sends, &asks].map(|end| tcpinfo::cookie(end).unwrap());
    let mut life = Life::begin(&["--format", "jsonl", "--refresh", "0"]);
    let limit = Duration::from_millis(2_500);
    socket2::SockRef::from(&sends).set_tcp_user_timeout(Some(limit)).unwrap();
    let second = Duration::from_secs(1);
    let keepalive = TcpKeepalive::new().with_time(second).with_interval(second).with_retries(2);
    socket2::SockRef::from(&asks).set_tcp_keepalive(&keepalive).unwrap();
    set_loopback(false).unwrap();
    sends.write_all(b"lost").unwrap();
    for stream in [&mut sends, &mut asks] {
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
    drop((sends, asks));
    for cookie in cookies {
        let end = life.until(cookie);
        assert_eq!(end["reason"], "timed_out", "{end}");
    }
    life.signal(libc::SIGTERM);
    life.finish();
}
