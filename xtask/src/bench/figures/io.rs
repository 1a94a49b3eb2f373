//! What counting and dating a read or write costs, over a stream that does nothing.

use std::{
    hint::black_box,
    io::{self, Read, Write},
};

use conniver::Options;

use crate::bench::cost::{Cost, Trouble};

mod two_threads;

pub(super) use two_threads::two_threads;

const BYTES: usize = 64;

pub(super) fn exclusive() -> Result<Cost, Trouble> {
    let mut bare = NullStream;
    let mut conn = Options::new().wrap_opaque(NullStream);
    let read = Cost::of(|| read(&mut bare), || read(&mut conn));
    let write = Cost::of(|| write(&mut bare), || write(&mut conn));
    Ok(read.worse(write))
}

pub(super) fn shared() -> Result<Cost, Trouble> {
    let bare = NullStream;
    let conn = Options::new().wrap_opaque(NullStream);
    let read = Cost::of(|| read(&mut &bare), || read(&mut &conn));
    let write = Cost::of(|| write(&mut &bare), || write(&mut &conn));
    Ok(read.worse(write))
}

#[inline(always)]
pub(super) fn read(stream: &mut impl Read) {
    let mut buf = [0; BYTES];
    let _ = black_box(black_box(stream).read(black_box(&mut buf)));
}

#[inline(always)]
pub(super) fn write(stream: &mut impl Write) {
    let _ = black_box(black_box(stream).write(black_box(&[0; BYTES])));
}

/// Moves nothing, and says at once that it did.
pub(super) struct NullStream;

impl Read for NullStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        transfer(self, buf)
    }
}

impl Read for &NullStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        transfer(self, buf)
    }
}

impl Write for NullStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        transfer(self, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &NullStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        transfer(self, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Never inlined, so that it is a call as one of the system is.
#[inline(never)]
fn transfer(stream: &NullStream, buf: &[u8]) -> io::Result<usize> {
    black_box(stream);
    Ok(black_box(buf).len())
}
