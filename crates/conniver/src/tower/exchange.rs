use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Extensions, Request, Response};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Exchange, Handle, hyper_util::Chosen};

/// Begins an [`Exchange`] for each request, and puts it into the extensions of the response.
///
/// Around a server's service, the exchange is in the extensions of the request too, and begins when
/// the service is called: when the request's head has been read. The connection is known by the
/// [`Handle`] in the extensions of the request, where axum (`axum08::make_service`) and tonic
/// (`tonic014::Incoming::with_handles`) put it; with plain hyper the service inserts it.
///
/// Around hyper-util's client, the exchange begins when the client has chosen or made a connection,
/// right before it begins to write the request. The layer takes the place of
/// [`capture_connection`] on these requests. Whether the connection was used before is
/// [`Exchange::is_reuse`], as far as all requests come through layers.
///
/// ```no_run
/// use conniver::{Exchange, Options, tower::ExchangeLayer};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower_layer::Layer as _;
/// use tower_service::Service as _;
///
/// # async fn get() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = Options::new().connector();
/// let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
/// let mut client = ExchangeLayer::new().layer(client);
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
/// A request without a connection of ours goes through as if there was no layer.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ExchangeLayer;

impl ExchangeLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ExchangeLayer {
    type Service = Exchanges<S>;

    fn layer(&self, service: S) -> Exchanges<S> {
        Exchanges { service }
    }
}

/// A service whose responses carry their [`Exchange`]: see [`ExchangeLayer`].
#[derive(Debug, Clone)]
pub struct Exchanges<S> {
    service: S,
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
        let begun = match handle_of(request.extensions()) {
            Some(handle) => {
                let exchange = Exchange::begin(handle);
                request.extensions_mut().insert(exchange.clone());
                Begun::Yes(exchange)
            }
            None => Begun::By(capture_connection(&mut request), None),
        };
        Exchanging { response: Box::pin(self.service.call(request)), begun }
    }
}

fn handle_of(extensions: &Extensions) -> Option<&Handle> {
    #[cfg(feature = "axum08")]
    if let Some(axum::extract::ConnectInfo(handle)) = extensions.get() {
        return Some(handle);
    }
    extensions.get()
}

/// A response that will carry its [`Exchange`].
#[must_use = "futures do nothing unless polled"]
pub struct Exchanging<F> {
    response: Pin<Box<F>>,
    begun: Begun,
}

enum Begun {
    /// By the server.
    Yes(Exchange),
    /// Once the client has chosen a connection, and again if it had to choose another.
    By(CaptureConnection, Option<Exchange>),
}

impl Begun {
    fn look(&mut self) {
        let Self::By(chosen, exchange) = self else { return };
        let mut extras = Extensions::new();
        if let Some(connected) = &*chosen.connection_metadata() {
            connected.get_extras(&mut extras);
        }
        let Some(Chosen { before, handle, .. }) = extras.get() else { return };
        if exchange.as_ref().is_none_or(|exchange| exchange.handle().id() != handle.id()) {
            *exchange = Some(Exchange::begin_since(handle, *before));
        }
    }

    fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Yes(exchange) => Some(exchange),
            Self::By(_, exchange) => exchange.as_ref(),
        }
    }
}

impl<F, B, E> Future for Exchanging<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = self.response.as_mut().poll(cx);
        self.begun.look();
        let mut response = ready!(response)?;
        if let Some(exchange) = self.begun.exchange() {
            response.extensions_mut().insert(exchange.clone());
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for Exchanging<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanging").finish_non_exhaustive()
    }
}
