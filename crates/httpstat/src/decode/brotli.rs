//! `br`, whose window is at most 16 MiB here, as RFC 7932 has it.

use std::io::{self, BufRead, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::inflate::corrupt;

/// One Brotli stream; what follows it is left alone.
pub(super) struct Brotli<R> {
    source: R,
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    ended: bool,
}

impl<R: BufRead> Brotli<R> {
    pub(super) fn new(source: R) -> Self {
        let allocator = StandardAlloc::default;
        let state = Box::new(BrotliState::new_strict(allocator(), allocator(), allocator()));
        Self { source, state, ended: false }
    }
}

impl<R: BufRead> Read for Brotli<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !output.is_empty() {
            let input = self.source.fill_buf()?;
            let is_over = input.is_empty();
            let (mut left, mut taken) = (input.len(), 0);
            let (mut room, mut written, mut total) = (output.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut taken,
                input,
                &mut room,
                &mut written,
                output,
                &mut total,
                &mut self.state,
            );
            self.source.consume(taken);
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::ResultFailure => {
                    return Err(corrupt("the compressed data are invalid"));
                }
                BrotliResult::NeedsMoreInput if is_over && written == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
