//! Servers that behave, and servers that do not.

use std::{
    convert::Infallible,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    task::{Context, Poll},
    thread,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, SanType};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;

use crate::backend::{self, Key};

/// Hands each connection to `behave`, on a thread of its own.
pub(crate) fn raw(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let behave = Arc::clone(&behave);
            thread::spawn(move || behave(stream));
        }
    });
    address
}

/// Reads each request to the end of its head, then sends these bytes and closes.
pub(crate) fn canned(response: impl Into<Vec<u8>>) -> SocketAddr {
    let response = response.into();
    raw(move |mut stream| {
        read_head(&mut stream);
        // A client that has seen enough may be gone already.
        let _ = stream.write_all(&response);
    })
}

/// Answers every request with an empty 200 and shows it, head and body as they came.
pub(crate) fn recording() -> (SocketAddr, Receiver<String>) {
    let (sender, requests) = channel();
    let address = raw(move |mut stream| {
        let mut request = read_head(&mut stream);
        let length = request
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or_default();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        sender.send(request).unwrap();
    });
    (address, requests)
}

/// An address at which nothing listens, for as long as the returned sockets live: the port belongs
/// to the client end of a connection.
pub(crate) fn refusing() -> (SocketAddr, impl Sized) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client.local_addr().unwrap(), (listener, client))
}

pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A certificate for these names, and its key.
pub(crate) struct Identity {
    pub(crate) pem: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn for_names(names: Vec<SanType>) -> Self {
        let key = Key::generate().unwrap();
        let mut params = CertificateParams::default();
        params.serial_number = Some(1u64.into());
        params.subject_alt_names = names;
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), key: key.into_der() }
    }

    pub(crate) fn for_loopback() -> Self {
        Self::for_names(vec![SanType::IpAddress([127, 0, 0, 1].into())])
    }

    pub(crate) fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        Arc::new(self.config_from(backend::provider().unwrap(), versions, alpn))
    }

    /// For QUIC, whose handshake is that of TLS 1.3.
    #[cfg(feature = "http3")]
    pub(crate) fn quic_config(&self, alpn: &[&str]) -> quinn::ServerConfig {
        let provider = rustls::crypto::ring::default_provider();
        let tls = self.config_from(provider, &[&rustls::version::TLS13], alpn);
        let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
        quinn::ServerConfig::with_crypto(Arc::new(tls))
    }

    fn config_from(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

/// Hands each connection to `behave` when TLS with this protocol is established.
pub(crate) fn raw_tls(
    config: Arc<ServerConfig>,
    behave: impl Fn(rustls::StreamOwned<rustls::ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> SocketAddr {
    raw(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        behave(rustls::StreamOwned::new(connection, stream));
    })
}

/// What a [`site`] saw of one connection, counted below TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// A hyper server, over TLS if it gets a configuration. It answers with what `respond` makes of the
/// request, and tells how many bytes crossed each connection when the client has closed it.
pub(crate) fn site<F>(tls: Option<Arc<ServerConfig>>, respond: F) -> (SocketAddr, Receiver<Counts>)
where
    F: Fn(Request<Incoming>) -> Response<Bytes> + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, counts) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = runtime.block_on(async {
                stream.set_nonblocking(true).unwrap();
                let copy = stream.try_clone().unwrap();
                let stream = Counted::new(stream);
                let counts = Arc::clone(&stream.counts);
                serve(stream, tls.clone(), respond.clone()).await;
                // The farewell of a client that hyper no longer waited for.
                let mut rest = Counted { counts, ..Counted::new(copy) };
                let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
                *rest.counts.lock().unwrap()
            });
            // Most tests do not ask.
            let _ = sender.send(counted);
        }
    });
    (address, counts)
}

async fn serve<F>(stream: Counted, tls: Option<Arc<ServerConfig>>, respond: F)
where
    F: Fn(Request<Incoming>) -> Response<Bytes> + Clone + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = respond(request).map(Full::new);
        async { Ok::<_, Infallible>(response) }
    });
    // A client that leaves in the middle shows in its own result.
    let _ = match tls {
        None => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
        Some(config) => {
            let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => {
                    http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                }
                _ => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
            }
        }
    };
}

/// A stream that counts without any help from the code under test.
struct Counted {
    stream: tokio::net::TcpStream,
    counts: Arc<Mutex<Counts>>,
}

impl Counted {
    fn new(stream: TcpStream) -> Self {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        Self { stream, counts: Arc::default() }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.counts.lock().unwrap().received += (buf.filled().len() - before) as u64;
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &result {
            self.counts.lock().unwrap().sent += *written as u64;
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
