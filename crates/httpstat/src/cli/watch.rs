//! The options about the socket over time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{sink::is_stdout, units};

/// How the socket is watched, and where its course is drawn.
#[derive(Debug, Args)]
#[command(next_help_heading = "The socket over time")]
pub(crate) struct WatchArgs {
    /// Ask the kernel about the socket this often while the request lasts, as 10, 10ms or 0.5s; 0 or
    /// "off": only when it is connected, after TLS, at the first byte and at the end
    ///
    /// At most 2047 samples are kept: when there are more, every second one goes, but for those at
    /// which something was retransmitted or the congestion window fell, and the interval doubles.
    #[arg(long, value_name = "MILLISECONDS", default_value = "10", value_parser = interval)]
    sample_interval: Interval,

    /// Draw the samples under the phases, on the same axis; with JSON, list them
    ///
    /// Each row has the range of a number and its course from the least to the most. Of several
    /// readings in one column the worst is shown: the longest round trip, the smallest window.
    #[arg(long)]
    pub(crate) timeline: bool,

    /// Write the whole result as a web page that needs nothing else
    ///
    /// The file appears when it is complete, and also if the request failed. If it cannot be written,
    /// nothing is requested. Of several requests (-n) it shows the last.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub(crate) html: Option<PathBuf>,

    /// Write phases and samples as a picture
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval(Option<Duration>);

impl WatchArgs {
    /// The time between samples; absent if none shall be taken.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.sample_interval.0
    }

    /// The files that show the result.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = &Path> {
        [&self.html, &self.svg].into_iter().filter_map(Option::as_deref)
    }
}

/// The standard output has the report.
fn file(text: &str) -> Result<PathBuf, &'static str> {
    match Path::new(text) {
        path if text.is_empty() || is_stdout(path) => {
            Err("must name a file, because the standard output has the report")
        }
        path => Ok(path.to_owned()),
    }
}

fn interval(text: &str) -> Result<Interval, &'static str> {
    if ["0", "off"].contains(&text) {
        return Ok(Interval(None));
    }
    let milliseconds = units::parse_time(text, 1.0)
        .ok_or("neither \"off\" nor a time; write it as 10 (milliseconds), 10ms or 0.5s")?;
    let interval = Duration::try_from_secs_f64(milliseconds / 1e3).map_err(|_| "out of range")?;
    match interval {
        interval if interval < SHORTEST => Err("must be at least 1ms, or 0 for none"),
        interval if interval > LONGEST => Err("must be at most a day"),
        interval => Ok(Interval(Some(interval))),
    }
}

/// The event loop's clock knows nothing shorter.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_milliseconds_or_none() {
        let milliseconds = |number| Ok(Interval(Some(Duration::from_millis(number))));
        assert_eq!(interval("10"), milliseconds(10));
        assert_eq!(interval("1"), milliseconds(1));
        assert_eq!(interval("1500"), milliseconds(1500));
        assert_eq!(interval("2.5"), Ok(Interval(Some(Duration::from_micros(2_500)))));
        assert_eq!(interval("1ms"), milliseconds(1));
        assert_eq!(interval("1.5s"), milliseconds(1500));
        assert_eq!(interval("2500us"), interval("2.5"));
        assert_eq!(interval("0"), Ok(Interval(None)));
        assert_eq!(interval("off"), Ok(Interval(None)));
        for text in ["", "-1", "nan", "inf", "0.5", "1e300", "fast", "1e12", "500us", "1m", "2days"]
        {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
