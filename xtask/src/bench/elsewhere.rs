//! Floors are system calls of Linux, so there is nothing to compare with elsewhere.

use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> ExitCode {
    eprintln!("the figures are measured on Linux only");
    ExitCode::from(2)
}
