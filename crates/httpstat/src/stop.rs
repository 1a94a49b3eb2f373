//! What ends a wait before its time: a limit, or a signal.
//!
//! Signals are taken over so that even then what is known is shown and no partial file is left. From
//! that moment on nothing else acts on them, and so everything that may take long must heed them.
//! SIGHUP is left alone, because taking it over would undo `nohup`.

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
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupted,
            _ = self.terminate.recv() => Stop::Terminated,
        }
    }

    #[cfg(windows)]
    async fn signal(&mut self) -> Stop {
        self.interrupt.recv().await;
        Stop::Interrupted
    }
}
