//! Writes metrics as text: OpenMetrics, and the older format of Prometheus.

use std::fmt::Write as _;

use crate::text::Put as _;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    OpenMetrics,
    Prometheus,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// The value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    /// So many of these make one: nanoseconds and a billion.
    Parts(u128, u64),
    Real(f64),
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

impl Exposition {
    /// The one that a client wants by its header `accept`; the older one where it does not care.
    pub(super) fn wanted(accept: Option<&str>) -> Self {
        let mut best = (Self::Prometheus, 0.0);
        for wish in accept.unwrap_or_default().split(',') {
            let mut parts = wish.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" => Self::Prometheus,
                _ => continue,
            };
            let mut weight = 1.0;
            let mut is_ours = true;
            for part in parts {
                match part.split_once('=') {
                    Some(("q", q)) => weight = q.parse().unwrap_or(0.0),
                    Some(("version", version)) => {
                        is_ours = match format {
                            Self::OpenMetrics => version.starts_with("1.") || version == "0.0.1",
                            Self::Prometheus => version.starts_with("0.0.4"),
                        };
                    }
                    _ => {}
                }
            }
            if is_ours && weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Says what the series that follow are.
    pub(super) fn put_head(
        self,
        name: &str,
        kind: Kind,
        unit: Option<&str>,
        help: &str,
        out: &mut Vec<u8>,
    ) {
        let name = match self {
            Self::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            Self::Prometheus => name,
        };
        out.put("# HELP ");
        out.put(name);
        out.put(" ");
        out.put(help);
        out.put("\n# TYPE ");
        out.put(name);
        out.put(" ");
        out.put(kind.name());
        if let (Self::OpenMetrics, Some(unit)) = (self, unit) {
            out.put("\n# UNIT ");
            out.put(name);
            out.put(" ");
            out.put(unit);
        }
        out.put("\n");
    }

    pub(super) fn put_end(self, out: &mut Vec<u8>) {
        if self == Self::OpenMetrics {
            out.put("# EOF\n");
        }
    }
}

/// One series: its name in two parts, labels that are written already, and one more.
pub(super) fn put_series(
    name: (&str, &str),
    labels: &str,
    more: Option<(&str, Number)>,
    value: Number,
    out: &mut Vec<u8>,
) {
    out.put(name.0);
    out.put(name.1);
    if !labels.is_empty() || more.is_some() {
        out.put("{");
        out.put(labels);
        if let Some((name, value)) = more {
            if !labels.is_empty() {
                out.put(",");
            }
            out.put(name);
            out.put("=\"");
            put_bound(value, out);
            out.put("\"");
        }
        out.put("}");
    }
    out.put(" ");
    put_number(value, out);
    out.put("\n");
}

/// A label, after those that are there. Its name is one that needs no escapes.
pub(super) fn put_label(name: &str, value: &str, labels: &mut String) {
    let comma = if labels.is_empty() { "" } else { "," };
    let _ = write!(labels, "{comma}{name}=\"");
    for c in value.chars() {
        match c {
            '"' => labels.push_str("\\\""),
            '\\' => labels.push_str("\\\\"),
            '\n' => labels.push_str("\\n"),
            c => labels.push(c),
        }
    }
    labels.push('"');
}

fn put_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Whole(number) => out.put_number(number),
        Number::Parts(parts, whole) => {
            let whole = u128::from(whole.max(1));
            out.put_number(u64::try_from(parts / whole).unwrap_or(u64::MAX));
            let mut rest = parts % whole;
            if rest > 0 {
                out.put(".");
            }
            // Of scales that are powers of ten this ends.
            for _ in 0..18 {
                if rest == 0 {
                    break;
                }
                rest *= 10;
                out.push(b'0' + (rest / whole) as u8);
                rest %= whole;
            }
        }
        Number::Real(number) if number.is_infinite() => {
            out.put(if number > 0.0 { "+Inf" } else { "-Inf" });
        }
        Number::Real(number) => {
            let mut text = String::new();
            let _ = write!(text, "{number}");
            out.put(&text);
        }
    }
}

/// A bound of a bucket, the same in both formats: always with a point, as OpenMetrics wants it.
fn put_bound(bound: Number, out: &mut Vec<u8>) {
    let start = out.len();
    put_number(bound, out);
    let is_whole = out.iter().skip(start).all(u8::is_ascii_digit);
    if is_whole {
        out.put(".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_can_read() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (None, Exposition::Prometheus),
            (Some("*/*"), Exposition::Prometheus),
            (Some("text/html, */*;q=0.1"), Exposition::Prometheus),
            (Some(prometheus), Exposition::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), Exposition::OpenMetrics),
            (Some("application/openmetrics-text; q=0.1, text/plain"), Exposition::Prometheus),
            (Some("application/openmetrics-text;version=2.0.0"), Exposition::Prometheus),
            (Some("application/openmetrics-text;q=nonsense"), Exposition::Prometheus),
            (Some(";;=,,q="), Exposition::Prometheus),
        ];
        for (accept, expected) in cases {
            assert_eq!(Exposition::wanted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let text = |number| {
            let mut out = Vec::new();
            put_number(number, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Number::Whole(u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(Number::Parts(1_500_000_000, 1_000_000_000)), "1.5");
        assert_eq!(text(Number::Parts(1, 1_000_000_000)), "0.000000001");
        assert_eq!(text(Number::Parts(7, 1)), "7");
        assert_eq!(text(Number::Real(0.25)), "0.25");
        assert_eq!(text(Number::Real(f64::INFINITY)), "+Inf");
        let mut out = Vec::new();
        put_series(
            ("a", "_bucket"),
            "b=\"c\"",
            Some(("le", Number::Whole(1))),
            Number::Whole(2),
            &mut out,
        );
        assert_eq!(out, b"a_bucket{b=\"c\",le=\"1.0\"} 2\n");
    }
}
