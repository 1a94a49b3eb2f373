//! How a figure and its floor are timed, so that what else the machine does spoils neither.
//!
//! They run in turn, in rounds of a fraction of a millisecond. A slow clock rate or a busy
//! neighbour lasts longer than that and slows both alike, so the ratio of each round is kept, and
//! the median of the ratios is the figure's; rounds in which one of the two was interrupted are at
//! the ends of that distribution, where they do not count.

use std::time::{Duration, Instant};

/// Enough for a median that repeats.
pub(super) const ROUNDS: usize = 401;

/// Long beside a reading of the clock, short beside a slice of the scheduler.
const ROUND: Duration = Duration::from_micros(200);

/// Time of an operation and of its floor, in nanoseconds.
pub(super) struct Timing {
    pub(super) subject: f64,
    pub(super) floor: f64,
    /// The quartiles of the rounds' ratios.
    pub(super) spread: [f64; 2],
}

impl Timing {
    /// Times an operation and its floor in turn.
    pub(super) fn of(mut floor: impl FnMut(), mut subject: impl FnMut()) -> Self {
        let operations = operations_a_round(&mut subject);
        let mut rounds = Rounds::default();
        for _ in 0..ROUNDS {
            rounds.add(nanos_each(operations, &mut floor), nanos_each(operations, &mut subject));
        }
        rounds.timing()
    }
}

/// Rounds of floor and subject, as they were timed.
#[derive(Default)]
pub(super) struct Rounds {
    floors: Vec<f64>,
    ratios: Vec<f64>,
}

/// For how long this program has had a processor, in nanoseconds.
pub(super) fn processor_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

impl Rounds {
    /// Adds one round: nanoseconds an operation.
    pub(super) fn add(&mut self, floor: f64, subject: f64) {
        self.floors.push(floor);
        self.ratios.push(subject / floor);
    }

    pub(super) fn len(&self) -> usize {
        self.ratios.len()
    }

    pub(super) fn timing(mut self) -> Timing {
        let floor = quantile(&mut self.floors, 0.5);
        let mut ratio = |part| quantile(&mut self.ratios, part);
        Timing { subject: floor * ratio(0.5), floor, spread: [ratio(0.25), ratio(0.75)] }
    }
}

pub(super) fn nanos_each(operations: u32, mut operation: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..operations {
        operation();
    }
    start.elapsed().as_nanos() as f64 / f64::from(operations)
}

fn operations_a_round(operation: &mut impl FnMut()) -> u32 {
    let mut operations = 1;
    loop {
        let start = Instant::now();
        for _ in 0..operations {
            operation();
        }
        if start.elapsed() >= ROUND {
            return operations;
        }
        operations *= 2;
    }
}

fn quantile(numbers: &mut [f64], part: f64) -> f64 {
    let position = (numbers.len() as f64 * part) as usize;
    *numbers.select_nth_unstable_by(position, f64::total_cmp).1
}
