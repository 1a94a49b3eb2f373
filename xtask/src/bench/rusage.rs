#![allow(unsafe_code, reason = "the standard library does not tell what a child took")]

use std::{io, process::Child, time::Duration};

/// How a process ended.
pub(super) struct Ended {
    pub(super) success: bool,
    /// The most memory that it had at a time.
    pub(super) peak_bytes: u64,
    /// For how long it had a processor, in the kernel or not.
    pub(super) processor: Duration,
}

pub(super) fn wait(child: Child) -> io::Result<Ended> {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let (mut status, id) = (0, child.id() as libc::pid_t);
    // SAFETY: the kernel writes a status and the structure, which live through the call.
    while unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let success = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    let processor = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Ended { success, peak_bytes: usage.ru_maxrss as u64 * 1024, processor })
}

/// The group of this process.
pub(super) fn group() -> u32 {
    // SAFETY: a plain system call that takes nothing and never fails.
    unsafe { libc::getgid() }
}

/// Processor time that this thread took since it began, in nanoseconds.
pub(super) fn thread_nanos() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the structure that it is given.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every thread has this clock");
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The same of all threads of another process.
pub(super) fn process_nanos(process: u32) -> io::Result<f64> {
    let mut clock = 0;
    // SAFETY: the kernel's number of a clock is written, which lives through the call.
    let error = unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the structure that it is given.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}
