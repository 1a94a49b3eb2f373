//! Requests to the kernel and what is taken for their answers: those that bear our port and the
//! request's number, and nothing else.

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use crate::{
    Entry, Error, ErrorKind,
    bytes::{array_at, u32_at},
    error::Malformed,
    lookup::{Question, Request},
    message::{HEADER_LEN, Message, kind, messages},
};
use pieces::{Buffer, Unread};

mod listing;
mod pieces;

pub(crate) use listing::Listing;
#[doc(hidden)]
pub use listing::list_of;

/// The way to the kernel and back.
pub(crate) trait Transport {
    fn send(&self, request: &[u8]) -> io::Result<()>;

    /// Fills the buffer with one datagram, as far as it has room, and tells how long the datagram is.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// The same if one is there; otherwise that it would block.
    fn receive_at_once(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

// Of Linux, on every architecture.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EACCES: i32 = 13;

#[derive(Debug)]
pub(crate) struct Conversation<T> {
    transport: T,
    /// Our netlink port, which every answer bears.
    port: u32,
    timeout: Duration,
    sequence: u32,
    /// The number of a list whose end was not received.
    unfinished: Option<u32>,
    /// Whether the kernel was seen to know its TCP sockets. If its modules are missing, it answers as if
    /// there were no such connection.
    is_served: bool,
    buffer: Buffer,
    unread: Unread,
}

/// How the kernel answered.
enum Answer {
    /// With a socket, which lies there in the buffer.
    Socket(Range<usize>),
    /// With the end of a list, or an acknowledgement: an error number, or zero.
    End(i32),
}

impl<T: Transport> Conversation<T> {
    pub(crate) fn new(transport: T, port: u32, timeout: Duration) -> Self {
        Self {
            transport,
            port,
            timeout,
            sequence: 0,
            unfinished: None,
            is_served: false,
            buffer: Buffer::new(),
            unread: Unread::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn look_up(&mut self, question: &Question) -> Result<Option<Entry<'_>>, Error> {
        let range = match self.ask(question.request())? {
            Answer::Socket(range) => range,
            Answer::End(ENOENT) => return self.see_whether_served().map(|()| None),
            Answer::End(errno) => return Err(refusal(errno)),
        };
        self.is_served = true;
        let entry = Entry::from_bytes(self.buffer.piece(0).get(range).unwrap_or_default())?;
        Ok(Some(entry).filter(|entry| question.is_answered_by(entry)))
    }

    /// Tells "no such connection" from "nobody here knows": a list is refused by the latter only.
    pub(crate) fn see_whether_served(&mut self) -> Result<(), Error> {
        if self.is_served {
            return Ok(());
        }
        self.finish_list()?;
        match self.ask(Request::empty_dump())? {
            Answer::End(0) => {
                self.is_served = true;
                Ok(())
            }
            Answer::End(errno) => Err(refusal(errno)),
            Answer::Socket(..) => Err(Malformed::new(0, "a list of no sockets has one").into()),
        }
    }

    /// Sends a request and waits for the first message that answers it.
    #[inline(always)]
    fn ask(&mut self, mut request: Request) -> Result<Answer, Error> {
        if self.unfinished.is_some() {
            self.pass_over_unread();
        }
        let sequence = self.next_sequence();
        self.deliver(request.numbered(sequence))?;
        let mut patience = Patience::new(self.timeout);
        loop {
            let len = match self.transport.receive(self.buffer.piece_mut(0)) {
                Ok(len) => len,
                Err(os) => {
                    patience.after(&os).map_err(|detail| waiting_failed(detail, os))?;
                    continue;
                }
            };
            if let Some(answer) = self.find_answer(len)? {
                return Ok(answer);
            }
            // Late answers to a request that was given up.
            self.see_end(0, 0..len);
            patience.is_left().map_err(|detail| Error::new(ErrorKind::TimedOut, detail))?;
        }
    }

    #[inline(always)]
    fn next_sequence(&mut self) -> u32 {
        // Zero is the number of what the kernel sends unasked.
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    #[inline(always)]
    fn deliver(&self, request: &[u8]) -> Result<(), Error> {
        loop {
            match self.transport.send(request) {
                Ok(()) => return Ok(()),
                // Nothing was sent. The kernel does not wait here, so this cannot go on.
                Err(os) if os.kind() == io::ErrorKind::Interrupted => {}
                Err(os) => return Err(sending_failed(os)),
            }
        }
    }

    /// The answer in a datagram of this length, of which the buffer holds what it has room for.
    #[inline(always)]
    fn find_answer(&self, len: usize) -> Result<Option<Answer>, Error> {
        let is_ours = |sequence: u32, port: u32| sequence == self.sequence && port == self.port;
        let whole = self.buffer.piece(0);
        let Some(datagram) = whole.get(..len) else {
            let head = whole.get(..HEADER_LEN).unwrap_or_default();
            if !is_ours(u32_at(head, 8), u32_at(head, 12)) {
                return Ok(None);
            }
            return Err(too_long());
        };
        let mut messages = messages(datagram);
        loop {
            let offset = messages.offset();
            let Some(message) = messages.next().transpose()? else { return Ok(None) };
            if !is_ours(message.sequence, message.port) {
                continue;
            }
            if let Some(answer) = read(&message, offset)? {
                return Ok(Some(answer));
            }
        }
    }
}

/// What a message that begins at this place answers; `None` of those that say nothing.
#[inline(always)]
fn read(message: &Message<'_>, offset: usize) -> Result<Option<Answer>, Error> {
    match message.kind {
        kind::SOCK_DIAG_BY_FAMILY | kind::TCPDIAG_GETSOCK => {
            let start = offset + HEADER_LEN;
            Ok(Some(Answer::Socket(start..start + message.payload.len())))
        }
        // Both begin with an error number below zero, or zero.
        kind::ERROR | kind::DONE => match message.payload.first_chunk::<4>() {
            Some(_) => {
                let errno = i32::from_ne_bytes(array_at(message.payload, 0));
                Ok(Some(Answer::End(errno.saturating_neg())))
            }
            None => Err(Malformed::new(offset, "an error without a number").into()),
        },
        kind::OVERRUN => Err(Error::new(ErrorKind::Truncated, "the kernel lost its answer")),
        _ => Ok(None),
    }
}

const NOT_RECEIVED: &str = "the kernel's answer cannot be received";

/// How long to go on where the ordinary path, on which the answer is there at once, asks no clock.
struct Patience {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Patience {
    const fn new(timeout: Duration) -> Self {
        Self { timeout, deadline: None }
    }

    #[cold]
    fn after(&mut self, os: &io::Error) -> Result<(), &'static str> {
        match os.kind() {
            io::ErrorKind::Interrupted => self.is_left(),
            io::ErrorKind::WouldBlock => Err("the kernel did not answer in time"),
            _ => Err(NOT_RECEIVED),
        }
    }

    #[cold]
    fn is_left(&mut self) -> Result<(), &'static str> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert(now + self.timeout);
        if now > deadline {
            return Err("no answer came in time, though signals or late answers did");
        }
        Ok(())
    }
}

#[cold]
fn too_long() -> Error {
    Error::new(ErrorKind::Truncated, "the answer is longer than 32 KiB")
}

#[cold]
fn waiting_failed(detail: &'static str, os: io::Error) -> Error {
    let is_late = matches!(os.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
    Error::os(if is_late { ErrorKind::TimedOut } else { ErrorKind::Other }, detail, os)
}

#[cold]
fn sending_failed(os: io::Error) -> Error {
    match os.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(os),
        io::ErrorKind::ConnectionRefused => unserved(os),
        _ => Error::os(ErrorKind::Other, "the request cannot be sent", os),
    }
}

/// What the kernel says instead of an answer.
#[cold]
fn refusal(errno: i32) -> Error {
    let os = io::Error::from_raw_os_error(errno);
    match errno {
        EPERM | EACCES => not_permitted(os),
        // Of a list, which is there even if it is empty.
        ENOENT => unserved(os),
        // The end of a list, or an acknowledgement, where a socket was asked for.
        0 => Malformed::new(0, "an end without a socket").into(),
        _ => Error::os(ErrorKind::Other, "the kernel refused", os),
    }
}

fn not_permitted(os: io::Error) -> Error {
    let detail =
        "a security policy such as SELinux forbids to ask; the kernel itself needs no privilege";
    Error::os(ErrorKind::NotPermitted, detail, os)
}

fn unserved(os: io::Error) -> Error {
    let detail = "this kernel does not tell of its TCP sockets; load the modules inet_diag and \
                  tcp_diag, or use a kernel with CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG";
    Error::os(ErrorKind::Unsupported, detail, os)
}

#[cfg(test)]
mod tests;
