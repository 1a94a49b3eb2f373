//! What follows an entry's fixed part: numbered attributes (`struct rtattr`), each with a length of
//! its own.

use std::fmt;

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
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute<'a> {
    /// Which attribute it is: `INET_DIAG_*` of `linux/inet_diag.h`.
    pub number: u16,
    /// Its bytes, in this machine's byte order.
    pub payload: &'a [u8],
}

impl fmt::Debug for Attribute<'_> {
    /// Of keys of signatures, which are secret, without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Attribute");
        shown.field("number", &self.number);
        match self.number {
            number::MD5SIG => shown.finish_non_exhaustive(),
            _ => shown.field("payload", &self.payload).finish(),
        }
    }
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// A byte for each: one more than the number of words before it, or none if there is no such
    /// attribute. Eight together, which is how they are handed on.
    places: [u64; SLOTS / 8],
}

/// One for each known number and some more, which is a round number of bytes.
const SLOTS: usize = 24;

const _: () = assert!(SLOTS > LAST_KNOWN as usize);

impl Index {
    /// Sees that the bytes are attributes to their end, which lies `offset` into what is told of.
    #[inline]
    pub(crate) fn of(bytes: &[u8], offset: usize) -> Result<Self, Malformed> {
        let mut index = Self::default();
        walk(bytes, offset, |place, number, _| index.add(place, number))?;
        Ok(index)
    }

    #[inline(always)]
    fn add(&mut self, place: usize, number: u16) {
        let is_first = self.place(number) == Some(0);
        if let Some(slot) = self.places.get_mut(usize::from(number / 8)).filter(|_| is_first) {
            *slot |= u64::from(u8::try_from(place / 4 + 1).unwrap_or(FAR)) << (number % 8 * 8);
        }
    }

    #[inline(always)]
    fn place(&self, number: u16) -> Option<u8> {
        let eight = self.places.get(usize::from(number / 8))?;
        Some((eight >> (number % 8 * 8)) as u8)
    }

    /// The bytes of an attribute among those of which this is the index.
    #[inline]
    pub(crate) fn find<'a>(&self, bytes: &'a [u8], number: u16) -> Option<&'a [u8]> {
        let place = match self.place(number)? {
            0 => return None,
            FAR => return find_far(bytes, number),
            words => usize::from(words - 1) * 4,
        };
        let rest = bytes.get(place..)?;
        rest.get(HEADER_LEN..usize::from(u16_at(rest, 0)))
    }
}

#[cold]
#[inline(never)]
fn find_far(bytes: &[u8], number: u16) -> Option<&[u8]> {
    Attributes::new(bytes).find(|one| one.number == number).map(|found| found.payload)
}

/// Further than attributes mostly reach: a kilobyte.
const FAR: u8 = u8::MAX;

/// How the attributes of one socket lie: those of the next mostly lie the same, which is seen at once,
/// while a walk has to read each length before it knows where the next is.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    index: Index,
    len: usize,
    /// Where each header is, and its bytes.
    headers: [(u16, [u8; HEADER_LEN]); SLOTS],
    /// How many there are; none if there are more than are kept.
    count: Option<usize>,
}

impl Pattern {
    /// The index of these attributes, as [`Index::of`] has it.
    #[inline]
    pub(crate) fn index(&mut self, bytes: &[u8], offset: usize) -> Result<Index, Malformed> {
        if !self.fits(bytes) {
            self.learn(bytes, offset)?;
        }
        Ok(self.index)
    }

    #[inline]
    fn fits(&self, bytes: &[u8]) -> bool {
        let Some(count) = self.count else { return false };
        bytes.len() == self.len
            && self.headers.iter().take(count).all(|(place, header)| {
                bytes.get(usize::from(*place)..).and_then(<[u8]>::first_chunk) == Some(header)
            })
    }

    #[cold]
    fn learn(&mut self, bytes: &[u8], offset: usize) -> Result<(), Malformed> {
        *self = Self { len: bytes.len(), ..Self::default() };
        let mut count = 0;
        walk(bytes, offset, |place, number, header| {
            self.index.add(place, number);
            if let Some(slot) = self.headers.get_mut(count) {
                *slot = (u16::try_from(place).unwrap_or(u16::MAX), *header);
            }
            count += 1;
        })?;
        let is_kept = count <= SLOTS && u16::try_from(self.len).is_ok();
        self.count = is_kept.then_some(count);
        Ok(())
    }
}

/// Shows where each attribute begins, its number and its header, and sees that the bytes are attributes to
/// their end, which lies `offset` into what is told of.
#[inline(always)]
fn walk(
    bytes: &[u8],
    offset: usize,
    mut see: impl FnMut(usize, u16, &[u8; HEADER_LEN]),
) -> Result<(), Malformed> {
    let mut rest = bytes;
    while let Some(cut) = cut(rest) {
        let place = bytes.len() - rest.len();
        let (attribute, used) = cut.map_err(|what| Malformed::new(offset + place, what))?;
        see(place, attribute.number, rest.first_chunk().unwrap_or(&[0; HEADER_LEN]));
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(u16, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &(number, len) in all {
            bytes.extend(u16::try_from(HEADER_LEN + len).unwrap().to_ne_bytes());
            bytes.extend(number.to_ne_bytes());
            bytes.extend((0..len).map(|byte| byte as u8));
            bytes.resize(bytes.len().next_multiple_of(4), 0xff);
        }
        bytes
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = |number| format!("{:?}", Attribute { number, payload: &[77, 78] });
        assert_eq!(shown(17), "Attribute { number: 17, payload: [77, 78] }");
        assert_eq!(shown(number::MD5SIG), "Attribute { number: 18, .. }");
    }

    #[test]
    fn every_attribute_is_found_where_it_lies() {
        let all = [
            (5, 1),
            (2, 280),
            (21, 8),
            (7, 36),
            (2, 4),
            (23, 0),
            (4, 5),
            (16, 700),
            (8, 1),
            (9, 2),
        ];
        let bytes = attributes(&all);
        let index = Index::of(&bytes, 0).unwrap();
        for number in 0..30 {
            let first = Attributes::new(&bytes).find(|attribute| attribute.number == number);
            let found = index.find(&bytes, number);
            assert_eq!(found, first.filter(|_| number < 24).map(|first| first.payload), "{number}");
        }
    }

    #[test]
    fn a_pattern_says_what_a_walk_says() {
        let usual = attributes(&[(5, 1), (2, 280), (21, 8), (4, 5), (7, 36)]);
        let mut longer = attributes(&[(5, 1), (2, 280), (21, 8), (4, 6), (7, 36)]);
        let swapped = attributes(&[(2, 280), (5, 1), (21, 8), (4, 5), (7, 36)]);
        let shifted = attributes(&[(5, 1), (2, 276), (21, 12), (4, 5), (7, 36)]);
        let many = attributes(&[(1, 0); 40]);
        let flagged = attributes(&[(5 | 1 << 15, 1), (2, 280), (21, 8), (4, 5), (7, 36)]);
        let mut broken = usual.clone();
        broken[0] = 3;
        let mut torn = usual.clone();
        torn[8] = 0xff;
        let cut = &usual[..usual.len() - 2];
        let all = [&usual, &longer, &swapped, &shifted, &many, &flagged, &broken, &torn, cut, &[]];
        let mut pattern = Pattern::default();
        for first in all {
            for second in all {
                for bytes in [first, second, second, first] {
                    assert_eq!(pattern.index(bytes, 72), Index::of(bytes, 72));
                }
            }
        }
        // What lies in between does not matter.
        let expected = pattern.index(&longer, 72).unwrap();
        longer[4] ^= 1;
        assert_eq!(pattern.index(&longer, 72), Ok(expected));
    }
}
