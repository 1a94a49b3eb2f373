//! `cargo xtask cross`: types and lints of what we ship, for systems that this machine is not.
//!
//! Nothing is linked or run, so that no foreign linker, header or C compiler is needed. Assertions
//! in `const` items are evaluated for each target.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use clap::builder::PossibleValuesParser;

#[derive(clap::Args)]
#[command(after_help = help())]
pub(crate) struct Args {
    /// Only these targets
    #[arg(value_name = "TARGET", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.triple)))]
    triples: Vec<String>,
}

struct Target {
    triple: &'static str,
    std: Std,
    checks: &'static [Check],
    /// What this target can find that no other does.
    why: &'static str,
}

/// Where the target's standard library comes from.
#[derive(Clone, Copy)]
enum Std {
    /// Rustup has it for the toolchain in use.
    Prebuilt,
    /// Built from its source, which takes the nightly toolchain.
    Source,
}

struct Check {
    name: &'static str,
    clippy: &'static [&'static str],
}

/// The libraries without their features: code that only a feature uses is seen here. Without the
/// tests, which the lints of this machine cover: hardly a line of them depends on the system and on
/// a feature at once.
const BARE: Check = Check {
    name: "bare",
    clippy: &["-p", "tcpinfo", "-p", "sockdiag", "-p", "conniver", "--no-default-features"],
};

const FULL: Check = Check {
    name: "full",
    clippy: &["-p", "tcpinfo", "-p", "sockdiag", "-p", "conniver", "--all-features"],
};

const FULL_TESTS: Check = Check {
    name: "full+tests",
    clippy: &[
        "-p",
        "tcpinfo",
        "-p",
        "sockdiag",
        "-p",
        "conniver",
        "--all-features",
        "--all-targets",
    ],
};

const COMMANDS: Check =
    Check { name: "commands", clippy: &["-p", "conniver-httpstat", "-p", "conniver-cli"] };

const TCPINFO_BARE: Check =
    Check { name: "tcpinfo bare", clippy: &["-p", "tcpinfo", "--no-default-features"] };

const TCPINFO_FULL: Check =
    Check { name: "tcpinfo full", clippy: &["-p", "tcpinfo", "--all-features"] };

/// Tests differ by system, word size and C library, and take three quarters of a target's time with
/// what they depend on. A target whose tests are those of another, line by line, has `FULL`
/// instead: windows-gnu (as msvc), Intel's macOS (as ARM's), armv7 (as i686), aarch64 Linux (as the
/// machines that this is likely run on).
const TARGETS: &[Target] = &[
    Target {
        triple: "x86_64-pc-windows-msvc",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS, COMMANDS],
        why: "Windows, as most people build for it",
    },
    Target {
        triple: "x86_64-pc-windows-gnu",
        std: Std::Prebuilt,
        checks: &[BARE, FULL],
        why: "Windows with MinGW, which Wine can run",
    },
    Target {
        triple: "aarch64-apple-darwin",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS, COMMANDS],
        why: "macOS",
    },
    Target {
        triple: "x86_64-apple-darwin",
        std: Std::Prebuilt,
        checks: &[BARE, FULL, COMMANDS],
        why: "macOS on Intel",
    },
    Target {
        triple: "aarch64-apple-ios",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS],
        why: "Apple where target_os is not \"macos\"",
    },
    Target {
        triple: "aarch64-linux-android",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS, COMMANDS],
        why: "Linux where target_os is not \"linux\"",
    },
    Target {
        triple: "x86_64-unknown-freebsd",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS, COMMANDS],
        why: "FreeBSD: a structure of its own",
    },
    Target {
        triple: "x86_64-unknown-netbsd",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS],
        why: "NetBSD: FreeBSD's structure cut short",
    },
    Target {
        triple: "x86_64-unknown-openbsd",
        std: Std::Source,
        checks: &[BARE, FULL_TESTS],
        why: "OpenBSD: a structure of its own",
    },
    Target {
        triple: "x86_64-unknown-illumos",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS],
        why: "a Unix whose sockets cannot be asked",
    },
    Target {
        triple: "i686-unknown-linux-gnu",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS, COMMANDS],
        why: "32-bit words, and 64-bit integers aligned to 4",
    },
    Target {
        triple: "armv7-unknown-linux-gnueabihf",
        std: Std::Prebuilt,
        checks: &[BARE, FULL],
        why: "32-bit words, and 64-bit integers aligned to 8",
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
        std: Std::Prebuilt,
        checks: &[BARE, FULL],
        why: "Linux where C's char has no sign",
    },
    Target {
        triple: "s390x-unknown-linux-gnu",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS],
        why: "big-endian",
    },
    Target {
        triple: "x86_64-unknown-linux-musl",
        std: Std::Prebuilt,
        checks: &[BARE, FULL_TESTS],
        why: "Linux with another C library",
    },
    Target {
        triple: "wasm32-wasip1",
        std: Std::Prebuilt,
        // Socket libraries, which conniver and the examples need, stop there.
        checks: &[TCPINFO_BARE, TCPINFO_FULL],
        why: "neither Unix nor Windows",
    },
];

/// Where thread-locals are kept by key, as on OpenBSD, clippy takes initializers that are `const` for
/// ones that could be (rust-lang/rust-clippy#17566). The lints of this machine still hold us to it.
const LINTS: &[&str] = &["-D", "warnings", "-A", "clippy::missing_const_for_thread_local"];

/// `test` is for the tests' harness. Cargo compiles the library in full, which takes a quarter less
/// time without debug information that nobody will read.
const BUILD_STD: &[&str] =
    &["-Z", "build-std=std,panic_unwind,test", "--config", "profile.dev.debug=false"];

enum Outcome {
    Ok,
    Failed(String),
    Skipped(String),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let wanted = |target: &&Target| {
        args.triples.is_empty() || args.triples.iter().any(|triple| triple == target.triple)
    };
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());

    for target in TARGETS.iter().filter(wanted) {
        print!("{:<TRIPLE$}  {:<DONE$}  ", target.triple, target.done());
        // Only so that a person sees what is being waited for.
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let mut complaints = String::new();
        let outcome = target.check(&mut complaints);
        print!("{:6.1} s  ", start.elapsed().as_secs_f64());
        match outcome {
            Outcome::Ok => {
                println!("ok");
                passed += 1;
            }
            Outcome::Failed(what) => {
                println!("failed: {what}");
                eprintln!("{}", complaints.trim_end());
                failed.push(target.triple);
            }
            Outcome::Skipped(why) => {
                println!("skipped: {why}");
                skipped.push((target.triple, why));
            }
        }
    }

    println!("{passed} ok, {} failed, {} skipped", failed.len(), skipped.len());
    for (triple, why) in &skipped {
        println!("skipped: {triple}: {why}");
    }
    for triple in &failed {
        println!("failed: {triple}; see it again with `cargo xtask cross {triple}`");
    }
    ExitCode::from(u8::from(!failed.is_empty()))
}

const TRIPLE: usize = 29;
const DONE: usize = 32;

impl Target {
    fn done(&self) -> String {
        self.checks.iter().map(|check| check.name).collect::<Vec<_>>().join(", ")
    }

    /// Runs every check also after one has failed, so that one run tells all.
    fn check(&self, complaints: &mut String) -> Outcome {
        if let Err(why) = self.std.prepare(self.triple) {
            return Outcome::Skipped(why);
        }
        let mut failed = Vec::new();
        for check in self.checks {
            let mut clippy = self.std.cargo();
            clippy.args(["clippy", "--quiet", "--target", self.triple]);
            clippy.args(self.std.flags()).args(check.clippy).arg("--").args(LINTS);
            if let Err(said) = finish(&mut clippy) {
                failed.push(check.name);
                let _ = writeln!(complaints, "--- {}, {}\n{said}", self.triple, check.name);
            }
        }
        if failed.is_empty() { Outcome::Ok } else { Outcome::Failed(failed.join(", ")) }
    }
}

impl Std {
    fn cargo(self) -> Command {
        match self {
            Self::Prebuilt => Command::new("cargo"),
            Self::Source => nightly("cargo"),
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Prebuilt => &[],
            Self::Source => BUILD_STD,
        }
    }

    /// Sees that the target's library is here, or says why it cannot be.
    fn prepare(self, triple: &str) -> Result<(), String> {
        match self {
            Self::Prebuilt => prepare_prebuilt(triple),
            Self::Source => prepare_source(triple),
        }
    }
}

fn prepare_prebuilt(triple: &str) -> Result<(), String> {
    let mut rustc = Command::new("rustc");
    let libraries = printed(rustc.args(["--print", "target-libdir", "--target", triple]));
    if libraries.is_ok_and(|path| Path::new(&path).exists()) {
        return Ok(());
    }
    install(&["target", "add", triple])
}

fn prepare_source(triple: &str) -> Result<(), String> {
    let sysroot = printed(nightly("rustc").args(["--print", "sysroot"]));
    let has_clippy = || printed(nightly("cargo").args(["clippy", "--version"])).is_ok();
    match &sysroot {
        Ok(root) if sources(root).exists() && has_clippy() => {}
        // Adding to the nightly that is here, because installing would also update it.
        Ok(_) => install(&["component", "add", "--toolchain", "nightly", "rust-src", "clippy"])?,
        Err(_) => {
            let minimal = ["--profile", "minimal", "--component", "rust-src,clippy"];
            install(
                &[&["toolchain", "install", "nightly", "--no-self-update"], &minimal[..]].concat(),
            )?;
        }
    }
    // Apart from the build, so that a registry out of reach is not taken for code that is wrong.
    let root = printed(nightly("rustc").args(["--print", "sysroot"]))?;
    let mut fetch = nightly("cargo");
    fetch.args(["fetch", "--quiet", "--locked", "--target", triple, "--manifest-path"]);
    printed(fetch.arg(sources(&root)))
        .map(drop)
        .map_err(|why| format!("what the standard library depends on cannot be fetched: {why}"))
}

fn sources(sysroot: &str) -> PathBuf {
    Path::new(sysroot).join("lib/rustlib/src/rust/library/Cargo.toml")
}

fn install(rustup: &[&str]) -> Result<(), String> {
    printed(Command::new("rustup").args(rustup))
        .map(drop)
        .map_err(|why| format!("`rustup {}`: {why}", rustup.join(" ")))
}

fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    command
}

/// What a command printed, or in one line why it failed.
fn printed(command: &mut Command) -> Result<String, String> {
    match finish(command) {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(said) => {
            let mut lines = said.lines().filter(|line| !line.trim().is_empty());
            let first = lines.clone().find(|line| line.starts_with("error")).or(lines.next());
            Err(first.unwrap_or("it failed and said nothing").to_owned())
        }
    }
}

/// Runs a command to its end; one that failed or did not start gives all that there is to say.
fn finish(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| {
        format!("error: {} cannot be run: {error}", command.get_program().to_string_lossy())
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { output.status.to_string() } else { said })
}

fn help() -> String {
    let mut help = String::from(
        "bare is the libraries without their features, full with all of them, +tests with their \
         tests and examples. Toolchains and targets that are missing are installed by rustup; a \
         target that cannot be had is skipped, with the reason. Exits with 1 if one \
         fails.\n\nTargets:\n",
    );
    for target in TARGETS {
        let _ = writeln!(help, "  {:<TRIPLE$}  {}", target.triple, target.why);
    }
    help
}
