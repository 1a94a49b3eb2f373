//! Networks of one's own are Linux's.

use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {}

#[derive(clap::Args)]
pub(crate) struct HoldArgs {}

pub(crate) fn run(_: &Args) -> ExitCode {
    eprintln!("a population can be made on Linux only");
    ExitCode::from(2)
}

pub(crate) fn hold(_: &HoldArgs) -> ExitCode {
    run(&Args {})
}
