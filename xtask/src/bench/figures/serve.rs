//! What a scrape of `conniver serve` costs.

use std::{
    hint::black_box,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use sockdiag::{Dump, SockDiag, Tell};

use crate::bench::{
    beside,
    cost::{Cost, Trouble},
    programs,
    rusage::{process_nanos, thread_nanos},
    timing::Rounds,
};

/// Some seconds of them.
const SCRAPES: usize = 21;

/// Processor time of the server for one scrape, beside a list of the same facts that nobody looks at.
pub(super) fn scrape() -> Result<Cost, Trouble> {
    measured("serve.scrape", |conniver, sockets| {
        let server = Server::start(conniver, &[])?;
        let mut diag = SockDiag::open().map_err(|error| Trouble::Failed(error.to_string()))?;
        let everything = Dump::new().tell(Tell::INFO);
        let mut list = || {
            let mut seen = 0;
            let Ok(mut entries) = diag.dump(&everything) else {
                panic!("the kernel takes requests")
            };
            while let Some(entry) = entries.next() {
                if let Err(error) = black_box(entry) {
                    panic!("{error}");
                }
                seen += 1;
            }
            assert!(seen >= sockets, "{seen} of {sockets}");
        };
        // The kernel makes its pieces as large as the buffers that it has seen.
        list();
        server.scrape(sockets)?;
        let mut rounds = Rounds::default();
        while rounds.len() < SCRAPES {
            let begun = thread_nanos();
            list();
            let floor = thread_nanos() - begun;
            let begun = server.processor_nanos()?;
            server.scrape(sockets)?;
            rounds.add(floor, server.processor_nanos()? - begun);
        }
        Ok(Cost::of_processes(rounds.timing()))
    })
}

/// How long the answer is, with as many groups as there may be, and with as few as can be asked for.
pub(super) fn bytes() -> Result<Cost, Trouble> {
    measured("serve.bytes", |conniver, sockets| {
        let len = |options: &[&str]| -> Result<f64, Trouble> {
            Ok(Server::start(conniver, options)?.scrape(sockets)?.len() as f64)
        };
        Ok(Cost::of_bytes(len(&[])?, len(&["--max-series", "500"])?))
    })
}

fn measured(
    name: &str,
    measure: impl FnOnce(&Path, usize) -> Result<Cost, Trouble>,
) -> Result<Cost, Trouble> {
    let conniver = programs::built("conniver-cli", "conniver")?;
    beside::population(name, |sockets| measure(&conniver, sockets))
}

/// A server, which ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(conniver: &Path, options: &[&str]) -> Result<Self, Trouble> {
        let mut process = Command::new(conniver)
            // More groups than there are series for.
            .args(["serve", "--listen", "127.0.0.1:0", "--max-age", "0", "--by", "listener,remote"])
            .args(["--ipv4-prefix", "32"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut this = Self { process, address: unknown };
        let mut said = String::new();
        if let Some(stderr) = stderr {
            BufReader::new(stderr).read_line(&mut said)?;
        }
        let address =
            said.split_once("http://").and_then(|(_, rest)| rest.split_once('/')?.0.parse().ok());
        this.address = address.ok_or(Trouble::Failed(said))?;
        Ok(this)
    }

    /// The answer, of so many sockets at least.
    fn scrape(&self, sockets: usize) -> Result<String, Trouble> {
        let mut stream = TcpStream::connect(self.address)?;
        // So old that the answer comes in one piece, and ends with the connection.
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        let seen = body.lines().find_map(|line| line.strip_prefix("conniver_look_sockets "));
        match seen.and_then(|seen| seen.parse::<usize>().ok()) {
            Some(seen) if seen >= sockets => Ok(body),
            _ => Err(Trouble::Failed(format!("{seen:?} of {sockets} sockets"))),
        }
    }

    fn processor_nanos(&self) -> Result<f64, Trouble> {
        Ok(process_nanos(self.process.id())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
