//! Starting a kernel with programs to run, and listening to its console until it ends.

use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Trouble,
    archive::Archive,
    build::{Program, Target},
    command::{self, Workspace, trouble},
    debian::Suite,
    list::{Kernel, Place},
    modules::{self, files_under},
};

const INIT: &str = include_str!("init.sh");
const RUN: &str = include_str!("run.sh");

/// For netlink's answers (`ss`), and the congestion controls that Debian does not build in.
const MODULES: [&str; 6] = ["inet_diag", "tcp_diag", "ipv6", "tcp_bbr", "tcp_dctcp", "tcp_vegas"];

/// The release whose tools run inside: any kernel here is newer than it needs.
const TOOLS: &str = "bookworm";

/// `ss` with the libraries that it needs, and those that they need.
const SS_PACKAGES: [&str; 18] = [
    "iproute2",
    "libbpf1",
    "libbsd0",
    "libc6",
    "libcap2",
    "libcom-err2",
    "libelf1",
    "libgssapi-krb5-2",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libmd0",
    "libmnl0",
    "libpcre2-8-0",
    "libselinux1",
    "libtirpc3",
    "zlib1g",
];

/// A kernel that is ready to be started.
pub(super) struct Trial {
    command: Command,
    directory: PathBuf,
}

/// What a kernel wrote on its console, and how its run ended.
pub(super) struct Console {
    pub(super) text: String,
    /// Where it is kept.
    pub(super) path: PathBuf,
    pub(super) end: End,
    pub(super) took: Duration,
}

pub(super) enum End {
    Exited(ExitStatus),
    /// It was ended from outside.
    TimeLimit(Duration),
}

pub(super) fn prepare(
    workspace: &Workspace,
    kernel: &Kernel,
    programs: &[Program],
) -> Result<Trial, Trouble> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Trouble::Skipped("kernels are started on x86_64 Linux only".to_owned()));
    }
    let directory = workspace.cache.join("runs").join(kernel.name);
    command::empty_directory(&directory)?;
    let command = match kernel.place {
        Place::Host => on_the_host(&directory, programs),
        Place::UserMode { suite } => {
            in_user_mode(workspace, &directory, &Suite::new(workspace, suite), programs)
        }
        Place::Machine { suite, package } => {
            let unpacked = Suite::new(workspace, suite).kernel(package, kernel.target)?;
            in_a_machine(workspace, &directory, &unpacked, kernel.target, programs)
        }
    }?;
    Ok(Trial { command: dying_with_us(&command)?, directory })
}

/// Its process group is its own, so that an interrupt at the terminal ends us alone: the kernel
/// must not run on.
fn dying_with_us(command: &Command) -> Result<Command, Trouble> {
    command::need("setpriv", "util-linux")?;
    let mut dying = Command::new("setpriv");
    dying.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    dying.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(dying)
}

fn on_the_host(directory: &Path, programs: &[Program]) -> Result<Command, Trouble> {
    write(&directory.join("run.sh"), RUN)?;
    write(&directory.join("programs"), &listed(programs, |program| path_text(&program.path))?)?;
    let mut shell = Command::new("sh");
    shell.arg(directory.join("run.sh")).arg(directory);
    Ok(shell)
}

fn in_user_mode(
    workspace: &Workspace,
    directory: &Path,
    suite: &Suite<'_>,
    programs: &[Program],
) -> Result<Command, Trouble> {
    let unpacked = suite.packages("user-mode-linux", &["user-mode-linux"], Target::Native)?;
    let busybox = busybox(workspace, Target::Native)?;
    let linux = unpacked.join("usr/bin/linux.uml");
    write(&directory.join("init.sh"), INIT)?;
    write(&directory.join("run.sh"), RUN)?;
    write(&directory.join("programs"), &listed(programs, |program| path_text(&program.path))?)?;
    let modules = directory.join("modules");
    command::empty_directory(&modules)?;
    let mut order = String::new();
    for module in modules::load_order(&unpacked, &MODULES)? {
        let path = modules.join(format!("{}.ko", module.name));
        fs::write(&path, &module.bytes).map_err(|error| trouble("write", &path, &error))?;
        let _ = writeln!(order, "{}", module.name);
    }
    write(&modules.join("order"), &order)?;
    // What is mounted there must hide nothing that is needed.
    let short_lived = ["/mnt", "/media", "/srv"].into_iter().find(|mount| {
        Path::new(mount).is_dir()
            && !directory.starts_with(mount)
            && !programs.iter().any(|program| program.path.starts_with(mount))
    });
    let short_lived = short_lived.ok_or_else(|| {
        Trouble::Skipped("none of /mnt, /media and /srv is free to mount on".to_owned())
    })?;

    let mut command = Command::new(runnable(suite, &linux)?);
    // The machine's memory is a file there.
    command.env("TMPDIR", directory);
    command.args(["mem=512M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "panic=-1"]);
    command.args(["con=null", "con0=null,fd:1"]);
    command.arg(format!("init={}", busybox.display()));
    command.args(["--", "sh"]).arg(directory.join("init.sh"));
    command.arg(busybox).arg(directory).arg(short_lived);
    Ok(command)
}

/// A newer release's kernel needs a newer C library than this machine's: that of its own release,
/// which is laid beside it. (It starts itself anew from its file, so the file must name the library.)
fn runnable(suite: &Suite<'_>, linux: &Path) -> Result<PathBuf, Trouble> {
    if command::output(Command::new(linux).arg("--version")).is_ok() {
        return Ok(linux.to_owned());
    }
    let patched = linux.with_extension("patched");
    if patched.is_file() {
        return Ok(patched);
    }
    command::need("patchelf", "patchelf")?;
    let libraries = suite.packages("libc6", &["libc6"], Target::Native)?;
    let loader = files_under(&libraries)?
        .into_iter()
        .find(|path| path.ends_with("ld-linux-x86-64.so.2"))
        .ok_or_else(|| trouble("find a loader in", &libraries, &"no ld-linux-x86-64.so.2"))?;
    let partial = linux.with_extension("part");
    fs::copy(linux, &partial).map_err(|error| trouble("copy", linux, &error))?;
    let mut patch = Command::new("patchelf");
    patch.arg("--set-interpreter").arg(&loader).arg("--set-rpath").arg(loader.with_file_name(""));
    command::output(patch.arg(&partial))?;
    fs::rename(&partial, &patched).map_err(|error| trouble("rename", &partial, &error))?;
    Ok(patched)
}

fn in_a_machine(
    workspace: &Workspace,
    directory: &Path,
    unpacked: &Path,
    target: Target,
    programs: &[Program],
) -> Result<Command, Trouble> {
    let (emulator, package, arguments, console): (_, _, &[&str], _) = match target {
        Target::Aarch64 => (
            "qemu-system-aarch64",
            "qemu-system-arm",
            &["-M", "virt", "-cpu", "cortex-a57", "-serial", "stdio"],
            "ttyAMA0",
        ),
        // Newer kernels add checksums with vector instructions, which emulated give wrong sums: every
        // reset is dropped by its receiver.
        Target::S390x => (
            "qemu-system-s390x",
            "qemu-system-misc",
            &["-cpu", "qemu,vx=off", "-serial", "mon:stdio"],
            "ttysclp0",
        ),
        _ => (
            "qemu-system-x86_64",
            "qemu-system-x86",
            &["-cpu", "qemu64", "-serial", "stdio"],
            "ttyS0",
        ),
    };
    command::need(emulator, package)?;

    let image = files_under(unpacked)?
        .into_iter()
        .find(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name == "vmlinuz" || name.starts_with("vmlinuz-")
        })
        .ok_or_else(|| trouble("find a kernel in", unpacked, &"no vmlinuz"))?;
    let root = directory.join("root.cpio");
    write_root(workspace, &root, unpacked, target, programs)?;

    let mut command = Command::new(emulator);
    command.args(arguments);
    command.args(["-accel", "tcg", "-smp", "2", "-m", "768"]);
    command.args(["-nographic", "-no-reboot", "-nodefaults"]);
    command.arg("-kernel").arg(image).arg("-initrd").arg(root);
    command.arg("-append").arg(format!("console={console} panic=-1 quiet"));
    Ok(command)
}

/// The machine's first and only root directory.
fn write_root(
    workspace: &Workspace,
    path: &Path,
    unpacked: &Path,
    target: Target,
    programs: &[Program],
) -> Result<(), Trouble> {
    let mut archive = Archive::create(path)?;
    for directory in ["proc", "sys", "dev", "tmp"] {
        archive.directory(directory)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.copy("bin/busybox", &busybox(workspace, target)?)?;
    archive.file("try/run.sh", RUN.as_bytes())?;
    let inside = |program: &Program| format!("/try/bin/{}", program.name);
    archive.file("try/programs", listed(programs, |program| Ok(inside(program)))?.as_bytes())?;
    for program in programs {
        archive.copy(inside(program).trim_start_matches('/'), &program.path)?;
    }
    let mut order = String::new();
    for module in modules::load_order(unpacked, &MODULES)? {
        archive.file(&format!("try/modules/{}.ko", module.name), &module.bytes)?;
        let _ = writeln!(order, "{}", module.name);
    }
    archive.file("try/modules/order", order.as_bytes())?;
    add_ss(workspace, &mut archive, target)?;
    archive.finish()
}

/// `ss` of the machine's own architecture, with the libraries and nothing else of its packages.
fn add_ss(workspace: &Workspace, archive: &mut Archive, target: Target) -> Result<(), Trouble> {
    let unpacked = Suite::new(workspace, TOOLS).packages("ss", &SS_PACKAGES, target)?;
    let mut directories = vec![unpacked.clone()];
    while let Some(directory) = directories.pop() {
        let failed = |error| trouble("read", &directory, &error);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name =
                path.strip_prefix(&unpacked).map_err(|error| trouble("read", &path, &error))?;
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            if path.is_dir() && !path.is_symlink() {
                // Character sets, which are most of the C library.
                if file != "gconv" {
                    directories.push(path);
                }
            } else if file == "ss" || file.contains(".so") {
                archive.copy(&path_text(name)?, &path)?;
            }
        }
    }
    Ok(())
}

fn busybox(workspace: &Workspace, target: Target) -> Result<PathBuf, Trouble> {
    let suite = Suite::new(workspace, TOOLS);
    Ok(suite.packages("busybox", &["busybox-static"], target)?.join("bin/busybox"))
}

fn listed(
    programs: &[Program],
    path: impl Fn(&Program) -> Result<String, Trouble>,
) -> Result<String, Trouble> {
    let mut list = String::new();
    for program in programs {
        let _ = writeln!(list, "{} {}", program.name, path(program)?);
    }
    Ok(list)
}

fn path_text(path: &Path) -> Result<String, Trouble> {
    path.to_str().map(str::to_owned).ok_or_else(|| trouble("name", path, &"not in UTF-8"))
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text).map_err(|error| trouble("write", path, &error))
}

impl Trial {
    pub(super) fn run(mut self, limit: Duration) -> Result<Console, Trouble> {
        let path = self.directory.join("console");
        let file =
            |path: &Path| File::create(path).map_err(|error| trouble("create", path, &error));
        let complaints = self.directory.join("complaints");
        self.command.stdin(Stdio::null()).stdout(file(&path)?).stderr(file(&complaints)?);
        // A kernel may be several processes: they are ended together.
        self.command.process_group(0);
        let started = Instant::now();
        let mut child = self.command.spawn().map_err(|error| {
            let program = Path::new(self.command.get_program());
            trouble("start", program, &error)
        })?;
        let end = wait(&mut child, limit)?;
        let took = started.elapsed();
        end_group(&child);
        // Processes of user-mode Linux hold on to large files until they are gone.
        let _ = fs::remove_file(self.directory.join("root.cpio"));
        let read = |path: &Path| fs::read(path).map_err(|error| trouble("read", path, &error));
        let mut bytes = read(&path)?;
        bytes.extend(read(&complaints)?);
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        Ok(Console { text, path, end, took })
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<End, Trouble> {
    let started = Instant::now();
    loop {
        let failed = |error| Trouble::Failed(format!("cannot wait for a kernel: {error}"));
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(End::Exited(status));
        }
        if started.elapsed() >= limit {
            end_group(child);
            child.wait().map_err(failed)?;
            return Ok(End::TimeLimit(limit));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends whatever is left of the process group that this child leads.
fn end_group(child: &Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
}
