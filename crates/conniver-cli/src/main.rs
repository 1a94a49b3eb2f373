//! The `conniver` command: every TCP connection of a machine, with what its kernel knows of it.

#![forbid(unsafe_code)]

mod cli;
mod error;
mod escape;
mod list;
mod lookup;
mod output;
mod run;
mod schema;
mod source;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(cli::Cli::from_process())
}
