//! Other programs: found, installed, run, and blamed by name.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::Trouble;

/// Where things are.
pub(super) struct Workspace {
    pub(super) root: PathBuf,
    /// Everything that is fetched or made here.
    pub(super) cache: PathBuf,
}

impl Workspace {
    pub(super) fn find() -> Result<Self, Trouble> {
        let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_slice(&metadata)
            .map_err(|error| Trouble::Failed(format!("cargo metadata: {error}")))?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .ok_or_else(|| Trouble::Failed(format!("cargo metadata names no {key}")))
        };
        Ok(Self { root: path("workspace_root")?, cache: path("target_directory")?.join("kernels") })
    }
}

pub(super) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What a program printed, or what it complained of.
pub(super) fn output(command: &mut Command) -> Result<Vec<u8>, Trouble> {
    let result = command.output().map_err(|error| {
        let name = command.get_program().to_string_lossy();
        Trouble::Failed(format!("cannot start {name}: {error}"))
    })?;
    if result.status.success() {
        return Ok(result.stdout);
    }
    let line: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let complaint = String::from_utf8_lossy(&result.stderr);
    let complaint = complaint.trim_end();
    Err(Trouble::Failed(format!("{}: {}\n{complaint}", line.join(" "), result.status)))
}

/// Sees that a program is there, if need be by installing its package.
pub(super) fn need(program: &str, package: &str) -> Result<(), Trouble> {
    need_either(program, package, || find(program).is_some())
}

/// The same for a file.
pub(super) fn need_file(path: &str, package: &str) -> Result<(), Trouble> {
    need_either(path, package, || Path::new(path).is_file())
}

fn need_either(what: &str, package: &str, is_there: impl Fn() -> bool) -> Result<(), Trouble> {
    if is_there() {
        return Ok(());
    }
    let missing = |why: &str| {
        Trouble::Skipped(format!("{what} is missing and {why} (Debian package {package})"))
    };
    if find("apt-get").is_none() {
        return Err(missing("there is no apt-get"));
    }
    if !is_root()? {
        return Err(missing("only root can install it"));
    }
    eprintln!("installing {package}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        output(command.args(["-q", "-y", "-o", "DPkg::Lock::Timeout=300"]).args(arguments))
    };
    // An index that is out of reach may still be new enough.
    let _ = apt(&["update"]);
    match apt(&["install", "--no-install-recommends", package]) {
        Ok(_) if is_there() => Ok(()),
        Ok(_) => Err(missing("its package does not bring it")),
        Err(Trouble::Skipped(why) | Trouble::Failed(why)) => {
            Err(missing(&format!("cannot be installed: {why}")))
        }
    }
}

fn is_root() -> Result<bool, Trouble> {
    Ok(output(Command::new("id").arg("-u"))?.trim_ascii() == b"0")
}

pub(super) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// An empty directory, whatever was there.
pub(super) fn empty_directory(path: &Path) -> Result<(), Trouble> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(|error| trouble("empty", path, &error))?;
    }
    fs::create_dir_all(path).map_err(|error| trouble("make", path, &error))
}

pub(super) fn trouble(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Trouble {
    Trouble::Failed(format!("cannot {what} {}: {error}", path.display()))
}
