use std::fmt;

/// A family of operating systems that share one structure.
///
/// ```
/// assert_eq!(tcpinfo::System::FreeBsd.to_string(), "FreeBSD");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum System {
    /// Linux and Android.
    Linux,
    /// macOS, iOS, tvOS, watchOS, visionOS.
    Apple,
    /// Windows 10 version 1703 and later.
    Windows,
    /// FreeBSD.
    FreeBsd,
    /// NetBSD.
    NetBsd,
    /// OpenBSD.
    OpenBsd,
}

impl System {
    /// Every system whose structure can be decoded: on any host, also of a capture from elsewhere.
    pub const ALL: [Self; 6] =
        [Self::Linux, Self::Apple, Self::Windows, Self::FreeBsd, Self::NetBsd, Self::OpenBsd];

    /// The C structure with the facts of one TCP socket.
    pub const fn structure(self) -> &'static str {
        match self {
            Self::Linux | Self::FreeBsd | Self::NetBsd | Self::OpenBsd => "tcp_info",
            Self::Apple => "tcp_connection_info",
            Self::Windows => "TCP_INFO",
        }
    }

    /// The system that this program runs on, if its sockets can be asked.
    pub const CURRENT: Option<Self> = if cfg!(any(target_os = "linux", target_os = "android")) {
        Some(Self::Linux)
    } else if cfg!(target_vendor = "apple") {
        Some(Self::Apple)
    } else if cfg!(windows) {
        Some(Self::Windows)
    } else if cfg!(target_os = "freebsd") {
        Some(Self::FreeBsd)
    } else if cfg!(target_os = "netbsd") {
        Some(Self::NetBsd)
    } else if cfg!(target_os = "openbsd") {
        Some(Self::OpenBsd)
    } else {
        None
    };

    /// The name as its makers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Apple => "Apple",
            Self::Windows => "Windows",
            Self::FreeBsd => "FreeBSD",
            Self::NetBsd => "NetBSD",
            Self::OpenBsd => "OpenBSD",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
