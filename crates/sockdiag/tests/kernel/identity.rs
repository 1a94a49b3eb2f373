//! The connection that was asked for, and no other.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use sockdiag::{ErrorKind, Lookup, SharedSockDiag, SockDiag};
use socket2::{Domain, SockRef, Socket, Type};
use tcpinfo::State;

use super::scene::{
    Test, find, found, lookup_of, loopbacks, mapped_pair, needs, pair, pair_at, test, until,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("a_listener_is_never_a_connection", listeners),
        test("both_ends_are_connections_of_their_own", both_ends),
        Test {
            name: "an_ipv4_connection_of_an_ipv6_socket_is_found_in_either_form",
            needs: needs(mapped_pair().is_some(), "no socket here takes both protocols"),
            run: mapped,
        },
        test("another_cookie_is_another_connection", cookies),
        test("a_port_that_is_used_again_is_another_connection", reused),
        test("a_connection_that_was_reset_is_gone", gone),
        test("a_socket_that_connects_to_itself_is_one", itself),
        test("threads_never_get_the_answers_of_others", threads),
        test("a_socket_that_was_asked_much_answers_no_less", often),
        test("errors_leave_the_socket_as_it_was", after_errors),
    ]
}

fn listeners() {
    let mut lookups = Vec::new();
    let mut sockets = Vec::new();
    for bound in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        let Ok(listener) = TcpListener::bind(bound) else { continue };
        let local = listener.local_addr().unwrap();
        let cookie = tcpinfo::cookie(&listener).unwrap();
        let here: SocketAddr = match local {
            SocketAddr::V4(_) => ([127, 0, 0, 1], local.port()).into(),
            SocketAddr::V6(_) => ([0, 0, 0, 0, 0, 0, 0, 1], local.port()).into(),
        };
        // Nobody connects from a port below.
        let there = SocketAddr::new(here.ip(), 1);
        lookups.extend([Lookup::new(here, there), Lookup::new(here, there).cookie(cookie)]);
        // With a client, too.
        sockets.push((TcpStream::connect(here).unwrap(), listener));
    }
    assert!(lookups.len() >= 4);
    for lookup in &lookups {
        assert_eq!(find(lookup), None, "{lookup}");
    }
    for (client, listener) in &sockets {
        // Nobody accepted it, and it is a connection none the less: of no program yet.
        let buf = find(&Lookup::new(client.peer_addr().unwrap(), client.local_addr().unwrap()));
        let buf = buf.unwrap();
        assert_eq!((buf.entry().state(), buf.entry().inode()), (State::Established, None));
        assert_eq!(buf.entry().local_addr().port(), listener.local_addr().unwrap().port());
        // The listener has the client's port for a number, and no connection.
        let nobody = Lookup::new(client.peer_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(find(&nobody), None);
    }
}

fn both_ends() {
    for address in loopbacks() {
        let pair = pair_at(address);
        for stream in [&pair.client, &pair.server] {
            let buf = found(stream);
            assert_eq!(buf.entry().cookie(), tcpinfo::cookie(stream).unwrap());
            assert_eq!(buf.entry().local_addr(), stream.local_addr().unwrap());
        }
    }
}

fn mapped() {
    let pair = mapped_pair().unwrap();
    let forms = |address: SocketAddr| {
        let std::net::IpAddr::V4(v4) = address.ip().to_canonical() else { panic!("{address}") };
        [SocketAddr::new(v4.into(), address.port()), (v4.to_ipv6_mapped(), address.port()).into()]
    };
    for stream in [&pair.client, &pair.server] {
        let cookie = tcpinfo::cookie(stream).unwrap();
        for local in forms(stream.local_addr().unwrap()) {
            for remote in forms(stream.peer_addr().unwrap()) {
                let buf = find(&Lookup::new(local, remote)).expect("it is there");
                assert_eq!(buf.entry().cookie(), cookie, "{local} {remote}");
                assert_eq!(buf.entry().local_addr(), stream.local_addr().unwrap());
                assert!(find(&Lookup::new(local, remote).cookie(cookie)).is_some());
            }
        }
    }
}

fn cookies() {
    let pair = pair();
    let cookie = tcpinfo::cookie(&pair.client).unwrap();
    let lookup = lookup_of(&pair.client);
    assert!(find(&lookup.cookie(cookie)).is_some());
    let others =
        [0, cookie + 1, cookie ^ 1 << 32, u64::MAX, tcpinfo::cookie(&pair.server).unwrap()];
    for other in others {
        assert_eq!(find(&lookup.cookie(other)), None, "{other:x}");
    }
}

/// Connects from a port that was used before, without the wait in between; and from an address that
/// no other test uses, so that its port is no other's meanwhile.
fn connect_from(port: u16, listener: &TcpListener) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 77, 0, 1], port)).into())?;
    socket.connect(&listener.local_addr()?.into())?;
    Ok(socket.into())
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn reused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = connect_from(0, &listener).unwrap();
    let (first_server, _) = listener.accept().unwrap();
    let (lookup, cookie) = (lookup_of(&first), tcpinfo::cookie(&first).unwrap());
    let port = first.local_addr().unwrap().port();
    assert!(find(&lookup.cookie(cookie)).is_some());
    drop(first_server);
    reset(first);
    until("it is gone", || find(&lookup).is_none().then_some(()));

    // A listener on every address may have it for a moment.
    let second = until("the port is free", || connect_from(port, &listener).ok());
    let (second_server, _) = listener.accept().unwrap();
    assert_eq!(lookup_of(&second), lookup);
    assert_eq!(find(&lookup.cookie(cookie)), None, "it is not the first");
    let fresh = tcpinfo::cookie(&second).unwrap();
    assert_ne!(fresh, cookie);
    assert_eq!(find(&lookup).unwrap().entry().cookie(), fresh);
    assert_eq!(found(&second_server).entry().state(), State::Established);
}

fn gone() {
    let pair = pair();
    let (ours, theirs) = (lookup_of(&pair.client), lookup_of(&pair.server));
    reset(pair.client);
    assert_eq!(find(&ours), None);
    until("the other end hears of it", || find(&theirs).is_none().then_some(()));
}

/// Both ends are the same socket: what is local is remote.
fn itself() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.connect(&socket.local_addr().unwrap()).unwrap();
    let stream = TcpStream::from(socket);
    assert_eq!(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    assert_eq!(found(&stream).entry().cookie(), tcpinfo::cookie(&stream).unwrap());
}

fn threads() {
    const THREADS: usize = 6;
    const ROUNDS: usize = 40;
    static SHARED: SharedSockDiag = SharedSockDiag::new();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let streams: Vec<_> = (0..25)
        .flat_map(|_| [TcpStream::connect(here).unwrap(), listener.accept().unwrap().0])
        .collect();
    let known: Arc<[(Lookup, u64)]> = streams
        .iter()
        .map(|stream| (lookup_of(stream), tcpinfo::cookie(stream).unwrap()))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let known = Arc::clone(&known);
            scope.spawn(move || {
                let mut own = SockDiag::open().unwrap();
                for round in 0..ROUNDS {
                    for place in 0..known.len() {
                        let (lookup, cookie) = known[(place * (thread + 1) + round) % known.len()];
                        let entry = own.lookup(&lookup).unwrap().expect("it is there");
                        assert_eq!(entry.cookie(), cookie);
                        let shared = SHARED.lookup_with(&lookup, |entry| entry.cookie()).unwrap();
                        assert_eq!(shared, Some(cookie));
                        let nobody = Lookup::new(lookup.local_addr(), ([127, 0, 0, 1], 1).into());
                        assert_eq!(own.lookup(&nobody).unwrap(), None);
                    }
                }
            });
        }
    });
    assert_eq!(SHARED.lookup(&known[0].0).unwrap().unwrap().entry().cookie(), known[0].1);
}

fn often() {
    let pair = pair();
    let (lookup, cookie) = (lookup_of(&pair.server), tcpinfo::cookie(&pair.server).unwrap());
    let mut diag = SockDiag::open_with_timeout(Duration::ZERO).unwrap();
    for _ in 0..20_000 {
        assert_eq!(diag.lookup(&lookup).unwrap().map(|entry| entry.cookie()), Some(cookie));
    }
}

fn after_errors() {
    let pair = pair();
    let mut diag = SockDiag::open().unwrap();
    let wrong = Lookup::new(([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 1).into());
    let error = diag.lookup(&wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadQuestion);
    assert_eq!(error.lookup(), Some(&wrong));
    let io: std::io::Error = error.into();
    assert_eq!(io.kind(), std::io::ErrorKind::InvalidInput);
    assert!(diag.lookup(&lookup_of(&pair.client)).unwrap().is_some());
}
