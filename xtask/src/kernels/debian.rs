//! Packages of any Debian release and architecture, unpacked into the cache and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Trouble,
    build::Target,
    command::{self, Workspace, trouble},
};

const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "s390x"];
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A Debian release, seen through a private directory: what apt knows of this machine stays as it
/// is.
pub(super) struct Suite<'a> {
    workspace: &'a Workspace,
    name: &'static str,
}

impl<'a> Suite<'a> {
    pub(super) const fn new(workspace: &'a Workspace, name: &'static str) -> Self {
        Self { workspace, name }
    }

    /// The newest kernel, which a package without content depends on.
    pub(super) fn kernel(&self, package: &str, target: Target) -> Result<PathBuf, Trouble> {
        let name = format!("{package}-{}", target.debian());
        self.unpacked(&name, || self.kernel_packages(package, target))
    }

    /// These packages, laid over one another.
    pub(super) fn packages(
        &self,
        name: &str,
        packages: &[&str],
        target: Target,
    ) -> Result<PathBuf, Trouble> {
        let name = format!("{name}-{}", target.debian());
        self.unpacked(&name, || {
            Ok(packages.iter().map(|package| format!("{package}:{}", target.debian())).collect())
        })
    }

    fn unpacked(
        &self,
        name: &str,
        packages: impl Fn() -> Result<Vec<String>, Trouble>,
    ) -> Result<PathBuf, Trouble> {
        let directory = self.workspace.cache.join(self.name).join(name);
        if directory.is_dir() {
            return Ok(directory);
        }
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if command::find(program).is_none() {
                return Err(Trouble::Skipped(format!("{program} is missing")));
            }
        }
        self.update()?;
        let packages = packages()?;
        eprintln!("fetching {}", packages.join(" "));
        let archives = directory.with_extension("debs");
        command::empty_directory(&archives)?;
        let mut download = self.apt("get");
        download.current_dir(&archives).args(["-q", "download"]).args(&packages);
        let list = packages.join(" ");
        let skipped = |why: &str| Trouble::Skipped(format!("{list} cannot be had: {why}"));
        or_else(command::output(&mut download), skipped)?;

        // Under its own name only when complete, so that an interrupted run leaves nothing half.
        let partial = directory.with_extension("part");
        command::empty_directory(&partial)?;
        let entries =
            fs::read_dir(&archives).map_err(|error| trouble("read", &archives, &error))?;
        for entry in entries {
            let archive = entry.map_err(|error| trouble("read", &archives, &error))?.path();
            let mut unpack = Command::new("dpkg-deb");
            command::output(unpack.arg("--extract").arg(&archive).arg(&partial))?;
        }
        fs::remove_dir_all(&archives).map_err(|error| trouble("remove", &archives, &error))?;
        fs::rename(&partial, &directory).map_err(|error| trouble("rename", &partial, &error))?;
        Ok(directory)
    }

    /// The kernel may be cut into several packages: the image, its modules.
    fn kernel_packages(&self, package: &str, target: Target) -> Result<Vec<String>, Trouble> {
        let first = format!("{package}:{}", target.debian());
        let mut found = vec![first.clone()];
        let mut next = 0;
        while let Some(package) = found.get(next).cloned() {
            next += 1;
            let mut depends = self.apt("cache");
            depends.args(["depends", "--important", &package]);
            let skipped = |why: &str| Trouble::Skipped(format!("{package} is unknown: {why}"));
            let text = or_else(command::output(&mut depends), skipped)?;
            for line in String::from_utf8_lossy(&text).lines() {
                let Some(name) = line.trim_start().strip_prefix("Depends: ") else { continue };
                let parts = ["linux-image-", "linux-binary-", "linux-modules-"];
                if parts.iter().any(|part| name.starts_with(part))
                    && !found.iter().any(|known| known == name)
                {
                    found.push(name.to_owned());
                }
            }
        }
        found.retain(|package| *package != first);
        if found.is_empty() {
            return Err(Trouble::Skipped(format!("{first} depends on no kernel")));
        }
        Ok(found)
    }

    fn update(&self) -> Result<(), Trouble> {
        let home = self.home();
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = home.join(part);
            fs::create_dir_all(&part).map_err(|error| trouble("make", &part, &error))?;
        }
        let write = |name: &str, text: &str| {
            let path = home.join(name);
            fs::write(&path, text).map_err(|error| trouble("write", &path, &error))
        };
        let keys =
            if Path::new(KEYS).is_file() { format!(" signed-by={KEYS}") } else { String::new() };
        let architectures = ARCHITECTURES.join(",");
        let (archive, suite) = (archive()?, self.name);
        write("status", "")?;
        write(
            "sources.list",
            &format!("deb [arch={architectures}{keys}] {archive} {suite} main\n"),
        )?;
        let skipped =
            |why: &str| Trouble::Skipped(format!("Debian {suite} is out of reach: {why}"));
        or_else(command::output(self.apt("get").args(["-q", "update"])), skipped)?;
        Ok(())
    }

    fn apt(&self, which: &str) -> Command {
        let mut apt = Command::new(format!("apt-{which}"));
        let mut option = |name: &str, value: &str| {
            apt.arg("-o").arg(format!("{name}={value}"));
        };
        let home = self.home();
        let path = |part: &str| home.join(part).display().to_string();
        option("Dir::Etc::sourcelist", &path("sources.list"));
        option("Dir::Etc::sourceparts", "-");
        option("Dir::State", &path("."));
        option("Dir::State::lists", &path("lists"));
        option("Dir::State::status", &path("status"));
        option("Dir::Cache", &path("cache"));
        // The cache may lie where the user that apt would change to cannot write.
        option("APT::Sandbox::User", "root");
        for architecture in ARCHITECTURES {
            option("APT::Architectures::", architecture);
        }
        apt
    }

    fn home(&self) -> PathBuf {
        self.workspace.cache.join("apt").join(self.name)
    }
}

/// Where this machine gets its own packages from, which has the other releases too.
fn archive() -> Result<String, Trouble> {
    let uris = command::output(Command::new("apt-get").args(["--print-uris", "update"]))?;
    // 'ARCHIVE/dists/SUITE/InRelease' NAME SIZE
    String::from_utf8_lossy(&uris)
        .lines()
        .filter_map(|line| line.strip_prefix('\'')?.split('\'').next()?.split_once("/dists/"))
        .find(|(_, rest)| {
            let suite = rest.strip_suffix("/InRelease");
            suite.is_some_and(|suite| !suite.contains(['/', '-']))
        })
        .map(|(archive, _)| archive.to_owned())
        .ok_or_else(|| Trouble::Skipped("apt is given no Debian release here".to_owned()))
}

/// Of a program's complaints the last line is the reason; before it come its name and arguments.
fn or_else<T>(result: Result<T, Trouble>, skipped: impl Fn(&str) -> Trouble) -> Result<T, Trouble> {
    result.map_err(|trouble| match trouble {
        Trouble::Skipped(why) | Trouble::Failed(why) => {
            skipped(why.lines().last().unwrap_or_default())
        }
    })
}
