//! The streams of a connection, watched between HTTP/3 and QUIC.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};

use crate::stamp::{End, Stamps};

type Sending = h3_quinn::SendStream<Bytes>;

/// What is watched of the request under way, and how much of its response may wait to be
/// understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) stamps: Stamps,
    pub(super) backlog: Backlog,
}

/// Bytes that arrived since HTTP/3 could last make something of them.
///
/// It keeps a frame in memory until it is whole, of whatever length the peer says it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_excessive(&self, more: usize) -> bool {
        self.0.fetch_add(more, Ordering::Relaxed).saturating_add(more) > MAX_BACKLOG_LEN
    }
}

/// The request whose stream is opened next.
#[derive(Clone, Debug, Default)]
pub(super) struct Current(Arc<Mutex<Watch>>);

impl Current {
    pub(super) fn set(&self, watch: Watch) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }

    fn get(&self) -> Watch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A connection that HTTP/3 can be spoken over.
pub(super) struct Watched {
    quinn: h3_quinn::Connection,
    opener: Opener,
}

impl Watched {
    pub(super) fn new(connection: quinn::Connection, current: Current) -> Self {
        let quinn = h3_quinn::Connection::new(connection);
        let opener = <h3_quinn::Connection as quic::Connection<Bytes>>::opener(&quinn);
        Self { quinn, opener: Opener { quinn: opener, current } }
    }
}

impl quic::Connection<Bytes> for Watched {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Receiving, ConnectionErrorIncoming>> {
        let stream = ready!(<h3_quinn::Connection as quic::Connection<Bytes>>::poll_accept_recv(
            &mut self.quinn,
            cx
        ))?;
        // Settings and the like: little, and never forgotten.
        Poll::Ready(Ok(Receiving { quinn: stream, backlog: Backlog::default(), stamps: None }))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Both, ConnectionErrorIncoming>> {
        let stream = ready!(quic::Connection::poll_accept_bidi(&mut self.quinn, cx))?;
        Poll::Ready(Ok(Both::new(stream, Watch::default())))
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl quic::OpenStreams<Bytes> for Watched {
    type BidiStream = Both;
    type SendStream = Sending;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

/// Opens the streams of requests.
#[derive(Clone)]
pub(super) struct Opener {
    quinn: h3_quinn::OpenStreams,
    current: Current,
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = Both;
    type SendStream = Sending;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        let stream = ready!(self.quinn.poll_open_bidi(cx))?;
        Poll::Ready(Ok(Both::new(stream, self.current.get())))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        self.quinn.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<Bytes>::close(&mut self.quinn, code, reason);
    }
}

/// The stream of one request and its response.
pub(super) struct Both {
    sending: Sending,
    receiving: Receiving,
}

impl Both {
    fn new(stream: h3_quinn::BidiStream<Bytes>, watch: Watch) -> Self {
        let (sending, receiving) = quic::BidiStream::split(stream);
        let Watch { stamps, backlog } = watch;
        Self { sending, receiving: Receiving { quinn: receiving, backlog, stamps: Some(stamps) } }
    }
}

impl quic::BidiStream<Bytes> for Both {
    type SendStream = Sending;
    type RecvStream = Receiving;

    fn split(self) -> (Sending, Receiving) {
        (self.sending, self.receiving)
    }
}

impl quic::SendStream<Bytes> for Both {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.sending.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.sending.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.sending.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.sending.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.sending.send_id()
    }
}

impl quic::RecvStream for Both {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receiving.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receiving.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receiving.recv_id()
    }
}

/// A stream from the server.
pub(super) struct Receiving {
    quinn: h3_quinn::RecvStream,
    backlog: Backlog,
    /// Absent where it is not a response that arrives.
    stamps: Option<Stamps>,
}

impl quic::RecvStream for Receiving {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let received = ready!(self.quinn.poll_data(cx));
        let arrived = Instant::now();
        match (&received, &self.stamps) {
            (Ok(Some(bytes)), stamps) => {
                if let Some(stamps) = stamps {
                    stamps.answered(arrived);
                }
                if self.backlog.is_excessive(bytes.len()) {
                    if let Some(stamps) = stamps {
                        stamps.read_ended(End::Excessive);
                    }
                    let error = io::Error::from(io::ErrorKind::InvalidData);
                    return Poll::Ready(Err(StreamErrorIncoming::Unknown(error.into())));
                }
            }
            (Ok(None), Some(stamps)) => stamps.read_ended(End::Closed),
            _ => {}
        }
        Poll::Ready(received)
    }

    fn stop_sending(&mut self, code: u64) {
        self.quinn.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.quinn.recv_id()
    }
}

/// Above the longest head that is accepted.
const MAX_BACKLOG_LEN: usize = 2 << 20;
