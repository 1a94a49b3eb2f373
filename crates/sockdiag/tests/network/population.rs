//! Thousands of sockets in every state, in the network of who asks for them, held by several processes.
//!
//! What makes a state last: a socket with a filter that drops everything hears nothing any more, so that
//! its peer waits; and listeners that are full, or wait for data, keep who connects waiting, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, TcpKeepalive, Type};
use tcpinfo::{Reading, State, native::Native};

/// Says to a process of the population which it is.
const VARIABLE: &str = "POPULATION_HOLDER";

/// How many processes hold it. Each has some 1,250 sockets of TCP, and fewer than 1,024 descriptors.
const HOLDERS: u8 = 4;

/// What is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Population {
    /// They live as long as their input is open.
    holders: Vec<(Child, ChildStdin)>,
    /// How many TCP sockets are in each state, by the names of `ss`.
    pub(crate) counts: BTreeMap<String, usize>,
    /// How many sockets of Multipath TCP there are, whose paths are among the others.
    pub(crate) multipath: usize,
    /// Some of the ports that are in use.
    pub(crate) ports: Vec<u16>,
    /// What this machine has not, and why.
    pub(crate) missing: BTreeSet<String>,
}

impl Population {
    /// Makes it in the network of the calling thread, in which nothing else may be.
    pub(crate) fn new() -> Self {
        let mut population = Self {
            holders: Vec::new(),
            counts: BTreeMap::new(),
            multipath: 0,
            ports: Vec::new(),
            missing: BTreeSet::new(),
        };
        population.set("tcp_fastopen", FAST_OPEN_WITHOUT_COOKIE);
        // What is negotiated differs.
        let settings: [&[(&str, &str, &str)]; 2] = [
            &[("tcp_ecn", "1", "2")],
            &[
                ("tcp_timestamps", "0", "1"),
                ("tcp_sack", "0", "1"),
                ("tcp_window_scaling", "0", "1"),
            ],
        ];
        for (number, settings) in (0..HOLDERS).zip(settings) {
            for (name, value, _) in settings {
                population.set(name, value);
            }
            let output = population.start(number);
            population.hear(output);
            for (name, _, usual) in settings {
                population.set(name, usual);
            }
        }
        let others: Vec<_> =
            (settings.len() as u8..HOLDERS).map(|number| population.start(number)).collect();
        for output in others {
            population.hear(output);
        }
        for missing in &population.missing {
            eprintln!("the population lacks {missing}");
        }
        population
    }

    /// Sets something of this network alone.
    fn set(&mut self, name: &str, value: &str) {
        if let Err(error) = std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value) {
            self.missing.insert(format!("connections with {name} {value}: {error}"));
        }
    }

    fn start(&mut self, number: u8) -> ChildStdout {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(VARIABLE, number.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = child.stdout.take().unwrap();
        self.holders.push((child, input));
        output
    }

    /// Waits until a process has made its share.
    fn hear(&mut self, output: ChildStdout) {
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            match line.split_once(' ') {
                Some(("state", rest)) => {
                    let (state, count) = rest.split_once(' ').unwrap();
                    *self.counts.entry(state.to_owned()).or_default() +=
                        count.parse::<usize>().unwrap();
                }
                Some(("port", port)) => self.ports.push(port.parse().unwrap()),
                Some(("multipath", count)) => self.multipath += count.parse::<usize>().unwrap(),
                Some(("missing", what)) => drop(self.missing.insert(what.to_owned())),
                _ if line == "ready" => return,
                _ => panic!("{line:?} of a process of the population"),
            }
        }
        panic!("a process of the population failed");
    }

    /// How many TCP sockets there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.values().sum()
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        for (child, input) in &mut self.holders {
            // Nothing is to be said at the end.
            let _ = (child.kill(), input.flush());
            let _ = child.wait();
        }
    }
}

/// Clients send data with the SYN and without a cookie, and servers take it.
const FAST_OPEN_WITHOUT_COOKIE: &str = "519";

/// What a process of the population does; nothing in any other. Call it before anything else.
pub(crate) fn hold_if_asked() -> Option<ExitCode> {
    let number = std::env::var(VARIABLE).ok()?.parse().ok()?;
    let mut holder = Holder::new(number);
    holder.make();
    holder.tell();
    // Until the other end is closed.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Some(ExitCode::SUCCESS)
}

/// One process, and what it made.
struct Holder {
    number: u8,
    counts: BTreeMap<&'static str, usize>,
    multipath: usize,
    ports: Vec<u16>,
    missing: BTreeSet<String>,
}

/// A socket that stays as long as the process.
type Kept = &'static Socket;

impl Holder {
    fn new(number: u8) -> Self {
        Self {
            number,
            counts: BTreeMap::new(),
            multipath: 0,
            ports: Vec::new(),
            missing: BTreeSet::new(),
        }
    }

    fn tell(&self) {
        let mut out = String::new();
        for (state, count) in &self.counts {
            out += &format!("state {state} {count}\n");
        }
        for port in &self.ports {
            out += &format!("port {port}\n");
        }
        for missing in &self.missing {
            out += &format!("missing {missing}\n");
        }
        out += &format!("multipath {}\nready\n", self.multipath);
        io::stdout().write_all(out.as_bytes()).unwrap();
        io::stdout().flush().unwrap();
    }

    fn make(&mut self) {
        self.established();
        self.with_queues();
        self.with_options();
        self.multipath();
        self.beginning();
        self.ending();
        self.troubled();
    }

    fn count(&mut self, states: &[&'static str]) {
        for state in states {
            *self.counts.entry(state).or_default() += 1;
        }
    }

    fn lack(&mut self, what: &str, why: &io::Error) {
        self.missing.insert(format!("{what}: {why}"));
    }

    /// An address that only this process uses.
    fn host(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.number + 1, 0, last)
    }

    /// Sockets of both protocols, and of the one that bears the other.
    fn places(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let four = SocketAddr::from((self.host(1), 0));
        let mut places = vec![(four, four)];
        if Socket::new(Domain::IPV6, Type::STREAM, None).is_ok() {
            let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
            let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
            let mapped = SocketAddr::from((self.host(2).to_ipv6_mapped(), 0));
            places.extend([(six, six), (all, (self.host(2), 0).into()), (all, mapped)]);
        }
        places
    }

    fn listener(&mut self, address: SocketAddr, backlog: i32) -> Kept {
        let socket = socket(address);
        socket.bind(&address.into()).unwrap();
        socket.listen(backlog).unwrap();
        self.count(&["LISTEN"]);
        self.ports.push(port(&socket));
        keep(socket)
    }

    /// Who connected to the listener, at this address, and who accepted.
    fn pair(&mut self, listener: &Socket, host: SocketAddr) -> (Socket, Socket) {
        let client = socket(host);
        self.connect(client, listener, host)
    }

    fn connect(
        &mut self,
        client: Socket,
        listener: &Socket,
        mut host: SocketAddr,
    ) -> (Socket, Socket) {
        host.set_port(port(listener));
        client.connect(&host.into()).unwrap();
        let (server, _) = listener.accept().unwrap();
        (client, server)
    }

    /// As [`pair`](Self::pair), for good.
    fn lasting(
        &mut self,
        listener: &Socket,
        host: SocketAddr,
        states: [&'static str; 2],
    ) -> (Kept, Kept) {
        let (client, server) = self.pair(listener, host);
        self.count(&states);
        (keep(client), keep(server))
    }

    fn established(&mut self) {
        let algorithms = algorithms();
        if !algorithms.iter().any(|name| name == "bbr") {
            self.missing.insert("the congestion control bbr".to_owned());
        }
        if self.places().len() == 1 {
            self.missing.insert("IPv6".to_owned());
        }
        for (place, (bound, host)) in self.places().into_iter().enumerate() {
            let listener = self.listener(bound, 16);
            let pairs = if place == 0 { 100 } else { 35 };
            for number in 0..pairs {
                let client = socket(host);
                if let Some(name) = algorithms.get(number % algorithms.len().max(1)) {
                    set(&client, libc::IPPROTO_TCP, TCP_CONGESTION, name.as_bytes()).unwrap();
                }
                let (client, server) = self.connect(client, listener, host);
                self.count(&TWO);
                self.ports.extend((number % 20 == 0).then(|| port(&client)));
                let (client, server) = (keep(client), keep(server));
                let (up, down) = (number * 997 % 20_011, number * 31 % 2_003);
                talk(client, server, up);
                talk(server, client, down);
                if number % 9 == 0 {
                    // Nobody reads it.
                    (&*client).write_all(&vec![3; number + 1]).unwrap();
                }
                self.adorn(client, number, host.is_ipv6());
            }
        }
    }

    /// Sets options that are told of.
    fn adorn(&mut self, client: &Socket, number: usize, is_six: bool) {
        let number = u32::try_from(number).unwrap();
        if number % 4 == 1 {
            if is_six {
                client.set_tclass_v6((number % 64) << 2).unwrap();
            } else {
                client.set_tos_v4((number % 64) << 2).unwrap();
            }
        }
        if number % 3 == 1
            && let Err(error) = client.set_mark(number % 5)
        {
            self.lack("marks", &error);
        }
        if number % 7 == 1 {
            let after = Duration::from_secs(u64::from(number) * 9 + 30);
            client.set_tcp_keepalive(&TcpKeepalive::new().with_time(after)).unwrap();
        }
        if number % 11 == 1 {
            let priority = (number % 6).to_ne_bytes();
            set(client, libc::SOL_SOCKET, libc::SO_PRIORITY, &priority).unwrap();
        }
        if number % 13 == 1 {
            let most = 1_000_000u32 * number;
            set(client, libc::SOL_SOCKET, SO_MAX_PACING_RATE, &most.to_ne_bytes()).unwrap();
        }
        if number % 17 == 1 && !is_six {
            client.set_freebind_v4(true).unwrap();
        }
    }

    /// Listeners of whose connections nobody has accepted some, or as many as they have room for.
    fn with_queues(&mut self) {
        for (bound, host) in self.places() {
            for (backlog, waiting) in [(0, 1), (1, 2), (4, 5), (9, 3), (30, 0), (30, 12)] {
                let listener = self.listener(bound, backlog);
                let mut there = host;
                there.set_port(port(listener));
                for _ in 0..waiting {
                    let client = socket(host);
                    client.connect(&there.into()).unwrap();
                    (&client).write_all(b"somebody there?").unwrap();
                    keep(client);
                    self.count(&TWO);
                }
                if waiting > backlog {
                    // The SYN is dropped.
                    self.begin(socket(host), there);
                    self.count(&["SYN-SENT"]);
                }
            }
        }
    }

    /// Connects without waiting for an answer.
    fn begin(&mut self, client: Socket, there: SocketAddr) -> Kept {
        client.set_nonblocking(true).unwrap();
        let error = client.connect(&there.into()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS), "{error}");
        keep(client)
    }

    fn with_options(&mut self) {
        // An address of one link.
        match link_local() {
            Ok(address) => {
                let listener = self.listener(address, 8);
                self.lasting(listener, address, TWO);
            }
            Err(error) => self.lack("addresses of a link", &error),
        }
        // Bound to an interface.
        let address = SocketAddr::from((self.host(3), 0));
        let listener = socket(address);
        match listener.bind_device(Some(b"lo")) {
            Ok(()) => {
                listener.bind(&address.into()).unwrap();
                listener.listen(4).unwrap();
                self.count(&["LISTEN"]);
                let listener = keep(listener);
                self.lasting(listener, address, TWO);
            }
            Err(error) => self.lack("bound interfaces", &error),
        }
        if self.places().len() > 1 {
            let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
            let socket = socket(address);
            socket.set_only_v6(true).unwrap();
            socket.bind(&address.into()).unwrap();
            socket.listen(4).unwrap();
            self.count(&["LISTEN"]);
            keep(socket);
        }
        // Signed segments.
        let address = SocketAddr::from((self.host(4), 0));
        let listener = self.listener(address, 4);
        let client = socket(address);
        client.bind(&address.into()).unwrap();
        let own = Peers { addr: self.host(4).into(), prefix_len: None };
        let key = b"the.key.of.nobody";
        match sign(listener, own, key).and_then(|()| sign(&client, own, key)) {
            Ok(()) => {
                let (client, server) = self.connect(client, listener, address);
                self.count(&TWO);
                talk(&client, &server, 500);
                keep(client);
                keep(server);
                self.signing_more(listener);
            }
            Err(error) => self.lack("signatures", &error),
        }
        let address = SocketAddr::from((self.host(5), 0));
        let listener = self.listener(address, 4);
        let (client, _) = self.lasting(listener, address, TWO);
        if let Err(error) = set(client, libc::IPPROTO_TCP, TCP_ULP, b"tls") {
            self.lack("TLS in the kernel", &error);
        }
    }

    /// Keys of networks, and of the other protocol.
    fn signing_more(&mut self, listener: &Socket) {
        let network = Peers { addr: self.host(0).into(), prefix_len: Some(24) };
        if let Err(error) = sign(listener, network, b"the.key.of.all") {
            self.lack("signatures of networks", &error);
        }
        if self.places().len() > 1 {
            let six = self.listener((Ipv6Addr::LOCALHOST, 0).into(), 4);
            let peer = Peers { addr: Ipv6Addr::LOCALHOST.into(), prefix_len: None };
            sign(six, peer, b"the.key.of.six").unwrap();
        }
    }

    fn multipath(&mut self) {
        let new = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(262)));
        let address = SocketAddr::from((self.host(6), 0));
        let listener = match new() {
            Ok(listener) => listener,
            Err(error) => return self.lack("Multipath TCP", &error),
        };
        listener.bind(&address.into()).unwrap();
        listener.listen(8).unwrap();
        self.count(&["LISTEN"]);
        self.multipath += 1;
        let listener = keep(listener);
        for number in 0..15 {
            let (client, server) = self.connect(new().unwrap(), listener, address);
            self.count(&TWO);
            self.multipath += 2;
            let (client, server) = (keep(client), keep(server));
            talk(client, server, number * 700);
            talk(server, client, number * 50);
            if number % 3 == 0 {
                (&*client).write_all(b"unread").unwrap();
            }
        }
    }

    /// Handshakes that are not over.
    fn beginning(&mut self) {
        for (bound, host) in self.places() {
            let listener = self.listener(bound, 128);
            let mut there = host;
            there.set_port(port(listener));
            for _ in 0..8 {
                let client = socket(host);
                deafen(&client);
                self.begin(client, there);
                self.count(&["SYN-SENT", "SYN-RECV"]);
            }
            // The listener waits for data before there is a connection.
            let deferring = self.listener(bound, 128);
            let seconds = 100u32.to_ne_bytes();
            set(deferring, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds).unwrap();
            there.set_port(port(deferring));
            for _ in 0..3 {
                let client = socket(host);
                client.connect(&there.into()).unwrap();
                keep(client);
                self.count(&["ESTAB", "SYN-RECV"]);
            }
        }
        self.fast_open();
        // Bound, and nothing else.
        for (_, mut host) in self.places() {
            for _ in 0..4 {
                host.set_port(0);
                let bound = socket(host);
                bound.bind(&host.into()).unwrap();
                self.ports.push(port(&bound));
                keep(bound);
                self.count(&["UNCONN"]);
            }
        }
    }

    /// Servers that have data before they know that there is somebody: full sockets in `SYN-RECV`.
    fn fast_open(&mut self) {
        let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen");
        if setting.is_ok_and(|text| text.trim() != FAST_OPEN_WITHOUT_COOKIE) {
            return;
        }
        let address = SocketAddr::from((self.host(7), 0));
        let listener = self.listener(address, 16);
        set(listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &16u32.to_ne_bytes()).unwrap();
        let there = listener.local_addr().unwrap();
        for _ in 0..4 {
            let client = socket(address);
            deafen(&client);
            client.set_nonblocking(true).unwrap();
            match client.send_to_with_flags(&[5; 200], &there, libc::MSG_FASTOPEN) {
                Ok(200) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
                other => panic!("{other:?}"),
            }
            keep(client);
            self.count(&["SYN-SENT", "SYN-RECV"]);
        }
    }

    fn ending(&mut self) {
        for (bound, host) in self.places() {
            let listener = self.listener(bound, 16);
            for number in 0..4 {
                let bytes = vec![7; number * 321];
                // The FIN is not heard: held, and by nobody.
                let (client, server) = self.lasting(listener, host, ["FIN-WAIT-1", "ESTAB"]);
                deafen(server);
                (&*client).write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let (client, server) = self.pair(listener, host);
                self.count(&["FIN-WAIT-1", "ESTAB"]);
                deafen(keep(server));
                (&client).write_all(&bytes).unwrap();
                drop(client);

                // It is answered with none: held, by nobody, and by nobody but kept whole.
                let (client, server) = self.lasting(listener, host, ["FIN-WAIT-2", "CLOSE-WAIT"]);
                (&*client).write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                reaches(server, State::CloseWait);
                reaches(client, State::FinWait2);
                for linger in [None, Some(110u32)] {
                    let (client, server) = self.pair(listener, host);
                    self.count(&["FIN-WAIT-2", "CLOSE-WAIT"]);
                    (&client).write_all(&bytes).unwrap();
                    if let Some(seconds) = linger {
                        let seconds = seconds.to_ne_bytes();
                        set(&client, libc::IPPROTO_TCP, libc::TCP_LINGER2, &seconds).unwrap();
                    }
                    drop(client);
                    reaches(keep(server), State::CloseWait);
                }

                // The second FIN is not heard: held, and by nobody.
                for is_held in [true, false] {
                    let (client, server) = self.pair(listener, host);
                    self.count(&["FIN-WAIT-2", "LAST-ACK"]);
                    client.shutdown(Shutdown::Write).unwrap();
                    reaches(&server, State::CloseWait);
                    reaches(&client, State::FinWait2);
                    deafen(keep(client));
                    if is_held {
                        (&server).write_all(&bytes).unwrap();
                        server.shutdown(Shutdown::Write).unwrap();
                        reaches(keep(server), State::LastAck);
                    }
                }

                // Both at the same time, of which one does not hear the other.
                let (client, server) = self.lasting(listener, host, ["CLOSING", "FIN-WAIT-1"]);
                deafen(server);
                client.shutdown(Shutdown::Write).unwrap();
                server.shutdown(Shutdown::Write).unwrap();
                reaches(client, State::Closing);
            }
            for number in 0..30 {
                let (client, server) = self.pair(listener, host);
                self.ports.extend((number == 7).then(|| port(&client)));
                drop(client);
                reaches(&server, State::CloseWait);
                drop(server);
                self.count(&["TIME-WAIT"]);
            }
            // Reset, with a port that was asked for and stays.
            let client = socket(host);
            let mut own = host;
            own.set_port(0);
            client.bind(&own.into()).unwrap();
            let own = client.local_addr().unwrap().as_socket().unwrap().port();
            drop(client);
            let client = socket(host);
            let mut bound = host;
            bound.set_port(own);
            if client.bind(&bound.into()).is_ok() {
                let (client, server) = self.connect(client, listener, host);
                talk(&client, &server, 4_000);
                server.set_linger(Some(Duration::ZERO)).unwrap();
                drop(server);
                reaches(keep(client), State::Close);
                self.count(&["UNCONN"]);
            }
        }
    }

    /// Bytes that are not read, not acknowledged, late, and sent in vain.
    fn troubled(&mut self) {
        let (mut deaf, mut late) = (Vec::new(), Vec::new());
        for (bound, host) in self.places() {
            let (listener, narrow) = (self.listener(bound, 16), self.listener(bound, 16));
            narrow.set_recv_buffer_size(10_000).unwrap();
            for number in 0..3 {
                // No room at the other end.
                let (client, _) = self.lasting(narrow, host, TWO);
                client.set_send_buffer_size(50_000).unwrap();
                client.set_nonblocking(true).unwrap();
                while (&*client).write(&[1; 65_536]).is_ok() {}

                // No answer.
                let (client, server) = self.lasting(listener, host, TWO);
                client.set_tcp_nodelay(true).unwrap();
                talk(client, server, 900);
                deafen(server);
                for _ in 0..=number {
                    (&*client).write_all(&[2; 700]).unwrap();
                }

                // What was lost comes after what was sent later.
                let (client, server) = self.lasting(listener, host, TWO);
                client.set_tcp_nodelay(true).unwrap();
                deafen(server);
                (&*client).write_all(&[3; 800]).unwrap();
                server.detach_filter().unwrap();
                for _ in 0..=number {
                    (&*client).write_all(&[4; 600]).unwrap();
                }
                late.push((server, 800 + 600 * (number + 1)));

                // What arrived is sent again, since its acknowledgement did not.
                let (client, server) = self.lasting(listener, host, TWO);
                deafen(client);
                (&*client).write_all(&[5; 400]).unwrap();
                deaf.push(client);
                late.push((server, 400));
            }
        }
        for client in deaf {
            until("a retransmission", || {
                linux(client).total_retrans().value().is_some_and(|segments| segments > 0)
            });
            client.detach_filter().unwrap();
        }
        for (server, len) in late {
            read(server, len);
        }
    }
}

const TWO: [&str; 2] = ["ESTAB", "ESTAB"];

fn keep(socket: Socket) -> Kept {
    Box::leak(Box::new(socket))
}

/// Of the protocol that the address is of.
fn socket(address: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap()
}

fn port(socket: &Socket) -> u16 {
    socket.local_addr().unwrap().as_socket().unwrap().port()
}

fn talk(mut from: &Socket, to: &Socket, len: usize) {
    from.write_all(&vec![9; len]).unwrap();
    read(to, len);
}

fn read(mut from: &Socket, len: usize) {
    from.read_exact(&mut vec![0; len]).unwrap();
}

/// Has the socket hear nothing any more.
fn deafen(socket: &Socket) {
    const RETURN_NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);
    SockRef::from(socket).attach_filter(&[RETURN_NOTHING]).unwrap();
}

/// Waits until the connection is in the state.
fn reaches(socket: &Socket, state: State) {
    until(state.name(), || linux(socket).state() == Reading::Value(state));
}

fn linux(socket: &Socket) -> tcpinfo::native::linux::LinuxTcpInfo {
    let Ok(Native::Linux(info)) = tcpinfo::read_native(socket) else { panic!("{socket:?}") };
    info
}

/// Waits far longer than it can take on a loaded machine.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What this user may choose from.
fn algorithms() -> Vec<String> {
    let allowed = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
    let text = std::fs::read_to_string(allowed).unwrap_or_default();
    let available = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let more = std::fs::read_to_string(available).unwrap_or_default();
    let names: BTreeSet<_> = text.split_whitespace().chain(more.split_whitespace()).collect();
    let is_allowed = |name: &str| {
        let probe = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        set(&probe, libc::IPPROTO_TCP, TCP_CONGESTION, name.as_bytes()).is_ok()
    };
    names.into_iter().filter(|name| is_allowed(name)).map(str::to_owned).collect()
}

// Not every C library has them.
const TCP_CONGESTION: i32 = 13;
const TCP_ULP: i32 = 31;
const TCP_MD5SIG: i32 = 14;
const TCP_MD5SIG_EXT: i32 = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
const SO_MAX_PACING_RATE: i32 = 47;

fn set(socket: &impl AsRawFd, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let len = value.len() as libc::socklen_t;
    // SAFETY: the value lives through the call and `len` is its length.
    checked(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), len)
    })
}

fn checked(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whose segments are signed: those of one, or of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peers {
    pub(crate) addr: IpAddr,
    pub(crate) prefix_len: Option<u8>,
}

/// Signs what is sent to the peers, and takes nothing from them that is not signed.
pub(crate) fn sign(socket: &impl AsRawFd, peers: Peers, key: &[u8]) -> io::Result<()> {
    // `struct tcp_md5sig`: 128 bytes of address, flags, length of the prefix, length of the key (16
    // bits), interface, 80 bytes of key.
    let mut signature = [0; 216];
    let (family, place, octets) = match peers.addr {
        IpAddr::V4(addr) => (libc::AF_INET, 4, addr.octets().to_vec()),
        IpAddr::V6(addr) => (libc::AF_INET6, 8, addr.octets().to_vec()),
    };
    signature[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    signature[place..][..octets.len()].copy_from_slice(&octets);
    if let Some(prefix_len) = peers.prefix_len {
        signature[128..130].copy_from_slice(&[TCP_MD5SIG_FLAG_PREFIX, prefix_len]);
    }
    signature[130..132].copy_from_slice(&(key.len() as u16).to_ne_bytes());
    signature[136..][..key.len()].copy_from_slice(key);
    let option = if peers.prefix_len.is_some() { TCP_MD5SIG_EXT } else { TCP_MD5SIG };
    set(socket, libc::IPPROTO_TCP, option, &signature)
}

/// Gives loopback an address of its link, if it has none, and says it.
pub(crate) fn link_local() -> io::Result<SocketAddr> {
    /// `struct in6_ifreq`.
    #[repr(C)]
    struct Request {
        address: [u8; 16],
        prefix_len: u32,
        index: i32,
    }
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    let request = Request { address: address.octets(), prefix_len: 64, index: LOOPBACK };
    let fd = socket.as_raw_fd();
    // SAFETY: the request reads one structure of this form, which lives through the call.
    match checked(unsafe { libc::ioctl(fd, libc::SIOCSIFADDR as _, &raw const request) }) {
        // Another process was first.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let at = |port| SocketAddr::from(SocketAddrV6::new(address, port, 0, LOOPBACK as u32));
    // It is of use a little later.
    let begun = Instant::now();
    while let Err(error) = socket.bind(&at(0).into()) {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(at(0))
}

/// The number of `lo` in every network.
const LOOPBACK: i32 = 1;
