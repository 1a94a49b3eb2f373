use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_layer::Layer;
use tower_service::Service;

use super::{BoxError, Boxed, tell};
use crate::{Conn, Options, Role, StableSock, dial::Dial, hyper_util::authority};

/// Wraps what a connector connects, and tells of what it could not connect.
///
/// For hyper-util's `HttpConnector` and proxies; what this gives is a connector again, whose
/// connections bring their [`Handle`](crate::Handle) to every response. A [`Connector`](crate::Connector)
/// needs none of this.
///
/// ```no_run
/// use conniver::{Options, tower::WrapLayer};
/// use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
/// use tower_layer::Layer as _;
///
/// let options = Options::new().category("billing");
/// let connector = WrapLayer::new(&options).layer(HttpConnector::new());
/// let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
/// ```
#[derive(Debug, Clone)]
pub struct WrapLayer {
    /// HTTP clients clone their connector for every request.
    options: Arc<Options>,
}

impl WrapLayer {
    /// Wraps with these options, as of the client side unless a side is set.
    pub fn new(options: &Options) -> Self {
        Self { options: Arc::new(options.clone().role_unless_set(Role::Client)) }
    }
}

impl<C> Layer<C> for WrapLayer {
    type Service = Wrap<C>;

    fn layer(&self, connector: C) -> Wrap<C> {
        Wrap { connector, options: Arc::clone(&self.options) }
    }
}

/// A connector whose connections are wrapped: see [`WrapLayer`].
#[derive(Debug, Clone)]
pub struct Wrap<C> {
    connector: C,
    options: Arc<Options>,
}

impl<C, S> Service<Uri> for Wrap<C>
where
    C: Service<Uri, Response = TokioIo<S>, Error: Into<BoxError>, Future: Send + 'static>,
    S: StableSock,
{
    type Response = TokioIo<Conn<S>>;
    type Error = BoxError;
    type Future = Boxed<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let options = Arc::clone(&self.options);
        let dial = Dial::begin(&options, authority(&uri).map(str::to_owned));
        let connecting = self.connector.call(uri);
        Box::pin(async move {
            match connecting.await {
                Ok(stream) => {
                    dial.succeeded();
                    Ok(TokioIo::new(options.wrap(stream.into_inner())))
                }
                Err(error) => Err(tell(dial, error.into())),
            }
        })
    }
}
