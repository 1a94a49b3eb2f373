//! Programs that hold sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    num::NonZero,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sockdiag::{Gaps, Owner, Owners};

use crate::{
    error::{Error, reason},
    json::put_text,
    text::{Put as _, PutText as _},
};

/// All programs, and which sockets they hold.
#[derive(Debug)]
pub(crate) struct Processes {
    owners: Owners,
    /// Containers by the number of the process, looked for when one is to be shown.
    containers: OnceLock<BTreeMap<u32, String>>,
    /// A socket was to be shown that some program holds, and none of those that were looked into.
    has_missed: AtomicBool,
}

impl Processes {
    /// Looks through all processes.
    pub(crate) fn scan() -> Result<Self, Error> {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let owners = Owners::scan_on(threads).map_err(|error| Error::failure(reason(&error)))?;
        Ok(Self { owners, containers: OnceLock::new(), has_missed: AtomicBool::new(false) })
    }

    /// The programs that hold the socket of this inode.
    pub(crate) fn holders(&self, inode: Option<u32>) -> Holders<'_> {
        let holders = Holders { processes: self, inode };
        if inode.is_some() && holders.is_empty() {
            self.has_missed.store(true, Ordering::Relaxed);
        }
        holders
    }

    /// Why programs that hold sockets were not found, if there were any.
    pub(crate) fn missed(&self) -> Option<String> {
        let is_missing = self.has_missed.load(Ordering::Relaxed) && self.owners.gaps().may_hold();
        is_missing.then(|| format!("not every socket's process is known: {}", self.owners.gaps()))
    }

    /// What could not be looked into.
    pub(crate) fn gaps(&self) -> Gaps {
        self.owners.gaps()
    }

    fn container(&self, pid: u32) -> Option<&str> {
        let containers = self.containers.get_or_init(|| {
            let processes = self.owners.processes().iter();
            let found = processes.filter_map(|process| {
                let cgroup = process.cgroup().ok()?;
                Some((process.pid(), cgroup.container()?.short_id().to_owned()))
            });
            found.collect()
        });
        containers.get(&pid).map(String::as_str)
    }
}

/// The programs that hold one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holders<'a> {
    processes: &'a Processes,
    inode: Option<u32>,
}

impl<'a> Holders<'a> {
    /// One for each descriptor, those of one process together.
    fn owners(self) -> impl Iterator<Item = Owner<'a>> {
        self.inode.into_iter().flat_map(move |inode| self.processes.owners.of(inode))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.owners().next().is_none()
    }

    pub(crate) fn first_pid(self) -> Option<u32> {
        self.owners().next().map(|owner| owner.process.pid())
    }

    /// Each process once.
    pub(crate) fn pids(self) -> Vec<u32> {
        let mut pids: Vec<_> = self.owners().map(|owner| owner.process.pid()).collect();
        pids.dedup();
        pids
    }

    pub(crate) fn first_command(self) -> Option<&'a str> {
        self.owners().next().map(|owner| owner.process.command())
    }

    pub(crate) fn first_container(self) -> Option<&'a str> {
        self.processes.container(self.first_pid()?)
    }

    /// As `name/123`, several with commas in between.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        let mut before = None;
        for owner in self.owners() {
            let pid = owner.process.pid();
            let Some(comma) = comma(before.replace(pid), pid) else { continue };
            out.put(comma);
            put_name(owner, out);
        }
    }

    /// The descriptors of the first, with commas in between.
    pub(crate) fn put_descriptors(self, out: &mut Vec<u8>) {
        let pid = self.first_pid();
        let own = self.owners().take_while(|owner| Some(owner.process.pid()) == pid);
        for (place, owner) in own.enumerate() {
            out.put(if place > 0 { "," } else { "" });
            out.put_number(u64::from(owner.descriptor));
        }
    }

    /// As `name/123(fd=4,fd=5)`, several with commas in between.
    pub(crate) fn put_with_descriptors(self, out: &mut Vec<u8>) {
        let mut before = None;
        for owner in self.owners() {
            let pid = owner.process.pid();
            match comma(before.replace(pid), pid) {
                Some(comma) => {
                    if !comma.is_empty() {
                        out.push(b')');
                    }
                    out.put(comma);
                    put_name(owner, out);
                    out.put("(fd=");
                }
                None => out.put(",fd="),
            }
            out.put_number(u64::from(owner.descriptor));
        }
        if before.is_some() {
            out.push(b')');
        }
    }

    /// As an array of objects.
    pub(crate) fn put_json(self, out: &mut Vec<u8>) {
        let mut before = None;
        out.push(b'[');
        for owner in self.owners() {
            let pid = owner.process.pid();
            let descriptor = u64::from(owner.descriptor);
            let Some(comma) = comma(before.replace(pid), pid) else {
                // One more of the same process.
                out.truncate(out.len() - b"]}".len());
                out.push(b',');
                out.put_number(descriptor);
                out.put("]}");
                continue;
            };
            out.put(comma);
            out.put("{\"pid\":");
            out.put_number(u64::from(pid));
            out.put(",\"parent\":");
            out.put_number(u64::from(owner.process.parent()));
            out.put(",\"command\":");
            put_text(owner.process.command(), out);
            if let Some(container) = self.processes.container(pid) {
                out.put(",\"container\":");
                put_text(container, out);
            }
            out.put(",\"descriptors\":[");
            out.put_number(descriptor);
            out.put("]}");
        }
        out.push(b']');
    }
}

/// As `name/123`.
fn put_name(owner: Owner<'_>, out: &mut Vec<u8>) {
    out.put_escaped(owner.process.command());
    out.push(b'/');
    out.put_number(u64::from(owner.process.pid()));
}

/// What comes before a process, if it is another than the one before.
fn comma(before: Option<u32>, pid: u32) -> Option<&'static str> {
    match before {
        None => Some(""),
        Some(before) if before == pid => None,
        Some(_) => Some(","),
    }
}

/// The inodes of the sockets that a process holds.
pub(crate) fn inodes_of(pid: u32) -> Result<BTreeSet<u32>, Error> {
    let folder = format!("/proc/{pid}/fd");
    let failed = |error: &io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound if !Path::new("/proc/self").exists() => {
                "; /proc is not mounted, or is that of other processes (mount -t proc proc /proc)"
            }
            // Each PID namespace has a first process.
            io::ErrorKind::NotFound if fs::symlink_metadata("/proc/1").is_err() => {
                "; there is no such process, or /proc hides it (hidepid, ProtectProc) from who is \
                 neither root nor has CAP_SYS_PTRACE"
            }
            io::ErrorKind::NotFound => "; there is no such process",
            io::ErrorKind::PermissionDenied => "; only its user or the superuser may look into it",
            _ => "",
        };
        let what = format!("cannot find the sockets of process {pid} in {folder}");
        Error::failure(format!("{what}: {}{advice}", reason(error)))
    };
    let mut inodes = BTreeSet::new();
    for descriptor in fs::read_dir(&folder).map_err(|error| failed(&error))? {
        let path = descriptor.map_err(|error| failed(&error))?.path();
        // It may have been closed meanwhile.
        let Ok(target) = fs::read_link(path) else { continue };
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:["));
        inodes.extend(inode.and_then(|text| text.strip_suffix(']')?.parse::<u32>().ok()));
    }
    Ok(inodes)
}
