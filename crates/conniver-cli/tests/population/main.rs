//! `conniver list` of thousands of sockets in every state, in a network of the test's own, beside `ss`.
//!
//! Where such a network may not be made, or `ss` is missing, the tests are ignored, and it is said why.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod everything;
#[cfg(target_os = "linux")]
mod interfaces;
#[cfg(target_os = "linux")]
mod keys;
#[cfg(target_os = "linux")]
#[path = "../life/network.rs"]
#[allow(dead_code, reason = "connections are made otherwise here")]
mod network;
#[cfg(target_os = "linux")]
#[path = "../../../sockdiag/tests/network/population.rs"]
mod population;
#[cfg(target_os = "linux")]
#[path = "../../../sockdiag/tests/network/shown.rs"]
mod shown;
#[cfg(target_os = "linux")]
#[path = "../conniver/tool.rs"]
mod tool;

#[cfg(target_os = "linux")]
fn trials() -> Vec<libtest_mimic::Trial> {
    let mut missing = network::leave_host().err();
    if !shown::has_ss() {
        missing.get_or_insert("ss is missing".to_owned());
    }
    if let Some(missing) = &missing {
        eprintln!("every test is ignored: {missing}");
    }
    let trial = |(name, test): (&str, fn())| {
        let run = move || {
            network::in_network(test);
            Ok(())
        };
        libtest_mimic::Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let thousands = "ss_prints_nothing_of_thousands_of_sockets_that_is_not_listed";
    [(thousands, everything::beside_ss as fn())]
        .into_iter()
        .chain(interfaces::ALL.iter().copied())
        .map(trial)
        .collect()
}

/// There is nothing to list.
#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<libtest_mimic::Trial> {
    Vec::new()
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = population::hold_if_asked() {
        return code;
    }
    // Before there is a second thread.
    let trials = trials();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
