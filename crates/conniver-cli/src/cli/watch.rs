use std::time::Duration;

use clap::Args;

use super::{Color, SelectArgs, time::time};

/// The part of the help.
const SHOWN: &str = "What is shown";

/// The arguments of `watch`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,

    /// Look this often, such as 500ms or 5min; without a unit in seconds
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

fn interval(text: &str) -> Result<Duration, String> {
    match time(text)? {
        interval if interval < SHORTEST => Err("must be at least 100ms".to_owned()),
        interval if interval > LONGEST => Err("must be at most a day".to_owned()),
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
    fn an_interval_is_neither_too_short_nor_too_long() {
        for (text, millis) in [("1", 1_000), ("100ms", 100), ("0.5", 500), ("2min", 120_000)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "99ms", "-1", "often", "86401", "25h"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
