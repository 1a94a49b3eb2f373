//! What the kernel selects by a filter, beside what matching over everything and what `ss` selects by
//! the same text.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use sockdiag::{Dump, EntryBuf, ErrorKind, Family, Filter, SockDiag, States};
use socket2::{Domain, SockRef, Socket, Type};

use super::{
    scene::{Pair, Test, can_deafen, deafen, needs, pair_at, test},
    texts::{Vocabulary, is_privileged, some},
};

pub(crate) fn tests() -> Vec<Test> {
    let ss = Command::new("ss").arg("-V").output();
    let ss = needs(ss.is_ok_and(|output| output.status.success()), "ss is missing");
    vec![
        test("the_kernel_selects_what_matches", matching),
        Test { name: "ss_selects_the_same_by_the_same_text", needs: ss, run: as_ss },
        test("what_a_filter_asks_for_is_told_though_the_list_does_not", told),
        test("who_may_not_see_marks_is_told_so", marks),
        test("what_only_the_kernel_knows_is_asked_of_it_alone", autobound),
        Test { name: "ss_leaves_ports_out_that_nobody_chose", needs: ss, run: autobound_of_ss },
        test("a_list_of_one_family_and_a_filter_of_the_other_is_empty", families),
    ]
}

/// Sockets in many states at addresses that nobody else uses.
struct Population {
    /// The first three numbers of the address.
    net: [u8; 3],
    ports: Vec<u16>,
    _pairs: Vec<Pair>,
    _others: Vec<Socket>,
}

impl Population {
    fn new(number: u8) -> Self {
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        // Not 127.0.0.0/16, where everybody is.
        let net = [127, high | 1, low.wrapping_add(number)];
        let host = |last: u8| Ipv4Addr::new(net[0], net[1], net[2], last);
        let mut pairs = Vec::new();
        let mut others = Vec::new();
        for last in 1..6 {
            pairs.push(pair_at((host(last), 0).into()));
        }
        if TcpListener::bind("[::1]:0").is_ok() {
            pairs.extend((0..3).map(|_| pair_at("[::1]:0".parse().unwrap())));
            for last in 1..3 {
                let listener = TcpListener::bind("[::]:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                let client = TcpStream::connect((host(last), port)).unwrap();
                let (server, _) = listener.accept().unwrap();
                pairs.push(Pair { client, server, listener });
            }
        }
        // Half closed, and over.
        pairs[0].client.shutdown(std::net::Shutdown::Write).unwrap();
        let over = pair_at((host(7), 0).into());
        let mut ports: Vec<u16> = vec![over.listener.local_addr().unwrap().port()];
        ports.push(over.client.local_addr().unwrap().port());
        drop(over.client);
        super::scene::until("the other end hears of it", || {
            (over.server.peek(&mut [0]).is_ok_and(|len| len == 0)).then_some(())
        });
        drop(over.server);
        // With marks, where that is allowed, and bound to an interface.
        for (mark, pair) in (0..).zip(&pairs) {
            let _ = SockRef::from(&pair.client).set_mark(mark % 4);
        }
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let _ = bound.bind_device(Some(b"lo"));
        bound.bind(&SocketAddr::from((host(9), 0)).into()).unwrap();
        bound.listen(3).unwrap();
        let inactive = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        inactive.bind(&SocketAddr::from((host(10), 0)).into()).unwrap();
        // One that asks in vain, and what the other end knows of it.
        if can_deafen().is_ok() {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            deafen(&client);
            client.set_nonblocking(true).unwrap();
            let server = pairs[1].listener.local_addr().unwrap();
            client.connect(&server.into()).unwrap_err();
            others.push(client);
        }
        others.extend([bound, inactive]);
        for pair in &pairs {
            for address in [pair.client.local_addr(), pair.listener.local_addr()] {
                ports.push(address.unwrap().port());
            }
        }
        for socket in &others {
            ports.push(socket.local_addr().unwrap().as_socket().unwrap().port());
        }
        Self { net, ports, _pairs: pairs, _others: others }
    }

    /// Whether the socket is one of these: its port is among theirs, and its address as well if that
    /// says more.
    fn has(&self, buf: &EntryBuf) -> bool {
        let local = buf.entry().local_addr();
        let is_of_net = match local.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => ip.octets().starts_with(&self.net),
            std::net::IpAddr::V6(_) => true,
        };
        is_of_net && self.ports.contains(&local.port())
    }

    fn select(&self, dump: &Dump) -> BTreeMap<u64, EntryBuf> {
        let mut diag = SockDiag::open().unwrap();
        let mut entries = diag.dump(dump).unwrap();
        let mut found = BTreeMap::new();
        while let Some(entry) = entries.next() {
            let buf = entry.unwrap_or_else(|error| panic!("{error}")).to_buf();
            if self.has(&buf) {
                found.insert(buf.entry().cookie(), buf);
            }
        }
        found
    }

    /// What is there at both moments and in the same state; the rest came or went between.
    fn lasting(before: &BTreeMap<u64, EntryBuf>, after: &BTreeMap<u64, EntryBuf>) -> BTreeSet<u64> {
        let is_same = |cookie: &u64, buf: &EntryBuf| {
            after.get(cookie).is_some_and(|later| later.entry().state() == buf.entry().state())
        };
        before
            .iter()
            .filter(|(cookie, buf)| is_same(cookie, buf))
            .map(|(cookie, _)| *cookie)
            .collect()
    }
}

/// What texts about these sockets are made of; what `ss` reads, too, or all.
fn vocabulary(population: &Population, is_for_ss: bool) -> Vocabulary {
    let [a, b, c] = population.net;
    let mut networks =
        vec!["[::1]".to_owned(), format!("[::ffff:{a}.{b}.{c}.0/120]"), format!("{a}.{b}/16")];
    let mut others = Vec::new();
    if !is_for_ss {
        // By its own look, which it takes as soon as an interface is named, `ss` does not tell families
        // apart where all bits are zero.
        networks.extend(["[::]", "[::/0]", "0.0.0.0/0"].map(str::to_owned));
        others = FACTS.map(str::to_owned).into();
    }
    let ports = population.ports.iter();
    let hosts = vec![
        (1..11).map(|last| format!("{a}.{b}.{c}.{last}")).collect(),
        (24..33).map(|prefix| format!("{a}.{b}.{c}.1/{prefix}")).collect(),
        ports.clone().map(|port| format!("*:{port}")).collect(),
        ports.map(|port| format!("{a}.{b}.{c}.0/24:{port}")).collect(),
        networks,
    ];
    Vocabulary { hosts, ports: population.ports.clone(), others }
}

const FACTS: [&str; 21] = [
    "rtt > 1us",
    "rtt < 10s",
    "retrans > 0",
    "cc = bbr",
    "cc != bbr",
    "uid = 0",
    "uid != 0",
    "cwnd >= 10",
    "rqueue > 0",
    "mss > 1k",
    "rcvbuf > 1",
    "state established",
    "state listening",
    "state time-wait",
    "exclude close-wait",
    "state closed",
    "state syn-recv",
    "state bucket",
    "family inet",
    "family inet6",
    "inode != 0",
];

fn matching() {
    let population = Population::new(1);
    let mut selected = 0;
    for text in some(&vocabulary(&population, false).texts(), 120) {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let before = population.select(&Dump::new());
        let found: BTreeSet<_> =
            population.select(&Dump::new().filter(&filter)).into_keys().collect();
        let after = population.select(&Dump::new());
        let lasting = Population::lasting(&before, &after);
        let expected: BTreeSet<_> = lasting
            .iter()
            .filter(|cookie| filter.matches(&after[cookie].entry()))
            .copied()
            .collect();
        assert!(lasting.len() > 15, "{lasting:?}");
        assert_eq!(&found & &lasting, expected, "{text}");
        selected += usize::from(!expected.is_empty() && expected.len() < lasting.len());
    }
    assert!(selected > 30, "most texts select everything or nothing: {selected}");
}

fn as_ss() {
    let population = Population::new(2);
    let mut selected = 0;
    for text in some(&vocabulary(&population, true).texts(), 60) {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let before = population.select(&Dump::new());
        let output = Command::new("ss").args(["-tanHeO", &text]).output().unwrap();
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        let ours: BTreeSet<_> =
            population.select(&Dump::new().filter(&filter)).into_keys().collect();
        let lasting = Population::lasting(&before, &population.select(&Dump::new()));
        // What is bound and does nothing, `ss` lists only if asked to, and not before 6.9.
        let lasting: BTreeSet<_> = lasting
            .into_iter()
            .filter(|cookie| before[cookie].entry().state() != tcpinfo::State::Close)
            .collect();
        let theirs: BTreeSet<_> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("sk:")))
            .map(|cookie| u64::from_str_radix(cookie, 16).unwrap())
            .collect();
        assert_eq!(&ours & &lasting, &theirs & &lasting, "{text}");
        selected += usize::from(!ours.is_empty() && ours.len() < lasting.len());
    }
    assert!(selected > 15, "most texts select everything or nothing: {selected}");
}

fn told() {
    let population = Population::new(3);
    let filter = "rtt > 0 and rcvbuf > 0 and cc != nothing".parse().unwrap();
    let dump = Dump::new().tell(sockdiag::Tell::NOTHING).filter(&filter);
    let found = population.select(&dump);
    assert!(found.len() > 10);
    assert!(found.values().all(|buf| filter.matches(&buf.entry())));
}

/// In a thread that may do nothing.
fn marks() {
    std::thread::spawn(|| {
        const NOBODY: libc::c_long = 65_534;
        // SAFETY: numbers only; without the C library's help it is of this thread alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        // Who may not change is nobody of importance anyway.
        let is_nobody = changed == 0 || !is_privileged();
        assert!(is_nobody);
        for text in ["fwmark = 1", "sport = :1 and fwmark != 1", "fwmark = 1 or rtt > 1ms"] {
            let filter: Filter = text.parse().unwrap();
            let mut diag = SockDiag::open().unwrap();
            let mut entries = diag.dump(&Dump::new().filter(&filter)).unwrap();
            let error = entries.next().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotPermitted, "{text}");
            assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        }
    })
    .join()
    .unwrap();
}

fn autobound() {
    let population = Population::new(4);
    let found =
        population.select(&Dump::new().filter(&"autobound state listening".parse().unwrap()));
    // Every listener of the population was given its port by the kernel.
    let listeners = population.select(&Dump::new().filter(&"state listening".parse().unwrap()));
    assert!(found.keys().eq(listeners.keys()) && !found.is_empty());
    let listener = super::scene::until("a port that is free", || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    let port = listener.local_addr().unwrap().port();
    let count = |text: &str| {
        let filter = text.parse().unwrap();
        let mut diag = SockDiag::open().unwrap();
        let mut entries = diag.dump(&Dump::new().filter(&filter)).unwrap();
        let mut count = 0;
        while let Some(entry) = entries.next() {
            entry.unwrap();
            count += 1;
        }
        count
    };
    assert_eq!(count(&format!("src 127.0.0.1:{port} not autobound")), 1);
    assert_eq!(count(&format!("src 127.0.0.1:{port} autobound")), 0);

    let filter: Filter = "autobound or rtt > 1ms".parse().unwrap();
    let mut diag = SockDiag::open().unwrap();
    let error = diag.dump(&Dump::new().filter(&filter)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadQuestion);
    assert!(error.to_string().contains("autobound"), "{error}");
}

/// The kernel's answer to both is the same, and `ss` then looks at the ports.
fn autobound_of_ss() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let (low, high) = range.trim().split_once('\t').unwrap();
    let below = (1024..low.parse().unwrap()).rev();
    let listener = below.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).next();
    let listener = listener.expect("a port that is free");
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let [of_client, of_server] = [&client, &server].map(|one| tcpinfo::cookie(one).unwrap());
    // Beside what is left of others at this port.
    let is_ours = |cookie: &u64| [of_client, of_server].contains(cookie);
    let ours = |text: &str| -> BTreeSet<u64> {
        let filter = text.parse().unwrap();
        let mut diag = SockDiag::open().unwrap();
        let mut entries = diag.dump(&Dump::new().filter(&filter)).unwrap();
        let mut found = BTreeSet::new();
        while let Some(entry) = entries.next() {
            found.extend(Some(entry.unwrap().cookie()).filter(is_ours));
        }
        found
    };
    let theirs = |text: &str| -> BTreeSet<u64> {
        let shown = super::shown::ss(&["-ta", text]);
        shown.into_iter().map(|shown| shown.cookie).filter(is_ours).collect()
    };
    let text = format!("( sport = :{port} or dport = :{port} ) autobound");
    assert_eq!(ours(&text), [of_client, of_server].into(), "who accepted is there, too");
    assert_eq!(theirs(&text), [of_client].into());
    assert_eq!(ours(&format!("{text} sport >= :{low} sport <= :{high}")), [of_client].into());
}

fn families() {
    let population = Population::new(5);
    let filter = Filter::everything().and("family inet".parse().unwrap());
    let of = |dump: Dump| population.select(&dump.filter(&filter)).len();
    assert!(of(Dump::new()) > 10);
    assert_eq!(of(Dump::new().family(Family::Ipv4)), of(Dump::new()));
    assert_eq!(of(Dump::new().family(Family::Ipv6)), 0);
    assert_eq!(of(Dump::new().states(States::NONE)), 0);
    assert_eq!(population.select(&Dump::new().filter(&Filter::nothing())).len(), 0);
}
