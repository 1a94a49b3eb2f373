//! What tokio's TCP stream and its halves offer besides the traits.
//!
//! The same methods serve the connection and its halves; each of these has `tcp`, the bare stream,
//! and `watch`, where it is counted. Those that move bytes count them as shared, because they take
//! `&self`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::BufMut;
use tokio::{
    io::{Interest, ReadBuf, Ready},
    net::TcpStream,
};

use super::{
    Watch,
    tokio_split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf},
};
use crate::{Conn, Report, block::Side};

macro_rules! addresses_and_readiness {
    () => {
        /// As [`TcpStream::local_addr`]; the report keeps it after the close.
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn local_addr(&self) -> io::Result<SocketAddr> {
            self.tcp().local_addr()
        }

        /// As [`TcpStream::peer_addr`]; the report keeps it after the close.
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn peer_addr(&self) -> io::Result<SocketAddr> {
            self.tcp().peer_addr()
        }

        /// As [`TcpStream::ready`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
            self.tcp().ready(interest).await
        }
    };
}

macro_rules! reading {
    () => {
        /// As [`TcpStream::readable`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub async fn readable(&self) -> io::Result<()> {
            self.tcp().readable().await
        }

        /// As [`TcpStream::try_read`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
            let room = buf.len();
            let result = self.tcp().try_read(buf);
            self.watch().received_shared(room, &result);
            result
        }

        /// As [`TcpStream::try_read_vectored`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
            let room = bufs.iter().map(|buf| buf.len()).sum();
            let result = self.tcp().try_read_vectored(bufs);
            self.watch().received_shared(room, &result);
            result
        }

        /// As [`TcpStream::try_read_buf`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
            let room = buf.remaining_mut();
            let result = self.tcp().try_read_buf(buf);
            self.watch().received_shared(room, &result);
            result
        }

        /// As [`TcpStream::peek`]. Peeked bytes are not counted; they will be when they are read.
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
            let result = self.tcp().peek(buf).await;
            if let Err(error) = &result {
                self.watch().block().note_error(Side::Rx, error);
            }
            result
        }

        /// As [`TcpStream::poll_peek`]. Peeked bytes are not counted; they will be when they are
        /// read.
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn poll_peek(
            &self,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<usize>> {
            let poll = self.tcp().poll_peek(cx, buf);
            if let Poll::Ready(Err(error)) = &poll {
                self.watch().block().note_error(Side::Rx, error);
            }
            poll
        }
    };
}

macro_rules! writing {
    () => {
        /// As [`TcpStream::writable`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub async fn writable(&self) -> io::Result<()> {
            self.tcp().writable().await
        }

        /// As [`TcpStream::try_write`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
            let result = self.tcp().try_write(buf);
            self.watch().sent_shared(&result);
            result
        }

        /// As [`TcpStream::try_write_vectored`].
        ///
        /// # Errors
        ///
        /// Those of the bare stream.
        pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            let result = self.tcp().try_write_vectored(bufs);
            self.watch().sent_shared(&result);
            result
        }
    };
}

/// Methods of tokio's stream. Those that move bytes count them, except the bytes that the closure of
/// [`try_io`](Self::try_io) or [`async_io`](Self::async_io) moves.
impl Conn<TcpStream> {
    addresses_and_readiness!();
    reading!();
    writing!();

    /// As [`TcpStream::poll_read_ready`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(cx)
    }

    /// As [`TcpStream::poll_write_ready`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(cx)
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
        self.tcp().try_io(interest, io)
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
        self.tcp().async_io(interest, io).await
    }

    /// As [`TcpStream::into_std`], with the report that the observers then do not get.
    ///
    /// # Errors
    ///
    /// Those of the bare stream, which is closed then.
    pub fn into_std(self) -> io::Result<(std::net::TcpStream, Report)> {
        let (stream, report) = self.into_inner();
        Ok((stream.into_std()?, report))
    }

    /// As [`TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.tcp().take_error()
    }

    /// As [`TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.tcp().set_nodelay(nodelay)
    }

    /// As [`TcpStream::nodelay`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.tcp().nodelay()
    }

    /// As [`TcpStream::set_quickack`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.tcp().set_quickack(quickack)
    }

    /// As [`TcpStream::quickack`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn quickack(&self) -> io::Result<bool> {
        self.tcp().quickack()
    }

    /// As [`TcpStream::set_zero_linger`]: the close will be a reset.
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.tcp().set_zero_linger()
    }

    /// As [`TcpStream::set_ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.tcp().set_ttl(ttl)
    }

    /// As [`TcpStream::ttl`].
    ///
    /// # Errors
    ///
    /// Those of the bare stream.
    pub fn ttl(&self) -> io::Result<u32> {
        self.tcp().ttl()
    }

    fn tcp(&self) -> &TcpStream {
        self.get_ref()
    }

    fn watch(&self) -> &Watch<TcpStream> {
        &self.watch
    }
}

impl ReadHalf<'_> {
    addresses_and_readiness!();
    reading!();

    fn tcp(&self) -> &TcpStream {
        self.half.as_ref()
    }

    fn watch(&self) -> &Watch<TcpStream> {
        self.watch
    }
}

impl WriteHalf<'_> {
    addresses_and_readiness!();
    writing!();

    fn tcp(&self) -> &TcpStream {
        self.half.as_ref()
    }

    fn watch(&self) -> &Watch<TcpStream> {
        self.watch
    }
}

impl OwnedReadHalf {
    addresses_and_readiness!();
    reading!();

    fn tcp(&self) -> &TcpStream {
        self.as_ref()
    }
}

impl OwnedWriteHalf {
    addresses_and_readiness!();
    writing!();

    fn tcp(&self) -> &TcpStream {
        self.as_ref()
    }
}
