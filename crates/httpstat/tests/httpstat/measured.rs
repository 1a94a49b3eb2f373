//! The command with an eye on its memory.

use std::{fs, io::Read as _, process::Stdio, thread};

use serde_json::Value;

use crate::tool::{Run, command, judged};

/// Runs the command as [`run_json`](crate::tool::run_json) does, and says how much memory it had at
/// most, in KiB, where the system tells.
///
/// The URL is made so long that the report does not fit into a pipe. Stuck there, the command has
/// done everything else and can be looked at. What `wait4` tells would contain the memory of this
/// process, from before `exec`.
pub(crate) fn run_measured(url: &str, options: &[&str]) -> (Run, Value, Option<u64>) {
    let url = format!("{url}?{}", "x".repeat(40_000));
    let mut child = command(&[&[url.as_str()], options, &["--format", "jsonl"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    let peak = peak(child.id());
    let mut text = String::from_utf8(first.to_vec()).unwrap();
    stdout.read_to_string(&mut text).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    let run = Run { code, stdout: text, stderr: errors.join().unwrap() };
    let value = judged(&run);
    (run, value, peak)
}

fn peak(id: u32) -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    Some(line.trim().strip_suffix(" kB").unwrap().parse().unwrap())
}
