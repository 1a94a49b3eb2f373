//! A tracker's sums and its connections' ends for the facade `metrics`.

use std::sync::{
    Arc, Mutex, TryLockError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use metrics::{
    Label, Unit as FacadeUnit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::catalogue::{Labels, METRICS, Metric, Unit, Value, by_labels};
use crate::{
    CloseReason, FailReason, Observer, Report, Tracker,
    tracker::{Quantity, Sums},
};

/// Gives what a [`Tracker`] knows to the program's `metrics` recorder: the sums whenever
/// [`publish`](Self::publish) is called, and as an [`Observer`] what is observed of each connection
/// at its end.
///
/// Names and labels are those of `docs/metrics.md` in the repository. The facade's counters are
/// whole numbers, so the two of limited time are gauges here. Connections beyond the tracker's
/// number of [groups](crate::TrackerBuilder::groups) are recorded as
/// [`Group::OTHER`](crate::Group::OTHER).
///
/// ```
/// use conniver::{MetricsPublisher, Options, Tracker};
///
/// let tracker = Tracker::new();
/// let publisher = MetricsPublisher::new(&tracker);
/// let options = Options::new().category("api").tracker(&tracker).observer(publisher.clone());
///
/// drop(options.wrap_opaque(std::io::empty())); // records its duration
/// publisher.publish(); // every few seconds
/// ```
#[derive(Debug, Clone)]
pub struct MetricsPublisher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tracker: Tracker,
    is_described: AtomicBool,
    /// Held while sums are published, so that no older one comes after a newer one.
    publishing: Mutex<()>,
}

impl MetricsPublisher {
    /// A publisher of this tracker's sums. A clone is the same.
    pub fn new(tracker: &Tracker) -> Self {
        let inner = Inner {
            tracker: tracker.clone(),
            is_described: AtomicBool::new(false),
            publishing: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Gives the sums of all connections to the recorder, after asking the kernel once about every
    /// connection that is listed. Does nothing while a call is already at it: on another thread, or
    /// on this one, further up.
    pub fn publish(&self) {
        let Inner { tracker, is_described, publishing } = &*self.inner;
        let _alone = match publishing.try_lock() {
            Ok(alone) => alone,
            // A recorder panicked, and left nothing half done here.
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !is_described.swap(true, Relaxed) {
            METRICS.iter().for_each(Metric::describe);
        }
        let groups = tracker.sample(|_, _| {});
        for (labels, sums) in by_labels(&groups) {
            METRICS.iter().for_each(|metric| metric.publish(labels, &sums));
        }
    }
}

impl Observer for MetricsPublisher {
    fn closed(&self, report: &Report) {
        let group = self.inner.tracker.group_of(report);
        let info = report.closed_info();
        let labels = Labels::new(group.category.as_deref(), group.role);
        for metric in METRICS {
            let Value::Histogram(quantity) = metric.value else { continue };
            let value = match quantity {
                Quantity::Lived => Some(report.duration().as_secs_f64()),
                _ => {
                    let value = info.and_then(|info| quantity.read(&info));
                    value.map(|value| quantity.in_base_unit(value as f64))
                }
            };
            if let Some(value) = value {
                histogram!(metric.name, labels.to_facade()).record(value);
            }
        }
    }
}

impl Metric {
    fn describe(&self) {
        let unit = match self.unit {
            Some(Unit::Seconds) => FacadeUnit::Seconds,
            Some(Unit::Bytes) => FacadeUnit::Bytes,
            // The facade knows no bytes a second; the name says it.
            Some(Unit::BytesPerSecond) | None => FacadeUnit::Count,
        };
        match self.value {
            Value::Gauge(_) | Value::KernelTime(..) => describe_gauge!(self.name, unit, self.help),
            Value::Histogram(_) => describe_histogram!(self.name, unit, self.help),
            _ => describe_counter!(self.name, unit, self.help),
        }
    }

    fn publish(&self, labels: Labels<'_>, Sums { totals, told, .. }: &Sums) {
        let count = |labels, count| counter!(self.name, labels).absolute(count);
        match &self.value {
            Value::Gauge(value) => gauge!(self.name, labels.to_facade()).set(value(totals) as f64),
            Value::Counter(value) => count(labels.to_facade(), value(totals)),
            Value::KernelCounter(counted, value) if told.has(*counted) => {
                count(labels.to_facade(), value(totals));
            }
            Value::KernelTime(counted, value) if told.has(*counted) => {
                gauge!(self.name, labels.to_facade()).set(value(totals).as_secs_f64());
            }
            // Not told, or recorded at each connection's end.
            Value::KernelCounter(..) | Value::KernelTime(..) | Value::Histogram(_) => {}
            Value::Closed => {
                for reason in CloseReason::ALL {
                    count(labels.with_reason(reason.as_str()), totals.closed_by(reason));
                }
            }
            Value::Failed => {
                for reason in FailReason::ALL {
                    count(labels.with_reason(reason.as_str()), totals.failed_by(reason));
                }
            }
        }
    }
}

impl Labels<'_> {
    fn to_facade(self) -> Vec<Label> {
        vec![Label::new("category", self.category.to_owned()), Label::new("role", self.role)]
    }

    fn with_reason(self, reason: &'static str) -> Vec<Label> {
        let mut labels = self.to_facade();
        labels.push(Label::new("reason", reason));
        labels
    }
}
