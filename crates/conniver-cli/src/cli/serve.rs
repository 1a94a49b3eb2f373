use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};
use sockdiag::Filter;

use super::time::time;

/// The parts of the help.
const WHERE: &str = "Where it is served";
const GROUPS: &str = "What is counted together";
const WHENCE: &str = "Where sockets come from";

/// Where nothing else listens: the ports up to 9999 are all taken by other exporters.
const DEFAULT_LISTEN: &str = "127.0.0.1:19464";

/// The arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; may be given several times
    ///
    /// Whoever reaches it sees the addresses of all connections: nothing but this machine does, unless
    /// another address is given here.
    #[arg(help_heading = WHERE, short, long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: Vec<SocketAddr>,

    /// Answer from the last look at all sockets if it is no older than that
    #[arg(help_heading = WHERE, long, value_name = "TIME", default_value = "1s", value_parser = at_most_an_hour)]
    pub(crate) max_age: Duration,

    /// Give each of these series of its own; several are combined [default: listener]
    #[arg(help_heading = GROUPS, long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) by: Vec<By>,

    /// Give sockets that match a filter the label NAME; of several filters the first that matches
    ///
    /// A filter that asks for fwmark needs CAP_NET_ADMIN.
    #[arg(help_heading = GROUPS, long = "label", value_name = "NAME=FILTER", value_parser = LabelRule::parse)]
    pub(crate) labels: Vec<LabelRule>,

    /// Bits of an IPv4 address that make a remote network
    #[arg(
        help_heading = GROUPS, long, value_name = "BITS", default_value_t = 24,
        value_parser = clap::value_parser!(u8).range(0..=32),
    )]
    pub(crate) ipv4_prefix: u8,

    /// Bits of an IPv6 address that make a remote network
    #[arg(
        help_heading = GROUPS, long, value_name = "BITS", default_value_t = 48,
        value_parser = clap::value_parser!(u8).range(0..=128),
    )]
    pub(crate) ipv6_prefix: u8,

    /// Give no more series than this; what comes later is counted as "(other)"
    #[arg(
        help_heading = GROUPS, long, value_name = "NUMBER", default_value_t = 3_000,
        value_parser = clap::value_parser!(u32).range(500..=1_000_000),
    )]
    pub(crate) max_series: u32,

    /// Another network namespace: a name of "ip netns", a path, or a process by its number
    #[arg(help_heading = WHENCE, short = 'N', long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
}

/// What has series of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The name of the program that holds the socket
    Process,
    /// The local port, of connections that a listener accepted
    Listener,
    /// The network of the peer
    Remote,
}

/// A label for the sockets that a filter selects.
#[derive(Clone, Debug)]
pub(crate) struct LabelRule {
    pub(crate) name: String,
    pub(crate) filter: Filter,
}

impl LabelRule {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, filter) = text.split_once('=').ok_or("it has no \"=\" behind the name")?;
        let name = name.trim();
        if name.is_empty() || name.len() > 100 {
            return Err("a name has 1 to 100 bytes".to_owned());
        }
        let filter: Filter =
            filter.parse().map_err(|error: sockdiag::FilterError| error.to_string())?;
        if filter.needs_kernel() {
            return Err(
                "autobound can be asked of lists only: it is not told of a socket".to_owned()
            );
        }
        Ok(Self { name: name.to_owned(), filter })
    }
}

fn at_most_an_hour(text: &str) -> Result<Duration, String> {
    match time(text)? {
        time if time > Duration::from_secs(3_600) => Err("must be at most an hour".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_name_and_a_filter() {
        let rule = LabelRule::parse("web=sport = :443").unwrap();
        assert_eq!((rule.name.as_str(), rule.filter), ("web", "sport = :443".parse().unwrap()));
        for wrong in ["web", "=sport = :1", "web=sprot = :1", " =sport = :1", "web=autobound"] {
            assert!(LabelRule::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_age_is_an_hour_at_most() {
        assert_eq!(at_most_an_hour("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(at_most_an_hour("60min"), Ok(Duration::from_secs(3_600)));
        for wrong in ["-1", "NaN", "inf", "3601", "2h", ""] {
            assert!(at_most_an_hour(wrong).is_err(), "{wrong}");
        }
    }
}
