//! The buffer into which the kernel writes, with room for several pieces of a list.

use std::ops::Range;

/// What the kernel sends at most in one piece, and room for every attribute of one socket.
pub(super) const PIECE_LEN: usize = 32 * 1024;

/// How many pieces of a list are received before the first is looked at. Each time, the kernel's own work
/// drives ours from the processor's caches, which costs as much as reading some sockets does.
pub(super) const PIECES: usize = 4;

#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
}

impl Buffer {
    pub(super) fn new() -> Self {
        // Zeroes of this length take no memory before they are written to.
        Self { bytes: vec![0; PIECES * PIECE_LEN].into_boxed_slice() }
    }

    /// The room of one piece. An answer that is no list has that of the first.
    #[inline(always)]
    pub(super) fn piece(&self, number: usize) -> &[u8] {
        let start = number * PIECE_LEN;
        self.bytes.get(start..start + PIECE_LEN).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn piece_mut(&mut self, number: usize) -> &mut [u8] {
        let start = number * PIECE_LEN;
        self.bytes.get_mut(start..start + PIECE_LEN).unwrap_or_default()
    }
}

/// What of a list was received and not yet looked at.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// How long each piece is behind the first; zero where there is none.
    lens: [usize; PIECES],
    /// Which of them is read,
    piece: usize,
    /// and what of it is left.
    rest: Range<usize>,
}

impl Unread {
    /// One piece, the first in the buffer.
    pub(super) fn of(len: usize) -> Self {
        Self { rest: 0..len, ..Self::default() }
    }

    /// Another behind it.
    pub(super) fn add(&mut self, number: usize, len: usize) {
        if let Some(slot) = self.lens.get_mut(number) {
            *slot = len;
        }
    }

    /// The piece that is read, and what of it is left.
    #[inline]
    pub(super) fn now(&self) -> (usize, Range<usize>) {
        (self.piece, self.rest.clone())
    }

    #[inline]
    pub(super) fn read_to(&mut self, offset: usize) {
        self.rest.start = offset;
    }

    /// Turns to the next piece, if there is one.
    pub(super) fn turn(&mut self) -> bool {
        self.piece += 1;
        let len = self.lens.get(self.piece).copied().unwrap_or_default();
        self.rest = 0..len;
        len > 0
    }
}
