//! What came besides the head of the response: interim responses, its body, trailers.

use std::fmt::Write as _;

use hyper::header::HeaderMap;
use serde::Serialize;

use super::{
    View,
    json::milliseconds,
    pretty::{DOT, flow, header_line},
    style::{FAINT, paint},
};
use crate::{
    decode::Decoding,
    escape::{self, invalid_only},
    exchange::Head,
    hop::Hop,
    server_timing::Metric,
    units,
};

/// An interim response in JSON.
#[derive(Serialize)]
pub(super) struct InterimView {
    status_code: u16,
    /// Since the request began.
    at_ms: f64,
    headers: Vec<(String, String)>,
}

/// What is part of a response in JSON, beyond its head and size.
#[derive(Serialize)]
pub(super) struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_coding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<ContentEncoding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailers: Option<Vec<(String, String)>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    server_timing: Vec<Metric>,
}

#[derive(Serialize)]
struct ContentEncoding {
    codings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_transfer_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back_ms: Option<f64>,
}

impl InterimView {
    pub(super) fn all(hop: &Hop) -> Vec<Self> {
        let interims = hop.exchange.interims.kept().into_iter();
        let view = interims.map(|interim| Self {
            status_code: interim.status.as_u16(),
            at_ms: milliseconds(hop.timeline.offset(interim.at)),
            headers: pairs(&interim.headers),
        });
        view.collect()
    }

    /// How many there were that are not among those.
    pub(super) fn left_out(hop: &Hop) -> Option<u64> {
        let kept = hop.exchange.interims.kept().len() as u64;
        Some(hop.exchange.interims.count().saturating_sub(kept)).filter(|count| *count > 0)
    }
}

impl Parts {
    pub(super) fn of(head: &Head, hop: &Hop) -> Self {
        let transfer_codings = head.transfer_codings();
        let codings = head.content_codings();
        let decoding = hop.exchange.body.decoding.as_ref();
        let content_encoding = (!codings.is_empty()).then(|| ContentEncoding {
            codings,
            decoded_bytes: decoding.map(|decoding| decoding.decoded_bytes),
            decode_ms: decoding.map(|decoding| milliseconds(decoding.busy)),
            after_transfer_ms: decoding.and_then(|d| d.after_transfer).map(milliseconds),
            held_back_ms: decoding.map(|decoding| milliseconds(decoding.held_back)),
        });
        Self {
            transfer_coding: (!transfer_codings.is_empty()).then(|| transfer_codings.join(", ")),
            content_encoding,
            trailers: hop.exchange.body.trailers.as_ref().map(pairs),
            server_timing: hop.exchange.server_timing(),
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), invalid_only(value.as_bytes()))
    };
    headers.iter().map(pair).collect()
}

/// The interim responses, each with the time at which it was there.
pub(super) fn interims(hop: &Hop, view: &View) -> String {
    let mut text = String::new();
    for interim in hop.exchange.interims.kept() {
        let after = units::time(hop.timeline.offset(interim.at));
        let line = format!("{} after {after}", interim.status);
        let _ = writeln!(text, "{}", paint(FAINT, line));
        for (name, value) in &interim.headers {
            let value = escape::bytes(value.as_bytes());
            text.push_str(&header_line("  ", name.as_str(), &value, view));
        }
    }
    if let Some(count) = InterimView::left_out(hop) {
        let _ = writeln!(text, "{}", paint(FAINT, format_args!("{count} more like these")));
    }
    text
}

/// The trailers, under the header to which they belong.
pub(super) fn trailers(hop: &Hop, view: &View) -> String {
    let Some(trailers) = &hop.exchange.body.trailers else { return String::new() };
    let lines = trailers.iter().map(|(name, value)| {
        header_line("trailer ", name.as_str(), &escape::bytes(value.as_bytes()), view)
    });
    lines.collect()
}

/// How large the body was, as transferred and as decoded, and what became of it.
pub(super) fn summary(head: &Head, hop: &Hop, fate: &str, view: &View) -> String {
    let transferred = units::bytes(hop.exchange.body.bytes);
    let codings = escape::text(&head.content_codings().join(", "));
    let decoding = hop.exchange.body.decoding.as_ref();
    let size = match decoding {
        Some(decoding) => {
            format!("{transferred} {codings}, decoded {}", units::bytes(decoding.decoded_bytes))
        }
        None if codings.is_empty() => transferred,
        None => format!("{transferred} {codings}"),
    };
    let chunked = head.transfer_codings().join(", ");
    let chunked = (!chunked.is_empty()).then(|| ("", escape::text(&chunked)));
    let rate = hop.download_rate().filter(|rate| *rate > 0.0).map(|rate| ("", units::rate(rate)));
    let body = [("body:", format!("{size} {fate}"))].into_iter().chain(chunked).chain(rate);
    let mut text = flow(body, DOT, view);
    text.push_str(&decoding.map_or_else(String::new, |decoding| effort(decoding, view)));
    text
}

/// The part of the body that is to be shown.
pub(super) fn beginning(hop: &Hop) -> String {
    let shown = &hop.exchange.body.beginning;
    if shown.is_empty() {
        return String::new();
    }
    let lines = shown.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| escape::bytes(line.strip_suffix(b"\r").unwrap_or(line)));
    let decoding = hop.exchange.body.decoding.as_ref();
    let length = decoding.map_or(hop.exchange.body.bytes, |decoding| decoding.decoded_bytes);
    let rest = length.saturating_sub(shown.len() as u64);
    let more = (rest > 0).then(|| paint(FAINT, format_args!("… {} more", units::bytes(rest))));
    lines.chain(more).fold(String::new(), |text, line| text + &line + "\n")
}

/// What decoding cost, beside the transfer and after it.
fn effort(decoding: &Decoding, view: &View) -> String {
    let after = decoding.after_transfer.map(|time| ("until", units::time(time)));
    let after = after.map(|(label, time)| (label, format!("{time} after the last byte")));
    let held_back = Some(decoding.held_back).filter(|time| !time.is_zero());
    let held_back = held_back.map(|time| ("held the transfer back for", units::time(time)));
    let busy = [("decoding took", units::time(decoding.busy))];
    flow(busy.into_iter().chain(after).chain(held_back), DOT, view)
}
