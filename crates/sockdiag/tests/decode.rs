//! Entries and messages of bytes: what each fact is made of, and that no bytes do harm. Asks no
//! kernel.

use std::time::Duration;

use proptest::prelude::*;
use sockdiag::{Entry, EntryBuf, SocketOptions, TimerKind, TlsPlace, messages};
use tcpinfo::{CongestionInfo, Reading, SocketMemory, State};

/// The number of an attribute and its bytes.
type Part = (u16, Vec<u8>);

type IsSet = fn(&SocketOptions) -> bool;

/// `struct inet_diag_msg`, put together by the table in the kernel's header.
#[derive(Clone)]
struct Head {
    family: u8,
    state: u8,
    timer: u8,
    retrans: u8,
    src: ([u8; 16], u16),
    dst: ([u8; 16], u16),
    interface: u32,
    cookie: [u32; 2],
    /// Expires, rqueue, wqueue, uid, inode.
    numbers: [u32; 5],
}

const V4: Head = Head {
    family: 2,
    state: 1,
    timer: 0,
    retrans: 0,
    src: ([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 443),
    dst: ([192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 51534),
    interface: 0,
    cookie: [0x1e93, 0x2],
    numbers: [0, 3, 5, 1000, 77],
};

const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
const LINK: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

impl Head {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.family, self.state, self.timer, self.retrans];
        bytes.extend(self.src.1.to_be_bytes());
        bytes.extend(self.dst.1.to_be_bytes());
        bytes.extend(self.src.0);
        bytes.extend(self.dst.0);
        for word in [self.interface, self.cookie[0], self.cookie[1]].iter().chain(&self.numbers) {
            bytes.extend(word.to_ne_bytes());
        }
        assert_eq!(bytes.len(), 72);
        bytes
    }

    fn with(&self, attributes: &[Part]) -> EntryBuf {
        let bytes = [self.bytes(), list(attributes)].concat();
        Entry::from_bytes(&bytes).unwrap().to_buf()
    }
}

/// `struct rtattr`s, each aligned to four bytes.
fn list(attributes: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, payload) in attributes {
        bytes.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
        bytes.extend(number.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn the_fixed_part_is_read_at_its_places() {
    let buf = V4.with(&[]);
    let entry = buf.entry();
    assert_eq!(entry.state(), State::Established);
    assert_eq!(entry.local_addr(), "10.0.0.1:443".parse().unwrap());
    assert_eq!(entry.remote_addr(), "192.0.2.7:51534".parse().unwrap());
    assert_eq!(entry.interface(), None);
    assert_eq!(entry.cookie(), 0x2_0000_1e93);
    assert_eq!((entry.uid(), entry.inode()), (Some(1000), Some(77)));
    assert_eq!((entry.rqueue(), entry.wqueue()), (3, 5));
    assert_eq!(entry.timer(), None);
    assert!(!entry.is_mini());

    let bound = Head { family: 10, src: (LINK, 1), dst: (MAPPED, 2), interface: 4, ..V4 }.with(&[]);
    let entry = bound.entry();
    assert_eq!(entry.local_addr(), "[fe80::1%4]:1".parse().unwrap());
    assert_eq!(entry.remote_addr(), "[::ffff:10.0.0.1]:2".parse().unwrap());
    assert_eq!(entry.interface(), Some(4));
}

#[test]
fn without_attributes_every_fact_is_absent() {
    let buf = V4.with(&[]);
    let entry = buf.entry();
    assert!(entry.native_tcp_info().is_none() && entry.tcp_info().is_none());
    assert!(entry.congestion_name().is_none() && entry.congestion().is_none());
    assert!(entry.memory().is_none() && entry.shutdown().is_none() && entry.options().is_none());
    assert_eq!((entry.tos(), entry.traffic_class(), entry.protocol()), (None, None, None));
    assert_eq!((entry.class_id(), entry.mark(), entry.cgroup_id()), (None, None, None));
    assert!(entry.ulp().is_none() && entry.is_ipv6_only().is_none());
    assert_eq!(entry.md5_keys().next(), None);
    assert_eq!(entry.attributes().count(), 0);
}

#[test]
fn a_timer_has_a_kind_a_time_and_a_count() {
    let kinds = [
        (1, TimerKind::Retransmit),
        (2, TimerKind::Keepalive),
        (3, TimerKind::TimeWait),
        (4, TimerKind::ZeroWindowProbe),
        (5, TimerKind::DelayedAck),
        (200, TimerKind::Unknown(200)),
    ];
    for (code, kind) in kinds {
        let buf = Head { timer: code, retrans: 9, numbers: [1234, 0, 0, 0, 0], ..V4 }.with(&[]);
        let timer = buf.entry().timer().unwrap();
        assert_eq!((timer.kind, timer.count), (kind, 9));
        assert_eq!(timer.expires, Duration::from_millis(1234));
    }
}

#[test]
fn what_no_program_holds_has_no_owner() {
    let owner = |uid, inode| {
        let buf = Head { numbers: [0, 0, 0, uid, inode], ..V4 }.with(&[]);
        (buf.entry().uid(), buf.entry().inode())
    };
    assert_eq!(owner(0, 0), (None, None));
    assert_eq!(owner(0, 9), (Some(0), Some(9)), "the superuser's");
    assert_eq!(owner(5, 0), (Some(5), None), "newer kernels remember whose it was");
}

#[test]
fn queues_mean_what_the_state_says() {
    let shutdown = [(8, vec![0])];
    let queues = |state: u8, attributes: &[Part]| {
        let buf = Head { state, ..V4 }.with(attributes);
        let queues = buf.entry().queues();
        (queues.unread_bytes, queues.queued_bytes, queues.accept_queue, queues.accept_queue_limit)
    };
    for state in [1, 3, 4, 5] {
        assert_eq!(queues(state, &shutdown), (Some(3), Some(5), None, None), "state {state}");
    }
    for state in [8, 9, 11] {
        assert_eq!(queues(state, &shutdown), (Some(2), Some(5), None, None), "state {state}");
    }
    assert_eq!(queues(10, &shutdown), (None, None, Some(3), Some(5)));
    assert_eq!(queues(2, &shutdown), (None, Some(4), None, None));
    for state in [6, 7, 12, 13, 77] {
        assert_eq!(queues(state, &shutdown), (None, None, None, None), "state {state}");
    }
}

#[test]
fn small_sockets_are_told_from_full_ones() {
    let shutdown: &[Part] = &[(8, vec![3])];
    let cases: [(u8, u8, &[Part], bool); 7] = [
        (6, 3, &[], true),
        (5, 3, &[], true),
        (5, 2, shutdown, false),
        (3, 1, &[], true),
        (3, 1, shutdown, false),
        (1, 1, shutdown, false),
        (12, 0, shutdown, false),
    ];
    for (state, timer, attributes, is_mini) in cases {
        let buf = Head { state, timer, ..V4 }.with(attributes);
        assert_eq!(buf.entry().is_mini(), is_mini, "state {state}, timer {timer}");
        if is_mini {
            assert_eq!(buf.entry().queues(), tcpinfo::Queues::default());
        }
    }
}

#[test]
fn attributes_are_read_by_their_numbers() {
    let mut info = vec![0; 104];
    info[0] = 1;
    info[68..72].copy_from_slice(&250u32.to_ne_bytes());
    let buf = V4.with(&[
        (14, vec![]), // filler, as kernels up to 6.12 send it
        (5, vec![0xb8]),
        (6, vec![0x20]),
        (8, vec![2]),
        (10, vec![6]),
        (11, vec![1]),
        (15, words(&[0xbeef])),
        (17, words(&[9])),
        (21, 0x1_0000_0001u64.to_ne_bytes().to_vec()),
        (2, info),
        (4, b"reno\0".to_vec()),
        (0xc000 | 7, words(&[1, 2, 3, 4, 5, 6, 7, 8, 9])),
        (1000, b"new".to_vec()),
        (0, vec![7]),
    ]);
    let entry = buf.entry();
    assert_eq!((entry.tos(), entry.traffic_class()), (Some(0xb8), Some(0x20)));
    assert_eq!(entry.shutdown().map(|shut| (shut.receive, shut.send)), Some((false, true)));
    assert_eq!((entry.protocol(), entry.is_ipv6_only()), (Some(6), Some(true)));
    assert_eq!((entry.mark(), entry.class_id()), (Some(0xbeef), Some(9)));
    assert_eq!(entry.cgroup_id(), Some(0x1_0000_0001));
    assert_eq!(entry.native_tcp_info().unwrap().rtt(), Reading::Value(Duration::from_micros(250)));
    assert_eq!(entry.tcp_info().unwrap().rtt(), Some(Duration::from_micros(250)));
    assert_eq!(entry.tcp_info().unwrap().congestion().unwrap().as_str(), "reno");
    assert_eq!(entry.congestion().unwrap().name.as_str(), "reno");
    assert_eq!(entry.memory().unwrap().dropped_packets, Some(9));
    let unknown: Vec<_> =
        entry.unknown_attributes().map(|unknown| (unknown.number, unknown.payload)).collect();
    assert_eq!(unknown, [(1000, b"new".as_slice()), (0, &[7])]);
    assert_eq!(entry.attributes().count(), 14);
    let text = format!("{entry:?}");
    assert!(text.contains("1e93") && text.contains("1000") && text.contains("10.0.0.1:443"));
}

#[test]
fn the_older_numbers_of_memory_stand_in_for_the_newer() {
    let older = (1, words(&[1, 2, 3, 4]));
    let buf = V4.with(std::slice::from_ref(&older));
    let memory = buf.entry().memory().unwrap();
    assert_eq!((memory.rx_alloc_bytes, memory.tx_queued_bytes), (Some(1), Some(2)));
    assert_eq!((memory.forward_alloc_bytes, memory.tx_alloc_bytes), (Some(3), Some(4)));
    assert_eq!((memory.rx_buffer_bytes, memory.tx_buffer_bytes), (None, None));

    let buf = V4.with(&[older, (7, words(&[9]))]);
    let memory = buf.entry().memory().unwrap();
    assert_eq!(memory, SocketMemory::from_bytes(&9u32.to_ne_bytes()));
    assert_eq!(V4.with(&[(1, words(&[1, 2, 3]))]).entry().memory(), None);
}

#[test]
fn an_attribute_that_is_too_short_is_absent() {
    for number in [5, 6, 8, 10, 11] {
        let buf = V4.with(&[(number, vec![])]);
        let entry = buf.entry();
        let bytes = [entry.tos(), entry.traffic_class(), entry.protocol()];
        assert_eq!(bytes, [None; 3]);
        assert_eq!((entry.shutdown(), entry.is_ipv6_only()), (None, None));
    }
    let buf = V4.with(&[(15, vec![0; 3]), (17, vec![0; 3]), (21, vec![0; 7])]);
    let entry = buf.entry();
    assert_eq!((entry.mark(), entry.class_id(), entry.cgroup_id()), (None, None, None));
}

#[test]
fn congestion_control_is_decoded_by_the_number_of_its_attribute() {
    let vegas = (3, words(&[1, 2, 3000, 4000]));
    let dctcp = (9, [words(&[0]), words(&[512, 1, 2])].concat());
    let bbr = (16, words(&[1, 0, 3000, 512, 512]));
    let info = |name: &str, attribute: &Part| {
        let buf = V4.with(&[(4, name.as_bytes().to_vec()), attribute.clone()]);
        let congestion = buf.entry().congestion().unwrap();
        assert_eq!(congestion.name.as_str(), name);
        congestion.to_kept().info
    };
    for name in ["vegas", "westwood", "nv", "own"] {
        assert!(matches!(info(name, &vegas), Some(CongestionInfo::Vegas(_))), "{name}");
    }
    for name in ["dctcp", "dctcp-reno", "own"] {
        assert!(matches!(info(name, &dctcp), Some(CongestionInfo::Dctcp(_))), "{name}");
    }
    for name in ["bbr", "bbr3", "own"] {
        assert!(matches!(info(name, &bbr), Some(CongestionInfo::Bbr(_))), "{name}");
    }
    // Switched while the kernel looked.
    for (name, attribute) in [
        ("cubic", &bbr),
        ("reno", &vegas),
        ("bbr", &vegas),
        ("vegas", &bbr),
        ("dctcp", &vegas),
        ("vegas", &dctcp),
    ] {
        assert_eq!(info(name, attribute), None, "{name}");
    }
    // Of another length it is passed through.
    let odd = info("bbr", &(16, vec![1, 2]));
    assert!(matches!(odd, Some(CongestionInfo::Other(bytes)) if bytes.as_bytes() == [1, 2]));
    assert!(V4.with(std::slice::from_ref(&bbr)).entry().congestion().is_none(), "no name");
}

/// The kernel's header declares eleven bits of one width, one after the other, which compilers place
/// from the low end of a byte or from its high end.
#[test]
fn options_are_bits_in_the_order_of_the_header() {
    let first = |bit: u32| if cfg!(target_endian = "big") { 0x80 >> bit } else { 1u8 << bit };
    let names: [(&str, IsSet); 11] = [
        ("recverr", |options| options.recverr),
        ("is_icsk", |options| options.is_icsk),
        ("freebind", |options| options.freebind),
        ("hdrincl", |options| options.hdrincl),
        ("mc_loop", |options| options.mc_loop),
        ("transparent", |options| options.transparent),
        ("mc_all", |options| options.mc_all),
        ("nodefrag", |options| options.nodefrag),
        ("bind_address_no_port", |options| options.bind_address_no_port),
        ("recverr_rfc4884", |options| options.recverr_rfc4884),
        ("defer_connect", |options| options.defer_connect),
    ];
    for (bit, (name, _)) in (0..).zip(&names) {
        let mut bytes = vec![0, 0];
        bytes[bit as usize / 8] = first(bit % 8);
        let buf = V4.with(&[(22, bytes)]);
        let options = buf.entry().options().unwrap();
        for (other, get) in &names {
            assert_eq!(get(&options), name == other, "{other} where {name} is set");
        }
    }
    assert_eq!(V4.with(&[(22, vec![])]).entry().options(), Some(SocketOptions::default()));
}

#[test]
fn what_is_nested_is_read_by_its_numbers() {
    let tls = list(&[
        (1, 0x0304u16.to_ne_bytes().to_vec()),
        (2, 51u16.to_ne_bytes().to_vec()),
        (3, 2u16.to_ne_bytes().to_vec()),
        (4, 9u16.to_ne_bytes().to_vec()),
        (6, vec![]),
        (7, 1400u16.to_ne_bytes().to_vec()),
    ]);
    let buf = V4.with(&[(19, list(&[(1, b"tls\0".to_vec()), (2, tls)]))]);
    let ulp = buf.entry().ulp().unwrap();
    assert_eq!((ulp.name(), ulp.mptcp()), ("tls", None));
    let tls = ulp.tls().unwrap();
    assert_eq!((tls.version, tls.cipher), (Some(0x0304), Some(51)));
    assert_eq!((tls.tx, tls.rx), (Some(TlsPlace::Software), Some(TlsPlace::Unknown(9))));
    assert_eq!((tls.is_zero_copy, tls.is_without_padding), (false, true));
    assert_eq!(tls.tx_max_payload_len, Some(1400));

    let mptcp = list(&[
        (1, words(&[11])),
        (2, words(&[12])),
        (3, words(&[13])),
        (4, 14u64.to_ne_bytes().to_vec()),
        (5, words(&[15])),
        (6, words(&[16])),
        (7, 17u16.to_ne_bytes().to_vec()),
        (8, words(&[18])),
        (9, vec![19]),
        (10, vec![20]),
    ]);
    let buf = V4.with(&[(19, list(&[(1, b"mptcp\0".to_vec()), (3, mptcp)]))]);
    let ulp = buf.entry().ulp().unwrap();
    assert_eq!((ulp.name(), ulp.tls()), ("mptcp", None));
    let path = ulp.mptcp().unwrap();
    assert_eq!((path.remote_token, path.local_token), (Some(11), Some(12)));
    assert_eq!((path.relative_write_sequence, path.map_sequence), (Some(13), Some(14)));
    assert_eq!((path.map_subflow_sequence, path.subflow_offset), (Some(15), Some(16)));
    assert_eq!((path.map_data_len, path.flags), (Some(17), Some(18)));
    assert_eq!((path.remote_id, path.local_id), (Some(19), Some(20)));
    assert_eq!(ulp.attributes().map(|one| one.number).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_is_broken_within_an_attribute_is_absent() {
    let buf = V4.with(&[(19, vec![9, 0, 1])]);
    let ulp = buf.entry().ulp().unwrap();
    assert_eq!((ulp.name(), ulp.tls(), ulp.mptcp()), ("", None, None));
    let beyond = [list(&[(1, b"x".to_vec())]), 900u16.to_ne_bytes().to_vec(), vec![2, 0]].concat();
    let buf = V4.with(&[(19, beyond)]);
    assert_eq!((buf.entry().ulp().unwrap().name(), buf.entry().ulp().unwrap().tls()), ("x", None));
}

/// `struct tcp_diag_md5sig`, with this length of the key whatever the key is.
fn signature(family: u8, prefix: u8, addr: &[u8], len: u16, key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![family, prefix];
    bytes.extend(len.to_ne_bytes());
    bytes.extend(addr);
    bytes.resize(20, 0);
    bytes.extend(key);
    bytes.resize(100, 0);
    bytes
}

#[test]
fn keys_of_signatures_are_told_with_their_peers() {
    let six = signature(10, 64, &LINK, 5, b"short");
    let four = signature(2, 24, &[192, 0, 2, 0], 80, &[b'k'; 80]);
    // Room for a key that was gone when it was told.
    let none = signature(0, 0, &[], 0, &[]);
    let buf = V4.with(&[(18, [six, none, four].concat())]);
    let told: Vec<_> =
        buf.entry().md5_keys().map(|one| (one.addr, one.prefix_len, one.key)).collect();
    let (addr, network) = ("fe80::1".parse().unwrap(), "192.0.2.0".parse().unwrap());
    assert_eq!(told, [(addr, 64, b"short".as_slice()), (network, 24, &[b'k'; 80])]);
}

#[test]
fn keys_that_are_not_whole_or_of_nobody_are_passed_over() {
    let one = signature(2, 32, &[10, 0, 0, 7], 3, b"abc");
    let odd = signature(1, 32, &[10, 0, 0, 7], 3, b"abc");
    let all = [odd, one.clone(), one].concat();
    for (len, count) in [(0, 0), (99, 0), (100, 0), (199, 0), (200, 1), (299, 1), (300, 2)] {
        let buf = V4.with(&[(18, all[..len].to_vec())]);
        let keys = buf.entry().md5_keys();
        assert!(keys.clone().all(|one| one.key == b"abc"));
        assert_eq!(keys.count(), count, "{len} bytes");
    }
    // A length that lies does not reach into the next.
    for len in [81, 100, u16::MAX] {
        let lie = signature(2, 32, &[10, 0, 0, 7], len, &[1; 80]);
        let buf = V4.with(&[(18, [lie.clone(), lie].concat())]);
        let keys: Vec<_> = buf.entry().md5_keys().map(|one| one.key.to_vec()).collect();
        assert_eq!(keys, [[1; 80], [1; 80]]);
    }
}

#[test]
fn secret_keys_are_in_no_text() {
    let buf = V4.with(&[(18, signature(2, 32, &[10, 0, 0, 7], 6, b"secret"))]);
    let keys = buf.entry().md5_keys();
    let texts = format!("{buf:?} {keys:?} {:#?}", keys.clone().next());
    assert!(texts.contains("key_len: 6") && texts.contains("10.0.0.7"), "{texts}");
    for secret in ["secret", "115, 101", "73, 65", "\\x73"] {
        assert!(!texts.contains(secret), "{texts}");
    }
}

#[test]
fn an_entry_is_whole_or_an_error() {
    let parts = [(8, vec![0]), (5, vec![1]), (2, vec![1; 9]), (4, b"cubic\0".to_vec())];
    let bytes = [V4.bytes(), list(&parts)].concat();
    // Where an attribute ends; what only fills up to the next may be missing.
    let mut ends = vec![72];
    for count in 1..=parts.len() {
        let end = 72 + list(&parts[..count]).len();
        let filler = list(&parts[..count]).len() - list(&parts[..count - 1]).len();
        let filler = filler - 4 - parts[count - 1].1.len();
        ends.extend(end - filler..=end);
    }
    for len in 0..=bytes.len() {
        let answer = Entry::from_bytes(&bytes[..len]);
        assert_eq!(answer.is_ok(), ends.contains(&len), "{len} bytes: {answer:?}");
        if let Err(malformed) = answer {
            assert!(malformed.offset() <= len && !malformed.to_string().is_empty());
        }
    }
}

#[test]
fn lengths_that_lie_are_errors() {
    for claimed in (0..4).chain([6, 100, u16::MAX]) {
        let mut bytes = [V4.bytes(), list(&[(5, vec![1])])].concat();
        bytes.truncate(77);
        bytes[72..74].copy_from_slice(&claimed.to_ne_bytes());
        let malformed = Entry::from_bytes(&bytes).unwrap_err();
        assert_eq!(malformed.offset(), 72, "{claimed}");
    }
    for claimed in (0..16).chain([17, u32::MAX]) {
        let mut bytes = vec![0; 16];
        bytes[..4].copy_from_slice(&claimed.to_ne_bytes());
        let all: Vec<_> = messages(&bytes).collect();
        assert!(matches!(all.as_slice(), [Err(_)]), "{claimed}: {all:?}");
    }
    for family in (0..=u8::MAX).filter(|family| ![2, 10].contains(family)) {
        assert!(Entry::from_bytes(&Head { family, ..V4 }.bytes()).is_err());
    }
}

#[test]
fn a_datagram_holds_messages_each_aligned() {
    let mut datagram = Vec::new();
    for (kind, payload) in [(20u16, vec![1u8, 2, 3]), (3, vec![]), (2, vec![9; 8])] {
        datagram.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
        datagram.extend(kind.to_ne_bytes());
        datagram.extend(5u16.to_ne_bytes());
        datagram.extend(6u32.to_ne_bytes());
        datagram.extend(7u32.to_ne_bytes());
        datagram.extend(&payload);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
    }
    let all: Vec<_> = messages(&datagram).map(Result::unwrap).collect();
    let seen: Vec<_> = all.iter().map(|message| (message.kind, message.payload.len())).collect();
    assert_eq!(seen, [(20, 3), (3, 0), (2, 8)]);
    assert!(all.iter().all(|one| (one.flags, one.sequence, one.port) == (5, 6, 7)));
    assert_eq!(messages(&[]).count(), 0);
}

/// Everything that can be asked of an entry.
fn ask(entry: &Entry<'_>) {
    let _ = (entry.local_addr(), entry.remote_addr(), entry.queues(), entry.memory());
    let _ = (entry.native_tcp_info(), entry.congestion(), entry.options(), entry.timer());
    let _ = (entry.cgroup_id(), entry.mark(), entry.class_id(), entry.tos(), entry.shutdown());
    let _ = format!("{entry:?} {:?} {:?} {:?}", entry.ulp(), entry.tcp_info(), entry.md5_keys());
    let buf = entry.to_buf();
    assert_eq!(buf.entry(), *entry);
}

proptest! {
    #[test]
    fn any_bytes_are_an_entry_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..600), mend: bool) {
        if let (Some(family), true) = (bytes.first_mut(), mend) {
            *family = 2 + 8 * (*family & 1);
        }
        if let Ok(entry) = Entry::from_bytes(&bytes) {
            ask(&entry);
        }
        for message in messages(&bytes) {
            prop_assert!(message.is_err() || message.unwrap().payload.len() < bytes.len());
        }
    }

    #[test]
    fn attributes_are_found_as_they_were_put(
        parts in prop::collection::vec((0u16..40, prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        lie: Option<(prop::sample::Index, u16)>,
    ) {
        let mut bytes = [V4.bytes(), list(&parts)].concat();
        let entry = Entry::from_bytes(&bytes).unwrap();
        let found: Vec<_> = entry.attributes().map(|one| (one.number, one.payload.to_vec())).collect();
        prop_assert_eq!(&found, &parts);
        let unknown = parts.iter().filter(|(number, _)| *number == 0 || *number > 22).count();
        prop_assert_eq!(entry.unknown_attributes().count(), unknown);
        ask(&entry);
        // One length that lies.
        if let (Some((place, claimed)), false) = (lie, parts.is_empty()) {
            let place = 72 + list(&parts[..place.index(parts.len())]).len();
            bytes[place..place + 2].copy_from_slice(&claimed.to_ne_bytes());
            let left = bytes.len() - place;
            let answer = Entry::from_bytes(&bytes);
            if usize::from(claimed) < 4 || usize::from(claimed) > left {
                prop_assert_eq!(answer.unwrap_err().offset(), place);
            } else if let Ok(entry) = answer {
                ask(&entry);
            }
        }
    }
}
