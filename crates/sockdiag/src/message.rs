//! Netlink messages as one datagram holds them: a header of 16 bytes (`struct nlmsghdr`), then what
//! it is about.

use std::ops::Range;

use crate::{
    bytes::{aligned, u16_at, u32_at},
    error::Malformed,
};

/// `sizeof(struct nlmsghdr)`.
pub(crate) const HEADER_LEN: usize = 16;

/// Numbers of `linux/netlink.h` and `linux/sock_diag.h`.
pub(crate) mod kind {
    pub(crate) const NOOP: u16 = 1;
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const DONE: u16 = 3;
    pub(crate) const OVERRUN: u16 = 4;
    /// The older request of lists of TCP sockets, and each answer to it.
    pub(crate) const TCPDIAG_GETSOCK: u16 = 18;
    pub(crate) const SOCK_DIAG_BY_FAMILY: u16 = 20;
}

/// One netlink message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// What the message is: 20 (or 18, in answer to an older request) for a socket, 2 for an error, 3 for the end of a list. `nlmsg_type`.
    pub kind: u16,
    /// `NLM_F_*`. `nlmsg_flags`.
    pub flags: u16,
    /// The number of the request that it answers. `nlmsg_seq`.
    pub sequence: u32,
    /// The netlink socket that it is for. `nlmsg_pid`.
    pub port: u32,
    /// What follows the header: for kind 20 the bytes of an [`Entry`](crate::Entry).
    pub payload: &'a [u8],
}

/// Cuts a datagram, as a netlink socket received it, into its messages.
///
/// A message that is not whole, or claims more bytes than there are, is an error and the end.
///
/// ```
/// let mut datagram = [0; 20]; // the end of a list: length, kind, flags, sequence, port, error
/// datagram[..4].copy_from_slice(&20u32.to_ne_bytes());
/// datagram[4..6].copy_from_slice(&3u16.to_ne_bytes());
///
/// let messages: Vec<_> = sockdiag::messages(&datagram).collect();
/// assert_eq!(messages.len(), 1);
/// assert_eq!(messages[0].unwrap().payload, [0; 4]);
///
/// assert!(sockdiag::messages(&datagram[..19]).next().unwrap().is_err());
/// ```
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram, offset: 0 }
}

/// The messages of one datagram. See [`messages`].
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Messages<'a> {
    /// Those that lie in this part of a buffer; places are those of the buffer.
    pub(crate) fn of_part(buffer: &'a [u8], part: Range<usize>) -> Self {
        let offset = part.start;
        Self { rest: buffer.get(part).unwrap_or_default(), offset }
    }

    /// How far the datagram was read.
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    #[inline(always)]
    fn cut(&mut self) -> Result<Message<'a>, Malformed> {
        let whole = std::mem::take(&mut self.rest);
        let offset = self.offset;
        let flaw = |what| Malformed::new(offset, what);
        let header: &[u8; HEADER_LEN] =
            whole.first_chunk().ok_or(flaw("the header of a message is cut off"))?;
        let len = usize::try_from(u32_at(header, 0)).unwrap_or(usize::MAX);
        if len < HEADER_LEN {
            return Err(flaw("a message claims to be shorter than its header"));
        }
        let message = whole.get(..len).ok_or(flaw("a message claims more bytes than there are"))?;
        let next = aligned(len).min(whole.len());
        self.rest = whole.get(next..).unwrap_or_default();
        self.offset += next;
        Ok(Message {
            kind: u16_at(header, 4),
            flags: u16_at(header, 6),
            sequence: u32_at(header, 8),
            port: u32_at(header, 12),
            payload: message.get(HEADER_LEN..).unwrap_or_default(),
        })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.cut())
    }
}
