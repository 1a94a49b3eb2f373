//! Connections whose segments are signed.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
};

use sockdiag::{Dump, EntryBuf, Lookup, SockDiag, Tell};

use super::{
    namespaces::give_up_privileges,
    population::{Peers, sign},
    scene::{connect, in_network},
    shown::{has_ss, printed_by, ss},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("keys_of_signatures_are_told_as_they_were_set", told),
    ("keys_of_signatures_are_kept_from_who_has_no_privilege", kept),
];

/// Whether this kernel signs.
pub(crate) fn possible() -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    sign(&listener, one("127.0.0.1"), b"a.key")
        .map_err(|error| format!("this kernel does not sign (CONFIG_TCP_MD5SIG): {error}"))
}

fn one(addr: &str) -> Peers {
    Peers { addr: addr.parse().unwrap(), prefix_len: None }
}

fn network(addr: &str, prefix_len: u8) -> Peers {
    Peers { prefix_len: Some(prefix_len), ..one(addr) }
}

/// The socket of this port, listed.
fn listed(port: u16, tell: Tell) -> EntryBuf {
    let filter = format!("sport = :{port}").parse().unwrap();
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&Dump::new().tell(tell).filter(&filter)).unwrap();
    entries.next().unwrap().unwrap().to_buf()
}

/// Address, prefix and key of each.
fn keys(buf: &EntryBuf) -> Vec<(String, Vec<u8>)> {
    let text = |addr, prefix_len| format!("{addr}/{prefix_len}");
    buf.entry().md5_keys().map(|one| (text(one.addr, one.prefix_len), one.key.to_vec())).collect()
}

fn told() {
    in_network(|| {
        let longest: Vec<u8> = (0..80).map(|number| b'a' + number % 26).collect();
        let four = [
            (one("127.0.0.9"), "127.0.0.9/32", b"one".as_slice()),
            (network("127.7.0.0", 16), "127.7.0.0/16", &longest),
            (one("127.0.0.1"), "127.0.0.1/32", b"another.one"),
        ];
        let six = [
            (one("::1"), "::1/128", b"k".as_slice()),
            (network("fe80::", 10), "fe80::/10", b"of.a.link"),
            (one("::ffff:127.0.0.1"), "127.0.0.1/32", b"older"),
        ];
        for (bound, set) in [("127.0.0.1:0", four), ("[::1]:0", six)] {
            let Ok(listener) = TcpListener::bind(bound) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert_eq!(keys(&listed(port, Tell::ALL)), []);
            for (peers, _, key) in &set {
                sign(&listener, *peers, key).unwrap();
            }
            let expected: Vec<_> =
                set.iter().rev().map(|(_, text, key)| ((*text).to_owned(), key.to_vec())).collect();
            assert_eq!(keys(&listed(port, Tell::ALL)), expected);
            assert_eq!(keys(&listed(port, Tell::INFO)), expected);
            assert_eq!(keys(&listed(port, Tell::NOTHING)), []);
            if has_ss() {
                as_ss(port, &expected);
            }
        }
        // Of a connection there is the one that it needs.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        sign(&listener, network("127.0.0.0", 8), b"everybody").unwrap();
        sign(&listener, one("127.0.0.9"), b"somebody.else").unwrap();
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let client = client.unwrap();
        sign(&client, one("127.0.0.1"), b"everybody").unwrap();
        client.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (server, there) = listener.accept().unwrap();
        let lookup = Lookup::new(there, server.local_addr().unwrap());
        let mut diag = SockDiag::open().unwrap();
        let buf = diag.lookup(&lookup).unwrap().unwrap().to_buf();
        assert_eq!(keys(&buf), [("127.0.0.1/32".to_owned(), b"everybody".to_vec())]);
        let lookup = Lookup::new(server.local_addr().unwrap(), there);
        let buf = diag.lookup(&lookup).unwrap().unwrap().to_buf();
        assert!(keys(&buf).iter().all(|(_, key)| key == b"everybody"), "{buf:?}");
        assert_eq!(buf.entry().md5_keys().count(), 1);
    });
}

/// `ss` shows the same networks, and the keys behind them, or (6.1) before all else.
fn as_ss(port: u16, keys: &[(String, Vec<u8>)]) {
    let filter = format!("sport = :{port}");
    let shown = ss(&["-tl", &filter]);
    let [shown] = &*shown else { panic!("{shown:?}") };
    let texts: Vec<_> = keys.iter().map(|(_, key)| std::str::from_utf8(key).unwrap()).collect();
    let mut networks = shown.facts["md5keys"].clone();
    let mut command = Command::new("ss");
    command.args(["-tlniOH", &filter]);
    let printed = printed_by(command);
    let is_apart = printed.starts_with(&texts.concat());
    for ((network, _), text) in keys.iter().zip(&texts) {
        let end = if is_apart { "" } else { *text };
        let rest = networks.strip_prefix(&format!("{network}={end}"));
        networks = rest.unwrap_or_else(|| panic!("{network} in {printed}")).to_owned();
        networks = networks.trim_start_matches(',').to_owned();
    }
    assert_eq!(networks, "", "{printed}");
}

fn kept() {
    in_network(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        sign(&listener, one("127.0.0.9"), b"a.secret").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listed(port, Tell::ALL).entry().md5_keys().count(), 1);
        let (client, _server) = connect(&listener);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                give_up_privileges();
                let buf = listed(port, Tell::ALL);
                assert_eq!(keys(&buf), []);
                assert!(buf.entry().attributes().all(|one| one.number != 18));
                let here: SocketAddr = client.local_addr().unwrap();
                let lookup = Lookup::new(here, client.peer_addr().unwrap());
                let mut diag = SockDiag::open().unwrap();
                assert_eq!(keys(&diag.lookup(&lookup).unwrap().unwrap().to_buf()), []);
            });
        });
    });
}
