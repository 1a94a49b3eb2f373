use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request, Response};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Exchange, Handle, Role, hyper_util::Chosen, mark::Counts};

/// Begins an [`Exchange`] for each request, and puts it into the extensions of the response.
///
/// Around a server's service ([`Role::Server`]), the exchange is in the extensions of the request too, and begins when
/// the service is called: when the request's head has been read. The connection is known by the
/// [`Handle`] in the extensions of the request, where axum (`axum08::make_service`) and tonic
/// (`tonic014::Incoming::with_handles`) put it; with plain hyper the service inserts it.
///
/// Around hyper-util's client ([`Role::Client`]), the exchange begins when the client has chosen or made a connection,
/// right before it begins to write the request. The layer takes the place of
/// [`capture_connection`] on these requests: who called it before learns nothing, and one that is
/// called further in leaves the layer without an exchange. Whether the connection was used before is
/// [`Exchange::is_reuse`], as far as all requests come through layers.
///
/// ```no_run
/// use conniver::{Exchange, Options, Role, tower::ExchangeLayer};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower_layer::Layer as _;
/// use tower_service::Service as _;
///
/// # async fn get() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = Options::new().connector();
/// let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
/// let mut client = ExchangeLayer::new(Role::Client).layer(client);
///
/// let request = http::Request::get("http://billing.internal/").body(String::new())?;
/// let response = client.call(request).await?;
/// if let Some(exchange) = response.extensions().get::<Exchange>() {
///     println!("reused: {}, {:?}", exchange.is_reuse(), exchange.difference());
/// }
/// # Ok(())
/// # }
/// ```
///
/// The exchange is over when the extensions of the response are dropped, which is before the body is:
/// where bodies are streamed, a clone of it belongs with the body.
///
/// A request without a connection of ours goes through as if there was no layer.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeLayer {
    side: Role,
    facts: bool,
}

impl ExchangeLayer {
    /// A layer for a client or for the service of a server, that asks the kernel when an exchange
    /// begins.
    pub const fn new(side: Role) -> Self {
        Self { side, facts: true }
    }

    /// Whether the kernel is asked when an exchange begins, which costs one system call, about half
    /// a microsecond, a request. Without it a [difference](Exchange::difference) lacks what the
    /// kernel counts. Default: yes.
    #[must_use]
    pub const fn facts(mut self, facts: bool) -> Self {
        self.facts = facts;
        self
    }

    /// The exchange of a request that came over a known connection: that of a layer further out, or
    /// one that begins now.
    fn take_part(self, extensions: &Extensions) -> Option<Exchange> {
        let handle = handle_of(extensions)?;
        let begun = extensions.get::<Exchange>();
        let begun = begun.filter(|exchange| exchange.handle().id() == handle.id());
        Some(begun.cloned().unwrap_or_else(|| self.begin(handle, Counts::of(handle))))
    }

    fn begin(self, handle: &Handle, counts: Counts) -> Exchange {
        Exchange::begin_since(handle, counts, self.facts)
    }
}

impl<S> Layer<S> for ExchangeLayer {
    type Service = Exchanges<S>;

    fn layer(&self, service: S) -> Exchanges<S> {
        Exchanges { service, layer: *self }
    }
}

/// A service whose responses carry their [`Exchange`]: see [`ExchangeLayer`].
#[derive(Debug, Clone)]
pub struct Exchanges<S> {
    service: S,
    layer: ExchangeLayer,
}

impl<S, A, B> Service<Request<A>> for Exchanges<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Exchanging<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let layer = self.layer;
        let begun = match layer.side {
            Role::Client => Begun::By(capture_connection(&mut request), None),
            Role::Server => {
                let exchange = layer.take_part(request.extensions());
                if let Some(exchange) = &exchange {
                    request.extensions_mut().insert(exchange.clone());
                }
                Begun::Yes(exchange)
            }
        };
        Exchanging { begun, layer, response: self.service.call(request) }
    }
}

fn handle_of(extensions: &Extensions) -> Option<&Handle> {
    #[cfg(feature = "axum08")]
    if let Some(axum::extract::ConnectInfo(handle)) = extensions.get() {
        return Some(handle);
    }
    extensions.get()
}

pin_project! {
    #[project = Projected]
    /// A response that will carry its [`Exchange`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Exchanging<F> {
        // Dropped before the response, whose connection may serve the next request at once.
        begun: Begun,
        layer: ExchangeLayer,
        #[pin]
        response: F,
    }
}

enum Begun {
    /// By a server, if the connection is known.
    Yes(Option<Exchange>),
    /// By a client, once it has chosen a connection.
    By(CaptureConnection, Option<Exchange>),
}

impl Begun {
    /// Begins the exchange on the connection that the client has chosen, if it has.
    fn look(&mut self, layer: ExchangeLayer) {
        let Self::By(chosen, exchange) = self else { return };
        let mut extras = Extensions::new();
        match &*chosen.connection_metadata() {
            Some(connected) => connected.get_extras(&mut extras),
            None => return,
        }
        if let Some(Chosen { before, handle, .. }) = extras.get() {
            *exchange = Some(layer.begin(handle, *before));
        }
    }

    fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Yes(exchange) | Self::By(_, exchange) => exchange.as_ref(),
        }
    }

    /// Gives the exchange away: it is over when the response is, not when the future is dropped.
    fn take(&mut self) -> Option<Exchange> {
        match self {
            Self::Yes(exchange) | Self::By(_, exchange) => exchange.take(),
        }
    }

    /// Whether the exchange is one of the connection that brought this. A client that finds its
    /// connection closed before it was of any use chooses another.
    fn is_on(&self, extensions: &Extensions) -> bool {
        match (self, self.exchange(), extensions.get::<Handle>()) {
            (Self::By(..), Some(exchange), Some(handle)) => exchange.handle().id() == handle.id(),
            _ => true,
        }
    }
}

impl<F, B, E> Future for Exchanging<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Projected { response, begun, layer } = self.project();
        let response = response.poll(cx);
        if begun.exchange().is_none() {
            begun.look(*layer);
        }
        let mut response = match ready!(response) {
            Ok(response) => response,
            Err(error) => {
                begun.take();
                return Poll::Ready(Err(error));
            }
        };
        if !begun.is_on(response.extensions()) {
            begun.look(*layer);
        }
        if let Some(exchange) = begun.take() {
            response.extensions_mut().insert(exchange);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for Exchanging<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanging").finish_non_exhaustive()
    }
}
