//! How large a change has to be to count, however certain it is.

use std::{fmt, str::FromStr};

use super::slo::duration;
use crate::units;

/// The least change that counts: as a share of the baseline's median, and as a time. It has to be as
/// large as both; where they are zero, every change counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MinChange {
    pub(crate) percent: f64,
    pub(crate) milliseconds: f64,
}

/// What a person does not notice, and what a slow phase may vary by from one day to the next.
pub(crate) const DEFAULT: &str = "5%,1ms";

impl MinChange {
    /// Whether a phase with this median has changed by as much.
    pub(crate) fn is_reached(&self, by: f64, median: f64) -> bool {
        by.abs() >= self.milliseconds && by.abs() * 100.0 >= self.percent * median
    }
}

impl FromStr for MinChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut percent, mut milliseconds) = (None, None);
        for part in text.split(',').map(str::trim) {
            let (found, amount) = match part.strip_suffix('%') {
                // A change of nothing is larger than none.
                None if part == "0" => (&mut milliseconds, Some(0.0)),
                None => (&mut milliseconds, units::parse_time(part, f64::NAN)),
                Some(number) => (&mut percent, number.trim_end().parse().ok()),
            };
            let amount = amount.filter(|amount: &f64| *amount >= 0.0 && amount.is_finite());
            let amount = amount.ok_or_else(|| {
                format!("{part:?} is no change; write it as 5%, 2ms, both (5%,2ms) or 0")
            })?;
            if found.replace(amount).is_some() {
                return Err("give one percentage and one time at most".to_owned());
            }
        }
        Ok(Self {
            percent: percent.unwrap_or_default(),
            milliseconds: milliseconds.unwrap_or_default(),
        })
    }
}

/// `5% and 1.00ms`.
impl fmt::Display for MinChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.percent;
        let time = units::time(duration(self.milliseconds));
        match (percent > 0.0, self.milliseconds > 0.0) {
            (true, true) => write!(f, "{percent}% and {time}"),
            (true, false) => write!(f, "{percent}%"),
            (false, _) => f.write_str(&time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MinChange {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_is_a_percentage_or_a_time_or_both() {
        let change = |percent, milliseconds| MinChange { percent, milliseconds };
        assert_eq!(parse("5%"), change(5.0, 0.0));
        assert_eq!(parse("2ms"), change(0.0, 2.0));
        assert_eq!(parse("1.5s, 12.5 %"), change(12.5, 1_500.0));
        assert_eq!(parse("0"), change(0.0, 0.0));
        assert_eq!(parse("0%"), change(0.0, 0.0));
        assert_eq!(parse(DEFAULT), change(5.0, 1.0));
        for nonsense in
            ["", "5", "%", "ms", "-5%", "-2ms", "nan%", "inf%", "5%,", "1ms,2ms", "1%,2%"]
        {
            assert!(nonsense.parse::<MinChange>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn it_is_reached_when_both_are() {
        let both = parse("5%,1ms");
        assert!(both.is_reached(1.0, 20.0) && both.is_reached(-1.0, 20.0));
        assert!(!both.is_reached(1.0, 20.1), "less than 5 %");
        assert!(!both.is_reached(0.05, 0.1), "half as much again, and nobody sees it");
        assert!(parse("5%").is_reached(0.05, 0.1) && parse("0").is_reached(0.001, 1e6));
        assert!(parse("5%").is_reached(1.0, 0.0));
    }

    #[test]
    fn it_is_said_as_it_is_meant() {
        let shown = ["7%,1ms", "2.5%", "80us", "0"].map(|text| parse(text).to_string());
        assert_eq!(shown, ["7% and 1.00ms", "2.5%", "80.0µs", "0µs"]);
    }
}
