//! Answers that the kernel gives rarely, late, or never.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use super::{pieces::PIECE_LEN, *};
use crate::Lookup;

mod listing;

const PORT: u32 = 4711;

/// What is received next: made of the number of the request that was sent last.
type Step = Rc<dyn Fn(u32) -> io::Result<Vec<u8>>>;

#[derive(Default)]
struct Script {
    sent: RefCell<Vec<Vec<u8>>>,
    steps: RefCell<VecDeque<Step>>,
    /// Whether what is received next is there before it is waited for.
    is_ahead: bool,
    /// What is received again and again when there are no steps left.
    endless: Option<Step>,
    refuses_to_send: RefCell<VecDeque<io::ErrorKind>>,
}

impl Transport for &Script {
    fn send(&self, request: &[u8]) -> io::Result<()> {
        if let Some(kind) = self.refuses_to_send.borrow_mut().pop_front() {
            return Err(kind.into());
        }
        self.sent.borrow_mut().push(request.to_vec());
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let sequence = self.sent.borrow().last().map_or(0, |sent| u32_at(sent, 8));
        let step = self.steps.borrow_mut().pop_front();
        let step = step.as_ref().or(self.endless.as_ref());
        let datagram = step.expect("nothing more was to be received")(sequence)?;
        for (slot, byte) in buffer.iter_mut().zip(&datagram) {
            *slot = *byte;
        }
        Ok(datagram.len())
    }

    fn receive_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.steps.borrow().front().cloned();
        let Some(next) = next.filter(|_| self.is_ahead) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let received = self.receive(buffer);
        if received.as_ref().is_err_and(|os| os.kind() == io::ErrorKind::WouldBlock) {
            self.steps.borrow_mut().push_front(next);
        }
        received
    }
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: RefCell::new(steps.into_iter().collect()), ..Self::default() }
    }

    /// The same, piece by piece and several at once.
    fn both(steps: impl IntoIterator<Item = Step>) -> [Self; 2] {
        let steps: VecDeque<Step> = steps.into_iter().collect();
        [false, true].map(|is_ahead| Self { is_ahead, ..Self::of(steps.clone()) })
    }

    fn conversation(&self) -> Conversation<&Self> {
        Conversation::new(self, PORT, Duration::from_secs(3600))
    }
}

fn message(kind: u16, sequence: u32, port: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_LEN + payload.len()).unwrap();
    let head = [len, u32::from_ne_bytes(array_at(&[kind.to_ne_bytes(), [0; 2]].concat(), 0))];
    let words = [head[0], head[1], sequence, port].map(u32::to_ne_bytes);
    [words.as_flattened(), payload].concat()
}

fn answer(kind: u16, payload: Vec<u8>) -> Step {
    Rc::new(move |sequence| Ok(message(kind, sequence, PORT, &payload)))
}

fn error(errno: i32) -> Step {
    answer(kind::ERROR, [(-errno).to_ne_bytes().as_slice(), &[0; 16]].concat())
}

fn done(errno: i32) -> Step {
    answer(kind::DONE, (-errno).to_ne_bytes().to_vec())
}

fn fails(kind: io::ErrorKind) -> Step {
    Rc::new(move |_| Err(kind.into()))
}

/// 10.0.0.1:1000 to 10.0.0.2:2000.
fn socket(state: u8) -> Vec<u8> {
    let mut bytes = vec![0; 72];
    bytes[0] = 2;
    bytes[1] = state;
    bytes[4..6].copy_from_slice(&1000u16.to_be_bytes());
    bytes[6..8].copy_from_slice(&2000u16.to_be_bytes());
    bytes[8..12].copy_from_slice(&[10, 0, 0, 1]);
    bytes[24..28].copy_from_slice(&[10, 0, 0, 2]);
    bytes[44..48].copy_from_slice(&7u32.to_ne_bytes());
    bytes[48..52].copy_from_slice(&1u32.to_ne_bytes());
    bytes
}

fn changed(state: u8, change: impl Fn(&mut [u8])) -> Step {
    let mut bytes = socket(state);
    change(&mut bytes);
    answer(kind::SOCK_DIAG_BY_FAMILY, bytes)
}

fn found() -> Step {
    changed(1, |_| ())
}

fn lookup() -> Lookup {
    Lookup::new("10.0.0.1:1000".parse().unwrap(), "[::ffff:10.0.0.2]:2000".parse().unwrap())
}

/// The cookie of what was found.
fn look_up(conversation: &mut Conversation<&Script>, lookup: Lookup) -> Result<Option<u64>, Error> {
    let found = conversation.look_up(&lookup.question()?)?;
    Ok(found.map(|entry| entry.cookie()))
}

/// What one lookup says after these steps, all of which it takes.
fn after(steps: impl IntoIterator<Item = Step>) -> Result<Option<u64>, Error> {
    let script = Script::of(steps);
    let answer = look_up(&mut script.conversation(), lookup());
    assert!(script.steps.borrow().is_empty(), "not everything was received");
    answer
}

const COOKIE: u64 = (1 << 32) + 7;

#[test]
fn the_request_is_what_the_kernel_reads() {
    let script = Script::of([found(), found()]);
    let mut conversation = script.conversation();
    let asked = lookup().cookie(COOKIE).interface(9);
    assert_eq!(look_up(&mut conversation, asked).unwrap(), Some(COOKIE), "bound to none, too");
    let v6 = Lookup::new("[fe80::1%3]:1".parse().unwrap(), "[fe80::2]:258".parse().unwrap());
    let _ = look_up(&mut conversation, v6);

    let sent = script.sent.borrow();
    let mut expected = [72u32.to_ne_bytes().as_slice(), &20u16.to_ne_bytes()].concat();
    expected.extend(1u16.to_ne_bytes());
    expected.extend([1u32, 0].map(u32::to_ne_bytes).as_flattened());
    expected.extend([2, 6, 255, 0, 255, 255, 255, 255, 3, 232, 7, 208]);
    expected.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([9u32, 7, 1].map(u32::to_ne_bytes).as_flattened());
    assert_eq!(sent[0], expected);
    assert_eq!(u32_at(&sent[1], 8), 2, "the next number");
    assert_eq!(sent[1][16], 10);
    assert_eq!(sent[1][24..28], [0, 1, 1, 2]);
    assert_eq!(sent[1][28..44], "fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    assert_eq!(u32_at(&sent[1], 60), 3, "the scope");
    assert_eq!(sent[1][64..], [255; 8], "no cookie");
}

#[test]
fn an_answer_is_compared_with_the_question() {
    assert_eq!(after([found()]).unwrap(), Some(COOKIE));
    for state in [1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 99] {
        assert_eq!(after([changed(state, |_| ())]).unwrap(), Some(COOKIE), "state {state}");
    }
    for state in [7, 10, 13] {
        assert_eq!(after([changed(state, |_| ())]).unwrap(), None, "state {state}");
    }
    // Any other port, address or interface.
    for place in [4, 5, 6, 7, 8, 11, 24, 27, 40] {
        let other = changed(1, move |bytes| bytes[place] ^= 1);
        assert_eq!(after([other]).unwrap(), None, "byte {place}");
    }
    let mapped = changed(1, |bytes| {
        bytes[0] = 10;
        for end in [8, 24] {
            bytes.copy_within(end..end + 4, end + 12);
            bytes[end..end + 12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]);
        }
    });
    assert_eq!(after([mapped]).unwrap(), Some(COOKIE));
}

#[test]
fn another_cookie_is_another_connection() {
    for (cookie, answer) in [(COOKIE, Some(COOKIE)), (7, None), (u64::MAX, None)] {
        let script = Script::of([found()]);
        let found = look_up(&mut script.conversation(), lookup().cookie(cookie)).unwrap();
        assert_eq!(found, answer);
    }
}

#[test]
fn answers_to_others_are_passed_over() {
    let late = |sequence: u32| -> Step {
        Rc::new(move |_| Ok(message(kind::SOCK_DIAG_BY_FAMILY, sequence, PORT, &socket(1))))
    };
    let foreign: Step =
        Rc::new(|sequence| Ok(message(kind::SOCK_DIAG_BY_FAMILY, sequence, PORT + 1, &socket(1))));
    let too_long: Step = Rc::new(|_| {
        let mut long = message(kind::SOCK_DIAG_BY_FAMILY, 0, PORT, &socket(1));
        long.resize(PIECE_LEN + 1, 0);
        Ok(long)
    });
    let together: Step = Rc::new(|sequence| {
        let late = message(kind::ERROR, sequence + 1, PORT, &[0; 20]);
        let nothing = message(1, sequence, PORT, &[0; 3]);
        let padded = [nothing, vec![0]].concat();
        let ours = message(kind::SOCK_DIAG_BY_FAMILY, sequence, PORT, &socket(1));
        Ok([late, padded, ours].concat())
    });
    let empty: Step = Rc::new(|_| Ok(Vec::new()));
    let steps = [late(0), late(u32::MAX), foreign, too_long, empty, together];
    assert_eq!(after(steps).unwrap(), Some(COOKIE));
}

#[test]
fn interruptions_and_nothing_else_are_tried_again() {
    let script = Script::of([fails(io::ErrorKind::Interrupted), found()]);
    script.refuses_to_send.borrow_mut().push_back(io::ErrorKind::Interrupted);
    assert_eq!(look_up(&mut script.conversation(), lookup()).unwrap(), Some(COOKIE));

    let late = after([fails(io::ErrorKind::WouldBlock)]).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    let other = after([fails(io::ErrorKind::OutOfMemory)]).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Other);
    assert_eq!(other.os_error().unwrap().kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn interruptions_and_late_answers_without_end_come_to_one() {
    let late: Step = Rc::new(|_| Ok(message(kind::DONE, 0, PORT, &[0; 4])));
    for endless in [fails(io::ErrorKind::Interrupted), late] {
        let script = Script { endless: Some(endless), ..Script::default() };
        let mut conversation = Conversation::new(&script, PORT, Duration::from_millis(1));
        let error = look_up(&mut conversation, lookup()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}

#[test]
fn a_kernel_that_knows_of_no_sockets_does_not_say_that_there_are_none() {
    // It says so at once, or at the end of a list.
    for refusal in [error(ENOENT), done(ENOENT)] {
        let error = after([error(ENOENT), refusal]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("tcp_diag"), "{error}");
    }
    assert_eq!(after([error(ENOENT), done(0)]).unwrap(), None);
}

#[test]
fn whether_the_kernel_knows_is_asked_once() {
    let script = Script::of([error(ENOENT), done(0), error(ENOENT), found(), error(ENOENT)]);
    let mut conversation = script.conversation();
    let answers: Vec<_> = (0..4).map(|_| look_up(&mut conversation, lookup()).unwrap()).collect();
    assert_eq!(answers, [None, None, Some(COOKIE), None]);

    let script = Script::of([found(), error(ENOENT)]);
    let mut conversation = script.conversation();
    let answers: Vec<_> = (0..2).map(|_| look_up(&mut conversation, lookup()).unwrap()).collect();
    assert_eq!(answers, [Some(COOKIE), None]);
}

#[test]
fn refusals_say_what_was_asked_and_what_to_do() {
    for (errno, kind) in [
        (EPERM, ErrorKind::NotPermitted),
        (EACCES, ErrorKind::NotPermitted),
        (22, ErrorKind::Other),
        (i32::MIN, ErrorKind::Other),
    ] {
        let refused = after([answer(kind::ERROR, errno.wrapping_neg().to_ne_bytes().to_vec())]);
        let error = refused.unwrap_err().about(&lookup());
        assert_eq!(error.kind(), kind);
        assert!(error.os_error().is_some());
        let text = error.to_string();
        assert!(text.contains("10.0.0.1:1000 -> [::ffff:10.0.0.2]:2000"), "{text}");
    }
    for (refusal, kind) in [
        (io::ErrorKind::PermissionDenied, ErrorKind::NotPermitted),
        (io::ErrorKind::ConnectionRefused, ErrorKind::Unsupported),
        (io::ErrorKind::OutOfMemory, ErrorKind::Other),
    ] {
        let script = Script::default();
        script.refuses_to_send.borrow_mut().push_back(refusal);
        let error = look_up(&mut script.conversation(), lookup()).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn broken_answers_are_errors() {
    let whole = message(kind::SOCK_DIAG_BY_FAMILY, 1, PORT, &socket(1));
    // Cut anywhere, with a header that says how much there should be.
    for len in 1..whole.len() {
        let cut = whole[..len].to_vec();
        let error = after([Rc::new(move |_| Ok(cut.clone())) as Step]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{len} bytes");
    }
    // Cut anywhere, with a header that agrees.
    for len in 0..72 {
        let cut = answer(kind::SOCK_DIAG_BY_FAMILY, socket(1)[..len].to_vec());
        assert_eq!(after([cut]).unwrap_err().kind(), ErrorKind::Malformed, "{len} bytes");
    }
    for len in 0..4 {
        for kind in [kind::ERROR, kind::DONE] {
            let cut = answer(kind, vec![0; len]);
            assert_eq!(after([cut]).unwrap_err().kind(), ErrorKind::Malformed, "{len} bytes");
        }
    }
    let family = changed(1, |bytes| bytes[0] = 1);
    assert_eq!(after([family]).unwrap_err().kind(), ErrorKind::Malformed);
    let nothing = error(0);
    assert_eq!(after([nothing]).unwrap_err().kind(), ErrorKind::Malformed);
    let listed = after([error(ENOENT), found()]).unwrap_err();
    assert_eq!(listed.kind(), ErrorKind::Malformed);
    let overrun = answer(kind::OVERRUN, Vec::new());
    assert_eq!(after([overrun]).unwrap_err().kind(), ErrorKind::Truncated);
    let too_long = answer(kind::SOCK_DIAG_BY_FAMILY, vec![0; PIECE_LEN]);
    assert_eq!(after([too_long]).unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn questions_that_no_connection_answers_are_not_asked() {
    let bad = |local: &str, remote: &str| {
        let lookup = Lookup::new(local.parse().unwrap(), remote.parse().unwrap());
        assert_eq!(lookup.question().unwrap_err().kind(), ErrorKind::BadQuestion, "{lookup}");
    };
    bad("1.2.3.4:0", "1.2.3.4:1");
    bad("1.2.3.4:1", "1.2.3.4:0");
    bad("0.0.0.0:1", "1.2.3.4:1");
    bad("1.2.3.4:1", "[::ffff:0.0.0.0]:1");
    bad("[::]:1", "[::1]:1");
    bad("1.2.3.4:1", "[::1]:1");
    bad("[fe80::1%1]:1", "[fe80::2%2]:1");
    let lookup = Lookup::new("[fe80::1%1]:1".parse().unwrap(), "[fe80::2]:1".parse().unwrap());
    assert_eq!(lookup.interface(2).question().unwrap_err().kind(), ErrorKind::BadQuestion);
    assert!(lookup.interface(1).question().is_ok());
    assert!(lookup.question().is_ok());
}

#[test]
fn the_number_of_a_request_is_never_that_of_events() {
    let script = Script::of([found(), found()]);
    let mut conversation = script.conversation();
    conversation.sequence = u32::MAX - 1;
    for expected in [u32::MAX, 1] {
        assert_eq!(look_up(&mut conversation, lookup()).unwrap(), Some(COOKIE));
        assert_eq!(u32_at(script.sent.borrow().last().unwrap(), 8), expected);
    }
}
