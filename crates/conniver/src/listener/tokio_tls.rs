//! TLS on top, with tokio-rustls.

use std::{future::Future, io};

use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Listener;
use crate::{Conn, dial::Dial};

impl<L> Listener<L> {
    /// Makes the TLS handshake on a connection that was accepted. A slow peer takes its time, so
    /// this belongs into the connection's own task, and under a timeout.
    ///
    /// The connection stays wrapped below TLS: its handle is `stream.get_ref().0.handle()`. If the
    /// handshake fails, or its future is dropped, observers are told of that beside the connection's
    /// own report, with [`FailReason::Tls`](crate::FailReason::Tls) unless the network was the reason.
    ///
    /// ```no_run
    /// use std::{sync::Arc, time::Duration};
    /// use conniver::Options;
    /// use tokio::{net::TcpListener, time::timeout};
    /// use tokio_rustls::TlsAcceptor;
    ///
    /// # async fn serve(tls: TlsAcceptor) -> std::io::Result<()> {
    /// let listener = Arc::new(Options::new().listener(TcpListener::bind("127.0.0.1:0").await?));
    /// loop {
    ///     let (conn, peer) = listener.accept().await?;
    ///     let (listener, tls) = (Arc::clone(&listener), tls.clone());
    ///     tokio::spawn(async move {
    ///         let stream = timeout(Duration::from_secs(10), listener.handshake(conn, &tls)).await??;
    ///         println!("{peer}: {:?}", stream.get_ref().0.handle().tcp_info());
    ///         std::io::Result::Ok(())
    ///     });
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the handshake.
    pub fn handshake(
        &self,
        conn: Conn<TcpStream>,
        tls: &TlsAcceptor,
    ) -> impl Future<Output = io::Result<TlsStream<Conn<TcpStream>>>> + Send + use<L> {
        let mut dial = Dial::begin(&self.options, None);
        if let Some(peer) = conn.handle().remote_addr() {
            dial.begin_attempt(peer);
        }
        let handshake = tls.accept(conn);
        // From here on, so that it is told also if nobody ever polls.
        async move {
            match handshake.await {
                Ok(stream) => {
                    dial.succeeded();
                    Ok(stream)
                }
                Err(error) => {
                    dial.failed_handshake(&error);
                    Err(error)
                }
            }
        }
    }
}
