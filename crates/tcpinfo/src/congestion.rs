//! Congestion control: which algorithm, and what it knows.

use std::{fmt, time::Duration};

use crate::{AsSock, Error, ErrorKind, sys};

/// Name of a congestion control algorithm, such as `cubic` or `bbr`.
///
/// Any name that a kernel module bears is passed through.
///
/// ```
/// use tcpinfo::CongestionName;
///
/// let name = CongestionName::from_bytes(b"bbr\0\0\0\0\0\0\0\0\0\0\0\0\0");
/// assert_eq!(name.as_str(), "bbr");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CongestionName {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl CongestionName {
    /// `TCP_CA_NAME_MAX`.
    pub(crate) const CAPACITY: usize = 16;

    /// Takes over a name as the kernel returns it: up to 16 bytes, ended by the first NUL.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (low, high) = bytes.split_at(bytes.len().min(8));
        // All bytes at once: the lowest bit of the mask is in the first byte that is zero.
        const ONES: u128 = u128::MAX / 0xff;
        let text = u128::from(up_to_eight(low)) | u128::from(up_to_eight(high)) << 64;
        let zeros = text.wrapping_sub(ONES) & !text & (ONES << 7);
        let len = zeros.trailing_zeros() / 8;
        let kept = u128::MAX.checked_shr(u128::BITS - 8 * len).unwrap_or_default();
        Self { bytes: (text & kept).to_le_bytes(), len: len as u8 }
    }

    /// The name as text, up to the first byte that is not text.
    #[inline]
    pub fn as_str(&self) -> &str {
        let bytes = self.as_bytes();
        // In chunks only if it must be, which takes several times as long.
        let first = || bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        std::str::from_utf8(bytes).unwrap_or_else(|_| first())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for CongestionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CongestionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The congestion control of one socket: its name and what the algorithm tells of itself.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use tcpinfo::{Congestion, CongestionInfo};
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let congestion = Congestion::read(&socket).unwrap();
/// match congestion.info {
///     Some(CongestionInfo::Bbr(bbr)) => println!("{:?} bytes/s", bbr.bandwidth),
///     _ => println!("{} tells nothing more", congestion.name),
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Congestion<B = CcInfo> {
    /// Name of the algorithm. Linux: `TCP_CONGESTION`.
    pub name: CongestionName,
    /// What the algorithm tells. Linux: `TCP_CC_INFO`; `None` where it tells nothing, as cubic.
    pub info: Option<CongestionInfo<B>>,
}

impl Congestion {
    /// Asks a socket for its congestion control: three system calls.
    ///
    /// If another thread switches the algorithm meanwhile, they are made again; a switch there and
    /// back between them cannot be seen.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        let sock = sock.as_sock();
        // The answer of TCP_CC_INFO bears no type; its layout follows from the name. The algorithm
        // can be switched between the two calls, so the name must be the same after as before.
        let mut name = sys::congestion_name(sock)?;
        for _ in 0..3 {
            let info = match sys::congestion_info(sock) {
                // Before Linux 4.1 only the name could be asked for.
                Err(error) if error.kind() == ErrorKind::Unsupported => break,
                answer => answer?,
            };
            let after = sys::congestion_name(sock)?;
            if name == after {
                return Ok(Self::decode(name, info.as_bytes()));
            }
            name = after;
        }
        Ok(Self { name, info: None })
    }

    /// Decodes the structure that an algorithm of this name returned, in this machine's byte order.
    ///
    /// Structures of other algorithms, and of unexpected lengths, are passed through as bytes.
    pub fn decode(name: CongestionName, bytes: &[u8]) -> Self {
        Congestion::lent(name, bytes).to_kept()
    }
}

impl<'a> Congestion<&'a [u8]> {
    /// The same, of which those bytes that are passed through stay where they are.
    // Always inlined, because moving the result costs more than decoding it.
    #[inline(always)]
    pub fn lent(name: CongestionName, bytes: &'a [u8]) -> Self {
        // The commonest tell nothing.
        let info = if bytes.is_empty() { None } else { Some(CongestionInfo::lent(name, bytes)) };
        Self { name, info }
    }

    /// A copy that holds the bytes itself.
    pub fn to_kept(&self) -> Congestion {
        Congestion { name: self.name, info: self.info.map(CongestionInfo::to_kept) }
    }
}

/// What a congestion control algorithm tells of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum CongestionInfo<B = CcInfo> {
    /// The format of vegas, which yeah, westwood, illinois and nv use too.
    Vegas(VegasInfo),
    /// DCTCP (RFC 8257).
    Dctcp(DctcpInfo),
    /// BBR.
    Bbr(BbrInfo<B>),
    /// Another algorithm's structure, undecoded.
    Other(B),
}

impl<'a> CongestionInfo<&'a [u8]> {
    #[inline(always)]
    fn lent(name: CongestionName, bytes: &'a [u8]) -> Self {
        let typed = match name.as_bytes() {
            b"vegas" | b"yeah" | b"westwood" | b"illinois" | b"nv" if bytes.len() == 16 => {
                VegasInfo::decode(bytes).map(Self::Vegas)
            }
            b"dctcp" if bytes.len() == 16 => DctcpInfo::decode(bytes).map(Self::Dctcp),
            [b'b', b'b', b'r', ..] => match bytes.split_first_chunk() {
                Some((head, tail)) => return Self::Bbr(BbrInfo::decode(head, tail)),
                None => None,
            },
            _ => None,
        };
        typed.unwrap_or(Self::Other(bytes))
    }

    fn to_kept(self) -> CongestionInfo {
        match self {
            Self::Vegas(info) => CongestionInfo::Vegas(info),
            Self::Dctcp(info) => CongestionInfo::Dctcp(info),
            Self::Bbr(info) => CongestionInfo::Bbr(info.to_kept()),
            Self::Other(bytes) => CongestionInfo::Other(CcInfo::from_bytes(bytes)),
        }
    }
}

/// Linux `struct tcpvegas_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct VegasInfo {
    /// Whether the algorithm is acting. `tcpv_enabled`.
    pub enabled: bool,
    /// Number of RTT samples in the current round. `tcpv_rttcnt`.
    pub rtt_samples: u32,
    /// Round-trip time as the algorithm sees it (base, average or last, by algorithm); absent
    /// without a sample. `tcpv_rtt`, µs.
    pub rtt: Option<Duration>,
    /// Minimum round-trip time; absent without a sample. `tcpv_minrtt`, µs.
    pub min_rtt: Option<Duration>,
}

impl VegasInfo {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let measured = |micros: u32| {
            let none = micros == 0 || micros >= i32::MAX as u32;
            (!none).then(|| Duration::from_micros(u64::from(micros)))
        };
        Some(Self {
            enabled: u32_at(bytes, 0)? != 0,
            rtt_samples: u32_at(bytes, 4)?,
            rtt: measured(u32_at(bytes, 8)?),
            min_rtt: measured(u32_at(bytes, 12)?),
        })
    }
}

/// Linux `struct tcp_dctcp_info`: all zero if ECN was not negotiated and reno is used instead.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DctcpInfo {
    /// Whether the algorithm is acting. `dctcp_enabled`.
    pub enabled: bool,
    /// Whether the last packet received was marked. `dctcp_ce_state`.
    pub ce_state: u16,
    /// Estimated share of marked bytes, 0 to 1. `dctcp_alpha`, a fixed-point number of 10 bits.
    pub alpha: f64,
    /// Bytes acknowledged with a mark in the current window. `dctcp_ab_ecn`.
    pub acked_ecn_bytes: u32,
    /// Bytes acknowledged in the current window. `dctcp_ab_tot`.
    pub acked_bytes: u32,
}

impl DctcpInfo {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            enabled: u16_at(bytes, 0)? != 0,
            ce_state: u16_at(bytes, 2)?,
            alpha: f64::from(u32_at(bytes, 4)?) / 1024.0,
            acked_ecn_bytes: u32_at(bytes, 8)?,
            acked_bytes: u32_at(bytes, 12)?,
        })
    }
}

/// Linux `struct tcp_bbr_info`: all zero on a socket without a connection, where BBR has not begun.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BbrInfo<B = CcInfo> {
    /// Estimated bottleneck bandwidth in bytes a second; absent without a sample. `bbr_bw_hi` and
    /// `bbr_bw_lo` are the halves of this one number.
    pub bandwidth: Option<u64>,
    /// Minimum round-trip time; absent without a sample. `bbr_min_rtt`, µs.
    pub min_rtt: Option<Duration>,
    /// Factor on the bandwidth that gives the pacing rate; absent before the first acknowledgement.
    /// `bbr_pacing_gain`, a fixed-point number of 8 bits.
    pub pacing_gain: Option<f64>,
    /// Factor on the bandwidth-delay product that gives the congestion window; absent before the
    /// first acknowledgement. `bbr_cwnd_gain`, a fixed-point number of 8 bits.
    pub cwnd_gain: Option<f64>,
    /// What a newer BBR appended.
    pub tail: B,
}

impl<'a> BbrInfo<&'a [u8]> {
    #[inline(always)]
    fn decode(head: &[u8; 20], tail: &'a [u8]) -> Self {
        let word = |offset| u32_at(head, offset).unwrap_or_default();
        let bandwidth = u64::from(word(4)) << 32 | u64::from(word(0));
        let min_rtt = word(8);
        let is_measured = !matches!(min_rtt, 0 | u32::MAX);
        let gain = |raw: u32| (raw != 0).then(|| f64::from(raw) / 256.0);
        Self {
            bandwidth: (bandwidth != 0).then_some(bandwidth),
            min_rtt: is_measured.then(|| Duration::from_micros(u64::from(min_rtt))),
            pacing_gain: gain(word(12)),
            cwnd_gain: gain(word(16)),
            tail,
        }
    }

    fn to_kept(self) -> BbrInfo {
        let Self { bandwidth, min_rtt, pacing_gain, cwnd_gain, tail } = self;
        BbrInfo { bandwidth, min_rtt, pacing_gain, cwnd_gain, tail: CcInfo::from_bytes(tail) }
    }
}

/// Bytes of a structure that this version of the crate does not decode, at most 64 of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CcInfo {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl CcInfo {
    /// Three times the largest structure of today's kernels.
    pub(crate) const CAPACITY: usize = 64;

    #[allow(dead_code, reason = "only Linux is asked for it")]
    pub(crate) fn new(bytes: [u8; Self::CAPACITY], len: usize) -> Self {
        Self { bytes, len: u8::try_from(len.min(Self::CAPACITY)).unwrap_or_default() }
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut kept = [0; Self::CAPACITY];
        for (slot, byte) in kept.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        Self::new(kept, bytes.len())
    }

    /// The bytes as the kernel returned them.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for CcInfo {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for CcInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CcInfo").field(&self.as_bytes()).finish()
    }
}

/// The first bytes as a little-endian number, read in pieces as large as there are: what is written to
/// memory in small pieces and read in large ones, the processor waits for.
#[inline]
fn up_to_eight(bytes: &[u8]) -> u64 {
    if let Some(all) = bytes.first_chunk() {
        return u64::from_le_bytes(*all);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Where both overlap, they are equal.
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn decode(name: &str, bytes: &[u8]) -> Option<CongestionInfo> {
        Congestion::decode(CongestionName::from_bytes(name.as_bytes()), bytes).info
    }

    #[test]
    fn bbr_bandwidth_is_one_number_and_gains_are_ratios() {
        let Some(CongestionInfo::Bbr(bbr)) = decode("bbr", &words(&[7, 2, 1500, 739, 512])) else {
            panic!("not decoded as bbr");
        };
        assert_eq!(bbr.bandwidth, Some((2 << 32) + 7));
        assert_eq!(bbr.min_rtt, Some(Duration::from_micros(1500)));
        assert_eq!((bbr.pacing_gain, bbr.cwnd_gain), (Some(739.0 / 256.0), Some(2.0)));
        assert!(bbr.tail.as_bytes().is_empty());
    }

    #[test]
    fn a_bbr_that_has_not_begun_tells_nothing() {
        let Some(CongestionInfo::Bbr(bbr)) = decode("bbr", &words(&[0; 5])) else {
            panic!("not decoded as bbr");
        };
        assert_eq!((bbr.bandwidth, bbr.min_rtt), (None, None));
        assert_eq!((bbr.pacing_gain, bbr.cwnd_gain), (None, None));
    }

    #[test]
    fn a_newer_bbr_keeps_what_it_appended() {
        let Some(CongestionInfo::Bbr(bbr)) = decode("bbr3", &words(&[0, 0, u32::MAX, 256, 256, 9]))
        else {
            panic!("not decoded as bbr");
        };
        assert_eq!((bbr.bandwidth, bbr.min_rtt), (None, None));
        assert_eq!(bbr.tail.as_bytes(), 9u32.to_ne_bytes());
    }

    #[test]
    fn vegas_format_serves_its_relatives_and_hides_sentinels() {
        for name in ["vegas", "yeah", "westwood", "illinois", "nv"] {
            let info = decode(name, &words(&[1, 3, 250, 0x7fff_ffff]));
            let expected = VegasInfo {
                enabled: true,
                rtt_samples: 3,
                rtt: Some(Duration::from_micros(250)),
                min_rtt: None,
            };
            assert_eq!(info, Some(CongestionInfo::Vegas(expected)), "{name}");
        }
    }

    #[test]
    fn dctcp_alpha_is_a_share() {
        let mut bytes = [1u16.to_ne_bytes(), 1u16.to_ne_bytes()].concat();
        bytes.extend(words(&[512, 10, 20]));
        let Some(CongestionInfo::Dctcp(dctcp)) = decode("dctcp", &bytes) else {
            panic!("not decoded as dctcp");
        };
        assert_eq!((dctcp.enabled, dctcp.ce_state, dctcp.alpha), (true, 1, 0.5));
        assert_eq!((dctcp.acked_ecn_bytes, dctcp.acked_bytes), (10, 20));
    }

    #[test]
    fn other_names_and_lengths_are_passed_through() {
        assert_eq!(decode("cubic", &[]), None);
        for name in ["scalable", "bbr", "vegas", "dctcp"] {
            let Some(CongestionInfo::Other(raw)) = decode(name, &[1, 2, 3]) else {
                panic!("{name} with three bytes must stay undecoded");
            };
            assert_eq!(raw.as_bytes(), [1, 2, 3]);
        }
    }

    #[test]
    fn any_bytes_make_a_name() {
        assert_eq!(CongestionName::from_bytes(&[b'a'; 40]).as_str(), "a".repeat(16));
        assert_eq!(CongestionName::from_bytes(b"\xffcubic").as_str(), "");
        assert_eq!(
            CongestionName::from_bytes("aaaaaaaaaaaaaaaé".as_bytes()).as_str(),
            "a".repeat(15)
        );
        assert_eq!(CongestionName::from_bytes(&[]).as_str(), "");
    }
}
