//! Whether ends are taken as they come.

use std::time::{Duration, Instant};

/// How far behind the kernel this program is: it may have been stopped, or nobody read what it wrote,
/// while ends waited in the buffer.
#[derive(Debug)]
pub(super) struct Pace {
    /// When it last asked for an end.
    asked: Instant,
    behind: Duration,
}

/// What happened no longer ago than this is told as if it were now.
const USUAL: Duration = Duration::from_secs(3);

impl Pace {
    /// From when on ends may have come.
    pub(super) const fn new(since: Instant) -> Self {
        Self { asked: since, behind: Duration::ZERO }
    }

    /// Notes that it asks, and whether it has all.
    pub(super) fn note(&mut self, now: Instant, has_all: bool) {
        let gap = now.saturating_duration_since(self.asked);
        self.asked = now;
        if has_all {
            self.behind = Duration::ZERO;
        } else if gap >= USUAL || !self.behind.is_zero() {
            // What waits has come at any time since then.
            self.behind += gap;
        }
    }

    /// How long ago the end that is told now may have been at most; nothing if that is as usual.
    pub(super) const fn behind(&self) -> Duration {
        self.behind
    }
}

/// Whether that long ago is too long for what the machine says now.
pub(super) fn is_long_ago(time: Duration) -> bool {
    time >= USUAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_is_behind_until_there_is_no_more() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut pace = Pace::new(begun);
        let mut told = |millis, has_all| {
            pace.note(at(millis), has_all);
            pace.behind().as_millis()
        };
        assert_eq!(told(100, true), 0);
        assert_eq!(told(3_099, false), 0);
        assert_eq!(told(10_000, false), 6_901);
        assert_eq!(told(10_500, false), 7_401);
        assert_eq!(told(10_600, true), 0);
        assert_eq!(told(10_700, false), 0);
        assert_eq!(told(20_700, true), 0);
    }
}
