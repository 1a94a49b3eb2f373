//! Very many connections at the same time. The only tests of their process, one after the other,
//! because they take most descriptors that a process may have.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use conniver::{CloseReason, Options, Report, Tracker};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Pairs of connections, each of which takes two descriptors.
const PAIRS: u64 = 9_000;

/// What else a process has open.
const OTHERS: u64 = 100;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests = vec![
        Trial::test("a_hundred_thousand_in_memory", in_memory),
        Trial::test("nine_thousand_pairs_over_loopback", over_loopback)
            .with_ignored_flag(!raise_limit(2 * PAIRS + OTHERS)),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// Allows the process so many descriptors, if it may.
#[cfg(unix)]
fn raise_limit(descriptors: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    limit.current.is_none_or(|current| current >= descriptors)
        || limit.maximum.is_none_or(|maximum| maximum >= descriptors)
            && setrlimit(Resource::Nofile, raised).is_ok()
}

/// Elsewhere nobody has said how many there may be.
#[cfg(not(unix))]
fn raise_limit(_: u64) -> bool {
    false
}

fn in_memory() -> Result<(), Failed> {
    const MANY: u64 = 100_000;

    let tracker = Tracker::new();
    let reports = Arc::new(AtomicU64::new(0));
    let options = Options::new().tracker(&tracker).observer(count(&reports));
    let mut conns = Vec::new();
    for number in 0..MANY {
        let mut conn = options.wrap_opaque(io::sink());
        conn.write_all(&[0; 8][..number as usize % 8])?;
        conns.push(conn);
    }
    same("listed", tracker.connections().len() as u64, MANY)?;
    let written: u64 = (0..MANY).map(|number| number % 8).sum();
    let totals = tracker.totals();
    same("open", (totals.open, totals.tx_bytes), (MANY, written))?;
    drop(conns);
    let totals = tracker.totals();
    same("ended", (totals.open, totals.closed(), totals.tx_bytes), (0, MANY, written))?;
    same("reports", reports.load(Relaxed), MANY)?;
    same("remembered", tracker.ended().len(), 128)
}

fn over_loopback() -> Result<(), Failed> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(live_together())
}

async fn live_together() -> Result<(), Failed> {
    const REQUEST: u64 = 100;
    const ANSWER: u64 = 1000;

    let tracker = Tracker::new();
    let reports = Arc::new(AtomicU64::new(0));
    let options = Options::new().tracker(&tracker).observer(count(&reports));
    let listener =
        options.clone().category("pair").listener(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    let connector = options.category("pair").connector();

    // Each connection is a task, which waits for its peer to end.
    let mut tasks = tokio::task::JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..PAIRS {
        let (client, server) = tokio::join!(connector.connect_tokio(address), listener.accept());
        let (mut client, (mut server, _)) = (client?, server?);
        tasks.spawn(async move {
            server.read_exact(&mut [0; REQUEST as usize]).await?;
            server.write_all(&[0; ANSWER as usize]).await?;
            server.read(&mut [0]).await
        });
        client.write_all(&[0; REQUEST as usize]).await?;
        client.read_exact(&mut [0; ANSWER as usize]).await?;
        clients.push(client);
    }
    same("live", tracker.len() as u64, 2 * PAIRS)?;
    let totals = tracker.totals();
    let moved = PAIRS * (REQUEST + ANSWER);
    same("moved", (totals.tx_bytes, totals.rx_bytes), (moved, moved))?;

    #[cfg(target_os = "linux")]
    same("kernel's received and sent", kernel_totals(&tracker), (moved, moved))?;

    drop(clients);
    while let Some(ended) = tasks.join_next().await {
        same("last read", ended??, 0)?;
    }
    let totals = tracker.totals();
    same("left", (tracker.len(), totals.open), (0, 0))?;
    same("reports", reports.load(Relaxed), 2 * PAIRS)?;
    same("local", totals.closed_by(CloseReason::LocalClose), PAIRS)?;
    same("peers'", totals.closed_by(CloseReason::PeerClose), PAIRS)?;
    same("moved at last", (totals.tx_bytes, totals.rx_bytes), (moved, moved))?;
    same("lived", totals.lived > Duration::ZERO, true)
}

/// Bytes that the kernel received and sent, all connections together.
#[cfg(target_os = "linux")]
fn kernel_totals(tracker: &Tracker) -> (u64, u64) {
    let list = tracker.query(&conniver::Query::new().facts(true));
    let infos = list.iter().filter_map(conniver::Connection::info);
    infos.fold((0, 0), |(received, sent), info| {
        let first_sent = info.tx_bytes().unwrap() - info.retransmitted_bytes().unwrap();
        (received + info.rx_bytes().unwrap(), sent + first_sent)
    })
}

fn count(reports: &Arc<AtomicU64>) -> impl Fn(&Report) + Send + Sync + 'static {
    let reports = Arc::clone(reports);
    move |_| {
        reports.fetch_add(1, Relaxed);
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), Failed> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?} instead of {should:?}").into()) }
}
