use std::{fmt, time::Duration};

use crate::{
    AsSock, CaState, CongestionName, Error, Options, Reading, State, System, Thresholds, Warning,
    fields::{Fact, Value},
    native::{Native, first},
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
    /// Asks the kernel about one socket: one system call, and one more for the congestion control
    /// where it has a name (Linux, FreeBSD). No heap allocation.
    ///
    /// On Linux a Multipath TCP socket answers for its first subflow; [`Mptcp`](crate::Mptcp) tells
    /// of all.
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
    /// Linux and FreeBSD: `TCP_CONGESTION`.
    #[inline]
    pub const fn congestion(&self) -> Option<CongestionName> {
        self.congestion
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

/// Where a portable fact comes from on one system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) fact: &'static str,
    pub(crate) system: System,
    /// The method of that system's structure.
    pub(crate) field: &'static str,
}

/// Declares the portable facts: for each a documented method, its key in JSON, and the fields that it
/// is made of on each system.
///
/// `System: field` takes a field as it is, `System: field, field => function` gives the readings to
/// a function. A system that is not named does not have the fact.
macro_rules! portable {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident: $ty:ty $(as $key:literal)? {
            $($system:ident: $($field:ident),+ $(=> $function:ident)?;)+
        }
    )*) => {
        impl TcpInfo {
            $(
                $(#[doc = $doc])*
                ///
                $(#[doc = concat!(
                    "- ", system_name!($system), ":",
                    $(
                        " [`", stringify!($field), "`](crate::native::", system_path!($system), "::",
                        stringify!($field), ")",
                    )+
                )])+
                #[inline]
                pub fn $name(&self) -> Option<$ty> {
                    #[allow(unreachable_patterns, reason = "some facts every system has")]
                    match &self.native {
                        $(Native::$system(info) => here(System::$system, || {
                            fact!($ty, $(info.$field()),+ $(, => $function)?)
                        }),)+
                        _ => None,
                    }
                }
            )*

            /// Every fact that is a single value, with its key in JSON.
            pub fn facts(&self) -> impl Iterator<Item = (&'static str, Option<Value>)> {
                [$($(($key, self.$name().map(Value::from)),)?)*].into_iter()
            }
        }

        pub(crate) static FACTS: &[Fact] = &[$(
            Fact {
                name: stringify!($name),
                key: first!($(Some($key),)? None),
                doc: concat!($($doc),*),
            },
        )*];

        pub(crate) static SOURCES: &[Source] = &[$($($(
            Source {
                fact: stringify!($name),
                system: System::$system,
                field: stringify!($field),
            },
        )+)+)*];
    };
}

/// One field as it is, in the portable type, or what a function makes of several.
macro_rules! fact {
    ($ty:ty, $reading:expr) => {
        $reading.value().map(<$ty>::from)
    };
    ($ty:ty, $($reading:expr),+, => $function:ident) => {
        $function($($reading),+)
    };
}

macro_rules! system_name {
    (Linux) => {
        "Linux"
    };
    (Apple) => {
        "Apple"
    };
    (Windows) => {
        "Windows"
    };
    (FreeBsd) => {
        "FreeBSD"
    };
    (NetBsd) => {
        "NetBSD"
    };
    (OpenBsd) => {
        "OpenBSD"
    };
}

macro_rules! system_path {
    (Linux) => {
        "linux::LinuxTcpInfo"
    };
    (Apple) => {
        "apple::AppleTcpInfo"
    };
    (Windows) => {
        "windows::WindowsTcpInfo"
    };
    (FreeBsd) => {
        "freebsd::FreeBsdTcpInfo"
    };
    (NetBsd) => {
        "netbsd::NetBsdTcpInfo"
    };
    (OpenBsd) => {
        "openbsd::OpenBsdTcpInfo"
    };
}

portable! {
    /// State of the connection.
    state: State as "state" {
        Linux: state;
        Apple: state;
        Windows: state;
        FreeBsd: state;
        NetBsd: state;
        OpenBsd: state;
    }

    /// Options negotiated: properties of the connection, not of a direction.
    options: Options {
        Linux: options;
        Apple: options;
        Windows: timestamps_enabled, ecn_negotiated => windows_options;
        FreeBsd: options;
        NetBsd: options;
        OpenBsd: options;
    }

    /// State of the sender's loss recovery, as Linux names it.
    ca_state: CaState as "caState" {
        Linux: ca_state;
    }

    /// Whether lost data is being retransmitted at the moment.
    in_loss_recovery: bool as "inLossRecovery" {
        Linux: ca_state => linux_in_recovery;
        Apple: lossrecovery;
    }

    /// Window scale shift that we announced; absent without window scaling.
    ///
    /// Kernels name it after the window that it belongs to, the one for receiving.
    tx_window_scale: u8 as "txWindowScale" {
        Linux: rcv_wscale;
        Apple: rcv_wscale;
        FreeBsd: rcv_wscale;
        NetBsd: rcv_wscale;
        OpenBsd: rcv_wscale;
    }

    /// Window scale shift that the peer announced; absent without window scaling.
    rx_window_scale: u8 as "rxWindowScale" {
        Linux: snd_wscale;
        Apple: snd_wscale;
        FreeBsd: snd_wscale;
        NetBsd: snd_wscale;
        OpenBsd: snd_wscale;
    }

    /// Largest segment we send at the moment.
    tx_mss: u32 as "txMSS" {
        Linux: snd_mss;
        Apple: maxseg;
        Windows: mss;
        FreeBsd: snd_mss;
        NetBsd: snd_mss;
        OpenBsd: snd_mss;
    }

    /// Segment size of the peer. On Linux an estimate, 536 until larger segments arrive; on OpenBSD what
    /// the peer announced.
    rx_mss: u32 as "rxMSS" {
        Linux: rcv_mss;
        OpenBsd: rcv_mss;
    }

    /// Path MTU.
    path_mtu: u32 as "pathMTU" {
        Linux: pmtu;
    }

    /// Smoothed round-trip time; absent until the first sample. On Apple in whole milliseconds, and absent
    /// below one.
    rtt: Duration as "rtt" {
        Linux: rtt;
        Apple: srtt;
        Windows: rtt_us;
        FreeBsd: rtt;
        NetBsd: rtt;
        OpenBsd: rtt;
    }

    /// Mean deviation of the round-trip time; absent until the first sample.
    rtt_var: Duration as "rttVar" {
        Linux: rttvar;
        Apple: rttvar;
        FreeBsd: rttvar;
        NetBsd: rttvar;
        OpenBsd: rttvar;
    }

    /// Most recent round-trip sample; absent until the first. On Apple in whole milliseconds, and absent
    /// below one.
    rtt_last: Duration as "rttLast" {
        Apple: rttcur;
    }

    /// Minimum round-trip time; absent until the first sample. On Linux of the last five minutes, on
    /// Windows of the connection's life.
    min_rtt: Duration as "minRTT" {
        Linux: min_rtt;
        Windows: min_rtt_us;
    }

    /// Round-trip time as the receiving side estimates it; absent until the first sample.
    rx_rtt: Duration as "rxRTT" {
        Linux: rcv_rtt;
    }

    /// Retransmission timeout. On Apple absent while its timer is not running.
    rto: Duration as "rto" {
        Linux: rto;
        Apple: rto;
        FreeBsd: rto;
        NetBsd: rto;
        OpenBsd: rto;
    }

    /// Delayed-acknowledgement timeout; absent until data arrived.
    ato: Duration as "ato" {
        Linux: ato;
    }

    /// Time since the connection was established.
    connection_age: Duration as "connectionAge" {
        Windows: connection_time_ms;
    }

    /// Time since data was last sent; on Linux absent if none was.
    last_tx_age: Duration as "lastTxAt" {
        Linux: last_data_sent;
        OpenBsd: last_data_sent;
    }

    /// Time since data last arrived; on Linux absent if none did. On the BSDs any segment counts, and the
    /// number wraps after 71 minutes.
    last_rx_age: Duration as "lastRxAt" {
        Linux: last_data_recv;
        FreeBsd: last_data_recv;
        NetBsd: last_data_recv;
        OpenBsd: last_data_recv;
    }

    /// Time since an acknowledgement was last sent. Linux has a field for it and never fills it.
    last_tx_ack_age: Duration as "lastTxAckAt" {
        OpenBsd: last_ack_sent;
    }

    /// Time since an acknowledgement last arrived.
    last_rx_ack_age: Duration as "lastRxAckAt" {
        Linux: last_ack_recv;
        OpenBsd: last_ack_recv;
    }

    /// Window that we advertised last, scaled. On Linux since 6.2; its `tcpi_rcv_space` is not a window.
    rx_window: u64 as "rxWindow" {
        Linux: rcv_wnd;
        Apple: rcv_wnd;
        Windows: rcv_wnd;
        FreeBsd: rcv_space;
        NetBsd: rcv_space;
        OpenBsd: rcv_space;
    }

    /// Window that the peer advertised, scaled. On NetBSD segments times the segment size.
    tx_window: u64 as "txWindow" {
        Linux: snd_wnd;
        Apple: snd_wnd;
        Windows: snd_wnd;
        FreeBsd: snd_wnd;
        NetBsd: snd_wnd, snd_mss => in_bytes;
        OpenBsd: snd_wnd;
    }

    /// Slow start threshold; absent while slow start was never left. On Linux segments times the segment
    /// size of the moment.
    tx_ssthresh: u64 as "txSSThreshold" {
        Linux: snd_ssthresh, snd_mss => in_bytes;
        Apple: snd_ssthresh;
        FreeBsd: snd_ssthresh;
        NetBsd: snd_ssthresh;
        OpenBsd: snd_ssthresh;
    }

    /// Slow start threshold in segments, on systems that count it so.
    tx_ssthresh_segs: u64 as "txSSThresholdSegs" {
        Linux: snd_ssthresh;
    }

    /// How far the advertised receive window may grow at the moment.
    rx_ssthresh: u64 as "rxSSThreshold" {
        Linux: rcv_ssthresh;
    }

    /// Congestion window. On Linux and NetBSD segments times the segment size of the moment.
    tx_cwnd: u64 as "txCWindowBytes" {
        Linux: snd_cwnd, snd_mss => in_bytes;
        Apple: snd_cwnd;
        Windows: cwnd;
        FreeBsd: snd_cwnd;
        NetBsd: snd_cwnd, snd_mss => in_bytes;
        OpenBsd: snd_cwnd;
    }

    /// Congestion window in segments. On systems that count bytes, these divided by the segment size of the
    /// moment, rounded down.
    tx_cwnd_segs: u64 as "txCWindowSegs" {
        Linux: snd_cwnd;
        Apple: snd_cwnd, maxseg => in_segs;
        Windows: cwnd, mss => in_segs;
        FreeBsd: snd_cwnd, snd_mss => in_segs;
        NetBsd: snd_cwnd;
        OpenBsd: snd_cwnd, snd_mss => in_segs;
    }

    /// By how many segments the path may reorder before a loss is assumed.
    reordering_segs: u64 as "reorderingSegs" {
        Linux: reordering;
    }

    /// Segments retransmitted in the connection's life. Windows counts events only, see its structure.
    retransmitted_segs: u64 as "retransmits" {
        Linux: total_retrans;
        Apple: txretransmitpackets;
        FreeBsd: snd_rexmitpack;
        NetBsd: snd_rexmitpack;
        OpenBsd: snd_rexmitpack;
    }

    /// Payload retransmitted in the connection's life.
    retransmitted_bytes: u64 as "retransmittedBytes" {
        Linux: bytes_retrans;
        Apple: txretransmitbytes;
        Windows: bytes_retrans;
    }

    /// Retransmission timeouts in the connection's life. On Windows episodes, each of which may hold many.
    timeouts: u64 as "timeouts" {
        Linux: total_rto;
        Windows: timeout_episodes;
    }

    /// Fast retransmissions in the connection's life: events, not segments.
    fast_retransmits: u64 as "fastRetransmits" {
        Windows: fast_retrans;
    }

    /// SYNs retransmitted.
    syn_retransmits: u64 as "synRetransmits" {
        Windows: syn_retrans;
    }

    /// How often the retransmission timeout is doubled at the moment.
    backoff: u8 as "backoff" {
        Linux: backoff;
    }

    /// Zero-window or keepalive probes sent in a row and not answered.
    unanswered_probes: u8 as "unansweredProbes" {
        Linux: probes;
    }

    /// Duplicates that the peer reported: evidence of needless retransmissions.
    spurious_retransmits: u64 as "spuriousRetransmits" {
        Linux: dsack_dups;
    }

    /// Duplicate acknowledgements received in the connection's life.
    duplicate_acks: u64 as "duplicateAcks" {
        Windows: dup_acks_in;
    }

    /// Payload sent, retransmissions included; Windows does not say whether.
    tx_bytes: u64 as "txBytes" {
        Linux: bytes_sent;
        Apple: txbytes;
        Windows: bytes_out;
    }

    /// Payload acknowledged by the peer. On Linux plus one for the SYN of the side that connected
    /// and one for the FIN.
    tx_acked_bytes: u64 as "txAckedBytes" {
        Linux: bytes_acked;
    }

    /// Payload received. On Linux in order, plus one for the peer's FIN.
    rx_bytes: u64 as "rxBytes" {
        Linux: bytes_received;
        Apple: rxbytes;
        Windows: bytes_in;
    }

    /// Segments sent of any kind.
    tx_segs: u64 as "txSegs" {
        Linux: segs_out;
    }

    /// Segments received of any kind.
    rx_segs: u64 as "rxSegs" {
        Linux: segs_in;
    }

    /// Packets handed to the network adapter, which may split them into segments.
    tx_packets: u64 as "txPackets" {
        Apple: txpackets;
    }

    /// Packets taken from the network adapter, which may have joined them of segments.
    rx_packets: u64 as "rxPackets" {
        Apple: rxpackets;
    }

    /// Segments with payload sent, retransmissions included.
    tx_data_segs: u64 as "txDataSegs" {
        Linux: data_segs_out;
    }

    /// Segments with payload received.
    rx_data_segs: u64 as "rxDataSegs" {
        Linux: data_segs_in;
    }

    /// Packets received out of order.
    rx_out_of_order_packets: u64 as "rxOutOfOrderPackets" {
        Linux: rcv_ooopack;
        Windows: out_of_order_pkts_in;
        FreeBsd: rcv_ooopack;
        NetBsd: rcv_ooopack;
        OpenBsd: rcv_ooopack;
    }

    /// Payload received out of order.
    rx_out_of_order_bytes: u64 as "rxOutOfOrderBytes" {
        Apple: rxoutoforderbytes;
    }

    /// Reordering events seen by the sender.
    reordering_events: u64 as "reorderingEvents" {
        Linux: reord_seen;
    }

    /// Whether the sender saw the path reorder.
    reordering_seen: bool as "reorderingSeen" {
        Linux: reord_seen => any;
        Apple: reordering_detected;
        Windows: bytes_reordered => any;
    }

    /// Payload that we sent and that the path reordered, as the sender sees it.
    tx_reordered_bytes: u64 as "txReorderedBytes" {
        Windows: bytes_reordered;
    }

    /// Segments delivered that the peer reported as marked for congestion.
    tx_ce_segs: u64 as "txCESegs" {
        Linux: delivered_ce;
        FreeBsd: delivered_ce;
    }

    /// Segments received with a congestion mark.
    rx_ce_segs: u64 as "rxCESegs" {
        Linux: received_ce;
        FreeBsd: received_ce;
    }

    /// Acknowledgements received that reported a congestion mark.
    rx_ece_acks: u64 as "rxECEAcks" {
        Windows: ece_acks_in;
    }

    /// Most recent goodput sample in bytes a second; absent until there is one.
    delivery_rate: u64 as "deliveryRate" {
        Linux: delivery_rate;
    }

    /// Whether that sample was held down by the application rather than by the network.
    app_limited: bool as "appLimited" {
        Linux: delivery_rate_app_limited;
    }

    /// Rate at which sending is paced, in bytes a second; absent if unlimited.
    pacing_rate: u64 as "pacingRate" {
        Linux: pacing_rate;
    }

    /// Segments in flight: sent, not acknowledged, not taken for lost.
    in_flight_segs: u64 as "inFlightSegs" {
        Linux: unacked, sacked, lost, retrans => linux_in_flight;
    }

    /// Bytes sent and not yet acknowledged; on the BSDs a SYN or FIN counts as one. On Linux see
    /// [`Queues`](crate::Queues).
    in_flight_bytes: u64 as "inFlightBytes" {
        Windows: bytes_in_flight;
        FreeBsd: snd_max, snd_una => sequence_span;
        OpenBsd: snd_max, snd_una => sequence_span;
    }

    /// Bytes in the send queue that were not sent yet.
    unsent_bytes: u64 as "unsentBytes" {
        Linux: notsent_bytes;
    }

    /// Bytes in the send queue: not sent, and sent but not acknowledged. On Linux see
    /// [`Queues`](crate::Queues).
    tx_queued_bytes: u64 as "txQueuedBytes" {
        Apple: snd_sbbytes;
        OpenBsd: so_snd_sb_cc;
    }

    /// Bytes received and not yet read by the program. Elsewhere see [`Queues`](crate::Queues).
    rx_queued_bytes: u64 as "rxQueuedBytes" {
        OpenBsd: so_rcv_sb_cc;
    }

    /// Connections that wait to be accepted; only of a listening socket. Elsewhere see
    /// [`Queues`](crate::Queues).
    accept_queue: u64 as "acceptQueue" {
        Linux: accept_queue;
    }

    /// Limit of the accept queue; only of a listening socket.
    accept_queue_limit: u64 as "acceptQueueLimit" {
        Linux: accept_queue_limit;
    }

    /// Time with data outstanding, including the two limited times that Linux tells beside it.
    busy_time: Duration as "busyTime" {
        Linux: busy_time;
    }

    /// Time that sending stood still for the peer's receive window.
    peer_window_limited: Duration as "peerWindowLimited" {
        Linux: rwnd_limited;
        Windows: snd_lim_time_rwin;
    }

    /// Time that sending stood still for our send buffer.
    send_buffer_limited: Duration as "sendBufferLimited" {
        Linux: sndbuf_limited;
    }

    /// Time that sending was limited by the congestion window.
    cwnd_limited: Duration as "cwndLimited" {
        Windows: snd_lim_time_cwnd;
    }

    /// Time that sending was limited by the sender itself: its send buffer, or a program with nothing to
    /// send.
    sender_limited: Duration as "senderLimited" {
        Windows: snd_lim_time_snd;
    }

    /// How often we advertised an empty window.
    rx_zero_windows: u64 as "rxZeroWindows" {
        FreeBsd: snd_zerowin;
        NetBsd: snd_zerowin;
        OpenBsd: snd_zerowin;
    }
}

/// Keeps the ways of all systems but the running one out of the caller: a choice among six, each
/// inlined, is an indirect jump that is mispredicted after every system call.
#[inline(always)]
fn here<T>(system: System, decode: impl FnOnce() -> Option<T>) -> Option<T> {
    if System::CURRENT == Some(system) { decode() } else { elsewhere(decode) }
}

#[cold]
#[inline(never)]
fn elsewhere<T>(decode: impl FnOnce() -> Option<T>) -> Option<T> {
    decode()
}

/// A number of segments as bytes, by the segment size of the moment.
fn in_bytes(segs: Reading<u32>, segment_size: Reading<u32>) -> Option<u64> {
    Some(u64::from(segs.value()?) * u64::from(segment_size.value()?))
}

/// A number of bytes as whole segments of the size of the moment.
fn in_segs(bytes: Reading<u32>, segment_size: Reading<u32>) -> Option<u64> {
    bytes.value()?.checked_div(segment_size.value()?).map(u64::from)
}

/// The bytes between two places in the sequence, which wraps.
fn sequence_span(end: Reading<u32>, start: Reading<u32>) -> Option<u64> {
    Some(u64::from(end.value()?.wrapping_sub(start.value()?)))
}

/// Whether something was counted.
fn any(count: Reading<u32>) -> Option<bool> {
    Some(count.value()? > 0)
}

fn linux_in_recovery(state: Reading<CaState>) -> Option<bool> {
    Some(matches!(state.value()?, CaState::Recovery | CaState::Loss))
}

/// `tcp_packets_in_flight` of `include/net/tcp.h`.
fn linux_in_flight(
    unacked: Reading<u32>,
    sacked: Reading<u32>,
    lost: Reading<u32>,
    retrans: Reading<u32>,
) -> Option<u64> {
    let sent = u64::from(unacked.value()?) + u64::from(retrans.value()?);
    Some(sent.saturating_sub(u64::from(sacked.value()?) + u64::from(lost.value()?)))
}

fn windows_options(timestamps: Reading<bool>, ecn: Reading<bool>) -> Option<Options> {
    timestamps.value().map(|on| Options::from_flags(Some(on), ecn.value()))
}
