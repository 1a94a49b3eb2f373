//! Whatever bytes arrive: no decoder panics, invents a value, or loses anything on the way.

use proptest::prelude::*;
use tcpinfo::{
    Packed, Reading, System, TcpInfo,
    native::{
        ByteOrder, Native, apple_socket::AppleSocketInfo, linux::LinuxTcpInfo, mptcp::MptcpInfo,
    },
};

use super::{ORDERS, facts, named};

/// The most bytes that each system's structure keeps.
fn capacity(system: System) -> usize {
    if system == System::Linux { LinuxTcpInfo::CAPACITY } else { 384 }
}

fn system() -> impl Strategy<Value = System> {
    prop::sample::select(System::ALL.to_vec())
}

fn order() -> impl Strategy<Value = ByteOrder> {
    prop::sample::select(ORDERS.to_vec())
}

/// Noise, mostly zeros, or one byte over and over; the state is often one that exists.
fn structure() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..=600),
        prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => any::<u8>()], 0..=600),
        (prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0usize..=600)
            .prop_map(|(byte, len)| vec![byte; len]),
    ];
    (body, prop_oneof![3 => 0u8..=13, 1 => any::<u8>()], any::<bool>()).prop_map(
        |(mut bytes, state, stated)| {
            if let (true, Some(first)) = (stated, bytes.first_mut()) {
                *first = state;
            }
            bytes
        },
    )
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), "[a-z0-9_]{0,16}".prop_map(Some)]
}

/// Every fact of the view comes from a field that holds a value.
fn assert_founded(info: &TcpInfo) {
    let native = info.native();
    let with_value = native.fields().filter(|(_, reading)| matches!(reading, Reading::Value(_)));
    let founded = with_value.flat_map(|(field, _)| field.facts()).count();
    let told = facts(info).len() + usize::from(info.options().is_some());
    assert!(told <= founded, "{told} facts of {founded} sources");
}

proptest! {
    #[test]
    fn any_structure_of_any_system_decodes(
        system in system(),
        order in order(),
        bytes in structure(),
        name in name(),
    ) {
        let native = Native::from_bytes_in(system, &bytes, order);
        prop_assert_eq!((native.system(), native.byte_order()), (system, order));
        prop_assert_eq!(native.as_bytes(), &bytes[..bytes.len().min(capacity(system))]);
        for (field, reading) in native.fields() {
            if native.as_bytes().len() < field.min_len {
                prop_assert!(reading.is_absent(), "{} of {} bytes", field.name, bytes.len());
            }
            prop_assert!(field.min_len >= field.offset + field.width);
        }

        let congestion = name.as_deref().and_then(named);
        let info = TcpInfo::from_native(native, congestion);
        assert_founded(&info);
        let _ = (format!("{info:?}"), format!("{native:?}"), info.warnings());

        let packed = Packed::from(&info);
        let unpacked = packed.unpack();
        prop_assert_eq!(&unpacked, &info);
        prop_assert_eq!(unpacked.native().system(), system);
        prop_assert_eq!(unpacked.native().byte_order(), order);
        prop_assert_eq!(unpacked.native().as_bytes(), native.as_bytes());
        prop_assert_eq!(unpacked.congestion(), congestion);
        prop_assert_eq!(format!("{packed:?}"), format!("{info:?}"));

        #[cfg(feature = "serde")]
        assert_json(&info);
    }

    #[test]
    fn a_structure_reads_the_same_where_it_lies(bytes in structure(), major in 0u8..=8) {
        let lent = LinuxTcpInfo::of_kernel(&bytes, major);
        let kept = LinuxTcpInfo::from_bytes(&bytes).with_kernel_major(major);
        prop_assert!(lent.fields().eq(kept.fields()), "{:?} {:?}", lent, kept);
        prop_assert_eq!(lent.as_bytes(), &bytes[..]);
        prop_assert_eq!(lent.to_kept(), kept);
        prop_assert_eq!(lent == kept, bytes.len() <= LinuxTcpInfo::CAPACITY);
    }

    /// What lies behind the returned length has no part in the answer.
    #[test]
    fn bytes_past_the_returned_length_are_not_read(
        system in system(),
        order in order(),
        bytes in structure(),
        cut in any::<prop::sample::Index>(),
    ) {
        let len = cut.index(bytes.len() + 1);
        let alone = bytes[..len].to_vec();
        let mut followed = bytes.clone();
        followed[len..].iter_mut().for_each(|byte| *byte = !*byte);
        prop_assert_eq!(
            Native::from_bytes_in(system, &alone, order),
            Native::from_bytes_in(system, &followed[..len], order)
        );
    }

    #[test]
    fn any_bytes_make_the_structures_beside_the_portable_view(
        bytes in prop::collection::vec(any::<u8>(), 0..=1100),
        kind in 0u8..=4,
        order in order(),
    ) {
        let mut socket = bytes.clone();
        for offset in [256, 259] {
            if let Some(byte) = socket.get_mut(offset) {
                *byte = kind;
            }
        }
        let socket = AppleSocketInfo::from_bytes_in(&socket, order);
        let mptcp = MptcpInfo::from_bytes_in(&bytes, order);
        let _ = (format!("{socket:?}"), format!("{mptcp:?}"));
        let _ = (socket.local_addr(), socket.remote_addr(), mptcp.is_fallback());
        let all = socket.fields().map(|field| (field, socket.returned_len()));
        for ((field, reading), len) in all.chain(mptcp.fields().map(|f| (f, mptcp.returned_len()))) {
            prop_assert!(len >= field.min_len || reading.is_absent(), "{}", field.name);
        }
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_value((socket, mptcp)).unwrap();
            prop_assert_eq!(&json[0]["length"], socket.returned_len());
            prop_assert_eq!(&json[1]["length"], mptcp.returned_len());
        }
    }
}

/// The JSON holds the fields that have a value and no others, each under its own key.
#[cfg(feature = "serde")]
fn assert_json(info: &TcpInfo) {
    use std::collections::BTreeSet;

    // Read from text, where a key that was written twice would be lost.
    let text = serde_json::to_string(info.native()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: BTreeSet<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: BTreeSet<_> = info
        .native()
        .fields()
        .filter(|(_, reading)| matches!(reading, Reading::Value(_)))
        .map(|(field, _)| field.key)
        .chain(["length"])
        .collect();
    if !info.native().unknown_tail().is_empty() {
        expected.insert("unknownTail");
    }
    assert_eq!(keys, expected);
    assert_eq!(json["length"], info.native().as_bytes().len());

    let portable = serde_json::to_value(info).unwrap();
    assert_eq!(portable["sysInfo"], json);
    for (key, value) in info.facts() {
        assert_eq!(portable.get(key).is_some(), value.is_some(), "{key}");
    }
    assert_eq!(portable.get("congestion").is_some(), info.congestion().is_some());
}

/// Random bytes seldom hit a whole structure, so each length of each is tried as well.
#[test]
fn packing_keeps_every_length_of_every_system() {
    for system in System::ALL {
        for order in ORDERS {
            for len in 0..=capacity(system) {
                let bytes: Vec<u8> = (0..len).map(|offset| (offset % 251) as u8).collect();
                let native = Native::from_bytes_in(system, &bytes, order);
                let info = TcpInfo::from_native(native, named("cubic"));
                assert_eq!(Packed::from(&info).unpack(), info, "{system} {order:?} {len}");
            }
        }
    }
}

/// The same bytes of another system or byte order are not the same facts.
#[test]
fn equal_bytes_of_different_systems_stay_apart() {
    let all: Vec<_> = System::ALL
        .into_iter()
        .flat_map(|system| ORDERS.map(|order| Native::from_bytes_in(system, &[4; 88], order)))
        .map(|native| Packed::new(&native, None))
        .collect();
    for (index, one) in all.iter().enumerate() {
        for (other_index, other) in all.iter().enumerate() {
            assert_eq!(one == other, index == other_index);
            assert_eq!(one.unpack() == other.unpack(), index == other_index);
        }
    }
}
