//! The result for a person: what was asked, what came back, where the time went, what the socket
//! knew.

use std::fmt::Write as _;

#[cfg(feature = "http3")]
use super::quic;
use super::{
    Record, View, body, repeat, socket,
    style::{BAD, FAINT, NAME, STRONG, paint, status},
    timeline, tls, verdict, waterfall,
};
use crate::{
    cli::version_line,
    dial::{Attempt, Outcome},
    error::Error,
    escape,
    exchange::Head,
    hop::{Ends, Hop},
    series::Course,
    sink::is_stdout,
    units,
};

/// The whole report, styled; the writer strips the styles where they are not wanted.
pub(crate) fn pretty(record: &Record, view: &View) -> String {
    let last = record.hops.len().saturating_sub(1);
    let sections: Vec<String> = record
        .hops
        .iter()
        .enumerate()
        .flat_map(|(number, hop)| {
            let error = record.error.as_ref();
            let error = error.filter(|error| number == last && error.phase.is_some());
            [
                connection(hop, view),
                request_header(hop, view),
                response(hop, error, view),
                timing(hop, error, view),
                verdict::section(hop, view),
                socket::panel(hop, view),
                #[cfg(feature = "http3")]
                quic::panel(hop, view),
            ]
        })
        .filter(|section| !section.is_empty())
        .collect();
    let version = if view.verbose { version_line() } else { String::new() };
    version
        + &sections.join("\n")
        + &together(&record.hops)
        + &repeat::findings(&record.findings, view)
}

/// What several requests took, one after the other; each has said it of itself.
fn together(hops: &[Hop]) -> String {
    let totals: Vec<_> =
        (1..).zip(hops).filter_map(|(number, hop)| Some((number, hop.timeline.total()?))).collect();
    // Of equals the first.
    let longest = totals.iter().rev().max_by_key(|(_, total)| *total);
    let Some((number, longest)) = longest.filter(|_| hops.len() > 1) else {
        return String::new();
    };
    let all = paint(STRONG, format_args!("{} requests", hops.len()));
    let sum = units::time(totals.iter().map(|(_, total)| *total).sum());
    let longest = units::time(*longest);
    format!("\n{all} took {sum} together, the longest was number {number}: {longest}\n")
}

fn connection(hop: &Hop, view: &View) -> String {
    let url = escape::text(hop.target.as_str());
    let line = fold(&format!("{} {url}", hop.method), 0, view);
    let mut text = format!("{}\n", paint(STRONG, line));
    if view.verbose && !hop.answers.is_empty() {
        let answers: Vec<_> = hop.answers.iter().map(ToString::to_string).collect();
        text.push_str(&flow([("name lookup:", answers.join(", "))], " ", view));
    }
    #[cfg(feature = "http3")]
    text.push_str(&attempts(&hop.quic_attempts, " (QUIC)", hop, view));
    text.push_str(&attempts(&hop.attempts, "", hop, view));
    if let Some(Ends { local, remote }) = hop.ends().filter(|_| view.ends) {
        let other_end = match &hop.proxy {
            Some(_) => "connected to the proxy",
            None => "connected to",
        };
        let ends = [(other_end, remote), ("from", local)];
        let ends = ends.map(|(label, address)| {
            (label, address.map_or_else(|| ABSENT.to_owned(), |address| address.to_string()))
        });
        text.push_str(&flow(ends, " ", view));
    }
    if let Some(proxy) = &hop.proxy {
        let role = match proxy.forwards(&hop.target) {
            true => "which asks the server itself",
            false => "which leads on to the server",
        };
        text.push_str(&flow([("", format!("{}, {role}", proxy.url))], " ", view));
    }
    text.push_str(&tls::lines(hop, view));
    text
}

fn attempts(attempts: &[Attempt], over: &str, hop: &Hop, view: &View) -> String {
    let told = attempts
        .iter()
        .filter(|attempt| view.verbose || !matches!(attempt.outcome, Outcome::Connected));
    told.map(|attempt| attempt_line(attempt, over, hop)).collect()
}

fn attempt_line(attempt: &Attempt, over: &str, hop: &Hop) -> String {
    let after = attempt
        .duration()
        .or_else(|| {
            Some(hop.timeline.total()?.saturating_sub(hop.timeline.offset(attempt.started)))
        })
        .map_or_else(String::new, |time| format!(" after {}", units::time(time)));
    let address = format!("{}{over}", attempt.address);
    match &attempt.outcome {
        Outcome::Connected => format!("  {address} connected{after}\n"),
        Outcome::Abandoned => paint(FAINT, format!("  {address} no answer{after}")) + "\n",
        Outcome::Failed { reason, .. } => {
            paint(BAD, format!("  {address} {}{after}", escape::text(reason))) + "\n"
        }
    }
}

fn request_header(hop: &Hop, view: &View) -> String {
    if !view.verbose {
        return String::new();
    }
    let Some(sent) = &hop.exchange.sent else { return String::new() };
    let line = fold(&format!("> {}", escape::text(&sent.line)), 0, view);
    let mut text = format!("{}\n", paint(FAINT, line));
    for (name, value) in &sent.headers {
        let value = match value.is_sensitive() {
            true => "(not shown)".to_owned(),
            false => escape::bytes(value.as_bytes()),
        };
        text.push_str(&header_line("> ", name.as_str(), &value, view));
    }
    text
}

fn response(hop: &Hop, error: Option<&Error>, view: &View) -> String {
    let mut text = body::interims(hop, view);
    let Some(head) = &hop.exchange.head else { return text };
    text.push_str(&status_line(head));
    for (name, value) in &head.headers {
        text.push_str(&header_line("", name.as_str(), &escape::bytes(value.as_bytes()), view));
    }
    text.push_str(&body::trailers(hop, view));
    let fate = match (hop.saved_to.as_deref(), error) {
        (None, None) => "discarded".to_owned(),
        (Some(path), None) if is_stdout(path) => "written to the standard output".to_owned(),
        (Some(path), None) => format!("saved to {}", escape::text(&path.to_string_lossy())),
        (Some(path), Some(_)) if !is_stdout(path) => {
            "received until it failed; no file was left".to_owned()
        }
        (_, Some(_)) => "received until it failed".to_owned(),
    };
    text.push_str(&body::summary(head, hop, &fate, view));
    if view.speed {
        let speeds = [("download", hop.download_rate()), ("upload", hop.upload_rate())];
        let known =
            speeds.into_iter().filter_map(|(label, rate)| Some((label, units::rate(rate?))));
        text.push_str(&flow(known, DOT, view));
    }
    text.push_str(&body::beginning(hop));
    text
}

fn status_line(head: &Head) -> String {
    let line = escape::bytes(&head.status_line());
    format!("{}\n", paint(status(head.status), line))
}

pub(super) fn header_line(prefix: &str, name: &str, value: &str, view: &View) -> String {
    let column = prefix.len() + name.len() + 2;
    let value = fold(value, column, view);
    format!("{}{} {value}\n", paint(FAINT, prefix), paint(NAME, format_args!("{name}:")))
}

fn timing(hop: &Hop, error: Option<&Error>, view: &View) -> String {
    let spans = hop.timeline.spans();
    let total = hop.timeline.total().filter(|_| !spans.is_empty());
    let Some(total) = total else { return String::new() };
    let failed = error.and_then(|error| error.phase);
    let metrics = hop.exchange.server_timing();
    let mut text = waterfall::draw(&spans, total, failed, &metrics, view.width);
    let marks = hop.timeline.marks().into_iter().map(|mark| (mark.title, units::time(mark.at)));
    text.push_str(&flow(marks, DOT, view));
    if view.timeline {
        let course = Course::of(&hop.timeline, &hop.history);
        text.push_str(&timeline::draw(&course, total, view.width));
    }
    text
}

/// Labels and values side by side, in as many lines as they need.
pub(super) fn flow<'a>(
    items: impl IntoIterator<Item = (&'a str, String)>,
    separator: &str,
    view: &View,
) -> String {
    let mut text = String::new();
    let mut column = 0;
    for (label, value) in items {
        let label = if label.is_empty() { String::new() } else { format!("{label} ") };
        let length = [&label, &value].iter().map(|text| text.chars().count()).sum();
        let gap = separator.chars().count();
        let before = match column {
            0 => "",
            used if used + gap + length > view.width => "\n",
            _ => separator,
        };
        column = if before == separator { column + gap + length } else { length };
        let _ = write!(text, "{}{value}", paint(FAINT, format_args!("{before}{label}")));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Text that begins in a column, continued with an indentation where a terminal would break it.
pub(super) fn fold(text: &str, mut column: usize, view: &View) -> String {
    if !view.fold {
        return text.to_owned();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if column >= view.width {
            folded.push_str("\n    ");
            column = 4;
        }
        folded.push(c);
        column += 1;
    }
    folded
}

/// A fact that is not available. Never a zero.
pub(super) const ABSENT: &str = "–";
pub(super) const DOT: &str = " · ";

#[cfg(test)]
mod tests {
    use super::*;

    fn view(width: usize) -> View {
        View { width, fold: true, verbose: false, timeline: false, ends: true, speed: false }
    }

    #[test]
    fn a_flow_stays_within_its_width() {
        let plain = |width| {
            let items = ["name lookup", "connect", "pre-transfer"].map(|l| (l, "412µs".to_owned()));
            anstream::adapter::strip_str(&flow(items, DOT, &view(width))).to_string()
        };
        assert_eq!(plain(80), "name lookup 412µs · connect 412µs · pre-transfer 412µs\n");
        assert_eq!(plain(40), "name lookup 412µs · connect 412µs\npre-transfer 412µs\n");
        assert_eq!(plain(10).lines().count(), 3);
    }

    #[test]
    fn long_text_is_folded_for_a_terminal_only() {
        assert_eq!(fold("0123456789", 4, &view(8)), "0123\n    4567\n    89");
        assert_eq!(fold("0123456789", 4, &View { fold: false, ..view(8) }), "0123456789");
    }
}
