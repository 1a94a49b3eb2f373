//! Several runs as JSON, and what all results say about objectives and baseline.

use serde::{Serialize, Serializer};

use super::json::{Failure, SCHEMA_VERSION, finish};
use crate::{
    keep::Use,
    repeat::{
        Findings, Run, Series,
        baseline::{Change, Comparison, Verdict},
        metric::{Metric, Values},
        slo,
        statistics::Summary,
    },
};

/// The object over several lines, with the numbers of every run.
pub(crate) fn series_json(series: &Series) -> String {
    let document = Document { runs: Some(runs(series)), ..Document::of(series) };
    finish(serde_json::to_string_pretty(&document))
}

/// The object on one line, after those of the runs.
///
/// Folded from many lines, none of which ends within a string: to serialize in a second way takes
/// more of the program than the rest of this module.
pub(crate) fn series_jsonl(series: &Series) -> String {
    let text = finish(serde_json::to_string_pretty(&Document::of(series)));
    text.lines().map(str::trim_start).chain(["\n"]).collect()
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    url: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OwnedFailure>,
    requested: u32,
    completed: usize,
    succeeded: usize,
    keep_alive: bool,
    failures: Vec<FailureView>,
    statistics: Statistics<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_run: Option<u32>,
    #[serde(flatten)]
    findings: FindingsView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunView<'a>>>,
}

#[derive(Serialize)]
struct OwnedFailure {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    message: String,
    exit_code: u8,
}

#[derive(Serialize)]
struct FailureView {
    kind: &'static str,
    count: usize,
    first_message: String,
}

/// By the name of the metric.
struct Statistics<'a>(&'a Series);

#[derive(Serialize)]
struct SummaryView {
    unit: &'static str,
    count: usize,
    min: f64,
    median: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    max: f64,
}

#[derive(Serialize)]
struct RunView<'a> {
    run: u32,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_use: Option<Use>,
    timings_ms: Numbers<'a>,
    kernel: Numbers<'a>,
}

/// Some of the numbers of a run, by name.
struct Numbers<'a> {
    values: &'a Values,
    facts: bool,
}

/// What every result has if it was asked for.
#[derive(Serialize)]
pub(super) struct FindingsView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    slo: Option<slo::View>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<ComparisonView<'a>>,
}

#[derive(Serialize)]
struct ComparisonView<'a> {
    test: &'static str,
    correction: &'static str,
    alpha: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_keep_alive: Option<bool>,
    min_change: MinChangeView,
    /// Those that became slower by more than noise and by as much as counts.
    slower: Vec<&'static str>,
    faster: Vec<&'static str>,
    changes: Vec<ChangeView>,
}

#[derive(Serialize)]
struct MinChangeView {
    share: f64,
    ms: f64,
}

#[derive(Serialize)]
struct ChangeView {
    name: &'static str,
    verdict: &'static str,
    baseline_runs: usize,
    runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_median_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shift_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shift_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<(f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_corrected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_needed: Option<usize>,
}

impl<'a> Document<'a> {
    fn of(series: &'a Series) -> Self {
        let error = series.error();
        Self {
            schema_version: SCHEMA_VERSION,
            url: &series.url,
            ok: error.is_none(),
            error: error.map(|error| OwnedFailure {
                kind: error.kind.name(),
                phase: error.phase.map(|phase| phase.key()),
                exit_code: error.kind.exit_code(),
                message: error.message,
            }),
            requested: series.asked,
            completed: series.runs.len(),
            succeeded: series.successes().count(),
            keep_alive: series.keeps_connections,
            failures: failures(series),
            statistics: Statistics(series),
            median_run: series.median_run().map(|run| run.number),
            findings: FindingsView::of(&series.findings),
            runs: None,
        }
    }
}

fn failures(series: &Series) -> Vec<FailureView> {
    let kinds = series.failures_by_kind().into_iter().map(|(kind, count, first)| FailureView {
        kind: kind.name(),
        count,
        first_message: first.message.clone(),
    });
    kinds.collect()
}

fn runs(series: &Series) -> Vec<RunView<'_>> {
    series.runs.iter().map(RunView::of).collect()
}

impl<'a> RunView<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            run: run.number,
            ok: run.is_ok(),
            error: run.error.as_ref().map(Failure::of),
            status_code: run.status,
            connection_use: run.line_use,
            timings_ms: Numbers { values: &run.values, facts: false },
            kernel: Numbers { values: &run.values, facts: true },
        }
    }
}

impl Serialize for Statistics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = |metric: Metric| {
            let Summary { count, min, median, p90, p99, max } = self.0.summary(metric)?;
            let unit = metric.dimension().unit();
            Some((metric.name(), SummaryView { unit, count, min, median, p90, p99, max }))
        };
        serializer.collect_map(Metric::all().filter_map(view))
    }
}

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted = self.values.known().filter(|(metric, _)| metric.is_fact() == self.facts);
        serializer.collect_map(wanted.map(|(metric, value)| (metric.name(), value)))
    }
}

impl<'a> FindingsView<'a> {
    pub(super) fn of(findings: &'a Findings) -> Self {
        Self {
            slo: findings.slo.as_ref().map(slo::View::from),
            comparison: findings.comparison.as_ref().map(ComparisonView::of),
        }
    }
}

impl<'a> ComparisonView<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let names = |is_wanted: fn(&Change) -> bool| {
            let changes = comparison.changes.iter().filter(|change| is_wanted(change));
            changes.map(|change| change.metric.name()).collect()
        };
        Self {
            test: "mann-whitney-u",
            correction: "holm",
            alpha: crate::repeat::ALPHA,
            baseline_url: comparison.other_url.as_deref(),
            baseline_keep_alive: comparison.other_keeping,
            min_change: MinChangeView {
                share: comparison.min_change.percent / 100.0,
                ms: comparison.min_change.milliseconds,
            },
            slower: names(Change::is_slower),
            faster: names(Change::is_faster),
            changes: comparison.changes.iter().map(ChangeView::of).collect(),
        }
    }
}

impl ChangeView {
    fn of(change: &Change) -> Self {
        let tested = change.tested();
        Self {
            name: change.metric.name(),
            verdict: match change.verdict {
                _ if change.is_slower() => "slower",
                _ if change.is_faster() => "faster",
                _ if change.is_small() => "small_change",
                Verdict::Tested { .. } => "no_change",
                Verdict::NotEnough { .. } => "not_enough_runs",
                Verdict::OneSided if change.later.count == 0 => "gone",
                Verdict::OneSided => "new",
            },
            baseline_runs: change.earlier.count,
            runs: change.later.count,
            baseline_median_ms: change.earlier.median,
            median_ms: change.later.median,
            shift_ms: tested.map(|(shift, _)| shift.by),
            shift_share: change.share(),
            interval_ms: tested.and_then(|(shift, _)| shift.interval),
            p: tested.map(|(shift, _)| shift.p),
            p_corrected: tested.map(|(_, p)| p),
            runs_needed: match change.verdict {
                Verdict::NotEnough { needed } => Some(needed),
                _ => None,
            },
        }
    }
}
