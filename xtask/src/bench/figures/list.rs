//! What `conniver list` costs beside `ss`.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use crate::bench::{
    beside,
    cost::{Cost, Trouble},
    programs,
    rusage::{self, Ended},
    timing::Rounds,
};

/// A list of every socket, as it comes from the command without options, beside all that `ss` tells.
pub(super) fn table() -> Result<Cost, Trouble> {
    lists("list", &["list"], "-tinH", 7)
}

/// The same with the processes that hold them.
pub(super) fn with_processes() -> Result<Cost, Trouble> {
    lists("list.process", &["list", "--process"], "-tinpH", 3)
}

/// The most memory of a list of every socket, beside a list of none.
pub(super) fn memory() -> Result<Cost, Trouble> {
    measured("list.memory", |conniver, sockets, file| {
        let every = ["list", "--format", "jsonl"];
        let all = run(conniver, &every, file)?;
        is_long_enough(file, sockets)?;
        let nobody = run(conniver, &[&every[..], &["sport = :1"]].concat(), file)?;
        Ok(Cost::of_bytes(all.1.peak_bytes as f64, nobody.1.peak_bytes as f64))
    })
}

fn lists(
    name: &str,
    ours: &'static [&'static str],
    wish_of_ss: &'static str,
    runs: usize,
) -> Result<Cost, Trouble> {
    let ss = programs::in_path("ss").ok_or(Trouble::Skipped("no ss"))?;
    measured(name, |conniver, sockets, file| {
        let mut rounds = Rounds::default();
        while rounds.len() < runs {
            let floor = run(&ss, &[wish_of_ss], file)?.0;
            is_long_enough(file, sockets)?;
            let subject = run(conniver, ours, file)?.0;
            is_long_enough(file, sockets)?;
            rounds.add(floor.as_nanos() as f64, subject.as_nanos() as f64);
        }
        Ok(Cost::of_processes(rounds.timing()))
    })
}

fn measured(
    name: &str,
    measure: impl FnOnce(&Path, usize, &Path) -> Result<Cost, Trouble>,
) -> Result<Cost, Trouble> {
    let conniver = programs::built("conniver-cli", "conniver")?;
    beside::population(name, |sockets| {
        let file = Scratch::new();
        measure(&conniver, sockets, &file.0)
    })
}

/// Runs a program whose output is a file.
fn run(program: &Path, arguments: &[&str], file: &Path) -> Result<(Duration, Ended), Trouble> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(File::create(file)?);
    // What it is already, but then the kernel counts little of this process as the other's.
    command.gid(rusage::group());
    let start = Instant::now();
    let ended = rusage::wait(command.spawn()?)?;
    let elapsed = start.elapsed();
    match ended.success {
        true => Ok((elapsed, ended)),
        false => Err(Trouble::Failed(format!("{} {arguments:?} failed", program.display()))),
    }
}

/// Whoever lists nothing is fast.
fn is_long_enough(file: &Path, sockets: usize) -> Result<(), Trouble> {
    let len = fs::metadata(file)?.len();
    match len >= 100 * sockets as u64 {
        true => Ok(()),
        false => Err(Trouble::Failed(format!("{len} bytes of {sockets} sockets"))),
    }
}

/// A file that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        // In memory where there is such a folder, since this is not about a disk.
        let folder = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        Self(folder.join(format!("conniver-list-{}", process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
