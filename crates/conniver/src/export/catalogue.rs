//! The metrics of a tracker's groups: one list for all who export them.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Group, Role, Totals,
    slot::Counted,
    tracker::{Quantity, Sums},
};

/// A metric with a series for each group.
pub(super) struct Metric {
    /// As it is queried, with its unit and, for a counter, `_total`.
    pub(super) name: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) help: &'static str,
    pub(super) value: Value,
}

/// The unit that a name ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
}

/// What a metric is, and where its value is found.
pub(super) enum Value {
    Gauge(fn(&Totals) -> u64),
    Counter(fn(&Totals) -> u64),
    /// What a kernel counts: absent until one has told it.
    KernelCounter(Counted, fn(&Totals) -> u64),
    /// The same in time.
    KernelTime(Counted, fn(&Totals) -> Duration),
    /// One counter for each reason of an end.
    Closed,
    /// One counter for each reason of a failure.
    Failed,
    Histogram(Quantity),
}

/// What a series says of its group. What is absent is empty, which queries cannot tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels<'a> {
    pub(super) category: &'a str,
    pub(super) role: &'static str,
}

impl<'a> Labels<'a> {
    pub(super) fn new(category: Option<&'a str>, role: Option<Role>) -> Self {
        Self { category: category.unwrap_or_default(), role: role.map_or("", Role::as_str) }
    }
}

/// The sums for each series: groups that differ only in that one has no category and the other an
/// empty one are the same to those who look.
pub(super) fn by_labels(groups: &[(Group, Sums)]) -> BTreeMap<Labels<'_>, Sums> {
    let mut series = BTreeMap::<_, Sums>::new();
    for (group, sums) in groups {
        let labels = Labels::new(group.category.as_deref(), group.role);
        let ours = series.entry(labels).or_default();
        ours.add(sums);
        ours.totals.open += sums.totals.open;
    }
    series
}

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "tcp_connection_count",
        unit: None,
        help: "Connections that are open now",
        value: Value::Gauge(|totals| totals.open),
    },
    Metric {
        name: "tcp_connections_created_total",
        unit: None,
        help: "Connections that were opened",
        value: Value::Counter(|totals| totals.opened),
    },
    Metric {
        name: "tcp_connections_closed_total",
        unit: None,
        help: "Connections that ended, by the reason why",
        value: Value::Closed,
    },
    Metric {
        name: "tcp_connections_failed_total",
        unit: None,
        help: "Connections that did not come about, by the reason why not",
        value: Value::Failed,
    },
    Metric {
        name: "tcp_connections_unlisted_total",
        unit: None,
        help: "Connections that were opened beyond the tracker's limit and are in no list",
        value: Value::Counter(|totals| totals.unlisted),
    },
    Metric {
        name: "tcp_application_received_bytes_total",
        unit: Some(Unit::Bytes),
        help: "Bytes that the program received",
        value: Value::Counter(|totals| totals.rx_bytes),
    },
    Metric {
        name: "tcp_application_sent_bytes_total",
        unit: Some(Unit::Bytes),
        help: "Bytes that the program sent",
        value: Value::Counter(|totals| totals.tx_bytes),
    },
    Metric {
        name: "tcp_application_reads_total",
        unit: None,
        help: "Reads of the program that moved at least one byte",
        value: Value::Counter(|totals| totals.rx_ops),
    },
    Metric {
        name: "tcp_application_writes_total",
        unit: None,
        help: "Writes of the program that moved at least one byte",
        value: Value::Counter(|totals| totals.tx_ops),
    },
    Metric {
        name: "tcp_packets_retransmitted_total",
        unit: None,
        help: "Segments that the kernel sent again",
        value: Value::KernelCounter(Counted::RetransmittedSegs, |totals| totals.retransmitted_segs),
    },
    Metric {
        // No unit: one would have to stand at the end of the name, which is gRPC's.
        name: "tcp_bytes_retransmitted_total",
        unit: None,
        help: "Payload that the kernel sent again, in bytes",
        value: Value::KernelCounter(Counted::RetransmittedBytes, |totals| {
            totals.retransmitted_bytes
        }),
    },
    Metric {
        name: "tcp_peer_window_limited_seconds_total",
        unit: Some(Unit::Seconds),
        help: "Time during which the peers' windows held back data, all connections together",
        value: Value::KernelTime(Counted::PeerWindowLimited, |totals| totals.peer_window_limited),
    },
    Metric {
        name: "tcp_send_buffer_limited_seconds_total",
        unit: Some(Unit::Seconds),
        help: "Time during which our send buffers held back data, all connections together",
        value: Value::KernelTime(Counted::SendBufferLimited, |totals| totals.send_buffer_limited),
    },
    Metric {
        name: "tcp_connection_duration_seconds",
        unit: Some(Unit::Seconds),
        help: "How long connections lived, each observed at its end",
        value: Value::Histogram(Quantity::Lived),
    },
    Metric {
        name: "tcp_rtt_seconds",
        unit: Some(Unit::Seconds),
        help: "Smoothed round-trip time",
        value: Value::Histogram(Quantity::Rtt),
    },
    Metric {
        name: "tcp_min_rtt_seconds",
        unit: Some(Unit::Seconds),
        help: "The kernel's estimate of the least round-trip time",
        value: Value::Histogram(Quantity::MinRtt),
    },
    Metric {
        name: "tcp_congestion_window_bytes",
        unit: Some(Unit::Bytes),
        help: "Congestion window",
        value: Value::Histogram(Quantity::CongestionWindow),
    },
    Metric {
        name: "tcp_delivery_rate_bytes_per_second",
        unit: Some(Unit::BytesPerSecond),
        help: "Latest goodput sample, where the application did not hold it down",
        value: Value::Histogram(Quantity::DeliveryRate),
    },
];
