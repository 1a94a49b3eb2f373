//! What the kernel said of one connection in the course of one request, in bounded memory.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use tcpinfo::{TcpInfo, fields::Value};

/// Declares the facts that a sample keeps: those of `TcpInfo` that change while bytes move, under
/// the names and the keys that they have there.
macro_rules! facts {
    ($($name:ident: $ty:ty, $key:literal;)*) => {
        /// Numbers of one reading. What this system does not tell is absent.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub(crate) struct Facts {
            $(pub(crate) $name: Option<$ty>,)*
            /// Bytes that this program has taken out of the socket.
            pub(crate) read: u64,
            /// Bytes that this program has put into it.
            pub(crate) written: u64,
        }

        impl Facts {
            pub(crate) fn of(info: &TcpInfo, read: u64, written: u64) -> Self {
                Self { $($name: info.$name().map(<$ty>::from),)* read, written }
            }
        }

        impl Facts {
            /// What is known of the kernel's facts, with their keys.
            pub(crate) fn known(&self) -> impl Iterator<Item = (&'static str, Value)> {
                [$(($key, self.$name.map(Value::from))),*]
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?)))
            }
        }

        #[cfg(test)]
        const KEYS: &[(&str, &str)] = &[$((stringify!($name), $key)),*];
    };
}

facts! {
    rtt: Duration, "rtt";
    min_rtt: Duration, "minRTT";
    rx_rtt: Duration, "rxRTT";
    tx_cwnd_segs: u64, "txCWindowSegs";
    tx_cwnd: u64, "txCWindowBytes";
    tx_ssthresh: u64, "txSSThreshold";
    delivery_rate: u64, "deliveryRate";
    app_limited: bool, "appLimited";
    retransmitted_segs: u64, "retransmits";
    retransmitted_bytes: u64, "retransmittedBytes";
    tx_bytes: u64, "txBytes";
    tx_acked_bytes: u64, "txAckedBytes";
    rx_bytes: u64, "rxBytes";
    tx_data_segs: u64, "txDataSegs";
    rx_data_segs: u64, "rxDataSegs";
    rx_out_of_order_packets: u64, "rxOutOfOrderPackets";
    in_flight_segs: u64, "inFlightSegs";
    in_flight_bytes: u64, "inFlightBytes";
    unsent_bytes: u64, "unsentBytes";
    tx_window: u64, "txWindow";
    rx_window: u64, "rxWindow";
    tx_mss: u64, "txMSS";
    rx_mss: u64, "rxMSS";
    last_rx_age: Duration, "lastRxAt";
    busy_time: Duration, "busyTime";
    peer_window_limited: Duration, "peerWindowLimited";
    send_buffer_limited: Duration, "sendBufferLimited";
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.known() {
            map.serialize_entry(key, &value)?;
        }
        map.serialize_entry("readBytes", &self.read)?;
        map.serialize_entry("writtenBytes", &self.written)?;
        map.end()
    }
}

impl Facts {
    /// Bytes that have arrived and that this program has not taken yet.
    pub(crate) fn unread(&self) -> Option<u64> {
        Some(self.rx_bytes?.saturating_sub(self.read))
    }
}

/// The facts of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) facts: Facts,
}

impl Sample {
    /// Whether something happened since an earlier reading that must not be lost among others.
    fn is_event_after(&self, earlier: &Self) -> bool {
        let grew = |of: fn(&Facts) -> Option<u64>| of(&self.facts) > of(&earlier.facts);
        grew(|facts| facts.retransmitted_segs)
            || grew(|facts| facts.retransmitted_bytes)
            || self.facts.tx_cwnd_segs < earlier.facts.tx_cwnd_segs
    }
}

/// The moments of a request at which the kernel is asked, whatever the interval of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The connection is there: established, or taken over from an earlier request.
    Connect,
    /// TLS is agreed on.
    Tls,
    /// The first byte of the response arrived.
    FirstByte,
    /// The last byte arrived, or the request failed.
    End,
}

impl Moment {
    /// The name in the JSON output.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::FirstByte => "first_byte",
            Self::End => "end",
        }
    }

    /// The name for a person.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Connect => "at connect",
            Self::Tls => "after TLS",
            Self::FirstByte => "at first byte",
            Self::End => "at the end",
        }
    }
}

/// The moments of a request, and what was sampled between them.
///
/// At most [`CAPACITY`] samples are kept, whatever the length of the transfer: when there is no more
/// room, one of each two neighbours goes and the interval doubles. Of the two that one stays at which
/// a retransmission or a smaller congestion window was first seen, else the later. What each number
/// was at least and at most is noted of every reading, also of those that went.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    moments: Vec<(Moment, Sample)>,
    samples: Vec<Kept>,
    /// The time between samples now; absent where none are taken.
    interval: Option<Duration>,
    /// How many samples were taken, kept or not.
    taken: u64,
    last: Option<Sample>,
    extremes: Extremes,
}

#[derive(Clone, Debug)]
struct Kept {
    sample: Sample,
    is_event: bool,
}

impl History {
    /// One that samples are added to every `interval`, if at all.
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        Self { interval, ..Self::default() }
    }

    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn extremes(&self) -> &Extremes {
        &self.extremes
    }

    pub(crate) fn moments(&self) -> impl Iterator<Item = &(Moment, Sample)> {
        self.moments.iter()
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().map(|kept| &kept.sample)
    }

    /// Moments and samples together, in the order of time.
    pub(crate) fn points(&self) -> Vec<&Sample> {
        let moments = self.moments.iter().map(|(_, sample)| sample);
        let mut points: Vec<_> = moments.chain(self.samples()).collect();
        points.sort_by_key(|point| point.at);
        points
    }

    /// Whether this moment is known already.
    pub(crate) fn has(&self, moment: Moment) -> bool {
        self.moments.iter().any(|(known, _)| *known == moment)
    }

    /// Notes a moment; of each there is one.
    pub(crate) fn note(&mut self, moment: Moment, sample: Sample) {
        if !self.has(moment) {
            self.extremes.add(&sample.facts);
            self.moments.push((moment, sample));
        }
    }

    pub(crate) fn push(&mut self, sample: Sample) {
        self.taken += 1;
        self.extremes.add(&sample.facts);
        let is_event = self.last.is_some_and(|last| sample.is_event_after(&last));
        self.last = Some(sample);
        self.samples.push(Kept { sample, is_event });
        if self.samples.len() >= CAPACITY {
            self.thin_out();
        }
    }

    fn thin_out(&mut self) {
        let mut number = 0;
        let is_event: Vec<bool> = self.samples.iter().map(|kept| kept.is_event).collect();
        self.samples.retain(|_| {
            let is_earlier = number % 2 == 0;
            let pair = number - number % 2;
            let is = |number: usize| is_event.get(number).copied().unwrap_or_default();
            let earlier_stays = is(pair) && !is(pair + 1) || pair + 1 == is_event.len();
            number += 1;
            is_earlier == earlier_stays
        });
        self.interval = self.interval.map(|interval| interval.saturating_mul(2));
    }
}

/// A number that rises and falls while bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gauge {
    Rtt,
    RxRtt,
    Cwnd,
    DeliveryRate,
    RxWindow,
    TxWindow,
    Unread,
    Unsent,
}

impl Gauge {
    pub(crate) const ALL: [Self; 8] = [
        Self::Rtt,
        Self::RxRtt,
        Self::Cwnd,
        Self::DeliveryRate,
        Self::RxWindow,
        Self::TxWindow,
        Self::Unread,
        Self::Unsent,
    ];

    /// The name in the JSON output: the key of the fact.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Rtt => "rtt",
            Self::RxRtt => "rxRTT",
            Self::Cwnd => "txCWindowSegs",
            Self::DeliveryRate => "deliveryRate",
            Self::RxWindow => "rxWindow",
            Self::TxWindow => "txWindow",
            Self::Unread => "unreadBytes",
            Self::Unsent => "unsentBytes",
        }
    }

    /// Durations in nanoseconds.
    pub(crate) fn of(self, facts: &Facts) -> Option<u64> {
        match self {
            Self::Rtt => facts.rtt.map(nanoseconds),
            Self::RxRtt => facts.rx_rtt.map(nanoseconds),
            Self::Cwnd => facts.tx_cwnd_segs,
            Self::DeliveryRate => facts.delivery_rate,
            Self::RxWindow => facts.rx_window,
            Self::TxWindow => facts.tx_window,
            Self::Unread => facts.unread(),
            Self::Unsent => facts.unsent_bytes,
        }
    }
}

/// The least and the most that each gauge ever showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extremes([Option<(u64, u64)>; Gauge::ALL.len()]);

impl Extremes {
    pub(crate) fn of(&self, gauge: Gauge) -> Option<(u64, u64)> {
        *self.0.get(gauge as usize)?
    }

    fn add(&mut self, facts: &Facts) {
        for (extreme, gauge) in self.0.iter_mut().zip(Gauge::ALL) {
            let Some(value) = gauge.of(facts) else { continue };
            let (least, most) = extreme.get_or_insert((value, value));
            (*least, *most) = (value.min(*least), value.max(*most));
        }
    }
}

impl Serialize for Extremes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = Gauge::ALL.into_iter().filter_map(|gauge| Some((gauge, self.of(gauge)?)));
        serializer.collect_map(known.map(|(gauge, extremes)| (gauge.key(), extremes)))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// About 20 seconds at the default interval, and one megabyte.
const CAPACITY: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn history(count: u64, facts: impl Fn(u64) -> Facts) -> History {
        let zero = Instant::now();
        let mut history = History::new(Some(INTERVAL));
        for number in 0..count {
            let at = zero + INTERVAL * u32::try_from(number).unwrap();
            history.push(Sample { at, facts: facts(number) });
        }
        history
    }

    #[test]
    fn keys_are_those_of_the_library() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let Ok(info) = TcpInfo::read(&stream) else { return };
        let known: Vec<_> = info.facts().map(|(key, _)| key).collect();
        for (name, key) in KEYS {
            assert!(known.contains(key), "{name}: {key} is not in {known:?}");
        }
    }

    #[test]
    fn memory_is_bounded_whatever_the_length() {
        for count in [0, 1, 2_047, 2_048, 2_049, 100_000, 100_001] {
            let history =
                history(count, |number| Facts { rx_bytes: Some(number), ..Facts::default() });
            let kept: Vec<_> = history.samples().collect();
            assert!(kept.len() < CAPACITY);
            assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
            assert_eq!(history.taken(), count);
            if let Some(last) = kept.last() {
                assert_eq!(last.facts.rx_bytes, Some(count - 1), "the last is never thinned out");
            }
        }
        assert_eq!(history(2_048, |_| Facts::default()).interval(), Some(INTERVAL * 2));
    }

    #[test]
    fn a_single_loss_and_a_single_drop_survive_thinning() {
        for event in [1_000, 1_001, 4_567, 20_002] {
            let history = history(100_000, |number| Facts {
                retransmitted_segs: Some(u64::from(number >= event)),
                tx_cwnd_segs: Some(if number == event { 3 } else { 100 }),
                ..Facts::default()
            });
            let kept = |facts: &Facts| facts.tx_cwnd_segs == Some(3);
            assert!(history.samples().any(|sample| kept(&sample.facts)), "{event}");
            assert_eq!(history.extremes().of(Gauge::Cwnd), Some((3, 100)));
        }
    }

    #[test]
    fn a_peak_between_the_kept_ones_is_in_the_extremes() {
        let history = history(50_000, |number| Facts {
            rtt: Some(Duration::from_nanos(if number == 30_000 { 900 } else { 7 })),
            ..Facts::default()
        });
        assert_eq!(history.extremes().of(Gauge::Rtt), Some((7, 900)));
        assert_eq!(history.extremes().of(Gauge::RxRtt), None);
    }

    #[test]
    fn each_moment_is_noted_once_and_in_its_place() {
        let mut history = history(3, |_| Facts::default());
        let first = *history.samples().next().unwrap();
        let at = first.at + INTERVAL / 2;
        history.note(Moment::FirstByte, Sample { at, ..first });
        history.note(Moment::FirstByte, first);
        assert_eq!(history.moments().count(), 1);
        assert_eq!(history.points()[1].at, at);
    }

    #[test]
    fn what_is_absent_has_no_key() {
        let facts = Facts { rtt: Some(Duration::from_micros(5)), read: 3, ..Facts::default() };
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(json, r#"{"rtt":5000,"readBytes":3,"writtenBytes":0}"#);
    }
}
