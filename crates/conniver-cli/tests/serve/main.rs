//! `conniver serve` with clients of all kinds: a real Prometheus, honest ones, and hostile ones.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod churn;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod hostile;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod metrics;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod pages;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod prometheus;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod server;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod unit;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    metrics::add_to(&mut trials);
    churn::add_to(&mut trials);
    hostile::add_to(&mut trials);
    pages::add_to(&mut trials);
    prometheus::add_to(&mut trials);
    unit::add_to(&mut trials);
    trials
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn trials() -> Vec<Trial> {
    vec![Trial::test("it_is_said_that_there_is_nothing_to_serve", || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_conniver"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .output()?;
        if output.status.code() != Some(1) || output.stderr.is_empty() {
            return Err(format!("{output:?}").into());
        }
        Ok(())
    })]
}
