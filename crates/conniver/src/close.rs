use std::io;

/// A stream that can be closed with an answer, where a drop gives none.
///
/// Implemented for the TCP streams of the standard library and of tokio, and on Unix for their
/// local streams.
///
/// ```
/// use std::io;
/// use conniver::{Close, Options};
///
/// struct Failing;
///
/// impl Close for Failing {
///     fn close(self) -> io::Result<()> {
///         Err(io::ErrorKind::BrokenPipe.into())
///     }
/// }
///
/// let error = Options::new().wrap_opaque(Failing).close().unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
/// ```
pub trait Close {
    /// Closes the stream.
    ///
    /// # Errors
    ///
    /// What the operating system said. The stream is closed all the same.
    fn close(self) -> io::Result<()>;
}

impl Close for std::net::TcpStream {
    fn close(self) -> io::Result<()> {
        close(self)
    }
}

#[cfg(unix)]
impl Close for std::os::unix::net::UnixStream {
    fn close(self) -> io::Result<()> {
        close(self)
    }
}

#[cfg(feature = "tokio")]
impl Close for tokio::net::TcpStream {
    fn close(self) -> io::Result<()> {
        close(self.into_std()?)
    }
}

#[cfg(all(feature = "tokio", unix))]
impl Close for tokio::net::UnixStream {
    fn close(self) -> io::Result<()> {
        close(self.into_std()?)
    }
}

/// `close(2)`, whose answer the standard library ignores.
#[cfg(unix)]
#[allow(unsafe_code, reason = "the answer of close(2) is not to be had otherwise")]
fn close(stream: impl Into<std::os::fd::OwnedFd>) -> io::Result<()> {
    use std::os::fd::IntoRawFd;

    let descriptor = stream.into().into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the ownership that `OwnedFd` guarantees, so the descriptor is
    // open, is ours, and is closed here and nowhere else.
    unsafe { rustix::io::try_close(descriptor) }.map_err(io::Error::from)
}

#[cfg(not(unix))]
fn close<S>(stream: S) -> io::Result<()> {
    drop(stream);
    Ok(())
}
