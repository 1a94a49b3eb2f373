//! What serving costs.

use std::fs;

/// What the system knows of this process; absent where it does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    /// In nanoseconds.
    pub(super) cpu: Option<u64>,
    pub(super) open_files: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name may have any byte in it, also parentheses. From here on the numbers of
        // proc_pid_stat(5), less three.
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, fields)| fields.split_whitespace().map(|field| field.parse().unwrap_or(0)))
            .map(Iterator::collect)
            .unwrap_or_default();
        let cpu = || {
            let ticks = fields.get(11)? + fields.get(12)?;
            Some(ticks * 1_000_000_000 / auxiliary(CLOCK_TICKS)?)
        };
        let resident = || Some(fields.get(21)? * auxiliary(PAGE_SIZE)?);
        let open = fs::read_dir("/proc/self/fd").ok();
        Self {
            resident_bytes: resident(),
            cpu: cpu(),
            // Without the one that this took.
            open_files: open.map(|open| open.count().saturating_sub(1) as u64),
        }
    }
}

/// `AT_CLKTCK` and `AT_PAGESZ` of `linux/auxvec.h`.
const CLOCK_TICKS: usize = 17;
const PAGE_SIZE: usize = 6;

/// What the kernel told the process at its start.
fn auxiliary(wanted: usize) -> Option<u64> {
    let bytes = fs::read("/proc/self/auxv").ok()?;
    let mut words = bytes
        .chunks_exact(size_of::<usize>())
        .filter_map(|word| word.try_into().ok().map(usize::from_ne_bytes));
    while let (Some(kind), Some(value)) = (words.next(), words.next()) {
        if kind == wanted {
            return u64::try_from(value).ok().filter(|value| *value > 0);
        }
    }
    None
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.open_files.is_some_and(|files| files >= 3), "{process:?}");
        assert!(process.cpu.is_some(), "{process:?}");
        assert_eq!(auxiliary(CLOCK_TICKS), Some(100));
    }
}
