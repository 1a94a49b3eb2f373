//! What is exported, and what the document says of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};

use crate::server::{Scene, Series, Server, holds, lacks, same, trial, trial_alone};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.extend([
        trial("the_document_names_every_metric", documented),
        trial("both_formats_say_the_same", formats),
        trial("promtool_accepts_the_metrics", accepted).with_ignored_flag(lacks("promtool")),
        trial("series_are_bounded", bounded),
        trial("accept_queues_are_those_of_the_listener", queues),
        trial("programs_are_found", programs),
        trial_alone("names_of_programs_steer_no_terminal", hostile_names),
    ]);
}

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

/// For the connections of all the tests that run at the same time.
const ROOM: [&str; 2] = ["--max-series", "100000"];

/// A name that a parser could trip over, with a filter.
const ODD: &str = "a\"b\\c\nd,e} 7=sport = :1";

/// Type, unit and help by name, from a scrape or the document.
type Described = BTreeMap<String, [String; 3]>;

fn described(text: &str) -> Described {
    let mut all = Described::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what), Some(name), Some(rest)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let place = ["TYPE", "UNIT", "HELP"].iter().position(|known| *known == what);
        if let Some(place) = place {
            all.entry(name.to_owned()).or_default()[place] = rest.to_owned();
        }
    }
    all
}

fn documented() -> Result<(), Failed> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/serve.md");
    let page = fs::read_to_string(page)?;
    let mut documented = Described::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, kind @ ("gauge" | "counter" | "histogram"), unit, help] = *cells {
            let name = name.trim_matches('`').to_owned();
            documented.insert(name, [kind, unit, help].map(str::to_owned));
        }
    }
    let server = Server::start(&["--by", "process,remote,listener"])?;
    let text = server.get("/metrics", OPEN_METRICS)?.body;
    let exported: Described = described(&text)
        .into_iter()
        .map(|(name, rest)| match &*rest[0] {
            "counter" => (format!("{name}_total"), rest),
            _ => (name, rest),
        })
        .collect();
    same("metrics", exported, documented)
}

fn formats() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let _held = scene.connect()?;
    let server = Server::start(&["--max-age", "3600", "--label", ODD, "--label", &scene.rule()])?;
    let older = server.get("/metrics", "")?;
    let newer = server.get("/metrics", OPEN_METRICS)?;
    holds("type", older.head.contains("text/plain; version=0.0.4"), &older.head)?;
    holds("type", newer.head.contains("application/openmetrics-text"), &newer.head)?;
    holds("end", newer.body.ends_with("\n# EOF\n"), &newer.body.len())?;
    let series = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    // The numbers of connections that are nobody else's, and the names of all but those of others, of
    // which more become known while they end.
    let steady = |text: &str| -> Vec<String> {
        let name = |line: &String| match line.contains("label=\"mine\"") {
            true => line.clone(),
            false => line.rsplit_once(' ').map_or("", |(name, _)| name).to_owned(),
        };
        series(text).iter().filter(|line| !line.contains("label=\"\"")).map(name).collect()
    };
    same("series", steady(&older.body), steady(&newer.body))?;
    // Every series is of a metric that was described, and buckets add up.
    let names = described(&older.body);
    let mut below = (String::new(), 0.0);
    for line in series(&older.body) {
        let (name, number) = line.rsplit_once(' ').ok_or("number")?;
        let metric = name.split_once('{').map_or(name, |(metric, _)| metric);
        let is_known = ["", "_bucket", "_sum", "_count"].iter().any(|suffix| {
            metric.strip_suffix(suffix).is_some_and(|metric| names.contains_key(metric))
        });
        holds("a series of no metric", is_known, &line)?;
        if let Some((labels, bound)) = name.split_once("le=\"") {
            let number: f64 = number.parse()?;
            holds("a bound", bound.contains('.') || bound.starts_with("+Inf"), &line)?;
            holds("a bucket", labels != below.0 || number >= below.1, &line)?;
            below = (labels.to_owned(), number);
        }
    }
    Ok(())
}

fn accepted() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let _held = scene.connect()?;
    let odd = ODD.replace("sport = :1", &scene.rule()["mine=".len()..]);
    let server = Server::start(
        &[&ROOM[..], &["--by", "process,remote,listener", "--label", &odd]].concat(),
    )?;
    let text = server.get("/metrics", "")?.body;
    holds("the odd label", text.contains(r#"label="a\"b\\c\nd,e} 7""#), &text)?;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().ok_or("stdin")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    // The name is that of the library's metrics, and gRPC's.
    let known = "tcp_connection_count non-histogram and non-summary metrics should not have \
                 \"_count\" suffix\n";
    same("complaints", String::from_utf8_lossy(&said).as_ref(), known)
}

fn bounded() -> Result<(), Failed> {
    let scene = Scene::new()?;
    // Each end of each connection has a remote network of its own.
    let mut held = Vec::new();
    for number in 1..=60 {
        let listener = TcpListener::bind(SocketAddr::from(([127, 9, number, 1], 0)))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        held.push((listener.accept()?.0, client, listener));
    }
    let server = Server::start(&["--by", "remote", "--max-series", "600"])?;
    let first = server.scrape()?;
    holds("series", first.0.len() <= 600, &first.0.len())?;
    let others = "remote_network=\"(other)\"";
    holds("others", first.sum("tcp_connection_count", others) > 0.0, &first)?;
    holds("others", first.number("conniver_other_connections_total") > 0.0, &first)?;
    let groups: BTreeSet<_> = first
        .0
        .keys()
        .filter_map(|name| name.strip_prefix("tcp_connections_created_total"))
        .collect();
    same("groups", groups.len() as f64, first.number("conniver_groups") + 1.0)?;
    // Those that came first stay.
    let _more = scene.connect()?;
    let second = server.scrape()?;
    let missing = groups
        .iter()
        .find(|labels| second.number(&format!("tcp_connections_created_total{labels}")).is_nan());
    same("a group that is gone", missing, None)
}

fn queues() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = Server::start(&ROOM)?;
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address)).collect::<Result<_, _>>()?;
    let label = format!("{{local=\"{address}\"}}");
    let series = server.scrape()?;
    let number = |name: &str| series.number(&format!("{name}{label}"));
    same("waiting", number("tcp_accept_queue_connections"), 3.0)?;
    same("listeners", number("tcp_listener_sockets"), 1.0)?;
    let limit = number("tcp_accept_queue_limit_connections");
    holds("limit", limit >= 3.0, &limit)?;
    let fullest = number("tcp_accept_queue_fullest_ratio");
    holds("fullest", (fullest - 3.0 / (limit + 1.0)).abs() < 1e-5, &fullest)?;
    // What its clients have is counted with the listener's port on its side.
    let listening = format!("listener=\"{}\"", address.port());
    same("accepted", series.sum("tcp_connection_count", &listening), 3.0)?;
    drop(clients);
    Ok(())
}

fn programs() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let _held = scene.connect()?;
    let server =
        Server::start(&[&ROOM[..], &["--by", "process", "--label", &scene.rule()]].concat())?;
    let series = server.scrape()?;
    let own = fs::read_to_string("/proc/self/comm")?;
    let label = format!("process=\"{}\",label=\"mine\"", own.trim());
    same("both ends", series.sum("tcp_connection_count", &label), 2.0)
}

fn hostile_names() -> Result<(), Failed> {
    let own = fs::read_to_string("/proc/self/comm")?;
    let scene = Scene::new()?;
    let _held = scene.connect()?;
    fs::write("/proc/self/comm", "\x1b[7m\n\"\u{202e}\\e")?;
    let seen = scrape_and_list(&scene);
    fs::write("/proc/self/comm", own.trim())?;
    let (text, listed) = seen?;
    let label = r#"process="\\x1b[7m\\n\"\\u{202e}\\e",label="mine""#;
    same("both ends", Series::parse(&text)?.sum("tcp_connection_count", label), 2.0)?;
    let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    holds("nothing of it is left", text.chars().all(is_harmless), &text)?;
    // Objects have the name itself.
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    same("name", listed[0]["process"][0]["command"].as_str(), Some("\x1b[7m\n\"\u{202e}\\e"))
}

fn scrape_and_list(scene: &Scene) -> Result<(String, String), Failed> {
    let server = Server::start(&["--by", "process", "--label", &scene.rule()])?;
    let sockets = format!("/api/connections?process=1&filter=src+{}", scene.address());
    Ok((server.get("/metrics", "")?.body, server.get(&sockets, "")?.body))
}
