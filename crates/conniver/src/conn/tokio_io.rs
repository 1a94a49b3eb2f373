//! tokio's asynchronous streams.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Watch;
use crate::{
    Conn,
    block::{Block, Side},
};

/// The methods of `AsyncRead` for a type whose `parts` are a stream and the block it is counted in.
macro_rules! counted_read {
    () => {
        #[inline]
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (stream, watch) = self.get_mut().parts();
            $crate::conn::tokio_io::poll_read(watch, stream, cx, buf)
        }
    };
}

/// The methods of `AsyncWrite` for such a type, which can also ask the kernel before a shutdown.
macro_rules! counted_write {
    () => {
        #[inline]
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let (stream, watch) = self.get_mut().parts();
            $crate::conn::tokio_io::poll_write(watch, stream, cx, buf)
        }

        #[inline]
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let (stream, watch) = self.get_mut().parts();
            $crate::conn::tokio_io::poll_write_vectored(watch, stream, cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            self.bare().is_write_vectored()
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let (stream, watch) = self.get_mut().parts();
            $crate::conn::tokio_io::poll_flush(watch.block(), stream, cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            this.sample_before_shutdown();
            let (stream, watch) = this.parts();
            $crate::conn::tokio_io::poll_shutdown(watch.block(), stream, cx)
        }
    };
}

pub(super) use {counted_read, counted_write};

impl<S: AsyncRead + Unpin> AsyncRead for Conn<S> {
    counted_read!();
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Conn<S> {
    counted_write!();
}

impl<S> Conn<S> {
    fn bare(&self) -> &S {
        self.get_ref()
    }
}

/// Counts by how far the buffer was filled, whatever the answer says, and leaves it as it is.
#[inline]
pub(super) fn poll_read<S>(
    watch: &Watch<S>,
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buf.filled().len();
    let room = buf.remaining();
    let poll = Pin::new(stream).poll_read(cx, buf);
    let moved = buf.filled().len().saturating_sub(before);
    match &poll {
        Poll::Ready(Ok(())) => watch.received(room, &Ok(moved)),
        Poll::Ready(Err(error)) => {
            watch.block().received(0, &Ok(moved));
            watch.block().note_error(Side::Rx, error);
            watch.tell_read(Err(error));
        }
        Poll::Pending => watch.block().received(0, &Ok(moved)),
    }
    poll
}

#[inline]
pub(super) fn poll_write<S>(
    watch: &Watch<S>,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    let poll = Pin::new(stream).poll_write(cx, buf);
    note_write(watch, &poll);
    poll
}

#[inline]
pub(super) fn poll_write_vectored<S>(
    watch: &Watch<S>,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let poll = Pin::new(stream).poll_write_vectored(cx, bufs);
    note_write(watch, &poll);
    poll
}

#[inline]
fn note_write<S>(watch: &Watch<S>, poll: &Poll<io::Result<usize>>) {
    watch.block().set_writing(poll.is_pending());
    if let Poll::Ready(result) = poll {
        watch.sent(result);
    }
}

pub(super) fn poll_flush(
    block: &Block,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let result = ready!(Pin::new(stream).poll_flush(cx));
    if let Err(error) = &result {
        block.note_error(Side::Tx, error);
    }
    Poll::Ready(result)
}

pub(super) fn poll_shutdown(
    block: &Block,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let result = ready!(Pin::new(stream).poll_shutdown(cx));
    block.shut_down(&result);
    Poll::Ready(result)
}
