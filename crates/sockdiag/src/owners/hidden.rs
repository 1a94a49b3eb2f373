//! Whether `/proc` shows all processes that there are.

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, CWD, Mode, PROC_SUPER_MAGIC, fstat, fstatfs, major, minor, openat, readlinkat_raw,
        statat,
    },
    process::{getegid, getgroups},
    thread::{CapabilitySet, capabilities},
};

use super::{Gaps, Stat};
use crate::sys::{READ, READ_DIRECTORY};

/// The namespaces in which the machine began (`PROC_PID_INIT_INO`, `PROC_USER_INIT_INO`).
const FIRST_PIDS: &[u8] = b"pid:[4026531836]";
const FIRST_USERS: &[u8] = b"user:[4026531837]";

/// `/proc`, if that is what is there.
pub(super) fn open() -> io::Result<OwnedFd> {
    let failed = |os: io::Error, why: &str| {
        io::Error::new(os.kind(), format!("cannot look for the owners of sockets, for {why}"))
    };
    let proc = openat(CWD, c"/proc", READ_DIRECTORY, Mode::empty())
        .and_then(|proc| Ok((fstatfs(&proc)?.f_type == PROC_SUPER_MAGIC, proc)))
        .map_err(io::Error::from);
    match proc {
        Ok((true, proc)) => Ok(proc),
        Ok((false, _)) => Err(failed(
            io::ErrorKind::NotFound.into(),
            "/proc is not mounted (mount -t proc proc /proc)",
        )),
        Err(os) => {
            let why = format!("/proc cannot be read: {os}");
            Err(failed(os, &why))
        }
    }
}

/// What is not told by `/proc`, of which these are the processes that it shows.
pub(super) fn gaps(proc: BorrowedFd<'_>, pids: &[u32]) -> Gaps {
    // Each PID namespace has a first process, and ends with it.
    let hidden = !pids.contains(&1) || !may_see_all(proc);
    // Where the kernel's threads are hidden, that they are not seen says nothing of the namespace.
    let outside = !is_of_first_namespace(proc) && (!hidden || is_of_other_namespace(proc));
    Gaps { hidden, outside, ..Gaps::default() }
}

/// Whether nothing is held back from this thread, as `has_pid_permissions` of the kernel decides.
fn may_see_all(proc: BorrowedFd<'_>) -> bool {
    // Capabilities and groups count in the user namespace of who has them.
    let is_of_machine = namespace(proc, c"thread-self/ns/user", FIRST_USERS) != Some(false);
    if is_of_machine && has_capability() {
        return true;
    }
    match hiding(proc) {
        Hiding::Nothing => true,
        Hiding::ButFromGroup(group) => is_of_machine && is_in_group(group),
        Hiding::FromAll => false,
    }
}

fn has_capability() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}

fn is_in_group(group: u32) -> bool {
    getegid().as_raw() == group
        || getgroups().is_ok_and(|groups| groups.iter().any(|one| one.as_raw() == group))
}

/// Which processes a mounted `/proc` does not show, of those that may not be traced.
#[derive(Debug, PartialEq, Eq)]
enum Hiding {
    Nothing,
    ButFromGroup(u32),
    FromAll,
}

fn hiding(proc: BorrowedFd<'_>) -> Hiding {
    let mounts = read(proc, c"thread-self/mountinfo");
    let device = fstat(proc).map(|stat| (major(stat.st_dev), minor(stat.st_dev)));
    match (mounts, device) {
        (Some(mounts), Ok(device)) => Hiding::of(&mounts, device),
        // Of another PID namespace, by which it is known already that there is more.
        _ => Hiding::Nothing,
    }
}

impl Hiding {
    /// By the options of the file system, in lines of proc_pid_mountinfo(5).
    fn of(mounts: &[u8], (major, minor): (u32, u32)) -> Self {
        let device = format!("{major}:{minor}");
        let options = mounts.split(|byte| *byte == b'\n').find_map(|line| {
            let mut words = line.split(|byte| *byte == b' ');
            if words.nth(2)? != device.as_bytes() {
                return None;
            }
            // There are optional fields before the mark.
            words.find(|word| *word == b"-")?;
            words.nth(2)
        });
        let mut group = 0;
        let mut level: &[u8] = b"";
        for option in options.unwrap_or_default().split(|byte| *byte == b',') {
            if let Some(value) = option.strip_prefix(b"hidepid=") {
                level = value;
            } else if let Some(value) = option.strip_prefix(b"gid=") {
                group =
                    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            }
        }
        match level {
            // What may not be read is shown.
            b"" | b"0" | b"off" | b"1" | b"noaccess" => Self::Nothing,
            b"2" | b"invisible" => Self::ButFromGroup(group),
            // "ptraceable", for whoever it is; and what may come.
            _ => Self::FromAll,
        }
    }
}

/// Whether no process can be outside of the PID namespace that is shown: it is that of the machine.
fn is_of_first_namespace(proc: BorrowedFd<'_>) -> bool {
    // Whoever is in it can be shown no other.
    namespace(proc, c"thread-self/ns/pid", FIRST_PIDS) == Some(true) || has_kernel_threads(proc)
}

/// Whether it is certain that it is that of a container.
fn is_of_other_namespace(proc: BorrowedFd<'_>) -> bool {
    // This thread has no number there.
    if statat(proc, c"thread-self", AtFlags::empty()).is_err() {
        return true;
    }
    // This thread's number there, and in each namespace further in: of one it is the thread's own, which
    // is not the first.
    let status = read(proc, c"thread-self/status").unwrap_or_default();
    let mut lines = status.split(|byte| *byte == b'\n');
    let numbers = lines.find_map(|line| line.strip_prefix(b"NSpid:"));
    let count =
        |numbers: &[u8]| numbers.split(u8::is_ascii_whitespace).filter(|n| !n.is_empty()).count();
    numbers.is_some_and(|numbers| count(numbers) == 1)
}

/// They live in the first namespace alone, where the second process makes all others of them.
fn has_kernel_threads(proc: BorrowedFd<'_>) -> bool {
    let line = read(proc, c"2/stat").unwrap_or_default();
    Stat::parse(&line).is_some_and(|stat| stat.parent == 0 && stat.is_of_kernel())
}

/// Whether this thread is in that namespace; `None` if that cannot be seen.
fn namespace(proc: BorrowedFd<'_>, link: &CStr, wanted: &[u8]) -> Option<bool> {
    let mut buffer = [MaybeUninit::uninit(); 64];
    let (target, _) = readlinkat_raw(proc, link, &mut buffer).ok()?;
    Some(&*target == wanted)
}

fn read(proc: BorrowedFd<'_>, name: &CStr) -> Option<Vec<u8>> {
    let file = openat(proc, name, READ, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn the_options_of_a_mount_say_what_it_hides() {
        let told = |options: &str| {
            let text = format!(
                "27 1 254:0 / / rw - ext4 /dev/vda rw,hidepid=2\n\
                 22 27 0:21 / /proc rw,relatime shared:5 master:1 - proc proc {options}\n\
                 23 27 0:22 / /sys rw - sysfs sysfs rw,hidepid=2\n"
            );
            Hiding::of(text.as_bytes(), (0, 21))
        };
        for shown in
            ["rw", "rw,hidepid=0", "rw,hidepid=noaccess", "rw,gid=5,hidepid=1", "rw,subset=pid"]
        {
            assert_eq!(told(shown), Hiding::Nothing, "{shown}");
        }
        assert_eq!(told("rw,hidepid=2"), Hiding::ButFromGroup(0));
        assert_eq!(told("rw,gid=42,hidepid=invisible"), Hiding::ButFromGroup(42));
        assert_eq!(told("rw,gid=42,hidepid=ptraceable,subset=pid"), Hiding::FromAll);
        assert_eq!(told("rw,hidepid=4"), Hiding::FromAll);
        assert_eq!(Hiding::of(b"", (0, 21)), Hiding::Nothing);
        assert_eq!(Hiding::of(b"22 27 0:21 / /proc rw\n\n0:21", (0, 21)), Hiding::Nothing);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no openat")]
    fn the_kernel_says_in_which_namespace_this_is() {
        let proc = open().unwrap();
        let proc = proc.as_fd();
        let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
        let is_first = own.as_os_str() == "pid:[4026531836]";
        assert_eq!(namespace(proc, c"thread-self/ns/pid", FIRST_PIDS), Some(is_first));
        assert_eq!(namespace(proc, c"thread-self/ns/none", FIRST_PIDS), None);
        assert!(!is_first || is_of_first_namespace(proc));
    }
}
