//! One connection through its descriptor and through netlink.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, AsRawFd},
};

use sockdiag::{EntryBuf, TimerKind};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tcpinfo::{
    Congestion, Queues, Reading, SocketMemory,
    fields::Value,
    native::{Bytes, Native, linux::LinuxTcpInfo},
};

use super::scene::{
    Pair, Test, find, found, inode, lookup_of, loopbacks, mapped_pair, needs, pair, pair_at, test,
    until,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("every_field_agrees_with_the_descriptor", every_field),
        test("queues_agree_with_the_descriptor", queues),
        test("timers_are_told", timers),
        test("shut_down_directions_are_told", shutdown),
        test("options_that_were_set_are_told", options),
        Test {
            name: "each_congestion_control_tells_the_same",
            needs: needs(
                algorithms().len() > 1,
                "this user may choose no congestion control but the default",
            ),
            run: congestion,
        },
        Test {
            name: "a_path_of_multipath_tcp_is_told",
            needs: needs(mptcp_socket().is_ok(), "this kernel has no Multipath TCP"),
            run: multipath,
        },
        Test {
            name: "tls_in_the_kernel_is_told",
            needs: needs(
                set_name(&pair().client, TCP_ULP, b"tls").is_ok(),
                "this kernel has no TLS",
            ),
            run: tls,
        },
        Test {
            name: "a_mark_is_told_to_who_may_set_one",
            needs: needs(set_mark(&pair().client), "this user may not set a mark"),
            run: mark,
        },
        Test {
            name: "a_mark_is_not_told_to_others",
            needs: needs(!set_mark(&pair().client), "this user may set a mark"),
            run: || assert_eq!(found(&pair().client).entry().mark(), None),
        },
    ]
}

fn exchange(pair: &mut Pair) {
    pair.client.write_all(&[1; 40_000]).unwrap();
    pair.server.read_exact(&mut [0; 40_000]).unwrap();
    pair.server.write_all(&[2; 3_000]).unwrap();
    pair.client.read_exact(&mut [0; 3_000]).unwrap();
}

fn own(stream: &TcpStream) -> LinuxTcpInfo {
    let Native::Linux(info) = tcpinfo::read_native(stream).unwrap() else {
        panic!("not Linux's structure");
    };
    info
}

/// Times that go on while nothing happens.
const AGES: [&str; 4] =
    ["tcpi_last_data_sent", "tcpi_last_ack_sent", "tcpi_last_data_recv", "tcpi_last_ack_recv"];

fn is_age(name: &str) -> bool {
    AGES.contains(&name) || AGES.contains(&format!("tcpi_{name}").as_str())
}

/// The fields that only change when something happens.
fn quiet_fields(info: &LinuxTcpInfo<impl Bytes>) -> Vec<(&'static str, Reading<Value>)> {
    info.fields()
        .filter(|(field, _)| !is_age(field.name))
        .map(|(field, reading)| (field.name, reading))
        .collect()
}

/// Asks netlink between two questions to the descriptor, until nothing happened meanwhile.
fn beside(stream: &TcpStream) -> (LinuxTcpInfo, EntryBuf, LinuxTcpInfo) {
    until("a moment in which nothing happens", || {
        let before = own(stream);
        let entry = found(stream);
        let after = own(stream);
        (quiet_fields(&before) == quiet_fields(&after)).then_some((before, entry, after))
    })
}

fn every_field() {
    let mut pairs: Vec<_> = loopbacks().into_iter().map(pair_at).collect();
    assert!(!pairs.is_empty());
    pairs.extend(mapped_pair());
    for mut pair in pairs {
        exchange(&mut pair);
        for stream in [&pair.client, &pair.server] {
            agrees(stream);
        }
    }
}

fn agrees(stream: &TcpStream) {
    let (before, buf, after) = beside(stream);
    let entry = buf.entry();
    let told = entry.native_tcp_info().unwrap();
    assert_eq!(told.returned_len(), before.returned_len());
    assert_eq!(quiet_fields(&told), quiet_fields(&before));
    for (field, reading) in told.fields().filter(|(field, _)| is_age(field.name)) {
        let of = |info: &LinuxTcpInfo| info.field(field.name).unwrap().value().map(duration);
        let (least, most) = (of(&before), of(&after));
        let told = reading.value().map(duration);
        assert!(least <= told && told <= most, "{}: {least:?} {told:?} {most:?}", field.name);
    }
    assert_eq!(entry.local_addr(), stream.local_addr().unwrap());
    assert_eq!(entry.remote_addr(), stream.peer_addr().unwrap());
    assert_eq!(Some(entry.state()), before.state().value());
    assert_eq!(entry.cookie(), tcpinfo::cookie(stream).unwrap());
    assert_eq!(entry.inode(), Some(inode(stream)));
    // SAFETY: a plain system call that takes no pointers.
    assert_eq!(entry.uid(), Some(unsafe { libc::geteuid() }));
    assert_eq!(entry.interface(), None);
    let congestion = entry.congestion().unwrap();
    assert_eq!(congestion.name, Congestion::read(stream).unwrap().name);
    assert_eq!(entry.tcp_info().unwrap().congestion(), Some(congestion.name));
    assert_eq!(entry.memory().unwrap(), SocketMemory::read(stream).unwrap());
    assert_eq!(entry.ulp().map(|ulp| ulp.name().to_owned()), tcpinfo::ulp(stream).unwrap());
    assert_eq!(entry.traffic_class().is_some(), entry.local_addr().is_ipv6());
    assert!(!entry.is_mini());
    let unknown: Vec<_> = entry.unknown_attributes().map(|one| one.number).collect();
    assert_eq!(unknown, [0u16; 0], "this kernel is newer than the crate");
}

fn duration(value: Value) -> std::time::Duration {
    match value {
        Value::Duration(duration) => duration,
        other => panic!("{other} is no time"),
    }
}

fn queues() {
    let same = |stream: &TcpStream| {
        until("both tell the same", || {
            let (before, told) = (Queues::read(stream).unwrap(), found(stream).entry().queues());
            (before == Queues::read(stream).unwrap()
                && told.unread_bytes == before.unread_bytes
                && told.queued_bytes == before.queued_bytes)
                .then_some(told)
        })
    };
    let Pair { mut client, server, .. } = pair();
    assert_eq!(same(&server).unread_bytes, Some(0));
    client.write_all(b"hello").unwrap();
    server.peek(&mut [0]).unwrap();
    assert_eq!(same(&server).unread_bytes, Some(5));

    // More than both ends have room for: what is written and not acknowledged.
    client.set_nonblocking(true).unwrap();
    let mut written = 5;
    while let Ok(more) = client.write(&[3; 65_536]) {
        written += more as u64;
    }
    // What is on its way arrives meanwhile, so that only the sums stay.
    until("every byte lies in one of the queues", || {
        let (there, here) = (same(&server), same(&client));
        (there.unread_bytes.unwrap() + here.queued_bytes.unwrap() == written).then_some(())
    });
    assert!(same(&client).queued_bytes.unwrap() > 0);

    // A FIN behind the bytes counts as one more on its way, and as none that could be read.
    let Pair { mut client, mut server, .. } = pair();
    client.write_all(b"bye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    until("the end has come", || {
        (found(&server).entry().state() == tcpinfo::State::CloseWait).then_some(())
    });
    assert_eq!(found(&server).entry().rqueue(), 4);
    assert_eq!(same(&server).unread_bytes, Some(3));
    server.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(found(&server).entry().rqueue(), 0);
    assert_eq!(same(&server).unread_bytes, Some(0));
}

fn timers() {
    let Pair { client, server, .. } = pair();
    let keepalive = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(100));
    SockRef::from(&client).set_tcp_keepalive(&keepalive).unwrap();
    let timer = until("the timer of the keepalive", || {
        found(&client).entry().timer().filter(|timer| timer.kind == TimerKind::Keepalive)
    });
    let seconds = timer.expires.as_secs_f64();
    assert!((90.0..=110.0).contains(&seconds), "{timer:?}");
    assert_eq!(timer.count, 0);

    let quiet = || found(&server).entry().timer().is_none();
    until("a timer that does not run", || quiet().then_some(()));

    client.set_nonblocking(true).unwrap();
    while (&client).write(&[3; 65_536]).is_ok() {}
    let timer = until("the probes of a window that is empty", || {
        found(&client).entry().timer().filter(|timer| timer.kind == TimerKind::ZeroWindowProbe)
    });
    assert!(timer.expires.as_secs() < 200, "{timer:?}");
}

fn shutdown() {
    let Pair { client, server, .. } = pair();
    let both = |stream: &TcpStream| {
        let shut = found(stream).entry().shutdown().unwrap();
        (shut.receive, shut.send)
    };
    assert_eq!(both(&client), (false, false));
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(both(&client), (false, true));
    until("the FIN arrives", || (both(&server) == (true, false)).then_some(()));
}

fn options() {
    let Pair { client, server, .. } = pair();
    SockRef::from(&client).set_tos_v4(0xb8).unwrap();
    let buf = found(&client);
    assert_eq!(buf.entry().tos(), Some(0xb8));
    assert_eq!(buf.entry().traffic_class(), None);
    let Some(before) = buf.entry().options() else {
        return; // Linux before 5.10
    };
    assert!(before.is_icsk && before.mc_loop && before.mc_all);
    assert!(!before.freebind && !before.recverr && !before.bind_address_no_port);
    SockRef::from(&client).set_freebind_v4(true).unwrap();
    let after = found(&client).entry().options().unwrap();
    let mut expected = before;
    expected.freebind = true;
    assert_eq!(after, expected);
    assert_eq!(found(&server).entry().options(), Some(before));
    // Where the machine has cgroups of version 2, everything is in one.
    if let Some(id) = found(&client).entry().cgroup_id() {
        assert_eq!(found(&server).entry().cgroup_id(), Some(id));
        assert_ne!(id, 0);
    }
}

/// What this user may choose from.
fn algorithms() -> Vec<String> {
    let path = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
    let path =
        if set_mark(&pair().client) { path.replace("allowed", "available") } else { path.into() };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn congestion() {
    for name in algorithms() {
        let mut pair = pair();
        for stream in [&pair.client, &pair.server] {
            set_name(stream, TCP_CONGESTION, name.as_bytes()).unwrap();
        }
        exchange(&mut pair);
        until("both tell the same", || {
            let told = found(&pair.client).entry().congestion().unwrap().to_kept();
            let own = Congestion::read(&pair.client).unwrap();
            assert_eq!(told.name, own.name);
            // Without ECN, dctcp works as reno under a name of its own.
            if told.name.as_str() != name {
                assert_eq!((told.name.as_str(), name.as_str()), ("dctcp-reno", "dctcp"));
                return Some(());
            }
            // Debug tells apart what is not a number, too.
            (format!("{told:?}") == format!("{own:?}")).then_some(())
        });
    }
}

fn mptcp_socket() -> std::io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(IPPROTO_MPTCP)))
}

fn multipath() {
    let listener = mptcp_socket().unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(1).unwrap();
    let client = mptcp_socket().unwrap();
    client.connect(&listener.local_addr().unwrap()).unwrap();
    let client = TcpStream::from(client);
    let (server, _) = listener.accept().unwrap();
    let server = TcpStream::from(server);
    for stream in [&client, &server] {
        // The path is a TCP socket of the kernel's own, below the program's.
        let buf = find(&lookup_of(stream)).unwrap();
        let ulp = buf.entry().ulp().unwrap();
        assert_eq!(ulp.name(), "mptcp");
        let path = ulp.mptcp().unwrap();
        let flags = path.flags.unwrap();
        assert_ne!(flags & 1 << 7, 0, "not connected: {path:?}");
        assert_eq!(ulp.tls(), None);
        assert_eq!(Some(buf.entry().state()), buf.entry().tcp_info().unwrap().state());
    }
    for stream in [&client, &server] {
        let buf = found(stream);
        let path = buf.entry().ulp().unwrap().mptcp().unwrap();
        assert_eq!(path.remote_token, None, "the first path was not joined to another");
        // Newer kernels keep it from who has no privilege.
        if let Some(token) = path.local_token {
            assert_eq!(tcpinfo::Mptcp::read(stream).unwrap().info.token(), Reading::Value(token));
        }
    }
}

// Not every C library has them.
const IPPROTO_MPTCP: i32 = 262;
const TCP_CONGESTION: i32 = 13;
const TCP_ULP: i32 = 31;

fn set_name(stream: &TcpStream, option: i32, name: &[u8]) -> std::io::Result<()> {
    let (fd, len) = (stream.as_fd().as_raw_fd(), name.len() as libc::socklen_t);
    // SAFETY: the name lives through the call and `len` is its length.
    let status =
        unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, option, name.as_ptr().cast(), len) };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn tls() {
    let Pair { client, server, .. } = pair();
    set_name(&client, TCP_ULP, b"tls").unwrap();
    let buf = found(&client);
    let ulp = buf.entry().ulp().unwrap();
    assert_eq!(ulp.name(), "tls");
    assert!(ulp.mptcp().is_none());
    // No keys were given to it.
    if let Some(tls) = ulp.tls() {
        assert_eq!((tls.version, tls.cipher), (None, None));
    }
    assert!(found(&server).entry().ulp().is_none());
}

fn set_mark(stream: &TcpStream) -> bool {
    SockRef::from(stream).set_mark(0xbeef).is_ok()
}

fn mark() {
    let Pair { client, server, .. } = pair();
    assert!(set_mark(&client));
    assert_eq!(found(&client).entry().mark(), Some(0xbeef));
    assert_eq!(found(&server).entry().mark(), Some(0));
}
