//! `cargo xtask bench`: what the libraries cost, each figure beside its floor in the same run.

use std::process::ExitCode;

mod bare;
mod beside;
mod cost;
mod counting_allocator;
mod figures;
mod output;
mod programs;
mod rusage;
mod sockets;
mod target;
mod timing;
mod tls;

use cost::Trouble;
use figures::FIGURES;
use output::Format;

#[derive(clap::Args)]
#[command(after_help = figures::help())]
pub(crate) struct Args {
    /// Only the figures whose name begins so
    #[arg(value_parser = known_prefix)]
    name: Option<String>,

    /// Only the figure whose name is exactly this
    #[arg(long, requires = "name")]
    exact: bool,

    /// Print one object a line, with the keys name, ns, floor_ns, ratio,
    /// quartiles and allocs
    #[arg(long)]
    json: bool,

    /// Exit with 1 if a figure misses its target or cannot be measured
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let format = if args.json { Format::Json } else { Format::Table };
    let prefix = args.name.as_deref().unwrap_or_default();
    let mut measured = Vec::new();
    let mut all_met = true;

    format.print_head();
    for figure in FIGURES {
        if !figure.name.starts_with(prefix) || args.exact && figure.name != prefix {
            continue;
        }
        match (figure.measure)() {
            Ok(cost) => {
                format.print_row(figure, &cost);
                all_met &= figure.target.is_met_by(&cost);
                measured.push((figure, cost));
            }
            Err(Trouble::Skipped(why)) => eprintln!("{}: skipped: {why}", figure.name),
            Err(Trouble::Failed(why)) => {
                all_met = false;
                eprintln!("{}: failed: {why}", figure.name);
            }
        }
    }
    for (figure, cost) in measured {
        eprintln!("{}: {}: {}", figure.name, figure.target.verdict(&cost), figure.target);
    }
    ExitCode::from(u8::from(args.check && !all_met))
}

fn known_prefix(prefix: &str) -> Result<String, String> {
    if FIGURES.iter().any(|figure| figure.name.starts_with(prefix)) {
        return Ok(prefix.to_owned());
    }
    let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
    Err(format!("no such figure; there are {}", names.join(", ")))
}
