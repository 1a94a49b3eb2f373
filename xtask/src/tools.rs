//! Programs that chores run, and the places where they work.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the chores' package is in a workspace")
}

/// A directory of one chore's own among what is built.
pub(crate) fn target_dir(chore: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target).join(chore)
}

/// A program of the nightly toolchain.
pub(crate) fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]).current_dir(root());
    // Set for the stable toolchain by the cargo that started us.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}

/// What a command printed, or in one line why it failed.
pub(crate) fn printed(command: &mut Command) -> Result<String, String> {
    let output =
        command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("error")).or_else(|| lines().next_back());
    Err(error.map_or_else(|| output.status.to_string(), str::to_owned))
}

/// Sees to it that the nightly toolchain is there, with these of its components.
pub(crate) fn need_nightly(components: &[&str]) -> Result<(), String> {
    if printed(nightly("rustc").arg("--version")).is_err() {
        rustup(&["toolchain", "install", "nightly", "--profile", "minimal", "--no-self-update"])?;
    }
    if components.is_empty() {
        return Ok(());
    }
    let installed = printed(Command::new("rustup").args([
        "component",
        "list",
        "--installed",
        "--toolchain",
        "nightly",
    ]))?;
    for component in components {
        if !installed.lines().any(|line| line.starts_with(component)) {
            rustup(&["component", "add", component, "--toolchain", "nightly"])?;
        }
    }
    Ok(())
}

fn rustup(args: &[&str]) -> Result<(), String> {
    printed(Command::new("rustup").args(args))
        .map(drop)
        .map_err(|why| format!("`rustup {}`: {why}", args.join(" ")))
}

/// The answer of a chore that something outside the project kept from its work.
pub(crate) fn skipped(why: &str) -> ExitCode {
    println!("skipped: {why}");
    ExitCode::SUCCESS
}
