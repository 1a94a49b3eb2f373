//! The language of `ss`, read from the left.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::{
    Filter, Node,
    condition::{Comparison, Condition, Net, Side},
    error::FilterError,
    fact::{Fact, FilterFact, FilterUnit, Wanted},
    names::FilterNames,
    number::{is_too_long, whole},
};
use crate::States;

const MOST_BYTES: usize = 16 * 1024;
const MOST_CONDITIONS: usize = 1024;
const MOST_LEVELS: usize = 64;

pub(super) fn parse(text: &str, names: &dyn FilterNames) -> Result<Filter, FilterError> {
    if text.len() > MOST_BYTES {
        return Err(FilterError::new(text, 0..0, "expected a filter of at most 16 KiB"));
    }
    let mut parser = Parser { text, place: 0, names, families: [false; 2], conditions: 0 };
    let mut node = Node::All(Vec::new());
    if parser.skip_spaces() {
        node = parser.list(0)?.node;
        if parser.skip_spaces() {
            return Err(parser.unexpected("the end, a condition, 'and' or 'or'"));
        }
    }
    // As with `ss`, whose families are of the whole filter.
    Ok(Filter(match parser.families {
        [true, false] => Node::Is(Condition::Family { is_v6: false }).and(node),
        [false, true] => Node::Is(Condition::Family { is_v6: true }).and(node),
        _ => node,
    }))
}

struct Parser<'a> {
    text: &'a str,
    place: usize,
    names: &'a dyn FilterNames,
    /// Whether an address or a port was said to be of IPv4, of IPv6.
    families: [bool; 2],
    conditions: usize,
}

/// A part of the expression, and how many levels of lists lie in it.
struct Part {
    node: Node,
    levels: usize,
}

/// A word without its escapes, and where it stands.
struct Word {
    text: String,
    place: Range<usize>,
}

enum Join {
    And,
    Or,
}

impl<'a> Parser<'a> {
    /// Conditions and what joins them, up to the end or a closing parenthesis.
    fn list(&mut self, outside: usize) -> Result<Part, FilterError> {
        let mut part = self.one(outside)?;
        while let Some(join) = self.join() {
            let other = self.one(outside)?;
            let is_same =
                matches!((&part.node, &join), (Node::All(_), Join::And) | (Node::Any(_), Join::Or));
            let within = part.levels.max(other.levels + 1);
            let levels = if is_same { within } else { within.max(part.levels + 1) };
            if outside + levels > MOST_LEVELS {
                return Err(self.error(self.place..self.place, "expected at most 64 levels"));
            }
            let node = match join {
                Join::And => part.node.and(other.node),
                Join::Or => part.node.or(other.node),
            };
            part = Part { node, levels };
        }
        Ok(part)
    }

    /// What joins the next condition to those before, if there is another.
    fn join(&mut self) -> Option<Join> {
        if !self.skip_spaces() || self.rest().starts_with(')') {
            return None;
        }
        if self.take_symbol(&["&&", "&"]) || self.take_keyword(&["and"]) {
            return Some(Join::And);
        }
        if self.take_symbol(&["||", "|"]) || self.take_keyword(&["or"]) {
            return Some(Join::Or);
        }
        Some(Join::And)
    }

    fn one(&mut self, outside: usize) -> Result<Part, FilterError> {
        self.skip_spaces();
        if outside > MOST_LEVELS {
            return Err(self.error(self.place..self.place, "expected at most 64 levels"));
        }
        if self.take_symbol(&["!"]) || self.take_keyword(&["not"]) {
            let part = self.one(outside + 1)?;
            return Ok(Part { node: part.node.not(), levels: part.levels + 1 });
        }
        let begin = self.place;
        if self.take_symbol(&["("]) {
            let part = self.list(outside + 1)?;
            self.skip_spaces();
            if !self.take_symbol(&[")"]) {
                let message = "expected ')' for this parenthesis";
                return Err(self.error(begin..begin + 1, message));
            }
            return Ok(part);
        }
        self.conditions += 1;
        if self.conditions > MOST_CONDITIONS {
            return Err(self.error(begin..begin, "expected at most 1024 conditions"));
        }
        let node = self.condition()?;
        Ok(Part { node, levels: 1 })
    }

    fn condition(&mut self) -> Result<Node, FilterError> {
        let begin = self.place;
        let keyword = self.keyword();
        self.place += keyword.len();
        let place = begin..self.place;
        match keyword {
            "src" => self.address(Side::Local),
            "dst" => self.address(Side::Remote),
            "sport" => self.port(Side::Local),
            "dport" => self.port(Side::Remote),
            "dev" => self.interface(),
            "fwmark" => self.mark(),
            "cgroup" => self.cgroup(),
            "autobound" => Ok(Node::Is(Condition::Autobound)),
            "family" => self.family(),
            "state" | "exclude" | "excl" => {
                self.place = begin;
                self.states()
            }
            "" => Err(self.unexpected("a condition, such as 'dport = :443' or 'rtt > 100ms'")),
            name => match Fact::named(name) {
                Some(fact) => self.fact(fact),
                None => Err(self.error(place, unknown(name))),
            },
        }
    }

    /// Several in a row make one set, as with `ss`.
    fn states(&mut self) -> Result<Node, FilterError> {
        let mut states = None;
        loop {
            let end = self.place;
            self.skip_spaces();
            let is_added = self.take_keyword(&["state"]);
            if !is_added && !self.take_keyword(&["exclude", "excl"]) {
                // What follows is joined to the set.
                self.place = end;
                break;
            }
            let expected = "expected the name of a state, such as established, or all, connected, \
                            synchronized, bucket, big";
            let word = self.word(expected)?;
            let found = match word.text.as_str() {
                "syn-rcv" => Some(States::of(tcpinfo::State::SynRecv)),
                name => States::named(name),
            };
            let Some(named) = found else { return Err(self.error(word.place, expected)) };
            states = Some(match (states, is_added) {
                (None, true) => named,
                (None, false) => States::ALL.without(named),
                (Some(states), true) => named.with(states),
                (Some(states), false) => states.without(named),
            });
        }
        Ok(Node::Is(Condition::States(states.unwrap_or(States::ALL))))
    }

    fn address(&mut self, side: Side) -> Result<Node, FilterError> {
        let is_equal = self.equality()?;
        let expected = "expected an address, such as 10.0.0.7, 10.0.0.0/8:443, [::1]:443 or *";
        let word = self.word(expected)?;
        let text = self.without_family(&word)?;
        let (text, interface) = self.without_interface(text, &word.place)?;
        let text = &*text;
        let error = |parser: &Self, message: &str| Err(parser.error(word.place.clone(), message));
        let mut net = None;
        let port;
        if let Some(inner) = text.strip_prefix('[') {
            let Some((address, rest)) = inner.split_once(']') else {
                return error(self, "expected ']' after an address");
            };
            // `ss` wants the prefix within, others behind.
            let (prefix, behind) = match rest.strip_prefix('/') {
                Some(rest) => rest.split_once(':').unwrap_or((rest, "")),
                None => ("", rest.strip_prefix(':').unwrap_or(rest)),
            };
            let whole = match prefix {
                "" => address.to_owned(),
                prefix => format!("{address}/{prefix}"),
            };
            port = behind;
            if !is_any_address(&whole) {
                match network(&whole) {
                    Some(found) => net = Some(found),
                    None => return error(self, expected),
                }
            }
        } else if let Some(rest) = text.strip_prefix('*') {
            port = rest.strip_prefix(':').unwrap_or(rest);
        } else {
            let slash = text.find('/').unwrap_or(0);
            let colon = text.get(slash..).and_then(|rest| rest.rfind(':')).map(|at| slash + at);
            let cut = colon.and_then(|colon| text.split_at_checked(colon));
            let (address, behind) = cut.map_or((text, ""), |(address, behind)| {
                (address, behind.strip_prefix(':').unwrap_or(behind))
            });
            let found =
                if is_any_address(address) { Some(None) } else { network(address).map(Some) };
            let is_whole_v6 = text.parse::<Ipv6Addr>().is_ok();
            match found {
                Some(Some(Net::V6 { .. })) if is_whole_v6 => {
                    return error(
                        self,
                        "expected an IPv6 address in brackets, such as [::1] or [::1]:443",
                    );
                }
                Some(found) => (net, port) = (found, behind),
                None if is_whole_v6 => (net, port) = (network(text), ""),
                None => {
                    let is_name = address.bytes().any(|byte| byte.is_ascii_alphabetic());
                    let message =
                        "expected an address, not a name: names of hosts are not looked up";
                    let is_v6_like = text.contains("::");
                    return error(self, if is_name && !is_v6_like { message } else { expected });
                }
            }
        }
        self.fits_family(&word, net)?;
        let mut node = match net {
            Some(net) => Node::Is(Condition::Address(side, net)),
            None => Node::All(Vec::new()),
        };
        if let Some(port) = self.port_number(port, &word.place)? {
            node = node.and(Node::Is(Condition::Port(side, Comparison::Equal, port)));
        }
        if let Some(index) = interface {
            node = node.and(Node::Is(Condition::Interface(index)));
        }
        Ok(if is_equal { node } else { node.not() })
    }

    /// Takes the family off, and keeps it in mind.
    fn without_family<'w>(&mut self, word: &'w Word) -> Result<&'w str, FilterError> {
        for (family, name) in self.families.iter_mut().zip(["inet:", "inet6:"]) {
            if let Some(rest) = word.text.strip_prefix(name) {
                *family = true;
                return Ok(rest);
            }
        }
        let others = ["unix:", "link:", "netlink:", "vsock:"];
        if others.iter().any(|other| word.text.starts_with(other)) {
            let expected = "expected inet: or inet6:, for these are TCP sockets";
            return Err(self.error(word.place.clone(), expected));
        }
        Ok(&word.text)
    }

    /// Takes the interface out, which sockets that are bound to one have behind a `%`: behind the address
    /// as `ss` prints it, or within the brackets (RFC 4007).
    fn without_interface<'w>(
        &self,
        text: &'w str,
        place: &Range<usize>,
    ) -> Result<(Cow<'w, str>, Option<u32>), FilterError> {
        let Some((before, rest)) = text.split_once('%') else {
            return Ok((Cow::Borrowed(text), None));
        };
        let end = rest.find([']', '/', ':']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match self.interface_named(name) {
            Some(index) => Ok((Cow::Owned(format!("{before}{behind}")), Some(index))),
            None => Err(self.error(place.clone(), NO_INTERFACE)),
        }
    }

    /// By its name, by its index, or as `ss` writes an index whose name is not known.
    fn interface_named(&self, name: &str) -> Option<u32> {
        let number = |text| u32::try_from(whole(text)?).ok();
        let known = self.names.interface(name).or_else(|| number(name));
        known.or_else(|| number(name.strip_prefix("if")?))
    }

    fn fits_family(&self, word: &Word, net: Option<Net>) -> Result<(), FilterError> {
        let is_v6 = word.text.starts_with("inet6:");
        match net {
            Some(Net::V4 { .. }) if is_v6 => {
                Err(self.error(word.place.clone(), "expected an IPv6 address after inet6:"))
            }
            Some(Net::V6 { .. }) if word.text.starts_with("inet:") => {
                Err(self.error(word.place.clone(), "expected an IPv4 address after inet:"))
            }
            _ => Ok(()),
        }
    }

    fn port(&mut self, side: Side) -> Result<Node, FilterError> {
        let comparison = self.comparison();
        let word = self.word("expected a port or the name of a service, such as :443 or :https")?;
        let text = self.without_family(&word)?;
        let text = text.strip_prefix(':').unwrap_or(text);
        match (self.port_number(text, &word.place)?, comparison) {
            (Some(port), _) => Ok(Node::Is(Condition::Port(side, comparison, port))),
            (None, Comparison::Equal) => Ok(Node::All(Vec::new())),
            (None, Comparison::Unequal) => Ok(Node::Any(Vec::new())),
            (None, _) => Err(self.error(word.place, "expected a port to compare with")),
        }
    }

    /// `None` if any will do.
    fn port_number(&self, text: &str, place: &Range<usize>) -> Result<Option<u16>, FilterError> {
        if matches!(text, "" | "*") {
            return Ok(None);
        }
        if let Some(number) = whole(text) {
            let expected = "expected a port, which is 65535 at most";
            return u16::try_from(number)
                .map(Some)
                .map_err(|_| self.error(place.clone(), expected));
        }
        match self.names.service(text) {
            Some(port) => Ok(Some(port)),
            None => Err(self.error(
                place.clone(),
                "expected a port or the name of a TCP service in /etc/services, such as 443 or https",
            )),
        }
    }

    fn interface(&mut self) -> Result<Node, FilterError> {
        let is_equal = self.equality()?;
        let word = self.word("expected a network interface, such as eth0 or 2")?;
        let Some(index) = self.interface_named(&word.text) else {
            return Err(self.error(word.place, NO_INTERFACE));
        };
        Ok(turned(Condition::Interface(index), is_equal))
    }

    fn mark(&mut self) -> Result<Node, FilterError> {
        let is_equal = self.equality()?;
        let expected = "expected a mark, such as 5 or 0x1/0x3";
        let word = self.word(expected)?;
        let (mark, mask) = word.text.split_once('/').unwrap_or((&word.text, "0xffffffff"));
        let number = |text| u32::try_from(whole(text)?).ok();
        match (number(mark), number(mask)) {
            (Some(mark), Some(mask)) => Ok(turned(Condition::Mark { mark, mask }, is_equal)),
            _ => Err(self.error(word.place, expected)),
        }
    }

    fn cgroup(&mut self) -> Result<Node, FilterError> {
        let is_equal = self.equality()?;
        let word = self.word("expected the path of a cgroup, such as /system.slice")?;
        let Some(id) = self.names.cgroup(&word.text) else {
            let why = match self.names.without_cgroups() {
                Some(why) => format!("no cgroup is found by its path, for {why}"),
                None => "expected the path of a cgroup (version 2) that is here".to_owned(),
            };
            let advice = "'cgroup_id = NUMBER' takes the inode of its directory";
            return Err(self.error(word.place, format!("{why}; {advice}")));
        };
        Ok(turned(Condition::Cgroup(id), is_equal))
    }

    fn family(&mut self) -> Result<Node, FilterError> {
        let is_equal = self.equality()?;
        let expected = "expected inet or inet6";
        let word = self.word(expected)?;
        let is_v6 = match word.text.as_str() {
            "inet" => false,
            "inet6" => true,
            _ => return Err(self.error(word.place, expected)),
        };
        Ok(turned(Condition::Family { is_v6 }, is_equal))
    }

    fn fact(&mut self, fact: Fact) -> Result<Node, FilterError> {
        self.skip_spaces();
        let begin = self.place;
        let comparison = self.comparison();
        let place = begin..self.place;
        let expected = fact.0.unit.expected();
        let word = self.word(&format!("expected {expected}"))?;
        let misfit = |parser: &Self| {
            let expected =
                if is_too_long(&word.text) { "a number of at most 64 bits" } else { expected };
            Err(parser.error(word.place.clone(), format!("expected {expected}")))
        };
        if fact.0.name == "cgroup_id" && comparison.is_of_equality() {
            let Some(id) = whole(&word.text) else { return misfit(self) };
            return Ok(turned(Condition::Cgroup(id), comparison == Comparison::Equal));
        }
        let wanted = match fact.0.unit {
            FilterUnit::Text if !comparison.is_of_equality() => {
                return Err(self.error(place, "expected = or !=, for this is a name"));
            }
            FilterUnit::Text => Wanted::Text(word.text.into()),
            // As `ss` shows it.
            FilterUnit::Number if fact.0.name == "cookie" && word.text.starts_with("sk:") => {
                match whole(&word.text.replacen("sk:", "0x", 1)) {
                    Some(number) => Wanted::Number(number),
                    None => return misfit(self),
                }
            }
            unit => match unit.parse(&word.text) {
                Some(number) => Wanted::Number(number),
                None => return misfit(self),
            },
        };
        Ok(Node::Is(Condition::Fact(fact, comparison, wanted)))
    }

    /// How to compare; to be equal, if it is left out.
    fn comparison(&mut self) -> Comparison {
        const SYMBOLS: [(&[&str], &[&str], Comparison); 6] = [
            (&["!="], &["ne", "neq"], Comparison::Unequal),
            (&[">="], &["ge", "geq"], Comparison::GreaterOrEqual),
            (&["<="], &["le", "leq"], Comparison::LessOrEqual),
            (&["==", "="], &["eq"], Comparison::Equal),
            (&[">"], &["gt"], Comparison::Greater),
            (&["<"], &["lt"], Comparison::Less),
        ];
        self.skip_spaces();
        for (symbols, words, comparison) in SYMBOLS {
            // A word might as well be what is compared with, or begin it.
            let rest = self.rest().get(self.keyword().len()..).unwrap_or_default();
            let is_apart = rest.starts_with(char::is_whitespace);
            if self.take_symbol(symbols) || is_apart && self.take_keyword(words) {
                return comparison;
            }
        }
        Comparison::Equal
    }

    /// Where nothing is more or less than another.
    fn equality(&mut self) -> Result<bool, FilterError> {
        self.skip_spaces();
        let begin = self.place;
        match self.comparison() {
            Comparison::Equal => Ok(true),
            Comparison::Unequal => Ok(false),
            _ => Err(self.error(begin..self.place, "expected = or !=")),
        }
    }

    /// What is compared with: up to a space, a parenthesis or a sign that joins. A backslash takes the
    /// next character as it is.
    fn word(&mut self, expected: &str) -> Result<Word, FilterError> {
        self.skip_spaces();
        let begin = self.place;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let mut len = self.rest().len();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => {
                        let last = begin + at..self.text.len();
                        return Err(self.error(last, "expected a character behind the backslash"));
                    }
                },
                '(' | ')' | '&' | '|' => {
                    len = at;
                    break;
                }
                space if space.is_whitespace() => {
                    len = at;
                    break;
                }
                other => text.push(other),
            }
        }
        self.place += len;
        if len == 0 {
            let found = self.rest().chars().next().map_or(0, char::len_utf8);
            return Err(self.error(begin..begin + found, expected));
        }
        Ok(Word { text, place: begin..begin + len })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or_default()
    }

    /// Whether there is anything behind.
    fn skip_spaces(&mut self) -> bool {
        let rest = self.rest().trim_start();
        self.place = self.text.len() - rest.len();
        !rest.is_empty()
    }

    /// The letters at this place, as keywords have them.
    fn keyword(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    fn take_keyword(&mut self, wanted: &[&str]) -> bool {
        let keyword = self.keyword();
        let is_wanted = wanted.contains(&keyword);
        if is_wanted {
            self.place += keyword.len();
        }
        is_wanted
    }

    fn take_symbol(&mut self, wanted: &[&str]) -> bool {
        let found = wanted.iter().find(|symbol| self.rest().starts_with(**symbol));
        self.place += found.map_or(0, |symbol| symbol.len());
        found.is_some()
    }

    fn unexpected(&self, expected: &str) -> FilterError {
        let len = self.rest().find(char::is_whitespace).unwrap_or(self.rest().len());
        self.error(self.place..self.place + len, format!("expected {expected}"))
    }

    fn error(&self, place: Range<usize>, expected: impl Into<String>) -> FilterError {
        FilterError::new(self.text, place, expected)
    }
}

const NO_INTERFACE: &str = "expected a network interface that is here, or its index";

fn turned(condition: Condition, is_equal: bool) -> Node {
    let node = Node::Is(condition);
    if is_equal { node } else { node.not() }
}

/// `ss` knows these words from `ip`.
fn is_any_address(text: &str) -> bool {
    matches!(text, "" | "*" | "any" | "all" | "default")
}

/// An address with or without the length of its prefix, or the mask that stands for it. Numbers that
/// an IPv4 address lacks at its end are zero.
fn network(text: &str) -> Option<Net> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let (address, most) = match address.parse::<Ipv6Addr>() {
        Ok(address) => (IpAddr::V6(address), 128),
        Err(_) => (IpAddr::V4(short_ipv4(address)?), 32),
    };
    let prefix = match prefix {
        None => most,
        Some(mask) if mask.contains('.') && most == 32 => {
            let mask = u32::from(short_ipv4(mask)?);
            let ones = mask.leading_ones();
            if ones + mask.trailing_zeros() != 32 && mask != 0 {
                return None;
            }
            u64::from(ones)
        }
        Some(prefix) => whole(prefix).filter(|prefix| *prefix <= most)?,
    };
    Some(Net::new(address, u8::try_from(prefix).ok()?))
}

fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut slots = octets.iter_mut();
    for part in text.split('.') {
        *slots.next()? = u8::try_from(whole(part)?).ok()?;
    }
    Some(Ipv4Addr::from(octets))
}

/// What to say of a word that is no condition.
fn unknown(name: &str) -> String {
    let known = [
        "src",
        "dst",
        "sport",
        "dport",
        "dev",
        "fwmark",
        "cgroup",
        "autobound",
        "family",
        "state",
        "exclude",
    ];
    let names = known
        .into_iter()
        .chain(FilterFact::all().flat_map(|fact| fact.also.iter().copied().chain([fact.name])));
    let nearest = names.map(|known| (distance(name, known), known)).min();
    match nearest {
        // Of three letters, two that are wrong are another word.
        Some((wrong, known)) if wrong <= 2 && 3 * wrong <= name.len() => {
            format!("expected a condition; did you mean '{known}'?")
        }
        _ => "expected a condition, such as 'dport = :443' or 'rtt > 100ms'".to_owned(),
    }
}

/// How many letters are to be put in, left out, changed, or swapped with the next.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in other.iter().enumerate() {
            let at =
                |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&above, column) + usize::from(left != right))
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            let is_swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(right)
                && other.get(column - 1) == Some(left);
            if is_swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or(usize::MAX)
}
