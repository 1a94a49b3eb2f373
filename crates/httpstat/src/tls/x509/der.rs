//! Elements of DER (X.690), one after another, without recursion and without copies.

/// What is left of a run of elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One element: what kind it is and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element, if it is of this kind; else nothing is consumed.
    pub(super) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let element = ahead.next().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(element.content)
    }

    /// The elements within the next one, if that is of this kind.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }
}

/// Ends at the first element that is not whole or not DER.
impl<'a> Iterator for Reader<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        // Certificates have no use for tags of several bytes.
        if tag & TAG_NUMBER == TAG_NUMBER {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..LONG_FORM => (usize::from(first), rest),
            _ => {
                let (digits, rest) = rest.split_at_checked(usize::from(first - LONG_FORM))?;
                // No digits would be the indefinite length, which DER does not have.
                if digits.is_empty() || digits.len() > size_of::<u32>() {
                    return None;
                }
                let length = digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit));
                (usize::try_from(length).ok()?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag, content })
    }
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const UNIVERSAL_STRING: u8 = 0x1c;
pub(super) const BMP_STRING: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A tag of the surrounding structure's own, holding one value.
pub(super) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The same, holding elements.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

const TAG_NUMBER: u8 = 0x1f;
const LONG_FORM: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Option<(u8, usize)> {
        Reader::new(bytes).next().map(|element| (element.tag, element.content.len()))
    }

    #[test]
    fn lengths_of_all_forms_are_understood() {
        assert_eq!(first(&[2, 0]), Some((2, 0)));
        assert_eq!(first(&[4, 2, 1, 2, 3]), Some((4, 2)));
        assert_eq!(first(&[4, 0x81, 1, 9]), Some((4, 1)));
        assert_eq!(first(&[[0x30, 0x82, 1, 0].as_slice(), &[0; 256]].concat()), Some((0x30, 256)));
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        let broken: [&[u8]; 8] = [
            &[],
            &[2],
            &[2, 1],
            &[0x30, 0x80, 0, 0],
            &[4, 0x82, 1],
            &[4, 0x85, 0, 0, 0, 0, 1, 7],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x1f, 0x81, 1, 0],
        ];
        for bytes in broken {
            assert_eq!(first(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_element_of_another_kind_stays() {
        let mut reader = Reader::new(&[2, 1, 7, 4, 0]);
        assert_eq!(reader.value(OCTET_STRING), None);
        assert_eq!(reader.value(INTEGER), Some([7].as_slice()));
        assert_eq!(reader.value(OCTET_STRING), Some([].as_slice()));
        assert!(reader.next().is_none());
    }
}
