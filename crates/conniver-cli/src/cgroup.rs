//! Where cgroups are, of which the kernel tells the numbers.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sockdiag::Cgroups;

/// A number that is not known is looked for no more often than this.
const OFTEN: Duration = Duration::from_secs(1);

static KNOWN: Mutex<Known> = Mutex::new(Known { cgroups: None, looked: None });

static ARE_ELSEWHERE: AtomicBool = AtomicBool::new(false);

struct Known {
    cgroups: Option<Cgroups>,
    looked: Option<Instant>,
}

/// Sockets are those of a file: on this machine other cgroups may have their numbers.
pub(crate) fn are_elsewhere() {
    ARE_ELSEWHERE.store(true, Ordering::Relaxed);
}

/// Does something with the path of a cgroup, as `ss` writes it, if that is known.
pub(crate) fn with_path<T>(id: u64, take: impl FnOnce(&str) -> T) -> Option<T> {
    if ARE_ELSEWHERE.load(Ordering::Relaxed) {
        return None;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = known.cgroups.as_ref().is_some_and(|cgroups| cgroups.path(id).is_some());
    if !is_known && known.looked.is_none_or(|looked| looked.elapsed() >= OFTEN) {
        // Where none are mounted, the number must do.
        known.cgroups = Cgroups::scan().ok();
        known.looked = Some(Instant::now());
    }
    known.cgroups.as_ref()?.path(id).map(take)
}
