//! `cargo xtask miri`: the tests of the decoders under Miri, also as a big-endian machine.

use std::process::ExitCode;

use crate::tools::{need_nightly, nightly, skipped, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Random cases for each property; Miri is some thousand times slower than the machine
    #[arg(long, default_value_t = 1)]
    cases: u32,
}

/// Of the two byte orders; no linker or library of the second is needed.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "s390x-unknown-linux-gnu"];

/// Tests that ask no system for anything.
const TESTS: [&str; 5] = ["decode", "layout", "portable", "warnings", "json"];

/// What takes Miri minutes: a property that makes random text, of which `cargo xtask fuzz portable` asserts
/// the same, and texts as long as a filter may be.
const TOO_SLOW: [&str; 2] =
    ["packing_loses_nothing", "a_hostile_text_is_refused_before_it_costs_anything"];

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Err(why) = need_nightly(&["miri", "rust-src"]) {
        return skipped(&why);
    }
    let mut all_passed = true;
    for target in TARGETS {
        let mut miri = nightly("cargo");
        miri.args(["miri", "test", "-p", "tcpinfo", "-p", "sockdiag", "--all-features"]);
        miri.args(["--target", target, "--lib"]);
        for test in TESTS {
            miri.args(["--test", test]);
        }
        miri.args(["--no-fail-fast", "--"]);
        for test in TOO_SLOW {
            miri.args(["--skip", test]);
        }
        // Properties look for failures of earlier runs beside their source.
        miri.env("PROPTEST_CASES", args.cases.to_string())
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env("CARGO_TARGET_DIR", target_dir("miri"));
        println!(
            "{target}, {} random cases for each property, without {}",
            args.cases,
            TOO_SLOW.join(", ")
        );
        match miri.status() {
            Ok(status) => all_passed &= status.success(),
            Err(error) => {
                eprintln!("cargo miri: {error}");
                all_passed = false;
            }
        }
    }
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
