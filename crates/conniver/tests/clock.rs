//! A wall clock that is set while connections live.
//!
//! The clock is the whole machine's, so this runs only when it is asked for, with the right to set
//! it: `CONNIVER_SET_CLOCK=1 cargo test -p conniver --test clock`. It goes an hour ahead for some
//! milliseconds, and back by exactly as much.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

use conniver::{Options, Query, Tracker, Watchdog, report_channel};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let may_run = std::env::var_os("CONNIVER_SET_CLOCK").is_some() && shift(Shift::Nowhere).is_ok();
    let trial = Trial::test("times_stay_true_when_the_wall_clock_is_set", || {
        times_stay_true();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial.with_ignored_flag(!may_run)]).exit();
}

/// The clock, an hour ahead while this lives.
struct Ahead;

impl Ahead {
    fn begin() -> Self {
        shift(Shift::Ahead).expect("it could be set a moment ago");
        Self
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        shift(Shift::Back).expect("what could be set can be set back");
    }
}

#[derive(Clone, Copy)]
enum Shift {
    Nowhere,
    Ahead,
    Back,
}

#[cfg(target_os = "linux")]
fn shift(to: Shift) -> io::Result<()> {
    // SAFETY: all zeroes is a value of this structure of numbers.
    let mut change: libc::timex = unsafe { std::mem::zeroed() };
    change.modes = libc::ADJ_SETOFFSET;
    // Numbers of as many bits as the system's seconds have.
    change.time.tv_sec = match to {
        Shift::Nowhere => 0,
        Shift::Ahead => 3600,
        Shift::Back => -3600,
    };
    // SAFETY: the structure lives through the call.
    match unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &raw mut change) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn shift(_: Shift) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn times_stay_true() {
    const SHORT: Duration = Duration::from_secs(60);

    let tracker = Tracker::new();
    let (observer, reports) = report_channel(8);
    let options = Options::new().tracker(&tracker).observer(observer);
    let mut watchdog = Watchdog::new(&tracker).idle(SHORT);
    let mut before = options.wrap_opaque(Vec::new());
    let mark = before.handle().mark();
    before.write_all(b"one").unwrap();
    assert!(watchdog.look().is_empty());

    let wall = SystemTime::now();
    let ahead = Ahead::begin();
    assert!(wall.elapsed().unwrap() > SHORT, "the clock was set");
    before.write_all(b"two").unwrap();
    let mut during = options.wrap_opaque(Vec::new());
    during.write_all(b"one").unwrap();
    assert!(mark.difference().took < SHORT);
    assert!(watchdog.look().is_empty(), "nobody was idle for an hour");
    for conn in tracker.query(&Query::new()) {
        assert!(conn.age() < SHORT && conn.idle() < SHORT, "{conn:?}");
    }
    drop(before);
    drop(ahead);

    during.write_all(b"two").unwrap();
    drop(during);
    let (before, during) = (reports.recv().unwrap(), reports.recv().unwrap());
    for report in [&before, &during] {
        let [opened, first, last, closed] =
            [Some(report.opened_at), report.first_tx_at, report.last_tx_at, Some(report.closed_at)]
                .map(Option::unwrap);
        assert!(opened <= first && first <= closed, "{report:?}");
        assert!(closed.since(opened) < SHORT && last.since(opened) < SHORT, "{report:?}");
    }
    // What the wall clock said when it was opened, right or wrong.
    let apart = during.opened_at.since(before.opened_at);
    assert!(apart > Duration::from_secs(3500), "{apart:?}");
    assert!(tracker.totals().lived < SHORT);
}
