//! Netlink's messages and what they tell of a socket: lengths that lie, and facts at their places.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sockdiag::{Entry, Messages, TimerKind, messages};
use tcpinfo::{
    CongestionInfo, CongestionName, SocketMemory, State,
    native::{ByteOrder, linux::LinuxTcpInfo},
};

use crate::{input::Input, word};

/// Which of the two; then the bytes.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() & 1 == 0 {
        check_entry(input.rest());
    } else {
        check_datagram(input.rest());
    }
}

fn number(bytes: &[u8], offset: usize, width: usize) -> u64 {
    word::read(&bytes[offset..offset + width], ByteOrder::NATIVE)
}

fn check_datagram(bytes: &[u8]) {
    let mut found: Messages<'_> = messages(bytes);
    let mut place = 0;
    while place < bytes.len() {
        let left = bytes.len() - place;
        let len = if left < 16 { 0 } else { number(bytes, place, 4) as usize };
        let answer = found.next().expect("there are bytes left");
        if len < 16 || len > left {
            assert_eq!(answer.expect_err("it is not whole").offset(), place);
            assert!(found.next().is_none());
            return;
        }
        let message = answer.expect("it is whole");
        assert_eq!(u64::from(message.kind), number(bytes, place + 4, 2));
        assert_eq!(u64::from(message.flags), number(bytes, place + 6, 2));
        assert_eq!(u64::from(message.sequence), number(bytes, place + 8, 4));
        assert_eq!(u64::from(message.port), number(bytes, place + 12, 4));
        assert_eq!(message.payload, &bytes[place + 16..place + len]);
        check_entry(message.payload);
        place += len.div_ceil(4) * 4;
    }
    assert!(found.next().is_none());
}

/// Number and bytes of each attribute, or where one is broken.
fn parts(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, usize> {
    let (mut place, mut parts) = (0, Vec::new());
    while place < bytes.len() {
        let left = bytes.len() - place;
        let len = if left < 4 { 0 } else { number(bytes, place, 2) as usize };
        if len < 4 || len > left {
            return Err(place);
        }
        let kind = number(bytes, place + 2, 2) as u16;
        parts.push((kind % 0x4000, &bytes[place + 4..place + len]));
        place += len.div_ceil(4) * 4;
    }
    Ok(parts)
}

fn check_entry(bytes: &[u8]) {
    let answer = Entry::from_bytes(bytes);
    if bytes.len() < 72 || ![2, 10].contains(&bytes[0]) {
        assert_eq!(answer.expect_err("it is no socket").offset(), 0);
        return;
    }
    let parts = match parts(&bytes[72..]) {
        Ok(parts) => parts,
        Err(place) => {
            let error = answer.expect_err("an attribute is broken");
            assert_eq!(error.offset(), 72 + place);
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let entry = answer.expect("it is whole");
    let found: Vec<_> = entry.attributes().map(|one| (one.number, one.payload)).collect();
    assert_eq!(found, parts);
    let unknown: Vec<_> = entry.unknown_attributes().map(|one| (one.number, one.payload)).collect();
    let named = |part: &&(u16, &[u8])| !(1..=22).contains(&part.0);
    assert_eq!(unknown, parts.iter().filter(named).copied().collect::<Vec<_>>());
    check_head(&entry, bytes);
    check_facts(&entry, &parts);
    let buf = entry.to_buf();
    assert_eq!(buf.entry(), entry);
    assert_eq!(format!("{buf:?}"), format!("{entry:?}"));
}

fn check_head(entry: &Entry<'_>, bytes: &[u8]) {
    let word = |offset| number(bytes, offset, 4) as u32;
    assert_eq!(entry.state(), State::from_linux(bytes[1]));
    for (address, port, told) in [(8, 4, entry.local_addr()), (24, 6, entry.remote_addr())] {
        assert_eq!(told.port(), u16::from(bytes[port]) << 8 | u16::from(bytes[port + 1]));
        match told {
            SocketAddr::V4(told) => {
                assert_eq!((bytes[0], told.ip().octets().as_slice()), (2, &bytes[address..][..4]));
            }
            SocketAddr::V6(told) => {
                let octets = &bytes[address..address + 16];
                assert_eq!((bytes[0], told.ip().octets().as_slice()), (10, octets));
                let is_of_a_link = octets[0] == 0xfe && octets[1] & 0xc0 == 0x80;
                assert_eq!(told.scope_id(), if is_of_a_link { word(40) } else { 0 });
                assert_eq!(told.flowinfo(), 0);
            }
        }
    }
    assert_eq!(entry.interface().unwrap_or(0), word(40));
    assert_ne!(entry.interface(), Some(0));
    assert_eq!(entry.cookie(), number(bytes, 48, 4) << 32 | number(bytes, 44, 4));
    assert_eq!((entry.rqueue(), entry.wqueue()), (word(56), word(60)));
    assert_eq!(entry.uid().is_none(), word(64) == 0 && word(68) == 0);
    assert_eq!((entry.uid().unwrap_or(0), entry.inode().unwrap_or(0)), (word(64), word(68)));
    let timer = entry.timer();
    assert_eq!(timer.is_none(), bytes[2] == 0);
    if let Some(timer) = timer {
        assert_eq!(timer.expires, Duration::from_millis(word(52).into()));
        assert_eq!(timer.count, bytes[3]);
        assert_eq!(timer.kind == TimerKind::TimeWait, bytes[2] == 3);
        assert_eq!(matches!(timer.kind, TimerKind::Unknown(_)), bytes[2] > 5);
        assert!(!timer.kind.to_string().is_empty());
    }
    let queues = entry.queues();
    let fin = u64::from([8, 9, 11].contains(&bytes[1]));
    if let Some(unread) = queues.unread_bytes {
        assert_eq!(unread, u64::from(word(56)).saturating_sub(fin));
        assert_eq!(queues.queued_bytes, Some(word(60).into()));
    }
    assert_eq!(queues.accept_queue.is_some(), bytes[1] == 10 && bytes[2] != 3);
    assert!(queues.unread_bytes.is_none() || queues.accept_queue.is_none());
    assert!(queues.unread_bytes.is_none() || !entry.is_mini());
}

fn check_facts(entry: &Entry<'_>, parts: &[(u16, &[u8])]) {
    let part = |wanted: u16| parts.iter().find(|(kind, _)| *kind == wanted).map(|part| part.1);
    let byte = |wanted| part(wanted).and_then(|bytes| bytes.first().copied());
    let wide = |wanted, width: usize| {
        part(wanted).filter(|bytes| bytes.len() >= width).map(|bytes| number(bytes, 0, width))
    };
    assert_eq!((entry.tos(), entry.traffic_class()), (byte(5), byte(6)));
    assert_eq!(entry.protocol(), byte(10));
    assert_eq!(entry.is_ipv6_only(), byte(11).map(|only| only > 0));
    assert_eq!(entry.mark().map(u64::from), wide(15, 4));
    assert_eq!(entry.class_id().map(u64::from), wide(17, 4));
    assert_eq!(entry.cgroup_id(), wide(21, 8));
    let shut = entry.shutdown().map(|shut| (shut.receive, shut.send));
    assert_eq!(shut, byte(8).map(|bits| (bits % 2 == 1, bits / 2 % 2 == 1)));

    let info = part(2).map(LinuxTcpInfo::from_bytes);
    let told = entry.native_tcp_info();
    assert_eq!(told.as_ref().map(|info| info.as_bytes()), part(2), "all are lent");
    assert_eq!(
        told.map(|info| info.to_kept().as_bytes().to_vec()),
        info.map(|info| info.as_bytes().to_vec()),
        "and as many kept as there is room for"
    );
    let name = part(4).map(CongestionName::from_bytes);
    assert_eq!(entry.congestion_name(), name);
    assert_eq!(entry.tcp_info().is_some(), info.is_some());
    assert_eq!(entry.tcp_info().and_then(|info| info.congestion()), info.and(name));
    let congestion = entry.congestion();
    assert_eq!(congestion.as_ref().map(|congestion| congestion.name), name);
    match congestion.and_then(|congestion| congestion.info) {
        Some(CongestionInfo::Vegas(_)) => assert_eq!(part(3).map(<[u8]>::len), Some(16)),
        Some(CongestionInfo::Dctcp(_)) => assert_eq!(part(9).map(<[u8]>::len), Some(16)),
        Some(CongestionInfo::Bbr(_)) => assert!(part(16).is_some_and(|bytes| bytes.len() >= 20)),
        _ => {}
    }

    match (part(7), part(1)) {
        (Some(bytes), _) => assert_eq!(entry.memory(), Some(SocketMemory::from_bytes(bytes))),
        (None, Some(bytes)) if bytes.len() >= 16 => {
            let memory = entry.memory().expect("the older four");
            assert_eq!(memory.rx_alloc_bytes.map(u64::from), Some(number(bytes, 0, 4)));
            assert_eq!(memory.tx_alloc_bytes.map(u64::from), Some(number(bytes, 12, 4)));
            assert_eq!(memory.rx_buffer_bytes, None);
        }
        _ => assert_eq!(entry.memory(), None),
    }

    let options = entry.options();
    assert_eq!(options.is_some(), part(22).is_some());
    if let Some(options) = options {
        let bits = |place: usize| part(22).and_then(|bytes| bytes.get(place).copied()).unwrap_or(0);
        let first = if cfg!(target_endian = "big") { 0x80 } else { 1 };
        assert_eq!(options.recverr, bits(0) & first != 0);
        assert_eq!(options.bind_address_no_port, bits(1) & first != 0);
    }

    let keys: Vec<_> = entry.md5_keys().collect();
    let whole = part(18).unwrap_or_default().chunks_exact(100);
    let told: Vec<_> = whole.filter(|one| [2, 10].contains(&one[0])).collect();
    assert_eq!(keys.len(), told.len());
    for (key, bytes) in keys.iter().zip(told) {
        let len = (number(bytes, 2, 2) as usize).min(80);
        assert_eq!((key.prefix_len, key.key), (bytes[1], &bytes[20..20 + len]));
        match key.addr {
            IpAddr::V4(addr) => assert_eq!((bytes[0], &addr.octets()[..]), (2, &bytes[4..8])),
            IpAddr::V6(addr) => assert_eq!((bytes[0], &addr.octets()[..]), (10, &bytes[4..20])),
        }
        assert!(format!("{key:?}").ends_with(&format!("key_len: {len} }}")));
    }

    let ulp = entry.ulp();
    assert_eq!(ulp.is_some(), part(19).is_some());
    if let Some((ulp, bytes)) = ulp.zip(part(19)) {
        let _ = format!("{ulp:?}");
        if let Ok(nested) = self::parts(bytes) {
            let found: Vec<_> = ulp.attributes().map(|one| (one.number, one.payload)).collect();
            assert_eq!(found, nested);
            assert_eq!(ulp.tls().is_some(), nested.iter().any(|(kind, _)| *kind == 2));
            assert_eq!(ulp.mptcp().is_some(), nested.iter().any(|(kind, _)| *kind == 3));
        }
    }
}
