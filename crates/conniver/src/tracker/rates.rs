use std::{collections::HashMap, time::Duration};

use crate::ConnId;

use super::{Connection, Query, Tracker};

/// Looks at a tracker's connections again and again, and says how fast each moves bytes.
///
/// What it remembers is its own, so that several may look at different paces.
///
/// ```
/// use conniver::{Query, Rates, Tracker};
///
/// let tracker = Tracker::new();
/// let mut rates = Rates::new(&tracker);
/// // Once a second:
/// for (conn, rate) in rates.look(&Query::new()) {
///     if let Some(rate) = rate {
///         println!("{conn}: {:.0} bytes a second received", rate.rx_bytes);
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Rates {
    tracker: Tracker,
    before: HashMap<ConnId, Seen>,
}

/// What was seen of a connection.
#[derive(Debug, Clone, Copy)]
struct Seen {
    age: Duration,
    rx_bytes: u64,
    tx_bytes: u64,
}

/// Bytes a second between two looks.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Received.
    pub rx_bytes: f64,
    /// Sent.
    pub tx_bytes: f64,
    /// The time between the two looks.
    pub over: Duration,
}

impl Rates {
    /// Begins to look; nothing is known yet.
    pub fn new(tracker: &Tracker) -> Self {
        Self { tracker: tracker.clone(), before: HashMap::new() }
    }

    /// The connections that live now, each with its rate since it was last in the list. A
    /// connection that is in the list for the first time, or again in the same moment, has none.
    pub fn look(&mut self, query: &Query) -> Vec<(Connection, Option<Rate>)> {
        let list = self.tracker.query(query);
        let mut now = HashMap::with_capacity(list.len());
        let rated = list
            .into_iter()
            .map(|conn| {
                let seen =
                    Seen { age: conn.age(), rx_bytes: conn.rx_bytes(), tx_bytes: conn.tx_bytes() };
                let rate = self.before.get(&conn.id()).and_then(|before| seen.rate_since(before));
                now.insert(conn.id(), seen);
                (conn, rate)
            })
            .collect();
        self.before = now;
        rated
    }
}

impl Seen {
    fn rate_since(&self, before: &Self) -> Option<Rate> {
        let over = self.age.checked_sub(before.age).filter(|over| !over.is_zero())?;
        let rate = |now: u64, before: u64| now.wrapping_sub(before) as f64 / over.as_secs_f64();
        Some(Rate {
            rx_bytes: rate(self.rx_bytes, before.rx_bytes),
            tx_bytes: rate(self.tx_bytes, before.tx_bytes),
            over,
        })
    }
}
