//! Times of the first and last bytes, taken between HTTP and what carries it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::{frames::Frames, samples::Moment, watch::Watch};

/// What was observed of one exchange, shared between the stream, the request body and the reader of
/// the result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamps(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// How many exchanges the connection has carried before this one.
    round: AtomicU32,
}

/// The observations themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The last byte of the request was handed down: the moment before, because the server may be
    /// at work before the call returns, and its time must not count as ours.
    pub(crate) request_sent: Option<Instant>,
    /// The first byte of the response arrived. Interim responses do not count once it is known that
    /// they were such.
    pub(crate) first_byte: Option<Instant>,
    /// The first bytes that came back, whatever they are: a few, for an error message.
    pub(crate) beginning: Vec<u8>,
    /// How reading ended, if it did.
    pub(crate) read: Option<End>,
    /// Why writing failed, if it did.
    pub(crate) write_error: Option<Arc<io::Error>>,
    /// Why the request body could not be read, where HTTP does not report it.
    pub(crate) payload_error: Option<Arc<io::Error>>,
    /// Bytes of the request handed down, head and framing included.
    pub(crate) written: u64,
    /// Bytes of the response body.
    pub(crate) body_received: u64,
    /// HTTP has taken the whole request body.
    payload_taken: bool,
    /// HTTP has understood the response head.
    head_understood: bool,
    last_write: Option<Instant>,
    /// The last piece of the response head arrived.
    last_read: Option<Instant>,
    /// Asks the kernel at the first byte.
    watch: Watch,
    /// HTTP knows that the server has not looked at the request.
    refused: bool,
}

impl Seen {
    /// Whether the connection ended without a word about the request, as one does that the server
    /// closes while the request is on its way.
    pub(crate) fn came_too_late(&self) -> bool {
        let is_over = self.read.is_some() || self.write_error.is_some() || !self.may_have_acted();
        self.first_byte.is_none() && is_over
    }

    /// Whether the server may have acted upon the request.
    pub(crate) fn may_have_acted(&self) -> bool {
        self.last_write.is_some() && !self.refused
    }
}

/// How reading ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The peer closed. Over TLS also without the closing alert.
    Closed,
    /// Given up: far more came than any response head is long.
    Excessive,
    Failed(Arc<io::Error>),
}

impl Stamps {
    pub(crate) fn seen(&self) -> Seen {
        self.with(|seen| seen.clone())
    }

    /// Lets this watch know of the first byte.
    pub(crate) fn watched_by(&self, watch: &Watch) {
        self.with(|seen| seen.watch = watch.clone());
    }

    /// Begins anew, for the next exchange over the same connection.
    pub(crate) fn renew(&self) {
        self.with(|seen| *seen = Seen::default());
        self.0.round.fetch_add(1, Relaxed);
    }

    /// What was observed, out of the reach of the next exchange.
    pub(crate) fn detached(&self) -> Self {
        Self(Arc::new(Shared { seen: Mutex::new(self.seen()), round: AtomicU32::default() }))
    }

    /// Notes that no more of the request body will come.
    pub(crate) fn payload_taken(&self) {
        self.with(|seen| seen.payload_taken = true);
    }

    /// Notes that the server has not looked at the request, and said so.
    pub(crate) fn refused(&self) {
        self.with(|seen| seen.refused = true);
    }

    /// Notes that the request body could not be read to its end.
    pub(crate) fn payload_failed(&self, why: Arc<io::Error>) {
        self.with(|seen| seen.payload_error = Some(why));
    }

    /// Notes that what came until now was an interim response.
    pub(crate) fn interim(&self) {
        self.with(|seen| {
            seen.first_byte = None;
            seen.watch.forget(Moment::FirstByte);
        });
    }

    /// Notes that the last byte of the request is about to be handed down.
    #[cfg(feature = "http3")]
    pub(crate) fn request_sent(&self, at: Instant) {
        self.with(|seen| seen.request_sent = Some(at));
    }

    /// Notes that more of the response arrived, where it comes on a stream of its own.
    #[cfg(feature = "http3")]
    pub(crate) fn answered(&self, at: Instant) {
        self.with(|seen| {
            if !seen.head_understood {
                seen.first_byte.get_or_insert(at);
                seen.last_read = Some(at);
            }
        });
    }

    /// Notes how reading ended. Only the first call counts.
    #[cfg(feature = "http3")]
    pub(crate) fn read_ended(&self, end: End) {
        self.with(|seen| {
            seen.read.get_or_insert(end);
        });
    }

    /// Notes that what comes now is the response body.
    pub(crate) fn head_understood(&self) {
        self.with(|seen| {
            seen.head_understood = true;
            // The response arrived in one piece with the interim response before it.
            seen.first_byte = seen.first_byte.or(seen.last_read);
            seen.watch.note(Moment::FirstByte);
        });
    }

    /// Notes that the last byte of the response is there, whatever is still to be done with it.
    pub(crate) fn body_ended(&self) {
        self.with(|seen| seen.watch.note(Moment::End));
    }

    /// Notes how much of the response body has arrived.
    pub(crate) fn body_received(&self, bytes: u64) {
        self.with(|seen| seen.body_received = bytes);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How much is read at once. HTTP/1 makes room for a whole head of the greatest length and would fill
/// that with each read of a body, which then leaves the processor's cache before anybody looks at it:
/// half as much again of a download's time.
const MAX_READ_LEN: usize = 64 * 1024;

/// A stream that notes in its [`Stamps`] when the request left and the response arrived.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    inner: S,
    stamps: Stamps,
    protocol: Protocol,
    /// Bytes of responses before the final one was understood.
    unanswered: usize,
    /// Nothing is left to note about incoming bytes.
    answered: bool,
    /// The exchange that the fields above are about.
    round: u32,
}

#[derive(Debug)]
enum Protocol {
    Http1,
    Http2 { sent: Frames, received: Frames },
}

impl<S> Stamped<S> {
    /// For HTTP/1: the request has ended when, after its body, everything is written.
    pub(crate) fn http1(inner: S, stamps: Stamps) -> Self {
        Self { inner, stamps, protocol: Protocol::Http1, unanswered: 0, answered: false, round: 0 }
    }

    /// For HTTP/2: both messages are told from the rest by their frames.
    pub(crate) fn http2(inner: S, stamps: Stamps) -> Self {
        let protocol =
            Protocol::Http2 { sent: Frames::from_client(), received: Frames::from_server() };
        Self { inner, stamps, protocol, unanswered: 0, answered: false, round: 0 }
    }

    fn wrote<'a>(
        &mut self,
        begun: Instant,
        pieces: impl Iterator<Item = &'a [u8]>,
        written: &io::Result<usize>,
    ) {
        let mut left = match written {
            Ok(written) => *written,
            Err(error) => return self.write_failed(error),
        };
        self.stamps.with(|seen| {
            seen.last_write = Some(begun);
            seen.written += left as u64;
        });
        match &mut self.protocol {
            Protocol::Http1 => {}
            Protocol::Http2 { sent, .. } => {
                for piece in pieces {
                    let taken = left.min(piece.len());
                    left -= taken;
                    if sent.feed(&piece[..taken]).end {
                        self.stamps.with(|seen| seen.request_sent = Some(begun));
                    }
                }
            }
        }
    }

    fn write_failed(&self, error: &io::Error) {
        let copy = Arc::new(duplicate(error));
        self.stamps.with(|seen| {
            seen.write_error.get_or_insert(copy);
        });
    }

    fn flushed(&self) {
        if matches!(self.protocol, Protocol::Http1) {
            self.stamps.with(|seen| {
                if seen.payload_taken {
                    seen.request_sent = seen.last_write;
                }
            });
        }
    }

    /// Keeps in step with bytes about which nothing is left to note.
    fn pass_over(&mut self, bytes: &[u8]) {
        if let Protocol::Http2 { received, .. } = &mut self.protocol {
            received.feed(bytes);
        }
    }

    /// Begins anew with each exchange.
    fn keep_up(&mut self) {
        let round = self.stamps.0.round.load(Relaxed);
        if round != self.round {
            self.round = round;
            self.answered = false;
            self.unanswered = 0;
        }
    }

    /// Takes note of incoming bytes. Returns false when a server keeps on sending something that
    /// never becomes a response.
    ///
    /// Interim responses are the way: each is short, and HTTP takes any number of them.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let now = Instant::now();
        let length = match &mut self.protocol {
            Protocol::Http1 => bytes.len(),
            Protocol::Http2 { received, .. } => received.feed(bytes).message_len,
        };
        self.unanswered = self.unanswered.saturating_add(length);
        self.answered = self.stamps.with(|seen| {
            let room = BEGINNING_LEN.saturating_sub(seen.beginning.len());
            seen.beginning.extend(bytes.iter().take(room));
            if length > 0 && !seen.head_understood {
                seen.first_byte.get_or_insert(now);
                seen.last_read = Some(now);
                seen.watch.note(Moment::FirstByte);
            }
            seen.head_understood
        });
        self.answered || self.unanswered <= MAX_UNANSWERED_LEN
    }

    fn read_ended(&self, end: End) {
        self.stamps.with(|seen| {
            seen.read.get_or_insert(end);
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let had_room = buf.remaining() > 0;
        let mut limited = (&mut *buf).limit(MAX_READ_LEN);
        let result = ready!(poll_read_buf(Pin::new(&mut self.inner), cx, &mut limited));
        match &result {
            Ok(_) => {
                let bytes = buf.filled().get(before..).unwrap_or_default();
                self.keep_up();
                if bytes.is_empty() && had_room {
                    self.read_ended(End::Closed);
                } else if self.answered {
                    self.pass_over(bytes);
                } else if !self.read(bytes) {
                    self.read_ended(End::Excessive);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.read_ended(End::Closed);
            }
            Err(error) => self.read_ended(End::Failed(Arc::new(duplicate(error)))),
        }
        Poll::Ready(result.map(drop))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let begun = Instant::now();
        let result = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, bytes));
        self.wrote(begun, std::iter::once(bytes), &result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let begun = Instant::now();
        let result = std::task::ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, pieces));
        self.wrote(begun, pieces.iter().map(|piece| &**piece), &result);
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = std::task::ready!(Pin::new(&mut self.inner).poll_flush(cx));
        match &result {
            Ok(()) => self.flushed(),
            Err(error) => self.write_failed(error),
        }
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// `io::Error` is not `Clone`; the code, what TLS says, or else kind and text, are what messages
/// need.
fn duplicate(error: &io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (error.raw_os_error(), inner) {
        (Some(code), _) => io::Error::from_raw_os_error(code),
        (None, Some(tls)) => io::Error::new(error.kind(), tls.clone()),
        (None, None) => io::Error::new(error.kind(), error.to_string()),
    }
}

const BEGINNING_LEN: usize = 32;
/// Above the longest head that HTTP accepts, and its read buffer.
const MAX_UNANSWERED_LEN: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_request_is_sent_when_its_body_is_taken_and_flushed() {
        let (client, _server) = duplex(1024);
        let stamps = Stamps::default();
        let mut stream = Stamped::http1(client, stamps.clone());
        stream.write_all(b"head").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stamps.seen().request_sent, None);
        stream.write_all(b"body").await.unwrap();
        stamps.payload_taken();
        assert_eq!(stamps.seen().request_sent, None);
        stream.flush().await.unwrap();
        assert!(stamps.seen().request_sent.is_some());
    }

    #[tokio::test]
    async fn the_first_bytes_and_the_end_are_noted() {
        let (client, mut server) = duplex(1024);
        let stamps = Stamps::default();
        let mut stream = Stamped::http1(client, stamps.clone());
        server.write_all(b"SSH-2.0").await.unwrap();
        drop(server);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        let seen = stamps.seen();
        assert_eq!(seen.beginning, b"SSH-2.0");
        assert!(seen.first_byte.is_some());
        assert!(matches!(seen.read, Some(End::Closed)));
    }

    #[tokio::test]
    async fn settings_of_http2_are_no_answer() {
        let (client, mut server) = duplex(1024);
        let stamps = Stamps::default();
        let mut stream = Stamped::http2(client, stamps.clone());
        server.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        assert_eq!(stamps.seen().first_byte, None);
        server.write_all(&[0, 0, 0, 1, 4, 0, 0, 0, 1]).await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        assert!(stamps.seen().first_byte.is_some());
    }

    #[tokio::test]
    async fn each_exchange_of_a_connection_has_its_own_first_byte() {
        let (client, mut server) = duplex(1024);
        let stamps = Stamps::default();
        let mut stream = Stamped::http1(client, stamps.clone());
        server.write_all(b"first").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        let first = stamps.detached();
        stamps.renew();
        assert_eq!(stamps.seen().first_byte, None);
        server.write_all(b"second").await.unwrap();
        stream.read_exact(&mut [0; 6]).await.unwrap();
        assert_eq!(stamps.seen().beginning, b"second");
        assert!(stamps.seen().first_byte > first.seen().first_byte);
    }

    #[test]
    fn vectored_writes_stay_vectored() {
        assert!(Stamped::http1(duplex(1).0, Stamps::default()).is_write_vectored());
    }
}
