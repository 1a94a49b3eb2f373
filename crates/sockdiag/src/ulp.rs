//! The attributes nested in `INET_DIAG_ULP_INFO`.

use std::fmt;

use crate::attribute::{Attribute, Attributes};

/// Numbers of `linux/inet_diag.h`, `linux/tls.h` and `linux/mptcp.h`.
mod number {
    pub(super) const NAME: u16 = 1;
    pub(super) const TLS: u16 = 2;
    pub(super) const MPTCP: u16 = 3;
}

/// The upper layer protocol that the kernel runs on a connection.
///
/// It comes from the kernel as a list within the list of attributes. What is broken in it ends it:
/// the facts behind are absent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ulp<'a> {
    bytes: &'a [u8],
}

impl<'a> Ulp<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Its name, such as `tls` or `mptcp`, up to the first byte that is not text.
    pub fn name(&self) -> &'a str {
        let bytes = find(self.bytes, number::NAME).unwrap_or_default();
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        name.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }

    /// What is known of TLS in the kernel.
    pub fn tls(&self) -> Option<TlsInfo> {
        find(self.bytes, number::TLS).map(TlsInfo::from_bytes)
    }

    /// What is known of the connection as one path of Multipath TCP.
    pub fn mptcp(&self) -> Option<MptcpSubflowInfo> {
        find(self.bytes, number::MPTCP).map(MptcpSubflowInfo::from_bytes)
    }

    /// Everything that the protocol tells, numbered as `INET_ULP_INFO_*`.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes)
    }
}

impl fmt::Debug for Ulp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ulp")
            .field("name", &self.name())
            .field("tls", &self.tls())
            .field("mptcp", &self.mptcp())
            .finish()
    }
}

/// TLS in the kernel: `TLS_INFO_*` of `linux/tls.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsInfo {
    /// Version of the protocol, such as 0x0304 for TLS 1.3. `TLS_INFO_VERSION`.
    pub version: Option<u16>,
    /// Number of the cipher, such as 51 for AES-128-GCM. `TLS_INFO_CIPHER`.
    pub cipher: Option<u16>,
    /// Who encrypts what is sent. `TLS_INFO_TXCONF`.
    pub tx: Option<TlsPlace>,
    /// Who decrypts what is received. `TLS_INFO_RXCONF`.
    pub rx: Option<TlsPlace>,
    /// Whether files are sent without a copy. `TLS_INFO_ZC_RO_TX`.
    pub is_zero_copy: bool,
    /// Whether the program promised that the peer does not pad. `TLS_INFO_RX_NO_PAD`.
    pub is_without_padding: bool,
    /// Most bytes of payload in a record that is sent. `TLS_INFO_TX_MAX_PAYLOAD_LEN`.
    pub tx_max_payload_len: Option<u16>,
}

/// Where TLS is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsPlace {
    /// Not in the kernel. `TLS_CONF_BASE`.
    Program,
    /// In the kernel, by the processor. `TLS_CONF_SW`.
    Software,
    /// By the network device, record by record. `TLS_CONF_HW`.
    Device,
    /// By the network device, which handles TCP, too. `TLS_CONF_HW_RECORD`.
    DeviceRecord,
    /// A place this version of the crate does not know.
    Unknown(u16),
}

impl TlsInfo {
    fn from_bytes(bytes: &[u8]) -> Self {
        let number = |wanted| array(bytes, wanted).map(u16::from_ne_bytes);
        let place = |wanted| {
            Some(match number(wanted)? {
                1 => TlsPlace::Program,
                2 => TlsPlace::Software,
                3 => TlsPlace::Device,
                4 => TlsPlace::DeviceRecord,
                other => TlsPlace::Unknown(other),
            })
        };
        Self {
            version: number(1),
            cipher: number(2),
            tx: place(3),
            rx: place(4),
            is_zero_copy: find(bytes, 5).is_some(),
            is_without_padding: find(bytes, 6).is_some(),
            tx_max_payload_len: number(7),
        }
    }
}

/// One path of Multipath TCP: `MPTCP_SUBFLOW_ATTR_*` of `linux/mptcp.h`.
///
/// Newer kernels tell some of it to who has `CAP_NET_ADMIN` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MptcpSubflowInfo {
    /// The peer's token of the whole connection; absent on the path that it began with, where the kernel
    /// shows zero.
    pub remote_token: Option<u32>,
    /// Our token of the whole connection, which its other paths share.
    pub local_token: Option<u32>,
    /// Sequence number of what is written, relative to the path's first.
    pub relative_write_sequence: Option<u32>,
    /// Where the present mapping begins in the whole connection's data.
    pub map_sequence: Option<u64>,
    /// Where the present mapping begins in the path's data.
    pub map_subflow_sequence: Option<u32>,
    /// Sequence number of the path's first byte.
    pub subflow_offset: Option<u32>,
    /// Length of the present mapping in bytes.
    pub map_data_len: Option<u16>,
    /// `MPTCP_SUBFLOW_FLAG_*`.
    pub flags: Option<u32>,
    /// The peer's number of its address.
    pub remote_id: Option<u8>,
    /// Our number of our address.
    pub local_id: Option<u8>,
}

impl MptcpSubflowInfo {
    fn from_bytes(bytes: &[u8]) -> Self {
        let word = |wanted| array(bytes, wanted).map(u32::from_ne_bytes);
        let byte = |wanted| array(bytes, wanted).map(u8::from_ne_bytes);
        Self {
            remote_token: word(1).filter(|token| *token != 0),
            local_token: word(2),
            relative_write_sequence: word(3),
            map_sequence: array(bytes, 4).map(u64::from_ne_bytes),
            map_subflow_sequence: word(5),
            subflow_offset: word(6),
            map_data_len: array(bytes, 7).map(u16::from_ne_bytes),
            flags: word(8),
            remote_id: byte(9),
            local_id: byte(10),
        }
    }
}

fn find(bytes: &[u8], number: u16) -> Option<&[u8]> {
    let is_wanted = |attribute: &Attribute<'_>| attribute.number == number;
    Attributes::new(bytes).find(is_wanted).map(|found| found.payload)
}

fn array<const N: usize>(bytes: &[u8], number: u16) -> Option<[u8; N]> {
    find(bytes, number)?.first_chunk().copied()
}
