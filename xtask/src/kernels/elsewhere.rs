//! Kernels are started with the tools of Linux, so there is nothing to run elsewhere.

use std::process::ExitCode;

/// Run the tests of tcpinfo on other kernels (on Linux only)
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> ExitCode {
    eprintln!("other kernels are tried on x86_64 Linux only");
    ExitCode::from(2)
}
