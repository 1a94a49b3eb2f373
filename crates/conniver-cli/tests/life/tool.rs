//! Runs the command beside what the tests do.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jsonschema::Validator;
use serde_json::Value;

use super::network::connect;

/// Where connections are that only show whether it listens.
const PROBE: &str = "127.0.0.9:";

/// The command with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conniver"));
    command.arg("life").args(arguments).stdin(Stdio::null());
    command
}

/// A line of JSON, which the schema must allow.
pub(crate) fn check(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap();
    let errors: Vec<_> = SCHEMA.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value:#}");
    value
}

/// As the command prints it.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conniver"));
    let printed = command.args(["schema", "life"]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    jsonschema::validator_for(&serde_json::from_slice(&printed.stdout).unwrap()).unwrap()
});

/// `conniver life`, which listens already.
#[derive(Debug)]
pub(crate) struct Life {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Life {
    fn spawn(arguments: &[&str]) -> Self {
        let child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Starts it, and waits for its header: by then it listens, and has seen what is there.
    pub(crate) fn with_header(arguments: &[&str]) -> Self {
        let mut life = Self::spawn(arguments);
        life.line();
        life
    }

    /// Starts it, and waits until it tells of a connection that is made for that.
    pub(crate) fn begin(arguments: &[&str]) -> Self {
        let mut life = Self::spawn(arguments);
        let deadline = Instant::now() + Duration::from_secs(60);
        // It may not be there yet when the first ends.
        let is_begun = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let listener = TcpListener::bind("127.0.0.9:0").unwrap();
                while !is_begun.load(Ordering::Relaxed) {
                    drop(connect(&listener));
                    thread::sleep(Duration::from_millis(20));
                    assert!(Instant::now() < deadline, "it does not begin");
                }
            });
            while !life.line().contains(PROBE) {}
            is_begun.store(true, Ordering::Relaxed);
        });
        life
    }

    /// The next line, of whichever connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut complaint = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            panic!("it has ended: {complaint}");
        }
        line
    }

    /// The next line that is not of a probe.
    pub(crate) fn next(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.contains(PROBE) {
                return line;
            }
        }
    }

    /// The same as JSON, which the schema must allow.
    pub(crate) fn next_json(&mut self) -> Value {
        check(&self.next())
    }

    /// The end of this connection, by its cookie.
    pub(crate) fn until(&mut self, cookie: u64) -> Value {
        loop {
            let end = self.next_json();
            if end["cookie"] == cookie {
                return end;
            }
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a plain system call that takes no pointers, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Whatever it still prints, what it complains of, and how it ends.
    pub(crate) fn finish(mut self) -> (String, String, ExitStatus) {
        let (mut printed, mut complaint) = (String::new(), String::new());
        self.lines.read_to_string(&mut printed).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (printed, complaint, self.child.wait().unwrap())
    }

    /// Reads no more, and waits for its end, while nothing ends that it could tell.
    pub(crate) fn close(self) -> (String, ExitStatus) {
        let Self { mut child, lines } = self;
        drop(lines);
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (complaint, child.wait().unwrap())
    }
}
