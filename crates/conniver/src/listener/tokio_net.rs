//! The same with tokio.

#[cfg(any(feature = "axum08", feature = "tonic014"))]
use std::time::Duration;
use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use tokio::net::{TcpListener, TcpStream};

use super::Listener;
use crate::Conn;
#[cfg(any(feature = "axum08", feature = "tonic014"))]
use crate::FailReason;

impl Listener<TcpListener> {
    /// Accepts a connection and wraps it. Dropping the future loses no connection.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::accept`], except what [`back_off`](Self::back_off) holds back. Also
    /// if this system lacks a socket option that was asked for.
    pub async fn accept(&self) -> io::Result<(Conn<TcpStream>, SocketAddr)> {
        loop {
            match self.get_ref().accept().await {
                Ok(accepted) => return self.accepted(accepted),
                Err(error) => {
                    let pause = self.pause_after(error)?;
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Accepts a connection if one waits, and wraps it. Never pauses: with
    /// [`back_off`](Self::back_off) an error is returned all the same.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::poll_accept`].
    pub fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Conn<TcpStream>, SocketAddr)>> {
        Poll::Ready(match ready!(self.get_ref().poll_accept(cx)) {
            Ok(accepted) => self.accepted(accepted),
            Err(error) => Err(self.tell(error)),
        })
    }

    /// Accepts a connection, whatever it takes: for servers that have no use for an error.
    #[cfg(feature = "axum08")]
    pub(crate) async fn accept_always(&self) -> (Conn<TcpStream>, SocketAddr) {
        loop {
            match std::future::poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => return accepted,
                Err(error) => tokio::time::sleep(self.pause_anyway(&error)).await,
            }
        }
    }

    /// How long to pause after an error that shall not end accepting, and was told already.
    #[cfg(any(feature = "axum08", feature = "tonic014"))]
    pub(crate) fn pause_anyway(&self, error: &io::Error) -> Duration {
        match FailReason::of(error) {
            FailReason::Reset => Duration::ZERO,
            _ => self.next_pause(),
        }
    }

    /// As [`TcpListener::local_addr`].
    ///
    /// # Errors
    ///
    /// Those of the bare listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}
