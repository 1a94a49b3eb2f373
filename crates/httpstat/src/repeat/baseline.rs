//! A saved run to compare with, and the comparison.

use std::{fmt, fs::File, io::Read as _, path::Path};

use serde::Deserialize;
use serde_json::{Deserializer, Map, Value};

use super::{
    metric::{Metric, Values},
    min_change::MinChange,
    rank_test::{ALPHA, Shift, can_tell, holm, runs_needed},
    slo::amount,
    statistics::{median, sorted},
};
use crate::error::{Error, Kind, reason};

/// What was measured before: the numbers of every run that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    pub(crate) url: String,
    /// Whether its connections were kept, if it says so.
    pub(crate) keeps_connections: Option<bool>,
    pub(crate) runs: Vec<Values>,
    /// The least change that counts.
    pub(crate) min_change: MinChange,
}

impl Baseline {
    /// Reads what `--save` has written, in either format, of one run or several.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let message = format!("cannot compare with --baseline {}: {why}", path.display());
            Error::new(Kind::Data, message)
        };
        let mut text = String::new();
        let read =
            File::open(path).and_then(|file| file.take(MAX_LEN + 1).read_to_string(&mut text));
        read.map_err(|error| refuse(&reason(&error)))?;
        if text.len() as u64 > MAX_LEN {
            return Err(refuse(&format!("it is larger than {} MiB", MAX_LEN >> 20)));
        }
        let found = Self::parse(&text).map_err(|why| refuse(&why))?;
        match found.runs.is_empty() {
            true => Err(refuse("it holds no run that succeeded")),
            false => Ok(found),
        }
    }

    /// Refuses to begin with a comparison that could not come to a verdict, even on the total.
    pub(crate) fn check_size(&self, path: &Path, runs: u32) -> Result<(), Error> {
        let in_baseline = |metric: &Metric| self.runs.iter().any(|run| run.get(*metric).is_some());
        let comparisons = compared().filter(in_baseline).count();
        let (earlier, later) = (self.runs.len(), runs as usize);
        if can_tell(earlier, later, comparisons) {
            return Ok(());
        }
        let sizes = later..=MAX_RUNS_ASKED_FOR;
        let advice = match sizes.into_iter().find(|size| can_tell(earlier, *size, comparisons)) {
            Some(needed) => format!("make {needed} now (-n {needed})"),
            None => {
                let needed = runs_needed(comparisons);
                format!("save a baseline of at least {needed}, and make as many now")
            }
        };
        let message = format!(
            "{later} runs and the {earlier} of --baseline {} are too few for --fail-if-slower to \
             ever tell; {advice}",
            path.display()
        );
        Err(Error::new(Kind::Data, message))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        let mut documents = Deserializer::from_str(text).into_iter::<Document>().peekable();
        if documents.peek().is_none() {
            return Err("it is empty".to_owned());
        }
        for document in documents {
            let document = document.map_err(|error| {
                format!("it is no result of httpstat in JSON: {error}; write one with --save")
            })?;
            found.url = document.url;
            found.keeps_connections = document.keep_alive.or(found.keeps_connections);
            match (document.runs, document.hops) {
                (Some(runs), _) => {
                    let succeeded = runs.into_iter().filter(|run| run.ok);
                    found.runs.extend(succeeded.map(|run| values([&run.timings_ms])));
                }
                (None, Some(hops)) if document.ok => {
                    found.runs.push(values(hops.iter().map(|hop| &hop.timings_ms)));
                }
                // A run that failed, or the summary of runs that have lines of their own.
                _ => {}
            }
        }
        Ok(found)
    }
}

/// What a comparison needs of the JSON output.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "schema_version")]
    _version: Version,
    url: String,
    ok: bool,
    keep_alive: Option<bool>,
    runs: Option<Vec<Run>>,
    hops: Option<Vec<Hop>>,
}

#[derive(Deserialize)]
struct Run {
    ok: bool,
    timings_ms: Map<String, Value>,
}

#[derive(Deserialize)]
struct Hop {
    timings_ms: Map<String, Value>,
}

/// The only version there is.
#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct Version;

impl TryFrom<u64> for Version {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        if number == 1 { Ok(Self) } else { Err("it was written by another version of httpstat") }
    }
}

/// Phases and the total, added up over the requests of one run.
fn values<'a>(hops: impl IntoIterator<Item = &'a Map<String, Value>>) -> Values {
    let mut values = Values::none();
    for timings in hops {
        for metric in compared() {
            let time = timings.get(metric.name()).and_then(Value::as_f64);
            if let Some(time) = time.filter(|time| time.is_finite()) {
                values.add(metric, time);
            }
        }
    }
    values
}

/// What is compared: every phase, and the total.
fn compared() -> impl Iterator<Item = Metric> {
    Metric::all().filter(|metric| metric.is_phase() || *metric == Metric::TOTAL)
}

/// A comparison of all phases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// What the baseline is of, if that is not what was measured now.
    pub(crate) other_url: Option<String>,
    /// Whether the baseline kept its connections, if these runs did otherwise.
    pub(crate) other_keeping: Option<bool>,
    pub(crate) min_change: MinChange,
    pub(crate) changes: Vec<Change>,
}

/// How one phase compares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) metric: Metric,
    /// Numbers of runs that have the phase, and their medians in milliseconds.
    pub(crate) earlier: Sample,
    pub(crate) later: Sample,
    pub(crate) verdict: Verdict,
    /// Below it, a change does not count.
    min_change: MinChange,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) count: usize,
    pub(crate) median: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It happened only then, or only now.
    OneSided,
    /// No order of so few runs would be unlikely enough.
    NotEnough { needed: usize },
    /// Of the shift, with `p` corrected for the number of comparisons.
    Tested { shift: Shift, p: f64 },
}

impl Change {
    /// Whether it became slower, by more than noise and by as much as counts.
    pub(crate) fn is_slower(&self) -> bool {
        self.beyond_noise().is_some_and(|by| by > 0.0 && self.counts(by))
    }

    /// Whether it became faster, by more than noise and by as much as counts.
    pub(crate) fn is_faster(&self) -> bool {
        self.beyond_noise().is_some_and(|by| by < 0.0 && self.counts(by))
    }

    /// Whether it changed by more than noise, and by less than counts.
    pub(crate) fn is_small(&self) -> bool {
        self.beyond_noise().is_some_and(|by| by != 0.0 && !self.counts(by))
    }

    /// The shift as a share of the baseline's median.
    pub(crate) fn share(&self) -> Option<f64> {
        let median = self.earlier.median.filter(|median| *median > 0.0)?;
        self.tested().map(|(shift, _)| shift.by / median)
    }

    /// What the test said, if there were enough runs for one; with `p` corrected.
    pub(crate) fn tested(&self) -> Option<(Shift, f64)> {
        match self.verdict {
            Verdict::Tested { shift, p } => Some((shift, p)),
            Verdict::OneSided | Verdict::NotEnough { .. } => None,
        }
    }

    fn beyond_noise(&self) -> Option<f64> {
        self.tested().filter(|(_, p)| *p <= ALPHA).map(|(shift, _)| shift.by)
    }

    fn counts(&self, by: f64) -> bool {
        self.min_change.is_reached(by, self.earlier.median.unwrap_or_default())
    }
}

/// As a sentence without its subject.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::OneSided if self.later.count == 0 => f.write_str("only in the baseline"),
            Verdict::OneSided => f.write_str("not in the baseline"),
            Verdict::NotEnough { needed } => write!(
                f,
                "not enough runs: {} in the baseline and {} now, where {needed} each would do",
                self.earlier.count, self.later.count
            ),
            Verdict::Tested { shift, p } => {
                let by = amount(shift.by.abs(), self.metric.dimension());
                match () {
                    () if self.is_slower() => write!(f, "slower by {by} (p = {p:.2e})"),
                    () if self.is_faster() => write!(f, "faster by {by} (p = {p:.2e})"),
                    () if self.is_small() => {
                        let slower = if shift.by > 0.0 { "slower" } else { "faster" };
                        let least = self.min_change;
                        write!(f, "{slower} by {by} (p = {p:.2e}), which counts from {least} on")
                    }
                    () => write!(f, "no change beyond noise (p = {p:.2})"),
                }
            }
        }
    }
}

impl Comparison {
    pub(crate) fn of(baseline: &Baseline, url: &str, runs: &[Values]) -> Self {
        let samples: Vec<_> = compared()
            .map(|metric| {
                let sample = |runs: &[Values]| -> Vec<f64> {
                    runs.iter().filter_map(|values| values.get(metric)).collect()
                };
                (metric, sample(&baseline.runs), sample(runs))
            })
            .filter(|(_, earlier, later)| !earlier.is_empty() || !later.is_empty())
            .collect();
        let two_sided = samples.iter().filter(|(_, e, l)| !e.is_empty() && !l.is_empty()).count();

        let shifts: Vec<_> = samples
            .iter()
            .map(|(_, earlier, later)| {
                let is_enough = can_tell(earlier.len(), later.len(), two_sided);
                Shift::between(earlier, later).filter(|_| is_enough)
            })
            .collect();
        let raw: Vec<_> = shifts.iter().flatten().map(|shift| shift.p).collect();
        let mut adjusted = holm(&raw).into_iter();
        let changes = samples.iter().zip(shifts).map(|((metric, earlier, later), shift)| {
            let tested =
                shift.and_then(|shift| Some(Verdict::Tested { shift, p: adjusted.next()? }));
            let otherwise = match earlier.is_empty() || later.is_empty() {
                true => Verdict::OneSided,
                false => Verdict::NotEnough { needed: runs_needed(two_sided) },
            };
            Change {
                metric: *metric,
                earlier: Sample::of(earlier),
                later: Sample::of(later),
                verdict: tested.unwrap_or(otherwise),
                min_change: baseline.min_change,
            }
        });
        let other_url = (baseline.url != url).then(|| baseline.url.clone());
        let (changes, min_change) = (changes.collect(), baseline.min_change);
        Self { other_url, other_keeping: None, min_change, changes }
    }

    /// The phases that became slower, by more than noise and by as much as counts.
    pub(crate) fn slower(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.is_slower())
    }

    /// How many runs both sides need, if there were too few to tell anything.
    pub(crate) fn runs_needed(&self) -> Option<usize> {
        let tested = |change: &Change| matches!(change.verdict, Verdict::Tested { .. });
        if self.changes.iter().any(tested) {
            return None;
        }
        self.changes.iter().find_map(|change| match change.verdict {
            Verdict::NotEnough { needed } => Some(needed),
            _ => None,
        })
    }
}

impl Sample {
    fn of(sample: &[f64]) -> Self {
        Self { count: sample.len(), median: median(&sorted(sample)) }
    }
}

/// To make up for a small baseline; beyond, a larger one is the better advice.
const MAX_RUNS_ASKED_FOR: usize = 100;
/// A hundred thousand runs fit.
const MAX_LEN: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(total: f64, tls: Option<f64>) -> Values {
        let mut values = Values::none();
        values.set(Metric::TOTAL, total);
        if let Some(tls) = tls {
            values.set(Metric::named("tls").unwrap(), tls);
        }
        values
    }

    fn baseline(runs: Vec<Values>) -> Baseline {
        Baseline { url: "http://h/".to_owned(), runs, ..Baseline::default() }
    }

    fn totals(from: u32, count: u32) -> Vec<Values> {
        (from..from + count).map(|total| run(f64::from(total), None)).collect()
    }

    #[test]
    fn all_forms_of_output_are_read() {
        let one = r#"{"schema_version": 1, "url": "http://h/", "ok": true, "hops": [
            {"timings_ms": {"connect": 1.5, "total": 4.0, "pretransfer": 2.0}},
            {"timings_ms": {"connect": 0.5, "total": 6.0}}]}"#;
        let found = Baseline::parse(one).unwrap();
        assert_eq!(found.url, "http://h/");
        let connect = Metric::named("connect").unwrap();
        let numbers: Vec<_> = found.runs[0].known().collect();
        assert_eq!(numbers, [(connect, 2.0), (Metric::TOTAL, 10.0)]);

        let many = r#"{"schema_version": 1, "url": "http://h/", "ok": false, "statistics": {}, "runs": [
            {"ok": true, "timings_ms": {"total": 1.0}}, {"ok": false, "timings_ms": {"total": 9.0}},
            {"ok": true, "timings_ms": {"total": 2.0}}]}"#;
        let found = Baseline::parse(many).unwrap();
        assert_eq!(found.runs, [run(1.0, None), run(2.0, None)]);

        let lines = [
            r#"{"schema_version": 1, "url": "http://h/", "ok": true, "hops": [{"timings_ms": {"total": 1.0}}]}"#,
            r#"{"schema_version": 1, "url": "http://h/", "ok": false, "hops": [{"timings_ms": {"total": 7.0}}]}"#,
            r#"{"schema_version": 1, "url": "http://h/", "ok": false, "statistics": {"total": {}}}"#,
        ];
        let found = Baseline::parse(&lines.join("\n")).unwrap();
        assert_eq!(found.runs, [run(1.0, None)]);
    }

    #[test]
    fn what_is_no_result_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.json");
        let ok = r#""url": "http://h/", "ok": false"#;
        let cases = [
            (None, "saved.json"),
            (Some(String::new()), "it is empty"),
            (Some("{}".to_owned()), "no result of httpstat"),
            (Some("<html>".to_owned()), "no result of httpstat"),
            (Some(format!("{{\"schema_version\": 2, {ok}}}")), "another version"),
            (Some(format!("{{\"schema_version\": 1, {ok}}}")), "no run that succeeded"),
        ];
        for (content, expected) in cases {
            if let Some(content) = &content {
                std::fs::write(&path, content).unwrap();
            }
            let error = Baseline::read(&path).unwrap_err();
            assert_eq!(error.kind, Kind::Data);
            assert!(error.message.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_clear_change_is_told_from_noise() {
        let earlier = baseline(totals(100, 10));
        let slower = Comparison::of(&earlier, "http://h/", &totals(200, 10));
        let [change] = slower.changes.as_slice() else { panic!("{slower:?}") };
        assert!(change.is_slower() && !change.is_faster());
        assert_eq!((change.earlier.median, change.later.median), (Some(104.5), Some(204.5)));
        let Verdict::Tested { shift, .. } = change.verdict else { panic!("{change:?}") };
        assert_eq!(shift.by, 100.0);
        assert_eq!(slower.slower().count(), 1);

        let faster = Comparison::of(&earlier, "http://h/", &totals(10, 10));
        assert!(faster.changes[0].is_faster() && faster.slower().next().is_none());
        let same = Comparison::of(&earlier, "http://h/", &totals(100, 10));
        assert!(!same.changes[0].is_faster() && !same.changes[0].is_slower());
        assert_eq!(same.runs_needed(), None);
    }

    #[test]
    fn a_clear_change_that_is_small_does_not_count() {
        let run = |total: u32, by: f64| run(f64::from(total) / 1_000.0 + by, None);
        let runs = |by: f64| (0..30).map(|number| run(100_000 + number, by)).collect::<Vec<_>>();
        let compare = |by: f64, least: &str| {
            let earlier = Baseline { min_change: least.parse().unwrap(), ..baseline(runs(0.0)) };
            Comparison::of(&earlier, "http://h/", &runs(by)).changes.remove(0)
        };
        // Of a hundred milliseconds, one in two thousand; no two runs of both sides overlap.
        let small = compare(0.05, "5%,1ms");
        assert!(small.is_small() && !small.is_slower() && !small.is_faster());
        assert!(small.tested().unwrap().1 < 0.001);
        let text = small.to_string();
        assert!(text.starts_with("slower by 50.0µs (p = "), "{text}");
        assert!(text.ends_with("which counts from 5% and 1.00ms on"), "{text}");
        assert!(compare(-0.05, "5%,1ms").is_small());
        assert!(compare(0.05, "0").is_slower() && compare(-0.05, "0").is_faster());
        assert!(compare(4.0, "5%,1ms").is_small() && compare(4.0, "1ms").is_slower());
        let large = compare(6.0, "5%,1ms");
        assert!(large.is_slower() && !large.is_small());
        assert!((large.share().unwrap() - 0.06).abs() < 1e-4);
        assert!(!compare(0.0, "5%,1ms").is_small(), "noise is not small, it is nothing");
    }

    #[test]
    fn too_few_runs_get_a_number_and_no_verdict() {
        let found = Comparison::of(&baseline(totals(100, 3)), "http://h/", &totals(900, 3));
        assert_eq!(found.changes[0].verdict, Verdict::NotEnough { needed: 4 });
        assert_eq!((found.runs_needed(), found.slower().count()), (Some(4), 0));
    }

    #[test]
    fn a_phase_on_one_side_only_is_not_compared() {
        let with_tls: Vec<_> = (0..5).map(|n| run(f64::from(n), Some(1.0))).collect();
        let found = Comparison::of(&baseline(totals(0, 5)), "https://h/", &with_tls);
        let verdicts: Vec<_> = found.changes.iter().map(|change| change.verdict).collect();
        assert_eq!(found.changes[0].metric.name(), "tls");
        assert!(matches!(verdicts.as_slice(), [Verdict::OneSided, Verdict::Tested { .. }]));
        assert_eq!(found.other_url.as_deref(), Some("http://h/"));
    }
}
