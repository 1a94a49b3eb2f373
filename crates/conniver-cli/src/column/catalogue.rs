//! The columns.

use std::sync::LazyLock;

use sockdiag::{SocketOptions, Tell};
use tcpinfo::{
    BbrInfo, CongestionInfo, DctcpInfo, SocketMemory, VegasInfo, fields,
    native::{Lent, linux::LinuxTcpInfo},
};

use super::{Column, Row, Unit, Value, of_reading};
use crate::{cgroup, interface};

/// Calls a macro with every field of the kernel's structure, in its order, and what stands above its
/// column. The state is left out, for it is told of sockets without the structure, too.
macro_rules! each_info_field {
    ($callback:ident) => {
        $callback! {
            ca_state "CA",
            retransmits "TIMEOUTS",
            probes "PROBES",
            backoff "BACKOFF",
            options "OPTIONS",
            snd_wscale "SND-WSCALE",
            rcv_wscale "RCV-WSCALE",
            delivery_rate_app_limited "APP-LIMITED",
            fastopen_client_fail "FASTOPEN-FAIL",
            rto "RTO",
            ato "ATO",
            snd_mss "MSS",
            rcv_mss "RCV-MSS",
            unacked "UNACKED",
            accept_queue "ACCEPT-Q",
            sacked "SACKED",
            accept_queue_limit "ACCEPT-LIMIT",
            lost "LOST",
            retrans "RETRANS-NOW",
            fackets "FACKETS",
            last_data_sent "LAST-SENT",
            last_ack_sent "LAST-ACK-SENT",
            last_data_recv "LAST-RECV",
            last_ack_recv "LAST-ACK",
            pmtu "PMTU",
            rcv_ssthresh "RCV-SSTHRESH",
            rtt "RTT",
            rttvar "RTTVAR",
            snd_ssthresh "SSTHRESH",
            snd_cwnd "CWND",
            advmss "ADVMSS",
            reordering "REORDERING",
            rcv_rtt "RCV-RTT",
            rcv_space "RCV-SPACE",
            total_retrans "RETRANS",
            pacing_rate "PACING",
            max_pacing_rate "MAX-PACING",
            bytes_acked "ACKED",
            bytes_received "RECEIVED",
            segs_out "SEGS-OUT",
            segs_in "SEGS-IN",
            notsent_bytes "UNSENT",
            min_rtt "MIN-RTT",
            data_segs_in "DATA-IN",
            data_segs_out "DATA-OUT",
            delivery_rate "DELIVERY",
            busy_time "BUSY",
            rwnd_limited "RWND-LIMITED",
            sndbuf_limited "SNDBUF-LIMITED",
            delivered "DELIVERED",
            delivered_ce "DELIVERED-CE",
            bytes_sent "SENT",
            bytes_retrans "RETRANS-BYTES",
            dsack_dups "DSACK-DUPS",
            reord_seen "REORD-SEEN",
            rcv_ooopack "OUT-OF-ORDER",
            snd_wnd "SND-WND",
            rcv_wnd "RCV-WND",
            rehash "REHASH",
            total_rto "RTO-TOTAL",
            total_rto_recoveries "RTO-RECOVERIES",
            total_rto_time "RTO-TIME",
            received_ce "RECEIVED-CE",
            delivered_e1_bytes "DELIVERED-E1",
            delivered_e0_bytes "DELIVERED-E0",
            delivered_ce_bytes "DELIVERED-CE-BYTES",
            received_e1_bytes "RECEIVED-E1",
            received_e0_bytes "RECEIVED-E0",
            received_ce_bytes "RECEIVED-CE-BYTES",
            ecn_mode "ECN",
            accecn_opt_seen "ACCECN-OPTION",
            accecn_fail_mode "ACCECN-FAIL",
        }
    };
}
pub(crate) use each_info_field;

/// Every column.
pub(crate) fn all() -> &'static [Column] {
    static ALL: LazyLock<Vec<Column>> = LazyLock::new(|| {
        let mut columns = of_sockets();
        columns.extend(of_info());
        columns.extend(derived());
        columns.extend(of_congestion());
        columns.extend(super::of_ulp());
        columns.extend(of_memory());
        columns.extend(of_options());
        columns
    });
    &ALL
}

/// What is shown if nobody says otherwise, the most wanted first: a terminal shows as many as fit.
pub(crate) fn usual() -> impl Iterator<Item = &'static Column> {
    USUAL.iter().filter_map(|name| all().iter().find(|column| column.name == *name))
}

const USUAL: &[&str] = &[
    "state",
    "local",
    "remote",
    "process",
    "rtt",
    "total_retrans",
    "recv_q",
    "send_q",
    "snd_cwnd",
    "delivery_rate",
    "congestion",
    "rttvar",
    "min_rtt",
    "bytes_acked",
    "bytes_received",
    "snd_mss",
    "last_data_sent",
    "last_data_recv",
    "unacked",
    "lost",
    "ca_state",
    "retransmits",
    "rto",
    "snd_ssthresh",
    "pacing_rate",
    "snd_wnd",
    "rcv_wnd",
    "pmtu",
    "segs_out",
    "segs_in",
    "busy_time",
    "rwnd_limited",
    "sndbuf_limited",
    "bytes_sent",
    "bytes_retrans",
    "rcv_ooopack",
    "dsack_dups",
    "delivery_rate_app_limited",
    "timer",
    "uid",
    "inode",
    "cookie",
];

type Get = for<'a> fn(&Row<'a>) -> Value<'a>;

pub(super) const fn plain(
    name: &'static str,
    heading: &'static str,
    help: &'static str,
    unit: Unit,
    value: Get,
) -> Column {
    Column { name, heading, help, unit, tell: Tell::NOTHING, needs_holders: false, value }
}

pub(super) const fn told(tell: Tell, column: Column) -> Column {
    Column { tell, ..column }
}

const fn held(column: Column) -> Column {
    Column { needs_holders: true, ..column }
}

fn text(value: Option<&str>) -> Value<'_> {
    value.map_or(Value::Absent, Value::Text)
}

pub(super) fn hex(value: Option<u64>) -> Value<'static> {
    value.map_or(Value::Absent, Value::Hex)
}

/// What is told of every socket.
fn of_sockets() -> Vec<Column> {
    use Unit::{Bytes, Count, Text, Time};

    vec![
        plain("state", "STATE", "State of the connection", Text, |row| {
            Value::State(row.entry.state())
        }),
        plain("local", "LOCAL", "Address and port of this machine's end", Text, |row| {
            Value::End(row.entry.local_end(interface::names()))
        }),
        plain("remote", "REMOTE", "Address and port of the other end", Text, |row| {
            let end = row.entry.remote_end();
            // What waits for connections has no other end.
            if end.addr().port() == 0 { Value::Absent } else { Value::End(end) }
        }),
        plain("local_ip", "LOCAL-IP", "Address of this machine's end", Text, |row| {
            Value::Ip(row.entry.local_addr().ip())
        }),
        plain("local_port", "LOCAL-PORT", "Port of this machine's end", Count, |row| {
            Value::Number(u64::from(row.entry.local_addr().port()))
        }),
        plain("remote_ip", "REMOTE-IP", "Address of the other end", Text, |row| {
            let address = row.entry.remote_addr();
            if address.port() == 0 { Value::Absent } else { Value::Ip(address.ip()) }
        }),
        plain("remote_port", "REMOTE-PORT", "Port of the other end", Count, |row| {
            match row.entry.remote_addr().port() {
                0 => Value::Absent,
                port => Value::Number(u64::from(port)),
            }
        }),
        plain("family", "FAMILY", "IPv4 or IPv6, as the socket is made", Text, |row| {
            Value::Word(if row.entry.local_addr().is_ipv4() { "IPv4" } else { "IPv6" })
        }),
        held(plain(
            "process",
            "PROCESS",
            "Programs that hold the socket, with their numbers",
            Text,
            |row| row.known_holders().map_or(Value::Absent, Value::Holders),
        )),
        held(plain(
            "pid",
            "PID",
            "Process that holds the socket; the first, if several do",
            Count,
            |row| row.holders.and_then(|holders| holders.first_pid()).into(),
        )),
        held(plain("fd", "FD", "Descriptors by which that process has the socket", Text, |row| {
            row.known_holders().map_or(Value::Absent, Value::Descriptors)
        })),
        held(plain("command", "COMMAND", "Name of that process", Text, |row| {
            text(row.holders.and_then(|holders| holders.first_command()))
        })),
        held(plain("container", "CONTAINER", "Container that the process runs in", Text, |row| {
            text(row.holders.and_then(|holders| holders.first_container()))
        })),
        plain(
            "recv_q",
            "RECV-Q",
            "Bytes that the program has not read, without the FIN that ss counts; of a listener, connections that \
             wait",
            Count,
            |row| {
                let queues = row.entry.queues();
                queues.accept_queue.or(queues.unread_bytes).into()
            },
        ),
        plain(
            "send_q",
            "SEND-Q",
            "Bytes that the peer has not acknowledged, without the SYN that ss counts; of a listener, its limit",
            Count,
            |row| {
                let queues = row.entry.queues();
                queues.accept_queue_limit.or(queues.queued_bytes).into()
            },
        ),
        plain(
            "timer",
            "TIMER",
            "What the kernel will do next, when, and how often in vain so far",
            Text,
            |row| row.entry.timer().map_or(Value::Absent, Value::Timer),
        ),
        plain("timer_expires", "TIMER-EXPIRES", "When the timer acts", Time, |row| {
            row.entry.timer().map(|timer| timer.expires).into()
        }),
        plain(
            "timer_count",
            "TIMER-COUNT",
            "How often in a row the timer has acted in vain",
            Count,
            |row| row.entry.timer().map(|timer| timer.count).into(),
        ),
        plain("uid", "UID", "Number of the user that made the socket", Count, |row| {
            row.entry.uid().into()
        }),
        plain("user", "USER", "Name of the user that made the socket", Text, |row| {
            text(row.entry.uid().and_then(crate::user::name))
        }),
        plain("inode", "INODE", "The socket's inode, as /proc/PID/fd has it", Count, |row| {
            row.entry.inode().into()
        }),
        plain(
            "cookie",
            "COOKIE",
            "The kernel's identity of the socket, never used again",
            Text,
            |row| Value::Hex(row.entry.cookie()),
        ),
        plain(
            "interface",
            "INTERFACE",
            "Number of the network interface that the socket is bound to",
            Count,
            |row| row.entry.interface().into(),
        ),
        plain("mark", "MARK", "Firewall mark; told to who has CAP_NET_ADMIN", Text, |row| {
            hex(row.entry.mark().map(u64::from))
        }),
        plain(
            "cgroup_id",
            "CGROUP-ID",
            "Number of the cgroup in which the socket was made",
            Count,
            |row| row.entry.cgroup_id().into(),
        ),
        plain(
            "cgroup",
            "CGROUP",
            "Path of that cgroup; absent if it is gone, or out of sight as in a container",
            Text,
            |row| {
                let is_known = |id: &u64| cgroup::with_path(*id, |_| ()).is_some();
                row.entry.cgroup_id().filter(is_known).map_or(Value::Absent, Value::Cgroup)
            },
        ),
        plain(
            "shutdown",
            "SHUTDOWN",
            "In which directions the connection is shut down",
            Text,
            |row| {
                row.entry.shutdown().map_or(Value::Absent, |shutdown| {
                    Value::Word(match (shutdown.receive, shutdown.send) {
                        (false, false) => "no",
                        (true, false) => "receive",
                        (false, true) => "send",
                        (true, true) => "both",
                    })
                })
            },
        ),
        plain("ipv6_only", "IPV6-ONLY", "Whether an IPv6 listener takes no IPv4", Text, |row| {
            row.entry.is_ipv6_only().into()
        }),
        told(
            Tell::TOS,
            plain("tos", "TOS", "Type of service of the packets sent", Count, |row| {
                row.entry.tos().into()
            }),
        ),
        told(
            Tell::TRAFFIC_CLASS,
            plain(
                "traffic_class",
                "TCLASS",
                "Traffic class of the packets sent; IPv6",
                Count,
                |row| row.entry.traffic_class().into(),
            ),
        ),
        told(
            Tell::TRAFFIC_CLASS,
            plain("class_id", "CLASS-ID", "Class for the network scheduler", Count, |row| {
                row.entry.class_id().into()
            }),
        ),
        told(
            Tell::INFO,
            plain(
                "ulp",
                "ULP",
                "What the kernel runs on the connection: tls, mptcp",
                Text,
                |row| text(row.entry.ulp().as_ref().map(|ulp| ulp.name())),
            ),
        ),
        told(
            Tell::INFO,
            plain(
                "md5_keys",
                "MD5-KEYS",
                "Peers and networks whose segments are signed (TCP MD5); told to who has CAP_NET_ADMIN",
                Text,
                |row| match row.entry.md5_keys().next() {
                    None => Value::Absent,
                    Some(_) => Value::Signed(row.entry),
                },
            ),
        ),
        plain(
            "mini",
            "MINI",
            "Whether the kernel keeps no full socket, before the beginning or after the end",
            Text,
            |row| Value::Flag(row.entry.is_mini()),
        ),
        told(
            Tell::MEMORY,
            plain(
                "memory",
                "MEMORY",
                "Memory in use: received, to be sent, reserved, options and backlog",
                Bytes,
                |row| row.entry.memory().and_then(total).into(),
            ),
        ),
    ]
}

fn total(memory: SocketMemory) -> Option<u64> {
    let parts = [
        memory.rx_alloc_bytes?,
        memory.tx_alloc_bytes.max(memory.tx_queued_bytes)?,
        memory.forward_alloc_bytes?,
        memory.option_bytes.unwrap_or(0),
        memory.backlog_bytes.unwrap_or(0),
    ];
    Some(parts.into_iter().map(u64::from).sum())
}

/// The fields of the kernel's structure.
fn of_info() -> Vec<Column> {
    let mut columns = Vec::new();
    macro_rules! push {
        ($($name:ident $heading:literal,)*) => {$(
            let Some(field) = info_field(stringify!($name)) else {
                unreachable!("a test sees to it that every name is a field's")
            };
            columns.push(Column {
                name: field.name,
                heading: $heading,
                help: field.doc,
                unit: unit(field),
                tell: Tell::INFO,
                needs_holders: false,
                value: |row| row.info.as_ref().map_or(Value::Absent, |info| of_reading(info.$name())),
            });
        )*};
    }
    each_info_field!(push);
    columns
}

fn info_field(name: &str) -> Option<&'static fields::Field> {
    tcpinfo::native::linux::schema().find(|field| field.name == name)
}

fn unit(field: &fields::Field) -> Unit {
    match field.unit {
        fields::Unit::Bytes => Unit::Bytes,
        fields::Unit::BytesPerSecond => Unit::BytesPerSecond,
        fields::Unit::Microseconds | fields::Unit::Milliseconds => Unit::Time,
        fields::Unit::None => Unit::Text,
        _ => Unit::Count,
    }
}

/// What follows from several of them.
fn derived() -> Vec<Column> {
    let of = |name, heading, help, unit, value| {
        told(Tell::INFO, plain(name, heading, help, unit, value))
    };
    vec![
        of(
            "retrans_share",
            "RETRANS%",
            "Share of the payload sent that was sent again",
            Unit::Share,
            |row| {
                let share = |info: &LinuxTcpInfo<Lent<'_>>| {
                    let (again, all) = (info.bytes_retrans().value()?, info.bytes_sent().value()?);
                    (all > 0).then(|| again as f64 / all as f64)
                };
                float(row.info.as_ref().and_then(share))
            },
        ),
        of(
            "send_rate",
            "SEND-RATE",
            "Congestion window in each round-trip time: what could be sent now",
            Unit::BytesPerSecond,
            |row| row.info.as_ref().and_then(send_rate).into(),
        ),
        of(
            "in_flight",
            "IN-FLIGHT",
            "Segments in flight: sent, not acknowledged, not taken for lost",
            Unit::Count,
            |row| {
                let in_flight = |info: &LinuxTcpInfo<Lent<'_>>| {
                    let sent = info.unacked().value()? + info.retrans().value()?;
                    Some(sent.saturating_sub(info.sacked().value()? + info.lost().value()?))
                };
                row.info.as_ref().and_then(in_flight).into()
            },
        ),
        of("idle", "IDLE", "Time since data went either way", Unit::Time, |row| {
            let idle = |info: &LinuxTcpInfo<Lent<'_>>| {
                let (sent, received) =
                    (info.last_data_sent().value(), info.last_data_recv().value());
                sent.into_iter().chain(received).min()
            };
            row.info.as_ref().and_then(idle).into()
        }),
    ]
}

/// As `ss` has it: cwnd · mss / rtt.
pub(crate) fn send_rate(info: &LinuxTcpInfo<Lent<'_>>) -> Option<u64> {
    let rtt = u64::try_from(info.rtt().value()?.as_micros()).ok()?;
    let window = u64::from(info.snd_cwnd().value()?) * u64::from(info.snd_mss().value()?);
    window.checked_mul(1_000_000)?.checked_div(rtt)
}

fn float(number: Option<f64>) -> Value<'static> {
    number.map_or(Value::Absent, Value::Float)
}

/// What algorithms tell of themselves.
fn of_congestion() -> Vec<Column> {
    fn bbr<'a>(row: &Row<'a>) -> Option<BbrInfo<&'a [u8]>> {
        match row.entry.congestion()?.info? {
            CongestionInfo::Bbr(info) => Some(info),
            _ => None,
        }
    }
    fn dctcp(row: &Row<'_>) -> Option<DctcpInfo> {
        match row.entry.congestion()?.info? {
            CongestionInfo::Dctcp(info) => Some(info),
            _ => None,
        }
    }
    fn vegas(row: &Row<'_>) -> Option<VegasInfo> {
        match row.entry.congestion()?.info? {
            CongestionInfo::Vegas(info) => Some(info),
            _ => None,
        }
    }
    let of = |name, heading, help, unit, value| {
        told(Tell::CONGESTION, plain(name, heading, help, unit, value))
    };
    vec![
        told(
            Tell::CONGESTION_NAME,
            plain("congestion", "CC", "Name of the congestion control", Unit::Text, |row| {
                row.entry.congestion_name().map_or(Value::Absent, Value::Congestion)
            }),
        ),
        of(
            "bbr_bandwidth",
            "BBR-BANDWIDTH",
            "Bottleneck bandwidth as bbr estimates it",
            Unit::BytesPerSecond,
            |row| bbr(row).and_then(|bbr| bbr.bandwidth).into(),
        ),
        of(
            "bbr_min_rtt",
            "BBR-MIN-RTT",
            "Minimum round-trip time as bbr has it",
            Unit::Time,
            |row| bbr(row).and_then(|bbr| bbr.min_rtt).into(),
        ),
        of(
            "bbr_pacing_gain",
            "BBR-PACING-GAIN",
            "Factor on the bandwidth that gives bbr's pacing",
            Unit::Factor,
            |row| float(bbr(row).and_then(|bbr| bbr.pacing_gain)),
        ),
        of(
            "bbr_cwnd_gain",
            "BBR-CWND-GAIN",
            "Factor on the bandwidth-delay product that gives bbr's window",
            Unit::Factor,
            |row| float(bbr(row).and_then(|bbr| bbr.cwnd_gain)),
        ),
        of(
            "dctcp_alpha",
            "DCTCP-ALPHA",
            "Share of marked bytes as dctcp estimates it",
            Unit::Share,
            |row| float(dctcp(row).map(|dctcp| dctcp.alpha)),
        ),
        of(
            "dctcp_ce_state",
            "DCTCP-CE",
            "Whether the last packet was marked, of dctcp",
            Unit::Count,
            |row| dctcp(row).map(|dctcp| dctcp.ce_state).into(),
        ),
        of(
            "dctcp_acked_ecn_bytes",
            "DCTCP-ECN",
            "Bytes acknowledged with a mark in the window, of dctcp",
            Unit::Bytes,
            |row| dctcp(row).map(|dctcp| dctcp.acked_ecn_bytes).into(),
        ),
        of(
            "dctcp_acked_bytes",
            "DCTCP-ACKED",
            "Bytes acknowledged in the window, of dctcp",
            Unit::Bytes,
            |row| dctcp(row).map(|dctcp| dctcp.acked_bytes).into(),
        ),
        of(
            "vegas_rtt",
            "VEGAS-RTT",
            "Round-trip time as vegas and its relatives have it",
            Unit::Time,
            |row| vegas(row).and_then(|vegas| vegas.rtt).into(),
        ),
        of(
            "vegas_min_rtt",
            "VEGAS-MIN-RTT",
            "Minimum round-trip time as vegas and its relatives have it",
            Unit::Time,
            |row| vegas(row).and_then(|vegas| vegas.min_rtt).into(),
        ),
    ]
}

/// Calls a macro with every number of a socket's memory: its field, the letters that `ss` has for it,
/// and what it means.
macro_rules! each_memory_field {
    ($callback:ident) => {
        $callback! {
            rx_alloc_bytes "r" "mem_rx_alloc" "MEM-RX" Bytes "Memory used by received data",
            rx_buffer_bytes "rb" "mem_rx_buffer" "MEM-RX-LIMIT" Bytes "Limit of the receive buffer",
            tx_alloc_bytes "t" "mem_tx_alloc" "MEM-TX" Bytes "Memory used by data handed to the device",
            tx_buffer_bytes "tb" "mem_tx_buffer" "MEM-TX-LIMIT" Bytes "Limit of the send buffer",
            forward_alloc_bytes "f" "mem_forward" "MEM-FORWARD" Bytes "Memory reserved for the socket and not used",
            tx_queued_bytes "w" "mem_tx_queued" "MEM-TX-QUEUED" Bytes "Memory used by data in the send queue",
            option_bytes "o" "mem_options" "MEM-OPTIONS" Bytes "Memory used by socket options",
            backlog_bytes "bl" "mem_backlog" "MEM-BACKLOG" Bytes "Memory used by packets that wait for the socket's owner",
            dropped_packets "d" "mem_dropped" "DROPPED" Count "Packets dropped, for want of memory or otherwise",
        }
    };
}
pub(crate) use each_memory_field;

fn of_memory() -> Vec<Column> {
    let mut columns = Vec::new();
    macro_rules! push {
        ($($field:ident $letters:literal $name:literal $heading:literal $unit:ident $help:literal,)*) => {$(
            columns.push(told(Tell::MEMORY, plain($name, $heading, $help, Unit::$unit, |row| {
                row.entry.memory().and_then(|memory| memory.$field).into()
            })));
        )*};
    }
    each_memory_field!(push);
    columns
}

/// Calls a macro with every option of a socket, and what it means.
macro_rules! each_option {
    ($callback:ident) => {
        $callback! {
            recverr "Whether errors are queued (IP_RECVERR)",
            is_icsk "Whether the socket is of a protocol with connections",
            freebind "Whether addresses may be bound that this machine does not have (IP_FREEBIND)",
            hdrincl "Whether the program writes IP headers (IP_HDRINCL)",
            mc_loop "Whether multicast is looped back (IP_MULTICAST_LOOP)",
            transparent "Whether foreign addresses are served (IP_TRANSPARENT)",
            mc_all "Whether every group's messages are delivered (IP_MULTICAST_ALL)",
            nodefrag "Whether packets are not fragmented here (IP_NODEFRAG)",
            bind_address_no_port "Whether a port is chosen no sooner than by connecting (IP_BIND_ADDRESS_NO_PORT)",
            recverr_rfc4884 "Whether queued errors bear more of the packet (IP_RECVERR_RFC4884)",
            defer_connect "Whether connecting waits for the first data (TCP_FASTOPEN_CONNECT)",
        }
    };
}
pub(crate) use each_option;

fn of_options() -> Vec<Column> {
    let mut columns = Vec::new();
    macro_rules! push {
        ($($name:ident $help:literal,)*) => {$(
            columns.push(plain(stringify!($name), stringify!($name), $help, Unit::Text, |row| {
                row.entry.options().map(|options: SocketOptions| options.$name).into()
            }));
        )*};
    }
    each_option!(push);
    columns
}
