//! The verdict, for a person and for a program.

use serde::Serialize;

use super::{
    View,
    json::milliseconds,
    style::{STRONG, paint},
};
use crate::{
    hop::Hop,
    units,
    verdict::{Bound, Evidence, Finding, Verdict},
};

/// A heading and a sentence for each finding, wrapped; empty if nothing can be said.
pub(super) fn section(hop: &Hop, view: &View) -> String {
    let sentences = sentences(hop);
    if sentences.is_empty() {
        return String::new();
    }
    let mut text = paint(STRONG, "Verdict") + "\n";
    for (subject, rest) in sentences {
        text.push_str(&wrap(&format!("{subject} {rest}"), view.width));
        text.push('\n');
    }
    text
}

/// What is spoken of, and what is said of it.
pub(super) fn sentences(hop: &Hop) -> Vec<(String, String)> {
    let verdict = hop.verdict();
    let dominant = verdict.dominant.map(|dominant| {
        let sending = dominant.still_sending.map_or_else(String::new, |time| {
            format!(", but for {} of it the request was still on its way", units::time(time))
        });
        let rest = format!(
            "took {:.0}% of the time, {}{sending}.",
            dominant.share * 100.0,
            units::time(dominant.length)
        );
        (dominant.phase.title().to_owned(), rest)
    });
    let findings = [("Upload", &verdict.upload), ("Download", &verdict.transfer)];
    let findings = findings.into_iter().filter_map(|(title, finding)| {
        let finding = finding.as_ref().filter(|finding| !finding.is_trifle)?;
        Some((format!("{title}:"), sentence(finding)))
    });
    let mut sentences: Vec<_> = dominant.into_iter().chain(findings).collect();
    if hop.proxy.is_some() && sentences.len() > 1 {
        let rest =
            "what is said of the server may be the proxy's doing, for the socket is its own.";
        sentences.push(("Proxy:".to_owned(), rest.to_owned()));
    }
    sentences
}

fn sentence(finding: &Finding) -> String {
    let texts: Vec<_> = finding.evidence.iter().map(|evidence| evidence.text.as_str()).collect();
    format!("{}: {}.", finding.bound.words(), texts.join("; "))
}

/// Lines of at most `width` columns, where the words allow it; all but the first are indented.
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// The verdict as JSON has it.
#[derive(Serialize)]
pub(super) struct VerdictView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dominant_phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dominant_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    still_sending_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<FindingView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    bound_by: Bound,
    evidence: &'a [Evidence],
}

impl<'a> VerdictView<'a> {
    pub(super) fn of(verdict: &'a Verdict) -> Self {
        let view = |finding: &'a Finding| FindingView {
            bound_by: finding.bound,
            evidence: &finding.evidence,
        };
        Self {
            dominant_phase: verdict.dominant.map(|dominant| dominant.phase.key()),
            dominant_share: verdict.dominant.map(|dominant| dominant.share),
            still_sending_ms: verdict.dominant.and_then(|d| d.still_sending).map(milliseconds),
            upload: verdict.upload.as_ref().map(view),
            transfer: verdict.transfer.as_ref().map(view),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_never_lost() {
        assert_eq!(wrap("one two three four", 9), "one two\n  three\n  four");
        assert_eq!(wrap("one two", 80), "one two");
        assert_eq!(wrap("unbreakable", 3), "unbreakable");
    }
}
