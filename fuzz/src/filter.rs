//! The language of filters: whatever is read is shown so that it is read as the same, and the kernel,
//! applying what it is asked to, leaves over what matches.

use sockdiag::{Entry, Filter, NoNames, States};
use tcpinfo::State;

use crate::input::Input;

/// What the kernel does with a program, which the library's own tests use as well.
#[path = "../../crates/sockdiag/src/filter/tests/kernel.rs"]
mod kernel;

use kernel::Socket;

/// Any text, or one made of words; then sockets.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let is_made = input.byte() & 1 == 1;
    let len = usize::from(input.byte());
    let bytes = input.bytes(len);
    let text = if is_made { made(bytes) } else { String::from_utf8_lossy(bytes).into_owned() };
    let filter = match Filter::parse(&text, &NoNames) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.get(error.place()).is_some(), "a place in the text");
            assert_eq!(error.to_string().lines().count(), 3, "{error}");
            assert!(!error.to_string().contains(|c: char| c.is_control() && c != '\n'));
            return;
        }
    };
    let shown = filter.to_string();
    assert_eq!(Filter::parse(&shown, &NoNames).as_ref(), Ok(&filter), "{text:?}, {shown:?}");

    let is_of_the_kernel = shown.contains("autobound");
    let Some((states, program, rest)) = filter.compiled() else {
        assert!(is_of_the_kernel, "{shown}");
        return;
    };
    if !program.is_empty() {
        assert_eq!(kernel::audit(&program, true), Ok(()), "{shown}");
        // Only who asks for marks needs a privilege for it.
        let is_refused = kernel::audit(&program, false).is_err();
        assert!(!is_refused || shown.contains("fwmark = 0x"), "{shown}");
    }
    for _ in 0..4 {
        let told = Told::new(&mut input);
        let bytes = told.bytes();
        let entry = Entry::from_bytes(&bytes).expect("it is whole");
        let is_selected = told.is_in(states)
            && (program.is_empty() || kernel::run(&program, &told.socket))
            && rest.as_ref().is_none_or(|rest| rest.matches(&entry));
        if !is_of_the_kernel {
            assert_eq!(is_selected, filter.matches(&entry), "{shown}: {told:?}");
        }
    }
}

/// Words of the language, one for each byte.
fn made(bytes: &[u8]) -> String {
    let words: Vec<_> = bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
    words.join(" ")
}

const WORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "(",
    ")",
    "&",
    "|",
    "!",
    "src",
    "dst",
    "sport",
    "dport",
    "dev",
    "fwmark",
    "autobound",
    "state",
    "exclude",
    "family",
    "=",
    "!=",
    ">",
    "<",
    ">=",
    "<=",
    ":0",
    ":1",
    ":2",
    ":65535",
    "1",
    "2",
    "*",
    "10.1.2.3",
    "10/8",
    "0/0",
    "inet:1",
    "inet6:*",
    "[::1]:1",
    "[::/0]",
    "[::ffff:10.1.2.3]",
    "fe80::/10:2",
    "0x1/0x3",
    "established",
    "listening",
    "closed",
    "syn-recv",
    "new-syn-recv",
    "bound-inactive",
    "time-wait",
    "connected",
    "big",
    "bucket",
    "all",
    "inet",
    "inet6",
    "rtt",
    "2us",
    "cgroup_id",
    "uid",
    "cc",
    "bbr",
    "\\(\\ x",
    "timer",
    "off",
    "mss",
    "1k",
];

/// A socket, and how a list tells of it.
#[derive(Debug)]
struct Told {
    socket: Socket,
    /// As the kernel is asked for it.
    state: u8,
    is_mini: bool,
    rtt: u8,
}

impl Told {
    fn new(input: &mut Input<'_>) -> Self {
        const ADDRESSES: [[u8; 16]; 4] = [
            [10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        ];
        let mut small = |below: u8| input.byte() % below;
        let is_v6 = small(2) == 1;
        let address = |choice: u8| {
            let mut address = ADDRESSES[usize::from(choice)];
            // The kernel leaves the rest of an IPv4 address empty.
            address[4..].iter_mut().for_each(|byte| *byte = if is_v6 { *byte } else { 0 });
            address
        };
        let (source, destination) = (address(small(4)), address(small(4)));
        let port = |choice: u8| if choice == 3 { u16::MAX } else { choice.into() };
        let (sport, dport) = (port(small(4)), port(small(4)));
        let state = 1 + small(13);
        let is_mini = matches!(state, 6 | 12) || state == 5 && small(2) == 1;
        let cgroup = if is_mini { 0 } else { small(3).into() };
        let (interface, mark, rtt) = (small(3).into(), small(4).into(), small(5));
        let is_autobound = false;
        let socket = Socket {
            is_v6,
            source,
            destination,
            sport,
            dport,
            interface,
            mark,
            cgroup,
            is_autobound,
        };
        Self { socket, state, is_mini, rtt }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { socket, state, is_mini, rtt } = self;
        let mut bytes = vec![0; 72];
        bytes[0] = if socket.is_v6 { 10 } else { 2 };
        // In answers there are fewer names for states than in questions.
        bytes[1] = match state {
            12 => 3,
            13 => 7,
            other => *other,
        };
        bytes[2] = if *is_mini && *state != 12 { 3 } else { 0 };
        bytes[4..6].copy_from_slice(&socket.sport.to_be_bytes());
        bytes[6..8].copy_from_slice(&socket.dport.to_be_bytes());
        bytes[8..24].copy_from_slice(&socket.source);
        bytes[24..40].copy_from_slice(&socket.destination);
        bytes[40..44].copy_from_slice(&socket.interface.to_ne_bytes());
        let state = bytes[1];
        let mut attribute = |number: u16, payload: &[u8]| {
            bytes.extend((4 + payload.len() as u16).to_ne_bytes());
            bytes.extend(number.to_ne_bytes());
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        };
        attribute(15, &socket.mark.to_ne_bytes());
        if !is_mini {
            attribute(8, &[0]);
            attribute(21, &socket.cgroup.to_ne_bytes());
            attribute(4, b"bbr\0");
        }
        if !is_mini && *rtt > 0 {
            let mut info = [0; 104];
            info[0] = state;
            info[68..72].copy_from_slice(&u32::from(*rtt).to_ne_bytes());
            attribute(2, &info);
        }
        bytes
    }

    /// Whether a list in these states has it: who asks for `SYN_RECV` is told of requests, too.
    fn is_in(&self, states: States) -> bool {
        let is_asked_for = |code: u8| states.contains(State::from_linux(code));
        is_asked_for(self.state) || self.state == 12 && is_asked_for(3)
    }
}
