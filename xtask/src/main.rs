//! The project's own chores: `cargo xtask --help`.

#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg_attr(not(target_os = "linux"), path = "bench/elsewhere.rs")]
mod bench;
mod cross;
mod fuzz;
mod headers;
#[cfg_attr(not(target_os = "linux"), path = "kernels/elsewhere.rs")]
mod kernels;
mod loom;
mod miri;
#[cfg_attr(not(target_os = "linux"), path = "population/elsewhere.rs")]
mod population;
mod schema;
mod tools;
mod wine;

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
    Bench(bench::Args),
    /// Print every field of every system: unit, meaning, and the portable facts it feeds
    Schema(schema::Args),
    /// Check types and lints for other systems, without their machines
    Cross(cross::Args),
    /// Run the Windows build of the libraries' tests under Wine
    Wine(wine::Args),
    Kernels(kernels::Args),
    /// Try what must hold of the decoders for any bytes
    Fuzz(fuzz::Args),
    /// Compare where each field lies with the C headers of its system
    Headers(headers::Args),
    /// Try what threads share in conniver in every order of their steps
    Loom(loom::Args),
    /// Run a program beside many connections, in a network of their own
    Population(population::Args),
    #[command(hide = true)]
    PopulationHold(population::HoldArgs),
    /// Run the decoders' tests under Miri, also as a big-endian machine
    Miri(miri::Args),
}

fn main() -> ExitCode {
    match Cli::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Schema(args) => schema::run(&args),
        Chore::Cross(args) => cross::run(&args),
        Chore::Wine(args) => wine::run(&args),
        Chore::Kernels(args) => kernels::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Headers(args) => headers::run(&args),
        Chore::Loom(args) => loom::run(&args),
        Chore::Population(args) => population::run(&args),
        Chore::PopulationHold(args) => population::hold(&args),
        Chore::Miri(args) => miri::run(&args),
    }
}
