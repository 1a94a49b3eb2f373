//! The locks of what several threads share, so that a model checker can take their place.

use std::sync::PoisonError;

#[cfg(not(all(test, conniver_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, conniver_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// Locks. What these locks guard is whole between any two statements, so a panic spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
