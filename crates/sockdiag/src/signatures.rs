//! The keys with which segments are signed: attribute `INET_DIAG_MD5SIG`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    bytes::{array_at, u16_at},
    lookup::{INET, INET6},
};

/// `sizeof(struct tcp_diag_md5sig)`, and where in it address and key begin.
const LEN: usize = 100;
const ADDRESS: usize = 4;
const KEY: usize = 20;

/// The keys of a socket, lent from what the kernel told. See [`Entry::md5_keys`](crate::Entry::md5_keys).
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Keys<'a> {
    rest: &'a [u8],
}

impl<'a> Md5Keys<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Md5Keys<'a> {
    type Item = Md5Key<'a>;

    fn next(&mut self) -> Option<Md5Key<'a>> {
        loop {
            let (one, rest) = self.rest.split_first_chunk()?;
            self.rest = rest;
            if let Some(key) = Md5Key::from_bytes(one) {
                return Some(key);
            }
        }
    }
}

impl fmt::Debug for Md5Keys<'_> {
    /// Without the keys, as each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// A key of TCP's MD5 signatures (RFC 2385): segments from and to these peers are signed with it, and not
/// taken without. `struct tcp_diag_md5sig`.
///
/// Shown by [`Debug`](fmt::Debug), and in JSON, the secret is no more than its length.
///
/// ```
/// use sockdiag::{Dump, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&Dump::new()).unwrap();
/// while let Some(entry) = entries.next() {
///     let entry = entry.unwrap();
///     for one in entry.md5_keys() {
///         println!("{} signs for {}/{}", entry.local_addr(), one.addr, one.prefix_len);
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Md5Key<'a> {
    /// The peer, or the network that it is in. `tcpm_addr`.
    pub addr: IpAddr,
    /// How many bits of the address count: all of one peer's, fewer of a network's. `tcpm_prefixlen`.
    pub prefix_len: u8,
    /// The secret itself, 80 bytes at most; a length beyond them is taken for as many. `tcpm_key`.
    pub key: &'a [u8],
}

impl<'a> Md5Key<'a> {
    /// `None` of another family. It is zero where the kernel had made room for a key that was taken away
    /// before it was told.
    fn from_bytes(bytes: &'a [u8; LEN]) -> Option<Self> {
        let [family, prefix_len, ..] = *bytes;
        let addr = match family {
            INET => IpAddr::V4(Ipv4Addr::from(array_at::<4>(bytes, ADDRESS))),
            INET6 => IpAddr::V6(Ipv6Addr::from(array_at::<16>(bytes, ADDRESS))),
            _ => return None,
        };
        let room = bytes.get(KEY..).unwrap_or_default();
        let key = room.get(..usize::from(u16_at(bytes, 2))).unwrap_or(room);
        Some(Self { addr, prefix_len, key })
    }
}

impl fmt::Debug for Md5Key<'_> {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Md5Key")
            .field("addr", &self.addr)
            .field("prefix_len", &self.prefix_len)
            .field("key_len", &self.key.len())
            .finish()
    }
}
