//! The command line.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anstream::ColorChoice;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use hyper::{Method, header::HeaderMap};

use crate::{
    dial::Family,
    error::{Error, Kind},
    payload::Payload,
    request::{Ask, HeaderEdit, Wishes},
    sink,
    target::Target,
    tls::Trust,
};

/// Times one HTTP request phase by phase and shows the TCP socket underneath.
#[derive(Debug, Parser)]
#[command(name = "httpstat", version, max_term_width = 80, args_override_self = true)]
pub(crate) struct Cli {
    /// What to request; without a scheme, https unless the port is 80
    #[arg(required_unless_present_any = ["demo", "verbose"])]
    pub(crate) url: Option<String>,

    /// Request method [default: GET, or POST with --data]
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<Method>,

    /// Send DATA as the request body, or the content of a file with @FILE
    ///
    /// May be given more than once; the parts are joined with "&". Files are sent byte for byte,
    /// "@-" is the standard input. Unless given with -H, the content type is
    /// application/x-www-form-urlencoded.
    #[arg(short, long, value_name = "DATA", conflicts_with = "head")]
    data: Vec<String>,

    /// Send a header; "Name:" omits a default one, "Name;" sends it empty
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<HeaderEdit>,

    /// Ask for the header only
    #[arg(short = 'I', long)]
    head: bool,

    /// Follow redirects, each shown as a request of its own
    ///
    /// Credentials and cookies are not sent to another origin. What a redirect says itself is not
    /// saved: --output gets the last response.
    #[arg(short = 'L', long)]
    pub(crate) location: bool,

    /// Follow this many redirects at most
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub(crate) max_redirs: usize,

    /// Accept any certificate
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Trust the authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Save the body, "-" for the standard output; without it the body is discarded
    ///
    /// The file appears when the body is complete: a failed request leaves no partial file and does
    /// not touch an existing one. With "-" or "/dev/stdout", the report goes to the standard error.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Limit for name lookup, TCP connect and TLS handshake together
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Limit for the whole run
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    pub(crate) format: Format,

    /// Show every attempt, the request header and all socket facts; alone, the version
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,

    /// The same as --color never
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "color")]
    no_color: bool,

    /// Measure a request to a site that this program serves itself, over HTTPS on loopback
    #[arg(long, conflicts_with_all = ["url", "insecure", "cacert"])]
    pub(crate) demo: bool,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person at a terminal
    Pretty,
    /// One JSON object over several lines
    Json,
    /// One JSON object on one line
    Jsonl,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Cli {
    /// Reads the arguments of this process; on a usage error, or for --help, it ends here.
    pub(crate) fn from_process() -> Self {
        let matches = Self::command().after_long_help(exit_codes()).get_matches();
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if cli.asks_for_version() {
            Self::command().get_matches_from(["httpstat", "--version"]);
        }
        cli
    }

    /// `-v` alone, as some programs of this name have it.
    fn asks_for_version(&self) -> bool {
        self.verbose && self.url.is_none() && !self.demo
    }

    /// The first request; files given to `--data` are looked at here.
    pub(crate) fn ask(&self, target: Target) -> Result<Ask, Error> {
        let payload = match self.data.as_slice() {
            [] => None,
            data => Some(Payload::from_arguments(data)?),
        };
        let wishes = Wishes {
            method: self.method(),
            headers: HeaderMap::new(),
            edits: self.headers.clone(),
            payload,
        };
        Ok(Ask::new(target, wishes))
    }

    fn method(&self) -> Method {
        match &self.request {
            Some(method) => method.clone(),
            None if self.head => Method::HEAD,
            None if !self.data.is_empty() => Method::POST,
            None => Method::GET,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        match &self.cacert {
            _ if self.insecure => Trust::Anybody,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        }
    }

    pub(crate) fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::Ipv4,
            (_, true) => Family::Ipv6,
            _ => Family::Any,
        }
    }

    /// Whether a file is named that may turn out to be a pipe whose other end is slow to come.
    pub(crate) fn opens_files(&self) -> bool {
        self.output.is_some()
            || self.cacert.is_some()
            || self.data.iter().any(|data| data.starts_with('@'))
    }

    /// Whether the standard output belongs to the body, so that the report must go elsewhere.
    pub(crate) fn body_to_stdout(&self) -> bool {
        self.output.as_deref().is_some_and(sink::is_stdout)
    }

    pub(crate) fn color(&self) -> ColorChoice {
        match self.color {
            _ if self.no_color => ColorChoice::Never,
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::AlwaysAnsi,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// Name and version of this program.
pub(crate) fn version_line() -> String {
    Cli::command().render_version()
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    if seconds <= 0.0 {
        return Err("must be more than zero");
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "out of range")
}

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    let mut line = |code: u8, meaning: &str| {
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    };
    line(0, "the exchange is complete, whatever the HTTP status");
    line(2, "the command line makes no sense");
    for kind in Kind::ALL {
        line(kind.exit_code(), kind.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["httpstat"], arguments].concat())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_method_follows_from_the_other_options() {
        let method = |arguments: &[&str]| parse(arguments).unwrap().method();
        assert_eq!(method(&["u"]), Method::GET);
        assert_eq!(method(&["u", "-d", "x"]), Method::POST);
        assert_eq!(method(&["u", "-I"]), Method::HEAD);
        assert_eq!(method(&["u", "-d", "x", "-X", "PUT"]), Method::PUT);
    }

    #[test]
    fn contradictions_are_refused() {
        let nonsense: [&[&str]; 8] = [
            &[],
            &["u", "-4", "-6"],
            &["u", "-I", "-d", "x"],
            &["u", "--max-time", "0"],
            &["u", "--max-time", "nan"],
            &["u", "-H", "no colon"],
            &["u", "-X", "NO METHOD"],
            &["u", "--demo"],
        ];
        for arguments in nonsense {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn verbose_alone_asks_for_the_version() {
        assert!(parse(&["-v"]).unwrap().asks_for_version());
        assert!(!parse(&["-v", "u"]).unwrap().asks_for_version());
        assert!(!parse(&["-v", "--demo"]).unwrap().asks_for_version());
    }

    #[test]
    fn options_may_be_repeated() {
        let cli =
            parse(&["u", "-v", "-v", "--max-time", "1", "--max-time", "2", "-d", "a", "-d", "b"]);
        let cli = cli.unwrap();
        assert_eq!(cli.max_time, Some(Duration::from_secs(2)));
        assert_eq!(cli.data, ["a", "b"]);
    }

    #[test]
    fn fractions_of_a_second_are_limits() {
        let cli = parse(&["u", "--max-time", "0.25"]).unwrap();
        assert_eq!(cli.max_time, Some(Duration::from_millis(250)));
    }
}
