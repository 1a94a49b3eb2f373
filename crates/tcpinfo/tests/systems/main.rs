//! The decoders of every system beside Linux's `tcp_info`, on any host: where each field lies, when it
//! is there, what its number means, and which portable fact it feeds.
//!
//! The tables here are literal and share nothing with those of the crate.

mod any_bytes;
mod apple;
mod apple_socket;
mod freebsd;
mod mptcp;
mod netbsd;
mod normalisation;
mod openbsd;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use tcpinfo::{
    CongestionName, Reading, State, System, TcpInfo,
    fields::{Field, Unit, Value},
    native::{ByteOrder, Native},
};

const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

/// Kernel name, offset, bytes of its word, bits before it and own bits where it does not fill the
/// word, unit, and the returned length from which on it is there.
type Row = (&'static str, usize, usize, Option<(u32, u32)>, Unit, usize);

fn assert_layout(
    schema: impl Iterator<Item = &'static Field>,
    system: System,
    structure: &str,
    layout: &[Row],
) {
    let fields: Vec<_> = schema.collect();
    for (field, row) in fields.iter().zip(layout) {
        let bits = field.bits.map(|bits| (bits.shift, bits.len));
        let ours = (field.name, field.offset, field.width, bits, field.unit, field.min_len);
        assert_eq!(ours, *row);
        assert_eq!((field.system, field.structure), (system, structure), "{}", field.name);
    }
    assert_eq!(fields.len(), layout.len(), "{structure}");
    let names: BTreeSet<_> = fields.iter().map(|field| field.name).collect();
    let keys: BTreeSet<_> = fields.iter().map(|field| field.key).collect();
    let accessors: BTreeSet<_> = fields.iter().map(|field| field.accessor).collect();
    for distinct in [names, keys, accessors] {
        assert_eq!(distinct.len(), fields.len(), "a name of {structure} appears twice");
    }
}

/// Whatever length is returned, a field is absent until its last byte is there and holds the same
/// value from then on; `needs` names the fields that take more bytes than their own to be understood.
fn assert_presence<F>(layout: &[Row], needs: &[(&str, usize)], whole: &[u8], read: F)
where
    F: Fn(&[u8]) -> Vec<(&'static str, Reading<Value>)>,
{
    let complete: BTreeMap<_, _> = read(whole).into_iter().collect();
    let longer = [whole, &[0xa5; 600]].concat();
    for len in 0..=longer.len() {
        let readings = read(&longer[..len]);
        assert_eq!(readings.len(), layout.len());
        for ((name, reading), row) in readings.into_iter().zip(layout) {
            let own = row.5;
            let needed = needs.iter().find(|(field, _)| *field == name).map_or(own, |need| need.1);
            assert_eq!(reading.is_absent(), len < own, "{name} of {len} bytes");
            if len < needed {
                assert_eq!(reading.value(), None, "{name} of {len} bytes");
            } else {
                assert!(matches!(reading, Reading::Value(_)), "{name} of {len} bytes");
                assert_eq!(reading, complete[name], "{name} of {len} bytes");
            }
        }
    }
}

/// Writes a number into a word of the given width.
fn put(bytes: &mut [u8], order: ByteOrder, offset: usize, width: usize, number: u64) {
    let mut word = number.to_le_bytes()[..width].to_vec();
    if order == ByteOrder::Big {
        word.reverse();
    }
    bytes[offset..offset + width].copy_from_slice(&word);
}

/// Bytes whose 32-bit words hold 1000 + their offset.
fn words(len: usize, order: ByteOrder) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for offset in (0..len).step_by(4) {
        put(&mut bytes, order, offset, 4, 1000 + offset as u64);
    }
    bytes
}

fn view(native: Native) -> TcpInfo {
    TcpInfo::from_native(native, None)
}

fn view_of(system: System, bytes: &[u8], order: ByteOrder) -> TcpInfo {
    view(Native::from_bytes_in(system, bytes, order))
}

/// The portable facts that have a value, as text under their keys.
fn facts(info: &TcpInfo) -> BTreeMap<&'static str, String> {
    info.facts().filter_map(|(key, value)| Some((key, value?.to_string()))).collect()
}

fn assert_facts(info: &TcpInfo, expected: &[(&'static str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(key, value)| (*key, value.to_string())).collect();
    assert_eq!(facts(info), expected);
}

/// The fields that hold a value.
fn values(info: &Native) -> BTreeSet<&'static str> {
    info.fields()
        .filter(|(_, reading)| matches!(reading, Reading::Value(_)))
        .map(|(field, _)| field.name)
        .collect()
}

/// The numbers of the BSDs and of macOS, in their order.
const BSD_STATES: [State; 11] = [
    State::Close,
    State::Listen,
    State::SynSent,
    State::SynRecv,
    State::Established,
    State::CloseWait,
    State::FinWait1,
    State::Closing,
    State::LastAck,
    State::FinWait2,
    State::TimeWait,
];

/// The states behind the numbers 0 to 10, and none behind any other.
fn assert_states(system: System, expected: &[State; 11]) {
    let structure = |code: u8| {
        let mut bytes = [0; 152];
        bytes[0] = code;
        view_of(system, &bytes, ByteOrder::Little).state()
    };
    for (code, state) in (0..).zip(expected) {
        assert_eq!(structure(code), Some(*state), "{system} {code}");
    }
    for code in 11..=u8::MAX {
        assert_eq!(structure(code), Some(State::Unknown(code)), "{system} {code}");
    }
}

fn named(name: &str) -> Option<CongestionName> {
    Some(CongestionName::from_bytes(name.as_bytes()))
}

/// Compares accessors, and what the field of the same kernel name says.
macro_rules! assert_readings {
    ($info:expr, { $($accessor:ident $(= $name:literal)?: $expected:expr,)* }) => {{
        let info = &$info;
        let mut count = 0;
        $(
            let expected = $expected;
            assert_eq!(info.$accessor(), expected, stringify!($accessor));
            let dynamic = info.fields().find(|(field, _)| field.accessor == stringify!($accessor));
            let (field, reading) = dynamic.expect(stringify!($accessor));
            assert_eq!(info.field(field.name), Some(reading));
            $(assert_eq!(field.name, $name);)?
            assert_eq!(
                reading.map(|value| value.to_string()),
                expected.map(|value| $crate::text(&value)),
                stringify!($accessor)
            );
            count += 1;
        )*
        assert_eq!(count, info.fields().count(), "a field has no line");
    }};
}
pub(crate) use assert_readings;

/// The text of a value as [`Value`] writes it: times as Rust's debug text, the rest as its own.
fn text<T: std::fmt::Debug + 'static>(value: &T) -> String {
    let value: &dyn std::any::Any = value;
    macro_rules! display {
        ($($ty:ty),*) => {$(
            if let Some(value) = value.downcast_ref::<$ty>() {
                return value.to_string();
            }
        )*};
    }
    display!(bool, u8, u16, u32, u64, State, tcpinfo::Options);
    match value.downcast_ref::<std::time::Duration>() {
        Some(time) => format!("{time:?}"),
        None => panic!("a type without a line here"),
    }
}
