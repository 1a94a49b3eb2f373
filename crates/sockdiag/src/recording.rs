//! Lists kept in files, and read from them again.
//!
//! A recording is a sequence of netlink messages as the kernel sends them, in the byte order of the
//! machine: one for each socket, then the end of the list. What is said of the whole lies in an attribute
//! of the first message, whose number no kernel uses and other readers pass over.

use std::{
    fmt,
    io::{self, Read, Write},
    ops::Range,
    time::{Duration, SystemTime},
};

use crate::{
    Dump, Entry, Error, ErrorKind, Lookup, Protocol,
    attribute::{Attributes, number},
    bytes::{aligned, array_at, u16_at, u32_at},
    dump::IPPROTO_MPTCP,
    entry::{HEAD_LEN, Origin},
    error::Malformed,
    lookup::IPPROTO_TCP,
    message::{HEADER_LEN, kind},
    sys::kernel_release,
};

/// The highest number that an attribute can have.
const HEADER_ATTRIBUTE: u16 = 0x3fff;

const MAGIC: [u8; 8] = *b"sockdiag";
const VERSION: u32 = 1;

/// `NLM_F_MULTI`: one of several messages.
const MULTI: u16 = 2;

/// Where the parts of the header begin: magic, version, protocol, time, and the kernel's release.
const TIME: usize = 16;
const RELEASE: usize = 24;

/// Most bytes of a kernel's release that are kept: of `utsname`.
const LONGEST_RELEASE: usize = 64;

/// No kernel tells more of one socket.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Writes sockets to a file, from which [`Replay`] reads them on any machine of the same byte order: those of
/// a list, those that lookups found, and the last facts of connections that [ended](crate::Event::Ended).
///
/// `ss` reads it, too (`TCPDIAG_FILE=name ss -tan`). Keys of TCP's MD5 signatures, which the kernel tells
/// to who has `CAP_NET_ADMIN`, are left out.
///
/// ```
/// use sockdiag::{Dump, Recorder, Replay, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let _server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let everything = Dump::new();
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&everything).unwrap();
///
/// let mut recorder = Recorder::new(Vec::new(), &everything); // or a File, in a BufWriter
/// while let Some(entry) = entries.next() {
///     recorder.write(&entry.unwrap()).unwrap();
/// }
/// let file = recorder.finish().unwrap();
///
/// let mut replay = Replay::open(&*file).unwrap();
/// println!("of {:?}", replay.recorded_at());
/// let mut entries = replay.dump(&Dump::new().filter(&"state listening".parse().unwrap())).unwrap();
/// while let Some(entry) = entries.next() {
///     println!("{}", entry.unwrap().local_addr());
/// }
/// ```
pub struct Recorder<W> {
    writer: W,
    /// The attribute for the first message.
    header: Option<Vec<u8>>,
    message: Vec<u8>,
}

impl<W> fmt::Debug for Recorder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("has_begun", &self.header.is_none())
            .finish_non_exhaustive()
    }
}

impl<W: Write> Recorder<W> {
    /// A recording of what this list tells, on the running kernel and from now on. Nothing is written
    /// before the first socket.
    pub fn new(writer: W, dump: &Dump) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let protocol =
            if dump.is_of(Protocol::Tcp) { u32::from(IPPROTO_TCP) } else { IPPROTO_MPTCP };
        let mut header = Vec::from(MAGIC);
        header.extend(VERSION.to_ne_bytes());
        header.extend(protocol.to_ne_bytes());
        header.extend(time.to_ne_bytes());
        header.extend(kernel_release().bytes().take(LONGEST_RELEASE));
        Self { writer, header: Some(header), message: Vec::new() }
    }

    /// Adds a socket.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.begin(kind::SOCK_DIAG_BY_FAMILY);
        self.message.extend(entry.head());
        self.put_header();
        for attribute in entry.attributes() {
            // Secret keys, and what is taken for a header of ours.
            if !matches!(attribute.number, number::MD5SIG | HEADER_ATTRIBUTE) {
                put_attribute(&mut self.message, attribute.number, attribute.payload);
            }
        }
        self.end()
    }

    /// Ends the recording and gives the writer back, flushed. Without an end it counts as cut off.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.begin(kind::DONE);
        self.message.extend(0i32.to_ne_bytes());
        self.put_header();
        self.end()?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn begin(&mut self, kind: u16) {
        self.message.clear();
        self.message.extend([0; 4]);
        self.message.extend(kind.to_ne_bytes());
        self.message.extend(MULTI.to_ne_bytes());
        self.message.extend(1u32.to_ne_bytes());
        self.message.extend([0; 4]);
    }

    fn put_header(&mut self) {
        if let Some(header) = self.header.take() {
            put_attribute(&mut self.message, HEADER_ATTRIBUTE, &header);
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let len = u32::try_from(self.message.len()).unwrap_or(u32::MAX);
        if let Some(slot) = self.message.first_chunk_mut() {
            *slot = len.to_ne_bytes();
        }
        self.writer.write_all(&self.message)
    }
}

fn put_attribute(message: &mut Vec<u8>, number: u16, payload: &[u8]) {
    // An attribute of the kernel's has such a length, and the header is short.
    let len = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    message.extend(len.to_ne_bytes());
    message.extend(number.to_ne_bytes());
    message.extend(payload);
    message.resize(aligned(message.len()), 0);
}

/// Reads sockets that [`Recorder`] wrote, or `ss -D`, from a file, from standard input or from memory.
///
/// It answers as the kernel would have: with [lists](Self::dump) by every filter but one that asks for
/// `autobound`, and with [single connections](Self::lookup). Ends of connections that were recorded are in
/// its lists, in state [`Close`](tcpinfo::State::Close) as they were told.
///
/// It needs no kernel that is like the one that was recorded, nor Linux at all; only the byte order must
/// be the same. It reads in blocks of its own, so that a reader needs no buffer. The memory that it
/// takes does not depend on the number of sockets.
pub struct Replay<R> {
    reader: R,
    buffer: Box<[u8]>,
    /// What of the buffer was read from the file and not looked at.
    unread: Range<usize>,
    /// Where in the file that begins.
    offset: usize,
    is_at_end: bool,
    header: Header,
    /// Whether the last message was the end of a list.
    has_ended: bool,
}

impl<R> fmt::Debug for Replay<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("header", &self.header)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// What a recording says of itself.
#[derive(Debug, Default)]
struct Header {
    time: Option<u64>,
    release: Option<String>,
    protocol: Protocol,
    major: u8,
}

impl Header {
    fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.first_chunk() != Some(&MAGIC) || bytes.len() < RELEASE {
            return Err("it has a header that is none of a recording's");
        }
        if u32_at(bytes, 8) != VERSION {
            return Err("it is of a newer version than this program knows");
        }
        let protocol = match u32_at(bytes, 12) {
            6 => Protocol::Tcp,
            IPPROTO_MPTCP => Protocol::Mptcp,
            _ => return Err("it is of a protocol that this program does not know"),
        };
        let release = bytes.get(RELEASE..).unwrap_or_default();
        let release = release.get(..LONGEST_RELEASE).unwrap_or(release);
        let release = release.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let major = release.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        Ok(Self {
            time: Some(u64::from_ne_bytes(array_at(bytes, TIME))),
            release: Some(release.to_owned()).filter(|release| !release.is_empty()),
            protocol,
            major,
        })
    }
}

/// A message of the file, and where in the buffer its payload lies.
struct Found {
    kind: u16,
    payload: Range<usize>,
    /// Where in the file it begins.
    offset: usize,
}

impl<R: Read> Replay<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no beginning of a recording.
    pub fn open(reader: R) -> Result<Self, Error> {
        let mut replay = Self {
            reader,
            buffer: vec![0; LONGEST_MESSAGE].into_boxed_slice(),
            unread: 0..0,
            offset: 0,
            is_at_end: false,
            header: Header::default(),
            has_ended: false,
        };
        let Some(first) = replay.peek(true)? else {
            return Err(flaw(0, "it is empty, where there should be a message,"));
        };
        let payload = replay.buffer.get(first.payload.clone()).unwrap_or_default();
        if let Some(bytes) = header_in(first.kind, payload) {
            replay.header = Header::from_bytes(bytes).map_err(|what| flaw(0, what))?;
        }
        Ok(replay)
    }

    /// When the recording was made; absent of one that `ss` made.
    pub fn recorded_at(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(self.header.time?))
    }

    /// The release of the kernel that was recorded, such as `6.18.0`, as the file has it; absent of a
    /// recording that `ss` made.
    pub fn kernel_release(&self) -> Option<&str> {
        self.header.release.as_deref()
    }

    /// Whose sockets were recorded.
    pub fn protocol(&self) -> Protocol {
        self.header.protocol
    }

    /// The sockets of the recording that a list of this kind would have: of its family, protocol and
    /// states, and selected by its filter. What was not told when it was recorded is absent.
    ///
    /// A recording is read once, so a second list begins where the first left off.
    ///
    /// # Errors
    ///
    /// [`BadQuestion`](ErrorKind::BadQuestion) if the filter asks for what only a live kernel knows.
    pub fn dump(&mut self, dump: &Dump) -> Result<Replayed<'_, R>, Error> {
        if !dump.can_be_replayed() {
            let detail = "a recording does not say which ports were chosen by the kernel; leave \
                          autobound out of the filter";
            return Err(Error::new(ErrorKind::BadQuestion, detail).of_recording());
        }
        Ok(Replayed { dump: dump.clone(), replay: self, is_over: false })
    }

    /// The first of the sockets that are left which [`SockDiag::lookup`](crate::SockDiag::lookup) would have
    /// found, by addresses, cookie and interface as there: a connection in any state, never a listener, nor
    /// what has [ended](crate::Event::Ended).
    ///
    /// A recording is read once: up to the socket that is found, or to the end if it is not there. So
    /// several are found in the order in which they were recorded.
    ///
    /// # Errors
    ///
    /// [`BadQuestion`](ErrorKind::BadQuestion) if no connection can have such addresses; nothing was read
    /// then. Otherwise as of [`Replayed::next`].
    pub fn lookup(&mut self, lookup: &Lookup) -> Result<Option<Entry<'_>>, Error> {
        let question = lookup.question().map_err(|error| error.about(lookup))?;
        // Only TCP is asked for a connection.
        let is_wanted = |entry: &Entry<'_>| !entry.is_mptcp() && question.is_answered_by(entry);
        let found = self.find(is_wanted).map_err(|error| error.about(lookup))?;
        Ok(found.and_then(|found| self.entry(&found)))
    }

    /// The next of the sockets that are wanted; `None` if there are no more.
    fn find(&mut self, is_wanted: impl Fn(&Entry<'_>) -> bool) -> Result<Option<Found>, Error> {
        loop {
            let Some(found) = self.take()? else {
                let what = "it is cut off, for it has no end";
                return if self.has_ended { Ok(None) } else { Err(flaw(self.offset, what)) };
            };
            self.has_ended = false;
            let payload = self.buffer.get(found.payload.clone()).unwrap_or_default();
            match found.kind {
                kind::SOCK_DIAG_BY_FAMILY | kind::TCPDIAG_GETSOCK => {
                    let start = found.offset.saturating_add(HEADER_LEN);
                    let at_start =
                        |flawed: Malformed| Error::from(flawed.moved_by(start)).of_recording();
                    Entry::from_bytes(payload).map_err(at_start)?;
                    if self.entry(&found).is_some_and(|entry| is_wanted(&entry)) {
                        return Ok(Some(found));
                    }
                }
                // Whoever made a list of several lists has an end for each.
                kind::DONE | kind::ERROR => {
                    let Some(errno) = payload.first_chunk().copied().map(i32::from_ne_bytes) else {
                        return Err(flaw(found.offset, "an error without a number"));
                    };
                    if errno != 0 {
                        let os = io::Error::from_raw_os_error(errno.saturating_neg());
                        let detail = "it was made of a list that ended with an error";
                        return Err(Error::os(ErrorKind::Other, detail, os).of_recording());
                    }
                    self.has_ended = true;
                }
                kind::OVERRUN => {
                    return Err(flaw(found.offset, "the kernel lost a part of the list"));
                }
                _ => {}
            }
        }
    }

    /// The next message, which stays unread.
    fn peek(&mut self, is_first: bool) -> Result<Option<Found>, Error> {
        if !self.fill(HEADER_LEN)? {
            if self.unread.is_empty() {
                return Ok(None);
            }
            return Err(flaw(self.offset, "it is cut off in the header of a message"));
        }
        let head = self.buffer.get(self.unread.clone()).unwrap_or_default();
        if is_first {
            see_beginning(head)?;
        }
        let len = usize::try_from(u32_at(head, 0)).unwrap_or(usize::MAX);
        let kind = u16_at(head, 4);
        if len < HEADER_LEN {
            return Err(flaw(self.offset, "a message claims to be shorter than its header"));
        }
        if len > LONGEST_MESSAGE {
            return Err(flaw(
                self.offset,
                "a message claims to be longer than any of the kernel's",
            ));
        }
        if !self.fill(len)? {
            return Err(flaw(self.offset, "it is cut off in a message"));
        }
        let start = self.unread.start;
        Ok(Some(Found { kind, payload: start + HEADER_LEN..start + len, offset: self.offset }))
    }

    /// The next message, read.
    fn take(&mut self) -> Result<Option<Found>, Error> {
        let Some(found) = self.peek(false)? else { return Ok(None) };
        let len = aligned(HEADER_LEN + found.payload.len());
        // The last need not be filled up.
        self.fill(len)?;
        let len = len.min(self.unread.len());
        self.unread.start += len;
        self.offset = self.offset.saturating_add(len);
        Ok(Some(found))
    }

    /// Reads until this much is there; false if the file ends before. What lay in the buffer may move, but
    /// for what is unread and fits.
    fn fill(&mut self, len: usize) -> Result<bool, Error> {
        while self.unread.len() < len {
            if self.is_at_end {
                return Ok(false);
            }
            if self.unread.start + len > self.buffer.len() {
                self.buffer.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            }
            let room = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => self.is_at_end = true,
                Ok(more) => self.unread.end = (self.unread.end + more).min(self.buffer.len()),
                Err(os) if os.kind() == io::ErrorKind::Interrupted => {}
                Err(os) => {
                    let error = Error::os(ErrorKind::Other, "the file cannot be read", os);
                    return Err(error.of_recording());
                }
            }
        }
        Ok(true)
    }
}

/// Tells what is no recording at all from one that is broken.
fn see_beginning(head: &[u8]) -> Result<(), Error> {
    let is_known = |number: u16| {
        matches!(
            number,
            kind::SOCK_DIAG_BY_FAMILY
                | kind::TCPDIAG_GETSOCK
                | kind::DONE
                | kind::ERROR
                | kind::NOOP
        )
    };
    let number = u16_at(head, 4);
    if is_known(number) {
        Ok(())
    } else if is_known(number.swap_bytes()) {
        Err(flaw(0, "it was made on a machine of the other byte order"))
    } else {
        Err(flaw(0, "it is none, for it does not begin with a message of the kernel's,"))
    }
}

/// The header, if it is in this message: the first attribute.
fn header_in(kind: u16, payload: &[u8]) -> Option<&[u8]> {
    let before = match kind {
        kind::SOCK_DIAG_BY_FAMILY | kind::TCPDIAG_GETSOCK => HEAD_LEN,
        kind::DONE => 4,
        _ => return None,
    };
    let first = Attributes::new(payload.get(before..)?).next()?;
    (first.number == HEADER_ATTRIBUTE).then_some(first.payload)
}

#[cold]
fn flaw(offset: usize, what: &'static str) -> Error {
    Error::from(Malformed::new(offset, what)).of_recording()
}

/// The sockets of a recording. See [`Replay::dump`].
///
/// Each lies in the one buffer into which the file is read, until the next is asked for.
#[derive(Debug)]
#[must_use = "sockets are read as they are asked for"]
pub struct Replayed<'a, R> {
    replay: &'a mut Replay<R>,
    dump: Dump,
    is_over: bool,
}

impl<R: Read> Replayed<'_, R> {
    /// The next socket; `None` after the last.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is broken; the error says where. Nothing comes after it.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Option<Result<Entry<'_>, Error>> {
        if self.is_over {
            return None;
        }
        let dump = &self.dump;
        match self.replay.find(|entry| dump.admits_recorded(entry)) {
            Ok(Some(found)) => self.replay.entry(&found).map(Ok),
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

impl<R> Replay<R> {
    /// The socket of a message that was looked at, without our header.
    fn entry(&self, found: &Found) -> Option<Entry<'_>> {
        let payload = self.buffer.get(found.payload.clone())?;
        let origin = Origin::Kernel(self.header.major);
        let entry = Entry::from_bytes(payload).ok()?.of_protocol(self.header.protocol).from(origin);
        match header_in(found.kind, payload) {
            None => Some(entry),
            Some(header) => entry.without_first(aligned(4 + header.len())),
        }
    }
}

#[cfg(test)]
mod tests;
