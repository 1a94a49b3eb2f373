//! Numbers as a filter's text has them, and as they are shown again.

use std::fmt;

use super::fact::FilterUnit;

/// A whole number as C writes it: decimal, `0x` hexadecimal, `0` octal.
pub(super) fn whole(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match hex {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // The standard library would take a sign.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { u64::from_str_radix(digits, radix).ok() } else { None }
}

/// Whether it would be a whole number, if there were more than 64 bits.
pub(super) fn is_too_long(text: &str) -> bool {
    let hex = ["0x", "0X", "sk:"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    let (digits, radix) = hex.map_or((text, 10), |digits| (digits, 16));
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_number && u64::from_str_radix(digits, radix).is_err()
}

/// Suffixes and how many of the smallest unit each is.
type Scale = &'static [(&'static str, u64)];

/// From the largest to the smallest, as a number is shown.
const TIMES: Scale = &[
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

const RATES: Scale = &[
    ("Gbps", 1_000_000_000),
    ("Mbps", 1_000_000),
    ("kbps", 1_000),
    ("bps", 1),
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("kB/s", 8_000),
    ("B/s", 8),
];

const POWERS: Scale = &[
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
    ("K", 1_000),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
];

impl FilterUnit {
    fn scale(self) -> Scale {
        match self {
            Self::Time => TIMES,
            Self::Rate => RATES,
            Self::Bytes | Self::Count => POWERS,
            Self::Number | Self::Flag | Self::Text => &[],
        }
    }

    /// Reads a number of this unit: nanoseconds, bits a second, or what it counts.
    pub(super) fn parse(self, text: &str) -> Option<u64> {
        match self {
            Self::Number => whole(text),
            Self::Flag => match text {
                "1" | "yes" | "true" => Some(1),
                "0" | "no" | "false" => Some(0),
                _ => None,
            },
            Self::Text => None,
            _ if text == "0" => Some(0),
            _ => {
                let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
                let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
                let suffix = match self {
                    Self::Bytes => suffix.strip_suffix('B').unwrap_or(suffix),
                    _ => suffix,
                };
                let (_, factor) = self.scale().iter().find(|(name, _)| *name == suffix)?;
                scaled(number, *factor)
            }
        }
    }

    /// What a text is expected to be.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Time => "a time with a unit, such as 100ms",
            Self::Rate => "a rate with a unit, such as 10Mbps or 1.2MB/s",
            Self::Bytes => "a number of bytes, such as 1500, 64k or 1.5Mi",
            Self::Count => "a number, such as 10 or 2k",
            Self::Number => "a whole number, such as 1000 or 0x3e8",
            Self::Flag => "yes or no",
            Self::Text => "a name",
        }
    }
}

/// A decimal fraction times a factor, if that is a whole number.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let shift = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let whole = whole.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    let part = fraction.checked_mul(u128::from(factor))?;
    if part % shift != 0 {
        return None;
    }
    u64::try_from(whole.checked_add(part / shift)?).ok()
}

/// A number of a unit, as it can be read again.
pub(super) struct Shown(pub(super) u64, pub(super) FilterUnit);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, unit) = *self;
        let fitting = |(_, factor): &&(&str, u64)| number != 0 && number % factor == 0;
        match unit.scale().iter().find(fitting) {
            Some((suffix, factor)) => write!(f, "{}{suffix}", number / factor),
            None if unit == FilterUnit::Flag => f.write_str(if number == 0 { "no" } else { "yes" }),
            None => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_c_reads_them() {
        for (text, number) in [("0", 0), ("443", 443), ("0x1bb", 443), ("0XFF", 255), ("010", 8)] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["", "-1", "+1", "0x", "0x+1", "08", "1 ", "1_0", "99999999999999999999", "ff"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_unit_exactly() {
        use FilterUnit::{Bytes, Count, Flag, Rate, Time};
        for (unit, text, number) in [
            (Time, "100ms", 100_000_000),
            (Time, "1.5s", 1_500_000_000),
            (Time, "0.25us", 250),
            (Time, "3µs", 3_000),
            (Time, "2min", 120_000_000_000),
            (Time, "0", 0),
            (Rate, "10Mbps", 10_000_000),
            (Rate, "1.2MB/s", 9_600_000),
            (Rate, "3B/s", 24),
            (Bytes, "1500", 1500),
            (Bytes, "1M", 1_000_000),
            (Bytes, "64KiB", 65_536),
            (Bytes, "1.5Mi", 1_572_864),
            (Bytes, "7B", 7),
            (Count, "2k", 2_000),
            (Flag, "yes", 1),
        ] {
            assert_eq!(unit.parse(text), Some(number), "{text}");
            assert_eq!(unit.parse(&Shown(number, unit).to_string()), Some(number), "{text}");
        }
        for (unit, text) in [
            (Time, "100"),
            (Time, "1.5ns"),
            (Time, "ms"),
            (Time, ".5s"),
            (Time, "1.s"),
            (Time, "1..5s"),
            (Time, "-1s"),
            (Time, "99999999999h"),
            (Rate, "10"),
            (Rate, "10M"),
            (Bytes, "0.5"),
            (Bytes, "1X"),
            (Count, "7B"),
            (Count, "1.0000000000000000000000000000000000000000000000000001k"),
            (Flag, "2"),
        ] {
            assert_eq!(unit.parse(text), None, "{text}");
        }
    }
}
