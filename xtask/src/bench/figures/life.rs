//! What `conniver life` costs while connections end without pause.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use sockdiag::{Event, Events};

use crate::bench::{
    cost::{Cost, Trouble},
    programs,
    rusage::{process_nanos, thread_nanos},
    timing::Rounds,
};

mod network;

/// Connections a second, of each of which both ends are here.
const RATE: u64 = 20_000;
const THREADS: u64 = 2;
const ROUNDS: u8 = 5;
const ROUND: Duration = Duration::from_secs(2);

/// Processor time for one end that is told, beside taking it from the kernel without a look.
pub(super) fn life() -> Result<Cost, Trouble> {
    let program = programs::built("conniver-cli", "conniver")?;
    // A thread alone goes into another network, where nobody else's connections end.
    let measured = thread::spawn(move || {
        network::enter_own().map_err(|_| Trouble::Skipped("this user may not make a network"))?;
        measure(&program)
    });
    measured.join().unwrap_or_else(|_| Err(Trouble::Failed("the measurement panicked".to_owned())))
}

fn measure(program: &Path) -> Result<Cost, Trouble> {
    let mut rounds = Rounds::default();
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let floor = bare(2 * round + 1)?;
        let subject = told(program, 2 * round + 2)?;
        rates.push(subject.rate);
        rounds.add(floor, subject.nanos);
    }
    rates.sort_by(f64::total_cmp);
    eprintln!(
        "life: {:.0} connections a second, both ends told of each, none lost; {ROUNDS} rounds of {ROUND:?}",
        rates[rates.len() / 2]
    );
    Ok(Cost::of_processes(rounds.timing()))
}

struct Told {
    /// Processor time for one end.
    nanos: f64,
    /// Connections a second.
    rate: f64,
}

/// One round of the program, whose lines are counted.
fn told(program: &Path, round: u8) -> Result<Told, Trouble> {
    let mut child = Command::new(program)
        .args(["life", "--summary", "-c", "+cookie"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let id = child.id();
    let failed = |what: &str| Trouble::Failed(format!("{}: {what}", program.display()));
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| failed("no output"))?);
    // Its first line says that it listens.
    lines.read_line(&mut String::new())?;
    let before = process_nanos(id)?;
    let seen = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let (made, after, summary) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(&mut lines, &seen));
        let made = churn(round);
        let ends = 2 * made.as_ref().map_or(0, |made| made.connections);
        let told = within(Duration::from_secs(20), || seen.load(Ordering::Relaxed) >= ends);
        let after = process_nanos(id);
        is_over.store(told, Ordering::Relaxed);
        network::interrupt(id);
        (made, after, reader.join().unwrap_or_default())
    });
    let complaint = complaint(child)?;
    let (made, after) = (made?, after?);
    if !is_over.load(Ordering::Relaxed) || !complaint.is_empty() || !summary.contains(" 0 events") {
        let seen = seen.load(Ordering::Relaxed);
        let ends = 2 * made.connections;
        return Err(failed(&format!("{seen} of {ends} ends were told; {complaint}{summary}")));
    }
    let nanos = (after - before) / (2 * made.connections) as f64;
    Ok(Told { nanos, rate: made.connections as f64 / made.time.as_secs_f64() })
}

/// Counts the lines of ends, and gives what comes after them.
fn read(lines: &mut impl std::io::BufRead, seen: &AtomicU64) -> String {
    let mut summary = String::new();
    loop {
        let Ok(buffer) = lines.fill_buf() else { return summary };
        if buffer.is_empty() {
            return summary;
        }
        let ends = buffer.iter().filter(|byte| **byte == b'\n').count();
        let tail = buffer.len().saturating_sub(1_000);
        summary = String::from_utf8_lossy(&buffer[tail..]).into_owned();
        let len = buffer.len();
        lines.consume(len);
        seen.fetch_add(ends as u64, Ordering::Relaxed);
    }
}

fn complaint(mut child: Child) -> Result<String, Trouble> {
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    child.wait()?;
    Ok(complaint)
}

/// One round in which ends are taken and nothing else is done with them.
fn bare(round: u8) -> Result<f64, Trouble> {
    let mut events = Events::open().map_err(|error| Trouble::Failed(error.to_string()))?;
    let (ends, is_made) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let before = thread_nanos();
            let mut taken = 0_u64;
            loop {
                match events.next(Some(Duration::from_millis(20))) {
                    Ok(Some(Event::Ended(entry))) => {
                        taken += u64::from(entry.remote_addr().port() != 0);
                    }
                    Ok(Some(other)) => return Err(Trouble::Failed(format!("{other:?}"))),
                    Ok(None) => {}
                    Err(error) => return Err(Trouble::Failed(error.to_string())),
                }
                if is_made.load(Ordering::Relaxed) && taken >= ends.load(Ordering::Relaxed) {
                    return Ok((thread_nanos() - before) / taken.max(1) as f64);
                }
            }
        });
        let made = churn(round);
        ends.store(2 * made.as_ref().map_or(0, |made| made.connections), Ordering::Relaxed);
        is_made.store(true, Ordering::Relaxed);
        made.and(taker.join().unwrap_or_else(|_| Err(Trouble::Failed("it panicked".to_owned()))))
    })
}

struct Made {
    connections: u64,
    time: Duration,
}

/// Connections that are made, accepted and closed, as many as are wanted a second or as can be.
fn churn(round: u8) -> Result<Made, Trouble> {
    let begun = Instant::now();
    let counts: Vec<Result<u64, Trouble>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                // Each its own address, so that there are ports for all.
                let host = Ipv4Addr::new(127, 1 + number as u8, round, 1);
                scope.spawn(move || make(host, begun))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<u64, Trouble>>| {
            thread.join().unwrap_or_else(|_| Err(Trouble::Failed("a thread panicked".to_owned())))
        };
        threads.into_iter().map(join).collect()
    });
    let mut connections = 0;
    for count in counts {
        connections += count?;
    }
    Ok(Made { connections, time: begun.elapsed() })
}

fn make(host: Ipv4Addr, begun: Instant) -> Result<u64, Trouble> {
    let listener = TcpListener::bind((host, 0))?;
    let address = listener.local_addr()?;
    let each = Duration::from_secs(1) / (RATE / THREADS) as u32;
    let mut made = 0;
    loop {
        let elapsed = begun.elapsed();
        if elapsed >= ROUND {
            return Ok(made);
        }
        let due = each * made as u32;
        if due > elapsed + Duration::from_millis(1) {
            thread::sleep(due - elapsed);
        }
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        drop(client);
        drop(server);
        made += 1;
    }
}

fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
