//! Recordings whole, broken, and read in pieces of any length.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use tcpinfo::State;

use super::*;
use crate::{EntryBuf, Family, States};

/// A socket with these attributes, whose cookie is this number.
fn socket(family: u8, state: u8, cookie: u32, attributes: &[(u16, Vec<u8>)]) -> EntryBuf {
    Entry::from_bytes(&bytes(family, state, cookie, attributes)).unwrap().to_buf()
}

fn bytes(family: u8, state: u8, cookie: u32, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_LEN];
    bytes[..2].copy_from_slice(&[family, state]);
    bytes[4..6].copy_from_slice(&80u16.to_be_bytes());
    bytes[44..48].copy_from_slice(&cookie.to_ne_bytes());
    for (number, payload) in attributes {
        put_attribute(&mut bytes, *number, payload);
    }
    bytes
}

fn recorded(sockets: &[EntryBuf]) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), &Dump::new());
    for socket in sockets {
        recorder.write(&socket.entry()).unwrap();
    }
    recorder.finish().unwrap()
}

/// Everything of a file, and how it ended.
fn replayed(file: impl Read, dump: &Dump) -> (Vec<EntryBuf>, Result<(), Error>) {
    let mut replay = match Replay::open(file) {
        Ok(replay) => replay,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut entries = match replay.dump(dump) {
        Ok(entries) => entries,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut all = Vec::new();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => all.push(entry.to_buf()),
            Err(error) => {
                assert!(entries.next().is_none(), "nothing comes after an error");
                return (all, Err(error));
            }
        }
    }
    assert!(entries.next().is_none(), "it stays over");
    (all, Ok(()))
}

fn flaw_of(file: &[u8]) -> (usize, usize, String) {
    let (all, end) = replayed(file, &Dump::new());
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    let text = error.to_string();
    assert!(text.starts_with("cannot read the recording: "), "{text}");
    let offset = text.rsplit(' ').next().unwrap().parse().unwrap();
    (all.len(), offset, text)
}

/// A reader that gives this many bytes at a time, and is interrupted in between.
struct Slow<'a>(&'a [u8], usize, bool);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = self.1.min(buffer.len());
        self.0.read(&mut buffer[..len])
    }
}

fn some() -> Vec<EntryBuf> {
    vec![
        socket(2, 1, 1, &[(4, b"cubic\0".to_vec()), (8, vec![0])]),
        socket(10, 10, 2, &[]),
        socket(10, 6, 3, &[(40, vec![1; 99])]),
    ]
}

#[test]
fn what_was_recorded_is_replayed_however_it_is_read() {
    let sockets = some();
    let file = recorded(&sockets);
    for len in [1, 3, 15, 16, 17, 100, 1 << 20] {
        let (all, end) = replayed(Slow(&file, len, false), &Dump::new());
        end.unwrap();
        assert_eq!(all, sockets, "{len} bytes at a time");
    }
    let empty = recorded(&[]);
    let (all, end) = replayed(&*empty, &Dump::new());
    assert!(end.is_ok() && all.is_empty());
    // One file behind the other, as of several lists.
    let twice = [file.clone(), file, empty].concat();
    let (all, end) = replayed(&*twice, &Dump::new());
    assert!(end.is_ok());
    assert_eq!(all, [some(), some()].concat());
}

#[test]
fn a_recording_says_when_and_where_it_was_made() {
    let before = SystemTime::now();
    for sockets in [vec![], some()] {
        let file = recorded(&sockets);
        let replay = Replay::open(&*file).unwrap();
        let time = replay.recorded_at().unwrap();
        assert!(before <= time && time <= SystemTime::now());
        assert_eq!(replay.protocol(), Protocol::Tcp);
        let release = kernel_release();
        assert_eq!(replay.kernel_release(), Some(&*release).filter(|release| !release.is_empty()));
        // Of the same kernel every fact is the same.
        let major = release.split('.').next().unwrap().parse().unwrap_or(0);
        assert_eq!(replay.header.major, major);
    }
    let mut recorder = Recorder::new(Vec::new(), &Dump::new().protocol(Protocol::Mptcp));
    let paths = socket(2, 1, 5, &[(2, vec![0; 96])]);
    recorder.write(&paths.entry().of_protocol(Protocol::Mptcp)).unwrap();
    let file = recorder.finish().unwrap();
    let (all, _) = replayed(&*file, &Dump::new());
    assert!(all.is_empty(), "they are not TCP's");
    let (all, _) = replayed(&*file, &Dump::new().protocol(Protocol::Mptcp));
    assert!(all[0].entry().is_mptcp() && all[0].entry().mptcp_info().is_some());
}

#[test]
fn facts_are_read_as_of_the_kernel_that_told_them() {
    // The last word of Linux 7.0 lies where that of 6.18 does, and means something else.
    let mut info = vec![0; 280];
    info[0] = 1;
    info[276..278].copy_from_slice(&1u16.to_ne_bytes());
    let mut file = recorded(&[socket(2, 1, 1, &[(2, info)])]);
    let release = file.windows(8).position(|part| part == MAGIC).unwrap() + RELEASE;
    let facts = |file: &[u8]| {
        let (all, end) = replayed(file, &Dump::new());
        end.unwrap();
        format!("{:?}", all[0].entry().native_tcp_info().unwrap().fields().collect::<Vec<_>>())
    };
    if kernel_release().len() < 4 {
        return; // made elsewhere, without a release to change
    }
    file[release..release + 4].copy_from_slice(b"6.18");
    let old = facts(&file);
    file[release..release + 4].copy_from_slice(b"7.18");
    assert!(facts(&file) != old, "the release makes no difference");
}

#[test]
fn states_family_and_filter_select() {
    let file = recorded(&some());
    let cookies = |dump: &Dump| {
        let (all, end) = replayed(&*file, dump);
        end.unwrap();
        all.iter().map(|buf| buf.entry().cookie()).collect::<Vec<_>>()
    };
    assert_eq!(cookies(&Dump::new().family(Family::Ipv4)), [1]);
    assert_eq!(cookies(&Dump::new().family(Family::Ipv6)), [2, 3]);
    assert_eq!(cookies(&Dump::new().states(States::CONNECTED)), [1, 3]);
    let filter = |text: &str| Dump::new().filter(&text.parse().unwrap());
    assert_eq!(cookies(&filter("state listening")), [2]);
    assert_eq!(cookies(&filter("sport = :80 and not state time-wait")), [1, 2]);
    assert_eq!(cookies(&filter("state listening").states(States::CONNECTED)), [0; 0]);
    let (_, end) = replayed(&*file, &filter("autobound"));
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadQuestion);
    assert!(error.to_string().contains("autobound"), "{error}");
}

#[test]
fn secret_keys_are_left_out() {
    let keys = socket(2, 1, 1, &[(18, b"a secret key".to_vec()), (8, vec![1]), (0x3fff, vec![1])]);
    let file = recorded(&[keys]);
    assert!(!file.windows(6).any(|part| part == b"secret"));
    let (all, end) = replayed(&*file, &Dump::new());
    end.unwrap();
    let numbers: Vec<_> = all[0].entry().attributes().map(|one| one.number).collect();
    assert_eq!(numbers, [8]);
}

#[test]
fn a_recording_that_is_cut_off_says_where() {
    let sockets = some();
    let file = recorded(&sockets);
    let ends: Vec<usize> = {
        let lens =
            crate::messages(&file).map(|message| HEADER_LEN + message.unwrap().payload.len());
        lens.scan(0, |end, len| {
            *end += aligned(len);
            Some(*end)
        })
        .collect()
    };
    for len in 1..file.len() {
        let whole = ends.iter().filter(|end| **end <= len).count();
        let last = ends[..whole].last().copied().unwrap_or(0);
        let (before, offset, _) = match replayed(&file[..len], &Dump::new()) {
            // What is missing only fills the last attribute up.
            (all, Ok(())) => panic!("{len} bytes are {all:?}"),
            _ => flaw_of(&file[..len]),
        };
        assert_eq!(offset, last, "{len} bytes");
        assert!(before == whole || before == whole + 1, "{len} bytes");
    }
    assert_eq!(flaw_of(&[]).1, 0);
}

#[test]
fn broken_recordings_say_what_and_where() {
    let file = recorded(&some());
    let second = crate::messages(&file).next().unwrap().unwrap().payload.len() + HEADER_LEN;
    let broken = |place: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        flaw_of(&file)
    };
    let swapped = kind::SOCK_DIAG_BY_FAMILY.swap_bytes().to_ne_bytes();
    assert!(broken(4, &swapped).2.contains("other byte order"));
    assert!(broken(4, b"PK").2.contains("it is none"));
    assert!(flaw_of(b"State Recv-Q Send-Q Local").2.contains("it is none"));
    assert!(broken(16 + 72 + 4, b"?").2.contains("header"));
    assert!(broken(16 + 72 + 12, &[9]).2.contains("newer version"));
    assert!(broken(16 + 72 + 16, &[9]).2.contains("protocol"));
    assert_eq!(broken(second, &[15, 0, 0, 0].map(|byte: u8| byte)).1, second);
    assert_eq!(broken(second, &u32::MAX.to_ne_bytes()).1, second);
    // A family that is none, and an attribute that claims too much.
    let (before, offset, _) = broken(second + 16, &[1]);
    assert_eq!((before, offset), (1, second + 16));
    let third = second + HEADER_LEN + HEAD_LEN;
    let (before, offset, _) = broken(third + HEADER_LEN + HEAD_LEN, &u16::MAX.to_ne_bytes());
    assert_eq!((before, offset), (2, third + HEADER_LEN + HEAD_LEN));

    let mut failed = file.clone();
    let errno = failed.len() - 4;
    failed[errno..].copy_from_slice(&(-12i32).to_ne_bytes());
    let (all, end) = replayed(&*failed, &Dump::new());
    assert_eq!(all.len(), 3);
    assert_eq!(end.unwrap_err().os_error().unwrap().raw_os_error(), Some(12));

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let error = Replay::open(Broken).unwrap_err();
    assert_eq!(error.os_error().unwrap().kind(), io::ErrorKind::PermissionDenied);
}

const HOSTS: [&str; 4] = ["10.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::1"];

/// A connection, or what is to be found.
#[derive(Debug, Clone, Copy)]
struct Ends {
    hosts: [IpAddr; 2],
    ports: [u16; 2],
    /// Whether IPv4 is written as IPv6.
    is_mapped: [bool; 2],
    cookie: u32,
    interface: u32,
}

fn any_ends() -> impl Strategy<Value = Ends> {
    let host = || select(&HOSTS[..]).prop_map(|host| host.parse::<IpAddr>().unwrap());
    let facts = ([host(), host()], any::<[bool; 2]>(), [1..3u16, 1..3u16], 1..4u32, 0..3u32);
    facts.prop_map(|(hosts, is_mapped, ports, cookie, interface)| Ends {
        hosts,
        ports,
        is_mapped,
        cookie,
        interface,
    })
}

impl Ends {
    fn is_six(&self) -> bool {
        self.is_mapped[0] || self.hosts.iter().any(IpAddr::is_ipv6)
    }

    /// As a socket in this state.
    fn socket(&self, state: u8) -> EntryBuf {
        let mut bytes = bytes(if self.is_six() { 10 } else { 2 }, state, self.cookie, &[]);
        for (place, (host, port)) in self.hosts.iter().zip(self.ports).enumerate() {
            bytes[4 + 2 * place..][..2].copy_from_slice(&port.to_be_bytes());
            let octets = match host {
                IpAddr::V4(host) if !self.is_six() => host.octets().to_vec(),
                IpAddr::V4(host) => host.to_ipv6_mapped().octets().to_vec(),
                IpAddr::V6(host) => host.octets().to_vec(),
            };
            bytes[8 + 16 * place..][..octets.len()].copy_from_slice(&octets);
        }
        bytes[40..44].copy_from_slice(&self.interface.to_ne_bytes());
        Entry::from_bytes(&bytes).unwrap().to_buf()
    }

    /// As a question, whose scopes are these if its addresses have any.
    fn lookup(&self, scopes: [u32; 2], has_cookie: bool) -> Lookup {
        let end = |place: usize| match self.hosts[place] {
            IpAddr::V4(host) if self.is_mapped[place] => {
                (host.to_ipv6_mapped(), self.ports[place]).into()
            }
            IpAddr::V4(host) => (host, self.ports[place]).into(),
            IpAddr::V6(host) => {
                SocketAddr::V6(SocketAddrV6::new(host, self.ports[place], 0, scopes[place]))
            }
        };
        let mut lookup = Lookup::new(end(0), end(1));
        if self.interface != 0 {
            lookup = lookup.interface(self.interface);
        }
        if has_cookie { lookup.cookie(self.cookie.into()) } else { lookup }
    }
}

/// What a lookup of these gives, as the kernel's lookups do; `Err` if it is no question.
fn found_among(
    all: &[(Ends, u8)],
    wanted: &Ends,
    scopes: [u32; 2],
    has_cookie: bool,
) -> Result<Option<usize>, ()> {
    let own = (0..2).filter(|place| wanted.hosts[*place].is_ipv6()).map(|place| scopes[place]);
    let links: BTreeSet<u32> =
        own.chain([wanted.interface]).filter(|interface| *interface != 0).collect();
    if links.len() > 1 || wanted.hosts[0].is_ipv4() != wanted.hosts[1].is_ipv4() {
        return Err(());
    }
    let link = links.first().copied().unwrap_or(0);
    Ok(all.iter().position(|(ends, state)| {
        (ends.hosts, ends.ports) == (wanted.hosts, wanted.ports)
            && ![7, 10, 13].contains(state)
            && (!has_cookie || ends.cookie == wanted.cookie)
            && [0, link].contains(&ends.interface)
    }))
}

#[test]
fn lookups_go_on_where_the_last_one_stopped() {
    let [one, two] = [("10.0.0.1", 1), ("fe80::1", 2)].map(|(host, interface)| Ends {
        hosts: [host.parse().unwrap(); 2],
        ports: [1, 2],
        is_mapped: [false; 2],
        cookie: interface,
        interface,
    });
    let file = recorded(&[one.socket(1), two.socket(6), one.socket(10), one.socket(12)]);
    let mut replay = Replay::open(&*file).unwrap();
    let (first, second) = (one.lookup([0; 2], false), two.lookup([0, 2], true));
    let mut state = |lookup: &Lookup| {
        replay.lookup(lookup).unwrap().map(|entry| (entry.state(), entry.cookie()))
    };
    assert_eq!(state(&first), Some((State::Established, 1)));
    assert_eq!(state(&second), Some((State::TimeWait, 2)));
    assert_eq!(state(&first), Some((State::NewSynRecv, 1)));
    assert_eq!((state(&first), state(&second)), (None, None));

    // A question that is none reads nothing, and a list goes on, too.
    let mut replay = Replay::open(&*file).unwrap();
    assert!(replay.lookup(&first).unwrap().is_some());
    let none = Lookup::new(first.local_addr(), second.remote_addr());
    let error = replay.lookup(&none).unwrap_err();
    assert_eq!((error.kind(), error.lookup()), (ErrorKind::BadQuestion, Some(&none)));
    assert_eq!(error.to_string(), none.question().unwrap_err().about(&none).to_string());
    let mut entries = replay.dump(&Dump::new()).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().cookie(), 2);

    // It is not there only if the recording is whole.
    let mut replay = Replay::open(&file[..file.len() - 1]).unwrap();
    let nobody = Lookup::new(first.remote_addr(), first.local_addr());
    let error = replay.lookup(&nobody).unwrap_err();
    assert_eq!((error.kind(), error.lookup()), (ErrorKind::Malformed, Some(&nobody)));
    let text = error.to_string();
    assert!(text.contains(" in the recording: it is cut off"), "{text}");
    // Nor if of two, one behind the other, the second is not.
    let second = &file[..aligned(u32_at(&file, 0) as usize)];
    let twice = [&file, second].concat();
    let error = Replay::open(&*twice).unwrap().lookup(&nobody).map(drop).unwrap_err();
    assert!(error.to_string().contains("it has no end"), "{error}");
}

#[test]
fn sockets_of_multipath_tcp_are_no_connections_of_tcp() {
    let ends = Ends {
        hosts: ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        ports: [1, 2],
        is_mapped: [false; 2],
        cookie: 1,
        interface: 0,
    };
    for (protocol, is_found) in [(Protocol::Tcp, true), (Protocol::Mptcp, false)] {
        let mut recorder = Recorder::new(Vec::new(), &Dump::new().protocol(protocol));
        recorder.write(&ends.socket(1).entry()).unwrap();
        let file = recorder.finish().unwrap();
        let mut replay = Replay::open(&*file).unwrap();
        let found = replay.lookup(&ends.lookup([0; 2], false)).unwrap();
        assert_eq!(found.is_some(), is_found);
    }
}

fn any_socket() -> impl Strategy<Value = EntryBuf> {
    // Every number but that of secret keys and of the header.
    let number = (1..0x3fffu16).prop_map(|number| if number == 18 { 19 } else { number });
    let attributes = vec((number, vec(any::<u8>(), 0..40)), 0..6);
    (any::<bool>(), 1..14u8, any::<u32>(), attributes).prop_map(
        |(v6, state, cookie, attributes)| {
            socket(if v6 { 10 } else { 2 }, state, cookie, &attributes)
        },
    )
}

proptest! {
    #[test]
    fn any_sockets_are_replayed_as_they_were(
        sockets in vec(any_socket(), 0..20),
        len in 1usize..300,
    ) {
        let file = recorded(&sockets);
        let (all, end) = replayed(Slow(&file, len, true), &Dump::new());
        prop_assert!(end.is_ok());
        prop_assert_eq!(all, sockets);
    }

    #[test]
    fn lookups_find_what_the_kernel_would_have_found(
        all in vec((any_ends(), 1..14u8), 0..30),
        questions in vec((any_ends(), [0..3u32, 0..3u32], any::<bool>()), 1..6),
        own in vec((any::<Index>(), any::<bool>()), 0..6),
    ) {
        let sockets: Vec<_> = all.iter().map(|(ends, state)| ends.socket(*state)).collect();
        let file = recorded(&sockets);
        let mut replay = Replay::open(&*file).unwrap();
        // Each of what is left; among them some that are there.
        let (mut left, mut questions) = (0, questions);
        if !all.is_empty() {
            questions.extend(own.iter().map(|(place, has_cookie)| {
                let ends = all[place.index(all.len())].0;
                (ends, [ends.interface; 2], *has_cookie)
            }));
        }
        for (wanted, scopes, has_cookie) in &questions {
            let expected = found_among(&all[left..], wanted, *scopes, *has_cookie);
            let lookup = wanted.lookup(*scopes, *has_cookie);
            match (replay.lookup(&lookup), expected) {
                (Ok(Some(entry)), Ok(Some(place))) => {
                    prop_assert_eq!(entry.to_buf(), sockets[left + place].clone());
                    left += place + 1;
                }
                (Ok(None), Ok(None)) => left = all.len(),
                (Err(error), Err(())) => prop_assert_eq!(error.kind(), ErrorKind::BadQuestion),
                (told, expected) => prop_assert!(false, "{:?}, not {:?}", told, expected),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), place in any::<usize>()) {
        let _ = replayed(&*bytes, &Dump::new());
        let mut file = recorded(&some());
        let place = place % file.len();
        let end = (place + bytes.len() % 9).min(file.len());
        file[place..end].copy_from_slice(&bytes[..end - place]);
        let _ = replayed(&*file, &Dump::new());
    }
}
