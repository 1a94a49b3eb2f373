//! The number of a connection's socket, lent to those who look at it from outside.

#[cfg(all(test, conniver_loom))]
pub(crate) mod models;

use std::time::Duration;

use tcpinfo::{Error, Packed, Sock, TcpInfo, read_native};

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
    inner: Mutex<Inner>,
}

struct Inner {
    number: Number,
    told: Told,
    counts: KernelCounts,
}

/// What the kernel had counted when it was last asked for a sum, as numbers that only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KernelCounts {
    pub(crate) retransmitted_segs: u64,
    pub(crate) retransmitted_bytes: u64,
    pub(crate) peer_window_limited: u64,
    pub(crate) send_buffer_limited: u64,
}

/// What the kernel counts of a connection, on systems where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    RetransmittedSegs,
    RetransmittedBytes,
    PeerWindowLimited,
    SendBufferLimited,
}

/// Which of these it told: what it did not tell is absent, not zero.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told(u8);

impl Told {
    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[cfg(any(feature = "metrics", feature = "prometheus-client"))]
    pub(crate) const fn has(self, counted: Counted) -> bool {
        self.0 & Self::bit(counted) != 0
    }

    const fn bit(counted: Counted) -> u8 {
        1 << counted as u8
    }
}

impl Inner {
    /// Takes over a newer reading. What is absent in it stays as it was.
    #[inline]
    fn grow(&mut self, info: &TcpInfo) {
        let Self { told, counts, .. } = self;
        let mut count = |counted, is_told: bool| told.0 |= u8::from(is_told) * Told::bit(counted);
        let segs = info.retransmitted_segs();
        count(Counted::RetransmittedSegs, grow(&mut counts.retransmitted_segs, segs));
        let bytes = info.retransmitted_bytes();
        count(Counted::RetransmittedBytes, grow(&mut counts.retransmitted_bytes, bytes));
        let time = info.peer_window_limited();
        count(Counted::PeerWindowLimited, grow_time(&mut counts.peer_window_limited, time));
        let time = info.send_buffer_limited();
        count(Counted::SendBufferLimited, grow_time(&mut counts.send_buffer_limited, time));
    }
}

/// Brings a count up to a newer reading, if there is one. Some systems count in 32 bits, and begin
/// again at zero.
fn grow(count: &mut u64, reading: Option<u64>) -> bool {
    const TURN: u64 = 1 << 32;

    let Some(reading) = reading else { return false };
    let low = *count % TURN;
    if reading >= *count {
        *count = reading;
    } else if reading < TURN && reading >= low {
        *count += reading - low;
    } else if reading < TURN && low - reading > TURN / 2 {
        *count += TURN - low + reading;
    }
    // Otherwise it shrank, which no count does.
    true
}

/// Times are counted in wide numbers everywhere.
fn grow_time(nanos: &mut u64, reading: Option<Duration>) -> bool {
    let Some(time) = reading else { return false };
    *nanos = (*nanos).max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    true
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
        let inner = Inner { number, told: Told::default(), counts: KernelCounts::default() };
        Self { inner: Mutex::new(inner) }
    }

    /// Forgets the socket. When this returns nobody asks it any more.
    pub(crate) fn clear(&self) {
        lock(&self.inner).number = NONE;
    }

    /// Asks the socket, if there is one still.
    pub(crate) fn read(&self) -> Option<Result<TcpInfo, Error>> {
        self.ask(|sock| TcpInfo::read(&sock))
    }

    /// The same without the name of the congestion control: one system call less.
    pub(crate) fn read_numbers(&self) -> Option<Result<TcpInfo, Error>> {
        self.ask(numbers)
    }

    /// The same, packed.
    pub(crate) fn read_packed(&self) -> Option<Result<Packed, Error>> {
        self.ask(|sock| Packed::read(&sock))
    }

    /// Asks the socket, if there is one still, shows the answer, and gives what was counted so far:
    /// one system call, without the name of the congestion control.
    pub(crate) fn count(&self, look: impl FnOnce(&TcpInfo)) -> (KernelCounts, Told) {
        let mut inner = lock(&self.inner);
        if inner.number != NONE {
            let answer = with_sock(inner.number, numbers);
            if let Ok(info) = &answer {
                inner.grow(info);
                look(info);
            }
        }
        (inner.counts, inner.told)
    }

    /// Takes over what a reading of the owner's says.
    pub(crate) fn count_as(&self, info: &TcpInfo) {
        lock(&self.inner).grow(info);
    }

    /// What was counted when it was last asked for.
    pub(crate) fn counts(&self) -> (KernelCounts, Told) {
        let inner = lock(&self.inner);
        (inner.counts, inner.told)
    }

    /// Lends the socket for the time of a call, if there is one still.
    #[inline]
    pub(crate) fn ask<T>(&self, question: impl FnOnce(Sock<'_>) -> T) -> Option<T> {
        self.with_number(|number| with_sock(number, question))
    }

    /// Lends the number for the time of a call, if there is one still.
    #[inline]
    fn with_number<T>(&self, question: impl FnOnce(Number) -> T) -> Option<T> {
        let inner = lock(&self.inner);
        // The lock is held until the answer is there.
        (inner.number != NONE).then(|| question(inner.number))
    }
}

fn numbers(sock: Sock<'_>) -> Result<TcpInfo, Error> {
    read_native(&sock).map(|native| TcpInfo::from_native(native, None))
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

#[cfg(test)]
mod tests {
    use super::grow;

    fn grown(readings: &[u64]) -> u64 {
        let mut count = 0;
        assert!(readings.iter().all(|reading| grow(&mut count, Some(*reading))));
        assert!(!grow(&mut count, None));
        count
    }

    #[test]
    fn counts_follow_their_readings() {
        assert_eq!(grown(&[]), 0);
        assert_eq!(grown(&[5, 5, 9]), 9);
        assert_eq!(grown(&[1 << 40, (1 << 40) + 3]), (1 << 40) + 3);
    }

    #[test]
    fn counts_of_32_bits_go_on_when_they_begin_again() {
        let turn = 1 << 32;
        assert_eq!(grown(&[turn - 2, 3]), turn + 3);
        assert_eq!(grown(&[turn - 2, 3, 4, turn - 1, 0, 7]), 2 * turn + 7);
    }

    #[test]
    fn a_count_that_shrinks_is_not_believed() {
        assert_eq!(grown(&[1 << 40, 1 << 39]), 1 << 40);
        assert_eq!(grown(&[100, 99]), 100);
    }
}
