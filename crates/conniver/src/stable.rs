//! Which streams may be asked from outside while their owner uses them.

use std::{net::TcpStream, sync::Arc};

use tcpinfo::AsSock;

use crate::Conn;

/// A stream that lends one and the same open socket for as long as it exists.
///
/// That is what allows a [`Handle`](crate::Handle) and a [`Tracker`](crate::Tracker) to ask the
/// kernel about a connection from another thread, while its owner reads and writes: the socket's
/// number is remembered when the stream is wrapped, and forgotten before the stream is closed or
/// given back.
///
/// A borrowed stream is none: if its wrapper were forgotten ([`std::mem::forget`]) and never dropped,
/// nobody would learn that the stream closes when the loan is over.
/// [`Options::wrap_lending`](crate::Options::wrap_lending) takes it.
///
/// ```compile_fail,E0597
/// use std::net::{TcpListener, TcpStream};
/// use conniver::Options;
///
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let conn = Options::new().wrap(&stream);
/// ```
///
/// ```
/// # use std::net::{TcpListener, TcpStream};
/// # use conniver::Options;
/// # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let conn = Options::new().wrap_lending(&stream);
/// ```
///
/// # Safety
///
/// From when a value was made until it is dropped, which may be never, [`AsSock::as_sock`] lends the
/// same socket and nothing else closes it: no call through a shared or exclusive reference exchanges
/// it.
#[allow(unsafe_code, reason = "the promise cannot be checked by the compiler")]
pub unsafe trait StableSock: AsSock + 'static {}

macro_rules! stable {
    ($($(#[$condition:meta])* $stream:ty: $why:literal,)*) => {$(
        $(#[$condition])*
        #[allow(unsafe_code, reason = $why)]
        // SAFETY: as the reason says.
        unsafe impl StableSock for $stream {}
    )*};
}

stable! {
    TcpStream: "it owns its descriptor and never exchanges it",
    #[cfg(unix)]
    std::os::unix::net::UnixStream: "it owns its descriptor and never exchanges it",
    #[cfg(unix)]
    std::os::fd::OwnedFd: "it is a descriptor and nothing else",
    #[cfg(windows)]
    std::os::windows::io::OwnedSocket: "it is a socket and nothing else",
    #[cfg(feature = "tokio")]
    tokio::net::TcpStream: "it owns its descriptor until it is dropped or consumed",
    #[cfg(all(feature = "tokio", unix))]
    tokio::net::UnixStream: "it owns its descriptor until it is dropped or consumed",
}

#[allow(unsafe_code, reason = "what is lent for ever lives for ever")]
// SAFETY: the value behind a shared reference is neither dropped nor exchanged while it is lent.
unsafe impl<S: StableSock + ?Sized> StableSock for &'static S where Self: AsSock {}

#[allow(unsafe_code, reason = "a counted reference keeps its value alive")]
// SAFETY: the value lives until the last reference is gone, and is never exchanged before.
unsafe impl<S: StableSock + ?Sized> StableSock for Arc<S> where Self: AsSock {}

#[allow(unsafe_code, reason = "a box owns its value")]
// SAFETY: the value lives as long as the box; a wrapper gives nobody the reference that it would
// take to exchange it.
unsafe impl<S: StableSock + ?Sized> StableSock for Box<S> where Self: AsSock {}

#[allow(unsafe_code, reason = "a wrapper keeps its stream until it ends")]
// SAFETY: a wrapper never exchanges its stream, which leaves it only when the wrapper is consumed.
unsafe impl<S: StableSock> StableSock for Conn<S> where Self: AsSock {}
