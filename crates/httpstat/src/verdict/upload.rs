//! What held back the request body, as its sender's kernel counts it.

use std::time::Duration;

use super::{
    Bound, Evidence, Finding, GROWTH, LOSS, MIN_BAD_PACKETS, MIN_PACKETS, MIN_READINGS, MIN_RTT,
    MOST, MUCH, SLOW_START_ROUNDS, Stretch, WINDOW_USED, is_inflated, milliseconds, percent,
};
use crate::{samples::Facts, units};

pub(super) fn judge(stretch: &Stretch<'_>, sent: u64) -> Finding {
    if let Some(finding) = stretch.is_too_little(sent) {
        return finding;
    }
    let rules: [(Bound, Rule); 9] = [
        (Bound::PeerWindow, |stretch| peer_window(stretch, MOST)),
        (Bound::SendBuffer, |stretch| send_buffer(stretch, MOST)),
        (Bound::SendBuffer, dry_buffer),
        (Bound::Path, loss),
        (Bound::SlowStart, still_growing),
        (Bound::Path, inflated),
        (Bound::PeerWindow, |stretch| peer_window(stretch, MUCH)),
        (Bound::SendBuffer, |stretch| send_buffer(stretch, MUCH)),
        (Bound::Path, full_window),
    ];
    for (bound, rule) in rules {
        if let Some(evidence) = rule(stretch) {
            return Finding::new(bound, evidence);
        }
    }
    Finding::new(Bound::Unknown, inconspicuous(stretch, sent))
}

type Rule = fn(&Stretch<'_>) -> Option<Vec<Evidence>>;

/// The time of which the limited times are a part: that with data on its way, if it is told.
fn busy(stretch: &Stretch<'_>) -> Duration {
    stretch.longer(|facts| facts.busy_time).unwrap_or(stretch.length)
}

fn limited(
    stretch: &Stretch<'_>,
    of: fn(&Facts) -> Option<Duration>,
    least: f64,
) -> Option<(Duration, f64)> {
    let limited = stretch.longer(of)?;
    let busy = busy(stretch);
    let share = limited.as_secs_f64() / busy.as_secs_f64().max(f64::MIN_POSITIVE);
    (limited >= MIN_LIMITED && share >= least).then_some((limited, share.min(1.0)))
}

fn peer_window(stretch: &Stretch<'_>, least: f64) -> Option<Vec<Evidence>> {
    let (time, share) = limited(stretch, |facts| facts.peer_window_limited, least)?;
    let text = format!(
        "{} ({}) of the sending time stood still for the server's window",
        units::time(time),
        percent(share)
    );
    let mut evidence = vec![Evidence::new("peer_window_limited_share", share, text)];
    let window = stretch.points.iter().filter_map(|point| point.facts.tx_window).min();
    evidence.extend(window.map(|window| {
        let text = format!("which was down to {}", units::bytes(window));
        Evidence::new("least_peer_window_bytes", window as f64, text)
    }));
    Some(evidence)
}

fn send_buffer(stretch: &Stretch<'_>, least: f64) -> Option<Vec<Evidence>> {
    let (time, share) = limited(stretch, |facts| facts.send_buffer_limited, least)?;
    let text = format!(
        "{} ({}) of the sending time stood still for room in the send buffer",
        units::time(time),
        percent(share)
    );
    Some(vec![Evidence::new("send_buffer_limited_share", share, text)])
}

/// The kernel had sent all that it held, and was allowed more, while there was more to send.
///
/// Linux does not count this as limited by the send buffer where one large write fills it.
fn dry_buffer(stretch: &Stretch<'_>) -> Option<Vec<Evidence>> {
    let (dry, readings) = unfinished(stretch, is_dry)?;
    let text = format!(
        "at {dry} of {readings} readings the send buffer had nothing more to send, below the \
         congestion window and the server's window"
    );
    let share = dry as f64 / readings as f64;
    Some(vec![Evidence::new("send_buffer_dry_share", share, text)])
}

/// More waited to be sent than the congestion window allows: what the path was taken to bear.
fn full_window(stretch: &Stretch<'_>) -> Option<Vec<Evidence>> {
    let is_full = |facts: &Facts| {
        let (in_flight, cwnd) = (facts.in_flight_segs?, facts.tx_cwnd_segs?);
        Some(facts.unsent_bytes? > 0 && in_flight as f64 > cwnd as f64 * WINDOW_USED)
    };
    let (full, readings) = unfinished(stretch, is_full)?;
    let cwnd = stretch.median(|facts| facts.tx_cwnd_segs)?;
    let text = format!(
        "at {full} of {readings} readings the congestion window of {} segments was full while \
         more waited",
        units::count(cwnd)
    );
    Some(vec![Evidence::new("congestion_window_full_share", full as f64 / readings as f64, text)])
}

/// How many of the readings at which the program had more to send are so, if most are. Over a very
/// short path it may be the program that is not fast enough.
fn unfinished(stretch: &Stretch<'_>, is_so: fn(&Facts) -> Option<bool>) -> Option<(usize, usize)> {
    stretch.median(|facts| facts.rtt).filter(|rtt| *rtt >= MIN_RTT)?;
    let all = stretch.last(|facts| Some(facts.written))?;
    let facts = stretch.points.iter().map(|point| &point.facts);
    let unfinished: Vec<_> =
        facts.filter(|facts| 0 < facts.written && facts.written < all).collect();
    let readings = unfinished.len();
    let number = unfinished.into_iter().filter(|facts| is_so(facts).unwrap_or_default()).count();
    (readings >= MIN_READINGS && number as f64 >= readings as f64 * MOST)
        .then_some((number, readings))
}

fn is_dry(facts: &Facts) -> Option<bool> {
    let (in_flight, cwnd) = (facts.in_flight_segs?, facts.tx_cwnd_segs?);
    let bytes = in_flight * facts.tx_mss.unwrap_or_default();
    let below = |part: u64, whole: u64| part as f64 <= whole as f64 * WINDOW_USED;
    let window = facts.tx_window.is_none_or(|window| below(bytes, window));
    Some(facts.unsent_bytes? == 0 && below(in_flight, cwnd) && window)
}

fn loss(stretch: &Stretch<'_>) -> Option<Vec<Evidence>> {
    let segments = stretch.growth(|facts| facts.tx_data_segs)?;
    let again = stretch.growth(|facts| facts.retransmitted_segs)?;
    let share = again as f64 / segments.max(1) as f64;
    if segments < MIN_PACKETS || again < MIN_BAD_PACKETS || share < LOSS {
        return None;
    }
    let text = format!(
        "{} of {} segments ({:.1}%) were retransmitted",
        units::count(again),
        units::count(segments),
        share * 100.0
    );
    let lost = Evidence::new("retransmitted_share", share, text);
    Some([vec![lost], inflated(stretch).unwrap_or_default()].concat())
}

fn inflated(stretch: &Stretch<'_>) -> Option<Vec<Evidence>> {
    let rtt = stretch.median(|facts| facts.rtt)?;
    let least = stretch.last(|facts| facts.min_rtt)?;
    let text =
        format!("the round trip took {}, at the least {}", units::time(rtt), units::time(least));
    is_inflated(rtt, least).then(|| vec![Evidence::new("rtt_ms", milliseconds(rtt), text)])
}

/// The congestion window grew to the end and never met its threshold.
fn still_growing(stretch: &Stretch<'_>) -> Option<Vec<Evidence>> {
    let rtt = stretch.last(|facts| facts.min_rtt).filter(|rtt| *rtt >= MIN_RTT)?;
    let rounds = stretch.length.as_secs_f64() / rtt.as_secs_f64();
    if !(2.0..=SLOW_START_ROUNDS).contains(&rounds) {
        return None;
    }
    // What comes after the last byte was sent is no more of the course.
    let sending: Vec<_> = stretch
        .points
        .iter()
        .map(|point| &point.facts)
        .filter(|facts| facts.in_flight_segs.is_none_or(|segs| segs > 0))
        .collect();
    let last = sending.last()?;
    let middle = sending.get(sending.len() / 2)?;
    let has_left = last.tx_ssthresh.zip(last.tx_cwnd).is_some_and(|(limit, cwnd)| cwnd >= limit);
    let (from, to) = (middle.tx_cwnd_segs?, last.tx_cwnd_segs?);
    if has_left || (to as f64) < from as f64 * GROWTH {
        return None;
    }
    let text = format!(
        "the congestion window grew from {} to {} segments in the second half, after \
         {rounds:.0} round trips",
        units::count(from),
        units::count(to)
    );
    Some(vec![Evidence::new("cwnd_growth", to as f64 / from.max(1) as f64, text)])
}

fn inconspicuous(stretch: &Stretch<'_>, sent: u64) -> Vec<Evidence> {
    let rate = sent as f64 / stretch.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let text = format!("bytes went at {}, and no limit shows at this end", units::rate(rate));
    vec![Evidence::new("bytes_per_s", rate, text)]
}

/// Kernels count such times in steps of up to ten milliseconds.
const MIN_LIMITED: Duration = Duration::from_millis(20);
