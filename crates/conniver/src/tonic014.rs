//! For tonic 0.14, servers and clients of gRPC.
//!
//! A server takes the connections of a [`Listener`] as a stream:
//!
//! ```no_run
//! use conniver::Options;
//! use tokio::net::TcpListener;
//! # struct Router;
//! # impl Router {
//! #     async fn serve_with_incoming<I>(self, _: I) -> std::io::Result<()> { Ok(()) }
//! # }
//!
//! # async fn serve(router: Router) -> Result<(), Box<dyn std::error::Error>> {
//! // router = Server::builder().add_service(…)
//! let listener = Options::new().listener(TcpListener::bind("127.0.0.1:50051").await?);
//! router.serve_with_incoming(listener.nodelay(true).into_incoming()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Requests then know their peer as with tonic's own listener (`Request::remote_addr`). To have the
//! connection's [`Handle`] in the extensions of each request instead, make each connection a
//! [`WithHandle`] ([`Incoming::with_handles`]). tonic sets no socket options on such connections, so
//! set them at the [`Listener`].
//!
//! A client takes a [`Connector`](crate::Connector) with feature `hyper-util`:
//! `endpoint.connect_with_connector(options.connector())`. tonic keeps what it knows of the connection
//! to itself, so a response has no handle; trackers and observers see the connection.

use std::{
    fmt,
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};
use tonic::transport::server::Connected;

use crate::{Conn, Handle, Listener};

/// What tonic knows of the bare stream, so that `Request::remote_addr` stays.
impl<S: Connected> Connected for Conn<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.get_ref().connect_info()
    }
}

impl Listener<TcpListener> {
    /// Accepts one connection after the other, for `serve_with_incoming`. An error does not end the
    /// stream: observers are told of it, and accepting goes on as if with
    /// [`back_off`](Self::back_off).
    pub fn into_incoming(self) -> Incoming {
        Incoming { listener: self, pause: None }
    }
}

/// The connections of a [`Listener`], one after the other, without end.
pub struct Incoming {
    listener: Listener<TcpListener>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// The same connections, whose requests carry a [`Handle`] in their extensions.
    pub fn with_handles(self) -> IncomingWithHandles {
        IncomingWithHandles(self)
    }
}

impl Stream for Incoming {
    type Item = io::Result<Conn<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((conn, _)) => return Poll::Ready(Some(Ok(conn))),
                Err(error) => {
                    let pause = self.listener.pause_anyway(&error);
                    self.pause = Some(Box::pin(tokio::time::sleep(pause)));
                }
            }
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// What [`Incoming::with_handles`] gives.
#[derive(Debug)]
pub struct IncomingWithHandles(Incoming);

impl Stream for IncomingWithHandles {
    type Item = io::Result<WithHandle<Conn<TcpStream>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let conn = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(conn.map(|conn| conn.map(WithHandle)))
    }
}

/// A connection that tells tonic its [`Handle`] instead of its addresses, which the handle has too.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "a mark on a stream, without anything of its own")]
pub struct WithHandle<S>(pub S);

impl<S> Connected for WithHandle<Conn<S>> {
    type ConnectInfo = Handle;

    fn connect_info(&self) -> Handle {
        self.0.handle()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithHandle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithHandle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
