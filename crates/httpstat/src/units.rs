//! Numbers as people read them.

use std::time::Duration;

/// A time in the unit that suits it, with three significant digits: `412µs`, `3.41ms`, `1.204s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 999.5e-6 => (s * 1e6, "µs"),
        s if s < 999.5e-3 => (s * 1e3, "ms"),
        s if s < 9.999_5 => return format!("{s:.3}s"),
        s => (s, "s"),
    };
    match value {
        0.0 => format!("0{unit}"),
        v if v < 9.995 => format!("{v:.2}{unit}"),
        v if v < 99.95 => format!("{v:.1}{unit}"),
        v => format!("{v:.0}{unit}"),
    }
}

/// A time as options take it, in milliseconds: a number and `ns`, `us`, `ms` or `s`. Without a unit it
/// is in the one that the option names, which is `unit` milliseconds long.
pub(crate) fn parse_time(text: &str, unit: f64) -> Option<f64> {
    let units = [("ns", 1e-6), ("us", 1e-3), ("µs", 1e-3), ("μs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let known = units.iter().find_map(|(name, length)| Some((text.strip_suffix(name)?, *length)));
    let (number, length) = known.unwrap_or((text, unit));
    let number: f64 = number.trim_end().parse().ok()?;
    Some(number * length).filter(|time| time.is_finite())
}

/// A round time without needless digits, for a ruler: `20ms`, `1.5s`.
pub(crate) fn tick(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match nanos {
        0.0 => return "0".to_owned(),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{value}{unit}")
}

/// A whole number in groups of three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes with its unit.
pub(crate) fn bytes(number: u64) -> String {
    format!("{} B", count(number))
}

/// Bytes a second, in powers of a thousand.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A number of bytes in few characters, in powers of a thousand.
pub(crate) fn size(bytes: f64) -> String {
    let (value, unit) = match bytes {
        b if b < 999.5 => return format!("{b:.0} B"),
        b if b < 999.5e3 => (b / 1e3, "kB"),
        b if b < 999.5e6 => (b / 1e6, "MB"),
        b => (b / 1e9, "GB"),
    };
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits_across_the_units() {
        let cases = [
            (0, "0µs"),
            (740, "0.74µs"),
            (7_400, "7.40µs"),
            (412_300, "412µs"),
            (999_499, "999µs"),
            (999_500, "1.00ms"),
            (3_414_000, "3.41ms"),
            (9_996_000, "10.0ms"),
            (40_900_000, "40.9ms"),
            (999_600_000, "1.000s"),
            (1_204_000_000, "1.204s"),
            (12_340_000_000, "12.3s"),
            (600_000_000_000, "600s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(time(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn a_time_has_a_unit_or_that_of_its_option() {
        let cases = [
            ("1.5s", Some(1_500.0)),
            ("20ms", Some(20.0)),
            ("20 ms", Some(20.0)),
            ("500us", Some(0.5)),
            ("500µs", Some(0.5)),
            ("250000ns", Some(0.25)),
            ("3", Some(3_000.0)),
            ("0.25", Some(250.0)),
            ("-1ms", Some(-1.0)),
            ("", None),
            ("s", None),
            ("ms", None),
            ("1m", None),
            ("1h", None),
            ("1msms", None),
            ("nans", None),
            ("infs", None),
            ("1e400", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text, 1e3), expected, "{text}");
        }
        assert_eq!(parse_time("3", 1.0), Some(3.0));
    }

    #[test]
    fn ticks_are_short() {
        let texts = [0, 500_000, 20_000_000, 1_500_000_000].map(|n| tick(Duration::from_nanos(n)));
        assert_eq!(texts, ["0", "500µs", "20ms", "1.5s"]);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_048_576].map(count), ["0", "999", "1,000", "1,048,576"]);
    }

    #[test]
    fn rates_have_a_fitting_unit() {
        let texts = [0.0, 512.0, 13_100_000.0, 2.5e9].map(rate);
        assert_eq!(texts, ["0 B/s", "512 B/s", "13.1 MB/s", "2.50 GB/s"]);
    }
}
