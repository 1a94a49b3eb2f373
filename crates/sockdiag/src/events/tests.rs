//! Events that the kernel sends rarely, late, or broken.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use super::*;

#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<io::Result<Vec<u8>>>>,
    /// What comes after each wait.
    later: RefCell<VecDeque<io::Result<Vec<u8>>>>,
    waits: RefCell<Vec<Option<Duration>>>,
    dropped: Cell<Option<u32>>,
}

impl Source for &Script {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.steps.borrow_mut().pop_front();
        let datagram = step.unwrap_or(Err(io::ErrorKind::WouldBlock.into()))?;
        for (slot, byte) in buffer.iter_mut().zip(&datagram) {
            *slot = *byte;
        }
        Ok(datagram.len())
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        self.waits.borrow_mut().push(timeout);
        match self.later.borrow_mut().pop_front() {
            Some(step) => self.steps.borrow_mut().push_back(step),
            None if timeout.is_none() => return Err(io::ErrorKind::NotConnected.into()),
            None => std::thread::sleep(timeout.unwrap()),
        }
        Ok(true)
    }

    fn dropped(&self) -> Option<u32> {
        self.dropped.get()
    }
}

fn event(cookie: u8) -> Vec<u8> {
    let mut bytes = vec![0; 88];
    bytes[..4].copy_from_slice(&88u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&20u16.to_ne_bytes());
    bytes[16..18].copy_from_slice(&[2, 7]);
    bytes[60..64].copy_from_slice(&u32::from(cookie).to_ne_bytes());
    bytes
}

fn full() -> io::Result<Vec<u8>> {
    Err(io::Error::from_raw_os_error(if cfg!(target_arch = "mips") {
        ENOBUFS_MIPS
    } else {
        ENOBUFS
    }))
}

/// What is there to take: cookies, and losses.
fn taken(script: &Script) -> Vec<Result<u64, Option<u32>>> {
    let mut stream = Stream::new(script);
    let mut all = Vec::new();
    while let Some(event) = stream.next(Some(Duration::ZERO)).unwrap() {
        all.push(match event {
            Event::Ended(entry) => Ok(entry.cookie()),
            Event::Lost { events } => Err(events),
        });
    }
    all
}

#[test]
fn events_are_told_and_others_passed_over() {
    let script = Script::default();
    let mut other = event(9);
    other[4] = 3;
    let mut answer = event(9);
    answer[8] = 1;
    let interrupted = Err(io::ErrorKind::Interrupted.into());
    script.steps.borrow_mut().extend([
        Ok(event(1)),
        Ok(other),
        interrupted,
        Ok(answer),
        Ok(Vec::new()),
        Ok(event(2)),
    ]);
    assert_eq!(taken(&script), [Ok(1), Ok(2)]);
    assert!(script.waits.borrow().is_empty());
}

#[test]
fn every_loss_is_told_also_what_was_lost_behind_it() {
    let script = Script::default();
    script.dropped.set(Some(5));
    script.steps.borrow_mut().extend([Ok(event(1)), full(), Ok(event(2))]);
    let mut stream = Stream::new(&script);
    let mut next = || match stream.next(Some(Duration::ZERO)).unwrap()? {
        Event::Ended(entry) => Some(Ok(entry.cookie())),
        Event::Lost { events } => Some(Err(events)),
    };
    assert_eq!(next(), Some(Ok(1)));
    assert_eq!(next(), Some(Err(Some(5))));
    assert_eq!(next(), Some(Ok(2)));
    script.dropped.set(Some(12));
    assert_eq!(next(), Some(Err(Some(7))));
    assert_eq!(next(), None);
    // It is over, and the kernel would say so if there was another.
    script.dropped.set(Some(13));
    assert_eq!(next(), None);

    let script = Script::default();
    script.steps.borrow_mut().extend([full(), Ok(event(1))]);
    assert_eq!(taken(&script), [Err(None), Ok(1)], "of a kernel that does not count");
}

#[test]
fn broken_events_are_errors_and_not_the_end() {
    let script = Script::default();
    let cut = event(1)[..50].to_vec();
    let mut short = event(1);
    short[..4].copy_from_slice(&60u32.to_ne_bytes());
    let long = vec![0; BUFFER_LEN + 1];
    let refused = Err(io::ErrorKind::OutOfMemory.into());
    script.steps.borrow_mut().extend([Ok(cut), Ok(short), Ok(long), refused, Ok(event(2))]);
    let mut stream = Stream::new(&script);
    for kind in [ErrorKind::Malformed, ErrorKind::Malformed, ErrorKind::Truncated, ErrorKind::Other]
    {
        assert_eq!(stream.next(Some(Duration::ZERO)).unwrap_err().kind(), kind);
    }
    let Some(Event::Ended(entry)) = stream.next(None).unwrap() else { panic!("it is there") };
    assert_eq!(entry.cookie(), 2);
}

#[test]
fn a_wait_is_as_long_as_asked_for() {
    let script = Script::default();
    let wait = Duration::from_millis(2);
    assert!(Stream::new(&script).next(Some(wait)).unwrap().is_none());
    assert!(script.waits.borrow().iter().all(|left| left.is_some_and(|left| left <= wait)));

    let script = Script::default();
    script.later.borrow_mut().extend([Err(io::ErrorKind::WouldBlock.into()), Ok(event(3))]);
    let mut stream = Stream::new(&script);
    assert!(matches!(stream.next(None).unwrap(), Some(Event::Ended(_))));
    assert_eq!(*script.waits.borrow(), [None, None]);
    assert_eq!(stream.next(None).unwrap_err().kind(), ErrorKind::Other);
    // Longer than any clock can tell is without end.
    let error = Stream::new(&Script::default()).next(Some(Duration::MAX)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
}
