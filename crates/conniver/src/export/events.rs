//! Connections as events and spans of `tracing`.

use std::{fmt, net::SocketAddr, time::Duration};

use tracing::{Span, field::display};

use crate::{CloseReason, FailedConn, Handle, Observer, Report, Role};

/// The target of every event and span, for filters.
const TARGET: &str = "conniver";

/// An [`Observer`] that emits an event of `tracing` for each connection's opening (debug), its end
/// (info, or warn if it ended in an error or its facts hold a warning), and each that did not come
/// about (warn). The target is `conniver`.
///
/// | field | of | |
/// |---|---|---|
/// | `conn.id` | opening, end | number, unique in this process |
/// | `conn.category`, `conn.role` | all | as the options say |
/// | `network.local.address`, `network.local.port` | opening, end | |
/// | `network.peer.address`, `network.peer.port` | all | of a failure the last address tried |
/// | `conn.reason` | end, failure | why, in snake case |
/// | `conn.duration_s` | end, failure | seconds: the life, or how long it took to fail |
/// | `conn.rx_bytes`, `conn.tx_bytes` | end | what the program received and sent |
/// | `conn.rx_ops`, `conn.tx_ops` | end | reads and writes that moved something |
/// | `conn.reconnects` | end | attempts that failed before |
/// | `tcp.rtt_s`, `tcp.min_rtt_s` | end | seconds, as of right before the close |
/// | `tcp.packets_retransmitted`, `tcp.bytes_retransmitted` | end | by the kernel |
/// | `tcp.cwnd_bytes`, `tcp.delivery_rate` | end | bytes; bytes a second, unless the application held it down |
/// | `conn.warnings` | end | what deserves attention, as text |
/// | `conn.rx_error`, `conn.tx_error`, `conn.close_error`, `conn.info_error` | end | text |
/// | `conn.target` | failure | the name that was asked for |
/// | `conn.attempts` | failure | number of addresses that were tried |
/// | `error` | failure | text of the last error |
///
/// What is absent is not recorded.
///
/// ```
/// use conniver::{Options, Tracing};
///
/// let options = Options::new().category("api").observer(Tracing::new());
/// drop(options.wrap_opaque(std::io::empty())); // two events, if a subscriber wants them
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tracing {}

impl Tracing {
    /// The observer.
    pub const fn new() -> Self {
        Self {}
    }
}

impl Observer for Tracing {
    fn opened(&self, conn: &Handle) {
        let (local, peer) = (conn.local_addr(), conn.remote_addr());
        tracing::debug!(
            target: TARGET,
            {
                conn.id = conn.id().get(),
                conn.category = conn.category(),
                conn.role = conn.role().map(Role::as_str),
                network.local.address = local.map(ip),
                network.local.port = local.map(port),
                network.peer.address = peer.map(ip),
                network.peer.port = peer.map(port),
            },
            "connection opened"
        );
    }

    fn closed(&self, report: &Report) {
        // Warnings are looked for only if somebody wants to hear of them.
        if !tracing::enabled!(target: TARGET, tracing::Level::WARN) {
            return;
        }
        let warnings = Joined(report.warnings());
        let info = report.closed_info();
        let is_saturated = info.and_then(|info| info.app_limited()) == Some(false);
        macro_rules! emit {
            ($event:ident) => {
                tracing::$event!(
                    target: TARGET,
                    {
                        conn.id = report.id.get(),
                        conn.category = report.category(),
                        conn.role = report.role.map(Role::as_str),
                        network.local.address = report.local_addr.map(ip),
                        network.local.port = report.local_addr.map(port),
                        network.peer.address = report.remote_addr.map(ip),
                        network.peer.port = report.remote_addr.map(port),
                        conn.reason = report.reason.as_str(),
                        conn.duration_s = report.duration().as_secs_f64(),
                        conn.rx_bytes = report.rx_bytes,
                        conn.tx_bytes = report.tx_bytes,
                        conn.rx_ops = report.rx_ops,
                        conn.tx_ops = report.tx_ops,
                        conn.reconnects = report.reconnects,
                        tcp.rtt_s = info.and_then(|info| info.rtt()).map(seconds),
                        tcp.min_rtt_s = info.and_then(|info| info.min_rtt()).map(seconds),
                        tcp.packets_retransmitted = info.and_then(|info| info.retransmitted_segs()),
                        tcp.bytes_retransmitted = info.and_then(|info| info.retransmitted_bytes()),
                        tcp.cwnd_bytes = info.and_then(|info| info.tx_cwnd()),
                        tcp.delivery_rate = info.and_then(|info| info.delivery_rate()).filter(|_| is_saturated),
                        conn.warnings = (!warnings.0.is_empty()).then(|| display(&warnings)),
                        conn.rx_error = report.rx_err.as_ref().map(|error| &*error.text),
                        conn.tx_error = report.tx_err.as_ref().map(|error| &*error.text),
                        conn.close_error = report.close_err.as_ref().map(|error| &*error.text),
                        conn.info_error = report.info_err.as_ref().map(|error| &*error.text),
                    },
                    "connection closed"
                )
            };
        }
        if has_failed(report) || !warnings.0.is_empty() {
            emit!(warn);
        } else {
            emit!(info);
        }
    }

    fn failed(&self, failed: &FailedConn) {
        let peer = failed.attempts.last().map(|attempt| attempt.addr);
        tracing::warn!(
            target: TARGET,
            {
                conn.category = failed.category(),
                conn.role = failed.role().map(Role::as_str),
                network.peer.address = peer.map(ip),
                network.peer.port = peer.map(port),
                conn.reason = failed.reason.as_str(),
                conn.duration_s = failed.took.as_secs_f64(),
                conn.target = failed.target.as_deref(),
                conn.attempts = failed.attempts.len(),
                error = failed.error.as_ref().map(|error| &*error.text),
            },
            "connection failed"
        );
    }
}

impl Handle {
    /// A span of `tracing` for work on this connection, at level info and named `conn`, with its
    /// identity, labels and addresses under the names of [`Tracing`].
    ///
    /// ```
    /// let conn = conniver::Options::new().wrap_opaque(std::io::empty());
    /// let _guard = conn.handle().span().entered(); // or, for a future: .instrument(span)
    /// ```
    pub fn span(&self) -> Span {
        let (local, peer) = (self.local_addr(), self.remote_addr());
        tracing::info_span!(
            target: TARGET,
            "conn",
            conn.id = self.id().get(),
            conn.category = self.category(),
            conn.role = self.role().map(Role::as_str),
            network.local.address = local.map(ip),
            network.local.port = local.map(port),
            network.peer.address = peer.map(ip),
            network.peer.port = peer.map(port),
        )
    }
}

/// Whether the connection ended in an error.
fn has_failed(report: &Report) -> bool {
    let errors = [&report.rx_err, &report.tx_err, &report.close_err];
    let reasons = [CloseReason::ResetReceived, CloseReason::TimedOut, CloseReason::Error];
    errors.into_iter().any(Option::is_some) || reasons.contains(&report.reason)
}

fn ip(address: SocketAddr) -> tracing::field::DisplayValue<std::net::IpAddr> {
    display(address.ip())
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

const fn port(address: SocketAddr) -> u16 {
    address.port()
}

/// Several texts in one.
struct Joined<T>(Vec<T>);

impl<T: fmt::Display> fmt::Display for Joined<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, item) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}
