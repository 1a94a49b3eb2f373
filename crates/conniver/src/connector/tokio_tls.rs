//! TLS on top, with tokio-rustls.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use super::{Connector, Target};
use crate::{Conn, ConnectError, dial::Dial};

impl Connector {
    /// As [`connect_tokio`](Self::connect_tokio), followed by the TLS handshake. A
    /// [timeout](Self::timeout) holds for the handshake once more.
    ///
    /// The connection is wrapped below TLS: its handle is `stream.get_ref().0.handle()`, and its
    /// bytes are those of the wire, handshake included. If the handshake fails, there was a
    /// connection, which is reported as every one; observers are told of the failure too, with
    /// [`FailReason::Tls`](crate::FailReason::Tls) unless the network was the reason.
    ///
    /// ```no_run
    /// use conniver::Options;
    /// use tokio_rustls::TlsConnector;
    ///
    /// # async fn connect(config: std::sync::Arc<tokio_rustls::rustls::ClientConfig>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = Options::new().connector();
    /// let tls = TlsConnector::from(config);
    /// let name = "example.org".try_into()?;
    /// let stream = connector.connect_tls(("example.org", 443), &tls, name).await?;
    /// println!("{:?}", stream.get_ref().0.handle().tcp_info());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect), and those of the handshake.
    pub async fn connect_tls(
        &self,
        target: impl Into<Target>,
        tls: &TlsConnector,
        name: ServerName<'static>,
    ) -> Result<TlsStream<Conn<TcpStream>>, ConnectError> {
        let target = target.into();
        let asked = target.name();
        let conn = self.connect_tokio(target).await?;
        let peer = conn.handle().remote_addr();
        let mut dial = Dial::begin(self.options(), asked);
        if let Some(peer) = peer {
            dial.begin_attempt(peer);
        }
        let handshake = tls.connect(name, conn);
        let shaken = match self.inner.timeout {
            Some(timeout) => {
                tokio::time::timeout(timeout, handshake).await.unwrap_or_else(|_| Err(timed_out()))
            }
            None => handshake.await,
        };
        match shaken {
            Ok(stream) => {
                dial.succeeded();
                Ok(stream)
            }
            Err(error) => Err(ConnectError::new(dial.failed_handshake(&error), error)),
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
}
