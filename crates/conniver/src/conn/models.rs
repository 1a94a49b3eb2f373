//! The end of a connection, while others look at it, against every order in which they can come.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use loom::thread;

use super::Conn;
use crate::{
    Handle, Observer, Options, Report, Tracker,
    block::Block,
    clock::Anchor,
    slot::{
        Number, Slot,
        models::{Socket, Sockets},
    },
    thread_token::become_thread,
};

/// A stream that has its socket in the model's kernel.
struct Stream {
    sockets: Sockets,
    number: Number,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.sockets.close(self.number);
    }
}

fn open(options: &Options, sockets: &Sockets, socket: Socket) -> Conn<Stream> {
    let stream = Stream { sockets: sockets.clone(), number: sockets.open(socket) };
    let mut block = Block::opaque(Arc::default(), false, Anchor::now(), (None, None));
    block.open_slot(Slot::of_modelled(stream.number));
    // So that those who look know whom they should meet.
    block.reconnects = AtomicU32::new(socket);
    block.tx.end();
    Conn::new(stream, block, None, options.shared())
}

fn look(handle: &Handle, sockets: &Sockets) {
    let own = handle.block().reconnects.load(Relaxed);
    let answer = handle.block().slot.ask_modelled(sockets);
    assert!(answer.is_none_or(|socket| socket == Some(own)), "asked {own}, {answer:?} answered");
}

/// Counts what it is told.
#[derive(Clone, Default)]
struct Tally(Arc<[AtomicU32; 2]>);

impl Observer for Tally {
    fn opened(&self, _: &Handle) {
        self.0[0].fetch_add(1, Relaxed);
    }

    fn closed(&self, _: &Report) {
        self.0[1].fetch_add(1, Relaxed);
    }
}

impl Tally {
    fn told(&self) -> [u32; 2] {
        [0, 1].map(|event: usize| self.0[event].load(Relaxed))
    }
}

/// A thread opens and closes connections one after the other, which get the same number each time;
/// another lists them, asks them and sums up.
fn model(observed: bool) {
    loom::model(move || {
        let tracker = Tracker::builder().ended(2).build();
        let sockets = Sockets::new();
        let tally = Tally::default();
        let mut options = Options::new().tracker(&tracker);
        if observed {
            options = options.observer(tally.clone());
        }
        let first = open(&options, &sockets, 1);
        let first_handle = first.handle();
        let owner = {
            let sockets = sockets.clone();
            thread::spawn(move || {
                become_thread(1);
                drop(first);
                drop(open(&options, &sockets, 2));
            })
        };

        look(&first_handle, &sockets);
        for conn in tracker.connections() {
            look(conn.handle(), &sockets);
        }
        let before = tracker.totals();
        assert!(before.opened >= 1 && before.closed() <= before.opened, "{before:?}");
        assert_eq!(before.open, before.opened - before.closed());
        owner.join().unwrap();

        let after = tracker.totals();
        assert_eq!((after.opened, after.closed(), after.open), (2, 2, 0));
        assert!(tracker.is_empty());
        let ended: Vec<_> = tracker.ended().iter().map(|report| report.reconnects).collect();
        assert!(ended == [2, 1] || ended == [1, 2], "{ended:?}");
        if observed {
            assert_eq!(tally.told(), [2, 2]);
        }
    });
}

#[test]
fn each_opens_once_and_ends_once_while_another_looks() {
    model(false);
}

#[test]
fn each_is_told_once_of_while_another_looks() {
    model(true);
}

/// Given back, a stream goes on, and nobody may ask it any more when the caller has it.
#[test]
fn a_stream_that_was_given_back_is_not_asked() {
    loom::model(|| {
        let tracker = Tracker::new();
        let sockets = Sockets::new();
        let options = Options::new().tracker(&tracker);
        let conn = open(&options, &sockets, 1);
        let reader = {
            let (tracker, sockets) = (tracker.clone(), sockets.clone());
            thread::spawn(move || {
                for conn in tracker.connections() {
                    look(conn.handle(), &sockets);
                }
                tracker.totals()
            })
        };
        let (stream, _) = conn.into_inner();
        drop(stream);
        drop(Stream { number: sockets.open(2), sockets });
        let looked = reader.join().unwrap();
        assert_eq!((looked.opened, looked.open + looked.closed()), (1, 1));
        assert_eq!((tracker.totals().closed(), tracker.len()), (1, 0));
        assert!(tracker.ended().is_empty());
    });
}

/// Two threads end connections that a third counts, beyond the limit of those that are listed too.
#[test]
fn no_more_are_closed_than_were_opened() {
    loom::model(|| {
        let tracker = Tracker::builder().limit(1).ended(0).build();
        let options = Options::new().tracker(&tracker);
        let listed = options.wrap_opaque(io::empty());
        let owner = {
            let tracker = tracker.clone();
            thread::spawn(move || {
                let unlisted = options.wrap_opaque(io::empty());
                // Its end is noted in another shard, where the sum comes later.
                become_thread(1);
                drop(unlisted);
                assert!(tracker.len() <= 1);
            })
        };
        let totals = tracker.totals();
        assert!(totals.closed() <= totals.opened, "{totals:?}");
        assert!(totals.open >= 1, "{totals:?}");
        owner.join().unwrap();
        drop(listed);
        let totals = tracker.totals();
        assert_eq!((totals.opened, totals.closed(), totals.unlisted), (2, 2, 1));
    });
}
