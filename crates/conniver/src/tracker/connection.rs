//! One connection of a list, and which ones a list holds.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tcpinfo::{Packed, TcpInfo};

use crate::{ConnId, Failure, Handle, Role, Snapshot, Timestamp, clock};

/// A live connection at the moment that it was listed.
///
/// What changes is as of that moment; [`handle`](Self::handle) looks again.
#[derive(Clone)]
pub struct Connection {
    handle: Handle,
    looked_at: u64,
    last_rx_at: u64,
    last_tx_at: u64,
    rx_bytes: u64,
    tx_bytes: u64,
    facts: Option<Facts>,
}

/// What the kernel said, or why it did not.
type Facts = Result<Packed, Box<Failure>>;

impl Connection {
    pub(super) fn look(handle: Handle, looked_at: u64) -> Self {
        let block = handle.block();
        let (rx, tx) = (block.rx_counts(), block.tx_counts());
        Self {
            looked_at,
            last_rx_at: rx.last_at,
            last_tx_at: tx.last_at,
            rx_bytes: rx.bytes,
            tx_bytes: tx.bytes,
            facts: None,
            handle,
        }
    }

    /// Asks the kernel. What ended meanwhile has no facts.
    pub(super) fn ask(&mut self) {
        let answer = self.handle.block().slot.read_packed();
        self.facts = answer.map(|info| info.map_err(|error| Box::new(Failure::from(error))));
    }

    /// A handle to look at the connection again.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Everything that is known without asking the kernel, as of now.
    pub fn snapshot(&self) -> Snapshot {
        self.handle.snapshot()
    }

    /// Identity of the connection in this process.
    pub fn id(&self) -> ConnId {
        self.handle.id()
    }

    /// Client or server side, if the caller said so.
    pub fn role(&self) -> Option<Role> {
        self.handle.role()
    }

    /// The label given by [`Options::category`](crate::Options::category).
    pub fn category(&self) -> Option<&str> {
        self.handle.category()
    }

    /// Address of our end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.handle.local_addr()
    }

    /// Address of the other end.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.handle.remote_addr()
    }

    /// When the stream was wrapped.
    pub fn opened_at(&self) -> Timestamp {
        self.handle.opened_at()
    }

    /// The moment that this shows.
    pub fn looked_at(&self) -> Timestamp {
        self.handle.block().anchor.at(self.looked_at)
    }

    /// Time since the stream was wrapped.
    pub fn age(&self) -> Duration {
        self.looked_at().since(self.opened_at())
    }

    /// Time since a byte last moved, or since the stream was wrapped; to the scheduler's tick.
    pub fn idle(&self) -> Duration {
        let last_at = self.handle.block().anchor.at(self.last_rx_at.max(self.last_tx_at));
        self.looked_at().since(last_at)
    }

    /// Bytes that the program had received.
    pub const fn rx_bytes(&self) -> u64 {
        self.rx_bytes
    }

    /// Bytes that the program had sent.
    pub const fn tx_bytes(&self) -> u64 {
        self.tx_bytes
    }

    /// What the kernel said, if it was [asked](Query::facts) and the connection was still there.
    pub fn info(&self) -> Option<TcpInfo> {
        self.facts.as_ref()?.as_ref().ok().map(Packed::unpack)
    }

    /// Why the kernel said nothing although it was asked.
    pub fn info_err(&self) -> Option<&Failure> {
        self.facts.as_ref()?.as_ref().err().map(|failure| &**failure)
    }
}

/// One line: who, since when, how much.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(category) = self.category() {
            write!(f, "{category} ")?;
        }
        if let Some(role) = self.role() {
            write!(f, "{role} ")?;
        }
        for (before, address) in [("", self.local_addr()), (" -> ", self.remote_addr())] {
            match address {
                Some(address) => write!(f, "{before}{address}")?,
                None => write!(f, "{before}unknown")?,
            }
        }
        write!(f, " {:?} idle={:?}", self.age(), self.idle())?;
        write!(f, " tx={} rx={}", self.tx_bytes, self.rx_bytes)?;
        if let Some((rtt, var)) = self.info().and_then(|info| Some((info.rtt()?, info.rtt_var()?)))
        {
            write!(f, " rtt={rtt:?}/{var:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("role", &self.role())
            .field("category", &self.category())
            .field("local_addr", &self.local_addr())
            .field("remote_addr", &self.remote_addr())
            .field("age", &self.age())
            .field("idle", &self.idle())
            .field("rx_bytes", &self.rx_bytes)
            .field("tx_bytes", &self.tx_bytes)
            .field("facts", &self.facts.is_some())
            .finish()
    }
}

/// Which connections a list holds, in which order, and whether the kernel is asked about them.
///
/// ```
/// use std::time::Duration;
/// use conniver::{Order, Query, Role, Tracker};
///
/// let tracker = Tracker::new();
/// let stuck = Query::new()
///     .role(Role::Server)
///     .idle_at_least(Duration::from_secs(60))
///     .remote_net("10.0.0.0".parse().unwrap(), 8)
///     .facts(true)
///     .order(Order::LongestIdle);
/// for conn in tracker.query(&stuck) {
///     println!("{conn}");
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Query {
    category: Option<Option<String>>,
    role: Option<Role>,
    min_age: Duration,
    min_idle: Duration,
    remote: Option<(IpAddr, u8)>,
    facts: bool,
    order: Order,
    at_most: Option<usize>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// As they come, which costs nothing.
    #[default]
    Any,
    /// By category, then role, then remote and local address.
    Name,
    /// The oldest first.
    Oldest,
    /// Those first that moved nothing for the longest time.
    LongestIdle,
    /// Those first that moved the most bytes, both ways together.
    MostBytes,
}

impl Query {
    /// All connections, in any order, without asking the kernel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those of this category; `None` for those that have none.
    #[must_use]
    pub fn category<'a>(mut self, category: impl Into<Option<&'a str>>) -> Self {
        self.category = Some(category.into().map(str::to_owned));
        self
    }

    /// Only those of this side.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Only those that are at least so old.
    #[must_use]
    pub fn age_at_least(mut self, age: Duration) -> Self {
        self.min_age = age;
        self
    }

    /// Only those that have moved nothing for at least so long.
    #[must_use]
    pub fn idle_at_least(mut self, idle: Duration) -> Self {
        self.min_idle = idle;
        self
    }

    /// Only those whose remote address begins with the first `bits` bits of `net`. An IPv4 network
    /// also holds the IPv4 addresses that an IPv6 socket shows as mapped.
    #[must_use]
    pub fn remote_net(mut self, net: IpAddr, bits: u8) -> Self {
        self.remote = Some((net, bits));
        self
    }

    /// Whether the kernel is asked about each connection that is listed: two system calls each.
    #[must_use]
    pub fn facts(mut self, facts: bool) -> Self {
        self.facts = facts;
        self
    }

    /// The order of the list.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Only the first so many, in the order that is asked for.
    #[must_use]
    pub fn at_most(mut self, count: usize) -> Self {
        self.at_most = Some(count);
        self
    }

    /// Looks at a connection, if it belongs to the list.
    pub(super) fn look(&self, handle: Handle, now: u64) -> Option<Connection> {
        let role = self.role.is_none_or(|role| handle.role() == Some(role));
        let category =
            self.category.as_ref().is_none_or(|name| handle.category() == name.as_deref());
        let remote = self.remote.is_none_or(|(net, bits)| {
            handle.remote_addr().is_some_and(|address| is_in(address.ip(), net, bits))
        });
        if !(role && category && remote) {
            return None;
        }
        let conn = Connection::look(handle, now);
        let long_enough = (self.min_age.is_zero() || conn.age() >= self.min_age)
            && (self.min_idle.is_zero() || conn.idle() >= self.min_idle);
        long_enough.then_some(conn)
    }

    /// Puts a list into its order, cuts it, and asks the kernel about what is left.
    pub(super) fn finish(&self, list: &mut Vec<Connection>) {
        match self.order {
            Order::Any => {}
            Order::Name => list.sort_unstable_by(|a, b| name(a).cmp(&name(b))),
            Order::Oldest => list.sort_unstable_by_key(|conn| (conn.opened_at(), conn.id())),
            Order::LongestIdle => {
                list.sort_unstable_by_key(|conn| std::cmp::Reverse(conn.idle()));
            }
            Order::MostBytes => list.sort_unstable_by_key(|conn| {
                std::cmp::Reverse(conn.rx_bytes.saturating_add(conn.tx_bytes))
            }),
        }
        if let Some(count) = self.at_most {
            list.truncate(count);
        }
        if self.facts {
            list.iter_mut().for_each(|conn| {
                conn.ask();
                conn.looked_at = conn.looked_at.max(clock::coarse());
            });
        }
    }
}

fn name(
    conn: &Connection,
) -> (Option<&str>, Option<Role>, Option<SocketAddr>, Option<SocketAddr>, ConnId) {
    (conn.category(), conn.role(), conn.remote_addr(), conn.local_addr(), conn.id())
}

fn is_in(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (address.to_canonical(), net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => {
            let differing = address.to_bits() ^ net.to_bits();
            differing.leading_zeros() >= bits.min(32)
        }
        (_, IpAddr::V6(net)) => {
            let address = match address {
                IpAddr::V6(address) => address,
                // A mapped network holds what is mapped.
                IpAddr::V4(address) => address.to_ipv6_mapped(),
            };
            (address.to_bits() ^ net.to_bits()).leading_zeros() >= bits.min(128)
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
