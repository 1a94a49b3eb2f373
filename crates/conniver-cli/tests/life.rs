//! `conniver life`, in a network of the test's own.
//!
//! The process gives up its part in the host's network before it begins, where it may, so that nobody
//! else's connections end there. Where that is not allowed the tests are ignored, and it is said why.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod life {
    pub(crate) mod churn;
    pub(crate) mod network;
    pub(crate) mod reasons;
    pub(crate) mod tool;
    pub(crate) mod words;
}

#[cfg(target_os = "linux")]
fn trials() -> Vec<libtest_mimic::Trial> {
    let missing = life::network::leave_host().err();
    if let Some(missing) = &missing {
        eprintln!("every test is ignored: {missing}");
    }
    let trial = |(name, test): (&str, fn())| {
        let run = move || {
            life::network::in_network(test);
            Ok(())
        };
        libtest_mimic::Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    [life::churn::ALL, life::reasons::ALL, life::words::ALL]
        .concat()
        .into_iter()
        .map(trial)
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<libtest_mimic::Trial> {
    let name = "other_systems_answer_that_they_cannot";
    vec![libtest_mimic::Trial::test(name, || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conniver"));
        let output = command.args(["life", "--duration", "1s"]).output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
        assert!(output.stderr.starts_with(b"conniver: "));
        Ok(())
    })]
}

fn main() -> ExitCode {
    // Before there is a second thread.
    let trials = trials();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
