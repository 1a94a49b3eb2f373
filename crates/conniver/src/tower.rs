//! Layers for tower's services: HTTP clients, HTTP servers, and the connectors below clients.
//!
//! | layer | around | for |
//! |---|---|---|
//! | [`ExchangeLayer`] | an HTTP client or server | an [`Exchange`](crate::Exchange) for each request: which connection, whether it was used before, what happened on it meanwhile |
//! | [`WrapLayer`] | a connector whose streams can be wrapped, such as hyper-util's `HttpConnector` | connections that are wrapped as by [`Options::wrap`](crate::Options::wrap) |
//! | [`ObserveLayer`] | a connector whose streams cannot, such as reqwest's | an [`Observed`] for each connection: addresses and how long it took |

use std::{error::Error, future::Future, io, pin::Pin};

use crate::{FailReason, Failure, dial::Dial};

mod exchange;
mod observe;
mod wrap;

pub use exchange::{ExchangeLayer, Exchanges, Exchanging};
pub use observe::{Observe, ObserveLayer, Observed};
pub use wrap::{Wrap, WrapLayer};

type BoxError = Box<dyn Error + Send + Sync>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Tells that a connector failed, and hands its error on.
fn tell(dial: Dial, error: BoxError) -> BoxError {
    let (reason, failure) = why(&*error);
    dial.failed(reason, failure);
    error
}

/// Why a connector failed, as far as the chain of its errors tells.
fn why(error: &(dyn Error + 'static)) -> (FailReason, Failure) {
    let causes = || std::iter::successors(Some(error), |&cause| cause.source());
    let io = causes().find_map(|cause| cause.downcast_ref::<io::Error>());
    let mut failure = Failure::from(io.unwrap_or(&io::ErrorKind::Other.into()));
    let text: Vec<_> = causes().map(ToString::to_string).collect();
    failure.text = text.join(": ").into();
    let reason = if causes().any(is_resolution) {
        FailReason::Resolution
    } else if causes().any(is_tls)
        || io.and_then(io::Error::get_ref).is_some_and(|error| is_tls(error))
    {
        FailReason::Tls
    } else {
        io.map_or(FailReason::Error, FailReason::of)
    };
    (reason, failure)
}

/// hyper-util keeps the type of this error to itself, and has only these words for it.
fn is_resolution(error: &(dyn Error + 'static)) -> bool {
    error.to_string() == "dns error"
}

#[cfg(feature = "tokio-rustls")]
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<tokio_rustls::rustls::Error>()
}

#[cfg(not(feature = "tokio-rustls"))]
fn is_tls(_: &(dyn Error + 'static)) -> bool {
    false
}
