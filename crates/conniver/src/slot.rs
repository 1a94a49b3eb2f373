//! The number of a connection's socket, lent to those who look at it from outside.

#[cfg(all(test, conniver_loom))]
pub(crate) mod models;

use tcpinfo::{Error, Packed, Sock, TcpInfo};

use crate::{
    StableSock,
    sync::{Mutex, lock},
};

/// Holds the number of a socket for as long as the socket is certainly open.
///
/// Whoever asks the socket does so under the lock, and the owner empties the slot under the same
/// lock before the socket closes. So no number outlives its socket, none is duplicated, and an owner
/// who closes waits for one system call at most.
pub(crate) struct Slot {
    number: Mutex<Number>,
}

#[cfg(unix)]
pub(crate) type Number = std::os::fd::RawFd;
#[cfg(windows)]
pub(crate) type Number = std::os::windows::io::RawSocket;
#[cfg(not(any(unix, windows)))]
pub(crate) type Number = i32;

/// No socket has this number on any system.
const NONE: Number = !0;

impl Slot {
    pub(crate) fn empty() -> Self {
        Self::holding(NONE)
    }

    /// A slot with the socket of a stream. The caller clears it before the stream closes.
    pub(crate) fn of(stream: &impl StableSock) -> Self {
        Self::holding(number(stream.as_sock()))
    }

    fn holding(number: Number) -> Self {
        Self { number: Mutex::new(number) }
    }

    /// Forgets the socket. When this returns nobody asks it any more.
    pub(crate) fn clear(&self) {
        *lock(&self.number) = NONE;
    }

    /// Asks the socket, if there is one still.
    pub(crate) fn read(&self) -> Option<Result<TcpInfo, Error>> {
        self.ask(|sock| TcpInfo::read(&sock))
    }

    /// The same, packed.
    pub(crate) fn read_packed(&self) -> Option<Result<Packed, Error>> {
        self.ask(|sock| Packed::read(&sock))
    }

    /// Lends the socket for the time of a call, if there is one still.
    #[inline]
    fn ask<T>(&self, question: impl FnOnce(Sock<'_>) -> T) -> Option<T> {
        self.with_number(|number| with_sock(number, question))
    }

    /// Lends the number for the time of a call, if there is one still.
    #[inline]
    fn with_number<T>(&self, question: impl FnOnce(Number) -> T) -> Option<T> {
        let number = lock(&self.number);
        // The lock is held until the answer is there.
        (*number != NONE).then(|| question(*number))
    }
}

#[cfg(unix)]
fn number(sock: Sock<'_>) -> Number {
    std::os::fd::AsRawFd::as_raw_fd(&sock)
}

#[cfg(windows)]
fn number(sock: Sock<'_>) -> Number {
    std::os::windows::io::AsRawSocket::as_raw_socket(&sock)
}

#[cfg(not(any(unix, windows)))]
fn number(_: Sock<'_>) -> Number {
    NONE
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "the owner uses the stream and cannot lend it")]
fn with_sock<T>(number: Number, question: impl FnOnce(Sock<'_>) -> T) -> T {
    // SAFETY: the number stands in a slot whose lock the caller holds. The stream that it came from
    // keeps the socket open (`StableSock`), and its owner clears the slot before it lets go of it.
    question(unsafe { Sock::borrow_raw(number) })
}

#[cfg(windows)]
#[allow(unsafe_code, reason = "the owner uses the stream and cannot lend it")]
fn with_sock<T>(number: Number, question: impl FnOnce(Sock<'_>) -> T) -> T {
    // SAFETY: the number stands in a slot whose lock the caller holds. The stream that it came from
    // keeps the socket open (`StableSock`), and its owner clears the slot before it lets go of it.
    question(unsafe { Sock::borrow_raw(number) })
}

#[cfg(not(any(unix, windows)))]
fn with_sock<T>(_: Number, question: impl FnOnce(Sock<'_>) -> T) -> T {
    question(std::marker::PhantomData)
}
