//! Linux: `struct mptcp_info` of `include/uapi/linux/mptcp.h`, a Multipath TCP connection as a whole.
//!
//! It grows at its end as `tcp_info` does, but was filled up to a multiple of eight bytes on the way: 48
//! (5.16), 80 (6.5), 88 (6.8), 96 (6.10). A field that took the place of such filler is there from the next
//! size on. [`Mptcp`](crate::Mptcp) reads it, with the subflows.

use std::time::Duration;

use super::structure::{Bytes, Row, first, structure};
use crate::Reading;

impl<B: Bytes> MptcpInfo<B> {
    #[inline(always)]
    fn judge(&self, row: &Row<Rule>, raw: u64) -> Reading<u64> {
        match row.rule {
            Rule::Always => Reading::Value(raw),
            // Before there is a connection the kernel shows its times as zero.
            Rule::Connected if self.0.number(&row::token.field) == 0 => Reading::Unset,
            Rule::Connected => Reading::Value(raw),
            Rule::NotZero => {
                if raw == 0 {
                    Reading::Unset
                } else {
                    Reading::Value(raw)
                }
            }
        }
    }

    /// Whether the connection fell back to plain TCP after it had worked. `MPTCP_INFO_FLAG_FALLBACK`.
    pub fn is_fallback(&self) -> Option<bool> {
        self.flags().value().map(|flags| flags & 1 != 0)
    }

    /// Whether the peer's key arrived. `MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED`.
    pub fn has_remote_key(&self) -> Option<bool> {
        self.flags().value().map(|flags| flags & 2 != 0)
    }
}

/// When a number that the kernel returned means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Whenever the kernel answers at all.
    Always,
    /// Of a connection.
    Connected,
    /// Zero stands for "none", and for a kernel that does not know it.
    NotZero,
}

structure! {
    /// `struct mptcp_info`: the bytes as the kernel returned them, decoded on access.
    ///
    /// ```
    /// use tcpinfo::{Reading, native::mptcp::MptcpInfo};
    ///
    /// let info = MptcpInfo::from_bytes(&[0; 48]); // as Linux 5.16 returns it
    /// assert_eq!(info.subflows(), Reading::Value(0));
    /// assert_eq!(info.retransmits(), Reading::Absent); // filler at the end of that structure
    /// ```
    MptcpInfo: Linux "mptcp_info", "mptcpi_", since "Linux ", known 96 of 256 bytes;

    subflows: u8, "subflows", 0 u8, Count, Gauge, "5.16", Always,
        "Subflows beside the first.";
    add_addr_signal: u8, "addAddrSignal", 1 u8, Count, Counter, "5.16", Always,
        "Addresses announced to the peer.";
    add_addr_accepted: u8, "addAddrAccepted", 2 u8, Count, Counter, "5.16", Always,
        "Addresses of the peer that were accepted.";
    subflows_max: u8, "subflowsMax", 3 u8, Count, Gauge, "5.16", Always,
        "Limit of subflows.";
    add_addr_signal_max: u8, "addAddrSignalMax", 4 u8, Count, Gauge, "5.16", Always,
        "Limit of addresses announced.";
    add_addr_accepted_max: u8, "addAddrAcceptedMax", 5 u8, Count, Gauge, "5.16", Always,
        "Limit of addresses accepted.";
    flags: u32, "flags", 8 u32, None, Label, "5.16", Always,
        "1: fell back to TCP, 2: the peer's key arrived.";
    token: u32, "token", 12 u32, None, Label, "5.16", Always,
        "Identity of the connection on this host.";
    write_seq: u64, "writeSeq", 16 u64, Sequence, Counter, "5.16", Always,
        "Data sequence number that is written next.";
    snd_una: u64, "sndUna", 24 u64, Sequence, Counter, "5.16", Always,
        "Oldest data sequence number that is not acknowledged.";
    rcv_nxt: u64, "rcvNxt", 32 u64, Sequence, Counter, "5.16", Always,
        "Data sequence number that is expected next.";
    local_addr_used: u8, "localAddrUsed", 40 u8, Count, Gauge, "5.16", Always,
        "Local addresses in use for further subflows.";
    local_addr_max: u8, "localAddrMax", 41 u8, Count, Gauge, "5.16", Always,
        "Limit of local addresses.";
    csum_enabled: bool, "csumEnabled", 42 u8, None, Label, "5.16", Always,
        "Whether data bears a checksum.";
    retransmits: u32, "retransmits", 44 u32, Count, Counter, "6.5" >= 80, Always,
        "Retransmissions of the connection as a whole, on whichever subflow.";
    bytes_retrans: u64, "bytesRetrans", 48 u64, Bytes, Counter, "6.5", Always,
        "Payload retransmitted by them.";
    bytes_sent: u64, "bytesSent", 56 u64, Bytes, Counter, "6.5", Always,
        "Payload sent, such retransmissions included.";
    bytes_received: u64, "bytesReceived", 64 u64, Bytes, Counter, "6.5", Always,
        "Payload received in order.";
    bytes_acked: u64, "bytesAcked", 72 u64, Bytes, Counter, "6.5", Always,
        "Payload acknowledged by the peer.";
    subflows_total: u8, "subflowsTotal", 80 u8, Count, Gauge, "6.8", Always,
        "Subflows, the first included.";
    endp_laminar_max: u8, "endpLaminarMax", 81 u8, Count, Gauge, "6.18" >= 96, NotZero,
        "Limit of endpoints of the kind laminar.";
    endp_fullmesh_max: u8, "endpFullmeshMax", 82 u8, Count, Gauge, "6.19" >= 96, NotZero,
        "Limit of endpoints of the kind fullmesh.";
    last_data_sent: Duration, "lastTxAt", 84 u32, Milliseconds, Gauge, "6.10" >= 96, Connected,
        "Time since data was last sent.";
    last_data_recv: Duration, "lastRxAt", 88 u32, Milliseconds, Gauge, "6.10", Connected,
        "Time since data last arrived.";
    last_ack_recv: Duration, "lastRxAckAt", 92 u32, Milliseconds, Gauge, "6.10", Connected,
        "Time since an acknowledgement last arrived.";
}
