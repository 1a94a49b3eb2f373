//! One request and its response over an established connection.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response, StatusCode, Version,
    body::Incoming,
    client::conn::{http1, http2},
    ext::ReasonPhrase,
    header::HeaderMap,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    error::Error,
    failure,
    payload::Upload,
    request::Draft,
    sink::Sink,
    stamp::{Stamped, Stamps},
    watch::Watch,
};

/// A stream that HTTP can be spoken over, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Which versions of HTTP may be spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Versions {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    #[default]
    Both,
    Http1,
    /// Without asking, and so also without TLS.
    Http2,
}

/// What is known of an exchange, filled in as it goes on.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) stamps: Stamps,
    pub(crate) sent: Option<Sent>,
    pub(crate) sent_bytes: u64,
    pub(crate) head: Option<Head>,
    /// Bytes of the body received so far, without the protocol's framing.
    pub(crate) received_bytes: u64,
}

/// Request line and header, as handed to HTTP.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
}

/// Status line and header of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    /// As the server worded it; HTTP/2 has none.
    pub(crate) reason: Option<Vec<u8>>,
    pub(crate) headers: HeaderMap,
}

impl Exchange {
    /// Sends the request and takes the head of the response; its body is returned, to be taken.
    pub(crate) async fn ask(
        &mut self,
        line: &mut Line,
        draft: Draft,
        endpoint: &str,
    ) -> Result<Incoming, Error> {
        self.sent_bytes = draft.payload_len();
        self.stamps = line.stamps.clone();
        let noted = |payload: Upload| payload.noted_in(&self.stamps);
        let answered = match &mut line.sender {
            Sender::Http1(sender) => {
                let request = draft.into_http1().map(noted);
                self.sent = Some(Sent::of(&request, "HTTP/1.1"));
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let request = draft.into_http2()?.map(noted);
                self.sent = Some(Sent::of(&request, "HTTP/2"));
                sender.send_request(request).await
            }
        };
        let response = answered.map_err(|error| {
            if failure::is_refusal(&error) {
                self.stamps.refused();
            }
            failure::of_head(&error, &self.stamps.seen(), endpoint)
        })?;
        self.stamps.head_understood();
        let head = Head::of(&response);
        let body = response.into_body();
        self.head = Some(head);
        Ok(body)
    }

    /// Takes the body to its end, which is the returned moment.
    pub(crate) async fn take(
        &mut self,
        mut body: Incoming,
        sink: &mut Sink,
        endpoint: &str,
    ) -> Result<Instant, Error> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                failure::of_body(&error, &self.stamps.seen(), self.received_bytes, endpoint)
            })?;
            let data: Bytes = frame.into_data().unwrap_or_default();
            self.received_bytes += data.len() as u64;
            if sink.write(data).await?.is_break() {
                break;
            }
        }
        Ok(Instant::now())
    }
}

/// A connection that carries one request after the other.
#[derive(Debug)]
pub(crate) struct Line {
    sender: Sender,
    stamps: Stamps,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

impl Line {
    /// Begins to speak HTTP.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        http2: bool,
        endpoint: &str,
    ) -> Result<Self, Error> {
        let stamps = Stamps::default();
        let failed = |error: hyper::Error| failure::of_head(&error, &stamps.seen(), endpoint);
        let sender = if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(MAX_HEADER_LIST_LEN)
                .initial_stream_window_size(WINDOW_LEN)
                .initial_connection_window_size(WINDOW_LEN)
                .handshake(TokioIo::new(Stamped::http2(stream, stamps.clone())))
                .await
                .map_err(failed)?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::Builder::new()
                .max_headers(MAX_HEADERS)
                .max_buf_size(MAX_HEAD_LEN)
                .handshake(TokioIo::new(Stamped::http1(stream, stamps.clone())))
                .await
                .map_err(failed)?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        Ok(Self { sender, stamps })
    }

    /// Lets this watch know of the next response.
    pub(crate) fn watched_by(&self, watch: &Watch) {
        self.stamps.watched_by(watch);
    }

    /// Whether the next request can be sent: the last exchange is over and the connection is not.
    pub(crate) async fn is_free(&mut self) -> bool {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        if ready.is_ok() {
            self.stamps.renew();
        }
        ready.is_ok()
    }
}

impl Sent {
    fn of(request: &Request<Upload>, version: &str) -> Self {
        let line = format!("{} {} {version}", request.method(), request.uri());
        Self { line, headers: request.headers().clone() }
    }
}

impl Head {
    pub(crate) fn of<B>(response: &Response<B>) -> Self {
        let reason = response.extensions().get::<ReasonPhrase>();
        Self {
            version: response.version(),
            status: response.status(),
            reason: reason.map(|reason| reason.as_bytes().to_vec()),
            headers: response.headers().clone(),
        }
    }

    /// The name of the protocol as it stands in a status line.
    pub(crate) fn version_name(&self) -> &'static str {
        match self.version {
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        }
    }

    /// Protocol, code and the server's own words; those of the standard if it used none.
    pub(crate) fn status_line(&self) -> Vec<u8> {
        let mut line = format!("{} {}", self.version_name(), self.status.as_u16()).into_bytes();
        let reason = self.reason.as_deref();
        let standard = self.status.canonical_reason().filter(|_| self.version != Version::HTTP_2);
        let reason = reason.or(standard.map(str::as_bytes)).unwrap_or_default();
        if !reason.is_empty() {
            line.push(b' ');
            line.extend_from_slice(reason);
        }
        line
    }
}

/// Bounds on a response head, far above what real servers send.
pub(crate) const MAX_HEADERS: usize = 1_000;
pub(crate) const MAX_HEAD_LEN: usize = 512 * 1024;
const MAX_HEADER_LIST_LEN: u32 = 512 * 1024;
/// Of HTTP/2, so large that a download is bound by TCP: 1 Gbit/s at 130 ms. A slow `--output` makes
/// this much wait in memory.
const WINDOW_LEN: u32 = 16 << 20;
