//! The connection as QUIC sees it, which is to it what the kernel is to TCP.

use std::{net::SocketAddr, time::Duration};

use quinn::VarInt;
use serde::{Serialize, Serializer};
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

/// What is known about a connection.
#[derive(Clone, Serialize)]
pub(crate) struct Record {
    #[serde(rename = "local_addr", skip_serializing_if = "Option::is_none")]
    pub(crate) local: Option<SocketAddr>,
    #[serde(rename = "remote_addr")]
    pub(crate) remote: SocketAddr,
    /// Right after the handshake.
    pub(crate) opened: Snapshot,
    /// When the request had ended, and before the connection was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<Snapshot>,
    #[serde(skip)]
    connection: quinn::Connection,
}

impl Record {
    pub(super) fn new(
        connection: quinn::Connection,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) -> Self {
        // An unconnected socket has only a port of its own.
        let local = local.filter(|local| !local.ip().is_unspecified());
        let opened = Snapshot::of(&connection);
        Self { local, remote, opened, closed: None, connection }
    }

    /// Takes the last facts and says goodbye, so that the server need not wait for more.
    ///
    /// A goodbye that does not leave in time is not waited for: the server notices by itself.
    pub(crate) async fn close_within(&mut self, limit: Duration) {
        self.closed.get_or_insert_with(|| Snapshot::of(&self.connection));
        let sent = || self.connection.stats().udp_tx.datagrams;
        let before = sent();
        let is_over = self.connection.close_reason().is_some();
        self.connection.close(NO_ERROR, b"");
        let gone = async {
            yield_now().await;
            while sent() == before && !is_over {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = timeout(limit, gone).await;
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("opened", &self.opened)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// The facts of one moment. Counters are those since the connection began, handshake included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Snapshot {
    /// Smoothed (RFC 9002, section 5.3).
    #[serde(rename = "rtt_ms", serialize_with = "milliseconds")]
    pub(crate) rtt: Duration,
    #[serde(rename = "min_rtt_ms", serialize_with = "milliseconds")]
    pub(crate) min_rtt: Duration,
    pub(crate) cwnd_bytes: u64,
    /// The longest UDP payload that the path is known to carry.
    pub(crate) datagram_bytes: u16,
    pub(crate) sent_packets: u64,
    pub(crate) lost_packets: u64,
    pub(crate) lost_bytes: u64,
    /// Times the congestion window was reduced.
    pub(crate) congestion_events: u64,
    /// Packets sent to find out whether the path carries longer ones; losing them is no loss.
    pub(crate) mtu_probes_sent: u64,
    pub(crate) mtu_probes_lost: u64,
    /// Times the path ceased to carry packets of a length that it had carried.
    pub(crate) black_holes: u64,
    pub(crate) sent_datagrams: u64,
    /// UDP payload.
    pub(crate) sent_bytes: u64,
    pub(crate) received_datagrams: u64,
    pub(crate) received_bytes: u64,
}

impl Snapshot {
    fn of(connection: &quinn::Connection) -> Self {
        let stats = connection.stats();
        let (path, sent, received) = (stats.path, stats.udp_tx, stats.udp_rx);
        Self {
            rtt: path.rtt,
            min_rtt: path.min_rtt,
            cwnd_bytes: path.cwnd,
            datagram_bytes: path.current_mtu,
            sent_packets: path.sent_packets,
            lost_packets: path.lost_packets,
            lost_bytes: path.lost_bytes,
            congestion_events: path.congestion_events,
            mtu_probes_sent: path.sent_plpmtud_probes,
            mtu_probes_lost: path.lost_plpmtud_probes,
            black_holes: path.black_holes_detected,
            sent_datagrams: sent.datagrams,
            sent_bytes: sent.bytes,
            received_datagrams: received.datagrams,
            received_bytes: received.bytes,
        }
    }
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_nanos() as f64 / 1e6)
}

/// RFC 9114, section 8.1: `H3_NO_ERROR`.
const NO_ERROR: VarInt = VarInt::from_u32(0x100);
