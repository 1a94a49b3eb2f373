//! Phases beside clocks that are not the command's: those of whoever it waits for, and of a tracer.
//!
//! The command may be off by 1 ms or 2 %. Each clock belongs to another process, and is read at
//! another event than those that the command sees:
//!
//! - connect: whoever carries the packets reads it when the SYN leaves the client's kernel, and when
//!   the answer is handed to it.
//! - dns: the resolver reads it when the first question is there, and before the last answer goes.
//! - send: a tracer reads it when the kernel is handed the first and the last piece of the request;
//!   and a server that does not read for a while, when it begins and when it has all. The last
//!   piece was handed over between the two, because it had no room before.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket},
    path::Path as FilePath,
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Test,
    once::{is_right_once, once, succeeds},
    paths::{
        CLEAR, body, outside, ran,
        relay::{Path, Weather},
        works,
    },
    server,
    tool::{check, command, hop},
};

pub(crate) fn trials() -> Vec<Test> {
    let relay = works("relay");
    let resolver = works("resolver");
    let tracer = relay && works("tracer");
    vec![
        ("a_connect_takes_what_the_path_says", relay, || outside("connect")),
        ("a_longer_connect_takes_what_the_path_says", relay, || outside("connect_longer")),
        ("a_lookup_takes_what_the_resolver_says", resolver, || outside("dns_ipv4")),
        ("a_lookup_waits_for_both_families", resolver, || outside("dns_ipv6")),
        ("a_send_takes_what_a_tracer_says", tracer, || outside("send")),
        ("a_send_takes_what_the_server_says", true, a_server_that_reads_late),
    ]
}

/// Whether the scene needs files of its own, or a tracer, which must be somebody.
pub(crate) fn is_unshared(scene: &str) -> bool {
    ["resolver", "dns_ipv4", "dns_ipv6", "tracer", "send"].contains(&scene)
}

/// Plays the scene of this name, if there is one, and says whether it succeeded.
pub(crate) fn scene(name: &str) -> Option<bool> {
    let agrees = match name {
        "resolver" => return Some(succeeds(resolver)),
        "tracer" => return Some(succeeds(tracer)),
        "connect" => (|| connect(Duration::from_millis(40))) as fn(),
        "connect_longer" => || connect(Duration::from_millis(120)),
        "dns_ipv4" => || dns(IPV4, Duration::from_millis(60)),
        "dns_ipv6" => || dns(IPV6, Duration::from_millis(150)),
        "send" => send,
        _ => return None,
    };
    Some(is_right_once(agrees))
}

/// Whether the command and another clock agree on how long a phase took.
#[track_caller]
fn agree(hop: &Value, phase: &str, clock: Duration) {
    let reported = hop["timings_ms"][phase].as_f64().unwrap();
    let clock = clock.as_secs_f64() * 1e3;
    let text = format!("{phase}: {reported:.3} ms reported, {clock:.3} ms by the other clock");
    assert!((reported - clock).abs() <= f64::max(1.0, 0.02 * clock), "{text}");
    eprintln!("{text}");
}

fn connect(delay: Duration) {
    let path = Path::new(Weather { delay, ..CLEAR }).unwrap();
    let address = server::serve(path.listener(), server::brief);
    let hop = path.at_near(|_| hop(&[&format!("http://{address}/")]));
    let seen = path.handshake().unwrap();
    assert!(seen >= 2 * delay, "{seen:?}");
    agree(&hop, "connect", seen);
}

/// Types of records.
const IPV4: u16 = 1;
const IPV6: u16 = 28;
const NAME: &str = "clock.test";

/// A resolver that this machine asks, and which has one late answer to each question.
struct Resolver {
    /// When the first question came, and the last answer went.
    seen: Arc<Mutex<Option<(Instant, Instant)>>>,
}

impl Resolver {
    /// Only one in a process, because of its port.
    fn get(late: u16, delay: Duration) -> &'static Self {
        static ONLY: OnceLock<Resolver> = OnceLock::new();
        ONLY.get_or_init(|| Self::start(late, delay))
    }

    fn start(late: u16, delay: Duration) -> Self {
        assert!(ran("ip", "link set lo up"));
        replace("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        replace("/etc/nsswitch.conf", "hosts: files dns\n");
        replace("/etc/hosts", "127.0.0.1 localhost\n");
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let resolver = Self { seen: Arc::default() };
        let seen = Arc::clone(&resolver.seen);
        thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let now = Instant::now();
                seen.lock().unwrap().get_or_insert((now, now));
                let (kind, answer) = answer(&buffer[..length]);
                let (socket, seen) = (socket.try_clone().unwrap(), Arc::clone(&seen));
                thread::spawn(move || {
                    if kind == late {
                        thread::sleep(delay);
                    }
                    if let Some((_, last)) = seen.lock().unwrap().as_mut() {
                        *last = Instant::now();
                    }
                    socket.send_to(&answer, from).unwrap();
                });
            }
        });
        resolver
    }

    /// How long the questions since the last call took.
    fn took(&self) -> Option<Duration> {
        let (first, last) = self.seen.lock().unwrap().take()?;
        Some(last - first)
    }
}

/// Puts a file with this content in the place of another, for this process and its children.
fn replace(path: &str, content: &str) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    assert!(ran("mount", &format!("--bind {} {path}", file.path().display())));
}

/// The type asked for, and the answer: the name has an IPv4 address, and no other record.
fn answer(question: &[u8]) -> (u16, Vec<u8>) {
    const HEAD: usize = 12;
    let name = question[HEAD..].iter().position(|byte| *byte == 0).unwrap();
    let end = HEAD + name + 1 + 4;
    let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
    let found = kind == IPV4;
    let mut answer = question[..2].to_vec();
    // A response, to a question that wished for recursion, with recursion: one question, and one
    // answer or none.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    answer.extend(&question[HEAD..end]);
    if found {
        // The same name, type, class Internet, valid for no time, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    (kind, answer)
}

/// Whether a resolver can be put in the place of the system's.
fn resolver() {
    let resolver = Resolver::get(IPV4, Duration::ZERO);
    let found: Vec<_> = (NAME, 80).to_socket_addrs().unwrap().collect();
    assert_eq!(found, ["127.0.0.1:80".parse::<SocketAddr>().unwrap()]);
    assert!(resolver.took().is_some(), "another one was asked");
}

fn dns(late: u16, delay: Duration) {
    let resolver = Resolver::get(late, delay);
    resolver.took();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server::serve(listener, server::brief).port();
    let hop = hop(&[&format!("http://{NAME}:{port}/")]);
    let took = resolver.took().unwrap();
    assert!(took >= delay, "{took:?}");
    agree(&hop, "dns", took);
}

/// Writes into this file what the kernel is handed for a TCP socket, and when.
fn traced(log: &FilePath) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-ttt", "-yy", "-s0", "-e", "trace=write,writev,sendto,sendmsg", "-o"]);
    command.arg(log);
    command
}

/// Whether calls can be traced, of programs in networks of their own.
fn tracer() {
    let path = Path::new(CLEAR).unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    path.at_near(|_| assert!(traced(log.path()).arg("echo").status().unwrap().success()));
    assert!(fs::read_to_string(log.path()).unwrap().contains("write(1<"));
}

fn send() {
    const LENGTH: usize = 600_000;
    let path = Path::new(Weather { delay: Duration::from_millis(40), ..CLEAR }).unwrap();
    let address = server::serve(path.listener(), server::taking);
    let (_file, data) = body(LENGTH);
    let httpstat = command(&[&format!("http://{address}/"), "-d", &data, "--format", "jsonl"]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = path.at_near(|_| {
        // Little room, so that much of the body waits for the path.
        fs::write("/proc/sys/net/ipv4/tcp_wmem", "4096 65536 65536").unwrap();
        let mut traced = traced(log.path());
        traced.arg(httpstat.get_program()).args(httpstat.get_args()).output().unwrap()
    });
    assert!(output.status.success(), "{output:?}");
    let report = check(&String::from_utf8(output.stdout).unwrap());
    let log = fs::read_to_string(log.path()).unwrap();
    let calls = calls(&log);
    let bytes: usize = calls.iter().map(|call| call.bytes).sum();
    assert!((LENGTH..LENGTH + 1_000).contains(&bytes), "{bytes} bytes in {log}");
    let took = calls.last().unwrap().begun - calls[0].begun;
    assert!(took > 0.2, "{took} s");
    agree(&report["hops"][0], "send", Duration::from_secs_f64(took));
}

/// A call that handed something to a TCP socket.
struct Call {
    /// In seconds.
    begun: f64,
    bytes: usize,
}

/// Each line is of a process and a time; a call that another line interrupts has two, of which the
/// second has the result.
fn calls(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut under_way = None;
    for line in log.lines() {
        let (process, rest) = line.split_once(' ').unwrap();
        let (time, what) = rest.trim_start().split_once(' ').unwrap();
        let before = match under_way {
            Some((by, begun)) if by == process => Some(begun),
            _ => None,
        };
        if before.is_none() && !what.contains("<TCP:[") {
            continue;
        }
        let begun = before.unwrap_or(time);
        under_way = what.ends_with("<unfinished ...>").then_some((process, begun));
        let result = what.rsplit_once("= ").map(|(_, result)| result.parse());
        if let Some(Ok(bytes)) = result {
            calls.push(Call { begun: begun.parse().unwrap(), bytes });
        }
    }
    calls
}

fn a_server_that_reads_late() {
    once(send_to_late_reader);
}

fn send_to_late_reader() {
    /// More than kernels keep for a reader that does not read.
    const LENGTH: usize = 8 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let begun = Instant::now();
        thread::sleep(Duration::from_secs(1));
        let before = begun.elapsed();
        let mut reader = BufReader::new(&stream);
        reader.by_ref().lines().map_while(Result::ok).find(String::is_empty).unwrap();
        let mut left = LENGTH - reader.buffer().len();
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            left -= (&stream).read(&mut buffer).unwrap();
        }
        let after = begun.elapsed();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        [before, after]
    });
    let (_file, data) = body(LENGTH);
    let hop = hop(&[&url, "-d", &data]);
    // It lies between the two, so that agreeing with both is no worse than agreeing with itself.
    for clock in server.join().unwrap() {
        agree(&hop, "send", clock);
    }
}
