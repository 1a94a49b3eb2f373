//! Sockets in every state that a descriptor can reach, each fact beside an independent reading: the
//! numbers that the test itself moved, other socket options and ioctls, `/proc/net/tcp`, `ss`, and
//! a clock of our own.
//!
//! Without privileges on a stock kernel: what has to be lost on loopback is dropped by a filter on
//! the socket that should not hear it.

use std::process::ExitCode;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod states {
    mod clocks;
    mod leftovers;
    mod proc;
    mod raw;
    mod readings;
    mod scenes;
    mod ss;
    mod sweep;

    use libtest_mimic::Trial;

    pub(super) fn trials() -> Vec<Trial> {
        let (has_ss, can_deafen) = (ss::is_there(), raw::can_deafen());
        if !has_ss {
            eprintln!("comparisons with ss are ignored: it is not installed");
        }
        if !can_deafen {
            eprintln!(
                "tests with losses are ignored: this user may not attach a filter to a socket"
            );
        }
        let in_scenes = scenes::all().flat_map(|(name, make)| {
            let possible = can_deafen || !scenes::needs_deafness(name);
            [
                trial(&format!("facts_when_{name}"), move || readings::check(make))
                    .with_ignored_flag(!possible),
                trial(&format!("answers_when_{name}"), move || sweep::ask_in(make))
                    .with_ignored_flag(!possible),
                trial(&format!("ss_agrees_when_{name}"), move || ss::check(make))
                    .with_ignored_flag(!possible || !has_ss),
            ]
        });
        in_scenes
            .chain(clocks::trials(can_deafen))
            .chain(leftovers::trials(can_deafen))
            .chain(sweep::trials())
            .collect()
    }

    fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    }
}

fn main() -> ExitCode {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let trials = states::trials();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let trials = Vec::new();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
