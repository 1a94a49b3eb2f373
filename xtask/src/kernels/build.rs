//! Building: every test binary of `tcpinfo` and `sockdiag`, and the example that lists the fields.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    Trouble,
    command::{self, Workspace, cargo},
};

/// For which kind of processor, and with which C library.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// This machine's ordinary programs, which share its libraries.
    Native,
    X86,
    I686,
    Aarch64,
    S390x,
}

impl Target {
    fn triple(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::X86 => Some("x86_64-unknown-linux-musl"),
            Self::I686 => Some("i686-unknown-linux-musl"),
            Self::Aarch64 => Some("aarch64-unknown-linux-musl"),
            Self::S390x => Some("s390x-unknown-linux-gnu"),
        }
    }

    /// The targets with musl bring all that a linker needs; Rust brings the linker.
    fn linker(self) -> &'static str {
        match self {
            Self::S390x => "s390x-linux-gnu-gcc",
            _ => "rust-lld",
        }
    }

    pub(super) fn architecture(self) -> &'static str {
        match self {
            Self::Native | Self::X86 => "x86_64",
            Self::I686 => "i686",
            Self::Aarch64 => "aarch64",
            Self::S390x => "s390x",
        }
    }

    /// What Debian calls it.
    pub(super) fn debian(self) -> &'static str {
        match self {
            Self::Native | Self::X86 => "amd64",
            Self::I686 => "i386",
            Self::Aarch64 => "arm64",
            Self::S390x => "s390x",
        }
    }
}

#[derive(Clone)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The example `fields`.
    Fields,
    Tests,
}

/// The example first, then every test binary that there is.
pub(super) fn programs(workspace: &Workspace, target: Target) -> Result<Vec<Program>, Trouble> {
    let mut build = cargo();
    build.current_dir(&workspace.root);
    build.args(["test", "--package", "tcpinfo", "--package", "sockdiag", "--all-features"]);
    build.arg("--no-run");
    build.args(["--message-format", "json-render-diagnostics"]);
    // Small programs are sooner in a machine's memory, and quick ones suit an emulator.
    build.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_STRIP", "symbols");
    build.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    // These would take the place of the flags below.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(triple) = target.triple() {
        need_standard_library(triple)?;
        if target == Target::S390x {
            command::need(target.linker(), "gcc-s390x-linux-gnu")?;
            command::need_file("/usr/s390x-linux-gnu/lib/libc.a", "libc6-dev-s390x-cross")?;
        }
        let variable = triple.to_uppercase().replace('-', "_");
        build.args(["--target", triple]);
        build.env(format!("CARGO_TARGET_{variable}_LINKER"), target.linker());
        build.env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), "-C target-feature=+crt-static");
    }
    eprintln!("building the tests for {}", target.triple().unwrap_or("this machine"));
    let messages = command::output(&mut build)?;

    let mut programs = Vec::new();
    for line in messages.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line)
            .map_err(|error| Trouble::Failed(format!("cargo test: {error}")))?;
        programs.extend(program(&message));
    }
    programs
        .sort_by(|a, b| (a.kind == Kind::Tests, &a.name).cmp(&(b.kind == Kind::Tests, &b.name)));
    match programs.as_slice() {
        [Program { kind: Kind::Fields, .. }, Program { .. }, ..] => Ok(programs),
        _ => Err(Trouble::Failed("cargo test names no test binaries, or no example".to_owned())),
    }
}

fn program(message: &Value) -> Option<Program> {
    let path = PathBuf::from(message["executable"].as_str()?);
    let target = &message["target"];
    let name = target["name"].as_str()?;
    let is_test = message["profile"]["test"].as_bool()?;
    let kinds = target["kind"].as_array()?;
    let is = |kind: &str| kinds.iter().any(|other| other == kind);
    match () {
        () if is("example") => {
            (name == "fields").then(|| Program { name: name.to_owned(), path, kind: Kind::Fields })
        }
        () if !is_test => None,
        () => {
            let name = if is("lib") { "unit" } else { name };
            // Both libraries have tests of these names.
            let of_sockdiag = target["src_path"].as_str()?.contains("/crates/sockdiag/");
            let name = if of_sockdiag { format!("sockdiag_{name}") } else { name.to_owned() };
            Some(Program { name, path, kind: Kind::Tests })
        }
    }
}

fn need_standard_library(triple: &str) -> Result<(), Trouble> {
    let mut rustc = std::process::Command::new("rustc");
    let directory = command::output(rustc.args(["--print", "target-libdir", "--target", triple]))?;
    let directory = PathBuf::from(String::from_utf8_lossy(directory.trim_ascii()).into_owned());
    if directory.is_dir() {
        return Ok(());
    }
    let mut rustup = std::process::Command::new("rustup");
    match command::output(rustup.args(["target", "add", triple])) {
        Ok(_) => Ok(()),
        Err(Trouble::Skipped(why) | Trouble::Failed(why)) => {
            Err(Trouble::Skipped(format!("no standard library for {triple}: {why}")))
        }
    }
}
