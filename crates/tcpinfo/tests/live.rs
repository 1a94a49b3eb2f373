//! Live sockets of the running kernel.

#![cfg(any(target_os = "linux", target_os = "android"))]

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use tcpinfo::{
    Congestion, ErrorKind, Queues, Reading, SocketMemory, State, TcpInfo, cookie, is_mptcp,
    native::{Native, linux::LinuxTcpInfo},
    read_native,
};

fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn linux(sock: &impl AsFd) -> LinuxTcpInfo {
    let Native::Linux(info) = read_native(sock).unwrap() else { panic!("not Linux's structure") };
    info
}

#[test]
fn anything_that_lends_its_descriptor_can_be_asked() {
    let (client, _server) = pair("127.0.0.1:0");
    let borrowed: BorrowedFd<'_> = client.as_fd();
    for state in [
        TcpInfo::read(&client).unwrap().state(),
        TcpInfo::read(&&client).unwrap().state(),
        TcpInfo::read(&borrowed).unwrap().state(),
        TcpInfo::read(&std::sync::Arc::new(client.as_fd())).unwrap().state(),
    ] {
        assert_eq!(state, Some(State::Established));
    }
}

#[test]
fn the_kernel_fills_at_least_what_every_kernel_has() {
    let (client, _server) = pair("127.0.0.1:0");
    let info = linux(&client);
    assert!(info.returned_len() >= 104, "{} bytes", info.returned_len());
    assert_eq!(info.as_bytes().len(), info.returned_len());
    assert!(info.rtt().value().is_some_and(|rtt| rtt < Duration::from_secs(1)));
    assert!(info.snd_mss().value().is_some_and(|mss| mss > 0));
}

#[test]
fn bytes_of_the_running_kernel_read_as_it_fills_them() {
    let (client, _server) = pair("127.0.0.1:0");
    let info = linux(&client);
    let copy = LinuxTcpInfo::of_running_kernel(info.as_bytes());
    // The version counts, too.
    assert_eq!(copy, info);
    assert_ne!(LinuxTcpInfo::from_bytes(info.as_bytes()), info);
}

#[test]
fn states_follow_a_connection_to_its_end() {
    let (client, mut server) = pair("127.0.0.1:0");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(TcpInfo::read(&server).unwrap().state(), Some(State::CloseWait));
    // Until the peer's kernel acknowledges the FIN, which may be delayed, it is FIN_WAIT1.
    let half_closed = TcpInfo::read(&client).unwrap().state();
    assert!(matches!(half_closed, Some(State::FinWait1 | State::FinWait2)), "{half_closed:?}");
    server.shutdown(Shutdown::Write).unwrap();
    let mut client = client;
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    let info = TcpInfo::read(&client).unwrap();
    assert!(matches!(info.state(), Some(State::Close | State::TimeWait)), "{:?}", info.state());
    assert!(info.rtt().is_some(), "the counters stay until the descriptor is closed");
}

#[test]
fn a_reset_connection_keeps_its_counters() {
    let (client, mut server) = pair("127.0.0.1:0");
    server.write_all(&[0; 100]).unwrap();
    client.peek(&mut [0; 1]).unwrap();
    drop(client); // with unread data: the kernel sends a reset
    assert!(server.read(&mut [0; 1]).is_err());
    let info = TcpInfo::read(&server).unwrap();
    assert_eq!(info.state(), Some(State::Close));
    assert_eq!(info.tx_bytes(), Some(100));
    assert!(info.rtt().is_some() && info.last_tx_age().is_some());
}

#[test]
fn a_listener_and_a_fresh_socket_show_no_measurements() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let info = TcpInfo::read(&listener).unwrap();
    assert_eq!(info.state(), Some(State::Listen));
    assert_eq!(info.accept_queue(), Some(1));
    assert!(info.accept_queue_limit().is_some_and(|limit| limit > 0));
    for absent in [info.rtt(), info.rto(), info.min_rtt(), info.last_tx_age(), info.last_rx_age()] {
        assert_eq!(absent, None);
    }
    assert_eq!((info.retransmitted_segs(), info.tx_bytes()), (None, None));

    // Refused, so it was never established: its stamps still count from boot.
    let unconnected = socket_that_was_refused();
    let info = TcpInfo::read(&unconnected).unwrap();
    assert_eq!(info.state(), Some(State::Close));
    for absent in
        [info.rtt(), info.rtt_var(), info.min_rtt(), info.last_tx_age(), info.last_rx_ack_age()]
    {
        assert_eq!(absent, None, "{info:?}");
    }
    assert_eq!(linux(&unconnected).min_rtt(), Reading::Unset);
}

/// A socket whose connection attempt failed, which std does not hand out.
fn socket_that_was_refused() -> OwnedFd {
    // The port of a connected socket: nobody listens there, and nobody else can take it.
    let (holder, _peer) = pair("127.0.0.1:0");
    let port = holder.local_addr().unwrap().port();
    // SAFETY: a plain system call that takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0);
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
    // SAFETY: the address lives through the call and `len` is its size.
    let status = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
    assert_eq!(status, -1);
    assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::ConnectionRefused);
    socket
}

#[test]
fn ages_are_in_milliseconds() {
    let (mut client, mut server) = pair("127.0.0.1:0");
    let before_write = Instant::now();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0; 1]).unwrap();
    let after_write = Instant::now();
    std::thread::sleep(Duration::from_millis(60));
    let least = after_write.elapsed();
    let age = TcpInfo::read(&client).unwrap().last_tx_age().unwrap();
    let most = before_write.elapsed();
    // However long it all took, the age lies in between, but for a tick of at most 10 ms each end.
    let ticks = Duration::from_millis(20);
    assert!(least - ticks <= age && age <= most + ticks, "{least:?} to {most:?}: {age:?}");
}

/// What was written is unsent, unacknowledged or unread, and nowhere else.
#[test]
fn queues_hold_every_byte_once() {
    let (client, server) = pair("127.0.0.1:0");
    // The window that is already promised no longer fits: the kernel drops what comes in it, so
    // that the sender's data stays unacknowledged.
    shrink_receive_buffer(&server);
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    let full = loop {
        match (&client).write(&[0; 30_000]) {
            Ok(bytes) => written += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

    let (near, far) = (Queues::read(&client).unwrap(), Queues::read(&server).unwrap());
    let [unsent, in_flight, unread] =
        [near.unsent_bytes, near.in_flight_bytes, far.unread_bytes].map(Option::unwrap);
    assert!(unsent > 0 && in_flight > 0 && unread > 0, "{near:?} {far:?}");
    assert_eq!(near.queued_bytes, Some(unsent + in_flight));
    assert_eq!((near.unread_bytes, far.queued_bytes), (Some(0), Some(0)));
    assert_eq!((near.accept_queue, near.accept_queue_limit), (None, None));
    let held = unsent + in_flight + unread;
    assert_eq!(held as usize, written, "{near:?} {far:?}");
    let told = TcpInfo::read(&client).unwrap().unsent_bytes();
    assert_eq!(told.unwrap_or(unsent), unsent);
}

fn shrink_receive_buffer(stream: &TcpStream) {
    let least: libc::c_int = 1;
    let len = libc::socklen_t::try_from(size_of_val(&least)).unwrap();
    // SAFETY: the number lives through the call and `len` is its size.
    let status = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const least).cast(),
            len,
        )
    };
    assert_eq!(status, 0, "{}", io::Error::last_os_error());
}

/// One word of the structure cannot be read without it.
#[test]
fn a_live_structure_knows_the_major_version_of_its_kernel() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let major = release.split('.').next().unwrap().parse().unwrap();
    let (client, _server) = pair("127.0.0.1:0");
    let info = linux(&client);
    let captured = LinuxTcpInfo::from_bytes(info.as_bytes());
    assert_eq!(info, captured.with_kernel_major(major));
    assert_ne!(info, captured);
}

#[test]
fn byte_counts_equal_what_was_moved() {
    let (mut client, mut server) = pair("127.0.0.1:0");
    client.write_all(&[1; 12_345]).unwrap();
    server.read_exact(&mut [0; 12_345]).unwrap();
    server.write_all(&[2; 678]).unwrap();
    client.read_exact(&mut [0; 678]).unwrap();
    let (near, far) = (TcpInfo::read(&client).unwrap(), TcpInfo::read(&server).unwrap());
    assert_eq!(near.rx_bytes(), Some(678));
    assert_eq!(far.rx_bytes(), Some(12_345));
    let sent = |info: &TcpInfo| Some(info.tx_bytes()? - info.retransmitted_bytes()?);
    assert_eq!((sent(&near), sent(&far)), (Some(12_345), Some(678)));
}

#[test]
fn errors_are_distinct_and_keep_the_operating_systems_own() {
    let kind = |error: tcpinfo::Error| {
        assert!(error.os_error().is_some_and(|os| os.raw_os_error().is_some()), "{error:?}");
        assert!(error.to_string().contains("TCP_INFO"), "{error}");
        error.kind()
    };
    let not_tcp = [
        TcpInfo::read(&UdpSocket::bind("127.0.0.1:0").unwrap()),
        TcpInfo::read(&UnixStream::pair().unwrap().0),
    ];
    for error in not_tcp {
        assert_eq!(kind(error.unwrap_err()), ErrorKind::NotTcp);
    }
    let file = File::open("/dev/null").unwrap();
    assert_eq!(kind(TcpInfo::read(&file).unwrap_err()), ErrorKind::NotSocket);
    // SAFETY: the number is far above the limit of open files, so it belongs to nobody.
    let nobody = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    assert_eq!(kind(TcpInfo::read(&nobody).unwrap_err()), ErrorKind::BadDescriptor);

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(Queues::read(&udp).unwrap_err().kind(), ErrorKind::NotTcp);
    assert_eq!(Queues::read(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    assert_eq!(Congestion::read(&udp).unwrap_err().kind(), ErrorKind::NotTcp);
    assert_eq!(Congestion::read(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    assert_eq!(SocketMemory::read(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    assert_eq!(cookie(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    assert_eq!(is_mptcp(&file).unwrap_err().kind(), ErrorKind::NotSocket);
}

#[test]
fn the_congestion_control_in_use_is_named() {
    let (client, _server) = pair("127.0.0.1:0");
    let name = TcpInfo::read(&client).unwrap().congestion().expect("every connection has one");
    let available =
        std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").unwrap();
    assert!(available.split_whitespace().any(|other| other == name.as_str()), "{name}");
    assert_eq!(Congestion::read(&client).unwrap().name, name);
}

#[test]
fn a_plain_socket_has_no_paths_and_no_protocol_above() {
    let (client, _server) = pair("127.0.0.1:0");
    assert_eq!(tcpinfo::ulp(&client).unwrap(), None);
    let kind = tcpinfo::Mptcp::read(&client).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::NotMptcp | ErrorKind::Unsupported), "{kind:?}");

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = File::open("/dev/null").unwrap();
    assert_eq!(tcpinfo::ulp(&udp).unwrap_err().kind(), ErrorKind::NotTcp);
    assert_eq!(tcpinfo::ulp(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    assert_eq!(tcpinfo::Mptcp::read(&udp).unwrap_err().kind(), ErrorKind::NotTcp);
    assert_eq!(tcpinfo::Mptcp::read(&file).unwrap_err().kind(), ErrorKind::NotSocket);
}

#[test]
fn cookies_identify_sockets() {
    let (client, server) = pair("127.0.0.1:0");
    assert_eq!(cookie(&client).unwrap(), cookie(&client).unwrap());
    assert_ne!(cookie(&client).unwrap(), cookie(&server).unwrap());
}
