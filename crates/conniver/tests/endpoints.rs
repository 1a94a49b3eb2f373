//! Listeners and connectors: what they wrap, what they set, and what they tell of failures.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use conniver::{
    FailReason, FailedConn, Handle, Keepalive, Listener, Observer, Options, Role, Target, Tracker,
};
use socket2::{Domain, SockRef, Socket, Type};

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<FailedConn>>>);

impl Log {
    fn failed(&self) -> Vec<FailedConn> {
        self.1.lock().unwrap().clone()
    }
}

impl Observer for Log {
    fn opened(&self, conn: &Handle) {
        let role = conn.role().map(|role| role.to_string());
        self.0.lock().unwrap().push(format!("opened {}", role.unwrap_or_default()));
    }

    fn failed(&self, failed: &FailedConn) {
        self.1.lock().unwrap().push(failed.clone());
    }
}

fn listener() -> (Listener<TcpListener>, SocketAddr) {
    let listener = Options::new().listener(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address at which nobody listens: the port is taken, and so given to nobody else.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn both_ends_are_wrapped_with_their_sides() {
    let log = Log::default();
    let tracker = Tracker::new();
    let options =
        Options::new().category("x").context(5_u8).observer(log.clone()).tracker(&tracker);
    let listener = options.listener(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let mut client = options.connector().connect(address).unwrap();
    let (mut server, peer) = listener.accept().unwrap();
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();

    assert_eq!(client.local_addr().unwrap(), peer);
    assert_eq!(
        (client.handle().role(), server.handle().role()),
        (Some(Role::Client), Some(Role::Server))
    );
    assert_eq!(server.handle().context::<u8>(), Some(&5));
    assert_eq!(*log.0.lock().unwrap(), ["opened client", "opened server"]);
    assert_eq!(tracker.len(), 2);
    let sides: Vec<_> =
        tracker.totals_by_group().into_iter().map(|(group, _)| group.role).collect();
    assert_eq!(sides, [Some(Role::Client), Some(Role::Server)]);
}

#[test]
fn a_side_that_was_set_stays() {
    let relay = Options::new().role(Role::Server);
    let (listener, address) = listener();
    let conn = relay.connector().connect(address).unwrap();
    assert_eq!(conn.handle().role(), Some(Role::Server));
    drop(listener);
}

#[test]
fn socket_options_are_set_at_both_ends() {
    let keepalive = Keepalive::new()
        .idle(Duration::from_millis(29_001))
        .interval(Duration::from_secs(7))
        .probes(3);
    let (bare, address) = listener();
    let listener = bare.options().listener(bare.get_ref().try_clone().unwrap());
    let listener = listener.nodelay(true).keepalive(keepalive);
    let client = Options::new().connector().nodelay(true).keepalive(keepalive).connect(address);
    let client = client.unwrap();
    let (server, _) = listener.accept().unwrap();
    for conn in [&client, &server] {
        let sock = SockRef::from(conn);
        assert!(sock.tcp_nodelay().unwrap() && sock.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(sock.tcp_keepalive_time().unwrap(), Duration::from_secs(30), "rounded up");
            assert_eq!(sock.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
            assert_eq!(sock.tcp_keepalive_retries().unwrap(), 3);
        }
    }

    let client = Options::new().connector().connect(address).unwrap();
    let (server, _) = bare.accept().unwrap();
    for conn in [&client, &server] {
        let sock = SockRef::from(conn);
        assert!(!sock.tcp_nodelay().unwrap() && !sock.keepalive().unwrap(), "as the system has it");
    }
}

#[test]
fn a_refusal_is_told_with_its_address_and_counts() {
    let (_taken, address) = refusing();
    let log = Log::default();
    let tracker = Tracker::new();
    let options = Options::new().category("db").observer(log.clone()).tracker(&tracker);
    let error = options.connector().connect(address).unwrap_err();
    assert_eq!(error.reason(), FailReason::Refused);
    assert_eq!(error.io_error().kind(), io::ErrorKind::ConnectionRefused);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot connect to {address}: ")), "{text}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);

    let told = log.failed();
    let [failed] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((failed.category(), failed.role()), (Some("db"), Some(Role::Client)));
    let [attempt] = failed.attempts.as_slice() else { panic!("{failed:?}") };
    assert_eq!((attempt.addr, attempt.reason), (address, FailReason::Refused));
    assert!(failed.took >= attempt.took);
    let text = failed.to_string();
    assert!(text.starts_with("db client failed: refused "), "{text}");
    let totals = tracker.totals();
    assert_eq!((totals.failed(), totals.failed_by(FailReason::Refused)), (1, 1));
    assert_eq!((totals.opened, totals.closed()), (0, 0));
}

#[test]
fn every_address_is_tried_until_one_answers() {
    let (_one, first) = refusing();
    let (_two, second) = refusing();
    let (listener, third) = listener();
    let log = Log::default();
    let connector = Options::new().observer(log.clone()).connector();
    let conn = connector.connect(vec![first, second, third]).unwrap();
    assert_eq!(conn.peer_addr().unwrap(), third);
    assert!(log.failed().is_empty());
    assert_eq!(conn.snapshot().reconnects, 0);

    let error = connector.connect(&[first, second][..]).unwrap_err();
    let tried: Vec<_> = error.failed().attempts.iter().map(|attempt| attempt.addr).collect();
    assert_eq!(tried, [first, second]);
    assert!(error.to_string().contains("any of 2 addresses"), "{error}");
    drop(listener);
}

#[test]
fn failures_in_a_row_are_the_reconnects_of_the_next_connection() {
    let (taken, address) = refusing();
    let connector = Options::new().connector();
    for connector in [&connector, &connector.clone(), &connector] {
        connector.connect(address).unwrap_err();
    }
    taken.listen(8).unwrap();
    let conn = connector.connect(address).unwrap();
    assert_eq!(conn.snapshot().reconnects, 3);
    let conn = connector.connect(address).unwrap();
    assert_eq!(conn.snapshot().reconnects, 0);
}

#[test]
fn a_name_without_address_is_a_failed_resolution() {
    for name in ["no.such.name.invalid:80", "no port", "127.0.0.1:99999", ""] {
        let error = Options::new().connector().connect(name).unwrap_err();
        assert_eq!(error.reason(), FailReason::Resolution, "{name}");
        assert_eq!(error.failed().target.as_deref(), Some(name));
        assert!(error.failed().attempts.is_empty());
        assert!(error.to_string().starts_with(&format!("cannot connect to {name:?}: ")), "{error}");
    }
    let none = Options::new().connector().connect(Vec::new()).unwrap_err();
    assert_eq!(none.reason(), FailReason::Resolution);
}

#[test]
fn a_name_is_looked_up() {
    let (listener, address) = listener();
    let conn = Options::new().connector().connect(("localhost", address.port())).unwrap();
    assert_eq!(conn.peer_addr().unwrap(), address);
    assert_eq!(Target::from(("::1", 80)), Target::Name("[::1]:80".to_owned()));
    assert_eq!(Target::from(("[::1]", 80)), Target::Name("[::1]:80".to_owned()));
    drop(listener);
}

/// The kernel drops the first packet of a connection that a full queue has no room for.
#[cfg(target_os = "linux")]
#[test]
fn nobody_answers_in_time() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _queued = TcpStream::connect(address).unwrap();
    let connector = Options::new().connector().timeout(Duration::from_millis(50));
    let error = connector.connect(address).unwrap_err();
    assert_eq!(error.reason(), FailReason::TimedOut);
    assert!(error.failed().took >= Duration::from_millis(50));
}

#[test]
fn a_listener_tells_how_many_wait() {
    let (listener, address) = listener();
    let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    #[cfg(target_os = "linux")]
    assert_eq!(listener.queues().unwrap().accept_queue, Some(2));
    assert_eq!(listener.incoming().take(2).filter(Result::is_ok).count(), 2);
    #[cfg(target_os = "linux")]
    assert_eq!(listener.queues().unwrap().accept_queue, Some(0));
}

#[test]
fn waiting_for_nobody_is_no_failure() {
    let log = Log::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = Options::new().observer(log.clone()).listener(listener).back_off(true);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(log.failed().is_empty());
}

/// Keeps every read and write.
#[derive(Clone, Default)]
struct IoLog(Arc<Mutex<Vec<String>>>, bool);

impl Observer for IoLog {
    fn wants_io(&self) -> bool {
        self.1
    }

    fn read(&self, _: &Handle, result: Result<usize, &io::Error>) {
        self.0.lock().unwrap().push(format!("read {:?}", result.map_err(io::Error::kind)));
    }

    fn wrote(&self, conn: &Handle, result: Result<usize, &io::Error>) {
        assert!(conn.tx_bytes() > 0, "counted before it is told");
        self.0.lock().unwrap().push(format!("wrote {:?}", result.map_err(io::Error::kind)));
    }
}

#[test]
fn reads_and_writes_are_told_to_those_who_want_to_know() {
    let (wants, does_not) = (IoLog(Arc::default(), true), IoLog(Arc::default(), false));
    let (listener, address) = listener();
    let options = Options::new().observer(wants.clone()).observer(does_not.clone());
    let mut conn = options.connector().connect(address).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    conn.write_all(b"hello").unwrap();
    peer.write_all(b"abc").unwrap();
    drop(peer.into_inner().0.shutdown(std::net::Shutdown::Write));
    let _ = (&conn).read(&mut [0; 8]).unwrap();
    conn.set_nonblocking(true).unwrap();
    let told = wants.0.lock().unwrap().clone();
    assert_eq!(told, ["wrote Ok(5)", "read Ok(3)"]);
    assert!(does_not.0.lock().unwrap().is_empty());
}

#[test]
fn having_to_wait_is_not_told() {
    let log = IoLog(Arc::default(), true);
    let (listener, address) = listener();
    let mut conn = Options::new().observer(log.clone()).connector().connect(address).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    conn.set_nonblocking(true).unwrap();
    assert_eq!(conn.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(log.0.lock().unwrap().is_empty());
    conn.set_nonblocking(false).unwrap();
    peer.write_all(b"now").unwrap();
    conn.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(*log.0.lock().unwrap(), ["read Ok(3)"]);
}

#[cfg(unix)]
#[test]
fn errors_of_reading_are_told() {
    let log = IoLog(Arc::default(), true);
    let (listener, address) = listener();
    let mut conn = Options::new().observer(log.clone()).connector().connect(address).unwrap();
    let (peer, _) = listener.accept().unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    conn.read(&mut [0; 8]).unwrap_err();
    assert_eq!(*log.0.lock().unwrap(), ["read Err(ConnectionReset)"]);
}

#[cfg(feature = "tokio")]
mod tokio_net {
    use conniver::CloseReason;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn both_ends_are_wrapped() {
        let tracker = Tracker::new();
        let log = IoLog(Arc::default(), true);
        let options = Options::new().tracker(&tracker).observer(log.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = options.listener(listener).nodelay(true).back_off(true);
        let address = listener.local_addr().unwrap();
        let mut client = options.connector().connect_tokio(address).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(client.local_addr().unwrap(), peer);
        assert!(server.nodelay().unwrap());
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(*log.0.lock().unwrap(), ["wrote Ok(4)", "read Ok(4)"]);
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(*log.0.lock().unwrap(), ["wrote Ok(4)", "read Ok(4)", "read Ok(0)"]);
        assert_eq!(tracker.len(), 2);
        drop(server);
        drop(client);
        let mut reasons: Vec<_> = tracker.ended().iter().map(|report| report.reason).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, [CloseReason::LocalClose, CloseReason::PeerClose]);
    }

    #[tokio::test]
    async fn failures_are_told_alike() {
        let (_taken, address) = refusing();
        let log = Log::default();
        let connector = Options::new().observer(log.clone()).connector();
        let error = connector.connect_tokio(address).await.unwrap_err();
        assert_eq!(error.reason(), FailReason::Refused);
        let error = connector.connect_tokio("no.such.name.invalid:1").await.unwrap_err();
        assert_eq!(error.reason(), FailReason::Resolution);
        assert_eq!(log.failed().len(), 2);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_attempt_that_is_given_up_is_cancelled_and_one_that_takes_too_long_timed_out() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _queued = TcpStream::connect(address).unwrap();

        let log = Log::default();
        let tracker = Tracker::new();
        let connector = Options::new().observer(log.clone()).tracker(&tracker).connector();
        let attempt = connector.connect_tokio(address);
        tokio::time::timeout(Duration::from_millis(30), attempt).await.unwrap_err();
        let told = log.failed();
        assert_eq!(told[0].reason, FailReason::Cancelled);
        assert!(told[0].error.is_none() && told[0].took >= Duration::from_millis(30));
        let [attempt] = told[0].attempts.as_slice() else { panic!("{told:?}") };
        assert_eq!((attempt.addr, attempt.reason), (address, FailReason::Cancelled));
        assert!(attempt.took >= Duration::from_millis(30), "{attempt:?}");

        let connector = connector.timeout(Duration::from_millis(30));
        let error = connector.connect_tokio(address).await.unwrap_err();
        assert_eq!(error.reason(), FailReason::TimedOut);
        assert_eq!(tracker.totals().failed(), 2);
    }

    #[tokio::test]
    async fn a_write_that_waited_for_room_when_it_was_dropped_is_cancelled() {
        let tracker = Tracker::new();
        let options = Options::new().tracker(&tracker);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = options.connector().connect_tokio(address).await.unwrap();
        let _server = listener.accept().await.unwrap();
        let endless = async move { while client.write_all(&[0; 1 << 20]).await.is_ok() {} };
        tokio::time::timeout(Duration::from_millis(200), endless).await.unwrap_err();
        assert_eq!(tracker.ended()[0].reason, CloseReason::Cancelled);
    }
}

#[test]
fn what_a_function_of_the_callers_connects_is_wrapped_or_told() {
    let log = Log::default();
    let tracker = Tracker::new();
    let connector = Options::new().tracker(&tracker).observer(log.clone()).connector();
    let (listener, address) = listener();
    let conn = connector.connect_with("by hand", || TcpStream::connect(address)).unwrap();
    let (_server, peer) = listener.accept().unwrap();
    assert_eq!(
        (conn.handle().local_addr(), conn.handle().role()),
        (Some(peer), Some(Role::Client))
    );

    let refused = || Err::<TcpStream, _>(io::ErrorKind::ConnectionRefused.into());
    let error = connector.connect_with("by hand", refused).unwrap_err();
    assert_eq!(error.reason(), FailReason::Refused);
    assert!(error.to_string().starts_with("cannot connect to \"by hand\": "), "{error}");
    assert_eq!(log.failed()[0].target.as_deref(), Some("by hand"));
    assert_eq!((tracker.totals().opened, tracker.totals().failed()), (1, 1));
    // The failure counts as an attempt of the next one.
    let conn = connector.connect_with("by hand", || TcpStream::connect(address)).unwrap();
    assert_eq!(conn.snapshot().reconnects, 1);
}
