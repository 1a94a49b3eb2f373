//! The `conniver` command: every TCP connection of a machine, with what its kernel knows of it.

#![forbid(unsafe_code)]

mod cgroup;
mod cli;
mod column;
mod draft;
mod error;
mod escape;
mod interface;
mod json;
mod life;
mod list;
mod lookup;
mod output;
mod process;
mod run;
mod schema;
mod serve;
mod source;
mod text;
mod user;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::run()
}
