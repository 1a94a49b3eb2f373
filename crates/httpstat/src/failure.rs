//! What went wrong in an exchange, told from what HTTP reports and what the stream saw.

use std::error::Error as _;
use std::io;

use crate::error::{Error, Kind, reason};
use crate::escape;
use crate::stamp::{End, Seen};

/// Why no response head arrived.
pub(crate) fn of_head(error: &hyper::Error, seen: &Seen) -> Error {
    if let Some(error) = of_payload(error) {
        return error;
    }
    if error.is_parse() {
        return malformed(error, seen);
    }
    match (&seen.read, &seen.write_error) {
        (Some(End::Closed), _) if seen.beginning.is_empty() => Error::new(
            Kind::Empty,
            "the server closed the connection without answering; is this the right protocol and \
             port?",
        ),
        (Some(End::Closed), _) => Error::new(
            Kind::Receive,
            "the server closed the connection before the response head was complete",
        ),
        (Some(End::Failed(why)), _) => {
            let message = format!("{} while waiting for the response", reason(why));
            Error::new(Kind::Receive, message)
        }
        (None, Some(why)) => {
            Error::new(Kind::Send, format!("{} while sending the request", reason(why)))
        }
        (None, None) => of_http2(error, "before the response head")
            .unwrap_or_else(|| Error::new(Kind::Receive, escape::text(&outermost_cause(error)))),
    }
}

/// Why the body did not arrive whole, after `received` bytes of it.
pub(crate) fn of_body(error: &hyper::Error, seen: &Seen, received: u64) -> Error {
    if let Some(error) = of_payload(error) {
        return error;
    }
    if let Some(End::Failed(why)) = &seen.read {
        let message = format!("{} after {received} bytes of the body", reason(why));
        return Error::new(Kind::Receive, message);
    }
    if let Some(error) = of_http2(error, &format!("after {received} bytes of the body")) {
        return error;
    }
    let is_framing = io_cause(error).is_some_and(|why| {
        matches!(why.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    if is_framing {
        let message = format!("the chunked body is malformed after {received} bytes");
        return Error::new(Kind::Response, message);
    }
    let message = format!(
        "the connection ended after {received} bytes, before the end of the body was certain; what \
         arrived may not be the whole"
    );
    Error::new(Kind::Partial, message)
}

/// A failure of our own: the request body could not be read.
fn of_payload(error: &hyper::Error) -> Option<Error> {
    let why = error.is_user().then(|| io_cause(error))??;
    Some(Error::new(Kind::Data, why.to_string()))
}

fn malformed(error: &hyper::Error, seen: &Seen) -> Error {
    let message = if error.is_parse_too_large() {
        "the response head is larger than this program accepts".to_owned()
    } else if seen.beginning.starts_with(b"HTTP/1.") {
        format!("the response is not valid HTTP: {}", escape::text(&outermost_cause(error)))
    } else if matches!(seen.beginning.as_slice(), [TLS_ALERT, 3, ..]) {
        "the server answered with a TLS alert; try https:// instead of http://".to_owned()
    } else {
        format!("the answer is not HTTP; it begins with \"{}\"", escape::bytes(&seen.beginning))
    };
    Error::new(Kind::Response, message)
}

/// What HTTP/2 says about itself, if it is the one that failed.
fn of_http2(error: &hyper::Error, when: &str) -> Option<Error> {
    let why = error.source()?.downcast_ref::<h2::Error>()?;
    if why.is_io() {
        return None;
    }
    let reason = why.reason().map_or_else(|| why.to_string(), |code| format!("{code:?}"));
    Some(match why.is_remote() {
        true => Error::new(Kind::Receive, format!("the server cancelled with {reason} {when}")),
        false => Error::new(Kind::Response, format!("the response broke HTTP/2 ({reason}) {when}")),
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
