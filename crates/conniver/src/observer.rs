use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{FailedConn, Handle, Report, Snapshot, options::Shared};

/// Is told when connections open and end.
///
/// The calls are made on the thread that opens or drops the connection, so they must not block; for
/// work that takes time see [`report_channel`]. A panic is contained and counted
/// ([`Options::observer_panics`](crate::Options::observer_panics)). An observer never sees the stream itself.
///
/// A closure is an observer of [`closed`](Self::closed).
///
/// ```
/// use conniver::{Handle, Observer, Report};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn opened(&self, conn: &Handle) {
///         println!("open: {:?}", conn.remote_addr());
///     }
///
///     fn closed(&self, report: &Report) {
///         println!("closed: {report}");
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Right after a stream was wrapped. The handle may be kept to look at the connection later.
    fn opened(&self, conn: &Handle) {
        let _ = conn;
    }

    /// A connection did not come about: a [`Connector`](crate::Connector) could not make it, or a
    /// [`Listener`](crate::Listener) not accept it.
    fn failed(&self, failed: &FailedConn) {
        let _ = failed;
    }

    /// After each read, if [`wants_io`](Self::wants_io): how many bytes came (zero at the end of the
    /// stream), or why none did. A read that has to wait is told when it is done.
    fn read(&self, conn: &Handle, result: Result<usize, &io::Error>) {
        let _ = (conn, result);
    }

    /// After each write, if [`wants_io`](Self::wants_io): how many bytes went, or why none did.
    fn wrote(&self, conn: &Handle, result: Result<usize, &io::Error>) {
        let _ = (conn, result);
    }

    /// Whether [`read`](Self::read) and [`wrote`](Self::wrote) are to be called. Must always
    /// answer the same. Default: no, and then a read or write costs nothing more.
    fn wants_io(&self) -> bool {
        false
    }

    /// Right before the descriptor closes, with the facts of this moment.
    fn closing(&self, conn: &Snapshot) {
        let _ = conn;
    }

    /// Right after the descriptor closed: the connection's one report.
    fn closed(&self, report: &Report) {
        let _ = report;
    }
}

impl<F: Fn(&Report) + Send + Sync + 'static> Observer for F {
    fn closed(&self, report: &Report) {
        self(report);
    }
}

/// Makes an observer that hands reports to another thread, and the end at which they arrive.
///
/// At most `capacity` reports wait; without any, only a consumer that is waiting at that moment gets
/// one. A report that finds no room, or nobody at the other end, is dropped and counted, so that a
/// slow consumer never holds up a close.
///
/// ```
/// use conniver::{Options, report_channel};
///
/// let (observer, reports) = report_channel(1024);
/// let options = Options::new().observer(observer.clone());
///
/// drop(options.wrap_opaque(std::io::empty()));
/// assert_eq!(reports.recv().unwrap().rx_bytes, 0);
/// assert_eq!(observer.dropped(), 0);
/// ```
pub fn report_channel(capacity: usize) -> (ReportSender, Receiver<Report>) {
    let (sender, receiver) = sync_channel(capacity);
    (ReportSender { sender, dropped: Arc::default() }, receiver)
}

/// The observer's end of [`report_channel`].
#[derive(Clone)]
pub struct ReportSender {
    sender: SyncSender<Report>,
    dropped: Arc<AtomicU64>,
}

impl ReportSender {
    /// How many reports found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Observer for ReportSender {
    fn closed(&self, report: &Report) {
        if self.sender.try_send(report.clone()).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl fmt::Debug for ReportSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportSender").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// Tells every observer, and keeps each one's panic from the others and from the caller.
pub(crate) fn tell(options: &Shared, event: impl Fn(&dyn Observer)) {
    for observer in options.observers() {
        if !is_completed(|| event(&**observer)) {
            options.count_observer_panic();
        }
    }
}

/// Runs the caller's code and keeps its panic from everybody else; whether there was none.
pub(crate) fn is_completed(run: impl FnOnce()) -> bool {
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else { return true };
    // Dropping the payload runs the caller's code, which can panic once more.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    false
}
