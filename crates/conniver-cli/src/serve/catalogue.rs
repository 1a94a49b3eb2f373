//! Every metric that is served: one list, of which the text is made.

use std::time::Duration;

use super::{
    exposition::{Exposition, Kind, Number, put_label, put_series},
    group::Group,
    histogram::Quantity,
    ledger::{Ledger, Sums},
    listener::Listener,
    own::Process,
    sight::Count,
};

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    /// As it is queried, with its unit and, for a counter, `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The unit that the name ends in.
    pub(super) unit: Option<&'static str>,
    pub(super) help: &'static str,
    value: Value,
}

/// Where its value is found.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Connections of each group by state.
    States,
    /// Of each group, as it was at the last look.
    Gauge(fn(&Group) -> u64),
    Counter(fn(&Group) -> u64),
    /// What the kernel counts: absent until it has told it.
    Count(Count),
    Histogram(Quantity),
    /// Of the listeners of each address, as they were at the last look.
    Listener(fn(&Listener) -> Number),
    /// The same counted on.
    ListenerDrops,
    /// Of this program.
    Own(fn(&Own) -> Option<Number>),
    Build,
}

/// What this program knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    pub(super) sums: Sums,
    pub(super) known: u64,
    pub(super) groups: u64,
    pub(super) groups_replaced: u64,
    pub(super) others: u64,
    pub(super) looks: u64,
    pub(super) failed_looks: u64,
    pub(super) is_complete: bool,
    pub(super) look_time: Duration,
    pub(super) look_bytes: u64,
    pub(super) unreadable_processes: Option<u64>,
    pub(super) are_processes_hidden: Option<bool>,
    pub(super) is_listening: bool,
    pub(super) lost: u64,
    pub(super) buffer_bytes: u64,
    pub(super) requests: u64,
    pub(super) turned_away: u64,
    pub(super) started: Duration,
    pub(super) process: Process,
}

const fn whole(number: u64) -> Option<Number> {
    Some(Number::Whole(number))
}

const NANOS: u64 = 1_000_000_000;

/// Appends all of them.
pub(super) fn put(format: Exposition, ledger: &Ledger, own: &Own, out: &mut Vec<u8>) {
    for metric in METRICS {
        metric.put(format, ledger, own, out);
    }
    format.put_end(out);
}

impl Metric {
    fn put(&self, format: Exposition, ledger: &Ledger, own: &Own, out: &mut Vec<u8>) {
        format.put_head(self.name, self.kind, self.unit, self.help, out);
        let name = (self.name, "");
        // After a look that failed it is not known what is there now; what was counted stays.
        let groups_now = || ledger.groups.shown().filter(|_| own.is_complete);
        let listeners_now = || ledger.listeners.shown().filter(|_| own.is_complete);
        match self.value {
            Value::States => {
                for group in groups_now() {
                    for (state, number) in group.states() {
                        let mut labels = group.labels.to_string();
                        put_label("state", state, &mut labels);
                        put_series(name, &labels, None, Number::Whole(number.into()), out);
                    }
                }
            }
            Value::Gauge(value) => {
                for group in groups_now() {
                    put_series(name, &group.labels, None, Number::Whole(value(group)), out);
                }
            }
            Value::Counter(value) => {
                for group in ledger.groups.shown() {
                    put_series(name, &group.labels, None, Number::Whole(value(group)), out);
                }
            }
            Value::Count(count) => {
                for group in ledger.groups.shown() {
                    let Some(number) = group.counts.told(count) else { continue };
                    let number = match count {
                        Count::PeerWindowLimited | Count::SendBufferLimited => {
                            Number::Parts(number.into(), NANOS)
                        }
                        _ => Number::Whole(number),
                    };
                    put_series(name, &group.labels, None, number, out);
                }
            }
            Value::Histogram(quantity) => {
                for group in ledger.groups.shown() {
                    self.put_histogram(quantity, group, out);
                }
            }
            Value::Listener(value) => {
                for one in listeners_now() {
                    put_series(name, &one.labels, None, value(one), out);
                }
            }
            Value::ListenerDrops => {
                for one in ledger.listeners.shown().filter(|_| ledger.listeners.tells_drops) {
                    put_series(name, &one.labels, None, Number::Whole(one.drops), out);
                }
            }
            Value::Own(value) => {
                if let Some(number) = value(own) {
                    put_series(name, "", None, number, out);
                }
            }
            Value::Build => {
                let mut labels = String::new();
                put_label("version", env!("CARGO_PKG_VERSION"), &mut labels);
                put_series(name, &labels, None, Number::Whole(1), out);
            }
        }
    }

    fn put_histogram(&self, quantity: Quantity, group: &Group, out: &mut Vec<u8>) {
        let histogram = group.histogram(quantity);
        let scale = quantity.scale();
        for (bound, count) in histogram.cumulative(quantity) {
            let bound = match bound {
                Some(bound) => Number::Parts(bound.into(), scale),
                None => Number::Real(f64::INFINITY),
            };
            let name = (self.name, "_bucket");
            put_series(name, &group.labels, Some(("le", bound)), Number::Whole(count), out);
        }
        let sum = Number::Parts(histogram.sum(), scale);
        put_series((self.name, "_sum"), &group.labels, None, sum, out);
        let count = Number::Whole(histogram.count());
        put_series((self.name, "_count"), &group.labels, None, count, out);
    }
}

const fn gauge(name: &'static str, help: &'static str, value: Value) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: None, help, value }
}

const fn counter(name: &'static str, help: &'static str, value: Value) -> Metric {
    Metric { name, kind: Kind::Counter, unit: None, help, value }
}

const fn histogram(name: &'static str, help: &'static str, value: Quantity) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: None, help, value: Value::Histogram(value) }
}

impl Metric {
    const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
}

pub(super) const METRICS: &[Metric] = &[
    gauge("tcp_connection_count", "Connections by state", Value::States),
    counter(
        "tcp_connections_created_total",
        "Connections that came about, or were there at the first look",
        Value::Counter(|group| group.created),
    ),
    counter(
        "tcp_connections_closed_total",
        "Connections that ended",
        Value::Counter(|group| group.closed),
    ),
    counter(
        "tcp_connections_failed_total",
        "Connections that did not come about",
        Value::Counter(|group| group.failed),
    ),
    counter(
        "tcp_packets_sent_total",
        "Segments with payload that were sent, also again",
        Value::Count(Count::SentSegs),
    ),
    counter(
        "tcp_packets_retransmitted_total",
        "Segments that were sent again",
        Value::Count(Count::RetransmittedSegs),
    ),
    counter(
        "tcp_bytes_sent_total",
        "Payload that was sent, also again, in bytes",
        Value::Count(Count::SentBytes),
    ),
    counter(
        "tcp_bytes_retransmitted_total",
        "Payload that was sent again, in bytes",
        Value::Count(Count::RetransmittedBytes),
    ),
    counter(
        "tcp_bytes_received_total",
        "Payload that was received, in bytes, and one for each FIN",
        Value::Count(Count::ReceivedBytes),
    ),
    counter(
        "tcp_peer_window_limited_seconds_total",
        "Time during which the peers' windows held back data, all connections together",
        Value::Count(Count::PeerWindowLimited),
    )
    .in_unit("seconds"),
    counter(
        "tcp_send_buffer_limited_seconds_total",
        "Time during which our send buffers held back data, all connections together",
        Value::Count(Count::SendBufferLimited),
    )
    .in_unit("seconds"),
    gauge(
        "tcp_unread_bytes",
        "Bytes that were received and that no program has read",
        Value::Gauge(|group| group.unread_bytes),
    )
    .in_unit("bytes"),
    gauge(
        "tcp_unacknowledged_bytes",
        "Bytes that programs sent and that no peer has acknowledged",
        Value::Gauge(|group| group.queued_bytes),
    )
    .in_unit("bytes"),
    histogram("tcp_rtt_seconds", "Smoothed round-trip time", Quantity::Rtt).in_unit("seconds"),
    histogram(
        "tcp_retransmission_ratio",
        "Part of the payload of a connection so far that was sent again",
        Quantity::RetransmissionRatio,
    )
    .in_unit("ratio"),
    histogram("tcp_congestion_window_bytes", "Congestion window", Quantity::CongestionWindow)
        .in_unit("bytes"),
    histogram(
        "tcp_delivery_rate_bytes_per_second",
        "Latest goodput sample, where the application did not hold it down",
        Quantity::DeliveryRate,
    )
    .in_unit("bytes_per_second"),
    gauge(
        "tcp_listener_sockets",
        "Sockets that listen on the address",
        Value::Listener(|one| Number::Whole(one.sockets)),
    ),
    gauge(
        "tcp_accept_queue_connections",
        "Connections that wait for a program to accept them",
        Value::Listener(|one| Number::Whole(one.queue)),
    ),
    gauge(
        "tcp_accept_queue_limit_connections",
        "How many may wait, all sockets of the address together",
        Value::Listener(|one| Number::Whole(one.limit)),
    ),
    gauge(
        "tcp_accept_queue_fullest_ratio",
        "How full the fullest queue of the address is: at 1 the kernel lets nobody in",
        Value::Listener(|one| Number::Parts(one.fullest.into(), 1_000_000)),
    )
    .in_unit("ratio"),
    counter(
        "tcp_accept_queue_dropped_total",
        "Connections and packets that listeners dropped, most of them because the queue was full",
        Value::ListenerDrops,
    ),
    gauge("conniver_build_info", "Always 1; the version is a label", Value::Build),
    gauge(
        "conniver_look_complete",
        "Whether the last look at all sockets told of all: 1, or 0 if it failed",
        Value::Own(|own| whole(own.is_complete.into())),
    ),
    counter("conniver_looks_total", "Looks at all sockets", Value::Own(|own| whole(own.looks))),
    counter(
        "conniver_looks_failed_total",
        "Looks at all sockets that failed",
        Value::Own(|own| whole(own.failed_looks)),
    ),
    gauge(
        "conniver_look_seconds",
        "How long the last look took, with all that was counted",
        Value::Own(|own| Some(Number::Parts(own.look_time.as_nanos(), NANOS))),
    )
    .in_unit("seconds"),
    gauge(
        "conniver_look_sockets",
        "Sockets that the last look told of",
        Value::Own(|own| whole(own.sums.sockets)),
    ),
    gauge(
        "conniver_look_bytes",
        "What the kernel told in the last look",
        Value::Own(|own| whole(own.look_bytes)),
    )
    .in_unit("bytes"),
    gauge(
        "conniver_known_connections",
        "Connections that are remembered so as to count on",
        Value::Own(|own| whole(own.known)),
    ),
    gauge(
        "conniver_unlisted_connections",
        "Connections that are over, and whose sockets programs still hold",
        Value::Own(|own| whole(own.sums.unlisted)),
    ),
    gauge(
        "conniver_events_listening",
        "Whether the ends of connections are heard: 1, or 0 if the kernel does not tell them",
        Value::Own(|own| whole(own.is_listening.into())),
    ),
    counter(
        "conniver_events_total",
        "Ends of sockets that were heard",
        Value::Own(|own| whole(own.sums.ends)),
    ),
    counter(
        "conniver_events_lost_total",
        "Ends of sockets that were lost because the buffer was full",
        Value::Own(|own| whole(own.lost)),
    ),
    counter(
        "conniver_events_without_peer_total",
        "Ends of sockets never seen that had no peer: not connected, or aborted and cleared",
        Value::Own(|own| whole(own.sums.without_peer)),
    ),
    counter(
        "conniver_ends_missed_total",
        "Connections that were counted as closed though their end was not heard",
        Value::Own(|own| whole(own.sums.missed)),
    ),
    gauge(
        "conniver_events_buffer_bytes",
        "Buffer for ends that are not heard yet",
        Value::Own(|own| whole(own.buffer_bytes)),
    )
    .in_unit("bytes"),
    gauge(
        "conniver_groups",
        "Groups with series of their own",
        Value::Own(|own| whole(own.groups)),
    ),
    counter(
        "conniver_groups_replaced_total",
        "Groups that had been unused and gave their series to another",
        Value::Own(|own| whole(own.groups_replaced)),
    ),
    counter(
        "conniver_other_connections_total",
        "Times that a connection was counted as (other), since no series was left for its group",
        Value::Own(|own| whole(own.others)),
    ),
    gauge(
        "conniver_unreadable_processes",
        "Processes whose sockets may not be looked at; absent unless grouped by process",
        Value::Own(|own| own.unreadable_processes.map(Number::Whole)),
    ),
    gauge(
        "conniver_processes_hidden",
        "Whether there may be processes that /proc does not show: 1, or 0; absent unless grouped by process",
        Value::Own(|own| own.are_processes_hidden.map(|hidden| Number::Whole(hidden.into()))),
    ),
    counter(
        "conniver_http_requests_total",
        "Requests that were answered",
        Value::Own(|own| whole(own.requests)),
    ),
    counter(
        "conniver_http_turned_away_total",
        "Clients that were cut off or refused because there were too many",
        Value::Own(|own| whole(own.turned_away)),
    ),
    gauge(
        "process_start_time_seconds",
        "When the program began, in seconds since 1970",
        Value::Own(|own| Some(Number::Parts(own.started.as_nanos(), NANOS))),
    )
    .in_unit("seconds"),
    counter(
        "process_cpu_seconds_total",
        "Time of processors that the program has used",
        Value::Own(|own| Some(Number::Parts(own.process.cpu?.into(), NANOS))),
    )
    .in_unit("seconds"),
    gauge(
        "process_resident_memory_bytes",
        "Memory of the program",
        Value::Own(|own| own.process.resident_bytes.map(Number::Whole)),
    )
    .in_unit("bytes"),
    gauge(
        "process_open_fds",
        "Descriptors that the program has open",
        Value::Own(|own| own.process.open_files.map(Number::Whole)),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tcpinfo::State;

    use super::*;
    use crate::serve::{
        ledger::tests::ledger,
        sight::{Facts, Sight},
    };

    #[test]
    fn names_are_distinct_and_end_in_their_unit() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, unit, .. } in METRICS {
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let bare = name.strip_suffix("_total").unwrap_or(name);
            assert!(unit.is_none_or(|unit| bare.ends_with(unit)), "{name}");
        }
    }

    #[test]
    fn after_a_look_that_failed_counters_stay_and_gauges_go() {
        let mut ledger = ledger(&["--by", "remote"]);
        let ended = Sight {
            cookie: 1,
            state: State::Close,
            local_port: 1,
            remote: Some([10, 0, 0, 1].into()),
            inode: None,
            is_connection: true,
            facts: Some(Facts::default()),
            unread_bytes: 0,
            queued_bytes: 0,
        };
        ledger.end(&ended, None, 1);
        let text = |is_complete| {
            let mut out = Vec::new();
            let own = Own { is_complete, ..Own::default() };
            put(Exposition::OpenMetrics, &ledger, &own, &mut out);
            String::from_utf8(out).unwrap()
        };
        let (whole, failed) = (text(true), text(false));
        for (part, in_whole, in_failed) in [
            ("\ntcp_connections_closed_total{remote_network=\"10.0.0.0/24\"} 1\n", true, true),
            ("\ntcp_unread_bytes{remote_network=\"10.0.0.0/24\"} 0\n", true, false),
            ("\nconniver_look_complete 0\n", false, true),
            ("\n# EOF\n", true, true),
        ] {
            assert_eq!(
                (whole.contains(part), failed.contains(part)),
                (in_whole, in_failed),
                "{part}"
            );
        }
    }
}
