//! Whether two samples differ by more than noise: the two-sided Mann-Whitney U test, Holm's
//! correction for several comparisons, and the Hodges-Lehmann shift with its interval.
//!
//! The test assumes that runs do not influence each other, and nothing about how they are
//! distributed, which suits times: they are skewed, and a single slow one must not decide.

use std::f64::consts::{E, FRAC_2_SQRT_PI};

use super::statistics::sorted;

/// How likely it is to call noise a change, over all comparisons of one report together.
pub(crate) const ALPHA: f64 = 0.05;

/// How a sample compares with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shift {
    /// Hodges-Lehmann: the median of all differences, later minus earlier.
    pub(crate) by: f64,
    /// At 95 %; absent where the samples are too small for one.
    pub(crate) interval: Option<(f64, f64)>,
    /// How often noise alone would differ as much; two-sided and not yet corrected.
    pub(crate) p: f64,
}

impl Shift {
    /// Of samples in any order; absent if one of them is empty.
    pub(crate) fn between(earlier: &[f64], later: &[f64]) -> Option<Self> {
        let pair = Pair { earlier: sorted(earlier), later: sorted(later) };
        let count = pair.count();
        if count == 0 {
            return None;
        }
        let by = f64::midpoint(pair.difference(count.div_ceil(2)), pair.difference(count / 2 + 1));
        let rank = pair.interval_rank();
        let interval =
            (rank > 0).then(|| (pair.difference(rank), pair.difference(count + 1 - rank)));
        Some(Self { by, interval, p: pair.p() })
    }
}

/// Holm's step-down correction, in the order of `raw`.
pub(crate) fn holm(raw: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by(|left, right| raw[*left].total_cmp(&raw[*right]));
    let mut adjusted = vec![0.0; raw.len()];
    let mut largest = 0.0f64;
    for (step, index) in order.into_iter().enumerate() {
        largest = largest.max(raw[index] * (raw.len() - step) as f64);
        adjusted[index] = largest.min(1.0);
    }
    adjusted
}

/// Whether samples of these sizes could show any change at all, after correction for `comparisons`.
pub(crate) fn can_tell(earlier: usize, later: usize, comparisons: usize) -> bool {
    // The most extreme order is one of all the ways to mix both samples, and so is its mirror image.
    let mut orders = 1.0;
    for chosen in 1..=earlier.min(later) {
        orders *= (earlier.max(later) + chosen) as f64 / chosen as f64;
    }
    earlier.min(later) > 0 && 2.0 * comparisons as f64 / orders <= ALPHA
}

/// The smallest size at which two equal samples could show a change.
pub(crate) fn runs_needed(comparisons: usize) -> usize {
    (1..).find(|size| can_tell(*size, *size, comparisons)).unwrap_or(usize::MAX)
}

/// Both samples, ascending.
struct Pair {
    earlier: Vec<f64>,
    later: Vec<f64>,
}

impl Pair {
    /// Pairs of an earlier and a later value.
    fn count(&self) -> usize {
        self.earlier.len() * self.later.len()
    }

    /// In how many pairs the later value is larger; a tie counts half.
    fn u(&self) -> f64 {
        let pairs = self.later.iter().map(|value| {
            let below = self.earlier.partition_point(|other| other < value);
            let not_above = self.earlier.partition_point(|other| other <= value);
            (below + not_above) as f64 / 2.0
        });
        pairs.sum()
    }

    fn p(&self) -> f64 {
        let middle = self.count() as f64 / 2.0;
        let extreme = middle - (self.u() - middle).abs();
        if self.is_exact() {
            let below: f64 = self.null_distribution().iter().take(extreme as usize + 1).sum();
            return (2.0 * below).min(1.0);
        }
        let deviation = self.deviation();
        if deviation == 0.0 {
            return 1.0;
        }
        // Continuity: the statistic moves in steps, of which half belongs to the tail.
        let z = (middle - extreme - 0.5).max(0.0) / deviation;
        erfc(z / std::f64::consts::SQRT_2)
    }

    /// Which difference, counted from either end, bounds the interval; 0 if none does.
    fn interval_rank(&self) -> usize {
        const TAIL: f64 = 0.025;
        /// The 97.5th percentile of the normal distribution.
        const Z: f64 = 1.959_963_984_540_054;

        if self.is_exact() {
            let mut below = 0.0;
            let distribution = self.null_distribution();
            let within = distribution.iter().take_while(|probability| {
                below += **probability;
                below <= TAIL
            });
            return within.count();
        }
        (self.count() as f64 / 2.0 - Z * self.deviation()).max(0.0) as usize
    }

    /// The distribution of U is known exactly where no two values are equal; above 50 runs the
    /// normal approximation is as good.
    fn is_exact(&self) -> bool {
        const MAX_EXACT: usize = 50;
        self.earlier.len().max(self.later.len()) < MAX_EXACT && self.ties() == 0.0
    }

    /// Standard deviation of U under the null hypothesis, corrected for ties.
    fn deviation(&self) -> f64 {
        let all = (self.earlier.len() + self.later.len()) as f64;
        let ties = if all > 1.0 { self.ties() / (all * (all - 1.0)) } else { 0.0 };
        (self.count() as f64 / 12.0 * (all + 1.0 - ties)).max(0.0).sqrt()
    }

    /// Sum of t³ − t over the groups of t equal values.
    fn ties(&self) -> f64 {
        let all = sorted(&[self.earlier.as_slice(), &self.later].concat());
        let groups = all.chunk_by(|left, right| left == right).map(|group| group.len() as f64);
        groups.map(|size| size.powi(3) - size).sum()
    }

    /// The probability of each value of U, from 0 on, if all orders are equally likely.
    ///
    /// The number of orders with U = u obeys Mann and Whitney's recurrence: the largest value is
    /// either a later one, which exceeds every earlier one, or an earlier one, which adds nothing.
    fn null_distribution(&self) -> Vec<f64> {
        let (earlier, later) = (self.earlier.len(), self.later.len());
        // By the number of later values, for as many earlier ones as the outer loop has come to.
        let mut orders = vec![vec![1.0]; later + 1];
        for e in 1..=earlier {
            for l in 1..=later {
                let mut next = vec![0.0; e * l + 1];
                for (u, count) in orders[l].iter().enumerate() {
                    next[u] += count;
                }
                for (u, count) in orders[l - 1].iter().enumerate() {
                    next[u + e] += count;
                }
                orders[l] = next;
            }
        }
        let counts = orders.pop().unwrap_or_default();
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / all).collect()
    }

    /// The difference of this rank, from 1 on, among those of all pairs.
    ///
    /// Found by bisection, because writing all of them down would take the product of both sizes.
    fn difference(&self, rank: usize) -> f64 {
        let (mut low, mut high) = (ordinal(f64::NEG_INFINITY), ordinal(f64::INFINITY));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.differences_up_to(float(middle)) < rank {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // Of two zeros, the negative one comes first.
        float(low) + 0.0
    }

    fn differences_up_to(&self, limit: f64) -> usize {
        let mut count = 0;
        let mut taken = 0;
        for earlier in &self.earlier {
            let more = self.later.get(taken..).unwrap_or_default().iter();
            taken += more.take_while(|later| **later - earlier <= limit).count();
            count += taken;
        }
        count
    }
}

/// The place of a number among all floating-point numbers.
fn ordinal(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn float(ordinal: u64) -> f64 {
    f64::from_bits(if ordinal >> 63 == 1 { ordinal & !(1 << 63) } else { !ordinal })
}

/// The complementary error function, for a number that is not negative.
fn erfc(x: f64) -> f64 {
    let density = FRAC_2_SQRT_PI * decay(x * x);
    if x < 2.0 {
        // Abramowitz and Stegun, 7.1.6.
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * f64::EPSILON {
            odd += 2.0;
            term *= 2.0 * x * x / odd;
            sum += term;
        }
        return 1.0 - density * sum;
    }
    // The same, 7.1.14, from its far end.
    let fraction = (1..=100).rev().fold(x, |fraction, k| x + f64::from(k) / 2.0 / fraction);
    density / 2.0 / fraction
}

/// `e` to the power of minus this number, which is not negative.
///
/// That of the standard library lies in the system's library for mathematics, which every start would
/// have to find, to map and to relocate for this one function.
fn decay(x: f64) -> f64 {
    // Nothing is left of it there.
    let x = x.min(1000.0);
    let whole = x as i32;
    let rest = f64::from(whole) - x;
    // Below 1, so that twenty terms are more than a number can tell apart.
    let fraction = (1..=20).rev().fold(1.0, |sum, k| 1.0 + rest / f64::from(k) * sum);
    E.powi(-whole) * fraction
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::Value;

    use super::*;

    fn reference() -> Value {
        serde_json::from_str(include_str!("../../tests/data/rank_test.json")).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    #[test]
    fn powers_are_those_of_the_standard_library() {
        for x in (0..7450).map(|tenths| f64::from(tenths) / 10.0 + 0.037) {
            let expected = (-x).exp();
            assert!((decay(x) - expected).abs() <= 1e-12 * expected + f64::MIN_POSITIVE, "{x}");
        }
        assert_eq!([decay(0.0), decay(800.0), decay(f64::INFINITY)], [1.0, 0.0, 0.0]);
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-10 * expected.abs().max(1e-3)
    }

    #[test]
    fn another_implementation_comes_to_the_same_results() {
        let reference = reference();
        for case in reference["cases"].as_array().unwrap() {
            let (earlier, later) = (numbers(&case["earlier"]), numbers(&case["later"]));
            let shift = Shift::between(&earlier, &later).unwrap();
            let p = case["p"].as_f64().unwrap();
            assert!((shift.p - p).abs() <= 1e-9 * p, "{shift:?} {case:#}");
            assert!(close(shift.by, case["shift"].as_f64().unwrap()), "{shift:?} {case:#}");
            let pair = Pair { earlier: sorted(&earlier), later: sorted(&later) };
            assert_eq!(pair.is_exact(), case["exact"], "{case:#}");
            match case.get("interval") {
                None => {}
                Some(Value::Null) => assert_eq!(shift.interval, None, "{case:#}"),
                Some(interval) => {
                    let (low, high) = shift.interval.unwrap();
                    let expected = numbers(interval);
                    assert!(close(low, expected[0]) && close(high, expected[1]), "{case:#}");
                }
            }
        }
        for case in reference["holm"].as_array().unwrap() {
            let adjusted = holm(&numbers(&case["raw"]));
            let expected = numbers(&case["adjusted"]);
            assert_eq!(adjusted.len(), expected.len());
            let mut pairs = adjusted.into_iter().zip(expected);
            assert!(pairs.all(|(found, expected)| close(found, expected)), "{case:#}");
        }
    }

    /// Counted by hand: of the 252 orders of 5 and 5 values, 2 are the most extreme; of 70, also 2.
    #[test]
    fn too_few_runs_can_show_nothing() {
        assert!(can_tell(4, 4, 1) && !can_tell(3, 3, 1));
        assert!(can_tell(5, 5, 6) && !can_tell(5, 5, 7));
        assert!(!can_tell(0, 1_000, 1) && !can_tell(1, 38, 1) && can_tell(1, 39, 1));
        assert_eq!([1, 6, 7].map(runs_needed), [4, 5, 6]);
        assert!(can_tell(5_000, 5_000, 8));
    }

    #[test]
    fn an_interval_of_large_samples_holds_the_shift() {
        let earlier: Vec<f64> = (0..400).map(|n| f64::from(n * 7919 % 1000)).collect();
        let later: Vec<f64> = earlier.iter().map(|value| value + 100.0).collect();
        let shift = Shift::between(&earlier, &later).unwrap();
        let (low, high) = shift.interval.unwrap();
        assert!(low < 100.0 && 100.0 < high && high - low < 120.0, "{shift:?}");
        assert!((shift.by - 100.0).abs() < 5.0 && shift.p < 1e-4, "{shift:?}");
    }

    #[test]
    fn nothing_can_be_said_of_an_empty_sample() {
        assert_eq!(Shift::between(&[], &[1.0]), None);
        assert_eq!(Shift::between(&[1.0], &[]), None);
    }

    proptest! {
        #[test]
        fn exchanged_samples_give_the_mirror_image(
            earlier in vec(0..40u8, 1..30), later in vec(0..200u8, 1..60),
        ) {
            let [earlier, later] =
                [earlier, later].map(|sample| sample.into_iter().map(f64::from).collect::<Vec<_>>());
            let there = Shift::between(&earlier, &later).unwrap();
            let back = Shift::between(&later, &earlier).unwrap();
            prop_assert!((there.p - back.p).abs() < 1e-12 && (0.0..=1.0).contains(&there.p));
            prop_assert_eq!(there.by, -back.by);
            let mirrored = back.interval.map(|(low, high)| (-high, -low));
            prop_assert_eq!(there.interval, mirrored);
        }

        #[test]
        fn differences_are_found_as_if_all_were_written_down(
            earlier in vec(-1e6..1e6f64, 1..12), later in vec(-1e6..1e6f64, 1..12),
        ) {
            let pair = Pair { earlier: sorted(&earlier), later: sorted(&later) };
            let all = later.iter().flat_map(|l| earlier.iter().map(move |e| l - e));
            let all = sorted(&all.collect::<Vec<_>>());
            for (index, difference) in all.iter().enumerate() {
                prop_assert_eq!(pair.difference(index + 1), *difference);
            }
        }

        #[test]
        fn the_distribution_is_symmetric_and_complete(earlier in 1usize..20, later in 1usize..20) {
            let sample = |size: usize, from: f64| (0..size).map(|n| n as f64 + from).collect();
            let pair = Pair { earlier: sample(earlier, 0.0), later: sample(later, 0.5) };
            let distribution = pair.null_distribution();
            prop_assert_eq!(distribution.len(), earlier * later + 1);
            prop_assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let mirrored = distribution.iter().rev();
            prop_assert!(distribution.iter().zip(mirrored).all(|(l, r)| (l - r).abs() < 1e-15));
        }
    }
}
