//! Times, as all options take them.

use std::time::Duration;

/// A number with a unit, or of seconds without.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let wrong = || format!("{text:?} is not a time such as 500ms, 10s, 5min or 1h");
    let seconds: f64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit.trim_start() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds * scale).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_or_are_seconds() {
        for (text, millis) in
            [("0", 0), ("500ms", 500), ("2", 2_000), ("1.5 s", 1_500), ("2min", 120_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for nonsense in
            ["", "s", "-1", "1d", "1e9s", "..", "1s1s", "99999999999999999999h", "nan", "inf"]
        {
            assert!(time(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
