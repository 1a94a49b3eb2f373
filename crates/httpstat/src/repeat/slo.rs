//! Objectives: limits that a run has to keep.
//!
//! ```text
//! LIST      = OBJECTIVE *( "," OBJECTIVE )
//! OBJECTIVE = [ STATISTIC "." ] METRIC ( "=" | "<=" | "<" | ">=" | ">" ) NUMBER [ UNIT ]
//! STATISTIC = "min" | "median" | "max" | "p" PERCENT
//! ```
//!
//! `=` means at most. A time without a unit is in milliseconds, a size in bytes, a rate in bytes a
//! second. Without a statistic, every run has to keep the limit.

use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

use super::{
    metric::{Dimension, Metric, Values},
    statistics::{Percentile, median, sorted},
};
use crate::units;

/// One limit on one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Objective {
    statistic: Statistic,
    metric: Metric,
    relation: Relation,
    limit: f64,
}

/// The objectives of one `--slo`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Objectives(pub(crate) Vec<Objective>);

/// Which number of a series has to keep the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    EveryRun,
    Min,
    Median,
    Percentile(Percentile),
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtMost,
    Below,
    AtLeast,
    Above,
}

/// What became of all objectives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) checked: Vec<Checked>,
    /// At least one run succeeded.
    has_runs: bool,
}

/// What became of one objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Checked {
    pub(crate) objective: Objective,
    pub(crate) result: Result,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Result {
    Kept {
        actual: f64,
    },
    /// By so many of so many runs, if every run had to keep it; else both are 1.
    Violated {
        actual: f64,
        runs: usize,
        of: usize,
    },
    /// The phase did not happen, this system does not tell the number, or too few runs succeeded.
    NotMeasured,
}

impl Objective {
    /// How many runs it takes to check it.
    pub(crate) const fn runs_needed(&self) -> usize {
        match self.statistic {
            Statistic::Percentile(percentile) => percentile.runs_needed(),
            _ => 1,
        }
    }

    /// Checks it against the runs that succeeded.
    fn check(&self, runs: &[Values]) -> Result {
        let sample: Vec<f64> = runs.iter().filter_map(|values| values.get(self.metric)).collect();
        let sorted = sorted(&sample);
        let worst = match self.relation {
            Relation::AtMost | Relation::Below => sorted.last(),
            Relation::AtLeast | Relation::Above => sorted.first(),
        };
        let actual = match self.statistic {
            Statistic::EveryRun => worst.copied(),
            Statistic::Min => sorted.first().copied(),
            Statistic::Median => median(&sorted),
            Statistic::Percentile(percentile) => percentile.of(&sorted),
            Statistic::Max => sorted.last().copied(),
        };
        let Some(actual) = actual else { return Result::NotMeasured };
        if self.is_kept_by(actual) {
            return Result::Kept { actual };
        }
        let (runs, of) = match self.statistic {
            Statistic::EveryRun => {
                let violating = sample.iter().filter(|value| !self.is_kept_by(**value)).count();
                (violating, sample.len())
            }
            _ => (1, 1),
        };
        Result::Violated { actual, runs, of }
    }

    fn is_kept_by(&self, value: f64) -> bool {
        match self.relation {
            Relation::AtMost => value <= self.limit,
            Relation::Below => value < self.limit,
            Relation::AtLeast => value >= self.limit,
            Relation::Above => value > self.limit,
        }
    }

    /// Its metric with the statistic, as it is written.
    pub(crate) fn key(&self) -> String {
        let name = self.metric.name();
        match self.statistic {
            Statistic::EveryRun => name.to_owned(),
            Statistic::Min => format!("min.{name}"),
            Statistic::Median => format!("median.{name}"),
            Statistic::Percentile(percentile) => format!("{percentile}.{name}"),
            Statistic::Max => format!("max.{name}"),
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }
}

/// `p99.total <= 800ms`.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = amount(self.limit, self.metric.dimension());
        write!(f, "{} {} {limit}", self.key(), self.relation.sign())
    }
}

impl Relation {
    const fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::Above => ">",
        }
    }
}

impl FromStr for Objectives {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        text.split(',').map(str::parse).collect::<std::result::Result<_, _>>().map(Self)
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let text = text.trim();
        // Two characters before one, so that "<=" is not taken for "<".
        let relations = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("=", Relation::AtMost),
            ("<", Relation::Below),
            (">", Relation::Above),
        ];
        let position = text.find(['<', '>', '=']);
        let (left, (sign, relation)) = position
            .and_then(|position| {
                let (left, right) = text.split_at(position);
                Some((left, relations.into_iter().find(|(sign, _)| right.starts_with(sign))?))
            })
            .ok_or_else(|| format!("{text:?} has no limit; write, for example, total=500"))?;
        let limit = text.get(left.len() + sign.len()..).unwrap_or_default();
        let (statistic, metric) = subject(left.trim())?;
        let limit = parse_amount(limit.trim(), metric.dimension()).ok_or_else(|| {
            format!("{limit:?} is no limit for {}{}", metric.name(), example(metric))
        })?;
        Ok(Self { statistic, metric, relation, limit })
    }
}

/// The left side: a metric, with or without a statistic.
fn subject(text: &str) -> std::result::Result<(Statistic, Metric), String> {
    let (statistic, name) = match text.rsplit_once('.') {
        None => (Statistic::EveryRun, text),
        Some(("min", name)) => (Statistic::Min, name),
        Some(("median" | "p50", name)) => (Statistic::Median, name),
        Some(("max", name)) => (Statistic::Max, name),
        Some((statistic, name)) => {
            let percentile = statistic.strip_prefix('p').and_then(|percent| percent.parse().ok());
            let percentile = percentile.ok_or_else(|| {
                format!(
                    "no statistic is named {statistic:?}; there are min, median, max, p90, p99.9 …"
                )
            })?;
            (Statistic::Percentile(percentile), name)
        }
    };
    let metric = Metric::named(name).ok_or_else(|| {
        let known: Vec<_> = ["ttfb", "retransmitted", "cwnd"]
            .into_iter()
            .chain(Metric::all().map(Metric::name))
            .collect();
        format!("nothing is named {name:?}; there are {}", known.join(", "))
    })?;
    Ok((statistic, metric))
}

fn parse_amount(text: &str, dimension: Dimension) -> Option<f64> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let times = |factor: f64| Some(number.parse::<f64>().ok()? * factor);
    let amount = match dimension {
        Dimension::Time => units::parse_time(text, 1.0),
        Dimension::Bytes => times(bytes_in(unit)?),
        Dimension::Rate => times(bytes_in(unit.strip_suffix("/s").unwrap_or(unit))?),
        Dimension::Count if unit.is_empty() => times(1.0),
        Dimension::Count => None,
    };
    amount.filter(|amount| *amount >= 0.0 && amount.is_finite())
}

fn bytes_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "" | "B" => 1.0,
        "k" | "kB" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    })
}

fn example(metric: Metric) -> &'static str {
    match metric.dimension() {
        Dimension::Time => "; write it as 500 (milliseconds), 1.5s, 500ms or 80us",
        Dimension::Bytes => "; write it as 1500, 64kB or 1MiB",
        Dimension::Rate => "; write it as 1000000, 1MB or 10MB/s",
        Dimension::Count => "; write it as a plain number",
    }
}

/// A value as people read it.
pub(crate) fn amount(value: f64, dimension: Dimension) -> String {
    match dimension {
        Dimension::Time => units::time(duration(value)),
        Dimension::Rate => units::rate(value),
        Dimension::Bytes => format!("{} B", number(value)),
        Dimension::Count => number(value),
    }
}

pub(crate) fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or(Duration::MAX)
}

/// Whole, but for the mean of two counts.
fn number(value: f64) -> String {
    let whole = units::count(value as u64);
    if value.fract() == 0.0 {
        whole
    } else {
        format!("{whole}{}", &format!("{:.1}", value.fract())[1..])
    }
}

impl Outcome {
    /// Checks all objectives against the runs that succeeded.
    pub(crate) fn of(objectives: &[Objective], runs: &[Values]) -> Self {
        let check = |objective: &Objective| Checked {
            objective: *objective,
            result: objective.check(runs),
        };
        Self { checked: objectives.iter().map(check).collect(), has_runs: !runs.is_empty() }
    }

    pub(crate) fn violations(&self) -> impl Iterator<Item = &Checked> {
        self.checked.iter().filter(|checked| matches!(checked.result, Result::Violated { .. }))
    }

    pub(crate) fn not_measured(&self) -> impl Iterator<Item = &Checked> {
        self.checked.iter().filter(|checked| checked.result == Result::NotMeasured)
    }

    /// Whether nothing was violated, and anything could be.
    pub(crate) fn is_pass(&self) -> bool {
        self.has_runs && self.violations().next().is_none()
    }
}

/// `total <= 500ms: 612ms in 3 of 20 runs`.
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value| amount(value, self.objective.metric.dimension());
        write!(f, "{}: ", self.objective)?;
        match self.result {
            Result::Kept { actual } => f.write_str(&show(actual)),
            Result::Violated { actual, of: 1, .. } => f.write_str(&show(actual)),
            Result::Violated { actual, runs, of } => {
                write!(f, "{} at worst, in {runs} of {of} runs", show(actual))
            }
            Result::NotMeasured => f.write_str("not measured"),
        }
    }
}

/// The outcome in the JSON output.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    pass: bool,
    violations: Vec<Violation>,
    not_measured: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Violation {
    key: String,
    relation: &'static str,
    threshold: f64,
    actual: f64,
    unit: &'static str,
    /// How many runs violated it, if every run had to keep it.
    runs: usize,
}

impl From<&Outcome> for View {
    fn from(outcome: &Outcome) -> Self {
        let violations = outcome.checked.iter().filter_map(|checked| {
            let Result::Violated { actual, runs, .. } = checked.result else { return None };
            Some(Violation {
                key: checked.objective.key(),
                relation: checked.objective.relation.sign(),
                threshold: checked.objective.limit,
                actual,
                unit: checked.objective.metric.dimension().unit(),
                runs,
            })
        });
        Self {
            pass: outcome.is_pass(),
            violations: violations.collect(),
            not_measured: outcome.not_measured().map(|checked| checked.objective.key()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(text: &str) -> Objective {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn runs(metric: &str, values: &[f64]) -> Vec<Values> {
        let metric = Metric::named(metric).unwrap();
        let one = |value: &f64| {
            let mut values = Values::none();
            values.set(metric, *value);
            values
        };
        values.iter().map(one).collect()
    }

    #[test]
    fn every_form_means_what_it_says() {
        let cases = [
            ("total=500", "total <= 500ms"),
            ("total<=1.5s", "total <= 1.500s"),
            ("ttfb<200ms", "starttransfer < 200ms"),
            ("dns = 80us", "dns <= 80.0µs"),
            ("p99.total=800", "p99.total <= 800ms"),
            ("p99.9.tls=1s", "p99.9.tls <= 1.000s"),
            ("p50.rtt=2", "median.rtt <= 2.00ms"),
            ("max.min_rtt<500ns", "max.min_rtt < 0.50µs"),
            ("retransmitted=0", "retransmitted_segs <= 0"),
            ("cwnd>=10", "tx_cwnd_segs >= 10"),
            ("min.delivery_rate>=10MB/s", "min.delivery_rate >= 10.0 MB/s"),
            ("delivery_rate>1000000", "delivery_rate > 1.00 MB/s"),
            ("rx_bytes<=64KiB", "rx_bytes <= 65,536 B"),
        ];
        for (text, shown) in cases {
            assert_eq!(objective(text).to_string(), shown);
        }
    }

    #[test]
    fn the_list_of_other_programs_is_understood() {
        let list: Objectives = "total=500,connect=100,ttfb=200,dns=50,tls=80".parse().unwrap();
        let keys: Vec<_> = list.0.iter().map(Objective::key).collect();
        assert_eq!(keys, ["total", "connect", "starttransfer", "dns", "tls"]);
    }

    #[test]
    fn nonsense_is_explained() {
        let cases = [
            ("", "has no limit"),
            ("total", "has no limit"),
            ("total=", "is no limit for total"),
            ("total=-1", "is no limit"),
            ("total=5parsecs", "write it as 500 (milliseconds)"),
            ("total=nan", "is no limit"),
            ("total=inf", "is no limit"),
            ("total==5", "is no limit"),
            ("retransmitted=1kB", "plain number"),
            ("speed=1", "there are ttfb, retransmitted, cwnd, dns, quic, connect"),
            ("p0.total=1", "no statistic is named \"p0\""),
            ("mean.total=1", "no statistic is named \"mean\""),
            ("total=1,,dns=1", "has no limit"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Objectives>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_run_has_to_keep_a_limit_without_a_statistic() {
        let runs = runs("total", &[10.0, 600.0, 20.0, 700.0]);
        let check = |text: &str| objective(text).check(&runs);
        assert_eq!(check("total=700"), Result::Kept { actual: 700.0 });
        assert_eq!(check("total=500"), Result::Violated { actual: 700.0, runs: 2, of: 4 });
        assert_eq!(check("total<700"), Result::Violated { actual: 700.0, runs: 1, of: 4 });
        assert_eq!(check("total>=15"), Result::Violated { actual: 10.0, runs: 1, of: 4 });
        assert_eq!(check("median.total=310"), Result::Kept { actual: 310.0 });
        assert_eq!(check("min.total<10"), Result::Violated { actual: 10.0, runs: 1, of: 1 });
    }

    #[test]
    fn what_was_not_measured_is_no_violation_and_is_said() {
        let runs = runs("total", &[10.0; 20]);
        let objectives: Objectives = "tls=1,p99.total=1,p95.total=10".parse().unwrap();
        let outcome = Outcome::of(&objectives.0, &runs);
        assert!(outcome.is_pass());
        let not_measured: Vec<_> = outcome.not_measured().map(ToString::to_string).collect();
        assert_eq!(
            not_measured,
            ["tls <= 1.00ms: not measured", "p99.total <= 1.00ms: not measured"]
        );
        assert_eq!(objectives.0.iter().map(Objective::runs_needed).max(), Some(100));
    }

    #[test]
    fn a_violation_is_said_with_its_numbers() {
        let outcome = |text: &str, values: &[f64]| {
            let objectives: Objectives = text.parse().unwrap();
            Outcome::of(&objectives.0, &runs("total", values))
        };
        let one = outcome("total=500", &[612.0]);
        assert_eq!(one.checked[0].to_string(), "total <= 500ms: 612ms");
        let many = outcome("total=500", &[612.0, 1.0]);
        assert_eq!(many.checked[0].to_string(), "total <= 500ms: 612ms at worst, in 1 of 2 runs");
        let view = serde_json::to_value(View::from(&many)).unwrap();
        let expected = serde_json::json!({
            "pass": false,
            "violations": [{
                "key": "total", "relation": "<=", "threshold": 500.0, "actual": 612.0,
                "unit": "ms", "runs": 1
            }],
            "not_measured": [],
        });
        assert_eq!(view, expected);
    }
}
