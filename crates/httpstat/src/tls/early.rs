//! A connection whose handshake happens while the request is already under way.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::{Session, notes};

/// Fills in the session when the handshake is over, however it ends.
#[derive(Debug)]
pub(super) struct Early<S> {
    stream: TlsStream<S>,
    session: Arc<Mutex<Session>>,
    is_settled: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Early<S> {
    pub(super) fn new(stream: TlsStream<S>, session: Arc<Mutex<Session>>) -> Self {
        Self { stream, session, is_settled: false }
    }

    fn watch<T>(&mut self, poll: impl FnOnce(Pin<&mut TlsStream<S>>) -> T) -> T {
        if self.is_settled {
            return poll(Pin::new(&mut self.stream));
        }
        let (polled, notes) = notes::collect(|| poll(Pin::new(&mut self.stream)));
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.note(notes);
        let (_, connection) = self.stream.get_ref();
        self.is_settled = !connection.is_handshaking();
        if self.is_settled {
            session.agree(connection, connection.is_early_data_accepted());
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Early<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.watch(|stream| stream.poll_read(cx, buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Early<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watch(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch(|stream| stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(|stream| stream.poll_shutdown(cx))
    }
}
