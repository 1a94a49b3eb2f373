//! Clients that mean no good, or do no good.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};

use crate::server::{PATIENCE, Server, holds, same, trial};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.extend([
        trial("idle_clients_do_not_keep_others_out", idle),
        trial("who_does_not_read_is_cut_off", unread),
        trial("nonsense_is_survived", nonsense),
        trial("those_who_ask_together_share_one_look", together),
        trial("a_slow_client_is_let_go", slow),
        trial("it_ends_in_order_whoever_is_connected", signals),
    ]);
}

fn idle() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    let begun = ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: "];
    let mut clients = Vec::new();
    for number in 0..300 {
        let mut client = server.connect()?;
        client.write_all(begun[number % begun.len()].as_bytes())?;
        clients.push(client);
        if number % 50 == 0 {
            server.scrape()?;
        }
    }
    let series = server.scrape()?;
    let away = series.number("conniver_http_turned_away_total");
    holds("turned away", away >= 200.0, &away)?;
    let files = series.number("process_open_fds");
    holds("descriptors", files < 100.0, &files)
}

fn unread() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    // More lists than are made at a time, and so many requests on each that no buffer takes all.
    let request = "GET /api/connections?filter=state+all HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect()?;
            client.set_nonblocking(true)?;
            // It takes what it has room for.
            let _ = client.write(request.repeat(2_000).as_bytes());
            Ok(client)
        })
        .collect::<std::io::Result<_>>()?;
    for _ in 0..20 {
        server.scrape()?;
    }
    // Longer than the patience with one that takes nothing.
    let begin = Instant::now();
    let is_open = |client: &TcpStream| {
        let port = client.local_addr().map(|address| address.port()).unwrap_or_default();
        let filter = format!("/api/connections?filter=dport+%3D+:{port}+and+state+established");
        server.get(&filter, "").is_ok_and(|answer| answer.body.contains("localAddr"))
    };
    while clients.iter().any(is_open) {
        holds("cut off in time", begin.elapsed() < PATIENCE, &begin.elapsed())?;
        server.scrape()?;
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn nonsense() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    let long = "x".repeat(1 << 20);
    let many: String = (0..5_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let requests = [
        "\0\u{1}\u{2}\u{ff}\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned(),
        format!("{}BROKEN", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(30)),
    ];
    for request in requests {
        let mut client = server.connect()?;
        // It may be cut off while it still sends.
        let _ = client.write_all(request.as_bytes());
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        let start = String::from_utf8_lossy(answer.get(..12).unwrap_or(&answer)).into_owned();
        let is_honest = request.starts_with("GET /metrics");
        let is_refusal = answer.is_empty() || start.starts_with("HTTP/1.1 4");
        let is_page = start.starts_with("HTTP/1.1 200");
        holds("an answer", if is_honest { is_page } else { is_refusal || is_page }, &start)?;
    }
    server.scrape().map(drop)
}

fn together() -> Result<(), Failed> {
    let server = Server::start(&["--max-age", "3600"])?;
    let start = Barrier::new(32);
    let looks: Vec<f64> = thread::scope(|scope| {
        let ask = || {
            start.wait();
            server.scrape().map(|series| series.number("conniver_looks_total"))
        };
        let clients: Vec<_> = (0..32).map(|_| scope.spawn(ask)).collect();
        let joined = clients.into_iter().map(|client| client.join().map_err(|_| "panic"));
        joined.map(|looks| looks?).collect::<Result<_, Failed>>()
    })?;
    // The one before the first client.
    same("looks", looks, vec![1.0; 32])
}

fn slow() -> Result<(), Failed> {
    let server = Server::start(&[])?;
    let mut client = server.connect()?;
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")?;
    // The server closes, with or without a word; a client's own patience would make it an error.
    let mut said = Vec::new();
    client.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    holds("no page", !said.contains(" 200 "), &said)?;
    server.scrape().map(drop)
}

fn signals() -> Result<(), Failed> {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[])?;
        let mut clients = [server.connect()?, server.connect()?];
        clients[0].write_all(b"GET /metr")?;
        clients[1].write_all(b"GET /api/connections HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let command = fs::read_to_string(format!("/proc/{}/comm", server.process.id()))?;
        same("program", command.trim(), "conniver")?;
        server.signal(signal)?;
        same("end", server.end()?.code(), Some(0))?;
    }
    Ok(())
}
