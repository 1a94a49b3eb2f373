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

/// The command with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conniver"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    Run::from(command(arguments).output().unwrap())
}

/// What it prints, if it succeeds without a complaint.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let run = run(arguments);
    assert_eq!((run.code, &*run.stderr), (0, ""), "{arguments:?}: {run:?}");
    run.stdout
}

/// The sockets that it lists, each of which the schema must allow.
#[allow(dead_code, reason = "where there are sockets to list")]
pub(crate) fn sockets(arguments: &[&str]) -> Vec<Value> {
    let text = printed(&[arguments, &["--format", "jsonl"]].concat());
    text.lines().map(check).collect()
}

/// What was printed as JSON of a socket, which the schema must allow.
#[allow(dead_code, reason = "where there are sockets to list")]
pub(crate) fn check(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<_> = SCHEMA.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value:#}");
    value
}

/// What was printed as JSON, which the schema of this name must allow, as the command prints it.
#[allow(dead_code, reason = "where there are sockets to list")]
pub(crate) fn check_as(name: &str, text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let schema: Value = serde_json::from_str(&printed(&["schema", name])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value:#}");
    value
}

impl Run {
    /// The one line on the standard error.
    #[allow(dead_code, reason = "where something is wrong")]
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
    let schema = include_str!("../../schema/conniver.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});
