use std::fmt;

/// One TCP option or feature that a connection negotiated.
///
/// These are properties of the connection, not of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpOption {
    /// Timestamps (RFC 7323). Linux: `TCPI_OPT_TIMESTAMPS`.
    Timestamps,
    /// Selective acknowledgements (RFC 2018). Linux: `TCPI_OPT_SACK`.
    Sack,
    /// Window scaling (RFC 7323). Linux: `TCPI_OPT_WSCALE`.
    WindowScale,
    /// Explicit congestion notification (RFC 3168; since Linux 7.0 also Accurate ECN). Linux:
    /// `TCPI_OPT_ECN`.
    Ecn,
    /// At least one ECN-capable packet arrived. Linux: `TCPI_OPT_ECN_SEEN`.
    EcnSeen,
    /// Data in the SYN was acknowledged (Fast Open, RFC 7413). Linux: `TCPI_OPT_SYN_DATA`.
    SynData,
    /// Timestamps count microseconds. Linux 6.7: `TCPI_OPT_USEC_TS`.
    UsecTimestamps,
    /// The connection was accepted by Fast Open. Linux 6.16: `TCPI_OPT_TFO_CHILD`.
    TfoChild,
}

impl TcpOption {
    const ALL: [Self; 8] = [
        Self::Timestamps,
        Self::Sack,
        Self::WindowScale,
        Self::Ecn,
        Self::EcnSeen,
        Self::SynData,
        Self::UsecTimestamps,
        Self::TfoChild,
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
        }
    }

    pub(crate) const fn bit(self) -> u8 {
        match self {
            Self::Timestamps => 0x01,
            Self::Sack => 0x02,
            Self::WindowScale => 0x04,
            Self::Ecn => 0x08,
            Self::EcnSeen => 0x10,
            Self::SynData => 0x20,
            Self::UsecTimestamps => 0x40,
            Self::TfoChild => 0x80,
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
    set: u8,
    known: u8,
}

impl Options {
    /// Reads Linux's option byte, given the length of the structure it came in.
    ///
    /// The two newest bits share bytes that older kernels also return: a set bit is always true,
    /// a clear one says "off" only where the structure's length shows that the kernel knows it.
    #[inline]
    pub const fn from_linux(bits: u8, struct_len: usize) -> Self {
        let mut known = 0x3f | bits;
        if struct_len >= 248 {
            known |= TcpOption::UsecTimestamps.bit();
        }
        if struct_len >= 280 {
            known |= TcpOption::TfoChild.bit();
        }
        Self { set: bits, known }
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

    /// The bits as the kernel returned them.
    pub const fn bits(self) -> u8 {
        self.set
    }

    pub(crate) const fn to_raw(self) -> u64 {
        u16::from_le_bytes([self.set, self.known]) as u64
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        let [set, known, ..] = raw.to_le_bytes();
        Self { set, known }
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
