use std::{fmt, time::Duration};

use crate::{
    AsSock, CaState, CongestionName, Error, Options, Reading, State, Thresholds, Warning,
    fields::Value,
    native::{Native, linux::LinuxTcpInfo},
    sys, warning,
};

/// What the kernel knows about one TCP connection: one meaning and one unit on every system.
///
/// Each fact is a method, decoded when it is asked for. It is `None` where this system, its version
/// or the connection's state gives no answer; the [`native`](Self::native) structure tells these
/// cases apart. Sizes, windows and rates are bytes unless the name ends in `_segs` or `_packets`.
/// Counters that the kernel keeps in 32 bits wrap there.
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
/// assert_eq!(info.state(), Some(State::Established));
/// println!("round trip {:?}, window {:?} segments", info.rtt(), info.tx_cwnd_segs());
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    native: Native,
    congestion: Option<CongestionName>,
}

impl TcpInfo {
    /// Asks the kernel about one socket: two system calls, no heap allocation.
    ///
    /// If only the name of the congestion control algorithm cannot be had, it is left absent;
    /// [`Congestion::read`](crate::Congestion::read) says why.
    ///
    /// # Errors
    ///
    /// Not a socket, not a TCP socket, not open, not supported on this system: see
    /// [`ErrorKind`](crate::ErrorKind).
    #[inline]
    pub fn read(sock: &(impl AsSock + ?Sized)) -> Result<Self, Error> {
        let sock = sock.as_sock();
        let answer = sys::tcp_info(sock);
        match &answer {
            // Borrowed, because taking it out of the answer would move half a kilobyte.
            Ok(native) => Ok(Self::from_native(*native, sys::congestion_name(sock).ok())),
            Err(_) => answer.map(|native| Self::from_native(native, None)),
        }
    }

    /// The portable view of a structure, with the congestion control name if it is known.
    #[inline]
    pub const fn from_native(native: Native, congestion: Option<CongestionName>) -> Self {
        Self { native, congestion }
    }

    /// The operating system's own structure with all its fields, also those that have no portable
    /// counterpart.
    #[inline]
    pub const fn native(&self) -> &Native {
        &self.native
    }

    /// Name of the congestion control algorithm; absent if it was not asked for or not told.
    ///
    /// Linux: `TCP_CONGESTION`.
    #[inline]
    pub const fn congestion(&self) -> Option<CongestionName> {
        self.congestion
    }

    /// Options negotiated: properties of the connection, not of a direction.
    ///
    /// Linux: `tcpi_options`.
    #[inline]
    pub fn options(&self) -> Option<Options> {
        match &self.native {
            Native::Linux(info) => info.options().value(),
        }
    }

    /// What in these facts deserves attention, by the default [`Thresholds`].
    pub fn warnings(&self) -> Vec<Warning> {
        self.warnings_above(&Thresholds::default())
    }

    /// What in these facts reaches the given thresholds; each kind of warning at most once.
    pub fn warnings_above(&self, thresholds: &Thresholds) -> Vec<Warning> {
        warning::find(self, thresholds)
    }
}

impl fmt::Debug for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TcpInfo");
        for (key, value) in self.facts() {
            if let Some(value) = value {
                out.field(key, &format_args!("{value}"));
            }
        }
        out.field("options", &self.options()).field("congestion", &self.congestion).finish()
    }
}

/// Declares the portable facts: for each a documented method, its key in JSON, and where each
/// system has it.
macro_rules! portable {
    ($(
        $(#[$doc:meta])*
        $name:ident: $ty:ty as $key:literal { $($system:ident($info:ident) => $value:expr),+ }
    )*) => {
        impl TcpInfo {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $name(&self) -> Option<$ty> {
                    match &self.native {
                        $(Native::$system($info) => $value,)+
                    }
                }
            )*

            /// Every fact that is a single value, with its key in JSON.
            pub fn facts(&self) -> impl Iterator<Item = (&'static str, Option<Value>)> {
                [$(($key, self.$name().map(Value::from))),*].into_iter()
            }
        }
    };
}

portable! {
    /// State of the connection.
    ///
    /// Linux: `tcpi_state`.
    state: State as "state" { Linux(info) => info.state().value() }

    /// State of the sender's loss recovery.
    ///
    /// Linux: `tcpi_ca_state`.
    ca_state: CaState as "caState" { Linux(info) => info.ca_state().value() }

    /// Window scale shift that we announced; absent without window scaling.
    ///
    /// Linux: `tcpi_rcv_wscale`, named after the window that the shift belongs to.
    tx_window_scale: u8 as "txWindowScale" { Linux(info) => info.rcv_wscale().value() }

    /// Window scale shift that the peer announced; absent without window scaling.
    ///
    /// Linux: `tcpi_snd_wscale`.
    rx_window_scale: u8 as "rxWindowScale" { Linux(info) => info.snd_wscale().value() }

    /// Largest segment we send at the moment.
    ///
    /// Linux: `tcpi_snd_mss`.
    tx_mss: u32 as "txMSS" { Linux(info) => info.snd_mss().value() }

    /// Segment size of the peer; on Linux an estimate, 536 until larger segments arrive.
    ///
    /// Linux: `tcpi_rcv_mss`.
    rx_mss: u32 as "rxMSS" { Linux(info) => info.rcv_mss().value() }

    /// Path MTU.
    ///
    /// Linux: `tcpi_pmtu`.
    path_mtu: u32 as "pathMTU" { Linux(info) => info.pmtu().value() }

    /// Smoothed round-trip time; absent until the first sample.
    ///
    /// Linux: `tcpi_rtt` (µs).
    rtt: Duration as "rtt" { Linux(info) => info.rtt().value() }

    /// Mean deviation of the round-trip time; absent until the first sample.
    ///
    /// Linux: `tcpi_rttvar` (µs).
    rtt_var: Duration as "rttVar" { Linux(info) => info.rttvar().value() }

    /// Minimum round-trip time; absent until the first sample. On Linux of the last five minutes.
    ///
    /// Linux: `tcpi_min_rtt` (µs, 4.6).
    min_rtt: Duration as "minRTT" { Linux(info) => info.min_rtt().value() }

    /// Round-trip time as the receiving side estimates it; absent until the first sample.
    ///
    /// Linux: `tcpi_rcv_rtt` (µs).
    rx_rtt: Duration as "rxRTT" { Linux(info) => info.rcv_rtt().value() }

    /// Retransmission timeout.
    ///
    /// Linux: `tcpi_rto` (µs, in steps of the tick).
    rto: Duration as "rto" { Linux(info) => info.rto().value() }

    /// Delayed-acknowledgement timeout; absent until data arrived.
    ///
    /// Linux: `tcpi_ato` (µs, in steps of the tick).
    ato: Duration as "ato" { Linux(info) => info.ato().value() }

    /// Time since data was last sent; absent if none was.
    ///
    /// Linux: `tcpi_last_data_sent` (ms, in steps of the tick).
    last_tx_age: Duration as "lastTxAt" { Linux(info) => info.last_data_sent().value() }

    /// Time since data last arrived; absent if none did.
    ///
    /// Linux: `tcpi_last_data_recv` (ms, in steps of the tick).
    last_rx_age: Duration as "lastRxAt" { Linux(info) => info.last_data_recv().value() }

    /// Time since an acknowledgement was last sent. Linux never fills its field.
    last_tx_ack_age: Duration as "lastTxAckAt" { Linux(info) => info.last_ack_sent().value() }

    /// Time since an acknowledgement last arrived.
    ///
    /// Linux: `tcpi_last_ack_recv` (ms, in steps of the tick).
    last_rx_ack_age: Duration as "lastRxAckAt" { Linux(info) => info.last_ack_recv().value() }

    /// Window that we advertised last, scaled.
    ///
    /// Linux: `tcpi_rcv_wnd` (6.2; `tcpi_rcv_space` is not a window).
    rx_window: u64 as "rxWindow" { Linux(info) => wide(info.rcv_wnd()) }

    /// Window that the peer advertised, scaled.
    ///
    /// Linux: `tcpi_snd_wnd` (5.4).
    tx_window: u64 as "txWindow" { Linux(info) => wide(info.snd_wnd()) }

    /// Slow start threshold; absent while slow start was never left. On Linux segments times the
    /// segment size of the moment.
    ///
    /// Linux: `tcpi_snd_ssthresh` × `tcpi_snd_mss`.
    tx_ssthresh: u64 as "txSSThreshold" { Linux(info) => segs_in_bytes(info, info.snd_ssthresh()) }

    /// Slow start threshold in segments, on systems that count it so.
    ///
    /// Linux: `tcpi_snd_ssthresh`.
    tx_ssthresh_segs: u64 as "txSSThresholdSegs" { Linux(info) => wide(info.snd_ssthresh()) }

    /// How far the advertised receive window may grow at the moment.
    ///
    /// Linux: `tcpi_rcv_ssthresh`.
    rx_ssthresh: u64 as "rxSSThreshold" { Linux(info) => wide(info.rcv_ssthresh()) }

    /// Congestion window. On Linux segments times the segment size of the moment.
    ///
    /// Linux: `tcpi_snd_cwnd` × `tcpi_snd_mss`.
    tx_cwnd: u64 as "txCWindowBytes" { Linux(info) => segs_in_bytes(info, info.snd_cwnd()) }

    /// Congestion window in segments.
    ///
    /// Linux: `tcpi_snd_cwnd`.
    tx_cwnd_segs: u64 as "txCWindowSegs" { Linux(info) => wide(info.snd_cwnd()) }

    /// By how many segments the path may reorder before a loss is assumed.
    ///
    /// Linux: `tcpi_reordering`.
    reordering_segs: u64 as "reorderingSegs" { Linux(info) => wide(info.reordering()) }

    /// Segments retransmitted in the connection's life.
    ///
    /// Linux: `tcpi_total_retrans`.
    retransmitted_segs: u64 as "retransmits" { Linux(info) => wide(info.total_retrans()) }

    /// Payload retransmitted in the connection's life.
    ///
    /// Linux: `tcpi_bytes_retrans` (4.19).
    retransmitted_bytes: u64 as "retransmittedBytes" { Linux(info) => info.bytes_retrans().value() }

    /// Retransmission timeouts in the connection's life.
    ///
    /// Linux: `tcpi_total_rto` (6.7, wraps at 2^16).
    timeouts: u64 as "timeouts" { Linux(info) => wide(info.total_rto()) }

    /// How often the retransmission timeout is doubled at the moment.
    ///
    /// Linux: `tcpi_backoff`.
    backoff: u8 as "backoff" { Linux(info) => info.backoff().value() }

    /// Zero-window or keepalive probes sent in a row and not answered.
    ///
    /// Linux: `tcpi_probes`.
    unanswered_probes: u8 as "unansweredProbes" { Linux(info) => info.probes().value() }

    /// Duplicates that the peer reported: evidence of needless retransmissions.
    ///
    /// Linux: `tcpi_dsack_dups` (4.19).
    spurious_retransmits: u64 as "spuriousRetransmits" { Linux(info) => wide(info.dsack_dups()) }

    /// Payload sent, retransmissions included.
    ///
    /// Linux: `tcpi_bytes_sent` (4.19).
    tx_bytes: u64 as "txBytes" { Linux(info) => info.bytes_sent().value() }

    /// Payload acknowledged by the peer. On Linux plus one for the SYN of the side that connected
    /// and one for the FIN.
    ///
    /// Linux: `tcpi_bytes_acked` (4.1).
    tx_acked_bytes: u64 as "txAckedBytes" { Linux(info) => info.bytes_acked().value() }

    /// Payload received in order. On Linux plus one for the peer's FIN.
    ///
    /// Linux: `tcpi_bytes_received` (4.1).
    rx_bytes: u64 as "rxBytes" { Linux(info) => info.bytes_received().value() }

    /// Segments sent of any kind.
    ///
    /// Linux: `tcpi_segs_out` (4.2).
    tx_segs: u64 as "txSegs" { Linux(info) => wide(info.segs_out()) }

    /// Segments received of any kind.
    ///
    /// Linux: `tcpi_segs_in` (4.2).
    rx_segs: u64 as "rxSegs" { Linux(info) => wide(info.segs_in()) }

    /// Segments with payload sent, retransmissions included.
    ///
    /// Linux: `tcpi_data_segs_out` (4.6).
    tx_data_segs: u64 as "txDataSegs" { Linux(info) => wide(info.data_segs_out()) }

    /// Segments with payload received.
    ///
    /// Linux: `tcpi_data_segs_in` (4.6).
    rx_data_segs: u64 as "rxDataSegs" { Linux(info) => wide(info.data_segs_in()) }

    /// Packets received out of order.
    ///
    /// Linux: `tcpi_rcv_ooopack` (5.4).
    rx_out_of_order_packets: u64 as "rxOutOfOrderPackets" {
        Linux(info) => wide(info.rcv_ooopack())
    }

    /// Reordering events seen by the sender.
    ///
    /// Linux: `tcpi_reord_seen` (4.19).
    reordering_events: u64 as "reorderingEvents" { Linux(info) => wide(info.reord_seen()) }

    /// Segments delivered that the peer reported as marked for congestion.
    ///
    /// Linux: `tcpi_delivered_ce` (4.18).
    tx_ce_segs: u64 as "txCESegs" { Linux(info) => wide(info.delivered_ce()) }

    /// Segments received with a congestion mark.
    ///
    /// Linux: `tcpi_received_ce` (6.18).
    rx_ce_segs: u64 as "rxCESegs" { Linux(info) => wide(info.received_ce()) }

    /// Most recent goodput sample in bytes a second; absent until there is one.
    ///
    /// Linux: `tcpi_delivery_rate` (4.9).
    delivery_rate: u64 as "deliveryRate" { Linux(info) => info.delivery_rate().value() }

    /// Whether that sample was held down by the application rather than by the network.
    ///
    /// Linux: `tcpi_delivery_rate_app_limited` (4.9).
    app_limited: bool as "appLimited" { Linux(info) => info.delivery_rate_app_limited().value() }

    /// Rate at which sending is paced, in bytes a second; absent if unlimited.
    ///
    /// Linux: `tcpi_pacing_rate` (3.15).
    pacing_rate: u64 as "pacingRate" { Linux(info) => info.pacing_rate().value() }

    /// Segments in flight: sent, not acknowledged, not taken for lost.
    ///
    /// Linux: `tcpi_unacked` − `tcpi_sacked` − `tcpi_lost` + `tcpi_retrans`.
    in_flight_segs: u64 as "inFlightSegs" { Linux(info) => linux_in_flight(info) }

    /// Bytes in the send queue that were not sent yet.
    ///
    /// Linux: `tcpi_notsent_bytes` (4.6).
    unsent_bytes: u64 as "unsentBytes" { Linux(info) => wide(info.notsent_bytes()) }

    /// Connections that wait to be accepted; only of a listening socket.
    ///
    /// Linux: `tcpi_unacked`.
    accept_queue: u64 as "acceptQueue" { Linux(info) => wide(info.accept_queue()) }

    /// Limit of the accept queue; only of a listening socket.
    ///
    /// Linux: `tcpi_sacked`.
    accept_queue_limit: u64 as "acceptQueueLimit" { Linux(info) => wide(info.accept_queue_limit()) }

    /// Time with data outstanding, including the two limited times below.
    ///
    /// Linux: `tcpi_busy_time` (µs, 4.10).
    busy_time: Duration as "busyTime" { Linux(info) => info.busy_time().value() }

    /// Time that sending stood still for the peer's receive window.
    ///
    /// Linux: `tcpi_rwnd_limited` (µs, 4.10).
    peer_window_limited: Duration as "peerWindowLimited" {
        Linux(info) => info.rwnd_limited().value()
    }

    /// Time that sending stood still for our send buffer.
    ///
    /// Linux: `tcpi_sndbuf_limited` (µs, 4.10).
    send_buffer_limited: Duration as "sendBufferLimited" {
        Linux(info) => info.sndbuf_limited().value()
    }
}

/// A number that the kernel keeps in fewer bits than the portable view.
fn wide(reading: Reading<impl Into<u64>>) -> Option<u64> {
    reading.value().map(Into::into)
}

/// A number of segments as bytes, by the segment size of the moment.
fn segs_in_bytes(info: &LinuxTcpInfo, segs: Reading<u32>) -> Option<u64> {
    Some(wide(segs)?.saturating_mul(wide(info.snd_mss())?))
}

/// `tcp_packets_in_flight` of `include/net/tcp.h`.
fn linux_in_flight(info: &LinuxTcpInfo) -> Option<u64> {
    let left = wide(info.sacked())? + wide(info.lost())?;
    Some(wide(info.unacked())?.saturating_sub(left) + wide(info.retrans())?)
}
