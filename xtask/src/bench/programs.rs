//! Programs that are measured whole.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::cost::Trouble;

/// Builds a release binary of this project, which cargo puts beside the one that is running.
pub(super) fn built(package: &str, name: &str) -> Result<PathBuf, Trouble> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", package])
        .stdout(Stdio::null())
        .status()?;
    if !built.success() {
        return Err(Trouble::Failed(format!("{name} does not build")));
    }
    let path = env::current_exe()?.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(Trouble::Failed(format!("no {}", path.display()))) }
}

/// Where a program of somebody else is.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}
