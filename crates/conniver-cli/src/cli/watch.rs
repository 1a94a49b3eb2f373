use std::time::Duration;

use clap::Args;

use super::{Color, SelectArgs};

/// The part of the help.
const SHOWN: &str = "What is shown";

/// The arguments of `watch`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Look this often: in seconds, or with a unit such as 500ms
    #[arg(
        help_heading = SHOWN, short = 'n', long, value_name = "TIME", default_value = "1s",
        value_parser = interval,
    )]
    pub(crate) interval: Duration,

    /// Show the programs that hold each socket
    #[arg(help_heading = SHOWN, short, long)]
    pub(crate) process: bool,

    /// The columns of the table; "help" lists them
    ///
    /// A "+" in front adds to those that are shown anyway.
    #[arg(help_heading = SHOWN, short, long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,

    /// Order by a column; with "-" in front the largest first
    #[arg(
        help_heading = SHOWN, long, value_name = "[-]COLUMN", default_value = "-rate",
        allow_hyphen_values = true,
    )]
    pub(crate) sort: String,

    /// When to use colours
    #[arg(help_heading = SHOWN, long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let number: f64 =
        number.parse().map_err(|_| "not a number of seconds, such as 2, 0.5 or 500ms")?;
    let interval = Duration::try_from_secs_f64(number * scale).map_err(|_| "out of range")?;
    match interval {
        interval if interval < SHORTEST => Err("must be at least 100ms"),
        interval if interval > LONGEST => Err("must be at most a day"),
        interval => Ok(interval),
    }
}

/// Nobody reads faster.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_seconds_unless_it_says_otherwise() {
        let milliseconds = |number| Ok(Duration::from_millis(number));
        assert_eq!(interval("1"), milliseconds(1_000));
        assert_eq!(interval("1s"), milliseconds(1_000));
        assert_eq!(interval("0.5"), milliseconds(500));
        assert_eq!(interval("250ms"), milliseconds(250));
        for text in ["", "s", "ms", "0", "99ms", "-1", "nan", "inf", "1e300", "often", "86401"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
