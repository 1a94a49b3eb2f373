//! What is known of connections before they end: who holds them, since when they are there, and how
//! they stood. Looked up now and then by a thread, so that ends are taken meanwhile.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use sockdiag::{Dump, Lookup, Namespace, SockDiag, States, Tell};
use tcpinfo::State;

use super::facts::{Age, Facts, Late};
use crate::{
    error::Error,
    process::{Holders, Processes},
    source,
};

/// A look may take one part in so many of the time.
const SHARE: u32 = 10;

/// So many connections at most of which nobody is known to hold them are asked for once more.
const MOST_ASKED: usize = 256;

/// All connections that are known, by cookie.
#[derive(Debug, Default)]
pub(super) struct Known {
    connections: HashMap<u64, Connection>,
    listening: HashSet<u16>,
    looks: u64,
}

#[derive(Debug)]
struct Connection {
    seen: Seen,
    /// The number of the last look that had it.
    look: u64,
}

/// A connection as it was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// As it was when it was last seen.
    pub(super) state: State,
    /// Whether it connected rather than accepted.
    pub(super) has_connected: Option<bool>,
    /// When the handshake was over, or at the latest.
    since: Instant,
    is_since_exact: bool,
    user: Option<u32>,
    pub(super) holding: Option<Holding>,
}

/// Who holds a connection, as it is shown.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) pids: Box<[u32]>,
    /// The name of the first.
    pub(super) command: Box<str>,
    pub(super) text: Box<str>,
    pub(super) json: Box<[u8]>,
}

/// What one look has found.
#[derive(Debug)]
pub(super) struct Look {
    seen: Vec<(u64, Seen)>,
    listening: HashSet<u16>,
    /// Why not every process could be looked into.
    missed: Option<String>,
}

impl Known {
    /// Takes over a look, and forgets what two looks have not found.
    pub(super) fn take(&mut self, look: Look) {
        self.looks += 1;
        for (cookie, seen) in look.seen {
            match self.connections.get_mut(&cookie) {
                Some(known) => {
                    known.look = self.looks;
                    known.seen.update(seen);
                }
                None => {
                    self.connections.insert(cookie, Connection { seen, look: self.looks });
                }
            }
        }
        let oldest = self.looks.saturating_sub(1);
        self.connections.retain(|_, known| known.look >= oldest);
        self.listening = look.listening;
    }

    /// What was known of a connection that has ended.
    pub(super) fn remove(&mut self, cookie: u64) -> Option<Seen> {
        self.connections.remove(&cookie).map(|known| known.seen)
    }

    /// Whether there was a listener on the port at the last look.
    pub(super) fn listens(&self, port: u16) -> bool {
        self.listening.contains(&port)
    }

    pub(super) fn set_listening(&mut self, listening: HashSet<u16>) {
        self.listening = listening;
    }
}

impl Seen {
    fn update(&mut self, newer: Self) {
        self.state = newer.state;
        self.has_connected = self.has_connected.or(newer.has_connected);
        if newer.is_since_exact && !self.is_since_exact {
            (self.since, self.is_since_exact) = (newer.since, true);
        }
        // Of a socket that no program holds any more the kernel tells no user.
        self.user = newer.user.or(self.user);
        // Whoever still has it when it ends is who ended it.
        if newer.holding.is_some() {
            self.holding = newer.holding;
        }
    }

    /// How long ago it began.
    pub(super) fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.since);
        if self.is_since_exact { Age::Exact(age) } else { Age::AtLeast(age) }
    }
}

impl Holding {
    fn of(holders: Holders<'_>, has_json: bool) -> Option<Self> {
        if holders.is_empty() {
            return None;
        }
        let (mut text, mut json) = (Vec::new(), Vec::new());
        holders.put(&mut text);
        if has_json {
            holders.put_json(&mut json);
        }
        Some(Self {
            pids: holders.pids().into(),
            command: holders.first_command().unwrap_or_default().into(),
            text: String::from_utf8_lossy(&text).into(),
            json: json.into(),
        })
    }
}

/// Whose connections are wanted; with nothing said, everybody's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whose {
    pub(super) pid: Option<u32>,
    pub(super) user: Option<u32>,
}

impl Whose {
    /// Whether a connection is one of theirs. One that was never seen is not, as far as anybody knows.
    pub(super) fn includes(self, seen: Option<&Seen>) -> bool {
        let holding = seen.and_then(|seen| seen.holding.as_ref());
        let user = seen.and_then(|seen| seen.user);
        self.pid.is_none_or(|pid| holding.is_some_and(|holding| holding.pids.contains(&pid)))
            && self.user.is_none_or(|wanted| user == Some(wanted))
    }
}

/// Looks at all connections of a namespace.
#[derive(Debug)]
pub(super) struct Looker {
    namespace: Option<Namespace>,
    diag: SockDiag,
    /// Whether what is known of processes is needed as JSON.
    has_json: bool,
    /// Those whose processes were found.
    held: HashSet<u64>,
}

impl Looker {
    pub(super) fn open(namespace: Option<Namespace>, has_json: bool) -> Result<Self, Error> {
        let diag = source::open(namespace.as_ref())?;
        Ok(Self { namespace, diag, has_json, held: HashSet::new() })
    }

    /// All connections as they are now.
    pub(super) fn look(&mut self) -> Result<Look, Error> {
        let states = States::ALL
            .without(States::of(State::TimeWait))
            .without(States::of(State::NewSynRecv))
            .without(States::of(State::BoundInactive));
        let mut look = Look { seen: Vec::new(), listening: HashSet::new(), missed: None };
        let mut inodes = Vec::new();
        let mut entries = self.diag.dump(&Dump::new().states(states).tell(Tell::INFO))?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if entry.state() == State::Listen {
                look.listening.insert(entry.local_addr().port());
                continue;
            }
            let Some(info) = entry.native_tcp_info() else { continue };
            let state = entry.state();
            let facts = Facts::of(&info);
            let now = Instant::now();
            let is_open = matches!(state, State::Established | State::CloseWait);
            let age = match state {
                State::SynSent | State::SynRecv | State::Close => Age::AtLeast(Duration::ZERO),
                _ => facts.age(Late::NOT),
            };
            let (ago, is_since_exact) = match age {
                Age::Exact(ago) => (ago, true),
                Age::AtLeast(ago) => (ago, false),
            };
            let seen = Seen {
                local: entry.local_addr(),
                remote: entry.remote_addr(),
                state,
                has_connected: match state {
                    State::SynSent => Some(true),
                    _ if is_open => facts.has_connected(),
                    _ => None,
                },
                since: now.checked_sub(ago).unwrap_or(now),
                is_since_exact: is_since_exact && now.checked_sub(ago).is_some(),
                user: entry.uid(),
                holding: None,
            };
            look.seen.push((entry.cookie(), seen));
            inodes.push(entry.inode());
        }
        let mut held: HashSet<_> = look.seen.iter().map(|(cookie, _)| *cookie).collect();
        held.retain(|cookie| self.held.contains(cookie));
        self.held = held;
        // Only if there are others than those whose processes are known.
        let mut all = look.seen.iter().zip(&inodes);
        if all.any(|((cookie, _), inode)| inode.is_some() && !self.held.contains(cookie)) {
            let processes = Processes::scan()?;
            let mut missed = Vec::new();
            for ((cookie, seen), inode) in look.seen.iter_mut().zip(inodes) {
                seen.holding = Holding::of(processes.holders(inode), self.has_json);
                if seen.holding.is_some() {
                    self.held.insert(*cookie);
                } else if inode.is_some() && missed.len() < MOST_ASKED {
                    missed.push((Lookup::new(seen.local, seen.remote).cookie(*cookie), inode));
                }
            }
            look.missed = processes.missed().filter(|_| {
                // Of what was closed before the processes were looked at, nobody was missed.
                let is_still = |(lookup, inode): &(Lookup, Option<u32>)| {
                    let found = self.diag.lookup(lookup);
                    found.is_ok_and(|entry| entry.is_some_and(|entry| entry.inode() == *inode))
                };
                missed.iter().any(is_still)
            });
        }
        Ok(look)
    }

    /// The ports on which there are listeners now.
    pub(super) fn listening(&mut self) -> Result<HashSet<u16>, Error> {
        let mut ports = HashSet::new();
        let dump = Dump::new().states(States::of(State::Listen)).tell(Tell::NOTHING);
        let mut entries = self.diag.dump(&dump)?;
        while let Some(entry) = entries.next() {
            ports.insert(entry?.local_addr().port());
        }
        Ok(ports)
    }

    pub(super) fn diag(&mut self) -> &mut SockDiag {
        &mut self.diag
    }
}

impl Look {
    pub(super) fn missed(&self) -> Option<&str> {
        self.missed.as_deref()
    }
}

/// A thread that looks again and again, until this is dropped.
#[derive(Debug)]
pub(super) struct Looking {
    looks: mpsc::Receiver<Result<Look, Error>>,
    _until: mpsc::Sender<()>,
}

impl Looking {
    pub(super) fn begin(looker: &Looker, every: Duration) -> Result<Self, Error> {
        let mut looker = Looker::open(looker.namespace.clone(), looker.has_json)?;
        // One look at most waits to be taken.
        let (give, looks) = mpsc::sync_channel(1);
        let (until, end) = mpsc::channel::<()>();
        let work = move || {
            let mut wait = every;
            while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(wait) {
                let begun = Instant::now();
                let look = looker.look();
                wait = every.max(begun.elapsed() * (SHARE - 1));
                let is_over = look.is_err();
                if give.send(look).is_err() || is_over {
                    return;
                }
            }
        };
        thread::Builder::new().name("looks".to_owned()).spawn(work).map_err(|error| {
            Error::failure(format!("cannot make a thread to look who holds connections: {error}"))
        })?;
        Ok(Self { looks, _until: until })
    }

    /// A look that was made meanwhile.
    pub(super) fn next(&self) -> Option<Result<Look, Error>> {
        self.looks.try_recv().ok()
    }
}
