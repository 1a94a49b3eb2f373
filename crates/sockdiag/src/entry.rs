//! What the kernel tells of one socket: `struct inet_diag_msg` and the attributes behind it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use tcpinfo::{
    Congestion, CongestionName, Queues, SocketMemory, State, TcpInfo,
    native::{Lent, Native, linux::LinuxTcpInfo, mptcp::MptcpInfo},
};

use crate::{
    Protocol,
    attribute::{Attribute, Attributes, Index, number},
    bytes::{array_at, u32_at},
    error::Malformed,
    lookup::{INET, INET6},
    options::SocketOptions,
    signatures::Md5Keys,
    ulp::Ulp,
};

/// `sizeof(struct inet_diag_msg)`.
pub(crate) const HEAD_LEN: usize = 72;

/// What the kernel tells of one socket: the bytes as they came, decoded on access.
///
/// A fact that the kernel did not send is absent. Sockets that are over (`TIME_WAIT`) or not yet there
/// (`SYN_RECV` of a server) are kept by the kernel at their smallest: of them it tells addresses,
/// state, cookie and timer, and hardly anything else.
///
/// ```
/// # if !sockdiag::is_supported() { return }
/// use std::net::{TcpListener, TcpStream};
/// use sockdiag::{Lookup, SockDiag};
///
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let lookup = Lookup::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
///
/// let mut diag = SockDiag::open().unwrap();
/// let entry = diag.lookup(&lookup).unwrap().expect("it is open");
/// assert_eq!(entry.state(), tcpinfo::State::Established);
/// assert_eq!(entry.local_addr(), stream.local_addr().unwrap());
/// println!("{:?}", entry.tcp_info().and_then(|info| info.rtt()));
///
/// let kept = entry.to_buf(); // outlives the next lookup
/// drop(diag);
/// assert!(kept.entry().inode().is_some());
/// ```
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    head: &'a [u8; HEAD_LEN],
    attributes: &'a [u8],
    index: Index,
    protocol: Protocol,
    origin: Origin,
}

/// Which kernel told it: one word of its facts cannot be read without knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The one that runs.
    Running,
    /// Another, of this major version; zero if that is not known.
    Kernel(u8),
}

/// Entries are equal if the same was told, by whichever kernel.
impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        let same = self.head == other.head && self.attributes == other.attributes;
        same && self.protocol == other.protocol
    }
}

impl Eq for Entry<'_> {}

impl<'a> Entry<'a> {
    /// Takes over the [payload](crate::Message::payload) of a message about a socket, in this machine's
    /// byte order.
    ///
    /// # Errors
    ///
    /// The bytes are too short, of a family other than IPv4 and IPv6, or their attributes do not add
    /// up.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::with(bytes, |_, attributes| Index::of(attributes, HEAD_LEN))
    }

    /// The same with an index that is made of the family and the attributes.
    #[inline(always)]
    pub(crate) fn with(
        bytes: &'a [u8],
        index: impl FnOnce(u8, &[u8]) -> Result<Index, Malformed>,
    ) -> Result<Self, Malformed> {
        let Some((head, attributes)) = bytes.split_first_chunk() else {
            return Err(Malformed::new(0, "a socket is cut off"));
        };
        if !matches!(head[0], INET | INET6) {
            return Err(Malformed::new(0, "a socket is neither of IPv4 nor of IPv6"));
        }
        let index = index(head[0], attributes)?;
        let (protocol, origin) = (Protocol::Tcp, Origin::Running);
        Ok(Self { head, attributes, index, protocol, origin })
    }

    /// The same of bytes of which this index was made before.
    #[inline]
    pub(crate) fn indexed(bytes: &'a [u8], index: Index) -> Option<Self> {
        let (head, attributes) = bytes.split_first_chunk()?;
        let (protocol, origin) = (Protocol::Tcp, Origin::Running);
        Some(Self { head, attributes, index, protocol, origin })
    }

    #[inline]
    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    /// The same of a list of this protocol's sockets; they do not say it themselves.
    #[inline]
    pub(crate) const fn of_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) const fn protocol_listed(&self) -> Protocol {
        self.protocol
    }

    /// The same of another kernel.
    #[inline]
    pub(crate) const fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The same without so many bytes of attributes in front; `None` if they are none.
    pub(crate) fn without_first(mut self, len: usize) -> Option<Self> {
        self.attributes = self.attributes.get(len..).unwrap_or_default();
        self.index = Index::of(self.attributes, HEAD_LEN).ok()?;
        Some(self)
    }

    pub(crate) const fn head(&self) -> &'a [u8; HEAD_LEN] {
        self.head
    }

    /// A copy to keep: one heap allocation.
    pub fn to_buf(&self) -> EntryBuf {
        let mut bytes = Vec::with_capacity(HEAD_LEN + self.attributes.len());
        bytes.extend_from_slice(self.head);
        bytes.extend_from_slice(self.attributes);
        let Self { index, protocol, origin, .. } = *self;
        EntryBuf { bytes: bytes.into_boxed_slice(), index, protocol, origin }
    }

    /// How many bytes the kernel told of the socket, without the message's header.
    #[inline]
    pub const fn byte_len(&self) -> usize {
        HEAD_LEN + self.attributes.len()
    }

    const fn family(&self) -> u8 {
        self.head[0]
    }

    /// State of the connection. `idiag_state`.
    ///
    /// What a server's kernel knows of a peer that has not finished the handshake is told as
    /// [`SynRecv`](State::SynRecv). A connection that waits in vain for the peer's FIN after its
    /// program closed it stays [`FinWait2`](State::FinWait2), but [small](Self::is_mini).
    #[inline]
    pub fn state(&self) -> State {
        State::from_linux(self.head[1])
    }

    /// Whether the kernel keeps no full socket: after the end (`TIME_WAIT`), or before the beginning
    /// (`SYN_RECV` of a server). There are no [facts](Self::tcp_info) of it then, nor owner or queues.
    pub fn is_mini(&self) -> bool {
        let is_waiting = matches!(self.timer(), Some(Timer { kind: TimerKind::TimeWait, .. }));
        // Every full socket tells in which directions it is shut down (Linux 3.8).
        let is_request = self.state() == State::SynRecv && self.shutdown().is_none();
        is_waiting || is_request || self.state() == State::TimeWait
    }

    /// This host's end: `idiag_src` and `idiag_sport`.
    ///
    /// The address is as the socket has it, so that an IPv4 connection of a socket of both protocols
    /// shows as `::ffff:10.0.0.1`; see [`IpAddr::to_canonical`]. An address that belongs to one link has
    /// the [interface](Self::interface) for its scope.
    #[inline]
    pub fn local_addr(&self) -> SocketAddr {
        self.address(8, 4)
    }

    /// The other end: `idiag_dst` and `idiag_dport`. All zeros if there is none.
    #[inline]
    pub fn remote_addr(&self) -> SocketAddr {
        self.address(24, 6)
    }

    #[inline]
    fn address(&self, address: usize, port: usize) -> SocketAddr {
        let port = u16::from_be_bytes(array_at(self.head, port));
        if self.family() == INET {
            let octets: [u8; 4] = array_at(self.head, address);
            return (IpAddr::V4(Ipv4Addr::from(octets)), port).into();
        }
        let octets: [u8; 16] = array_at(self.head, address);
        let ip = Ipv6Addr::from(octets);
        let scope =
            if ip.is_unicast_link_local() { self.interface().unwrap_or_default() } else { 0 };
        SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))
    }

    /// The network interface, or VRF, that the socket is bound to; absent if it is bound to none.
    /// `idiag_if`.
    #[inline]
    pub fn interface(&self) -> Option<u32> {
        Some(u32_at(self.head, 40)).filter(|index| *index != 0)
    }

    /// The kernel's own identity of the socket, as [`tcpinfo::cookie`] reads it of a descriptor. Never
    /// used again while the machine runs. `idiag_cookie`.
    #[inline]
    pub fn cookie(&self) -> u64 {
        u64::from(u32_at(self.head, 48)) << 32 | u64::from(u32_at(self.head, 44))
    }

    /// The user that made the socket, as this user namespace numbers it. `idiag_uid`.
    ///
    /// Absent where no program holds the socket and the kernel shows zero, which would be the
    /// superuser.
    pub fn uid(&self) -> Option<u32> {
        let uid = u32_at(self.head, 64);
        (uid != 0 || self.inode().is_some()).then_some(uid)
    }

    /// The socket's inode, as `/proc/PID/fd` shows it; absent if no program holds the socket: closed and
    /// still at work, not yet accepted, or [small](Self::is_mini). `idiag_inode`.
    pub fn inode(&self) -> Option<u32> {
        Some(u32_at(self.head, 68)).filter(|inode| *inode != 0)
    }

    /// The number `idiag_rqueue`: of a connection unread bytes and one for the peer's FIN, of a
    /// listener the connections that wait. [`queues`](Self::queues) tells them apart.
    pub fn rqueue(&self) -> u32 {
        u32_at(self.head, 56)
    }

    /// The number `idiag_wqueue`: of a connection bytes not acknowledged and one for each SYN and FIN, of a
    /// listener its limit. [`queues`](Self::queues) tells them apart.
    pub fn wqueue(&self) -> u32 {
        u32_at(self.head, 60)
    }

    /// Lengths of the queues as [`Queues::read`] has them: of a listener its connections, of a connection
    /// what is unread and what is not acknowledged. Empty of sockets that have neither. What Fast Open
    /// sends with the SYN is in them, where [`Queues::read`] has zeros until the handshake is over.
    ///
    /// What of the queued bytes is in flight is not told here; [`TcpInfo::unsent_bytes`] is.
    pub fn queues(&self) -> Queues {
        let (rqueue, wqueue) = (u64::from(self.rqueue()), u64::from(self.wqueue()));
        let mut queues = Queues::default();
        match self.state() {
            _ if self.is_mini() => {}
            State::Listen => {
                queues.accept_queue = Some(rqueue);
                queues.accept_queue_limit = Some(wqueue);
            }
            State::Established | State::SynRecv | State::FinWait1 | State::FinWait2 => {
                queues.unread_bytes = Some(rqueue);
                queues.queued_bytes = Some(wqueue);
            }
            // The SYN counts as one, and hardly ever is there more.
            State::SynSent => queues.queued_bytes = wqueue.checked_sub(1).filter(|more| *more > 0),
            State::CloseWait | State::LastAck | State::Closing => {
                // The peer's FIN counts as one until the program has read to the end.
                queues.unread_bytes = Some(rqueue.saturating_sub(1));
                queues.queued_bytes = Some(wqueue);
            }
            _ => {}
        }
        queues
    }

    /// The timer that will act on the connection next; absent if none is running. `idiag_timer`,
    /// `idiag_expires` and `idiag_retrans`.
    pub fn timer(&self) -> Option<Timer> {
        let [_, _, kind, count, ..] = *self.head;
        Some(Timer {
            kind: TimerKind::from_linux(kind)?,
            expires: Duration::from_millis(u64::from(u32_at(self.head, 52))),
            count,
        })
    }

    /// The kernel's own structure of the connection's facts, the same as `getsockopt(TCP_INFO)` reads, where
    /// it lies; absent of [small](Self::is_mini) sockets. `INET_DIAG_INFO`.
    ///
    /// An entry of [bytes](Self::from_bytes) is taken for one of the running kernel; of another's, ask
    /// [`LinuxTcpInfo::of_kernel`] for the bytes of attribute 2.
    #[inline(always)]
    pub fn native_tcp_info(&self) -> Option<LinuxTcpInfo<Lent<'a>>> {
        let bytes = self.payload(number::INFO).filter(|_| !self.is_mptcp())?;
        Some(match self.origin {
            Origin::Running => LinuxTcpInfo::of_running_kernel(bytes),
            Origin::Kernel(major) => LinuxTcpInfo::of_kernel(bytes, major),
        })
    }

    /// The connection's facts, portable, with the name of the congestion control; absent of
    /// [small](Self::is_mini) sockets.
    #[inline]
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        let native = Native::Linux(self.native_tcp_info()?.to_kept());
        Some(TcpInfo::from_native(native, self.congestion_name()))
    }

    /// Whether it is a socket of Multipath TCP itself, not of one of its paths.
    #[inline]
    pub const fn is_mptcp(&self) -> bool {
        matches!(self.protocol, Protocol::Mptcp)
    }

    /// What Multipath TCP tells of a connection as a whole, of a [list](crate::Dump::protocol) of its
    /// sockets. `INET_DIAG_INFO`.
    pub fn mptcp_info(&self) -> Option<MptcpInfo> {
        let bytes = self.payload(number::INFO).filter(|_| self.is_mptcp())?;
        Some(MptcpInfo::from_bytes(bytes))
    }

    /// Name of the congestion control. `INET_DIAG_CONG`.
    #[inline]
    pub fn congestion_name(&self) -> Option<CongestionName> {
        self.payload(number::CONG).map(CongestionName::from_bytes)
    }

    /// The congestion control: its name and what it tells of itself. `INET_DIAG_CONG` with
    /// `INET_DIAG_VEGASINFO`, `INET_DIAG_DCTCPINFO` or `INET_DIAG_BBRINFO`.
    ///
    /// If the algorithm was switched while the kernel looked, there is the name only.
    #[inline(always)]
    pub fn congestion(&self) -> Option<Congestion<&'a [u8]>> {
        let name_bytes = self.payload(number::CONG)?;
        let name = CongestionName::from_bytes(name_bytes);
        match self.payload(number::BBRINFO) {
            // The commonest that tells anything, and its name is its format's.
            Some(bytes) if name_bytes.starts_with(b"bbr") => Some(Congestion::lent(name, bytes)),
            _ => Some(self.other_congestion(name)),
        }
    }

    #[inline(always)]
    fn other_congestion(&self, name: CongestionName) -> Congestion<&'a [u8]> {
        // What the algorithm's own number of attribute is decoded as, whatever the name.
        let told = [
            (number::BBRINFO, b"bbr".as_slice()),
            (number::VEGASINFO, b"vegas"),
            (number::DCTCPINFO, b"dctcp"),
        ]
        .into_iter()
        .filter_map(|(number, format)| Some((number, format, self.payload(number)?)))
        .find(|(number, ..)| can_tell(name.as_str(), *number));
        let mut congestion = match told {
            None => Congestion::lent(name, &[]),
            Some((_, format, bytes)) => Congestion::lent(CongestionName::from_bytes(format), bytes),
        };
        congestion.name = name;
        congestion
    }

    /// Memory that the kernel holds for the socket. `INET_DIAG_SKMEMINFO`; where that is not sent, the
    /// four numbers of `INET_DIAG_MEMINFO`.
    pub fn memory(&self) -> Option<SocketMemory> {
        if let Some(bytes) = self.payload(number::SKMEMINFO) {
            return Some(SocketMemory::from_bytes(bytes));
        }
        let bytes: [u8; 16] = self.fixed(number::MEMINFO)?;
        let word = |offset| Some(u32_at(&bytes, offset));
        let mut memory = SocketMemory::from_bytes(&[]);
        memory.rx_alloc_bytes = word(0);
        memory.tx_queued_bytes = word(4);
        memory.forward_alloc_bytes = word(8);
        memory.tx_alloc_bytes = word(12);
        Some(memory)
    }

    /// Type of service of the packets sent: DSCP in the upper six bits, ECN in the lower two. Also of
    /// IPv6 sockets, for their IPv4 packets. `INET_DIAG_TOS`.
    pub fn tos(&self) -> Option<u8> {
        self.byte(number::TOS)
    }

    /// Traffic class of the packets sent, cut as [`tos`](Self::tos). Of IPv6 sockets only.
    /// `INET_DIAG_TCLASS`.
    pub fn traffic_class(&self) -> Option<u8> {
        self.byte(number::TCLASS)
    }

    /// Class for the network scheduler: of the cgroup (version 1), else the socket's priority.
    /// `INET_DIAG_CLASS_ID`, Linux 4.14.
    pub fn class_id(&self) -> Option<u32> {
        self.fixed(number::CLASS_ID).map(u32::from_ne_bytes)
    }

    /// Firewall mark of the packets sent (`SO_MARK`). The kernel tells it to who has `CAP_NET_ADMIN` only;
    /// absent for others. `INET_DIAG_MARK`, Linux 4.9.
    pub fn mark(&self) -> Option<u32> {
        self.fixed(number::MARK).map(u32::from_ne_bytes)
    }

    /// The cgroup (version 2) in which the socket was made: the inode of its directory, whose path
    /// [`Cgroups`](crate::Cgroups) knows.
    /// `INET_DIAG_CGROUP_ID`, Linux 5.8.
    pub fn cgroup_id(&self) -> Option<u64> {
        self.fixed(number::CGROUP_ID).map(u64::from_ne_bytes)
    }

    /// In which directions the connection is shut down. `INET_DIAG_SHUTDOWN`, Linux 3.8.
    pub fn shutdown(&self) -> Option<Shutdown> {
        let bits = self.byte(number::SHUTDOWN)?;
        Some(Shutdown { receive: bits & 1 != 0, send: bits & 2 != 0 })
    }

    /// Protocol number, where the kernel says it: in events, and where several were asked for at once.
    /// `INET_DIAG_PROTOCOL`.
    pub fn protocol(&self) -> Option<u8> {
        self.byte(number::PROTOCOL)
    }

    /// Whether the socket takes no IPv4; told of IPv6 sockets that listen or are closed.
    /// `INET_DIAG_SKV6ONLY`.
    pub fn is_ipv6_only(&self) -> Option<bool> {
        self.byte(number::SKV6ONLY).map(|only| only != 0)
    }

    /// Options that were set on the socket. `INET_DIAG_SOCKOPT`, Linux 5.10.
    pub fn options(&self) -> Option<SocketOptions> {
        // One byte longer or shorter would be a kernel that has more or fewer bits.
        self.payload(number::SOCKOPT).map(SocketOptions::from_bytes)
    }

    /// The upper layer protocol that the kernel runs on the connection: TLS, Multipath TCP.
    /// `INET_DIAG_ULP_INFO`, Linux 5.4.
    pub fn ulp(&self) -> Option<Ulp<'a>> {
        self.payload(number::ULP_INFO).map(Ulp::new)
    }

    /// The keys with which the socket signs segments, the latest first, where they lie. The kernel tells
    /// them to who has `CAP_NET_ADMIN` in the user namespace of the network namespace only; for others
    /// there are none, and none of [small](Self::is_mini) sockets. `INET_DIAG_MD5SIG`, Linux 4.14.
    ///
    /// What is not whole, and a key for peers that are neither of IPv4 nor of IPv6, is passed over.
    /// [Recordings](crate::Recorder) have no keys.
    pub fn md5_keys(&self) -> Md5Keys<'a> {
        Md5Keys::new(self.payload(number::MD5SIG).unwrap_or_default())
    }

    /// Every attribute, also those that have a method here and those that the kernel's header does not
    /// [name](Attribute::is_known), in the kernel's order.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes)
    }

    /// The attributes whose number this version of the crate does not know.
    pub fn unknown_attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().filter(|attribute| !attribute.is_known())
    }

    #[inline]
    fn payload(&self, number: u16) -> Option<&'a [u8]> {
        self.index.find(self.attributes, number)
    }

    /// The first bytes of an attribute; absent if it is shorter.
    fn fixed<const N: usize>(&self, number: u16) -> Option<[u8; N]> {
        self.payload(number)?.first_chunk().copied()
    }

    fn byte(&self, number: u16) -> Option<u8> {
        self.payload(number)?.first().copied()
    }
}

/// Whether an algorithm of this name can have sent the attribute. The kernel reads name and facts one
/// after the other, and the algorithm can be switched between.
fn can_tell(name: &str, attribute: u16) -> bool {
    let own = match name {
        "vegas" | "yeah" | "westwood" | "illinois" | "nv" => number::VEGASINFO,
        // Without ECN it works as reno, under a name of its own.
        "dctcp" | "dctcp-reno" => number::DCTCPINFO,
        bbr if bbr.starts_with("bbr") => number::BBRINFO,
        "cubic" | "reno" | "bic" | "cdg" | "highspeed" | "htcp" | "hybla" | "lp" | "scalable" => {
            return false;
        }
        // Somebody's own, which may speak any of the three.
        _ => return true,
    };
    own == attribute
}

impl fmt::Debug for Entry<'_> {
    /// Without the payloads of attributes, among which are secret keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("state", &self.state())
            .field("local_addr", &self.local_addr())
            .field("remote_addr", &self.remote_addr())
            .field("interface", &self.interface())
            .field("cookie", &format_args!("{:#x}", self.cookie()))
            .field("uid", &self.uid())
            .field("inode", &self.inode())
            .field("rqueue", &self.rqueue())
            .field("wqueue", &self.wqueue())
            .field("timer", &self.timer())
            .field("attributes", &Numbers(self.attributes()))
            .finish()
    }
}

struct Numbers<'a>(Attributes<'a>);

impl fmt::Debug for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.clone().map(|attribute| attribute.number)).finish()
    }
}

/// An [`Entry`] to keep.
#[derive(Clone)]
pub struct EntryBuf {
    bytes: Box<[u8]>,
    index: Index,
    protocol: Protocol,
    origin: Origin,
}

impl PartialEq for EntryBuf {
    fn eq(&self, other: &Self) -> bool {
        self.entry() == other.entry()
    }
}

impl Eq for EntryBuf {}

impl EntryBuf {
    /// What the kernel told.
    pub fn entry(&self) -> Entry<'_> {
        // Made of an entry, so the bytes are never fewer.
        let (head, attributes) = self.bytes.split_first_chunk().unwrap_or((&[0; HEAD_LEN], &[]));
        let Self { index, protocol, origin, .. } = *self;
        Entry { head, attributes, index, protocol, origin }
    }
}

impl fmt::Debug for EntryBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry().fmt(f)
    }
}

impl From<Entry<'_>> for EntryBuf {
    fn from(entry: Entry<'_>) -> Self {
        entry.to_buf()
    }
}

/// The timer that will act on a connection next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Timer {
    /// What it does.
    pub kind: TimerKind,
    /// When, from the moment of the answer on; zero if it is overdue. `idiag_expires`, ms.
    pub expires: Duration,
    /// How often in a row it has acted in vain: retransmissions of the same segment, or probes without
    /// an answer. Zero of the other kinds. `idiag_retrans`.
    pub count: u8,
}

/// What a connection's timer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// Retransmits, or probes for a lost segment (RACK, TLP).
    Retransmit,
    /// Sends a keepalive probe.
    Keepalive,
    /// Ends `TIME_WAIT`.
    TimeWait,
    /// Probes the peer's empty window.
    ZeroWindowProbe,
    /// Sends a delayed acknowledgement (Linux 7.1).
    DelayedAck,
    /// A kind this version of the crate does not know.
    Unknown(u8),
}

impl TimerKind {
    /// `None` if no timer is running.
    const fn from_linux(code: u8) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::Retransmit,
            2 => Self::Keepalive,
            3 => Self::TimeWait,
            4 => Self::ZeroWindowProbe,
            5 => Self::DelayedAck,
            other => Self::Unknown(other),
        })
    }
}

impl fmt::Display for TimerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retransmit => "retransmit",
            Self::Keepalive => "keepalive",
            Self::TimeWait => "time-wait",
            Self::ZeroWindowProbe => "zero-window probe",
            Self::DelayedAck => "delayed acknowledgement",
            Self::Unknown(code) => return write!(f, "unknown ({code})"),
        })
    }
}

/// In which directions a connection is shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Shutdown {
    /// Nothing more will be received: the peer's FIN came, or the program asked for it. `RCV_SHUTDOWN`.
    pub receive: bool,
    /// Nothing more will be sent: the program asked for it, or closed. `SEND_SHUTDOWN`.
    pub send: bool,
}
