use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Extensions;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

use super::{BoxError, Boxed, why};
use crate::{Options, Role, Timestamp, dial::Dial};

/// Tells of each connection that a connector makes, without wrapping it: for clients that let
/// nobody near their streams, such as reqwest.
///
/// Failures are told to the [observers](crate::Observer::failed) of the options, and counted by their
/// tracker. How long the connection lives and what it moves is not to be seen from here.
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
    tell: F,
}

/// A connection that somebody else made.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Self { inner: Arc::new(Inner { options, tell }) }
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
                    };
                    inner.options.contain(|| (inner.tell)(&observed));
                    Ok(stream)
                }
                Err(error) => {
                    let error = error.into();
                    let (reason, failure) = why(&*error);
                    dial.failed(reason, failure);
                    Err(error)
                }
            }
        })
    }
}
