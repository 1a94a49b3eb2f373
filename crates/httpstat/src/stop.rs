//! What ends a wait before its time: a limit, or a signal.
//!
//! Signals are taken over so that even then what is known is shown and no partial file is left. From
//! that moment on nothing else acts on them, and so everything that may take long must heed them.
//! SIGHUP is left alone where it was ignored from the start, because taking it over would undo
//! `nohup`; so it is where that cannot be found out.

use std::{io, time::Duration};

use tokio::time::Instant;

use crate::{
    error::{Error, Kind},
    units,
};

/// Why work was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Late {
        limit: Duration,
        option: &'static str,
    },
    Interrupted,
    #[cfg(unix)]
    Terminated,
    #[cfg(unix)]
    HungUp,
}

impl Stop {
    /// The failure of whatever did not happen in time.
    pub(crate) fn error(self, what: &str) -> Error {
        let (kind, when) = match self {
            Self::Late { limit, option } => {
                (Kind::Timeout, format!("within {} ({option})", units::time(limit)))
            }
            Self::Interrupted => (Kind::Interrupted, "before Ctrl-C".to_owned()),
            #[cfg(unix)]
            Self::Terminated => (Kind::Terminated, "before SIGTERM".to_owned()),
            #[cfg(unix)]
            Self::HungUp => (Kind::HungUp, "before SIGHUP".to_owned()),
        };
        Error::new(kind, format!("{what} {when}"))
    }
}

/// Listens from its creation on.
#[derive(Debug)]
pub(crate) struct Stops {
    limit: Option<Duration>,
    begun: Instant,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Absent if it is left alone.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Stops {
    /// With the limit of `--max-time`, counted from now.
    #[cfg(unix)]
    pub(crate) fn new(limit: Option<Duration>) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            limit,
            begun: Instant::now(),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: heeds_hang_up().then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    #[cfg(windows)]
    pub(crate) fn new(limit: Option<Duration>) -> io::Result<Self> {
        Ok(Self { limit, begun: Instant::now(), interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Counts the limit from now on.
    pub(crate) fn restart(&mut self) {
        self.begun = Instant::now();
    }

    /// Does nothing for some time, however long the limit is.
    pub(crate) async fn pause(&mut self, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            stop = self.signal() => Err(stop),
        }
    }

    /// Does the work, unless something stops it.
    pub(crate) async fn heeded_by<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let limit = self.limit.unwrap_or(Duration::MAX);
        let left = limit.saturating_sub(self.begun.elapsed());
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = tokio::time::sleep(left) => Err(Stop::Late { limit, option: "--max-time" }),
            stop = self.signal() => Err(stop),
        }
    }

    #[cfg(unix)]
    async fn signal(&mut self) -> Stop {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupted,
            _ = self.terminate.recv() => Stop::Terminated,
            _ = hang_up => Stop::HungUp,
        }
    }

    #[cfg(windows)]
    async fn signal(&mut self) -> Stop {
        self.interrupt.recv().await;
        Stop::Interrupted
    }
}

/// Whether SIGHUP would have ended this process; asked once, before it is taken over.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn heeds_hang_up() -> bool {
    use std::{fs, sync::LazyLock};

    static HEEDS: LazyLock<bool> = LazyLock::new(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        ignored_signals(&status).is_some_and(|ignored| ignored & 1 == 0)
    });
    *HEEDS
}

/// The set of signals that are ignored; SIGHUP, number 1, is its lowest bit.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn ignored_signals(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Other systems tell it to unsafe code only.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn heeds_hang_up() -> bool {
    false
}
