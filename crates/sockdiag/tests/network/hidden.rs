//! Processes that `/proc` does not show.

use std::{io, num::NonZeroUsize, path::Path};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use sockdiag::{Cgroups, ErrorKind, Filter, Gaps, Namespace, Owners, SockDiag};

use super::scene::with_proc;

pub(crate) const ALL: &[(&str, fn())] = &[
    ("processes_that_are_hidden_are_a_gap", hidden),
    ("who_may_see_all_is_told_of_no_gap", seen),
    ("a_proc_that_is_none_is_an_error", none),
    ("a_process_that_is_hidden_is_not_said_to_be_none", namespace_of_hidden),
];

/// Makes this thread somebody of this user and group, who may do no more than that.
fn become_somebody(user: libc::c_long, group: libc::c_long, may: CapabilitySet) {
    // SAFETY: nothing is read of an empty list.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) }, 0);
    // SAFETY: numbers only; without the C library's help it is of this thread alone.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresgid, group, group, group) }, 0);
    rustix::thread::set_keep_capabilities(true).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) }, 0);
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: may, permitted: may, inheritable }).unwrap();
}

const NOBODY: libc::c_long = 65_534;

/// Also of several threads; and whether the first process is shown to them.
fn gaps() -> (Gaps, bool) {
    let gaps = Owners::scan().unwrap().gaps();
    let of_two = Owners::scan_on(NonZeroUsize::new(2).unwrap()).unwrap().gaps();
    assert_eq!((gaps.hidden, gaps.outside), (of_two.hidden, of_two.outside));
    (gaps, Path::new("/proc/1").exists())
}

fn hidden() {
    for options in [c"hidepid=2", c"hidepid=2,gid=7", c"hidepid=4", c"hidepid=4,gid=9"] {
        let (gaps, is_shown) = with_proc(c"proc", options, || {
            become_somebody(NOBODY, 9, CapabilitySet::empty());
            gaps()
        });
        assert!(!is_shown, "{options:?}");
        assert!(gaps.hidden && gaps.may_hold(), "{options:?}: {gaps:?}");
        assert!(gaps.to_string().contains("hidepid"), "{gaps}");
    }
}

fn seen() {
    let all = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    let nothing = CapabilitySet::empty();
    for (options, group, may) in [
        (c"hidepid=2", 9, all),
        (c"hidepid=4", 9, all),
        (c"hidepid=2", 0, nothing),
        (c"hidepid=2,gid=9", 9, nothing),
        (c"hidepid=1", 9, nothing),
        (c"hidepid=0", 9, nothing),
    ] {
        let (gaps, is_shown) = with_proc(c"proc", options, || {
            become_somebody(NOBODY, group, may);
            gaps()
        });
        // A machine may guard its first process even from these capabilities.
        assert!(is_shown || may == all, "{options:?}");
        assert_eq!(gaps.hidden, !is_shown, "{options:?} {group}: {gaps:?}");
        // What is shown can be counted.
        assert!(may == all || gaps.not_permitted > 0, "{options:?} {group}: {gaps:?}");
    }
}

fn none() {
    let error = with_proc(c"tmpfs", c"", || Owners::scan().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/proc is not mounted"), "{error}");

    let own = Namespace::of_process(std::process::id());
    let error = with_proc(c"tmpfs", c"", || SockDiag::open_in(&own).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NoNamespace);
    assert!(error.to_string().contains("/proc, which is not mounted"), "{error}");

    let error = with_proc(c"tmpfs", c"", || "cgroup = /".parse::<Filter>().unwrap_err());
    assert!(error.to_string().contains("/proc, which tells where"), "{error}");
    let error = with_proc(c"tmpfs", c"", || Cgroups::scan().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/proc, which tells where"), "{error}");
}

fn namespace_of_hidden() {
    let error = with_proc(c"proc", c"hidepid=2", || {
        become_somebody(NOBODY, 9, CapabilitySet::empty());
        SockDiag::open_in(&Namespace::of_process(1)).unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::NoNamespace);
    assert!(error.to_string().contains("/proc hides it (hidepid"), "{error}");
}
