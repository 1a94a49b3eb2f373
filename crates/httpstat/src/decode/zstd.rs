//! `zstd`, frame after frame.

use std::{
    error::Error,
    io::{self, BufRead, Read},
};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::inflate::corrupt;

/// The frames of RFC 8878, joined; those to be skipped are.
pub(super) struct Zstd<R> {
    source: R,
    frame: FrameDecoder,
    in_frame: bool,
    began: bool,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(source: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW_LEN);
        Self { source, frame, in_frame: false, began: false }
    }

    /// Returns false where nothing follows.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.began || !self.source.fill_buf()?.is_empty() {
            self.began = true;
            match self.frame.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(explain(&error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            if !self.frame.is_finished() && self.frame.can_collect() == 0 {
                let some = BlockDecodingStrategy::UptoBytes(output.len());
                self.frame.decode_blocks(&mut self.source, some).map_err(|e| explain(&e))?;
            }
            let read = self.frame.read(output)?;
            if read > 0 {
                return Ok(read);
            }
            if self.frame.is_finished() {
                let sent = self.frame.get_checksum_from_data();
                if sent.is_some() && sent != self.frame.get_calculated_checksum() {
                    return Err(corrupt("the checksum is wrong"));
                }
                self.in_frame = false;
            }
        }
    }
}

/// The cause that can be told, or the end of the input if that is one.
fn explain(error: &FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(error) = found.downcast_ref::<io::Error>() {
            return io::Error::new(error.kind(), error.to_string());
        }
        cause = found.source();
    }
    match error {
        FrameDecoderError::WindowSizeTooBig { .. } => corrupt("its window is larger than 8 MiB"),
        FrameDecoderError::ReadFrameHeaderError(_) => corrupt("there is no zstd frame"),
        _ => corrupt("the compressed data are invalid"),
    }
}

/// RFC 9659: more must not be asked of whoever receives `Content-Encoding: zstd`.
const MAX_WINDOW_LEN: u64 = 8 << 20;
