//! Whatever is asked of whatever descriptor: facts, or an error that says what kind of thing it is.

use std::{
    error::Error as _,
    fs::File,
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use libtest_mimic::Trial;
use tcpinfo::{
    Congestion, Error, ErrorKind, Packed, Queues, SocketMemory, State, TcpInfo, cookie, is_mptcp,
    read_native,
};

use super::{raw, scenes, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let may_open_raw = icmp().is_ok();
    vec![
        trial("what_is_not_a_socket_is_named_so", not_sockets),
        trial("what_is_not_open_is_named_so", not_open),
        trial("sockets_that_are_not_tcp_are_named_so", not_tcp),
        trial("udp_over_ipv6_is_not_tcp", || {
            expect_not_tcp("UDP over IPv6", &UdpSocket::bind("[::1]:0").unwrap());
        })
        .with_ignored_flag(!has_ipv6),
        trial("a_raw_socket_is_not_tcp", || expect_not_tcp("raw socket", &icmp().unwrap()))
            .with_ignored_flag(!may_open_raw),
    ]
}

fn icmp() -> std::io::Result<OwnedFd> {
    raw::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
}

/// Asks everything that the crate can ask.
fn ask_all(sock: &impl AsFd) -> [(&'static str, Result<(), Error>); 8] {
    [
        ("TcpInfo", TcpInfo::read(sock).map(drop)),
        ("native", read_native(sock).map(drop)),
        ("Packed", Packed::read(sock).map(drop)),
        ("Congestion", Congestion::read(sock).map(drop)),
        ("Queues", Queues::read(sock).map(drop)),
        ("is_mptcp", is_mptcp(sock).map(drop)),
        ("SocketMemory", SocketMemory::read(sock).map(drop)),
        ("cookie", cookie(sock).map(drop)),
    ]
}

fn expect(what: &str, sock: &impl AsFd, kind: ErrorKind) {
    for (question, answer) in ask_all(sock) {
        let error = answer.expect_err(&format!("{question} of {what}"));
        assert_eq!(error.kind(), kind, "{question} of {what}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot read ") && text.contains(error.query()), "{text}");
        assert!(error.os_error().is_some() && error.source().is_some(), "{text}");
    }
}

/// Every socket has memory and a cookie; nothing else can be said.
fn expect_not_tcp(what: &str, sock: &impl AsFd) {
    for (question, answer) in ask_all(sock) {
        match question {
            "SocketMemory" | "cookie" => answer.unwrap(),
            _ => {
                let error = answer.expect_err(&format!("{question} of {what}"));
                assert_eq!(error.kind(), ErrorKind::NotTcp, "{question} of {what}: {error}");
            }
        }
    }
}

fn not_sockets() {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let directory = File::open("/").unwrap();
    let file = File::open("/proc/self/status").unwrap();
    let (read_end, write_end) = pipe();
    // SAFETY: a plain system call that takes no pointers.
    let event = raw::owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }).unwrap();
    // SAFETY: as above.
    let epoll = raw::owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).unwrap();
    // SAFETY: as above.
    let timer = raw::owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) }).unwrap();
    for (what, fd) in [
        ("device", null.as_fd()),
        ("directory", directory.as_fd()),
        ("file", file.as_fd()),
        ("pipe's read end", read_end.as_fd()),
        ("pipe's write end", write_end.as_fd()),
        ("eventfd", event.as_fd()),
        ("epoll", epoll.as_fd()),
        ("timerfd", timer.as_fd()),
    ] {
        expect(what, &fd, ErrorKind::NotSocket);
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: the kernel fills the two numbers, which live through the call.
    raw::checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }).unwrap();
    let [read, write] = ends.map(|end| raw::owned(end).unwrap());
    (read, write)
}

fn not_open() {
    // SAFETY: the number is far above the limit of open files, so it belongs to nobody.
    let nobody = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    expect("no descriptor", &nobody, ErrorKind::BadDescriptor);
    // This one names a file without having it open.
    // SAFETY: the path is a string that ends with NUL and lives as long as the program.
    let path = unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    expect("path", &raw::owned(path).unwrap(), ErrorKind::BadDescriptor);
}

fn not_tcp() {
    let of = |family, kind| raw::socket(family, kind, 0).unwrap();
    expect_not_tcp("UDP", &UdpSocket::bind("127.0.0.1:0").unwrap());
    expect_not_tcp("Unix stream", &UnixStream::pair().unwrap().0);
    expect_not_tcp("unconnected Unix stream", &of(libc::AF_UNIX, libc::SOCK_STREAM));
    expect_not_tcp("Unix datagrams", &of(libc::AF_UNIX, libc::SOCK_DGRAM));
    expect_not_tcp("netlink", &of(libc::AF_NETLINK, libc::SOCK_RAW));
}

/// Every question is answered in this state.
pub(crate) fn ask_in(make: scenes::Make) {
    let scene = make();
    for (question, answer) in ask_all(&scene) {
        match answer {
            // Those that have none may say so.
            Err(error) if question == "Queues" => {
                assert_eq!(error.kind(), ErrorKind::WrongState, "{error}");
                assert!([State::Listen, State::Close].contains(&scene.state), "{error}");
            }
            answer => answer.unwrap_or_else(|error| panic!("{question}: {error}")),
        }
    }
    assert!(!is_mptcp(&scene).unwrap());
}
