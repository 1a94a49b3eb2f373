//! Receiving the response body: counted, decoded if asked for, and saved.

use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as _, Frame, Incoming},
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue},
};

#[cfg(feature = "http3")]
use crate::http3;
use crate::{
    cli::BODIES,
    decode::{self, Decoding, Piece},
    error::{Error, Kind},
    failure::{self, Cause},
    sink::Sink,
    stamp::Stamps,
    units,
};

/// The options about bodies.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BodyArgs {
    /// Ask for a compressed body (gzip, deflate, br, zstd) and decode it
    ///
    /// The size as transferred and the size decoded are both shown. Without this, nothing is asked
    /// for and a body is taken as it comes. -H "Accept-Encoding: ..." changes what is asked for.
    #[arg(long, help_heading = BODIES)]
    pub(crate) compressed: bool,

    /// Give up on a body that is longer, as transferred or decoded
    ///
    /// k, M and G stand for multiples of 1024, and 0 for no limit.
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = BODIES)]
    pub(crate) max_filesize: Option<u64>,

    /// How many bytes of the body are part of the report
    #[arg(skip)]
    pub(crate) shown: usize,

    /// Show no progress bar
    #[arg(long, help_heading = BODIES)]
    no_progress_meter: bool,

    /// The same as --no-progress-meter; errors are shown all the same
    #[arg(short, long, help_heading = BODIES)]
    silent: bool,
}

impl BodyArgs {
    /// The default headers that the options ask for.
    pub(crate) fn headers(&self) -> HeaderMap {
        let accepted = HeaderValue::from_static(decode::ACCEPTED);
        self.compressed.then_some((ACCEPT_ENCODING, accepted)).into_iter().collect()
    }

    /// The same without a progress bar.
    pub(crate) fn silent(&self) -> Self {
        Self { silent: true, ..self.clone() }
    }

    pub(crate) fn shows_progress(&self) -> bool {
        !self.no_progress_meter && !self.silent
    }
}

/// A body on its way, whatever it is carried by.
pub(crate) enum Coming {
    Http1(Incoming),
    Http2(RecvStream),
    #[cfg(feature = "http3")]
    Http3(Box<http3::Body>),
}

enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Part {
    fn of(frame: Frame<Bytes>) -> Self {
        match frame.into_data() {
            Ok(data) => Self::Data(data),
            Err(frame) => Self::Trailers(frame.into_trailers().unwrap_or_default()),
        }
    }
}

impl Coming {
    /// The length that the head states.
    pub(crate) fn announced(&self, headers: &HeaderMap) -> Option<u64> {
        match self {
            Self::Http1(body) => body.size_hint().exact(),
            _ => headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            #[cfg(feature = "http3")]
            Self::Http3(body) => body.is_empty(),
        }
    }

    async fn next(&mut self) -> Result<Option<Part>, Cause> {
        match self {
            Self::Http1(body) => Ok(body.frame().await.transpose()?.map(Part::of)),
            #[cfg(feature = "http3")]
            Self::Http3(body) => {
                let frame = body.frame().await.transpose().map_err(Cause::Http3)?;
                Ok(frame.map(Part::of))
            }
            Self::Http2(body) => {
                if let Some(data) = body.data().await.transpose()? {
                    // Read at once, so that the window is opened for as much again.
                    body.flow_control().release_capacity(data.len())?;
                    return Ok(Some(Part::Data(data)));
                }
                Ok(body.trailers().await?.map(Part::Trailers))
            }
        }
    }
}

/// What arrived of a body.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Without the protocol's framing, and before any decoding.
    pub(crate) bytes: u64,
    pub(crate) trailers: Option<HeaderMap>,
    /// Absent if nothing was to be decoded.
    pub(crate) decoding: Option<Decoding>,
    /// When the last byte was there, even if it was not decoded and saved yet.
    pub(crate) ended: Option<Instant>,
    /// As much of it as is to be shown.
    pub(crate) beginning: Vec<u8>,
}

/// Everything that matters while a body is received.
pub(crate) struct Receipt<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) stamps: &'a Stamps,
    /// Absent for a body that is of no interest.
    pub(crate) args: Option<&'a BodyArgs>,
    pub(crate) endpoint: &'a str,
}

impl Receipt<'_> {
    /// Takes the body to its end. The moment returned is that of its last byte, whenever decoding
    /// ended.
    pub(crate) async fn take(
        &self,
        mut body: Coming,
        arrived: &mut Arrived,
        sink: &mut Sink,
    ) -> Result<Instant, Error> {
        if let Some(length) = body.announced(self.headers).filter(|_| !body.has_ended()) {
            self.check(length, "is announced with")?;
        }
        let codings = match self.args.is_some_and(|args| args.compressed) && !body.has_ended() {
            true => decode::codings(self.headers, self.endpoint)?,
            false => Vec::new(),
        };
        let Arrived { bytes, trailers, decoding, ended, beginning } = arrived;
        let shown = self.args.map_or(0, |args| args.shown);
        let mut show = |data: &[u8]| {
            let room = shown - beginning.len();
            beginning.extend_from_slice(data.get(..room).unwrap_or(data));
        };
        if codings.is_empty() {
            while let Some(data) = self.next(&mut body, bytes, trailers).await? {
                show(&data);
                if sink.write(data).await?.is_break() {
                    break;
                }
            }
            return Ok(Instant::now());
        }

        let (feed, mut output) = decode::start(&codings);
        let decoding = decoding.insert(Decoding::new(codings));
        let held_back = &mut decoding.held_back;
        let receiving = async {
            while let Some(data) = self.next(&mut body, bytes, trailers).await? {
                *held_back += feed.push(data).await;
            }
            drop(feed);
            self.stamps.body_ended();
            Ok(*ended.insert(Instant::now()))
        };
        let (codings, decoded, busy) =
            (&decoding.codings, &mut decoding.decoded_bytes, &mut decoding.busy);
        let writing = async {
            loop {
                match output.next().await {
                    Some(Piece::Decoded(data)) => {
                        *decoded += data.len() as u64;
                        self.check(*decoded, "decodes to")?;
                        show(&data);
                        // Only of a body that is not decoded a part can be enough.
                        let _ = sink.write(data).await?;
                    }
                    Some(Piece::Ended(time, ended)) => {
                        *busy = time;
                        return ended.map_err(|why| {
                            decode::failure(codings, &why, *decoded, self.endpoint)
                        });
                    }
                    None => {
                        return Err(Error::new(Kind::Encoding, "the decoder stopped by itself"));
                    }
                }
            }
        };
        let (last_byte, ()) = tokio::try_join!(receiving, writing)?;
        decoding.after_transfer = Some(last_byte.elapsed());
        Ok(last_byte)
    }

    /// The next data, counted.
    async fn next(
        &self,
        body: &mut Coming,
        bytes: &mut u64,
        trailers: &mut Option<HeaderMap>,
    ) -> Result<Option<Bytes>, Error> {
        loop {
            let part = body.next().await.map_err(|error| {
                failure::of_body(&error, &self.stamps.seen(), *bytes, self.endpoint)
            })?;
            match part {
                None => return Ok(None),
                Some(Part::Data(data)) => {
                    *bytes += data.len() as u64;
                    self.stamps.body_received(*bytes);
                    self.check(*bytes, "has sent")?;
                    return Ok(Some(data));
                }
                Some(Part::Trailers(fields)) => *trailers = Some(fields),
            }
        }
    }

    fn check(&self, length: u64, what: &str) -> Result<(), Error> {
        match self.args.and_then(|args| args.max_filesize) {
            Some(limit) if limit > 0 && length > limit => {
                let message = format!(
                    "the body from {} {what} {}, more than the {} of --max-filesize",
                    self.endpoint,
                    units::bytes(length),
                    units::bytes(limit)
                );
                Err(Error::new(Kind::TooLarge, message))
            }
            _ => Ok(()),
        }
    }
}

/// A number of bytes, as curl takes it.
fn size(text: &str) -> Result<u64, &'static str> {
    let (digits, shift) = match text.char_indices().last() {
        Some((end, 'k' | 'K')) => (&text[..end], 10),
        Some((end, 'm' | 'M')) => (&text[..end], 20),
        Some((end, 'g' | 'G')) => (&text[..end], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes")?;
    number.checked_mul(1 << shift).ok_or("out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_curl() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1500"), Ok(1500));
        assert_eq!(size("2k"), Ok(2 << 10));
        assert_eq!(size("3M"), Ok(3 << 20));
        assert_eq!(size("4g"), Ok(4 << 30));
        for nonsense in ["", "k", "-1", "1.5", "1kB", "99999999999G", "1\u{e9}"] {
            assert!(size(nonsense).is_err(), "{nonsense}");
        }
    }
}
