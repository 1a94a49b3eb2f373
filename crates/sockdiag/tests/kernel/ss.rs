//! What `ss` shows of the same connection: netlink's bytes, decoded by code that we did not write.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use super::{
    expected::{Verdict, compare},
    scene::{Pair, Test, found, mapped_pair, needs, pair, until},
    shown::{has_ss, ss},
};

pub(crate) fn tests() -> Vec<Test> {
    let possible = needs(has_ss(), "ss is missing");
    vec![Test { name: "ss_shows_the_same", needs: possible, run: check }]
}

fn check() {
    let mut pairs = vec![pair()];
    pairs.extend(mapped_pair());
    for Pair { mut client, mut server, .. } in pairs {
        let keepalive = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(90));
        socket2::SockRef::from(&client).set_tcp_keepalive(&keepalive).unwrap();
        client.write_all(&[1; 20_000]).unwrap();
        server.read_exact(&mut [0; 20_000 - 7]).unwrap();
        server.write_all(&[2; 300]).unwrap();
        for stream in [&client, &server] {
            let words = until("a moment in which nothing happens", || beside(stream));
            for name in ["bytes_received", "cwnd", "rto", "skmem"] {
                assert!(words.contains(&name), "{name}: {words:?}");
            }
        }
    }
}

/// Compares what `ss` shows between two answers, if they are alike, and says in which words.
fn beside(stream: &TcpStream) -> Option<Vec<&'static str>> {
    let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port();
    let (sport, dport) = (port(stream.local_addr()), port(stream.peer_addr()));
    let filter = format!("sport = :{sport} and dport = :{dport}");
    let begun = Instant::now();
    let before = found(stream);
    let asked = Instant::now();
    let shown = ss(&["-t", &filter]);
    let least = asked.elapsed();
    let after = found(stream);
    let cookie = before.entry().cookie();
    let shown = shown.iter().find(|shown| shown.cookie == cookie).expect("ss shows it");
    match compare(&before.entry(), shown, &after.entry(), (least, begun.elapsed())) {
        Verdict::Same(words) => Some(words),
        Verdict::Moved => None,
    }
}
