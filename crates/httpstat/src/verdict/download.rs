//! What held back the response body, as a receiver can see it.

use std::time::{Duration, Instant};

use super::{
    Bound, Evidence, Finding, GROWTH, LOSS, MIN_BAD_PACKETS, MIN_PACKETS, MIN_RTT, MOST, MUCH,
    SLOW_START_ROUNDS, Stretch, WINDOW_USED, is_inflated, milliseconds, percent,
};
use crate::{samples::Facts, units};

/// The causes are looked for in the order in which they hide each other: a closed window keeps the
/// server silent, loss keeps it waiting, and a server that has little to send fills neither.
pub(super) fn judge(stretch: &Stretch<'_>, received: u64) -> Finding {
    if let Some(finding) = stretch.is_too_little(received) {
        return finding;
    }
    let Some(arrived) = stretch.growth(|facts| facts.rx_bytes) else {
        let text = "this system does not tell how many bytes have arrived".to_owned();
        let evidence = Evidence::new("readings", stretch.points.len() as f64, text);
        return Finding::new(Bound::Unknown, vec![evidence]);
    };
    let view = View::new(stretch, arrived);
    let rules: [(Bound, Rule<'_>); 9] = [
        (Bound::ReceiveWindow, |view| view.closed_for(MOST)),
        (Bound::Server, |view| view.loss().is_none().then(|| view.starved_for(MOST)).flatten()),
        (Bound::Path, View::loss),
        (Bound::Server, View::small_segments),
        (Bound::SlowStart, View::still_growing),
        (Bound::Path, View::inflated),
        (Bound::ReceiveWindow, View::window_full),
        (Bound::Server, |view| view.starved_for(MUCH)),
        (Bound::ReceiveWindow, |view| view.closed_for(MUCH)),
    ];
    for (bound, rule) in rules {
        if let Some(evidence) = rule(&view) {
            return Finding::new(bound, evidence);
        }
    }
    Finding::new(Bound::Unknown, view.inconspicuous())
}

type Rule<'a> = fn(&View<'a>) -> Option<Vec<Evidence>>;

/// What the readings of a download add up to.
struct View<'a> {
    stretch: &'a Stretch<'a>,
    arrived: u64,
    /// As fresh as this system has it: our own samples are as old as what we sent last.
    rtt: Option<Duration>,
    least_rtt: Option<Duration>,
    /// Time in which the window let nearly nothing in; absent if windows are not told.
    closed: Option<Duration>,
    /// Time without bytes while the window was open, and the longest part of it.
    starved: Duration,
    longest: Duration,
}

impl<'a> View<'a> {
    fn new(stretch: &'a Stretch<'a>, arrived: u64) -> Self {
        let rtt =
            stretch.median(|facts| facts.rx_rtt).or_else(|| stretch.median(|facts| facts.rtt));
        let least_rtt = stretch.last(|facts| facts.min_rtt);
        let tells_windows = stretch.points.iter().any(|point| point.facts.rx_window.is_some());
        let closed = stretch.pairs().filter(|pair| is_closed(&pair.after.facts));
        let closed = tells_windows.then(|| closed.map(|pair| pair.length()).sum());
        let mut view = Self {
            stretch,
            arrived,
            rtt,
            least_rtt,
            closed,
            starved: Duration::ZERO,
            longest: Duration::ZERO,
        };
        view.find_silence();
        view
    }

    /// Adds up the times without new bytes that are longer than the path alone makes them.
    fn find_silence(&mut self) {
        let path = self.least_rtt.or(self.rtt).unwrap_or_default();
        let shortest = STALL.max(path * 2);
        let Some(first) = self.stretch.points.first() else { return };
        let mut last_arrival = first.at;
        let mut was_closed = is_closed(&first.facts);
        for pair in self.stretch.pairs() {
            let (before, after) = (pair.before, pair.after);
            was_closed |= is_closed(&after.facts);
            if after.facts.rx_bytes == before.facts.rx_bytes {
                continue;
            }
            // They came at some time between the two readings, not before the first of them.
            self.silent(last_arrival, before.at, shortest, was_closed);
            let age = after.facts.last_rx_age.unwrap_or_default().min(pair.length());
            last_arrival = after.at.checked_sub(age).unwrap_or(after.at);
            was_closed = is_closed(&after.facts);
        }
        if let Some(last) = self.stretch.points.last() {
            self.silent(last_arrival, last.at, shortest, was_closed);
        }
    }

    fn silent(&mut self, from: Instant, to: Instant, shortest: Duration, was_closed: bool) {
        let length = to.saturating_duration_since(from);
        if length >= shortest && !was_closed {
            self.starved += length;
            self.longest = self.longest.max(length);
        }
    }

    fn rate(&self) -> f64 {
        self.arrived as f64 / self.stretch.length.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Our receive window was closed, because nobody took the bytes out of the socket.
    fn closed_for(&self, least: f64) -> Option<Vec<Evidence>> {
        let closed = self.closed?;
        let share = self.stretch.share(closed);
        if share < least {
            return None;
        }
        let unread = self.stretch.median(Facts::unread)?;
        let closed = Evidence::new(
            "window_closed_share",
            share,
            format!("our window was closed for {} ({}) of it", units::time(closed), percent(share)),
        );
        let unread = Evidence::new(
            "unread_bytes",
            unread as f64,
            format!("{} waited to be read", units::bytes(unread)),
        );
        Some(vec![closed, unread])
    }

    /// Nothing came, though there was room.
    fn starved_for(&self, least: f64) -> Option<Vec<Evidence>> {
        let share = self.stretch.share(self.starved);
        if share < least {
            return None;
        }
        let window = self.stretch.median(|facts| facts.rx_window);
        let room = window.map_or_else(String::new, |window| {
            format!(" though our window had room for {}", units::bytes(window))
        });
        let starved = format!(
            "nothing came for {} ({}) of it{room}",
            units::time(self.starved),
            percent(share)
        );
        let longest = format!("at the longest {}", units::time(self.longest));
        Some(vec![
            Evidence::new("starved_share", share, starved),
            Evidence::new("longest_silence_ms", milliseconds(self.longest), longest),
        ])
    }

    /// Packets came in another order than they were sent, which is what a receiver sees of loss.
    fn loss(&self) -> Option<Vec<Evidence>> {
        let packets = self.stretch.growth(|facts| facts.rx_data_segs)?;
        let bad = self.stretch.growth(|facts| facts.rx_out_of_order_packets)?;
        let share = bad as f64 / packets.max(1) as f64;
        if packets < MIN_PACKETS || bad < MIN_BAD_PACKETS || share < LOSS {
            return None;
        }
        let text = format!(
            "{} of {} packets ({:.1}%) came out of order, as after a loss",
            units::count(bad),
            units::count(packets),
            share * 100.0
        );
        let loss = Evidence::new("out_of_order_share", share, text);
        Some([vec![loss], self.inflated().unwrap_or_default()].concat())
    }

    /// Packets wait on their way.
    fn inflated(&self) -> Option<Vec<Evidence>> {
        let fresh = self.stretch.median(|facts| facts.rx_rtt)?;
        let least = self.least_rtt?;
        // A server that pauses makes the next round trip look long.
        if !is_inflated(fresh, least) || self.stretch.share(self.starved) >= MUCH {
            return None;
        }
        let text = format!(
            "the round trip took {}, at the least {}",
            units::time(fresh),
            units::time(least)
        );
        Some(vec![Evidence::new("rtt_ms", milliseconds(fresh), text)])
    }

    /// A sender that has more to send fills its segments.
    fn small_segments(&self) -> Option<Vec<Evidence>> {
        let segments = self.stretch.growth(|facts| facts.rx_data_segs)?;
        let full = self.stretch.last(|facts| facts.tx_mss.max(facts.rx_mss))?;
        let mean = self.arrived as f64 / segments.max(1) as f64;
        if segments < MIN_PACKETS || mean > full as f64 * SMALL_SEGMENT {
            return None;
        }
        let text = format!(
            "segments held {} on average, with room for {}: the server had no more to send",
            units::bytes(mean as u64),
            units::bytes(full)
        );
        Some(vec![Evidence::new("mean_segment_bytes", mean, text)])
    }

    /// Bytes came ever faster, until there were no more.
    fn still_growing(&self) -> Option<Vec<Evidence>> {
        let rtt = self.least_rtt.or(self.rtt).filter(|rtt| *rtt >= MIN_RTT)?;
        let rounds = self.stretch.length.as_secs_f64() / rtt.as_secs_f64();
        if !(3.0..=SLOW_START_ROUNDS).contains(&rounds) || self.starved > Duration::ZERO {
            return None;
        }
        let third = self.stretch.length / 3;
        let start = self.stretch.points.first()?.at;
        let at = |number: u32| self.bytes_until(start + third * number);
        let [first, second, last] = [0, 1, 2].map(|number| at(number + 1) - at(number));
        if second < first * 1.2 || last < second * GROWTH || last <= 0.0 {
            return None;
        }
        let rate = |bytes: f64| units::rate(bytes / third.as_secs_f64());
        let text = format!(
            "from {} in the first third to {} in the last, after {rounds:.0} round trips",
            rate(first),
            rate(last)
        );
        Some(vec![Evidence::new("last_to_second_third", last / second.max(1.0), text)])
    }

    /// Bytes that had arrived at a time, between the readings in equal measure.
    fn bytes_until(&self, at: Instant) -> f64 {
        let bytes = |facts: &Facts| facts.rx_bytes.unwrap_or_default() as f64;
        let base = self.stretch.points.first().map_or(0.0, |point| bytes(&point.facts));
        let pair = self.stretch.pairs().find(|pair| pair.after.at >= at);
        let Some(pair) = pair else { return self.arrived as f64 };
        let (from, to) = (bytes(&pair.before.facts), bytes(&pair.after.facts));
        let length = pair.length().as_secs_f64().max(f64::MIN_POSITIVE);
        let part = at.saturating_duration_since(pair.before.at).as_secs_f64() / length;
        from + (to - from) * part - base
    }

    /// As much came in each round trip as the window allows.
    fn window_full(&self) -> Option<Vec<Evidence>> {
        let rtt = self.stretch.median(|facts| facts.rx_rtt).filter(|rtt| *rtt >= MIN_RTT)?;
        let window = self.stretch.median(|facts| facts.rx_window).filter(|window| *window > 0)?;
        let use_of_window = self.rate() * rtt.as_secs_f64() / window as f64;
        if use_of_window < WINDOW_USED {
            return None;
        }
        let text = format!(
            "{} came in each round trip of {}, and our window was {}",
            units::bytes((self.rate() * rtt.as_secs_f64()) as u64),
            units::time(rtt),
            units::bytes(window)
        );
        Some(vec![Evidence::new("window_use_share", use_of_window, text)])
    }

    /// The numbers that were looked at in vain.
    fn inconspicuous(&self) -> Vec<Evidence> {
        let mut text = format!("bytes came without pause at {}", units::rate(self.rate()));
        if self.starved > Duration::ZERO {
            let share = percent(self.stretch.share(self.starved));
            text = format!("bytes came at {}, nothing for {share}", units::rate(self.rate()));
        }
        text += match self.closed {
            Some(_) => ", our window was open, and no limit shows at this end",
            None => ", and no limit shows at this end",
        };
        vec![Evidence::new("bytes_per_s", self.rate(), text)]
    }
}

/// Whether there was nearly no room for what the server might send: less than two segments, or less
/// than what waits to be read.
fn is_closed(facts: &Facts) -> bool {
    let (Some(window), Some(unread)) = (facts.rx_window, facts.unread()) else { return false };
    let segments = facts.rx_mss.unwrap_or_default() * 2;
    unread > 0 && (window < segments || window < unread)
}

/// A silence shorter than this may be ours: the scheduler's, or a reading that came late.
const STALL: Duration = Duration::from_millis(30);
/// Segments this full or less were not cut from a queue.
const SMALL_SEGMENT: f64 = 0.5;
