//! Ends of connections, and other namespaces, in networks of the test's own.
//!
//! The process gives up its part in the host's network before it begins, where it may, so that nothing
//! here touches it; all that is made ends with the process. Where that is not allowed the tests are
//! ignored, and it is said why.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod cgroups;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod everything;
#[cfg(target_os = "linux")]
mod expected;
#[cfg(target_os = "linux")]
mod hidden;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod population;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
mod shown;
#[cfg(target_os = "linux")]
mod signatures;
#[cfg(target_os = "linux")]
#[path = "../kernel/texts.rs"]
mod texts;

#[cfg(target_os = "linux")]
fn trials() -> Vec<libtest_mimic::Trial> {
    let is_root = scene::is_root();
    let missing = scene::leave_host().err();
    if let Some(missing) = &missing {
        eprintln!("every test is ignored: {missing}");
    }
    let has_ss = shown::has_ss();
    if !has_ss {
        eprintln!("what compares thousands of sockets is ignored: ss is missing");
    }
    if !is_root {
        eprintln!("what needs another /proc is ignored: only root may mount one");
    }
    let unsigned = missing.is_none().then(signatures::possible).and_then(Result::err);
    if let Some(unsigned) = &unsigned {
        eprintln!("what signs segments is ignored: {unsigned}");
    }
    let ungrouped = missing.is_none().then(cgroups::possible).and_then(Result::err);
    if let Some(ungrouped) = &ungrouped {
        eprintln!("what makes cgroups is ignored: {ungrouped}");
    }
    let trial = |possible: bool| {
        move |(name, test): &(&str, fn())| {
            let test = *test;
            let run = move || {
                test();
                Ok(())
            };
            libtest_mimic::Trial::test(*name, run).with_ignored_flag(!possible)
        }
    };
    let beside_ss = everything::ALL.iter().map(trial(missing.is_none() && has_ss));
    let others = [churn::ALL, namespaces::ALL].concat();
    let others = others.iter().map(trial(missing.is_none()));
    let hidden = hidden::ALL.iter().map(trial(missing.is_none() && is_root));
    let signed = signatures::ALL.iter().map(trial(missing.is_none() && unsigned.is_none()));
    let grouped = cgroups::ALL.iter().map(trial(missing.is_none() && ungrouped.is_none()));
    let others = others.chain(grouped);
    beside_ss.chain(others).chain(hidden).chain(signed).collect()
}

#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<libtest_mimic::Trial> {
    let name = "other_systems_answer_that_they_cannot";
    vec![libtest_mimic::Trial::test(name, || {
        let own = sockdiag::Namespace::of_process(std::process::id());
        for error in [
            sockdiag::Events::open().unwrap_err(),
            sockdiag::Events::open_in(&own).unwrap_err(),
            sockdiag::SockDiag::open_in(&own).unwrap_err(),
        ] {
            assert_eq!(error.kind(), sockdiag::ErrorKind::Unsupported, "{error}");
        }
        Ok(())
    })]
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = population::hold_if_asked().or_else(cgroups::look_if_asked) {
        return code;
    }
    // Before there is a second thread.
    let trials = trials();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
