//! For hyper-util's HTTP client, and whatever else takes its connectors: hyper-rustls, tonic.
//!
//! A [`Connector`] is a connector of hyper-util. Its connections put their [`Handle`] into the
//! extensions of every response that came over them, and so does any [`Conn`] that reaches the client
//! in another way. TLS goes above it, so that sockets and counts are those of the wire.
//!
//! ```no_run
//! use conniver::{Handle, Options};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//!
//! # async fn get() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Options::new().category("billing").connector().nodelay(true);
//! let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
//!
//! let response = client.get("http://billing.internal/".parse()?).await?;
//! if let Some(conn) = response.extensions().get::<Handle>() {
//!     println!("{:?}: {:?}", conn.remote_addr(), conn.tcp_info());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Connector`] tries one address after the other. To keep hyper-util's own `HttpConnector`, which
//! races IPv4 and IPv6, put `WrapLayer` (feature `tower`) around it.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::net::TcpStream;

use crate::{Conn, ConnectError, Connector, Handle, Target, mark::Counts};

impl<S: Connection> Connection for Conn<S> {
    fn connected(&self) -> Connected {
        let handle = self.handle();
        self.get_ref().connected().extra(handle.clone()).extra(Chosen::new(handle))
    }
}

/// Knows what the connection had moved when the value was cloned that this is a clone of.
///
/// The client copies what it knows of a connection for a request when it has chosen the connection
/// and before it writes. Nothing else tells of that moment: when its future returns, another thread
/// may have written the request.
#[derive(Debug)]
pub(crate) struct Chosen {
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "for the layer"))]
    pub(crate) before: Counts,
    now: Counts,
    pub(crate) handle: Handle,
}

impl Chosen {
    fn new(handle: Handle) -> Self {
        let now = Counts::of(&handle);
        Self { before: now, now, handle }
    }
}

impl Clone for Chosen {
    fn clone(&self) -> Self {
        Self { before: self.now, ..Self::new(self.handle.clone()) }
    }
}

/// Connects to the host of a URI, at its port or that of its scheme.
impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Conn<TcpStream>>;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let connector = self.clone();
        Connecting(Box::pin(async move {
            let conn = match target(&uri) {
                Ok(target) => connector.connect_tokio(target).await?,
                Err(error) => return Err(connector.refuse(shown(&uri), error)),
            };
            Ok(TokioIo::new(conn))
        }))
    }
}

fn target(uri: &Uri) -> io::Result<Target> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let host = uri.host().ok_or_else(|| invalid("the URI names no host"))?;
    let port = match uri.port_u16() {
        Some(port) => Some(port),
        None if names_port(uri) => return Err(invalid("the port of the URI is not one")),
        None => uri.scheme().and_then(default_port),
    };
    let port =
        port.ok_or_else(|| invalid("the URI names no port, and its scheme has no usual one"))?;
    Ok((host, port).into())
}

/// Whether there is anything where the port belongs, such as a number that is too large.
fn names_port(uri: &Uri) -> bool {
    let named = authority(uri).zip(uri.host());
    named.and_then(|(named, host)| named.strip_prefix(host)).is_some_and(|rest| rest.len() > 1)
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    let is = |name: &str| scheme.as_str().eq_ignore_ascii_case(name);
    match () {
        () if is("http") || is("ws") => Some(80),
        () if is("https") || is("wss") => Some(443),
        () => None,
    }
}

/// Host and port as the URI has them. Who asks, and with what password, is nobody else's business.
pub(crate) fn authority(uri: &Uri) -> Option<&str> {
    let all = uri.authority()?.as_str();
    Some(all.rsplit_once('@').map_or(all, |(_, rest)| rest))
}

/// What a URI that leads nowhere is called, without what may be secret in it.
fn shown(uri: &Uri) -> String {
    match (uri.scheme_str(), authority(uri)) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        (_, authority) => authority.unwrap_or(uri.path()).to_owned(),
    }
}

/// A connection that a [`Connector`] is making for an HTTP client.
#[must_use = "futures do nothing unless polled"]
pub struct Connecting(Boxed);

type Boxed = Pin<Box<dyn Future<Output = Result<TokioIo<Conn<TcpStream>>, ConnectError>> + Send>>;

impl Future for Connecting {
    type Output = Result<TokioIo<Conn<TcpStream>>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}
