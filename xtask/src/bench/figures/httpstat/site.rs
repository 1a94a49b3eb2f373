//! A server on loopback that answers at once: a page of two bytes, or a gibibyte.

use std::{
    convert::Infallible,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::bench::{cost::Trouble, tls::Identity};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

/// It is served until the process ends.
pub(super) struct Site {
    address: SocketAddr,
    speech: Speech,
    authorities: Option<PathBuf>,
}

impl Site {
    pub(super) fn serve(speech: Speech) -> Result<Self, Trouble> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (acceptor, authorities) = match speech {
            Speech::Plain => (None, None),
            Speech::Http1 | Speech::Http2 => {
                let identity = Identity::new()?;
                let alpn: &[u8] = if speech == Speech::Http2 { b"h2" } else { b"http/1.1" };
                let config = identity.server_config(alpn)?;
                (Some(TlsAcceptor::from(config)), Some(identity.authorities()?))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        listener.set_nonblocking(true)?;
        thread::spawn(move || runtime.block_on(accept(listener, acceptor, speech)));
        Ok(Self { address, speech, authorities })
    }

    /// Two bytes.
    pub(super) fn page(&self) -> String {
        self.url("")
    }

    pub(super) fn gibibyte(&self) -> String {
        self.url(LONG)
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.speech == Speech::Plain { "http" } else { "https" };
        format!("{scheme}://{}/{path}", self.address)
    }

    /// The system's authorities and the site's own.
    pub(super) fn authorities(&self) -> Option<&Path> {
        self.authorities.as_deref()
    }

    /// curl asks for HTTP/2 by itself, if it can; this makes sure.
    pub(super) fn wish_of_curl(&self) -> Option<&'static str> {
        match self.speech {
            Speech::Plain => None,
            Speech::Http1 => Some("--http1.1"),
            Speech::Http2 => Some("--http2"),
        }
    }

    /// The page by nothing but system calls.
    pub(super) fn bare_exchange(&self) -> io::Result<Duration> {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::with_capacity(4096);
        stream.read_to_end(&mut answer)?;
        drop(stream);
        let elapsed = start.elapsed();
        match answer.ends_with(b"\r\n\r\nok") {
            true => Ok(elapsed),
            false => Err(io::Error::other("the page is another one")),
        }
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    speech: Speech,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        // A client that goes away is noticed by its exit code.
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else { return answer(stream, speech).await };
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, speech).await;
            }
        });
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, speech: Speech) {
    let stream = TokioIo::new(stream);
    let _ = match speech {
        Speech::Http2 => {
            http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service_fn(page))
                .await
        }
        Speech::Plain | Speech::Http1 => {
            http1::Builder::new().serve_connection(stream, service_fn(page)).await
        }
    };
}

async fn page(request: Request<Incoming>) -> Result<Response<Zeros>, Infallible> {
    let left = if request.uri().path().ends_with(LONG) { GIBIBYTE } else { 0 };
    let page = if left == 0 { &b"ok"[..] } else { &[] };
    Ok(Response::new(Zeros { page, left }))
}

struct Zeros {
    page: &'static [u8],
    left: u64,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let page = std::mem::take(&mut self.page);
        let piece = match self.left {
            0 => page,
            _ => &PIECE,
        };
        self.left = self.left.saturating_sub(PIECE.len() as u64);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(Bytes::from_static(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_empty() && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.page.len() as u64 + self.left)
    }
}

const LONG: &str = "gibibyte";
const GIBIBYTE: u64 = 1 << 30;
static PIECE: [u8; 256 * 1024] = [0; 256 * 1024];
