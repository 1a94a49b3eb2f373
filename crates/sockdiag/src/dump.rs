//! Lists of all sockets: what is asked for, and one socket after the other as the kernel tells it.

use std::{
    fmt,
    ops::{BitOr, BitOrAssign},
    sync::Arc,
};

use crate::{
    Entry, Error, ErrorKind, Filter, SockDiag, States,
    conversation::Listing,
    lookup::{DUMP, INET, INET6, IPPROTO_TCP, REQUEST},
    message::{HEADER_LEN, kind},
    sys::Netlink,
};

/// Which sockets are to be listed, and what is to be told of each.
///
/// As it begins: every TCP socket of the network namespace, IPv4 and IPv6, in every state, with
/// everything that the kernel can tell.
///
/// ```
/// use sockdiag::{Dump, Family, SockDiag, States, Tell};
/// use tcpinfo::State;
///
/// # if !sockdiag::is_supported() { return }
/// let _server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let listeners = Dump::new()
///     .family(Family::Ipv4)
///     .states(States::of(State::Listen))
///     .tell(Tell::NOTHING); // but what comes anyhow: addresses, state, owner, queues
///
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&listeners).unwrap();
/// while let Some(entry) = entries.next() {
///     let entry = entry.unwrap();
///     let queues = entry.queues();
///     println!("{} {:?}/{:?}", entry.local_addr(), queues.accept_queue, queues.accept_queue_limit);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Dump {
    family: Option<Family>,
    protocol: Protocol,
    states: States,
    tell: Tell,
    selection: Selection,
}

/// What a filter comes to.
#[derive(Clone)]
pub(crate) struct Selection {
    /// Those in which it selects sockets.
    pub(crate) states: States,
    /// The family of all that it selects, if it is one.
    pub(crate) family: Option<Family>,
    /// Ports that all it selects have, by which the kernel chooses first: the local and the remote one.
    pub(crate) ports: [u16; 2],
    /// What must be told for the rest of it to be looked at.
    pub(crate) tell: Tell,
    /// Why it cannot be applied.
    pub(crate) obstacle: Option<&'static str>,
    /// A program for the kernel, attribute `INET_DIAG_REQ_BYTECODE`; empty if there is none.
    pub(crate) bytecode: Vec<u8>,
    /// What the program leaves to be looked at.
    pub(crate) rest: Option<Predicate>,
    /// Instead of both, for a kernel that does not know one of the program's instructions; none if it
    /// cannot be done without them.
    pub(crate) whole: Option<Predicate>,
    /// Instead of all, for sockets that no kernel chose from; and whether it can say all that is asked.
    pub(crate) recorded: Option<Predicate>,
    pub(crate) can_be_replayed: bool,
}

impl Default for Selection {
    /// Everything.
    fn default() -> Self {
        Self {
            states: States::ALL,
            family: None,
            ports: [0; 2],
            tell: Tell::NOTHING,
            obstacle: None,
            bytecode: Vec::new(),
            rest: None,
            whole: None,
            recorded: None,
            can_be_replayed: true,
        }
    }
}

/// Whether a socket is wanted.
pub(crate) type Predicate = Arc<dyn Fn(&Entry<'_>) -> bool + Send + Sync>;

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rest, whole) = (self.rest.is_some(), self.whole.is_some());
        write!(f, "Selection({:?}, rest: {rest}, whole: {whole})", self.bytecode)
    }
}

/// A version of the internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Sockets of IPv4.
    Ipv4,
    /// Sockets of IPv6, also those that use it for an IPv4 connection (`::ffff:10.0.0.1`).
    Ipv6,
}

/// Whose sockets are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP's, among them each path of a Multipath TCP connection.
    #[default]
    Tcp,
    /// Those that programs hold of Multipath TCP, whose paths are TCP's (Linux 5.9). What they tell is
    /// [`Entry::mptcp_info`].
    Mptcp,
}

/// What the kernel is to tell of each socket besides its addresses, state, cookie, timer, owner, queues,
/// cgroup, options, mark and the directions in which it is shut down, which come anyhow.
///
/// What is not asked for costs nothing.
///
/// ```
/// use sockdiag::Tell;
///
/// let tell = Tell::INFO | Tell::CONGESTION;
/// assert!(tell.contains(Tell::INFO) && !tell.contains(Tell::MEMORY));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tell {
    /// One bit for each of the attributes 1 to 8: `idiag_ext`.
    bits: u8,
}

const fn extension(number: u16) -> u8 {
    1 << (number - 1)
}

impl Tell {
    /// Nothing more.
    pub const NOTHING: Self = Self { bits: 0 };

    /// The facts of [`Entry::tcp_info`], [`Entry::ulp`] and [`Entry::md5_keys`].
    pub const INFO: Self = Self { bits: extension(crate::attribute::number::INFO) };

    /// [`Entry::congestion_name`].
    pub const CONGESTION_NAME: Self = Self { bits: extension(crate::attribute::number::CONG) };

    /// [`Entry::congestion`]: the algorithm's name, and what it tells of itself.
    pub const CONGESTION: Self =
        Self { bits: Self::CONGESTION_NAME.bits | extension(crate::attribute::number::VEGASINFO) };

    /// [`Entry::memory`].
    pub const MEMORY: Self = Self { bits: extension(crate::attribute::number::SKMEMINFO) };

    /// [`Entry::tos`].
    pub const TOS: Self = Self { bits: extension(crate::attribute::number::TOS) };

    /// [`Entry::traffic_class`] and [`Entry::class_id`].
    pub const TRAFFIC_CLASS: Self = Self { bits: extension(crate::attribute::number::TCLASS) };

    /// Everything. (`INET_DIAG_MEMINFO` is not among it: all that it says is in
    /// [`MEMORY`](Self::MEMORY).)
    pub const ALL: Self = Self::INFO
        .with(Self::CONGESTION)
        .with(Self::MEMORY)
        .with(Self::TOS)
        .with(Self::TRAFFIC_CLASS);

    /// What either tells.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self { bits: self.bits | others.bits }
    }

    /// Whether all of the others is told.
    pub const fn contains(self, others: Self) -> bool {
        self.bits & others.bits == others.bits
    }
}

impl BitOr for Tell {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        self.with(others)
    }
}

impl BitOrAssign for Tell {
    fn bitor_assign(&mut self, others: Self) {
        *self = self.with(others);
    }
}

impl Default for Dump {
    fn default() -> Self {
        Self::new()
    }
}

impl Dump {
    /// Everything of every TCP socket.
    pub fn new() -> Self {
        Self {
            family: None,
            protocol: Protocol::Tcp,
            states: States::ALL,
            tell: Tell::ALL,
            selection: Selection::default(),
        }
    }

    /// Only sockets of this family; otherwise of both, TCP's in one pass.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// The sockets of this protocol: of TCP otherwise.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Only sockets in these states. The kernel passes over the others, and over its table of listeners
    /// if that is not among them, which is the cheapest way to ask for less.
    #[must_use]
    pub fn states(mut self, states: States) -> Self {
        self.states = states;
        self
    }

    /// What is told of each socket: everything otherwise.
    #[must_use]
    pub fn tell(mut self, tell: Tell) -> Self {
        self.tell = tell;
        self
    }

    /// Only the sockets that [match](Filter::matches) the filter.
    ///
    /// What the kernel can apply of it, it does; the rest is asked of each socket that it tells of, which
    /// tells what the filter needs, too. An earlier filter is replaced.
    ///
    /// ```
    /// use sockdiag::{Dump, SockDiag};
    ///
    /// # if !sockdiag::is_supported() { return }
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let port = listener.local_addr().unwrap().port();
    /// let filter = format!("state listening sport = :{port} src 127.0.0.1").parse().unwrap();
    ///
    /// let mut diag = SockDiag::open().unwrap();
    /// let mut entries = diag.dump(&Dump::new().filter(&filter)).unwrap();
    /// let entry = entries.next().unwrap().unwrap();
    /// assert_eq!(entry.local_addr(), listener.local_addr().unwrap());
    /// assert!(entries.next().is_none());
    /// ```
    #[must_use]
    pub fn filter(self, filter: &Filter) -> Self {
        self.select(filter.selection())
    }

    /// Only the sockets that a filter selects.
    #[must_use]
    pub(crate) fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    pub(crate) fn is_of(&self, protocol: Protocol) -> bool {
        self.protocol == protocol
    }

    #[inline]
    pub(crate) const fn protocol_asked(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn has_bytecode(&self) -> bool {
        !self.selection.bytecode.is_empty()
    }

    /// Whether what the program does can be done without it.
    pub(crate) fn has_substitute(&self) -> bool {
        self.selection.whole.is_some()
    }

    /// Whether the socket is one of those that are to be listed, as far as the kernel did not see to it.
    /// A socket can change between the kernel's own look at its state and what it tells.
    #[inline]
    pub(crate) fn admits(&self, entry: &Entry<'_>, by_kernel: bool) -> bool {
        let Selection { rest, whole, .. } = &self.selection;
        let predicate = if by_kernel { rest } else { whole };
        self.states.admit(entry) && predicate.as_ref().is_none_or(|is_wanted| is_wanted(entry))
    }

    /// The same of a recorded socket.
    pub(crate) fn admits_recorded(&self, entry: &Entry<'_>) -> bool {
        let is_of_family = match self.family {
            None => true,
            Some(Family::Ipv4) => entry.local_addr().is_ipv4(),
            Some(Family::Ipv6) => entry.local_addr().is_ipv6(),
        };
        let is_wanted = self.selection.recorded.as_ref();
        is_of_family
            && self.is_of(entry.protocol_listed())
            && self.states.admit(entry)
            && is_wanted.is_none_or(|is_wanted| is_wanted(entry))
    }

    /// Whether the filter can be applied without a kernel.
    pub(crate) const fn can_be_replayed(&self) -> bool {
        self.selection.can_be_replayed
    }

    /// The request for one of the lists that this takes; `None` if there are no more. Numbers come later.
    pub(crate) fn request(&self, pass: usize, with_bytecode: bool) -> Option<Vec<u8>> {
        let selection = &self.selection;
        let family = self.family.or(selection.family);
        let is_none = selection.family.is_some() && selection.family != family;
        let families = match (family, self.protocol) {
            (Some(Family::Ipv4), _) => [Some(INET), None],
            (Some(Family::Ipv6), _) => [Some(INET6), None],
            // The older request, which takes no family for any.
            (None, Protocol::Tcp) => [Some(0), None],
            (None, Protocol::Mptcp) => [Some(INET), Some(INET6)],
        };
        let family = (*families.get(pass)?)?;
        let mut request =
            Vec::with_capacity(HEADER_LEN + 60 + 8 + 4 + self.selection.bytecode.len());
        let kind = if family == 0 { kind::TCPDIAG_GETSOCK } else { kind::SOCK_DIAG_BY_FAMILY };
        request.extend([0; 4]);
        request.extend(kind.to_ne_bytes());
        request.extend((REQUEST | DUMP).to_ne_bytes());
        request.extend([0; 8]);
        let wanted = if is_none { States::NONE } else { selection.states };
        let states = (self.states.bits() & wanted.bits()).to_ne_bytes();
        let tell = self.tell.with(selection.tell).bits;
        // `struct inet_diag_sockid`, of which a list heeds the ports only.
        let mut identity = [0; 48];
        let [local, remote] = selection.ports.map(u16::to_be_bytes);
        let ports = local.into_iter().chain(remote);
        identity.iter_mut().zip(ports).for_each(|(slot, byte)| *slot = byte);
        if family == 0 {
            // `struct inet_diag_req`
            request.extend([0, 0, 0, tell]);
            request.extend(identity);
            request.extend(states);
            request.extend([0; 4]);
        } else {
            // `struct inet_diag_req_v2`
            let protocol = if self.is_of(Protocol::Tcp) { IPPROTO_TCP } else { 0 };
            request.extend([family, protocol, tell, 0]);
            request.extend(states);
            request.extend(identity);
        }
        if self.is_of(Protocol::Mptcp) {
            put_attribute(&mut request, REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
        }
        if with_bytecode && self.has_bytecode() {
            put_attribute(&mut request, REQ_BYTECODE, &self.selection.bytecode);
        }
        let len = u32::try_from(request.len()).unwrap_or(u32::MAX).to_ne_bytes();
        if let Some(slot) = request.first_chunk_mut() {
            *slot = len;
        }
        Some(request)
    }
}

/// `INET_DIAG_REQ_BYTECODE` and `INET_DIAG_REQ_PROTOCOL`.
const REQ_BYTECODE: u16 = 1;
const REQ_PROTOCOL: u16 = 3;

pub(crate) const IPPROTO_MPTCP: u32 = 262;

/// Appends an attribute whose payload is a multiple of four bytes long.
fn put_attribute(request: &mut Vec<u8>, number: u16, payload: &[u8]) {
    let len = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    request.extend(len.to_ne_bytes());
    request.extend(number.to_ne_bytes());
    request.extend(payload);
}

impl SockDiag {
    /// Lists sockets, one after the other as the kernel tells of them.
    ///
    /// They come in no order. The kernel goes through its table while connections come and go, so a
    /// list is no snapshot: what was there from the first call to the last is told once, and what came,
    /// went or changed its state meanwhile once, not at all, or twice (as before and after, with the
    /// same [cookie](Entry::cookie)).
    ///
    /// A list that is not read to its end may be dropped; the next request has the rest of it to pass
    /// over.
    ///
    /// # Errors
    ///
    /// [`BadQuestion`](crate::ErrorKind::BadQuestion) if the filter asks for [what only the kernel
    /// knows](Filter#what-is-not-known) together with what it does not, and what
    /// [`ErrorKind`](crate::ErrorKind) names, here or from [`Entries::next`].
    pub fn dump(&mut self, dump: &Dump) -> Result<Entries<'_>, Error> {
        if let Some(obstacle) = dump.selection.obstacle {
            return Err(Error::new(ErrorKind::BadQuestion, obstacle));
        }
        Ok(Entries { listing: self.conversation.list(dump)? })
    }
}

/// The sockets of a list. See [`SockDiag::dump`].
///
/// Each lies in the one buffer into which the kernel writes, until the next is asked for: there is no
/// heap allocation a socket, whatever their number.
#[derive(Debug)]
#[must_use = "sockets are received as they are asked for"]
pub struct Entries<'a> {
    listing: Listing<'a, Netlink>,
}

impl Entries<'_> {
    /// The next socket; `None` after the last.
    ///
    /// # Errors
    ///
    /// What [`ErrorKind`](crate::ErrorKind) names. Nothing comes after an error; what came before is
    /// right, and not all.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Entry<'_>, Error>> {
        self.listing.next()
    }
}
