//! The connections that ended last.

use std::collections::VecDeque;

use crate::report::Remains;

/// Keeps what is left of the newest in one shard.
#[derive(Default)]
pub(super) struct Ring(VecDeque<Remains>);

impl Ring {
    /// Adds one, and gives back what that has no room any more.
    pub(super) fn push(&mut self, remains: Remains, capacity: usize) -> Option<Remains> {
        let is_full = self.0.len() >= capacity;
        let oldest = if is_full { self.0.pop_front() } else { None };
        if capacity == 0 {
            return Some(remains);
        }
        self.0.push_back(remains);
        oldest
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Remains> {
        self.0.iter()
    }
}
