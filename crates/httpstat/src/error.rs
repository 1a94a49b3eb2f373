//! Why a run failed, in words for a person and a number for a script.

use std::{fmt, io};

use crate::timeline::Phase;

/// A failed run: what kind of failure, in which phase, and what to tell the user.
///
/// The layers below leave `phase` empty; it is filled in once, where the timeline is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) kind: Kind,
    pub(crate) phase: Option<Phase>,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, phase: None, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Some(phase) => write!(f, "{}: {}", phase.title(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The kinds of failure, each with an exit code that scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Url,
    Resolve,
    Connect,
    Response,
    Partial,
    Output,
    Data,
    Timeout,
    Handshake,
    Redirect,
    Empty,
    Send,
    Receive,
    Identity,
    Certificate,
    Encoding,
    TooLarge,
    Http3,
    Quic,
    Proxy,
    HungUp,
    Interrupted,
    Terminated,
}

impl Kind {
    /// Every kind, in the order of the exit codes.
    pub(crate) const ALL: [Self; 23] = [
        Self::Url,
        Self::Resolve,
        Self::Connect,
        Self::Response,
        Self::Partial,
        Self::Output,
        Self::Data,
        Self::Timeout,
        Self::Handshake,
        Self::Redirect,
        Self::Empty,
        Self::Send,
        Self::Receive,
        Self::Identity,
        Self::Certificate,
        Self::Encoding,
        Self::TooLarge,
        Self::Http3,
        Self::Quic,
        Self::Proxy,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The exit code; where curl has one for the same failure, it is the same number.
    pub(crate) const fn exit_code(self) -> u8 {
        self.facts().0
    }

    /// The name in the JSON output.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().1
    }

    /// What the exit code means, for the help text.
    pub(crate) const fn meaning(self) -> &'static str {
        self.facts().2
    }

    const fn facts(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Url => (3, "url", "the URL is malformed or its scheme unsupported"),
            Self::Resolve => (6, "resolve", "the host name could not be resolved"),
            Self::Connect => (7, "connect", "no address accepted the connection"),
            Self::Response => (8, "response", "the response is not valid HTTP"),
            Self::Partial => (18, "partial", "the connection ended before the body did"),
            Self::Output => (23, "output", "the output could not be written"),
            Self::Data => {
                (26, "data", "a file given to --data, --json or --baseline could not be read")
            }
            Self::Timeout => (28, "timeout", "a time limit was reached"),
            Self::Handshake => (35, "handshake", "the TLS handshake failed"),
            Self::Redirect => (47, "redirect", "a redirect could not be followed"),
            Self::Empty => (52, "empty", "the server closed without answering"),
            Self::Send => (55, "send", "sending the request failed"),
            Self::Receive => (56, "receive", "receiving the response failed"),
            Self::Identity => (58, "identity", "the client certificate or its key is unusable"),
            Self::Certificate => (60, "certificate", "the server's certificate is not trusted"),
            Self::Encoding => (61, "encoding", "the body could not be decoded"),
            Self::TooLarge => (63, "too_large", "the body is larger than --max-filesize"),
            Self::Http3 => (95, "http3", "HTTP/3 failed, or the server cancelled"),
            Self::Quic => (96, "quic", "no QUIC connection could be made"),
            Self::Proxy => (97, "proxy", "the proxy did not lead to the server"),
            Self::HungUp => (129, "hung_up", "told to end by SIGHUP, as when a terminal closes"),
            Self::Interrupted => (130, "interrupted", "interrupted by Ctrl-C"),
            Self::Terminated => (143, "terminated", "told to end by SIGTERM"),
        }
    }
}

/// What the OS said, without the error number and in the middle of a sentence.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_distinct_and_ascending() {
        assert!(Kind::ALL.windows(2).all(|pair| pair[0].exit_code() < pair[1].exit_code()));
    }

    #[test]
    fn the_error_number_is_left_out_of_a_reason() {
        let refused = io::Error::from_raw_os_error(if cfg!(windows) { 10061 } else { 1 });
        let text = reason(&refused);
        assert!(!text.contains("os error"), "{text}");
        assert!(text.chars().next().is_some_and(char::is_lowercase), "{text}");
    }
}
