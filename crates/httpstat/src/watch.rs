//! Asks the kernel about a connection while others use it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use conniver::{Handle, Report};

use crate::samples::{Facts, History, Moment, Sample};

/// The watch over one connection for the time of one request. Clones watch the same.
///
/// It works in the event loop of the request, between two steps of it, and needs no thread: a
/// reading takes a few microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    handle: Option<Handle>,
    /// When the watch began, and how old the connection was.
    begun: Option<(Instant, Duration)>,
    history: History,
    /// When the next sample shall be taken.
    due: Option<Instant>,
}

impl Watch {
    /// With a sample every `interval` once there is a connection, or at the moments only.
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        let history = History::new(interval);
        Self(Arc::new(Mutex::new(Watched { history, ..Watched::default() })))
    }

    /// From now on this connection is watched.
    pub(crate) fn begin(&self, handle: Handle) {
        self.with(|watched| {
            let age = handle.snapshot().taken_at.since(handle.opened_at());
            // What was seen of a connection that ended too soon is not this one's history.
            watched.history = History::new(watched.history.interval());
            watched.begun = Some((Instant::now(), age));
            watched.handle = Some(handle);
            watched.schedule();
            watched.note(Moment::Connect);
        });
    }

    /// Notes what is known at a moment, if the connection is there and the moment new.
    pub(crate) fn note(&self, moment: Moment) {
        self.with(|watched| watched.note(moment));
    }

    /// What was seen until now. Of a connection that ended before anybody could ask, the report has
    /// the last facts.
    pub(crate) fn history(&self, report: Option<&Report>) -> History {
        self.with(|watched| {
            let mut history = watched.history.clone();
            let closed = report.and_then(|report| Some((report, report.closed_info()?)));
            if let (Some((report, info)), Some((begun, age))) = (closed, watched.begun) {
                let at = begun + report.duration().saturating_sub(age);
                let facts = Facts::of(&info, report.rx_bytes, report.tx_bytes);
                history.note(Moment::End, Sample { at, facts });
            }
            history
        })
    }

    /// Does the work, and takes samples beside it.
    ///
    /// A busy event loop looks at its clock only now and then; so a sample is also taken when the
    /// work comes by and one is due.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        let mut set_to = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            loop {
                let Some(due) = self.with(Watched::take_due) else { return Poll::Pending };
                if set_to != Some(due) {
                    alarm.as_mut().reset(due.into());
                    set_to = Some(due);
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                set_to = None;
            }
        })
        .await
    }

    fn with<T>(&self, work: impl FnOnce(&mut Watched) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watched {
    /// Takes a sample if one is due, and says when the next will be.
    fn take_due(&mut self) -> Option<Instant> {
        if self.due? <= Instant::now() {
            match self.read() {
                Some(sample) => {
                    self.history.push(sample);
                    self.schedule();
                }
                // It is over, or this system tells nothing.
                None => self.due = None,
            }
        }
        self.due
    }

    fn schedule(&mut self) {
        self.due = self.history.interval().map(|interval| Instant::now() + interval);
    }

    fn note(&mut self, moment: Moment) {
        if self.history.has(moment) {
            return;
        }
        if let Some(sample) = self.read() {
            self.history.note(moment, sample);
        }
    }

    fn read(&self) -> Option<Sample> {
        let handle = self.handle.as_ref()?;
        let info = handle.tcp_info()?.ok()?;
        let facts = Facts::of(&info, handle.rx_bytes(), handle.tx_bytes());
        Some(Sample { at: Instant::now(), facts })
    }
}
