//! Time: one wall-clock anchor a connection, everything else on the monotonic clock.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, in nanoseconds since the Unix epoch.
///
/// The wall clock is read once, when a connection is wrapped; later moments are that anchor plus
/// monotonic time, so that differences are true even if the wall clock is set in between.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use conniver::Timestamp;
///
/// let moment = Timestamp::from_unix_nanos(1_500_000_000);
/// assert_eq!(moment.to_system_time(), UNIX_EPOCH + Duration::from_millis(1500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment this many nanoseconds after the Unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn now() -> Self {
        Anchor::now().opened()
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// The moment as the standard library's type.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0)
    }

    /// Time since an earlier moment; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Where a connection's monotonic time meets the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    wall: u64,
    monotonic: u64,
}

impl Anchor {
    pub(crate) fn now() -> Self {
        let (wall, monotonic) = imp::both();
        Self { wall, monotonic }
    }

    pub(crate) const fn opened(&self) -> Timestamp {
        Timestamp(self.wall)
    }

    /// Time from the anchor to a reading of the monotonic clock; zero if that is earlier.
    pub(crate) const fn until(&self, monotonic: u64) -> Duration {
        Duration::from_nanos(monotonic.saturating_sub(self.monotonic))
    }

    /// The wall-clock moment of a reading of the monotonic clock.
    pub(crate) const fn at(&self, monotonic: u64) -> Timestamp {
        Timestamp(self.wall.saturating_add(monotonic.saturating_sub(self.monotonic)))
    }
}

/// The monotonic clock in nanoseconds, as exact as the system has it (about 25 ns a reading).
#[inline]
pub(crate) fn precise() -> u64 {
    imp::precise()
}

/// The same clock as of the last tick of the scheduler, at most 10 ms ago (about 5 ns a reading).
///
/// On systems without such a clock it is the exact one.
#[inline]
pub(crate) fn coarse() -> u64 {
    imp::coarse()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use rustix::time::{ClockId, Timespec, clock_gettime};

    #[inline]
    pub(super) fn precise() -> u64 {
        nanos(clock_gettime(ClockId::Monotonic))
    }

    #[inline]
    pub(super) fn coarse() -> u64 {
        nanos(clock_gettime(ClockId::MonotonicCoarse))
    }

    /// The wall clock and the monotonic clock at the same moment.
    ///
    /// They run alike between two settings of the wall clock, so their distance can be read off
    /// their coarse counterparts, which costs less than a second exact reading.
    pub(super) fn both() -> (u64, u64) {
        let distance = loop {
            let before = coarse();
            let wall = nanos(clock_gettime(ClockId::RealtimeCoarse));
            // Another reading means that a tick came in between.
            if coarse() == before {
                break wall.wrapping_sub(before);
            }
        };
        let monotonic = precise();
        (monotonic.wrapping_add(distance), monotonic)
    }

    #[inline]
    #[allow(clippy::useless_conversion, reason = "the field is narrower on some targets")]
    fn nanos(time: Timespec) -> u64 {
        // Never negative, and enough for 584 years.
        (time.tv_sec * 1_000_000_000 + i64::from(time.tv_nsec)).unsigned_abs()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    use std::{
        sync::LazyLock,
        time::{Instant, SystemTime, UNIX_EPOCH},
    };

    /// One second before the first reading, so that no reading is zero.
    static START: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), 1_000_000_000));

    pub(super) fn precise() -> u64 {
        let (start, offset) = *START;
        offset + super::nanos(start.elapsed())
    }

    pub(super) fn coarse() -> u64 {
        precise()
    }

    /// The wall clock and the monotonic clock at the same moment.
    pub(super) fn both() -> (u64, u64) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (super::nanos(wall), precise())
    }
}
