//! The unit for systemd.

use std::{fs, path::Path, process::Command};

use libtest_mimic::{Failed, Trial};

use crate::server::{holds, lacks, same, trial};

pub(crate) fn add_to(trials: &mut Vec<Trial>) {
    trials.push(
        trial("systemd_understands_the_unit", verified).with_ignored_flag(lacks("systemd-analyze")),
    );
}

/// With the program where it is now, all that systemd has to say.
fn verified() -> Result<(), Failed> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/conniver-serve.service");
    let text = fs::read_to_string(unit)?;
    let installed = "ExecStart=/usr/bin/conniver ";
    same("program", text.matches(installed).count(), 1)?;
    let own = format!("ExecStart={} ", env!("CARGO_BIN_EXE_conniver"));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("conniver-serve.service");
    fs::write(&file, text.replace(installed, &own))?;
    // Without pages of manuals, which are not everywhere.
    let output =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("conniver-serve")).collect();
    holds("complaints", output.status.success() && complaints.is_empty(), &said)
}
