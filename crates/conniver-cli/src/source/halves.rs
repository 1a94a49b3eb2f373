//! How sockets are shared between two that list them at the same time.

use std::{fs, ops::Range};

use sockdiag::Filter;

use super::FromText as _;

/// So many sockets tell well enough where the quarters of their ports are.
pub(super) const SAMPLE: usize = 1_000;

/// Two filters that have all sockets once, and about half of them each if these are the local and the
/// remote ports of the first that the kernel tells of.
///
/// It tells of connections to one server in the order of their local ports (from Linux 6.15 on), so the
/// first have neighbouring ones, which are no sample. But where a connection begins, the kernel chose the
/// port from all of its range, whose middle half therefore has half of them. Where it came in, the remote
/// port is such a one, of a range that the sample shows. A port that many have, a server's, is in one
/// half or the other of both; so that who is in one half by only one of its ports is not.
pub(super) fn halves(ports: &mut [Vec<u16>; 2]) -> [Filter; 2] {
    let [local, remote] = ports;
    let (low, high) = local_port_range();
    let quarter = high.saturating_sub(low) / 4;
    let rare = rare_of(local);
    let chosen = rare.iter().filter(|port| (low..=high).contains(*port)).count();
    let ours = if 2 * chosen >= rare.len() {
        within("sport", &(low + quarter..high - quarter))
    } else {
        // The range is another elsewhere, or was when they began: all ports, in stripes.
        let stripes =
            (0..8).map(|stripe| within("sport", &(stripe << 13..(stripe << 13) + (1 << 12))));
        format!("( {} )", stripes.collect::<Vec<_>>().join(" or "))
    };
    let rare = rare_of(remote);
    let theirs = middle_half(if rare.len() < remote.len() / 20 { remote } else { &rare });
    let theirs = within("dport", &theirs);
    let either = format!("( {ours} and ! {theirs} ) or ( ! {ours} and {theirs} )");
    [Filter::text(&either), Filter::text(&format!("! ( {either} )"))]
}

fn within(end: &str, ports: &Range<u16>) -> String {
    format!("( {end} >= :{} and {end} < :{} )", ports.start, ports.end)
}

/// In order those that few have.
fn rare_of(ports: &mut [u16]) -> Vec<u16> {
    ports.sort_unstable();
    let alike = ports.chunk_by(|one, next| one == next);
    alike.filter(|alike| alike.len() < 3).flatten().copied().collect()
}

/// Between the first and the last quarter of these, which are in order.
fn middle_half(ports: &[u16]) -> Range<u16> {
    let quarter = ports.len() / 4;
    match (ports.get(quarter), ports.get(ports.len() - quarter.max(1))) {
        (Some(start), Some(end)) => *start..*end,
        _ => 0..0,
    }
}

/// From where to where the kernel chooses ports of connections that do not ask for one.
fn local_port_range() -> (u16, u16) {
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = told.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(low)), Some(Ok(high))) if low <= high => (low, high),
        // As it is if nobody changes it.
        _ => (32_768, 60_999),
    }
}

#[cfg(test)]
mod tests {
    use sockdiag::Entry;

    use super::*;

    /// A socket of IPv4 with these ports.
    fn socket((local, remote): (u16, u16)) -> [u8; 72] {
        let mut bytes = [0; 72];
        bytes[..2].copy_from_slice(&[2, 1]);
        bytes[4..6].copy_from_slice(&local.to_be_bytes());
        bytes[6..8].copy_from_slice(&remote.to_be_bytes());
        bytes
    }

    #[test]
    fn each_socket_is_in_one_half_and_neither_is_large() {
        let (low, high) = local_port_range();
        let chosen = |at: u16| low + (u32::from(high - low) * u32::from(at) / 4_000) as u16;
        // Any of the first are spread over all.
        let mixed = |at: u16| (u32::from(at) * 2_473 % 4_000) as u16;
        let clients: Vec<_> = (0..4_000).map(|at| (chosen(at), 5432)).collect();
        let server: Vec<_> = (0..4_000).map(|at| (443, 49_152 + 4 * mixed(at))).collect();
        let proxy = clients.iter().zip(&server).flat_map(|(out, inwards)| [*out, *inwards]);
        let proxy: Vec<_> = proxy.collect();
        // Both ends of each connection, of servers whose ports are like those of clients.
        let servers = [33_049, 36_299, 39_327, 45_249, 46_213];
        let both = (0..4_000).flat_map(|at| {
            let (client, server) = (chosen(mixed(at)), servers[usize::from(at) % 5]);
            [(client, server), (server, client)]
        });
        let both: Vec<_> = both.collect();
        // Ports of another range; and few, of many addresses.
        let elsewhere: Vec<_> = (0..4_000).map(|at| (1_024 + 7 * at, 443)).collect();
        let few: Vec<_> = (0..4_000).map(|at| (443, 1_024 + at % 16)).collect();
        let listeners = vec![(80, 0); 4_000];
        for (sockets, least) in [
            (clients, 0.45),
            (server, 0.45),
            (proxy, 0.45),
            (both, 0.45),
            (elsewhere, 0.4),
            (few, 0.4),
            (listeners, 0.0),
        ] {
            let (local, remote) = sockets.iter().take(SAMPLE).copied().unzip();
            let halves = halves(&mut [local, remote]);
            let odd = [(0, 0), (443, 0), (443, u16::MAX), (u16::MAX, 0), (u16::MAX, u16::MAX)];
            let mut sizes = [0; 2];
            for pair in sockets.iter().copied().chain(odd) {
                let bytes = socket(pair);
                let entry = Entry::from_bytes(&bytes).unwrap();
                let is_in = halves.each_ref().map(|half| half.matches(&entry));
                assert_eq!(is_in.iter().filter(|is_in| **is_in).count(), 1, "{pair:?}");
                sizes[usize::from(is_in[1])] += 1;
            }
            let least = sockets.len() as f64 * least;
            assert!(sizes.iter().all(|size| f64::from(*size) >= least), "{sizes:?}");
        }
    }
}
