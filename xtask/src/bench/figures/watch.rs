//! What `conniver watch` takes of a processor.

use std::{
    fs::File,
    hint::black_box,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    fs::{OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::bench::{
    bare::BareDump,
    beside,
    cost::{Cost, Trouble},
    programs,
    rusage::{self, Ended},
    timing::{Rounds, processor_nanos},
};

const SOCKETS: usize = 10_000;

/// Each of so many looks, a second after the other.
const LOOKS: u32 = 10;
const RUNS: usize = 3;

/// The processor's time for one look and the picture of it, one a second.
pub(super) fn refresh() -> Result<Cost, Trouble> {
    beside::population_of("watch", SOCKETS, |_| {
        let conniver = programs::built("conniver-cli", "conniver")?;
        let mut bare = BareDump::new()?;
        bare.receive();
        let mut rounds = Rounds::default();
        for _ in 0..RUNS {
            let before = processor_nanos();
            for _ in 0..LOOKS {
                black_box(bare.receive());
            }
            let floor = (processor_nanos() - before) / f64::from(LOOKS);
            let took = watch(&conniver)?.processor;
            // The start and the first look are in it.
            rounds.add(floor, took.as_nanos() as f64 / f64::from(LOOKS));
        }
        Ok(Cost::of_processes(rounds.timing()))
    })
}

/// Watches for so many looks, in a terminal that is read as fast as it is written.
fn watch(conniver: &Path) -> Result<Ended, Trouble> {
    let failed = |error: rustix::io::Errno| Trouble::Failed(format!("a terminal: {error}"));
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(failed)?;
    grantpt(&ours).map_err(failed)?;
    unlockpt(&ours).map_err(failed)?;
    let name = ptsname(&ours, Vec::new()).map_err(failed)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = open(&*name, flags, rustix::fs::Mode::empty()).map_err(failed)?;
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).map_err(failed)?;
    let child = Command::new(conniver)
        .arg("watch")
        .stdin(theirs.try_clone()?)
        .stdout(theirs)
        .stderr(Stdio::null())
        .spawn()?;
    let mut ours = File::from(ours);
    let mut read = ours.try_clone()?;
    let reader = thread::spawn(move || {
        let (mut piece, mut len) = ([0; 4096], 0);
        // It ends with an error when the other end is closed.
        while let Ok(count @ 1..) = read.read(&mut piece) {
            len += count;
        }
        len
    });
    thread::sleep(Duration::from_secs(u64::from(LOOKS)));
    ours.write_all(b"q")?;
    let ended = rusage::wait(child)?;
    let shown = reader.join().map_err(|_| Trouble::Failed("nobody read".to_owned()))?;
    // Whoever shows nothing takes little.
    if !ended.success || shown < 24 * 80 {
        return Err(Trouble::Failed("conniver watch did not show sockets".to_owned()));
    }
    Ok(ended)
}
