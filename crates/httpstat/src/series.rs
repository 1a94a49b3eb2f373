//! The course of a socket's numbers over a request, as drawings need it.

use std::time::Duration;

use crate::{
    samples::{Facts, Gauge, History},
    timeline::{Phase, Timeline},
    units,
};

/// One number over time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// Since the request began, in order.
    pub(crate) points: Vec<(Duration, f64)>,
    /// The least and the most of all readings, also of those that were not kept.
    pub(crate) range: (f64, f64),
    kind: Kind,
}

/// How numbers of a series are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Segments,
    Bytes,
    BytesPerSecond,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A number that stays as it is until the next reading, and how those of a time are told as one.
    Gauge(Fold),
    /// A counter, of which the growth is shown.
    Growth,
}

/// Which one of several values stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    /// Where trouble is high.
    Most,
    /// Where trouble is low.
    Least,
}

/// Something that happened, as often as `count` says, seen at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) count: u64,
}

/// Events of one sort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Events {
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    pub(crate) total: u64,
    pub(crate) events: Vec<Event>,
}

/// Everything that can be drawn of a request's socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Course {
    pub(crate) series: Vec<Series>,
    pub(crate) events: Vec<Events>,
}

impl Course {
    /// Empty if nothing is known of the socket.
    pub(crate) fn of(timeline: &Timeline, history: &History) -> Self {
        let points = history.points();
        let series = |of: &dyn Fn(&Facts) -> Option<u64>| -> Vec<(Duration, f64)> {
            let known = points.iter().filter_map(|point| Some((point.at, of(&point.facts)?)));
            known.map(|(at, value)| (timeline.offset(at), value as f64)).collect()
        };
        let ends = points.first().zip(points.last());
        let sent =
            ends.map_or(0, |(first, last)| last.facts.written.saturating_sub(first.facts.written));
        let is_fresh = timeline.spans().iter().any(|span| span.phase == Phase::Connect);
        let mut course = Self::default();
        for (gauge, title, unit, fold) in GAUGES {
            let points = series(&|facts| gauge.of(facts));
            let Some((least, most)) = history.extremes().of(gauge) else { continue };
            // The server's room says nothing where hardly anything was sent.
            if gauge == Gauge::TxWindow && sent < MUCH_SENT {
                continue;
            }
            // What never changed says nothing, but everybody looks for the first ones.
            let is_wanted = [Gauge::Rtt, Gauge::Cwnd, Gauge::DeliveryRate].contains(&gauge);
            if !points.is_empty() && (least < most || is_wanted) {
                let range = (least as f64, most as f64);
                course.series.push(Series { title, unit, points, range, kind: Kind::Gauge(fold) });
            }
        }
        for (title, of) in COUNTERS {
            let points = series(&of);
            let growth = points.last().zip(points.first()).map(|(last, first)| last.1 - first.1);
            if growth.is_some_and(|growth| growth > 0.0) {
                let unit = Unit::BytesPerSecond;
                let kind = Kind::Growth;
                course.series.push(Series { title, unit, points, range: (0.0, 0.0), kind });
            }
        }
        for (title, what, is_always, of) in EVENTS {
            let counts = series(&of);
            // What a fresh connection had met at the first reading, it met in the handshake.
            let begun = counts.first().map(|first| (first.0, if is_fresh { 0.0 } else { first.1 }));
            let Some(((_, before), (_, last))) = begun.zip(counts.last().copied()) else {
                continue;
            };
            let total = (last - before) as u64;
            if total == 0 && !is_always {
                continue;
            }
            let counts: Vec<_> = begun.into_iter().chain(counts).collect();
            let events = counts.windows(2).filter_map(|pair| match pair {
                [(_, before), (at, after)] if after > before => {
                    Some(Event { at: *at, count: (after - before) as u64 })
                }
                _ => None,
            });
            let events = events.collect();
            course.events.push(Events { title, what, total, events });
        }
        course
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

impl Series {
    /// One value for each of so many equal parts of the time until `total`; none where nothing was
    /// known yet, or no more.
    pub(crate) fn columns(&self, total: Duration, columns: usize) -> Vec<Option<f64>> {
        let edge = |number: usize| total.mul_f64(number as f64 / columns.max(1) as f64);
        (0..columns)
            .map(|number| self.value(edge(number), edge(number + 1), number + 1 == columns))
            .collect()
    }

    /// The least and the most of what is shown in columns: of the readings, or of the growth.
    pub(crate) fn scale(&self, columns: &[Option<f64>]) -> (f64, f64) {
        match self.kind {
            Kind::Gauge(_) => self.range,
            Kind::Growth => (0.0, columns.iter().flatten().copied().fold(0.0, f64::max)),
        }
    }

    fn value(&self, from: Duration, to: Duration, is_last: bool) -> Option<f64> {
        let (first, last) = (self.points.first()?.0, self.points.last()?.0);
        // The last reading takes place right after the end.
        if first >= to && !is_last || last < from {
            return None;
        }
        match self.kind {
            Kind::Gauge(fold) => {
                let before = self.points.iter().rfind(|(at, _)| *at < from);
                let within =
                    self.points.iter().filter(|(at, _)| from <= *at && (*at < to || is_last));
                // A reading holds until the next, but it is no news in a column that has its own.
                let within: Vec<f64> = within.map(|(_, value)| *value).collect();
                let values = if within.is_empty() { vec![before?.1] } else { within };
                match fold {
                    Fold::Most => values.into_iter().reduce(f64::max),
                    Fold::Least => values.into_iter().reduce(f64::min),
                }
            }
            // Of the whole column: of the little that lies before or behind a reading, a few bytes would
            // be more than all else.
            Kind::Growth => {
                let seconds = to.saturating_sub(from).as_secs_f64();
                let growth = self.count_at(to.min(last)) - self.count_at(from.max(first));
                (seconds > 0.0).then(|| (growth / seconds).max(0.0))
            }
        }
    }

    /// What a counter stood at, between two readings in equal measure.
    fn count_at(&self, at: Duration) -> f64 {
        let next = self.points.partition_point(|(known, _)| *known < at);
        let after = self.points.get(next);
        let before = next.checked_sub(1).and_then(|before| self.points.get(before));
        match (before, after) {
            (Some((from, low)), Some((to, high))) => {
                let length = to.saturating_sub(*from).as_secs_f64().max(f64::MIN_POSITIVE);
                low + (high - low) * (at.saturating_sub(*from).as_secs_f64() / length)
            }
            (Some((_, value)), None) | (None, Some((_, value))) => *value,
            (None, None) => 0.0,
        }
    }
}

impl Unit {
    /// A number with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Nanoseconds => units::time(Duration::from_nanos(value as u64)),
            Self::Segments => format!("{} segs", units::count(value as u64)),
            Self::Bytes => short_bytes(value),
            Self::BytesPerSecond => units::rate(value),
        }
    }

    /// Two numbers and their unit, short.
    pub(crate) fn range(self, least: f64, most: f64) -> String {
        let (least, most) = match self {
            // The title says what is counted.
            Self::Segments => [least, most].map(|value| units::count(value as u64)).into(),
            _ => (self.text(least), self.text(most)),
        };
        if least == most {
            return most;
        }
        // What both have in common need not be said twice: the unit, or all of it but the prefix.
        let start = |text: &str| text.find(|c: char| !c.is_ascii_digit() && !".,".contains(c));
        let Some((number, unit)) = start(&least).map(|at| least.split_at(at)) else {
            return format!("{least}–{most}");
        };
        let common = match self {
            _ if most.ends_with(unit) && start(&most) == Some(most.len() - unit.len()) => unit,
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::Nanoseconds | Self::Segments => "",
        };
        let prefix = unit.strip_suffix(common).unwrap_or(unit).trim_start();
        format!("{number}{prefix}–{most}")
    }
}

/// Bytes in powers of a thousand.
fn short_bytes(bytes: f64) -> String {
    units::rate(bytes).trim_end_matches("/s").to_owned()
}

const GAUGES: [(Gauge, &str, Unit, Fold); 8] = [
    (Gauge::Rtt, "Round-trip time", Unit::Nanoseconds, Fold::Most),
    (Gauge::RxRtt, "RTT as receiver", Unit::Nanoseconds, Fold::Most),
    (Gauge::Cwnd, "Cong. window segs", Unit::Segments, Fold::Least),
    (Gauge::DeliveryRate, "Delivery rate", Unit::BytesPerSecond, Fold::Most),
    (Gauge::RxWindow, "Our window", Unit::Bytes, Fold::Least),
    (Gauge::TxWindow, "Peer's window", Unit::Bytes, Fold::Least),
    (Gauge::Unread, "Not yet read", Unit::Bytes, Fold::Most),
    (Gauge::Unsent, "Not yet sent", Unit::Bytes, Fold::Most),
];

/// More than a request's head.
const MUCH_SENT: u64 = 64 * 1024;

type Count = fn(&Facts) -> Option<u64>;

const COUNTERS: [(&str, Count); 2] =
    [("Received", |facts| facts.rx_bytes), ("Sent", |facts| facts.tx_bytes)];

/// Title, what was counted, whether none is news too, and the count.
const EVENTS: [(&str, &str, bool, Count); 2] = [
    ("Retransmitted", "segments retransmitted", true, |facts| facts.retransmitted_segs),
    ("Out of order", "packets received out of order", false, |facts| facts.rx_out_of_order_packets),
];

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::samples::Sample;

    #[test]
    fn what_happened_before_a_request_is_none_of_its_events() {
        let zero = Instant::now();
        let course = |phase: Phase| {
            let mut timeline = Timeline::default();
            timeline.enter(phase, zero);
            timeline.end(zero + ms(100));
            let mut history = History::new(None);
            for (at, count) in [(0, 3), (50, 3), (60, 5)] {
                let facts =
                    Facts { rtt: Some(ms(1)), retransmitted_segs: Some(count), ..Facts::default() };
                history.push(Sample { at: zero + ms(at), facts });
            }
            Course::of(&timeline, &history).events
        };
        let event = |at: u64, count: u64| Event { at: ms(at), count };
        let [reused] = course(Phase::Send).try_into().unwrap();
        assert_eq!((reused.total, reused.events), (2, vec![event(60, 2)]));
        let [fresh] = course(Phase::Connect).try_into().unwrap();
        assert_eq!((fresh.total, fresh.events), (5, vec![event(0, 3), event(60, 2)]));
    }

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn series(kind: Kind, points: &[(u64, f64)]) -> Series {
        let points: Vec<_> = points.iter().map(|(at, value)| (ms(*at), *value)).collect();
        Series { title: "", unit: Unit::Bytes, points, range: (0.0, 9.0), kind }
    }

    #[test]
    fn a_gauge_holds_until_the_next_reading_and_no_longer_than_the_last() {
        let gauge = series(Kind::Gauge(Fold::Most), &[(10, 5.0), (30, 7.0), (31, 6.0)]);
        let expected = [None, Some(5.0), Some(5.0), Some(7.0), None];
        assert_eq!(gauge.columns(ms(50), 5), expected);
        let worst = series(Kind::Gauge(Fold::Least), &[(0, 5.0), (1, 2.0), (2, 6.0)]);
        assert_eq!(worst.columns(ms(3), 1), [Some(2.0)]);
    }

    #[test]
    fn growth_is_bytes_a_second() {
        let counter = series(Kind::Growth, &[(0, 0.0), (10, 0.0), (20, 1000.0), (40, 1000.0)]);
        let columns = counter.columns(ms(40), 4);
        let rounded: Vec<_> = columns.iter().map(|value| value.unwrap().round()).collect();
        assert_eq!(rounded, [0.0, 100_000.0, 0.0, 0.0]);
        assert_eq!(counter.scale(&columns).1.round(), 100_000.0);
        // Two readings at the very end of a column are no burst.
        let counter = series(Kind::Growth, &[(9, 0.0), (10, 500.0), (20, 1500.0)]);
        let rounded: Vec<_> =
            counter.columns(ms(30), 3).into_iter().map(|v| v.map(f64::round)).collect();
        assert_eq!(rounded, [Some(50_000.0), Some(100_000.0), Some(0.0)]);
    }

    #[test]
    fn a_range_says_its_unit_once_where_it_is_one() {
        assert_eq!(Unit::Nanoseconds.range(12e6, 48.2e6), "12.0–48.2ms");
        assert_eq!(Unit::Nanoseconds.range(900e3, 48.2e6), "900µs–48.2ms");
        assert_eq!(Unit::BytesPerSecond.range(0.0, 93.4e6), "0–93.4 MB/s");
        assert_eq!(Unit::Segments.range(10.0, 1_480.0), "10–1,480");
        assert_eq!(Unit::Segments.range(10.0, 10.0), "10");
        assert_eq!(Unit::Bytes.range(65_536.0, 6.3e6), "65.5k–6.30 MB");
    }
}
