//! How a target's input is cut up: a few bytes that steer, then the kernel's bytes.

use tcpinfo::native::ByteOrder;

/// The rest of an input; what is missing at its end reads as zero.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn order(&mut self) -> ByteOrder {
        if self.byte() & 1 == 0 { ByteOrder::Little } else { ByteOrder::Big }
    }

    /// A place at which the rest may be cut, wherever that ends.
    pub(crate) fn cut(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
