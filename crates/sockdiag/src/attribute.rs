//! What follows an entry's fixed part: numbered attributes (`struct rtattr`), each with a length of
//! its own.

use crate::{
    bytes::{aligned, u16_at},
    error::Malformed,
};

/// `sizeof(struct rtattr)`.
const HEADER_LEN: usize = 4;

/// The two highest bits say how an attribute is written, not which it is: `NLA_TYPE_MASK`.
const NUMBER_MASK: u16 = 0x3fff;

/// Numbers of `linux/inet_diag.h`.
pub(crate) mod number {
    pub(crate) const MEMINFO: u16 = 1;
    pub(crate) const INFO: u16 = 2;
    pub(crate) const VEGASINFO: u16 = 3;
    pub(crate) const CONG: u16 = 4;
    pub(crate) const TOS: u16 = 5;
    pub(crate) const TCLASS: u16 = 6;
    pub(crate) const SKMEMINFO: u16 = 7;
    pub(crate) const SHUTDOWN: u16 = 8;
    pub(crate) const DCTCPINFO: u16 = 9;
    pub(crate) const PROTOCOL: u16 = 10;
    pub(crate) const SKV6ONLY: u16 = 11;
    pub(crate) const SOCKOPT: u16 = 22;
    pub(crate) const MARK: u16 = 15;
    pub(crate) const BBRINFO: u16 = 16;
    pub(crate) const CLASS_ID: u16 = 17;
    pub(crate) const MD5SIG: u16 = 18;
    pub(crate) const ULP_INFO: u16 = 19;
    pub(crate) const CGROUP_ID: u16 = 21;
}

/// The numbers of `linux/inet_diag.h` as of Linux 7.2.
const LAST_KNOWN: u16 = number::SOCKOPT;

/// One attribute of an entry, as the kernel sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute<'a> {
    /// Which attribute it is: `INET_DIAG_*` of `linux/inet_diag.h`.
    pub number: u16,
    /// Its bytes, in this machine's byte order.
    pub payload: &'a [u8],
}

impl Attribute<'_> {
    /// Whether the kernel's header names this number (as of Linux 7.2). The bytes of one that it does
    /// not name are kept like any other.
    pub const fn is_known(&self) -> bool {
        1 <= self.number && self.number <= LAST_KNOWN
    }
}

/// The attributes of an entry, in the kernel's order.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Of bytes that [`check`] found whole, or as far as they are.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, used) = cut(self.rest)?.ok()?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(attribute)
    }
}

/// Where the first attribute of each known number lies, so that a fact is not looked for.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    /// One more than the number of words before it; none if there is no such attribute.
    words: [u16; SLOTS],
}

/// One for each known number and some more, which is a round number of bytes.
const SLOTS: usize = 24;

const _: () = assert!(SLOTS > LAST_KNOWN as usize);

impl Index {
    /// Sees that the bytes are attributes to their end, which lies `offset` into what is told of.
    #[inline]
    pub(crate) fn of(bytes: &[u8], offset: usize) -> Result<Self, Malformed> {
        let mut index = Self { words: [0; SLOTS] };
        let mut rest = bytes;
        let mut word = 1u16;
        while let Some(cut) = cut(rest) {
            let place = || offset + bytes.len() - rest.len();
            let (attribute, used) = cut.map_err(|what| Malformed::new(place(), what))?;
            if let Some(slot @ 0) = index.words.get_mut(usize::from(attribute.number)) {
                *slot = word;
            }
            rest = rest.get(used..).unwrap_or_default();
            word = word.saturating_add(u16::try_from(used / 4).unwrap_or(FAR));
        }
        Ok(index)
    }

    /// The bytes of an attribute among those of which this is the index.
    #[inline]
    pub(crate) fn find<'a>(&self, bytes: &'a [u8], number: u16) -> Option<&'a [u8]> {
        let place = match self.words.get(usize::from(number)).copied()? {
            0 => return None,
            FAR => {
                let mut all = Attributes::new(bytes);
                return all.find(|one| one.number == number).map(|found| found.payload);
            }
            words => usize::from(words - 1) * 4,
        };
        cut(bytes.get(place..)?)?.ok().map(|(attribute, _)| attribute.payload)
    }
}

/// Further than any kernel's attributes reach.
const FAR: u16 = u16::MAX;

/// The first attribute and where the next begins; `None` if there are no bytes left.
#[inline(always)]
fn cut(bytes: &[u8]) -> Option<Result<(Attribute<'_>, usize), &'static str>> {
    if bytes.is_empty() {
        return None;
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Some(Err("the header of an attribute is cut off"));
    };
    let len = usize::from(u16_at(header, 0));
    if len < HEADER_LEN {
        return Some(Err("an attribute claims to be shorter than its header"));
    }
    let Some(payload) = bytes.get(HEADER_LEN..len) else {
        return Some(Err("an attribute claims more bytes than there are"));
    };
    let number = u16_at(header, 2) & NUMBER_MASK;
    Some(Ok((Attribute { number, payload }, aligned(len).min(bytes.len()))))
}
