//! Why a connection ended, as far as its last facts tell.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use tcpinfo::State;

use super::{
    facts::{Facts, Kind},
    known::Seen,
};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reason {
    /// This end closed first, and the peer acknowledged that.
    LocalClose,
    /// The peer closed first, and then this end.
    PeerClose,
    /// Both ends closed, whichever was first.
    Closed,
    /// One end reset it, or it was destroyed.
    Reset,
    /// The peer did not answer any more.
    TimedOut,
    /// This end threw it away with all its counts: `SO_LINGER` with zero seconds, never accepted, or
    /// disconnected.
    Aborted,
    /// It never came about.
    ConnectFailed,
    /// A listener, or a socket that was never connected.
    NotConnected,
    Unknown,
}

impl Reason {
    /// Whether it ended with the acknowledgement of a FIN.
    pub(super) const fn is_in_order(self) -> bool {
        matches!(self, Self::LocalClose | Self::PeerClose | Self::Closed)
    }

    pub(super) const ALL: [Self; 9] = [
        Self::LocalClose,
        Self::PeerClose,
        Self::Closed,
        Self::Reset,
        Self::TimedOut,
        Self::Aborted,
        Self::ConnectFailed,
        Self::NotConnected,
        Self::Unknown,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::LocalClose => "local_close",
            Self::PeerClose => "peer_close",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Aborted => "aborted",
            Self::ConnectFailed => "connect_failed",
            Self::NotConnected => "not_connected",
            Self::Unknown => "unknown",
        }
    }
}

/// What can be found out of the machine after the end.
pub(super) trait Aftermath {
    /// Whether the kernel keeps the addresses back, as it does for who closed first; `None` if that
    /// cannot be said.
    fn is_kept_back(&mut self) -> Option<bool>;

    /// Whether this end connected rather than accepted, by what listens on its port.
    fn side(&mut self) -> Side;

    /// How late it was told, at most.
    fn told_late(&self) -> Duration;
}

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Connected,
    Accepted,
    NotKnown,
    /// What will be told in a moment may say it.
    Later,
}

/// So long after the last acknowledgement it is not certain that a connection ended by one: the kernel
/// tells of ends when it finds time, which may take a second on a machine that is busy.
const LATE: Duration = Duration::from_secs(3);

/// Why it ended; `None` if that is to be asked again in a moment.
pub(super) fn reason(
    facts: &Facts,
    seen: Option<&Seen>,
    after: &mut impl Aftermath,
) -> Option<Reason> {
    Some(match facts.kind() {
        Kind::Connection => return of_connection(facts, seen, after),
        Kind::Aborted => Reason::Aborted,
        Kind::Attempt => Reason::ConnectFailed,
        Kind::Unused => Reason::NotConnected,
    })
}

fn of_connection(facts: &Facts, seen: Option<&Seen>, after: &mut impl Aftermath) -> Option<Reason> {
    // A close in order ends with the acknowledgement of a FIN.
    let Some(beyond) = facts.acked_beyond() else { return Some(Reason::Unknown) };
    if beyond < 1 {
        return Some(without_fin(facts));
    }
    let kept_back = after.is_kept_back();
    if kept_back == Some(true) {
        return Some(Reason::LocalClose);
    }
    if beyond == 1 {
        // Either a SYN or a FIN.
        let side = match seen.and_then(|seen| seen.has_connected) {
            Some(true) => Side::Connected,
            Some(false) => Side::Accepted,
            None => after.side(),
        };
        match side {
            Side::Connected => return Some(without_fin(facts)),
            Side::Accepted => {}
            Side::NotKnown => return Some(Reason::Unknown),
            Side::Later => return None,
        }
    }
    // Half of it may have been closed long ago, and the rest reset; or it was told very late.
    let is_late = facts.since_ack >= after.told_late() + LATE;
    Some(match seen.map(|seen| seen.state) {
        Some(State::FinWait1 | State::FinWait2 | State::Closing) => Reason::LocalClose,
        Some(State::CloseWait | State::LastAck) => Reason::PeerClose,
        _ if is_late => Reason::Unknown,
        _ if kept_back == Some(false) => Reason::PeerClose,
        _ => Reason::Closed,
    })
}

/// Why it ended without the last acknowledgement.
fn without_fin(facts: &Facts) -> Reason {
    match (facts.retransmits, facts.probes) {
        // A peer without room is asked for some, and given up if that goes on, though it answers.
        (0, 0) if facts.peer_window == 0 => Reason::Unknown,
        (0, 0) => Reason::Reset,
        // The kernel does not give up before, unless the program says so.
        (3.., _) | (_, 2..) => Reason::TimedOut,
        _ => Reason::Unknown,
    }
}

/// How late the kernel tells of ends: it does so in their order when it finds time, and all that ends
/// had an acknowledgement before, so no more late than the least of that.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    since: Option<Instant>,
    least: Option<Duration>,
    least_before: Option<Duration>,
}

impl Lateness {
    /// Notes one more that was told.
    pub(super) fn note(&mut self, facts: &Facts, now: Instant) {
        const SPAN: Duration = Duration::from_millis(50);

        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SPAN) {
            let is_next =
                self.since.is_some_and(|since| now.saturating_duration_since(since) < 2 * SPAN);
            self.least_before = self.least.take().filter(|_| is_next);
            self.since = Some(now);
        }
        if facts.kind() == Kind::Connection {
            let least = self.least.get_or_insert(facts.since_ack);
            *least = facts.since_ack.min(*least);
        }
    }

    /// How late at most; nothing, if one alone was told.
    pub(super) fn at_most(&self, facts: &Facts) -> Duration {
        match (self.least, self.least_before) {
            (Some(least), Some(before)) => least.max(before),
            // It may be its own.
            (Some(least), None) if least < facts.since_ack => least,
            _ => Duration::ZERO,
        }
    }
}

/// Whether the kernel has room to keep addresses back (`TIME_WAIT`): where it has none, that they are
/// not kept back says nothing.
#[derive(Debug)]
pub(super) struct Room {
    path: Option<PathBuf>,
    most: u64,
    looked: Option<Instant>,
    is_scarce: bool,
}

impl Room {
    /// By the file of the namespace, if it has one that is known.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let most = fs::read_to_string("/proc/sys/net/ipv4/tcp_max_tw_buckets")
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self { path, most: most.unwrap_or(u64::MAX), looked: None, is_scarce: false }
    }

    pub(super) fn is_scarce(&mut self) -> bool {
        const OFTEN: Duration = Duration::from_millis(100);

        if self.looked.is_none_or(|looked| looked.elapsed() >= OFTEN) {
            self.looked = Some(Instant::now());
            let kept = self.path.as_ref().and_then(|path| fs::read_to_string(path).ok());
            let kept = kept.as_deref().and_then(kept_back);
            self.is_scarce = kept.is_some_and(|kept| kept >= self.most / 20 * 19);
        }
        self.is_scarce
    }
}

/// How many `/proc/net/sockstat` has.
fn kept_back(text: &str) -> Option<u64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct After(Option<bool>, Side);

    impl Aftermath for After {
        fn is_kept_back(&mut self) -> Option<bool> {
            self.0
        }

        fn side(&mut self) -> Side {
            self.1
        }

        fn told_late(&self) -> Duration {
            Duration::from_millis(50)
        }
    }

    /// A connection that had 1000 bytes to send.
    fn facts(beyond: u64) -> Facts {
        let info = |numbers: &[(&str, u64)]| {
            let mut bytes = vec![0; 280];
            bytes[0] = 7;
            for (name, number) in numbers {
                let mut all = tcpinfo::native::linux::schema();
                let field = all.find(|field| field.name == *name).unwrap();
                bytes[field.offset..field.offset + field.width]
                    .copy_from_slice(&number.to_ne_bytes()[..field.width]);
            }
            tcpinfo::native::linux::LinuxTcpInfo::from_bytes(&bytes)
        };
        let acked = ("bytes_acked", 1_000 + beyond);
        Facts::of(&info(&[
            ("rtt", 20),
            ("snd_wnd", 9),
            ("segs_in", 5),
            ("bytes_sent", 1_000),
            acked,
        ]))
    }

    #[test]
    fn a_close_in_order_says_who_was_first() {
        let told = |beyond, kept, side| {
            reason(&facts(beyond), None, &mut After(kept, side)).map_or("later", Reason::as_str)
        };
        assert_eq!(told(2, Some(true), Side::Later), "local_close");
        assert_eq!(told(1, Some(true), Side::Later), "local_close");
        assert_eq!(told(2, Some(false), Side::Later), "peer_close");
        assert_eq!(told(2, None, Side::Later), "closed");
        assert_eq!(told(1, Some(false), Side::Accepted), "peer_close");
        assert_eq!(told(1, Some(false), Side::Connected), "reset");
        assert_eq!(told(1, Some(false), Side::NotKnown), "unknown");
        assert_eq!(told(1, Some(false), Side::Later), "later");
        assert_eq!(told(0, None, Side::Later), "reset");
    }

    #[test]
    fn silence_is_told_from_a_reset() {
        let told = |retransmits, probes| {
            let facts = Facts { retransmits, probes, ..facts(0) };
            reason(&facts, None, &mut After(None, Side::Later)).map(Reason::as_str)
        };
        assert_eq!(told(0, 0), Some("reset"));
        let full = Facts { peer_window: 0, ..facts(0) };
        let told_of_full = reason(&full, None, &mut After(None, Side::Later));
        assert_eq!(told_of_full, Some(Reason::Unknown));
        assert_eq!(told(15, 0), Some("timed_out"));
        assert_eq!(told(0, 9), Some("timed_out"));
        assert_eq!(told(1, 0), Some("unknown"));
        assert_eq!(told(0, 1), Some("unknown"));
        let late = Facts { since_ack: Duration::from_secs(4), ..facts(2) };
        let mut after = After(Some(false), Side::Later);
        assert_eq!(reason(&late, None, &mut after), Some(Reason::Unknown));
        let told_late = Facts { since_ack: Duration::from_millis(3_049), ..facts(2) };
        assert_eq!(reason(&told_late, None, &mut after), Some(Reason::PeerClose));
    }

    #[test]
    fn the_schema_names_every_reason() {
        let schema = include_str!("../../schema/conniver.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let reason = &schema["$defs"]["reason"];
        assert_eq!(reason["enum"], serde_json::json!(Reason::ALL.map(Reason::as_str)));
        for name in Reason::ALL.map(Reason::as_str) {
            assert!(reason["description"].as_str().unwrap().contains(name), "{name}");
        }
    }

    #[test]
    fn the_count_of_addresses_kept_back_is_found() {
        let text =
            "sockets: used 2\nTCP: inuse 6 orphan 0 tw 105 alloc 9 mem 1\nUDP: inuse 0 mem 0\n";
        assert_eq!(kept_back(text), Some(105));
        assert_eq!(kept_back("TCP: inuse 6"), None);
    }
}
