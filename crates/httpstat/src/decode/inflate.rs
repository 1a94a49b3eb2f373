//! `gzip` and `deflate`, around the algorithm that both use.

use std::io::{self, BufRead, Read};

use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

/// A DEFLATE stream (RFC 1951), bare or with the header and checksum of zlib (RFC 1950).
struct Inflate {
    state: Box<InflateState>,
    ended: bool,
}

impl Inflate {
    fn new(format: DataFormat) -> Self {
        Self { state: InflateState::new_boxed(format), ended: false }
    }

    /// As `Read::read`; what follows the stream is left in `source`.
    fn read(&mut self, source: &mut impl BufRead, output: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !output.is_empty() {
            let input = source.fill_buf()?;
            let is_over = input.is_empty();
            let result = inflate(&mut self.state, input, output, MZFlush::None);
            source.consume(result.bytes_consumed);
            match result.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => return Err(corrupt("the compressed data are invalid")),
            }
            match result.bytes_written {
                0 if is_over && !self.ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => {}
                written => return Ok(written),
            }
        }
        Ok(0)
    }
}

/// One gzip member after the other (RFC 1952). What follows the last one and is none is ignored, as
/// browsers do: some servers pad.
pub(super) struct Gzip<R> {
    source: R,
    member: Option<Member>,
    /// Absent before the first member.
    previous: bool,
}

struct Member {
    data: Inflate,
    crc: Crc,
    length: u32,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, member: None, previous: false }
    }

    fn begin_member(&mut self) -> io::Result<()> {
        let mut header = [0; 10];
        self.source.read_exact(&mut header)?;
        let [0x1f, 0x8b, 8, flags, ..] = header else {
            return Err(corrupt("there is no gzip header"));
        };
        if flags & EXTRA != 0 {
            let mut length = [0; 2];
            self.source.read_exact(&mut length)?;
            skip(&mut self.source, u64::from(u16::from_le_bytes(length)))?;
        }
        for text in [NAME, COMMENT] {
            if flags & text != 0 {
                skip_text(&mut self.source)?;
            }
        }
        if flags & HEADER_CRC != 0 {
            skip(&mut self.source, 2)?;
        }
        let data = Inflate::new(DataFormat::Raw);
        self.member = Some(Member { data, crc: Crc::new(), length: 0 });
        Ok(())
    }

    /// Whether another member begins here.
    fn has_next(&mut self) -> io::Result<bool> {
        Ok(self.source.fill_buf()?.first() == Some(&0x1f))
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(member) = &mut self.member else {
                if self.previous && !self.has_next()? {
                    return Ok(0);
                }
                self.begin_member()?;
                self.previous = true;
                continue;
            };
            let read = member.data.read(&mut self.source, output)?;
            let bytes = output.get(..read).unwrap_or_default();
            member.crc.feed(bytes);
            // Modulo 2³², as the format has it.
            member.length = member.length.wrapping_add(u32::try_from(read).unwrap_or_default());
            if read > 0 {
                return Ok(read);
            }
            let mut trailer = [0; 8];
            self.source.read_exact(&mut trailer)?;
            let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
            if u32::from_le_bytes([c0, c1, c2, c3]) != member.crc.value() {
                return Err(corrupt("the checksum is wrong"));
            }
            if u32::from_le_bytes([l0, l1, l2, l3]) != member.length {
                return Err(corrupt("the length is wrong"));
            }
            self.member = None;
        }
    }
}

/// `deflate` as servers send it: with the header of zlib, which the standard asks for, or bare.
pub(super) struct Deflate<R> {
    source: R,
    data: Option<Inflate>,
}

impl<R: BufRead> Deflate<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, data: None }
    }
}

impl<R: BufRead> Read for Deflate<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let data = match &mut self.data {
            Some(data) => data,
            None => {
                // RFC 1950, section 2.2: method 8 with a window of 32 KiB or less. A bare stream
                // that begins so would be a stored block of reserved bits.
                let first = self.source.fill_buf()?.first();
                let is_zlib = first.is_some_and(|first| first & 0x8f == 8);
                let format = if is_zlib { DataFormat::Zlib } else { DataFormat::Raw };
                self.data.insert(Inflate::new(format))
            }
        };
        data.read(&mut self.source, output)
    }
}

/// The checksum of gzip, four bytes at a time.
struct Crc(u32);

impl Crc {
    const fn new() -> Self {
        Self(!0)
    }

    fn feed(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            let [a, b, c, d] = (self.0 ^ u32::from_le_bytes(*word)).to_le_bytes();
            self.0 = TABLES[3][usize::from(a)]
                ^ TABLES[2][usize::from(b)]
                ^ TABLES[1][usize::from(c)]
                ^ TABLES[0][usize::from(d)];
        }
        for byte in rest {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = TABLES[0][usize::from(low ^ byte)] ^ (self.0 >> 8);
        }
    }

    const fn value(&self) -> u32 {
        !self.0
    }
}

/// What a byte does to the checksum when zero to three others follow it.
static TABLES: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut followers = 1;
    while followers < 4 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[followers - 1][byte];
            tables[followers][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        followers += 1;
    }
    tables
};

fn skip(source: &mut impl BufRead, length: u64) -> io::Result<()> {
    match io::copy(&mut source.take(length), &mut io::sink())? == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Passes over a text that ends with a zero byte and may be of any length.
fn skip_text(source: &mut impl BufRead) -> io::Result<()> {
    match source.skip_until(0)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

pub(super) fn corrupt(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        for split in 0..=9 {
            let (left, right) = b"123456789".split_at(split);
            let mut crc = Crc::new();
            crc.feed(left);
            crc.feed(right);
            // The check value that catalogues of checksums give for CRC-32.
            assert_eq!(crc.value(), 0xcbf4_3926);
        }
    }
}
