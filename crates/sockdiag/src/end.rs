//! One end of a connection, as `ss` writes it.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{Entry, Interfaces};

/// One end of a connection, shown as `ss -n` shows it: `10.0.0.1:443`, `[fe80::1]%eth0:22`,
/// `0.0.0.0%lo:80`, `*:80` of a listener for both protocols, and `*` for a port where there is none.
///
/// The interface is the one that the socket is bound to, and stands at this host's end only. Where its
/// name is not known there is its number, as `%if7`. [Filters](crate::Filter) read all of these.
///
/// ```
/// use sockdiag::{Dump, Interfaces, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let interfaces = Interfaces::of_thread();
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&Dump::new().filter(&"state listening".parse().unwrap())).unwrap();
/// while let Some(entry) = entries.next() {
///     println!("{}", entry.unwrap().local_end(&interfaces));
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    address: SocketAddr,
    /// Zero if there is none.
    interface: u32,
    /// Whether it stands for every address of both protocols.
    is_of_both: bool,
    interfaces: Option<&'a Interfaces>,
}

impl<'a> End<'a> {
    /// The address and the port. An address that belongs to one link has the interface for its scope.
    #[inline]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The interface that the socket is bound to, at this host's end; absent if it is bound to none.
    #[inline]
    pub const fn interface(&self) -> Option<u32> {
        match self.interface {
            0 => None,
            index => Some(index),
        }
    }
}

impl Entry<'_> {
    /// This host's end as `ss` writes it, with the interface that the socket is bound to, by its name.
    #[inline]
    pub fn local_end<'n>(&self, interfaces: &'n Interfaces) -> End<'n> {
        let interface = self.interface().unwrap_or(0);
        End { interface, interfaces: Some(interfaces), ..self.end(self.local_addr()) }
    }

    /// The other end as `ss` writes it. All zeros and a `*` if there is none.
    #[inline]
    pub fn remote_end(&self) -> End<'static> {
        self.end(self.remote_addr())
    }

    #[inline]
    fn end(&self, address: SocketAddr) -> End<'static> {
        let is_any = matches!(address.ip(), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let is_of_both = is_any && self.is_ipv6_only() != Some(true);
        End { address, interface: 0, is_of_both, interfaces: None }
    }
}

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}")?,
            IpAddr::V6(_) if self.is_of_both => f.write_char('*')?,
            IpAddr::V6(ip) => match compatible(ip) {
                None => write!(f, "[{ip}]")?,
                Some(four) => write!(f, "[::{four}]")?,
            },
        }
        if let Some(index) = self.interface() {
            match self.interfaces.and_then(|interfaces| interfaces.name(index)) {
                Some(name) => write!(f, "%{name}")?,
                None => write!(f, "%if{index}")?,
            }
        }
        match self.address.port() {
            0 => f.write_str(":*"),
            port => write!(f, ":{port}"),
        }
    }
}

/// The C library shows an IPv4 address in those that have only zeros before, unlike the standard library.
fn compatible(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let number = u128::from(ip);
    let four = u32::try_from(number).ok()?;
    (four > 0xffff).then(|| Ipv4Addr::from(four))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ip: &str, port: u16, interface: u32, only: Option<u8>) -> String {
        let mut bytes = vec![0; 72];
        bytes[0] = 2;
        bytes[4..6].copy_from_slice(&port.to_be_bytes());
        match ip.parse().unwrap() {
            IpAddr::V4(four) => bytes[8..12].copy_from_slice(&four.octets()),
            IpAddr::V6(six) => {
                bytes[0] = 10;
                bytes[8..24].copy_from_slice(&six.octets());
            }
        }
        bytes[40..44].copy_from_slice(&interface.to_ne_bytes());
        if let Some(only) = only {
            bytes.extend(5u16.to_ne_bytes());
            bytes.extend(11u16.to_ne_bytes());
            bytes.extend([only, 0, 0, 0]);
        }
        let entry = Entry::from_bytes(&bytes).unwrap();
        entry.local_end(&Interfaces::unnamed()).to_string()
    }

    /// The right column is what `ss` prints of such sockets, or `inet_ntop` of such addresses.
    #[test]
    fn ends_are_written_as_ss_writes_them() {
        for (ip, port, interface, only, wanted) in [
            ("127.0.0.1", 80, 0, None, "127.0.0.1:80"),
            ("127.0.0.1", 80, 3, None, "127.0.0.1%if3:80"),
            ("0.0.0.0", 0, 0, None, "0.0.0.0:*"),
            ("::", 80, 0, None, "*:80"),
            ("::", 80, 0, Some(0), "*:80"),
            ("::", 80, 0, Some(1), "[::]:80"),
            ("::", 80, 3, Some(0), "*%if3:80"),
            ("::", 80, 3, Some(1), "[::]%if3:80"),
            ("fe80::1", 80, 3, None, "[fe80::1]%if3:80"),
            ("::1", 80, 0, Some(0), "[::1]:80"),
            ("::ffff:10.0.0.1", 80, 0, None, "[::ffff:10.0.0.1]:80"),
            ("::10.0.0.1", 80, 0, None, "[::10.0.0.1]:80"),
            ("::1:0", 80, 0, None, "[::0.1.0.0]:80"),
            ("::ffff", 80, 0, None, "[::ffff]:80"),
            ("2001:db8:0:0:1::1", 80, 0, None, "[2001:db8::1:0:0:1]:80"),
        ] {
            assert_eq!(shown(ip, port, interface, only), wanted, "{ip}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets of datagrams")]
    fn a_name_is_of_the_interface() {
        let interfaces = Interfaces::of_thread();
        let Some(index) = interfaces.index("lo") else { return };
        let mut bytes = [0; 72];
        bytes[0] = 2;
        bytes[40..44].copy_from_slice(&index.to_ne_bytes());
        let entry = Entry::from_bytes(&bytes).unwrap();
        assert_eq!(entry.local_end(&interfaces).to_string(), "0.0.0.0%lo:*");
        assert_eq!(entry.remote_end().to_string(), "0.0.0.0:*");
    }
}
