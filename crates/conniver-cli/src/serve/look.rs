//! Looks at all sockets, one after the other, and what clients are told of them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use sockdiag::{Dump, Namespace, SockDiag, States, Tell};
use tcpinfo::State;
use tokio::sync::{mpsc, oneshot};

use super::{
    catalogue::{self, Own},
    events::Ends,
    exposition::Exposition,
    group::Name,
    ledger::Ledger,
    lock,
    own::Process,
};
use crate::{error::Error, process::Processes, source};

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Mutex<Ledger>,
    pub(super) ends: Ends,
    pub(super) looked: Mutex<Looked>,
    pub(super) requests: AtomicU64,
    pub(super) turned_away: AtomicU64,
    started: Duration,
}

/// How looking went.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked {
    looks: u64,
    failed: u64,
    time: Duration,
    bytes: u64,
    unseen: Option<Unseen>,
    /// Why the last one failed, if it did.
    pub(super) failure: Option<String>,
}

impl Shared {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            ends: Ends::new(Instant::now()),
            looked: Mutex::default(),
            requests: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn own(&self, ledger: &Ledger) -> Own {
        let looked = lock(&self.looked).clone();
        Own {
            sums: ledger.sums,
            known: ledger.len() as u64,
            groups: ledger.groups.len() as u64,
            groups_replaced: ledger.groups.replaced,
            others: ledger.groups.others,
            looks: looked.looks,
            failed_looks: looked.failed,
            is_complete: looked.failure.is_none(),
            look_time: looked.time,
            look_bytes: looked.bytes,
            unreadable_processes: looked.unseen.and_then(|unseen| unseen.unreadable),
            are_processes_hidden: looked.unseen.map(|unseen| unseen.are_hidden),
            is_listening: self.ends.is_listening.load(Relaxed),
            lost: self.ends.lost.load(Relaxed),
            buffer_bytes: self.ends.buffer_bytes.load(Relaxed),
            requests: self.requests.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            started: self.started,
            process: Process::read(),
        }
    }

    /// The metrics, as of the last look.
    fn write(&self, format: Exposition, out: &mut Vec<u8>) {
        let ledger = lock(&self.ledger);
        let own = self.own(&ledger);
        catalogue::put(format, &ledger, &own, out);
    }
}

/// Asks the kernel.
#[derive(Debug)]
pub(super) struct Looker {
    diag: Option<SockDiag>,
    namespace: Option<Namespace>,
    listeners: Dump,
    connections: Dump,
    max_age: Duration,
    /// When the last look ended.
    last: Option<Instant>,
}

/// A client that wants to know.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) format: Exposition,
    pub(super) answer: oneshot::Sender<Bytes>,
}

impl Looker {
    pub(super) fn new(namespace: Option<Namespace>, tell: Tell, max_age: Duration) -> Self {
        Self {
            diag: None,
            namespace,
            // These first: which connections they accepted is known by their ports.
            listeners: Dump::new().states(States::of(State::Listen)).tell(Tell::MEMORY),
            connections: Dump::new().states(States::CONNECTED).tell(tell),
            max_age,
            last: None,
        }
    }

    /// Answers all who ask, those who wait together by one look, until nobody can ask any more.
    pub(super) fn serve(mut self, shared: &Shared, mut wishes: mpsc::Receiver<Wish>) {
        let mut text = Vec::new();
        while let Some(first) = wishes.blocking_recv() {
            if self.last.is_none_or(|last| last.elapsed() >= self.max_age) {
                // Why it failed is among what is told.
                let _ = self.look(shared);
            }
            let mut waiting = vec![first];
            while let Ok(wish) = wishes.try_recv() {
                waiting.push(wish);
            }
            for format in [Exposition::OpenMetrics, Exposition::Prometheus] {
                let mut wanting = Vec::new();
                waiting = waiting
                    .into_iter()
                    .filter_map(|wish| match wish.format == format {
                        true => {
                            wanting.push(wish);
                            None
                        }
                        false => Some(wish),
                    })
                    .collect();
                if wanting.is_empty() {
                    continue;
                }
                text.clear();
                shared.write(format, &mut text);
                let bytes = Bytes::copy_from_slice(&text);
                for wish in wanting {
                    // It may have gone away.
                    let _ = wish.answer.send(bytes.clone());
                }
            }
        }
    }

    /// Looks at all sockets and counts what is there.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), Error> {
        let begun = Instant::now();
        let mut ledger = lock(&shared.ledger);
        ledger.begin(shared.ends.now());
        let listed = self.list(&mut ledger);
        let mut unseen = None;
        if listed.is_ok() {
            if ledger.wants_processes() {
                unseen = Some(assign(&mut ledger));
            }
            shared.ends.report_deafness(&mut ledger);
            ledger.finish();
        } else {
            // Another one may do better.
            self.diag = None;
        }
        shared.ends.settle(&mut ledger);
        drop(ledger);
        let mut looked = lock(&shared.looked);
        looked.looks += 1;
        looked.time = begun.elapsed();
        if unseen.is_some() {
            looked.unseen = unseen;
        }
        self.last = Some(Instant::now());
        match listed {
            Ok(bytes) => {
                looked.bytes = bytes;
                looked.failure = None;
                Ok(())
            }
            Err(error) => {
                looked.failed += 1;
                looked.failure = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Enters every socket, and says of how many bytes the kernel needed.
    fn list(&mut self, ledger: &mut Ledger) -> Result<u64, Error> {
        let diag = match &mut self.diag {
            Some(diag) => diag,
            none => none.insert(source::open(self.namespace.as_ref())?),
        };
        let mut bytes = 0;
        let mut entries = diag.dump(&self.listeners)?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            bytes += entry.byte_len() as u64;
            ledger.see_listener(&entry);
        }
        let mut entries = diag.dump(&self.connections)?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            bytes += entry.byte_len() as u64;
            ledger.see(&entry);
        }
        Ok(bytes)
    }
}

/// Processes whose sockets are not known.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    /// Those that may not be looked into; none without `/proc`, where there is not even one to count.
    unreadable: Option<u64>,
    /// Whether there may be others, which are not shown.
    are_hidden: bool,
}

/// Finds the programs of connections that are new, and says whose could not be found.
fn assign(ledger: &mut Ledger) -> Unseen {
    match Processes::scan() {
        Ok(processes) => {
            ledger.assign(|inode| processes.holders(Some(inode)).first_command().map(Name::new));
            let gaps = processes.gaps();
            let are_hidden = gaps.hidden || gaps.outside;
            Unseen { unreadable: Some(gaps.not_permitted as u64), are_hidden }
        }
        Err(_) => {
            ledger.assign(|_| None);
            Unseen { unreadable: None, are_hidden: true }
        }
    }
}
