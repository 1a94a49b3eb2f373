//! A real Prometheus that scrapes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::server::{PATIENCE, Scene, Server, holds, lacks, same, trial};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.push(
        trial("prometheus_reads_what_is_served", scraped).with_ignored_flag(lacks("prometheus")),
    );
}

fn scraped() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let rule = scene.rule().replacen("mine", "m\"i\\ne", 1);
    let server = Server::start(&[
        "--max-series",
        "100000",
        "--by",
        "process,listener,remote",
        "--label",
        &rule,
    ])?;
    let prometheus = Prometheus::start(server.address)?;
    prometheus.wait("a first scrape", |this| this.number("up") == Some(1.0))?;
    let held: Vec<_> = (0..5).map(|_| scene.connect()).collect::<Result<_, _>>()?;
    let mine = "{label=\"m\\\"i\\\\ne\"}";
    let open = format!("sum(tcp_connection_count{mine})");
    prometheus.wait("connections", |this| this.number(&open) == Some(10.0))?;
    drop(held);
    let closed = format!("sum(tcp_connections_closed_total{mine})");
    prometheus.wait("ends", |this| this.number(&closed) == Some(10.0))?;
    // Every end was observed, so each bucket for infinity has as many as were counted.
    let rtt = format!("sum(tcp_rtt_seconds_bucket{{le=\"+Inf\",{}", &mine[1..]);
    let samples = format!("{rtt})");
    // A scrape may come too late on a machine that is busy.
    prometheus.wait("samples", |this| this.number(&samples).is_some_and(|count| count >= 10.0))?;
    let quantile = format!("histogram_quantile(0.5, sum by (le) (tcp_rtt_seconds_bucket{mine}))");
    prometheus.wait("a median", |this| {
        this.number(&quantile).is_some_and(|median| median > 0.0 && median < 1.0)
    })?;
    prometheus.wait("a scrape without error", |this| {
        let targets = this.get("/api/v1/targets");
        targets.is_ok_and(|targets| targets["activeTargets"][0]["lastError"] == "")
    })?;
    // What kind each metric is was understood.
    let described = prometheus.get("/api/v1/metadata?metric=tcp_connections_closed")?;
    same("kind", &described["tcp_connections_closed"][0]["type"], &Value::from("counter"))
}

/// A Prometheus of our own, which ends with this value.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("prometheus.yml");
        fs::write(
            &file,
            format!(
                "scrape_configs:\n- job_name: conniver\n  scrape_interval: 1s\n  \
                 scrape_timeout: 1s\n  static_configs:\n  - targets: [\"{target}\"]\n"
            ),
        )?;
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
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
        let mut this = Self { process, address: unknown, _folder: folder };
        this.address =
            addresses.recv_timeout(PATIENCE).map_err(|_| "prometheus says no address")?;
        Ok(this)
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Self) -> bool) -> Result<(), Failed> {
        let begin = Instant::now();
        while !is_there(self) {
            holds(what, begin.elapsed() < PATIENCE, &"waited in vain")?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The only number that a query gives, if it gives one.
    fn number(&self, query: &str) -> Option<f64> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.get(&format!("/api/v1/query?query={query}")).ok()?;
        match &**data["result"].as_array()? {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
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
        same("status", &body["status"], &Value::from("success"))?;
        Ok(body["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
