//! The pages beside the metrics, and what is refused.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    process::Command,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::server::{Scene, Server, holds, is_superuser, same, trial};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.extend([
        trial("connections_are_those_of_the_list", connections),
        trial("pages_are_as_they_are_named", pages),
        trial("what_cannot_be_is_refused_at_the_start", refused),
        trial("without_privilege_only_programs_are_missing", unprivileged),
        trial("marks_without_permission_are_refused", marks_refused),
        trial("marks_make_labels", marks).with_ignored_flag(!may_mark()),
    ]);
}

fn connections() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let _held: Vec<_> = (0..3).map(|_| scene.connect()).collect::<Result<_, _>>()?;
    let server = Server::start(&[])?;
    let address = scene.address();
    let answer = server.get(&format!("/api/connections?filter=src+{address}"), "")?;
    same("status", answer.status, 200)?;
    holds("type", answer.head.contains("application/json"), &answer.head)?;
    let list = Command::new(env!("CARGO_BIN_EXE_conniver"))
        .args(["list", "--format", "json", &format!("src {address}")])
        .output()?;
    let steady = |text: &[u8]| -> Result<Vec<Value>, Failed> {
        let mut all: Vec<Value> = serde_json::from_slice(text)?;
        all.sort_by_key(|one| one["cookie"].as_u64());
        Ok(all)
    };
    let (ours, theirs) = (steady(answer.body.as_bytes())?, steady(&list.stdout)?);
    same("sockets", (ours.len(), theirs.len()), (3, 3))?;
    allowed(&answer.body)?;
    allowed(&server.get("/api/connections?process=1&filter=state+all", "")?.body)?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for key in ["localAddr", "remoteAddr", "state", "cookie", "inode", "uid", "queues"] {
            same(key, &ours[key], &theirs[key])?;
        }
        let keys = |one: &Value| one.as_object().map(|one| one.keys().cloned().collect::<Vec<_>>());
        same("keys", keys(ours), keys(theirs))?;
    }
    let count = |path: &str| -> Result<usize, Failed> {
        Ok(steady(server.get(path, "")?.body.as_bytes())?.len())
    };
    same("limited", count(&format!("/api/connections?filter=src+{address}&limit=2"))?, 2)?;
    same("none", count("/api/connections?limit=0")?, 0)?;
    same("none", count("/api/connections?filter=sport+=+:0")?, 0)?;
    let listening = format!("/api/connections?filter=state+listening+src+{address}&process=1");
    let answer = server.get(&listening, "")?;
    let all = steady(answer.body.as_bytes())?;
    same("holder", &all[0]["process"][0]["pid"], &Value::from(std::process::id()))?;
    for (wrong, named) in [
        ("filter=sprot+=+:80", "sprot"),
        ("limit=many", "many"),
        ("colour=red", "colour"),
        ("filter=%ff", "filter"),
        ("filter=%E2%80%AE%1b[2J", "\\u{202e}"),
    ] {
        let answer = server.get(&format!("/api/connections?{wrong}"), "")?;
        same(wrong, answer.status, 400)?;
        holds(wrong, answer.body.contains(named), &answer)?;
        let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        holds(wrong, answer.body.chars().all(is_harmless), &answer)?;
    }
    Ok(())
}

/// The schema that the command prints allows it.
fn allowed(text: &str) -> Result<(), Failed> {
    let schema =
        Command::new(env!("CARGO_BIN_EXE_conniver")).args(["schema", "connections"]).output()?;
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema.stdout)?)?;
    let value = serde_json::from_str(text)?;
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    holds("what the schema allows", errors.is_empty(), &errors)
}

fn pages() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    for (path, status, part) in [
        ("/", 200, "/api/connections"),
        ("/health", 200, "ok"),
        ("/-/ready", 200, "ok"),
        ("/-/healthy", 200, "running"),
        ("/nothing", 404, "no such page"),
        ("/metrics/", 404, "no such page"),
    ] {
        let answer = server.get(path, "")?;
        same(path, answer.status, status)?;
        holds(path, answer.body.contains(part), &answer)?;
    }
    same("method", server.ask("POST /metrics HTTP/1.0\r\n\r\n")?.status, 405)?;
    let head = server.ask("HEAD /metrics HTTP/1.0\r\n\r\n")?;
    same("head", (head.status, &*head.body), (200, ""))?;
    // One that has nothing more to say still gets everything.
    for (path, end) in [("/metrics", "process_open_fds"), ("/api/connections", "]\n")] {
        let mut client = server.connect()?;
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        client.read_to_string(&mut text)?;
        holds(path, text.starts_with("HTTP/1.1 200 ") && text.contains(end), &text)?;
    }
    // A page in a browser that calls us by a name of its own may not read what we say.
    for (host, status) in
        [("evil.example", 403), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:7", 200)]
    {
        let answer = server.get("/-/healthy", &format!("Host: {host}\r\n"))?;
        same(host, answer.status, status)?;
    }
    let new = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");
    let (ours, theirs) = ("Host: localhost\r\n", "Host: evil.example\r\n");
    for (target, hosts, status) in [
        ("/-/healthy", "", 400),
        ("/-/healthy", &*ours.repeat(2), 400),
        ("/-/healthy", &*format!("{ours}{theirs}"), 400),
        ("/-/healthy", "Host: localhost, evil.example\r\n", 400),
        ("/-/healthy", "Host: \r\n", 403),
        ("/-/healthy", theirs, 403),
        ("http://localhost/-/healthy", "", 400),
        ("http://evil.example/-/healthy", ours, 403),
        ("http://localhost@evil.example/-/healthy", ours, 400),
        ("https://localhost/-/healthy", ours, 400),
    ] {
        let ask = new(target, &format!("{hosts}Connection: close\r\n"));
        same(&ask, server.ask(&ask)?.status, status)?;
    }
    let whole = new("http://127.0.0.1:1/-/healthy", &format!("{theirs}Connection: close\r\n"));
    same("whole", server.ask(&whole)?.status, 200)?;
    // After what is no request nothing more is read.
    let two = format!("{}{}", new("/-/healthy", ""), new("/-/healthy", ours));
    let answer = server.ask(&two)?;
    same("the first", answer.status, 400)?;
    holds("no second", !answer.body.contains("running"), &answer)
}

fn refused() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    let taken = server.address.to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--listen", &taken], 1, "--listen"),
        (&["--listen", "192.0.2.1:0"], 1, "192.0.2.1"),
        (&["--listen", "localhost"], 2, "localhost"),
        (&["--label", "a=sprot = :1"], 2, "sprot"),
        (&["--label", "a"], 2, "\"=\""),
        (&["--max-series", "5"], 2, "5"),
        (&["--listen", "127.0.0.1:0", "--netns", "no-such-namespace"], 1, "no-such-namespace"),
    ];
    for (arguments, code, part) in cases {
        let output =
            Command::new(env!("CARGO_BIN_EXE_conniver")).arg("serve").args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        same("code", output.status.code(), Some(code))?;
        holds(part, said.contains(part), &said)?;
        let complaints = said.lines().filter(|line| line.starts_with("conniver: ")).count();
        holds("one complaint", complaints <= 1, &said)?;
    }
    Ok(())
}

fn marks_refused() -> Result<(), Failed> {
    for rule in ["odd=fwmark = 0", "odd=dport = :443 or not fwmark = 1/3"] {
        match Server::start_unprivileged(&["--label", "even=dport = :1", "--label", rule]) {
            Ok(_) => return Err(format!("{rule} is served").into()),
            Err(said) => {
                let said = said.message().unwrap_or_default();
                let is_named = said.contains("CAP_NET_ADMIN") && said.contains("odd");
                holds("the permission", is_named && !said.contains("even"), &said)?;
            }
        }
    }
    Ok(())
}

/// Whether this process may mark sockets, and so is told of marks.
fn may_mark() -> bool {
    Socket::new(Domain::IPV4, Type::STREAM, None).is_ok_and(|socket| socket.set_mark(1).is_ok())
}

fn marks() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let marked = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    marked.set_mark(0x5e)?;
    marked.connect(&scene.address().into())?;
    let _held = (scene.connect()?, scene.listener.accept()?);
    let rule = format!("marked=fwmark = 0x5e and dst {}", scene.address());
    let server = Server::start(&["--label", &rule, "--label", &scene.rule()])?;
    let series = server.scrape()?;
    same("marked", series.sum("tcp_connection_count", "label=\"marked\""), 1.0)?;
    same("others", series.sum("tcp_connection_count", "label=\"mine\""), 3.0)
}

fn unprivileged() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let (client, peer) = scene.connect()?;
    let server = Server::start_unprivileged(&["--by", "process", "--label", &scene.rule()])?;
    let series = server.scrape()?;
    same("connections", series.sum("tcp_connection_count", "label=\"mine\""), 2.0)?;
    same("ends are heard", series.number("conniver_events_listening"), 1.0)?;
    let unreadable = series.number("conniver_unreadable_processes");
    if is_superuser() {
        holds("unreadable", unreadable >= 1.0, &unreadable)?;
        let unknown = "process=\"\",label=\"mine\"";
        same("of nobody known", series.sum("tcp_connection_count", unknown), 2.0)?;
    }
    drop((client, peer));
    server
        .scrape_until("both ends", |series| {
            series.sum("tcp_connections_closed_total", "label=\"mine\"") == 2.0
        })
        .map(drop)
}
