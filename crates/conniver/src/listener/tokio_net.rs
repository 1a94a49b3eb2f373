//! The same with tokio.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use tokio::net::{TcpListener, TcpStream};

use super::Listener;
use crate::Conn;

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

    /// As [`TcpListener::local_addr`].
    ///
    /// # Errors
    ///
    /// Those of the bare listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}
