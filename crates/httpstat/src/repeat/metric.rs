//! What can be measured of a request, by name: its phases and marks, and the numbers of the kernel
//! that every system has under one name.

use std::time::Duration;

use tcpinfo::TcpInfo;

use crate::timeline::Phase;

/// One number that a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metric(usize);

/// What a number counts, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    /// In milliseconds.
    Time,
    Bytes,
    /// In bytes a second.
    Rate,
    /// Of segments, or of events.
    Count,
}

impl Dimension {
    /// The unit in the JSON output.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Time => "ms",
            Self::Bytes => "B",
            Self::Rate => "B/s",
            Self::Count => "1",
        }
    }
}

impl Metric {
    pub(crate) const TOTAL: Self = Self(Phase::ALL.len() + MARKS.len());

    /// Every metric: phases, marks, the total, the numbers of the kernel.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..=Self::TOTAL.0 + FACTS.len()).map(Self)
    }

    /// By its name, or by one that is usual for it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let usual = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = usual.map_or(name, |(_, name)| name);
        Self::all().find(|metric| metric.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self.kind() {
            Kind::Phase(phase) => phase.key(),
            Kind::Mark(name) => name,
            Kind::Total => "total",
            Kind::Fact(fact) => fact.name,
        }
    }

    /// The name for a person.
    pub(crate) fn title(self) -> &'static str {
        match self.kind() {
            Kind::Phase(phase) => phase.title(),
            Kind::Mark("namelookup") => "name lookup",
            Kind::Mark("initial_connect") => "connect",
            Kind::Mark("pretransfer") => "pre-transfer",
            Kind::Mark("starttransfer") => "start transfer",
            Kind::Mark(name) => name,
            Kind::Total => "Total",
            Kind::Fact(fact) => fact.name,
        }
    }

    pub(crate) fn dimension(self) -> Dimension {
        match self.kind() {
            Kind::Phase(_) | Kind::Mark(_) | Kind::Total => Dimension::Time,
            Kind::Fact(fact) => fact.dimension,
        }
    }

    pub(crate) fn is_phase(self) -> bool {
        matches!(self.kind(), Kind::Phase(_))
    }

    pub(crate) fn is_mark(self) -> bool {
        matches!(self.kind(), Kind::Mark(_))
    }

    /// Whether the kernel tells it.
    pub(crate) fn is_fact(self) -> bool {
        matches!(self.kind(), Kind::Fact(_))
    }

    fn kind(self) -> Kind {
        let Self(index) = self;
        let after_phases = index.wrapping_sub(Phase::ALL.len());
        let after_total = index.wrapping_sub(Self::TOTAL.0 + 1);
        if let Some(phase) = Phase::ALL.get(index) {
            Kind::Phase(*phase)
        } else if let Some(mark) = MARKS.get(after_phases) {
            Kind::Mark(mark)
        } else if let Some(fact) = FACTS.get(after_total) {
            Kind::Fact(fact)
        } else {
            Kind::Total
        }
    }
}

enum Kind {
    Phase(Phase),
    Mark(&'static str),
    Total,
    Fact(&'static Fact),
}

/// The numbers of one run; what did not happen or is not known has none.
///
/// Inside, that is a NaN, which halves what a long series takes.
#[derive(Clone, Debug)]
pub(crate) struct Values(Box<[f64]>);

impl Values {
    pub(crate) fn none() -> Self {
        Self(Metric::all().map(|_| f64::NAN).collect())
    }

    pub(crate) fn get(&self, metric: Metric) -> Option<f64> {
        self.0.get(metric.0).copied().filter(|value| !value.is_nan())
    }

    pub(crate) fn set(&mut self, metric: Metric, value: f64) {
        if let Some(place) = self.0.get_mut(metric.0) {
            *place = value;
        }
    }

    /// Adds to what is there already, as the same phase of several requests adds up.
    pub(crate) fn add(&mut self, metric: Metric, value: f64) {
        self.set(metric, self.get(metric).unwrap_or_default() + value);
    }

    /// Takes what the kernel said at the end of the run.
    ///
    /// What it has counted since the connection was opened counts from `before` on, if that is when
    /// the run began.
    pub(crate) fn set_facts(&mut self, info: &TcpInfo, before: Option<&TcpInfo>) {
        for (index, fact) in FACTS.iter().enumerate() {
            let Some(value) = (fact.read)(info) else { continue };
            let earlier = before.filter(|_| fact.is_counted).and_then(fact.read);
            let value = (value - earlier.unwrap_or_default()).max(0.0);
            self.set(Metric(Metric::TOTAL.0 + 1 + index), value);
        }
    }

    /// What is known, in the order of [`Metric::all`].
    pub(crate) fn known(&self) -> impl Iterator<Item = (Metric, f64)> {
        Metric::all().filter_map(|metric| Some((metric, self.get(metric)?)))
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.known().eq(other.known())
    }
}

/// As JSON and the objectives have it.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// A number of the kernel.
struct Fact {
    /// The method of [`TcpInfo`].
    name: &'static str,
    dimension: Dimension,
    /// Whether it only grows over the life of a connection.
    is_counted: bool,
    read: fn(&TcpInfo) -> Option<f64>,
}

macro_rules! facts {
    ($($name:ident $dimension:ident $($counted:ident)?;)*) => {
        static FACTS: &[Fact] = &[$(Fact {
            name: stringify!($name),
            dimension: Dimension::$dimension,
            is_counted: facts!(@ $($counted)?),
            read: |info| info.$name().map(Number::number),
        },)*];
    };
    (@) => { false };
    (@ counted) => { true };
}

facts! {
    rtt Time;
    rtt_var Time;
    min_rtt Time;
    rtt_last Time;
    rx_rtt Time;
    rto Time;
    tx_mss Bytes;
    rx_mss Bytes;
    path_mtu Bytes;
    tx_cwnd_segs Count;
    tx_cwnd Bytes;
    tx_ssthresh_segs Count;
    tx_ssthresh Bytes;
    tx_window Bytes;
    rx_window Bytes;
    delivery_rate Rate;
    pacing_rate Rate;
    retransmitted_segs Count counted;
    retransmitted_bytes Bytes counted;
    spurious_retransmits Count counted;
    fast_retransmits Count counted;
    syn_retransmits Count counted;
    timeouts Count counted;
    duplicate_acks Count counted;
    reordering_events Count counted;
    rx_out_of_order_packets Count counted;
    rx_out_of_order_bytes Bytes counted;
    tx_ce_segs Count counted;
    rx_ce_segs Count counted;
    tx_bytes Bytes counted;
    rx_bytes Bytes counted;
    tx_segs Count counted;
    rx_segs Count counted;
    tx_data_segs Count counted;
    rx_data_segs Count counted;
    busy_time Time counted;
    peer_window_limited Time counted;
    send_buffer_limited Time counted;
    cwnd_limited Time counted;
    sender_limited Time counted;
    rx_zero_windows Count counted;
}

trait Number {
    fn number(self) -> f64;
}

impl Number for Duration {
    fn number(self) -> f64 {
        milliseconds(self)
    }
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for u32 {
    fn number(self) -> f64 {
        self.into()
    }
}

/// Marks in the order in which they are reached.
const MARKS: [&str; 4] = ["namelookup", "initial_connect", "pretransfer", "starttransfer"];

const ALIASES: [(&str, &str); 6] = [
    ("ttfb", "starttransfer"),
    ("rttvar", "rtt_var"),
    ("cwnd", "tx_cwnd_segs"),
    ("mss", "tx_mss"),
    ("retransmitted", "retransmitted_segs"),
    ("retransmits", "retransmitted_segs"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        let names: Vec<_> = Metric::all().map(Metric::name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(Metric::all().all(|metric| Metric::named(metric.name()) == Some(metric)));
        for (alias, name) in ALIASES {
            assert_eq!(Metric::named(alias).map(Metric::name), Some(name), "{alias}");
            assert!(!names.contains(&alias), "{alias}");
        }
        assert_eq!(Metric::named("total"), Some(Metric::TOTAL));
        assert_eq!(Metric::named("nonsense"), None);
    }

    #[test]
    fn numbers_of_the_kernel_have_the_names_of_its_library() {
        let portable: HashSet<_> = tcpinfo::fields::Fact::all().map(|fact| fact.name).collect();
        let ours: Vec<_> = Metric::all().filter(|metric| metric.is_fact()).collect();
        assert_eq!(ours.len(), FACTS.len());
        for metric in ours {
            assert!(portable.contains(metric.name()), "{}", metric.name());
        }
    }

    #[test]
    fn phases_of_several_requests_add_up() {
        let mut values = Values::none();
        assert_eq!(values.known().count(), 0);
        values.add(Metric::TOTAL, 1.5);
        values.add(Metric::TOTAL, 2.0);
        assert_eq!(values.known().collect::<Vec<_>>(), [(Metric::TOTAL, 3.5)]);
    }
}
