//! Lists that come in pieces, broken, late, or not to their end.

use std::sync::Arc;

use tcpinfo::State;

use super::*;
use crate::{
    Dump, Family, Protocol, States, Tell,
    dump::{Predicate, Selection},
};

const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// A socket in this state, whose cookie ends in this number.
fn numbered(state: u8, number: u8) -> Vec<u8> {
    let mut bytes = socket(state);
    bytes[44..48].copy_from_slice(&u32::from(number).to_ne_bytes());
    bytes
}

/// One datagram of sockets, of the older kind or the newer in turn.
fn piece(sockets: Vec<Vec<u8>>) -> Step {
    Rc::new(move |sequence| Ok(piece_for(sequence, &sockets)))
}

fn piece_for(sequence: u32, sockets: &[Vec<u8>]) -> Vec<u8> {
    let kinds = [kind::TCPDIAG_GETSOCK, kind::SOCK_DIAG_BY_FAMILY].into_iter().cycle();
    let messages = sockets.iter().zip(kinds);
    messages.flat_map(|(socket, kind)| message(kind, sequence, PORT, socket)).collect()
}

fn one(number: u8) -> Step {
    piece(vec![numbered(1, number)])
}

/// The numbers of all sockets of a list, and how it ended.
fn list(conversation: &mut Conversation<&Script>, dump: &Dump) -> (Vec<u64>, Result<(), Error>) {
    let mut numbers = Vec::new();
    let mut listing = match conversation.list(dump) {
        Ok(listing) => listing,
        Err(error) => return (numbers, Err(error)),
    };
    while let Some(entry) = listing.next() {
        match entry {
            Ok(entry) => numbers.push(entry.cookie() & 0xff),
            Err(error) => {
                assert!(listing.next().is_none(), "nothing comes after an error");
                return (numbers, Err(error));
            }
        }
    }
    assert!(listing.next().is_none(), "it stays over");
    (numbers, Ok(()))
}

/// What one list says after these steps, all of which it takes, whether or not they are waited for.
fn list_after(dump: &Dump, steps: impl IntoIterator<Item = Step>) -> (Vec<u64>, Result<(), Error>) {
    let [waited_for, at_once] = Script::both(steps).map(|script| {
        let answer = list(&mut script.conversation(), dump);
        assert!(script.steps.borrow().is_empty(), "not everything was received");
        answer
    });
    assert_eq!(format!("{at_once:?}"), format!("{waited_for:?}"));
    at_once
}

fn listed(steps: impl IntoIterator<Item = Step>) -> Vec<u64> {
    let (numbers, end) = list_after(&Dump::new(), steps);
    end.unwrap();
    numbers
}

fn failed(steps: impl IntoIterator<Item = Step>) -> (Vec<u64>, Error) {
    let (numbers, end) = list_after(&Dump::new(), steps);
    (numbers, end.unwrap_err())
}

#[test]
fn requests_are_what_the_kernel_reads() {
    let head = |len: u32, kind: u16, sequence: u32| {
        let words = [len, u32::from(kind) | 0x301 << 16, sequence, 0];
        assert!(cfg!(target_endian = "little") || kind == 0x301);
        words.map(u32::to_ne_bytes).as_flattened().to_vec()
    };
    let sent = |dump: &Dump, ends: usize| {
        let script = Script::of((0..ends).map(|_| done(0)));
        list(&mut script.conversation(), dump).1.unwrap();
        script.sent.take()
    };
    if cfg!(target_endian = "big") {
        return;
    }

    let both = sent(&Dump::new(), 1);
    let body = [&[0, 0, 0, 0x7e], [0; 48].as_slice(), &0x3ffeu32.to_ne_bytes(), &[0; 4]].concat();
    assert_eq!(both, [[head(76, 18, 1), body].concat()]);

    let some = Dump::new().family(Family::Ipv6).states(State::Listen.into()).tell(Tell::INFO);
    let body = [&[10, 6, 2, 0], 1024u32.to_ne_bytes().as_slice(), &[0; 48]].concat();
    assert_eq!(sent(&some, 1), [[head(72, 20, 1), body].concat()]);

    let selection = Selection { bytecode: vec![1, 4, 8, 0], ..Selection::default() };
    let selected = sent(&Dump::new().tell(Tell::NOTHING).select(selection.clone()), 1);
    assert_eq!(selected[0].len(), 84);
    assert_eq!(selected[0][19], 0);
    assert_eq!(selected[0][76..], [8, 0, 1, 0, 1, 4, 8, 0]);

    let paths = Dump::new().protocol(Protocol::Mptcp).select(selection);
    let paths = sent(&paths, 2);
    for ((request, family), sequence) in paths.iter().zip([2, 10]).zip([1, 2]) {
        assert_eq!(request[..16], head(88, 20, sequence));
        assert_eq!(request[16..18], [family, 0]);
        assert_eq!(request[72..], [8, 0, 3, 0, 6, 1, 0, 0, 8, 0, 1, 0, 1, 4, 8, 0]);
    }
    assert_eq!(paths.len(), 2);
    let path = Dump::new().protocol(Protocol::Mptcp).family(Family::Ipv4);
    assert_eq!(sent(&path, 1).len(), 1);
}

#[test]
fn every_socket_is_listed_however_the_pieces_are_cut() {
    assert_eq!(listed([done(0)]), [0; 0]);
    assert_eq!(listed([one(1), done(0)]), [1]);
    let three = || vec![numbered(1, 1), numbered(10, 2), numbered(6, 3)];
    assert_eq!(listed([piece(three()), one(4), done(0)]), [1, 2, 3, 4]);
    let with_end: Step = Rc::new(move |sequence| {
        let end = message(kind::DONE, sequence, PORT, &[0; 4]);
        Ok([piece_for(sequence, &three()), end].concat())
    });
    assert_eq!(listed([one(7), with_end]), [7, 1, 2, 3]);
    // More of them than are received at once.
    let many = (1..=50).map(one).chain([done(0)]);
    assert_eq!(listed(many), (1..=50).collect::<Vec<_>>());
}

#[test]
fn only_what_was_asked_for_is_listed() {
    let codes = || piece((1..=15).map(|code| numbered(code, code)).collect());
    let of = |states: States| {
        let (numbers, end) = list_after(&Dump::new().states(states), [codes(), done(0)]);
        end.unwrap();
        numbers
    };
    assert_eq!(of(States::ALL), (1..=15).collect::<Vec<_>>());
    assert_eq!(of(State::Established.into()), [1]);
    assert_eq!(of(States::BUCKET), [3, 6, 12]);
    // The kernel's answers have one name for a request and a socket, and for closed and bound.
    assert_eq!(of(State::NewSynRecv.into()), [3, 12]);
    assert_eq!(of(State::BoundInactive.into()), [7, 13]);

    let odd: Predicate = Arc::new(|entry| entry.cookie() & 1 == 1);
    let selection = Selection { rest: Some(odd), ..Selection::default() };
    let (numbers, end) = list_after(&Dump::new().select(selection), [codes(), done(0)]);
    end.unwrap();
    assert_eq!(numbers, [1, 3, 5, 7, 9, 11, 13, 15]);
}

#[test]
fn a_kernel_that_does_not_know_the_program_is_asked_without_it() {
    let selection = Selection {
        bytecode: vec![13, 4, 8, 0],
        rest: None,
        whole: Some(Arc::new(|entry| entry.cookie() & 0xff == 2)),
        ..Selection::default()
    };
    let dump = Dump::new().select(selection);
    let script = Script::of([error(EINVAL), piece(vec![numbered(1, 1), numbered(1, 2)]), done(0)]);
    let (numbers, end) = list(&mut script.conversation(), &dump);
    end.unwrap();
    assert_eq!(numbers, [2]);
    let sent = script.sent.borrow();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [84, 76]);

    let (_, end) = list_after(&dump, [error(EPERM)]);
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted);
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    let (_, error) = failed([super::error(EINVAL)]);
    assert_eq!(error.kind(), ErrorKind::Other);

    // Never without it if there is nothing in its place.
    let selection = Selection { bytecode: vec![13, 4, 8, 0], ..Selection::default() };
    let (_, end) = list_after(&Dump::new().select(selection), [super::error(EINVAL)]);
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("5.8"), "{error}");
}

#[test]
fn a_list_ends_with_the_kernels_error() {
    for (errno, kind, word) in [
        (ENOENT, ErrorKind::Unsupported, "tcp_diag"),
        (EOPNOTSUPP, ErrorKind::Unsupported, "tcp_diag"),
        (EBUSY, ErrorKind::Other, "another SockDiag"),
        (EPERM, ErrorKind::NotPermitted, "SELinux"),
        (EINVAL, ErrorKind::Other, "refused"),
        (12, ErrorKind::Other, "refused"),
    ] {
        for end in [error(errno), done(errno)] {
            let (numbers, error) = failed([one(5), end]);
            assert_eq!((numbers, error.kind()), (vec![5], kind), "{errno}");
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.os_error().unwrap().raw_os_error(), Some(errno));
        }
    }
    let paths = Dump::new().protocol(Protocol::Mptcp);
    let (_, end) = list_after(&paths, [error(ENOENT)]);
    assert!(end.unwrap_err().to_string().contains("mptcp_diag"));
}

#[test]
fn broken_pieces_end_a_list() {
    let whole = piece_for(1, &[numbered(1, 1), numbered(1, 2)]);
    for len in 1..whole.len() {
        let cut = whole[..len].to_vec();
        let (numbers, end) = list_after(
            &Dump::new(),
            [Rc::new(move |_| Ok(cut.clone())) as Step, done(0)].into_iter().take(
                // A cut between two messages shows in nothing.
                if len == whole.len() / 2 { 2 } else { 1 },
            ),
        );
        assert_eq!(numbers.len(), len / (whole.len() / 2));
        assert_eq!(end.is_ok(), len == whole.len() / 2, "{len} bytes");
        if let Err(error) = end {
            assert_eq!(error.kind(), ErrorKind::Malformed, "{len} bytes");
        }
    }
    let family = changed(1, |bytes| bytes[0] = 1);
    assert_eq!(failed([one(1), family]).1.kind(), ErrorKind::Malformed);
    for len in 0..4 {
        assert_eq!(failed([answer(kind::DONE, vec![0; len])]).1.kind(), ErrorKind::Malformed);
    }
    let overrun = answer(kind::OVERRUN, Vec::new());
    assert_eq!(failed([one(1), overrun]).1.kind(), ErrorKind::Truncated);
    let too_long = answer(kind::SOCK_DIAG_BY_FAMILY, vec![0; PIECE_LEN]);
    assert_eq!(failed([one(1), too_long]).1.kind(), ErrorKind::Truncated);
    for (kind, expected) in [
        (io::ErrorKind::WouldBlock, ErrorKind::TimedOut),
        (io::ErrorKind::OutOfMemory, ErrorKind::Other),
    ] {
        let (numbers, error) = failed([one(9), fails(kind)]);
        assert_eq!((numbers, error.kind()), (vec![9], expected));
    }
}

#[test]
fn lists_pass_over_answers_to_others_and_interruptions() {
    let late = |sequence: u32, port: u32| -> Step {
        Rc::new(move |_| Ok(message(kind::SOCK_DIAG_BY_FAMILY, sequence, port, &numbered(1, 99))))
    };
    let too_long: Step = Rc::new(|_| {
        let mut long = message(kind::SOCK_DIAG_BY_FAMILY, 0, PORT, &socket(1));
        long.resize(PIECE_LEN + 1, 0);
        Ok(long)
    });
    let mixed: Step = Rc::new(|sequence| {
        let late = message(kind::DONE, 77, PORT, &[0; 4]);
        Ok([late, piece_for(sequence, &[numbered(1, 2)])].concat())
    });
    let empty: Step = Rc::new(|_| Ok(Vec::new()));
    let steps = [
        late(0, PORT),
        fails(io::ErrorKind::Interrupted),
        one(1),
        late(1, PORT + 1),
        too_long,
        empty,
        mixed,
        late(u32::MAX, PORT),
        done(0),
    ];
    assert_eq!(listed(steps), [1, 2]);

    let late: Step = Rc::new(|_| Ok(message(kind::DONE, 0, PORT, &[0; 4])));
    for endless in [fails(io::ErrorKind::Interrupted), late] {
        let script = Script { endless: Some(endless), ..Script::default() };
        let mut conversation = Conversation::new(&script, PORT, Duration::from_millis(1));
        let (_, end) = list(&mut conversation, &Dump::new());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

/// The kernel goes on with the first list, whatever is asked meanwhile.
#[test]
fn a_list_that_is_given_up_leaves_the_socket_usable() {
    let first = |numbers: &'static [u8]| -> Step {
        let sockets: Vec<_> = numbers.iter().map(|number| numbered(1, *number)).collect();
        Rc::new(move |_| Ok(piece_for(1, &sockets)))
    };
    let end: fn() -> Step = || Rc::new(|_| Ok(message(kind::DONE, 1, PORT, &[0; 4])));
    let begin = |conversation: &mut Conversation<&Script>| {
        let mut listing = conversation.list(&Dump::new()).unwrap();
        assert_eq!(listing.next().unwrap().unwrap().cookie() & 0xff, 1);
    };

    // The next list waits for its end.
    for script in Script::both([first(&[1, 2]), first(&[3]), end(), one(4), done(0)]) {
        let mut conversation = script.conversation();
        begin(&mut conversation);
        let (numbers, result) = list(&mut conversation, &Dump::new());
        result.unwrap();
        assert_eq!(numbers, [4]);
    }

    // A lookup passes over what comes before its answer, and remembers the end if that was there.
    for script in Script::both([first(&[1]), first(&[3]), end(), found(), one(4), done(0)]) {
        let mut conversation = script.conversation();
        begin(&mut conversation);
        assert_eq!(look_up(&mut conversation, lookup()).unwrap(), Some(COOKIE));
        assert_eq!(list(&mut conversation, &Dump::new()).0, [4]);
    }

    // One that was never looked at; and whether the kernel knows at all is asked by a list, too.
    let script = Script::of([first(&[1]), error(ENOENT), first(&[2]), end(), done(0)]);
    let mut conversation = script.conversation();
    drop(conversation.list(&Dump::new()).unwrap());
    assert_eq!(look_up(&mut conversation, lookup()).unwrap(), None);
    assert!(script.steps.borrow().is_empty());

    // An end that never comes.
    let script = Script::of([first(&[1]), fails(io::ErrorKind::WouldBlock), one(4), done(0)]);
    let mut conversation = script.conversation();
    begin(&mut conversation);
    assert_eq!(list(&mut conversation, &Dump::new()).0, [4]);
}

#[test]
fn sockets_of_multipath_tcp_are_not_mistaken_for_tcp() {
    let attribute = [100u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat();
    let bytes = [numbered(1, 1), attribute, vec![0; 96]].concat();
    for protocol in [Protocol::Tcp, Protocol::Mptcp] {
        let script = Script::of([piece(vec![bytes.clone()]), done(0), done(0)]);
        let mut conversation = script.conversation();
        let mut listing = conversation.list(&Dump::new().protocol(protocol)).unwrap();
        let buf = listing.next().unwrap().unwrap().to_buf();
        let entry = buf.entry();
        assert_eq!(entry.is_mptcp(), protocol == Protocol::Mptcp);
        assert_eq!(entry.mptcp_info().is_some(), entry.is_mptcp());
        assert_eq!(entry.tcp_info().is_some(), !entry.is_mptcp());
    }
}
