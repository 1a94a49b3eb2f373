//! What `ss` shows of the same connection: netlink's bytes, decoded by code that we did not write.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use sockdiag::{EntryBuf, TimerKind};
use tcpinfo::{Reading, fields::Value};

use super::scene::{Pair, Test, found, mapped_pair, needs, pair, until};

pub(crate) fn tests() -> Vec<Test> {
    let output = Command::new("ss").arg("-V").output();
    let possible = needs(output.is_ok_and(|output| output.status.success()), "ss is missing");
    vec![Test { name: "ss_shows_the_same", needs: possible, run: check }]
}

/// What `ss` calls a field of `tcp_info`, and what the kernel does; numbers, and times in milliseconds.
const FIELDS: &[(&str, &str)] = &[
    ("rto", "rto"),
    ("mss", "snd_mss"),
    ("rcvmss", "rcv_mss"),
    ("advmss", "advmss"),
    ("pmtu", "pmtu"),
    ("cwnd", "snd_cwnd"),
    ("bytes_sent", "bytes_sent"),
    ("bytes_acked", "bytes_acked"),
    ("bytes_received", "bytes_received"),
    ("segs_out", "segs_out"),
    ("segs_in", "segs_in"),
    ("data_segs_out", "data_segs_out"),
    ("data_segs_in", "data_segs_in"),
    ("delivered", "delivered"),
    ("minrtt", "min_rtt"),
    ("rcv_space", "rcv_space"),
    ("rcv_ssthresh", "rcv_ssthresh"),
    ("snd_wnd", "snd_wnd"),
];

fn check() {
    let mut pairs = vec![pair()];
    pairs.extend(mapped_pair());
    for Pair { mut client, mut server, .. } in pairs {
        let keepalive = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(90));
        socket2::SockRef::from(&client).set_tcp_keepalive(&keepalive).unwrap();
        client.write_all(&[1; 20_000]).unwrap();
        server.read_exact(&mut [0; 20_000 - 7]).unwrap();
        server.write_all(&[2; 300]).unwrap();
        for stream in [&client, &server] {
            let (buf, shown) = until("a moment in which nothing happens", || beside(stream));
            compare(&buf, &shown);
        }
    }
}

/// What `ss` shows between two answers that are alike.
fn beside(stream: &TcpStream) -> Option<(EntryBuf, Shown)> {
    let quiet = |buf: &EntryBuf| {
        let info = buf.entry().native_tcp_info().unwrap();
        let entry = buf.entry();
        let counts = (info.segs_in(), info.segs_out(), info.snd_cwnd(), info.rto(), info.rcv_mss());
        (counts, entry.rqueue(), entry.wqueue(), entry.memory(), entry.timer().map(|one| one.kind))
    };
    let before = found(stream);
    let shown = Shown::of(stream);
    let after = found(stream);
    (quiet(&before) == quiet(&after)).then_some((before, shown))
}

fn compare(buf: &EntryBuf, shown: &Shown) {
    let entry = buf.entry();
    assert_eq!(shown.words[0], "ESTAB");
    assert_eq!(shown.words[1], entry.rqueue().to_string());
    assert_eq!(shown.words[2], entry.wqueue().to_string());
    assert!(shown.words[3].ends_with(&format!(":{}", entry.local_addr().port())), "{shown:?}");
    assert!(shown.words[4].ends_with(&format!(":{}", entry.remote_addr().port())), "{shown:?}");
    assert_eq!(shown.pair("sk"), Some(&*format!("{:x}", entry.cookie())));
    assert_eq!(shown.pair("ino"), Some(&*entry.inode().unwrap().to_string()));
    // The superuser's number is left out.
    assert_eq!(shown.pair("uid").unwrap_or("0"), entry.uid().unwrap().to_string());
    if let Some(mark) = entry.mark().filter(|mark| *mark != 0) {
        assert_eq!(shown.pair("fwmark"), Some(&*format!("{mark:#x}")));
    }
    let name = entry.congestion_name().unwrap();
    assert!(shown.words.iter().any(|word| word == name.as_str()), "{name} in {shown:?}");

    let memory = entry.memory().unwrap();
    let numbers = [
        ("r", memory.rx_alloc_bytes),
        ("rb", memory.rx_buffer_bytes),
        ("t", memory.tx_alloc_bytes),
        ("tb", memory.tx_buffer_bytes),
        ("f", memory.forward_alloc_bytes),
        ("w", memory.tx_queued_bytes),
        ("o", memory.option_bytes),
        ("bl", memory.backlog_bytes),
        ("d", memory.dropped_packets),
    ];
    let listed: Vec<_> =
        numbers.iter().filter_map(|(name, number)| Some(format!("{name}{}", (*number)?))).collect();
    assert_eq!(shown.pair("skmem"), Some(&*format!("({})", listed.join(","))));

    let timer = entry.timer().filter(|timer| timer.kind == TimerKind::Keepalive);
    let theirs = shown.pair("timer");
    assert_eq!(timer.is_some(), theirs.is_some_and(|text| text.starts_with("(keepalive,")));
    if let Some((timer, text)) = timer.zip(theirs) {
        assert!(text.ends_with(&format!(",{})", timer.count)), "{timer:?}, {text}");
        // Minutes and seconds, such as `1min29sec`.
        assert!(text.contains("1min") || text.contains("sec"), "{text}");
    }

    let info = entry.native_tcp_info().unwrap();
    for (theirs, name) in FIELDS {
        let Some(text) = shown.pair(theirs) else { continue };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let theirs: f64 = text[..end].parse().unwrap();
        let ours = match info.field(name) {
            Some(Reading::Value(Value::Unsigned(number))) => number as f64,
            Some(Reading::Value(Value::Duration(time))) => time.as_secs_f64() * 1e3,
            other => panic!("{name} is {other:?}, {shown:?}"),
        };
        // Six digits are shown.
        assert!((ours - theirs).abs() <= theirs.abs() * 1e-5, "{name}: {ours}, {shown:?}");
    }
    assert!(shown.pair("bytes_sent").is_some() || shown.pair("bytes_received").is_some());
}

#[derive(Debug)]
struct Shown {
    words: Vec<String>,
    pairs: BTreeMap<String, String>,
}

impl Shown {
    fn of(stream: &TcpStream) -> Self {
        let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port();
        let (sport, dport) = (port(stream.local_addr()), port(stream.peer_addr()));
        let filter = format!("sport = :{sport} and dport = :{dport}");
        let output = Command::new("ss").args(["-tniemoOH", &filter]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let cookie = format!("sk:{:x}", tcpinfo::cookie(stream).unwrap());
        let line = text
            .lines()
            .find(|line| line.split_whitespace().any(|word| word == cookie))
            .unwrap_or_else(|| panic!("{cookie} is not in {text}"));
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let pairs = words
            .iter()
            .skip(5)
            .filter_map(|word| word.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { words, pairs }
    }

    fn pair(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }
}
