//! `cargo xtask kernels`: the tests of `tcpinfo` and `sockdiag` on kernels and architectures other than
//! this one.
//!
//! Each kernel really runs: this machine's own for programs of 32 bits, user-mode Linux as a
//! process, and whole machines emulated by qemu. Emulating only the programs (`qemu-user`) would
//! not do, as it answers `TCP_INFO` itself, and wrongly.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

mod archive;
mod build;
mod command;
mod debian;
mod emulator;
mod list;
mod modules;
mod outcome;
mod report;

use build::Program;
use command::Workspace;
use list::{KERNELS, Kernel};
use outcome::Outcome;

/// Run the tests of tcpinfo and sockdiag on other kernels and other architectures
///
/// Kernels and tools are Debian packages, fetched with apt into target/kernels and kept there: the
/// first run needs a network, later ones do not. Remove that directory to fetch newer kernels.
/// Programs that are missing (qemu, a cross compiler) are installed with apt by root. What cannot
/// be had is said to be skipped, with the reason, and never counts as passed.
#[derive(clap::Args)]
#[command(after_help = list::help())]
pub(crate) struct Args {
    /// Only this kernel, or those whose names begin so
    #[arg(value_parser = list::known_prefix)]
    name: Vec<String>,

    /// Print the kernels there are, and run nothing
    #[arg(long)]
    list: bool,

    /// Seconds that one kernel may take, from its start to its end
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_limit: u64,
}

/// Why there is no outcome.
#[derive(Clone)]
pub(crate) enum Trouble {
    /// Something is not to be had here.
    Skipped(String),
    /// Something went wrong.
    Failed(String),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.list {
        print!("{}", list::table());
        return ExitCode::SUCCESS;
    }
    let workspace = match Workspace::find() {
        Ok(workspace) => workspace,
        Err(Trouble::Skipped(why) | Trouble::Failed(why)) => {
            eprintln!("kernels: {why}");
            return ExitCode::FAILURE;
        }
    };
    let time_limit = Duration::from_secs(args.time_limit);
    let mut built = BTreeMap::new();
    let mut rows = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| list::is_wanted(kernel, &args.name)) {
        // Kernels that run the same programs share them.
        let programs = built
            .entry(kernel.target)
            .or_insert_with(|| build::programs(&workspace, kernel.target));
        let result = programs.clone().and_then(|programs| {
            let result = try_kernel(&workspace, kernel, &programs, time_limit);
            result.inspect(|outcome| report::print(kernel, outcome))
        });
        if let Err(trouble) = &result {
            report::print_trouble(kernel, trouble);
        }
        rows.push((kernel, result));
    }
    report::print_summary(&rows);
    let bad = |result: &Result<Outcome, Trouble>| match result {
        Ok(outcome) => !outcome.is_good(),
        Err(Trouble::Skipped(_)) => false,
        Err(Trouble::Failed(_)) => true,
    };
    ExitCode::from(u8::from(rows.iter().any(|(_, result)| bad(result))))
}

fn try_kernel(
    workspace: &Workspace,
    kernel: &Kernel,
    programs: &[Program],
    time_limit: Duration,
) -> Result<Outcome, Trouble> {
    let trial = emulator::prepare(workspace, kernel, programs)?;
    Ok(Outcome::parse(kernel, programs, &trial.run(time_limit)?))
}
