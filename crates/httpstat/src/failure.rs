//! What went wrong in an exchange, told from what HTTP reports and what the stream saw.

use std::{error::Error as _, io};

use crate::{
    error::{Error, Kind},
    escape,
    stamp::{End, Seen},
    tls::reason,
};

/// Why no response head arrived.
pub(crate) fn of_head(error: &hyper::Error, seen: &Seen, endpoint: &str) -> Error {
    if let Some(error) = of_payload(error) {
        return error;
    }
    if error.is_parse() {
        return malformed(error, seen, endpoint);
    }
    // A server that says goodbye in words of HTTP/2 closes the connection right afterwards.
    if let Some(error) = of_http2(error, endpoint, "before the response head") {
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
            (Kind::Receive, format!("no response from {endpoint}: {}", outermost_cause(error)))
        }
    };
    Error::new(kind, message)
}

/// Why the body did not arrive whole, after `received` bytes of it.
pub(crate) fn of_body(error: &hyper::Error, seen: &Seen, received: u64, endpoint: &str) -> Error {
    if let Some(error) = of_payload(error) {
        return error;
    }
    let when = format!("after {received} bytes of the body");
    if let Some(End::Failed(why)) = &seen.read {
        let message = format!("{} {when} from {endpoint}", reason(why));
        return Error::new(Kind::Receive, message);
    }
    if let Some(error) = of_http2(error, endpoint, &when) {
        return error;
    }
    let is_framing = io_cause(error).is_some_and(|why| {
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
pub(crate) fn is_refusal(error: &hyper::Error) -> bool {
    let http2 = error.source().and_then(|why| why.downcast_ref::<h2::Error>());
    let is_refused = http2.is_some_and(|why| {
        why.reason() == Some(h2::Reason::REFUSED_STREAM) || (why.is_go_away() && why.is_remote())
    });
    error.is_canceled() || is_refused
}

/// A failure of our own: the request body could not be read.
fn of_payload(error: &hyper::Error) -> Option<Error> {
    let why = error.is_user().then(|| io_cause(error))??;
    Some(Error::new(Kind::Data, why.to_string()))
}

fn malformed(error: &hyper::Error, seen: &Seen, endpoint: &str) -> Error {
    let message = if error.is_parse_too_large() {
        format!("the response head from {endpoint} is larger than this program accepts")
    } else if seen.beginning.starts_with(b"HTTP/") {
        format!("the response from {endpoint} is not valid HTTP: {}", outermost_cause(error))
    } else if matches!(seen.beginning.as_slice(), [TLS_ALERT, 3, ..]) {
        format!("{endpoint} answered with a TLS alert; try https:// instead of http://")
    } else {
        let beginning = escape::bytes(&seen.beginning);
        format!("the answer from {endpoint} is not HTTP; it begins with \"{beginning}\"")
    };
    Error::new(Kind::Response, message)
}

/// What HTTP/2 says about itself, if it is the one that failed.
fn of_http2(error: &hyper::Error, endpoint: &str, when: &str) -> Option<Error> {
    let why = error.source()?.downcast_ref::<h2::Error>()?;
    if why.is_io() {
        return None;
    }
    let reason = why.reason().map_or_else(|| why.to_string(), |code| format!("{code:?}"));
    Some(match why.is_remote() {
        true => Error::new(Kind::Receive, format!("{endpoint} cancelled with {reason} {when}")),
        false => Error::new(Kind::Response, format!("{endpoint} broke HTTP/2 ({reason}) {when}")),
    })
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(io) = found.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = found.source();
    }
    None
}

fn outermost_cause(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// RFC 8446, section 5.1: the content type of an alert record.
const TLS_ALERT: u8 = 21;
