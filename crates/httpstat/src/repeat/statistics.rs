//! Order statistics of a sample.
//!
//! A percentile is the smallest value that at least that share of the runs did not exceed (the
//! nearest rank), so it is always one that was measured. It exists only where enough runs were made
//! for it to differ from the extreme: 10 for the 90th, 100 for the 99th. The median of an even number
//! of runs is the mean of the two in the middle, as everywhere.

use std::{fmt, str::FromStr};

/// A sample in five numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    /// Absent below 10 runs.
    pub(crate) p90: Option<f64>,
    /// Absent below 100 runs.
    pub(crate) p99: Option<f64>,
    pub(crate) max: f64,
}

impl Summary {
    /// Of a sample in any order; absent if it is empty.
    pub(crate) fn of(sample: &[f64]) -> Option<Self> {
        let sorted = sorted(sample);
        Some(Self {
            count: sorted.len(),
            min: *sorted.first()?,
            median: median(&sorted)?,
            p90: Percentile::P90.of(&sorted),
            p99: Percentile::P99.of(&sorted),
            max: *sorted.last()?,
        })
    }
}

/// The sample in ascending order.
pub(crate) fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The middle of an ascending sample.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper)),
        _ => Some(upper),
    }
}

/// A percentile, in thousandths of a percent so that its arithmetic is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percentile(usize);

impl Percentile {
    pub(crate) const P90: Self = Self(90_000);
    pub(crate) const P99: Self = Self(99_000);
    const MEDIAN: Self = Self(50_000);
    const ALL: usize = 100_000;

    /// How many runs it takes for this percentile to be more than another name for the extreme.
    pub(crate) const fn runs_needed(self) -> usize {
        if self.0 == Self::MEDIAN.0 {
            return 1;
        }
        let tail = if self.0 < Self::ALL - self.0 { self.0 } else { Self::ALL - self.0 };
        Self::ALL.div_ceil(tail)
    }

    /// Of an ascending sample; absent if that is too small.
    pub(crate) fn of(self, sorted: &[f64]) -> Option<f64> {
        if self == Self::MEDIAN {
            return median(sorted);
        }
        if sorted.len() < self.runs_needed() {
            return None;
        }
        let rank = (self.0 * sorted.len()).div_ceil(Self::ALL);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}

/// `99`, `99.9`: more than 0 and less than 100, with at most three decimals.
impl FromStr for Percentile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=2).contains(&whole.len())
            && decimals.len() <= 3
            && text.contains('.') != decimals.is_empty()
            && is_number(whole)
            && is_number(decimals);
        let number: usize = format!("{whole}{decimals:0<3}").parse().map_err(|_| ())?;
        if fits && number > 0 { Ok(Self(number)) } else { Err(()) }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:03}", self.0 % 1_000);
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "p{}{point}{decimals}", self.0 / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn five_numbers_describe_a_sample() {
        let sample: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let expected = Summary {
            count: 100,
            min: 1.0,
            median: 50.5,
            p90: Some(90.0),
            p99: Some(99.0),
            max: 100.0,
        };
        assert_eq!(Summary::of(&sample), Some(expected));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_percentile_is_absent_where_it_would_only_rename_the_extreme() {
        let summary = |count| Summary::of(&vec![1.0; count]).unwrap();
        assert_eq!((summary(9).p90, summary(10).p90), (None, Some(1.0)));
        assert_eq!((summary(99).p99, summary(100).p99), (None, Some(1.0)));
        let needed = |text: &str| text.parse::<Percentile>().unwrap().runs_needed();
        assert_eq!(["50", "10", "90", "95", "99.9"].map(needed), [1, 10, 10, 20, 1_000]);
    }

    #[test]
    fn percentiles_are_read_and_written() {
        for text in ["p50", "p99", "p99.9", "p0.5", "p99.999"] {
            assert_eq!(text[1..].parse::<Percentile>().unwrap().to_string(), text);
        }
        for text in ["", "0", "00", "100", "-1", "9.", ".9", "99.9999", "+9", "1e1", "9 "] {
            assert!(text.parse::<Percentile>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// The definition in words, word by word.
        #[test]
        fn a_percentile_is_the_smallest_value_that_enough_do_not_exceed(
            sample in vec(-1e9..1e9f64, 1..300), percent in 1usize..100,
        ) {
            let percentile: Percentile = percent.to_string().parse().unwrap();
            let covers = |value: f64| {
                sample.iter().filter(|other| **other <= value).count() * 100 >= percent * sample.len()
            };
            let naive = sample.iter().copied().filter(|value| covers(*value)).reduce(f64::min);
            let found = percentile.of(&sorted(&sample));
            match percent {
                50 => prop_assert!(found.is_some()),
                _ if sample.len() < percentile.runs_needed() => prop_assert_eq!(found, None),
                _ => prop_assert_eq!(found, naive),
            }
        }

        #[test]
        fn as_many_lie_above_the_median_as_below(sample in vec(-1e9..1e9f64, 1..100)) {
            let median = median(&sorted(&sample)).unwrap();
            let above = sample.iter().filter(|value| **value > median).count();
            let below = sample.iter().filter(|value| **value < median).count();
            prop_assert!(above <= sample.len() / 2 && below <= sample.len() / 2);
        }
    }
}
