//! Where a message begins and ends in an HTTP/2 byte stream.
//!
//! Only the frame headers of RFC 9113, section 4.1, are looked at; payloads are skipped. That is
//! enough to tell the bytes of a request or response from those of the connection itself
//! (SETTINGS, WINDOW_UPDATE, PING), which may cross the wire in between.

/// What a piece of the stream contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A message, or more of one, began.
    pub(crate) message: bool,
    /// The last frame of a message ended.
    pub(crate) end: bool,
}

/// Follows one direction of a connection that carries one exchange after the other.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Bytes to pass over before the next frame header.
    skip: usize,
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The frame whose payload is being passed over belongs to a message.
    in_message: bool,
    /// END_STREAM was seen; CONTINUATION frames may still follow.
    ending: bool,
}

impl Frames {
    /// The direction from client to server, which begins with the connection preface.
    pub(crate) fn from_client() -> Self {
        Self { skip: PREFACE_LEN, ..Self::default() }
    }

    /// The direction from server to client.
    pub(crate) fn from_server() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                bytes = &bytes[skipped..];
                self.skip -= skipped;
                if self.skip > 0 {
                    return seen;
                }
            }
            seen.end |= self.in_message && self.ending;
            self.in_message = false;

            let taken = (HEADER_LEN - self.header_len).min(bytes.len());
            self.header[self.header_len..][..taken].copy_from_slice(&bytes[..taken]);
            self.header_len += taken;
            bytes = &bytes[taken..];
            if self.header_len < HEADER_LEN {
                return seen;
            }
            self.begin_frame();
            seen.message |= self.in_message;
        }
    }

    fn begin_frame(&mut self) {
        let [l0, l1, l2, kind, flags, ..] = self.header;
        self.header_len = 0;
        self.skip = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        self.in_message = matches!(kind, DATA | HEADERS | CONTINUATION);
        if matches!(kind, DATA | HEADERS) {
            self.ending = flags & END_STREAM != 0;
        }
    }
}

const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: u8 = 4;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn settings_are_no_message() {
        let mut frames = Frames::from_client();
        frames.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(frames.feed(&frame(SETTINGS, 1, &[])), Seen::default());
        let request = frames.feed(&frame(HEADERS, END_STREAM, b"hpack"));
        assert_eq!(request, Seen { message: true, end: true });
    }

    #[test]
    fn a_second_message_does_not_end_with_the_first() {
        let mut frames = Frames::default();
        assert!(frames.feed(&frame(HEADERS, END_STREAM, b"hpack")).end);
        assert_eq!(frames.feed(&frame(HEADERS, 4, b"hpack")), Seen { message: true, end: false });
        assert!(frames.feed(&frame(DATA, END_STREAM, b"body")).end);
    }

    #[test]
    fn a_message_ends_with_its_last_byte_however_the_stream_is_cut() {
        let mut stream = frame(SETTINGS, 0, b"123456");
        stream.extend(frame(HEADERS, 4, b"head"));
        stream.extend(frame(DATA, 0, &[0; 300]));
        stream.extend(frame(DATA, END_STREAM, b"tail"));
        for size in 1..20 {
            let mut frames = Frames::from_server();
            let pieces: Vec<_> = stream.chunks(size).map(|piece| frames.feed(piece)).collect();
            let (last, before) = pieces.split_last().unwrap();
            assert!(last.end, "in pieces of {size}");
            assert!(before.iter().all(|seen| !seen.end), "in pieces of {size}");
        }
    }

    #[test]
    fn a_request_without_body_ends_with_its_continuation() {
        let mut frames = Frames::from_server();
        assert!(frames.feed(&frame(HEADERS, END_STREAM, b"first")).end);
        assert!(frames.feed(&frame(CONTINUATION, 4, b"second")).end);
    }

    #[test]
    fn an_empty_last_frame_ends_the_message() {
        let mut frames = Frames::from_server();
        assert!(!frames.feed(&frame(DATA, 0, b"all")).end);
        assert!(frames.feed(&frame(DATA, END_STREAM, b"")).end);
    }
}
