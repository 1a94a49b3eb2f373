//! Where the time went and what held the bytes back, with the numbers that say so.
//!
//! The rules are pure functions of the phases and of what the kernel said meanwhile. What a kernel
//! counts of limits it counts of what *we* send; so an upload is judged by these counters, and a
//! download by what a receiver can see: when bytes came, in which order, in which sizes, over which
//! round-trip time, and how much room there was for more.

mod download;
#[cfg(test)]
mod tests;
mod upload;

use std::time::Duration;

use serde::Serialize;

use crate::{
    samples::{Facts, History, Sample},
    timeline::{Phase, Span, Timeline},
};

/// What can be said of a request as a whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The longest phase; absent if none took any time.
    pub(crate) dominant: Option<Dominant>,
    /// What held back the request body; absent without one.
    pub(crate) upload: Option<Finding>,
    /// What held back the response body; absent if it never began, or had nothing in it.
    pub(crate) transfer: Option<Finding>,
}

/// The phase that took the most time, and how much of all time that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dominant {
    pub(crate) phase: Phase,
    pub(crate) length: Duration,
    pub(crate) share: f64,
    /// How much of it, if it is the server's, went by before the server had the whole request; absent
    /// if that is little.
    pub(crate) still_sending: Option<Duration>,
}

/// What held back the bytes of one direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) bound: Bound,
    pub(crate) evidence: Vec<Evidence>,
    /// So few bytes in so little time that nobody would ask.
    pub(crate) is_trifle: bool,
}

/// What there was too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// The server had nothing to send, though nothing kept it from sending.
    Server,
    /// The network: loss, or packets that wait in a queue on the way.
    Path,
    /// The room in our receive buffer, which nobody emptied in time or which is too small for this
    /// path.
    ReceiveWindow,
    /// The room that the server offered for what we send.
    PeerWindow,
    /// The room in our own send buffer.
    SendBuffer,
    /// Time: the connection was still getting faster when all was sent.
    SlowStart,
    /// There is not enough evidence for any of these.
    Unknown,
}

impl Bound {
    /// As a person says it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Server => "bound by the server",
            Self::Path => "bound by the path",
            Self::ReceiveWindow => "bound by our receive window",
            Self::PeerWindow => "bound by the server's receive window",
            Self::SendBuffer => "bound by our send buffer",
            Self::SlowStart => "bound by slow start",
            Self::Unknown => "not enough evidence",
        }
    }
}

/// A number that speaks for a finding, or for there being none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Evidence {
    /// Its name, which ends in its unit.
    pub(crate) measure: &'static str,
    pub(crate) value: f64,
    /// The same as a sentence.
    pub(crate) text: String,
}

impl Evidence {
    pub(crate) fn new(measure: &'static str, value: f64, text: String) -> Self {
        Self { measure, value, text }
    }
}

impl Finding {
    fn new(bound: Bound, evidence: Vec<Evidence>) -> Self {
        Self { bound, evidence, is_trifle: false }
    }

    /// With a look at how much there was to be found out.
    fn about(self, bytes: u64, length: Duration) -> Self {
        let is_trifle = self.bound == Bound::Unknown && bytes <= TRIFLE && length <= MOMENT;
        Self { is_trifle, ..self }
    }
}

/// Judges a request by its phases, by the samples of its socket, and by the bytes of the bodies
/// that were to be sent and that came.
pub(crate) fn judge(timeline: &Timeline, history: &History, sent: u64, received: u64) -> Verdict {
    let spans = timeline.spans();
    let total = timeline.total().unwrap_or_default();
    let points = history.points();
    let span_of = |phase| spans.iter().find(|span| span.phase == phase);
    let transfer = span_of(Phase::Transfer).map(|span| {
        let end = span.start + span.length;
        let stretch = Stretch::new(timeline, &points, span.start, end);
        download::judge(&stretch, received).about(received, span.length)
    });
    // Without a body there is no lack of evidence either.
    let transfer = transfer.filter(|found| received > 0 || found.bound != Bound::Unknown);
    let upload = span_of(Phase::Send).filter(|_| sent > 0).map(|span| {
        // What is with the kernel is not with the server: its sending goes on in the next phase.
        let server = span_of(Phase::Server).unwrap_or(span);
        let end = server.start + server.length;
        let stretch = Stretch::new(timeline, &points, span.start, end);
        let length = span.length + still_sending(timeline, &points, server);
        upload::judge(&stretch, sent).about(sent, length)
    });
    let mut dominant = dominant(&spans, total);
    if let Some(dominant) = dominant.as_mut().filter(|found| sent > 0 && found.is_servers()) {
        let server = span_of(Phase::Server);
        let sending = server.map(|server| still_sending(timeline, &points, server));
        dominant.still_sending = sending.filter(|time| *time >= dominant.length.mul_f64(MUCH));
    }
    Verdict { dominant, upload, transfer }
}

/// How long the kernel still held bytes of the request, or waited for word of their arrival, in a
/// phase that begins when it has the last of them.
fn still_sending(timeline: &Timeline, points: &[&Sample], server: &Span) -> Duration {
    let end = server.start + server.length;
    let held = points.iter().filter(|point| {
        let facts = &point.facts;
        facts.unsent_bytes.unwrap_or_default() > 0 || facts.in_flight_segs.unwrap_or_default() > 0
    });
    let last = held.map(|point| timeline.offset(point.at)).filter(|at| *at <= end).max();
    last.unwrap_or_default().saturating_sub(server.start)
}

fn dominant(spans: &[Span], total: Duration) -> Option<Dominant> {
    // Of equals the first, not the last.
    let longest = spans.iter().rev().max_by_key(|span| span.length)?;
    let share = longest.length.as_secs_f64() / total.as_secs_f64();
    (longest.length > Duration::ZERO).then_some(Dominant {
        phase: longest.phase,
        length: longest.length,
        share,
        still_sending: None,
    })
}

impl Dominant {
    fn is_servers(&self) -> bool {
        self.phase == Phase::Server
    }
}

/// The part of a request that is judged, and what the kernel said in it.
struct Stretch<'a> {
    /// The last one before the stretch, if it is near, and those within.
    points: Vec<&'a Sample>,
    length: Duration,
}

impl<'a> Stretch<'a> {
    fn new(timeline: &Timeline, points: &[&'a Sample], start: Duration, end: Duration) -> Self {
        // A reading takes its time after the moment that it is of.
        let within = |point: &&&Sample| {
            let at = timeline.offset(point.at);
            start <= at && at <= end + READING
        };
        let before = points.iter().rfind(|point| {
            let at = timeline.offset(point.at);
            at < start && start - at <= NEARBY
        });
        let points = before.into_iter().chain(points.iter().filter(within)).copied().collect();
        Self { points, length: end.saturating_sub(start) }
    }

    fn pairs(&self) -> impl Iterator<Item = Pair<'a>> {
        self.points.windows(2).filter_map(|pair| match pair {
            [before, after] => Some(Pair { before, after }),
            _ => None,
        })
    }

    /// How much a counter grew from the first reading to the last.
    fn growth(&self, of: fn(&Facts) -> Option<u64>) -> Option<u64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        of(&last.facts)?.checked_sub(of(&first.facts)?)
    }

    /// The same of a time.
    fn longer(&self, of: fn(&Facts) -> Option<Duration>) -> Option<Duration> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        of(&last.facts)?.checked_sub(of(&first.facts)?)
    }

    /// The value in the middle of all.
    fn median<T: Ord + Copy>(&self, of: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        let mut values: Vec<T> = self.points.iter().filter_map(|point| of(&point.facts)).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    }

    fn last<T>(&self, of: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        self.points.iter().rev().find_map(|point| of(&point.facts))
    }

    /// The share of the stretch that a time is.
    fn share(&self, time: Duration) -> f64 {
        if self.length.is_zero() { 0.0 } else { time.as_secs_f64() / self.length.as_secs_f64() }
    }

    /// Why nothing can be told, if that is so.
    fn is_too_little(&self, bytes: u64) -> Option<Finding> {
        let text = match self.points.len() {
            0 => "nothing is known of the socket in this time".to_owned(),
            readings if readings < MIN_READINGS => format!(
                "{} in {} gave {}; a verdict needs {MIN_READINGS}",
                crate::units::bytes(bytes),
                crate::units::time(self.length),
                match readings {
                    1 => "1 reading of the socket".to_owned(),
                    readings => format!("{readings} readings of the socket"),
                },
            ),
            _ => return None,
        };
        let evidence = Evidence::new("readings", self.points.len() as f64, text);
        Some(Finding::new(Bound::Unknown, vec![evidence]))
    }
}

/// Two readings in a row.
struct Pair<'a> {
    before: &'a Sample,
    after: &'a Sample,
}

impl Pair<'_> {
    fn length(&self) -> Duration {
        self.after.at.saturating_duration_since(self.before.at)
    }
}

/// Whether a round-trip time is far above the least that this path can do.
fn is_inflated(rtt: Duration, least: Duration) -> bool {
    rtt >= least.mul_f64(INFLATION) && rtt >= least + MIN_INFLATION
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// What a server has ready at once is no transfer worth a word, if it takes no longer than this.
const TRIFLE: u64 = 64 << 10;
const MOMENT: Duration = Duration::from_millis(10);
/// Fewer readings show no course of anything.
const MIN_READINGS: usize = 5;
/// How far from a stretch a reading may lie and still be of its edge.
const READING: Duration = Duration::from_millis(5);
const NEARBY: Duration = Duration::from_millis(100);
/// What takes this share of the time is the cause.
const MOST: f64 = 0.5;
/// What takes this share is the cause if nothing else is.
const MUCH: f64 = 0.2;
/// Packets lost, or out of order at the receiver, in this share tell of loss. One lost packet
/// makes all those that follow in a round trip come out of order.
const LOSS: f64 = 0.01;
/// Of fewer packets a share says little, and of fewer bad ones too.
const MIN_PACKETS: u64 = 50;
const MIN_BAD_PACKETS: u64 = 3;
/// Round-trip times above the least by this factor, and by this time, tell of a queue on the way.
const INFLATION: f64 = 2.0;
const MIN_INFLATION: Duration = Duration::from_millis(10);
/// What grows by this factor at the end was still growing.
const GROWTH: f64 = 1.5;
/// Slow start doubles each round trip; after so many it has reached what any path can do.
const SLOW_START_ROUNDS: f64 = 20.0;
/// A round trip shorter than this is over before a sample sees it.
const MIN_RTT: Duration = Duration::from_millis(1);
/// A window used to this share lets nothing more through.
const WINDOW_USED: f64 = 0.8;
