//! What is counted together, in how many groups at most.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use sockdiag::{Entry, Tell};
use tcpinfo::State;

use super::{
    exposition::put_label,
    histogram::{Histogram, Quantity},
    sight::{Count, Counts, Sight},
};
use crate::{
    cli::{By, LabelRule, ServeArgs},
    escape,
};

/// By what connections are told apart.
#[derive(Clone, Debug)]
pub(super) struct Grouping {
    pub(super) by_process: bool,
    by_listener: bool,
    by_remote: bool,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    rules: Vec<LabelRule>,
}

impl Grouping {
    pub(super) fn new(arguments: &ServeArgs) -> Self {
        let has = |by| arguments.by.contains(&by);
        let by_default = arguments.by.is_empty() && arguments.labels.is_empty();
        Self {
            by_process: has(By::Process),
            by_listener: has(By::Listener) || by_default,
            by_remote: has(By::Remote),
            ipv4_prefix: arguments.ipv4_prefix,
            ipv6_prefix: arguments.ipv6_prefix,
            rules: arguments.labels.clone(),
        }
    }

    /// What the kernel has to tell of each connection. Rules may ask about anything.
    pub(super) fn tell(&self) -> Tell {
        if self.rules.is_empty() { Tell::INFO } else { Tell::ALL }
    }

    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The first rule that the socket matches.
    pub(super) fn rule(&self, entry: &Entry<'_>) -> Option<u16> {
        let matched = self.rules.iter().find(|rule| rule.filter.matches(entry))?;
        // Several filters may give the same label.
        let place = self.rules.iter().position(|rule| rule.name == matched.name)?;
        u16::try_from(place).ok()
    }

    /// The group of a connection, as far as it does not depend on its program.
    pub(super) fn key(&self, sight: &Sight, is_accepted: bool, rule: Option<u16>) -> Key {
        Key {
            process: None,
            listener: (self.by_listener && is_accepted).then_some(sight.local_port),
            network: sight.remote.filter(|_| self.by_remote).map(|ip| self.network(ip)),
            rule,
        }
    }

    fn network(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.ipv4_prefix)).unwrap_or(0);
                Ipv4Addr::from(u32::from(ip) & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.ipv6_prefix)).unwrap_or(0);
                Ipv6Addr::from(u128::from(ip) & mask).into()
            }
        }
    }

    /// The labels of a group's series.
    fn labels(&self, key: &Key) -> String {
        let process = key.process.as_ref().map_or("", Name::as_str);
        let mut number = String::new();
        if let Some(port) = key.listener {
            let _ = write!(number, "{port}");
        }
        let mut network = String::new();
        if let Some(ip) = key.network {
            let prefix = if ip.is_ipv4() { self.ipv4_prefix } else { self.ipv6_prefix };
            let _ = write!(network, "{ip}/{prefix}");
        }
        let rule = key.rule.and_then(|rule| self.rules.get(usize::from(rule)));
        self.join(process, &number, &network, rule.map_or("", |rule| &rule.name))
    }

    /// Those of what is in no group of its own.
    fn other_labels(&self) -> String {
        self.join(OTHER, OTHER, OTHER, OTHER)
    }

    /// Whether its labels are those: a program may call itself so.
    fn is_like_others(&self, key: &Key) -> bool {
        let rule = key.rule.and_then(|rule| self.rules.get(usize::from(rule)));
        !self.by_listener
            && !self.by_remote
            && (!self.by_process || key.process.is_some_and(|name| name.as_str() == OTHER))
            && (!self.has_rules() || rule.is_some_and(|rule| rule.name == OTHER))
    }

    fn join(&self, process: &str, listener: &str, network: &str, label: &str) -> String {
        let mut text = String::new();
        for (is_wanted, name, value) in [
            (self.by_process, "process", process),
            (self.by_listener, "listener", listener),
            (self.by_remote, "remote_network", network),
            (self.has_rules(), "label", label),
        ] {
            if is_wanted {
                put_label(name, value, &mut text);
            }
        }
        text
    }
}

/// Stands for all that has no series of its own.
pub(super) const OTHER: &str = "(other)";

/// Which group; what is absent is not asked for, or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) process: Option<Name>,
    listener: Option<u16>,
    network: Option<IpAddr>,
    rule: Option<u16>,
}

/// The name of a program as it is shown: made harmless here already, so that names which look the same
/// are one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    bytes: [u8; MAX_NAME_LEN],
    len: u8,
}

/// Linux keeps it within 15 bytes, each of which may become an escape of four.
const MAX_NAME_LEN: usize = 60;

impl Name {
    pub(super) fn new(text: &str) -> Self {
        let text = escape::line(text);
        let len = text.floor_char_boundary_of(MAX_NAME_LEN);
        let mut bytes = [0; MAX_NAME_LEN];
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self { bytes, len: len as u8 }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

trait FloorCharBoundary {
    fn floor_char_boundary_of(&self, most: usize) -> usize;
}

impl FloorCharBoundary for str {
    /// Where to cut so that no more than so many bytes are left, and no character is divided.
    fn floor_char_boundary_of(&self, most: usize) -> usize {
        (0..=most.min(self.len())).rev().find(|end| self.is_char_boundary(*end)).unwrap_or(0)
    }
}

/// States that connections are counted by; what a newer kernel may have besides, last.
pub(super) const STATES: [(State, &str); 10] = [
    (State::Established, "ESTABLISHED"),
    (State::SynSent, "SYN_SENT"),
    (State::SynRecv, "SYN_RECV"),
    (State::FinWait1, "FIN_WAIT1"),
    (State::FinWait2, "FIN_WAIT2"),
    (State::TimeWait, "TIME_WAIT"),
    (State::CloseWait, "CLOSE_WAIT"),
    (State::LastAck, "LAST_ACK"),
    (State::Closing, "CLOSING"),
    (State::Unknown(0), "UNKNOWN"),
];

/// Series of one group, at most.
pub(super) const GROUP_SERIES: usize = {
    let mut series = STATES.len() + Count::ALL.len() + 5;
    let mut place = 0;
    while place < Quantity::ALL.len() {
        series += Quantity::ALL[place].series();
        place += 1;
    }
    series
};

/// What is counted of the connections of one group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    key: Key,
    pub(super) labels: Box<str>,
    /// Connections that are known, among them those whose end is awaited.
    members: u32,
    /// When it last had one, in seconds.
    used: u32,
    /// As of the last look.
    states: [u32; STATES.len()],
    /// A bit for each state that there ever was.
    states_seen: u16,
    pub(super) unread_bytes: u64,
    pub(super) queued_bytes: u64,
    pub(super) created: u64,
    pub(super) closed: u64,
    pub(super) failed: u64,
    pub(super) counts: Counts,
    histograms: [Histogram; Quantity::ALL.len()],
}

impl Group {
    fn new(key: Key, labels: String, now: u32) -> Self {
        Self {
            key,
            labels: labels.into(),
            members: 0,
            used: now,
            states: [0; STATES.len()],
            states_seen: 0,
            unread_bytes: 0,
            queued_bytes: 0,
            created: 0,
            closed: 0,
            failed: 0,
            counts: Counts::default(),
            histograms: [Histogram::default(); Quantity::ALL.len()],
        }
    }

    /// Forgets what was there at the last look.
    fn begin(&mut self) {
        self.states = [0; STATES.len()];
        (self.unread_bytes, self.queued_bytes) = (0, 0);
    }

    /// Counts one that is there.
    #[inline]
    pub(super) fn see(&mut self, sight: &Sight) {
        let known = STATES.iter().position(|(state, _)| *state == sight.state);
        let place = known.unwrap_or(STATES.len() - 1);
        self.states[place] += 1;
        self.states_seen |= 1 << place;
        self.unread_bytes += sight.unread_bytes;
        self.queued_bytes += sight.queued_bytes;
    }

    #[inline]
    pub(super) fn observe(&mut self, samples: &[Option<u64>; Quantity::ALL.len()]) {
        for (place, quantity) in Quantity::ALL.into_iter().enumerate() {
            if let Some(value) = samples[place] {
                self.histograms[place].observe(quantity, value);
            }
        }
    }

    pub(super) const fn histogram(&self, quantity: Quantity) -> &Histogram {
        &self.histograms[quantity as usize]
    }

    /// How many are in each state, of those that there ever were.
    pub(super) fn states(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let seen = self.states_seen;
        let named = STATES.iter().zip(self.states).enumerate();
        named
            .filter(move |(place, _)| seen & 1 << place != 0)
            .map(|(_, ((_, name), number))| (*name, number))
    }
}

/// All groups. The first is of those for which there is no other.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    all: Vec<Group>,
    places: HashMap<Key, u32>,
    most: usize,
    /// Groups that gave their place to another.
    pub(super) replaced: u64,
    /// Connections that came to be counted as others.
    pub(super) others: u64,
}

/// A group without connections for so long may give its place to another.
const UNUSED_SECONDS: u32 = 600;

const OTHERS: u32 = 0;

impl Groups {
    pub(super) fn new(grouping: &Grouping, most: usize) -> Self {
        let others = Group::new(Key::default(), grouping.other_labels(), 0);
        Self { all: vec![others], places: HashMap::new(), most, replaced: 0, others: 0 }
    }

    pub(super) fn begin(&mut self) {
        self.all.iter_mut().for_each(Group::begin);
    }

    #[inline]
    pub(super) fn of(&mut self, place: u32) -> &mut Group {
        // Places are those that were given out, and groups never become fewer.
        let place = place as usize;
        let place = if place < self.all.len() { place } else { OTHERS as usize };
        &mut self.all[place]
    }

    /// The place of the group, which is made if there is room.
    pub(super) fn place(&mut self, key: Key, grouping: &Grouping, now: u32) -> u32 {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = match self.all.len() {
            _ if grouping.is_like_others(&key) => None,
            len if len <= self.most => Some(len),
            _ => self.unused(now),
        };
        let Some(place) = place else {
            self.others += 1;
            return OTHERS;
        };
        let group = Group::new(key, grouping.labels(&key), now);
        if let Some(old) = self.all.get_mut(place) {
            self.places.remove(&old.key);
            self.replaced += 1;
            *old = group;
        } else {
            self.all.push(group);
        }
        let place = place as u32;
        self.places.insert(key, place);
        place
    }

    /// The group that was without connections for the longest time, if that is long.
    fn unused(&self, now: u32) -> Option<usize> {
        let groups = self.all.iter().enumerate().skip(1);
        groups
            .filter(|(_, group)| {
                group.members == 0 && now.saturating_sub(group.used) > UNUSED_SECONDS
            })
            .min_by_key(|(_, group)| group.used)
            .map(|(place, _)| place)
    }

    /// Counts a connection among the members.
    #[inline]
    pub(super) fn join(&mut self, place: u32) {
        self.of(place).members += 1;
    }

    #[inline]
    pub(super) fn leave(&mut self, place: u32, now: u32) {
        let group = self.of(place);
        group.members = group.members.saturating_sub(1);
        group.used = now;
    }

    /// Marks the group as used, also by what is no member.
    pub(super) fn touch(&mut self, place: u32, now: u32) -> &mut Group {
        let group = self.of(place);
        group.used = now;
        group
    }

    /// Those that have series: the one of others only if it was ever needed.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Group> {
        let from = usize::from(self.others == 0);
        self.all.iter().skip(from)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouping() -> Grouping {
        Grouping {
            by_process: true,
            by_listener: true,
            by_remote: true,
            ipv4_prefix: 20,
            ipv6_prefix: 33,
            rules: vec![LabelRule { name: "a\"b\\c\nd".to_owned(), filter: "".parse().unwrap() }],
        }
    }

    fn of_port(port: u16) -> Key {
        Key { listener: Some(port), ..Key::default() }
    }

    #[test]
    fn labels_are_escaped_and_networks_cut() {
        let grouping = grouping();
        let network = |ip: &str| grouping.network(ip.parse().unwrap());
        assert_eq!(network("10.1.255.3").to_string(), "10.1.240.0");
        assert_eq!(network("2001:db8:ffff::1").to_string(), "2001:db8:8000::");
        let all = Grouping { ipv4_prefix: 0, ipv6_prefix: 128, ..grouping.clone() };
        assert_eq!(all.network("10.1.2.3".parse().unwrap()).to_string(), "0.0.0.0");
        assert_eq!(all.network("::1".parse().unwrap()).to_string(), "::1");
        let key = Key {
            process: Some(Name::new("a\"b\\c\nd")),
            listener: Some(443),
            network: Some(network("10.1.255.3")),
            rule: Some(0),
        };
        assert_eq!(
            grouping.labels(&key),
            "process=\"a\\\"b\\\\c\\\\nd\",listener=\"443\",remote_network=\"10.1.240.0/20\",\
             label=\"a\\\"b\\\\c\\nd\""
        );
        assert_eq!(
            grouping.labels(&Key::default()),
            "process=\"\",listener=\"\",remote_network=\"\",label=\"\""
        );
    }

    #[test]
    fn names_are_cut_between_characters() {
        for name in ["", "nginx", "日本語", &"\u{fffd}".repeat(15)] {
            assert_eq!(Name::new(name).as_str(), name);
        }
        assert_eq!(Name::new(&"日".repeat(21)).as_str(), "日".repeat(20));
        assert_eq!(Name::new(&format!("{}é", "x".repeat(59))).as_str(), "x".repeat(59));
    }

    #[test]
    fn names_do_not_steer_a_terminal_and_none_is_cut() {
        let label = |name| {
            let mut labels = String::new();
            put_label("process", Name::new(name).as_str(), &mut labels);
            labels
        };
        assert_eq!(label("a\nb\u{202e}c\x1b[7m"), r#"process="a\\nb\\u{202e}c\\x1b[7m""#);
        for longest in ["\x1b".repeat(15), "\u{9b}".repeat(7), "\u{202e}".repeat(5)] {
            assert_eq!(Name::new(&longest).as_str(), escape::line(&longest));
        }
        // Two series of the same labels would make a scrape invalid.
        assert_eq!(Name::new("a\nb"), Name::new("a\\nb"));
    }

    #[test]
    fn no_two_groups_have_the_same_labels() {
        let rule = |name: &str, filter: &str| LabelRule {
            name: name.to_owned(),
            filter: filter.parse().unwrap(),
        };
        let rules = vec![rule("a", "sport = :1"), rule("b", "sport = :2"), rule("a", "sport = :3")];
        let grouping = Grouping { rules, by_listener: false, by_remote: false, ..grouping() };
        let rule_of = |port: u16| {
            let mut socket = [0; 72];
            socket[..2].copy_from_slice(&[2, 1]);
            socket[4..6].copy_from_slice(&port.to_be_bytes());
            grouping.rule(&Entry::from_bytes(&socket).unwrap())
        };
        assert_eq!([1, 2, 3, 4].map(rule_of), [Some(0), Some(1), Some(0), None]);
        let grouping = Grouping { rules: Vec::new(), ..grouping };
        let mut groups = Groups::new(&grouping, 2);
        let named = |name| Key { process: Some(Name::new(name)), ..Key::default() };
        assert_eq!(groups.place(named(OTHER), &grouping, 0), OTHERS);
        assert_eq!((groups.len(), groups.others, groups.shown().count()), (0, 1, 1));
        assert_eq!(groups.place(named("nginx"), &grouping, 0), 1);
    }

    #[test]
    fn groups_are_bounded_and_the_unused_make_room() {
        let grouping = grouping();
        let mut groups = Groups::new(&grouping, 2);
        let first = groups.place(of_port(1), &grouping, 0);
        let second = groups.place(of_port(2), &grouping, 5);
        assert_eq!((first, second), (1, 2));
        groups.join(first);
        assert_eq!(groups.place(of_port(3), &grouping, 5 + UNUSED_SECONDS), OTHERS);
        assert_eq!((groups.len(), groups.others), (2, 1));
        // The first has a member, the second is unused.
        assert_eq!(groups.place(of_port(3), &grouping, 6 + UNUSED_SECONDS), second);
        assert_eq!(groups.place(of_port(2), &grouping, 6 + UNUSED_SECONDS), OTHERS);
        groups.leave(first, 1_000);
        assert_eq!(groups.place(of_port(2), &grouping, 1_001 + UNUSED_SECONDS), second);
        assert_eq!(groups.place(of_port(4), &grouping, 1_001 + UNUSED_SECONDS), first);
        assert_eq!(groups.replaced, 3);
        assert_eq!(groups.shown().count(), 3);
    }

    #[test]
    fn every_series_of_a_group_is_allowed_for() {
        let mut group = Group::new(Key::default(), String::new(), 0);
        group.states_seen = u16::MAX;
        let histograms: usize = Quantity::ALL
            .map(|quantity| group.histogram(quantity).cumulative(quantity).count() + 2)
            .iter()
            .sum();
        assert_eq!(group.states().count() + Count::ALL.len() + 5 + histograms, GROUP_SERIES);
    }
}
