//! One request, measured from the name lookup to the last byte.

use std::time::{Duration, Instant};

use hyper::Method;
use tokio::time::timeout;

use crate::{
    dial::{self, Attempt, Family},
    error::Error,
    exchange::{Exchange, Stream},
    request::Draft,
    sink::Sink,
    socket::Socket,
    stop::{Stop, Stops},
    target::Target,
    timeline::{Phase, Timeline},
    tls::{self, Purpose, Session},
};

/// A request made and all that was learnt on the way, whether it succeeded or not.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) timeline: Timeline,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) socket: Option<Socket>,
    pub(crate) tls: Option<Session>,
    pub(crate) exchange: Exchange,
}

/// Everything that is decided before the clock starts.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) draft: Draft,
    /// Absent for `http`.
    pub(crate) tls: Option<tls::Client>,
    pub(crate) family: Family,
    /// For name lookup, TCP and TLS together; absent means for ever.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) sink: Sink,
}

impl Hop {
    pub(crate) fn new(target: Target, method: Method) -> Self {
        Self {
            target,
            method,
            timeline: Timeline::default(),
            attempts: Vec::new(),
            socket: None,
            tls: None,
            exchange: Exchange::default(),
        }
    }

    /// Makes the request. What was learnt until a failure stays in `self`.
    pub(crate) async fn measure(&mut self, plan: Plan, stops: &mut Stops) -> Result<(), Error> {
        let outcome = stops.heeded_by(self.request(plan)).await;
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

    async fn request(&mut self, plan: Plan) -> Result<(), Error> {
        let Plan { draft, tls, family, connect_timeout, mut sink } = plan;
        let purpose = Purpose::new(&draft.method, draft.payload_len() > 0, true);
        let established = self.establish(tls, purpose, family);
        let stream = match connect_timeout {
            Some(limit) => timeout(limit, established).await.unwrap_or_else(|_| {
                Err(self.stopped(Stop::Late { limit, option: "--connect-timeout" }))
            }),
            None => established.await,
        }?;
        self.timeline.enter(Phase::Send, Instant::now());
        let http2 = self.tls.as_ref().is_some_and(Session::is_http2);
        let endpoint = self.target.endpoint();
        let ended = self.exchange.run(stream, http2, draft, &mut sink, &endpoint).await?;
        self.settle(ended);
        sink.finish()
    }

    async fn establish(
        &mut self,
        tls: Option<tls::Client>,
        purpose: Purpose,
        family: Family,
    ) -> Result<Box<dyn Stream>, Error> {
        let found = match dial::literal(&self.target) {
            Some(address) => vec![address],
            None => {
                self.timeline.enter(Phase::Dns, Instant::now());
                dial::resolve(&self.target).await?
            }
        };
        let addresses = dial::order(&found, family, &self.target)?;

        self.timeline.enter(Phase::Connect, Instant::now());
        let Some(stream) = dial::race(addresses, &mut self.attempts, dial::connect).await else {
            return Err(dial::failure(&self.attempts, &self.target));
        };
        let (stream, socket) = Socket::observe(stream);
        self.socket = Some(socket);
        let Some(client) = tls else { return Ok(Box::new(stream)) };

        self.timeline.enter(Phase::Tls, Instant::now());
        client.handshake(&self.target, purpose, stream, &mut self.tls).await
    }

    /// Takes the report of the connection and the end of its handshake, once it has ended for certain.
    pub(crate) fn collect(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.collect();
        }
        if let Some(tls) = &mut self.tls {
            tls.settle();
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
        let what = match phase {
            None | Some(Phase::Dns) => {
                format!("no answer from the resolver for {}", self.target.host())
            }
            Some(Phase::Connect) => format!("no connection to {endpoint}"),
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
