//! Halves of tokio's TCP stream, without a lock on the way of a byte.

use std::{
    error::Error,
    fmt,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, tcp},
};

use super::{
    WHOLE, Watch,
    tokio_io::{counted_read, counted_write},
};
use crate::{Conn, Handle, Snapshot};

impl Conn<TcpStream> {
    /// Splits the connection into a half that reads and one that writes, for the same task.
    ///
    /// The counterpart of [`TcpStream::split`].
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        let (stream, watch) = self.parts();
        let (read, write) = stream.split();
        (ReadHalf { half: read, watch }, WriteHalf { half: write, watch })
    }

    /// Splits the connection into halves that different tasks can own.
    ///
    /// The counterpart of [`TcpStream::into_split`]: dropping the writing half sends the end of the
    /// stream, and the connection closes and is reported when both halves are dropped.
    pub fn into_split(mut self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let (read, write) = self.take_stream().into_split();
        let whole = Arc::new(Whole { watch: self.watch.clone(), one_gone: Mutex::new(false) });
        (
            OwnedReadHalf { half: Some(read), whole: Arc::clone(&whole) },
            OwnedWriteHalf { half: Some(write), whole },
        )
    }
}

/// The reading half that [`Conn::split`] lends.
#[derive(Debug)]
pub struct ReadHalf<'a> {
    pub(super) half: tcp::ReadHalf<'a>,
    pub(super) watch: &'a Watch<TcpStream>,
}

/// The writing half that [`Conn::split`] lends.
#[derive(Debug)]
pub struct WriteHalf<'a> {
    pub(super) half: tcp::WriteHalf<'a>,
    pub(super) watch: &'a Watch<TcpStream>,
}

impl<'a> ReadHalf<'a> {
    fn parts(&mut self) -> (&mut tcp::ReadHalf<'a>, &Watch<TcpStream>) {
        (&mut self.half, self.watch)
    }
}

impl<'a> WriteHalf<'a> {
    fn parts(&mut self) -> (&mut tcp::WriteHalf<'a>, &Watch<TcpStream>) {
        (&mut self.half, self.watch)
    }

    fn bare(&self) -> &tcp::WriteHalf<'a> {
        &self.half
    }

    fn sample_before_shutdown(&self) {
        self.watch.sample_before_shutdown(self.half.as_ref());
    }
}

impl AsyncRead for ReadHalf<'_> {
    counted_read!();
}

impl AsyncWrite for WriteHalf<'_> {
    counted_write!();
}

/// What both owned halves have in common.
struct Whole {
    watch: Watch<TcpStream>,
    /// Whether one half is dropped. Locked only while a half is being dropped, so that the last one
    /// knows for certain that the descriptor is open until it lets go of it.
    one_gone: Mutex<bool>,
}

impl Whole {
    /// Lets go of a half, and ends the connection if it was the last.
    fn let_go<H: AsRef<TcpStream>>(&self, half: H, release: impl FnOnce(H)) {
        let mut one_gone = self.one_gone.lock().unwrap_or_else(PoisonError::into_inner);
        if !mem::replace(&mut *one_gone, true) {
            return release(half);
        }
        let closed = self.watch.end(half, H::as_ref, |half| {
            release(half);
            Ok(())
        });
        debug_assert!(closed.is_ok(), "letting go gives no error");
    }
}

/// The reading half that [`Conn::into_split`] gives away.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use conniver::Options;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = Options::new().wrap(TcpStream::connect(listener.local_addr()?).await?);
/// let (mut server, _) = listener.accept().await?;
///
/// let (mut read, mut write) = client.into_split();
/// let echo = tokio::spawn(async move {
///     let mut buf = [0; 4];
///     server.read_exact(&mut buf).await?;
///     server.write_all(&buf).await
/// });
/// write.write_all(b"ping").await?;
/// read.read_exact(&mut [0; 4]).await?;
/// echo.await??;
///
/// let conn = read.reunite(write).expect("halves of one connection");
/// assert_eq!((conn.snapshot().tx_bytes, conn.snapshot().rx_bytes), (4, 4));
/// # Ok(())
/// # }
/// ```
pub struct OwnedReadHalf {
    /// Empty only while the half is being dropped or reunited.
    half: Option<tcp::OwnedReadHalf>,
    whole: Arc<Whole>,
}

/// The writing half that [`Conn::into_split`] gives away. Dropping it sends the end of the stream.
pub struct OwnedWriteHalf {
    /// Empty only while the half is being dropped or reunited.
    half: Option<tcp::OwnedWriteHalf>,
    whole: Arc<Whole>,
}

/// Two halves that do not belong together, given back by [`OwnedReadHalf::reunite`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError {
    /// The half that reads.
    pub read: OwnedReadHalf,
    /// The half that writes.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves belong to different connections")
    }
}

impl Error for ReuniteError {}

impl OwnedReadHalf {
    /// Puts the connection together again.
    ///
    /// # Errors
    ///
    /// Gives the halves back if they belong to different connections.
    pub fn reunite(mut self, mut write: OwnedWriteHalf) -> Result<Conn<TcpStream>, ReuniteError> {
        if !Arc::ptr_eq(&self.whole, &write.whole) {
            return Err(ReuniteError { read: self, write });
        }
        let (Some(read_half), Some(write_half)) = (self.half.take(), write.half.take()) else {
            return Err(ReuniteError { read: self, write });
        };
        match read_half.reunite(write_half) {
            Ok(stream) => Ok(Conn { stream: Some(stream), watch: self.whole.watch.clone() }),
            Err(tcp::ReuniteError(read_half, write_half)) => {
                self.half = Some(read_half);
                write.half = Some(write_half);
                Err(ReuniteError { read: self, write })
            }
        }
    }
}

impl OwnedWriteHalf {
    /// Puts the connection together again, as [`OwnedReadHalf::reunite`].
    ///
    /// # Errors
    ///
    /// Gives the halves back if they belong to different connections.
    pub fn reunite(self, read: OwnedReadHalf) -> Result<Conn<TcpStream>, ReuniteError> {
        read.reunite(self)
    }

    /// Drops the half without sending the end of the stream.
    pub fn forget(mut self) {
        if let Some(half) = self.half.take() {
            self.whole.let_go(half, tcp::OwnedWriteHalf::forget);
        }
    }
}

impl Drop for OwnedReadHalf {
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            self.whole.let_go(half, drop);
        }
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            self.whole.watch.sample_before_shutdown(half.as_ref());
            self.watch().block().tx.end();
            self.whole.let_go(half, drop);
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    counted_read!();
}

impl AsyncWrite for OwnedWriteHalf {
    counted_write!();
}

impl OwnedWriteHalf {
    fn sample_before_shutdown(&self) {
        self.whole.watch.sample_before_shutdown(self.as_ref());
    }
}

macro_rules! looks_at_the_whole {
    ($($half:ident),*) => {$(
        impl $half {
            fn bare(&self) -> &tcp::$half {
                self.half.as_ref().expect(WHOLE)
            }

            /// The two that every read and write needs.
            #[inline]
            fn parts(&mut self) -> (&mut tcp::$half, &Watch<TcpStream>) {
                (self.half.as_mut().expect(WHOLE), &self.whole.watch)
            }

            /// A handle to look at the connection from elsewhere.
            pub fn handle(&self) -> Handle {
                self.whole.watch.handle.clone()
            }

            /// The connection as it is now: counts, times and errors, without asking the kernel.
            pub fn snapshot(&self) -> Snapshot {
                self.whole.watch.handle.snapshot()
            }

            pub(super) fn watch(&self) -> &Watch<TcpStream> {
                &self.whole.watch
            }
        }

        /// Lends the whole stream, to ask its socket. Bytes moved through it are not counted.
        impl AsRef<TcpStream> for $half {
            fn as_ref(&self) -> &TcpStream {
                self.bare().as_ref()
            }
        }

        impl fmt::Debug for $half {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half))
                    .field("id", &self.whole.watch.handle.id())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

looks_at_the_whole!(OwnedReadHalf, OwnedWriteHalf);
