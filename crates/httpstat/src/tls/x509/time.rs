//! Points in time as certificates hold them.

use std::fmt;

use super::der::{Element, GENERALIZED_TIME, UTC_TIME};

/// A second of the years 0 to 9999, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

impl Time {
    /// RFC 5280, section 4.1.2.5: to the second, and `Z`.
    pub(super) fn of(element: Element<'_>) -> Option<Self> {
        let text = element.content.strip_suffix(b"Z")?;
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let pair = |position: usize| {
            let digits = text.get(position..position + 2)?;
            digits.iter().try_fold(0, |sum, digit| Some(sum * 10 + i64::from(digit - b'0')))
        };
        let (year, rest) = match (element.tag, text.len()) {
            (UTC_TIME, 12) => {
                let year = pair(0)?;
                (year + if year < 50 { 2000 } else { 1900 }, 2)
            }
            (GENERALIZED_TIME, 14) => (pair(0)? * 100 + pair(2)?, 4),
            _ => return None,
        };
        let [month, day, hour, minute, second] =
            [pair(rest)?, pair(rest + 2)?, pair(rest + 4)?, pair(rest + 6)?, pair(rest + 8)?];
        let is_time = hour < 24 && minute < 60 && second < 60;
        let is_day = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
        let second = hour * 3_600 + minute * 60 + second;
        (is_day && is_time).then_some(Self { year, month, day, second })
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> i64 {
        // The year begins in March here, so that a leap day is its last.
        let year = self.year - i64::from(self.month < 3);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let era = year.div_euclid(400);
        let year = year.rem_euclid(400);
        let day = era * DAYS_OF_ERA + year * 365 + year / 4 - year / 100 + day_of_year;
        (day - DAYS_TO_1970) * DAY + self.second
    }

    /// The day alone.
    pub(crate) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// As RFC 3339 writes it.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.second / 3_600, self.second / 60 % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{:02}Z", self.date(), self.second % 60)
    }
}

fn days(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;
/// Days of the 400 years after which the calendar repeats.
const DAYS_OF_ERA: i64 = 146_097;
/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<(i64, String)> {
        let time = Time::of(Element { tag, content: text.as_bytes() })?;
        Some((time.unix(), time.to_string()))
    }

    #[test]
    fn seconds_are_those_that_date_tells() {
        let cases = [
            (UTC_TIME, "700101000000Z", 0, "1970-01-01T00:00:00Z"),
            (UTC_TIME, "491231235959Z", 2_524_607_999, "2049-12-31T23:59:59Z"),
            (UTC_TIME, "500101000000Z", -631_152_000, "1950-01-01T00:00:00Z"),
            (UTC_TIME, "240229120000Z", 1_709_208_000, "2024-02-29T12:00:00Z"),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000, "2050-01-01T00:00:00Z"),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799, "9999-12-31T23:59:59Z"),
            (GENERALIZED_TIME, "00000101000000Z", -62_167_219_200, "0000-01-01T00:00:00Z"),
        ];
        for (tag, text, unix, shown) in cases {
            assert_eq!(time(tag, text), Some((unix, shown.to_owned())), "{text}");
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut previous = time(GENERALIZED_TIME, "18991231000000Z").unwrap().0;
        for year in 1900..2110 {
            for month in 1..=12 {
                for day in 1..=days(year, month) {
                    let text = format!("{year}{month:02}{day:02}000000Z");
                    let unix = time(GENERALIZED_TIME, &text).unwrap().0;
                    assert_eq!(unix, previous + DAY, "{text}");
                    previous = unix;
                }
            }
        }
    }

    #[test]
    fn what_is_no_time_is_nothing() {
        let broken = [
            (UTC_TIME, ""),
            (UTC_TIME, "Z"),
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "700101000000"),
            (UTC_TIME, "700101000000+0000"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "700001000000Z"),
            (UTC_TIME, "700230000000Z"),
            (UTC_TIME, "230229000000Z"),
            (UTC_TIME, "700101240000Z"),
            (UTC_TIME, "700101000060Z"),
            (UTC_TIME, "7001-1000000Z"),
            (GENERALIZED_TIME, "19000229000000Z"),
            (GENERALIZED_TIME, "20500101000000.5Z"),
            (GENERALIZED_TIME, "120500101000000Z"),
            (0x0c, "700101000000Z"),
        ];
        for (tag, text) in broken {
            assert_eq!(time(tag, text), None, "{text}");
        }
    }
}
