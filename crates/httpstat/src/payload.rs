//! The request body, read from memory and files as it is sent.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::{
    error::{Error, Kind, reason},
    stamp::Stamps,
};

/// A request body of known length, which can be sent any number of times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    parts: Vec<Part>,
}

/// A piece of the body, as the user gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Text, or `@` and the name of a file, where `-` is the standard input; joined with `&`.
    Form(String),
    /// Text, joined with `&`.
    Raw(String),
    /// The same as a form's, but joined with nothing.
    Json(String),
}

#[derive(Clone, Debug)]
enum Part {
    Memory(Bytes),
    /// Read while it is sent.
    File {
        file: Named,
        len: u64,
    },
}

/// A file, and the option that names it.
#[derive(Clone, Debug)]
struct Named {
    path: PathBuf,
    option: &'static str,
}

impl Payload {
    /// Joins what the command line gives.
    pub(crate) fn from_arguments(arguments: &[Data]) -> Result<Self, Error> {
        let mut parts = Vec::new();
        for argument in arguments {
            if !parts.is_empty() && !matches!(argument, Data::Json(_)) {
                parts.push(Part::Memory(Bytes::from_static(b"&")));
            }
            let (text, option) = match argument {
                Data::Raw(text) => (text, None),
                Data::Form(text) => (text, Some("--data")),
                Data::Json(text) => (text, Some("--json")),
            };
            let named = option.zip(text.strip_prefix('@'));
            let named = named.map(|(option, path)| Named { path: path.into(), option });
            parts.push(match named {
                Some(file) => read(&file).map_err(|error| file.unreadable(&error))?,
                None => Part::Memory(Bytes::copy_from_slice(text.as_bytes())),
            });
        }
        Ok(Self { parts })
    }

    /// Its bytes in all.
    pub(crate) fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    /// Opens the files, so that it can be sent.
    pub(crate) fn open(&self) -> Result<Upload, Error> {
        let open = |part: &Part| match part {
            Part::Memory(bytes) => Ok(Source::Memory(bytes.clone())),
            Part::File { file: named, len } => match File::open(&named.path) {
                Ok(file) => Ok(Source::File { file, left: *len, named: named.clone() }),
                Err(error) => Err(named.unreadable(&error)),
            },
        };
        Ok(Upload {
            sources: self.parts.iter().map(open).collect::<Result<_, _>>()?,
            remaining: self.len(),
            stamps: Stamps::default(),
        })
    }
}

/// A payload on its way.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    sources: VecDeque<Source>,
    remaining: u64,
    stamps: Stamps,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File { file: File, left: u64, named: Named },
}

impl Upload {
    /// Bytes still to be sent.
    pub(crate) fn len(&self) -> u64 {
        self.remaining
    }

    /// Tells `stamps` when the last byte has been taken.
    pub(crate) fn noted_in(mut self, stamps: &Stamps) -> Self {
        self.stamps = stamps.clone();
        if self.remaining == 0 {
            self.stamps.payload_taken();
        }
        self
    }

    fn next_chunk(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let chunk = match self.sources.front_mut()? {
                Source::Memory(bytes) => Ok(std::mem::take(bytes)),
                Source::File { file, left, named } => read_chunk(file, left, named),
            };
            if self.sources.front().is_some_and(|source| source.len() == 0) {
                self.sources.pop_front();
            }
            match chunk {
                Ok(bytes) if bytes.is_empty() => {}
                chunk => return Some(chunk),
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = self.next_chunk();
        if let Some(Ok(bytes)) = &chunk {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        if self.remaining == 0 {
            self.stamps.payload_taken();
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

/// Leaves a regular file to be read later; anything else has no length and is read at once. So are
/// the files of Linux that claim to be empty and are not, as in `/proc`.
fn read(named: &Named) -> io::Result<Part> {
    if named.path == Path::new("-") {
        return read_to_end(io::stdin().lock());
    }
    let file = File::open(&named.path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        return Ok(Part::File { file: named.clone(), len: metadata.len() });
    }
    read_to_end(file)
}

fn read_to_end(source: impl io::Read) -> io::Result<Part> {
    let mut bytes = Vec::new();
    source.take(MAX_MEMORY_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MEMORY_LEN {
        let message = format!(
            "it does not end within {} MiB; only a regular file may be longer",
            MAX_MEMORY_LEN >> 20
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(Part::Memory(bytes.into()))
}

impl Named {
    fn unreadable(&self, error: &io::Error) -> Error {
        Error::new(Kind::Data, format!("cannot read {self}: {}", reason(error)))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.path.display())
    }
}

fn read_chunk(file: &mut File, left: &mut u64, named: &Named) -> io::Result<Bytes> {
    let wanted = usize::try_from(*left).map_or(CHUNK_LEN, |left| left.min(CHUNK_LEN));
    let mut chunk = vec![0; wanted];
    let read = file.read(&mut chunk).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot read {named}: {}", reason(&error)))
    })?;
    if read == 0 && wanted > 0 {
        let message = format!("{named} became shorter while it was sent");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    chunk.truncate(read);
    *left -= read as u64;
    Ok(chunk.into())
}

const CHUNK_LEN: usize = 64 * 1024;
/// For what has to be held in memory, because its length must be known in advance.
const MAX_MEMORY_LEN: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn drain(payload: &Payload) -> io::Result<Vec<u8>> {
        let mut payload = payload.open().unwrap();
        let mut sent = Vec::new();
        while let Some(chunk) = payload.next_chunk() {
            sent.extend_from_slice(&chunk?);
        }
        Ok(sent)
    }

    #[test]
    fn parts_are_joined_and_files_sent_byte_for_byte() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..150_000u32).map(|n| n.to_be_bytes()[3]).collect();
        file.write_all(&content).unwrap();
        let arguments = [
            Data::Form("a=1".to_owned()),
            Data::Form(format!("@{}", file.path().display())),
            Data::Raw("@b".to_owned()),
            Data::Json("{}".to_owned()),
        ];
        let payload = Payload::from_arguments(&arguments).unwrap();
        let expected = [b"a=1&".as_slice(), &content, b"&@b{}"].concat();
        assert_eq!(payload.len(), expected.len() as u64);
        // As often as a redirect asks for it.
        for _ in 0..2 {
            assert_eq!(drain(&payload).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_not_a_short_request() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let payload =
            Payload::from_arguments(&[Data::Form(format!("@{}", file.path().display()))]).unwrap();
        file.as_file().set_len(4).unwrap();
        assert_eq!(drain(&payload).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_does_not_end_is_refused_and_what_claims_to_be_empty_is_read() {
        let error = Payload::from_arguments(&[Data::Form("@/dev/zero".to_owned())]).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.message.contains("does not end within 64 MiB"), "{error}");
        let status =
            Payload::from_arguments(&[Data::Form("@/proc/self/status".to_owned())]).unwrap();
        assert!(drain(&status).unwrap().starts_with(b"Name:"));
    }

    #[test]
    fn a_missing_file_is_named() {
        for (kind, option) in [(Data::Form as fn(_) -> _, "--data"), (Data::Json, "--json")] {
            let error = Payload::from_arguments(&[kind("@no/such/file".to_owned())]).unwrap_err();
            assert_eq!(error.kind, Kind::Data);
            let expected = format!("cannot read {option} no/such/file: ");
            assert!(error.message.starts_with(&expected), "{error}");
        }
    }
}
