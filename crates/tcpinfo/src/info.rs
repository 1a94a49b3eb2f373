use std::time::Duration;

use crate::{
    AsSock, CaState, CongestionName, Error, Options, State, Thresholds, Warning,
    native::{Native, linux::LinuxTcpInfo},
    sys, warning,
};

/// What the kernel knows about one TCP connection: one meaning and one unit on every system.
///
/// A field is `None` where this system, its version or the connection's state gives no answer; the
/// [`native`](Self::native) structure tells these cases apart. Sizes are bytes unless the name ends
/// in `_segs` or `_packets`. Counters that the kernel keeps in 32 bits wrap there.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use std::net::{TcpListener, TcpStream};
/// use tcpinfo::{State, TcpInfo};
///
/// let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
///
/// let info = TcpInfo::read(&client).unwrap();
/// assert_eq!(info.state, Some(State::Established));
/// println!("round trip {:?}, window {:?} segments", info.rtt, info.tx_cwnd_segs);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// State of the connection.
    ///
    /// Linux: `tcpi_state`.
    pub state: Option<State>,
    /// State of the sender's loss recovery.
    ///
    /// Linux: `tcpi_ca_state`.
    pub ca_state: Option<CaState>,
    /// Options negotiated: properties of the connection, not of a direction.
    ///
    /// Linux: `tcpi_options`.
    pub options: Option<Options>,
    /// Window scale shift that we announced; absent without window scaling.
    ///
    /// Linux: `tcpi_rcv_wscale`, named after the window that the shift belongs to.
    pub tx_window_scale: Option<u8>,
    /// Window scale shift that the peer announced; absent without window scaling.
    ///
    /// Linux: `tcpi_snd_wscale`.
    pub rx_window_scale: Option<u8>,
    /// Largest segment we send at the moment.
    ///
    /// Linux: `tcpi_snd_mss`.
    pub tx_mss: Option<u32>,
    /// Segment size of the peer; on Linux an estimate, 536 until larger segments arrive.
    ///
    /// Linux: `tcpi_rcv_mss`.
    pub rx_mss: Option<u32>,
    /// Path MTU.
    ///
    /// Linux: `tcpi_pmtu`.
    pub path_mtu: Option<u32>,
    /// Smoothed round-trip time; absent until the first sample.
    ///
    /// Linux: `tcpi_rtt` (µs).
    pub rtt: Option<Duration>,
    /// Mean deviation of the round-trip time; absent until the first sample.
    ///
    /// Linux: `tcpi_rttvar` (µs).
    pub rtt_var: Option<Duration>,
    /// Minimum round-trip time; absent until the first sample. On Linux of the last five minutes.
    ///
    /// Linux: `tcpi_min_rtt` (µs, 4.6).
    pub min_rtt: Option<Duration>,
    /// Round-trip time as the receiving side estimates it; absent until the first sample.
    ///
    /// Linux: `tcpi_rcv_rtt` (µs).
    pub rx_rtt: Option<Duration>,
    /// Retransmission timeout.
    ///
    /// Linux: `tcpi_rto` (µs, in steps of the tick).
    pub rto: Option<Duration>,
    /// Delayed-acknowledgement timeout; absent until data arrived.
    ///
    /// Linux: `tcpi_ato` (µs, in steps of the tick).
    pub ato: Option<Duration>,
    /// Time since data was last sent; absent if none was.
    ///
    /// Linux: `tcpi_last_data_sent` (ms, in steps of the tick).
    pub last_tx_age: Option<Duration>,
    /// Time since data last arrived; absent if none did.
    ///
    /// Linux: `tcpi_last_data_recv` (ms, in steps of the tick).
    pub last_rx_age: Option<Duration>,
    /// Time since an acknowledgement was last sent. Linux never fills its field.
    pub last_tx_ack_age: Option<Duration>,
    /// Time since an acknowledgement last arrived.
    ///
    /// Linux: `tcpi_last_ack_recv` (ms, in steps of the tick).
    pub last_rx_ack_age: Option<Duration>,
    /// Window that we advertised last, scaled.
    ///
    /// Linux: `tcpi_rcv_wnd` (6.2; `tcpi_rcv_space` is not a window).
    pub rx_window: Option<u64>,
    /// Window that the peer advertised, scaled.
    ///
    /// Linux: `tcpi_snd_wnd` (5.4).
    pub tx_window: Option<u64>,
    /// Slow start threshold; absent while slow start was never left. On Linux segments times the
    /// segment size of the moment.
    ///
    /// Linux: `tcpi_snd_ssthresh` × `tcpi_snd_mss`.
    pub tx_ssthresh: Option<u64>,
    /// Slow start threshold in segments, on systems that count it so.
    ///
    /// Linux: `tcpi_snd_ssthresh`.
    pub tx_ssthresh_segs: Option<u64>,
    /// How far the advertised receive window may grow at the moment.
    ///
    /// Linux: `tcpi_rcv_ssthresh`.
    pub rx_ssthresh: Option<u64>,
    /// Congestion window. On Linux segments times the segment size of the moment.
    ///
    /// Linux: `tcpi_snd_cwnd` × `tcpi_snd_mss`.
    pub tx_cwnd: Option<u64>,
    /// Congestion window in segments.
    ///
    /// Linux: `tcpi_snd_cwnd`.
    pub tx_cwnd_segs: Option<u64>,
    /// By how many segments the path may reorder before a loss is assumed.
    ///
    /// Linux: `tcpi_reordering`.
    pub reordering_segs: Option<u64>,
    /// Segments retransmitted in the connection's life.
    ///
    /// Linux: `tcpi_total_retrans`.
    pub retransmitted_segs: Option<u64>,
    /// Payload retransmitted in the connection's life.
    ///
    /// Linux: `tcpi_bytes_retrans` (4.19).
    pub retransmitted: Option<u64>,
    /// Retransmission timeouts in the connection's life.
    ///
    /// Linux: `tcpi_total_rto` (6.7, wraps at 2^16).
    pub timeouts: Option<u64>,
    /// How often the retransmission timeout is doubled at the moment.
    ///
    /// Linux: `tcpi_backoff`.
    pub backoff: Option<u8>,
    /// Zero-window or keepalive probes sent in a row and not answered.
    ///
    /// Linux: `tcpi_probes`.
    pub unanswered_probes: Option<u8>,
    /// Duplicates that the peer reported: evidence of needless retransmissions.
    ///
    /// Linux: `tcpi_dsack_dups` (4.19).
    pub spurious_retransmits: Option<u64>,
    /// Payload sent, retransmissions included.
    ///
    /// Linux: `tcpi_bytes_sent` (4.19).
    pub tx_bytes: Option<u64>,
    /// Payload acknowledged by the peer. On Linux plus one for the SYN of the side that connected
    /// and one for the FIN.
    ///
    /// Linux: `tcpi_bytes_acked` (4.1).
    pub tx_acked_bytes: Option<u64>,
    /// Payload received in order. On Linux plus one for the peer's FIN.
    ///
    /// Linux: `tcpi_bytes_received` (4.1).
    pub rx_bytes: Option<u64>,
    /// Segments sent of any kind.
    ///
    /// Linux: `tcpi_segs_out` (4.2).
    pub tx_segs: Option<u64>,
    /// Segments received of any kind.
    ///
    /// Linux: `tcpi_segs_in` (4.2).
    pub rx_segs: Option<u64>,
    /// Segments with payload sent, retransmissions included.
    ///
    /// Linux: `tcpi_data_segs_out` (4.6).
    pub tx_data_segs: Option<u64>,
    /// Segments with payload received.
    ///
    /// Linux: `tcpi_data_segs_in` (4.6).
    pub rx_data_segs: Option<u64>,
    /// Packets received out of order.
    ///
    /// Linux: `tcpi_rcv_ooopack` (5.4).
    pub rx_out_of_order_packets: Option<u64>,
    /// Reordering events seen by the sender.
    ///
    /// Linux: `tcpi_reord_seen` (4.19).
    pub reordering_events: Option<u64>,
    /// Segments delivered that the peer reported as marked for congestion.
    ///
    /// Linux: `tcpi_delivered_ce` (4.18).
    pub tx_ce_segs: Option<u64>,
    /// Segments received with a congestion mark.
    ///
    /// Linux: `tcpi_received_ce` (6.18).
    pub rx_ce_segs: Option<u64>,
    /// Most recent goodput sample in bytes a second; absent until there is one.
    ///
    /// Linux: `tcpi_delivery_rate` (4.9).
    pub delivery_rate: Option<u64>,
    /// Whether that sample was held down by the application rather than by the network.
    ///
    /// Linux: `tcpi_delivery_rate_app_limited` (4.9).
    pub app_limited: Option<bool>,
    /// Rate at which sending is paced, in bytes a second; absent if unlimited.
    ///
    /// Linux: `tcpi_pacing_rate` (3.15).
    pub pacing_rate: Option<u64>,
    /// Segments in flight: sent, not acknowledged, not taken for lost.
    ///
    /// Linux: `tcpi_unacked` − `tcpi_sacked` − `tcpi_lost` + `tcpi_retrans`.
    pub in_flight_segs: Option<u64>,
    /// Bytes in the send queue that were not sent yet.
    ///
    /// Linux: `tcpi_notsent_bytes` (4.6).
    pub unsent_bytes: Option<u64>,
    /// Connections that wait to be accepted; only of a listening socket.
    ///
    /// Linux: `tcpi_unacked`.
    pub accept_queue: Option<u64>,
    /// Limit of the accept queue; only of a listening socket.
    ///
    /// Linux: `tcpi_sacked`.
    pub accept_queue_limit: Option<u64>,
    /// Time with data outstanding, including the two limited times below.
    ///
    /// Linux: `tcpi_busy_time` (µs, 4.10).
    pub busy_time: Option<Duration>,
    /// Time that sending stood still for the peer's receive window.
    ///
    /// Linux: `tcpi_rwnd_limited` (µs, 4.10).
    pub peer_window_limited: Option<Duration>,
    /// Time that sending stood still for our send buffer.
    ///
    /// Linux: `tcpi_sndbuf_limited` (µs, 4.10).
    pub send_buffer_limited: Option<Duration>,
    /// Name of the congestion control algorithm; absent if it was not asked for or not told.
    ///
    /// Linux: `TCP_CONGESTION`.
    pub congestion: Option<CongestionName>,
    native: Native,
}

impl TcpInfo {
    /// Asks the kernel about one socket: two system calls, no heap allocation.
    ///
    /// If only the name of the congestion control algorithm cannot be had, it is left absent.
    ///
    /// # Errors
    ///
    /// Not a socket, not a TCP socket, not open, not supported on this system: see
    /// [`ErrorKind`](crate::ErrorKind).
    #[inline]
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        let sock = sock.as_sock();
        let native = sys::tcp_info(sock)?;
        Ok(Self::from_native(native, sys::congestion_name(sock).ok()))
    }

    /// The portable view of a structure, with the congestion control name if it is known.
    #[inline]
    pub fn from_native(native: Native, congestion: Option<CongestionName>) -> Self {
        match native {
            Native::Linux(info) => Self::from_linux(&info, congestion),
        }
    }

    /// The operating system's own structure with all its fields, also those that have no portable
    /// counterpart.
    pub const fn native(&self) -> &Native {
        &self.native
    }

    /// What in these facts deserves attention, by the default [`Thresholds`].
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings_above(&Thresholds::default())
    }

    /// What in these facts reaches the given thresholds; each kind of warning at most once.
    pub fn warnings_above(&self, thresholds: &Thresholds) -> Vec<Warning> {
        warning::find(self, thresholds)
    }

    fn from_linux(info: &LinuxTcpInfo, congestion: Option<CongestionName>) -> Self {
        let tx_mss = info.snd_mss().value();
        let in_bytes = |segs: Option<u64>| Some(segs?.saturating_mul(u64::from(tx_mss?)));
        let tx_ssthresh_segs = info.snd_ssthresh().value().map(u64::from);
        let tx_cwnd_segs = info.snd_cwnd().value().map(u64::from);
        Self {
            state: info.state().value(),
            ca_state: info.ca_state().value(),
            options: info.options().value(),
            tx_window_scale: info.rcv_wscale().value(),
            rx_window_scale: info.snd_wscale().value(),
            tx_mss,
            rx_mss: info.rcv_mss().value(),
            path_mtu: info.pmtu().value(),
            rtt: info.rtt().value(),
            rtt_var: info.rttvar().value(),
            min_rtt: info.min_rtt().value(),
            rx_rtt: info.rcv_rtt().value(),
            rto: info.rto().value(),
            ato: info.ato().value(),
            last_tx_age: info.last_data_sent().value(),
            last_rx_age: info.last_data_recv().value(),
            last_tx_ack_age: info.last_ack_sent().value(),
            last_rx_ack_age: info.last_ack_recv().value(),
            rx_window: info.rcv_wnd().value().map(u64::from),
            tx_window: info.snd_wnd().value().map(u64::from),
            tx_ssthresh: in_bytes(tx_ssthresh_segs),
            tx_ssthresh_segs,
            rx_ssthresh: info.rcv_ssthresh().value().map(u64::from),
            tx_cwnd: in_bytes(tx_cwnd_segs),
            tx_cwnd_segs,
            reordering_segs: info.reordering().value().map(u64::from),
            retransmitted_segs: info.total_retrans().value().map(u64::from),
            retransmitted: info.bytes_retrans().value(),
            timeouts: info.total_rto().value().map(u64::from),
            backoff: info.backoff().value(),
            unanswered_probes: info.probes().value(),
            spurious_retransmits: info.dsack_dups().value().map(u64::from),
            tx_bytes: info.bytes_sent().value(),
            tx_acked_bytes: info.bytes_acked().value(),
            rx_bytes: info.bytes_received().value(),
            tx_segs: info.segs_out().value().map(u64::from),
            rx_segs: info.segs_in().value().map(u64::from),
            tx_data_segs: info.data_segs_out().value().map(u64::from),
            rx_data_segs: info.data_segs_in().value().map(u64::from),
            rx_out_of_order_packets: info.rcv_ooopack().value().map(u64::from),
            reordering_events: info.reord_seen().value().map(u64::from),
            tx_ce_segs: info.delivered_ce().value().map(u64::from),
            rx_ce_segs: info.received_ce().value().map(u64::from),
            delivery_rate: info.delivery_rate().value(),
            app_limited: info.delivery_rate_app_limited().value(),
            pacing_rate: info.pacing_rate().value(),
            in_flight_segs: linux_in_flight(info),
            unsent_bytes: info.notsent_bytes().value().map(u64::from),
            accept_queue: info.accept_queue().value().map(u64::from),
            accept_queue_limit: info.accept_queue_limit().value().map(u64::from),
            busy_time: info.busy_time().value(),
            peer_window_limited: info.rwnd_limited().value(),
            send_buffer_limited: info.sndbuf_limited().value(),
            congestion,
            native: Native::Linux(*info),
        }
    }
}

/// `tcp_packets_in_flight` of `include/net/tcp.h`.
fn linux_in_flight(info: &LinuxTcpInfo) -> Option<u64> {
    let unacked = u64::from(info.unacked().value()?);
    let left = u64::from(info.sacked().value()?) + u64::from(info.lost().value()?);
    Some(unacked.saturating_sub(left) + u64::from(info.retrans().value()?))
}
