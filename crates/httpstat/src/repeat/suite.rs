//! What JUnit is told: a case for every phase of the median run, every failure, every objective and
//! every phase compared.

use super::{
    Findings, Run, Series, baseline,
    junit::{Case, Suite, Verdict},
    metric::{Metric, Values},
    slo,
};
use crate::error::Error;

/// The suite of one series, or of a single run as a series of one.
pub(crate) fn suite(series: &Series, findings: &Findings, fails_if_slower: bool) -> Suite {
    let median = series.median_run();
    let mut cases = Vec::new();
    for (metric, value) in median.iter().flat_map(|run| run.values.known()) {
        if metric.is_phase() || metric == Metric::TOTAL {
            cases.push(case("phase", metric.name(), value, Verdict::Passed));
        }
    }
    for (kind, count, first) in series.failures_by_kind() {
        let name = match series.asked {
            1 => format!("request: {}", kind.name()),
            _ => format!("request: {} in {count} of {} runs", kind.name(), series.runs.len()),
        };
        cases.push(case("request", &name, 0.0, error(first)));
    }
    if let Some(cut_short) = &series.cut_short {
        cases.push(case("request", "series cut short", 0.0, error(cut_short)));
    }
    let values = median.map(|run| &run.values);
    judged(findings, values, fails_if_slower, &mut cases);
    let time = series.runs.iter().filter_map(Run::total).map(|total| total.as_secs_f64()).sum();
    Suite { name: format!("{} {}", series.method, series.url), time, cases }
}

fn judged(
    findings: &Findings,
    values: Option<&Values>,
    fails_if_slower: bool,
    cases: &mut Vec<Case>,
) {
    for checked in findings.slo.iter().flat_map(|slo| &slo.checked) {
        let value = values.and_then(|values| values.get(checked.objective.metric()));
        let time = value.filter(|_| !checked.objective.metric().is_fact());
        let verdict = match checked.result {
            slo::Result::Kept { .. } => Verdict::Passed,
            slo::Result::Violated { .. } => {
                Verdict::Failed { kind: "slo", message: checked.to_string() }
            }
            slo::Result::NotMeasured => Verdict::Skipped { message: checked.to_string() },
        };
        cases.push(case("slo", &checked.objective.to_string(), time.unwrap_or_default(), verdict));
    }
    for change in findings.comparison.iter().flat_map(|comparison| &comparison.changes) {
        let verdict = match change.verdict {
            _ if change.is_slower() && fails_if_slower => {
                Verdict::Failed { kind: "slower", message: change.to_string() }
            }
            baseline::Verdict::Tested { .. } => Verdict::Passed,
            _ => Verdict::Skipped { message: change.to_string() },
        };
        let time = change.later.median.unwrap_or_default();
        cases.push(case("baseline", change.metric.name(), time, verdict));
    }
}

fn case(class: &'static str, name: &str, milliseconds: f64, verdict: Verdict) -> Case {
    Case { class, name: name.to_owned(), time: milliseconds / 1e3, verdict }
}

fn error(error: &Error) -> Verdict {
    Verdict::Error { kind: error.kind.name(), message: error.to_string() }
}
