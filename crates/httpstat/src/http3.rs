//! HTTP/3: the same request over QUIC, which is connection and encryption in one.

mod body;
mod failure;
mod session;
mod stats;
mod stream;
mod udp;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use h3::{
    client::{RequestStream, SendRequest},
    error::{Code, ConnectionError, StreamError},
};
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE},
};
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};

use crate::{
    dial::{self, Attempt},
    error::{Error, Kind},
    interim::{Held, Interims},
    proxy::Proxy,
    route::Interface,
    stamp::Stamps,
    target::Target,
    tls::{self, Session},
};
pub(crate) use body::Body;
use body::{Unsent, Upload};
pub(crate) use failure::{Broken, of_body, of_head};
use failure::{Failures, Refusal};
use session::{Handshake, lock};
pub(crate) use stats::{Record, Snapshot};
use stream::{Current, Opener, Watch, Watched};
use udp::Udp;

/// Everything about QUIC that can be prepared before the clock starts.
#[derive(Clone)]
pub(crate) struct Client {
    tls: Arc<tls::Client>,
    transport: Arc<TransportConfig>,
    wish: Wish,
}

/// How much the user wants HTTP/3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// First; what has no answer in time is left for TCP.
    Try,
    /// Or nothing.
    Only,
}

impl Client {
    /// With a configuration of TLS that offers HTTP/3 alone.
    pub(crate) fn new(tls: tls::Client, wish: Wish) -> Result<Self, Error> {
        let unusable = |why: &dyn std::fmt::Display| Error::new(Kind::Quic, why.to_string());
        let mut transport = TransportConfig::default();
        transport
            .max_idle_timeout(Some(SILENCE.try_into().map_err(|why| unusable(&why))?))
            // A server that thinks for longer than that is still there; a path may not be.
            .keep_alive_interval(Some(SILENCE / 4))
            .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
            .receive_window(VarInt::from_u32(RECEIVE_WINDOW * 2))
            .send_window(SEND_WINDOW)
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(MAX_SERVER_STREAMS))
            .datagram_receive_buffer_size(None);
        Ok(Self { tls: Arc::new(tls), transport: Arc::new(transport), wish })
    }

    /// The client, where QUIC leads to the target, and why there is none where it has to.
    pub(crate) fn usable<'a>(
        client: Option<&'a Self>,
        target: &Target,
        proxy: Option<&Proxy>,
    ) -> Result<Option<&'a Self>, Error> {
        let client = client.filter(|_| target.is_https());
        match (client, proxy) {
            (Some(Self { wish: Wish::Only, .. }), Some(proxy)) => {
                let message = format!(
                    "QUIC does not lead through the proxy {}; try --http3, or --noproxy \"*\"",
                    proxy.endpoint
                );
                Err(Error::new(Kind::Proxy, message))
            }
            (_, Some(_)) => Ok(None),
            (client, None) => Ok(client),
        }
    }

    /// How long to wait for QUIC before TCP is used; absent if it is not to be used.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.wish == Wish::Try).then_some(PATIENCE)
    }

    /// Shakes hands with the first address that answers.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        addresses: VecDeque<SocketAddr>,
        from: Option<&Interface>,
        attempts: &mut Vec<Attempt>,
        session: &mut Option<Session>,
    ) -> Result<Connection, Error> {
        let name = tls::server_name(target)?;
        let config = self.tls.config_for(target);
        let quinn = Arc::clone(config).try_into().map(Arc::new);
        let quinn = quinn.map_err(|why| Error::new(Kind::Quic, format!("{why:?}")))?;
        let failures = Failures::default();
        let connect = |address| {
            let attempt = self.attempt(
                Handshake {
                    config: Arc::clone(config),
                    quinn: Arc::clone(&quinn),
                    name: name.clone(),
                    session: Arc::new(Mutex::new(self.tls.begin())),
                    failure: Arc::default(),
                },
                address,
                from.cloned(),
            );
            let (failures, target) = (failures.clone(), target.clone());
            async move { attempt.await.map_err(|refusal| failures.take(refusal, &target)) }
        };
        let first = attempts.len();
        match dial::race(addresses, attempts, connect).await {
            Some((connection, agreed)) => {
                *session = Some(agreed);
                Ok(connection)
            }
            None => {
                let attempts = attempts.get(first..).unwrap_or_default();
                Err(failures.into_error(attempts, target, session))
            }
        }
    }

    fn attempt(
        &self,
        handshake: Handshake,
        address: SocketAddr,
        from: Option<Interface>,
    ) -> impl Future<Output = Result<(Connection, Session), Refusal>> + Send + 'static {
        let name = handshake.name.to_str().into_owned();
        let failure = Arc::clone(&handshake.failure);
        let session = Arc::clone(&handshake.session);
        let mut config = quinn::ClientConfig::new(Arc::new(handshake));
        config.transport_config(Arc::clone(&self.transport));
        async move {
            let socket = Udp::towards(address, from).await.map_err(Refusal::Socket)?;
            let endpoint = Endpoint::new_with_abstract_socket(
                EndpointConfig::default(),
                None,
                Arc::clone(&socket) as Arc<_>,
                Arc::new(TokioRuntime),
            )
            .map_err(Refusal::Socket)?;
            let connecting = endpoint
                .connect_with(config, address, &name)
                .map_err(|why| Refusal::Socket(io::Error::other(why)))?;
            let connection = tokio::select! {
                biased;
                connected = connecting => connected.map_err(|error| match failure.get() {
                    Some(why) => Refusal::Tls(why.clone(), Box::new(lock(&session).clone())),
                    None => Refusal::Quic(error),
                })?,
                error = socket.unreachable() => return Err(Refusal::Socket(error)),
            };
            let agreed = lock(&session).clone();
            let local = endpoint.local_addr().ok();
            let connection = Connection {
                record: Record::new(connection.clone(), local, address),
                connection,
                _endpoint: endpoint,
                current: Current::default(),
                sender: None,
            };
            Ok((connection, agreed))
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// An established connection.
pub(crate) struct Connection {
    record: Record,
    connection: quinn::Connection,
    /// Moves the datagrams of the connection.
    _endpoint: Endpoint,
    current: Current,
    /// When it goes, HTTP/3 ends.
    sender: Option<SendRequest<Opener, Bytes>>,
}

impl Connection {
    /// What is known about the connection, now and later.
    pub(crate) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Sends the request and waits for the final response; its body is still to come.
    pub(crate) async fn send(
        &mut self,
        request: Request<Held>,
        interims: &Interims,
        stamps: &Stamps,
    ) -> Result<Response<Body>, Broken> {
        let watch = Watch { stamps: stamps.clone(), ..Watch::default() };
        self.current.set(watch.clone());
        let broken = |connection: &quinn::Connection, error: StreamError| Broken::Stream {
            error,
            closed: connection.close_reason(),
        };

        let connection = self.connection.clone();
        let (parts, payload) = request.into_parts();
        let method = parts.method.clone();
        let sender = self
            .sender()
            .await
            .map_err(|error| Broken::Connection { error, closed: connection.close_reason() })?;
        let keeper = sender.clone();
        let stream = sender
            .send_request(Request::from_parts(parts, ()))
            .await
            .map_err(|error| broken(&connection, error))?;
        let (sending, mut receiving) = stream.split();

        let mut upload: Option<Upload> =
            Some(Box::pin(send_payload(sending, payload, stamps.clone())));
        let response = loop {
            let response = tokio::select! {
                // Without a body, the request so ends in the datagram in which it began.
                biased;
                sent = async { upload.as_mut()?.await.err() }, if upload.is_some() => {
                    upload = None;
                    match sent {
                        Some(Unsent::Data(why)) => {
                            return Err(Broken::Data(why));
                        }
                        // A server may answer without having read everything.
                        Some(Unsent::Stream) | None => continue,
                    }
                }
                response = receiving.recv_response() => response,
            };
            let response = response.map_err(|error| broken(&connection, error))?;
            if !response.status().is_informational() {
                break response;
            }
            stamps.interim();
            interims.push(response.status(), response.headers());
        };
        watch.backlog.clear();
        let length = body_len(&method, &response);
        Ok(response
            .map(|()| Body::new(receiving, upload, length, watch.backlog, (connection, keeper))))
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Opener, Bytes>, ConnectionError> {
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => {
                let link = Watched::new(self.connection.clone(), self.current.clone());
                let (mut driver, sender) = h3::client::builder()
                    .max_field_section_size(MAX_HEADER_LIST_LEN)
                    .send_grease(false)
                    .build(link)
                    .await?;
                tokio::spawn(async move { driver.wait_idle().await });
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("record", &self.record).finish_non_exhaustive()
    }
}

async fn send_payload(
    mut sending: RequestStream<h3_quinn::SendStream<Bytes>, Bytes>,
    mut payload: Held,
    stamps: Stamps,
) -> Result<(), Unsent> {
    while let Some(frame) = payload.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                sending.send_data(data).await.map_err(|_| Unsent::Stream)?;
            }
            Err(why) => {
                // Otherwise the request would seem to be complete.
                sending.stop_stream(Code::H3_REQUEST_CANCELLED);
                return Err(Unsent::Data(why));
            }
        }
    }
    stamps.request_sent(std::time::Instant::now());
    sending.finish().await.map_err(|_| Unsent::Stream)
}

/// The request as HTTP/3 can send it: what HTTP/1.1 says about its connection has no place here
/// (RFC 9114, section 4.2).
pub(crate) fn fit<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers_mut();
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
    request
}

/// What no server can be asked for.
pub(crate) fn needs_https(target: &Target) -> Error {
    let message = format!("{} is not https, and HTTP/3 knows nothing else", target.as_str());
    Error::new(Kind::Url, message)
}

/// How long the body has to be, where that is known.
fn body_len(method: &Method, response: &Response<()>) -> Option<u64> {
    let has_none = method == Method::HEAD
        || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_none {
        return Some(0);
    }
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A lost first datagram is sent again after a second (RFC 9002, section 6.2.2).
const PATIENCE: Duration = Duration::from_secs(2);
/// After this long without a word from the other end, it is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// As much as Linux gives a TCP connection by default: 6 MiB, in round numbers.
const RECEIVE_WINDOW: u32 = 8 << 20;
/// What may be on its way; also bounds what counts as sent and is still here.
const SEND_WINDOW: u64 = 4 << 20;
/// Three of HTTP/3 itself, and some for what it may be extended by.
const MAX_SERVER_STREAMS: u32 = 16;
const MAX_HEADER_LIST_LEN: u64 = 512 * 1024;
