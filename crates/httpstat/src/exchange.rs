//! One request and its response over an established connection.

use std::{future::poll_fn, time::Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::{
    Request, Response, StatusCode, Version,
    body::Body,
    client::conn::http1,
    ext::{ReasonPhrase, on_informational},
    header::{HeaderMap, TRANSFER_ENCODING},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "http3")]
use crate::http3;
use crate::{
    body::{Arrived, BodyArgs, Coming, Receipt},
    decode,
    error::Error,
    failure::{self, Cause},
    http2,
    interim::{Held, Interims},
    payload::Upload,
    progress::{self, Bar},
    request::Draft,
    server_timing::{self, Metric},
    sink::Sink,
    stamp::{Stamped, Stamps},
    units,
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
    pub(crate) interims: Interims,
    pub(crate) head: Option<Head>,
    pub(crate) body: Arrived,
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
    /// As the server worded it; HTTP/2 and its successor have none.
    pub(crate) reason: Option<Vec<u8>>,
    pub(crate) headers: HeaderMap,
}

impl Exchange {
    /// Sends the request and takes the head of the response; its body is returned, to be taken.
    pub(crate) async fn ask(
        &mut self,
        line: &mut Line,
        draft: Draft,
        args: &BodyArgs,
        endpoint: &str,
    ) -> Result<Coming, Error> {
        self.sent_bytes = draft.payload_len();
        self.stamps = line.stamps.clone();
        let upload = Upwards::new(&self.stamps, self.sent_bytes);
        let asked = async {
            match &mut line.sender {
                Sender::Http1(sender) => Ok(self.over_http1(sender, draft).await),
                Sender::Http2(sender) => self.over_http2(sender, draft).await,
                #[cfg(feature = "http3")]
                Sender::Http3(connection) => self.over_http3(connection, draft).await,
            }
        };
        let asked = progress::beside(args.shows_progress(), asked, || upload.bar()).await?;
        let response = asked.map_err(|error| {
            if failure::is_refusal(&error) {
                self.stamps.refused();
            }
            failure::of_head(&error, &self.stamps.seen(), endpoint)
        })?;
        self.interims.answered();
        self.stamps.head_understood();
        self.head = Some(Head::of(&response));
        Ok(response.into_body())
    }

    /// Takes the body to its end, which is the returned moment. Without `args`, nothing is done for
    /// it or asked of it.
    pub(crate) async fn take(
        &mut self,
        body: Coming,
        args: Option<&BodyArgs>,
        sink: &mut Sink,
        endpoint: &str,
    ) -> Result<Instant, Error> {
        let none = HeaderMap::new();
        let headers = self.head.as_ref().map_or(&none, |head| &head.headers);
        let download = Downwards { stamps: self.stamps.clone(), total: body.announced(headers) };
        let is_shown = args.is_some_and(BodyArgs::shows_progress) && !sink.is_terminal();
        let receipt = Receipt { headers, stamps: &self.stamps, args, endpoint };
        let taken = receipt.take(body, &mut self.body, sink);
        progress::beside(is_shown, taken, || Some(download.bar())).await
    }

    async fn over_http1(
        &mut self,
        sender: &mut http1::SendRequest<Held>,
        draft: Draft,
    ) -> Result<Response<Coming>, Cause> {
        let mut request = draft.into_http1();
        let (stamps, interims) = (self.stamps.clone(), self.interims.clone());
        on_informational(&mut request, move |interim| {
            stamps.interim();
            interims.push(interim.status(), interim.headers());
        });
        let request = self.noted(request, "HTTP/1.1");
        Ok(sender.send_request(request).await?.map(Coming::Http1))
    }

    async fn over_http2(
        &mut self,
        sender: &mut SendRequest<Bytes>,
        draft: Draft,
    ) -> Result<Result<Response<Coming>, Cause>, Error> {
        let request = draft.into_http2()?;
        let request = self.noted(request, "HTTP/2");
        let asked = http2::ask(sender, request, &self.interims, &self.stamps).await;
        Ok(asked.map(|response| response.map(Coming::Http2)).map_err(Cause::Http2))
    }

    #[cfg(feature = "http3")]
    async fn over_http3(
        &mut self,
        connection: &mut http3::Connection,
        draft: Draft,
    ) -> Result<Result<Response<Coming>, Cause>, Error> {
        let request = http3::fit(draft.into_http2()?);
        let request = self.noted(request, "HTTP/3");
        let asked = connection.send(request, &self.interims, &self.stamps).await;
        Ok(asked
            .map(|response| response.map(|body| Coming::Http3(Box::new(body))))
            .map_err(Cause::Http3))
    }

    /// The request as it will be sent, remembered, with a body that is watched.
    fn noted(&mut self, request: Request<Upload>, version: &str) -> Request<Held> {
        self.sent = Some(Sent::of(&request, version));
        let (head, payload) = request.into_parts();
        let payload = payload.noted_in(&self.stamps);
        let held = self.interims.hold(payload, &head.headers);
        Request::from_parts(head, held)
    }

    /// What the server says about its own time, in header and trailer.
    pub(crate) fn server_timing(&self) -> Vec<Metric> {
        let headers = self.head.as_ref().map(|head| &head.headers);
        server_timing::metrics(headers.into_iter().chain(&self.body.trailers))
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
    Http1(http1::SendRequest<Held>),
    Http2(SendRequest<Bytes>),
    #[cfg(feature = "http3")]
    Http3(Box<http3::Connection>),
}

impl Line {
    /// Begins to speak HTTP.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        http2: bool,
        endpoint: &str,
    ) -> Result<Self, Error> {
        let stamps = Stamps::default();
        let opened = match http2 {
            true => http2::open(Stamped::http2(stream, stamps.clone())).await.map(Sender::Http2),
            false => open_http1(Stamped::http1(stream, stamps.clone())).await.map(Sender::Http1),
        };
        let sender = opened.map_err(|error| failure::of_head(&error, &stamps.seen(), endpoint))?;
        Ok(Self { sender, stamps })
    }

    /// The same over QUIC.
    #[cfg(feature = "http3")]
    pub(crate) fn over_quic(connection: http3::Connection) -> Self {
        Self { sender: Sender::Http3(Box::new(connection)), stamps: Stamps::default() }
    }

    /// Lets this watch know of the next response.
    pub(crate) fn watched_by(&self, watch: &Watch) {
        self.stamps.watched_by(watch);
    }

    /// Whether the next request can be sent: the last exchange is over and the connection is not.
    pub(crate) async fn is_free(&mut self) -> bool {
        let is_ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => poll_fn(|cx| sender.poll_ready(cx)).await.is_ok(),
            // It is kept for no other request.
            #[cfg(feature = "http3")]
            Sender::Http3(_) => false,
        };
        if is_ready {
            self.stamps.renew();
        }
        is_ready
    }
}

async fn open_http1(stream: Stamped<Box<dyn Stream>>) -> Result<http1::SendRequest<Held>, Cause> {
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_LEN)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// An upload as a progress bar shows it.
struct Upwards {
    stamps: Stamps,
    begun: Instant,
    total: u64,
}

impl Upwards {
    fn new(stamps: &Stamps, total: u64) -> Self {
        Self { stamps: stamps.clone(), begun: Instant::now(), total }
    }

    fn bar(&self) -> Option<Bar> {
        let seen = self.stamps.seen();
        let is_sending = self.total > 0 && seen.request_sent.is_none();
        // Head and framing are small beside an upload that takes a second.
        let sent = seen.written.min(self.total);
        is_sending.then(|| moving("upload", sent, Some(self.total), self.begun))
    }
}

/// A download as a progress bar shows it.
struct Downwards {
    stamps: Stamps,
    total: Option<u64>,
}

impl Downwards {
    fn bar(&self) -> Bar {
        let seen = self.stamps.seen();
        let since = seen.first_byte.unwrap_or_else(Instant::now);
        moving("download", seen.body_received, self.total, since)
    }
}

fn moving(label: &str, done: u64, total: Option<u64>, since: Instant) -> Bar {
    let (done, seconds) = (done as f64, since.elapsed().as_secs_f64());
    let total = total.filter(|total| *total > 0).map(|total| total as f64);
    let rate = done / seconds.max(f64::MIN_POSITIVE);
    let mut trailing = units::size(done);
    if let Some(total) = total {
        trailing.push_str(&format!(" of {}", units::size(total)));
    }
    trailing.push_str(&format!(" · {}", units::rate(rate)));
    if let Some(total) = total.filter(|_| rate > 0.0) {
        let left = ((total - done).max(0.0) / rate).ceil();
        trailing.push_str(&match left {
            s if s < 100.0 => format!(" · {s:.0}s left"),
            s if s < 360_000.0 => format!(" · {:.0}m left", s / 60.0),
            _ => String::new(),
        });
    }
    Bar { label: label.to_owned(), fraction: total.map(|total| done / total), trailing }
}

impl Sent {
    fn of<B: Body>(request: &Request<B>, version: &str) -> Self {
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
            Version::HTTP_3 => "HTTP/3",
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        }
    }

    /// The content codings it names, whether known or not.
    pub(crate) fn content_codings(&self) -> Vec<String> {
        decode::coding_names(&self.headers).collect()
    }

    /// The transfer codings it names; `chunked` is the usual one.
    pub(crate) fn transfer_codings(&self) -> Vec<String> {
        let values = self.headers.get_all(TRANSFER_ENCODING).into_iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        values.collect()
    }

    /// Protocol, code and the server's own words; those of the standard if it used none.
    pub(crate) fn status_line(&self) -> Vec<u8> {
        let mut line = format!("{} {}", self.version_name(), self.status.as_u16()).into_bytes();
        let reason = self.reason.as_deref();
        let standard = self.status.canonical_reason().filter(|_| self.version < Version::HTTP_2);
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
