//! What went wrong in an exchange, told from what HTTP reports and what the stream saw.

use std::{error::Error as _, io};

use h2::Reason;

use crate::{
    error::{Error, Kind},
    escape,
    stamp::{End, Seen},
    tls::reason,
};

/// What HTTP reports.
#[derive(Debug)]
pub(crate) enum Cause {
    Http1(hyper::Error),
    Http2(h2::Error),
    #[cfg(feature = "http3")]
    Http3(crate::http3::Broken),
}

impl From<hyper::Error> for Cause {
    fn from(error: hyper::Error) -> Self {
        Self::Http1(error)
    }
}

impl From<h2::Error> for Cause {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

/// Why no response head arrived.
pub(crate) fn of_head(cause: &Cause, seen: &Seen, endpoint: &str) -> Error {
    #[cfg(feature = "http3")]
    if let Cause::Http3(broken) = cause {
        return crate::http3::of_head(broken, seen, endpoint);
    }
    if let Some(error) = of_payload(cause, seen) {
        return error;
    }
    if let Cause::Http1(error) = cause
        && (error.is_parse() || is_unasked(seen))
    {
        return malformed(error, seen, endpoint);
    }
    // A server that says goodbye in words of HTTP/2 closes the connection right afterwards.
    if let Some(error) = of_http2(cause, endpoint, "before the response head") {
        return error;
    }
    let (kind, message) = match (&seen.read, &seen.write_error) {
        (Some(End::Closed), _) if seen.beginning.is_empty() => (
            Kind::Empty,
            format!(
                "{endpoint} closed the connection without answering; is this the right protocol \
                 and port?"
            ),
        ),
        (Some(End::Closed), _) => (
            Kind::Receive,
            format!("{endpoint} closed the connection before the response head was complete"),
        ),
        (Some(End::Excessive), _) => {
            (Kind::Response, format!("{endpoint} sends without end, but no final response"))
        }
        (Some(End::Failed(why)), _) => (
            Kind::Receive,
            format!("{} while waiting for the response from {endpoint}", reason(why)),
        ),
        (None, Some(why)) => {
            (Kind::Send, format!("{} while sending the request to {endpoint}", reason(why)))
        }
        (None, None) => {
            (Kind::Receive, format!("no response from {endpoint}: {}", cause.outermost()))
        }
    };
    Error::new(kind, message)
}

/// Why the body did not arrive whole, after `received` bytes of it.
pub(crate) fn of_body(cause: &Cause, seen: &Seen, received: u64, endpoint: &str) -> Error {
    #[cfg(feature = "http3")]
    if let Cause::Http3(broken) = cause {
        return crate::http3::of_body(broken, seen, received, endpoint);
    }
    if let Some(error) = of_payload(cause, seen) {
        return error;
    }
    let when = format!("after {received} bytes of the body");
    if let Some(End::Failed(why)) = &seen.read {
        let message = format!("{} {when} from {endpoint}", reason(why));
        return Error::new(Kind::Receive, message);
    }
    if let Some(error) = of_http2(cause, endpoint, &when) {
        return error;
    }
    let is_framing = cause.io().is_some_and(|why| {
        matches!(why.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    if is_framing {
        let message =
            format!("the chunked body from {endpoint} is malformed after {received} bytes");
        return Error::new(Kind::Response, message);
    }
    let message = format!(
        "{endpoint} ended the connection {when}, before its end was certain; what arrived may not \
         be the whole"
    );
    Error::new(Kind::Partial, message)
}

/// Whether it is certain that the server has not looked at the request (RFC 9113, section 8.7).
pub(crate) fn is_refusal(cause: &Cause) -> bool {
    match cause {
        Cause::Http1(error) => error.is_canceled(),
        Cause::Http2(error) => {
            error.reason() == Some(Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.is_remote())
        }
        // It matters for connections that are kept, and this one is not.
        #[cfg(feature = "http3")]
        Cause::Http3(_) => false,
    }
}

/// A failure of our own: the request body could not be read.
fn of_payload(cause: &Cause, seen: &Seen) -> Option<Error> {
    let why = match cause {
        Cause::Http1(error) => error.is_user().then(|| cause.io())??.to_string(),
        Cause::Http2(_) => seen.payload_error.as_ref()?.to_string(),
        #[cfg(feature = "http3")]
        Cause::Http3(_) => return None,
    };
    Some(Error::new(Kind::Data, why))
}

/// Whether the server spoke before anything was sent.
fn is_unasked(seen: &Seen) -> bool {
    seen.written == 0 && !seen.beginning.is_empty()
}

fn malformed(error: &hyper::Error, seen: &Seen, endpoint: &str) -> Error {
    if error.is_parse_too_large() {
        return excessive_head(endpoint);
    }
    let message = if seen.beginning.starts_with(b"HTTP/") && is_unasked(seen) {
        format!("{endpoint} answered before it was asked; is something in between?")
    } else if seen.beginning.starts_with(b"HTTP/") {
        format!(
            "the response from {endpoint} is not valid HTTP: {}",
            error.source().map_or_else(|| error.to_string(), ToString::to_string)
        )
    } else if matches!(seen.beginning.as_slice(), [TLS_ALERT, 3, ..]) {
        format!("{endpoint} answered with a TLS alert; try https:// instead of http://")
    } else {
        let beginning = escape::bytes(&seen.beginning);
        format!("the answer from {endpoint} is not HTTP; it begins with \"{beginning}\"")
    };
    Error::new(Kind::Response, message)
}

fn excessive_head(endpoint: &str) -> Error {
    let message = format!("the response head from {endpoint} is larger than this program accepts");
    Error::new(Kind::Response, message)
}

/// What HTTP/2 says about itself, if it is the one that failed.
fn of_http2(cause: &Cause, endpoint: &str, when: &str) -> Option<Error> {
    let Cause::Http2(why) = cause else { return None };
    if why.is_io() {
        return None;
    }
    // The word of h2 for a head that it stops reading.
    if !why.is_remote() && why.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
        return Some(excessive_head(endpoint));
    }
    let reason = why.reason().map_or_else(|| why.to_string(), |code| format!("{code:?}"));
    Some(match why.is_remote() {
        true => Error::new(Kind::Receive, format!("{endpoint} cancelled with {reason} {when}")),
        false => Error::new(Kind::Response, format!("{endpoint} broke HTTP/2 ({reason}) {when}")),
    })
}

impl Cause {
    fn io(&self) -> Option<&io::Error> {
        let mut cause = self.source();
        while let Some(found) = cause {
            if let Some(io) = found.downcast_ref::<io::Error>() {
                return Some(io);
            }
            cause = found.source();
        }
        None
    }

    fn outermost(&self) -> String {
        match (self, self.source()) {
            (_, Some(source)) => source.to_string(),
            (Self::Http1(error), None) => error.to_string(),
            (Self::Http2(error), None) => error.to_string(),
            #[cfg(feature = "http3")]
            (Self::Http3(error), None) => error.to_string(),
        }
    }

    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http1(error) => error.source(),
            Self::Http2(error) => error.source(),
            #[cfg(feature = "http3")]
            Self::Http3(_) => None,
        }
    }
}

/// RFC 8446, section 5.1: the content type of an alert record.
const TLS_ALERT: u8 = 21;
