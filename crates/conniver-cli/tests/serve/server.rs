//! A server of the test's own, and what it says.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::{
        RwLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};

/// How long anything may take. Nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Held by tests: by one alone if it disturbs the others.
static MACHINE: RwLock<()> = RwLock::new(());

pub(crate) fn trial(name: &str, test: fn() -> Result<(), Failed>) -> Trial {
    Trial::test(name, move || {
        let _machine = MACHINE.read();
        test()
    })
}

/// One that makes more connections than others could bear.
pub(crate) fn trial_alone(name: &str, test: fn() -> Result<(), Failed>) -> Trial {
    Trial::test(name, move || {
        let _machine = MACHINE.write();
        test()
    })
}

/// `conniver serve`, which ends with this value.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// On a free port, so that every scrape looks anew.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conniver"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if !arguments.contains(&"--max-age") {
            command.args(["--max-age", "0"]);
        }
        command.args(arguments);
        Self::of(&mut command)
    }

    /// The same without any privilege, if this is the superuser.
    pub(crate) fn start_unprivileged(arguments: &[&str]) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("conniver");
        // The folder in which it was made may be closed to others. What another test starts at this
        // moment would inherit a copy that is open for writing here, and such a program cannot be run.
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_conniver")).arg(&program).status()?;
        same("cp", copied.success(), true)?;
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open)?;
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--max-age", "0"]).args(arguments);
        if is_superuser() {
            command.uid(65_534).gid(65_534);
        }
        command.current_dir("/");
        Self::of(&mut command)
    }

    pub(crate) fn of(command: &mut Command) -> Result<Self, Failed> {
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("no stderr")?).lines();
        let mut said = Vec::new();
        for line in &mut lines {
            let line = line?;
            if let Some((_, rest)) = line.split_once("serving http://") {
                let address = rest.split_once('/').ok_or("no address")?.0.parse()?;
                // What is said later must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { process, address });
            }
            said.push(line);
        }
        Err(format!("{:?}: {said:?}", process.wait()?).into())
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A page, with its status and head.
    pub(crate) fn get(&self, path: &str, headers: &str) -> Result<Answer, Failed> {
        self.ask(&format!("GET {path} HTTP/1.0\r\n{headers}\r\n"))
    }

    pub(crate) fn ask(&self, request: &str) -> Result<Answer, Failed> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or(format!("no head: {text:?}"))?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    /// Every series of a scrape.
    pub(crate) fn scrape(&self) -> Result<Series, Failed> {
        let answer = self.get("/metrics", "")?;
        same("status", answer.status, 200)?;
        Series::parse(&answer.body)
    }

    /// The first scrape that is as it should be.
    pub(crate) fn scrape_until(
        &self,
        what: &str,
        is_there: impl Fn(&Series) -> bool,
    ) -> Result<Series, Failed> {
        let begin = Instant::now();
        loop {
            let series = self.scrape()?;
            if is_there(&series) {
                return Ok(series);
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("waited in vain for {what}: {series:#?}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) -> Result<(), Failed> {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status()?;
        same("kill", status.success(), true)
    }

    /// How it ended, in time.
    pub(crate) fn end(mut self) -> Result<ExitStatus, Failed> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("it does not end".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The series of a scrape by their whole names.
#[derive(Debug, Clone)]
pub(crate) struct Series(pub(crate) BTreeMap<String, f64>);

impl Series {
    pub(crate) fn parse(text: &str) -> Result<Self, Failed> {
        let mut all = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, number) = line.rsplit_once(' ').ok_or(format!("no series: {line}"))?;
            if all.insert(name.to_owned(), number.parse()?).is_some() {
                return Err(format!("twice: {line}").into());
            }
        }
        Ok(Self(all))
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }

    /// Of a metric with exactly this label, and any others.
    pub(crate) fn sum(&self, metric: &str, label: &str) -> f64 {
        let is_one = |name: &str| {
            name.strip_prefix(metric)
                .is_some_and(|rest| rest.starts_with('{') && rest.contains(label))
        };
        self.0.iter().filter(|(name, _)| is_one(name)).map(|(_, number)| number).sum()
    }
}

/// An address of the test's own: of a port alone, somebody's connection may be left over.
pub(crate) fn own_address() -> SocketAddr {
    static ADDRESSES: AtomicU8 = AtomicU8::new(1);

    let [high, low, ..] = process::id().to_le_bytes();
    let number = ADDRESSES.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, 64 | high >> 2, low, number], 0))
}

/// The label of an address's connections.
pub(crate) fn rule(address: SocketAddr) -> String {
    format!("mine=src {address} or dst {address}")
}

/// A listener, whose connections are told from those of others by this label.
pub(crate) struct Scene {
    pub(crate) listener: TcpListener,
}

impl Scene {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(own_address())? })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    pub(crate) fn rule(&self) -> String {
        rule(self.address())
    }

    /// Both ends of a new connection.
    pub(crate) fn connect(&self) -> io::Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(self.address())?;
        Ok((client, self.listener.accept()?.0))
    }
}

pub(crate) fn is_superuser() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

pub(crate) fn lacks(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    !version.is_ok_and(|output| output.status.success())
}

pub(crate) fn same<T: PartialEq + Debug>(what: &str, is: T, should: T) -> Result<(), Failed> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?} instead of {should:?}").into()) }
}

pub(crate) fn holds(what: &str, is: bool, seen: &impl Debug) -> Result<(), Failed> {
    if is { Ok(()) } else { Err(format!("{what}: {seen:#?}").into()) }
}
