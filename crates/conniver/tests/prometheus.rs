//! What a real Prometheus makes of an exporter, its documents and its dashboard. Reported as
//! ignored where the programs are missing.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use conniver::{CloseReason, Conn, FailReason, Group, Options, Role, Totals, Tracker};
use libtest_mimic::{Arguments, Failed, Trial};
use prometheus_client::{encoding::text, registry::Registry};
use serde_json::Value;

#[path = "../examples/exporter.rs"]
#[allow(dead_code, reason = "an example has a main function of its own")]
mod exporter;

fn main() -> ExitCode {
    let lacks = |program: &str| {
        let version = Command::new(program).arg("--version").output();
        !version.is_ok_and(|output| output.status.success())
    };
    let (no_prometheus, no_promtool) = (lacks("prometheus"), lacks("promtool"));
    let trials = vec![
        Trial::test("prometheus_reads_what_the_tracker_counts", scraped)
            .with_ignored_flag(no_prometheus),
        Trial::test("promtool_accepts_the_metrics", metrics_check).with_ignored_flag(no_promtool),
        Trial::test("promtool_accepts_the_configuration", config_check)
            .with_ignored_flag(no_promtool),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Categories that a parser could trip over.
const ODD: [&str; 5] = [
    "\"quoted\\\"",
    "two\nlines\r\n",
    "日本語 🐎",
    "a=\"b\",c} 7",
    "\u{0}\u{1}\u{7f}\u{85}\u{feff}",
];

/// How long Prometheus may take for anything. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

fn scraped() -> Result<(), Failed> {
    let tracker = Tracker::new();
    let (echo, metrics) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let (echo_address, metrics_address) = (echo.local_addr()?, metrics.local_addr()?);
    // Serves until the process ends.
    let served = tracker.clone();
    thread::spawn(move || exporter::run(echo, &metrics, &served));

    let odd: Vec<_> = ODD
        .iter()
        .map(|name| Options::new().category(*name).tracker(&tracker).wrap_opaque(io::empty()))
        .collect();
    let prometheus = Prometheus::start(metrics_address)?;
    // What has no beginning in Prometheus has no rate.
    prometheus.wait("a first scrape", || prometheus.number("up{job=\"conniver\"}") == Some(1.0))?;
    let staying = generate(&tracker, echo_address, &prometheus)?;

    // The server's ends come a little later than the clients'.
    let open = (2 * staying.len() + odd.len()) as u64;
    prometheus.wait("the last ends", || tracker.totals().open == open)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    // Of a scrape that failed there are no values.
    let last = || prometheus.number("max(timestamp(tcp_connection_count))");
    prometheus.wait("a scrape after all that", || last() > Some(now))?;
    for (group, totals) in tracker.kernel_totals_by_group() {
        compare(&prometheus, &group, &totals)?;
    }
    let categories: BTreeSet<_> = prometheus.label_values("category")?;
    let expected = ODD.iter().copied().chain(["echo", "load"]).map(str::to_owned).collect();
    same("categories", &categories, &expected)?;
    // One may come too late on a machine that is busy.
    prometheus.wait("a scrape without error", || {
        prometheus.number("up{job=\"conniver\"}") == Some(1.0)
    })?;
    dashboard_queries(&prometheus)?;
    drop((staying, odd));
    Ok(())
}

/// Short connections, failures, one reset, and a transfer that the network limits; gives those that
/// stay open.
fn generate(
    tracker: &Tracker,
    echo: SocketAddr,
    prometheus: &Prometheus,
) -> Result<Vec<Conn<TcpStream>>, Failed> {
    let connector = Options::new().category("load").tracker(tracker).connector();
    let mut staying = Vec::new();
    for number in 0..40 {
        let mut conn = connector.connect(echo)?;
        conn.write_all(&[7; 1000])?;
        conn.read_exact(&mut [0; 1000])?;
        if number % 10 == 0 {
            staying.push(conn);
        }
        if number == 0 {
            // What was there at the first look is no increase.
            let sides = || prometheus.number("count(tcp_connection_count{role!=\"\"})");
            prometheus.wait("both sides", || sides() == Some(2.0))?;
        }
    }
    let abortive = connector.connect(echo)?;
    socket2::SockRef::from(&abortive).set_linger(Some(Duration::ZERO))?;
    drop(abortive);
    // Nobody listens at the other end of a connection.
    let refused = TcpStream::connect(echo)?;
    for _ in 0..3 {
        if connector.connect(refused.local_addr()?).is_ok() {
            return Err("somebody listens at the end of a connection".into());
        }
    }
    let large = connector.connect(echo)?;
    let deadline = Instant::now() + PATIENCE;
    // Where there are delivery rates, one is seen unless the application is slower than the path.
    while cfg!(target_os = "linux")
        && prometheus.number("sum(tcp_delivery_rate_bytes_per_second_count)") == Some(0.0)
    {
        transfer(&large)?;
        same("a delivery rate in time", Instant::now() < deadline, true)?;
    }
    staying.push(large);
    // Rates need two scrapes that differ.
    let observed = || prometheus.number("min(increase(tcp_rtt_seconds_count{role!=\"\"}[1m]))");
    prometheus.wait("scrapes of the traffic", || observed() > Some(0.0))?;
    Ok(staying)
}

/// Sends and receives at the same time.
fn transfer(conn: &Conn<TcpStream>) -> io::Result<()> {
    const LENGTH: u64 = 32 << 20;

    thread::scope(|scope| {
        let reader = scope.spawn(|| io::copy(&mut conn.take(LENGTH), &mut io::sink()));
        io::copy(&mut io::repeat(0).take(LENGTH), &mut &*conn)?;
        reader.join().expect("reading does not panic")
    })?;
    Ok(())
}

/// What Prometheus has of a group, beside what the tracker says.
fn compare(prometheus: &Prometheus, group: &Group, totals: &Totals) -> Result<(), Failed> {
    let category = group.category.as_deref().unwrap_or_default();
    let role = match group.role {
        Some(Role::Client) => "client",
        Some(Role::Server) => "server",
        None => "",
    };
    // A string of PromQL has the escapes of JSON.
    let category = Value::from(category).to_string();
    let labels = format!("category={category},role=\"{role}\"");
    let check = |name: &str, more: &str, value: f64| {
        let query = format!("{name}{{{labels}{more}}}");
        same(&query, prometheus.number(&query), Some(value))
    };
    check("tcp_connection_count", "", totals.open as f64)?;
    check("tcp_connections_created_total", "", totals.opened as f64)?;
    check("tcp_connections_unlisted_total", "", totals.unlisted as f64)?;
    check("tcp_application_received_bytes_total", "", totals.rx_bytes as f64)?;
    check("tcp_application_sent_bytes_total", "", totals.tx_bytes as f64)?;
    check("tcp_application_reads_total", "", totals.rx_ops as f64)?;
    check("tcp_application_writes_total", "", totals.tx_ops as f64)?;
    check("tcp_connection_duration_seconds_count", "", totals.closed() as f64)?;
    for reason in CloseReason::ALL {
        let more = format!(",reason=\"{reason}\"");
        check("tcp_connections_closed_total", &more, totals.closed_by(reason) as f64)?;
    }
    for reason in FailReason::ALL {
        let more = format!(",reason=\"{reason}\"");
        check("tcp_connections_failed_total", &more, totals.failed_by(reason) as f64)?;
    }
    if role.is_empty() || !cfg!(target_os = "linux") {
        return Ok(());
    }
    check("tcp_packets_retransmitted_total", "", totals.retransmitted_segs as f64)?;
    check("tcp_bytes_retransmitted_total", "", totals.retransmitted_bytes as f64)?;
    let (peer, buffer) = (totals.peer_window_limited, totals.send_buffer_limited);
    check("tcp_peer_window_limited_seconds_total", "", peer.as_secs_f64())?;
    check("tcp_send_buffer_limited_seconds_total", "", buffer.as_secs_f64())
}

/// Every query of the dashboard is understood, and answered with numbers.
fn dashboard_queries(prometheus: &Prometheus) -> Result<(), Failed> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(document("grafana-dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().ok_or("panels")?;
    let mut metrics = BTreeSet::new();
    let mut count = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        same("a panel's data source", &panel["datasource"]["uid"], &Value::from("${datasource}"))?;
        for target in panel["targets"].as_array().ok_or("targets")? {
            let written = target["expr"].as_str().ok_or("expr")?;
            let query = written
                .replace("$__rate_interval", "5m")
                .replace("$category", ".*")
                .replace("$role", ".*");
            same("variables left", query.contains('$'), false)?;
            let numbers = prometheus.query(&query)?;
            if numbers.is_empty() || numbers.iter().all(|number| number.is_nan()) {
                return Err(format!("no number: {query} gives {numbers:?}").into());
            }
            metrics.extend(words(written).filter(|word| word.starts_with("tcp_")).map(metric_of));
            count += 1;
        }
    }
    same("a dashboard of some size", count > 30, true)?;
    // Nothing that is exported for groups is missing from it.
    let exported = prometheus.label_values("__name__")?;
    let exported: BTreeSet<_> = exported
        .iter()
        .filter(|name| name.starts_with("tcp_") && !name.starts_with("tcp_conn_"))
        .map(|name| metric_of(name))
        .collect();
    let missing: Vec<_> = exported.difference(&metrics).collect();
    same("metrics that no panel shows", missing, Vec::new())
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The metric that a series of a histogram belongs to.
fn metric_of(series: &str) -> String {
    let suffixes = ["_bucket", "_sum", "_count"].into_iter();
    let histogram = suffixes.filter_map(|suffix| series.strip_suffix(suffix)).next();
    histogram.filter(|_| series != "tcp_connection_count").unwrap_or(series).to_owned()
}

fn metrics_check() -> Result<(), Failed> {
    let tracker = Tracker::new();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(tracker.collector().per_connection(10)));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let options = Options::new().category(ODD[0]).tracker(&tracker);
    let _conn = options.wrap(TcpStream::connect(listener.local_addr()?)?);
    let mut openmetrics = String::new();
    text::encode(&mut openmetrics, &registry)?;

    // The tool reads the older format, where a counter is described under its whole name and a unit
    // is a comment.
    let counters: BTreeSet<_> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut older = String::new();
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                older += &format!("# {what} {name}_total {rest}\n");
            }
            _ => older += &format!("{line}\n"),
        }
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().ok_or("stdin")?.write_all(older.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    // The name is gRPC's.
    let known = "tcp_connection_count non-histogram and non-summary metrics should not have \
                 \"_count\" suffix\n";
    same("complaints", String::from_utf8_lossy(&said).as_ref(), known)
}

fn config_check() -> Result<(), Failed> {
    let output = Command::new("promtool")
        .args(["check", "config", "--lint-fatal"])
        .arg(document("prometheus.yml"))
        .output()?;
    if output.status.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn same<T: PartialEq + Debug>(what: &str, is: T, should: T) -> Result<(), Failed> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?} instead of {should:?}").into()) }
}

/// A Prometheus of our own, which ends with this value.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts one with the documented configuration, which scrapes this address more often.
    fn start(metrics: SocketAddr) -> Result<Self, Failed> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("prometheus-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut configuration = fs::read_to_string(document("prometheus.yml"))?;
        for (documented, ours) in
            [("127.0.0.1:9464\"]", format!("{metrics}\"]")), ("15s", "1s".to_owned())]
        {
            same(documented, configuration.matches(documented).count(), 1)?;
            configuration = configuration.replace(documented, &ours);
        }
        let file = folder.join("prometheus.yml");
        fs::write(&file, configuration)?;
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(process.stderr.take().ok_or("stderr")?);
        let (sender, addresses) = std::sync::mpsc::channel();
        // Reads on, so that the log never fills its pipe.
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let address = line.split_once("msg=\"Listening on\" address=");
                if let Some(address) = address.and_then(|(_, address)| address.trim().parse().ok())
                {
                    let _ = sender.send(address);
                }
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut this = Self { process, address: unknown, folder };
        this.address =
            addresses.recv_timeout(PATIENCE).map_err(|_| "prometheus says no address")?;
        Ok(this)
    }

    fn wait(&self, what: &str, is_there: impl Fn() -> bool) -> Result<(), Failed> {
        let begin = Instant::now();
        while !is_there() {
            if begin.elapsed() > PATIENCE {
                return Err(format!("waited in vain for {what}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The only number that a query gives, if it gives one.
    fn number(&self, query: &str) -> Option<f64> {
        match self.query(query).as_deref() {
            Ok([number]) => Some(*number),
            _ => None,
        }
    }

    /// All numbers that a query gives.
    fn query(&self, query: &str) -> Result<Vec<f64>, Failed> {
        let data = self.get(&format!("/api/v1/query?query={}", percent_encoded(query)))?;
        let series = data["result"].as_array().ok_or("result")?;
        let number = |series: &Value| series["value"][1].as_str()?.parse().ok();
        let numbers: Option<Vec<f64>> = series.iter().map(number).collect();
        numbers.ok_or_else(|| format!("{query}: {data}").into())
    }

    fn label_values(&self, label: &str) -> Result<BTreeSet<String>, Failed> {
        let data = self.get(&format!("/api/v1/label/{label}/values"))?;
        Ok(serde_json::from_value(data)?)
    }

    fn get(&self, path: &str) -> Result<Value, Failed> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // So old that the answer comes in one piece, and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        let mut body: Value = serde_json::from_str(body)?;
        if body["status"] != "success" {
            return Err(format!("{path}: {body}").into());
        }
        Ok(body["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
