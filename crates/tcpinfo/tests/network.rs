//! A path with delay, loss and reordering between two network namespaces, made by the test itself:
//! what the kernel counts is held against what the relay in the middle saw pass.
//!
//! The process gives up its part in the host's network before it begins, so nothing here can touch
//! it, and all that is made ends with the process.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
#[path = "network"]
mod paths {
    mod ledger;
    mod namespace;
    mod relay;
    mod scenarios;

    use libtest_mimic::Trial;

    /// Call it before any thread is started.
    pub(super) fn trials() -> Vec<Trial> {
        let missing = namespace::leave_host().and_then(|()| relay::Path::try_once()).err();
        if let Some(missing) = &missing {
            eprintln!("every test is ignored: {missing}");
        }
        let test = |(name, test): (&str, fn())| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
            .with_ignored_flag(missing.is_some())
        };
        scenarios::ALL.iter().copied().map(test).collect()
    }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    let trials = paths::trials();
    #[cfg(not(target_os = "linux"))]
    let trials = Vec::new();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
