use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use tcpinfo::Packed;

use crate::{
    CloseReason, Failure, Handle, Observer, Report, Snapshot, Tracker,
    block::Block,
    clock,
    close::Close,
    observer::tell,
    options::Shared,
    reason::{Evidence, Kernel},
    report::Remains,
    tracker::{Left, Place},
};

#[cfg(all(test, conniver_loom))]
mod models;
mod std_io;
#[cfg(feature = "tokio")]
mod tokio_io;
#[cfg(feature = "tokio")]
mod tokio_split;
#[cfg(feature = "tokio")]
mod tokio_tcp;

#[cfg(feature = "tokio")]
pub use tokio_split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};

/// Asks a stream's socket for its kernel facts; of a connection that is about to end also for what
/// says why it ends.
pub(crate) type Probe<S> =
    fn(&S, ending: Option<&Block>) -> (Result<Packed, tcpinfo::Error>, Kernel);

/// A stream that records what happens on it and is reported once when it ends.
///
/// It reads and writes as the bare stream does: `std::io::Read` and `Write` (also through `&Conn`,
/// so that one thread reads while another writes), and with feature `tokio` its asynchronous
/// counterparts. Nothing is allocated, locked or logged for a read or write that moves bytes; only an
/// error takes a lock and an allocation, and so does, once, a second thread that moves bytes in the
/// same direction through `&Conn`. That thread pays about 20 ns an operation more than the first.
///
/// Bytes that are moved past the wrapper, through the stream or descriptor that it lends (`sendfile`,
/// `splice`, [`get_ref`](Self::get_ref)), are not counted; [`Report::kernel_tx_bytes`] and
/// [`Report::kernel_rx_bytes`] show them.
///
/// When the wrapper is dropped, the kernel is asked once more, the stream is closed, and the
/// [observers](crate::Observer) get the [`Report`].
///
/// ```
/// use std::{io::{Read, Write}, net::{TcpListener, TcpStream}};
/// use conniver::Options;
///
/// let (observer, reports) = conniver::report_channel(16);
/// let options = Options::new().observer(observer);
///
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let mut client = options.wrap(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
/// let (mut server, _) = listener.accept().unwrap();
///
/// client.write_all(b"ping").unwrap();
/// server.read_exact(&mut [0; 4]).unwrap();
/// drop(client);
///
/// let report = reports.recv().unwrap();
/// assert_eq!(report.tx_bytes, 4);
/// ```
pub struct Conn<S> {
    /// Empty only while the wrapper is being taken apart.
    stream: Option<S>,
    watch: Watch<S>,
}

#[expect(clippy::expect_used, reason = "the stream is there until the wrapper is consumed")]
impl<S> Conn<S> {
    #[inline]
    pub(crate) fn new(stream: S, block: Block, probe: Option<Probe<S>>, options: Shared) -> Self {
        let watch = Watch::begin(block, probe, options);
        let conn = Self { stream: Some(stream), watch };
        tell(&conn.watch.options, |observer| observer.opened(&conn.watch.handle));
        conn
    }

    /// A handle to look at this connection from elsewhere.
    pub fn handle(&self) -> Handle {
        self.watch.handle.clone()
    }

    /// The connection as it is now: counts, times and errors, without asking the kernel.
    pub fn snapshot(&self) -> Snapshot {
        self.watch.handle.snapshot()
    }

    /// Sets how many attempts failed before this connection was made; the report says so.
    pub fn set_reconnects(&self, reconnects: u32) {
        self.watch.handle.set_reconnects(reconnects);
    }

    /// The stream itself. Bytes moved through it are not counted.
    pub fn get_ref(&self) -> &S {
        self.stream.as_ref().expect(WHOLE)
    }

    /// Gives the stream back, still open, with the report that the observers then do not get.
    pub fn into_inner(mut self) -> (S, Report) {
        self.block().close_slot();
        let mut report = Report::begin(self.block());
        if let Some(probe) = self.watch.probe {
            let (info, _) = probe(self.get_ref(), None);
            if let Ok(info) = &info {
                self.block().slot.count_as(&info.unpack());
            }
            report.last.set_info(info);
        }
        let stream = self.take_stream();
        report.finish(CloseReason::GivenBack);
        self.watch.leave_tracker(&report);
        (stream, report)
    }

    /// Closes the connection and gives what the operating system said to it, which a drop cannot.
    ///
    /// The report goes to the observers, as after a drop, and holds the error too.
    ///
    /// # Errors
    ///
    /// The stream's own, from [`Close`].
    pub fn close(mut self) -> io::Result<()>
    where
        S: Close,
    {
        self.end(Close::close)
    }

    /// The two that every read and write needs.
    #[inline]
    fn parts(&mut self) -> (&mut S, &Watch<S>) {
        (self.stream.as_mut().expect(WHOLE), &self.watch)
    }

    fn sample_before_shutdown(&self) {
        self.watch.sample_before_shutdown(self.get_ref());
    }

    #[inline]
    fn block(&self) -> &Arc<Block> {
        self.watch.block()
    }

    /// Takes the wrapper apart: what is left of it ends without a report.
    fn take_stream(&mut self) -> S {
        self.stream.take().expect(WHOLE)
    }

    fn end(&mut self, close: impl FnOnce(S) -> io::Result<()>) -> io::Result<()> {
        match self.stream.take() {
            Some(stream) => self.watch.end(stream, |stream| stream, close),
            None => Ok(()),
        }
    }
}

impl<S> Drop for Conn<S> {
    fn drop(&mut self) {
        let closed = self.end(|stream| {
            drop(stream);
            Ok(())
        });
        debug_assert!(closed.is_ok(), "dropping a stream gives no error");
    }
}

impl<S> fmt::Debug for Conn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.watch.handle.id())
            .field("local_addr", &self.watch.handle.local_addr())
            .field("remote_addr", &self.watch.handle.remote_addr())
            .finish_non_exhaustive()
    }
}

#[cfg(unix)]
impl<S: std::os::fd::AsFd> std::os::fd::AsFd for Conn<S> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

#[cfg(unix)]
impl<S: std::os::fd::AsRawFd> std::os::fd::AsRawFd for Conn<S> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.get_ref().as_raw_fd()
    }
}

#[cfg(windows)]
impl<S: std::os::windows::io::AsSocket> std::os::windows::io::AsSocket for Conn<S> {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.get_ref().as_socket()
    }
}

#[cfg(windows)]
impl<S: std::os::windows::io::AsRawSocket> std::os::windows::io::AsRawSocket for Conn<S> {
    fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
        self.get_ref().as_raw_socket()
    }
}

/// Everything of a connection but its stream: what records it, asks it and tells of it.
struct Watch<S> {
    handle: Handle,
    probe: Option<Probe<S>>,
    options: Shared,
    /// Where the tracker has it, if there is one.
    place: Option<Place>,
    /// Whether an observer wants to know of every read and write.
    watches_io: bool,
}

impl<S> Watch<S> {
    #[inline(always)]
    fn begin(mut block: Block, probe: Option<Probe<S>>, options: Shared) -> Self {
        block.group = options.group();
        let block = Arc::new(block);
        let place = options.tracked_by().map(|tracker| tracker.begin(&block));
        let watches_io = options.watches_io();
        Self { handle: Handle::new(block), probe, options, place, watches_io }
    }

    /// Counts what a read into `room` bytes through `&mut` did, and tells of it.
    #[inline]
    fn received(&self, room: usize, result: &io::Result<usize>) {
        self.block().received(room, result);
        self.tell_read(result.as_ref().copied());
    }

    /// The same of a read through `&`, which another thread may do at the same time.
    #[inline]
    fn received_shared(&self, room: usize, result: &io::Result<usize>) {
        self.block().received_shared(room, result);
        self.tell_read(result.as_ref().copied());
    }

    /// Counts what a write through `&mut` did, and tells of it.
    #[inline]
    fn sent(&self, result: &io::Result<usize>) {
        self.block().sent(result);
        self.tell_wrote(result.as_ref().copied());
    }

    /// The same of a write through `&`, which another thread may do at the same time.
    #[inline]
    fn sent_shared(&self, result: &io::Result<usize>) {
        self.block().sent_shared(result);
        self.tell_wrote(result.as_ref().copied());
    }

    #[inline]
    fn tell_read(&self, result: Result<usize, &io::Error>) {
        if self.watches_io {
            self.tell_io(result, |observer| observer.read(&self.handle, result));
        }
    }

    #[inline]
    fn tell_wrote(&self, result: Result<usize, &io::Error>) {
        if self.watches_io {
            self.tell_io(result, |observer| observer.wrote(&self.handle, result));
        }
    }

    /// What only says that the caller has to wait or to ask again is nothing to tell.
    #[cold]
    fn tell_io(&self, result: Result<usize, &io::Error>, event: impl Fn(&dyn Observer)) {
        let again = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
        if result.is_err_and(|error| again.contains(&error.kind())) {
            return;
        }
        tell(&self.options, |observer| {
            if observer.wants_io() {
                event(observer);
            }
        });
    }

    /// The tracker, and where it has the connection.
    fn tracked(&self) -> Option<(&Tracker, Place)> {
        self.options.tracked_by().zip(self.place)
    }

    /// Tells the tracker that the connection is over.
    fn leave_tracker(&self, report: &Report) {
        if let Some((tracker, place)) = self.tracked() {
            tracker.end(place, self.block(), report.reason, Left::Info(report.last.packed_info()));
        }
    }

    #[inline]
    fn block(&self) -> &Arc<Block> {
        self.handle.block()
    }

    /// The end of a connection.
    fn end<T>(
        &self,
        stream: T,
        lend: impl FnOnce(&T) -> &S,
        close: impl FnOnce(T) -> io::Result<()>,
    ) -> io::Result<()> {
        // First of all: from here on the socket may close at any moment.
        self.block().close_slot();
        if !self.options.observers().is_empty() {
            return self.end_observed(stream, lend, close);
        }
        match self.tracked() {
            Some(tracked) => self.end_tracked(tracked, stream, lend, close),
            None => {
                let closed = close(stream);
                self.block().end(clock::precise());
                closed
            }
        }
    }

    /// In this order: facts, `closing`, the close itself, `closed`. Whatever panics on the way, the
    /// report goes out.
    fn end_observed<T>(
        &self,
        stream: T,
        lend: impl FnOnce(&T) -> &S,
        close: impl FnOnce(T) -> io::Result<()>,
    ) -> io::Result<()> {
        let block = self.block();
        let mut report = Report::begin(block);
        let mut evidence = Evidence::of(block);
        let closed = catch_unwind(AssertUnwindSafe(|| {
            let last = &mut report.last;
            if let Some(probe) = self.probe {
                let (info, kernel) = probe(lend(&stream), Some(block));
                last.set_info(info);
                evidence.kernel = kernel;
            }
            tell(&self.options, |observer| observer.closing(last));
            close(stream)
        }));
        if let Ok(Err(error)) = &closed {
            report.close_err = Some(Failure::from(error));
        }
        report.finish(evidence.reason(report.rx_err.as_ref(), report.tx_err.as_ref()));
        self.leave_tracker(&report);
        tell(&self.options, |observer| observer.closed(&report));
        if let Some(tracker) = self.options.tracked_by() {
            tracker.remember(Remains::from(report));
        }
        closed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The same where nobody is told: no report is made before somebody asks the tracker for it.
    fn end_tracked<T>(
        &self,
        (tracker, place): (&Tracker, Place),
        stream: T,
        lend: impl FnOnce(&T) -> &S,
        close: impl FnOnce(T) -> io::Result<()>,
    ) -> io::Result<()> {
        let block = self.block();
        let mut remains = Remains::of(block);
        let mut evidence = Evidence::of(block);
        let closed = catch_unwind(AssertUnwindSafe(|| {
            if let Some(probe) = self.probe {
                let (info, kernel) = probe(lend(&stream), Some(block));
                remains.set_info(info);
                evidence.kernel = kernel;
            }
            close(stream)
        }));
        if let Ok(Err(error)) = &closed {
            remains.set_close_err(error);
        }
        block.end(clock::precise());
        let failures = block.failures();
        remains.reason = evidence.reason(failures.rx.as_ref(), failures.tx.as_ref());
        tracker.end(place, block, remains.reason, Left::Remains(remains));
        closed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Asks the kernel once, before our side is shut down and the state that the connection was in
    /// is gone. If the facts cannot be had, the close will say why.
    fn sample_before_shutdown(&self, stream: &S) {
        let block = self.block();
        let Some(probe) = self.probe.filter(|_| block.shutdown_info().is_none()) else { return };
        if let (Ok(info), _) = probe(stream, None) {
            let _ = block.rare().shutdown_info.set(info);
        }
    }
}

// Derived, it would ask for streams that can be cloned.
impl<S> Clone for Watch<S> {
    fn clone(&self) -> Self {
        let Self { handle, probe, options, place, watches_io } = self;
        Self {
            handle: handle.clone(),
            probe: *probe,
            options: Arc::clone(options),
            place: *place,
            watches_io: *watches_io,
        }
    }
}

impl<S> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.handle.id()).finish()
    }
}

/// Why a stream is there whenever it is asked for.
const WHOLE: &str = "only methods that consume the wrapper take the stream out";
