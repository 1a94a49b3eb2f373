//! The figures: what each is, what it is to reach, and where it is measured.

use std::fmt::Write as _;

use super::{
    cost::{Cost, Trouble},
    target::{Limit, Target},
};

mod echo;
mod httpstat;
mod hyper;
mod io;
mod kernel;
mod life;
mod lifecycle;
mod list;
mod memory;
mod serve;
mod sockdiag;
mod tracker;
mod watch;

use httpstat::Phase;

pub(super) struct Figure {
    pub(super) name: &'static str,
    /// What is measured, beside what.
    what: &'static str,
    pub(super) unit: Unit,
    pub(super) target: Target,
    pub(super) measure: fn() -> Result<Cost, Trouble>,
}

pub(super) enum Unit {
    Nanoseconds,
    Bytes,
}

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tcpinfo.read",
        what: "native read and three fields; floor: the bare getsockopt",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.05), allocs: Some(0.0) },
        measure: kernel::native_read,
    },
    Figure {
        name: "tcpinfo.portable",
        what: "portable view, nine fields and congestion control; floor: both getsockopts",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.10), allocs: Some(0.0) },
        measure: kernel::portable_read,
    },
    Figure {
        name: "sockdiag.lookup",
        what: "one connection by its addresses and three fields; floor: the bare send and recv",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.10), allocs: Some(0.0) },
        measure: sockdiag::lookup,
    },
    Figure {
        name: "sockdiag.lookup.portable",
        what: "the same with the portable view, nine fields and congestion control",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.15), allocs: Some(0.0) },
        measure: sockdiag::portable,
    },
    Figure {
        name: "sockdiag.lookup.shared",
        what: "the same as the first through what threads share; floor: the bare send and recv",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.15), allocs: Some(0.0) },
        measure: sockdiag::shared,
    },
    Figure {
        name: "sockdiag.dump",
        what: "processor time of a list of 100,000 sockets and every fact of each; floor: receiving it",
        unit: Unit::Nanoseconds,
        // None a socket.
        target: Target { limit: Limit::TimesFloor(1.10), allocs: Some(8.0) },
        measure: sockdiag::dump,
    },
    Figure {
        name: "list",
        what: "conniver list of 100,000 sockets to a file; floor: ss -tinH",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(0.25), allocs: None },
        measure: list::table,
    },
    Figure {
        name: "list.process",
        what: "conniver list --process of 100,000 sockets to a file; floor: ss -tinpH",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(0.10), allocs: None },
        measure: list::with_processes,
    },
    Figure {
        name: "list.memory",
        what: "the most memory of conniver list --format jsonl of 100,000 sockets; floor: of none",
        unit: Unit::Bytes,
        // Where memory lies differs a little from run to run.
        target: Target { limit: Limit::TimesFloor(1.5), allocs: None },
        measure: list::memory,
    },
    Figure {
        name: "serve.scrape",
        what: "processor time of conniver serve for a scrape of 100,000 sockets; floor: listing them",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.20), allocs: None },
        measure: serve::scrape,
    },
    Figure {
        name: "serve.bytes",
        what: "what it answers, with as many groups as there may be; floor: with few",
        unit: Unit::Bytes,
        target: Target { limit: Limit::Bytes(262_144.0), allocs: None },
        measure: serve::bytes,
    },
    Figure {
        name: "life",
        what: "processor time of conniver life for one end at 20,000 connections a second, none lost; \
               floor: taking it from the kernel",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Stated, allocs: None },
        measure: life::life,
    },
    Figure {
        name: "conn.io",
        what: "one read or one write, the worse, over a null stream; floor: the bare call",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::NanosAboveFloor(10.0), allocs: Some(0.0) },
        measure: io::exclusive,
    },
    Figure {
        name: "conn.io.shared",
        what: "the same through a shared reference; floor: the bare call",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::NanosAboveFloor(10.0), allocs: Some(0.0) },
        measure: io::shared,
    },
    Figure {
        name: "conn.io.2threads",
        what: "a thread each way at the same time; floor: one way after the other",
        unit: Unit::Nanoseconds,
        target: Target {
            // "No slower", and what two processors differ.
            limit: Limit::TimesFloor(1.05),
            allocs: Some(0.0),
        },
        measure: io::two_threads,
    },
    Figure {
        name: "conn.echo.std",
        what: "1 KiB there and back over loopback; floor: the same sockets unwrapped",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.01), allocs: Some(0.0) },
        measure: echo::blocking,
    },
    Figure {
        name: "conn.echo.tokio",
        what: "the same between two tasks of a tokio runtime",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.01), allocs: Some(0.0) },
        measure: echo::asynchronous,
    },
    Figure {
        name: "hyper.requests",
        what: "one request and 1 KiB back, tracked, observed, with its handle; floor: the bare one",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.01), allocs: None },
        measure: hyper::requests,
    },
    Figure {
        name: "hyper.exchanges",
        what: "the same with an exchange and the kernel's facts on both sides; floor: the bare one",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.15), allocs: None },
        measure: hyper::exchanges,
    },
    Figure {
        name: "conn.lifecycle",
        what: "wrap and drop with a report; floor: two clock readings and an allocation",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Nanos(150.0), allocs: Some(2.0) },
        measure: lifecycle::without_facts,
    },
    Figure {
        name: "conn.lifecycle.facts",
        what: "the same with kernel facts at both ends; floor: the seven bare system calls",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.15), allocs: None },
        measure: lifecycle::with_facts,
    },
    Figure {
        name: "conn.memory",
        what: "bytes that one wrapped TcpStream takes, on the heap and itself; floor: the limit",
        unit: Unit::Bytes,
        target: Target { limit: Limit::Bytes(memory::LIMIT_BYTES), allocs: None },
        measure: memory::per_connection,
    },
    Figure {
        name: "tracker.churn",
        what: "track and untrack a connection; floor: wrap and drop it without a tracker",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::NanosAboveFloor(100.0), allocs: None },
        measure: tracker::churn,
    },
    Figure {
        name: "tracker.churn.2threads",
        what: "the same by two threads at the same time, an operation; floor: by one",
        unit: Unit::Nanoseconds,
        target: Target {
            // Twice as many operations in the same time, and what two processors differ.
            limit: Limit::TimesFloor(1.05),
            allocs: None,
        },
        measure: tracker::churn_by_two_threads,
    },
    Figure {
        name: "tracker.io",
        what: "one read or one write, the worse, of a tracked connection; floor: of a wrapped one",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::NanosAboveFloor(1.0), allocs: Some(0.0) },
        measure: tracker::io,
    },
    Figure {
        name: "tracker.list",
        what: "a list of 100,000 connections; floor: reading as many pairs of counters by pointer",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Nanos(10_000_000.0), allocs: None },
        measure: tracker::list,
    },
    Figure {
        name: "tracker.list.wait",
        what: "opening or closing a connection while 100,000 are listed, the longest of the median \
               list; floor: the longest without a list",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Nanos(50_000.0), allocs: None },
        measure: tracker::wait,
    },
    Figure {
        name: "tracker.list.facts",
        what: "a list with kernel facts, a connection; floor: both getsockopts of each",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.15), allocs: None },
        measure: tracker::list_with_facts,
    },
    Figure {
        name: "tracker.scrape",
        what: "a scrape of 100,000 connections in four groups, at most 64 KiB of text; floor: the \
               getsockopt of each, and reading its counters by pointer",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(1.20), allocs: None },
        measure: tracker::scrape,
    },
    Figure {
        name: "watch",
        what: "processor time of conniver watch for one refresh of 10,000 sockets, one a second; floor: \
               receiving the same list",
        unit: Unit::Nanoseconds,
        // A twentieth of a processor.
        target: Target { limit: Limit::Nanos(50_000_000.0), allocs: None },
        measure: watch::refresh,
    },
    Figure {
        name: "httpstat.loopback",
        what: "start to exit for one HTTP request; floor: curl -s -o /dev/null",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(0.35), allocs: None },
        measure: httpstat::loopback,
    },
    Figure {
        name: "httpstat.loopback.tls",
        what: "the same over TLS and HTTP/2, with the system's authorities to read; floor: curl",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::TimesFloor(0.35), allocs: None },
        measure: httpstat::loopback_tls,
    },
    Figure {
        name: "httpstat.loopback.go",
        what: "the same as the first; floor: Go's httpstat",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Stated, allocs: None },
        measure: httpstat::loopback_go,
    },
    Figure {
        name: "httpstat.exchange",
        what: "the same as the first; floor: the bare connect, write, reads and close",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Stated, allocs: None },
        measure: httpstat::exchange,
    },
    Figure {
        name: "httpstat.size",
        what: "bytes of the stripped binary; floor: those of curl, without its libraries",
        unit: Unit::Bytes,
        target: Target { limit: Limit::Bytes(6_000_000.0), allocs: None },
        measure: httpstat::size,
    },
    Figure {
        name: "httpstat.memory",
        what: "the most memory of one HTTP/2 request over TLS; floor: of curl",
        unit: Unit::Bytes,
        target: Target { limit: Limit::Stated, allocs: None },
        measure: httpstat::memory,
    },
    Figure {
        name: "httpstat.memory.download",
        what: "the same for a download of 1 GiB; floor: of curl",
        unit: Unit::Bytes,
        target: Target { limit: Limit::Stated, allocs: None },
        measure: httpstat::memory_of_download,
    },
    Figure {
        name: "httpstat.download",
        what: "1 GiB from start to exit, discarded; floor: curl -s -o /dev/null",
        unit: Unit::Nanoseconds,
        target: Target { limit: DOWNLOAD, allocs: None },
        measure: httpstat::download,
    },
    Figure {
        name: "httpstat.download.tls",
        what: "the same over TLS; floor: curl",
        unit: Unit::Nanoseconds,
        target: Target { limit: DOWNLOAD, allocs: None },
        measure: httpstat::download_tls,
    },
    Figure {
        name: "httpstat.download.http2",
        what: "the same over TLS and HTTP/2; floor: curl",
        unit: Unit::Nanoseconds,
        target: Target { limit: DOWNLOAD, allocs: None },
        measure: httpstat::download_http2,
    },
    Figure {
        name: "httpstat.accuracy.tls",
        what: "the TLS handshake with a slow server, as httpstat reports it; floor: by the clock of the server",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Clock, allocs: None },
        measure: || httpstat::accuracy(Phase::Tls),
    },
    Figure {
        name: "httpstat.accuracy.server",
        what: "the wait for its first byte, as httpstat reports it; floor: by the clock of the server",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Clock, allocs: None },
        measure: || httpstat::accuracy(Phase::Server),
    },
    Figure {
        name: "httpstat.accuracy.transfer",
        what: "the time until its last byte, as httpstat reports it; floor: by the clock of the server",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Clock, allocs: None },
        measure: || httpstat::accuracy(Phase::Transfer),
    },
    Figure {
        name: "httpstat.accuracy.total",
        what: "all from the connection on, as httpstat reports it; floor: by the clock of the server",
        unit: Unit::Nanoseconds,
        target: Target { limit: Limit::Clock, allocs: None },
        measure: || httpstat::accuracy(Phase::Total),
    },
];

/// 0.95 times the throughput.
const DOWNLOAD: Limit = Limit::TimesFloor(1.0 / 0.95);

/// How to read the figures, and what each is, for `--help`.
pub(super) fn help() -> String {
    let mut help = String::from(
        "\
Each figure runs in turn with its floor, the work that cannot be avoided, in
many short rounds. The floor is the median of its rounds; the ratio is the
median of the rounds' ratios, so that what disturbs the machine for longer than
a round disturbs both; and the figure is the one times the other.

ns and floor_ns are nanoseconds an operation; for conn.memory, httpstat.size and
httpstat.memory they are bytes. Half of the rounds had a ratio within the
quartiles. Allocations are counted by the program's allocator, growing one
included; they are absent where another process does the work.

Figures:
",
    );
    for Figure { name, what, target, .. } in FIGURES {
        let _ = writeln!(help, "  {name}\n      {what}\n      target: {target}");
    }
    help
}
