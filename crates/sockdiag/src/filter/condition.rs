//! What can be asked of one socket.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::fact::{Fact, Wanted};
use crate::{Entry, States};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    States(States),
    /// IPv6, or else IPv4.
    Family {
        is_v6: bool,
    },
    Address(Side, Net),
    Port(Side, Comparison, u16),
    Interface(u32),
    Mark {
        mark: u32,
        mask: u32,
    },
    Cgroup(u64),
    Autobound,
    Fact(Fact, Comparison, Wanted),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

/// A network: of its address, the bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    V4 { address: u32, prefix: u8 },
    V6 { address: u128, prefix: u8 },
}

impl Net {
    pub(super) fn new(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                let prefix = prefix.min(32);
                Self::V4 { address: u32::from(address) & mask_32(prefix), prefix }
            }
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                Self::V6 { address: u128::from(address) & mask_128(prefix), prefix }
            }
        }
    }

    /// As the kernel compares: an IPv4 network has mapped addresses, an IPv6 network those of IPv6
    /// sockets only.
    fn has(self, ip: IpAddr) -> bool {
        match (self, ip) {
            (Self::V4 { address, prefix }, IpAddr::V4(ip)) => {
                u32::from(ip) & mask_32(prefix) == address
            }
            (Self::V4 { address, prefix }, IpAddr::V6(ip)) => {
                ip.to_ipv4_mapped().is_some_and(|ip| u32::from(ip) & mask_32(prefix) == address)
            }
            (Self::V6 { address, prefix }, IpAddr::V6(ip)) => {
                u128::from(ip) & mask_128(prefix) == address
            }
            (Self::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }
}

fn mask_32(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_128(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Comparison {
    pub(super) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Greater => left > right,
            Self::Less => left < right,
            Self::GreaterOrEqual => left >= right,
            Self::LessOrEqual => left <= right,
        }
    }

    pub(super) const fn is_of_equality(self) -> bool {
        matches!(self, Self::Equal | Self::Unequal)
    }
}

impl Condition {
    pub(super) const fn is_mark(&self) -> bool {
        matches!(self, Self::Mark { .. })
    }

    pub(super) const fn is_autobound(&self) -> bool {
        matches!(self, Self::Autobound)
    }

    /// `None` if that is not known of the socket.
    pub(super) fn test(&self, entry: &Entry<'_>) -> Option<bool> {
        Some(match self {
            Self::States(states) => states.admit(entry),
            Self::Family { is_v6 } => entry.local_addr().is_ipv6() == *is_v6,
            Self::Address(side, net) => net.has(side.of(entry).ip()),
            Self::Port(side, comparison, port) => comparison.holds(side.of(entry).port(), *port),
            Self::Interface(index) => entry.interface().unwrap_or(0) == *index,
            Self::Mark { mark, mask } => entry.mark()? & mask == *mark,
            Self::Cgroup(id) => match entry.cgroup_id() {
                Some(told) => told == *id,
                // What is kept at its smallest is in none.
                None if entry.is_mini() => *id == 0,
                None => return None,
            },
            Self::Autobound => return None,
            Self::Fact(fact, comparison, wanted) => return fact.test(entry, *comparison, wanted),
        })
    }
}

impl Side {
    fn of(self, entry: &Entry<'_>) -> std::net::SocketAddr {
        match self {
            Self::Local => entry.local_addr(),
            Self::Remote => entry.remote_addr(),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::States(States::ALL) => f.write_str("state all"),
            Self::States(states) if states.is_empty() => f.write_str("exclude all"),
            Self::States(states) => {
                for (place, state) in states.iter().enumerate() {
                    let space = if place == 0 { "" } else { " " };
                    write!(f, "{space}state {}", state.name().to_ascii_lowercase())?;
                }
                Ok(())
            }
            Self::Family { is_v6 } => {
                f.write_str(if *is_v6 { "family = inet6" } else { "family = inet" })
            }
            Self::Address(side, net) => {
                let name = if *side == Side::Local { "src" } else { "dst" };
                write!(f, "{name} = {net}")
            }
            Self::Port(side, comparison, port) => {
                let name = if *side == Side::Local { "sport" } else { "dport" };
                write!(f, "{name} {comparison} :{port}")
            }
            Self::Interface(index) => write!(f, "dev = {index}"),
            Self::Mark { mark, mask: u32::MAX } => write!(f, "fwmark = {mark:#x}"),
            Self::Mark { mark, mask } => write!(f, "fwmark = {mark:#x}/{mask:#x}"),
            Self::Cgroup(id) => write!(f, "cgroup_id = {id}"),
            Self::Autobound => f.write_str("autobound"),
            Self::Fact(fact, comparison, wanted) => {
                write!(f, "{} {comparison} {}", fact.0.name, wanted.of(fact.0.unit))
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
        })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4 { address, prefix: 32 } => write!(f, "{}", Ipv4Addr::from(address)),
            Self::V4 { address, prefix } => write!(f, "{}/{prefix}", Ipv4Addr::from(address)),
            Self::V6 { address, prefix: 128 } => write!(f, "[{}]", Ipv6Addr::from(address)),
            // Within the brackets, as `ss` wants it.
            Self::V6 { address, prefix } => write!(f, "[{}/{prefix}]", Ipv6Addr::from(address)),
        }
    }
}
