//! Listeners and the connections that wait for them.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use sockdiag::Entry;

use super::{exposition::put_label, group::OTHER};

/// The listeners of one address: several where they share it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    address: Option<SocketAddr>,
    pub(super) labels: Box<str>,
    pub(super) sockets: u64,
    pub(super) queue: u64,
    pub(super) limit: u64,
    /// Of the fullest queue, in millionths of its limit.
    pub(super) fullest: u64,
    /// Connections that were refused since it is known.
    pub(super) drops: u64,
    used: u32,
}

/// Series of one of them.
pub(super) const LISTENER_SERIES: usize = 5;

/// A listener without sockets for so long may give its place to another.
const UNUSED_SECONDS: u32 = 600;

impl Listener {
    fn new(address: Option<SocketAddr>, now: u32) -> Self {
        let mut labels = String::new();
        let local = address.map_or_else(|| OTHER.to_owned(), |address| address.to_string());
        put_label("local", &local, &mut labels);
        let labels = labels.into();
        Self { address, labels, sockets: 0, queue: 0, limit: 0, fullest: 0, drops: 0, used: now }
    }
}

/// A socket that listens.
#[derive(Clone, Copy, Debug)]
struct Known {
    drops: u32,
    generation: u32,
}

/// All of them. The first is of those for which there is no other.
#[derive(Clone, Debug)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    places: HashMap<SocketAddr, usize>,
    sockets: HashMap<u64, Known>,
    ports: HashSet<u16>,
    most: usize,
    generation: u32,
    has_others: bool,
    /// Whether the kernel tells how many it refused.
    pub(super) tells_drops: bool,
}

impl Listeners {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: vec![Listener::new(None, 0)],
            places: HashMap::new(),
            sockets: HashMap::new(),
            ports: HashSet::new(),
            most,
            generation: 0,
            has_others: false,
            tells_drops: false,
        }
    }

    pub(super) fn begin(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.ports.clear();
        for one in &mut self.all {
            (one.sockets, one.queue, one.limit, one.fullest) = (0, 0, 0, 0);
        }
    }

    pub(super) fn see(&mut self, entry: &Entry<'_>, now: u32) {
        let address = entry.local_addr();
        self.ports.insert(address.port());
        let known = Known { drops: 0, generation: 0 };
        let known = self.sockets.entry(entry.cookie()).or_insert(known);
        if known.generation == self.generation {
            // A list can tell of a socket twice.
            return;
        }
        known.generation = self.generation;
        let drops = entry.memory().and_then(|memory| memory.dropped_packets);
        self.tells_drops |= drops.is_some();
        let drops = drops.unwrap_or(known.drops);
        // They turn over at 32 bits.
        let more = u64::from(drops.wrapping_sub(known.drops));
        known.drops = drops;
        let queues = entry.queues();
        let queue = queues.accept_queue.unwrap_or_default();
        let limit = queues.accept_queue_limit.unwrap_or_default();
        let place = self.place(address, now);
        let Some(one) = self.all.get_mut(place) else { return };
        one.sockets += 1;
        one.queue += queue;
        one.limit += limit;
        // The kernel lets in one more than the limit says.
        one.fullest = one.fullest.max(queue * 1_000_000 / (limit + 1));
        one.drops += more;
        one.used = now;
    }

    fn place(&mut self, address: SocketAddr, now: u32) -> usize {
        if let Some(place) = self.places.get(&address) {
            return *place;
        }
        let place = if self.all.len() <= self.most {
            self.all.push(Listener::new(Some(address), now));
            self.all.len() - 1
        } else if let Some(place) = self.unused(now) {
            let old = std::mem::replace(&mut self.all[place], Listener::new(Some(address), now));
            if let Some(address) = old.address {
                self.places.remove(&address);
            }
            place
        } else {
            self.has_others = true;
            return 0;
        };
        self.places.insert(address, place);
        place
    }

    fn unused(&self, now: u32) -> Option<usize> {
        let is_unused = |one: &Listener| now.saturating_sub(one.used) > UNUSED_SECONDS;
        (1..self.all.len()).find(|place| self.all.get(*place).is_some_and(is_unused))
    }

    /// Forgets those that are gone, if all were seen that are there. Those that went just now are still
    /// known when their end is told.
    pub(super) fn finish(&mut self) {
        let generation = self.generation;
        self.sockets.retain(|_, known| generation.wrapping_sub(known.generation) <= 1);
    }

    /// Whether the socket is one of them.
    pub(super) fn end(&mut self, cookie: u64) -> bool {
        self.sockets.remove(&cookie).is_some()
    }

    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Listener> {
        self.all.iter().skip(usize::from(!self.has_others))
    }
}
