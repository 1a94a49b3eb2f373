//! The whole result as one page that needs nothing else: no script, no font, no network.

use std::fmt::Write as _;

use hyper::header::HeaderMap;
use serde_json::Value;
use tcpinfo::fields::Value as Fact;

use super::{
    Record,
    body::InterimView,
    json,
    markup::{COLORS, NIGHT_COLORS, PICTURE_STYLE, Text},
    picture,
    pretty::ABSENT,
    verdict,
};
use crate::{cli::version_line, escape, exchange::Head, hop::Hop, server_timing::Metric, units};

/// The page. It loads nothing, and forbids itself to.
pub(crate) fn html(record: &Record) -> String {
    let title = Text(&record.url).to_string();
    let version = version_line();
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>httpstat {title}</title>\n<style>:root{{color-scheme:light dark;{COLORS}}}\
         @media(prefers-color-scheme:dark){{:root{{{NIGHT_COLORS}}}}}{STYLE}{PICTURE_STYLE}\
         </style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    if let Some(error) = &record.error {
        let _ = writeln!(text, "<p class=\"bad\" role=\"alert\">{}</p>", Text(&error.to_string()));
    }
    let document = json::value(record);
    for (number, hop) in record.hops.iter().enumerate() {
        let _ = writeln!(
            text,
            "<section aria-labelledby=\"h{number}\">\n<h2 id=\"h{number}\">{} {}</h2>",
            Text(hop.method.as_str()),
            Text(hop.target.as_str())
        );
        text.push_str(&request(record, hop, number, &document["hops"][number]));
        text.push_str("</section>\n");
    }
    let _ = writeln!(text, "</main>\n<footer>{}</footer>\n</body>\n</html>", Text(version.trim()));
    text
}

fn request(record: &Record, hop: &Hop, number: usize, known: &Value) -> String {
    let mut text = String::new();
    if let Some(head) = &hop.exchange.head {
        let _ = writeln!(
            text,
            "<p><strong>{}</strong>, body of {}</p>",
            Text(&escape::bytes(&head.status_line())),
            units::bytes(hop.exchange.body.bytes)
        );
    }
    let sentences = verdict::sentences(hop);
    if !sentences.is_empty() {
        text.push_str("<h3>Verdict</h3>\n");
        for (subject, rest) in sentences {
            let _ = writeln!(text, "<p><strong>{}</strong> {}</p>", Text(&subject), Text(&rest));
        }
    }
    let _ = writeln!(
        text,
        "<h3>Phases and socket over time</h3>\n<figure>{}</figure>",
        picture::inline(hop, record.error_of(hop), number)
    );
    text.push_str(&moments(hop));
    if let Some(sent) = &hop.exchange.sent {
        let headers = sent.headers.iter().map(|(name, value)| {
            let value = match value.is_sensitive() {
                true => "(not shown)".to_owned(),
                false => escape::bytes(value.as_bytes()),
            };
            (name.as_str().to_owned(), value)
        });
        text.push_str(&headers_table("Request", &sent.line, headers));
    }
    for interim in hop.exchange.interims.kept() {
        let after = units::time(hop.timeline.offset(interim.at));
        let line = format!("{} after {after}", interim.status);
        text.push_str(&headers_table("Interim response", &line, fields(&interim.headers)));
    }
    if let Some(count) = InterimView::left_out(hop) {
        let _ = writeln!(text, "<p>{} more like these</p>", units::count(count));
    }
    if let Some(head) = &hop.exchange.head {
        text.push_str(&headers_table("Response", &line_of(head), fields(&head.headers)));
    }
    if let Some(trailers) = &hop.exchange.body.trailers {
        text.push_str(&headers_table("Trailers", "after the body", fields(trailers)));
    }
    text.push_str(&server_timing(&hop.exchange.server_timing()));
    text.push_str(
        "<h3>All facts</h3>\n<p>As in the JSON output: times that do not name their unit are \
         nanoseconds.</p>\n",
    );
    for (key, value) in known.as_object().into_iter().flatten() {
        // It stands above.
        if key == "verdict" {
            continue;
        }
        let _ = writeln!(
            text,
            "<details><summary>{}</summary>\n{}</details>",
            Text(&words(key)),
            facts(value)
        );
    }
    text
}

fn fields(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), escape::bytes(value.as_bytes())))
}

/// What the server says about its own time.
fn server_timing(metrics: &[Metric]) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let mut text =
        "<h3>Server-Timing</h3>\n<div class=\"wide\"><table><caption>as the server says, \
                    which tells no starts</caption>\n"
            .to_owned();
    for metric in metrics {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td>{}</td></tr>",
            Text(&metric.name),
            metric.duration().map_or_else(|| ABSENT.to_owned(), units::time),
            Text(metric.desc.as_deref().unwrap_or_default())
        );
    }
    text + "</table></div>\n"
}

fn line_of(head: &Head) -> String {
    escape::bytes(&head.status_line())
}

fn headers_table(
    title: &str,
    line: &str,
    headers: impl Iterator<Item = (String, String)>,
) -> String {
    let mut text = format!(
        "<h3>{title}</h3>\n<div class=\"wide\"><table><caption><code>{}</code></caption>\n",
        Text(line)
    );
    for (name, value) in headers {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>",
            Text(&name),
            Text(&value)
        );
    }
    text + "</table></div>\n"
}

/// What the kernel said at each moment, a column for each.
fn moments(hop: &Hop) -> String {
    let moments: Vec<_> = hop.history.moments().collect();
    if moments.is_empty() {
        return String::new();
    }
    let known: Vec<Vec<_>> =
        moments.iter().map(|(_, sample)| sample.facts.known().collect()).collect();
    // In the order of the facts, whichever moment knows them.
    let longest = known.iter().max_by_key(|facts| facts.len()).into_iter().flatten();
    let mut keys: Vec<_> = longest.map(|(key, _)| *key).collect();
    for (key, _) in known.iter().flatten() {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let mut text = "<h3>Socket at the moments of the request</h3>\n<div class=\"wide\"><table>\n\
                    <tr><td></td>"
        .to_owned();
    for (moment, sample) in &moments {
        let at = units::time(hop.timeline.offset(sample.at));
        let _ = write!(text, "<th scope=\"col\">{}<br>{at}</th>", moment.title());
    }
    text.push_str("</tr>\n");
    for key in keys {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", Text(&words(key)));
        for facts in &known {
            let fact = facts.iter().find(|(known, _)| *known == key);
            let value = fact.map_or_else(|| "–".to_owned(), |(_, value)| fact_text(value));
            let _ = write!(text, "<td class=\"num\">{}</td>", Text(&value));
        }
        text.push_str("</tr>\n");
    }
    text + "</table></div>\n"
}

fn fact_text(value: &Fact) -> String {
    match value {
        Fact::Duration(time) => units::time(*time),
        Fact::Unsigned(number) => units::count(*number),
        value => value.to_string(),
    }
}

/// Any value as tables within tables, so that whatever the JSON output tells is here too.
fn facts(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut text = "<div class=\"wide\"><table>\n".to_owned();
            for (key, value) in map {
                let value = match value {
                    Value::Object(_) | Value::Array(_) => facts(value),
                    value => Text(&scalar(key, value)).to_string(),
                };
                let _ = writeln!(
                    text,
                    "<tr><th scope=\"row\">{}</th><td>{value}</td></tr>",
                    Text(&words(key))
                );
            }
            text + "</table></div>\n"
        }
        Value::Array(list) if list.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<_> = list.iter().map(|item| scalar("", item)).collect();
            Text(&items.join(", ")).to_string()
        }
        Value::Array(list) => {
            let items: String =
                list.iter().map(|item| format!("<li>{}</li>\n", facts(item))).collect();
            format!("<ol>\n{items}</ol>\n")
        }
        value => Text(&scalar("", value)).to_string(),
    }
}

fn scalar(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(number) if is_amount(key) => units::count(number),
            _ => number.to_string(),
        },
        value => value.to_string(),
    }
}

/// Whether the number is one that is read in groups of digits, and not a name such as a port.
fn is_amount(key: &str) -> bool {
    !["port", "status_code", "exit_code", "schema_version"].iter().any(|name| key.ends_with(name))
}

/// `timings_ms` as `timings ms`; the kernels' names stay as they are.
fn words(key: &str) -> String {
    key.replace('_', " ")
}

const STYLE: &str = "\
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\
main,footer{max-width:62rem;margin:0 auto;padding:1rem}footer{color:var(--dim)}\
h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.15rem;overflow-wrap:anywhere;\
border-top:1px solid var(--line);padding-top:1rem}h3{font-size:1rem;margin:1.5rem 0 .5rem}\
p{margin:.3rem 0}figure{margin:0}svg{width:100%;height:auto;display:block}\
.bad{color:var(--bad);font-weight:bold}.wide{overflow-x:auto}\
table{border-collapse:collapse}caption{text-align:left}\
th,td{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0;font-weight:normal}\
th{color:var(--dim)}tr{border-top:1px solid var(--line)}td.num,th[scope=col]{text-align:right;\
font-variant-numeric:tabular-nums}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\
summary{cursor:pointer;padding:.2rem 0}";
