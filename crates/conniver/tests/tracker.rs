//! What a tracker knows, against what was really opened, moved and closed.

#[cfg(target_os = "linux")]
mod pace;

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use conniver::{
    CloseReason, Conn, ConnId, Group, Options, Order, Query, Rates, Report, Role, Totals, Tracker,
};
use tcpinfo::{State, TcpInfo};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn ids<'a>(list: impl IntoIterator<Item = &'a conniver::Connection>) -> Vec<ConnId> {
    list.into_iter().map(conniver::Connection::id).collect()
}

#[test]
fn a_connection_is_listed_from_its_opening_to_its_end() {
    let tracker = Tracker::new();
    assert!(tracker.is_empty() && tracker.connections().is_empty() && tracker.ended().is_empty());
    let options = Options::new().role(Role::Client).category("tests").tracker(&tracker);
    let (client, mut server) = pair();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let mut conn = options.wrap(client);
    conn.write_all(&[1; 100]).unwrap();
    server.write_all(&[2; 50]).unwrap();
    conn.read_exact(&mut [0; 50]).unwrap();

    assert_eq!(tracker.len(), 1);
    let list = tracker.connections();
    let [listed] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!(listed.id(), conn.handle().id());
    assert_eq!((listed.role(), listed.category()), (Some(Role::Client), Some("tests")));
    assert_eq!((listed.local_addr(), listed.remote_addr()), (Some(local), Some(remote)));
    assert_eq!((listed.rx_bytes(), listed.tx_bytes()), (50, 100));
    assert!(listed.info().is_none() && listed.info_err().is_none(), "nobody asked");
    let text = listed.to_string();
    assert!(text.starts_with(&format!("tests client {local} -> {remote} ")), "{text}");
    assert!(text.contains(" tx=100 rx=50"), "{text}");

    drop(conn);
    assert!(tracker.is_empty());
    let ended = tracker.ended();
    let [report] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((report.id, report.reason), (listed.id(), CloseReason::LocalClose));
    assert_eq!((report.rx_bytes, report.tx_bytes), (50, 100));
    assert_eq!(listed.rx_bytes(), 50, "a list shows the moment that it was made");
}

#[test]
fn clones_know_the_same_and_trackers_do_not_know_of_each_other() {
    let (one, other) = (Tracker::new(), Tracker::new());
    let _conn = Options::new().tracker(&one).wrap_opaque(io::empty());
    assert_eq!((one.clone().len(), other.len()), (1, 0));
}

#[test]
fn a_stream_that_was_given_back_is_tracked_no_longer() {
    let tracker = Tracker::new();
    let conn = Options::new().tracker(&tracker).wrap_opaque(io::empty());
    conn.into_inner();
    assert!(tracker.is_empty());
    assert_eq!(tracker.totals().closed_by(CloseReason::GivenBack), 1);
}

/// The report that a tracker remembers is the one that observers got, whether there are any or not.
#[test]
fn what_is_remembered_is_the_report() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    for observed in [false, true] {
        let tracker = Tracker::new();
        let mut options = Options::new().category("x").context(7_u8).tracker(&tracker);
        if observed {
            let teller = Arc::clone(&teller);
            options = options.observer(move |report: &Report| {
                teller.lock().unwrap().push(report.clone());
            });
        }
        let (client, server) = pair();
        let has_facts = TcpInfo::read(&client).is_ok();
        let mut conn = options.wrap(client);
        conn.set_reconnects(3);
        conn.write_all(b"hello").unwrap();
        drop(server);
        while conn.write_all(&[0; 64]).is_ok() {}
        drop(conn);
        let ended = tracker.ended();
        let [report] = ended.as_slice() else { panic!("{ended:?}") };
        assert_eq!(report.category(), Some("x"));
        assert_eq!(report.context::<u8>(), Some(&7));
        assert_eq!(report.reconnects, 3);
        assert!(report.tx_err.is_some());
        assert_eq!(report.opened_info().is_some(), has_facts);
        assert_eq!(report.closed_info().is_some(), has_facts);
        if let Some(told) = told.lock().unwrap().pop() {
            assert_eq!(told.to_string(), report.to_string());
            assert_eq!(told.closed_info(), report.closed_info());
        }
    }
}

#[test]
fn no_more_are_remembered_than_asked_for_and_these_are_the_newest() {
    let tracker = Tracker::builder().ended(5).build();
    let options = Options::new().tracker(&tracker);
    let all: Vec<ConnId> = (0..20)
        .map(|_| {
            let conn = options.wrap_opaque(io::empty());
            let id = conn.handle().id();
            // From many threads, which remember apart.
            thread::spawn(move || drop(conn)).join().unwrap();
            id
        })
        .collect();
    let newest: Vec<ConnId> = all.into_iter().rev().take(5).collect();
    let ended: Vec<ConnId> = tracker.ended().iter().map(|report| report.id).collect();
    assert_eq!(ended, newest);

    let forgetful = Tracker::builder().ended(0).build();
    drop(Options::new().tracker(&forgetful).wrap_opaque(io::empty()));
    assert!(forgetful.ended().is_empty());
    assert_eq!(forgetful.totals().closed(), 1);
}

#[test]
fn a_query_chooses_by_every_property() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let wrap = |options: &Options, remote: &str| {
        options.wrap_opaque_with_addresses(io::empty(), None, Some(remote.parse().unwrap()))
    };
    let server = wrap(&options.clone().role(Role::Server).category("web"), "10.1.2.3:1");
    let client = wrap(&options.clone().role(Role::Client).category("db"), "[2001:db8::7]:2");
    let mapped = wrap(&options, "[::ffff:10.1.9.9]:3");
    let nowhere = options.wrap_opaque(io::empty());
    let id = |conn: &Conn<io::Empty>| conn.handle().id();
    let [server, client, mapped, nowhere] = [&server, &client, &mapped, &nowhere].map(id);

    let chosen = |query: Query| {
        let list = tracker.query(&query.order(Order::Oldest));
        ids(&list)
    };
    assert_eq!(chosen(Query::new()), [server, client, mapped, nowhere]);
    assert_eq!(chosen(Query::new().at_most(2)), [server, client]);
    assert_eq!(chosen(Query::new().role(Role::Server)), [server]);
    assert_eq!(chosen(Query::new().category("db")), [client]);
    assert_eq!(chosen(Query::new().category(None)), [mapped, nowhere]);
    let net = |net: &str, bits| {
        let net: IpAddr = net.parse().unwrap();
        chosen(Query::new().remote_net(net, bits))
    };
    assert_eq!(net("10.1.2.0", 24), [server]);
    assert_eq!(net("10.1.0.0", 16), [server, mapped]);
    assert_eq!(net("10.1.2.3", 200), [server]);
    assert_eq!(net("0.0.0.0", 0), [server, mapped]);
    assert_eq!(net("2001:db8::", 32), [client]);
    assert_eq!(net("::ffff:10.1.0.0", 112), [server, mapped]);
    assert_eq!(net("::", 0), [server, client, mapped]);
}

#[test]
fn a_query_chooses_by_age_and_idle_time() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let mut busy = options.wrap_opaque(Vec::new());
    let idle = options.wrap_opaque(Vec::new());
    thread::sleep(Duration::from_millis(60));
    busy.write_all(b"x").unwrap();
    let young = options.wrap_opaque(Vec::new());
    let [busy, idle, young] = [&busy, &idle, &young].map(|conn| conn.handle().id());

    let chosen = |query: Query| ids(&tracker.query(&query)).into_iter().collect::<HashSet<_>>();
    let long = Duration::from_millis(40);
    assert_eq!(chosen(Query::new().age_at_least(long)), HashSet::from([busy, idle]));
    assert_eq!(chosen(Query::new().idle_at_least(long)), HashSet::from([idle]));
    assert_eq!(ids(&tracker.query(&Query::new().order(Order::LongestIdle)))[0], idle);
    assert_eq!(ids(&tracker.query(&Query::new().order(Order::MostBytes)))[0], busy);
    assert_eq!(ids(&tracker.query(&Query::new().order(Order::Oldest)))[2], young);
}

#[test]
fn names_are_sorted_by_their_parts() {
    let tracker = Tracker::new();
    let wrap = |category: Option<&str>, role: Option<Role>, remote: &str| {
        let mut options = Options::new().tracker(&tracker);
        if let Some(category) = category {
            options = options.category(category);
        }
        if let Some(role) = role {
            options = options.role(role);
        }
        options.wrap_opaque_with_addresses(io::empty(), None, Some(remote.parse().unwrap()))
    };
    // As plain text "a:b" with "2" would come before "a" with "9".
    let conns = [
        wrap(Some("b"), None, "192.0.2.1:1"),
        wrap(Some("a"), Some(Role::Server), "192.0.2.1:1"),
        wrap(Some("a"), Some(Role::Client), "192.0.2.10:1"),
        wrap(Some("a"), Some(Role::Client), "192.0.2.9:80"),
        wrap(Some("a"), Some(Role::Client), "192.0.2.9:9"),
        wrap(None, None, "192.0.2.1:1"),
    ];
    let sorted: Vec<_> = [5, 4, 3, 2, 1, 0].map(|place: usize| conns[place].handle().id()).into();
    assert_eq!(ids(&tracker.query(&Query::new().order(Order::Name))), sorted);
}

#[test]
fn facts_are_those_of_the_connection_while_its_owner_waits_for_data() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let (client, mut server) = pair();
    let has_facts = TcpInfo::read(&client).is_ok();
    let mut conn = options.wrap(client);
    let opaque = options.wrap_opaque(io::empty());
    let reader = thread::spawn(move || {
        let read = conn.read(&mut [0; 8]).unwrap();
        (conn, read)
    });
    server.set_nodelay(true).unwrap();
    let list = tracker.query(&Query::new().facts(true).order(Order::Oldest));
    assert_eq!(list.len(), 2);
    if has_facts {
        let info = list[0].info().expect("it is open");
        assert_eq!(info.state(), Some(State::Established));
        assert!(list[0].to_string().contains(" rtt="), "{}", list[0]);
    } else {
        assert!(list[0].info_err().is_some(), "why there are none");
    }
    assert!(list[1].info().is_none() && list[1].info_err().is_none(), "it has no socket");
    server.write_all(&[1; 3]).unwrap();
    let (conn, read) = reader.join().unwrap();
    assert_eq!(read, 3);
    drop((conn, opaque));
    assert!(list[0].handle().tcp_info().is_none(), "it is closed");
}

/// Each socket bears its own port as a mark that the kernel tells, while descriptors are closed and
/// given out again all the time.
#[cfg(target_os = "linux")]
#[test]
fn facts_never_come_from_another_connection() {
    use std::sync::atomic::AtomicBool;

    struct Stop<'a>(&'a AtomicBool);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    fn marked(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            let mark = PACE + u32::from(stream.local_addr().unwrap().port());
            pace::limit_pace(stream, mark);
        }
        (client, server)
    }

    /// Above what a mark could slow down.
    const PACE: u32 = 1 << 30;

    let tracker = Tracker::new();
    let over = AtomicBool::new(false);
    let mut checked = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let options = Options::new().facts(false).tracker(&tracker);
                while !over.load(Relaxed) {
                    // A listener of its own each time, so that servers have ports of their own.
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let conns: Vec<_> = (0..4)
                        .flat_map(|_| <[TcpStream; 2]>::from(marked(&listener)))
                        .map(|stream| options.wrap(stream))
                        .collect();
                    // In another order than they came, and some of them given back.
                    for (place, conn) in conns.into_iter().enumerate().rev() {
                        if place % 3 == 0 { drop(conn.into_inner()) } else { drop(conn) }
                    }
                }
            });
        }
        let _stop = Stop(&over);
        let query = Query::new().facts(true);
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(800) {
            for conn in tracker.query(&query) {
                assert!(conn.info_err().is_none(), "{:?}", conn.info_err());
                let Some(info) = conn.info() else { continue };
                let tcpinfo::native::Native::Linux(info) = info.native() else { unreachable!() };
                let mark = u64::from(PACE) + u64::from(conn.local_addr().unwrap().port());
                assert_eq!(info.max_pacing_rate().value(), Some(mark), "{conn}");
                checked += 1;
            }
        }
    });
    assert!(checked > 100, "{checked}");
    assert!(tracker.is_empty());
}

#[test]
fn totals_are_of_the_living_and_the_gone() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker);
    let mut lives = options.wrap_opaque(Vec::new());
    lives.write_all(&[0; 10]).unwrap();
    let mut ends = options.wrap_opaque(&b"12345"[..]);
    ends.read_exact(&mut [0; 5]).unwrap();
    drop(ends);

    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.open, totals.closed()), (2, 1, 1));
    assert_eq!((totals.tx_bytes, totals.rx_bytes), (10, 5));
    assert_eq!((totals.tx_ops, totals.rx_ops), (1, 1));
    assert_eq!(totals.closed_by(CloseReason::LocalClose), 1);
    assert!(totals.lived > Duration::ZERO);
    drop(lives);
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.open, totals.closed()), (2, 0, 2));
    assert_eq!((totals.tx_bytes, totals.rx_bytes), (10, 5));
}

#[cfg(target_os = "linux")]
#[test]
fn totals_hold_what_the_kernel_counted_also_after_the_end() {
    let tracker = Tracker::new();
    let (client, mut server) = pair();
    let mut conn = Options::new().tracker(&tracker).wrap(client);
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        io::copy(&mut server, &mut io::sink()).unwrap()
    });
    // More than all the buffers between the two hold.
    for _ in 0..256 {
        conn.write_all(&[0; 1 << 16]).unwrap();
    }
    let limited = |totals: &Totals| totals.peer_window_limited + totals.send_buffer_limited;
    assert_eq!(limited(&tracker.totals()), Duration::ZERO, "the kernel was not asked yet");
    let groups = tracker.kernel_totals_by_group();
    let [(_, asked)] = groups.as_slice() else { panic!("{groups:?}") };
    assert!(limited(asked) >= Duration::from_millis(30), "{asked:?}");
    assert_eq!(&tracker.totals(), asked, "remembered until it is asked again");

    let last = conn.handle().tcp_info().unwrap().unwrap();
    drop(conn);
    let after = tracker.totals();
    let said = last.peer_window_limited().unwrap() + last.send_buffer_limited().unwrap();
    assert!(limited(&after) >= limited(asked) && limited(&after) >= said);
    assert_eq!(after.retransmitted_segs, last.retransmitted_segs().unwrap());
    reader.join().unwrap();
}

#[test]
fn totals_are_kept_apart_by_group_up_to_a_limit() {
    let tracker = Tracker::builder().groups(2).build();
    let options = Options::new().tracker(&tracker);
    let of = |category: &str, role| options.clone().role(role).category(category);
    let _conns: Vec<_> = [
        of("web", Role::Server),
        of("web", Role::Client),
        of("web", Role::Server),
        of("late", Role::Client),
        of("later", Role::Client),
        of("later", Role::Server),
    ]
    .iter()
    .map(|options| options.wrap_opaque(io::empty()))
    .collect();
    let groups: Vec<_> = tracker
        .totals_by_group()
        .into_iter()
        .map(|(group, totals)| {
            (group.category.unwrap().to_string(), group.role.unwrap(), totals.open)
        })
        .collect();
    let expected = [
        ("web", Role::Server, 2),
        ("web", Role::Client, 1),
        (Group::OTHER, Role::Client, 2),
        (Group::OTHER, Role::Server, 1),
    ];
    assert_eq!(groups, expected.map(|(name, role, open)| (name.to_owned(), role, open)));
    assert_eq!(tracker.totals().open, 6);
}

#[test]
fn a_million_categories_take_no_more_room_than_allowed() {
    let tracker = Tracker::builder().groups(10).ended(0).build();
    for number in 0..10_000 {
        let category = format!("\"{number}\n\u{1f600}");
        drop(Options::new().category(category).tracker(&tracker).wrap_opaque(io::empty()));
    }
    let groups = tracker.totals_by_group();
    assert_eq!(groups.len(), 11);
    assert_eq!(groups.iter().map(|(_, totals)| totals.closed()).sum::<u64>(), 10_000);
    assert_eq!(groups[10].1.closed(), 9_990);
}

#[test]
fn a_label_that_is_set_after_the_tracker_counts() {
    let tracker = Tracker::new();
    let options = Options::new().tracker(&tracker).category("first");
    let _first = options.wrap_opaque(io::empty());
    let _second = options.clone().category("second").wrap_opaque(io::empty());
    let names: Vec<_> = tracker
        .totals_by_group()
        .into_iter()
        .map(|(group, totals)| (group.category.unwrap().to_string(), totals.open))
        .collect();
    assert_eq!(names, [("first".to_owned(), 1), ("second".to_owned(), 1)]);
}

#[test]
fn beyond_the_limit_connections_count_and_are_not_listed() {
    let tracker = Tracker::builder().limit(2).build();
    let options = Options::new().tracker(&tracker);
    let mut conns: Vec<_> = (0..5).map(|_| options.wrap_opaque(Vec::new())).collect();
    assert_eq!((tracker.len(), tracker.connections().len()), (2, 2));
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.open, totals.unlisted), (5, 5, 3));

    conns[4].write_all(&[0; 7]).unwrap();
    drop(conns.remove(0));
    drop(conns.remove(3));
    let _next = options.wrap_opaque(io::empty());
    assert_eq!(tracker.len(), 2, "a place that became free is given again");
    let totals = tracker.totals();
    assert_eq!((totals.opened, totals.open, totals.unlisted), (6, 4, 3));
    assert_eq!(totals.tx_bytes, 7);
    assert_eq!(tracker.ended().len(), 2);
}

#[test]
fn rates_are_of_the_time_between_two_looks() {
    let tracker = Tracker::new();
    let mut conn = Options::new().tracker(&tracker).wrap_opaque(Vec::new());
    let mut rates = Rates::new(&tracker);
    let mut others = Rates::new(&tracker);
    let [(_, None)] = rates.look(&Query::new())[..] else { panic!("nothing is known yet") };
    conn.write_all(&[0; 1000]).unwrap();
    thread::sleep(Duration::from_millis(20));
    let looked = rates.look(&Query::new());
    let [(_, Some(rate))] = &looked[..] else { panic!("{looked:?}") };
    assert!(rate.over >= Duration::from_millis(20));
    assert_eq!((rate.tx_bytes * rate.over.as_secs_f64()).round(), 1000.0);
    assert_eq!(rate.rx_bytes, 0.0);
    let [(_, None)] = others.look(&Query::new())[..] else { panic!("another has not looked") };
    thread::sleep(Duration::from_millis(2));
    assert_eq!(rates.look(&Query::new())[0].1.unwrap().tx_bytes, 0.0);
    drop(conn);
    assert!(rates.look(&Query::new()).is_empty());
}

/// Counters that only grow, read while connections come and go in other threads.
#[test]
fn totals_never_go_backwards() {
    const THREADS: usize = 3;
    const ROUNDS: u64 = 3000;

    let tracker = Tracker::builder().ended(16).build();
    let gate = Barrier::new(THREADS + 1);
    let running = AtomicU64::new(THREADS as u64);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let options = Options::new().tracker(&tracker);
                gate.wait();
                let mut kept = Vec::new();
                for round in 0..ROUNDS {
                    let mut conn = options.wrap_opaque(io::sink());
                    conn.write_all(&[0; 10]).unwrap();
                    kept.push(conn);
                    if round % 7 == 0 {
                        kept.truncate(3);
                    }
                }
                drop(kept);
                running.fetch_sub(1, Relaxed);
            });
        }
        gate.wait();
        let mut before = Totals::default();
        while running.load(Relaxed) > 0 {
            let now = tracker.totals();
            assert!(now.opened >= before.opened && now.closed() >= before.closed());
            assert!(now.tx_bytes >= before.tx_bytes, "{before:?} then {now:?}");
            assert!(now.tx_ops >= before.tx_ops && now.lived >= before.lived);
            assert_eq!(now.open, now.opened - now.closed());
            before = now;
        }
    });
    let totals = tracker.totals();
    let all = ROUNDS * THREADS as u64;
    assert_eq!((totals.opened, totals.closed(), totals.open), (all, all, 0));
    assert_eq!((totals.tx_bytes, totals.tx_ops), (10 * all, all));
    assert_eq!(tracker.ended().len(), 16);
}

#[test]
fn an_observer_may_ask_the_tracker() {
    let tracker = Tracker::new();
    let seen = Arc::new(AtomicU64::new(u64::MAX));
    let (inside, see) = (tracker.clone(), Arc::clone(&seen));
    let options = Options::new().tracker(&tracker).observer(move |report: &Report| {
        assert!(inside.connections().iter().all(|conn| conn.id() != report.id));
        see.store(inside.totals().closed(), Relaxed);
    });
    drop(options.wrap_opaque(io::empty()));
    assert_eq!(seen.load(Relaxed), 1, "it has ended already");
}

#[test]
fn a_connection_ends_in_the_tracker_even_if_its_stream_panics() {
    struct Panicking;

    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    for observed in [false, true] {
        let tracker = Tracker::new();
        let mut options = Options::new().tracker(&tracker);
        if observed {
            options = options.observer(|_: &Report| {});
        }
        let conn = options.wrap_opaque(Panicking);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(conn)));
        assert!(dropped.is_err(), "the panic is the stream's own");
        assert!(tracker.is_empty());
        assert_eq!((tracker.totals().closed(), tracker.ended().len()), (1, 1));
    }
}
