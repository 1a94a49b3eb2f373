//! Tests that need something of the machine, and are reported as ignored where it is missing.
//!
//! Every field that `ss` shows too is compared on the same live socket: `ss` decodes what netlink
//! sends, with code we did not write. What needs a certain kernel is in [`kernel`].

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, ExitCode},
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use tcpinfo::{
    Congestion, CongestionInfo, Queues, Reading, SocketMemory, TcpInfo, TcpOption, cookie,
    fields::Value, native::Native, read_native,
};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel;

fn main() -> ExitCode {
    let has_ss = cfg!(target_os = "linux")
        && Command::new("ss").arg("-V").output().is_ok_and(|output| output.status.success());
    let tests: [(&str, Test); 5] = [
        ("fields_of_a_connection_equal_those_of_ss", connection_fields),
        ("options_and_congestion_control_equal_those_of_ss", options_and_congestion),
        ("queues_and_memory_equal_those_of_ss", queues_and_memory),
        ("the_cookie_equals_that_of_ss", socket_cookie),
        ("the_accept_queue_equals_that_of_ss", accept_queue),
    ];
    let trials = tests.map(|(name, test)| Trial::test(name, test).with_ignored_flag(!has_ss));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let trials = trials.into_iter().chain(kernel::trials());
    let trials = trials.into_iter().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type Test = fn() -> Result<(), Failed>;

/// A connection over loopback on which data has moved both ways and which is at rest again.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

const SENT: usize = 200_000;
const ANSWERED: usize = 777;

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| client.write_all(&vec![b'x'; SENT]).unwrap());
            server.read_exact(&mut vec![0; SENT]).unwrap();
        });
        server.write_all(&[b'y'; ANSWERED]).unwrap();
        client.read_exact(&mut [0; ANSWERED]).unwrap();
        Self { client, server }
    }
}

fn connection_fields() -> Result<(), Failed> {
    let pair = Pair::new();
    for stream in [&pair.client, &pair.server] {
        let (info, ss) = at_the_same_moment(stream)?;
        let mut compared = 0;
        for (name, text) in &ss.pairs {
            let Some(ours) = ours(&info, name) else {
                continue;
            };
            ours.compare(name, text)?;
            compared += 1;
        }
        if compared < 20 {
            return Err(format!("only {compared} fields were compared: {ss:?}").into());
        }
        // What ss leaves out because it is zero must be zero or have no value here.
        for (name, field) in ZERO_IF_OMITTED {
            let zero = matches!(
                info.field(field),
                Some(Reading::Value(Value::Unsigned(0) | Value::Duration(Duration::ZERO)))
                    | Some(Reading::Unset | Reading::Absent)
            );
            if !ss.pairs.contains_key(*name) && !zero {
                return Err(format!("ss omits {name}, we read {:?}", info.field(field)).into());
            }
        }
    }
    let bytes = |stream: &TcpStream| {
        let info = TcpInfo::read(stream).unwrap();
        (info.tx_bytes(), info.rx_bytes(), info.retransmitted_bytes())
    };
    // Payload as the program moved it, on both ends, less what the path made TCP repeat.
    let (tx, rx, again) = bytes(&pair.client);
    same("client sent", tx.map(|tx| tx - again.unwrap()), Some(SENT as u64))?;
    same("client received", rx, Some(ANSWERED as u64))?;
    let (tx, rx, again) = bytes(&pair.server);
    same("server sent", tx.map(|tx| tx - again.unwrap()), Some(ANSWERED as u64))?;
    same("server received", rx, Some(SENT as u64))
}

fn options_and_congestion() -> Result<(), Failed> {
    let pair = Pair::new();
    let (info, ss) = at_the_same_moment(&pair.client)?;
    let options = info.options().value().ok_or("no options")?;
    for (word, option) in [
        ("ts", TcpOption::Timestamps),
        ("sack", TcpOption::Sack),
        ("ecn", TcpOption::Ecn),
        ("ecnseen", TcpOption::EcnSeen),
        ("fastopen", TcpOption::SynData),
    ] {
        same(word, options.get(option), Some(ss.words.iter().any(|other| other == word)))?;
    }
    let congestion = Congestion::read(&pair.client)?;
    if !ss.words.iter().any(|word| word == congestion.name.as_str()) {
        return Err(format!("{} is not in {:?}", congestion.name, ss.words).into());
    }
    same("congestion", TcpInfo::read(&pair.client)?.congestion(), Some(congestion.name))?;
    if let Some(CongestionInfo::Bbr(bbr)) = congestion.info {
        let text = ss.pairs.get("bbr").ok_or("ss shows no bbr")?;
        let parts: BTreeMap<_, _> = text
            .trim_matches(['(', ')'])
            .split(',')
            .filter_map(|part| part.split_once(':'))
            .collect();
        let part = |name: &str| parts.get(name).copied().ok_or(format!("no {name} in {text}"));
        same("bw", format!("{}bps", bbr.bandwidth.unwrap() * 8).as_str(), part("bw")?)?;
        close("mrtt", bbr.min_rtt.unwrap().as_secs_f64() * 1e3, part("mrtt")?.parse()?)?;
        close("pacing_gain", bbr.pacing_gain.unwrap(), part("pacing_gain")?.parse()?)?;
        close("cwnd_gain", bbr.cwnd_gain.unwrap(), part("cwnd_gain")?.parse()?)?;
    }
    Ok(())
}

fn queues_and_memory() -> Result<(), Failed> {
    let mut pair = Pair::new();
    pair.client.write_all(&[b'z'; 4321])?;
    pair.server.peek(&mut [0; 1])?;
    for _ in 0..200 {
        let before = (Queues::read(&pair.server)?, SocketMemory::read(&pair.server)?);
        let ss = Ss::of("-tinmH", &pair.server)?;
        if before != (Queues::read(&pair.server)?, SocketMemory::read(&pair.server)?) {
            continue;
        }
        let (queues, memory) = before;
        same("Recv-Q", queues.unread_bytes, Some(u64::from(ss.queues.0)))?;
        same("Send-Q", queues.queued_bytes, Some(u64::from(ss.queues.1)))?;
        same("unread", queues.unread_bytes, Some(4321))?;
        let text = ss.pairs.get("skmem").ok_or("ss shows no skmem")?;
        let ours = [
            ("r", memory.rx_alloc_bytes),
            ("rb", memory.rx_buffer_bytes),
            ("t", memory.tx_alloc_bytes),
            ("tb", memory.tx_buffer_bytes),
            ("f", memory.forward_alloc_bytes),
            ("w", memory.tx_queued_bytes),
            ("o", memory.option_bytes),
            ("bl", memory.backlog_bytes),
            ("d", memory.dropped_packets),
        ]
        .map(|(name, bytes)| format!("{name}{}", bytes.unwrap_or_default()))
        .join(",");
        return same("skmem", ours.as_str(), text.trim_matches(['(', ')']));
    }
    Err("the socket never came to rest".into())
}

fn socket_cookie() -> Result<(), Failed> {
    let pair = Pair::new();
    let ss = Ss::of("-tinemH", &pair.client)?;
    let text = ss.pairs.get("sk").ok_or("ss shows no cookie")?;
    same("cookie", format!("{:x}", cookie(&pair.client)?).as_str(), text)
}

fn accept_queue() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let waiting = [(); 3].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let filter = format!("sport = :{}", listener.local_addr()?.port());
    let ss = Ss::ask("-tlinH", &filter)?;
    let info = TcpInfo::read(&listener)?;
    same("accept queue", info.accept_queue(), Some(u64::from(ss.queues.0)))?;
    same("waiting", info.accept_queue(), Some(waiting.len() as u64))?;
    same("accept queue limit", info.accept_queue_limit(), Some(u64::from(ss.queues.1)))?;
    let queues = Queues::read(&listener)?;
    same("queue of the listener", queues.accept_queue, info.accept_queue())?;
    same("its limit", queues.accept_queue_limit, info.accept_queue_limit())?;
    same("its data", (queues.unread_bytes, queues.queued_bytes), (None, None))
}

/// Reads a socket before and after `ss` until both are the same but for the ages, so that `ss` must
/// have seen the same.
fn at_the_same_moment(
    stream: &TcpStream,
) -> Result<(tcpinfo::native::linux::LinuxTcpInfo, Ss), Failed> {
    let settled = |info: &tcpinfo::native::linux::LinuxTcpInfo| {
        let ages = ["last_data_sent", "last_data_recv", "last_ack_recv"];
        info.fields().filter(|(field, _)| !ages.contains(&field.name)).collect::<Vec<_>>()
    };
    for _ in 0..200 {
        let Native::Linux(before) = read_native(stream)? else {
            continue;
        };
        let ss = Ss::of("-tinoH", stream)?;
        let Native::Linux(after) = read_native(stream)? else {
            continue;
        };
        if settled(&before) == settled(&after) {
            return Ok((after, ss));
        }
    }
    Err("the connection never came to rest".into())
}

/// What `ss` calls a field that we have under another name, and how it writes it.
enum Ours {
    Number(Reading<Value>),
    /// Milliseconds with decimals.
    Millis(Reading<Value>),
    /// Two times of that kind.
    TwoMillis(Reading<Value>, Reading<Value>),
    /// An age in milliseconds, which goes on while we ask.
    Age(Reading<Value>),
    /// A rate in bits a second.
    Rate(Reading<Value>),
    /// A time in milliseconds, perhaps with a share in brackets.
    WholeMillis(Reading<Value>),
    /// Two numbers.
    Two(Reading<Value>, Reading<Value>),
    /// Now and in total.
    Retrans(Reading<Value>, Reading<Value>),
}

const ZERO_IF_OMITTED: &[(&str, &str)] = &[
    ("bytes_retrans", "bytes_retrans"),
    ("backoff", "backoff"),
    ("unacked", "unacked"),
    ("retrans", "total_retrans"),
    ("lost", "lost"),
    ("sacked", "sacked"),
    ("dsack_dups", "dsack_dups"),
    ("reord_seen", "reord_seen"),
    ("rcv_ooopack", "rcv_ooopack"),
    ("notsent", "notsent_bytes"),
    ("delivered_ce", "delivered_ce"),
    ("rcv_rtt", "rcv_rtt"),
    ("ato", "ato"),
    ("rwnd_limited", "rwnd_limited"),
    ("sndbuf_limited", "sndbuf_limited"),
];

fn ours(info: &tcpinfo::native::linux::LinuxTcpInfo, name: &str) -> Option<Ours> {
    let field = |name: &str| info.field(name).unwrap();
    Some(match name {
        "wscale" => Ours::Two(field("snd_wscale"), field("rcv_wscale")),
        "rto" => Ours::Millis(field("rto")),
        "rtt" => Ours::TwoMillis(field("rtt"), field("rttvar")),
        "ato" => Ours::Millis(field("ato")),
        "minrtt" => Ours::Millis(field("min_rtt")),
        "rcv_rtt" => Ours::Millis(field("rcv_rtt")),
        "lastsnd" => Ours::Age(field("last_data_sent")),
        "lastrcv" => Ours::Age(field("last_data_recv")),
        "lastack" => Ours::Age(field("last_ack_recv")),
        "pacing_rate" => Ours::Rate(field("pacing_rate")),
        "delivery_rate" => Ours::Rate(field("delivery_rate")),
        "busy" => Ours::WholeMillis(field("busy_time")),
        "rwnd_limited" => Ours::WholeMillis(field("rwnd_limited")),
        "sndbuf_limited" => Ours::WholeMillis(field("sndbuf_limited")),
        "mss" => Ours::Number(field("snd_mss")),
        "rcvmss" => Ours::Number(field("rcv_mss")),
        "cwnd" => Ours::Number(field("snd_cwnd")),
        "ssthresh" => Ours::Number(field("snd_ssthresh")),
        "notsent" => Ours::Number(field("notsent_bytes")),
        "retrans" => Ours::Retrans(field("retrans"), field("total_retrans")),
        same => Ours::Number(info.field(same)?),
    })
}

impl Ours {
    fn compare(&self, name: &str, text: &str) -> Result<(), Failed> {
        let number = |reading: &Reading<Value>| match reading {
            Reading::Value(Value::Unsigned(number)) => Ok(*number as f64),
            Reading::Value(Value::Duration(time)) => Ok(time.as_secs_f64() * 1e3),
            other => Err(Failed::from(format!("ss shows {name}:{text}, we have {other:?}"))),
        };
        let pair = |separator: char| -> Result<(f64, f64), Failed> {
            let (a, b) = text.split_once(separator).ok_or(format!("{name}:{text}"))?;
            Ok((a.parse()?, b.parse()?))
        };
        match self {
            Self::Number(reading) | Self::Millis(reading) => {
                close(name, number(reading)?, text.parse()?)
            }
            Self::Age(reading) => {
                let (ours, theirs) = (number(reading)?, text.parse::<f64>()?);
                if (0.0..=10_000.0).contains(&(ours - theirs)) {
                    Ok(())
                } else {
                    Err(format!("{name}: ss shows {theirs} ms, a moment later we have {ours}")
                        .into())
                }
            }
            Self::Rate(reading) => {
                close(name, number(reading)? * 8.0, text.trim_end_matches("bps").parse()?)
            }
            Self::WholeMillis(reading) => {
                let millis = text.split("ms").next().unwrap_or_default();
                close(name, number(reading)?.floor(), millis.parse()?)
            }
            Self::TwoMillis(a, b) | Self::Retrans(a, b) => {
                let (left, right) = pair('/')?;
                close(name, number(a)?, left)?;
                close(name, number(b)?, right)
            }
            Self::Two(a, b) => {
                let (left, right) = pair(',')?;
                close(name, number(a)?, left)?;
                close(name, number(b)?, right)
            }
        }
    }
}

/// The output of `ss` for one socket.
#[derive(Debug)]
struct Ss {
    queues: (u32, u32),
    words: Vec<String>,
    pairs: BTreeMap<String, String>,
}

impl Ss {
    fn of(flags: &str, stream: &TcpStream) -> Result<Self, Failed> {
        let port = |address: std::io::Result<SocketAddr>| address.map(|address| address.port());
        let (local, remote) = (port(stream.local_addr())?, port(stream.peer_addr())?);
        Self::ask(flags, &format!("sport = :{local} and dport = :{remote}"))
    }

    fn ask(flags: &str, filter: &str) -> Result<Self, Failed> {
        let output = Command::new("ss").args([flags, filter]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut words = text.split_whitespace().map(str::to_owned).peekable();
        let _state = words.next();
        let mut queue = || words.next().and_then(|word| word.parse().ok()).ok_or(text.clone());
        let queues = (queue()?, queue()?);
        let (mut plain, mut pairs) = (Vec::new(), BTreeMap::new());
        while let Some(word) = words.next() {
            if let Some((name, value)) = word.split_once(':') {
                pairs.insert(name.to_owned(), value.to_owned());
            } else if ["pacing_rate", "delivery_rate", "send"].contains(&word.as_str()) {
                pairs.insert(word, words.next().unwrap_or_default());
            } else {
                plain.push(word);
            }
        }
        Ok(Self { queues, words: plain, pairs })
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), Failed> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?} is not {theirs:?}").into()) }
}

/// Equal to the six digits that `ss` writes.
fn close(what: &str, ours: f64, theirs: f64) -> Result<(), Failed> {
    if (ours - theirs).abs() <= theirs.abs() * 1e-5 {
        Ok(())
    } else {
        Err(format!("{what}: {ours} is not {theirs}").into())
    }
}
