//! Which sockets are wanted: an expression, as text or put together, and what it says of a socket.

mod compile;
mod condition;
mod error;
mod fact;
mod names;
mod number;
mod parse;

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::{
    Entry, Family, States, Tell,
    dump::{Predicate, Selection},
};

pub use error::FilterError;
pub use fact::{FilterFact, FilterUnit};
pub use names::{FilterNames, NoNames, SystemNames};

use condition::{Comparison, Condition, Net, Side};

/// Which sockets are wanted, in the language of `ss`.
///
/// ```
/// use sockdiag::Filter;
///
/// let filter: Filter = "state established ( dport = :443 or sport > :1023 ) dst 10.0.0.0/8".parse()?;
/// assert_eq!(filter.to_string().parse(), Ok(filter));
///
/// let slow: Filter = "rtt > 100ms and retrans > 0 and not cc = bbr".parse()?;
/// # let _ = slow;
/// let error = "dport = :443 or sprot = :80".parse::<Filter>().unwrap_err();
/// assert_eq!(&error.text()[error.place()], "sprot");
/// # Ok::<(), sockdiag::FilterError>(())
/// ```
///
/// # The language
///
/// | condition | holds if |
/// |---|---|
/// | `state NAME`, `exclude NAME`, several in a row | the state is in the set that they make: one of `established` … or `all`, `connected`, `synchronized`, `bucket`, `big` |
/// | `src HOST[:PORT]`, `dst HOST[:PORT]` | the address is in the network: `10.0.0.7`, `10/8`, `[2001:db8::]/32`, `*`; an IPv4 network also has the mapped addresses of IPv6 sockets; with `%INTERFACE` behind the address, or within its brackets, `dev INTERFACE`, too: `[fe80::1]%eth0:22` |
/// | `sport OP :PORT`, `dport OP :PORT` | the port compares so; a number, or a name of `/etc/services` |
/// | `dev INTERFACE` | it is bound to this network interface: a name, an index, or `if` with an index |
/// | `fwmark MARK[/MASK]` | it has this mark |
/// | `cgroup PATH` | it was made in this cgroup (version 2) |
/// | `autobound` | nobody chose its local port for it; see [below](#ports-that-nobody-chose) |
/// | `family inet`, `family inet6` | it is a socket of this protocol |
/// | `FACT OP VALUE` | the kernel tells so of it: `rtt > 100ms`, `rqueue > 1M`, `uid = 1000`, `cc = bbr`; [`FilterFact::all`] has them all |
///
/// `OP` is one of `=` `==` `eq`, `!=` `ne` `neq`, `>` `gt`, `<` `lt`, `>=` `ge` `geq`, `<=` `le` `leq`;
/// left out it is `=`. Conditions are joined by `and` (`&`, `&&`, or nothing) and `or` (`|`, `||`), and
/// turned by `not` (`!`). As `ss` has it, and other than its manual says, **`and` and `or` are equally
/// strong and taken from the left**: `a or b and c` is `( a or b ) and c`. Put parentheses where both
/// occur. As `ss` has it, too, `inet:` or `inet6:` before any address or port restricts the whole filter
/// to that protocol.
///
/// Times need a unit (`ns`, `us`, `ms`, `s`, `min`, `h`), and rates (`bps`, `kbps`, `Mbps`, `Gbps` as
/// `ss` prints them, `B/s`, `kB/s`, `MB/s`, `GB/s`). Sizes and counts may have one: `k`, `M` and `G` are
/// powers of 1000, `Ki`, `Mi` and `Gi` of 1024; a `B` may follow.
///
/// # What is not known
///
/// Of a fact that the kernel does not tell of a socket, such as the round-trip time of a listener or a
/// mark to who may not see it, neither a comparison holds nor its opposite: `rtt > 1ms` and
/// `not rtt > 1ms` both leave the listener out.
///
/// A list asks the kernel to apply the filter as far as it can, which includes that two conditions are
/// known to the kernel alone: `autobound`, and the mark of a program without `CAP_NET_ADMIN`.
/// [`matches`](Self::matches) takes them for not known; a list answers with an error where the kernel
/// cannot apply them.
///
/// # Ports that nobody chose
///
/// `autobound` holds, as the kernel has it, of every socket that was not itself bound to a port by its
/// number: clients, listeners at a port of the kernel's choice, and connections that were accepted,
/// whatever their listener was bound to. `ss` asks the kernel for the same, but then leaves out what has
/// a port outside of `net.ipv4.ip_local_port_range`, so that it shows fewer. What it shows is
/// `autobound sport >= :32768 sport <= :60999`, with the numbers of that range.
///
/// # Limits
///
/// A text is 16 KiB at most, with 1024 conditions and 64 levels. Names of hosts are not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

/// Never one list in a list of the same kind, a list of one, or one negation in another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// All of several; of none, which every socket is.
    All(Vec<Self>),
    /// One of several; of none, which no socket is.
    Any(Vec<Self>),
    Not(Box<Self>),
    Is(Condition),
}

impl Filter {
    /// Every socket.
    pub const fn everything() -> Self {
        Self(Node::All(Vec::new()))
    }

    /// No socket.
    pub const fn nothing() -> Self {
        Self(Node::Any(Vec::new()))
    }

    /// Those in one of the states.
    pub const fn states(states: States) -> Self {
        Self(Node::Is(Condition::States(states)))
    }

    /// Those whose local address is in the network: its first `prefix` bits are the same. An IPv4
    /// network also has the mapped addresses of IPv6 sockets. More bits than there are count as all.
    pub fn local_net(address: IpAddr, prefix: u8) -> Self {
        Self(Node::Is(Condition::Address(Side::Local, Net::new(address, prefix))))
    }

    /// Those whose remote address is in the network, as [`local_net`](Self::local_net) has it.
    pub fn remote_net(address: IpAddr, prefix: u8) -> Self {
        Self(Node::Is(Condition::Address(Side::Remote, Net::new(address, prefix))))
    }

    /// Those with this local port.
    pub const fn local_port(port: u16) -> Self {
        Self(Node::Is(Condition::Port(Side::Local, Comparison::Equal, port)))
    }

    /// Those with this remote port.
    pub const fn remote_port(port: u16) -> Self {
        Self(Node::Is(Condition::Port(Side::Remote, Comparison::Equal, port)))
    }

    /// Those that are bound to the network interface of this index.
    pub const fn interface(index: u32) -> Self {
        Self(Node::Is(Condition::Interface(index)))
    }

    /// Those whose mark is `mark` in the bits of `mask`.
    pub const fn mark(mark: u32, mask: u32) -> Self {
        Self(Node::Is(Condition::Mark { mark, mask }))
    }

    /// Those that were made in the cgroup (version 2) of this number: the inode of its directory.
    pub const fn cgroup_id(id: u64) -> Self {
        Self(Node::Is(Condition::Cgroup(id)))
    }

    /// Those of both filters.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.and(other.0))
    }

    /// Those of either filter.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Those of which it is known that this filter does not have them.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "beside `and` and `or`, which are no operators"
    )]
    pub fn not(self) -> Self {
        Self(self.0.not())
    }

    /// Reads a text whose names of services, interfaces and cgroups are not those of this system, or not
    /// of this thread's network namespace.
    ///
    /// # Errors
    ///
    /// The text is none of the [language](Filter#the-language), or longer than it may be.
    pub fn parse(text: &str, names: &dyn FilterNames) -> Result<Self, FilterError> {
        parse::parse(text, names)
    }

    /// Whether what is told of the socket satisfies the filter. See [what is not
    /// known](Filter#what-is-not-known).
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.0.test(entry) == Some(true)
    }

    /// Whether it asks for what the kernel tells nobody and only compares itself: `autobound`. It is for
    /// [lists](crate::Dump::filter) of a live kernel, then, and [`matches`](Self::matches) cannot say.
    ///
    /// ```
    /// use sockdiag::Filter;
    ///
    /// let needs_kernel = |text: &str| text.parse::<Filter>().unwrap().needs_kernel();
    /// assert!(needs_kernel("sport = :443 and not autobound"));
    /// assert!(!needs_kernel("sport = :443"));
    /// ```
    pub fn needs_kernel(&self) -> bool {
        self.0.mentions(&Condition::is_autobound)
    }

    /// Whether it asks for what the kernel tells only a program with `CAP_NET_ADMIN` in the network
    /// namespace: `fwmark`. It refuses [lists](crate::Dump::filter) with such a filter to others, and of
    /// what it tells them [`matches`](Self::matches) cannot say. Nobody is told the mark of a socket that
    /// [ends](crate::Events).
    ///
    /// ```
    /// use sockdiag::Filter;
    ///
    /// let needs_net_admin = |text: &str| text.parse::<Filter>().unwrap().needs_net_admin();
    /// assert!(needs_net_admin("sport = :443 and not fwmark = 1"));
    /// assert!(!needs_net_admin("sport = :443"));
    /// ```
    pub fn needs_net_admin(&self) -> bool {
        self.0.mentions(&Condition::is_mark)
    }

    /// What a list is asked for, and how what comes is looked at.
    pub(crate) fn selection(&self) -> Selection {
        let compiled = match compile::compile(self) {
            Ok(compiled) => compiled,
            Err(obstacle) => {
                return Selection { obstacle: Some(obstacle), ..self.of_recordings() };
            }
        };
        let predicate =
            |filter: Self| -> Predicate { Arc::new(move |entry| filter.matches(entry)) };
        let is_of_the_kernel = |condition: &Condition| {
            matches!(
                condition,
                Condition::Autobound | Condition::Mark { .. } | Condition::Cgroup(_)
            )
        };
        let has_substitute = !self.0.mentions(&is_of_the_kernel);
        let (family, states) = match (compiled.excludes_v4, compiled.excludes_v6) {
            (false, false) => (None, compiled.states),
            (false, true) => (Some(Family::Ipv4), compiled.states),
            (true, false) => (Some(Family::Ipv6), compiled.states),
            (true, true) => (None, States::NONE),
        };
        Selection {
            states,
            family,
            ports: [compiled.local_port, compiled.remote_port],
            tell: compiled.rest.as_ref().map_or(Tell::NOTHING, |rest| rest.0.tell()),
            obstacle: None,
            bytecode: compiled.bytecode.unwrap_or_default(),
            rest: compiled.rest.map(predicate),
            whole: has_substitute.then(|| predicate(self.clone())),
            ..self.of_recordings()
        }
    }

    /// How recorded sockets are looked at.
    fn of_recordings(&self) -> Selection {
        let filter = self.clone();
        Selection {
            recorded: Some(Arc::new(move |entry| filter.matches(entry))),
            can_be_replayed: !self.needs_kernel(),
            ..Selection::default()
        }
    }

    /// What the kernel is asked for: states, program, and what is left. For the fuzz target.
    #[doc(hidden)]
    pub fn compiled(&self) -> Option<(States, Vec<u8>, Option<Self>)> {
        let compiled = compile::compile(self).ok()?;
        Some((compiled.states, compiled.bytecode.unwrap_or_default(), compiled.rest))
    }
}

impl Node {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(mut list), Self::All(more)) => {
                list.extend(more);
                Self::list(list, Self::All)
            }
            (Self::All(mut list), one) => {
                list.push(one);
                Self::list(list, Self::All)
            }
            (one, Self::All(mut list)) => {
                list.insert(0, one);
                Self::list(list, Self::All)
            }
            (one, two) => Self::All(vec![one, two]),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any(mut list), Self::Any(more)) => {
                list.extend(more);
                Self::list(list, Self::Any)
            }
            (Self::Any(mut list), one) => {
                list.push(one);
                Self::list(list, Self::Any)
            }
            (one, Self::Any(mut list)) => {
                list.insert(0, one);
                Self::list(list, Self::Any)
            }
            (one, two) => Self::Any(vec![one, two]),
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::All(list) if list.is_empty() => Self::Any(list),
            Self::Any(list) if list.is_empty() => Self::All(list),
            other => Self::Not(Box::new(other)),
        }
    }

    fn list(mut list: Vec<Self>, join: fn(Vec<Self>) -> Self) -> Self {
        match list.len() {
            1 => list.swap_remove(0),
            _ => join(list),
        }
    }

    /// `None` if it depends on what is not known of the socket.
    fn test(&self, entry: &Entry<'_>) -> Option<bool> {
        match self {
            Self::All(list) => {
                let mut is_known = true;
                for node in list {
                    match node.test(entry) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => is_known = false,
                    }
                }
                is_known.then_some(true)
            }
            Self::Any(list) => {
                let mut is_known = true;
                for node in list {
                    match node.test(entry) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => is_known = false,
                    }
                }
                is_known.then_some(false)
            }
            Self::Not(node) => node.test(entry).map(|holds| !holds),
            Self::Is(condition) => condition.test(entry),
        }
    }

    /// What must be told for it to be tested.
    fn tell(&self) -> Tell {
        match self {
            Self::All(list) | Self::Any(list) => {
                list.iter().fold(Tell::NOTHING, |all, node| all | node.tell())
            }
            Self::Not(node) => node.tell(),
            Self::Is(Condition::Fact(fact, ..)) => fact.0.tell,
            Self::Is(_) => Tell::NOTHING,
        }
    }

    fn mentions(&self, wanted: &dyn Fn(&Condition) -> bool) -> bool {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().any(|node| node.mentions(wanted)),
            Self::Not(node) => node.mentions(wanted),
            Self::Is(condition) => wanted(condition),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// With the names that this system has for services, and this thread's network namespace for
    /// interfaces.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text, &SystemNames)
    }
}

impl fmt::Display for Filter {
    /// As it can be read again: names are numbers then, and every condition shows how it compares.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (list, between) = match self {
            Self::All(list) if list.is_empty() => return f.write_str("src = *"),
            Self::Any(list) if list.is_empty() => return f.write_str("not src = *"),
            Self::All(list) => (list, " and "),
            Self::Any(list) => (list, " or "),
            Self::Not(node) => {
                f.write_str("not ")?;
                return node.within(f);
            }
            Self::Is(condition) => return condition.fmt(f),
        };
        for (place, node) in list.iter().enumerate() {
            if place > 0 {
                f.write_str(between)?;
            }
            node.within(f)?;
        }
        Ok(())
    }
}

impl Node {
    /// As a part of something else.
    fn within(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(list) | Self::Any(list) if !list.is_empty() => write!(f, "( {self} )"),
            _ => write!(f, "{self}"),
        }
    }
}

#[cfg(test)]
mod tests;
