//! What it costs to find a connection that somebody else may own.

use std::{hint::black_box, net::SocketAddr, net::TcpStream};

use sockdiag::{Dump, Entry, Lookup, SharedSockDiag, SockDiag};

use tcpinfo::native::linux::LinuxTcpInfo;

use super::kernel::show;
use crate::bench::{
    bare::{BareDump, BareNetlink},
    beside,
    cost::{Cost, Trouble},
    counting_allocator::allocations_in,
    rusage::thread_nanos,
    sockets::loopback_pair,
    timing::Rounds,
};

pub(super) fn lookup() -> Result<Cost, Trouble> {
    measure(|diag, lookup| match diag.lookup(black_box(lookup)) {
        Ok(Some(entry)) => three_fields(entry),
        other => panic!("the connection is open: {other:?}"),
    })
}

pub(super) fn portable() -> Result<Cost, Trouble> {
    measure(|diag, lookup| match diag.lookup(black_box(lookup)) {
        Ok(Some(entry)) => {
            if let Some(info) = entry.tcp_info() {
                show(&info);
            }
        }
        other => panic!("the connection is open: {other:?}"),
    })
}

pub(super) fn shared() -> Result<Cost, Trouble> {
    let shared = SharedSockDiag::new();
    measure(move |_, lookup| match shared.lookup_with(black_box(lookup), three_fields) {
        Ok(Some(())) => {}
        other => panic!("the connection is open: {other:?}"),
    })
}

pub(super) fn dump() -> Result<Cost, Trouble> {
    beside::population("sockdiag.dump", |sockets| {
        let mut diag = SockDiag::open().map_err(|error| Trouble::Failed(error.to_string()))?;
        let mut bare = BareDump::new()?;
        let everything = Dump::new();
        let known = LinuxTcpInfo::from_bytes(&[]).fields().count();
        assert_eq!(known, FIELDS, "fields that are not read here");
        let mut list = || {
            let mut seen = 0;
            let Ok(mut entries) = diag.dump(&everything) else {
                panic!("the kernel takes requests")
            };
            while let Some(entry) = entries.next() {
                match entry {
                    Ok(entry) => every_fact(&entry),
                    Err(error) => panic!("{error}"),
                }
                seen += 1;
            }
            assert!(seen >= sockets, "{seen} of {sockets}");
        };
        // The kernel makes its pieces as large as the buffers that it has seen.
        bare.receive();
        list();
        let ((), allocations) = allocations_in(&mut list);
        let mut rounds = Rounds::default();
        while rounds.len() < DUMPS {
            let begun = thread_nanos();
            black_box(bare.receive());
            let received = thread_nanos();
            list();
            rounds.add(received - begun, thread_nanos() - received);
        }
        Ok(Cost::timed(rounds.timing(), allocations as f64))
    })
}

/// Some seconds of them, in which a neighbour would take the processor from one or the other; so it is
/// the processor's time that counts. Nothing in a list waits.
const DUMPS: usize = 41;

/// All that is told of a socket, through the methods of its type.
fn every_fact(entry: &Entry<'_>) {
    black_box((entry.state(), entry.local_addr(), entry.remote_addr(), entry.cookie()));
    black_box((entry.interface(), entry.uid(), entry.inode(), entry.timer()));
    black_box((entry.queues(), entry.shutdown(), entry.options(), entry.cgroup_id()));
    black_box((entry.mark(), entry.class_id(), entry.tos(), entry.traffic_class()));
    black_box((entry.memory(), entry.congestion(), entry.ulp(), entry.is_ipv6_only()));
    if let Some(info) = entry.native_tcp_info() {
        every_field(&info);
    }
}

macro_rules! each_field {
    ($($name:ident)*) => {
        fn every_field(info: &LinuxTcpInfo) {
            $(black_box(info.$name());)*
        }

        const FIELDS: usize = [$(stringify!($name)),*].len();
    };
}

each_field! {
    state ca_state retransmits probes backoff options snd_wscale rcv_wscale delivery_rate_app_limited
    fastopen_client_fail rto ato snd_mss rcv_mss unacked accept_queue sacked accept_queue_limit lost
    retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh rtt
    rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans pacing_rate
    max_pacing_rate bytes_acked bytes_received segs_out segs_in notsent_bytes min_rtt data_segs_in
    data_segs_out delivery_rate busy_time rwnd_limited sndbuf_limited delivered delivered_ce
    bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash total_rto
    total_rto_recoveries total_rto_time received_ce delivered_e1_bytes delivered_e0_bytes
    delivered_ce_bytes received_e1_bytes received_e0_bytes received_ce_bytes ecn_mode accecn_opt_seen
    accecn_fail_mode
}

fn three_fields(entry: Entry<'_>) {
    let Some(info) = entry.native_tcp_info() else {
        panic!("an open connection has facts");
    };
    black_box((info.state(), info.rtt(), info.snd_cwnd()));
}

fn measure(subject: impl Fn(&mut SockDiag, &Lookup)) -> Result<Cost, Trouble> {
    let (stream, _peer) = loopback_pair()?;
    let (local, remote) = ends(&stream)?;
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (local, remote) else {
        return Err(Trouble::Failed("loopback is not IPv4".to_owned()));
    };
    let mut diag = match SockDiag::open() {
        Ok(diag) => diag,
        Err(error) if error.kind() == sockdiag::ErrorKind::Unsupported => {
            return Err(Trouble::Skipped("this kernel has no NETLINK_SOCK_DIAG"));
        }
        Err(error) => return Err(Trouble::Failed(error.to_string())),
    };
    let mut bare = BareNetlink::new(from, to)?;
    let lookup = Lookup::new(local, remote);
    Ok(Cost::of(|| bare.exchange(), || subject(&mut diag, &lookup)))
}

fn ends(stream: &TcpStream) -> std::io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}
