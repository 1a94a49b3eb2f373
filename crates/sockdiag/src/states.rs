//! Sets of states, as a list is asked for them.

use std::{
    fmt,
    ops::{BitOr, BitOrAssign},
};

use tcpinfo::State;

use crate::Entry;

/// A set of states.
///
/// ```
/// use sockdiag::States;
/// use tcpinfo::State;
///
/// let waiting = States::of(State::TimeWait) | States::of(State::CloseWait);
/// assert!(waiting.contains(State::TimeWait));
/// assert_eq!(waiting.to_string(), "TIME_WAIT,CLOSE_WAIT");
/// assert_eq!(States::named("connected"), Some(States::CONNECTED));
/// assert!(!States::CONNECTED.contains(State::Listen));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct States {
    /// One bit for each number that Linux gives to a state.
    bits: u32,
}

/// Linux's numbers of states, from the first to the last (7.2).
const CODES: std::ops::RangeInclusive<u8> = 1..=13;

/// Beside its own name, each as `ss` calls it.
const NAMES: [(&str, State); 11] = [
    ("established", State::Established),
    ("syn-sent", State::SynSent),
    ("syn-recv", State::SynRecv),
    ("fin-wait-1", State::FinWait1),
    ("fin-wait-2", State::FinWait2),
    ("time-wait", State::TimeWait),
    ("closed", State::Close),
    ("unconnected", State::Close),
    ("close-wait", State::CloseWait),
    ("last-ack", State::LastAck),
    ("listening", State::Listen),
];

impl States {
    /// None.
    pub const NONE: Self = Self { bits: 0 };

    /// Every state: also handshakes that are not over, of which the kernel keeps a request only, and
    /// sockets that are bound and do nothing.
    pub const ALL: Self = Self { bits: 0x3ffe };

    /// Those of connections, from the first SYN to the end of `TIME_WAIT`: all but listeners and
    /// closed sockets.
    pub const CONNECTED: Self = Self::ALL
        .without(Self::of(State::Listen))
        .without(Self::of(State::Close))
        .without(Self::of(State::BoundInactive));

    /// The connected ones without [`SynSent`](State::SynSent).
    pub const SYNCHRONIZED: Self = Self::CONNECTED.without(Self::of(State::SynSent));

    /// Those of which the kernel keeps no full socket: after the end, and before the beginning.
    pub const BUCKET: Self =
        Self::of(State::SynRecv).with(Self::of(State::NewSynRecv)).with(Self::of(State::TimeWait));

    /// All but the [small](Self::BUCKET).
    pub const BIG: Self = Self::ALL.without(Self::BUCKET);

    /// One state. A number that no header names has none.
    pub const fn of(state: State) -> Self {
        Self { bits: 1 << code(state) & Self::ALL.bits }
    }

    /// The states of a name: of one state as `ss` or as Linux calls it, or of a group (`all`,
    /// `connected`, `synchronized`, `bucket`, `big`). Small and capital letters are the same.
    pub fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let groups = [
            ("all", Self::ALL),
            ("connected", Self::CONNECTED),
            ("synchronized", Self::SYNCHRONIZED),
            ("bucket", Self::BUCKET),
            ("big", Self::BIG),
        ];
        let group = groups.into_iter().find(|(name, _)| is(name)).map(|(_, states)| states);
        let short = || NAMES.into_iter().find(|(name, _)| is(name)).map(|(_, state)| state.into());
        let own =
            || Self::ALL.iter().find(|state| is(state.name()) || is(&dashed(*state))).map(Self::of);
        group.or_else(short).or_else(own)
    }

    /// Whether the state is one of them.
    pub const fn contains(self, state: State) -> bool {
        self.bits & Self::of(state).bits != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The states of either.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self { bits: self.bits | others.bits }
    }

    /// Those that are not among the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self { bits: self.bits & !others.bits }
    }

    /// The states in the order of Linux's numbers.
    pub fn iter(self) -> impl Iterator<Item = State> {
        CODES.map(State::from_linux).filter(move |state| self.contains(*state))
    }

    /// As the kernel is asked for them: `idiag_states`.
    pub(crate) const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether a socket that a list tells of is in one of them, under the names that the kernel has for
    /// states in its answers, which are fewer than those it can be asked for.
    #[inline]
    pub(crate) fn admit(self, entry: &Entry<'_>) -> bool {
        match entry.state() {
            State::SynRecv => {
                self.contains(State::SynRecv) || self.contains(State::NewSynRecv) && entry.is_mini()
            }
            State::Close => self.contains(State::Close) || self.contains(State::BoundInactive),
            // A state of a newer kernel is in all of them.
            State::Unknown(_) => self.bits == Self::ALL.bits,
            state => self.contains(state),
        }
    }
}

const fn code(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynRecv => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Close => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
        State::NewSynRecv => 12,
        State::BoundInactive => 13,
        // No state has number 0.
        _ => 0,
    }
}

fn dashed(state: State) -> String {
    state.name().replace('_', "-")
}

impl From<State> for States {
    fn from(state: State) -> Self {
        Self::of(state)
    }
}

impl BitOr for States {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        self.with(others)
    }
}

impl BitOrAssign for States {
    fn bitor_assign(&mut self, others: Self) {
        *self = self.with(others);
    }
}

impl FromIterator<State> for States {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        states.into_iter().fold(Self::NONE, |all, state| all | Self::of(state))
    }
}

impl fmt::Display for States {
    /// Their names with commas in between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, state) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{state}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_one_of_all_and_has_its_own_bit() {
        for code in CODES {
            let state = State::from_linux(code);
            assert_eq!(States::of(state).bits(), 1 << code);
            assert_eq!(States::of(state).iter().collect::<Vec<_>>(), [state]);
            assert!(States::ALL.contains(state));
            assert_eq!(States::named(state.name()), Some(States::of(state)));
        }
        assert_eq!(States::ALL.iter().count(), 13);
        assert_eq!(States::ALL, CODES.map(State::from_linux).collect());
        for code in [0, 14, 32, 255] {
            assert!(States::of(State::Unknown(code)).is_empty());
            assert!(!States::ALL.contains(State::Unknown(code)));
        }
    }

    #[test]
    fn groups_are_those_of_ss() {
        let missing = |states: States| States::ALL.without(states).to_string();
        assert_eq!(missing(States::ALL), "");
        assert_eq!(missing(States::CONNECTED), "CLOSE,LISTEN,BOUND_INACTIVE");
        assert_eq!(missing(States::SYNCHRONIZED), "SYN_SENT,CLOSE,LISTEN,BOUND_INACTIVE");
        assert_eq!(missing(States::BIG), "SYN_RECV,TIME_WAIT,NEW_SYN_RECV");
        assert_eq!(States::BUCKET, States::ALL.without(States::BIG));
        for (name, states) in [
            ("all", States::ALL),
            ("Connected", States::CONNECTED),
            ("fin-wait-1", States::of(State::FinWait1)),
            ("FIN_WAIT1", States::of(State::FinWait1)),
            ("last-ack", States::of(State::LastAck)),
            ("bound-inactive", States::of(State::BoundInactive)),
            ("listening", States::of(State::Listen)),
            ("listen", States::of(State::Listen)),
            ("closed", States::of(State::Close)),
        ] {
            assert_eq!(States::named(name), Some(states), "{name}");
        }
        assert_eq!(States::named("opened"), None);
        assert_eq!(States::named(""), None);
    }
}
