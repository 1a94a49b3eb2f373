//! Several runs for a person: statistics, the run in the middle, objectives, and what has changed.

use std::fmt::Write as _;

use super::{
    View,
    pretty::{ABSENT, DOT, flow, fold},
    style::{BAD, FAINT, GOOD, STRONG, paint},
    waterfall,
};
use crate::{
    cli::version_line,
    escape,
    keep::Use,
    repeat::{
        Findings, Series,
        baseline::{Change, Comparison, Verdict},
        metric::Metric,
        slo::{self, amount},
        statistics::Summary,
    },
    units,
};

/// The whole report of a series.
pub(crate) fn series(series: &Series, view: &View) -> String {
    let sections = [heading(series, view), table(series, view), median_run(series, view)];
    let mut text = if view.verbose { version_line() } else { String::new() };
    text.push_str(
        &sections.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"),
    );
    text.push_str(&findings(&series.findings, view));
    text
}

fn heading(series: &Series, view: &View) -> String {
    let line = format!("{} {}", series.method, escape::text(&series.url));
    let mut text = format!("{}\n", paint(STRONG, fold(&line, 0, view)));
    let made = series.runs.len();
    let how = match series.keeps_connections {
        true => "over kept connections",
        false => "over fresh connections",
    };
    let mut facts = vec![("", format!("{made} of {} runs {how}", series.asked))];
    let uses = |wanted| series.runs.iter().filter(|run| run.line_use == Some(wanted)).count();
    if series.keeps_connections {
        facts.push(("", format!("{} reused", uses(Use::Reused))));
        let replaced = uses(Use::Replaced);
        if replaced > 0 {
            facts.push(("", format!("{replaced} times closed by the server")));
        }
    }
    facts.push(("", format!("{} succeeded", series.successes().count())));
    text.push_str(&flow(facts, DOT, view));
    for (kind, count, first) in series.failures_by_kind() {
        let line =
            format!("{count} failed ({}): {}", kind.name(), escape::text(&first.to_string()));
        let _ = writeln!(text, "{}", paint(BAD, fold(&line, 0, view)));
    }
    text
}

fn table(series: &Series, view: &View) -> String {
    let successes = series.successes().count();
    let rows: Vec<_> = Metric::all()
        .filter(|metric| view.verbose || !metric.is_fact() || BRIEF.contains(&metric.name()))
        .filter_map(|metric| Some((metric, series.summary(metric)?)))
        .collect();
    let summaries = || rows.iter().map(|(_, summary)| summary);
    let mut columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| match column.title {
            "runs" => summaries().any(|summary| summary.count != successes),
            _ => summaries().any(|summary| (column.number)(summary).is_some()),
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = rows.iter().map(|(metric, _)| metric.title().len());
    let name_width = names.max().unwrap_or_default().max(LEAST_NAME_WIDTH);
    // Where there is no room, the least telling columns go first.
    for title in ["runs", "p90", "min", "p99", "max"] {
        if name_width + columns.len() * COLUMN_WIDTH > view.width {
            columns.retain(|column| column.title != title);
        }
    }

    let mut text = String::new();
    let heading = |text: &mut String, title: &str| {
        let titles: String =
            columns.iter().map(|column| format!("{:>COLUMN_WIDTH$}", column.title)).collect();
        let _ = writeln!(text, "{}", paint(STRONG, format_args!("{title:name_width$}{titles}")));
    };
    let mut group = None;
    for (metric, summary) in rows {
        let title = match () {
            () if metric.is_mark() => "From the start to",
            () if metric.is_fact() => "Socket at the end",
            () => "Phase",
        };
        // The total is the last of the marks.
        if metric != Metric::TOTAL && group != Some(title) {
            heading(&mut text, title);
            group = Some(title);
        }
        let label = format!("{:name_width$}", metric.title());
        let cells: String = columns
            .iter()
            .map(|column| {
                let value = (column.number)(&summary);
                let cell = match column.title {
                    "runs" => units::count(summary.count as u64),
                    _ => value.map_or_else(
                        || ABSENT.to_owned(),
                        |value| amount(value, metric.dimension()),
                    ),
                };
                format!("{cell:>COLUMN_WIDTH$}")
            })
            .collect();
        let _ = match metric {
            Metric::TOTAL => writeln!(text, "{}", paint(STRONG, format_args!("{label}{cells}"))),
            _ => writeln!(text, "{}{cells}", paint(FAINT, label)),
        };
    }
    text
}

struct Column {
    title: &'static str,
    number: fn(&Summary) -> Option<f64>,
}

const COLUMNS: [Column; 6] = [
    Column { title: "min", number: |summary| Some(summary.min) },
    Column { title: "median", number: |summary| Some(summary.median) },
    Column { title: "p90", number: |summary| summary.p90 },
    Column { title: "p99", number: |summary| summary.p99 },
    Column { title: "max", number: |summary| Some(summary.max) },
    Column { title: "runs", number: |summary| Some(summary.count as f64) },
];

/// Shown of the kernel's numbers without --verbose.
const BRIEF: [&str; 6] =
    ["rtt", "rtt_var", "min_rtt", "tx_cwnd_segs", "delivery_rate", "retransmitted_segs"];

fn median_run(series: &Series, view: &View) -> String {
    let Some(run) = series.median_run().filter(|_| series.successes().count() > 1) else {
        return String::new();
    };
    let title = format!("Run {}, the one in the middle", run.number);
    let mut text = format!("{}\n", paint(STRONG, title));
    for (number, timeline) in (1..).zip(&run.timelines) {
        if run.timelines.len() > 1 {
            let _ = writeln!(text, "{}", paint(FAINT, format_args!("request {number}")));
        }
        if let Some(total) = timeline.total() {
            text.push_str(&waterfall::draw(&timeline.spans(), total, None, &[], view.width));
        }
    }
    text
}

/// Objectives and comparison, after a line that sets them apart; empty without either.
pub(crate) fn findings(findings: &Findings, view: &View) -> String {
    let mut text = String::new();
    if let Some(slo) = &findings.slo {
        text.push_str(&objectives(slo));
    }
    if let Some(found) = &findings.comparison {
        text.push_str(&comparison(found, view));
    }
    text
}

fn objectives(slo: &slo::Outcome) -> String {
    let mut text = format!("\n{}\n", paint(STRONG, "Objectives"));
    for checked in &slo.checked {
        let (style, word) = match checked.result {
            slo::Result::Kept { .. } => (GOOD, "kept"),
            slo::Result::Violated { .. } => (BAD, "violated"),
            slo::Result::NotMeasured => (FAINT, "skipped"),
        };
        let _ = writeln!(text, "{} {checked}", paint(style, format_args!("{word:8}")));
    }
    text
}

fn comparison(found: &Comparison, view: &View) -> String {
    let mut text = String::from("\n");
    let title = "Since baseline";
    let wide = view.width >= WIDE;
    let middle = if wide {
        format!(" {:>8} {:>17} {:>7}", "shift", "95 % interval", "p")
    } else {
        String::new()
    };
    let heading = format!("{title:LEAST_NAME_WIDTH$} {:>7} {:>7}{middle}", "before", "now");
    let _ = writeln!(text, "{}", paint(STRONG, heading));
    for change in &found.changes {
        let _ = writeln!(text, "{}", comparison_line(change, wide));
    }
    if let Some(url) = &found.other_url {
        let line = format!("the baseline is of {}", escape::text(url));
        let _ = writeln!(text, "{}", paint(FAINT, fold(&line, 0, view)));
    }
    if let Some(kept) = found.other_keeping {
        let line = match kept {
            true => "the baseline kept its connection, which these runs did not (--keep-alive)",
            false => "the baseline made a connection for each run, which these did not",
        };
        let _ = writeln!(text, "{}", paint(BAD, fold(line, 0, view)));
    }
    let line = match found.runs_needed() {
        Some(needed) => {
            format!("not enough runs to tell: {needed} in the baseline and now would do")
        }
        None => "Mann-Whitney U, two-sided, at 5 % over all phases (Holm); shift: Hodges-Lehmann"
            .to_owned(),
    };
    let _ = writeln!(text, "{}", paint(FAINT, fold(&line, 0, view)));
    if found.runs_needed().is_none() {
        let line = format!("slower or faster: by at least {} (--min-change)", found.min_change);
        let _ = writeln!(text, "{}", paint(FAINT, fold(&line, 0, view)));
    }
    text
}

fn comparison_line(change: &Change, wide: bool) -> String {
    let show = |value: f64| amount(value, change.metric.dimension());
    let time = |value: Option<f64>| value.map_or_else(|| ABSENT.to_owned(), show);
    let (before, now) = (time(change.earlier.median), time(change.later.median));
    let label = paint(FAINT, format_args!("{:LEAST_NAME_WIDTH$}", change.metric.title()));
    let mut line = format!("{label} {before:>7} {now:>7}");
    let signed = |value: f64| {
        let sign = if value < 0.0 { "-" } else { "+" };
        format!("{sign}{}", show(value.abs()))
    };
    if let (Verdict::Tested { shift, p }, true) = (&change.verdict, wide) {
        let interval = shift.interval.map_or_else(
            || ABSENT.to_owned(),
            |(low, high)| format!("{}…{}", signed(low), signed(high)),
        );
        let p = if *p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") };
        let _ = write!(line, " {:>8} {interval:>17} {p:>7}", signed(shift.by));
    }
    let (style, word) = match change.verdict {
        _ if change.is_slower() => (BAD, "slower"),
        _ if change.is_faster() => (GOOD, "faster"),
        _ if change.is_small() => (FAINT, "small"),
        Verdict::Tested { .. } => (FAINT, "same"),
        Verdict::NotEnough { .. } => (FAINT, "?"),
        Verdict::OneSided if change.later.count == 0 => (FAINT, "gone"),
        Verdict::OneSided => (FAINT, "new"),
    };
    let _ = write!(line, " {}", paint(style, word));
    line
}

/// As in the waterfall.
const LEAST_NAME_WIDTH: usize = 17;
const COLUMN_WIDTH: usize = 10;
const WIDE: usize = 75;
