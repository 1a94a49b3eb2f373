//! Which processes hold which sockets.

mod cgroup;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod hidden;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod scan;

use std::{fmt, io, num::NonZeroUsize};

pub use cgroup::{Cgroup, Container};

/// Which processes hold which sockets, found in one pass over `/proc`.
///
/// The kernel tells of a socket [its inode](crate::Entry::inode), and of a process the inodes that its
/// descriptors are of. So all descriptors of all processes are looked at once, which takes about a µs
/// each, and every question after that is answered from memory. The inodes are the same in every
/// network namespace.
///
/// Only processes of the PID namespace of `/proc` are found; of other users' only with `CAP_SYS_PTRACE`
/// and `CAP_DAC_READ_SEARCH`, as the superuser has them. What could not be looked into, or is not shown,
/// is [told](Self::gaps). A descriptor that only some threads of a process have (`CLONE_FILES` undone) is
/// not found, nor one that is in flight between two processes.
///
/// ```
/// use sockdiag::{Dump, Owners, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let owners = Owners::scan().unwrap();
///
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&Dump::new()).unwrap();
/// let mut is_found = false;
/// while let Some(entry) = entries.next() {
///     let entry = entry.unwrap();
///     for owner in entry.inode().into_iter().flat_map(|inode| owners.of(inode)) {
///         println!("{} {}", entry.local_addr(), owner.process.command());
///         is_found |= owner.process.pid() == std::process::id()
///             && entry.local_addr() == listener.local_addr().unwrap();
///     }
/// }
/// assert!(is_found);
/// if !owners.gaps().is_empty() {
///     eprintln!("{}", owners.gaps());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Owners {
    processes: Vec<Process>,
    /// In the order of inodes, and within one of processes and descriptors.
    holders: Vec<Holder>,
    index: Index,
    gaps: Gaps,
    threads: NonZeroUsize,
}

/// One descriptor of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    inode: u32,
    /// Its place in the list of processes.
    process: u32,
    descriptor: u32,
}

/// What one pass, or a part of it, found.
#[derive(Debug, Default)]
struct Found {
    processes: Vec<Process>,
    holders: Vec<Holder>,
    gaps: Gaps,
}

impl Owners {
    /// Looks at the descriptors of all processes.
    ///
    /// # Errors
    ///
    /// `/proc` is not mounted ([`NotFound`](io::ErrorKind::NotFound)) or cannot be read, or this is
    /// another system than Linux ([`Unsupported`](io::ErrorKind::Unsupported)). A process that cannot be looked into is no error
    /// but a [gap](Self::gaps).
    pub fn scan() -> io::Result<Self> {
        Self::scan_on(NonZeroUsize::MIN)
    }

    /// The same with several threads, which are ended when it returns. Each takes a process at a time.
    ///
    /// # Errors
    ///
    /// As of [`scan`](Self::scan), and that there are no threads to be had.
    pub fn scan_on(threads: NonZeroUsize) -> io::Result<Self> {
        let found = find(threads)?;
        Ok(Self::new(found, threads))
    }

    /// Looks again. After an error, what was known before stays.
    ///
    /// # Errors
    ///
    /// As of [`scan`](Self::scan).
    pub fn refresh(&mut self) -> io::Result<()> {
        *self = Self::scan_on(self.threads)?;
        Ok(())
    }

    fn new(found: Found, threads: NonZeroUsize) -> Self {
        let Found { processes, mut holders, gaps } = found;
        holders.sort_unstable();
        Self { processes, index: Index::of(&holders), holders, gaps, threads }
    }

    /// The processes that hold the socket of this inode, and by which of their descriptors: several if
    /// it was inherited, passed on or duplicated. None if no process that could be looked into does.
    pub fn of(&self, inode: u32) -> impl Iterator<Item = Owner<'_>> {
        let holders = self.index.find(&self.holders, inode);
        holders.iter().filter_map(|holder| {
            let process = self.processes.get(usize::try_from(holder.process).ok()?)?;
            Some(Owner { process, descriptor: holder.descriptor })
        })
    }

    /// The processes that hold sockets of any kind, in the order of their numbers.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// What could not be looked into.
    pub const fn gaps(&self) -> Gaps {
        self.gaps
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn find(threads: NonZeroUsize) -> io::Result<Found> {
    scan::find(threads)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn find(_: NonZeroUsize) -> io::Result<Found> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux tells by /proc who holds a socket"))
}

/// One process that holds a socket.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Owner<'a> {
    /// The process.
    pub process: &'a Process,
    /// Its number for the socket.
    pub descriptor: u32,
}

/// A process that holds sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    parent: u32,
    command: Box<str>,
    /// When it began, in the kernel's own unit: with that, a later process of the same number is told
    /// from it.
    started: u64,
}

impl Process {
    /// Its number: that of the thread group, which is what programs call their process ID.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The number of the process that made it, or that took it over.
    pub const fn parent(&self) -> u32 {
        self.parent
    }

    /// Its name, as `ps` shows it: 15 bytes at most, which it may have chosen itself. Bytes that are no
    /// text are replaced.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The words with which it was started, as far as it left them; none of a process that has erased
    /// them. Bytes that are no text are replaced.
    ///
    /// Read now.
    ///
    /// # Errors
    ///
    /// The process is gone ([`NotFound`](io::ErrorKind::NotFound)), or may not be looked into.
    pub fn command_line(&self) -> io::Result<Vec<String>> {
        let bytes = self.read("cmdline")?;
        let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        Ok(words
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect())
    }

    /// The cgroup that it is in, and so its container.
    ///
    /// Read now.
    ///
    /// # Errors
    ///
    /// The process is gone ([`NotFound`](io::ErrorKind::NotFound)), or may not be looked into.
    pub fn cgroup(&self) -> io::Result<Cgroup> {
        let bytes = self.read("cgroup")?;
        Ok(Cgroup::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// A file of `/proc`, if it is of this process and not of a later one with its number.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = |name: &str| format!("/proc/{}/{name}", self.pid);
        let bytes = std::fs::read(path(name))?;
        let stat = std::fs::read(path("stat"))?;
        match Stat::parse(&stat) {
            Some(stat) if stat.started == self.started => Ok(bytes),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "the process is gone")),
        }
    }
}

/// What is used of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    command: &'a [u8],
    state: u8,
    parent: u32,
    flags: u64,
    started: u64,
}

impl<'a> Stat<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        // The name may have any byte in it, also parentheses.
        let begin = bytes.iter().position(|byte| *byte == b'(')?;
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let command = bytes.get(begin + 1..end)?;
        let mut fields = bytes.get(end + 1..)?.split(u8::is_ascii_whitespace).skip(1);
        let state = *fields.next()?.first()?;
        // From here on the numbers of proc_pid_stat(5), less four.
        let mut number = |skipped: usize| -> Option<u64> {
            std::str::from_utf8(fields.nth(skipped)?).ok()?.parse().ok()
        };
        let parent = u32::try_from(number(0)?).ok()?;
        let flags = number(4)?;
        let started = number(12)?;
        Some(Self { command, state, parent, flags, started })
    }

    /// Whether it holds nothing: a thread of the kernel, or one that has ended.
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        allow(dead_code, reason = "nobody to ask")
    )]
    const fn is_without_descriptors(&self) -> bool {
        self.is_of_kernel() || matches!(self.state, b'Z' | b'X')
    }

    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        allow(dead_code, reason = "nobody to ask")
    )]
    const fn is_of_kernel(&self) -> bool {
        /// `PF_KTHREAD` of `linux/sched.h`.
        const KERNEL_THREAD: u64 = 0x0020_0000;
        self.flags & KERNEL_THREAD != 0
    }
}

/// Processes whose sockets are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gaps {
    /// Processes of other users, or protected ones, that may not be looked into.
    pub not_permitted: usize,
    /// Processes that ended while they were looked at. They hold nothing now.
    pub vanished: usize,
    /// Whether `/proc` does not show processes that may not be looked into, if there are any: it is
    /// mounted with `hidepid=invisible` or `ptraceable`, as for services of systemd with `ProtectProc`,
    /// and this thread is not exempt. So they are not counted.
    pub hidden: bool,
    /// Whether `/proc` is that of a PID namespace within the machine's, such as of a container: what is
    /// outside may hold sockets of the same network namespace, and is not shown.
    pub outside: bool,
}

impl Gaps {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.vanished == 0 && !self.may_hold()
    }

    /// Whether there are, or may be, processes that were not looked into and hold sockets.
    pub const fn may_hold(&self) -> bool {
        self.not_permitted > 0 || self.hidden || self.outside
    }

    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        allow(dead_code, reason = "nobody to ask")
    )]
    const fn and(self, other: Self) -> Self {
        Self {
            not_permitted: self.not_permitted + other.not_permitted,
            vanished: self.vanished + other.vanished,
            hidden: self.hidden || other.hidden,
            outside: self.outside || other.outside,
        }
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WHO: &str = "(root may, or who has CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)";

        let Self { not_permitted, vanished, hidden, outside } = *self;
        let processes = |count: usize| if count == 1 { "process" } else { "processes" };
        if self.is_empty() {
            return f.write_str("every process was looked into");
        }
        let mut comma = "";
        match (not_permitted, hidden) {
            (0, false) => {}
            (0, true) => write!(
                f,
                "/proc hides processes (hidepid, ProtectProc) that may not be looked into {WHO}"
            )?,
            (count, _) => {
                let what = processes(count);
                write!(f, "{count} {what} may not be looked into {WHO}")?;
                if hidden {
                    f.write_str(", and /proc hides others (hidepid, ProtectProc)")?;
                }
            }
        }
        if not_permitted > 0 || hidden {
            comma = ", ";
        }
        if outside {
            write!(
                f,
                "{comma}processes outside of this PID namespace are not shown (run it on the host to see \
                 them)"
            )?;
            comma = ", ";
        }
        if vanished > 0 {
            write!(f, "{comma}{vanished} {} ended meanwhile", processes(vanished))?;
        }
        Ok(())
    }
}

/// Where in the sorted list to begin to look for an inode: by its first bits, of which there are as
/// many as make about one inode for each.
#[derive(Debug, Clone, Default)]
struct Index {
    first: u32,
    shift: u32,
    /// Where the inodes begin that have a value of the first bits, and at last the end.
    begins: Vec<u32>,
}

impl Index {
    fn of(holders: &[Holder]) -> Self {
        let (Some(first), Some(last)) = (holders.first(), holders.last()) else {
            return Self::default();
        };
        let first = first.inode;
        let range = last.inode - first;
        let most = u32::try_from(holders.len()).unwrap_or(u32::MAX).saturating_mul(2);
        let shift = (0..31).find(|shift| range >> shift <= most).unwrap_or(31);
        let mut begins = Vec::new();
        let mut at = 0;
        for value in 0..=range >> shift {
            begins.push(at);
            let rest = holders.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
            let is_of_value = |holder: &&Holder| (holder.inode - first) >> shift == value;
            at += u32::try_from(rest.iter().take_while(is_of_value).count()).unwrap_or(0);
        }
        begins.push(at);
        Self { first, shift, begins }
    }

    fn find<'h>(&self, holders: &'h [Holder], inode: u32) -> &'h [Holder] {
        let range = || {
            let value = usize::try_from(inode.checked_sub(self.first)? >> self.shift).ok()?;
            let [begin, end] = *self.begins.get(value..)?.first_chunk()?;
            holders.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
        };
        let near = range().unwrap_or_default();
        let begin = near.partition_point(|holder| holder.inode < inode);
        let rest = near.get(begin..).unwrap_or_default();
        let len = rest.partition_point(|holder| holder.inode == inode);
        rest.get(..len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
