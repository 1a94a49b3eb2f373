//! What a server says about its own time, in the `Server-Timing` header (W3C Server Timing).

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName};
use serde::Serialize;

/// One metric. It has no start: only the server knows when it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Metric {
    pub(crate) name: String,
    #[serde(rename = "dur_ms", skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) desc: Option<String>,
}

impl Metric {
    pub(crate) fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.dur? / 1e3).ok()
    }
}

/// The metrics of the header and the trailer, as many as are of use. What makes no sense is left
/// out, as browsers do.
pub(crate) fn metrics<'a>(fields: impl IntoIterator<Item = &'a HeaderMap>) -> Vec<Metric> {
    let values = fields.into_iter().flat_map(|fields| fields.get_all(&SERVER_TIMING));
    let mut metrics = Vec::new();
    for value in values {
        let mut text = Text { rest: value.as_bytes() };
        while metrics.len() < MAX_METRICS && !text.rest.is_empty() {
            metrics.extend(text.metric());
        }
    }
    metrics
}

/// What is left of a header value.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    /// The next metric, up to and with the comma after it.
    fn metric(&mut self) -> Option<Metric> {
        self.skip_space();
        let name = self.token();
        let mut metric =
            (!name.is_empty()).then(|| Metric { name: shortened(name), dur: None, desc: None });
        let (mut has_dur, mut has_desc) = (false, false);
        while self.enter_parameter() {
            let key = self.token();
            let value = self.value();
            let Some(metric) = &mut metric else { continue };
            // The first of its kind counts, even if it is nonsense.
            if key.eq_ignore_ascii_case(b"dur") && !std::mem::replace(&mut has_dur, true) {
                metric.dur = value.as_deref().and_then(number);
            } else if key.eq_ignore_ascii_case(b"desc") && !std::mem::replace(&mut has_desc, true) {
                metric.desc = value.map(|value| shortened(&value));
            }
        }
        metric
    }

    /// Goes behind the next semicolon, or else behind the comma that ends the metric.
    fn enter_parameter(&mut self) -> bool {
        loop {
            match self.rest.split_first() {
                None => return false,
                Some((byte, rest)) => {
                    self.rest = rest;
                    match byte {
                        b';' => {
                            self.skip_space();
                            return true;
                        }
                        b',' => return false,
                        _ => {}
                    }
                }
            }
        }
    }

    /// What follows an equals sign: a token or a quoted string.
    fn value(&mut self) -> Option<Vec<u8>> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(b"=")?;
        self.skip_space();
        match self.rest.strip_prefix(b"\"") {
            Some(rest) => {
                self.rest = rest;
                self.quoted()
            }
            None => Some(self.token().to_vec()),
        }
    }

    /// The inside of a quoted string; nothing if it has no end.
    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(value),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(*escaped);
                }
                byte => value.push(*byte),
            }
        }
    }

    /// RFC 9110, section 5.6.2.
    fn token(&mut self) -> &'a [u8] {
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let end = self.rest.iter().position(|byte| !is_token(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

/// Milliseconds: digits, a point and an exponent, not all the other things that Rust takes.
fn number(text: &[u8]) -> Option<f64> {
    let text = str::from_utf8(text).ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.filter(|_| is_plain)
}

fn shortened(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(MAX_TEXT_LEN).collect()
}

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const MAX_METRICS: usize = 100;
const MAX_TEXT_LEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Vec<(String, Option<f64>, Option<String>)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&SERVER_TIMING, value.parse().unwrap());
        }
        let metrics = metrics([&headers]).into_iter();
        metrics.map(|metric| (metric.name, metric.dur, metric.desc)).collect()
    }

    fn one(
        name: &str,
        dur: Option<f64>,
        desc: Option<&str>,
    ) -> (String, Option<f64>, Option<String>) {
        (name.to_owned(), dur, desc.map(str::to_owned))
    }

    #[test]
    fn names_durations_and_descriptions_are_read() {
        let header = r#"miss, db;dur=53, app ; dur = 47.2 ;desc="Ap\"p, \\; x", cache;desc=HIT"#;
        let expected = [
            one("miss", None, None),
            one("db", Some(53.0), None),
            one("app", Some(47.2), Some("Ap\"p, \\; x")),
            one("cache", None, Some("HIT")),
            one("total", Some(123.4), None),
        ];
        assert_eq!(parse(&[header, "total;dur=123.4"]), expected);
    }

    #[test]
    fn the_first_parameter_of_its_kind_counts_whatever_its_case() {
        let expected = [one("a", Some(1.0), Some("x")), one("b", None, None)];
        assert_eq!(parse(&["a;DUR=1;dur=2;desc=x;Desc=y;other=z, b;dur=x;dur=3"]), expected);
    }

    #[test]
    fn garbage_is_left_out_and_does_not_take_others_with_it() {
        let names = |value: &str| {
            parse(&[value]).into_iter().map(|(name, ..)| name).collect::<Vec<_>>().join(" ")
        };
        for (value, expected) in [
            ("", ""),
            (",,, ,;;;,=,\"", ""),
            ("a b;dur=1, c", "a c"),
            (";dur=5, b", "b"),
            ("a;desc=\"no end, b", "a"),
            ("a;desc=\"x\"y;dur=1, b", "a b"),
            ("\"quoted\";dur=1, b", "b"),
            ("a;desc=\"\\", "a"),
        ] {
            assert_eq!(names(value), expected, "{value}");
        }
        for dur in ["-1", "inf", "NaN", "1e999", "0x10", "", "1_0", "∞"] {
            assert_eq!(parse(&[&format!("a;dur={dur}")]), [one("a", None, None)], "{dur}");
        }
    }

    #[test]
    fn numbers_and_lengths_are_bounded() {
        let many = "a;dur=1,".repeat(10_000);
        assert_eq!(parse(&[&many, "b"]).len(), MAX_METRICS);
        let long = format!("a;desc=\"{}\"", "x".repeat(10_000));
        assert_eq!(parse(&[&long])[0].2.as_ref().unwrap().len(), MAX_TEXT_LEN);
    }
}
