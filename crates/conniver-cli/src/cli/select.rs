//! Which sockets are meant, and where they come from.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;

/// The parts of the help.
const WHICH: &str = "Which sockets";
pub(super) const WHENCE: &str = "Where they come from";

/// Which sockets are meant. Everything given must hold.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SelectArgs {
    /// A filter in the language of ss, such as: dport = :443 and dst 10.0.0.0/8
    ///
    /// With "state" and the name of a state, or of a group of them, in front. Terms: src, dst, sport,
    /// dport, dev, fwmark, cgroup, autobound; joined by and, or, not and parentheses. Behind "src" and
    /// "dst" an end may stand as it is shown: 127.0.0.1%lo:80. "autobound" has all that nobody bound to a
    /// port by its number, as the kernel has it, accepted connections included; ss leaves out of these
    /// what is outside of net.ipv4.ip_local_port_range. Names of hosts, which ss looks up, are not.
    #[arg(value_name = "FILTER", num_args = 0..)]
    pub(crate) filter: Vec<String>,

    #[command(flatten, next_help_heading = WHICH)]
    pub(crate) family: FamilyArgs,

    /// Only in these states, or groups of states: connected, synchronized, bucket, big
    ///
    /// If nothing is said of states: all of connections but TIME_WAIT and SYN_RECV, as ss has it.
    #[arg(help_heading = WHICH, long = "state", value_name = "STATE", value_delimiter = ',')]
    pub(crate) states: Vec<String>,

    /// Listeners only
    #[arg(help_heading = WHICH, short, long, conflicts_with = "states")]
    pub(crate) listening: bool,

    /// In all states: connections, listeners and all the rest
    #[arg(help_heading = WHICH, short, long, conflicts_with_all = ["states", "listening"])]
    pub(crate) all: bool,

    #[command(flatten, next_help_heading = WHICH)]
    pub(crate) ends: EndArgs,

    /// Held by this process
    #[arg(help_heading = WHICH, long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Made by this user, a name or a number
    #[arg(help_heading = WHICH, long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Of another network namespace: a name of "ip netns", a path, or a process by its number
    #[arg(help_heading = WHENCE, short = 'N', long, value_name = "NAME")]
    pub(crate) netns: Option<String>,

    /// Of a file, which not every command can read.
    #[arg(skip)]
    pub(crate) from: Option<PathBuf>,
}

/// Which version of the Internet protocol they speak.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct FamilyArgs {
    /// IPv4 only
    #[arg(short = '4', long, overrides_with = "ipv6")]
    ipv4: bool,

    /// IPv6 only, which includes IPv4 that a socket of both speaks
    #[arg(short = '6', long, overrides_with = "ipv4")]
    ipv6: bool,
}

/// Which addresses and ports they have.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct EndArgs {
    /// This port at either end; FROM-TO for a range
    #[arg(long, value_name = "PORT", value_parser = Ports::parse)]
    pub(crate) port: Option<Ports>,

    /// This port at our end
    #[arg(long, value_name = "PORT", value_parser = Ports::parse)]
    pub(crate) local_port: Option<Ports>,

    /// This port at the peer's end
    #[arg(long, value_name = "PORT", value_parser = Ports::parse)]
    pub(crate) remote_port: Option<Ports>,

    /// This address, or network such as 10.0.0.0/8, at either end
    #[arg(long, value_name = "ADDRESS", value_parser = Network::parse)]
    pub(crate) address: Option<Network>,

    /// This address or network at our end
    #[arg(long, value_name = "ADDRESS", value_parser = Network::parse)]
    pub(crate) local: Option<Network>,

    /// This address or network at the peer's end
    #[arg(long, value_name = "ADDRESS", value_parser = Network::parse)]
    pub(crate) remote: Option<Network>,
}

/// One of the two versions of the Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl FamilyArgs {
    pub(crate) fn chosen(self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(Family::Ipv4),
            (_, true) => Some(Family::Ipv6),
            _ => None,
        }
    }
}

/// One port, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Ports {
    fn parse(text: &str) -> Result<Self, String> {
        let port = |text: &str| {
            text.trim_start_matches(':')
                .parse()
                .map_err(|_| format!("{text:?} is not a port, which is a number up to 65535"))
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err("the range ends before it begins".to_owned());
        }
        Ok(Self { first, last })
    }
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) len: u8,
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(address).parse().map_err(|_| {
            match address.split_once('%') {
                Some((bare, name)) => format!(
                    "{bare:?} is looked for without an interface here; filter for \"dev = {name}\", too"
                ),
                None => format!("{address:?} is not an IP address; names are not looked up here"),
            }
        })?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => most,
            Some(len) => len
                .parse()
                .ok()
                .filter(|len| *len <= most)
                .ok_or_else(|| format!("{len:?} is not a number of bits up to {most}"))?,
        };
        Ok(Self { address, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_networks_are_read() {
        assert_eq!(Ports::parse("443"), Ok(Ports { first: 443, last: 443 }));
        assert_eq!(Ports::parse(":443"), Ok(Ports { first: 443, last: 443 }));
        assert_eq!(Ports::parse("1024-65535"), Ok(Ports { first: 1024, last: 65535 }));
        for nonsense in ["", "65536", "-1", "9-3", "http", "1-2-3"] {
            assert!(Ports::parse(nonsense).is_err(), "{nonsense:?}");
        }
        let network = Network::parse("10.0.0.0/8").unwrap();
        assert_eq!((network.address, network.len), ([10, 0, 0, 0].into(), 8));
        assert_eq!(Network::parse("[::1]").unwrap().len, 128);
        for nonsense in ["", "10.0.0.0/33", "::/129", "10/8", "localhost", "10.0.0.1/", "[::1"] {
            assert!(Network::parse(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
