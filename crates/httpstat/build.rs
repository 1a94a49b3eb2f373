//! Puts the unwinder into the binary where the C compiler has one to put in, so that there is one
//! library less to find, to map and to relocate at every start: about a tenth of it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if is_plain_linux()
        && let Some(folder) = folder_of_unwinder()
    {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=gcc_eh");
    }
}

/// glibc, on the machine that builds, and linked as it mostly is: other cases have an unwinder of
/// their own, or a compiler that cannot be asked so simply.
fn is_plain_linux() -> bool {
    let found = |name: &str| env::var(name).unwrap_or_default();
    found("HOST") == found("TARGET")
        && found("CARGO_CFG_TARGET_OS") == "linux"
        && found("CARGO_CFG_TARGET_ENV") == "gnu"
        && !found("CARGO_CFG_TARGET_FEATURE").contains("crt-static")
}

fn folder_of_unwinder() -> Option<PathBuf> {
    let compiler = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let asked = Command::new(compiler).arg(format!("-print-file-name={UNWINDER}")).output().ok()?;
    let answer = String::from_utf8(asked.stdout).ok()?;
    let path = Path::new(answer.trim());
    // One that is not found is repeated as it was asked for.
    let is_found = asked.status.success() && path.is_absolute() && path.is_file();
    path.parent().filter(|_| is_found).map(Path::to_owned)
}

const UNWINDER: &str = "libgcc_eh.a";
