//! `cargo xtask fuzz`: what must hold of the decoders for any bytes, tried by libFuzzer.
//!
//! The targets and what they assert are in `fuzz/`. What is found to reach new code is kept in
//! `fuzz/corpus`, which begins with the seeds that are made here.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::builder::PossibleValuesParser;
use serde_json::Value;

use crate::tools::{need_nightly, nightly, printed, root, skipped, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these targets
    #[arg(value_name = "TARGET")]
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.name)))]
    names: Vec<String>,

    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Show which part of the libraries the inputs reach, by lines and regions of its source
    #[arg(long)]
    coverage: bool,
}

struct Target {
    name: &'static str,
    steering: Steering,
    /// Longer inputs say nothing new: the most bytes that are kept, and those that steer.
    max_len: usize,
    /// Lengths that kernels return, and one more.
    lengths: &'static [usize],
}

/// What stands before the kernel's bytes in an input.
enum Steering {
    /// Byte order, Linux' major version, where to cut.
    Structure,
    /// Byte order, Linux' major version, system, thresholds, the length of a name, the name.
    Portable,
    /// The place of a name in the target's list.
    Congestion,
    /// Whether it is one socket or a datagram of messages.
    SockDiag,
    /// Whether it is any text or one made of words, and how long it is.
    Filter,
    /// Whether it is a list or a file of one.
    SockList,
    /// Whether it is any bytes, a certificate, or a damaged one.
    Certificate,
}

const TARGETS: &[Target] = &[
    Target {
        name: "linux",
        steering: Steering::Structure,
        max_len: 4 + 520,
        lengths: &[104, 120, 136, 144, 160, 168, 192, 200, 224, 232, 240, 248, 280, 300],
    },
    Target {
        name: "mptcp",
        steering: Steering::Structure,
        max_len: 4 + 264,
        lengths: &[44, 80, 84, 96, 104],
    },
    Target {
        name: "apple",
        steering: Steering::Structure,
        max_len: 4 + 392,
        lengths: &[104, 112, 120],
    },
    Target {
        name: "apple_socket",
        steering: Steering::Structure,
        max_len: 4 + 1032,
        lengths: &[256, 792, 800],
    },
    Target {
        name: "windows",
        steering: Steering::Structure,
        max_len: 4 + 392,
        lengths: &[88, 136, 152, 160],
    },
    Target {
        name: "freebsd",
        steering: Steering::Structure,
        max_len: 4 + 392,
        lengths: &[236, 240, 256, 264],
    },
    Target {
        name: "netbsd",
        steering: Steering::Structure,
        max_len: 4 + 392,
        lengths: &[236, 244],
    },
    Target {
        name: "openbsd",
        steering: Steering::Structure,
        max_len: 4 + 392,
        lengths: &[212, 220],
    },
    Target {
        name: "congestion",
        steering: Steering::Congestion,
        max_len: 128,
        lengths: &[0, 16, 20, 24, 28, 36, 84, 100],
    },
    Target {
        name: "portable",
        steering: Steering::Portable,
        max_len: 24 + 520,
        lengths: &[88, 112, 136, 152, 212, 232, 236, 240, 256, 280],
    },
    Target {
        name: "sock_diag",
        steering: Steering::SockDiag,
        max_len: 1 + 1100,
        // Of the facts within.
        lengths: &[104, 232, 280],
    },
    Target {
        name: "filter",
        steering: Steering::Filter,
        max_len: 2 + 255 + 4 * 12,
        // Of the text and the sockets behind.
        lengths: &[4, 12, 30, 90],
    },
    Target {
        name: "sock_list",
        steering: Steering::SockList,
        max_len: 1 + 4000,
        // Of the facts within.
        lengths: &[0, 104, 280],
    },
    Target {
        name: "certificate",
        steering: Steering::Certificate,
        max_len: 1 + 2_000,
        // Of what it is made of.
        lengths: &[0, 40, 400],
    },
];

pub(crate) fn run(args: &Args) -> ExitCode {
    let components: &[&str] = if args.coverage { &["llvm-tools"] } else { &[] };
    if let Err(why) = need_nightly(components).and_then(|()| need_cargo_fuzz()) {
        return skipped(&why);
    }
    match fuzz(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn need_cargo_fuzz() -> Result<(), String> {
    if printed(cargo_fuzz().arg("--version")).is_ok() {
        return Ok(());
    }
    eprintln!("installing cargo-fuzz");
    printed(Command::new("cargo").args(["install", "--locked", "--quiet", "cargo-fuzz"]))
        .map(drop)
        .map_err(|why| format!("`cargo install --locked cargo-fuzz`: {why}"))
}

/// Whether all targets ran to their end.
fn fuzz(args: &Args) -> Result<bool, String> {
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|target| args.names.is_empty() || args.names.iter().any(|name| name == target.name))
        .collect();
    let host = host()?;
    let built = target_dir("fuzz");
    // The decoders hold no unsafe code, so that a sanitizer would only make them slower.
    let build = ["build", "--sanitizer", "none", "--target", &host, "--target-dir"];
    let status = cargo_fuzz().args(build).arg(&built).status();
    if !status.map_err(|error| format!("cargo fuzz: {error}"))?.success() {
        return Err("the fuzz targets do not compile".to_owned());
    }

    println!(
        "{:12} {:>12} {:>9} {:>6} {:>7} {:>7}",
        "target", "executions", "a second", "edges", "feature", "corpus"
    );
    let mut all_held = true;
    for target in &chosen {
        let corpus = root().join("fuzz/corpus").join(target.name);
        plant(target, &corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        print!("{:12} ", target.name);
        let _ = io::stdout().flush();
        match target.run(&built.join(&host).join("release"), &corpus, args.seconds)? {
            Ok(figures) => println!("{figures}"),
            Err(crash) => {
                all_held = false;
                println!("failed: {crash}");
            }
        }
    }
    if args.coverage {
        coverage(&chosen, &host, &built)?;
    }
    Ok(all_held)
}

impl Target {
    /// What libFuzzer counted, or what it found and where it wrote the input that shows it.
    fn run(
        &self,
        programs: &Path,
        corpus: &Path,
        seconds: u32,
    ) -> Result<Result<String, String>, String> {
        let artifacts = root().join("fuzz/artifacts").join(self.name);
        fs::create_dir_all(&artifacts)
            .map_err(|error| format!("{}: {error}", artifacts.display()))?;
        let program = programs.join(self.name);
        let output = Command::new(&program)
            .arg(corpus)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={}", self.max_len))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-print_final_stats=1", "-timeout=10"])
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let log = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return figures(&log)
                .map(Ok)
                .ok_or_else(|| format!("{}: libFuzzer's figures are not understood", self.name));
        }
        let after = |mark: &str| log.split_once(mark).and_then(|(_, rest)| rest.lines().next());
        let why = log
            .lines()
            .skip_while(|line| !line.contains("panicked at"))
            .take(4)
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        Ok(Err(match after("Test unit written to ") {
            Some(file) => format!("{why}\n  again: {} {file}", program.display()),
            None => format!("{}: {}", output.status, log.lines().last().unwrap_or_default()),
        }))
    }

    /// Inputs to begin with: every length that kernels return, in both byte orders.
    fn seeds(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let steerings: Vec<Vec<u8>> = match self.steering {
            Steering::Structure => (0..2).map(|order| vec![order, 6 + order, 100, 0]).collect(),
            Steering::Portable => (0..12)
                .map(|kind| [&[kind & 1, 7, kind / 2, kind, 6], b"cubic".as_slice()].concat())
                .collect(),
            Steering::Congestion => (0..10).map(|name| vec![name]).collect(),
            Steering::SockDiag | Steering::SockList => (0..2).map(|which| vec![which]).collect(),
            Steering::Filter => {
                [[0, 20], [1, 6], [1, 20]].map(|steering| steering.to_vec()).to_vec()
            }
            Steering::Certificate => (0..3).map(|which| vec![which]).collect(),
        };
        steerings.into_iter().flat_map(move |steering| {
            self.lengths.iter().flat_map(move |&length| {
                let steering = steering.clone();
                patterns(length).map(move |bytes| match self.steering {
                    Steering::SockDiag => {
                        [steering.as_slice(), &told(steering == [1], &bytes)].concat()
                    }
                    Steering::SockList => {
                        [steering.as_slice(), &listed(steering == [1], &bytes)].concat()
                    }
                    _ => [steering.as_slice(), &bytes].concat(),
                })
            })
        })
    }
}

/// A list of two sockets with these facts and its end: datagrams behind their lengths, or a file.
fn listed(is_file: bool, facts: &[u8]) -> Vec<u8> {
    let message = |kind: u16, payload: &[u8]| {
        let len = u32::try_from(16 + payload.len()).unwrap_or(u32::MAX);
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), [0; 2]].as_flattened());
        bytes.extend([1u32, 0x0102_0304].map(u32::to_ne_bytes).as_flattened());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let socket = told(false, facts);
    let pieces = [[message(18, &socket), message(20, &socket)].concat(), message(3, &[0; 4])];
    let with_length = |piece: &Vec<u8>| {
        let len = u16::try_from(piece.len()).unwrap_or(u16::MAX).to_le_bytes();
        if is_file { piece.clone() } else { [len.as_slice(), piece].concat() }
    };
    pieces.iter().flat_map(with_length).collect()
}

/// What netlink tells of a socket with these facts: `struct inet_diag_msg`, attributes and, as a
/// message, a header before.
fn told(is_message: bool, facts: &[u8]) -> Vec<u8> {
    let attribute = |number: u16, payload: &[u8]| {
        let len = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
        let mut bytes = [len.to_ne_bytes(), number.to_ne_bytes()].concat();
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let mut bytes = vec![0; 72];
    let state = facts.first().copied().unwrap_or(1);
    bytes.splice(..4, [if facts.len() > 200 { 10 } else { 2 }, state, 1, 2]);
    bytes.splice(4..28, (1..=24).collect::<Vec<u8>>());
    let nested = [attribute(1, b"mptcp\0"), attribute(2, &attribute(1, &[4, 3]))].concat();
    for (number, payload) in [
        (14, &[] as &[u8]),
        (8, &[1]),
        (5, &[0xb8]),
        (15, &[1; 4]),
        (21, &[2; 8]),
        (22, &[2, 1]),
        (1, &[3; 16]),
        (7, &[4; 36]),
        (2, facts),
        (4, b"bbr\0"),
        (16, &[5; 20]),
        (3, &[6; 16]),
        (9, &[7; 16]),
        (19, &nested),
        (500, b"new"),
    ] {
        bytes.extend(attribute(number, payload));
    }
    if is_message {
        let len = u32::try_from(16 + bytes.len()).unwrap_or(u32::MAX);
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(20u16.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(bytes);
        // The end of a list behind.
        message.extend([20u32, 3, 0, 0, 0].map(u32::to_ne_bytes).as_flattened());
        return message;
    }
    bytes
}

/// Nothing, small numbers, and all bytes different behind each state that a connection begins in.
fn patterns(length: usize) -> impl Iterator<Item = Vec<u8>> {
    let counting = move |state: u8| {
        let bytes = (0..length).map(|index| if index == 0 { state } else { (index % 251) as u8 });
        bytes.collect()
    };
    [vec![0; length], vec![1; length], vec![4; length], counting(1), counting(4)].into_iter()
}

fn plant(target: &Target, corpus: &Path) -> io::Result<()> {
    fs::create_dir_all(corpus)?;
    for (index, seed) in target.seeds().enumerate() {
        fs::write(corpus.join(format!("seed-{index}")), seed)?;
    }
    Ok(())
}

/// From `#917504 DONE cov: 683 ft: 2033 corp: 306/47Kb …` and the statistics below it.
fn figures(log: &str) -> Option<String> {
    let last = log.lines().rev().find(|line| line.contains(" cov: "))?;
    let after = |mark: &str| last.split_once(mark)?.1.split([' ', '/']).next();
    let counted = |what: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(&format!("stat::{what}:")))?;
        line.trim().parse::<u64>().ok()
    };
    Some(format!(
        "{:>12} {:>9} {:>6} {:>7} {:>7}",
        counted("number_of_executed_units")?,
        counted("average_exec_per_sec")?,
        after(" cov: ")?,
        after(" ft: ")?,
        after(" corp: ")?,
    ))
}

/// Prints the share of the libraries' source that the corpora reach, of each target and of all.
fn coverage(targets: &[&Target], host: &str, built: &Path) -> Result<(), String> {
    let sysroot = printed(nightly("rustc").args(["--print", "sysroot"]))?;
    let tools = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    let mut reached = Vec::new();
    println!("\n{:12} {:>14} {:>18}", "target", "lines", "regions");
    for target in targets {
        let name = target.name;
        let built = built.join("coverage");
        printed(
            cargo_fuzz()
                .args(["coverage", "--sanitizer", "none", "--target", host, "--target-dir"])
                .arg(&built)
                .arg(name),
        )
        .map_err(|why| format!("cargo fuzz coverage {name}: {why}"))?;
        let program = find(&built, name)
            .ok_or_else(|| format!("{}: no program {name} below it", built.display()))?;
        let profile = root().join("fuzz/coverage").join(name).join("coverage.profdata");
        let files = files(&tools, std::slice::from_ref(&program), &profile)?;
        println!("{name:12} {}", Share::of(&files));
        reached.push((program, profile));
    }
    let all = root().join("fuzz/coverage/all.profdata");
    let (programs, profiles): (Vec<_>, Vec<_>) = reached.into_iter().unzip();
    let merge = tools.join("llvm-profdata");
    printed(Command::new(merge).args(["merge", "-sparse", "-o"]).arg(&all).args(profiles))?;
    let files = files(&tools, &programs, &all)?;
    println!("{:12} {}\n", "all", Share::of(&files));
    for file in &files {
        println!("{:30} {}", file.name, Share::of(std::slice::from_ref(file)));
    }
    Ok(())
}

/// Where `cargo fuzz coverage` left a program: it puts directories of its own between.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let here = directory.join(name);
    if directory.ends_with("release") && here.is_file() {
        return Some(here);
    }
    entries.into_iter().filter(|path| path.is_dir()).find_map(|path| find(&path, name))
}

struct File {
    name: String,
    summary: Value,
}

/// Each source file of the decoders with its summary.
fn files(tools: &Path, programs: &[PathBuf], profile: &Path) -> Result<Vec<File>, String> {
    let mut command = Command::new(tools.join("llvm-cov"));
    command.args(["export", "-summary-only", "-format=text", "-instr-profile"]).arg(profile);
    for (index, program) in programs.iter().enumerate() {
        if index > 0 {
            command.arg("-object");
        }
        command.arg(program);
    }
    let report: Value = serde_json::from_str(&printed(&mut command)?)
        .map_err(|error| format!("llvm-cov's report: {error}"))?;
    let files = report["data"][0]["files"].as_array().ok_or("llvm-cov reports no files")?;
    let ours = files.iter().filter_map(|file| {
        let (_, path) = file["filename"].as_str()?.split_once("crates/")?;
        let (library, name) = path.split_once("/src/")?;
        // What asks the running system is no decoder.
        let asks: &[&str] = match library {
            "httpstat" if name.starts_with("tls/x509/") => &[],
            "tcpinfo" => &["sys/", "sys.rs", "sock.rs"],
            "sockdiag" => {
                &["sys/", "sys.rs", "socket.rs", "conversation.rs", "lookup.rs", "error.rs"]
            }
            _ => return None,
        };
        let decodes = !asks.iter().any(|ask| name.starts_with(ask));
        decodes.then(|| File { name: path.replace("/src/", "/"), summary: file["summary"].clone() })
    });
    Ok(ours.collect())
}

struct Share {
    lines: [u64; 2],
    regions: [u64; 2],
}

impl Share {
    fn of(files: &[File]) -> Self {
        let sum = |what: &str, which: &str| {
            files.iter().filter_map(|file| file.summary[what][which].as_u64()).sum()
        };
        let both = |what| [sum(what, "covered"), sum(what, "count")];
        Self { lines: both("lines"), regions: both("regions") }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for [covered, count] in [self.lines, self.regions] {
            let percent = 100.0 * covered as f64 / count.max(1) as f64;
            write!(f, " {percent:5.1} % {:>9}", format!("{covered}/{count}"))?;
        }
        Ok(())
    }
}

fn host() -> Result<String, String> {
    let version = printed(nightly("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}

fn cargo_fuzz() -> Command {
    let mut command = nightly("cargo");
    command.arg("fuzz");
    command
}
