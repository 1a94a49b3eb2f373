//! What has become of connections over the last looks.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::connection::Connection;

/// Of one connection at one look; absent where the kernel did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) rtt: Option<u32>,
    pub(crate) cwnd: Option<u32>,
    pub(crate) tx: Option<u32>,
    pub(crate) rx: Option<u32>,
}

impl Point {
    fn of(connection: &Connection) -> Self {
        let clamp = |rate: f64| rate.round().clamp(0.0, u32::MAX.into()) as u32;
        let info = connection.entry().native_tcp_info();
        let rtt = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let change = connection.change();
        Self {
            rtt: info.as_ref().and_then(|info| info.rtt().value()).map(rtt),
            cwnd: info.as_ref().and_then(|info| info.snd_cwnd().value()),
            // In kilobytes a second no rate of the next decades is too large.
            tx: change.and_then(|change| change.tx).map(|rate| clamp(rate / RATE_SCALE)),
            rx: change.and_then(|change| change.rx).map(|rate| clamp(rate / RATE_SCALE)),
        }
    }
}

/// Rates are kept in steps of this many bytes a second.
pub(crate) const RATE_SCALE: f64 = 16.0;

/// So many looks are kept.
const LEN: usize = 120;

/// Up to so many connections, all of them have a history: 120 points of 32 bytes each, 8 MB.
const MOST_OF_ALL: usize = 2_048;

/// So many that were selected keep theirs otherwise.
const MOST_SELECTED: usize = 16;

/// What has become of connections.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    /// By cookie.
    points: HashMap<u64, VecDeque<Point>>,
    /// The selected one last.
    selected: VecDeque<u64>,
}

impl Histories {
    /// From now on this one is of interest.
    pub(crate) fn select(&mut self, cookie: u64) {
        self.selected.retain(|other| *other != cookie);
        self.selected.push_back(cookie);
        if self.selected.len() > MOST_SELECTED {
            self.selected.pop_front();
        }
    }

    /// Takes note of a look's connections, in the order of their cookies.
    pub(crate) fn note(&mut self, connections: &[Connection]) {
        let find = |cookie: &u64| {
            connections
                .binary_search_by_key(cookie, Connection::cookie)
                .ok()
                .map(|place| &connections[place])
        };
        if connections.len() <= MOST_OF_ALL {
            self.points.retain(|cookie, _| find(cookie).is_some());
            for connection in connections {
                self.push(connection);
            }
        } else {
            let selected = self.selected.clone();
            self.points.retain(|cookie, _| selected.contains(cookie));
            for connection in selected.iter().filter_map(find) {
                self.push(connection);
            }
        }
    }

    fn push(&mut self, connection: &Connection) {
        let points = self.points.entry(connection.cookie()).or_default();
        if points.len() == LEN {
            points.pop_front();
        }
        points.push_back(Point::of(connection));
    }

    /// What is known of it, the oldest first.
    pub(crate) fn of(&self, cookie: u64) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.get(&cookie).into_iter().flatten()
    }

    /// How many connections have one.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }
}
