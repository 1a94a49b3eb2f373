use std::fmt;

use super::cost::Cost;

/// What a figure is to reach.
pub(super) struct Target {
    pub(super) limit: Limit,
    /// Allocations an operation.
    pub(super) allocs: Option<f64>,
}

/// What a figure may cost.
pub(super) enum Limit {
    /// At most this many times the floor.
    TimesFloor(f64),
    /// At most this much more than the floor.
    NanosAboveFloor(f64),
    /// At most this long, whatever the floor.
    Nanos(f64),
    /// At most this large.
    Bytes(f64),
    /// As far from the floor, either way, as a millisecond or two parts in a hundred of it.
    Clock,
    /// Anything: the figure is stated beside its floor.
    Stated,
}

impl Target {
    pub(super) fn is_met_by(&self, cost: &Cost) -> bool {
        let within = match self.limit {
            Limit::TimesFloor(limit) => cost.ratio() <= limit,
            Limit::NanosAboveFloor(limit) => cost.above_floor() <= limit,
            Limit::Nanos(limit) | Limit::Bytes(limit) => cost.value <= limit,
            Limit::Clock => cost.above_floor().abs() <= f64::max(1e6, 0.02 * cost.floor),
            Limit::Stated => true,
        };
        let excess = |limit| cost.allocs.is_some_and(|allocs| allocs > limit);
        within && !self.allocs.is_some_and(excess)
    }

    /// Whether the target is met, in a word.
    pub(super) fn verdict(&self, cost: &Cost) -> &'static str {
        match self.limit {
            _ if !self.is_met_by(cost) => "MISSED",
            Limit::Stated => "no target",
            _ => "met",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Limit::TimesFloor(limit) => write!(f, "at most {limit:.2} times the floor")?,
            Limit::NanosAboveFloor(limit) => write!(f, "at most {limit} ns above the floor")?,
            Limit::Nanos(limit) => write!(f, "at most {limit} ns")?,
            Limit::Bytes(limit) => write!(f, "at most {limit} bytes")?,
            Limit::Clock => write!(f, "within 1 ms or 2 % of the floor")?,
            Limit::Stated => write!(f, "stated beside its floor")?,
        }
        match self.allocs {
            Some(0.0) => write!(f, ", no allocation"),
            Some(limit) => write!(f, ", at most {limit} allocations"),
            None => Ok(()),
        }
    }
}
