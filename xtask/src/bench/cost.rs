use std::io;

use super::{counting_allocator::allocations_each, timing::Timing};

/// What one operation costs beside its floor: nanoseconds, or bytes where the figure says so.
pub(super) struct Cost {
    pub(super) value: f64,
    pub(super) floor: f64,
    /// Between which ratios half of the rounds were; absent where nothing is repeated.
    pub(super) spread: Option<[f64; 2]>,
    /// Heap allocations an operation; absent where another process does the work.
    pub(super) allocs: Option<f64>,
}

impl Cost {
    /// Times one operation beside its floor, and counts its allocations.
    pub(super) fn of(floor: impl FnMut(), mut subject: impl FnMut()) -> Self {
        let allocs = allocations_each(&mut subject);
        Self::timed(Timing::of(floor, subject), allocs)
    }

    pub(super) fn timed(timing: Timing, allocs: f64) -> Self {
        Self { allocs: Some(allocs), ..Self::of_processes(timing) }
    }

    /// The work is done by other processes, whose allocations nobody counts.
    pub(super) fn of_processes(timing: Timing) -> Self {
        let Timing { subject, floor, spread } = timing;
        Self { value: subject, floor, spread: Some(spread), allocs: None }
    }

    /// What takes room and no time.
    pub(super) fn of_bytes(value: f64, floor: f64) -> Self {
        Self { value, floor, spread: None, allocs: None }
    }

    pub(super) fn ratio(&self) -> f64 {
        self.value / self.floor
    }

    pub(super) fn above_floor(&self) -> f64 {
        self.value - self.floor
    }

    /// The one that is further above its floor.
    pub(super) fn worse(self, other: Self) -> Self {
        if self.above_floor() < other.above_floor() { other } else { self }
    }
}

/// Why there is no cost to show.
pub(super) enum Trouble {
    /// This machine lacks what the figure needs.
    Skipped(&'static str),
    /// Something that should have worked did not.
    Failed(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
