//! The `httpstat` command: one HTTP request, phase by phase, with the socket underneath.

#![forbid(unsafe_code)]

mod body;
mod cli;
mod decode;
mod demo;
mod dial;
mod disposition;
mod error;
mod escape;
mod exchange;
mod failure;
mod frames;
mod hop;
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod interim;
mod keep;
mod memory;
mod netrc;
mod output;
mod payload;
mod print;
mod progress;
mod proxy;
mod redirect;
mod repeat;
mod request;
mod route;
mod run;
mod samples;
mod series;
mod server_timing;
mod sink;
mod socket;
mod stamp;
mod stop;
mod target;
mod timeline;
mod tls;
mod units;
mod verdict;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::from_process();
    match cli.generate {
        Some(what) => run::generate(what),
        None => run::run(cli),
    }
}
