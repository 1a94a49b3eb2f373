/// Options that were set on a socket: `struct inet_diag_sockopt`, Linux 5.10.
///
/// ```
/// use sockdiag::SocketOptions;
///
/// assert_eq!(SocketOptions::from_bytes(&[0, 0]), SocketOptions::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Errors are queued (`IP_RECVERR`).
    pub recverr: bool,
    /// The socket is of a protocol with connections, as every TCP socket is.
    pub is_icsk: bool,
    /// Addresses that this host does not have may be bound (`IP_FREEBIND`).
    pub freebind: bool,
    /// The program writes IP headers (`IP_HDRINCL`).
    pub hdrincl: bool,
    /// Multicast is looped back (`IP_MULTICAST_LOOP`), on by default.
    pub mc_loop: bool,
    /// Foreign addresses are served (`IP_TRANSPARENT`).
    pub transparent: bool,
    /// Every group's messages are delivered (`IP_MULTICAST_ALL`), on by default.
    pub mc_all: bool,
    /// Packets are not to be fragmented locally (`IP_NODEFRAG`).
    pub nodefrag: bool,
    /// A port is chosen no sooner than by connecting (`IP_BIND_ADDRESS_NO_PORT`).
    pub bind_address_no_port: bool,
    /// Queued errors bear more of the packet (`IP_RECVERR_RFC4884`).
    pub recverr_rfc4884: bool,
    /// Connecting waits for the first data (`TCP_FASTOPEN_CONNECT`), and still does.
    pub defer_connect: bool,
}

impl SocketOptions {
    /// Decodes the bits as this machine's kernel sends them. Bytes that are not there read as zero.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // C compilers fill a byte from its low end on little-endian machines, from its high end on
        // others.
        let low_first =
            |byte: u8| if cfg!(target_endian = "big") { byte.reverse_bits() } else { byte };
        let mut bytes = bytes.iter().map(|byte| low_first(*byte));
        let (first, second) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
        let bits = u16::from_le_bytes([first, second]);
        let is_set = |bit: u32| bits & 1 << bit != 0;
        Self {
            recverr: is_set(0),
            is_icsk: is_set(1),
            freebind: is_set(2),
            hdrincl: is_set(3),
            mc_loop: is_set(4),
            transparent: is_set(5),
            mc_all: is_set(6),
            nodefrag: is_set(7),
            bind_address_no_port: is_set(8),
            recverr_rfc4884: is_set(9),
            defer_connect: is_set(10),
        }
    }
}
