//! Patience with clients that do not read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A stream whose client has so long to take so much once it does not take all at once.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    end: Pin<Box<Sleep>>,
    taken: usize,
}

const TIME: Duration = Duration::from_secs(10);
const LEAST: usize = 256 << 10;

impl<S> Impatient<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, waiting: None }
    }

    /// Looks at the clock after the stream took some of so many bytes, or none for now.
    fn note(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        len: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Ready(Ok(taken)) if *taken == len => self.waiting = None,
            Poll::Ready(Ok(taken)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken += taken;
                    if waiting.taken >= LEAST {
                        waiting.taken = 0;
                        waiting.end.as_mut().reset(Instant::now() + TIME);
                    }
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let waiting = self.waiting.get_or_insert_with(|| Waiting {
                    end: Box::pin(tokio::time::sleep(TIME)),
                    taken: 0,
                });
                ready!(waiting.end.as_mut().poll(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        wrote
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(wrote, bytes.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.note(wrote, len, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
