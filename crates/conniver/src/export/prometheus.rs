//! A tracker as a collector of `prometheus-client`.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder,
        LabelValueEncoder, MetricEncoder, NoLabelSet,
    },
    metrics::MetricType,
    registry::Unit as ClientUnit,
};
use tcpinfo::TcpInfo;

use super::catalogue::{Labels, METRICS, Metric, Unit, Value, by_labels};
use crate::{
    CloseReason, Connection, FailReason, Group, Order, Query, Tracker,
    sync::{Mutex, lock},
    tracker::{Histogram, Observed, Quantity, Sums},
};

/// Exports what a [`Tracker`] knows to Prometheus, as a
/// [collector](prometheus_client::collector::Collector) of `prometheus-client`.
///
/// The work is done at each scrape: the kernel is asked once about every connection that is listed,
/// which takes about half a microsecond each, and nothing is stored for a connection. There is one series for each metric and group, whatever
/// the number of connections; with all its histograms a group takes about 10 KiB of text, and how
/// many there may be is up to [`TrackerBuilder::groups`](crate::TrackerBuilder::groups). No counter
/// ever goes backwards, also if connections end during a scrape or several scrape at once.
///
/// Round-trip times, congestion windows and delivery rates are observed for every living connection
/// at each scrape, and for each connection once more right before its end. Ends are observed from
/// when the tracker's first collector is made, so that is best done before the first connection.
/// What a kernel does not tell is not observed, and a counter that no kernel told is not exported.
/// What its scrapes observed is a collector's own, so it is made once and kept: one made for every
/// scrape shows histograms of the ends and of this moment.
///
/// All metrics: `docs/metrics.md` in the repository. Their names are given, so a registry takes one
/// tracker; a second one belongs under a
/// [prefix](prometheus_client::registry::Registry::sub_registry_with_prefix) of its own.
///
/// ```
/// use conniver::{Options, Tracker};
/// use prometheus_client::{encoding::text, registry::Registry};
///
/// let tracker = Tracker::new();
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(tracker.collector()));
///
/// let _conn = Options::new().category("api").tracker(&tracker).wrap_opaque(std::io::empty());
/// let mut body = String::new();
/// text::encode(&mut body, &registry).unwrap();
/// assert!(body.contains("tcp_connection_count{category=\"api\",role=\"\"} 1\n"));
/// ```
pub struct TrackerCollector {
    tracker: Tracker,
    per_connection: Option<usize>,
    /// What scrapes observed of connections while they lived, by the number of their group.
    observed: Mutex<Vec<Observed>>,
}

impl Tracker {
    /// Exports what this tracker knows to Prometheus.
    pub fn collector(&self) -> TrackerCollector {
        self.observe_ends();
        TrackerCollector {
            tracker: self.clone(),
            per_connection: None,
            observed: Mutex::new(Vec::new()),
        }
    }
}

impl TrackerCollector {
    /// Also exports series of single connections, of the `max` oldest that are open. How many
    /// others there are is `tcp_conn_omitted`.
    ///
    /// Each connection is a series of its own for each metric, which Prometheus keeps long after
    /// it ended: for few connections, or for looking closely for a while.
    #[must_use]
    pub fn per_connection(mut self, max: usize) -> Self {
        self.per_connection = Some(max);
        self
    }

    /// The sums of each group, with what was observed of those that live and of those that ended.
    fn scrape(&self) -> Vec<(Group, Sums)> {
        let mut seen = Vec::<Observed>::new();
        let mut groups = self.tracker.sample(|group, info| {
            if let Some(observed) = at(&mut seen, group as usize) {
                observed.observe(info);
            }
        });
        let mut observed = lock(&self.observed);
        for (number, seen) in seen.iter().enumerate() {
            if let Some(observed) = at(&mut observed, number) {
                observed.add(seen);
            }
        }
        for ((_, sums), observed) in groups.iter_mut().zip(&*observed) {
            sums.observed.get_or_insert_default().add(observed);
        }
        groups
    }
}

/// The element with this number, made with those before it if there is none.
fn at(all: &mut Vec<Observed>, number: usize) -> Option<&mut Observed> {
    if number >= all.len() {
        all.resize_with(number + 1, Observed::default);
    }
    all.get_mut(number)
}

impl Collector for TrackerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let groups = self.scrape();
        let series: Vec<_> = by_labels(&groups).into_iter().collect();
        for metric in METRICS {
            let mut encoder = metric.begin(&mut encoder)?;
            for (labels, sums) in &series {
                metric.encode(&mut encoder, *labels, sums)?;
            }
        }
        match self.per_connection {
            Some(max) => {
                let open: u64 = groups.iter().map(|(_, sums)| sums.totals.open).sum();
                encode_connections(&mut encoder, &self.tracker, max, open)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TrackerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerCollector")
            .field("tracker", &self.tracker)
            .field("per_connection", &self.per_connection)
            .finish_non_exhaustive()
    }
}

const SECONDS: &ClientUnit = &ClientUnit::Seconds;
const BYTES: &ClientUnit = &ClientUnit::Bytes;

impl Metric {
    fn begin<'a>(
        &self,
        encoder: &'a mut DescriptorEncoder<'_>,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        let kind = match self.value {
            Value::Gauge(_) => MetricType::Gauge,
            Value::Histogram(_) => MetricType::Histogram,
            _ => MetricType::Counter,
        };
        begin(encoder, self.name, self.unit, self.help, kind)
    }

    fn encode(
        &self,
        encoder: &mut MetricEncoder<'_>,
        labels: Labels<'_>,
        Sums { totals, told, observed }: &Sums,
    ) -> fmt::Result {
        let mut one = encoder.encode_family(&labels)?;
        match &self.value {
            Value::Gauge(value) => one.encode_gauge(&value(totals)),
            Value::Counter(value) => encode_counter(&mut one, value(totals)),
            Value::KernelCounter(counted, value) if told.has(*counted) => {
                encode_counter(&mut one, value(totals))
            }
            Value::KernelTime(counted, value) if told.has(*counted) => {
                let seconds = value(totals).as_secs_f64();
                one.encode_counter::<NoLabelSet, _, f64>(&seconds, None)
            }
            Value::KernelCounter(..) | Value::KernelTime(..) => Ok(()),
            Value::Closed => CloseReason::ALL.into_iter().try_for_each(|reason| {
                let labels = WithReason { labels, reason: reason.as_str() };
                let count = totals.closed_by(reason);
                encode_counter(&mut encoder.encode_family(&labels)?, count)
            }),
            Value::Failed => FailReason::ALL.into_iter().try_for_each(|reason| {
                let labels = WithReason { labels, reason: reason.as_str() };
                let count = totals.failed_by(reason);
                encode_counter(&mut encoder.encode_family(&labels)?, count)
            }),
            Value::Histogram(quantity) => {
                let histogram = observed.as_ref().map(|observed| observed.of(*quantity));
                encode_histogram(&mut one, *quantity, &histogram.unwrap_or_default())
            }
        }
    }
}

/// Begins a metric. The encoder adds the unit and `_total` to the name by itself.
fn begin<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    static BYTES_PER_SECOND: std::sync::LazyLock<ClientUnit> =
        std::sync::LazyLock::new(|| ClientUnit::Other("bytes_per_second".to_owned()));

    let (suffix, unit) = match unit {
        Some(Unit::Seconds) => ("_seconds", Some(SECONDS)),
        Some(Unit::Bytes) => ("_bytes", Some(BYTES)),
        Some(Unit::BytesPerSecond) => ("_bytes_per_second", Some(&*BYTES_PER_SECOND)),
        None => ("", None),
    };
    let name = match kind {
        MetricType::Counter => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let name = name.strip_suffix(suffix).unwrap_or(name);
    encoder.encode_descriptor(name, help, unit, kind)
}

fn encode_counter(encoder: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn encode_histogram(
    encoder: &mut MetricEncoder<'_>,
    quantity: Quantity,
    histogram: &Histogram,
) -> fmt::Result {
    let mut buckets = [(f64::INFINITY, 0); 20];
    for (bucket, count) in buckets.iter_mut().zip(histogram.counts) {
        bucket.1 = count;
    }
    for (bucket, bound) in buckets.iter_mut().zip(quantity.bounds()) {
        bucket.0 = quantity.in_base_unit(*bound as f64);
    }
    let sum = quantity.in_base_unit(histogram.sum as f64);
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        label(encoder, "category", self.category)?;
        label(encoder, "role", self.role)
    }
}

/// The labels of what is counted for each reason.
struct WithReason<'a> {
    labels: Labels<'a>,
    reason: &'static str,
}

impl EncodeLabelSet for WithReason<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.labels.encode(encoder)?;
        label(encoder, "reason", self.reason)
    }
}

fn label(
    encoder: &mut LabelSetEncoder<'_>,
    name: &'static str,
    value: impl EncodeLabelValue,
) -> fmt::Result {
    (name, value).encode(encoder.encode_label())
}

/// A metric with a series for each connection.
struct ConnMetric {
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    value: ConnValue,
}

enum ConnValue {
    Seconds(fn(&Connection) -> f64),
    Counter(fn(&Connection) -> u64),
    /// What the kernel says, if it does.
    KernelGauge(fn(&TcpInfo) -> Option<f64>),
    KernelCounter(fn(&TcpInfo) -> Option<u64>),
}

fn encode_connections(
    encoder: &mut DescriptorEncoder<'_>,
    tracker: &Tracker,
    max: usize,
    open: u64,
) -> fmt::Result {
    let oldest = Query::new().order(Order::Oldest).at_most(max).facts(true);
    let series: Vec<_> = tracker
        .query(&oldest)
        .into_iter()
        .map(|conn| {
            let info = conn.info();
            (conn, info)
        })
        .collect();
    for metric in CONN_METRICS {
        let kind = match metric.value {
            ConnValue::Seconds(_) | ConnValue::KernelGauge(_) => MetricType::Gauge,
            ConnValue::Counter(_) | ConnValue::KernelCounter(_) => MetricType::Counter,
        };
        let mut encoder = begin(encoder, metric.name, metric.unit, metric.help, kind)?;
        for (conn, info) in &series {
            let labels = ConnLabels(conn);
            let mut one = encoder.encode_family(&labels)?;
            match metric.value {
                ConnValue::Seconds(value) => one.encode_gauge(&value(conn))?,
                ConnValue::Counter(value) => encode_counter(&mut one, value(conn))?,
                ConnValue::KernelGauge(value) => {
                    if let Some(value) = info.as_ref().and_then(value) {
                        one.encode_gauge(&value)?;
                    }
                }
                ConnValue::KernelCounter(value) => {
                    if let Some(count) = info.as_ref().and_then(value) {
                        encode_counter(&mut one, count)?;
                    }
                }
            }
        }
    }
    let help = "Open connections without series of their own, beyond the maximum";
    let mut encoder = begin(encoder, "tcp_conn_omitted", None, help, MetricType::Gauge)?;
    encoder.encode_gauge(&open.saturating_sub(series.len() as u64))
}

/// Which connection a series is of.
struct ConnLabels<'a>(&'a Connection);

impl EncodeLabelSet for ConnLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(conn) = self;
        label(encoder, "id", conn.id().get())?;
        Labels::new(conn.category(), conn.role()).encode(encoder)?;
        for (address, port, value) in [
            ("network_local_address", "network_local_port", conn.local_addr()),
            ("network_peer_address", "network_peer_port", conn.remote_addr()),
        ] {
            label(encoder, address, value.map(|value| Text(value.ip())))?;
            label(encoder, port, value.map(|value| value.port()))?;
        }
        Ok(())
    }
}

/// A label value as it is displayed.
struct Text<T>(T);

impl<T: fmt::Display> EncodeLabelValue for Text<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        fmt::Write::write_fmt(encoder, format_args!("{}", self.0))
    }
}

/// What the kernel says of a quantity, in its base unit.
fn kernel(quantity: Quantity, info: &TcpInfo) -> Option<f64> {
    quantity.read(info).map(|value| quantity.in_base_unit(value as f64))
}

const CONN_METRICS: &[ConnMetric] = &[
    ConnMetric {
        name: "tcp_conn_age_seconds",
        unit: Some(Unit::Seconds),
        help: "Time since the connection was wrapped",
        value: ConnValue::Seconds(|conn| conn.age().as_secs_f64()),
    },
    ConnMetric {
        name: "tcp_conn_idle_seconds",
        unit: Some(Unit::Seconds),
        help: "Time since the program last moved a byte on the connection",
        value: ConnValue::Seconds(|conn| conn.idle().as_secs_f64()),
    },
    ConnMetric {
        name: "tcp_conn_application_received_bytes_total",
        unit: Some(Unit::Bytes),
        help: "Bytes that the program received on the connection",
        value: ConnValue::Counter(Connection::rx_bytes),
    },
    ConnMetric {
        name: "tcp_conn_application_sent_bytes_total",
        unit: Some(Unit::Bytes),
        help: "Bytes that the program sent on the connection",
        value: ConnValue::Counter(Connection::tx_bytes),
    },
    ConnMetric {
        name: "tcp_conn_rtt_seconds",
        unit: Some(Unit::Seconds),
        help: "Smoothed round-trip time of the connection",
        value: ConnValue::KernelGauge(|info| kernel(Quantity::Rtt, info)),
    },
    ConnMetric {
        name: "tcp_conn_min_rtt_seconds",
        unit: Some(Unit::Seconds),
        help: "The kernel's estimate of the least round-trip time of the connection",
        value: ConnValue::KernelGauge(|info| kernel(Quantity::MinRtt, info)),
    },
    ConnMetric {
        name: "tcp_conn_congestion_window_bytes",
        unit: Some(Unit::Bytes),
        help: "Congestion window of the connection",
        value: ConnValue::KernelGauge(|info| kernel(Quantity::CongestionWindow, info)),
    },
    ConnMetric {
        name: "tcp_conn_delivery_rate_bytes_per_second",
        unit: Some(Unit::BytesPerSecond),
        help: "Latest goodput sample of the connection, where the application did not hold it down",
        value: ConnValue::KernelGauge(|info| kernel(Quantity::DeliveryRate, info)),
    },
    ConnMetric {
        name: "tcp_conn_packets_retransmitted_total",
        unit: None,
        help: "Segments of the connection that the kernel sent again",
        value: ConnValue::KernelCounter(TcpInfo::retransmitted_segs),
    },
    ConnMetric {
        name: "tcp_conn_bytes_retransmitted_total",
        unit: None,
        help: "Payload of the connection that the kernel sent again, in bytes",
        value: ConnValue::KernelCounter(TcpInfo::retransmitted_bytes),
    },
];
