//! Live sockets of the running Windows.
//!
//! Windows 10 1703 and later tell the facts of a connection; what is older refuses, and so does
//! Wine. A refusal is accepted where it is one by that rule, so each test says which of the two it
//! met: `cargo test --test windows -- --show-output`.

#![cfg(windows)]

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::windows::io::{AsRawHandle, AsRawSocket, AsSocket, BorrowedSocket},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use tcpinfo::{
    Congestion, Error, ErrorKind, Packed, Queues, Reading, SocketMemory, State, System, TcpInfo,
    cookie, is_mptcp,
    native::{Native, windows::WindowsTcpInfo},
    read_native, ulp,
};

const WSAEINVAL: i32 = 10022;
const WSAEOPNOTSUPP: i32 = 10045;

/// Bytes of the versions of the structure.
const LENGTHS: [usize; 3] = [88, 136, 152];

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The structure of a connection, or nothing where this system refuses to tell it of any.
fn facts(sock: &TcpStream) -> Option<WindowsTcpInfo> {
    match read_native(sock) {
        Ok(Native::Windows(info)) => {
            eprintln!("note: SIO_TCP_INFO answered with {} bytes", info.as_bytes().len());
            Some(info)
        }
        Ok(other) => panic!("not the structure of Windows: {other:?}"),
        Err(error) => {
            eprintln!("note: {error}");
            assert_refusal(&error, sock);
            None
        }
    }
}

/// A connection is refused by a system without the question, and in no other way.
fn assert_refusal(error: &Error, sock: &impl AsRawSocket) {
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.query(), "SIO_TCP_INFO");
    let code = error.os_error().and_then(io::Error::raw_os_error);
    assert!(matches!(code, Some(WSAEINVAL | WSAEOPNOTSUPP)), "{error}");
    let text = error.to_string();
    let number = sock.as_raw_socket();
    assert!(
        text.starts_with(&format!("cannot read SIO_TCP_INFO of descriptor {number}: ")),
        "{text}"
    );
    assert!(text.contains(&format!("os error {}", code.unwrap())), "{text}");
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    let Err(error) = result else { panic!("an answer where none can be") };
    eprintln!("note: {error}");
    assert!(error.os_error().is_some(), "the system's own word is kept");
    error.kind()
}

/// Waits for something that the other end causes.
fn until(mut met: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !met() {
        assert!(Instant::now() < patience, "it never happens");
        std::thread::yield_now();
    }
}

#[test]
fn a_connection_tells_plausible_facts_or_is_refused_by_the_rule() {
    let (mut client, mut server) = pair();
    client.write_all(&[1; 5000]).unwrap();
    server.read_exact(&mut [0; 5000]).unwrap();
    let (Some(_), Some(received)) = (facts(&client), facts(&server)) else {
        assert!(facts(&client).is_none() && facts(&server).is_none(), "one end only");
        let error: io::Error = TcpInfo::read(&client).unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert_refusal(&Packed::read(&client).unwrap_err(), &client);
        return;
    };
    until(|| facts(&client).unwrap().bytes_in_flight() == Reading::Value(0));
    let sent = facts(&client).unwrap();

    assert_eq!(sent.bytes_out(), Reading::Value(5000));
    assert_eq!(sent.bytes_in(), Reading::Value(0));
    assert_eq!(received.bytes_in(), Reading::Value(5000));
    assert_eq!(received.bytes_out(), Reading::Value(0));
    for info in [sent, received] {
        let len = info.as_bytes().len();
        assert!(LENGTHS.contains(&len), "{len} bytes");
        assert_eq!(info.state(), Reading::Value(State::Established));
        for (name, number) in [("mss", info.mss()), ("cwnd", info.cwnd())] {
            assert!(number.value().is_some_and(|bytes| bytes > 0), "{name}: {number:?}");
        }
        let hour = Duration::from_secs(3600);
        assert!(info.connection_time_ms().value().is_some_and(|age| age < hour));
        for rtt in [info.rtt_us(), info.min_rtt_us()] {
            assert!(!rtt.is_absent() && rtt.value().is_none_or(|rtt| rtt < hour), "{rtt:?}");
        }
        assert_eq!(info.snd_lim_bytes_snd().is_absent(), len < LENGTHS[1]);
        assert_eq!(info.pto_episodes().is_absent(), len < LENGTHS[2]);
    }

    let info = TcpInfo::read(&client).unwrap();
    assert_eq!(info.native().system(), System::Windows);
    assert_eq!((info.state(), info.tx_bytes()), (Some(State::Established), Some(5000)));
    let packed = Packed::read(&client).unwrap().unpack();
    assert_eq!((packed.tx_bytes(), packed.tx_mss()), (Some(5000), info.tx_mss()));
}

/// A refusal for another reason than the version must not cost later answers their newest fields.
#[test]
fn a_socket_without_facts_does_not_lower_the_version_for_others() {
    let (client, _server) = pair();
    let before = facts(&client).map(|info| info.as_bytes().len());
    let unconnected = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _ = TcpInfo::read(&unconnected);
    let _ = TcpInfo::read(&udp);
    assert_eq!(facts(&client).map(|info| info.as_bytes().len()), before);
}

#[test]
fn sockets_without_a_connection_say_so_or_are_refused() {
    let (client, _server) = pair();
    let answers = facts(&client).is_some();
    let unconnected = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (sock, state) in
        [(unconnected.as_socket(), State::Close), (listener.as_socket(), State::Listen)]
    {
        match TcpInfo::read(&sock) {
            Ok(info) => {
                eprintln!("note: {state}: SIO_TCP_INFO answered");
                assert!(answers);
                assert_eq!(info.state(), Some(state));
                assert_eq!((info.rtt(), info.tx_mss()), (None, None), "numbers of no connection");
            }
            Err(error) => {
                eprintln!("note: {state}: {error}");
                assert!(error.os_error().is_some());
                match error.kind() {
                    ErrorKind::WrongState => {}
                    ErrorKind::Unsupported => assert!(!answers, "connections are answered"),
                    other => panic!("{other:?}: {error}"),
                }
            }
        }
    }
}

#[test]
fn what_is_no_tcp_socket_is_refused_as_what_it_is() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(kind(TcpInfo::read(&udp)), ErrorKind::NotTcp);
    assert_eq!(kind(Queues::read(&udp)), ErrorKind::NotTcp);

    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    // SAFETY: the handle is open while the file lives, and is only asked what it is.
    let file = unsafe { BorrowedSocket::borrow_raw(file.as_raw_handle() as u64) };
    assert_eq!(kind(TcpInfo::read(&file)), ErrorKind::NotSocket);
    assert_eq!(kind(Queues::read(&file)), ErrorKind::NotSocket);

    // SAFETY: the number is far above those that are given out, so it belongs to nobody.
    let nobody = unsafe { BorrowedSocket::borrow_raw(0x7fff_fffc) };
    assert_eq!(kind(TcpInfo::read(&nobody)), ErrorKind::NotSocket);
    assert_eq!(kind(Queues::read(&nobody)), ErrorKind::NotSocket);
}

#[test]
fn unread_bytes_are_told_whether_facts_are_or_not() {
    let (client, mut server) = pair();
    let idle = Queues::read(&client).unwrap();
    assert_eq!(idle.unread_bytes, Some(0));
    server.write_all(b"hello").unwrap();
    until(|| Queues::read(&client).unwrap().unread_bytes == Some(5));
    (&client).read_exact(&mut [0; 2]).unwrap();

    let queues = Queues::read(&client).unwrap();
    let in_flight = facts(&client).map(|_| 0);
    assert_eq!((queues.unread_bytes, queues.in_flight_bytes), (Some(3), in_flight));
    assert_eq!((queues.queued_bytes, queues.unsent_bytes), (None, None));
    assert_eq!((queues.accept_queue, queues.accept_queue_limit), (None, None));
}

#[test]
fn questions_that_windows_does_not_have_are_refused_without_asking_it() {
    let (client, _server) = pair();
    for error in [
        Congestion::read(&client).unwrap_err(),
        SocketMemory::read(&client).unwrap_err(),
        cookie(&client).unwrap_err(),
        is_mptcp(&client).unwrap_err(),
        ulp(&client).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.os_error().is_none(), "{error}");
    }
}
