//! The `httpstat` command: one HTTP request, phase by phase, with the socket underneath.

#![forbid(unsafe_code)]

mod cli;
mod demo;
mod dial;
mod error;
mod escape;
mod exchange;
mod failure;
mod frames;
mod hop;
mod memory;
mod output;
mod payload;
mod print;
mod redirect;
mod request;
mod run;
mod sink;
mod socket;
mod stamp;
mod stop;
mod target;
mod timeline;
mod tls;
mod units;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(cli::Cli::from_process())
}
