//! The socket over time: what is sampled, drawn and concluded, where the machine has what it takes.
//!
//! A test whose need is not met is reported as ignored, and so never mistaken for a success.

#[path = "../httpstat/once.rs"]
mod once;
#[path = "../httpstat/tool.rs"]
mod tool;

#[cfg(target_os = "linux")]
mod clocks;
mod files;
#[cfg(target_os = "linux")]
mod paths;
mod samples;
mod server;
mod verdicts;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    #[cfg(target_os = "linux")]
    if let Some(code) = paths::inside(&arguments) {
        return code;
    }
    #[cfg(target_os = "linux")]
    let paths = [paths::trials(), clocks::trials()].concat();
    #[cfg(not(target_os = "linux"))]
    let paths = Vec::new();
    let trials = [samples::trials(), verdicts::trials(), files::trials(), paths].concat();
    let trials = trials.into_iter().map(|(name, possible, test)| {
        let test = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(!possible)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A test: its name, whether this machine can do it, and what it does.
type Test = (&'static str, bool, fn());

/// Whether a program is there.
fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What the kernel says of a connection; nothing on systems without such facts.
fn facts() -> Option<tcpinfo::TcpInfo> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
    let stream = std::net::TcpStream::connect(listener.local_addr().ok()?).ok()?;
    tcpinfo::TcpInfo::read(&stream).ok()
}
