//! What a tracker knows, as other people's tools want it.

#[cfg(any(feature = "metrics", feature = "prometheus-client"))]
mod catalogue;
#[cfg(feature = "tracing")]
mod events;
#[cfg(feature = "metrics")]
mod facade;
#[cfg(feature = "prometheus-client")]
mod prometheus;

#[cfg(feature = "tracing")]
pub use events::Tracing;
#[cfg(feature = "metrics")]
pub use facade::MetricsPublisher;
#[cfg(feature = "prometheus-client")]
pub use prometheus::TrackerCollector;
