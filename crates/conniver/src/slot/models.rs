//! The slot, against every order in which an owner and those who look can come.

use std::sync::Arc;

use loom::thread;

use super::{Number, Slot};
use crate::sync::{Mutex, lock};

/// Sockets of a kernel that gives out the lowest number which is free, as Unix does.
#[derive(Clone)]
pub(crate) struct Sockets(Arc<Mutex<Vec<Option<Socket>>>>);

/// Which of all sockets that there ever were.
pub(crate) type Socket = u32;

impl Sockets {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub(crate) fn open(&self, socket: Socket) -> Number {
        let mut sockets = lock(&self.0);
        let number = sockets.iter().position(Option::is_none).unwrap_or_else(|| {
            sockets.push(None);
            sockets.len() - 1
        });
        sockets[number] = Some(socket);
        number as Number
    }

    pub(crate) fn close(&self, number: Number) {
        let closed = lock(&self.0)[number as usize].take();
        assert!(closed.is_some(), "a socket is closed once");
    }

    /// Which socket has this number now.
    pub(crate) fn ask(&self, number: Number) -> Option<Socket> {
        lock(&self.0)[number as usize]
    }
}

impl Slot {
    pub(crate) fn of_modelled(number: Number) -> Self {
        Self::holding(number)
    }

    /// Which socket answers.
    pub(crate) fn ask_modelled(&self, sockets: &Sockets) -> Option<Option<Socket>> {
        self.with_number(|number| sockets.ask(number))
    }
}

/// Panics if another socket answers than the slot's own, or one that is closed.
fn look(slot: &Slot, own: Socket, sockets: &Sockets) -> bool {
    let answer = slot.ask_modelled(sockets);
    assert!(answer.is_none_or(|socket| socket == Some(own)), "asked {own}, {answer:?} answered");
    answer.is_some()
}

#[test]
fn nobody_reads_the_socket_that_got_the_number_next() {
    loom::model(|| {
        let sockets = Sockets::new();
        let number = sockets.open(1);
        let slot = Arc::new(Slot::of_modelled(number));
        let readers = [(); 2].map(|()| {
            let (slot, sockets) = (Arc::clone(&slot), sockets.clone());
            thread::spawn(move || {
                let first = look(&slot, 1, &sockets);
                let second = look(&slot, 1, &sockets);
                assert!(first || !second, "a slot is never filled again");
            })
        });
        slot.clear();
        sockets.close(number);
        let again = sockets.open(2);
        assert_eq!(again, number);
        let next = Slot::of_modelled(again);
        assert!(look(&next, 2, &sockets) && !look(&slot, 1, &sockets));
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// Whoever opens the next socket is another thread, which learns of the free number by getting it.
#[test]
fn nor_if_another_thread_gets_the_number() {
    loom::model(|| {
        let sockets = Sockets::new();
        let number = sockets.open(1);
        let slot = Arc::new(Slot::of_modelled(number));
        let reader = {
            let (slot, sockets) = (Arc::clone(&slot), sockets.clone());
            thread::spawn(move || look(&slot, 1, &sockets))
        };
        let opener = {
            let sockets = sockets.clone();
            thread::spawn(move || look(&Slot::of_modelled(sockets.open(2)), 2, &sockets))
        };
        slot.clear();
        sockets.close(number);
        assert!(opener.join().unwrap());
        reader.join().unwrap();
    });
}
