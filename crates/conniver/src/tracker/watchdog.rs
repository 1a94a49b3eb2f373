use std::{collections::HashMap, fmt, time::Duration};

use tcpinfo::{State, TcpInfo};

use crate::{ConnId, clock};

use super::{Connection, Query, Tracker};

/// Finds connections that leak or hang: idle for too long, left half closed, or with data that the
/// peer does not take.
///
/// Nothing is looked for that was not asked for, and nothing happens by itself: the program looks as
/// often as it likes. How long something lasts is known to the time between two looks where only the
/// kernel can tell that it began.
///
/// ```
/// use std::time::Duration;
/// use conniver::{Tracker, Watchdog};
///
/// let tracker = Tracker::new();
/// let mut watchdog = Watchdog::new(&tracker)
///     .idle(Duration::from_secs(600))
///     .half_closed(Duration::from_secs(60))
///     .stalled(Duration::from_secs(10));
/// // Every few seconds:
/// watchdog.watch(|alarm| eprintln!("{alarm}"));
/// ```
#[derive(Debug)]
pub struct Watchdog {
    tracker: Tracker,
    query: Query,
    idle: Option<Duration>,
    half_closed: Option<Duration>,
    stalled: Option<Duration>,
    seen: HashMap<ConnId, Seen>,
}

/// What is known of a connection from earlier looks. Times are ages of the connection.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Since when one side has ended, as far as only the kernel knows.
    half_closed_at: Option<Duration>,
    /// Since when the peer has taken nothing of what waits.
    stalled_at: Option<Duration>,
    /// What the peer had taken.
    taken: u64,
    /// What [`Watchdog::watch`] has told of already.
    told: [bool; 3],
}

/// A connection in trouble.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Alarm {
    /// The connection, with the kernel's facts if they were needed.
    pub conn: Connection,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// No byte has moved for so long.
    Idle(Duration),
    /// One side has ended and the other has not, for so long: the peer has closed and we have not,
    /// or the other way round.
    HalfClosed(Duration),
    /// Data waits to be sent or acknowledged, and the peer has taken nothing for so long.
    Stalled(Duration),
}

impl Trouble {
    const fn number(self) -> usize {
        match self {
            Self::Idle(_) => 0,
            Self::HalfClosed(_) => 1,
            Self::Stalled(_) => 2,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(time) => write!(f, "idle for {time:?}"),
            Self::HalfClosed(time) => write!(f, "half closed for {time:?}"),
            Self::Stalled(time) => write!(f, "stalled for {time:?}"),
        }
    }
}

/// One line: what is wrong, and with which connection.
impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.trouble, self.conn)
    }
}

impl Watchdog {
    /// Looks for nothing yet.
    pub fn new(tracker: &Tracker) -> Self {
        Self {
            tracker: tracker.clone(),
            query: Query::new(),
            idle: None,
            half_closed: None,
            stalled: None,
            seen: HashMap::new(),
        }
    }

    /// Looks only at the connections of a query; by default at all.
    #[must_use]
    pub fn only(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// Looks for connections on which no byte has moved for so long.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Looks for connections of which one side has ended, and the other not, for so long. The kernel
    /// is asked too, since a program that leaks its connections does not read their end.
    #[must_use]
    pub fn half_closed(mut self, time: Duration) -> Self {
        self.half_closed = Some(time);
        self
    }

    /// Looks for connections with data that waits to be sent or acknowledged, and of which the peer
    /// has taken nothing for so long. Needs kernel facts that only some systems have: Linux, and in
    /// part the others.
    #[must_use]
    pub fn stalled(mut self, time: Duration) -> Self {
        self.stalled = Some(time);
        self
    }

    /// Everything that is in trouble now. A connection may be in several.
    pub fn look(&mut self) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        self.visit(|conn, trouble, _| alarms.push(Alarm { conn: conn.clone(), trouble }));
        alarms
    }

    /// Tells of what is in trouble now and was not when this was called before: once for each time
    /// that a connection comes into trouble.
    pub fn watch(&mut self, mut tell: impl FnMut(&Alarm)) {
        self.visit(|conn, trouble, was_told| {
            if !std::mem::replace(was_told, true) {
                tell(&Alarm { conn: conn.clone(), trouble });
            }
        });
    }

    fn visit(&mut self, mut found: impl FnMut(&Connection, Trouble, &mut bool)) {
        let asks = self.half_closed.is_some() || self.stalled.is_some();
        let list = self.tracker.query(&self.query.clone().facts(asks));
        let mut seen_now = HashMap::with_capacity(list.len());
        for conn in &list {
            let mut seen = self.seen.get(&conn.id()).copied().unwrap_or_default();
            let troubles = self.troubles(conn, &mut seen);
            // What is over may be told of again.
            let mut told = [false; 3];
            for trouble in troubles.into_iter().flatten() {
                let number = trouble.number();
                if let (Some(now), Some(before)) = (told.get_mut(number), seen.told.get(number)) {
                    *now = *before;
                    found(conn, trouble, now);
                }
            }
            seen.told = told;
            seen_now.insert(conn.id(), seen);
        }
        self.seen = seen_now;
    }

    fn troubles(&self, conn: &Connection, seen: &mut Seen) -> [Option<Trouble>; 3] {
        let info = conn.info();
        let over = |limit: Option<Duration>, time: Option<Duration>| {
            time.filter(|time| limit.is_some_and(|limit| *time >= limit))
        };
        [
            over(self.idle, Some(conn.idle())).map(Trouble::Idle),
            over(self.half_closed, half_closed(conn, info.as_ref(), seen)).map(Trouble::HalfClosed),
            over(self.stalled, stalled(conn, info.as_ref(), seen)).map(Trouble::Stalled),
        ]
    }
}

/// For how long one side has ended and the other has not.
fn half_closed(conn: &Connection, info: Option<&TcpInfo>, seen: &mut Seen) -> Option<Duration> {
    let block = conn.handle().block();
    let known = match (block.rx_counts().ended_at, block.tx_counts().ended_at) {
        (0, 0) => None,
        (0, end) | (end, 0) => Some(Duration::from_nanos(clock::precise().saturating_sub(end))),
        _ => return None,
    };
    // The program may not have read the peer's end.
    let state = info.and_then(TcpInfo::state);
    let is_half_closed = matches!(state, Some(State::CloseWait | State::FinWait2));
    seen.half_closed_at = is_half_closed.then(|| seen.half_closed_at.unwrap_or(conn.age()));
    let seen_for = seen.half_closed_at.and_then(|since| conn.age().checked_sub(since));
    known.max(seen_for)
}

/// For how long the peer has taken nothing of what waits.
fn stalled(conn: &Connection, info: Option<&TcpInfo>, seen: &mut Seen) -> Option<Duration> {
    let info = info?;
    let waiting = [
        info.unsent_bytes(),
        info.in_flight_bytes(),
        info.in_flight_segs(),
        info.tx_queued_bytes(),
    ];
    // Where the kernel does not count what was acknowledged, less in the queue is progress too.
    let taken = info.tx_acked_bytes().unwrap_or_else(|| {
        conn.tx_bytes().saturating_sub(info.tx_queued_bytes().or(info.unsent_bytes()).unwrap_or(0))
    });
    let is_waiting = waiting.into_iter().flatten().any(|length| length > 0);
    if !is_waiting || taken != seen.taken {
        seen.stalled_at = None;
    }
    seen.taken = taken;
    if !is_waiting {
        return None;
    }
    let since = *seen.stalled_at.get_or_insert(conn.age());
    conn.age().checked_sub(since)
}
