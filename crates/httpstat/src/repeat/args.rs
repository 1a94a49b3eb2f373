//! The part of the command line that is about several runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    baseline::Baseline,
    min_change::{self, MinChange},
    slo::{Objective, Objectives},
};
use crate::{
    cli::{Cli, Format},
    error::Error,
    sink::is_stdout,
};

/// The options.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Repeat and compare")]
pub(crate) struct RepeatArgs {
    /// Make N requests, each over a fresh connection, and show their statistics
    ///
    /// A failed request does not end the series; the exit code is the one of the first failure. The
    /// 90th percentile is shown from 10 runs on, the 99th from 100 (nearest rank).
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,

    /// Keep the connection for the next request, if the server does
    #[arg(long)]
    pub(crate) keep_alive: bool,

    /// Wait between two requests, as 2, 1.5s or 500ms
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::seconds)]
    pub(crate) interval: Option<Duration>,

    /// Make N requests before those that count
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) warmup: u32,

    /// Save the result to FILE too, as JSON, or as --format says
    ///
    /// Not to the standard output, which has the report: --format prints it there.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,

    /// Compare with what --save has written, and say which phases changed beyond noise, by how much
    ///
    /// By a two-sided Mann-Whitney U test of every phase and the total, at a level of 0.05 over all
    /// of them together (Holm), with the Hodges-Lehmann shift and its 95 % interval. It takes runs
    /// that do not influence each other.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// End with exit code 9 if any phase is slower than the baseline
    ///
    /// Slower is what is slower beyond noise, and by at least what --min-change says.
    #[arg(long, requires = "baseline")]
    pub(crate) fail_if_slower: bool,

    /// How much slower or faster than the baseline a phase must be to count: a percentage, a time, or
    /// both
    ///
    /// As 5%, 2ms or 5%,2ms, which is at least 5 % of the baseline's median and at least 2 ms. With
    /// enough runs the smallest change is beyond noise, and nobody notices it; such a one is called
    /// small. With 0, every change beyond noise counts.
    #[arg(long, value_name = "CHANGE", requires = "baseline", default_value = min_change::DEFAULT)]
    min_change: MinChange,

    /// End with exit code 4 unless the limits in LIST are kept
    ///
    /// For example "total=500,ttfb=0.2s,retransmitted=0,rtt<50ms,p99.total=800": a phase, a cumulative
    /// mark or a number of the kernel, then =, <=, <, >= or > ("=" is at most)
    /// and a number, in milliseconds without a unit. Every run has to keep it, or with min., median.,
    /// max. or a percentile in front, that one of the series. What was not measured (tls of http) is
    /// reported and no violation.
    #[arg(long, value_name = "LIST")]
    slo: Vec<Objectives>,

    /// Write the result to FILE for a CI system, as JUnit XML; not to the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

impl RepeatArgs {
    /// Whether there is one run only, and nothing that it could share connections with.
    pub(crate) fn is_single(&self) -> bool {
        self.count == 1 && self.warmup == 0 && !self.keep_alive
    }

    /// Whether there will be statistics.
    pub(crate) fn is_series(&self) -> bool {
        self.count > 1
    }

    pub(crate) fn objectives(&self) -> Vec<Objective> {
        self.slo.iter().flat_map(|list| list.0.iter().copied()).collect()
    }

    /// What to compare with, which must allow a verdict if one is demanded.
    pub(crate) fn read_baseline(&self) -> Result<Option<Baseline>, Error> {
        let Some(path) = &self.baseline else { return Ok(None) };
        let baseline = Baseline { min_change: self.min_change, ..Baseline::read(path)? };
        if self.fail_if_slower {
            baseline.check_size(path, self.count)?;
        }
        Ok(Some(baseline))
    }

    /// What makes no sense together, although each alone does.
    pub(crate) fn contradiction(&self, cli: &Cli) -> Option<String> {
        if self.is_series() && (cli.output.is_some() || cli.remote_name) {
            return Some("of several requests (-n), no body can be kept".to_owned());
        }
        if let Some(option) = self.meets_the_report() {
            return Some(format!(
                "{option} names the standard output, which has the report or the body; name a file, \
                 or have the report itself in JSON with --format"
            ));
        }
        if let Some(path) = self.written_twice(cli) {
            return Some(format!(
                "two options write to {}; give each a file of its own",
                path.display()
            ));
        }
        if self.is_series() && cli.watch.timeline && cli.format != Format::Jsonl {
            let why = "of several requests (-n), --timeline is for --format jsonl; --html and --svg \
                       show the last";
            return Some(why.to_owned());
        }
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let objective = self.objectives().into_iter().find(|o| o.runs_needed() > count)?;
        let needed = objective.runs_needed();
        Some(format!("--slo {} takes at least {needed} runs (-n {needed})", objective.key()))
    }

    /// An option whose file would stand in the middle of what else is printed.
    fn meets_the_report(&self) -> Option<&'static str> {
        let named = [("--save", &self.save), ("--junit", &self.junit)];
        let mut meeting =
            named.into_iter().filter(|(_, path)| path.as_deref().is_some_and(is_stdout));
        meeting.next().map(|(option, _)| option)
    }

    /// A file of which only the last thing written would remain; devices take all.
    fn written_twice<'a>(&'a self, cli: &'a Cli) -> Option<&'a Path> {
        let paths = [&cli.output, &self.save, &self.junit, &cli.watch.html, &cli.watch.svg];
        let paths: Vec<_> = paths.into_iter().filter_map(Option::as_deref).collect();
        let is_twice = |path: &Path| paths.iter().filter(|other| **other == path).count() > 1;
        let is_file = |path: &Path| !is_stdout(path) && !path.starts_with("/dev");
        paths.iter().copied().find(|path| is_file(path) && is_twice(path))
    }
}
