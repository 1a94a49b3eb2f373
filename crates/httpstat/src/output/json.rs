//! One JSON object a run, as `schema/httpstat.schema.json` describes it.

use std::{net::IpAddr, time::Duration};

use conniver::Report;
use serde::{Serialize, Serializer};
use tcpinfo::TcpInfo;

use super::{
    Record, View,
    body::{InterimView, Parts},
    history::HistoryView,
    repeat_json::FindingsView,
    verdict::VerdictView,
};
use crate::{
    dial::{Attempt, Outcome},
    error::Error,
    escape::{invalid_only, is_treacherous},
    exchange::Head,
    hop::Hop,
    keep::Use,
    repeat::{
        self,
        metric::{Metric, Values},
    },
    timeline::Timeline,
    tls::Session,
    verdict::Verdict,
};

/// The object over several lines.
pub(crate) fn json(record: &Record, view: &View) -> String {
    let verdicts = verdicts(record);
    finish(serde_json::to_string_pretty(&Document::of(record, &verdicts, view.has_samples())))
}

/// The object on one line.
pub(crate) fn jsonl(record: &Record, view: &View) -> String {
    let verdicts = verdicts(record);
    finish(serde_json::to_string(&Document::of(record, &verdicts, view.has_samples())))
}

/// The same to look things up in, without the samples.
///
/// By way of the text, which is there anyway: to serialize once more is a tenth of a megabyte.
pub(super) fn value(record: &Record) -> serde_json::Value {
    let verdicts = verdicts(record);
    let text = finish(serde_json::to_string(&Document::of(record, &verdicts, false)));
    serde_json::from_str(&text).unwrap_or_default()
}

fn verdicts(record: &Record) -> Vec<Verdict> {
    record.hops.iter().map(Hop::verdict).collect()
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    /// Of a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    url: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
    hops: Vec<Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    together: Option<Together>,
    #[serde(flatten)]
    findings: FindingsView<'a>,
}

#[derive(Serialize)]
pub(super) struct Failure<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    message: &'a str,
    exit_code: u8,
}

/// All requests of a run as one.
#[derive(Serialize)]
struct Together {
    requests: usize,
    /// From the start of the first to the end of the last, with what lies between them.
    elapsed_ms: f64,
    timings_ms: Sums,
}

/// Phases and totals, each added up over the requests.
struct Sums(Values);

#[derive(Serialize)]
struct Request<'a> {
    request: RequestLine<'a>,
    /// Only where connections are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_use: Option<Use>,
    timings_ms: Timings<'a>,
    #[serde(skip_serializing_if = "<[IpAddr]>::is_empty")]
    dns_answers: &'a [IpAddr],
    attempts: Vec<AttemptView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a Session>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interim_responses: Vec<InterimView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interim_responses_left_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<HistoryView<'a>>,
    verdict: VerdictView<'a>,
    #[cfg(feature = "http3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    quic: Option<&'a crate::http3::Record>,
    /// In the place of the report of a connection that the next request goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_info: Option<&'a TcpInfo>,
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
    /// Absent for TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
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
    #[serde(flatten)]
    parts: Parts,
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
    fn of(record: &'a Record, verdicts: &'a [Verdict], with_samples: bool) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run: record.number,
            url: &record.url,
            ok: record.error.is_none(),
            error: record.error.as_ref().map(Failure::of),
            hops: record
                .hops
                .iter()
                .zip(verdicts)
                .map(|(hop, verdict)| Request::of(hop, verdict, with_samples))
                .collect(),
            together: Together::of(&record.hops),
            findings: FindingsView::of(&record.findings),
        }
    }
}

impl Together {
    /// Absent if nothing was begun.
    fn of(hops: &[Hop]) -> Option<Self> {
        let (first, last) = (hops.first()?, hops.last()?);
        Some(Self {
            requests: hops.len(),
            elapsed_ms: milliseconds(first.timeline.until_end_of(&last.timeline)?),
            timings_ms: Sums(repeat::values(hops)),
        })
    }
}

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_sum = |metric: &Metric| metric.is_phase() || *metric == Metric::TOTAL;
        let sums = self.0.known().filter(|(metric, _)| is_sum(metric));
        serializer.collect_map(sums.map(|(metric, sum)| (metric.name(), sum)))
    }
}

impl<'a> Failure<'a> {
    pub(super) fn of(error: &'a Error) -> Self {
        Self {
            kind: error.kind.name(),
            phase: error.phase.map(|phase| phase.key()),
            message: &error.message,
            exit_code: error.kind.exit_code(),
        }
    }
}

impl<'a> Request<'a> {
    fn of(hop: &'a Hop, verdict: &'a Verdict, with_samples: bool) -> Self {
        let attempts = hop.attempts.iter().map(|attempt| AttemptView::of(attempt, &hop.timeline));
        #[cfg(feature = "http3")]
        let attempts = hop
            .quic_attempts
            .iter()
            .map(|attempt| AttemptView {
                transport: Some("quic"),
                ..AttemptView::of(attempt, &hop.timeline)
            })
            .chain(attempts);
        Self {
            request: RequestLine { method: hop.method.as_str(), url: hop.target.as_str() },
            connection_use: hop.line_use,
            timings_ms: Timings(&hop.timeline),
            dns_answers: &hop.answers,
            attempts: attempts.collect(),
            proxy: hop
                .proxy
                .as_ref()
                .map(|proxy| ProxyView { url: &proxy.url, tunnel: !proxy.forwards(&hop.target) }),
            tls: hop.tls.as_ref(),
            interim_responses: InterimView::all(hop),
            interim_responses_left_out: InterimView::left_out(hop),
            response: hop.exchange.head.as_ref().map(|head| Response::of(head, hop)),
            speed: Speed::of(hop),
            connection: hop.socket.as_ref().and_then(|socket| socket.report()),
            socket: HistoryView::of(hop, with_samples),
            verdict: VerdictView::of(verdict),
            #[cfg(feature = "http3")]
            quic: hop.quic.as_ref(),
            kept_info: hop.info_after.as_ref(),
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
            transport: None,
            outcome,
            error,
            start_ms: milliseconds(timeline.offset(attempt.started)),
            duration_ms: attempt.duration().map(milliseconds),
        }
    }
}

impl<'a> Response<'a> {
    fn of(head: &'a Head, hop: &Hop) -> Self {
        let remote = hop.ends().and_then(|ends| ends.remote);
        Self {
            status_code: head.status.as_u16(),
            http_version: head.version_name().to_owned(),
            status_line: invalid_only(&head.status_line()),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), invalid_only(value.as_bytes())))
                .collect(),
            body_bytes: hop.exchange.body.bytes,
            parts: Parts::of(head, hop),
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

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// Escapes what JSON allows in a string but a terminal would act on.
///
/// Outside of strings such characters do not occur, line feeds apart.
pub(super) fn finish(json: serde_json::Result<String>) -> String {
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

pub(super) const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const VIEW: View =
        View { width: 80, fold: false, verbose: false, timeline: false, ends: true, speed: false };

    #[test]
    fn no_control_character_leaves_and_none_is_lost() {
        let url = "http://h/\u{7f}\u{9b}2J\u{202e}\u{e0041}\u{1b}";
        let record = Record { url: url.to_owned(), ..Record::default() };
        for text in [json(&record, &VIEW), jsonl(&record, &VIEW)] {
            assert!(!text.chars().any(|c| c != '\n' && is_treacherous(c)), "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["url"], url);
        }
        assert_eq!(jsonl(&record, &VIEW).lines().count(), 1);
    }

    #[test]
    fn a_failure_before_any_request_has_no_hops() {
        let error = Some(Error::new(Kind::Url, "no"));
        let text = jsonl(&Record { error, ..Record::default() }, &VIEW);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["error"]["exit_code"], 3);
        assert_eq!(value["hops"].as_array().unwrap().len(), 0);
    }
}
