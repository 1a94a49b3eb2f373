use proptest::prelude::*;
use tcpinfo::State;

use super::*;

mod kernel;

/// Some names, wherever this runs.
struct Named;

impl FilterNames for Named {
    fn service(&self, name: &str) -> Option<u16> {
        match name {
            "http" => Some(80),
            "https" => Some(443),
            "ssh" => Some(22),
            _ => None,
        }
    }

    fn interface(&self, name: &str) -> Option<u32> {
        match name {
            "lo" => Some(1),
            "eth0" => Some(2),
            _ => None,
        }
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        (path == "/a b(c)").then_some(77)
    }
}

fn read(text: &str) -> Filter {
    Filter::parse(text, &Named).unwrap_or_else(|error| panic!("{error}"))
}

impl Filter {
    fn try_compile(&self) -> Result<compile::Compiled, &'static str> {
        compile::compile(self)
    }
}

#[test]
fn what_ss_reads_is_read() {
    for (text, shown) in [
        ("", "src = *"),
        ("  \t ", "src = *"),
        ("sport = :80", "sport = :80"),
        ("sport :http", "sport = :80"),
        ("sport http", "sport = :80"),
        ("sport == :0x50", "sport = :80"),
        ("dport eq :0120", "dport = :80"),
        ("dport ne inet:22", "family = inet and dport != :22"),
        ("dport neq inet6::22", "family = inet6 and dport != :22"),
        ("sport geq :1024 sport leq :2048", "sport >= :1024 and sport <= :2048"),
        (
            "sport ge 1 sport le 2 sport gt 3 sport lt 4",
            "sport >= :1 and sport <= :2 and sport > :3 and sport < :4",
        ),
        ("sport>=:1&&sport<:9", "sport >= :1 and sport < :9"),
        ("sport = :*", "src = *"),
        ("sport != *", "not src = *"),
        ("src 127.0.0.1", "src = 127.0.0.1"),
        ("src = 127.0.0.1:443", "src = 127.0.0.1 and sport = :443"),
        ("dst 10/8", "dst = 10.0.0.0/8"),
        ("dst 10.1/16:https", "dst = 10.1.0.0/16 and dport = :443"),
        ("dst 10.1.2.3/255.255.0.0", "dst = 10.1.0.0/16"),
        ("dst 193.233.7/24", "dst = 193.233.7.0/24"),
        ("dst [::1]:80", "dst = [::1] and dport = :80"),
        ("dst inet6:[::1]:80", "family = inet6 and dst = [::1] and dport = :80"),
        ("dst [2001:db8::/32]", "dst = [2001:db8::/32]"),
        ("dst [2001:db8::]/32:80", "dst = [2001:db8::/32] and dport = :80"),
        ("dst fe80::/10", "dst = [fe80::/10]"),
        ("dst fe80::/10:22", "dst = [fe80::/10] and dport = :22"),
        ("dst ::1", "dst = [::1]"),
        ("dst [::ffff:10.0.0.1]", "dst = [::ffff:10.0.0.1]"),
        ("src *", "src = *"),
        ("src *:22", "sport = :22"),
        ("src :22", "sport = :22"),
        ("src inet:*", "family = inet"),
        ("src any or dst default:22", "src = * or dport = :22"),
        ("src inet:1.1.1.1 or dst inet6:[::2]", "src = 1.1.1.1 or dst = [::2]"),
        ("src 0/0", "src = 0.0.0.0/0"),
        ("dev lo", "dev = 1"),
        ("dev != eth0", "not dev = 2"),
        ("dev 7", "dev = 7"),
        ("dev if7", "dev = 7"),
        ("fwmark 5", "fwmark = 0x5"),
        ("fwmark != 0x01/0x03", "not fwmark = 0x1/0x3"),
        (r"cgroup = /a\ b\(c\)", "cgroup_id = 77"),
        ("autobound", "autobound"),
        ("state established", "state established"),
        ("state Established exclude established", "exclude all"),
        (
            "state all exclude time-wait exclude close",
            "state established state syn_sent state syn_recv state fin_wait1 state fin_wait2 state close_wait state last_ack state listen state closing state new_syn_recv state bound_inactive",
        ),
        ("excl big", "state syn_recv state time_wait state new_syn_recv"),
        (
            "state fin-wait-1 state fin-wait-2 sport = :1",
            "state fin_wait1 state fin_wait2 and sport = :1",
        ),
        ("not sport = :1", "not sport = :1"),
        ("! ! sport = :1", "sport = :1"),
        ("sport = :1 sport = :2 and sport = :3", "sport = :1 and sport = :2 and sport = :3"),
        (
            "sport = :1 or sport = :2 | sport = :3 || sport = :4",
            "sport = :1 or sport = :2 or sport = :3 or sport = :4",
        ),
        // From the left, one as strong as the other.
        ("sport = :1 or sport = :2 and sport = :3", "( sport = :1 or sport = :2 ) and sport = :3"),
        ("sport = :1 sport = :2 or sport = :3", "( sport = :1 and sport = :2 ) or sport = :3"),
        (
            "sport = :1 or (sport = :2 and sport = :3)",
            "sport = :1 or ( sport = :2 and sport = :3 )",
        ),
        ("not sport = :1 or sport = :2", "not sport = :1 or sport = :2"),
        ("not(sport = :1 or sport = :2)", "not ( sport = :1 or sport = :2 )"),
        ("(((autobound)))", "autobound"),
    ] {
        let filter = read(text);
        assert_eq!(filter.to_string(), shown, "{text:?}");
        assert_eq!(read(shown), filter, "{text:?}");
    }
}

/// `ss` prints these, and reads none of them.
#[test]
fn what_ss_prints_of_an_interface_is_read() {
    for (text, shown) in [
        ("src [fe80::1]%lo:22", "src = [fe80::1] and sport = :22 and dev = 1"),
        ("src [fe80::1%lo]:22", "src = [fe80::1] and sport = :22 and dev = 1"),
        ("src [fe80::1%1]:22", "src = [fe80::1] and sport = :22 and dev = 1"),
        ("src [fe80::1]%if7:22", "src = [fe80::1] and sport = :22 and dev = 7"),
        ("src [fe80::1]%eth0", "src = [fe80::1] and dev = 2"),
        ("src fe80::1%eth0", "src = [fe80::1] and dev = 2"),
        ("src fe80::%eth0/64", "src = [fe80::/64] and dev = 2"),
        ("src [fe80::%eth0/64]:ssh", "src = [fe80::/64] and sport = :22 and dev = 2"),
        ("dst 127.0.0.1%lo", "dst = 127.0.0.1 and dev = 1"),
        ("dst != 127.0.0.1%lo:80", "not ( dst = 127.0.0.1 and dport = :80 and dev = 1 )"),
        ("src 127/8%lo:80", "src = 127.0.0.0/8 and sport = :80 and dev = 1"),
        ("src 127%lo/8:80", "src = 127.0.0.0/8 and sport = :80 and dev = 1"),
        ("src inet:0.0.0.0%eth0:*", "family = inet and src = 0.0.0.0 and dev = 2"),
        ("src *%lo:80", "sport = :80 and dev = 1"),
        ("src *%lo", "dev = 1"),
        ("src [::]%lo:80", "src = [::] and sport = :80 and dev = 1"),
        ("src [::ffff:10.0.0.1]%lo:80", "src = [::ffff:10.0.0.1] and sport = :80 and dev = 1"),
    ] {
        let filter = read(text);
        assert_eq!(filter.to_string(), shown, "{text:?}");
        assert_eq!(read(shown), filter, "{text:?}");
    }
}

#[test]
fn what_the_kernel_tells_can_be_asked_for() {
    for (text, shown) in [
        ("rtt > 100ms", "rtt > 100ms"),
        ("rtt>1.5s", "rtt > 1500ms"),
        ("min_rtt < 0.25ms", "minrtt < 250us"),
        ("retrans > 0", "retrans > 0"),
        ("snd_cwnd lt 10", "cwnd < 10"),
        ("rqueue > 1M", "rqueue > 1M"),
        ("recvq >= 64Ki", "rqueue >= 65536"),
        ("uid 1000", "uid = 1000"),
        ("uid != 0", "uid != 0"),
        ("cookie = 0x1e93", "cookie = 7827"),
        ("cookie = sk:1e93", "cookie = 7827"),
        ("cc = bbr", "cc = bbr"),
        (r"cc != \=x\ y", r"cc != \=x\ y"),
        ("cc dctcp-reno", r"cc = dctcp\-reno"),
        ("delivery_rate < 10Mbps", "delivery_rate < 10Mbps"),
        ("pacing_rate = 1kB/s", "pacing_rate = 8kbps"),
        ("app_limited yes", "app_limited = yes"),
        ("lastrcv > 2min", "lastrcv > 2min"),
        ("timer keepalive", "timer = keepalive"),
        ("cgroup_id != 5", "not cgroup_id = 5"),
        ("cgroup_id > 5", "cgroup_id > 5"),
        ("family inet6", "family = inet6"),
    ] {
        let filter = read(text);
        assert_eq!(filter.to_string(), shown, "{text:?}");
        assert_eq!(read(shown), filter, "{text:?}");
    }
}

#[test]
fn an_error_points_at_the_place_and_says_what_was_expected() {
    for (text, place, expected) in [
        ("sport = :nosuch", ":nosuch", "name of a TCP service"),
        ("sport = :70000", ":70000", "65535"),
        ("sport = -1", "-1", "a port"),
        ("sport >= :*", ":*", "compare"),
        ("sport = ", "", "a port"),
        ("sport = )", ")", "a port"),
        ("dport = 127.0.0.1:80", "127.0.0.1:80", "a port"),
        ("src localhost", "localhost", "not looked up"),
        ("src 300.1.1.1", "300.1.1.1", "address"),
        ("src 10/33", "10/33", "address"),
        ("src 1.2.3.4.5", "1.2.3.4.5", "address"),
        ("src 10.0.0.0/255.0.255.0", "10.0.0.0/255.0.255.0", "address"),
        ("src [::1", "[::1", "']'"),
        ("src 1::2:80", "1::2:80", "brackets"),
        ("src inet6:10.0.0.1", "inet6:10.0.0.1", "IPv6"),
        ("src inet:[::1]", "inet:[::1]", "IPv4"),
        ("src unix:/tmp/x", "unix:/tmp/x", "TCP"),
        ("src > 10.0.0.1", ">", "= or !="),
        ("dev nosuch", "nosuch", "interface"),
        ("dev if", "if", "interface"),
        ("src 127.0.0.1%nosuch:80", "127.0.0.1%nosuch:80", "interface"),
        ("src [fe80::1]%:80", "[fe80::1]%:80", "interface"),
        ("src [fe80::1%lo]%lo:80", "[fe80::1%lo]%lo:80", "expected"),
        ("cc \\", "\\", "behind the backslash"),
        ("cc = b\\", "\\", "behind the backslash"),
        ("src 1%2%3", "1%2%3", "interface"),
        ("fwmark x", "x", "mark"),
        ("cgroup /nowhere", "/nowhere", "cgroup"),
        ("state opened", "opened", "state"),
        ("state", "", "state"),
        ("family x", "x", "inet"),
        ("rtt > 100", "100", "unit"),
        ("cc > bbr", ">", "= or !="),
        ("uid = root", "root", "number"),
        ("uid = sk:5", "sk:5", "number"),
        ("cookie = 1e93", "1e93", "0x"),
        ("cookie = sk:", "sk:", "number"),
        ("cookie = sk:1x", "sk:1x", "number"),
        ("cookie = 0x1ffffffffffffffff", "0x1ffffffffffffffff", "64 bits"),
        ("cookie = sk:1ffffffffffffffff", "sk:1ffffffffffffffff", "64 bits"),
        ("cookie = 18446744073709551616", "18446744073709551616", "64 bits"),
        ("cgroup_id = 18446744073709551616", "18446744073709551616", "64 bits"),
        ("(sport = :1", "(", "')'"),
        ("sport = :1)", ")", "end"),
        ("sport = :1 or", "", "a condition"),
        ("and sport = :1", "and", "a condition"),
        ("not", "", "a condition"),
        ("sport = :1 or sprot = :2", "sprot", "did you mean 'sport'"),
        ("retarns > 5", "retarns", "did you mean 'retrans'"),
        ("xyzzy", "xyzzy", "such as"),
        ("foo", "foo", "such as"),
        ("sport = :1 \u{1b}[31m", "\u{1b}[31m", "a condition"),
    ] {
        let error = Filter::parse(text, &Named).unwrap_err();
        assert_eq!(&error.text()[error.place()], place, "{text:?}: {error}");
        assert!(error.expected().contains(expected), "{text:?}: {error}");
        let shown = error.to_string();
        assert!(shown.lines().count() == 3 && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn the_place_is_shown_in_a_long_text_and_below_other_alphabets() {
    let text = format!(
        "{} or cc = ä{} x",
        "sport = :1 or ".repeat(50).trim_end_matches(" or "),
        "ö".repeat(3)
    );
    let error = Filter::parse(&text, &Named).unwrap_err();
    let shown = error.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].chars().count() <= 72, "{shown}");
    let column = lines[2].chars().position(|char| char == '^').unwrap();
    assert_eq!(lines[1].chars().nth(column), Some('x'), "{shown}");
}

#[test]
fn a_hostile_text_is_refused_before_it_costs_anything() {
    for text in [
        "(".repeat(10_000),
        "not ".repeat(1_000),
        "!(".repeat(5_000),
        "autobound ".repeat(1_025),
        "sport = :1 or sport = :2 and ".repeat(100),
        "x".repeat(20_000),
    ] {
        assert!(Filter::parse(&text, &Named).is_err(), "{}", &text[..20]);
    }
    let longest = "autobound ".repeat(1_024);
    assert!(read(&longest).try_compile().unwrap().bytecode.is_some());
    read(&"not ".repeat(60).add("autobound"));
}

trait Add {
    fn add(self, more: &str) -> String;
}

impl Add for String {
    fn add(mut self, more: &str) -> String {
        self.push_str(more);
        self
    }
}

#[test]
fn states_families_and_ports_are_chosen_before_the_program_runs() {
    let compiled = |text: &str| read(text).try_compile().unwrap();
    let both = compiled("state established state close-wait dport = :443 family inet");
    assert_eq!(both.states.to_string(), "ESTABLISHED,CLOSE_WAIT");
    assert_eq!((both.local_port, both.remote_port), (0, 443));
    assert!(both.excludes_v6 && !both.excludes_v4 && both.rest.is_none());
    assert_eq!(compiled("state listening or sport = :80").states, States::ALL);
    assert_eq!(
        compiled("( state listening or state established ) rtt > 1ms").states.to_string(),
        "ESTABLISHED,LISTEN"
    );
    assert_eq!(compiled("not state listening").states, States::ALL.without(State::Listen.into()));
    assert!(compiled("state established state listening").bytecode.is_none());
    assert!(compiled("state established and state listening").states.is_empty());
    assert_eq!(compiled("").bytecode, None);
    assert_eq!(compiled("not src = *").bytecode.unwrap().len(), 4);
    // What is left is only what the kernel does not do.
    let left = |text: &str| compiled(text).rest.map(|rest| rest.to_string());
    assert_eq!(left("sport = :1 rtt > 1ms"), Some("rtt > 1ms".into()));
    assert_eq!(
        left("sport = :1 and not ( rtt > 1ms or dport = :2 )"),
        Some("not rtt > 1ms".into())
    );
    assert_eq!(left("sport = :1 or rtt > 1ms"), Some("sport = :1 or rtt > 1ms".into()));
}

#[test]
fn what_only_the_kernel_knows_is_never_left_to_guess() {
    assert!(read("autobound or rtt > 1ms").try_compile().is_err());
    assert!(read("autobound rtt > 1ms").try_compile().is_ok());
    // Marks are asked for in any case, so that the kernel refuses who would not be told.
    let mixed = read("fwmark = 1 or rtt > 1ms").try_compile().unwrap();
    let program = mixed.bytecode.unwrap();
    assert_eq!(kernel::audit(&program, true), Ok(()));
    assert_eq!(kernel::audit(&program, false), Err("EPERM".into()));
    assert!(mixed.rest.is_some());
}

#[test]
fn a_program_that_is_too_long_is_left_to_the_entries() {
    let mut filter = Filter::nothing();
    for port in 1..6000 {
        filter = filter.or(Filter::local_port(port));
    }
    let compiled = filter.try_compile().unwrap();
    assert_eq!((compiled.bytecode, compiled.rest), (None, Some(filter)));
}

/// A socket, and how the kernel tells of it.
#[derive(Debug, Clone)]
struct Told {
    socket: kernel::Socket,
    /// As a list is asked for it; what is told is less.
    state: u8,
    is_mini: bool,
    rtt: Option<u32>,
}

impl Told {
    fn bytes(&self) -> Vec<u8> {
        let Self { socket, state, is_mini, rtt } = self;
        let mut head = [0; 72];
        head[0] = if socket.is_v6 { 10 } else { 2 };
        head[1] = match state {
            12 => 3,
            13 => 7,
            other => *other,
        };
        head[2] = if *is_mini && *state != 12 { 3 } else { 0 };
        head[4..6].copy_from_slice(&socket.sport.to_be_bytes());
        head[6..8].copy_from_slice(&socket.dport.to_be_bytes());
        let len = if socket.is_v6 { 16 } else { 4 };
        head[8..8 + len].copy_from_slice(&socket.source[..len]);
        head[24..24 + len].copy_from_slice(&socket.destination[..len]);
        head[40..44].copy_from_slice(&socket.interface.to_ne_bytes());
        let mut bytes = head.to_vec();
        let mut attribute = |number: u16, payload: &[u8]| {
            bytes.extend((4 + payload.len() as u16).to_ne_bytes());
            bytes.extend(number.to_ne_bytes());
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        };
        attribute(15, &socket.mark.to_ne_bytes());
        if !is_mini {
            attribute(8, &[0]);
            attribute(21, &socket.cgroup.to_ne_bytes());
            if let Some(rtt) = rtt {
                let mut info = [0; 104];
                info[0] = head[1];
                info[68..72].copy_from_slice(&rtt.to_ne_bytes());
                attribute(2, &info);
            }
        }
        bytes
    }

    /// Whether a list in these states has it.
    fn is_in(&self, states: States) -> bool {
        let mut bits = states.bits();
        if bits & 1 << 3 != 0 {
            bits |= 1 << 12;
        }
        bits & 1 << self.state != 0
    }
}

fn told() -> impl Strategy<Value = Told> {
    let address = prop_oneof![
        Just([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Just([10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Just([0; 16]),
        Just([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]),
        Just([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        Just([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    let port = || prop_oneof![0..4u16, Just(80u16), Just(65535u16)];
    let facts = (0..3u32, 0..4u32, 0..3u64, prop::option::of(0..4u32));
    (any::<bool>(), address.clone(), address, port(), port(), facts, 1..14u8, any::<bool>())
        .prop_map(|(is_v6, mut source, mut destination, sport, dport, facts, state, small)| {
            if !is_v6 {
                source[4..].fill(0);
                destination[4..].fill(0);
            }
            let is_mini = matches!(state, 6 | 12) || state == 5 && small;
            let (interface, mark, cgroup, rtt) = facts;
            let cgroup = if is_mini { 0 } else { cgroup };
            let socket = kernel::Socket {
                is_v6,
                source,
                destination,
                sport,
                dport,
                interface,
                mark,
                cgroup,
                is_autobound: small,
            };
            Told { socket, state, is_mini, rtt }
        })
}

/// A text of the language, without what the kernel alone knows.
fn text() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["=", "!=", ">", "<", ">=", "<="]);
    let address = prop::sample::select(vec![
        "127.0.0.1",
        "127/8",
        "10.1.2/24",
        "0.0.0.0",
        "0/0",
        "[::]",
        "[::/0]",
        "[::1]:80",
        "*:2",
        "[::ffff:10.1.2.3]",
        "[2001:db8::/32]",
        "10.1.2.3:80",
        "*",
    ]);
    let leaf = prop_oneof![
        (prop::sample::select(vec!["src", "dst"]), address)
            .prop_map(|(side, address)| format!("{side} {address}")),
        (
            prop::sample::select(vec!["sport", "dport"]),
            operator.clone(),
            prop_oneof![0..4u16, Just(80), Just(65535)]
        )
            .prop_map(|(side, operator, port)| format!("{side} {operator} :{port}")),
        (0..3u32).prop_map(|index| format!("dev = {index}")),
        (0..4u32, 0..4u32).prop_map(|(mark, mask)| format!("fwmark = {mark}/{mask}")),
        (0..3u32).prop_map(|id| format!("cgroup_id = {id}")),
        prop::sample::select(vec!["family inet", "family inet6"]).prop_map(str::to_owned),
        (operator, 0..4u32).prop_map(|(operator, rtt)| format!("rtt {operator} {rtt}us")),
        prop::sample::select(vec![
            "state established",
            "state listening",
            "state closed",
            "state syn-recv",
            "state new-syn-recv",
            "state bound-inactive",
            "state time-wait",
            "exclude syn-recv",
            "exclude new-syn-recv",
            "exclude close",
            "state bucket",
            "state big state listening",
            "state connected",
            "exclude all",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec![" and ", " or ", " "]), inner.clone())
                .prop_map(|(one, join, other)| format!("( {one}{join}{other} )")),
            (inner.clone(), prop::sample::select(vec![" & ", " | "]), inner.clone())
                .prop_map(|(one, join, other)| format!("{one}{join}{other}")),
            inner.prop_map(|inner| format!("not ( {inner} )")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 16 } else { 1_000 }, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_and_the_rest_select_what_matches(
        text in text(),
        told in prop::collection::vec(told(), 1..40),
    ) {
        let filter = read(&text);
        prop_assert_eq!(&read(&filter.to_string()), &filter, "{}", filter);
        let compiled = filter.try_compile().unwrap();
        if let Some(program) = &compiled.bytecode {
            prop_assert_eq!(kernel::audit(program, true), Ok(()));
        }
        for told in told {
            let bytes = told.bytes();
            let entry = Entry::from_bytes(&bytes).unwrap();
            prop_assert_eq!(entry.is_mini(), told.is_mini);
            let excluded = if told.socket.is_v6 { compiled.excludes_v6 } else { compiled.excludes_v4 };
            let is_asked_for = |own: u16, wanted: u16| wanted == 0 || wanted == own;
            let is_told = told.is_in(compiled.states)
                && !excluded
                && is_asked_for(told.socket.sport, compiled.local_port)
                && is_asked_for(told.socket.dport, compiled.remote_port)
                && compiled.bytecode.as_ref().is_none_or(|code| kernel::run(code, &told.socket));
            let is_selected =
                is_told && compiled.rest.as_ref().is_none_or(|rest| rest.matches(&entry));
            prop_assert_eq!(is_selected, filter.matches(&entry), "{} of {:?}", filter, told);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ a-z0-9=!<>:/.*%()\\[\\]&|\\\\µ]{0,60}") {
        if let Ok(filter) = Filter::parse(&text, &Named) {
            prop_assert_eq!(read(&filter.to_string()), filter);
        }
    }
}

#[test]
fn what_is_not_told_matches_neither_a_comparison_nor_its_opposite() {
    let mut head = [0; 72];
    head[0] = 2;
    head[1] = 10;
    let listener = Entry::from_bytes(&head).unwrap();
    for text in
        ["rtt > 1ms", "not rtt > 1ms", "rtt <= 1ms", "fwmark = 0", "fwmark != 0", "cc != bbr"]
    {
        assert!(!read(text).matches(&listener), "{text}");
    }
    for text in [
        "state listening",
        "rtt > 1ms or state listening",
        "not ( rtt > 1ms and state established )",
    ] {
        assert!(read(text).matches(&listener), "{text}");
    }
}
