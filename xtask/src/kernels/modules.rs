//! Modules of an unpacked kernel: found, decompressed, and put after those that they depend on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Trouble,
    command::{self, trouble},
};

pub(super) struct Module {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The modules wanted, each after those that it depends on. What is not there may be built in: the
/// tests will tell.
pub(super) fn load_order(kernel: &Path, wanted: &[&str]) -> Result<Vec<Module>, Trouble> {
    let files = files_under(kernel)?;
    let mut order = Vec::new();
    for name in wanted {
        add(&files, name, &mut order)?;
    }
    Ok(order)
}

fn add(files: &[PathBuf], name: &str, order: &mut Vec<Module>) -> Result<(), Trouble> {
    let file_name = |path: &&PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let stem = file.split_once(".ko").map(|(stem, _)| stem.replace('-', "_"));
        stem.as_deref() == Some(name)
    };
    if order.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let Some(path) = files.iter().find(file_name) else { return Ok(()) };
    let bytes = decompressed(path)?;
    for needed in dependencies(&bytes) {
        add(files, &needed, order)?;
    }
    order.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

fn decompressed(path: &Path) -> Result<Vec<u8>, Trouble> {
    let through = |program: &str| command::output(Command::new(program).arg("-dc").arg(path));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => through("xz"),
        Some("zst") => through("zstd"),
        _ => fs::read(path).map_err(|error| trouble("read", path, &error)),
    }
}

/// A module says itself what it needs: `depends=a,b`, among other such lines that end in NUL.
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let names = module.iter().skip(start + key.len()).take_while(|byte| **byte != 0);
    let names = String::from_utf8_lossy(&names.copied().collect::<Vec<u8>>()).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// Every ordinary file below a directory.
pub(super) fn files_under(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let failed = |error| trouble("read", &directory, &error);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
