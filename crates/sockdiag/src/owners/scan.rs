//! One pass over `/proc`: two system calls a process more than one a descriptor, and no allocation for
//! a descriptor but the place where it is noted.

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    num::NonZeroUsize,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::{
    fs::{Mode, OFlags, RawDir, openat, readlinkat_raw},
    io::Errno,
    path::DecInt,
};

use super::{Found, Gaps, Holder, Process, Stat, hidden};
use crate::sys::{DIRECTORY_BUFFER_LEN, READ, READ_DIRECTORY};

/// `socket:[` and ten digits and `]`; of what is longer, the beginning is enough.
const LINK_LEN: usize = 32;

pub(super) fn find(threads: NonZeroUsize) -> io::Result<Found> {
    let proc = hidden::open()?;
    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER_LEN];
    let mut pids = Vec::new();
    let mut entries = RawDir::new(&proc, &mut buffer);
    while let Some(entry) = entries.next() {
        pids.extend(number(entry?.file_name()));
    }
    drop(buffer);
    let gaps = hidden::gaps(proc.as_fd(), &pids);
    let next = AtomicUsize::new(0);
    let look = || Pass::new(proc.as_fd()).look_at(&pids, &next);
    if threads == NonZeroUsize::MIN {
        let found = look()?;
        return Ok(Found { gaps: found.gaps.and(gaps), ..found });
    }
    let parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get())
            .map(|_| std::thread::Builder::new().spawn_scoped(scope, look))
            .collect::<io::Result<_>>()?;
        let own = look()?;
        others.into_iter().try_fold(vec![own], |mut parts, other| {
            // A panic there would be one here.
            parts.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            Ok::<_, io::Error>(parts)
        })
    })?;
    Ok(joined(parts, gaps))
}

/// The parts as one, in the order of the processes' numbers.
fn joined(parts: Vec<Found>, mut gaps: Gaps) -> Found {
    let mut processes = Vec::new();
    let mut holders = Vec::new();
    for (part, found) in parts.into_iter().enumerate() {
        gaps = gaps.and(found.gaps);
        processes.extend(
            found.processes.into_iter().enumerate().map(|(place, process)| (process, part, place)),
        );
        holders.push(found.holders);
    }
    processes.sort_unstable_by_key(|(process, ..)| process.pid);
    let mut places: Vec<Vec<u32>> = holders.iter().map(|_| Vec::new()).collect();
    let mut numbered: Vec<_> =
        (0..).zip(&processes).map(|(new, (_, part, old))| (*part, *old, new)).collect();
    numbered.sort_unstable();
    for (part, _, new) in numbered {
        places.get_mut(part).into_iter().for_each(|places| places.push(new));
    }
    let moved = holders.into_iter().zip(&places).flat_map(|(holders, places)| {
        holders.into_iter().filter_map(|holder| {
            let process = *places.get(usize::try_from(holder.process).ok()?)?;
            Some(Holder { process, ..holder })
        })
    });
    let holders = moved.collect();
    Found { processes: processes.into_iter().map(|(process, ..)| process).collect(), holders, gaps }
}

struct Pass<'p> {
    proc: BorrowedFd<'p>,
    buffer: Vec<MaybeUninit<u8>>,
    found: Found,
}

/// Why a process was not looked into.
enum Failure {
    NotPermitted,
    Vanished,
    /// Ours, such as that no descriptor is left.
    Own(Errno),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM => Self::NotPermitted,
            Errno::NOENT | Errno::SRCH => Self::Vanished,
            other => Self::Own(other),
        }
    }
}

impl<'p> Pass<'p> {
    fn new(proc: BorrowedFd<'p>) -> Self {
        let buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER_LEN];
        Self { proc, buffer, found: Found::default() }
    }

    fn look_at(mut self, pids: &[u32], next: &AtomicUsize) -> io::Result<Found> {
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let holders = self.found.holders.len();
            let failure = match self.process(*pid) {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            // What is known of half a process is not told.
            self.found.holders.truncate(holders);
            match failure {
                Failure::NotPermitted => self.found.gaps.not_permitted += 1,
                Failure::Vanished => self.found.gaps.vanished += 1,
                Failure::Own(errno) => {
                    let os = io::Error::from(errno);
                    let text = format!("cannot look for the sockets of process {pid}: {os}");
                    return Err(io::Error::new(os.kind(), text));
                }
            }
        }
        Ok(self.found)
    }

    fn process(&mut self, pid: u32) -> Result<(), Failure> {
        let own = openat(
            self.proc,
            DecInt::new(pid),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let before = self.found.holders.len();
        match self.descriptors(&own) {
            Ok(()) => {}
            // It may be one that has none.
            Err(failure) => {
                let mut buffer = [0; STAT_LEN];
                return match read_stat(&own, &mut buffer) {
                    Some(stat) if stat.is_without_descriptors() => Ok(()),
                    _ => Err(failure),
                };
            }
        }
        if self.found.holders.len() > before {
            let mut buffer = [0; STAT_LEN];
            let stat = read_stat(&own, &mut buffer).ok_or(Failure::Vanished)?;
            self.found.processes.push(Process {
                pid,
                parent: stat.parent,
                command: String::from_utf8_lossy(stat.command).into(),
                started: stat.started,
            });
        }
        Ok(())
    }

    /// Notes the sockets among the descriptors of a process.
    fn descriptors(&mut self, own: &OwnedFd) -> Result<(), Failure> {
        let process = u32::try_from(self.found.processes.len()).unwrap_or(u32::MAX);
        let directory = openat(own, c"fd", READ_DIRECTORY, Mode::empty())?;
        let mut link = [MaybeUninit::uninit(); LINK_LEN];
        let mut entries = RawDir::new(&directory, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            let Some(descriptor) = number(name) else { continue };
            let target = match readlinkat_raw(&directory, name, &mut link) {
                Ok((target, _)) => target,
                // It was closed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if let Some(inode) = socket_inode(target) {
                self.found.holders.push(Holder { inode, process, descriptor });
            }
        }
        Ok(())
    }
}

/// The line of a process is half as long.
const STAT_LEN: usize = 1024;

fn read_stat<'b>(own: &OwnedFd, buffer: &'b mut [u8; STAT_LEN]) -> Option<Stat<'b>> {
    let file = openat(own, c"stat", READ, Mode::empty()).ok()?;
    let len = rustix::io::read(&file, &mut *buffer).ok()?;
    Stat::parse(buffer.get(..len)?)
}

/// A name that is a number.
fn number(name: &CStr) -> Option<u32> {
    decimal(name.to_bytes())
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Of a link such as `socket:[4242]`.
fn socket_inode(target: &[u8]) -> Option<u32> {
    decimal(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}
