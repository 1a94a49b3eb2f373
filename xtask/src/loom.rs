//! `cargo xtask loom`: what threads share in `conniver`, in every order of their steps.

use std::process::{Command, ExitCode};

use crate::tools::{printed, root, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often a thread is stopped for another one where it could go on; each more takes several
    /// times as long
    #[arg(long, default_value_t = 4)]
    preemptions: u8,
}

/// Unit tests in modules of this name are models: no other test can do without real locks.
const MODELS: &str = "models::";

pub(crate) fn run(args: &Args) -> ExitCode {
    let found = printed(models(args).arg("--list"))
        .map(|list| list.lines().filter(|line| line.ends_with(": test")).count());
    match found {
        Ok(0) => eprintln!("loom: no test of conniver is in a module `{MODELS}`"),
        Ok(count) => {
            println!("{count} models, at most {} preemptions in each run", args.preemptions);
            match models(args).status() {
                Ok(status) if status.success() => return ExitCode::SUCCESS,
                Ok(status) => eprintln!("loom: a model failed ({status})"),
                Err(error) => eprintln!("loom: cargo test: {error}"),
            }
        }
        Err(why) => eprintln!("loom: the models of conniver were not built: {why}"),
    }
    ExitCode::FAILURE
}

fn models(args: &Args) -> Command {
    let mut test = Command::new("cargo");
    test.args(["test", "--quiet", "-p", "conniver", "--lib", "--", MODELS])
        .current_dir(root())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "--cfg conniver_loom")
        .env("LOOM_MAX_PREEMPTIONS", args.preemptions.to_string())
        .env("CARGO_TARGET_DIR", target_dir("loom"));
    test
}
