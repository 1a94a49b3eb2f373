//! Connections that come and go while somebody looks.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use socket2::{Domain, Socket, Type};

use crate::server::{
    PATIENCE, Scene, Series, Server, holds, own_address, rule, same, trial, trial_alone,
};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.extend([
        trial("counters_are_exact_and_never_shrink_under_churn", churn),
        trial_alone("lost_ends_are_told_and_no_counter_shrinks", lost),
        trial("a_reset_connection_is_known_until_its_program_closes_it", held),
        trial("refused_attempts_are_no_connections", refused),
    ]);
}

const MINE: &str = "label=\"mine\"";

/// One connection, on which this much is sent each way.
fn talk(scene: &Scene, bytes: usize) -> Result<(TcpStream, TcpStream), Failed> {
    let (mut client, mut server) = scene.connect()?;
    client.write_all(&vec![1; bytes])?;
    server.read_exact(&mut vec![0; bytes])?;
    server.write_all(&vec![2; bytes])?;
    client.read_exact(&mut vec![0; bytes])?;
    Ok((client, server))
}

fn never_shrinks(before: &Series, after: &Series) -> Result<(), Failed> {
    let counts = ["_total", "_bucket", "_sum", "_count"];
    for (name, number) in &before.0 {
        let metric = name.split_once('{').map_or(&**name, |(metric, _)| metric);
        let is_counter =
            metric != "tcp_connection_count" && counts.iter().any(|end| metric.ends_with(end));
        if is_counter && !after.0.get(name).is_some_and(|after| after >= number) {
            return Err(format!("{name}: {number}, then {:?}", after.0.get(name)).into());
        }
    }
    Ok(())
}

fn churn() -> Result<(), Failed> {
    const CONNECTIONS: usize = 2_000;
    const BYTES: usize = 3_000;

    let scene = Scene::new()?;
    let server = Server::start(&["--label", &scene.rule()])?;
    let first = server.scrape()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let churning = scope.spawn(|| {
            let mut held = Vec::new();
            let mut all = || -> Result<(), Failed> {
                for number in 0..CONNECTIONS {
                    let pair = talk(&scene, BYTES)?;
                    // Some live long enough to be listed, more than once.
                    if number % 3 == 0 {
                        held.push(pair);
                    }
                    if held.len() > 50 {
                        held.drain(..10);
                    }
                }
                held.clear();
                Ok(())
            };
            let done = all();
            is_over.store(true, Ordering::Relaxed);
            done
        });
        let mut before = first;
        while !is_over.load(Ordering::Relaxed) {
            let after = server.scrape()?;
            never_shrinks(&before, &after)?;
            before = after;
        }
        churning.join().map_err(|_| "the churn panicked")?
    })?;
    let ends = (2 * CONNECTIONS) as f64;
    let last = server.scrape_until("the last ends", |series| {
        series.sum("tcp_connections_closed_total", MINE) >= ends
    })?;
    let sum = |metric: &str| last.sum(metric, MINE);
    same("lost", last.number("conniver_events_lost_total"), 0.0)?;
    same("created", sum("tcp_connections_created_total"), ends)?;
    same("closed", sum("tcp_connections_closed_total"), ends)?;
    same("failed", sum("tcp_connections_failed_total"), 0.0)?;
    let bytes = ends * BYTES as f64;
    // The kernel counts a FIN as a byte, if it comes before the socket's end.
    let received = sum("tcp_bytes_received_total");
    holds("received", (bytes..=bytes + ends).contains(&received), &(received, bytes))?;
    let sent = sum("tcp_bytes_sent_total") - sum("tcp_bytes_retransmitted_total");
    same("sent", sent, bytes)?;
    // Each at its end, and some at looks.
    let observed = sum("tcp_rtt_seconds_count");
    holds("samples", observed >= ends, &observed)
}

/// Whether the kernel threw something away that was meant for this process.
fn drops(process: u32) -> Result<bool, Failed> {
    let mut own = BTreeSet::new();
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        let target = fs::read_link(descriptor?.path()).unwrap_or_default();
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:["));
        own.extend(inode.map(|inode| inode.trim_end_matches(']').to_owned()));
    }
    let table = fs::read_to_string("/proc/net/netlink")?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(lines
        .any(|line| matches!(&*line, [.., drops, inode] if *drops != "0" && own.contains(*inode))))
}

fn lost() -> Result<(), Failed> {
    // Without privilege the buffer is small.
    let scene = Scene::new()?;
    let server = Server::start_unprivileged(&["--label", &scene.rule()])?;
    let held: Vec<_> = (0..20).map(|_| talk(&scene, 1_000)).collect::<Result<_, _>>()?;
    let before = server.scrape()?;
    server.signal("STOP")?;
    drop(held);
    let begin = Instant::now();
    while !drops(server.process.id())? {
        holds("a full buffer in time", begin.elapsed() < PATIENCE, &begin.elapsed())?;
        for _ in 0..200 {
            drop(scene.connect()?);
        }
    }
    server.signal("CONT")?;
    let after = server
        .scrape_until("a loss", |series| series.number("conniver_events_lost_total") > 0.0)?;
    never_shrinks(&before, &after)?;
    // It goes on as before.
    let closed = after.sum("tcp_connections_closed_total", MINE);
    drop(talk(&scene, 1_000)?);
    let last = server.scrape_until("an end after the loss", |series| {
        series.sum("tcp_connections_closed_total", MINE) > closed
    })?;
    never_shrinks(&after, &last)
}

fn held() -> Result<(), Failed> {
    let scene = Scene::new()?;
    let server = Server::start(&["--label", &scene.rule()])?;
    let (client, peer) = talk(&scene, 5_000)?;
    let both = server.scrape()?;
    same("open", both.sum("tcp_connection_count", MINE), 2.0)?;
    // What is not read makes the close a reset; the peer's program does not notice.
    (&client).write_all(b"unread")?;
    peer.peek(&mut [0])?;
    drop(peer);
    let mut reset = server.scrape_until("one that is over and held", |series| {
        series.number("conniver_unlisted_connections") >= 1.0
            && series.sum("tcp_connection_count", MINE) == 0.0
            && series.sum("tcp_connections_closed_total", MINE) == 1.0
    })?;
    never_shrinks(&both, &reset)?;
    drop(client);
    reset = server.scrape_until("its end", |series| {
        series.sum("tcp_connections_closed_total", MINE) == 2.0
    })?;
    same("bytes", reset.sum("tcp_bytes_received_total", MINE), 10_006.0)?;
    same("missed", reset.number("conniver_ends_missed_total"), 0.0)
}

fn refused() -> Result<(), Failed> {
    // Nobody ever listens on it. Of a port that is nobody's, an attempt may come from the same port, and
    // meet itself.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    taken.bind(&own_address().into())?;
    let address = taken.local_addr()?.as_socket().ok_or("no address")?;
    let server = Server::start(&["--label", &rule(address)])?;
    for _ in 0..3 {
        if TcpStream::connect_timeout(&address, PATIENCE.min(Duration::from_secs(5))).is_ok() {
            return Err("somebody listens on a port that is taken".into());
        }
    }
    let last = server.scrape_until("the attempts", |series| {
        series.sum("tcp_connections_failed_total", MINE) == 3.0
    })?;
    same("created", last.sum("tcp_connections_created_total", MINE), 0.0)
}
