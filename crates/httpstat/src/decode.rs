//! The coded body and what it is decoded to, on a thread of its own.
//!
//! Reading from the network never waits for a decoder as long as less than [`MAX_WAITING_LEN`]
//! bytes wait for it, so that the transfer takes the time it takes. Memory is bounded: by what
//! waits, by the windows of the decoders (at most 16 MiB each) and by a few decoded pieces.

mod brotli;
mod inflate;
mod zstd;

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::spawn_blocking,
};

use crate::{
    error::{Error, Kind, reason},
    escape,
};
use brotli::Brotli;
use inflate::{Deflate, Gzip};
use zstd::Zstd;

/// How a body may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The registered name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Brotli),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }
}

/// What `--compressed` asks for.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// The codings of a response in the order in which they were applied.
pub(crate) fn codings(headers: &HeaderMap, endpoint: &str) -> Result<Vec<Coding>, Error> {
    let mut codings = Vec::new();
    for name in coding_names(headers) {
        let Some(coding) = Coding::named(&name) else {
            let message = format!(
                "the body from {endpoint} has the content encoding \"{}\"; this program decodes \
                 {ACCEPTED}; without --compressed it is taken as it comes",
                escape::text(&name)
            );
            return Err(Error::new(Kind::Encoding, message));
        };
        codings.push(coding);
        if codings.len() > MAX_CODINGS {
            let message = format!(
                "the body from {endpoint} is encoded more than {MAX_CODINGS} times; without \
                 --compressed it is taken as it comes"
            );
            return Err(Error::new(Kind::Encoding, message));
        }
    }
    Ok(codings)
}

/// The values of `Content-Encoding`, whether known or not.
pub(crate) fn coding_names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.flat_map(|value| {
        let names = value.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        names.map(str::to_owned).collect::<Vec<_>>()
    })
}

/// What is known of decoding, as far as it went.
#[derive(Clone, Debug)]
pub(crate) struct Decoding {
    pub(crate) codings: Vec<Coding>,
    pub(crate) decoded_bytes: u64,
    /// The decoders were at work for so long, mostly while the body still arrived.
    pub(crate) busy: Duration,
    /// From the last byte received to the last one decoded and written.
    pub(crate) after_transfer: Option<Duration>,
    /// Reading stood still for so long because too much waited to be decoded.
    pub(crate) held_back: Duration,
}

impl Decoding {
    pub(crate) fn new(codings: Vec<Coding>) -> Self {
        let (busy, held_back) = (Duration::ZERO, Duration::ZERO);
        Self { codings, decoded_bytes: 0, busy, after_transfer: None, held_back }
    }
}

/// Both ends of a decoder at work.
pub(crate) fn start(codings: &[Coding]) -> (Feed, Output) {
    let (input, coded) = mpsc::unbounded_channel();
    let (sender, pieces) = mpsc::channel(MAX_PIECES);
    let codings = codings.to_vec();
    spawn_blocking(move || decode(&codings, coded, &sender));
    (Feed { input, room: Arc::new(Semaphore::new(MAX_WAITING_LEN)) }, Output { pieces })
}

/// Where received bytes go. Dropped, it says that the body is complete.
pub(crate) struct Feed {
    input: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

/// A piece that waits, and the room it takes up until then.
type Waiting = (Bytes, OwnedSemaphorePermit);

impl Feed {
    /// Hands over a piece and says how long there was no room for it.
    ///
    /// A decoder that has seen its end, or failed, takes everything and does nothing with it.
    pub(crate) async fn push(&self, bytes: Bytes) -> Duration {
        // A small piece is not free either.
        let length = bytes.len().clamp(MIN_PIECE_LEN, MAX_WAITING_LEN);
        let permits = u32::try_from(length).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room);
        let (permit, waited) = match Arc::clone(&room).try_acquire_many_owned(permits) {
            Ok(permit) => (Some(permit), Duration::ZERO),
            Err(_) => {
                let begun = Instant::now();
                let permit = tokio::select! {
                    permit = room.acquire_many_owned(permits) => permit.ok(),
                    () = self.input.closed() => None,
                };
                (permit, begun.elapsed())
            }
        };
        if let Some(permit) = permit {
            let _ = self.input.send((bytes, permit));
        }
        waited
    }
}

/// Where decoded bytes come from.
pub(crate) struct Output {
    pieces: mpsc::Receiver<Piece>,
}

/// One result of a decoder.
pub(crate) enum Piece {
    Decoded(Bytes),
    /// The last one: how long the decoders worked, and why they stopped if not at their end.
    Ended(Duration, io::Result<()>),
}

impl Output {
    /// The next piece, until the last one.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }
}

/// Decodes until one side has no more or wants no more.
fn decode(
    codings: &[Coding],
    coded: mpsc::UnboundedReceiver<Waiting>,
    sender: &mpsc::Sender<Piece>,
) {
    let waited = Rc::new(Cell::new(Duration::ZERO));
    let source = Source { coded, current: None, waited: Rc::clone(&waited) };
    let mut busy = Duration::ZERO;
    let ended = pump(codings, source, sender, || waited.get(), &mut busy);
    // Whoever has gone does not want to know.
    let _ = sender.blocking_send(Piece::Ended(busy, ended));
}

fn pump(
    codings: &[Coding],
    mut source: Source,
    sender: &mpsc::Sender<Piece>,
    waited: impl Fn() -> Duration,
    busy: &mut Duration,
) -> io::Result<()> {
    // An empty body lacks even the header of its coding, and nothing is missing from it.
    if source.fill_buf()?.is_empty() {
        return Ok(());
    }
    let mut decoder = layers(codings, source);
    loop {
        let (begun, waited_before) = (Instant::now(), waited());
        let mut piece = vec![0; PIECE_LEN];
        let read = decoder.read(&mut piece);
        *busy += begun.elapsed().saturating_sub(waited().saturating_sub(waited_before));
        piece.truncate(read?);
        if piece.is_empty() || sender.blocking_send(Piece::Decoded(piece.into())).is_err() {
            return Ok(());
        }
    }
}

/// The last coding applied is the first to be undone.
fn layers(codings: &[Coding], source: Source) -> Box<dyn Read> {
    let mut layers: Box<dyn BufRead> = Box::new(source);
    for coding in codings.iter().rev() {
        let layer: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(Gzip::new(layers)),
            Coding::Deflate => Box::new(Deflate::new(layers)),
            Coding::Brotli => Box::new(Brotli::new(layers)),
            Coding::Zstd => Box::new(Zstd::new(layers)),
        };
        layers = Box::new(BufReader::with_capacity(BUFFER_LEN, layer));
    }
    layers
}

/// What was received, for a decoder that waits for it.
struct Source {
    coded: mpsc::UnboundedReceiver<Waiting>,
    current: Option<Waiting>,
    waited: Rc<Cell<Duration>>,
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|(bytes, _)| bytes.is_empty()) {
            let begun = Instant::now();
            self.current = self.coded.blocking_recv();
            self.waited.set(self.waited.get() + begun.elapsed());
            if self.current.is_none() {
                break;
            }
        }
        Ok(self.current.as_ref().map(|(bytes, _)| bytes.as_ref()).unwrap_or_default())
    }

    fn consume(&mut self, length: usize) {
        if let Some((bytes, _)) = &mut self.current {
            bytes.advance(length.min(bytes.len()));
        }
    }
}

impl Read for Source {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(output)?;
        self.consume(read);
        Ok(read)
    }
}

/// Why a body could not be decoded, after `decoded` bytes.
pub(crate) fn failure(codings: &[Coding], why: &io::Error, decoded: u64, endpoint: &str) -> Error {
    let names: Vec<_> = codings.iter().map(|coding| coding.name()).collect();
    let names = names.join(", ");
    let message = match why.kind() {
        io::ErrorKind::UnexpectedEof => format!(
            "the {names} body from {endpoint} breaks off after {decoded} decoded bytes; without \
             --compressed it is taken as it comes"
        ),
        _ => format!(
            "the {names} body from {endpoint} is corrupt after {decoded} decoded bytes: {}",
            reason(why)
        ),
    };
    Error::new(Kind::Encoding, message)
}

/// As many as curl undoes.
const MAX_CODINGS: usize = 5;
/// Received bytes that may wait to be decoded.
const MAX_WAITING_LEN: usize = 8 << 20;
/// What a piece counts at least, so that their number is bounded as well.
const MIN_PIECE_LEN: usize = 256;
const PIECE_LEN: usize = 64 * 1024;
/// Decoded pieces that may wait to be written.
const MAX_PIECES: usize = 4;
const BUFFER_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    use super::*;

    /// Decodes what arrives in pieces of this size.
    fn decoded(codings: &[Coding], coded: &[u8], size: usize) -> Result<Vec<u8>, io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (feed, mut output) = start(codings);
            let feeding = async {
                for piece in coded.chunks(size) {
                    feed.push(Bytes::copy_from_slice(piece)).await;
                }
                drop(feed);
            };
            let collecting = async {
                let mut all = Vec::new();
                loop {
                    match output.next().await.unwrap() {
                        Piece::Decoded(bytes) => all.extend_from_slice(&bytes),
                        Piece::Ended(_, ended) => return ended.map(|()| all),
                    }
                }
            };
            tokio::join!(feeding, collecting).1
        })
    }

    /// The same text, as coded by gzip 1.12, zlib 1.2, brotli 1.2 and zstd 1.5.
    const SAMPLES: [(Coding, &[u8]); 5] = [
        // Two members, the first with the name of a file.
        (Coding::Gzip, include_bytes!("../tests/httpstat/coded/text.gz")),
        (Coding::Deflate, include_bytes!("../tests/httpstat/coded/text.zlib")),
        (Coding::Deflate, include_bytes!("../tests/httpstat/coded/text.deflate")),
        (Coding::Brotli, include_bytes!("../tests/httpstat/coded/text.br")),
        // Two frames with checksums, and one between them that is to be skipped.
        (Coding::Zstd, include_bytes!("../tests/httpstat/coded/text.zst")),
    ];

    fn text() -> Vec<u8> {
        let numbers = (0..2_000u32).map(|n| n.wrapping_mul(2_654_435_761) >> 20);
        numbers.flat_map(|number| format!("{number} ").into_bytes()).collect()
    }

    #[test]
    fn what_other_programs_coded_is_decoded() {
        for (coding, sample) in SAMPLES {
            for size in [1, 7, 1_000, 1_000_000] {
                let found = decoded(&[coding], sample, size).unwrap();
                assert!(found == text(), "{coding:?} in pieces of {size}");
            }
        }
    }

    /// Whoever feeds has to wait, so that what waits is bounded, and is told for how long.
    #[tokio::test]
    async fn a_decoder_that_is_behind_holds_back() {
        let coded = Bytes::from(compress_to_vec(&vec![7; 24 << 20], 0));
        let (feed, mut output) = start(&[Coding::Deflate]);
        let mut pieces: Vec<_> =
            coded.chunks(64 * 1024).map(|piece| coded.slice_ref(piece)).collect();
        pieces.reverse();
        let mut taken = 0;
        // Nobody takes what was decoded.
        while let Some(piece) = pieces.last() {
            let push = feed.push(piece.clone());
            if tokio::time::timeout(Duration::from_millis(300), push).await.is_err() {
                break;
            }
            taken += pieces.pop().unwrap().len();
        }
        let decoded_meanwhile = 1 << 20;
        assert!((MAX_WAITING_LEN - 65_536..MAX_WAITING_LEN + decoded_meanwhile).contains(&taken));

        let feeding = async {
            let mut held_back = Duration::ZERO;
            while let Some(piece) = pieces.pop() {
                held_back += feed.push(piece).await;
            }
            drop(feed);
            held_back
        };
        let collecting = async {
            let mut decoded = 0;
            while let Some(Piece::Decoded(bytes)) = output.next().await {
                decoded += bytes.len();
            }
            decoded
        };
        let (held_back, decoded) = tokio::join!(feeding, collecting);
        assert_eq!(decoded, 24 << 20);
        assert!(!held_back.is_zero());
    }

    #[test]
    fn codings_are_undone_in_reverse() {
        let inner = compress_to_vec(SAMPLES[3].1, 6);
        let outer = compress_to_vec_zlib(&inner, 6);
        let codings = [Coding::Brotli, Coding::Deflate, Coding::Deflate];
        assert!(decoded(&codings, &outer, 100).unwrap() == text());
    }

    #[test]
    fn what_breaks_off_is_no_success() {
        for (coding, sample) in SAMPLES {
            let lengths = [1, 2, 9, 15, sample.len() / 3, sample.len() - 5, sample.len() - 1];
            for length in lengths {
                let found = decoded(&[coding], &sample[..length], 512).unwrap_err();
                assert_eq!(found.kind(), io::ErrorKind::UnexpectedEof, "{coding:?} at {length}");
            }
        }
    }

    /// Not every coding has a checksum, but all notice that something is wrong with their frame.
    #[test]
    fn what_is_corrupt_is_no_success() {
        for (coding, sample) in SAMPLES {
            let mut damaged = sample.to_vec();
            let middle = damaged.len() / 2;
            for byte in &mut damaged[middle..middle + 32] {
                *byte ^= 0x55;
            }
            let found = decoded(&[coding], &damaged, 512);
            assert!(found.is_err() || found.unwrap() != text(), "{coding:?}");
            assert!(decoded(&[coding], b"<html>no such thing</html>", 512).is_err(), "{coding:?}");
        }
        for (coding, sample) in [SAMPLES[0], SAMPLES[1], SAMPLES[4]] {
            let mut damaged = sample.to_vec();
            *damaged.last_mut().unwrap() ^= 1;
            let found = decoded(&[coding], &damaged, 512).unwrap_err();
            assert_eq!(found.kind(), io::ErrorKind::InvalidData, "{coding:?}");
        }
    }

    #[test]
    fn padding_after_gzip_is_ignored_and_an_empty_body_is_empty() {
        let padded = [SAMPLES[0].1, &[0; 100]].concat();
        assert!(decoded(&[Coding::Gzip], &padded, 64).unwrap() == text());
        for (coding, _) in SAMPLES {
            assert!(decoded(&[coding], b"", 1).unwrap().is_empty());
        }
    }

    #[test]
    fn a_window_too_large_for_http_is_refused() {
        // RFC 8878, section 3.1.1: no single segment, a window of 1 GiB.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0];
        let error = decoded(&[Coding::Zstd], &frame, 100).unwrap_err();
        assert!(error.to_string().contains("8 MiB"), "{error}");
    }

    #[test]
    fn codings_are_read_from_all_headers_in_order_and_are_bounded() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            codings(&headers, "server").map_err(|error| error.message)
        };
        assert_eq!(of(&[]).unwrap(), []);
        let mixed = of(&["X-GZIP, identity , br", "", "zstd,deflate"]).unwrap();
        assert_eq!(mixed, [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate]);
        assert!(of(&["gzip, \u{e9}tude"]).unwrap_err().contains("tude"));
        assert!(of(&["gzip;q=1"]).unwrap_err().contains("gzip;q=1"));
        assert!(of(&["br"; 6]).unwrap_err().contains("more than 5 times"));
    }
}
