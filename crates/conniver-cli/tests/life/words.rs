//! What is said, in which form, and when it ends.

use std::{
    fs::OpenOptions,
    net::TcpListener,
    time::{Duration, Instant},
};

use super::{
    network::connect,
    tool::{Life, check, command},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("nonsense_is_refused_and_named", nonsense),
    ("it_ends_when_it_is_told_to", ends),
    ("a_filter_chooses_by_addresses_and_last_facts", filter),
    ("columns_are_chosen_by_name", columns),
    ("a_reader_that_has_seen_enough_ends_it_quietly", unwanted),
    ("a_full_device_is_said", full),
    ("a_full_buffer_is_said", lost),
];

fn nonsense() {
    let cases: &[(&[&str], &str)] = &[
        (&["--columns", "nope"], "\"nope\""),
        (&["--format", "jsonl", "--columns", "rtt"], "--columns"),
        (&["--format", "jsonl", "-H"], "--no-header"),
        (&["--format", "csv", "--summary"], "summary"),
        (&["--netns", ""], "\"\""),
        (&["--user", "no such user"], "\"no such user\""),
        (&["--pid", "0x1"], "0x1"),
        (&["dport", "="], "dport"),
        (&["--refresh", "soon"], "soon"),
        (&["--duration=-1s"], "-1s"),
        (&["--count", "many"], "many"),
        (&["--port", "65536"], "65536"),
        (&["--summary=never"], "never"),
        (&["--format", "json"], "json"),
    ];
    for (arguments, named) in cases {
        let output = command(arguments).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{arguments:?}");
        assert!(complaint.contains(named), "{arguments:?}: {complaint}");
    }
    for (option, named) in [("--netns", "none-such"), ("--pid", "4194304")] {
        let output = command(&[option, named]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(named));
    }
}

fn ends() {
    let begun = Instant::now();
    let output = command(&["--duration", "300ms", "--summary=only"]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let sums = String::from_utf8(output.stdout).unwrap();
    assert!(sums.starts_with("connections    0 in "), "{sums}");
    assert!(sums.lines().all(|line| line == line.trim_end()), "{sums}");

    let output = command(&["--count", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));

    let mut life = Life::begin(&["--format", "jsonl", "--count", "1000000"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(connect(&listener));
    life.next_json();
    life.signal(libc::SIGINT);
    assert_eq!(life.finish().2.code(), Some(130));
}

fn filter() {
    let wanted = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = wanted.local_addr().unwrap().port();
    let expression = format!("( dport = :{port} and rtt > 0us ) or src 127.0.0.9");
    let mut life = Life::begin(&["--format", "jsonl", "-4", &expression]);
    for _ in 0..20 {
        drop(connect(&other));
        let (client, server) = connect(&wanted);
        let cookie = tcpinfo::cookie(&client).unwrap();
        drop((client, server));
        assert_eq!(life.next_json()["cookie"], cookie);
    }
    life.signal(libc::SIGTERM);
    life.finish();
}

fn columns() {
    let mut life = Life::begin(&["--columns", "reason,local,cookie", "-H"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, server) = connect(&listener);
    let cookie = tcpinfo::cookie(&client).unwrap();
    let local = client.local_addr().unwrap().to_string();
    drop((client, server));
    let line = loop {
        let line = life.next();
        if line.contains(&local) {
            break line;
        }
    };
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["local_close", &local, &format!("{cookie:#x}")]);
    life.signal(libc::SIGTERM);
    life.finish();
    let output = command(&["--columns", "help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.lines().count() > 100 && help.contains("reason") && help.contains("snd_cwnd"));
}

fn unwanted() {
    for life in [Life::begin(&["--format", "jsonl"]), Life::with_header(&[])] {
        let (complaint, status) = life.close();
        assert_eq!((&*complaint, status.code()), ("", Some(0)));
    }
}

fn full() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { return };
    for format in ["table", "csv"] {
        let mut command = command(&["--format", format]);
        let output = command.stdout(full.try_clone().unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            complaint,
            "conniver: cannot write to the standard output: No space left on device\n"
        );
    }
}

/// While it stands still, more ends than the kernel has room for.
fn lost() {
    let mut life = Life::begin(&["--format", "jsonl", "--summary", "--refresh", "0"]);
    life.signal(libc::SIGSTOP);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    const CONNECTIONS: u64 = 25_000;
    for _ in 0..CONNECTIONS {
        drop(connect(&listener));
    }
    // The kernel tells of ends when it finds time.
    std::thread::sleep(Duration::from_secs(4));
    life.signal(libc::SIGCONT);
    let (mut told, mut lost) = (0, 0);
    while told + lost < 2 * CONNECTIONS {
        let object = life.next_json();
        match object["lost"]["events"].as_u64() {
            Some(events) => lost += events,
            None => told += 1,
        }
    }
    assert!(lost > 0 && told > 0, "{told} told, {lost} lost");
    life.signal(libc::SIGINT);
    let (rest, complaint, status) = life.finish();
    assert_eq!(status.code(), Some(130));
    let sums = check(rest.lines().last().unwrap());
    assert_eq!(sums["summary"]["lost"], lost);
    assert!(complaint.contains("were lost") && complaint.contains("buffer"), "{complaint}");
}
