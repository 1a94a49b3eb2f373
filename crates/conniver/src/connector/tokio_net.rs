//! The same with tokio.

use std::{future::Future, io, net::SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use super::{Connector, Target, no_address};
use crate::{Conn, ConnectError, FailReason, StableSock, dial::Dial};

impl Connector {
    /// As [`connect`](Self::connect), with tokio.
    ///
    /// If the future is dropped before it is done, observers are told of a connection that was
    /// [cancelled](FailReason::Cancelled). A [timeout](Self::timeout) needs a runtime with a timer,
    /// as every one has that was made with `enable_all` or `#[tokio::main]`.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect).
    pub async fn connect_tokio(
        &self,
        target: impl Into<Target>,
    ) -> Result<Conn<TcpStream>, ConnectError> {
        let target = target.into();
        let mut dial = Dial::begin(self.options(), target.name());
        let addrs = match target {
            Target::Addrs(addrs) => addrs,
            Target::Name(name) => match lookup_host(name).await {
                Ok(addrs) => addrs.collect(),
                Err(error) => return Err(self.failed(dial, FailReason::Resolution, error)),
            },
        };
        let mut last = no_address();
        for addr in addrs {
            dial.begin_attempt(addr);
            match self.connect_one(addr).await.and_then(|stream| self.prepared(stream)) {
                Ok(stream) => return Ok(self.succeeded(dial, stream)),
                Err(error) => {
                    dial.attempted(&error);
                    last = (FailReason::of(&error), error);
                }
            }
        }
        Err(self.failed(dial, last.0, last.1))
    }

    /// As [`connect_with`](Self::connect_with), with a future. If this one is dropped before it is
    /// done, observers are told of a connection that was [cancelled](FailReason::Cancelled).
    ///
    /// # Errors
    ///
    /// As of [`connect_with`](Self::connect_with).
    pub async fn connect_tokio_with<S: StableSock>(
        &self,
        target: impl Into<String>,
        connect: impl Future<Output = io::Result<S>>,
    ) -> Result<Conn<S>, ConnectError> {
        let dial = Dial::begin(self.options(), Some(target.into()));
        self.finish(dial, connect.await)
    }

    async fn connect_one(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        match self.inner.timeout {
            Some(timeout) => tokio::time::timeout(timeout, TcpStream::connect(addr)).await?,
            None => TcpStream::connect(addr).await,
        }
    }
}
