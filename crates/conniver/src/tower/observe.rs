use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Extensions;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
#[cfg(feature = "sockdiag")]
use sockdiag::{Lookup, SharedSockDiag};
#[cfg(feature = "sockdiag")]
use tcpinfo::TcpInfo;
use tower_layer::Layer;
use tower_service::Service;

use super::{BoxError, Boxed, tell};
use crate::{Options, Role, Timestamp, dial::Dial};

/// Tells of each connection that a connector makes, without wrapping it: for clients that let
/// nobody near their streams, such as reqwest.
///
/// Failures are told to the [observers](crate::Observer::failed) of the options, and counted by their
/// tracker. How long the connection lives is not to be seen from here. What the kernel knows of it
/// is, on Linux, with feature `sockdiag`: `Observed::tcp_info`, also later and from elsewhere.
///
/// ```no_run
/// # mod reqwest { pub struct Client; pub struct Builder;
/// #   impl Client { pub fn builder() -> Builder { Builder } }
/// #   impl Builder {
/// #     pub fn connector_layer<T>(self, _: T) -> Self { self }
/// #     pub fn build(self) -> Result<Client, std::io::Error> { Ok(Client) } } }
/// use conniver::{Options, tower::ObserveLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::new().category("billing");
/// let layer = ObserveLayer::new(&options, |conn| println!("{conn}"));
/// let client = reqwest::Client::builder().connector_layer(layer).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ObserveLayer {
    /// HTTP clients clone their connector for every request.
    inner: Arc<Inner<Tell>>,
}

type Tell = dyn Fn(&Observed) + Send + Sync;

struct Inner<F: ?Sized> {
    options: Options,
    #[cfg(feature = "sockdiag")]
    sockets: Arc<SharedSockDiag>,
    tell: F,
}

/// A connection that somebody else made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Observed {
    /// When it was begun.
    pub began_at: Timestamp,
    /// How long it took to be ready for requests: resolution, connecting, proxy and TLS together.
    pub took: Duration,
    /// Address of our end, if the connector tells.
    pub local_addr: Option<SocketAddr>,
    /// Address of the other end, which is a proxy's if there is one, if the connector tells.
    pub remote_addr: Option<SocketAddr>,
    #[cfg(feature = "sockdiag")]
    sought: Sought,
}

/// How the kernel is asked for a connection whose socket somebody else has.
#[cfg(feature = "sockdiag")]
#[derive(Debug, Clone)]
struct Sought {
    sockets: Arc<SharedSockDiag>,
    /// As both addresses tell, and the cookie that only this connection has if it was found.
    lookup: Option<Lookup>,
    is_found: bool,
}

#[cfg(feature = "sockdiag")]
impl Sought {
    /// Finds a connection that has just been made: later another one may have these addresses.
    fn find(sockets: &Arc<SharedSockDiag>, info: Option<&HttpInfo>) -> Self {
        let lookup = info.map(|info| Lookup::new(info.local_addr(), info.remote_addr()));
        let cookie = lookup
            .and_then(|lookup| sockets.lookup_with(&lookup, |entry| entry.cookie()).ok().flatten());
        let lookup = match (lookup, cookie) {
            (Some(lookup), Some(cookie)) => Some(lookup.cookie(cookie)),
            (lookup, _) => lookup,
        };
        Self { sockets: Arc::clone(sockets), lookup, is_found: cookie.is_some() }
    }
}

#[cfg(feature = "sockdiag")]
impl Observed {
    /// Asks the kernel for the facts of this very connection, by its addresses and its cookie: one
    /// message there and one back, on Linux (feature `sockdiag`). Absent once the connection is over,
    /// and if the connector told no addresses.
    ///
    /// # Errors
    ///
    /// Those of [`SharedSockDiag::lookup_with`]; on other systems that there is no such thing.
    pub fn tcp_info(&self) -> Result<Option<TcpInfo>, sockdiag::Error> {
        let Sought { sockets, lookup, is_found } = &self.sought;
        let Some(lookup) = lookup else { return Ok(None) };
        let info = sockets.lookup_with(lookup, |entry| entry.tcp_info())?.flatten();
        // What was not found at once may be another connection now.
        Ok(info.filter(|_| *is_found))
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = |addr: Option<SocketAddr>| addr.map_or("?".to_owned(), |addr| addr.to_string());
        write!(f, "{} -> {} {:?}", addr(self.local_addr), addr(self.remote_addr), self.took)
    }
}

impl ObserveLayer {
    /// Calls `tell` for each connection, on the task that makes it. A panic there is contained and
    /// counted as one of an [observer](Options::observer_panics).
    pub fn new(options: &Options, tell: impl Fn(&Observed) + Send + Sync + 'static) -> Self {
        let options = options.clone().role_unless_set(Role::Client);
        Self {
            inner: Arc::new(Inner {
                options,
                #[cfg(feature = "sockdiag")]
                sockets: Arc::default(),
                tell,
            }),
        }
    }
}

impl<C> Layer<C> for ObserveLayer {
    type Service = Observe<C>;

    fn layer(&self, connector: C) -> Observe<C> {
        Observe { connector, layer: self.clone() }
    }
}

impl fmt::Debug for ObserveLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// A connector whose connections are told of: see [`ObserveLayer`].
#[derive(Debug, Clone)]
pub struct Observe<C> {
    connector: C,
    layer: ObserveLayer,
}

impl<C, R> Service<R> for Observe<C>
where
    C: Service<R, Response: Connection, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Boxed<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let inner = Arc::clone(&self.layer.inner);
        let dial = Dial::begin(&inner.options, None);
        let (began_at, began) = (Timestamp::now(), Instant::now());
        let connecting = self.connector.call(request);
        Box::pin(async move {
            match connecting.await {
                Ok(stream) => {
                    dial.succeeded();
                    let took = began.elapsed();
                    let mut extras = Extensions::new();
                    stream.connected().get_extras(&mut extras);
                    let info = extras.get::<HttpInfo>();
                    let observed = Observed {
                        began_at,
                        took,
                        local_addr: info.map(HttpInfo::local_addr),
                        remote_addr: info.map(HttpInfo::remote_addr),
                        #[cfg(feature = "sockdiag")]
                        sought: Sought::find(&inner.sockets, info),
                    };
                    inner.options.contain(|| (inner.tell)(&observed));
                    Ok(stream)
                }
                Err(error) => Err(tell(dial, error.into())),
            }
        })
    }
}
