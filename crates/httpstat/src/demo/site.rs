//! The site itself: one page that takes a moment to begin and a moment to arrive.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response,
    body::{Body, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue, SERVER},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Sleep, sleep},
};
use tokio_rustls::TlsAcceptor;

/// Serves until the process ends. A site that cannot be served shows as a refused connection.
pub(crate) fn serve(listeners: Vec<TcpListener>, config: Arc<ServerConfig>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let acceptor = TlsAcceptor::from(config);
    runtime.block_on(async {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, acceptor.clone()));
        }
        accepting.join_all().await
    });
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        // A client that goes away in the middle is its own business.
        tokio::spawn(async move { answer(stream, acceptor).await.ok() });
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let served = match is_http2 {
        true => {
            http2::Builder::new(TokioExecutor::new()).serve_connection(io, service_fn(page)).await
        }
        false => http1::Builder::new().serve_connection(io, service_fn(page)).await,
    };
    served.map_err(io::Error::other)
}

async fn page(request: Request<Incoming>) -> Result<Response<Page>, Infallible> {
    sleep(THINKING).await;
    // Over HTTP/2 nobody else takes the body off.
    let sent = if request.method() == Method::HEAD { PIECES } else { 0 };
    let mut response = Response::new(Page { sent, pause: None });
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("httpstat-demo"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

/// A body that arrives piece by piece, as from a busy server.
struct Page {
    sent: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == PIECES {
            return Poll::Ready(None);
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
        std::task::ready!(pause.as_mut().poll(cx));
        self.pause = None;
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
    }
}

const THINKING: Duration = Duration::from_millis(40);
const PAUSE: Duration = Duration::from_millis(1);
const PIECES: usize = 16;
static PIECE: [u8; 64 * 1024] = [b'.'; 64 * 1024];
