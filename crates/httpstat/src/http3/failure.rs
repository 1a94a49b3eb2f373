//! What went wrong between the first datagram and the last.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use h3::error::{Code, ConnectionError as Http3Error, LocalError, StreamError};
use quinn::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;

use super::SILENCE;
use crate::{
    dial::{Attempt, Outcome},
    error::{Error, Kind, reason},
    escape,
    stamp::{End, Seen},
    target::Target,
    tls::{self, Session},
    units,
};

/// Why one attempt led to no connection.
pub(super) enum Refusal {
    Socket(io::Error),
    Quic(ConnectionError),
    /// With what was learnt until then.
    Tls(rustls::Error, Box<Session>),
}

impl Refusal {
    /// The failure as it is listed beside the address.
    fn short(&self) -> io::Error {
        match self {
            Self::Socket(error) => io::Error::new(error.kind(), reason(error)),
            Self::Quic(ConnectionError::TimedOut) => {
                let message = format!("no answer within {}", units::time(SILENCE));
                io::Error::new(io::ErrorKind::TimedOut, message)
            }
            Self::Quic(error) => match alert(error) {
                Some(alert) => io::Error::other(format!("refused with the alert {alert:?}")),
                None => io::Error::other(closing(error)),
            },
            Self::Tls(error, _) => io::Error::other(error.to_string()),
        }
    }

    /// What to say of it if nothing else worked either; absent if the list of attempts says it all.
    fn full(self, target: &Target) -> Option<Error> {
        let endpoint = target.endpoint();
        let message = match self {
            Self::Socket(_) | Self::Quic(ConnectionError::TimedOut) => return None,
            Self::Tls(error, _) => return Some(of_tls(error, target)),
            Self::Quic(ConnectionError::VersionMismatch) => {
                format!("{endpoint} speaks no version of QUIC that this program does")
            }
            Self::Quic(error) => match alert(&error) {
                Some(AlertDescription::NoApplicationProtocol) => {
                    format!("{endpoint} speaks QUIC, but not HTTP/3")
                }
                Some(alert) => {
                    return Some(of_tls(rustls::Error::AlertReceived(alert), target));
                }
                None => format!("{endpoint} {}", closing(&error)),
            },
        };
        Some(Error::new(Kind::Quic, message))
    }
}

/// A certificate is one everywhere; any other failure of TLS is here one of QUIC.
fn of_tls(error: rustls::Error, target: &Target) -> Error {
    let error = match error {
        rustls::Error::NoApplicationProtocol => {
            let message = format!("{} speaks QUIC, but not HTTP/3", target.endpoint());
            return Error::new(Kind::Quic, message);
        }
        error => tls::failure(&io::Error::other(error), target, tls::Remedies::SERVER),
    };
    match error.kind {
        Kind::Handshake => Error { kind: Kind::Quic, ..error },
        _ => error,
    }
}

/// The most telling of the failures of several attempts.
#[derive(Clone, Default)]
pub(super) struct Failures(Arc<Mutex<Option<Telling>>>);

struct Telling {
    error: Error,
    session: Option<Box<Session>>,
}

impl Failures {
    pub(super) fn take(&self, refusal: Refusal, target: &Target) -> io::Error {
        let short = refusal.short();
        let mut worst = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match &refusal {
            Refusal::Tls(_, session) => Some(session.clone()),
            _ => None,
        };
        let error = refusal.full(target);
        if let Some(error) = error.filter(|e| worst.is_none() || e.kind == Kind::Certificate) {
            *worst = Some(Telling { error, session });
        }
        short
    }

    pub(super) fn into_error(
        self,
        attempts: &[Attempt],
        target: &Target,
        session: &mut Option<Session>,
    ) -> Error {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(telling) => {
                let learnt = telling.session.filter(|session| !session.chain.is_empty());
                *session = learnt.map(|session| *session);
                telling.error
            }
            None => unreachable_addresses(attempts, target),
        }
    }
}

fn unreachable_addresses(attempts: &[Attempt], target: &Target) -> Error {
    let failed = attempts.iter().filter_map(|attempt| match &attempt.outcome {
        Outcome::Failed { kind, reason } => Some((attempt.address, *kind, reason)),
        _ => None,
    });
    let list: Vec<_> =
        failed.clone().map(|(address, _, reason)| format!("{address} ({reason})")).collect();
    let silent = failed.clone().any(|(_, kind, _)| kind == io::ErrorKind::TimedOut);
    let (kind, hint) = match silent {
        true => (Kind::Quic, "is it served, and let through"),
        false => (Kind::Connect, "is a server listening there"),
    };
    let message =
        format!("no QUIC connection to {}; UDP port {}: {hint}?", list.join(" or "), target.port());
    Error::new(kind, message)
}

/// Why an exchange broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    Stream {
        error: StreamError,
        /// How the connection ended, if it did.
        closed: Option<ConnectionError>,
    },
    /// HTTP/3 could not even begin.
    Connection { error: Http3Error, closed: Option<ConnectionError> },
    /// The request body could not be read.
    Data(io::Error),
    /// The response body ended before the length that was promised.
    Short,
    /// It did not end there.
    Long,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { error, .. } => error.fmt(f),
            Self::Connection { error, .. } => error.fmt(f),
            Self::Data(error) => error.fmt(f),
            Self::Short => f.write_str("shorter than announced"),
            Self::Long => f.write_str("longer than announced"),
        }
    }
}

impl std::error::Error for Broken {}

/// Why no response head arrived.
pub(crate) fn of_head(broken: &Broken, seen: &Seen, endpoint: &str) -> Error {
    if let Broken::Data(why) = broken {
        return Error::new(Kind::Data, why.to_string());
    }
    if let Some(End::Closed) = seen.read
        && seen.first_byte.is_none()
    {
        let message = format!("{endpoint} ended the stream without answering");
        return Error::new(Kind::Empty, message);
    }
    if let Some(End::Closed) = seen.read {
        let message = format!("{endpoint} ended the stream before the response head was complete");
        return Error::new(Kind::Receive, message);
    }
    of_either(broken, seen, "before the response head", endpoint)
}

/// Why the body did not arrive whole, after `received` bytes of it.
pub(crate) fn of_body(broken: &Broken, seen: &Seen, received: u64, endpoint: &str) -> Error {
    let when = format!("after {received} bytes of the body");
    let is_cut = match broken {
        Broken::Short => true,
        Broken::Stream {
            error:
                StreamError::ConnectionError {
                    0: Http3Error::Local { error: LocalError::Application { code, .. }, .. },
                    ..
                },
            ..
        } => *code == Code::H3_FRAME_ERROR,
        _ => false,
    };
    // The end of the stream in the middle of a frame, or of what the head had announced.
    if let (Some(End::Closed), true) = (&seen.read, is_cut) {
        let message = format!(
            "{endpoint} ended the response {when}, before its end was certain; what arrived may \
             not be the whole"
        );
        return Error::new(Kind::Partial, message);
    }
    of_either(broken, seen, &when, endpoint)
}

fn of_either(broken: &Broken, seen: &Seen, when: &str, endpoint: &str) -> Error {
    let error = match broken {
        Broken::Stream { error: StreamError::ConnectionError { 0: error, .. }, closed }
        | Broken::Connection { error, closed } => {
            return of_http3(error, closed.as_ref(), seen, when, endpoint);
        }
        Broken::Stream { error, .. } => error,
        Broken::Data(why) => return Error::new(Kind::Data, why.to_string()),
        Broken::Short => {
            let message = format!("{endpoint} ended the response {when}, which is too early");
            return Error::new(Kind::Partial, message);
        }
        Broken::Long => {
            let message = format!("{endpoint} sends a longer body than it announced");
            return Error::new(Kind::Response, message);
        }
    };
    if let Some(End::Excessive) = seen.read {
        return excessive(when, endpoint);
    }
    match error {
        StreamError::RemoteTerminate { code, .. } => {
            Error::new(Kind::Http3, format!("{endpoint} cancelled with {code} {when}"))
        }
        StreamError::StreamError { code, reason, .. } => broke(*code, reason, when, endpoint),
        StreamError::HeaderTooBig { actual_size, max_size, .. } if seen.first_byte.is_none() => {
            let message = format!(
                "{endpoint} takes request heads of {max_size} bytes, this one has {actual_size}"
            );
            Error::new(Kind::Send, message)
        }
        StreamError::HeaderTooBig { .. } => {
            let message =
                format!("the response head from {endpoint} is larger than this program accepts");
            Error::new(Kind::Response, message)
        }
        StreamError::RemoteClosing { .. } => {
            Error::new(Kind::Http3, format!("{endpoint} is about to leave and takes no request"))
        }
        other => Error::new(Kind::Http3, format!("with {endpoint}: {other} {when}")),
    }
}

/// HTTP/3 as a whole has ended, and so has everything over it.
fn of_http3(
    error: &Http3Error,
    closed: Option<&ConnectionError>,
    seen: &Seen,
    when: &str,
    endpoint: &str,
) -> Error {
    match (error, closed) {
        _ if matches!(seen.read, Some(End::Excessive)) => excessive(when, endpoint),
        (Http3Error::Local { error: LocalError::Application { code, reason, .. }, .. }, _) => {
            broke(*code, reason, when, endpoint)
        }
        (_, Some(why)) => of_connection(why, when, endpoint),
        (other, None) => Error::new(Kind::Http3, format!("with {endpoint}: {other} {when}")),
    }
}

fn broke(code: Code, why: &str, when: &str, endpoint: &str) -> Error {
    let why = why.to_lowercase();
    Error::new(Kind::Http3, format!("{endpoint} broke HTTP/3 ({code}: {why}) {when}"))
}

fn excessive(when: &str, endpoint: &str) -> Error {
    let message =
        format!("{endpoint} sends without end, but nothing that HTTP/3 understands, {when}");
    Error::new(Kind::Response, message)
}

/// The connection ended, and so did everything over it.
fn of_connection(error: &ConnectionError, when: &str, endpoint: &str) -> Error {
    let no_error = Code::H3_NO_ERROR.value();
    let (kind, what) = match error {
        ConnectionError::ApplicationClosed(close) if close.error_code.into_inner() == no_error => {
            (Kind::Receive, "closed the connection".to_owned())
        }
        ConnectionError::ApplicationClosed(_) => (Kind::Http3, closing(error)),
        ConnectionError::TimedOut => {
            (Kind::Receive, format!("was silent for {}", units::time(SILENCE)))
        }
        error => (Kind::Receive, closing(error)),
    };
    Error::new(kind, format!("{endpoint} {what} {when}"))
}

/// What the other end did, as the rest of a sentence about it.
fn closing(error: &ConnectionError) -> String {
    let with_words = |what: String, words: &[u8]| match words {
        [] => what,
        words => {
            let words: String = escape::bytes(words).chars().take(MAX_WORDS_LEN).collect();
            format!("{what} (\"{words}\")")
        }
    };
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = Code::from(close.error_code.into_inner());
            with_words(format!("closed the connection with {code}"), &close.reason)
        }
        ConnectionError::ConnectionClosed(close) => {
            let code = close.error_code;
            with_words(format!("closed the connection with {code:?}"), &close.reason)
        }
        ConnectionError::TransportError(error) => {
            format!("broke QUIC: {}", escape::text(&error.to_string()))
        }
        ConnectionError::Reset => "does not know the connection any more".to_owned(),
        ConnectionError::TimedOut => "does not answer".to_owned(),
        other => format!("ended the connection: {other}"),
    }
}

/// The alert of TLS with which the other end refused, if it was one.
fn alert(error: &ConnectionError) -> Option<AlertDescription> {
    let ConnectionError::ConnectionClosed(close) = error else { return None };
    let code = u64::from(close.error_code);
    let first = u64::from(TransportErrorCode::crypto(0));
    u8::try_from(code.checked_sub(first)?).ok().map(AlertDescription::from)
}

const MAX_WORDS_LEN: usize = 200;
