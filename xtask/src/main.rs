//! The project's own chores: `cargo xtask --help`.

#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(target_os = "linux")]
mod bench;

/// The project's own chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Time what the libraries cost, each figure beside its floor
    #[cfg(target_os = "linux")]
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match Cli::parse().chore {
        #[cfg(target_os = "linux")]
        Chore::Bench(args) => bench::run(&args),
    }
}
