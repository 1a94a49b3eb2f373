use std::{fmt, io, sync::Arc};

use tcpinfo::Packed;

use crate::{
    Failure, Handle, Options, Report, Snapshot, block::Block, clock, close::Close, observer::tell,
};

mod std_io;
#[cfg(feature = "tokio")]
mod tokio_io;
#[cfg(feature = "tokio")]
mod tokio_split;
#[cfg(feature = "tokio")]
mod tokio_tcp;

#[cfg(feature = "tokio")]
pub use tokio_split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};

/// Asks a stream's socket for its kernel facts.
pub(crate) type Probe<S> = fn(&S) -> Result<Packed, tcpinfo::Error>;

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
    pub(crate) fn new(stream: S, block: Block, probe: Option<Probe<S>>, options: Options) -> Self {
        let watch = Watch { handle: Handle::new(Arc::new(block)), probe, options };
        tell(&watch.options, |observer| observer.opened(&watch.handle));
        Self { stream: Some(stream), watch }
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
        let mut report = Report::begin(self.block());
        report.last.ask(self.watch.probe, self.get_ref());
        report.finish();
        (self.take_stream(), report)
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

    #[inline]
    fn stream_and_watch(&mut self) -> (&mut S, &Watch<S>) {
        (self.stream.as_mut().expect(WHOLE), &self.watch)
    }

    /// The two that every read and write needs.
    #[inline]
    fn parts(&mut self) -> (&mut S, &Block) {
        let (stream, watch) = self.stream_and_watch();
        (stream, watch.block())
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
    options: Options,
}

impl<S> Watch<S> {
    #[inline]
    fn block(&self) -> &Arc<Block> {
        self.handle.block()
    }

    /// The end of a connection, in this order: facts, `closing`, the close itself, `closed`.
    fn end<T>(
        &self,
        stream: T,
        lend: impl FnOnce(&T) -> &S,
        close: impl FnOnce(T) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.options.observers().is_empty() {
            let closed = close(stream);
            self.block().end(clock::precise());
            return closed;
        }
        let mut ending = Ending { options: &self.options, report: Report::begin(self.block()) };
        ending.report.last.ask(self.probe, lend(&stream));
        tell(&self.options, |observer| observer.closing(&ending.report.last));
        let closed = close(stream);
        ending.report.close_err = closed.as_ref().err().map(Failure::from);
        closed
    }

    /// Asks the kernel once, before our side is shut down and the state that the connection was in
    /// is gone. If the facts cannot be had, the close will say why.
    fn sample_before_shutdown(&self, stream: &S) {
        let shutdown_info = &self.block().shutdown_info;
        let Some(probe) = self.probe.filter(|_| shutdown_info.get().is_none()) else { return };
        if let Ok(info) = probe(stream) {
            let _ = shutdown_info.set(info);
        }
    }
}

// Derived, it would ask for streams that can be cloned.
impl<S> Clone for Watch<S> {
    fn clone(&self) -> Self {
        let Self { handle, probe, options } = self;
        Self { handle: handle.clone(), probe: *probe, options: options.clone() }
    }
}

impl<S> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.handle.id()).finish()
    }
}

/// Tells the observers of the end when it is dropped: also if asking or closing the stream panics.
struct Ending<'a> {
    options: &'a Options,
    report: Report,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.report.finish();
        tell(self.options, |observer| observer.closed(&self.report));
    }
}

/// Why a stream is there whenever it is asked for.
const WHOLE: &str = "only methods that consume the wrapper take the stream out";
