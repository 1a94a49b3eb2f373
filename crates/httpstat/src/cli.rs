//! The command line.

mod data;
mod environment;
mod generate;
mod protocol;
mod watch;
mod way;

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use anstream::ColorChoice;
use clap::{
    ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum,
    error::ErrorKind, parser::ValueSource,
};
use hyper::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderValue, REFERER, USER_AGENT},
};

use crate::{
    body::BodyArgs,
    error::{Error, Kind},
    exchange::Versions,
    netrc::Netrc,
    payload::{Data, Payload},
    repeat::{self, RepeatArgs},
    request::{Ask, HeaderEdit, Wishes},
    route::Route,
    sink::{self, Sink},
    target::{Credentials, Target},
    tls::{TlsArgs, Trust},
    units,
};
use data::DataArgs;
use environment::Environment;
pub(crate) use generate::Generated;
use protocol::ProtocolArgs;
pub(crate) use watch::WatchArgs;
use way::WayArgs;

/// Times one HTTP request phase by phase and shows the TCP socket underneath.
#[derive(Debug, Parser)]
#[command(name = "httpstat", version, max_term_width = 80, args_override_self = true)]
pub(crate) struct Cli {
    /// What to request; without a scheme, https unless the port is 80
    #[arg(required_unless_present_any = ["demo", "verbose", "generate"])]
    pub(crate) url: Option<String>,

    /// Request method [default: GET, or POST with --data]
    #[arg(help_heading = REQUEST, short = 'X', long, value_name = "METHOD")]
    request: Option<Method>,

    #[command(flatten)]
    data: DataArgs,

    /// Send a header; "Name:" omits a default one, "Name;" sends it empty
    #[arg(help_heading = REQUEST, short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<HeaderEdit>,

    /// Ask for the header only
    #[arg(help_heading = REQUEST, short = 'I', long, conflicts_with_all = ["data", "data_raw", "json"])]
    head: bool,

    /// Send user name and password, as HTTP Basic authentication
    #[arg(help_heading = REQUEST, short, long, value_name = "USER:PASSWORD")]
    user: Option<String>,

    /// Look up user name and password in the file .netrc of the home folder
    #[arg(help_heading = REQUEST, long)]
    netrc: bool,

    /// Look up user name and password in this file
    #[arg(help_heading = REQUEST, long, value_name = "FILE")]
    netrc_file: Option<PathBuf>,

    /// Send this as the User-Agent
    #[arg(help_heading = REQUEST, short = 'A', long, value_name = "NAME")]
    user_agent: Option<HeaderValue>,

    /// Send these cookies
    #[arg(help_heading = REQUEST, short = 'b', long, value_name = "NAME=VALUE; ...", value_parser = cookie)]
    cookie: Option<HeaderValue>,

    /// Send this as the Referer
    #[arg(help_heading = REQUEST, short = 'e', long, value_name = "URL")]
    referer: Option<HeaderValue>,

    #[command(flatten)]
    way: WayArgs,

    /// Over TLS, offer HTTP/1.1 only
    #[arg(help_heading = VERSION, long = "http1.1", overrides_with_all = ["http2", "http2_prior_knowledge"])]
    http1: bool,

    /// Over TLS, offer HTTP/2 and HTTP/1.1, which is the default
    #[arg(help_heading = VERSION, long, overrides_with_all = ["http1", "http2_prior_knowledge"])]
    http2: bool,

    /// Speak HTTP/2 without asking, also without TLS
    #[arg(help_heading = VERSION, long, overrides_with_all = ["http1", "http2"])]
    http2_prior_knowledge: bool,

    #[command(flatten)]
    pub(crate) protocol: ProtocolArgs,

    /// Follow redirects, each shown as a request of its own
    ///
    /// Credentials and cookies are not sent to another origin. What a redirect says itself is not
    /// saved: --output gets the last response.
    #[arg(help_heading = REDIRECTS, short = 'L', long)]
    pub(crate) location: bool,

    /// Follow this many redirects at most
    #[arg(help_heading = REDIRECTS, long, value_name = "NUMBER", default_value_t = 10)]
    pub(crate) max_redirs: usize,

    /// Save the body, "-" for the standard output; without it the body is discarded
    ///
    /// The file appears when the body is complete: a failed request leaves no partial file and does
    /// not touch an existing one. With "-" or "/dev/stdout", the report goes to the standard error.
    #[arg(help_heading = BODIES, short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) body: BodyArgs,

    /// Save the body in this folder under the name that the response or else the URL gives it
    ///
    /// Of the name, only what follows the last "/" counts. An existing file stays as it is, and the
    /// request fails.
    #[arg(help_heading = BODIES, short = 'O', long, conflicts_with = "output")]
    pub(crate) remote_name: bool,

    /// Limit for name lookup, TCP connect and TLS handshake together, as 2, 1.5s or 500ms
    #[arg(help_heading = LIMITS, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Limit for the whole run, as 2, 1.5s or 500ms; with -n, for each run
    #[arg(help_heading = LIMITS, short = 'm', long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,

    /// How to print the result
    #[arg(help_heading = REPORT, long, value_enum, default_value_t = Format::Pretty)]
    pub(crate) format: Format,

    /// Show every attempt, the request header and all socket facts; alone, the version
    #[arg(help_heading = REPORT, short, long)]
    verbose: bool,

    /// When to use colours
    #[arg(help_heading = REPORT, long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,

    /// The same as --color never
    #[arg(help_heading = REPORT, long, action = ArgAction::SetTrue, conflicts_with = "color")]
    no_color: bool,

    /// Print what lets a shell complete these options, or the manual page, and end
    #[arg(long, value_enum, value_name = "WHAT", exclusive = true)]
    pub(crate) generate: Option<Generated>,

    /// Measure a request to a site that this program serves itself, over HTTPS on loopback
    #[arg(long, conflicts_with_all = ["url", "insecure", "cacert", "cert"])]
    pub(crate) demo: bool,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,

    #[command(flatten)]
    pub(crate) repeat: RepeatArgs,

    /// Whether the report says everything
    #[arg(skip)]
    pub(crate) is_verbose: bool,

    /// Whether the report leaves out the ends of the socket
    #[arg(skip)]
    pub(crate) hides_ends: bool,

    /// Whether the report has the speed of both bodies
    #[arg(skip)]
    pub(crate) shows_speed: bool,

    /// Something was given that may name a file.
    #[arg(skip = true)]
    pub(crate) opens_files: bool,
}

/// The parts of the help.
const REQUEST: &str = "The request";
pub(crate) const WAY: &str = "The way to the server";
pub(crate) const VERSION: &str = "The version of HTTP";
const REDIRECTS: &str = "Redirects";
pub(crate) const BODIES: &str = "Bodies";
const LIMITS: &str = "Limits";
const REPORT: &str = "The report";

/// What the Python program of this name shows.
const MAX_SHOWN_BODY: usize = 1_023;

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
        let mut definition = definition();
        let matches = definition.get_matches_mut();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.opens_files = may_open_files(&definition, &matches);
        let environment = Environment::read()
            .unwrap_or_else(|why| Self::command().error(ErrorKind::InvalidValue, why).exit());
        let has_format = matches.value_source("format") == Some(ValueSource::CommandLine);
        cli.heed(environment, has_format);
        if let Some(why) = cli.protocol.lacking() {
            Self::command().error(ErrorKind::InvalidValue, why).exit();
        }
        if cli.asks_for_version() {
            Self::command().get_matches_from(["httpstat", "--version"]);
        }
        let contradiction = cli.repeat.contradiction(&cli).or_else(|| cli.tls.contradiction());
        if let Some(why) = contradiction {
            Self::command().error(ErrorKind::ArgumentConflict, why).exit();
        }
        cli
    }

    /// What the environment wishes, where the command line says nothing.
    fn heed(&mut self, environment: Environment, has_format: bool) {
        if environment.metrics_only && !has_format {
            self.format = Format::Json;
        }
        if environment.save_body
            && self.output.is_none()
            && !self.remote_name
            && !self.repeat.is_series()
        {
            let name = format!("httpstat-{}.body", std::process::id());
            self.output = Some(std::env::temp_dir().join(name));
        }
        if environment.show_body {
            self.body.shown = MAX_SHOWN_BODY;
        }
        // Of the option alone, the version would be meant.
        self.is_verbose = self.verbose || environment.debug;
        self.hides_ends = !environment.show_ip;
        self.shows_speed = environment.show_speed;
    }

    /// `-v` alone, as some programs of this name have it.
    fn asks_for_version(&self) -> bool {
        self.verbose && self.url.is_none() && !self.demo
    }

    /// The first request; files given to `--data` are looked at here.
    pub(crate) fn ask(&self, target: Target) -> Result<Ask, Error> {
        let data = self.data.parts.as_slice();
        let mut headers = self.body.headers();
        if data.iter().any(|part| matches!(part, Data::Json(_))) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let given =
            [(USER_AGENT, &self.user_agent), (COOKIE, &self.cookie), (REFERER, &self.referer)];
        headers.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        if let Some(user) = &self.user {
            headers.insert(AUTHORIZATION, Credentials::from_argument(user).header());
        }
        let asks_netrc = self.netrc || self.netrc_file.is_some();
        let netrc = asks_netrc.then(|| Netrc::read(self.netrc_file.as_deref())).transpose()?;
        let wishes = Wishes {
            method: self.method(),
            headers,
            edits: self.headers.clone(),
            payload: match data {
                [] => None,
                data => Some(Payload::from_arguments(data)?),
            },
            netrc: netrc.map(Arc::new),
        };
        Ok(Ask::new(target, wishes))
    }

    /// Where the body goes; a named pipe keeps the caller waiting for its reader.
    pub(crate) fn sink(&self) -> Result<Sink, Error> {
        match self.remote_name {
            true => Ok(Sink::Unnamed),
            false => Sink::open(self.output.as_deref()),
        }
    }

    /// The way that requests take.
    pub(crate) fn route(&self) -> Result<Route, Error> {
        self.way.route(self.demo)
    }

    /// Whom a proxy's certificate must convince.
    pub(crate) fn proxy_trust(&self) -> Trust {
        self.way.proxy_trust()
    }

    pub(crate) fn versions(&self) -> Versions {
        match (self.http1, self.http2_prior_knowledge) {
            (true, _) => Versions::Http1,
            (_, true) => Versions::Http2,
            _ => Versions::Both,
        }
    }

    pub(crate) fn method(&self) -> Method {
        match &self.request {
            Some(method) => method.clone(),
            None if self.head => Method::HEAD,
            None if !self.data.parts.is_empty() => Method::POST,
            None => Method::GET,
        }
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

/// The command line with all that its help says.
pub(crate) fn definition() -> Command {
    Cli::command().after_long_help([EXAMPLES, &Environment::help(), &exit_codes()].join("\n"))
}

/// Whether a file may be named, which may be a pipe whose other end is slow to come.
///
/// That is supposed of every argument unless it is known to be harmless.
fn may_open_files(definition: &Command, matches: &ArgMatches) -> bool {
    definition.get_arguments().map(|argument| argument.get_id().as_str()).any(|id| {
        let is_given =
            matches.value_source(id).is_some_and(|from| from != ValueSource::DefaultValue);
        is_given && !OPENS_NO_FILE.contains(&id)
    })
}

const OPENS_NO_FILE: &[&str] = &[
    "color",
    "compressed",
    "connect_timeout",
    "connect_to",
    "cookie",
    "count",
    "demo",
    "fail_if_slower",
    "format",
    "head",
    "headers",
    "http1",
    "http2",
    "http2_prior_knowledge",
    "http3",
    "http3_only",
    "insecure",
    "interface",
    "interval",
    "ipv4",
    "ipv6",
    "keep_alive",
    "location",
    "max_filesize",
    "max_redirs",
    "max_time",
    "min_change",
    "no_color",
    "no_progress_meter",
    "noproxy",
    "proxy",
    "proxy_insecure",
    "proxy_user",
    "referer",
    "request",
    "resolve",
    "sample_interval",
    "silent",
    "timeline",
    "tls_earlydata",
    "tls_max",
    "tls_resume",
    "tlsv1_2",
    "tlsv1_3",
    "url",
    "user",
    "user_agent",
    "verbose",
    "warmup",
];

/// Name and version of this program.
pub(crate) fn version_line() -> String {
    Cli::command().render_version()
}

/// A time in seconds, or with a unit.
pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let milliseconds =
        units::parse_time(text, 1e3).ok_or("not a time; write it as 2 (seconds), 1.5s or 500ms")?;
    if milliseconds <= 0.0 {
        return Err("must be more than zero");
    }
    Duration::try_from_secs_f64(milliseconds / 1e3).map_err(|_| "out of range")
}

fn cookie(text: &str) -> Result<HeaderValue, &'static str> {
    if !text.contains('=') {
        return Err("write NAME=VALUE; this program reads no cookie files");
    }
    HeaderValue::from_str(text).map_err(|_| "a cookie cannot hold control characters")
}

const EXAMPLES: &str = "\
Examples:
  httpstat example.com
          where the time of one request went, and what its socket knew
  httpstat -L -v http://example.com/
          every redirect with its own socket, every attempt, header and fact
  httpstat --timeline --html page.html https://example.com/large
          the socket while the body came, in the terminal and as a page
  httpstat -n 50 --save before.json https://example.com/
  httpstat -n 50 --baseline before.json https://example.com/
          statistics of 50 requests, and what changed beyond noise
  httpstat --slo total=500,tls=100,retransmitted=0 --junit report.xml URL
          exit code 4 if a limit is not kept, and a report for CI
  httpstat --json '{\"a\": 1}' -H 'X-Trace: 1' -x socks5h://127.0.0.1:1080 URL
          curl's options mean what they mean there
  httpstat --format jsonl URL | jq .hops[0].timings_ms
          the same for programs
";

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    let mut line = |code: u8, meaning: &str| {
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    };
    line(0, "the exchange is complete, whatever the HTTP status");
    line(2, "the command line makes no sense");
    let mut lines: Vec<_> =
        Kind::ALL.iter().map(|kind| (kind.exit_code(), kind.meaning())).collect();
    lines.push((repeat::SLO_EXIT_CODE, "a limit given with --slo was not kept"));
    lines.push((repeat::SLOWER_EXIT_CODE, "slower than the baseline, with --fail-if-slower"));
    lines.sort_unstable();
    for (code, meaning) in lines {
        line(code, meaning);
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
        let nonsense: [&[&str]; 9] = [
            &[],
            &["u", "-4", "-6"],
            &["u", "-I", "-d", "x"],
            &["u", "--max-time", "0"],
            &["u", "--max-time", "nan"],
            &["u", "--max-time", "5m"],
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
    fn what_may_name_a_file_is_told_from_what_does_not() {
        let opens = |arguments: &[&str]| {
            let mut definition = definition();
            let arguments = [&["httpstat", "u"], arguments].concat();
            let matches = definition.try_get_matches_from_mut(arguments).unwrap();
            may_open_files(&definition, &matches)
        };
        assert!(!opens(&[]));
        assert!(!opens(&["-4", "-H", "a: b", "--max-time", "1", "--format", "json"]));
        assert!(opens(&["-d", "@file"]));
        assert!(opens(&["-o", "file"]));
        assert!(opens(&["--cacert", "file"]));
        assert!(opens(&["--proxy-cacert", "file"]));
        let known = definition();
        let is_known = |id| known.get_arguments().any(|argument| argument.get_id() == id);
        assert!(OPENS_NO_FILE.iter().copied().all(is_known));
    }

    #[test]
    fn options_may_be_repeated() {
        let cli =
            parse(&["u", "-v", "-v", "--max-time", "1", "--max-time", "2", "-d", "a", "-d", "b"]);
        let cli = cli.unwrap();
        assert_eq!(cli.max_time, Some(Duration::from_secs(2)));
        assert_eq!(cli.data.parts, ["a", "b"].map(|text| Data::Form(text.to_owned())));
        let cli = parse(&["u", "--json", "a", "-d", "b", "--data-raw", "@c", "--json", "d"]);
        let text = str::to_owned;
        let expected = [
            Data::Json(text("a")),
            Data::Form(text("b")),
            Data::Raw(text("@c")),
            Data::Json(text("d")),
        ];
        assert_eq!(cli.unwrap().data.parts, expected);
    }

    #[test]
    fn fractions_of_a_second_are_limits() {
        for text in ["0.25", "0.25s", "250ms", "250000us"] {
            let cli = parse(&["u", "--max-time", text, "--connect-timeout", text]).unwrap();
            assert_eq!(cli.max_time, Some(Duration::from_millis(250)));
            assert_eq!(cli.connect_timeout, cli.max_time);
            let cli = parse(&["u", "--interval", text]).unwrap();
            assert_eq!(cli.repeat.interval, Some(Duration::from_millis(250)));
        }
    }
}
