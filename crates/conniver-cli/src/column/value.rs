//! What a column holds of one socket.

use std::{cmp::Ordering, io::Write as _, net::IpAddr, time::Duration};

use sockdiag::{End, Entry, Timer};
use tcpinfo::{CongestionName, Reading, State, fields};

use super::Unit;
use crate::{
    cgroup,
    process::Holders,
    text::{Put, PutText as _},
};

/// What a column holds of one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// The kernel does not say, or there is nothing to say.
    Absent,
    Number(u64),
    Time(Duration),
    /// A share of a whole, 0 to 1, or a factor.
    Float(f64),
    /// A number that identifies something.
    Hex(u64),
    Flag(bool),
    /// From elsewhere, so that it may hold anything.
    Text(&'a str),
    /// Ours.
    Word(&'static str),
    State(State),
    Congestion(CongestionName),
    /// What has a name in the kernel's structure.
    Named(fields::Value),
    End(End<'a>),
    Ip(IpAddr),
    /// Of a path that is known.
    Cgroup(u64),
    Timer(Timer),
    /// One that has keys of signatures.
    Signed(Entry<'a>),
    Holders(Holders<'a>),
    /// Of the first of these.
    Descriptors(Holders<'a>),
}

impl Value<'_> {
    /// For a person who compares many.
    #[inline]
    pub(crate) fn put_short(&self, out: &mut Vec<u8>, unit: Unit) {
        if !self.put_if_short(out, unit) {
            self.put_exact(out);
        }
    }

    /// The same of what is a few characters, or nothing.
    #[inline]
    pub(crate) fn put_if_short(&self, out: &mut impl Put, unit: Unit) -> bool {
        match *self {
            Self::Absent => out.put("-"),
            Self::Number(number) => match unit {
                Unit::Bytes => out.put_size(number),
                Unit::BytesPerSecond => {
                    out.put_size(number);
                    out.put(if number < 10_000 { "B/s" } else { "/s" });
                }
                _ => out.put_number(number),
            },
            Self::Time(time) => out.put_time(time),
            Self::Float(share) if unit == Unit::Share => {
                out.put_decimal((share * 1e4).round() as u64, 2);
                out.put("%");
            }
            _ => return false,
        }
        true
    }

    /// With all its digits.
    #[inline]
    pub(crate) fn put_exact(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => out.push(b'-'),
            Self::Number(number) => out.put_number(*number),
            Self::Time(time) => out.put_exact_time(*time),
            Self::Float(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Hex(number) => out.put_hex(*number),
            Self::Flag(flag) => out.put(if *flag { "yes" } else { "no" }),
            Self::Text(text) => out.put_escaped(text),
            Self::Word(word) => out.put(word),
            Self::State(state) => match state {
                State::Unknown(_) => {
                    let _ = write!(out, "{state}");
                }
                known => out.put(known.name()),
            },
            Self::Congestion(name) => out.put_escaped(name.as_str()),
            Self::Named(value) => match value {
                fields::Value::Bool(flag) => out.put(if *flag { "yes" } else { "no" }),
                fields::Value::Options(options) => {
                    let mut is_first = true;
                    for option in options.iter() {
                        if !std::mem::take(&mut is_first) {
                            out.push(b'+');
                        }
                        out.put(option.name());
                    }
                    if is_first {
                        out.put("none");
                    }
                }
                other => {
                    let _ = write!(out, "{other}");
                }
            },
            Self::End(end) => out.put_end(end),
            Self::Ip(address) => out.put_ip(address),
            Self::Timer(timer) => {
                let start = out.len();
                let _ = write!(out, "{}", timer.kind);
                for byte in out.iter_mut().skip(start).filter(|byte| **byte == b' ') {
                    *byte = b'-';
                }
                out.push(b',');
                out.put_exact_time(timer.expires);
                out.push(b',');
                out.put_number(u64::from(timer.count));
            }
            Self::Cgroup(id) => {
                let put = |path: &str| out.put_escaped(path);
                if cgroup::with_path(*id, put).is_none() {
                    out.push(b'-');
                }
            }
            Self::Signed(entry) => {
                for (place, key) in entry.md5_keys().enumerate() {
                    out.put(if place > 0 { "," } else { "" });
                    out.put_ip(&key.addr);
                    out.push(b'/');
                    out.put_number(u64::from(key.prefix_len));
                }
            }
            Self::Holders(holders) => holders.put(out),
            Self::Descriptors(holders) => holders.put_descriptors(out),
        }
    }

    /// For a program: numbers without unit, times as whole nanoseconds, nothing where nothing is
    /// known.
    pub(crate) fn put_field(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => {}
            Self::Time(time) => {
                out.put_number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
            Self::Flag(flag) => out.put(if *flag { "true" } else { "false" }),
            Self::Named(fields::Value::Bool(flag)) => out.put(if *flag { "true" } else { "false" }),
            Self::Number(_) | Self::Float(_) | Self::Hex(_) | Self::Ip(_) => {
                self.put_exact(out);
            }
            // Only the name of an interface may hold anything.
            Self::End(end) if end.interface().is_none() => out.put_end(end),
            _ => {
                let start = out.len();
                self.put_exact(out);
                quote(out, start);
            }
        }
    }

    /// What orders sockets by this value.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Absent => Key::Absent,
            Self::Number(number) | Self::Hex(number) => Key::Number(*number),
            Self::Time(time) => Key::Number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            // Of numbers that are not negative the bits are in the same order.
            Self::Float(number) => Key::Number(number.max(0.0).to_bits()),
            Self::Flag(flag) => Key::Number(u64::from(*flag)),
            Self::Timer(timer) => {
                Key::Number(u64::try_from(timer.expires.as_nanos()).unwrap_or(u64::MAX))
            }
            Self::End(end) => Key::Address(end.addr().ip(), end.addr().port()),
            Self::Ip(address) => Key::Address(*address, 0),
            Self::Named(fields::Value::Unsigned(number)) => Key::Number(*number),
            _ => {
                let mut text = Vec::new();
                self.put_exact(&mut text);
                Key::Text(text.into_boxed_slice())
            }
        }
    }
}

/// Puts what was written since `start` between quotes, if a reader of comma-separated values needs it
/// (RFC 4180).
fn quote(out: &mut Vec<u8>, start: usize) {
    let needs = |byte: &u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
    if !out.iter().skip(start).any(needs) {
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// What orders sockets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Number(u64),
    Address(IpAddr, u16),
    Text(Box<[u8]>),
    Absent,
}

impl Key {
    /// Listeners first, then by address and port, for those who did not ask for an order.
    pub(crate) fn of_ends(entry: &Entry<'_>) -> Self {
        let mut bytes = Vec::with_capacity(40);
        bytes.push(u8::from(entry.state() != State::Listen));
        for address in [entry.local_addr(), entry.remote_addr()] {
            match address.ip() {
                IpAddr::V4(four) => bytes.extend_from_slice(&four.octets()),
                IpAddr::V6(six) => {
                    // No IPv4 address begins with such a byte.
                    bytes.push(u8::MAX);
                    bytes.extend_from_slice(&six.octets());
                }
            }
            bytes.extend_from_slice(&address.port().to_be_bytes());
        }
        Self::Text(bytes.into_boxed_slice())
    }

    /// Where nothing is known comes last, whichever way.
    pub(crate) fn compare(&self, other: &Self, is_descending: bool) -> Ordering {
        match (self, other) {
            (Self::Absent, Self::Absent) => Ordering::Equal,
            (Self::Absent, _) => Ordering::Greater,
            (_, Self::Absent) => Ordering::Less,
            (left, right) if is_descending => right.cmp(left),
            (left, right) => left.cmp(right),
        }
    }
}

/// The value of a field of the kernel's structure.
#[inline]
pub(crate) fn of_reading<T: Fact>(reading: Reading<T>) -> Value<'static> {
    match reading {
        Reading::Value(value) => value.value(),
        Reading::Absent | Reading::Unset => Value::Absent,
    }
}

/// What a field of the kernel's structure holds.
pub(crate) trait Fact {
    fn value(self) -> Value<'static>;
}

macro_rules! facts {
    ($($ty:ty, $value:ident => $made:expr;)*) => {$(
        impl Fact for $ty {
            #[inline]
            fn value(self) -> Value<'static> {
                let $value = self;
                $made
            }
        }
    )*};
}

facts! {
    u8, number => Value::Number(u64::from(number));
    u16, number => Value::Number(u64::from(number));
    u32, number => Value::Number(u64::from(number));
    u64, number => Value::Number(number);
    bool, flag => Value::Flag(flag);
    Duration, time => Value::Time(time);
    State, state => Value::State(state);
    tcpinfo::CaState, state => Value::Named(fields::Value::CaState(state));
    tcpinfo::Options, options => Value::Named(fields::Value::Options(options));
    tcpinfo::FastOpenFailure, why => Value::Named(fields::Value::FastOpenFailure(why));
    tcpinfo::EcnMode, mode => Value::Named(fields::Value::EcnMode(mode));
    tcpinfo::AccEcnOption, seen => Value::Named(fields::Value::AccEcnOption(seen));
}

impl<T: Fact> From<Option<T>> for Value<'static> {
    #[inline]
    fn from(fact: Option<T>) -> Self {
        fact.map_or(Value::Absent, Fact::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_comes_last_both_ways() {
        let (one, two) = (Key::Number(1), Key::Number(2));
        assert_eq!(one.compare(&two, false), Ordering::Less);
        assert_eq!(one.compare(&two, true), Ordering::Greater);
        for is_descending in [false, true] {
            assert_eq!(Key::Absent.compare(&one, is_descending), Ordering::Greater);
            assert_eq!(one.compare(&Key::Absent, is_descending), Ordering::Less);
        }
    }

    #[test]
    fn absent_is_not_zero() {
        let shown = |value: Value<'_>, unit| {
            let (mut short, mut field) = (Vec::new(), Vec::new());
            value.put_short(&mut short, unit);
            value.put_field(&mut field);
            (String::from_utf8(short).unwrap(), String::from_utf8(field).unwrap())
        };
        assert_eq!(shown(Value::Absent, Unit::Bytes), ("-".into(), String::new()));
        assert_eq!(shown(Value::Number(0), Unit::Bytes), ("0".into(), "0".into()));
        assert_eq!(
            shown(Value::Time(Duration::from_micros(24)), Unit::Time),
            ("24µs".into(), "24000".into())
        );
        assert_eq!(shown(Value::Float(0.125), Unit::Share), ("12.50%".into(), "0.125".into()));
        assert_eq!(
            shown(Value::Text("a,\"b\"\n"), Unit::Text),
            ("a,\"b\"\\n".into(), "\"a,\"\"b\"\"\\n\"".into())
        );
    }
}
