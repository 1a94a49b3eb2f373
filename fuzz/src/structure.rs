//! One kernel's structure: every field for any bytes, any length, both byte orders.

use std::fmt::Debug;

use serde_json::{Map, Value as Json, json};
use tcpinfo::{
    CaState, Options, Reading, State, System, TcpOption,
    fields::{Field, Type, Unit, Value},
    native::{
        ByteOrder, apple::AppleTcpInfo, apple_socket::AppleSocketInfo, freebsd::FreeBsdTcpInfo,
        linux::LinuxTcpInfo, mptcp::MptcpInfo, netbsd::NetBsdTcpInfo, openbsd::OpenBsdTcpInfo,
        windows::WindowsTcpInfo,
    },
};

use crate::{input::Input, json, word};

type Fields = Vec<(&'static Field, Reading<Value>)>;

/// What all structures offer alike, though each by methods of its own.
pub trait Structure: Copy + PartialEq + Debug {
    const CAPACITY: usize;
    const KNOWN_LEN: usize;

    fn read(bytes: &[u8], order: ByteOrder, kernel_major: u8) -> Self;
    fn as_bytes(&self) -> &[u8];
    fn returned_len(&self) -> usize;
    fn byte_order(&self) -> ByteOrder;
    fn unknown_tail(&self) -> &[u8];
    fn fields(&self) -> Fields;
    fn field(&self, name: &str) -> Option<Reading<Value>>;
    fn schema() -> impl Iterator<Item = &'static Field> + Clone;
    fn json(&self) -> Json;

    /// What this structure tells beside its fields.
    fn check_more(&self) {}
}

macro_rules! structures {
    ($($Name:ident in $module:ident $({ $($method:tt)* })?;)*) => {$(
        impl Structure for $Name {
            const CAPACITY: usize = Self::CAPACITY;
            const KNOWN_LEN: usize = Self::KNOWN_LEN;

            structures!(@read $Name);

            fn as_bytes(&self) -> &[u8] {
                self.as_bytes()
            }

            fn returned_len(&self) -> usize {
                self.returned_len()
            }

            fn byte_order(&self) -> ByteOrder {
                self.byte_order()
            }

            fn unknown_tail(&self) -> &[u8] {
                self.unknown_tail()
            }

            fn fields(&self) -> Fields {
                self.fields().collect()
            }

            fn field(&self, name: &str) -> Option<Reading<Value>> {
                self.field(name)
            }

            fn schema() -> impl Iterator<Item = &'static Field> + Clone {
                static FIELDS: std::sync::OnceLock<Vec<&'static Field>> = std::sync::OnceLock::new();
                FIELDS.get_or_init(|| tcpinfo::native::$module::schema().collect()).iter().copied()
            }

            fn json(&self) -> Json {
                serde_json::to_value(self).expect("JSON has room for every value")
            }

            $($($method)*)?
        }
    )*};
    (@read LinuxTcpInfo) => {
        fn read(bytes: &[u8], order: ByteOrder, kernel_major: u8) -> Self {
            let kept = Self::from_bytes_in(bytes, order).with_kernel_major(kernel_major);
            if order == ByteOrder::NATIVE {
                let lent = LinuxTcpInfo::of_kernel(bytes, kernel_major);
                assert!(lent.fields().eq(kept.fields()), "{lent:?} {kept:?}");
                assert_eq!(lent.to_kept(), kept);
            }
            kept
        }
    };
    (@read $Name:ident) => {
        fn read(bytes: &[u8], order: ByteOrder, _: u8) -> Self {
            Self::from_bytes_in(bytes, order)
        }
    };
}

structures! {
    LinuxTcpInfo in linux;
    AppleTcpInfo in apple;
    AppleSocketInfo in apple_socket {
        fn check_more(&self) {
            check_addresses(self);
        }
    };
    WindowsTcpInfo in windows;
    FreeBsdTcpInfo in freebsd;
    NetBsdTcpInfo in netbsd;
    OpenBsdTcpInfo in openbsd {
        fn check_more(&self) {
            let told = self.as_bytes().iter().skip(PRIVILEGED).any(|byte| *byte != 0);
            assert_eq!(self.is_privileged(), told);
        }
    };
    MptcpInfo in mptcp {
        fn check_more(&self) {
            let flags = self.flags().value();
            assert_eq!(self.is_fallback(), flags.map(|flags| flags % 2 == 1));
            assert_eq!(self.has_remote_key(), flags.map(|flags| flags / 2 % 2 == 1));
        }
    };
}

/// Byte order, Linux' major version, where to cut; then the structure.
pub fn check<S: Structure>(data: &[u8]) {
    let mut input = Input::new(data);
    let (order, kernel_major, cut) = (input.order(), input.byte(), input.cut());
    let bytes = input.rest();
    let info = S::read(bytes, order, kernel_major);

    check_bytes(&info, bytes, order, kernel_major);
    let fields = info.fields();
    assert!(fields.iter().map(|(field, _)| *field).eq(S::schema()));
    for (field, reading) in &fields {
        check_field(field, *reading, info.as_bytes(), order, kernel_major);
        assert_eq!(info.field(field.name), Some(*reading), "{} by its name", field.name);
    }
    assert_eq!(info.field("no such field"), None);
    info.check_more();
    check_text(&info, &fields);

    let cut = cut % (info.returned_len() + 1);
    let shorter = S::read(&bytes[..cut], order, kernel_major);
    check_prefix(&shorter.fields(), &fields);

    if let Some(mirrored) = word::mirrored(info.as_bytes(), order, mirrorable::<S>()) {
        let there = S::read(&mirrored, word::other(order), kernel_major).fields();
        for ((field, here), (_, there)) in fields.iter().zip(there) {
            if !is_last_word(field) {
                assert_eq!(*here, there, "{} in the other byte order", field.name);
            }
        }
    }
}

fn check_bytes<S: Structure>(info: &S, bytes: &[u8], order: ByteOrder, kernel_major: u8) {
    let kept = &bytes[..bytes.len().min(S::CAPACITY)];
    assert_eq!(info.as_bytes(), kept);
    assert_eq!(info.returned_len(), kept.len());
    assert_eq!(info.byte_order(), order);
    let known = kept.len().min(S::KNOWN_LEN);
    assert_eq!(info.unknown_tail(), &kept[known..]);
    // What is past the capacity leaves no trace.
    assert!(*info == S::read(kept, order, kernel_major));
}

fn check_field(
    field: &Field,
    reading: Reading<Value>,
    bytes: &[u8],
    order: ByteOrder,
    kernel_major: u8,
) {
    let name = field.name;
    assert!(field.min_len >= field.offset + field.width, "{name}");
    let raw = match word::number(bytes, order, field) {
        Some(raw) if bytes.len() >= field.min_len => raw,
        _ => return assert_eq!(reading, Reading::Absent, "{name} is past the end"),
    };
    if is_last_word(field) {
        return check_last_word(field, reading, bytes, order, kernel_major);
    }
    let state = first_byte(bytes);
    assert_eq!(reading.is_absent(), is_held_back(field, raw, bytes), "{name}: {reading:?}");
    if let Reading::Value(value) = reading {
        assert_eq!(value, meaning(field, raw, bytes.len()), "{name}");
        assert!(!is_sentinel(field, raw), "{name}: {raw:#x} stands for no value");
        match (field.structure, field.system, name) {
            ("tcp_info", System::Linux, "accept_queue" | "accept_queue_limit") => {
                assert_eq!(state, 10, "{name} of a connection");
            }
            ("tcp_info", System::Linux, "unacked" | "sacked" | "rtt") => {
                assert_ne!(state, 10, "{name} of a listener");
            }
            _ => {}
        }
    }
}

/// The typed value that a number stands for.
fn meaning(field: &Field, raw: u64, len: usize) -> Value {
    let code = u8::try_from(raw).unwrap_or(u8::MAX);
    match field.ty {
        Type::Bool => Value::Bool(raw != 0),
        Type::Unsigned => Value::Unsigned(raw),
        Type::Duration => Value::Duration(match field.unit {
            Unit::Milliseconds => std::time::Duration::from_millis(raw),
            Unit::Microseconds => std::time::Duration::from_micros(raw),
            other => panic!("{}: a duration in {other:?}", field.name),
        }),
        Type::State => Value::State(match field.system {
            System::Linux => State::from_linux(code),
            System::Windows => State::from_windows(code),
            _ => State::from_bsd(code),
        }),
        Type::CaState => Value::CaState(CaState::from_linux(code)),
        Type::Options => Value::Options(match field.system {
            System::Linux => Options::from_linux(code, len),
            System::FreeBsd => Options::from_freebsd(code, len),
            _ => Options::from_bsd(raw as u32),
        }),
        Type::FastOpenFailure => Value::FastOpenFailure(match raw {
            0 => tcpinfo::FastOpenFailure::Unspecified,
            1 => tcpinfo::FastOpenFailure::CookieUnavailable,
            2 => tcpinfo::FastOpenFailure::DataNotAcked,
            _ => tcpinfo::FastOpenFailure::SynRetransmitted,
        }),
        other => panic!("{}: {other:?} has a check of its own", field.name),
    }
}

/// Whether a number that is there is no answer of this system's version.
fn is_held_back(field: &Field, raw: u64, bytes: &[u8]) -> bool {
    if field.structure != field.system.structure() {
        return false;
    }
    match (field.system, field.name) {
        (System::Linux, "last_ack_sent") => true,
        (System::Linux, "fackets") => bytes.len() >= 200,
        (System::Linux, "fastopen_client_fail") => raw == 0 && bytes.len() < 232,
        // Bits that are younger than their word.
        (System::Apple, name) if name.starts_with("tfo_") => {
            field.since != "10.11" && raw == 0 && bytes.len() < 112
        }
        (System::FreeBsd, "rttmin") => false,
        (System::FreeBsd, _) => field.since == "14" && raw == 0 && bytes.len() < 240,
        (System::OpenBsd, _) => {
            field.offset >= PRIVILEGED && bytes.iter().skip(PRIVILEGED).all(|byte| *byte == 0)
        }
        _ => false,
    }
}

/// From here on OpenBSD tells the superuser only.
const PRIVILEGED: usize = 100;

/// Numbers that stand for "none" or "no limit" and must not come out.
fn is_sentinel(field: &Field, raw: u64) -> bool {
    const LARGEST_WINDOW: u64 = 0xffff << 14;
    match (field.system, field.name) {
        (System::Linux, "rtt") => raw == 0,
        (System::Linux, "min_rtt") => raw == 0xffff_ffff,
        (System::Linux, "snd_ssthresh") => raw >= 0x7fff_ffff,
        (System::Linux, "delivery_rate") => raw == 0,
        (System::Linux, "endp_laminar_max" | "endp_fullmesh_max") => raw == 0,
        (System::Linux, "pacing_rate" | "max_pacing_rate") => raw == u64::MAX,
        (System::Apple, "srtt" | "rttcur" | "rto") => raw == 0,
        (System::Windows, "RttUs" | "MinRttUs") => raw == 0 || raw == 0xffff_ffff,
        (System::FreeBsd | System::NetBsd | System::OpenBsd, "rtt") => raw == 0,
        (_, "snd_ssthresh") => raw >= LARGEST_WINDOW,
        _ => false,
    }
}

/// The word whose cut changed between Linux 6.18 and 7.0.
fn is_last_word(field: &Field) -> bool {
    field.system == System::Linux && field.structure == "tcp_info" && field.offset == 276
}

fn check_last_word(
    field: &Field,
    reading: Reading<Value>,
    bytes: &[u8],
    order: ByteOrder,
    kernel_major: u8,
) {
    let name = field.name;
    if first_byte(bytes) == 10 {
        return assert!(!matches!(reading, Reading::Value(_)), "{name} of a listener");
    }
    let bits = word::number(bytes, order, field).expect("the word is there");
    let halves = [&bytes[276..278], &bytes[278..280]].map(|half| word::read(half, order));
    let as_halves = match name {
        "accecn_fail_mode" => Some(halves[0]),
        "accecn_opt_seen" => Some(halves[1]),
        _ => None,
    };
    let number = match reading {
        // Only the newer cut has a mode, and it takes a version to know that it is that cut.
        Reading::Absent => return assert!(kernel_major < 7, "{name} absent on {kernel_major}"),
        Reading::Unset => panic!("{name} unset"),
        Reading::Value(Value::Unsigned(number)) => number,
        Reading::Value(Value::EcnMode(mode)) => match mode {
            tcpinfo::EcnMode::Disabled => 0,
            tcpinfo::EcnMode::Rfc3168 => 1,
            tcpinfo::EcnMode::AccEcn => 2,
            tcpinfo::EcnMode::Pending => 3,
            other => panic!("{other:?}"),
        },
        Reading::Value(Value::AccEcnOption(option)) => match option {
            tcpinfo::AccEcnOption::NotSeen => 0,
            tcpinfo::AccEcnOption::EmptySeen => 1,
            tcpinfo::AccEcnOption::CounterSeen => 2,
            tcpinfo::AccEcnOption::Failed => 3,
            other => panic!("{other:?}"),
        },
        other => panic!("{name}: {other:?}"),
    };
    if kernel_major >= 7 {
        assert_eq!(number, bits, "{name} of {kernel_major}");
    } else {
        let halved = as_halves.is_some_and(|half| number == half || number == half & 3);
        assert!(number == bits || halved, "{name} of {kernel_major}: {number}");
    }
}

/// A structure cut short says less, and nothing else.
fn check_prefix(shorter: &Fields, whole: &Fields) {
    for ((field, before), (_, after)) in shorter.iter().zip(whole) {
        let linux = field.system == System::Linux;
        match (*before, *after) {
            (Reading::Absent, _) => {}
            // A longer structure is of a kernel that has the counter which tells, or that lost FACK.
            (_, Reading::Unset)
                if linux && matches!(field.name, "last_data_sent" | "last_data_recv") => {}
            (_, Reading::Absent | Reading::Unset) if linux && field.name == "fackets" => {}
            (Reading::Unset, Reading::Unset | Reading::Value(_)) => {}
            (Reading::Value(Value::Options(before)), Reading::Value(Value::Options(after))) => {
                for option in OPTIONS {
                    let (before, after) = (before.get(option), after.get(option));
                    assert!(before.is_none() || before == after, "{option}");
                }
            }
            (before, after) => assert_eq!(before, after, "{} cut short", field.name),
        }
    }
}

const OPTIONS: [TcpOption; 11] = [
    TcpOption::Timestamps,
    TcpOption::Sack,
    TcpOption::WindowScale,
    TcpOption::Ecn,
    TcpOption::EcnSeen,
    TcpOption::SynData,
    TcpOption::UsecTimestamps,
    TcpOption::TfoChild,
    TcpOption::Offload,
    TcpOption::FastOpen,
    TcpOption::AccurateEcn,
];

/// The readable text names each value, and JSON holds each value and nothing else.
fn check_text<S: Structure>(info: &S, fields: &Fields) {
    let text = format!("{info:?}");
    let mut expected = Map::new();
    expected.insert("length".to_owned(), json!(info.returned_len()));
    for (field, reading) in fields {
        if let Reading::Value(value) = reading {
            assert!(text.contains(&format!("{}: {value}", field.name)), "{} in {text}", field.name);
            let twice = expected.insert(field.key.to_owned(), json::of(value));
            assert_eq!(twice, None, "{} is the key of two fields", field.key);
        }
    }
    if !info.unknown_tail().is_empty() {
        expected.insert("unknownTail".to_owned(), json::hex(info.unknown_tail()));
    }
    let mut json = info.json();
    let found = json.as_object_mut().expect("an object");
    for beside in ["localAddr", "remoteAddr"] {
        found.remove(beside);
    }
    assert_eq!(*found, expected);
}

/// The fields whose words a machine of the other byte order would turn round.
fn mirrorable<S: Structure>() -> impl Iterator<Item = &'static Field> + Clone {
    S::schema().filter(|field| !is_last_word(field))
}

/// `in_sockinfo`: ports at 264 and 268, addresses of 16 bytes at 296 and 312.
fn check_addresses(info: &AppleSocketInfo) {
    let bytes = info.as_bytes();
    let families = info.insi_vflag().value();
    let json = info.json();
    for (address, key, port, place) in
        [(info.remote_addr(), "remoteAddr", 264, 296), (info.local_addr(), "localAddr", 268, 312)]
    {
        assert_eq!(json.get(key), address.map(|address| json!(address)).as_ref(), "{key}");
        let Some(address) = address else { continue };
        let families = families.expect("an address is of some family");
        assert!(bytes.len() >= place + 16, "an address past the end");
        let port = word::read(&bytes[port..port + 4], ByteOrder::Big);
        let port = match info.byte_order() {
            ByteOrder::Little => port >> 16,
            ByteOrder::Big => port & 0xffff,
        };
        assert_eq!(u64::from(address.port()), port);
        match address {
            std::net::SocketAddr::V4(v4) => {
                assert_eq!(families & 3, 1);
                assert_eq!(v4.ip().octets(), bytes[place + 12..place + 16]);
            }
            std::net::SocketAddr::V6(v6) => {
                assert_eq!(families & 2, 2);
                assert_eq!(v6.ip().octets(), bytes[place..place + 16]);
            }
        }
    }
}

fn first_byte(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or_default()
}
