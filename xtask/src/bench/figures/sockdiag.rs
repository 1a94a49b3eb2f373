//! What it costs to find a connection that somebody else may own.

use std::{
    hash::{Hash, Hasher},
    hint::black_box,
    net::{SocketAddr, TcpStream},
};

use sockdiag::{Dump, Entry, Lookup, SharedSockDiag, SockDiag};

use tcpinfo::{
    CongestionInfo,
    native::{Lent, linux::LinuxTcpInfo},
};

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

/// All that is told of a socket, through the methods of its type, summed up: what is not decoded would be
/// missing in the sum.
fn every_fact(entry: &Entry<'_>) {
    let sum = &mut Sum(0);
    (entry.state(), entry.local_addr(), entry.remote_addr(), entry.cookie()).hash(sum);
    (entry.interface(), entry.uid(), entry.inode(), entry.timer()).hash(sum);
    (entry.queues(), entry.shutdown(), entry.options(), entry.cgroup_id()).hash(sum);
    (entry.mark(), entry.class_id(), entry.tos(), entry.traffic_class()).hash(sum);
    (entry.memory(), entry.ulp(), entry.is_ipv6_only()).hash(sum);
    if let Some(congestion) = entry.congestion() {
        congestion.name.as_str().hash(sum);
        match congestion.info {
            Some(CongestionInfo::Bbr(bbr)) => {
                let gains = [bbr.pacing_gain, bbr.cwnd_gain].map(|gain| gain.map(f64::to_bits));
                (bbr.bandwidth, bbr.min_rtt, gains, bbr.tail).hash(sum);
            }
            others => drop(black_box(others)),
        }
    }
    if let Some(info) = entry.native_tcp_info() {
        every_field(&info, sum);
    }
    black_box(sum.0);
}

/// Adds up what it is shown, which costs less than anything else that looks at it.
struct Sum(u64);

impl Hasher for Sum {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.wrapping_add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

macro_rules! each_field {
    ($($name:ident)*) => {
        fn every_field(info: &LinuxTcpInfo<Lent<'_>>, sum: &mut Sum) {
            $(info.$name().hash(sum);)*
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
