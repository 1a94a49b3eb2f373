//! `struct socket_fdinfo` of macOS.

use std::net::SocketAddr;

use tcpinfo::{
    Reading::{Unset, Value},
    State, System,
    fields::Unit::{self, Bytes, Connections, Count, None as Code},
    native::{
        ByteOrder,
        apple_socket::{AppleSocketInfo, schema},
    },
};

use super::{BSD_STATES, Row, assert_layout, assert_presence, assert_readings, put};

/// Where `socket_info`, its buffers, `in_sockinfo` and `tcp_sockinfo` begin.
const SOCKET: usize = 24;
const RECEIVE: usize = SOCKET + 184;
const SEND: usize = SOCKET + 208;
const PROTOCOL: usize = SOCKET + 240;

const fn word(name: &'static str, offset: usize, width: usize, unit: Unit) -> Row {
    (name, offset, width, None, unit, offset + width)
}

const LAYOUT: &[Row] = &[
    word("soi_type", SOCKET + 152, 4, Code),
    word("soi_protocol", SOCKET + 156, 4, Code),
    word("soi_family", SOCKET + 160, 4, Code),
    word("soi_options", SOCKET + 164, 2, Code),
    word("soi_linger", SOCKET + 166, 2, Code),
    word("soi_state", SOCKET + 168, 2, Code),
    word("soi_qlen", SOCKET + 170, 2, Connections),
    word("soi_incqlen", SOCKET + 172, 2, Connections),
    word("soi_qlimit", SOCKET + 174, 2, Connections),
    word("soi_error", SOCKET + 178, 2, Code),
    word("soi_rcv.sbi_cc", RECEIVE, 4, Bytes),
    word("soi_rcv.sbi_hiwat", RECEIVE + 4, 4, Bytes),
    word("soi_rcv.sbi_mbcnt", RECEIVE + 8, 4, Bytes),
    word("soi_rcv.sbi_mbmax", RECEIVE + 12, 4, Bytes),
    word("soi_rcv.sbi_lowat", RECEIVE + 16, 4, Bytes),
    word("soi_snd.sbi_cc", SEND, 4, Bytes),
    word("soi_snd.sbi_hiwat", SEND + 4, 4, Bytes),
    word("soi_snd.sbi_mbcnt", SEND + 8, 4, Bytes),
    word("soi_snd.sbi_mbmax", SEND + 12, 4, Bytes),
    word("soi_snd.sbi_lowat", SEND + 16, 4, Bytes),
    word("soi_kind", SOCKET + 232, 4, Code),
    word("insi_vflag", PROTOCOL + 24, 1, Code),
    word("insi_ip_ttl", PROTOCOL + 25, 1, Count),
    word("tcpsi_state", PROTOCOL + 80, 4, Code),
    word("tcpsi_timer[0]", PROTOCOL + 84, 4, Code),
    word("tcpsi_timer[1]", PROTOCOL + 88, 4, Code),
    word("tcpsi_timer[2]", PROTOCOL + 92, 4, Code),
    word("tcpsi_timer[3]", PROTOCOL + 96, 4, Code),
    word("tcpsi_mss", PROTOCOL + 100, 4, Bytes),
    word("tcpsi_flags", PROTOCOL + 104, 4, Code),
];

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// A TCP socket in the given state, with a number of its own in every field: 1000 + offset.
fn socket(state: u8, families: u8) -> Vec<u8> {
    let mut bytes = super::words(792, ByteOrder::Little);
    for offset in (188..204).step_by(2) {
        put(&mut bytes, ByteOrder::Little, offset, 2, 1000 + offset as u64);
    }
    put(&mut bytes, ByteOrder::Little, 256, 4, 2);
    (bytes[288], bytes[289]) = (families, 64);
    put(&mut bytes, ByteOrder::Little, 344, 4, u64::from(state));
    bytes
}

/// The same with ports in network order and these addresses, the peer's first.
fn connected(families: u8, remote: ([u8; 16], u16), local: ([u8; 16], u16)) -> Vec<u8> {
    let mut bytes = socket(4, families);
    for (port_at, address_at, (address, port)) in [(264, 296, remote), (268, 312, local)] {
        bytes[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
        bytes[port_at + 2..port_at + 4].fill(0);
        bytes[address_at..address_at + 16].copy_from_slice(&address);
    }
    bytes
}

fn read(bytes: &[u8]) -> AppleSocketInfo {
    AppleSocketInfo::from_bytes_in(bytes, ByteOrder::Little)
}

fn addresses(bytes: &[u8]) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (read(bytes).local_addr(), read(bytes).remote_addr())
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 16] {
    // Twelve bytes of padding precede the address; nothing says that they are zero.
    [0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, a, b, c, d]
}

#[test]
fn the_schema_is_that_of_the_header() {
    assert_layout(schema(), System::Apple, "socket_fdinfo", LAYOUT);
    assert_eq!(AppleSocketInfo::KNOWN_LEN, 792);
    assert_eq!(schema().flat_map(|field| field.facts()).count(), 0, "another structure's facts");
}

#[test]
fn every_field_is_read_from_its_place() {
    let listener = read(&socket(1, IPV4));
    assert_readings!(listener, {
        soi_type: Value(1176),
        soi_protocol: Value(1180),
        soi_family: Value(1184),
        soi_options: Value(1188),
        soi_linger: Value(1190),
        soi_state: Value(1192),
        soi_qlen: Value(1194),
        soi_incqlen: Value(1196),
        soi_qlimit: Value(1198),
        soi_error: Value(1202),
        soi_rcv_cc = "soi_rcv.sbi_cc": Value(1208),
        soi_rcv_hiwat = "soi_rcv.sbi_hiwat": Value(1212),
        soi_rcv_mbcnt = "soi_rcv.sbi_mbcnt": Value(1216),
        soi_rcv_mbmax = "soi_rcv.sbi_mbmax": Value(1220),
        soi_rcv_lowat = "soi_rcv.sbi_lowat": Value(1224),
        soi_snd_cc = "soi_snd.sbi_cc": Value(1232),
        soi_snd_hiwat = "soi_snd.sbi_hiwat": Value(1236),
        soi_snd_mbcnt = "soi_snd.sbi_mbcnt": Value(1240),
        soi_snd_mbmax = "soi_snd.sbi_mbmax": Value(1244),
        soi_snd_lowat = "soi_snd.sbi_lowat": Value(1248),
        soi_kind: Value(2),
        insi_vflag: Value(IPV4),
        insi_ip_ttl: Value(64),
        tcpsi_state: Value(State::Listen),
        tcpsi_timer_rexmt = "tcpsi_timer[0]": Value(1348),
        tcpsi_timer_persist = "tcpsi_timer[1]": Value(1352),
        tcpsi_timer_keep = "tcpsi_timer[2]": Value(1356),
        tcpsi_timer_2msl = "tcpsi_timer[3]": Value(1360),
        tcpsi_mss: Value(1364),
        tcpsi_flags: Value(1368),
    });
}

#[test]
fn presence_follows_the_returned_length() {
    // Only the state, which comes after it, says whether there is an accept queue.
    let needs = [("soi_qlen", 348), ("soi_incqlen", 348), ("soi_qlimit", 348)];
    assert_presence(LAYOUT, &needs, &socket(1, IPV4), |bytes| {
        read(bytes).fields().map(|(field, reading)| (field.name, reading)).collect()
    });
}

#[test]
fn addresses_of_both_families_come_with_their_ports() {
    let of_v4 = connected(IPV4, (v4(192, 0, 2, 1), 443), (v4(198, 51, 100, 7), 50_123));
    assert_eq!(addresses(&of_v4), (address("198.51.100.7:50123"), address("192.0.2.1:443")));

    let there = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let here = "fe80::aede:48ff:fe00:1122".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let of_v6 = connected(IPV6, (there, 0x1f90), (here, 0x901f));
    assert_eq!(
        addresses(&of_v6),
        (address("[fe80::aede:48ff:fe00:1122]:36895"), address("[2001:db8::1]:8080"))
    );
}

/// The family of the socket does not say that of the connection, the flags do.
#[test]
fn an_ipv4_peer_of_an_ipv6_socket_has_an_ipv4_address() {
    let mut bytes = connected(IPV4, (v4(192, 0, 2, 1), 443), (v4(192, 0, 2, 2), 8080));
    put(&mut bytes, ByteOrder::Little, 184, 4, 30); // AF_INET6
    assert_eq!(addresses(&bytes), (address("192.0.2.2:8080"), address("192.0.2.1:443")));
}

#[test]
fn a_listener_of_both_families_has_a_port_and_no_peer() {
    let mut bytes = connected(IPV4 | IPV6, ([0; 16], 0), ([0; 16], 8080));
    bytes[344] = 1;
    let (local, remote) = addresses(&bytes);
    assert!(local.is_some_and(|local| local.port() == 8080 && local.ip().is_unspecified()));
    assert_eq!(remote, None);
}

#[test]
fn addresses_need_their_bytes_and_a_family() {
    let bytes = connected(IPV4, (v4(192, 0, 2, 1), 443), (v4(192, 0, 2, 2), 8080));
    for len in 0..=bytes.len() {
        let (local, remote) = addresses(&bytes[..len]);
        assert_eq!((local.is_some(), remote.is_some()), (len >= 328, len >= 312), "{len} bytes");
    }
    let neither = connected(0, (v4(192, 0, 2, 1), 443), (v4(192, 0, 2, 2), 8080));
    assert_eq!(addresses(&neither), (None, None));
}

#[test]
fn a_queue_of_connections_is_told_of_listeners_only() {
    for (state, known) in (0..=11).zip(BSD_STATES.into_iter().chain([State::Unknown(11)])) {
        let info = read(&socket(state, IPV6));
        assert_eq!(info.tcpsi_state(), Value(known));
        let expected = if known == State::Listen { Value(1194) } else { Unset };
        assert_eq!(info.soi_qlen(), expected, "{known}");
        assert_eq!(info.soi_incqlen().map(|n| n - 2), expected, "{known}");
        assert_eq!(info.soi_qlimit().map(|n| n - 4), expected, "{known}");
    }
}

#[test]
fn a_timer_that_does_not_run_has_no_end() {
    let mut bytes = socket(4, IPV4);
    bytes[348..364].fill(0);
    bytes[357] = 7;
    let info = read(&bytes);
    assert_eq!((info.tcpsi_timer_rexmt(), info.tcpsi_timer_persist()), (Unset, Unset));
    assert_eq!((info.tcpsi_timer_keep(), info.tcpsi_timer_2msl()), (Value(7 << 8), Unset));
}

/// The bytes after the general part belong to whichever protocol the kind says.
#[test]
fn a_socket_of_another_protocol_has_no_tcp_fields() {
    for kind in [0, 1, 3, 4, u64::from(u32::MAX)] {
        let mut bytes = connected(IPV4, (v4(192, 0, 2, 1), 443), (v4(192, 0, 2, 2), 8080));
        put(&mut bytes, ByteOrder::Little, 256, 4, kind);
        bytes[344] = 1;
        let info = read(&bytes);
        for (field, reading) in info.fields() {
            let tcp_only = field.offset >= 344 || (194..200).contains(&field.offset);
            let internet_only = (288..344).contains(&field.offset);
            let silent = tcp_only || internet_only && kind != 1;
            assert_eq!(reading == Unset, silent, "{} of kind {kind}", field.name);
        }
        let of_internet = (address("192.0.2.2:8080"), address("192.0.2.1:443"));
        assert_eq!(addresses(&bytes), if kind == 1 { of_internet } else { (None, None) });
        assert_eq!(info.soi_rcv_cc(), Value(1208), "every socket has buffers");
    }
}
