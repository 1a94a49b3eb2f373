//! One request, measured from the name lookup to the last byte.

use std::{
    mem,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::Method;
use tokio::time::timeout;

use crate::{
    dial::{self, Attempt},
    error::Error,
    exchange::{Exchange, Stream, Versions},
    proxy::Proxy,
    redirect,
    request::{Ask, Draft},
    route::Route,
    sink::Sink,
    socket::Socket,
    stop::{Stop, Stops},
    target::{Endpoint, Target},
    timeline::{Phase, Timeline},
    tls::{self, Session},
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
    /// The other end of the socket, where that is not the server.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) socket: Option<Socket>,
    pub(crate) tls: Option<Session>,
    pub(crate) exchange: Exchange,
    /// Where the body went.
    pub(crate) saved_to: Option<PathBuf>,
    /// What a redirect asks for that is to be followed.
    pub(crate) next: Option<Box<Ask>>,
}

/// Everything that is decided before the clock starts.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) draft: Draft,
    pub(crate) versions: Versions,
    /// Used for `https` only.
    pub(crate) tls: Option<Arc<tls::Client>>,
    /// Used for a proxy that wants it.
    pub(crate) proxy_tls: Option<Arc<tls::Client>>,
    pub(crate) route: &'a Route,
    /// For name lookup, TCP and TLS together; absent means for ever.
    pub(crate) connect_timeout: Option<Duration>,
    /// What the request was made from, if redirects are to be followed.
    pub(crate) follows: Option<Ask>,
    /// Taken by the response that leads nowhere else.
    pub(crate) sink: &'a mut Sink,
}

impl Hop {
    pub(crate) fn new(ask: &Ask) -> Self {
        Self {
            target: ask.target.clone(),
            method: ask.method.clone(),
            timeline: Timeline::default(),
            answers: Vec::new(),
            attempts: Vec::new(),
            proxy: None,
            socket: None,
            tls: None,
            exchange: Exchange::default(),
            saved_to: None,
            next: None,
        }
    }

    /// Makes the request. What was learnt until a failure stays in `self`.
    pub(crate) async fn measure(&mut self, plan: Plan<'_>, stops: &mut Stops) -> Result<(), Error> {
        let outcome = stops.heeded_by(Box::pin(self.request(plan))).await;
        self.settle(Instant::now());
        let outcome = outcome.unwrap_or_else(|stop| Err(self.stopped(stop)));
        if let (Ok(()), Some(socket)) = (&outcome, &mut self.socket) {
            socket.closed_within(CLOSING).await;
        }
        outcome.map_err(|mut error| {
            error.phase = error.phase.or(self.timeline.phase());
            error
        })
    }

    async fn request(&mut self, plan: Plan<'_>) -> Result<(), Error> {
        let Plan { mut draft, versions, tls, proxy_tls, route, connect_timeout, follows, sink } =
            plan;
        let established = self.establish(tls, proxy_tls, route);
        let stream = match connect_timeout {
            Some(limit) => timeout(limit, established).await.unwrap_or_else(|_| {
                Err(self.stopped(Stop::Late { limit, option: "--connect-timeout" }))
            }),
            None => established.await,
        }?;
        self.timeline.enter(Phase::Send, Instant::now());
        let forwarder = self.proxy.as_ref().filter(|proxy| proxy.forwards(&self.target));
        if let Some(proxy) = forwarder {
            draft.forwarded_by(proxy.authorization());
        }
        let is_agreed = self.tls.as_ref().is_some_and(Session::is_http2);
        let http2 = is_agreed || (versions == Versions::Http2 && forwarder.is_none());
        let endpoint = self.target.endpoint().to_string();
        let body = self.exchange.ask(stream, http2, draft, &endpoint).await?;
        let head = self.exchange.head.as_ref();
        let next = follows.zip(head).map(|(ask, head)| redirect::next(&ask, head));
        self.next = next.transpose()?.flatten().map(Box::new);
        let mut skim = Sink::skim();
        let sink = if self.next.is_some() { &mut skim } else { sink };
        if let Some(head) = &self.exchange.head {
            sink.name(&head.headers, &self.target)?;
        }
        self.saved_to = sink.path().map(Path::to_owned);
        let ended = self.exchange.take(body, sink, &endpoint).await?;
        self.settle(ended);
        mem::take(sink).finish()
    }

    async fn establish(
        &mut self,
        tls: Option<Arc<tls::Client>>,
        proxy_tls: Option<Arc<tls::Client>>,
        route: &Route,
    ) -> Result<Box<dyn Stream>, Error> {
        let (server, proxy) = route.to(&self.target);
        self.proxy = proxy;
        let proxy = self.proxy.clone();
        let mut stream =
            self.dial(proxy.as_ref().map_or(&server, |proxy| &proxy.endpoint), route).await?;

        if let Some(proxy) = proxy {
            let shakes_hands = proxy.tls_target().zip(proxy_tls);
            if shakes_hands.is_some() || !proxy.forwards(&self.target) {
                self.timeline.enter(Phase::Proxy, Instant::now());
            }
            if let Some((target, client)) = shakes_hands {
                stream = Box::new(client.handshake(&target, stream).await?.0);
            }
            if !proxy.forwards(&self.target) {
                stream = proxy.tunnel(stream, &server).await?;
            }
        }

        let Some(client) = tls.filter(|_| self.target.is_https()) else { return Ok(stream) };
        self.timeline.enter(Phase::Tls, Instant::now());
        let (stream, session) = client.handshake(&self.target, stream).await?;
        self.tls = Some(session);
        Ok(Box::new(stream))
    }

    /// Connects to what stands at the other end of the socket.
    async fn dial(&mut self, endpoint: &Endpoint, route: &Route) -> Result<Box<dyn Stream>, Error> {
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
        let addresses = dial::order(&found, route.family, endpoint)?;

        self.timeline.enter(Phase::Connect, Instant::now());
        let from = route.interface.clone();
        let connect = move |address| dial::connect(address, from.clone());
        let Some(stream) = dial::race(addresses, &mut self.attempts, connect).await else {
            return Err(dial::failure(&self.attempts, endpoint));
        };
        let (stream, socket) = Socket::observe(stream);
        self.socket = Some(socket);
        Ok(Box::new(stream))
    }

    /// Takes the report of the connection, once it has ended for certain.
    pub(crate) fn collect(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.collect();
        }
    }

    /// Bytes of the response body a second, over the whole request.
    pub(crate) fn download_rate(&self) -> Option<f64> {
        self.rate(self.exchange.received_bytes)
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
            Some(Phase::Send) => format!("{endpoint} did not take the whole request"),
            Some(Phase::Server) => format!("no response from {endpoint}"),
            Some(Phase::Transfer) => format!(
                "after {} bytes, no end of the body from {endpoint}",
                self.exchange.received_bytes
            ),
        };
        Error { phase, ..stop.error(&what) }
    }
}

/// How long the connection may take to say goodbye after the clock has stopped.
const CLOSING: Duration = Duration::from_millis(250);
