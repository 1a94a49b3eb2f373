//! One JSON object a run, as `schema/httpstat.schema.json` describes it.

use std::{net::IpAddr, time::Duration};

use conniver::Report;
use serde::{Serialize, Serializer};

use super::Record;
use crate::{
    dial::{Attempt, Outcome},
    error::Error,
    escape::{invalid_only, is_treacherous},
    exchange::Head,
    hop::Hop,
    timeline::Timeline,
    tls::Session,
};

/// The object over several lines.
pub(crate) fn json(record: &Record) -> String {
    finish(serde_json::to_string_pretty(&Document::of(record)))
}

/// The object on one line.
pub(crate) fn jsonl(record: &Record) -> String {
    finish(serde_json::to_string(&Document::of(record)))
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    url: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
    hops: Vec<Request<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    message: &'a str,
    exit_code: u8,
}

#[derive(Serialize)]
struct Request<'a> {
    request: RequestLine<'a>,
    timings_ms: Timings<'a>,
    #[serde(skip_serializing_if = "<[IpAddr]>::is_empty")]
    dns_answers: &'a [IpAddr],
    attempts: Vec<AttemptView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a Report>,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    method: &'a str,
    url: &'a str,
}

/// What the socket leads to, where that is not the server.
#[derive(Serialize)]
struct ProxyView<'a> {
    url: &'a str,
    /// Whether it leads on to the server, instead of asking it itself.
    tunnel: bool,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    ip: IpAddr,
    port: u16,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Since the request began.
    start_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: u16,
    http_version: String,
    status_line: String,
    /// Pairs of name and value, because names repeat.
    headers: Vec<(&'a str, String)>,
    body_bytes: u64,
    /// "-" is the standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
}

/// Averages over the whole request, as curl reports them.
#[derive(Serialize)]
struct Speed {
    #[serde(skip_serializing_if = "Option::is_none")]
    download_bytes_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_bytes_per_s: Option<f64>,
}

/// Phases and marks by name; one that did not happen has no key.
struct Timings<'a>(&'a Timeline);

impl<'a> Document<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            url: &record.url,
            ok: record.error.is_none(),
            error: record.error.as_ref().map(Failure::of),
            hops: record.hops.iter().map(Request::of).collect(),
        }
    }
}

impl<'a> Failure<'a> {
    fn of(error: &'a Error) -> Self {
        Self {
            kind: error.kind.name(),
            phase: error.phase.map(|phase| phase.key()),
            message: &error.message,
            exit_code: error.kind.exit_code(),
        }
    }
}

impl<'a> Request<'a> {
    fn of(hop: &'a Hop) -> Self {
        let attempts = hop.attempts.iter().map(|attempt| AttemptView::of(attempt, &hop.timeline));
        Self {
            request: RequestLine { method: hop.method.as_str(), url: hop.target.as_str() },
            timings_ms: Timings(&hop.timeline),
            dns_answers: &hop.answers,
            attempts: attempts.collect(),
            proxy: hop
                .proxy
                .as_ref()
                .map(|proxy| ProxyView { url: &proxy.url, tunnel: !proxy.forwards(&hop.target) }),
            tls: hop.tls.as_ref(),
            response: hop.exchange.head.as_ref().map(|head| Response::of(head, hop)),
            speed: Speed::of(hop),
            connection: hop.socket.as_ref().and_then(|socket| socket.report()),
        }
    }
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a Attempt, timeline: &Timeline) -> Self {
        let (outcome, error) = match &attempt.outcome {
            Outcome::Connected => ("connected", None),
            Outcome::Failed { reason, .. } => ("failed", Some(reason.as_str())),
            Outcome::Abandoned => ("abandoned", None),
        };
        Self {
            ip: attempt.address.ip(),
            port: attempt.address.port(),
            outcome,
            error,
            start_ms: milliseconds(timeline.offset(attempt.started)),
            duration_ms: attempt.duration().map(milliseconds),
        }
    }
}

impl<'a> Response<'a> {
    fn of(head: &'a Head, hop: &Hop) -> Self {
        let remote = hop.socket.as_ref().and_then(|socket| socket.remote);
        Self {
            status_code: head.status.as_u16(),
            http_version: head.version_name().to_owned(),
            status_line: invalid_only(&head.status_line()),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), invalid_only(value.as_bytes())))
                .collect(),
            body_bytes: hop.exchange.received_bytes,
            saved_to: hop.saved_to.as_ref().map(|path| path.to_string_lossy().into_owned()),
            remote_ip: remote.map(|remote| remote.ip()),
            remote_port: remote.map(|remote| remote.port()),
        }
    }
}

impl Speed {
    fn of(hop: &Hop) -> Option<Self> {
        let download = hop.exchange.head.as_ref().and_then(|_| hop.download_rate());
        let upload = hop.upload_rate();
        (download.is_some() || upload.is_some())
            .then_some(Self { download_bytes_per_s: download, upload_bytes_per_s: upload })
    }
}

impl Serialize for Timings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spans = self.0.spans().into_iter().map(|span| (span.phase.key(), span.length));
        let marks = self.0.marks().into_iter().map(|mark| (mark.key, mark.at));
        let total = self.0.total().map(|total| ("total", total));
        serializer.collect_map(
            spans.chain(marks).chain(total).map(|(key, time)| (key, milliseconds(time))),
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// Escapes what JSON allows in a string but a terminal would act on.
///
/// Outside of strings such characters do not occur, line feeds apart.
fn finish(json: serde_json::Result<String>) -> String {
    // All keys are strings and no implementation of `Serialize` here fails.
    let json = json.unwrap_or_default();
    let mut safe = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            '\n' => safe.push(c),
            c if is_treacherous(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => safe.push(c),
        }
    }
    safe.push('\n');
    safe
}

const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn no_control_character_leaves_and_none_is_lost() {
        let url = "http://h/\u{7f}\u{9b}2J\u{202e}\u{e0041}\u{1b}";
        let record = Record { url: url.to_owned(), ..Record::default() };
        for text in [json(&record), jsonl(&record)] {
            assert!(!text.chars().any(|c| c != '\n' && is_treacherous(c)), "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["url"], url);
        }
        assert_eq!(jsonl(&record).lines().count(), 1);
    }

    #[test]
    fn a_failure_before_any_request_has_no_hops() {
        let error = Some(Error::new(Kind::Url, "no"));
        let text = jsonl(&Record { error, ..Record::default() });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["error"]["exit_code"], 3);
        assert_eq!(value["hops"].as_array().unwrap().len(), 0);
    }
}
