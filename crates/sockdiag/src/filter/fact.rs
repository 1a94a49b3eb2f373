//! What the kernel tells of a socket and a filter can ask for by name. The table below is the only
//! place where such a fact is described.

use std::{fmt, time::Duration};

use tcpinfo::CaState;

use super::{condition::Comparison, number::Shown};
use crate::{Entry, Tell, TimerKind};

/// A fact that a [`Filter`](crate::Filter) can compare: `rtt > 100ms`.
///
/// ```
/// use sockdiag::{FilterFact, FilterUnit};
///
/// let rtt = FilterFact::all().find(|fact| fact.name == "minrtt").unwrap();
/// assert_eq!((rtt.unit, rtt.also), (FilterUnit::Time, ["min_rtt"].as_slice()));
/// assert!(rtt.doc().starts_with("Minimum"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct FilterFact {
    /// What it is called: as `ss` shows it, else as the kernel calls it.
    pub name: &'static str,
    /// The kernel's name, if it is another.
    pub also: &'static [&'static str],
    /// What its values are.
    pub unit: FilterUnit,
    /// What a list must be asked for, so that it is told.
    pub(super) tell: Tell,
    doc: &'static str,
    read: Read,
}

/// What the values of a [`FilterFact`] are, and so how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FilterUnit {
    /// How many there are: `10`, `2k`.
    Count,
    /// Bytes: `1500`, `64k`, `1.5Mi`.
    Bytes,
    /// A span of time: `100ms`.
    Time,
    /// A rate: `10Mbps` (bits a second), `1.2MB/s`.
    Rate,
    /// A number that stands for something: `1000`, `0x3e8`.
    Number,
    /// `yes` or `no`.
    Flag,
    /// A name, which is equal or not.
    Text,
}

#[derive(Debug)]
enum Read {
    Number(fn(&Entry<'_>) -> Option<u64>),
    Text(ReadText),
}

/// Gives the text, if there is one, to a function that compares.
type ReadText = fn(&Entry<'_>, &dyn Fn(&str) -> bool) -> Option<bool>;

impl FilterFact {
    /// Every fact.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        FACTS.iter()
    }

    /// Its meaning, in one or two sentences.
    pub fn doc(&self) -> &'static str {
        let is_it = |name: &str| name == self.name || self.also.contains(&name);
        match self.doc {
            "" => tcpinfo::native::linux::schema()
                .find(|field| is_it(field.name))
                .map_or("", |field| field.doc.trim_start()),
            doc => doc,
        }
    }
}

/// One of the table.
#[derive(Clone, Copy)]
pub(super) struct Fact(pub(super) &'static FilterFact);

/// What a fact is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Number(u64),
    Text(Box<str>),
}

impl Fact {
    pub(super) fn named(name: &str) -> Option<Self> {
        FilterFact::all().find(|fact| fact.name == name || fact.also.contains(&name)).map(Self)
    }

    /// `None` if it is not told of the socket.
    pub(super) fn test(
        self,
        entry: &Entry<'_>,
        comparison: Comparison,
        wanted: &Wanted,
    ) -> Option<bool> {
        match (&self.0.read, wanted) {
            (Read::Number(read), Wanted::Number(wanted)) => {
                Some(comparison.holds(read(entry)?, *wanted))
            }
            (Read::Text(read), Wanted::Text(wanted)) => {
                read(entry, &|text| comparison.holds(text, wanted))
            }
            // The reader of texts puts together what belongs together.
            _ => None,
        }
    }
}

impl PartialEq for Fact {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Fact {}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Wanted {
    /// As it can be read again.
    pub(super) const fn of(&self, unit: FilterUnit) -> ShownWanted<'_> {
        ShownWanted { wanted: self, unit }
    }
}

pub(super) struct ShownWanted<'a> {
    wanted: &'a Wanted,
    unit: FilterUnit,
}

impl fmt::Display for ShownWanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            Wanted::Number(number) => Shown(*number, self.unit).fmt(f),
            Wanted::Text(text) => text.chars().try_for_each(|char| {
                // What would end the word, or begin another.
                let escape = if char.is_alphanumeric() { "" } else { "\\" };
                write!(f, "{escape}{char}")
            }),
        }
    }
}

/// A number of the kernel's, in the smallest unit of its kind.
trait Raw {
    fn raw(self) -> u64;
}

macro_rules! raw {
    ($($ty:ty)+) => {$(
        impl Raw for $ty {
            fn raw(self) -> u64 {
                self.into()
            }
        }
    )+};
}

raw!(u8 u16 u32 u64 bool);

impl Raw for Duration {
    fn raw(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// In bits a second, if it is a rate, which the kernel has in bytes.
fn in_smallest_unit(raw: impl Raw, unit: FilterUnit) -> u64 {
    let raw = raw.raw();
    if unit == FilterUnit::Rate { raw.saturating_mul(8) } else { raw }
}

/// A row of a field of `tcp_info`: what it is stands in that table.
macro_rules! info {
    ($name:literal $also:tt $unit:ident $field:ident) => {
        FilterFact {
            name: $name,
            also: &$also,
            unit: FilterUnit::$unit,
            tell: Tell::INFO,
            doc: "",
            read: Read::Number(|entry| {
                let value = entry.native_tcp_info()?.$field().value()?;
                Some(in_smallest_unit(value, FilterUnit::$unit))
            }),
        }
    };
}

const fn number(
    name: &'static str,
    also: &'static [&'static str],
    unit: FilterUnit,
    tell: Tell,
    doc: &'static str,
    read: fn(&Entry<'_>) -> Option<u64>,
) -> FilterFact {
    FilterFact { name, also, unit, tell, doc, read: Read::Number(read) }
}

const fn text(name: &'static str, tell: Tell, doc: &'static str, read: ReadText) -> FilterFact {
    FilterFact { name, also: &[], unit: FilterUnit::Text, tell, doc, read: Read::Text(read) }
}

#[rustfmt::skip]
static FACTS: &[FilterFact] = &[
    number("uid", &[], FilterUnit::Number, Tell::NOTHING, "The user that made the socket.", |entry| entry.uid().map(Raw::raw)),
    number("inode", &[], FilterUnit::Number, Tell::NOTHING, "The socket's inode, as /proc/PID/fd shows it.", |entry| entry.inode().map(Raw::raw)),
    number("cookie", &[], FilterUnit::Number, Tell::NOTHING, "The kernel's own identity of the socket: 0x1e93, 7827 or, as ss shows it, sk:1e93.", |entry| Some(entry.cookie())),
    number("cgroup_id", &[], FilterUnit::Number, Tell::NOTHING, "The cgroup (version 2) in which the socket was made: the inode of its directory.", |entry| entry.cgroup_id()),
    number("rqueue", &["recvq"], FilterUnit::Bytes, Tell::NOTHING, "Unread bytes; of a listener the connections that wait.", |entry| full(entry).map(|entry| entry.rqueue().into())),
    number("wqueue", &["sendq"], FilterUnit::Bytes, Tell::NOTHING, "Bytes that are not acknowledged; of a listener its limit.", |entry| full(entry).map(|entry| entry.wqueue().into())),
    text("timer", Tell::NOTHING, "The timer that is running, as ss calls it: on (retransmission), keepalive, timewait, persist, delack; off if none is.", |entry, compare| Some(compare(timer(entry)?))),
    number("expires", &[], FilterUnit::Time, Tell::NOTHING, "When the timer will act.", |entry| entry.timer().map(|timer| timer.expires.raw())),
    text("cc", Tell::CONGESTION_NAME, "Name of the congestion control, such as cubic.", |entry, compare| Some(compare(entry.congestion_name()?.as_str()))),
    text("ca_state", Tell::INFO, "State of the sender's loss recovery: open, disorder, cwr, recovery, loss.", |entry, compare| Some(compare(recovery(entry)?))),
    text("ulp", Tell::INFO, "Name of the protocol that the kernel runs on the connection: tls, mptcp.", |entry, compare| Some(compare(entry.ulp()?.name()))),
    number("tos", &[], FilterUnit::Number, Tell::TOS, "Type of service of the packets sent.", |entry| entry.tos().map(Raw::raw)),
    number("tclass", &[], FilterUnit::Number, Tell::TRAFFIC_CLASS, "Traffic class of the packets sent; of IPv6 sockets.", |entry| entry.traffic_class().map(Raw::raw)),
    number("class_id", &[], FilterUnit::Number, Tell::TRAFFIC_CLASS, "Class for the network scheduler.", |entry| entry.class_id().map(Raw::raw)),
    number("rcvbuf", &[], FilterUnit::Bytes, Tell::MEMORY, "Size of the receive buffer: rb of ss.", |entry| entry.memory()?.rx_buffer_bytes.map(Raw::raw)),
    number("sndbuf", &[], FilterUnit::Bytes, Tell::MEMORY, "Size of the send buffer: tb of ss.", |entry| entry.memory()?.tx_buffer_bytes.map(Raw::raw)),
    number("rmem", &[], FilterUnit::Bytes, Tell::MEMORY, "Memory of what was received: r of ss.", |entry| entry.memory()?.rx_alloc_bytes.map(Raw::raw)),
    number("wmem", &[], FilterUnit::Bytes, Tell::MEMORY, "Memory of what is being sent: t of ss.", |entry| entry.memory()?.tx_alloc_bytes.map(Raw::raw)),
    number("drops", &[], FilterUnit::Count, Tell::MEMORY, "Packets dropped for want of room: d of ss.", |entry| entry.memory()?.dropped_packets.map(Raw::raw)),
    number("shut_receive", &[], FilterUnit::Flag, Tell::NOTHING, "Whether nothing more will be received.", |entry| entry.shutdown().map(|shut| shut.receive.raw())),
    number("shut_send", &[], FilterUnit::Flag, Tell::NOTHING, "Whether nothing more will be sent.", |entry| entry.shutdown().map(|shut| shut.send.raw())),
    info!("retransmits" [] Count retransmits),
    info!("probes" [] Count probes),
    info!("backoff" [] Count backoff),
    info!("snd_wscale" [] Count snd_wscale),
    info!("rcv_wscale" [] Count rcv_wscale),
    info!("app_limited" ["delivery_rate_app_limited"] Flag delivery_rate_app_limited),
    info!("rto" [] Time rto),
    info!("ato" [] Time ato),
    info!("mss" ["snd_mss"] Bytes snd_mss),
    info!("rcvmss" ["rcv_mss"] Bytes rcv_mss),
    info!("unacked" [] Count unacked),
    info!("accept_queue" [] Count accept_queue),
    info!("sacked" [] Count sacked),
    info!("accept_queue_limit" [] Count accept_queue_limit),
    info!("lost" [] Count lost),
    number("retrans_now", &[], FilterUnit::Count, Tell::INFO, "Retransmitted segments that are in flight: the first number of ss's retrans.", |entry| entry.native_tcp_info()?.retrans().value().map(Raw::raw)),
    info!("fackets" [] Count fackets),
    info!("lastsnd" ["last_data_sent"] Time last_data_sent),
    info!("lastrcv" ["last_data_recv"] Time last_data_recv),
    info!("lastack" ["last_ack_recv"] Time last_ack_recv),
    info!("pmtu" [] Bytes pmtu),
    info!("rcv_ssthresh" [] Bytes rcv_ssthresh),
    info!("rtt" [] Time rtt),
    info!("rttvar" [] Time rttvar),
    info!("ssthresh" ["snd_ssthresh"] Count snd_ssthresh),
    info!("cwnd" ["snd_cwnd"] Count snd_cwnd),
    info!("advmss" [] Bytes advmss),
    info!("reordering" [] Count reordering),
    info!("rcv_rtt" [] Time rcv_rtt),
    info!("rcv_space" [] Bytes rcv_space),
    info!("retrans" ["total_retrans"] Count total_retrans),
    info!("pacing_rate" [] Rate pacing_rate),
    info!("max_pacing_rate" [] Rate max_pacing_rate),
    info!("bytes_acked" [] Bytes bytes_acked),
    info!("bytes_received" [] Bytes bytes_received),
    info!("segs_out" [] Count segs_out),
    info!("segs_in" [] Count segs_in),
    info!("notsent" ["notsent_bytes"] Bytes notsent_bytes),
    info!("minrtt" ["min_rtt"] Time min_rtt),
    info!("data_segs_in" [] Count data_segs_in),
    info!("data_segs_out" [] Count data_segs_out),
    info!("delivery_rate" [] Rate delivery_rate),
    info!("busy" ["busy_time"] Time busy_time),
    info!("rwnd_limited" [] Time rwnd_limited),
    info!("sndbuf_limited" [] Time sndbuf_limited),
    info!("delivered" [] Count delivered),
    info!("delivered_ce" [] Count delivered_ce),
    info!("bytes_sent" [] Bytes bytes_sent),
    info!("bytes_retrans" [] Bytes bytes_retrans),
    info!("dsack_dups" [] Count dsack_dups),
    info!("reord_seen" [] Count reord_seen),
    info!("rcv_ooopack" [] Count rcv_ooopack),
    info!("snd_wnd" [] Bytes snd_wnd),
    info!("rcv_wnd" [] Bytes rcv_wnd),
    info!("rehash" [] Count rehash),
    info!("total_rto" [] Count total_rto),
    info!("total_rto_recoveries" [] Count total_rto_recoveries),
    info!("total_rto_time" [] Time total_rto_time),
    info!("received_ce" [] Count received_ce),
    info!("delivered_e1_bytes" [] Bytes delivered_e1_bytes),
    info!("delivered_e0_bytes" [] Bytes delivered_e0_bytes),
    info!("delivered_ce_bytes" [] Bytes delivered_ce_bytes),
    info!("received_e1_bytes" [] Bytes received_e1_bytes),
    info!("received_e0_bytes" [] Bytes received_e0_bytes),
    info!("received_ce_bytes" [] Bytes received_ce_bytes),
    info!("accecn_fail_mode" [] Number accecn_fail_mode),
];

/// A socket of which there is more than the smallest that the kernel keeps.
fn full<'e, 'a>(entry: &'e Entry<'a>) -> Option<&'e Entry<'a>> {
    (!entry.is_mini()).then_some(entry)
}

fn timer(entry: &Entry<'_>) -> Option<&'static str> {
    Some(match entry.timer().map(|timer| timer.kind) {
        None => "off",
        Some(TimerKind::Retransmit) => "on",
        Some(TimerKind::Keepalive) => "keepalive",
        Some(TimerKind::TimeWait) => "timewait",
        Some(TimerKind::ZeroWindowProbe) => "persist",
        Some(TimerKind::DelayedAck) => "delack",
        Some(TimerKind::Unknown(_)) => return None,
    })
}

fn recovery(entry: &Entry<'_>) -> Option<&'static str> {
    Some(match entry.native_tcp_info()?.ca_state().value()? {
        CaState::Open => "open",
        CaState::Disorder => "disorder",
        CaState::Cwr => "cwr",
        CaState::Recovery => "recovery",
        CaState::Loss => "loss",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcpinfo::fields::{Type, Unit};

    #[test]
    fn names_are_one_facts_and_no_other_words() {
        let others = [
            "src",
            "dst",
            "sport",
            "dport",
            "dev",
            "fwmark",
            "cgroup",
            "autobound",
            "state",
            "exclude",
            "excl",
            "family",
            "and",
            "or",
            "not",
            "eq",
            "ne",
            "neq",
            "gt",
            "lt",
            "ge",
            "geq",
            "le",
            "leq",
        ];
        let mut names: Vec<_> =
            FilterFact::all().flat_map(|fact| fact.also.iter().chain([&fact.name])).collect();
        assert!(names.iter().all(|name| !others.contains(name)));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_number_of_the_kernels_structure_can_be_asked_for() {
        for field in tcpinfo::native::linux::schema() {
            if !matches!(field.ty, Type::Unsigned | Type::Duration | Type::Bool) {
                continue;
            }
            // Never filled.
            if field.name == "last_ack_sent" {
                continue;
            }
            // What `ss` shows by this name is two numbers; the total is what people ask for.
            let name = if field.name == "retrans" { "retrans_now" } else { field.name };
            let fact = Fact::named(name).unwrap_or_else(|| panic!("{name} is missing")).0;
            let unit = match (field.ty, field.unit) {
                (Type::Bool, _) => FilterUnit::Flag,
                (_, Unit::Microseconds | Unit::Milliseconds) => FilterUnit::Time,
                (_, Unit::Bytes) => FilterUnit::Bytes,
                (_, Unit::BytesPerSecond) => FilterUnit::Rate,
                (_, Unit::None) => FilterUnit::Number,
                _ => FilterUnit::Count,
            };
            assert_eq!(fact.unit, unit, "{name}");
        }
        for fact in FilterFact::all() {
            assert!(!fact.doc().is_empty(), "{}", fact.name);
        }
    }
}
