//! The kernels: what each is called, where it comes from and what it must be able to do.

use std::fmt::Write as _;

use super::build::Target;

pub(super) struct Kernel {
    pub(super) name: &'static str,
    pub(super) target: Target,
    pub(super) place: Place,
    /// Tests that this kernel has everything for, so that leaving one out is a failure.
    pub(super) must_run: &'static [&'static str],
}

/// Where a kernel runs and what it is made from.
pub(super) enum Place {
    /// The running one.
    Host,
    /// User-mode Linux of a Debian release, on this machine's own files, which it cannot change.
    UserMode { suite: &'static str },
    /// A whole machine. The package is the one that always depends on the release's newest kernel.
    Machine { suite: &'static str, package: &'static str },
}

const SS: &str = "fields_of_a_connection_equal_those_of_ss";
const MPTCP: &str = "multipath_tcp_is_seen_at_both_ends";
const MPTCP_END: &str = "the_end_of_multipath_tcp_is_no_unread_byte";
const FALLBACK: &str = "a_fallback_from_multipath_tcp_is_plain_tcp";
const BBR: &str = "bbr_tells_its_bandwidth_and_gains";
const DCTCP: &str = "dctcp_tells_the_share_of_marked_bytes";
const VEGAS: &str = "vegas_tells_its_round_trip_times";

/// User-mode Linux is built without Multipath TCP, and this machine may have no `ss`.
const IN_USER_MODE: &[&str] = &[BBR, DCTCP, VEGAS];
const ON_A_MACHINE: &[&str] = &[SS, MPTCP, MPTCP_END, FALLBACK, BBR, DCTCP, VEGAS];
/// Debian's 5.10 is built without Multipath TCP too.
const ON_AN_OLD_MACHINE: &[&str] = &[SS, BBR, DCTCP, VEGAS];

pub(super) const KERNELS: &[Kernel] = &[
    Kernel { name: "i686-host", target: Target::I686, place: Place::Host, must_run: &[] },
    user_mode("uml-5.10", "bullseye"),
    user_mode("uml-6.1", "bookworm"),
    user_mode("uml-6.12", "trixie"),
    user_mode("uml-7", "sid"),
    Kernel {
        must_run: ON_AN_OLD_MACHINE,
        ..machine("x86_64-5.10", Target::X86, "bullseye", "linux-image-cloud-amd64")
    },
    // With Multipath TCP, but before 6.10 without the question whether a socket speaks it.
    machine("x86_64-6.1", Target::X86, "bookworm", "linux-image-cloud-amd64"),
    machine("x86_64-6.12", Target::X86, "trixie", "linux-image-cloud-amd64"),
    machine("x86_64-7", Target::X86, "sid", "linux-image-cloud-amd64"),
    machine("aarch64-6.1", Target::Aarch64, "bookworm", "linux-image-cloud-arm64"),
    // Big-endian, before and after the last word of the structure was cut into bit fields.
    machine("s390x-6.1", Target::S390x, "bookworm", "linux-image-s390x"),
    machine("s390x-7", Target::S390x, "sid", "linux-image-s390x"),
];

const fn user_mode(name: &'static str, suite: &'static str) -> Kernel {
    let place = Place::UserMode { suite };
    Kernel { name, target: Target::Native, place, must_run: IN_USER_MODE }
}

const fn machine(
    name: &'static str,
    target: Target,
    suite: &'static str,
    package: &'static str,
) -> Kernel {
    let place = Place::Machine { suite, package };
    Kernel { name, target, place, must_run: ON_A_MACHINE }
}

pub(super) fn table() -> String {
    let mut table = String::new();
    for kernel in KERNELS {
        let place = match &kernel.place {
            Place::Host => "the running kernel, programs of 32 bits".to_owned(),
            Place::UserMode { suite } => format!("user-mode Linux of Debian {suite}"),
            Place::Machine { suite, package } => {
                format!("emulated machine, {package} of Debian {suite}")
            }
        };
        let _ = writeln!(table, "{:12} {place}", kernel.name);
    }
    table
}

pub(super) fn help() -> String {
    let mut help = "Kernels:\n".to_owned();
    for line in table().lines() {
        let _ = writeln!(help, "  {line}");
    }
    help.push_str("\nExit code: 1 if a test failed or a kernel did not end well, otherwise 0.");
    help
}

/// A name in full stands for itself alone: 6.1 is not the beginning of 6.12.
pub(super) fn is_wanted(kernel: &Kernel, names: &[String]) -> bool {
    let in_full = |name: &str| KERNELS.iter().any(|kernel| kernel.name == name);
    names.is_empty()
        || names.iter().any(|name| {
            kernel.name == name || !in_full(name) && kernel.name.starts_with(name.as_str())
        })
}

pub(super) fn known_prefix(prefix: &str) -> Result<String, String> {
    if KERNELS.iter().any(|kernel| kernel.name.starts_with(prefix)) {
        return Ok(prefix.to_owned());
    }
    let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    Err(format!("no such kernel; there are {}", names.join(", ")))
}
