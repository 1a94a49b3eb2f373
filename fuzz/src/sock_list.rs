//! Lists as netlink sends them, and files of them: pieces that are late, broken, foreign or cut off.

use std::net::IpAddr;

use sockdiag::{Dump, Entry, EntryBuf, ErrorKind, Lookup, Messages, Recorder, Replay, messages};
use tcpinfo::{State, native::ByteOrder};

use crate::{input::Input, word};

const PORT: u32 = 0x0102_0304;

/// Which of the two; then datagrams, each behind its length, or a file.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() & 1 == 0 {
        check_list(input);
    } else {
        check_recording(input.rest());
    }
}

fn number(bytes: &[u8], offset: usize, width: usize) -> u64 {
    word::read(&bytes[offset..offset + width], ByteOrder::NATIVE)
}

/// How a list or a file ends.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Errno(i32),
    Malformed,
    Lost,
    /// Nothing more came.
    Late,
}

fn end_of(result: Result<(), sockdiag::Error>) -> End {
    let Err(error) = result else { return End::Whole };
    assert!(!error.to_string().is_empty());
    match (error.kind(), error.os_error().and_then(std::io::Error::raw_os_error)) {
        (_, Some(errno)) => End::Errno(errno),
        (ErrorKind::Malformed, _) => End::Malformed,
        (ErrorKind::Truncated, _) => End::Lost,
        (ErrorKind::TimedOut, _) => End::Late,
        (kind, _) => panic!("{kind:?}"),
    }
}

fn check_list(mut input: Input<'_>) {
    let mut datagrams = Vec::new();
    while datagrams.len() < 64 {
        let len = input.cut();
        let datagram = input.bytes(len % 2048);
        if datagram.is_empty() {
            break;
        }
        datagrams.push(datagram);
    }
    let (mut sockets, mut end) = (Vec::new(), End::Late);
    'all: for datagram in &datagrams {
        let mut place = 0;
        while place < datagram.len() {
            let left = &datagram[place..];
            let len = if left.len() < 16 { 0 } else { number(left, 0, 4) as usize };
            if len < 16 || len > left.len() {
                end = End::Malformed;
                break 'all;
            }
            place += len.div_ceil(4) * 4;
            if number(left, 8, 4) != 1 || number(left, 12, 4) != u64::from(PORT) {
                continue;
            }
            let payload = &left[16..len];
            match number(left, 4, 2) {
                18 | 20 => match Entry::from_bytes(payload) {
                    // Numbers that no header names are states, too.
                    Ok(_) => sockets.push(payload),
                    Err(_) => {
                        end = End::Malformed;
                        break 'all;
                    }
                },
                2 | 3 if payload.len() < 4 => {
                    end = End::Malformed;
                    break 'all;
                }
                2 | 3 => {
                    let errno = (number(payload, 0, 4) as u32 as i32).saturating_neg();
                    end = if errno == 0 { End::Whole } else { End::Errno(errno) };
                    break 'all;
                }
                4 => {
                    end = End::Lost;
                    break 'all;
                }
                _ => {}
            }
        }
    }

    let mut told: Vec<EntryBuf> = Vec::new();
    let result = sockdiag::list_of(&datagrams, PORT, &Dump::new(), |entry| {
        told.push(entry.to_buf());
    });
    assert_eq!(end_of(result), end);
    let expected: Vec<_> = sockets.iter().map(|bytes| Entry::from_bytes(bytes).unwrap()).collect();
    let told: Vec<_> = told.iter().map(EntryBuf::entry).collect();
    assert_eq!(told, expected);
}

fn check_recording(file: &[u8]) {
    let mut replay = match Replay::open(file) {
        Ok(replay) => replay,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed);
            return;
        }
    };
    let protocol = replay.protocol();
    let _ = (replay.recorded_at(), replay.kernel_release().map(str::len));
    let dump = Dump::new().protocol(protocol);
    let mut entries = replay.dump(&dump).expect("there is no filter");
    let mut told = Vec::new();
    let mut result = Ok(());
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => told.push(entry.to_buf()),
            Err(error) => result = Err(error),
        }
    }
    assert!(entries.next().is_none());

    // It has as many as there are messages of sockets before the first that is broken.
    let whole: Messages<'_> = messages(file);
    let sockets = whole.map_while(Result::ok).filter(|message| [18, 20].contains(&message.kind));
    assert!(told.len() <= sockets.count());
    let end = end_of(result);
    assert!(!matches!(end, End::Late), "a file is not waited for");

    // What was read can be written, and is read again, but for what is not written.
    let mut recorder = Recorder::new(Vec::new(), &dump);
    for buf in &told {
        recorder.write(&buf.entry()).expect("memory takes it");
    }
    let again = recorder.finish().expect("memory takes it");
    let mut replay = Replay::open(&*again).expect("it is ours");
    let mut entries = replay.dump(&dump).expect("there is no filter");
    for buf in &told {
        let entry = entries.next().expect("as many").expect("it is whole");
        let kept = |entry: &Entry<'_>| {
            let attributes = entry.attributes().filter(|one| ![18, 0x3fff].contains(&one.number));
            attributes.map(|one| (one.number, one.payload.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(kept(&entry), kept(&buf.entry()));
        assert_eq!(entry.cookie(), buf.entry().cookie());
        assert_eq!(entry.local_addr(), buf.entry().local_addr());
    }
    assert!(entries.next().is_none());
    for buf in told.iter().take(8) {
        check_lookup(&again, &told, &buf.entry());
    }
}

/// Looks for the addresses of this socket, among all of the file.
fn check_lookup(file: &[u8], all: &[EntryBuf], wanted: &Entry<'_>) {
    let ends = |entry: &Entry<'_>| {
        let (local, remote) = (entry.local_addr(), entry.remote_addr());
        [local, remote].map(|end| (end.ip().to_canonical(), end.port()))
    };
    let mut lookup = Lookup::new(wanted.local_addr(), wanted.remote_addr());
    if let Some(interface) = wanted.interface() {
        lookup = lookup.interface(interface);
    }
    let [local, remote] = ends(wanted);
    let has_zeros = |end: &(IpAddr, u16)| end.0.is_unspecified() || end.1 == 0;
    let is_question =
        ![local, remote].iter().any(has_zeros) && local.0.is_ipv4() == remote.0.is_ipv4();
    for has_cookie in [false, true] {
        if has_cookie {
            lookup = lookup.cookie(wanted.cookie());
        }
        let mut replay = Replay::open(file).expect("it is ours");
        let found = match replay.lookup(&lookup) {
            Ok(found) => found.map(|entry| entry.to_buf()),
            Err(error) => {
                assert_eq!((error.kind(), is_question), (ErrorKind::BadQuestion, false));
                continue;
            }
        };
        assert!(is_question);
        let is_same = |buf: &&EntryBuf| {
            let entry = buf.entry();
            let is_near = entry.interface().is_none() || entry.interface() == wanted.interface();
            let is_over = [State::Listen, State::Close, State::BoundInactive];
            let is_meant = !has_cookie || entry.cookie() == wanted.cookie();
            ends(&entry) == ends(wanted)
                && is_near
                && is_meant
                && !is_over.contains(&entry.state())
                && !entry.is_mptcp()
        };
        let cookie = |buf: &EntryBuf| (buf.entry().cookie(), buf.entry().interface());
        assert_eq!(found.as_ref().map(cookie), all.iter().find(is_same).map(cookie));
    }
}
