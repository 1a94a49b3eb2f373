//! Runs the command and checks whatever it prints as JSON.

use std::{
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use jsonschema::Validator;
use serde_json::Value;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command with these arguments, untouched by the environment's wishes about colours and proxies.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpstat"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    for variable in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(variable).env_remove(variable.to_uppercase());
    }
    command
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    Run::from(command(arguments).output().unwrap())
}

/// Runs the command with JSON output, which must be one object that the schema allows, and whose
/// verdict must agree with the exit code and the standard error.
pub(crate) fn run_json(arguments: &[&str]) -> (Run, Value) {
    let run = run(&[arguments, &["--format", "jsonl"]].concat());
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    let value = judged(&run);
    (run, value)
}

/// The verdict in what was printed, which must agree with everything else.
pub(crate) fn judged(run: &Run) -> Value {
    let value = check(&run.stdout);
    assert_eq!(value["ok"], run.code == 0, "{run:?}");
    match run.code {
        0 => assert_eq!(run.stderr, ""),
        code => {
            assert_eq!(value["error"]["exit_code"], code);
            assert_eq!(run.complaint().split_once(": ").unwrap().0, "httpstat");
        }
    }
    value
}

/// What was printed as JSON, which the schema must allow.
pub(crate) fn check(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<_> = SCHEMA.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value:#}");
    value
}

/// The only hop of a run, which must have succeeded.
pub(crate) fn hop(arguments: &[&str]) -> Value {
    let (run, mut value) = run_json(arguments);
    assert_eq!(run.code, 0, "{run:?}");
    value["hops"][0].take()
}

impl Run {
    /// The one line on the standard error.
    pub(crate) fn complaint(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.trim_end()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../schema/httpstat.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});
