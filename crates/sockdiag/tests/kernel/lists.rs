//! Lists of all sockets beside what their descriptors, lookups and `ss` tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use sockdiag::{Dump, EntryBuf, ErrorKind, Family, Protocol, SockDiag, States, Tell};
use socket2::{Domain, SockRef, Socket, Type};
use tcpinfo::State;

use super::scene::{
    Pair, Test, can_deafen, deafen, found, inode, lookup_of, loopbacks, mapped_pair, mptcp_pair,
    needs, pair, pair_at, test, until,
};

pub(crate) fn tests() -> Vec<Test> {
    let ss = Command::new("ss").arg("-V").output();
    vec![
        test("every_open_socket_is_listed_once", every_socket),
        test("a_list_tells_what_a_lookup_tells", as_looked_up),
        test("states_and_families_select_exactly", selected),
        test("only_what_is_asked_for_is_told", told),
        test("a_list_that_is_dropped_leaves_the_socket_usable", dropped),
        Test {
            name: "handshakes_and_bound_sockets_are_listed",
            needs: can_deafen(),
            run: rare_states,
        },
        Test {
            name: "sockets_of_multipath_tcp_are_listed",
            needs: can_list_multipath(),
            run: multipath,
        },
        Test {
            name: "ss_lists_the_same",
            needs: needs(ss.is_ok_and(|output| output.status.success()), "ss is missing"),
            run: as_ss,
        },
    ]
}

/// Every socket of a list by its cookie. What changed meanwhile may be there twice.
fn list(dump: &Dump) -> BTreeMap<u64, Vec<EntryBuf>> {
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(dump).unwrap();
    let mut all: BTreeMap<u64, Vec<EntryBuf>> = BTreeMap::new();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        all.entry(entry.cookie()).or_default().push(entry.to_buf());
    }
    all
}

fn cookies(dump: &Dump) -> BTreeSet<u64> {
    list(dump).into_keys().collect()
}

/// More than the kernel sends in one piece, of both families and between them.
fn population() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for _ in 0..60 {
        pairs.extend(loopbacks().into_iter().map(pair_at));
        pairs.extend(mapped_pair());
    }
    pairs
}

fn every_socket() {
    let pairs = population();
    let all = list(&Dump::new());
    for Pair { client, server, listener } in &pairs {
        let cookie = |stream| tcpinfo::cookie(stream).unwrap();
        for stream in [client, server] {
            let [buf] = &*all[&cookie(stream)] else { panic!("not once: {stream:?}") };
            let entry = buf.entry();
            assert_eq!(entry.local_addr(), stream.local_addr().unwrap());
            assert_eq!(entry.remote_addr(), stream.peer_addr().unwrap());
            assert_eq!(entry.state(), State::Established);
            assert_eq!(entry.inode(), Some(inode(stream)));
            assert!(!entry.is_mptcp());
        }
        let [buf] = &*all[&tcpinfo::cookie(listener).unwrap()] else { panic!("{listener:?}") };
        assert_eq!(buf.entry().state(), State::Listen);
        assert_eq!(buf.entry().local_addr(), listener.local_addr().unwrap());
        assert_eq!(buf.entry().inode(), Some(inode(listener)));
        assert_eq!(buf.entry().queues().accept_queue, Some(0));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let of_listeners = list(&Dump::new().states(State::Listen.into()));
    let buf = &of_listeners[&tcpinfo::cookie(&listener).unwrap()][0];
    assert_eq!(buf.entry().queues().accept_queue, Some(1));
}

fn as_looked_up() {
    let mut pairs: Vec<_> = loopbacks().into_iter().map(pair_at).collect();
    pairs.extend(mapped_pair());
    for Pair { mut client, server, .. } in pairs {
        client.write_all(&[1; 10_000]).unwrap();
        for stream in [&client, &server] {
            let cookie = tcpinfo::cookie(stream).unwrap();
            // Attribute 1 is not asked for in a list, 14 fills up to a multiple of eight bytes where a
            // machine needs that, and ages go on.
            let facts = |buf: &EntryBuf| {
                let entry = buf.entry();
                let info = entry.native_tcp_info().unwrap();
                let counts = (info.bytes_acked(), info.bytes_received(), info.segs_in());
                let attributes = entry.attributes().filter(|one| ![1, 14].contains(&one.number));
                let numbers: Vec<_> =
                    attributes.map(|one| (one.number, one.payload.len())).collect();
                let queues = (entry.rqueue(), entry.wqueue());
                (counts, queues, entry.memory(), entry.congestion_name(), numbers, entry.mark())
            };
            until("both tell the same", || {
                let looked_up = found(stream);
                let listed = list(&Dump::new()).remove(&cookie)?.remove(0);
                (format!("{:?}", facts(&looked_up)) == format!("{:?}", facts(&listed)))
                    .then_some(())
            });
        }
    }
}

fn selected() {
    let pairs = population();
    let ours: BTreeSet<u64> = pairs
        .iter()
        .flat_map(|pair| {
            [&pair.client, &pair.server].map(|stream| tcpinfo::cookie(stream).unwrap())
        })
        .chain(pairs.iter().map(|pair| tcpinfo::cookie(&pair.listener).unwrap()))
        .collect();
    let of = |dump: &Dump| -> BTreeSet<u64> { &cookies(dump) & &ours };
    assert_eq!(of(&Dump::new()), ours);
    let everything = list(&Dump::new());
    let expected = |wanted: &dyn Fn(&EntryBuf) -> bool| -> BTreeSet<u64> {
        let wanted = |cookie: &u64| wanted(&everything[cookie][0]);
        ours.iter().copied().filter(wanted).collect()
    };
    let is_v4 = |buf: &EntryBuf| buf.entry().local_addr().is_ipv4();
    let v4 = of(&Dump::new().family(Family::Ipv4));
    let v6 = of(&Dump::new().family(Family::Ipv6));
    assert_eq!(v4, expected(&is_v4));
    assert_eq!(v6, expected(&|buf| !is_v4(buf)));
    for states in [States::ALL, States::CONNECTED, State::Listen.into(), States::BUCKET] {
        let wanted = |buf: &EntryBuf| states.contains(buf.entry().state());
        assert_eq!(of(&Dump::new().states(states)), expected(&wanted), "{states}");
        let both = |buf: &EntryBuf| wanted(buf) && is_v4(buf);
        let asked = Dump::new().states(states).family(Family::Ipv4);
        assert_eq!(of(&asked), expected(&both), "{states}");
    }
    assert!(cookies(&Dump::new().states(States::NONE)).is_empty());
    // Whoever they belong to.
    for state in States::ALL.iter() {
        for buf in list(&Dump::new().states(state.into())).into_values().flatten() {
            let told = buf.entry().state();
            let expected = match state {
                State::NewSynRecv => State::SynRecv,
                State::BoundInactive => State::Close,
                other => other,
            };
            assert_eq!(told, expected, "{buf:?}");
        }
    }
}

fn told() {
    let pair = pair_at(*loopbacks().last().unwrap());
    let cookie = tcpinfo::cookie(&pair.client).unwrap();
    let told = |tell: Tell| {
        let buf = list(&Dump::new().tell(tell)).remove(&cookie).unwrap().remove(0);
        let entry = buf.entry();
        [
            (Tell::INFO, entry.tcp_info().is_some()),
            (Tell::CONGESTION, entry.congestion_name().is_some()),
            (Tell::MEMORY, entry.memory().is_some()),
            (Tell::TOS, entry.tos().is_some()),
            (Tell::TRAFFIC_CLASS, entry.class_id().is_some()),
        ]
    };
    for (what, is_told) in told(Tell::ALL) {
        assert!(is_told, "{what:?}");
        for (other, is_told) in told(what) {
            assert_eq!(is_told, other == what, "{other:?} of {what:?}");
        }
    }
    let buf = list(&Dump::new().tell(Tell::CONGESTION_NAME)).remove(&cookie).unwrap().remove(0);
    let congestion = buf.entry().congestion().unwrap();
    assert!(!congestion.name.as_str().is_empty() && congestion.info.is_none());
    assert!(told(Tell::NOTHING).into_iter().all(|(_, is_told)| !is_told));
}

fn dropped() {
    let pairs = population();
    let (lookup, cookie) =
        (lookup_of(&pairs[0].client), tcpinfo::cookie(&pairs[0].client).unwrap());
    let mut diag = SockDiag::open().unwrap();
    for read in [0, 1, 3, 50, 200] {
        let mut entries = diag.dump(&Dump::new()).unwrap();
        for _ in 0..read {
            entries.next().unwrap().unwrap();
        }
        for _ in 0..2 {
            let entry = diag.lookup(&lookup).unwrap().unwrap();
            assert_eq!(entry.cookie(), cookie, "after {read} of a list");
        }
        let mut entries = diag.dump(&Dump::new()).unwrap();
        entries.next().unwrap().unwrap();
        let mut entries = diag.dump(&Dump::new()).unwrap();
        let mut all = BTreeSet::new();
        while let Some(entry) = entries.next() {
            all.insert(entry.unwrap().cookie());
        }
        assert!(entries.next().is_none());
        for pair in &pairs {
            assert!(all.contains(&tcpinfo::cookie(&pair.server).unwrap()));
        }
    }
}

fn rare_states() {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let bound_cookie = tcpinfo::cookie(&bound).unwrap();
    let inactive = list(&Dump::new().states(State::BoundInactive.into()));
    // Linux 6.8.
    if let Some(entries) = inactive.get(&bound_cookie) {
        assert_eq!(entries[0].entry().state(), State::Close);
        assert!(cookies(&Dump::new()).contains(&bound_cookie));
    } else {
        assert!(inactive.is_empty(), "{inactive:?}");
    }
    assert!(!cookies(&Dump::new().states(States::CONNECTED)).contains(&bound_cookie));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deafen(&client);
    client.set_nonblocking(true).unwrap();
    client.connect(&listener.local_addr().unwrap().into()).unwrap_err();
    let local = client.local_addr().unwrap().as_socket().unwrap();
    let is_request = |buf: &EntryBuf| {
        let entry = buf.entry();
        entry.remote_addr() == local && entry.is_mini() && entry.state() == State::SynRecv
    };
    for states in [State::SynRecv.into(), State::NewSynRecv.into(), States::ALL] {
        until("the request is listed", || {
            let all = list(&Dump::new().states(states));
            all.values().flatten().any(is_request).then_some(())
        });
    }
    let cookie = tcpinfo::cookie(&client).unwrap();
    assert!(cookies(&Dump::new().states(State::SynSent.into())).contains(&cookie));
    SockRef::from(&client).detach_filter().unwrap();

    let Pair { client, server, listener: _listener } = pair();
    let cookie = tcpinfo::cookie(&client).unwrap();
    drop(client);
    let (local, remote) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
    drop(server);
    until("TIME_WAIT is listed", || {
        let all = list(&Dump::new().states(State::TimeWait.into()));
        let found = all
            .into_values()
            .flatten()
            .find(|buf| (buf.entry().local_addr(), buf.entry().remote_addr()) == (local, remote))?;
        assert!(found.entry().is_mini() && found.entry().tcp_info().is_none());
        assert_eq!(found.entry().cookie(), cookie);
        Some(())
    });
}

fn multipath() {
    let Some((client, server, listener)) = mptcp_pair() else { panic!("it was there") };
    let all = list(&Dump::new().protocol(Protocol::Mptcp));
    for stream in [&client, &server] {
        let cookie = tcpinfo::cookie(stream).unwrap();
        let entry = all[&cookie][0].entry();
        assert!(entry.is_mptcp());
        assert_eq!(entry.inode(), Some(inode(stream)));
        assert_eq!(entry.local_addr(), stream.local_addr().unwrap());
        assert!(entry.tcp_info().is_none() && entry.native_tcp_info().is_none());
        let told = entry.mptcp_info().unwrap();
        let own = tcpinfo::Mptcp::read(stream).unwrap().info;
        assert_eq!(told.token(), own.token());
        assert_eq!(told.subflows(), own.subflows());
        // Its one path is a socket of TCP beside it.
        let paths = list(&Dump::new()).into_values().flatten().filter(|buf| {
            (buf.entry().local_addr(), buf.entry().remote_addr())
                == (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
        });
        assert_eq!(paths.count(), 1);
    }
    drop(listener);
}

fn can_list_multipath() -> Result<(), &'static str> {
    needs(mptcp_pair().is_some(), "this kernel has no Multipath TCP")?;
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&Dump::new().protocol(Protocol::Mptcp)).unwrap();
    let Some(Err(error)) = entries.next() else { return Ok(()) };
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("mptcp_diag"), "{error}");
    Err("this kernel has no list of its sockets of Multipath TCP")
}

/// The cookies that `ss` lists are those that are listed here, and each is in the same state.
fn as_ss() {
    let pairs = population();
    let ours: BTreeSet<u64> = pairs
        .iter()
        .flat_map(|pair| {
            [&pair.client, &pair.server].map(|stream| tcpinfo::cookie(stream).unwrap())
        })
        .chain(pairs.iter().map(|pair| tcpinfo::cookie(&pair.listener).unwrap()))
        .collect();
    let output = Command::new("ss").args(["-tanHeO"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeMap<u64, (&str, &str, &str)> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let cookie = words.iter().find_map(|word| word.strip_prefix("sk:"))?;
            let cookie = u64::from_str_radix(cookie, 16).unwrap();
            ours.contains(&cookie).then_some((cookie, (words[0], words[1], words[2])))
        })
        .collect();
    let all = list(&Dump::new());
    assert_eq!(theirs.len(), ours.len());
    for (cookie, (state, rqueue, wqueue)) in theirs {
        let entry = all[&cookie][0].entry();
        let expected = if entry.state() == State::Listen { "LISTEN" } else { "ESTAB" };
        assert_eq!(state, expected);
        assert_eq!((rqueue, wqueue), (&*entry.rqueue().to_string(), &*entry.wqueue().to_string()));
    }
}
