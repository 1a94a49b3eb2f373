use std::fmt;

/// One TCP option or feature that a connection negotiated.
///
/// These are properties of the connection, not of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpOption {
    /// Timestamps (RFC 7323). `TCPI_OPT_TIMESTAMPS`; Windows: `TimestampsEnabled`.
    Timestamps,
    /// Selective acknowledgements (RFC 2018). `TCPI_OPT_SACK`.
    Sack,
    /// Window scaling (RFC 7323). `TCPI_OPT_WSCALE`.
    WindowScale,
    /// Explicit congestion notification (RFC 3168; since Linux 7.0 also Accurate ECN).
    /// `TCPI_OPT_ECN`; Windows: `EcnNegotiated`.
    Ecn,
    /// At least one ECN-capable packet arrived. Linux: `TCPI_OPT_ECN_SEEN`.
    EcnSeen,
    /// Data in the SYN was acknowledged (Fast Open, RFC 7413). Linux: `TCPI_OPT_SYN_DATA`.
    SynData,
    /// Timestamps count microseconds. Linux 6.7: `TCPI_OPT_USEC_TS`.
    UsecTimestamps,
    /// The connection was accepted by Fast Open. Linux 6.16: `TCPI_OPT_TFO_CHILD`.
    TfoChild,
    /// The network adapter handles the connection. FreeBSD: `TCPI_OPT_TOE`.
    Offload,
    /// Fast Open is in use (RFC 7413). FreeBSD: `TCPI_OPT_TFO`.
    FastOpen,
    /// Accurate ECN was negotiated. FreeBSD 14: `TCPI_OPT_ACE`.
    AccurateEcn,
}

impl TcpOption {
    const ALL: [Self; 11] = [
        Self::Timestamps,
        Self::Sack,
        Self::WindowScale,
        Self::Ecn,
        Self::EcnSeen,
        Self::SynData,
        Self::UsecTimestamps,
        Self::TfoChild,
        Self::Offload,
        Self::FastOpen,
        Self::AccurateEcn,
    ];

    /// The name used in JSON and in text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timestamps => "Timestamps",
            Self::Sack => "SACK",
            Self::WindowScale => "WindowScale",
            Self::Ecn => "ECN",
            Self::EcnSeen => "ECNSeen",
            Self::SynData => "SYNData",
            Self::UsecTimestamps => "UsecTS",
            Self::TfoChild => "TFOChild",
            Self::Offload => "Offload",
            Self::FastOpen => "FastOpen",
            Self::AccurateEcn => "AccECN",
        }
    }

    /// Our own numbers, of which the first eight are those of Linux.
    pub(crate) const fn bit(self) -> u16 {
        match self {
            Self::Timestamps => 0x01,
            Self::Sack => 0x02,
            Self::WindowScale => 0x04,
            Self::Ecn => 0x08,
            Self::EcnSeen => 0x10,
            Self::SynData => 0x20,
            Self::UsecTimestamps => 0x40,
            Self::TfoChild => 0x80,
            Self::Offload => 0x100,
            Self::FastOpen => 0x200,
            Self::AccurateEcn => 0x400,
        }
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The options of a connection, each on, off, or not told by this kernel.
///
/// ```
/// use tcpinfo::{Options, TcpOption};
///
/// // Bits as an older kernel returns them, which tells nothing of the two newest options.
/// let options = Options::from_linux(0x07, 104);
/// assert_eq!(options.get(TcpOption::Sack), Some(true));
/// assert_eq!(options.get(TcpOption::Ecn), Some(false));
/// assert_eq!(options.get(TcpOption::TfoChild), None);
/// assert_eq!(options.to_string(), "Timestamps SACK WindowScale");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    set: u16,
    known: u16,
}

impl Options {
    /// Reads Linux's option byte, given the length of the structure it came in.
    ///
    /// The two newest bits share bytes that older kernels also return: a set bit is always true,
    /// a clear one says "off" only where the structure's length shows that the kernel knows it.
    #[inline]
    pub const fn from_linux(bits: u8, struct_len: usize) -> Self {
        let bits = bits as u16;
        let mut known = 0x3f | bits;
        if struct_len >= 248 {
            known |= TcpOption::UsecTimestamps.bit();
        }
        if struct_len >= 280 {
            known |= TcpOption::TfoChild.bit();
        }
        Self { set: bits, known }
    }

    /// Reads the option word of macOS, NetBSD or OpenBSD, which tells four options.
    #[inline]
    pub const fn from_bsd(bits: u32) -> Self {
        let known = 0x0f;
        Self { set: bits as u16 & known, known }
    }

    /// Reads FreeBSD's option byte, given the length of the structure it came in.
    ///
    /// The newest bit shares its byte with older ones, as on Linux.
    #[inline]
    pub const fn from_freebsd(bits: u8, struct_len: usize) -> Self {
        let accurate_ecn = bits & 0x40 != 0;
        let tells_accurate_ecn = accurate_ecn || struct_len >= 240;
        Self::from_bsd(bits as u32)
            .with(TcpOption::Offload, Some(bits & 0x10 != 0))
            .with(TcpOption::FastOpen, Some(bits & 0x20 != 0))
            .with(
                TcpOption::AccurateEcn,
                if tells_accurate_ecn { Some(accurate_ecn) } else { None },
            )
    }

    /// The options as Windows tells them, each in a field of its own.
    #[inline]
    pub(crate) const fn from_flags(timestamps: Option<bool>, ecn: Option<bool>) -> Self {
        Self { set: 0, known: 0 }.with(TcpOption::Timestamps, timestamps).with(TcpOption::Ecn, ecn)
    }

    const fn with(mut self, option: TcpOption, state: Option<bool>) -> Self {
        if let Some(on) = state {
            self.known |= option.bit();
            if on {
                self.set |= option.bit();
            }
        }
        self
    }

    /// Whether the option is in use; `None` where the running kernel does not tell.
    #[inline]
    pub const fn get(self, option: TcpOption) -> Option<bool> {
        let bit = option.bit();
        if self.known & bit == 0 { None } else { Some(self.set & bit != 0) }
    }

    /// The options in use.
    pub fn iter(self) -> impl Iterator<Item = TcpOption> {
        TcpOption::ALL.into_iter().filter(move |option| self.set & option.bit() != 0)
    }

    pub(crate) const fn to_raw(self) -> u64 {
        (self.known as u64) << 16 | self.set as u64
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self { set: raw as u16, known: (raw >> 16) as u16 }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, option) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            option.fmt(f)?;
        }
        Ok(())
    }
}
