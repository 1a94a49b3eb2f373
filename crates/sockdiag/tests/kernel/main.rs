//! Live connections: what netlink tells of them beside what their descriptors, `/proc` and `ss` tell.
//!
//! Without privileges, but for the tests that need a network of their own, an interface to bind to or
//! another of the machine's abilities. Where that is missing they are ignored, and it is said why.

use std::process::ExitCode;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod agreement;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod cgroups;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "../network/expected.rs"]
#[allow(dead_code, reason = "a moment is quiet or not compared here")]
mod expected;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod filters;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod identity;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod links;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod lists;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod owners;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod recordings;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod scene;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "../network/shown.rs"]
#[allow(dead_code, reason = "no recordings are compared here")]
mod shown;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod ss;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod states;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod texts;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn trials() -> Vec<libtest_mimic::Trial> {
    [
        agreement::tests(),
        cgroups::tests(),
        filters::tests(),
        identity::tests(),
        links::tests(),
        lists::tests(),
        owners::tests(),
        recordings::tests(),
        ss::tests(),
        states::tests(),
    ]
    .into_iter()
    .flatten()
    .map(|scene::Test { name, needs, run }| {
        if let Err(why) = needs {
            eprintln!("{name} is ignored: {why}");
        }
        let run = move || {
            run();
            Ok(())
        };
        libtest_mimic::Trial::test(name, run).with_ignored_flag(needs.is_err())
    })
    .collect()
}

/// There is nobody to ask, and that is what is said.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn trials() -> Vec<libtest_mimic::Trial> {
    let name = "other_systems_answer_that_they_cannot";
    vec![libtest_mimic::Trial::test(name, || {
        let error = sockdiag::SockDiag::open().unwrap_err();
        assert_eq!(error.kind(), sockdiag::ErrorKind::Unsupported);
        let lookup = sockdiag::Lookup::new(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let error = sockdiag::SharedSockDiag::new().lookup(&lookup).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1 -> 127.0.0.1:2"), "{error}");
        Ok(())
    })]
}

fn main() -> ExitCode {
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials()).exit_code()
}
