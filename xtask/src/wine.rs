//! `cargo xtask wine`: the tests of the Windows build, run under Wine.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const TARGET: &str = "x86_64-pc-windows-gnu";
const PACKAGES: [&str; 2] = ["tcpinfo", "conniver"];

/// What exit codes call "skipped" since automake does.
const SKIPPED: u8 = 77;

/// Tests of what Windows does and Wine does not, by the name of their test binary.
const UNLIKE_WINDOWS: [(&str, &str); 3] = [
    ("endings", "a_reset_by_the_peer_is_reported_with_what_was_moved_before"),
    ("std_io", "a_shutdown_that_comes_too_late_is_no_error_of_writing"),
    ("tokio", "resets_are_errors_of_the_direction_that_met_them"),
];
const WHY_UNLIKE: &str = "under Wine a reset that came before the read reads as an end";

/// Runs the Windows build of the tests of `tcpinfo` and `conniver` under Wine, binary by binary.
///
/// Wine carries out the system calls of Windows as far as it knows them. It refuses SIO_TCP_INFO,
/// so what is tested of it is the refusal; the tests are right on Windows too.
#[derive(clap::Args)]
#[command(after_help = "\
Needed, on x86-64 Linux (Debian's packages): wine64, gcc-mingw-w64-x86-64, and
rustup target add x86_64-pc-windows-gnu. No display is needed. What Wine writes
lies in target/wine: its prefix, and the output of each test binary.

Exit status: 0 all passed, 1 something failed, 77 skipped because a tool is
missing.")]
pub(crate) struct Args {
    /// End a test binary that takes longer, as failed
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) => {
            println!("skipped: the Windows build under Wine: {missing}");
            return ExitCode::from(SKIPPED);
        }
    };
    match test(&tools, Duration::from_secs(args.limit)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo xtask wine: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What must be there already.
struct Tools {
    cargo: OsString,
    wine: PathBuf,
    /// Wine's own kernel, a process that outlives the programs it serves.
    server: PathBuf,
    compiler: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err("it is made for Linux on x86-64".to_owned());
        }
        // Debian keeps Wine's own program out of the path.
        let wine = ["wine64", "wine", "/usr/lib/wine/wine64"];
        let wine = wine.into_iter().find_map(program).ok_or("no wine here (package wine64)")?;
        // Beside it or in the path; Debian has it in a third place.
        let beside = wine.with_file_name("wineserver");
        let server =
            [beside.to_str().unwrap_or_default(), "wineserver", "/usr/lib/wine/wineserver"];
        let server =
            server.into_iter().find_map(program).ok_or("no wineserver here (package wine64)")?;
        let compiler = program("x86_64-w64-mingw32-gcc")
            .ok_or("no x86_64-w64-mingw32-gcc here (package gcc-mingw-w64-x86-64)")?;
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let library = Command::new(rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()
            .map_err(|error| format!("rustc does not run: {error}"))?;
        if !Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
            return Err(format!(
                "no standard library for Windows here (rustup target add {TARGET})"
            ));
        }
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Self { cargo, wine, server, compiler })
    }
}

/// Where a program lies, if it is there.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether everything passed.
fn test(tools: &Tools, limit: Duration) -> Result<bool, String> {
    let folder = target_folder(tools)?.join("wine");
    let wine = Wine::start(tools, &folder)?;
    let binaries = build(tools)?;

    println!("passed failed ignored seconds");
    let mut total = Counts::default();
    let mut seconds = 0.0;
    let mut failures = Vec::new();
    let mut show = |name: &str, outcome: Outcome| {
        print_row(outcome.counts, outcome.took.as_secs_f64(), name);
        total.add(outcome.counts);
        seconds += outcome.took.as_secs_f64();
        if let Err(why) = outcome.verdict {
            eprint!("{}", outcome.output);
            failures.push(format!("{name}: {why}"));
        }
    };
    for binary in &binaries {
        show(&binary.name, wine.run(binary, limit)?);
    }
    for package in PACKAGES {
        show(&format!("{package} documentation"), wine.run_doc_tests(tools, package)?);
    }
    print_row(total, seconds, "all");
    for (binary, test) in UNLIKE_WINDOWS {
        println!("skipped: {binary} {test}: {WHY_UNLIKE}");
    }
    println!("what the tests said: {}", wine.output.display());
    for failure in &failures {
        eprintln!("cargo xtask wine: {failure}");
    }
    Ok(failures.is_empty())
}

fn print_row(counts: Counts, seconds: f64, name: &str) {
    let Counts { passed, failed, ignored, .. } = counts;
    println!("{passed:6} {failed:6} {ignored:7} {seconds:7.2}  {name}");
}

fn target_folder(tools: &Tools) -> Result<PathBuf, String> {
    let mut metadata = Command::new(&tools.cargo);
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = metadata.output().map_err(|error| format!("cargo does not run: {error}"))?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout)
        .map_err(|error| format!("cargo metadata is not understood: {error}"))?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder.ok_or("cargo metadata tells no target_directory")?.into())
}

/// A test program for Windows.
struct Binary {
    /// Package and source file.
    name: String,
    /// The target's name, which is that of the program but for a hash.
    target: String,
    file: PathBuf,
    /// Where Cargo would run it.
    folder: PathBuf,
}

/// Builds the tests, and the examples so that they are known to build.
fn build(tools: &Tools) -> Result<Vec<Binary>, String> {
    let build = cargo_test(tools, &PACKAGES)
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if !build.status.success() {
        return Err("the tests do not build for Windows".to_owned());
    }
    let messages = String::from_utf8_lossy(&build.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut binaries: Vec<_> = messages.filter_map(|message: Value| binary(&message)).collect();
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    if binaries.is_empty() { Err("cargo built no tests".to_owned()) } else { Ok(binaries) }
}

fn binary(message: &Value) -> Option<Binary> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let source = Path::new(message["target"]["src_path"].as_str()?);
    let source = source.strip_prefix(folder).unwrap_or(source);
    Some(Binary {
        name: format!("{} {}", folder.file_name()?.to_string_lossy(), source.display()),
        target: message["target"]["name"].as_str()?.to_owned(),
        file: message["executable"].as_str()?.into(),
        folder: folder.to_owned(),
    })
}

fn cargo_test(tools: &Tools, packages: &[&str]) -> Command {
    let mut cargo = Command::new(&tools.cargo);
    cargo.args(["test", "--target", TARGET, "--all-features"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo
}

/// Wine with a prefix of its own.
struct Wine {
    program: PathBuf,
    server: PathBuf,
    environment: [(&'static str, OsString); 4],
    output: PathBuf,
}

impl Wine {
    /// Makes or updates the prefix, and what this Wine may lack.
    fn start(tools: &Tools, folder: &Path) -> Result<Self, String> {
        let make = |folder: PathBuf| match fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(error) => Err(format!("cannot make {}: {error}", folder.display())),
        };
        let prefix = make(folder.join("prefix"))?;
        let libraries = make(folder.join("libraries"))?;
        let output = make(folder.join("output"))?;
        compile_library(tools, &libraries.join("bcryptprimitives.dll"))?;
        let environment = [
            ("WINEPREFIX", prefix.into()),
            ("WINEDEBUG", "-all".into()),
            // Folders of this system are those of drive Z.
            ("WINEPATH", format!("Z:{}", libraries.display()).replace('/', "\\").into()),
            // The .NET and HTML engines that Wine would offer to fetch, and menus of a desktop.
            ("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=".into()),
        ];
        let wine =
            Self { program: tools.wine.clone(), server: tools.server.clone(), environment, output };
        let mut boot = Command::new(&wine.program);
        wine.prepare(boot.args(["wineboot", "--update"]));
        boot.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match boot.status() {
            Ok(status) if status.success() => Ok(wine),
            Ok(status) => Err(format!("wine makes no prefix ({status}); remove {folder:?}")),
            Err(error) => Err(format!("{} does not run: {error}", wine.program.display())),
        }
    }

    fn prepare(&self, command: &mut Command) {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    }

    fn run(&self, binary: &Binary, limit: Duration) -> Result<Outcome, String> {
        let skipped = UNLIKE_WINDOWS.iter().filter(|(target, _)| *target == binary.target);
        let mut command = Command::new(&self.program);
        command.arg(&binary.file).arg("--show-output").current_dir(&binary.folder);
        let mut expected = 0;
        for (_, test) in skipped {
            command.args(["--skip", test]);
            expected += 1;
        }
        let mut outcome = self.outcome(command, &binary.name, Some(limit))?;
        if outcome.verdict.is_ok() && outcome.counts.filtered_out != expected {
            outcome.verdict =
                Err("not the tests that UNLIKE_WINDOWS names were skipped".to_owned());
        }
        Ok(outcome)
    }

    /// Cargo builds these while it runs them, and hands each program to Wine.
    fn run_doc_tests(&self, tools: &Tools, package: &str) -> Result<Outcome, String> {
        let mut command = cargo_test(tools, &[package]);
        command.arg("--doc").env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", &self.program);
        self.outcome(command, &format!("{package} documentation"), None)
    }

    /// Runs a program of tests to its end, or to the limit.
    fn outcome(
        &self,
        mut command: Command,
        name: &str,
        limit: Option<Duration>,
    ) -> Result<Outcome, String> {
        // Into a file, because Wine's server inherits a pipe and holds it open.
        let file = self.output.join(format!("{}.txt", name.replace([' ', '/'], "-")));
        let broken = |error: io::Error| format!("{name}: {}: {error}", file.display());
        let stdout = File::create(&file).map_err(broken)?;
        let stderr = stdout.try_clone().map_err(broken)?;
        self.prepare(command.stdin(Stdio::null()).stdout(stdout).stderr(stderr));

        let began = Instant::now();
        let status = status_within(&mut command, limit).map_err(broken)?;
        let took = began.elapsed();
        let output = fs::read(&file).map_err(broken)?;
        let output = String::from_utf8_lossy(&output).into_owned();
        let counts = Counts::read(&output);
        let verdict = match (status, &counts) {
            (None, _) => Err("it took longer than the limit".to_owned()),
            (Some(status), _) if !status.success() => Err(status.to_string()),
            (_, None) => Err("it told no result of tests".to_owned()),
            (_, Some(counts)) if counts.failed > 0 => Err("tests failed".to_owned()),
            _ => Ok(()),
        };
        Ok(Outcome { counts: counts.unwrap_or_default(), took, verdict, output })
    }
}

impl Drop for Wine {
    /// Ends what still runs in the prefix, which writes into it to the end.
    fn drop(&mut self) {
        for what in ["--kill", "--wait"] {
            let mut server = Command::new(&self.server);
            self.prepare(server.arg(what).stdin(Stdio::null()));
            // Fails where nothing runs any more, which is what is wanted.
            let _ = server.stderr(Stdio::null()).status();
        }
    }
}

/// Compiles the library that an older Wine lacks.
fn compile_library(tools: &Tools, file: &Path) -> Result<(), String> {
    let source = include_bytes!("wine/bcryptprimitives.c");
    let mut compiler = Command::new(&tools.compiler);
    compiler.args(["-x", "c", "-", "-shared", "-O1", "-o"]).arg(file).arg("-ladvapi32");
    let broken = |why: String| format!("{} cannot be compiled: {why}", file.display());
    let mut compiler =
        compiler.stdin(Stdio::piped()).spawn().map_err(|error| broken(error.to_string()))?;
    if let Some(mut stdin) = compiler.stdin.take() {
        stdin.write_all(source).map_err(|error| broken(error.to_string()))?;
    }
    let status = compiler.wait().map_err(|error| broken(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(broken(status.to_string())) }
}

/// The status of a program, or nothing if it had to be ended at the limit.
fn status_within(command: &mut Command, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    let Some(limit) = limit else { return command.status().map(Some) };
    let began = Instant::now();
    let mut child = command.spawn()?;
    while began.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// How a program of tests ended.
struct Outcome {
    counts: Counts,
    took: Duration,
    verdict: Result<(), String>,
    output: String,
}

/// What test programs say of themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
    filtered_out: u32,
}

impl Counts {
    /// The sum over all results in an output, of which documentation has several.
    fn read(output: &str) -> Option<Self> {
        let results = output.lines().filter_map(|line| line.strip_prefix("test result: "));
        results.map(Self::from_result).reduce(|mut sum, counts| {
            sum.add(counts);
            sum
        })
    }

    fn from_result(line: &str) -> Self {
        let number = |what: &str| {
            let number = line.split(what).next()?.rsplit(' ').next()?;
            number.parse().ok()
        };
        let number = |what| number(what).unwrap_or(0);
        Self {
            passed: number(" passed"),
            failed: number(" failed"),
            ignored: number(" ignored"),
            filtered_out: number(" filtered out"),
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.filtered_out += other.filtered_out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_test_programs_are_added_up() {
        let output = "\
running 3 tests
test result: ok. 13 passed; 0 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.00s
test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let sum = Counts { passed: 14, failed: 4, ignored: 2, filtered_out: 1 };
        assert_eq!(Counts::read(output), Some(sum));
        assert_eq!(Counts::read("wine: cannot find it\n"), None);
    }
}
