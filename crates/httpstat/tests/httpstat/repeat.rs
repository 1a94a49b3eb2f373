//! Several runs: statistics, kept connections, limits, comparisons and their files.

use std::{
    convert::Infallible,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::TLS13;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    once::once,
    server::{self, Identity},
    tool::{Run, check, command, judged, run, run_json},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Runs the command with JSON output, which is one object about all runs.
fn run_series(arguments: &[&str]) -> (Run, Value) {
    let run = run(&[arguments, &["--format", "json"]].concat());
    let value = judged(&run);
    (run, value)
}

/// A server that answers each request on a connection in turn; what it does with the n-th of all
/// requests is up to `respond`, which says whether the connection goes on.
fn conversing(
    respond: impl Fn(usize, &mut TcpStream) -> bool + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let requests = AtomicUsize::new(0);
    let address = server::raw(move |mut stream| {
        counter.fetch_add(1, SeqCst);
        loop {
            if server::read_head(&mut stream).is_empty() {
                return;
            }
            if !respond(requests.fetch_add(1, SeqCst), &mut stream) {
                return;
            }
        }
    });
    (address, connections)
}

fn greeting(stream: &mut TcpStream) -> bool {
    stream.write_all(OK.as_bytes()).is_ok()
}

#[test]
fn statistics_are_those_of_the_runs_listed() {
    let url = format!("http://{}/", server::canned(OK));
    let (run, value) = run_series(&[&url, "-n", "11"]);
    assert_eq!(run.code, 0, "{run:?}");
    let runs = value["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 11);
    for (name, group) in
        [("connect", "timings_ms"), ("starttransfer", "timings_ms"), ("total", "timings_ms")]
    {
        let mut sample: Vec<_> =
            runs.iter().map(|run| run[group][name].as_f64().unwrap()).collect();
        sample.sort_by(f64::total_cmp);
        let statistics = &value["statistics"][name];
        assert_eq!(statistics["min"], sample[0]);
        assert_eq!(statistics["median"], sample[5]);
        assert_eq!(statistics["p90"], sample[9]);
        assert_eq!(statistics["max"], sample[10]);
        assert_eq!(statistics["count"], 11);
        assert_eq!(statistics.get("p99"), None, "11 runs have none");
    }
    let median = value["median_run"].as_u64().unwrap() as usize;
    assert_eq!(runs[median - 1]["timings_ms"]["total"], value["statistics"]["total"]["median"]);
    assert_eq!(value["statistics"].get("tls"), None);
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_is_asked_in_every_run() {
    let url = format!("http://{}/", server::canned(OK));
    let (_, value) = run_series(&[&url, "-n", "3"]);
    for name in ["rtt", "min_rtt", "rtt_var", "tx_cwnd_segs", "retransmitted_segs"] {
        assert_eq!(value["statistics"][name]["count"], 3, "{name} in {value:#}");
    }
    // Linux counts the end of the stream as one.
    let received = OK.len() as u64;
    for run in value["runs"].as_array().unwrap() {
        let counted = run["kernel"]["rx_bytes"].as_f64().unwrap() as u64;
        assert!((received..=received + 1).contains(&counted), "{run:#}");
    }
}

#[test]
fn every_run_has_its_own_connection_unless_they_are_kept() {
    let (address, connections) = conversing(|_, stream| greeting(stream));
    let url = format!("http://{address}/");
    let (_, value) = run_series(&[&url, "-n", "4"]);
    assert_eq!(connections.swap(0, SeqCst), 4);
    assert_eq!(value["statistics"]["connect"]["count"], 4);
    let (_, value) = run_series(&[&url, "-n", "4", "--keep-alive"]);
    assert_eq!(connections.load(SeqCst), 1);
    let uses: Vec<_> =
        value["runs"].as_array().unwrap().iter().map(|run| &run["connection_use"]).collect();
    assert_eq!(uses, ["fresh", "reused", "reused", "reused"]);
    // What did not happen is absent, not zero.
    assert_eq!(value["statistics"]["connect"]["count"], 1);
    assert_eq!(value["statistics"]["server"]["count"], 4);
    for run in &value["runs"].as_array().unwrap()[1..] {
        let timings = run["timings_ms"].as_object().unwrap();
        let mut names: Vec<_> = timings.keys().collect();
        names.sort();
        assert_eq!(names, ["send", "server", "starttransfer", "total", "transfer"]);
        let sum: f64 =
            ["send", "server", "transfer"].map(|key| timings[key].as_f64().unwrap()).iter().sum();
        assert!((sum - timings["total"].as_f64().unwrap()).abs() < 1e-6);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn counts_of_a_kept_connection_are_those_of_each_run() {
    let (address, _) = conversing(|_, stream| greeting(stream));
    let (_, value) = run_series(&[&format!("http://{address}/"), "-n", "4", "--keep-alive"]);
    for run in value["runs"].as_array().unwrap() {
        assert_eq!(run["kernel"]["rx_bytes"], OK.len() as f64, "{value:#}");
    }
}

/// Without any word of it: the next request is sent while the connection closes.
#[test]
fn a_server_that_closes_gets_a_new_connection() {
    let (address, connections) = conversing(|number, stream| greeting(stream) && number % 2 == 0);
    let (run, value) = run_series(&[&format!("http://{address}/"), "-n", "6", "--keep-alive"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(connections.load(SeqCst), 3);
    let uses: Vec<_> =
        value["runs"].as_array().unwrap().iter().map(|run| &run["connection_use"]).collect();
    assert_eq!(uses, ["fresh", "reused", "replaced", "reused", "replaced", "reused"]);
    assert_eq!(value["statistics"]["connect"]["count"], 3);
}

#[test]
fn what_a_server_may_have_acted_upon_is_not_sent_again() {
    let (address, connections) = conversing(|number, stream| number == 0 && greeting(stream));
    let url = format!("http://{address}/");
    let (run, value) = run_series(&[&url, "-n", "2", "--keep-alive", "-X", "POST"]);
    assert_eq!(run.code, 52, "{value:#}");
    assert_eq!(connections.load(SeqCst), 1);
    assert_eq!(value["succeeded"], 1);
}

/// A redirect within one origin goes over the connection that it came by, if connections are kept.
#[test]
fn redirects_share_a_kept_connection() {
    const FOUND: &str = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 3\r\n\r\nbye";
    let (address, connections) = conversing(|number, stream| match number % 2 {
        0 => stream.write_all(FOUND.as_bytes()).is_ok(),
        _ => greeting(stream),
    });
    let url = format!("http://{address}/a");
    let (run, value) = run_series(&[&url, "-L", "-n", "2", "--keep-alive"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(connections.swap(0, SeqCst), 1);
    let timings = &value["runs"][0]["timings_ms"];
    let sum: f64 = ["connect", "send", "server", "transfer"]
        .map(|key| timings[key].as_f64().unwrap())
        .iter()
        .sum();
    assert!((sum - timings["total"].as_f64().unwrap()).abs() < 1e-6, "{timings}");
    assert!(timings["starttransfer"].as_f64() < timings["total"].as_f64());

    let (_, value) = run_json(&[&url, "-L", "--keep-alive"]);
    assert_eq!(connections.swap(0, SeqCst), 1);
    let uses: Vec<_> =
        value["hops"].as_array().unwrap().iter().map(|hop| &hop["connection_use"]).collect();
    assert_eq!(uses, ["fresh", "reused"]);
    run_json(&[&url, "-L"]);
    assert_eq!(connections.load(SeqCst), 2);
}

#[test]
fn http2_carries_one_request_after_the_other() {
    let identity = Identity::for_loopback();
    let config = identity.config(&[&TLS13], &["h2"]);
    let (address, _) = server::site(Some(config), |_| Response::new(Bytes::from(vec![7; 100_000])));
    let url = format!("https://{address}/");
    let data = "x".repeat(100);
    for arguments in
        [["-n", "3", "--keep-alive"].as_slice(), &["-n", "3", "--keep-alive", "-d", &data]]
    {
        let (run, value) = run_series(&[&[url.as_str(), "-k"], arguments].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let uses: Vec<_> =
            value["runs"].as_array().unwrap().iter().map(|run| &run["connection_use"]).collect();
        assert_eq!(uses, ["fresh", "reused", "reused"]);
        assert_eq!(value["statistics"]["tls"]["count"], 1);
        for name in ["send", "server", "transfer"] {
            assert_eq!(value["statistics"][name]["count"], 3, "{name} in {value:#}");
        }
    }
}

/// Each connection says goodbye in words of HTTP/2 when it has answered a request.
#[test]
fn a_farewell_over_http2_gets_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, served) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for stream in listener.incoming().map_while(Result::ok) {
            sender.send(()).unwrap();
            stream.set_nonblocking(true).unwrap();
            runtime.block_on(async {
                let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
                let asked = Arc::new(Notify::new());
                let notice = Arc::clone(&asked);
                let answer = service_fn(move |_| {
                    notice.notify_one();
                    let response = Response::new(Full::new(Bytes::from_static(b"hello")));
                    async { Ok::<_, Infallible>(response) }
                });
                let connection =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer);
                tokio::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => {}
                    () = asked.notified() => {
                        connection.as_mut().graceful_shutdown();
                        let _ = connection.await;
                    }
                }
            });
        }
    });
    let data = ["-X", "POST", "-n", "20", "--keep-alive", "--http2-prior-knowledge"];
    let (run, value) = run_series(&[[url.as_str()].as_slice(), &data].concat());
    assert_eq!(run.code, 0, "{value:#}");
    // A request that arrives before the farewell is final is still answered.
    let uses = value["runs"].as_array().unwrap().iter().map(|run| &run["connection_use"]);
    let replaced = uses.filter(|kind| **kind == "replaced").count();
    assert!(replaced > 0, "{value:#}");
    assert_eq!(served.try_iter().count(), 1 + replaced, "{value:#}");
}

/// One slow answer among those over the same connection shows in its own run.
#[test]
fn times_of_a_kept_connection_belong_to_their_run() {
    once(|| {
        let (address, _) = conversing(|number, stream| {
            if number == 1 {
                thread::sleep(Duration::from_millis(200));
            }
            greeting(stream)
        });
        let (_, value) = run_series(&[&format!("http://{address}/"), "-n", "3", "--keep-alive"]);
        let server: Vec<_> = value["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["timings_ms"]["server"].as_f64().unwrap())
            .collect();
        assert!(server[1] >= 200.0 && server[0] < 200.0 && server[2] < 200.0, "{server:?}");
        assert_eq!(value["median_run"].as_u64().map(|run| run == 2), Some(false));
    });
}

#[test]
fn runs_that_only_warm_up_do_not_count() {
    let (address, connections) = conversing(|_, stream| greeting(stream));
    let url = format!("http://{address}/");
    let (_, value) = run_series(&[&url, "-n", "2", "--warmup", "3"]);
    assert_eq!(connections.swap(0, SeqCst), 5);
    assert_eq!(value["runs"].as_array().unwrap().len(), 2);
    let (_, value) = run_json(&[&url, "--warmup", "1", "--keep-alive"]);
    assert_eq!(connections.load(SeqCst), 1);
    let hop = &value["hops"][0];
    assert_eq!(hop["connection_use"], "reused");
    // The report is of the whole connection, and so of both requests.
    assert_eq!(hop["connection"]["rxBytes"], 2 * OK.len());
}

#[test]
fn an_interval_lies_between_the_runs() {
    let (sender, arrivals) = channel();
    let sender = Mutex::new(sender);
    let (address, _) = conversing(move |_, stream| {
        sender.lock().unwrap().send(Instant::now()).unwrap();
        greeting(stream)
    });
    let url = format!("http://{address}/");
    // A limit for each run is none for the pause between them.
    let run = run(&[&url, "-n", "3", "--interval", "0.3", "--max-time", "0.25"]);
    assert_eq!(run.code, 0, "{run:?}");
    let arrivals: Vec<_> = arrivals.try_iter().collect();
    assert!(arrivals.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(300)));
}

#[test]
fn failures_are_counted_by_kind_and_the_others_stand() {
    let (address, _) = conversing(|number, stream| match number {
        1 | 4 => false,
        2 => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n");
            false
        }
        _ => greeting(stream),
    });
    let url = format!("http://{address}/");
    let (run, value) = run_series(&[&url, "-n", "6"]);
    assert_eq!(run.code, 52, "the first failure's: {run:?}");
    assert!(run.complaint().contains("run 2, the first of 3 failures in 6 runs"), "{run:?}");
    assert_eq!((&value["completed"], &value["succeeded"]), (&6.into(), &3.into()));
    let kinds: Vec<_> = value["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| (failure["kind"].as_str().unwrap(), failure["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(kinds, [("empty", 2), ("response", 1)]);
    assert_eq!(value["statistics"]["total"]["count"], 3);
    assert_eq!(value["runs"][1]["error"]["phase"], "server");
}

#[test]
fn each_run_has_a_limit_of_its_own() {
    once(|| {
        let (address, _) = conversing(|number, stream| {
            if number == 0 {
                thread::sleep(Duration::from_millis(600));
            }
            greeting(stream)
        });
        let url = format!("http://{address}/");
        let (run, value) = run_series(&[&url, "-n", "3", "--max-time", "0.4"]);
        assert_eq!(run.code, 28, "{run:?}");
        assert_eq!(
            (&value["succeeded"], &value["failures"][0]["kind"]),
            (&2.into(), &"timeout".into())
        );
    });
}

#[test]
fn the_report_is_a_table_and_the_run_in_the_middle() {
    let (address, _) = conversing(|_, stream| greeting(stream));
    let run = run(&[&format!("http://{address}/"), "-n", "12", "-v"]);
    let parts = [
        "12 of 12 runs over fresh connections · 12 succeeded",
        "min    median       p90       max\n",
        "Server processing",
        "start transfer",
        "the one in the middle",
        "█",
    ];
    for part in parts {
        assert!(run.stdout.contains(part), "{part:?} is not in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("p99"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    assert_eq!(run.stderr, "", "the progress bar is for terminals");
}

#[test]
fn a_line_for_each_run_is_followed_by_the_summary() {
    let (address, _) = conversing(|number, stream| number != 1 && greeting(stream));
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.jsonl");
    let arguments = ["-n", "3", "--format", "jsonl", "--save", saved.to_str().unwrap()];
    let run = run(&[&[format!("http://{address}/").as_str()], arguments.as_slice()].concat());
    assert_eq!(run.code, 52);
    let lines: Vec<Value> = run.stdout.lines().map(check).collect();
    assert_eq!(lines.len(), 4);
    for (number, line) in (1..).zip(&lines[..3]) {
        assert_eq!(line["run"], number);
        assert_eq!(line["ok"], number != 2);
        assert_eq!(line["hops"].as_array().unwrap().len(), 1);
    }
    assert_eq!(lines[3]["completed"], 3);
    assert_eq!(lines[3].get("runs"), None);
    assert_eq!(fs::read_to_string(saved).unwrap(), run.stdout);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_series() {
    let (address, connections) = conversing(|_, stream| greeting(stream));
    let url = format!("http://{address}/");
    let arguments = [url.as_str(), "-n", "100000", "--format", "jsonl"];
    let mut child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(check(&line)["run"], 1);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(connections.load(SeqCst) < 100_000);
}

#[test]
fn limits_that_are_kept_leave_no_trace_in_the_exit_code() {
    let url = format!("http://{}/", server::canned(OK));
    let (run, value) = run_json(&[&url, "--slo", "total=60s,ttfb<60s", "--slo", "tls=1,dns=1"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(value["slo"]["pass"], true);
    assert_eq!(value["slo"]["violations"], Value::Array(Vec::new()));
    assert_eq!(value["slo"]["not_measured"], serde_json::json!(["tls", "dns"]));
    assert_eq!(run_json(&[&url]).1.get("slo"), None);
}

#[test]
fn a_violated_limit_is_told_everywhere() {
    let address = server::raw(|mut stream| {
        server::read_head(&mut stream);
        thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(OK.as_bytes());
    });
    let url = format!("http://{address}/");
    let limits = "server=20,total<=60s,median.ttfb<0.01s";
    let json = run(&[&url, "--slo", limits, "--format", "json"]);
    assert_eq!(json.code, 4, "{json:?}");
    let value = check(&json.stdout);
    assert_eq!(value["ok"], true, "the exchange itself is complete");
    assert_eq!(value["slo"]["pass"], false);
    let violation = &value["slo"]["violations"][0];
    assert_eq!((&violation["key"], &violation["threshold"]), (&"server".into(), &20.0.into()));
    assert_eq!(violation["actual"], value["hops"][0]["timings_ms"]["server"]);
    assert_eq!(value["slo"]["violations"][1]["key"], "median.starttransfer");

    let pretty = run(&[&url, "--slo", limits]);
    assert_eq!(pretty.code, 4);
    assert!(pretty.stdout.contains("violated server <= 20.0ms: "), "{}", pretty.stdout);
    assert!(pretty.stdout.contains("kept     total <= 60.0s: "), "{}", pretty.stdout);
    assert_eq!(pretty.stderr.lines().count(), 2, "{pretty:?}");
    assert!(pretty.stderr.starts_with("httpstat: --slo server <= 20.0ms: "), "{pretty:?}");

    let repeated = run(&[&url, "-n", "3", "--slo", "server=20"]);
    assert_eq!(repeated.code, 4);
    assert!(repeated.stderr.contains("at worst, in 3 of 3 runs"), "{repeated:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn numbers_of_the_kernel_can_be_limited() {
    let url = format!("http://{}/", server::canned(OK));
    let kept = "retransmitted=0,rtt=60s,cwnd>=1,rx_bytes<1kB,delivery_rate>=1";
    assert_eq!(run(&[&url, "--slo", kept]).code, 0);
    let violated = run(&[&url, "--slo", "rx_bytes<=10,cwnd<1"]);
    assert_eq!(violated.code, 4);
    assert!(violated.stderr.contains("--slo rx_bytes <= 10 B: "), "{violated:?}");
    assert!(violated.stderr.contains("--slo tx_cwnd_segs < 1: "), "{violated:?}");
}

#[test]
fn a_failed_request_keeps_its_own_code() {
    let (address, _guard) = server::refusing();
    let (run, value) = run_json(&[&format!("http://{address}/"), "--slo", "total=0"]);
    assert_eq!(run.code, 7);
    assert_eq!(value["slo"]["pass"], false);
    assert_eq!(value["slo"]["violations"], Value::Array(Vec::new()));
}

#[test]
fn nonsense_is_a_usage_error() {
    let url = "http://127.0.0.1:1/";
    let cases: [(&[&str], &str); 16] = [
        (&["--slo", "speed=1"], "there are ttfb"),
        (&["--slo", "total"], "has no limit"),
        (&["-n", "99", "--slo", "p99.total=1"], "takes at least 100 runs"),
        (&["-n", "0"], "0 is not in 1..=100000"),
        (&["-n", "100001"], "100001 is not in"),
        (&["-n", "2", "-o", "body"], "no body can be kept"),
        (&["-n", "2", "-O"], "no body can be kept"),
        (&["-n", "2", "--timeline"], "--timeline is for --format jsonl"),
        (&["--fail-if-slower"], "--baseline"),
        (&["--min-change", "5%"], "--baseline"),
        (&["--baseline", "b", "--min-change", "5"], "write it as 5%, 2ms"),
        (&["--save", "-"], "--save names the standard output"),
        (&["-o", "body", "--save", "/dev/stdout"], "--save names the standard output"),
        (&["-n", "2", "--junit", "-"], "--junit names the standard output"),
        (&["-o", "twice", "--save", "twice"], "two options write to twice"),
        (&["--html", "twice", "--svg", "twice"], "two options write to twice"),
    ];
    for (arguments, expected) in cases {
        let run = run(&[&[url], arguments].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(expected), "{expected:?} is not in {run:?}");
    }
}

#[test]
fn a_result_is_saved_beside_the_report() {
    let url = format!("http://{}/", server::canned(OK));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.json");
    let saved = path.to_str().unwrap();
    let pretty = run(&[&url, "--save", saved]);
    assert!(pretty.stdout.contains("Server processing"), "{pretty:?}");
    assert_eq!(check(&fs::read_to_string(&path).unwrap())["hops"][0]["response"]["body_bytes"], 5);
    let json = run(&[&url, "-n", "2", "--save", saved, "--format", "json"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), json.stdout);
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 1, "nothing else is left");

    let missing = format!("{}/missing/saved", folder.path().display());
    for option in ["--save", "--junit"] {
        let failed = run(&[&url, "-n", "2", option, &missing]);
        assert_eq!(failed.code, 23, "{failed:?}");
        assert!(!failed.stdout.contains("Server processing"), "nothing is measured: {failed:?}");
    }
}

/// Saves runs in which the server takes this long.
fn save(path: &Path, runs: &str, delay: Duration, format: &str) {
    let (address, _) = conversing(move |_, stream| {
        thread::sleep(delay);
        greeting(stream)
    });
    let url = format!("http://{address}/");
    let run = run(&[&url, "-n", runs, "--save", path.to_str().unwrap(), "--format", format]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn a_slower_server_is_told_from_noise() {
    once(|| {
        let folder = tempfile::tempdir().unwrap();
        let (fast, slow) = (folder.path().join("fast"), folder.path().join("slow"));
        save(&fast, "8", Duration::ZERO, "pretty");
        save(&slow, "8", Duration::from_millis(30), "jsonl");
        let compare = |baseline: &Path, delay: u64, arguments: &[&str]| {
            let (address, _) = conversing(move |_, stream| {
                thread::sleep(Duration::from_millis(delay));
                greeting(stream)
            });
            let url = format!("http://{address}/");
            run(&[&[&url, "-n", "8", "--baseline", baseline.to_str().unwrap()], arguments].concat())
        };
        let slower = compare(&fast, 30, &["--format", "json"]);
        assert_eq!(slower.code, 0, "only on request");
        let comparison = check(&slower.stdout)["comparison"].take();
        let names = comparison["slower"].as_array().unwrap();
        assert!(
            names.contains(&"server".into()) && names.contains(&"total".into()),
            "{comparison:#}"
        );
        let server =
            comparison["changes"].as_array().unwrap().iter().find(|c| c["name"] == "server");
        let server = server.unwrap();
        let shift = server["shift_ms"].as_f64().unwrap();
        let (low, high) = (&server["interval_ms"][0], &server["interval_ms"][1]);
        assert!(shift >= 20.0 && low.as_f64() <= Some(shift) && high.as_f64() >= Some(shift));
        assert!(comparison["baseline_url"].is_string(), "the port is another one");
        assert_eq!(comparison.get("baseline_keep_alive"), None);
        let kept = compare(&fast, 0, &["--keep-alive", "--format", "json"]);
        assert_eq!(check(&kept.stdout)["comparison"]["baseline_keep_alive"], false);

        assert_eq!(comparison["min_change"], serde_json::json!({ "share": 0.05, "ms": 1.0 }));
        assert!(server["shift_share"].as_f64().unwrap() > 1.0, "{server:#}");

        // As certain as it is, it is less than what was said to count.
        let arguments = ["--fail-if-slower", "--min-change", "10s", "--format", "json"];
        let small = compare(&fast, 30, &arguments);
        assert_eq!(small.code, 0, "{small:?}");
        let comparison = check(&small.stdout)["comparison"].take();
        assert_eq!(comparison["slower"], serde_json::json!([]));
        let total = comparison["changes"].as_array().unwrap().last().unwrap();
        assert_eq!(total["verdict"], "small_change");
        assert!(total["p_corrected"].as_f64().unwrap() <= 0.05, "{total:#}");
        let shown = compare(&fast, 30, &["--fail-if-slower", "--min-change", "10s,1%"]);
        assert_eq!(shown.code, 0, "{shown:?}");
        assert!(shown.stdout.contains(" small\n"), "{}", shown.stdout);
        assert!(
            shown.stdout.contains("slower or faster: by at least 1% and 10.0s (--min-change)"),
            "{shown:?}"
        );

        let demanded = compare(&fast, 30, &["--fail-if-slower"]);
        assert_eq!(demanded.code, 9, "{demanded:?}");
        assert!(
            demanded.stdout.contains("slower or faster: by at least 5% and 1.00ms (--min-change)"),
            "{demanded:?}"
        );
        assert!(demanded.stderr.contains("Server processing is slower than the baseline by "));
        assert!(demanded.stdout.contains("slower"), "{}", demanded.stdout);
        assert!(
            demanded.stdout.lines().all(|line| line.chars().count() <= 80),
            "{}",
            demanded.stdout
        );

        let faster = compare(&slow, 0, &["--fail-if-slower", "--format", "json"]);
        assert_eq!(faster.code, 0, "{faster:?}");
        let names = check(&faster.stdout)["comparison"]["faster"].take();
        assert!(names.as_array().unwrap().contains(&"server".into()), "{names}");
    });
}

#[test]
fn too_few_runs_get_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.json");
    let url = format!("http://{}/", server::canned(OK));
    let saved = path.to_str().unwrap();
    assert_eq!(run(&[&url, "--save", saved]).code, 0);
    let (_, value) = run_json(&[&url, "--baseline", saved]);
    let changes = value["comparison"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 5, "{value:#}");
    for change in changes {
        assert_eq!(change["verdict"], "not_enough_runs");
        assert_eq!(change["runs_needed"], 5);
        assert_eq!(change.get("p"), None);
    }
    let pretty = run(&[&url, "--baseline", saved]);
    assert!(pretty.stdout.contains("not enough runs to tell: 5 in the baseline"), "{pretty:?}");

    let demanded = run(&[&url, "--baseline", saved, "--fail-if-slower"]);
    assert_eq!(demanded.code, 26, "{demanded:?}");
    assert!(demanded.complaint().contains("save a baseline of at least 5"), "{demanded:?}");
}

#[test]
fn a_baseline_that_is_none_is_refused_before_anything_is_sent() {
    let (address, connections) = conversing(|_, stream| greeting(stream));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline");
    fs::write(&path, "{\"fast\": true}").unwrap();
    let run = run(&[&format!("http://{address}/"), "--baseline", path.to_str().unwrap()]);
    assert_eq!(run.code, 26, "{run:?}");
    assert!(run.complaint().contains("no result of httpstat"), "{run:?}");
    assert_eq!(connections.load(SeqCst), 0);
}

#[test]
fn junit_holds_a_case_for_every_judgement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("junit.xml");
    let junit = path.to_str().unwrap();
    let (address, _) = conversing(|number, stream| number != 1 && greeting(stream));
    let url = format!("http://{address}/?a&b=<c>");
    let limits = "total=60s,server<0,tls=1";
    let run = run(&[&url, "-n", "3", "--slo", limits, "--junit", junit]);
    assert_eq!(run.code, 52, "{run:?}");
    let xml = fs::read_to_string(&path).unwrap();
    let parts = [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites ",
        "tests=\"9\" failures=\"1\" errors=\"1\" skipped=\"1\"",
        "?a&amp;b=%3Cc%3E\"",
        "<testcase classname=\"httpstat.phase\" name=\"connect\" time=\"0.",
        "<testcase classname=\"httpstat.slo\" name=\"total &lt;= 60.0s\" time=\"0.",
        "<failure type=\"slo\" message=\"server &lt; 0µs: ",
        "<skipped message=\"tls &lt;= 1.00ms: not measured\"/>",
        "name=\"request: empty in 1 of 3 runs\" time=\"0.000000\"><error type=\"empty\"",
    ];
    for part in parts {
        assert!(xml.contains(part), "{part:?} is not in\n{xml}");
    }
}
