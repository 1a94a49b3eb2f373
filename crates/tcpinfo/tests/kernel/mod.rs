//! Tests that need a kernel with Multipath TCP, IPv6 or a certain congestion control, or the right to
//! make a network.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::Command,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Release},
    },
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use tcpinfo::{
    Congestion, CongestionInfo, ErrorKind, Mptcp, Queues, Reading, State, Subflow, TcpInfo,
    TcpOption, is_mptcp,
};

use super::{Test, same};

pub(crate) fn trials() -> [Trial; 10] {
    let has_mptcp = mptcp_socket().is_ok();
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let has_all = |names: &[&str]| {
        TcpListener::bind("127.0.0.1:0")
            .is_ok_and(|socket| names.iter().all(|name| set_congestion(&socket, name).is_ok()))
    };
    let can_switch = has_all(&["bbr", "reno"]);
    let tests: [(bool, &str, Test); 10] = [
        (has_ipv6, "connections_over_ipv6_are_counted_and_told_from_udp", ipv6),
        (has_mptcp, "multipath_tcp_is_seen_at_both_ends", multipath),
        (has_mptcp, "multipath_tcp_tells_the_whole_and_its_subflows", multipath_numbers),
        (
            has_mptcp && can_make_paths(),
            "every_path_of_multipath_tcp_is_told_with_its_own_facts",
            multipath_subflows,
        ),
        (has_mptcp, "the_end_of_multipath_tcp_is_no_unread_byte", multipath_end),
        (has_mptcp, "a_fallback_from_multipath_tcp_is_plain_tcp", multipath_fallback),
        (can_switch, "facts_of_one_algorithm_never_bear_the_name_of_another", congestion_switched),
        (has_all(&["bbr"]), "bbr_tells_its_bandwidth_and_gains", bbr),
        (has_all(&["dctcp"]), "dctcp_tells_the_share_of_marked_bytes", dctcp),
        (has_all(&["vegas"]), "vegas_tells_its_round_trip_times", vegas),
    ];
    tests.map(|(possible, name, test)| Trial::test(name, test).with_ignored_flag(!possible))
}

/// For a socket that is not TCP the kernel answers otherwise than over IPv4.
fn ipv6() -> Result<(), Failed> {
    let listener = TcpListener::bind("[::1]:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(&[1; 12_345])?;
    server.read_exact(&mut [0; 12_345])?;
    same("received", TcpInfo::read(&server)?.rx_bytes(), Some(12_345))?;
    same("sent", TcpInfo::read(&client)?.tx_bytes().is_some_and(|sent| sent >= 12_345), true)?;

    let udp = UdpSocket::bind("[::1]:0")?;
    same("UDP", TcpInfo::read(&udp).unwrap_err().kind(), ErrorKind::NotTcp)
}

fn multipath() -> Result<(), Failed> {
    let listener = mptcp_listener()?;
    let client = connected(mptcp_socket()?, &listener)?;
    let (server, _) = listener.accept()?;
    same("client", is_mptcp(&client)?, true)?;
    same("server", is_mptcp(&server)?, true)?;
    same("protocol above", tcpinfo::ulp(&client)?.as_deref(), Some("mptcp"))
}

/// The connection as a whole and its one subflow, against the bytes that were moved and the
/// addresses that the standard library tells.
fn multipath_numbers() -> Result<(), Failed> {
    const SENT: u64 = 100_000;
    let listener = mptcp_listener()?;
    let mut client = connected(mptcp_socket()?, &listener)?;
    let (mut server, _) = listener.accept()?;
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(&vec![1; SENT as usize]).unwrap());
        server.read_exact(&mut vec![0; SENT as usize]).unwrap();
    });
    server.write_all(&[2; 77])?;
    client.read_exact(&mut [0; 77])?;

    for (stream, sent, received) in [(&client, SENT, 77), (&server, 77, SENT)] {
        let mptcp = Mptcp::read(stream)?;
        same("fallback", mptcp.info.is_fallback(), Some(false))?;
        same("key of the peer", mptcp.info.has_remote_key(), Some(true))?;
        same("further subflows", mptcp.info.subflows(), Reading::Value(0))?;
        if let Reading::Value(total) = mptcp.info.subflows_total() {
            same("subflows", total, 1)?;
        }
        if let (Reading::Value(out), Reading::Value(again), Reading::Value(back)) =
            (mptcp.info.bytes_sent(), mptcp.info.bytes_retrans(), mptcp.info.bytes_received())
        {
            same("sent", out - again, sent)?;
            same("received", back, received)?;
        }
        let [subflow] = mptcp.subflows.as_slice() else {
            return Err(format!("not one subflow: {mptcp:?}").into());
        };
        same("local address", subflow.local_addr, Some(stream.local_addr()?))?;
        same("remote address", subflow.remote_addr, Some(stream.peer_addr()?))?;
        let own = |info: &TcpInfo| (info.state(), info.rx_bytes(), info.native().as_bytes().len());
        same("facts of the subflow", own(&subflow.info), own(&TcpInfo::read(stream)?))?;
    }
    Ok(())
}

/// What the kernel counts as one byte more, so that a reader looks.
fn multipath_end() -> Result<(), Failed> {
    let listener = mptcp_listener()?;
    let mut client = connected(mptcp_socket()?, &listener)?;
    let (mut server, _) = listener.accept()?;
    let unread = |stream: &TcpStream| Queues::read(stream).map(|queues| queues.unread_bytes);
    same("before", unread(&server)?, Some(0))?;
    client.write_all(&[7])?;
    server.peek(&mut [0])?;
    same("one byte", unread(&server)?, Some(1))?;
    client.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    server.read_to_end(&mut rest)?;
    same("what was read", rest.as_slice(), &[7])?;
    same("the end", unread(&server)?, Some(0))
}

/// Three paths between four addresses, in a network of the test's own.
fn multipath_subflows() -> Result<(), Failed> {
    const CLIENTS: [&str; 3] = ["10.9.0.1", "10.9.0.2", "10.9.0.3"];
    // A thread of its own, because the network belongs to the thread and goes with it.
    let test = || -> Result<(), Failed> {
        own_network()?;
        ip("link set lo up")?;
        ip("link add near type veth peer name far")?;
        ip("link set near up")?;
        ip("link set far up")?;
        for address in CLIENTS {
            ip(&format!("address add {address}/24 dev near"))?;
        }
        ip("mptcp limits set subflow 4 add_addr_accepted 4")?;
        for address in &CLIENTS[1..] {
            ip(&format!("mptcp endpoint add {address} dev near subflow"))?;
        }
        let listener = mptcp_listener()?;
        let mut client = connected_to(mptcp_socket()?, [10, 9, 0, 1], &listener)?;
        let (mut server, _) = listener.accept()?;
        // Further paths are opened once data was acknowledged on the first.
        let mut rounds = 0;
        let mptcp = loop {
            client.write_all(&[1; 1000])?;
            server.read_exact(&mut [0; 1000])?;
            server.write_all(&[2; 10])?;
            client.read_exact(&mut [0; 10])?;
            let mptcp = Mptcp::read(&client)?;
            let complete = |subflow: &Subflow| subflow.info.state() == Some(State::Established);
            if mptcp.info.subflows() == Reading::Value(2) && mptcp.subflows.iter().all(complete) {
                break mptcp;
            }
            rounds += 1;
            if rounds > 20_000 {
                return Err(format!("the paths were never opened: {mptcp:?}").into());
            }
        };
        same("paths", mptcp.subflows.len(), CLIENTS.len())?;
        let mut locals: Vec<_> =
            mptcp.subflows.iter().map(|path| path.local_addr.unwrap().ip().to_string()).collect();
        locals.sort();
        same("our addresses", locals.as_slice(), &CLIENTS.map(str::to_owned))?;
        for subflow in &mptcp.subflows {
            let remote = subflow.remote_addr.ok_or("no remote address")?;
            same("the peer's port", remote.port(), listener.local_addr()?.port())?;
            same("smallest segment", subflow.info.tx_mss().is_some_and(|mss| mss > 500), true)?;
        }
        let first = mptcp.subflows.iter().find(|path| path.local_addr == client.local_addr().ok());
        let first = first.ok_or("the first path is missing")?;
        same("facts of the first", first.info.rtt().is_some(), true)
    };
    std::thread::scope(|scope| scope.spawn(test).join()).unwrap_or(Err("it panicked".into()))
}

fn own_network() -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    answer(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// `ip` in this thread's network.
fn ip(arguments: &str) -> Result<(), Failed> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// Whether a network of its own with several paths can be made here.
fn can_make_paths() -> bool {
    let probe = || {
        own_network().is_ok()
            && ip("link add near type veth peer name far").is_ok()
            && ip("mptcp limits set subflow 4 add_addr_accepted 4").is_ok()
    };
    std::thread::scope(|scope| scope.spawn(probe).join()).unwrap_or_default()
}

fn multipath_fallback() -> Result<(), Failed> {
    let plain = TcpListener::bind("127.0.0.1:0")?;
    let client = connected(mptcp_socket()?, &plain)?;
    same("client of a plain server", is_mptcp(&client)?, false)?;
    same("plain server", is_mptcp(&plain.accept()?.0)?, false)?;
    same("its paths", Mptcp::read(&client).unwrap_err().kind(), ErrorKind::NotMptcp)?;

    let listener = mptcp_listener()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    same("plain client", is_mptcp(&client)?, false)?;
    same("server of a plain client", is_mptcp(&listener.accept()?.0)?, false)
}

/// The running kernel's version, major and minor.
/// The kernel's answer bears no type, and another thread may switch the algorithm at any moment: once
/// in every round here, somewhere among the calls of a read.
fn congestion_switched() -> Result<(), Failed> {
    // Where there is one processor only, a round takes as long as the scheduler lets a thread wait.
    let rounds =
        if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) { 1000 } else { 50 };
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let (begun, switched) = (AtomicU32::new(0), AtomicU32::new(0));
    let await_round = |counter: &AtomicU32, round| {
        while counter.load(Acquire) < round {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                await_round(&begun, round);
                set_congestion(&socket, "bbr").unwrap();
                switched.store(round, Release);
            }
        });
        let mut mixed = 0;
        for round in 1..=rounds {
            set_congestion(&socket, "reno").unwrap();
            begun.store(round, Release);
            loop {
                let Congestion { name, info, .. } = Congestion::read(&socket).unwrap();
                let is_bbr = matches!(info, Some(CongestionInfo::Bbr(_)));
                mixed += u32::from(info.is_some() && (!is_bbr || name.as_str() != "bbr"));
                if name.as_str() == "bbr" {
                    break;
                }
            }
            await_round(&switched, round);
        }
        same("answers that mix two algorithms", mixed, 0)
    })
}

fn bbr() -> Result<(), Failed> {
    with_congestion("bbr", |info, congestion| {
        let Some(CongestionInfo::Bbr(bbr)) = congestion else {
            return Err(format!("not the structure of bbr: {congestion:?}").into());
        };
        // From draining the queue of slow start to slow start itself: 1 / 2.89 and 2.89.
        within("pacing gain", bbr.pacing_gain.ok_or("no pacing gain")?, 0.3, 3.0)?;
        within("window gain", bbr.cwnd_gain.ok_or("no window gain")?, 1.0, 3.0)?;
        same("bandwidth is measured", bbr.bandwidth.is_some(), true)?;
        same("bytes past the known structure", bbr.tail.as_bytes(), &[])?;
        no_less_than_the_minimum("minimum round-trip time", bbr.min_rtt, &info)
    })
}

fn dctcp() -> Result<(), Failed> {
    with_congestion("dctcp", |info, congestion| {
        let Some(CongestionInfo::Dctcp(dctcp)) = congestion else {
            return Err(format!("not the structure of dctcp: {congestion:?}").into());
        };
        let ecn = info.options().and_then(|options| options.get(TcpOption::Ecn));
        same("acting, as ECN was negotiated", (dctcp.enabled, ecn), (true, Some(true)))?;
        // It begins at 1 and falls with every window of which nothing was marked.
        within("share of marked bytes", dctcp.alpha, 0.0, 1.0)?;
        same("has begun to fall", dctcp.alpha < 1.0, true)?;
        same("marked", (dctcp.ce_state, dctcp.acked_ecn_bytes), (0, 0))
    })
}

fn vegas() -> Result<(), Failed> {
    with_congestion("vegas", |info, congestion| {
        let Some(CongestionInfo::Vegas(vegas)) = congestion else {
            return Err(format!("not the structure of vegas: {congestion:?}").into());
        };
        same("acting", vegas.enabled, true)?;
        no_less_than_the_minimum("base round-trip time", vegas.rtt, &info)
    })
}

/// Moves data between two sockets of one algorithm and gives what both ends tell.
fn with_congestion(
    name: &str,
    check: impl Fn(TcpInfo, Option<CongestionInfo>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    set_congestion(&listener, name)?;
    let client = tcp_socket(libc::IPPROTO_TCP)?;
    set_congestion(&client, name)?;
    let client = connected(client, &listener)?;
    let (server, _) = listener.accept()?;
    // One after the other, so that every exchange is a round trip of its own.
    let (mut sent, mut received) = (&client, &server);
    for _ in 0..40 {
        sent.write_all(&[1; 20_000])?;
        received.read_exact(&mut [0; 20_000])?;
        (sent, received) = (received, sent);
    }
    for stream in [&client, &server] {
        // Vegas begins anew with what is sent after a pause, and knows nothing until that is
        // acknowledged, which the other end may delay.
        await_acknowledgement(stream)?;
        let congestion = Congestion::read(stream)?;
        same("algorithm", congestion.name.as_str(), name)?;
        check(TcpInfo::read(stream)?, congestion.info)?;
    }
    Ok(())
}

fn await_acknowledgement(stream: &TcpStream) -> Result<(), Failed> {
    let begun = Instant::now();
    while Queues::read(stream)?.in_flight_bytes != Some(0) {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("what was sent is never acknowledged".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// The kernel's own minimum is taken from every sample that the algorithm sees, and more.
fn no_less_than_the_minimum(
    what: &str,
    rtt: Option<Duration>,
    info: &TcpInfo,
) -> Result<(), Failed> {
    match (rtt, info.min_rtt()) {
        (Some(rtt), Some(least)) if least <= rtt && rtt < Duration::from_secs(10) => Ok(()),
        (rtt, least) => Err(format!("{what}: {rtt:?}, the kernel's minimum: {least:?}").into()),
    }
}

fn within(what: &str, number: f64, least: f64, most: f64) -> Result<(), Failed> {
    if (least..=most).contains(&number) {
        Ok(())
    } else {
        Err(format!("{what}: {number} is not from {least} to {most}").into())
    }
}

fn set_congestion(socket: &impl AsRawFd, name: &str) -> io::Result<()> {
    let len = libc::socklen_t::try_from(name.len()).unwrap();
    // SAFETY: the name lives through the call and `len` is its length.
    answer(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            len,
        )
    })
}

fn mptcp_socket() -> io::Result<OwnedFd> {
    tcp_socket(libc::IPPROTO_MPTCP)
}

fn tcp_socket(protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call that takes no pointers.
    let fd =
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn mptcp_listener() -> io::Result<TcpListener> {
    let socket = mptcp_socket()?;
    // SAFETY: a plain system call that takes no pointers; the kernel chooses address and port.
    answer(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
    Ok(socket.into())
}

fn connected(socket: OwnedFd, listener: &TcpListener) -> io::Result<TcpStream> {
    connected_to(socket, [127, 0, 0, 1], listener)
}

fn connected_to(
    socket: OwnedFd,
    address: [u8; 4],
    listener: &TcpListener,
) -> io::Result<TcpStream> {
    let address = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: listener.local_addr()?.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address) },
        sin_zero: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
    // SAFETY: the address lives through the call and `len` is its size.
    answer(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(socket.into())
}

fn answer(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
