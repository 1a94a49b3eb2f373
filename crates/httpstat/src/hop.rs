//! One request, measured from the name lookup to the last byte.

use std::{
    collections::VecDeque,
    mem,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::Method;
use tcpinfo::TcpInfo;
use tokio::{task::yield_now, time::timeout};

#[cfg(feature = "http3")]
use crate::http3;
use crate::{
    body::{BodyArgs, Coming},
    dial::{self, Attempt},
    error::Error,
    exchange::{Exchange, Line, Stream, Versions},
    keep::{Kept, Pool, Use},
    proxy::Proxy,
    redirect,
    request::{Ask, Draft},
    route::Route,
    samples::{History, Moment},
    sink::Sink,
    socket::Socket,
    stop::{Stop, Stops},
    target::{Endpoint, Target},
    timeline::{Phase, Timeline},
    tls::{self, Repeatable, Session},
    verdict::{self, Verdict},
    watch::Watch,
};

/// A request made and all that was learnt on the way, whether it succeeded or not.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) timeline: Timeline,
    /// What the name means, if it was looked up.
    pub(crate) answers: Vec<IpAddr>,
    pub(crate) attempts: Vec<Attempt>,
    /// Those over QUIC, before the others.
    #[cfg(feature = "http3")]
    pub(crate) quic_attempts: Vec<Attempt>,
    /// The other end of the socket, where that is not the server.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) socket: Option<Socket>,
    #[cfg(feature = "http3")]
    pub(crate) quic: Option<http3::Record>,
    pub(crate) tls: Option<Session>,
    pub(crate) exchange: Exchange,
    /// What became of the connection before, where connections are kept.
    pub(crate) line_use: Option<Use>,
    /// What the kernel said of a kept connection before and after the request.
    pub(crate) info_before: Option<TcpInfo>,
    pub(crate) info_after: Option<TcpInfo>,
    /// Where the body went.
    pub(crate) saved_to: Option<PathBuf>,
    /// What a redirect asks for that is to be followed.
    pub(crate) next: Option<Box<Ask>>,
    /// What the kernel said on the way, once all has ended.
    pub(crate) history: History,
    watch: Watch,
}

/// Everything that is decided before the clock starts.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) draft: Draft,
    pub(crate) reach: Reach<'a>,
    /// What the request was made from.
    pub(crate) ask: Ask,
    /// Redirects are to be followed.
    pub(crate) follows: bool,
    /// Where connections are taken from and left, unless each request gets its own.
    pub(crate) pool: Option<&'a mut Pool>,
    /// Taken by the response that leads nowhere else.
    pub(crate) sink: &'a mut Sink,
}

/// How the server is reached.
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    pub(crate) versions: Versions,
    /// Used for `https` only.
    pub(crate) tls: Option<Arc<tls::Client>>,
    #[cfg(feature = "http3")]
    pub(crate) http3: Option<http3::Client>,
    /// Used for a proxy that wants it.
    pub(crate) proxy_tls: Option<Arc<tls::Client>>,
    pub(crate) route: &'a Route,
    /// For name lookup, TCP and TLS together; absent means for ever.
    pub(crate) connect_timeout: Option<Duration>,
    /// About the body of the request and of the last response.
    pub(crate) body: &'a BodyArgs,
    /// Whether the request may be sent before the handshake is over.
    pub(crate) repeatable: Repeatable,
}

/// An established connection, over which HTTP is not spoken yet.
enum Link {
    Tcp(Box<dyn Stream>),
    #[cfg(feature = "http3")]
    Quic(Box<http3::Connection>),
}

/// The addresses of a connection, as far as the system tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
}

impl Hop {
    pub(crate) fn new(ask: &Ask, interval: Option<Duration>) -> Self {
        Self {
            target: ask.target.clone(),
            method: ask.method.clone(),
            timeline: Timeline::default(),
            answers: Vec::new(),
            attempts: Vec::new(),
            #[cfg(feature = "http3")]
            quic_attempts: Vec::new(),
            proxy: None,
            socket: None,
            #[cfg(feature = "http3")]
            quic: None,
            tls: None,
            exchange: Exchange::default(),
            line_use: None,
            info_before: None,
            info_after: None,
            saved_to: None,
            next: None,
            history: History::default(),
            watch: Watch::new(interval),
        }
    }

    /// Makes the request. What was learnt until a failure stays in `self`.
    pub(crate) async fn measure(&mut self, plan: Plan<'_>, stops: &mut Stops) -> Result<(), Error> {
        let watch = self.watch.clone();
        let outcome = stops.heeded_by(watch.beside(Box::pin(self.request(plan)))).await;
        watch.note(Moment::End);
        self.settle(self.exchange.body.ended.unwrap_or_else(Instant::now));
        let outcome = outcome.unwrap_or_else(|stop| Err(self.stopped(stop)));
        if let (Ok(()), Some(socket)) = (&outcome, &mut self.socket) {
            socket.closed_within(CLOSING).await;
        }
        #[cfg(feature = "http3")]
        if let Some(quic) = &mut self.quic {
            quic.close_within(CLOSING).await;
        }
        outcome.map_err(|mut error| {
            error.phase = error.phase.or(self.timeline.phase());
            error
        })
    }

    async fn request(&mut self, plan: Plan<'_>) -> Result<(), Error> {
        let Plan { draft, reach, ask, follows, mut pool, sink } = plan;
        let endpoint = self.target.endpoint().to_string();
        let kept = match &mut pool {
            Some(pool) => self.take_over(pool).await,
            None => None,
        };
        let args = reach.body;
        let (line, body) = match kept {
            Some(line) => self.ask_again(line, draft, &ask, &reach, &endpoint).await?,
            None => self.ask_afresh(draft, &reach, &endpoint).await?,
        };
        // Without a sender, HTTP closes the connection as soon as it can.
        let line = pool.is_some().then_some(line);
        let head = self.exchange.head.as_ref();
        let next = head.filter(|_| follows).map(|head| redirect::next(&ask, head));
        self.next = next.transpose()?.flatten().map(Box::new);
        let mut skim = Sink::skim();
        let (sink, args) = match self.next {
            Some(_) => (&mut skim, None),
            None => (sink, Some(args)),
        };
        if let Some(head) = &self.exchange.head {
            sink.name(&head.headers, &self.target)?;
        }
        self.saved_to = sink.path().map(Path::to_owned);
        let ended = self.exchange.take(body, args, sink, &endpoint).await?;
        self.settle(ended);
        if let Some((line, pool)) = line.zip(pool) {
            self.leave(line, pool);
        }
        mem::take(sink).finish()
    }

    /// Asks over a connection that served an earlier request, or over a new one if it turns out to
    /// have ended in the meantime.
    async fn ask_again(
        &mut self,
        mut line: Line,
        mut draft: Draft,
        ask: &Ask,
        reach: &Reach<'_>,
        endpoint: &str,
    ) -> Result<(Line, Coming), Error> {
        self.timeline.enter(Phase::Send, Instant::now());
        self.prepare_for_proxy(&mut draft);
        line.watched_by(&self.watch);
        let error = match self.exchange.ask(&mut line, draft, reach.body, endpoint).await {
            Ok(body) => return Ok((line, body)),
            Err(error) => error,
        };
        // RFC 9110, section 9.2.2: what the server may have acted upon is not repeated by itself.
        let seen = self.exchange.stamps.seen();
        let is_repeatable = self.method.is_idempotent() || !seen.may_have_acted();
        if !(seen.came_too_late() && is_repeatable) {
            return Err(error);
        }
        self.line_use = Some(Use::Replaced);
        (self.timeline, self.exchange) = (Timeline::default(), Exchange::default());
        (self.socket, self.tls, self.info_before) = (None, None, None);
        self.ask_afresh(Draft::new(ask)?, reach, endpoint).await
    }

    /// Asks over a new connection.
    async fn ask_afresh(
        &mut self,
        mut draft: Draft,
        reach: &Reach<'_>,
        endpoint: &str,
    ) -> Result<(Line, Coming), Error> {
        let established = self.establish(reach);
        let link = match reach.connect_timeout {
            Some(limit) => timeout(limit, established).await.unwrap_or_else(|_| {
                Err(self.stopped(Stop::Late { limit, option: "--connect-timeout" }))
            }),
            None => established.await,
        }?;
        self.timeline.enter(Phase::Send, Instant::now());
        let is_forwarded = self.prepare_for_proxy(&mut draft);
        let is_agreed = self.tls.as_ref().is_some_and(Session::is_http2);
        let http2 = is_agreed || (reach.versions == Versions::Http2 && !is_forwarded);
        let mut line = match link {
            Link::Tcp(stream) => Line::open(stream, http2, endpoint).await?,
            #[cfg(feature = "http3")]
            Link::Quic(connection) => Line::over_quic(*connection),
        };
        line.watched_by(&self.watch);
        let body = self.exchange.ask(&mut line, draft, reach.body, endpoint).await?;
        Ok((line, body))
    }

    /// Words the request for a proxy that asks the server itself, and says whether there is one.
    fn prepare_for_proxy(&self, draft: &mut Draft) -> bool {
        let forwarder = self.proxy.as_ref().filter(|proxy| proxy.forwards(&self.target));
        if let Some(proxy) = forwarder {
            draft.forwarded_by(proxy.authorization());
        }
        forwarder.is_some()
    }

    /// Takes a connection to the same origin that is still open, if there is one.
    async fn take_over(&mut self, pool: &mut Pool) -> Option<Line> {
        let Some(Kept { mut line, socket, tls, proxy, .. }) = pool.take(&self.target.origin())
        else {
            self.line_use = Some(Use::Fresh);
            return None;
        };
        // A server that closes right after its answer shall be noticed before and not after the next
        // request: the first time the event loop hears of it, the second time HTTP does.
        yield_now().await;
        yield_now().await;
        if !line.is_free().await {
            self.line_use = Some(Use::Replaced);
            return None;
        }
        self.line_use = Some(Use::Reused);
        self.info_before = socket.info();
        self.watch.begin(socket.handle.clone());
        (self.socket, self.tls, self.proxy) = (Some(socket), tls, proxy);
        Some(line)
    }

    /// Leaves the connection to the next request, or ends it if there will be none.
    fn leave(&mut self, line: Line, pool: &mut Pool) {
        let Some(socket) = &self.socket else { return };
        self.info_after = socket.info();
        self.exchange.stamps = self.exchange.stamps.detached();
        if pool.is_last && self.next.is_none() {
            return;
        }
        let rest = socket.glance();
        if let Some(socket) = self.socket.replace(rest) {
            let (tls, proxy) = (self.tls.clone(), self.proxy.clone());
            pool.put(Kept { origin: self.target.origin(), line, socket, tls, proxy });
        }
    }

    async fn establish(&mut self, reach: &Reach<'_>) -> Result<Link, Error> {
        let Reach { route, tls, proxy_tls, .. } = reach;
        let (server, proxy) = route.to(&self.target);
        self.proxy = proxy;
        let proxy = self.proxy.clone();
        let other_end = proxy.as_ref().map_or(&server, |proxy| &proxy.endpoint);
        #[cfg(feature = "http3")]
        let http3 = http3::Client::usable(reach.http3.as_ref(), &self.target, proxy.as_ref())?;
        let unreached = |error: Error| match &proxy {
            Some(proxy) => {
                let message = format!("the proxy {} is out of reach: {}", proxy.url, error.message);
                Error { message, ..error }
            }
            None => error,
        };
        let addresses = self.look_up(other_end, route).await.map_err(unreached)?;
        #[cfg(feature = "http3")]
        if let Some(client) = http3
            && let Some(link) = self.dial_quic(client, addresses.clone(), route).await?
        {
            return Ok(link);
        }
        let mut stream = self.dial(addresses, other_end, route).await.map_err(unreached)?;

        if let Some(proxy) = &proxy {
            let shakes_hands = proxy.tls_target().zip(proxy_tls.as_ref());
            if shakes_hands.is_some() || !proxy.forwards(&self.target) {
                self.timeline.enter(Phase::Proxy, Instant::now());
            }
            if let Some((target, client)) = shakes_hands {
                stream = client.handshake(&target, Repeatable::No, stream, &mut None).await?;
            }
            if !proxy.forwards(&self.target) {
                stream = proxy.tunnel(stream, &server).await?;
            }
        }

        let Some(client) = tls.as_ref().filter(|_| self.target.is_https()) else {
            return Ok(Link::Tcp(stream));
        };
        self.timeline.enter(Phase::Tls, Instant::now());
        let stream =
            client.handshake(&self.target, reach.repeatable, stream, &mut self.tls).await?;
        self.watch.note(Moment::Tls);
        Ok(Link::Tcp(stream))
    }

    /// A connection over QUIC, or none where TCP may be used instead and has to.
    #[cfg(feature = "http3")]
    async fn dial_quic(
        &mut self,
        client: &http3::Client,
        addresses: VecDeque<SocketAddr>,
        route: &Route,
    ) -> Result<Option<Link>, Error> {
        self.timeline.enter(Phase::Quic, Instant::now());
        let from = route.interface.as_ref();
        let connecting =
            client.connect(&self.target, addresses, from, &mut self.quic_attempts, &mut self.tls);
        let connection = match client.patience() {
            None => connecting.await?,
            Some(limit) => match timeout(limit, connecting).await {
                Ok(Ok(connection)) => connection,
                // Why is told by the attempts, and what becomes of it by TCP.
                Ok(Err(_)) | Err(_) => {
                    self.tls = None;
                    return Ok(None);
                }
            },
        };
        self.quic = Some(connection.record());
        Ok(Some(Link::Quic(Box::new(connection))))
    }

    /// The addresses of what stands at the other end of the socket, in the order of attempts.
    async fn look_up(
        &mut self,
        endpoint: &Endpoint,
        route: &Route,
    ) -> Result<VecDeque<SocketAddr>, Error> {
        let known = dial::literal(endpoint).map(|address| vec![address]);
        let found = match known.or_else(|| route.pinned(endpoint)) {
            Some(addresses) => addresses,
            None => {
                self.timeline.enter(Phase::Dns, Instant::now());
                let found = dial::resolve(endpoint).await?;
                self.answers = found.iter().map(SocketAddr::ip).collect();
                found
            }
        };
        dial::order(&found, route.family, endpoint)
    }

    /// Connects to it over TCP.
    async fn dial(
        &mut self,
        addresses: VecDeque<SocketAddr>,
        endpoint: &Endpoint,
        route: &Route,
    ) -> Result<Box<dyn Stream>, Error> {
        self.timeline.enter(Phase::Connect, Instant::now());
        let from = route.interface.clone();
        let connect = move |address| dial::connect(address, from.clone());
        let Some(stream) = dial::race(addresses, &mut self.attempts, connect).await else {
            return Err(dial::failure(&self.attempts, endpoint));
        };
        let (stream, socket) = Socket::observe(stream);
        self.watch.begin(socket.handle.clone());
        self.socket = Some(socket);
        Ok(Box::new(stream))
    }

    /// Both ends of the connection, if there was one.
    pub(crate) fn ends(&self) -> Option<Ends> {
        #[cfg(feature = "http3")]
        if let Some(quic) = &self.quic {
            return Some(Ends { local: quic.local, remote: Some(quic.remote) });
        }
        self.socket.as_ref().map(|socket| Ends { local: socket.local, remote: socket.remote })
    }

    /// Gives the connection of a failed run that is followed by others the time to end.
    pub(crate) async fn wind_up(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.closed_within(CLOSING).await;
        }
    }

    /// Takes the report of the connection and the end of its handshake, once it has ended for
    /// certain.
    pub(crate) fn collect(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.collect();
        }
        if let Some(tls) = &mut self.tls {
            tls.settle();
        }
        let report = self.socket.as_ref().and_then(Socket::report);
        self.history = self.watch.take_history(report);
    }

    /// What the kernel said last about the connection.
    pub(crate) fn last_info(&self) -> Option<TcpInfo> {
        let report = self.socket.as_ref().and_then(Socket::report);
        self.info_after.or_else(|| report?.closed_info())
    }

    /// Bytes of the response body a second, over the whole request.
    pub(crate) fn download_rate(&self) -> Option<f64> {
        self.rate(self.exchange.body.bytes)
    }

    /// Bytes of the request body a second, over the whole request; absent without such a body.
    pub(crate) fn upload_rate(&self) -> Option<f64> {
        let sent = self.exchange.stamps.seen().request_sent.map(|_| self.exchange.sent_bytes);
        self.rate(sent.filter(|bytes| *bytes > 0)?)
    }

    fn rate(&self, bytes: u64) -> Option<f64> {
        let seconds = self.timeline.total()?.as_secs_f64();
        (seconds > 0.0).then(|| bytes as f64 / seconds)
    }

    /// Where the time went, and what held the bytes back.
    pub(crate) fn verdict(&self) -> Verdict {
        let sent = if self.exchange.sent.is_some() { self.exchange.sent_bytes } else { 0 };
        verdict::judge(&self.timeline, &self.history, sent, self.exchange.body.bytes)
    }

    /// Divides the exchange into its phases and ends the last one.
    fn settle(&mut self, ended: Instant) {
        if self.timeline.phase() == Some(Phase::Send) {
            let seen = self.exchange.stamps.seen();
            let first_byte = seen.first_byte.filter(|_| self.exchange.head.is_some());
            if let Some(sent) = seen.request_sent.or(first_byte) {
                self.timeline
                    .enter(Phase::Server, first_byte.map_or(sent, |first| sent.min(first)));
            }
            if let Some(first_byte) = first_byte {
                self.timeline.enter(Phase::Transfer, first_byte);
            }
        }
        self.timeline.end(ended);
    }

    fn stopped(&self, stop: Stop) -> Error {
        let phase = self.timeline.phase();
        let endpoint = self.target.endpoint();
        let proxy = self.proxy.as_ref().map(|proxy| &proxy.endpoint);
        let dialed = proxy.unwrap_or(&endpoint);
        let what = match phase {
            None | Some(Phase::Dns) => {
                format!("no answer from the resolver for {}", dialed.host)
            }
            Some(Phase::Connect) => format!("no connection to {dialed}"),
            Some(Phase::Proxy) => format!("the proxy {dialed} did not lead to {endpoint}"),
            Some(Phase::Tls) => format!("no end of the handshake with {endpoint}"),
            Some(Phase::Quic) => format!("no QUIC connection to {endpoint}"),
            Some(Phase::Send) => format!("{endpoint} did not take the whole request"),
            Some(Phase::Server) => format!("no response from {endpoint}"),
            Some(Phase::Transfer) if self.exchange.body.ended.is_some() => {
                format!("the body from {endpoint} arrived, but was not decoded and saved")
            }
            Some(Phase::Transfer) => format!(
                "after {} bytes, no end of the body from {endpoint}",
                self.exchange.body.bytes
            ),
        };
        Error { phase, ..stop.error(&what) }
    }
}

/// How long the connection may take to say goodbye after the clock has stopped.
const CLOSING: Duration = Duration::from_millis(250);
