//! Several runs as one result: statistics, objectives, and the comparison with earlier ones.

mod args;
pub(crate) mod baseline;
pub(crate) mod junit;
pub(crate) mod metric;
pub(crate) mod min_change;
mod progress;
mod rank_test;
pub(crate) mod slo;
pub(crate) mod statistics;
mod suite;

use std::time::Duration;

use crate::{
    cli::Cli,
    error::{Error, Kind},
    hop::Hop,
    keep::Use,
    output::Record,
    timeline::Timeline,
};
pub(crate) use args::RepeatArgs;
use baseline::{Baseline, Comparison};
use metric::{Metric, Values};
pub(crate) use progress::{Progress, State};
pub(crate) use rank_test::ALPHA;
use slo::Objective;
use statistics::Summary;
pub(crate) use suite::suite;

/// The runs that were made, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) url: String,
    pub(crate) method: String,
    /// How many runs were asked for.
    pub(crate) asked: u32,
    pub(crate) keeps_connections: bool,
    pub(crate) runs: Vec<Run>,
    /// Why it ended before all runs were made.
    pub(crate) cut_short: Option<Error>,
    pub(crate) findings: Findings,
}

/// What remains of one run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Counted from 1 on.
    pub(crate) number: u32,
    pub(crate) values: Values,
    /// One for each request made.
    pub(crate) timelines: Vec<Timeline>,
    pub(crate) status: Option<u16>,
    pub(crate) line_use: Option<Use>,
    pub(crate) error: Option<Error>,
}

/// What the runs mean for those who have an opinion about them.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Absent if nothing was demanded.
    pub(crate) slo: Option<slo::Outcome>,
    /// Absent without a baseline.
    pub(crate) comparison: Option<Comparison>,
}

impl Run {
    pub(crate) fn of(number: u32, record: &Record) -> Self {
        let last = record.hops.last();
        let head = last.and_then(|hop| hop.exchange.head.as_ref());
        Self {
            number,
            values: values(&record.hops),
            timelines: record.hops.iter().map(|hop| hop.timeline.clone()).collect(),
            status: head.map(|head| head.status.as_u16()),
            line_use: last.and_then(|hop| hop.line_use),
            error: record.error.clone(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    pub(crate) fn total(&self) -> Option<Duration> {
        self.values.get(Metric::TOTAL).map(slo::duration)
    }
}

/// The numbers of a run: phases add up over its requests, marks count from the start of the first,
/// and the kernel speaks of the connection of the last.
pub(crate) fn values(hops: &[Hop]) -> Values {
    let mut values = Values::none();
    let mut before = Duration::ZERO;
    for (number, hop) in hops.iter().enumerate() {
        for span in hop.timeline.spans() {
            if let Some(metric) = Metric::named(span.phase.key()) {
                values.add(metric, metric::milliseconds(span.length));
            }
        }
        if number + 1 == hops.len() {
            for mark in hop.timeline.marks() {
                if let Some(metric) = Metric::named(mark.key) {
                    values.set(metric, metric::milliseconds(before + mark.at));
                }
            }
            if let Some(info) = hop.last_info() {
                values.set_facts(&info, hop.info_before.as_ref());
            }
        }
        before += hop.timeline.total().unwrap_or_default();
    }
    if !hops.is_empty() {
        values.set(Metric::TOTAL, metric::milliseconds(before));
    }
    values
}

impl Series {
    pub(crate) fn new(url: &str, cli: &Cli) -> Self {
        Self {
            url: url.to_owned(),
            method: cli.method().to_string(),
            asked: cli.repeat.count,
            keeps_connections: cli.repeat.keep_alive,
            ..Self::default()
        }
    }

    /// A single run for those who want several.
    pub(crate) fn single(record: &Record, cli: &Cli) -> Self {
        Self { runs: vec![Run::of(1, record)], asked: 1, ..Self::new(&record.url, cli) }
    }

    /// The runs that succeeded.
    pub(crate) fn successes(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.is_ok())
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Run, &Error)> {
        self.runs.iter().filter_map(|run| Some((run, run.error.as_ref()?)))
    }

    /// Failures by their kind, in the order of their first one, which stands for all.
    pub(crate) fn failures_by_kind(&self) -> Vec<(Kind, usize, &Error)> {
        let mut kinds: Vec<(Kind, usize, &Error)> = Vec::new();
        for (_, error) in self.failures() {
            match kinds.iter_mut().find(|(kind, ..)| *kind == error.kind) {
                Some((_, count, _)) => *count += 1,
                None => kinds.push((error.kind, 1, error)),
            }
        }
        kinds
    }

    /// Over the runs that succeeded and have this number.
    pub(crate) fn summary(&self, metric: Metric) -> Option<Summary> {
        let sample: Vec<_> = self.successes().filter_map(|run| run.values.get(metric)).collect();
        Summary::of(&sample)
    }

    /// The run in the middle; of two, the faster one.
    pub(crate) fn median_run(&self) -> Option<&Run> {
        let total = |run: &&Run| run.values.get(Metric::TOTAL).unwrap_or_default();
        let mut runs: Vec<_> = self.successes().collect();
        runs.sort_by(|left, right| total(left).total_cmp(&total(right)));
        runs.get(runs.len().checked_sub(1)? / 2).copied()
    }

    /// Why the series is not a success: what ended it, or the first failure.
    pub(crate) fn error(&self) -> Option<Error> {
        if self.cut_short.is_some() {
            return self.cut_short.clone();
        }
        let (run, first) = self.failures().next()?;
        let (failed, made) = (self.failures().count(), self.runs.len());
        let message = match failed {
            1 => format!("{} (run {} of {made})", first.message, run.number),
            _ => format!(
                "{} (run {}, the first of {failed} failures in {made} runs)",
                first.message, run.number
            ),
        };
        Some(Error { message, ..first.clone() })
    }

    /// Judges the runs that succeeded.
    pub(crate) fn judge(&mut self, objectives: &[Objective], baseline: Option<&Baseline>) {
        let runs: Vec<_> = self.successes().map(|run| run.values.clone()).collect();
        self.findings = Findings::of(&self.url, &runs, objectives, baseline);
        if let Some(comparison) = &mut self.findings.comparison {
            let kept = baseline.and_then(|baseline| baseline.keeps_connections);
            comparison.other_keeping = kept.filter(|kept| *kept != self.keeps_connections);
        }
    }
}

impl Findings {
    pub(crate) fn of(
        url: &str,
        runs: &[Values],
        objectives: &[Objective],
        baseline: Option<&Baseline>,
    ) -> Self {
        Self {
            slo: (!objectives.is_empty()).then(|| slo::Outcome::of(objectives, runs)),
            comparison: baseline.map(|baseline| Comparison::of(baseline, url, runs)),
        }
    }

    /// What is to be said on the standard error, a line each.
    pub(crate) fn complaints(&self, fails_if_slower: bool) -> Vec<String> {
        let violations = self.slo.iter().flat_map(slo::Outcome::violations);
        let violations = violations.map(|violation| format!("--slo {violation}"));
        let slower = self.comparison.iter().flat_map(Comparison::slower);
        let slower = slower.filter(|_| fails_if_slower).filter_map(|change| {
            let (shift, p) = change.tested()?;
            let by = slo::amount(shift.by, change.metric.dimension());
            let share = change
                .share()
                .map_or_else(String::new, |share| format!("{:.0} %, ", share * 100.0));
            let title = change.metric.title();
            Some(format!("{title} is slower than the baseline by {by} ({share}p = {p:.2e})"))
        });
        violations.chain(slower).collect()
    }

    /// The exit code of a run that succeeded otherwise.
    pub(crate) fn exit_code(&self, fails_if_slower: bool) -> u8 {
        let is_violated = self.slo.iter().any(|slo| slo.violations().next().is_some());
        let mut slower = self.comparison.iter().flat_map(Comparison::slower);
        match () {
            () if is_violated => SLO_EXIT_CODE,
            () if fails_if_slower && slower.next().is_some() => SLOWER_EXIT_CODE,
            () => 0,
        }
    }
}

/// As another httpstat has it.
pub(crate) const SLO_EXIT_CODE: u8 = 4;
/// No other failure of this command has it, and no failure of curl that this command can meet.
pub(crate) const SLOWER_EXIT_CODE: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u32, total: f64, error: Option<Kind>) -> Run {
        let mut values = Values::none();
        values.set(Metric::TOTAL, total);
        let error = error.map(|kind| Error::new(kind, "why"));
        Run { number, values, timelines: Vec::new(), status: None, line_use: None, error }
    }

    fn series(runs: Vec<Run>) -> Series {
        Series { runs, ..Series::default() }
    }

    #[test]
    fn failures_are_counted_and_do_not_hide_the_successes() {
        let series = series(vec![
            run(1, 5.0, None),
            run(2, 900.0, Some(Kind::Timeout)),
            run(3, 1.0, Some(Kind::Connect)),
            run(4, 900.0, Some(Kind::Timeout)),
            run(5, 7.0, None),
        ]);
        let kinds: Vec<_> =
            series.failures_by_kind().into_iter().map(|(kind, count, _)| (kind, count)).collect();
        assert_eq!(kinds, [(Kind::Timeout, 2), (Kind::Connect, 1)]);
        let summary = series.summary(Metric::TOTAL).unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (2, 5.0, 7.0));
        let error = series.error().unwrap();
        assert_eq!(error.kind, Kind::Timeout);
        assert_eq!(error.message, "why (run 2, the first of 3 failures in 5 runs)");
    }

    #[test]
    fn the_median_run_is_one_that_was_made() {
        let median = |totals: &[f64]| {
            let runs = (1..).zip(totals).map(|(number, total)| run(number, *total, None));
            series(runs.collect()).median_run().map(|run| run.number)
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(3));
        assert_eq!(median(&[9.0, 1.0, 5.0, 4.0]), Some(4));
    }

    #[test]
    fn exit_codes_put_the_demanded_before_the_compared() {
        let runs =
            |total: f64| (0..10).map(|n| run(1, total + f64::from(n), None).values).collect();
        let (slow, fast): (Vec<_>, Vec<_>) = (runs(100.0), runs(10.0));
        let baseline = Baseline { runs: fast, ..Baseline::default() };
        let objectives: slo::Objectives = "total=50".parse().unwrap();
        let both = Findings::of("", &slow, &objectives.0, Some(&baseline));
        assert_eq!((both.exit_code(true), both.complaints(true).len()), (4, 2));
        let slower = Findings::of("", &slow, &[], Some(&baseline));
        assert_eq!((slower.exit_code(true), slower.exit_code(false)), (9, 0));
        assert!(slower.complaints(false).is_empty());
        let complaint = &slower.complaints(true)[0];
        assert!(
            complaint.starts_with("Total is slower than the baseline by 90.0ms (621 %, p = "),
            "{complaint}"
        );
    }
}
