use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// The arguments of `lookup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LookupArgs {
    /// Address and port of this machine's end, as ss prints them
    ///
    /// A socket that is bound to a network interface has its name behind the address:
    /// 127.0.0.1%lo:80, [fe80::1]%eth0:22, or [fe80::1%eth0]:22.
    #[arg(value_parser = End::parse)]
    pub(crate) local: End,

    /// Address and port of the other end
    #[arg(value_parser = End::parse)]
    pub(crate) remote: End,

    /// Only if it is the socket with this cookie: 0x and hexadecimal as shown here, or decimal as in
    /// JSON, or sk: as ss shows it
    #[arg(long, value_name = "COOKIE", value_parser = cookie)]
    pub(crate) cookie: Option<u64>,

    /// Also if it is bound to this network interface, a name or an index
    ///
    /// A connection that is bound to one is not found without it.
    #[arg(long, value_name = "INTERFACE")]
    pub(crate) interface: Option<String>,

    /// In another network namespace: a name of "ip netns", a path, or a process by its number
    #[arg(short = 'N', long, value_name = "NAME")]
    pub(crate) netns: Option<String>,

    /// In a file that list --save wrote, or "ss -D"; "-" for the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["netns", "process"])]
    pub(crate) from: Option<PathBuf>,

    /// Show the programs that hold it
    #[arg(short, long)]
    pub(crate) process: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// One end, and what the interface is called to which a socket that has it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) address: SocketAddr,
    pub(crate) interface: Option<String>,
}

impl End {
    fn parse(text: &str) -> Result<Self, String> {
        let address = |text: &str| {
            text.parse::<SocketAddr>().map_err(|_| {
                "not an address with a port, such as 10.0.0.1:443, [::1]:443 or \
                 [fe80::1]%eth0:443; names are not looked up here"
                    .to_owned()
            })
        };
        let Some((before, rest)) = text.split_once('%') else {
            return Ok(Self { address: address(text)?, interface: None });
        };
        let (name, behind) = rest.split_at(rest.find([']', ':']).unwrap_or(rest.len()));
        let address = address(&format!("{before}{behind}"))?;
        Ok(Self { address, interface: Some(name.to_owned()) })
    }
}

fn cookie(text: &str) -> Result<u64, &'static str> {
    let hex = ["0x", "0X", "sk:"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    let (digits, radix) = hex.map_or((text, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(match text.chars().all(|digit| digit.is_ascii_hexdigit()) {
            true if !text.is_empty() => "hexadecimal digits need 0x or sk: in front",
            _ => "not a number: digits, or hexadecimal digits behind 0x or sk:",
        });
    }
    u64::from_str_radix(digits, radix).map_err(|_| "a cookie has 64 bits, and this has more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_as_they_are_written_anywhere() {
        for text in ["17651642", "0x10d57ba", "0X10D57BA", "sk:10d57ba", "sk:0010d57ba"] {
            assert_eq!(cookie(text), Ok(0x10d_57ba), "{text}");
        }
        assert_eq!(cookie("0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(cookie("18446744073709551615"), Ok(u64::MAX));
        for (text, expected) in [
            ("10d57ba", "0x"),
            ("0x1ffffffffffffffff", "64 bits"),
            ("18446744073709551616", "64 bits"),
            ("99999999999999999999999", "64 bits"),
            ("", "digits"),
            ("0x", "digits"),
            ("-1", "digits"),
            ("+1", "digits"),
            ("0x+1", "digits"),
            ("xyz", "digits"),
        ] {
            assert!(cookie(text).unwrap_err().contains(expected), "{text:?}");
        }
    }

    #[test]
    fn ends_are_read_as_they_are_written_anywhere() {
        for (text, address, interface) in [
            ("127.0.0.1:80", "127.0.0.1:80", None),
            ("127.0.0.1%7:80", "127.0.0.1:80", Some("7")),
            ("127.0.0.1%if7:80", "127.0.0.1:80", Some("if7")),
            ("[::1]:80", "[::1]:80", None),
            ("[fe80::1]%if7:80", "[fe80::1]:80", Some("if7")),
            ("[fe80::1%7]:80", "[fe80::1]:80", Some("7")),
            ("[::ffff:10.0.0.1]%7:80", "[::ffff:10.0.0.1]:80", Some("7")),
            ("127.0.0.1%:80", "127.0.0.1:80", Some("")),
        ] {
            let address = address.parse().unwrap();
            let interface = interface.map(str::to_owned);
            assert_eq!(End::parse(text), Ok(End { address, interface }), "{text}");
        }
        for (text, expected) in [
            ("", "address"),
            ("127.0.0.1", "address"),
            ("::1:80", "address"),
            ("localhost:80", "names"),
            ("[fe80::1%7]%7:80", "address"),
        ] {
            let error = End::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
