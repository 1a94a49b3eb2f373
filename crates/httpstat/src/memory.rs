//! What is asked of the allocator.

use std::hint::black_box;

/// Lets what is freed be used again, instead of being given back and asked for anew.
///
/// glibc's allocator hands memory back whenever more than 128 KiB lie free at its end, which a
/// download in frames or records does all the time: a page fault for every 8 KiB. It stops doing so
/// once it has seen a larger piece come and go, and then holds back up to twice its size.
pub(crate) fn keep_freed() {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        drop(black_box(Vec::<u8>::with_capacity(KEPT_LEN)));
    }
}

const KEPT_LEN: usize = 2 << 20;
