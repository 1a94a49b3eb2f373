//! The server: who may ask what, and for how long.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::{Body, Frame, Incoming, SizeHint},
    header::{
        ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER,
    },
    http::uri::Scheme,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::AbortHandle,
};

use super::{
    connections::{Piece, Question},
    exposition::Exposition,
    lock,
    look::{Shared, Wish},
    patience::Impatient,
};
use crate::{error::Error, escape};

/// So long a client may take to ask, and to ask again.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// So long those who are being answered have when the program is to end.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// Clients at the same time. Beyond them the oldest is cut off that is not waiting for an answer.
const MOST_CLIENTS: usize = 64;

/// Lists of sockets at the same time.
const MOST_LISTS: usize = 4;

/// A request may be so long. No honest one is.
const MAX_HEAD_LEN: usize = 16 << 10;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) netns: Option<String>,
    /// Nobody else reaches it, so a client that calls it by the name of another machine was led here by a
    /// page in a browser.
    pub(super) is_local: bool,
    clients: Mutex<Vec<Client>>,
    lists: Arc<Semaphore>,
}

/// A client that is connected.
#[derive(Debug)]
struct Client {
    task: AbortHandle,
    is_waiting: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn new(
        shared: Arc<Shared>,
        wishes: mpsc::Sender<Wish>,
        netns: Option<String>,
        is_local: bool,
    ) -> Self {
        let lists = Arc::new(Semaphore::new(MOST_LISTS));
        Self { shared, wishes, netns, is_local, clients: Mutex::default(), lists }
    }

    /// Serves who comes until the program is to end, and those who are there a little longer.
    pub(super) async fn serve(
        self: Arc<Self>,
        listeners: Vec<TcpListener>,
        end: impl Future<Output = ()>,
    ) {
        let (ending, is_ending) = watch::channel(false);
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                tokio::spawn(Arc::clone(&self).accept(listener, is_ending.clone())).abort_handle()
            })
            .collect();
        drop(is_ending);
        end.await;
        accepting.iter().for_each(AbortHandle::abort);
        let _ = ending.send(true);
        // Each client holds a receiver, and lets it go when it is done.
        let _ = tokio::time::timeout(END_PATIENCE, ending.closed()).await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, is_ending: watch::Receiver<bool>) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.admit(stream, is_ending.clone()),
                // One that is gone already, or no descriptor is left: one may be soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Serves the client, if need be instead of another.
    fn admit(self: &Arc<Self>, stream: TcpStream, is_ending: watch::Receiver<bool>) {
        let mut clients = lock(&self.clients);
        clients.retain(|client| !client.task.is_finished());
        if clients.len() >= MOST_CLIENTS {
            self.shared.turned_away.fetch_add(1, Relaxed);
            let idle = clients.iter().position(|client| !client.is_waiting.load(Relaxed));
            let Some(idle) = idle else { return };
            clients.remove(idle).task.abort();
        }
        let is_waiting = Arc::new(AtomicBool::new(false));
        let served = Arc::clone(self).talk(stream, Arc::clone(&is_waiting), is_ending);
        clients.push(Client { task: tokio::spawn(served).abort_handle(), is_waiting });
    }

    async fn talk(
        self: Arc<Self>,
        stream: TcpStream,
        is_waiting: Arc<AtomicBool>,
        mut is_ending: watch::Receiver<bool>,
    ) {
        // An answer is written at once; waiting for more would only delay its end.
        let _ = stream.set_nodelay(true);
        let answer = service_fn(|request| {
            let (server, is_waiting) = (Arc::clone(&self), Arc::clone(&is_waiting));
            async move {
                is_waiting.store(true, Relaxed);
                let response = server.answer(&request).await;
                is_waiting.store(false, Relaxed);
                server.shared.requests.fetch_add(1, Relaxed);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Who has said all that he wants to say may still listen, as behind a pipe.
            .half_close(true)
            .header_read_timeout(READ_PATIENCE)
            .max_buf_size(MAX_HEAD_LEN)
            .serve_connection(TokioIo::new(Impatient::new(stream)), answer);
        tokio::pin!(connection);
        // What a client does wrong is its own affair.
        let _ = tokio::select! {
            done = &mut connection => done,
            _ = is_ending.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Content> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response =
                text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match Host::of(request) {
            Err(complaint) => {
                let mut response = text(StatusCode::BAD_REQUEST, complaint);
                // Where the next request begins is not certain.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                return response;
            }
            Ok(Some(host)) if self.is_local && !host.is_this_machine() => {
                return text(
                    StatusCode::FORBIDDEN,
                    "this is served to this machine only: ask for it by the name localhost, or by an \
                     IP address",
                );
            }
            Ok(_) => {}
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request.headers()).await,
            "/api/connections" => self.connections(request.uri().query()).await,
            "/health" | "/-/ready" => self.health(),
            "/-/healthy" => text(StatusCode::OK, "conniver is running"),
            "/" => page(),
            _ => text(StatusCode::NOT_FOUND, "there is no such page; / names those that are"),
        }
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Content> {
        let accept: Vec<_> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let format = Exposition::wanted(Some(&accept.join(",")));
        let (answer, answered) = oneshot::channel();
        // Among those that wait for the next look may be many that have gone away.
        let asked = self.wishes.send(Wish { format, answer }).await;
        match answered.await {
            Ok(bytes) if asked.is_ok() => {
                response(StatusCode::OK, format.content_type(), Content::whole(bytes))
            }
            _ => text(StatusCode::INTERNAL_SERVER_ERROR, "looking at the sockets has ended"),
        }
    }

    async fn connections(&self, query: Option<&str>) -> Response<Content> {
        let question = match Question::parse(query, self.netns.as_deref()) {
            Ok(question) => question,
            Err(complaint) => return text(StatusCode::BAD_REQUEST, &complaint),
        };
        let Ok(permit) = Arc::clone(&self.lists).try_acquire_owned() else {
            return busy("several others are listing the sockets");
        };
        let (sender, mut pieces) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            question.answer(&sender);
            drop(permit);
        });
        match pieces.recv().await {
            Some(Piece::Text(first)) => {
                let content = Content::Pieces { first: Some(first), rest: pieces };
                response(StatusCode::OK, "application/json", content)
            }
            Some(Piece::Failure(error @ (Error::Usage(_) | Error::Unreadable(_)))) => {
                text(StatusCode::BAD_REQUEST, &error.to_string())
            }
            Some(Piece::Failure(error)) => {
                text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
            }
            Some(Piece::End) | None => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "the list has ended")
            }
        }
    }

    fn health(&self) -> Response<Content> {
        match &lock(&self.shared.looked).failure {
            None => text(StatusCode::OK, "ok"),
            Some(failure) => text(StatusCode::SERVICE_UNAVAILABLE, failure),
        }
    }
}

/// By what name a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Host<'a> {
    /// As RFC 9112, section 3.2, has it: a whole address asks for its own host, whatever the header says,
    /// which has to be there nevertheless, once. None if a client of HTTP/1.0 names none.
    fn of<B>(request: &'a Request<B>) -> Result<Option<Self>, &'static str> {
        let mut headers = request.headers().get_all(HOST).iter();
        let named = match (headers.next(), headers.next()) {
            (Some(_), Some(_)) => return Err("a request has one header \"Host\", not several"),
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(Self::parse);
                Some(host.ok_or("what the header \"Host\" says is no host")?)
            }
            (None, _) if request.version() == Version::HTTP_10 => None,
            (None, _) => return Err("a request of HTTP/1.1 needs the header \"Host\""),
        };
        let uri = request.uri();
        let Some(authority) = uri.authority() else { return Ok(named) };
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err("only addresses that begin with http:// are served");
        }
        let host = Self::parse(authority.as_str()).ok_or("the address has no host")?;
        Ok(Some(host))
    }

    /// Reads a host and, perhaps, a port; nothing else may stand there.
    fn parse(text: &'a str) -> Option<Self> {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let is_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            return is_end.then_some(Self::Address(address.into()));
        }
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        let is_of_names =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
        if !is_port(port) || !name.bytes().all(is_of_names) {
            return None;
        }
        let address = name.parse::<Ipv4Addr>().ok();
        Some(address.map_or(Self::Name(name), |address| Self::Address(address.into())))
    }

    /// Whether no page of another machine can have led a browser here: its host would be a name.
    fn is_this_machine(self) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Self::Address(_) => true,
        }
    }
}

fn response(status: StatusCode, kind: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Lines for a person, who may read them in a terminal.
fn text(status: StatusCode, lines: &str) -> Response<Content> {
    let harmless: Vec<_> = lines.lines().map(escape::line).collect();
    let content = Content::whole(format!("{}\n", harmless.join("\n")).into());
    response(status, "text/plain; charset=utf-8", content)
}

fn busy(line: &str) -> Response<Content> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, line);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn page() -> Response<Content> {
    const PAGE: &str = concat!(
        "<!doctype html><html lang=\"en\"><title>conniver</title><h1>conniver ",
        env!("CARGO_PKG_VERSION"),
        "</h1><p>The TCP connections of this machine.<ul>",
        "<li><a href=\"/metrics\">/metrics</a>: for Prometheus",
        "<li><a href=\"/api/connections?limit=20\">/api/connections</a>: one object a connection; ",
        "<code>filter</code> in the language of <code>conniver list</code>, <code>limit</code>, ",
        "<code>process=1</code>",
        "<li><a href=\"/health\">/health</a>: whether the kernel tells of them; also ",
        "<code>/-/ready</code>, and <code>/-/healthy</code>: whether this runs</ul></html>\n",
    );
    let content = Content::whole(Bytes::from_static(PAGE.as_bytes()));
    response(StatusCode::OK, "text/html; charset=utf-8", content)
}

/// What is answered: a text, or one that comes in pieces.
#[derive(Debug)]
pub(super) enum Content {
    Whole(Option<Bytes>),
    Pieces { first: Option<Bytes>, rest: mpsc::Receiver<Piece> },
}

impl Content {
    const fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match &mut *self {
            Self::Whole(bytes) => bytes.take(),
            Self::Pieces { first, rest } => match first.take() {
                Some(first) => Some(first),
                None => match ready!(rest.poll_recv(context)) {
                    Some(Piece::Text(bytes)) => Some(bytes),
                    Some(Piece::End) => None,
                    // The client sees that the end is missing.
                    Some(Piece::Failure(error)) => {
                        return Poll::Ready(Some(Err(io::Error::other(error.to_string()))));
                    }
                    None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                },
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_meant() {
        let is_meant = |host| Host::parse(host).map(Host::is_this_machine);
        for own in [
            "localhost",
            "LocalHost:19464",
            "127.0.0.1:1",
            "127.0.0.1:",
            "[::1]:19464",
            "[::1]",
            "10.0.0.7",
        ] {
            assert_eq!(is_meant(own), Some(true), "{own}");
        }
        for other in
            ["example.com", "localhost.example.com:80", "127.0.0.1.nip.io", "", ":80", "localhost."]
        {
            assert_eq!(is_meant(other), Some(false), "{other}");
        }
        for none in [
            "[evil]:1",
            "[::1",
            "[::1]evil.example",
            "[::1]:80:80",
            "::1",
            "localhost:80:80",
            "localhost:http",
            "localhost@evil.example",
            "evil.example@localhost",
            "local host",
            "localhost/",
            "localhost, evil.example",
            "löcalhost",
        ] {
            assert_eq!(is_meant(none), None, "{none}");
        }
    }

    #[test]
    fn a_whole_address_is_heeded_and_the_header_is_there_once() {
        let host = |version, uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(()).unwrap();
            Host::of(&request).map(|host| host.map(Host::is_this_machine)).map_err(drop)
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        let whole = |host: &str| format!("http://{host}/metrics");
        assert_eq!(host(old, "/", &[]), Ok(None));
        assert_eq!(host(old, "/", &["evil.example"]), Ok(Some(false)));
        assert_eq!(host(new, "/", &["localhost"]), Ok(Some(true)));
        assert_eq!(host(old, &whole("evil.example"), &[]), Ok(Some(false)));
        assert_eq!(host(new, &whole("evil.example"), &["localhost"]), Ok(Some(false)));
        assert_eq!(host(new, &whole("localhost:80"), &["evil.example"]), Ok(Some(true)));
        for (version, uri, hosts) in [
            (new, "/", &[][..]),
            (new, &*whole("localhost"), &[]),
            (new, "/", &["localhost", "localhost"]),
            (old, "/", &["localhost", "evil.example"]),
            (new, &*whole("localhost"), &["localhost", "localhost"]),
            (new, "/", &["evil.example/localhost"]),
            (new, &*whole("localhost"), &["evil.example/localhost"]),
            (new, "https://localhost/metrics", &["localhost"]),
            (new, &*whole("localhost@evil.example"), &["localhost"]),
        ] {
            assert_eq!(host(version, uri, hosts), Err(()), "{version:?} {uri} {hosts:?}");
        }
    }
}
