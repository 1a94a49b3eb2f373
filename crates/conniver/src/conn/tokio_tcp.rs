//! What tokio's TCP stream offers besides the traits.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    task::{Context, Poll},
};

use tokio::{
    io::{Interest, ReadBuf, Ready},
    net::TcpStream,
};

use crate::{Conn, block::Side};

/// Methods of tokio's stream. Those that move bytes count them; [`try_io`](Self::try_io) cannot
/// know what its closure moves, and says so.
impl Conn<TcpStream> {
    /// As [`TcpStream::local_addr`]; the report keeps it after the close.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// As [`TcpStream::peer_addr`]; the report keeps it after the close.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// As [`TcpStream::ready`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.get_ref().ready(interest).await
    }

    /// As [`TcpStream::readable`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub async fn readable(&self) -> io::Result<()> {
        self.get_ref().readable().await
    }

    /// As [`TcpStream::writable`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub async fn writable(&self) -> io::Result<()> {
        self.get_ref().writable().await
    }

    /// As [`TcpStream::poll_read_ready`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().poll_read_ready(cx)
    }

    /// As [`TcpStream::poll_write_ready`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().poll_write_ready(cx)
    }

    /// As [`TcpStream::try_read`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len();
        self.count_try_read(wanted, self.get_ref().try_read(buf))
    }

    /// As [`TcpStream::try_read_vectored`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        self.count_try_read(wanted, self.get_ref().try_read_vectored(bufs))
    }

    /// As [`TcpStream::try_write`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let result = self.get_ref().try_write(buf);
        self.block().count_shared(Side::Tx, &result);
        result
    }

    /// As [`TcpStream::try_write_vectored`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.get_ref().try_write_vectored(bufs);
        self.block().count_shared(Side::Tx, &result);
        result
    }

    /// As [`TcpStream::try_io`]. Bytes that the closure moves are not counted.
    ///
    /// # Errors
    ///
    /// Those of the bare stream and of the closure.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.get_ref().try_io(interest, io)
    }

    /// As [`TcpStream::async_io`]. Bytes that the closure moves are not counted.
    ///
    /// # Errors
    ///
    /// Those of the bare stream and of the closure.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        io: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.get_ref().async_io(interest, io).await
    }

    /// As [`TcpStream::peek`]. Peeked bytes are not counted; they will be when they are read.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.get_ref().peek(buf).await;
        if let Err(error) = &result {
            self.block().note_error(Side::Rx, error);
        }
        result
    }

    /// As [`TcpStream::poll_peek`]. Peeked bytes are not counted; they will be when they are read.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let poll = self.get_ref().poll_peek(cx, buf);
        if let Poll::Ready(Err(error)) = &poll {
            self.block().note_error(Side::Rx, error);
        }
        poll
    }

    /// As [`TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.get_ref().take_error()
    }

    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.get_ref().set_nodelay(nodelay)
    }

    /// As [`TcpStream::nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.get_ref().nodelay()
    }

    /// As [`TcpStream::set_zero_linger`]: the close will be a reset.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.get_ref().set_zero_linger()
    }

    /// As [`TcpStream::set_ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.get_ref().set_ttl(ttl)
    }

    /// As [`TcpStream::ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn ttl(&self) -> io::Result<u32> {
        self.get_ref().ttl()
    }

    fn count_try_read(&self, wanted: usize, result: io::Result<usize>) -> io::Result<usize> {
        if wanted > 0 && matches!(result, Ok(0)) {
            self.block().rx.end();
        }
        self.block().count_shared(Side::Rx, &result);
        result
    }
}
