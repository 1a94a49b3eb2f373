//! The programs that are compared, and one run of them.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::bench::{
    cost::Trouble,
    programs,
    rusage::{self, Ended},
};

use super::site::Site;

/// A program that makes one request and leaves no trace.
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    /// Authorities to trust besides its own.
    authorities: Option<PathBuf>,
}

impl Program {
    pub(super) fn httpstat(site: &Site) -> Result<Self, Trouble> {
        Self::httpstat_that_trusts(site.authorities())
    }

    pub(super) fn httpstat_that_trusts(authorities: Option<&Path>) -> Result<Self, Trouble> {
        Ok(Self {
            path: programs::built("conniver-httpstat", "httpstat")?,
            arguments: ["--format", "jsonl"].map(OsString::from).to_vec(),
            authorities: authorities.map(Path::to_owned),
        })
    }

    pub(super) fn curl(site: &Site) -> Result<Self, Trouble> {
        let path = programs::in_path("curl").ok_or(Trouble::Skipped("no curl"))?;
        let mut arguments = ["-s", "-o", "/dev/null"].map(OsString::from).to_vec();
        arguments.extend(site.wish_of_curl().map(OsString::from));
        Ok(Self { path, arguments, authorities: site.authorities().map(Path::to_owned) })
    }

    /// Where Go installs: its folder may not be in the path, and if it is, ours may come first.
    pub(super) fn go() -> Result<Self, Trouble> {
        let folder = |name: &str| env::var_os(name).map(PathBuf::from);
        [
            folder("GOBIN"),
            folder("GOPATH").map(|path| path.join("bin")),
            folder("HOME").map(|path| path.join("go/bin")),
        ]
        .into_iter()
        .flatten()
        .map(|folder| folder.join("httpstat"))
        .find(|path| path.is_file())
        .map(|path| Self { path, arguments: Vec::new(), authorities: None })
        .ok_or(Trouble::Skipped(
            "no httpstat where Go installs; try: go install github.com/davecheney/httpstat@latest",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From start to exit.
    pub(super) fn get(&self, url: &str) -> Result<Duration, Trouble> {
        let command = self.command(url);
        let start = Instant::now();
        self.run(command, url)?;
        Ok(start.elapsed())
    }

    /// The most memory that it had at a time.
    pub(super) fn peak_bytes(&self, url: &str) -> Result<u64, Trouble> {
        let mut command = self.command(url);
        // What it is already, but then the new process begins as a copy of this one, of which the
        // kernel counts little, and not within it, which counts whole.
        command.gid(rusage::group());
        Ok(self.run(command, url)?.peak_bytes)
    }

    fn run(&self, mut command: Command, url: &str) -> Result<Ended, Trouble> {
        let ended = rusage::wait(command.stdout(Stdio::null()).spawn()?)?;
        if ended.success { Ok(ended) } else { Err(self.failed(url)) }
    }

    /// What it prints.
    pub(super) fn report(&self, url: &str) -> Result<Vec<u8>, Trouble> {
        let output = self.command(url).stderr(Stdio::inherit()).output()?;
        if output.status.success() { Ok(output.stdout) } else { Err(self.failed(url)) }
    }

    fn command(&self, url: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).arg(url).stdin(Stdio::null());
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        if let Some(authorities) = &self.authorities {
            command.env("SSL_CERT_FILE", authorities).env("CURL_CA_BUNDLE", authorities);
            command.env_remove("SSL_CERT_DIR");
        }
        command
    }

    fn failed(&self, url: &str) -> Trouble {
        Trouble::Failed(format!("{} did not get {url}", self.path.display()))
    }
}

/// What a process took at most includes what its copy of this one took before it became another
/// program.
pub(super) fn is_above_our_own(peak_bytes: u64) -> Result<(), Trouble> {
    let status = fs::read_to_string("/proc/self/status")?;
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
        .map(|kibibytes: u64| kibibytes << 10);
    match own {
        Some(own) if own < peak_bytes => Ok(()),
        _ => Err(Trouble::Skipped("the benchmark itself has grown larger; run it for this alone")),
    }
}
