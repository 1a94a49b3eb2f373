//! Verdicts about paths with delay, loss and queues, in networks that the tests make themselves.
//!
//! A process that has threads cannot leave its network; so each test is a process of its own, which
//! is this program again.

#[allow(dead_code, reason = "the tests of the library need more of it")]
#[path = "../../../tcpinfo/tests/network/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "as above")]
#[path = "../../../tcpinfo/tests/network/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "as above")]
#[path = "../../../tcpinfo/tests/network/relay.rs"]
pub(crate) mod relay;

use std::{
    env, fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    process::{Command, ExitCode},
    time::Duration,
};

use libtest_mimic::Arguments;
use serde_json::Value;

use crate::{
    Test, clocks,
    server::{self, Request},
    tool::run_json,
    verdicts::finding,
};
use relay::{Path, Weather};

pub(crate) fn trials() -> Vec<Test> {
    let relay = works("relay");
    let shaping = works("shaping");
    vec![
        ("a_short_download_over_a_long_path_is_slow_start", relay, || outside("slow_start")),
        ("a_short_upload_over_a_long_path_is_slow_start", relay, || outside("slow_start_up")),
        ("loss_binds_the_download", relay, || outside("loss")),
        ("loss_binds_the_upload", relay, || outside("loss_up")),
        ("a_queue_binds_the_download", shaping, || outside("queue")),
        ("a_small_send_buffer_binds_the_upload", relay, || outside("send_buffer")),
        ("a_small_window_binds_the_download", relay, || outside("small_window")),
    ]
}

const SCENE: &str = "HTTPSTAT_TEST_SCENE";

/// If this process is one that a test has started, plays its scene.
pub(crate) fn inside(_: &Arguments) -> Option<ExitCode> {
    let scene = env::var(SCENE).ok()?;
    if !is_unshared(&scene)
        && let Err(error) = namespace::leave_host()
    {
        eprintln!("{error}");
        return Some(ExitCode::FAILURE);
    }
    let works = match scene.as_str() {
        "relay" => return Some(code(Path::try_once().is_ok())),
        "shaping" => return Some(code(shape("rate 100mbit burst 16kb latency 100ms"))),
        "slow_start" => slow_start as fn(),
        "slow_start_up" => slow_start_up,
        "loss" => loss,
        "loss_up" => loss_up,
        "queue" => queue,
        "send_buffer" => send_buffer,
        "small_window" => small_window,
        other => return clocks::scene(other).map(code),
    };
    // A busy machine makes pauses of its own, which are no part of the scene.
    let succeeded = (0..ATTEMPTS).any(|_| std::panic::catch_unwind(works).is_ok());
    Some(code(succeeded))
}

const ATTEMPTS: usize = 4;

fn code(works: bool) -> ExitCode {
    if works { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn works(scene: &str) -> bool {
    process(scene).output().is_ok_and(|output| output.status.success())
}

pub(crate) fn outside(scene: &str) {
    let output = process(scene).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn process(scene: &str) -> Command {
    let exe = env::current_exe().unwrap();
    let mut command = if is_unshared(scene) {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]).arg(exe);
        command
    } else {
        Command::new(exe)
    };
    command.env(SCENE, scene);
    command
}

/// Whether the scene is played with tools of the system, which do what they have to only as the root
/// of a namespace, on a loopback device of its own.
fn is_unshared(scene: &str) -> bool {
    ["shaping", "queue"].contains(&scene) || clocks::is_unshared(scene)
}

pub(crate) const CLEAR: Weather = Weather { delay: Duration::from_millis(30), ..Weather::CLEAR };

/// The command at the near end, with a server at the far one; only what goes there is in danger.
fn up(weather: Weather, settings: &[(&str, &str)], arguments: &[&str]) -> Value {
    let path = Path::new(weather).unwrap();
    path.at_far(|_| set("tcp_rmem", WIDE));
    let address = server::serve(path.listener(), server::taking);
    path.at_near(|_| {
        settings.iter().for_each(|(name, value)| set(name, value));
        played(&format!("http://{address}/"), arguments)
    })
}

/// The command at the far end, with a server at the near one; only what comes from there is in
/// danger.
fn down(weather: Weather, settings: &[(&str, &str)], answer: fn(Request)) -> Value {
    let path = Path::new(weather).unwrap();
    let listener = path.at_near(|ip| {
        set("tcp_congestion_control", "reno");
        TcpListener::bind((ip, 0)).unwrap()
    });
    let address = server::serve(listener, answer);
    path.at_far(|_| {
        settings.iter().for_each(|(name, value)| set(name, value));
        played(&format!("http://{address}/"), &[])
    })
}

/// Room from the beginning, so that nothing but the path is in the way.
const WIDE: &str = "4096 4194304 8388608";

/// A kernel's setting in the network of this thread.
fn set(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
}

fn played(url: &str, arguments: &[&str]) -> Value {
    let (run, mut value) = run_json(&[&[url, "--timeline"], arguments].concat());
    assert_eq!(run.code, 0, "{run:?}");
    value["hops"][0].take()
}

fn expect(hop: &Value, direction: &str, bound: &str, measure: &str) -> f64 {
    let (found, value) = finding(hop, direction, measure);
    assert_eq!(found, bound, "{:#}", hop["verdict"]);
    value.unwrap_or_else(|| panic!("no {measure} in {:#}", hop["verdict"]))
}

/// As much as a few round trips take.
fn short(mut request: Request) {
    request.head(400_000);
    request.write(&[b'x'; 400_000]);
}

fn slow_start() {
    let hop = down(CLEAR, &[("tcp_rmem", WIDE)], short);
    let growth = expect(&hop, "transfer", "slow_start", "last_to_second_third");
    assert!(growth >= 1.5, "{growth}");
}

fn slow_start_up() {
    let (_file, data) = body(400_000);
    let reno = ("tcp_congestion_control", "reno");
    let hop = up(CLEAR, &[reno], &["-d", &data]);
    expect(&hop, "upload", "slow_start", "cwnd_growth");
}

fn long(mut request: Request) {
    request.head(3_000_000);
    request.write(&vec![b'x'; 3_000_000]);
}

fn loss() {
    let delay = Duration::from_millis(5);
    let hop = down(Weather { delay, lost: 20, ..CLEAR }, &[], long);
    let share = expect(&hop, "transfer", "path", "out_of_order_share");
    assert!((0.01..1.0).contains(&share), "{share}");
}

fn loss_up() {
    let (_file, data) = body(3_000_000);
    let delay = Duration::from_millis(5);
    let hop = up(Weather { delay, lost: 30, ..CLEAR }, &[], &["-d", &data]);
    let share = expect(&hop, "upload", "path", "retransmitted_share");
    assert!((0.01..0.3).contains(&share), "{share}");
}

fn send_buffer() {
    let (_file, data) = body(3_000_000);
    let hop = up(
        CLEAR,
        &[("tcp_wmem", "4096 4096 4096"), ("tcp_congestion_control", "reno")],
        &["-d", &data],
    );
    let share = expect(&hop, "upload", "send_buffer", "send_buffer_dry_share");
    assert!(share >= 0.5, "{share}");
}

fn small_window() {
    let hop = down(CLEAR, &[("tcp_rmem", "4096 32768 32768")], short);
    expect(&hop, "transfer", "receive_window", "window_use_share");
}

/// A device that sends less than is handed to it, and keeps the rest for a while.
fn queue() {
    // From an earlier attempt it may be there already.
    let _ = shape("rate 40mbit burst 16kb latency 300ms");
    set("tcp_congestion_control", "reno");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = server::serve(listener, long);
    let hop = played(&format!("http://{address}/"), &[]);
    let rtt = expect(&hop, "transfer", "path", "rtt_ms");
    assert!(rtt >= 10.0, "{rtt}");
}

fn shape(bucket: &str) -> bool {
    ran("ip", "link set lo mtu 1500 up")
        && ran("tc", &format!("qdisc add dev lo root tbf {bucket}"))
}

/// Whether a tool of the system did this.
pub(crate) fn ran(program: &str, arguments: &str) -> bool {
    let status = Command::new(program).args(arguments.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

pub(crate) fn body(length: usize) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b'x'; length]).unwrap();
    let data = format!("@{}", file.path().display());
    (file, data)
}
