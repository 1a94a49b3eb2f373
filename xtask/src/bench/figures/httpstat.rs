//! What the program `httpstat` costs beside curl.

use std::{fs, time::Duration};

use crate::bench::{
    cost::{Cost, Trouble},
    timing::Rounds,
};

mod clock;
mod program;
mod site;

pub(super) use clock::Phase;
use program::Program;
use site::{Site, Speech};

const REQUESTS: usize = 101;
const DOWNLOADS: usize = 7;

/// One HTTP request, from start to exit.
pub(super) fn loopback() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Plain)?;
    requests(&Program::curl(&site)?, &site)
}

/// The same over TLS, with an HTTP/2 server.
pub(super) fn loopback_tls() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Http2)?;
    requests(&Program::curl(&site)?, &site)
}

/// The same as the first, beside the program of this name in Go.
pub(super) fn loopback_go() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Plain)?;
    requests(&Program::go()?, &site)
}

/// The same as the first, beside nothing but its system calls.
pub(super) fn exchange() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Plain)?;
    let httpstat = Program::httpstat(&site)?;
    let mut rounds = Rounds::default();
    for _ in 0..REQUESTS {
        let floor = site.bare_exchange()?;
        rounds.add(nanos(floor), nanos(httpstat.get(&site.page())?));
    }
    Ok(Cost::of_processes(rounds.timing()))
}

fn requests(floor: &Program, site: &Site) -> Result<Cost, Trouble> {
    beside(floor, site, &site.page(), REQUESTS)
}

/// A mebibyte a thousand times over, discarded.
pub(super) fn download() -> Result<Cost, Trouble> {
    downloads(Speech::Plain)
}

pub(super) fn download_tls() -> Result<Cost, Trouble> {
    downloads(Speech::Http1)
}

pub(super) fn download_http2() -> Result<Cost, Trouble> {
    downloads(Speech::Http2)
}

fn downloads(speech: Speech) -> Result<Cost, Trouble> {
    let site = Site::serve(speech)?;
    beside(&Program::curl(&site)?, &site, &site.gibibyte(), DOWNLOADS)
}

fn beside(floor: &Program, site: &Site, url: &str, runs: usize) -> Result<Cost, Trouble> {
    let httpstat = Program::httpstat(site)?;
    let mut rounds = Rounds::default();
    for _ in 0..runs {
        let floor = floor.get(url)?;
        rounds.add(nanos(floor), nanos(httpstat.get(url)?));
    }
    Ok(Cost::of_processes(rounds.timing()))
}

pub(super) fn size() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Plain)?;
    let bytes = |program: Program| fs::metadata(program.path()).map(|found| found.len() as f64);
    let value = bytes(Program::httpstat(&site)?)?;
    Ok(Cost::of_bytes(value, bytes(Program::curl(&site)?)?))
}

/// The most memory that one request takes.
pub(super) fn memory() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Http2)?;
    peaks(&site, &site.page(), REQUESTS)
}

pub(super) fn memory_of_download() -> Result<Cost, Trouble> {
    let site = Site::serve(Speech::Http2)?;
    peaks(&site, &site.gibibyte(), 3)
}

fn peaks(site: &Site, url: &str, runs: usize) -> Result<Cost, Trouble> {
    let (httpstat, curl) = (Program::httpstat(site)?, Program::curl(site)?);
    let mut rounds = Rounds::default();
    for _ in 0..runs {
        let floor = curl.peak_bytes(url)?;
        let subject = httpstat.peak_bytes(url)?;
        program::is_above_our_own(subject.min(floor))?;
        rounds.add(floor as f64, subject as f64);
    }
    Ok(Cost::of_processes(rounds.timing()))
}

/// What the report says of a phase, beside the clock of a server that takes its time.
pub(super) fn accuracy(phase: Phase) -> Result<Cost, Trouble> {
    const RUNS: usize = 21;

    let site = clock::Site::serve()?;
    let httpstat = site.httpstat()?;
    let mut rounds = Rounds::default();
    for _ in 0..RUNS {
        let report = httpstat.report(&site.url())?;
        let stamps = site.stamps()?;
        rounds.add(nanos(stamps.of(phase)), nanos(clock::reported(&report, phase)?));
    }
    Ok(Cost::of_processes(rounds.timing()))
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}
