//! Lists, which the kernel sends in pieces as they are received.

use std::{fmt, io, mem, ops::Range};

use super::{
    Answer, Conversation, EACCES, ENOENT, EPERM, NOT_RECEIVED, Patience, Transport, not_permitted,
    pieces::{PIECE_LEN, PIECES, Unread},
    read, refusal, too_long, unserved, waiting_failed,
};
use crate::{
    Dump, Entry, Error, ErrorKind, Protocol,
    attribute::{Index, Pattern},
    bytes::{u16_at, u32_at},
    entry::HEAD_LEN,
    lookup::INET6,
    message::{HEADER_LEN, Messages, kind, messages},
};

// Of Linux; those that differ between architectures are not among them.
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

/// One list, or several as one.
pub(crate) struct Listing<'a, T> {
    conversation: &'a mut Conversation<T>,
    dump: Dump,
    /// How many lists were asked for.
    passes: usize,
    /// Whether the kernel runs the filter's program.
    by_kernel: bool,
    /// What comes after the pieces that were received.
    failure: Option<Error>,
    /// Of the attributes of an IPv4 socket and of an IPv6 socket.
    patterns: [Pattern; 2],
    is_over: bool,
}

/// What is next in a list.
enum Found {
    /// A socket, which lies there in a piece, its attributes as the index has them.
    Socket(usize, Range<usize>, Index),
    /// An end, with an error number or zero.
    End(i32),
}

impl<T> fmt::Debug for Listing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("dump", &self.dump)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> Conversation<T> {
    /// Asks for a list.
    pub(crate) fn list(&mut self, dump: &Dump) -> Result<Listing<'_, T>, Error> {
        let mut listing = Listing {
            conversation: self,
            dump: dump.clone(),
            passes: 0,
            by_kernel: true,
            failure: None,
            patterns: Default::default(),
            is_over: false,
        };
        listing.ask_for_more()?;
        Ok(listing)
    }

    /// Passes over the rest of a list that was given up. The kernel makes no second one meanwhile.
    pub(super) fn finish_list(&mut self) -> Result<(), Error> {
        self.pass_over_unread();
        while let Some(sequence) = self.unfinished {
            match self.receive() {
                Ok(len) => self.see_end(0, 0..len),
                // The end itself was lost.
                Err(error) if error.kind() == ErrorKind::TimedOut => self.unfinished = None,
                Err(error) => return Err(error),
            }
            debug_assert!(self.unfinished.is_none_or(|still| still == sequence));
        }
        Ok(())
    }

    /// Notices the end of a list that was given up in what was received of it.
    #[cold]
    pub(super) fn pass_over_unread(&mut self) {
        let mut unread = mem::take(&mut self.unread);
        loop {
            let (piece, rest) = unread.now();
            self.see_end(piece, rest);
            if !unread.turn() {
                break;
            }
        }
    }

    /// Notices the end of a list that was given up in this part of a piece.
    #[cold]
    pub(super) fn see_end(&mut self, piece: usize, part: Range<usize>) {
        let Some(sequence) = self.unfinished else { return };
        let part = self.buffer.piece(piece).get(part).unwrap_or_default();
        let is_end = messages(part).map_while(Result::ok).any(|message| {
            message.sequence == sequence
                && message.port == self.port
                && matches!(message.kind, kind::DONE | kind::ERROR)
        });
        if is_end {
            self.unfinished = None;
        }
    }

    /// One datagram, with a time to wait of its own.
    fn receive(&mut self) -> Result<usize, Error> {
        let mut patience = Patience::new(self.timeout);
        loop {
            match self.transport.receive(self.buffer.piece_mut(0)) {
                Ok(len) => return Ok(len),
                Err(os) => patience.after(&os).map_err(|detail| waiting_failed(detail, os))?,
            }
        }
    }
}

impl<T: Transport> Listing<'_, T> {
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Result<Entry<'_>, Error>> {
        if self.is_over {
            return None;
        }
        match self.find() {
            Ok(Some((piece, range, index))) => {
                let bytes = self.conversation.buffer.piece(piece).get(range)?;
                let entry = Entry::indexed(bytes, index)?;
                Some(Ok(entry.of_protocol(self.dump.protocol_asked())))
            }
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

    /// In which piece and where in it the next socket lies, and where its attributes do.
    #[inline]
    fn find(&mut self) -> Result<Option<(usize, Range<usize>, Index)>, Error> {
        loop {
            let errno = match self.read_on()? {
                Some(Found::Socket(piece, range, index)) => {
                    return Ok(Some((piece, range, index)));
                }
                Some(Found::End(errno)) => errno,
                None => {
                    if !self.conversation.unread.turn() {
                        self.receive()?;
                    }
                    continue;
                }
            };
            self.conversation.unfinished = None;
            if errno != 0 && !self.go_on_without_program(errno) {
                return Err(self.refusal(errno));
            }
            self.conversation.is_served |= errno == 0;
            if !self.ask_for_more()? {
                return Ok(None);
            }
        }
    }

    /// The next that is wanted of the piece that is read.
    #[inline]
    fn read_on(&mut self) -> Result<Option<Found>, Error> {
        let Conversation { buffer, unread, sequence, port, .. } = &mut *self.conversation;
        let (piece, rest) = unread.now();
        let mut messages = Messages::of_part(buffer.piece(piece), rest);
        loop {
            let offset = messages.offset();
            let next = messages.next();
            unread.read_to(messages.offset());
            let Some(message) = next.transpose()? else { return Ok(None) };
            if message.sequence != *sequence || message.port != *port {
                continue;
            }
            match read(&message, offset)? {
                Some(Answer::Socket(range)) => {
                    let [ipv4, ipv6] = &mut self.patterns;
                    let entry = Entry::with(message.payload, |family, attributes| {
                        let pattern = if family == INET6 { ipv6 } else { ipv4 };
                        pattern.index(attributes, HEAD_LEN)
                    })?;
                    let entry = entry.of_protocol(self.dump.protocol_asked());
                    if self.dump.admits(&entry, self.by_kernel) {
                        return Ok(Some(Found::Socket(piece, range, entry.index())));
                    }
                }
                Some(Answer::End(errno)) => return Ok(Some(Found::End(errno))),
                None => {}
            }
        }
    }

    /// Waits for the next piece, and fills the buffer with those behind it.
    fn receive(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let mut patience = Patience::new(self.conversation.timeout);
        loop {
            let len = self.conversation.receive()?;
            let is_ours = self.begins_with_ours(0, len);
            if is_ours && len > PIECE_LEN {
                return Err(too_long());
            }
            let datagram = self.conversation.buffer.piece(0).get(..len).unwrap_or_default();
            if is_ours || self.has_ours(datagram) {
                self.conversation.unread = Unread::of(len);
                self.receive_more();
                return Ok(());
            }
            // Late answers to a request that was given up, or a datagram of nothing.
            patience.is_left().map_err(|detail| Error::new(ErrorKind::TimedOut, detail))?;
        }
    }

    /// Receives what is there of the list already.
    fn receive_more(&mut self) {
        for number in 1..PIECES {
            let Conversation { transport, buffer, unread, .. } = &mut *self.conversation;
            // The end, mostly alone in its piece: nothing comes after it.
            if u16_at(buffer.piece(number - 1), 4) == kind::DONE {
                return;
            }
            match transport.receive_at_once(buffer.piece_mut(number)) {
                Ok(0) => return,
                Ok(len) if len <= PIECE_LEN => unread.add(number, len),
                Ok(len) => {
                    self.failure = self.begins_with_ours(number, len).then(too_long);
                    return;
                }
                Err(os) => {
                    use io::ErrorKind::{Interrupted, WouldBlock};
                    if !matches!(os.kind(), Interrupted | WouldBlock) {
                        self.failure = Some(waiting_failed(NOT_RECEIVED, os));
                    }
                    return;
                }
            }
        }
    }

    /// Whether a piece that is so long begins with an answer to our request.
    fn begins_with_ours(&self, number: usize, len: usize) -> bool {
        let piece = self.conversation.buffer.piece(number);
        let head = piece.get(..HEADER_LEN.min(len)).unwrap_or_default();
        self.is_ours(u32_at(head, 8), u32_at(head, 12))
    }

    fn is_ours(&self, sequence: u32, port: u32) -> bool {
        sequence == self.conversation.sequence && port == self.conversation.port
    }

    /// Whether there is something to read in a datagram that does not begin with it.
    #[cold]
    fn has_ours(&self, datagram: &[u8]) -> bool {
        messages(datagram).any(|message| match message {
            Ok(message) => self.is_ours(message.sequence, message.port),
            // That is for the reader to say.
            Err(_) => true,
        })
    }

    /// Asks for the next list; false if all were asked for.
    fn ask_for_more(&mut self) -> Result<bool, Error> {
        let Some(mut request) = self.dump.request(self.passes, self.by_kernel) else {
            return Ok(false);
        };
        self.passes += 1;
        self.conversation.finish_list()?;
        let sequence = self.conversation.next_sequence();
        if let Some(slot) = request.get_mut(8..12) {
            slot.copy_from_slice(&sequence.to_ne_bytes());
        }
        self.conversation.deliver(&request)?;
        self.conversation.unfinished = Some(sequence);
        self.conversation.unread = Unread::default();
        self.failure = None;
        Ok(true)
    }

    /// Whether the same can be asked for without the filter's program, of which an older kernel does not
    /// know each instruction. It looks at the program before anything else.
    fn go_on_without_program(&mut self, errno: i32) -> bool {
        let can = errno == EINVAL && self.by_kernel && self.dump.has_substitute();
        if can {
            self.by_kernel = false;
            self.passes -= 1;
        }
        can
    }

    #[cold]
    fn refusal(&self, errno: i32) -> Error {
        let os = io::Error::from_raw_os_error(errno);
        let (kind, detail) = match errno {
            EPERM | EACCES if self.by_kernel && self.dump.has_bytecode() => (
                ErrorKind::NotPermitted,
                "the kernel compares marks only for who has CAP_NET_ADMIN; leave the mark out of \
                 the filter, or run it as root",
            ),
            EPERM | EACCES => return not_permitted(os),
            EINVAL if self.by_kernel && self.dump.has_bytecode() => (
                ErrorKind::Unsupported,
                "this kernel is too old for the filter: it compares marks from Linux 4.10 on, and \
                 cgroups from 5.8 on",
            ),
            EBUSY => (
                ErrorKind::Other,
                "an earlier list on this socket did not come to its end; open another SockDiag",
            ),
            _ if !self.dump.is_of(Protocol::Tcp) && is_unserved(&os) => (
                ErrorKind::Unsupported,
                "this kernel does not tell of its Multipath TCP sockets; load the module \
                 mptcp_diag, or use a kernel from 5.9 on with CONFIG_MPTCP",
            ),
            _ if is_unserved(&os) => return unserved(os),
            _ => return refusal(errno),
        };
        Error::os(kind, detail, os)
    }
}

/// What a kernel says whose modules are missing.
fn is_unserved(os: &io::Error) -> bool {
    os.raw_os_error() == Some(ENOENT) || os.kind() == io::ErrorKind::Unsupported
}

/// What a list makes of these datagrams, which answer a request of number 1 to this port. For the fuzz
/// target.
///
/// # Errors
///
/// As of [`Entries::next`](crate::Entries::next).
#[doc(hidden)]
pub fn list_of(
    datagrams: &[&[u8]],
    port: u32,
    dump: &Dump,
    mut each: impl FnMut(Entry<'_>),
) -> Result<(), Error> {
    let datagrams = Datagrams { left: std::cell::Cell::new(datagrams) };
    let mut conversation = Conversation::new(datagrams, port, std::time::Duration::from_secs(60));
    let mut listing = conversation.list(dump)?;
    while let Some(entry) = listing.next() {
        each(entry?);
    }
    Ok(())
}

struct Datagrams<'a> {
    left: std::cell::Cell<&'a [&'a [u8]]>,
}

impl Transport for Datagrams<'_> {
    fn send(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let [first, rest @ ..] = self.left.get() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.left.set(rest);
        buffer.iter_mut().zip(*first).for_each(|(slot, byte)| *slot = *byte);
        Ok(first.len())
    }
}
