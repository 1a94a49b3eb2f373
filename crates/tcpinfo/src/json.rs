//! The JSON of what is read: durations are integer nanoseconds, absent keys are left out.

use std::time::Duration;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use crate::{
    BbrInfo, CaState, CcInfo, Congestion, CongestionInfo, CongestionName, DctcpInfo, Mptcp,
    Options, Packed, Queues, Reading, SocketMemory, State, Subflow, System, TcpInfo, TcpOption,
    VegasInfo, Warning,
    fields::{Fact, Field, Value},
    native::{
        Native, apple::AppleTcpInfo, apple_socket::AppleSocketInfo, each, freebsd::FreeBsdTcpInfo,
        linux::LinuxTcpInfo, mptcp::MptcpInfo, netbsd::NetBsdTcpInfo, openbsd::OpenBsdTcpInfo,
        windows::WindowsTcpInfo,
    },
};

/// A duration as integer nanoseconds.
struct Nanos(Duration);

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX))
    }
}

macro_rules! serialize_as_text {
    ($($ty:ty),*) => {$(
        impl Serialize for $ty {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(System, State, CaState, CongestionName, TcpOption, Warning);

/// The options in use, by name.
impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Duration(value) => Nanos(*value).serialize(serializer),
            Self::Options(value) => value.serialize(serializer),
            named => serializer.collect_str(named),
        }
    }
}

impl Serialize for Native {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        each!(self, info => info.serialize(serializer))
    }
}

/// The fields that hold a value, the length that the kernel returned, and the unknown bytes past
/// the last field in hexadecimal digits.
macro_rules! serialize_structure {
    ($($ty:ty $(, $key:literal = $method:ident)*;)*) => {$(
        impl Serialize for $ty {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("length", &self.returned_len())?;
                $(if let Some(value) = self.$method() {
                    map.serialize_entry($key, &value)?;
                })*
                for (field, reading) in self.fields() {
                    if let Reading::Value(value) = reading {
                        map.serialize_entry(field.key, &value)?;
                    }
                }
                if !self.unknown_tail().is_empty() {
                    map.serialize_entry("unknownTail", &hex(self.unknown_tail()))?;
                }
                map.end()
            }
        }
    )*};
}

serialize_structure! {
    LinuxTcpInfo;
    AppleTcpInfo;
    AppleSocketInfo, "localAddr" = local_addr, "remoteAddr" = remote_addr;
    WindowsTcpInfo;
    FreeBsdTcpInfo;
    NetBsdTcpInfo;
    OpenBsdTcpInfo;
    MptcpInfo;
}

impl Serialize for TcpInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        for (key, value) in self.facts() {
            map.entry(key, value)?;
        }
        let options = |scale| self.options().map(|options| OptionList(options, scale));
        map.entry("txOptions", options(self.tx_window_scale()))?;
        map.entry("rxOptions", options(self.rx_window_scale()))?;
        map.entry("congestion", self.congestion())?;
        map.entry("sysInfo", Some(self.native()))?;
        map.0.end()
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.unpack().serialize(serializer)
    }
}

/// Options by name; window scaling with its shift, as `WindowScale:07`.
struct OptionList(Options, Option<u8>);

impl Serialize for OptionList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for option in self.0.iter() {
            match (option, self.1) {
                (TcpOption::WindowScale, Some(shift)) => {
                    list.serialize_element(&format_args!("{option}:{shift:02x}"))?;
                }
                _ => list.serialize_element(&option)?,
            }
        }
        list.end()
    }
}

impl<B: AsRef<[u8]>> Serialize for Congestion<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        match &self.info {
            None => {}
            Some(CongestionInfo::Vegas(info)) => map.serialize_entry("vegas", info)?,
            Some(CongestionInfo::Dctcp(info)) => map.serialize_entry("dctcp", info)?,
            Some(CongestionInfo::Bbr(info)) => map.serialize_entry("bbr", info)?,
            Some(CongestionInfo::Other(info)) => {
                map.serialize_entry("bytes", &hex(info.as_ref()))?;
            }
        }
        map.end()
    }
}

impl Serialize for VegasInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("enabled", Some(self.enabled))?;
        map.entry("rttSamples", Some(self.rtt_samples))?;
        map.time("rtt", self.rtt)?;
        map.time("minRTT", self.min_rtt)?;
        map.0.end()
    }
}

impl Serialize for DctcpInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("enabled", Some(self.enabled))?;
        map.entry("ceState", Some(self.ce_state))?;
        map.entry("alpha", Some(self.alpha))?;
        map.entry("ackedECNBytes", Some(self.acked_ecn_bytes))?;
        map.entry("ackedBytes", Some(self.acked_bytes))?;
        map.0.end()
    }
}

impl<B: AsRef<[u8]>> Serialize for BbrInfo<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("bandwidth", self.bandwidth)?;
        map.time("minRTT", self.min_rtt)?;
        map.entry("pacingGain", self.pacing_gain)?;
        map.entry("cwndGain", self.cwnd_gain)?;
        let tail = self.tail.as_ref();
        map.entry("tail", (!tail.is_empty()).then(|| hex(tail)))?;
        map.0.end()
    }
}

/// Hexadecimal digits.
impl Serialize for CcInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(self.as_bytes()))
    }
}

impl Serialize for Queues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("unreadBytes", self.unread_bytes)?;
        map.entry("queuedBytes", self.queued_bytes)?;
        map.entry("unsentBytes", self.unsent_bytes)?;
        map.entry("inFlightBytes", self.in_flight_bytes)?;
        map.entry("acceptQueue", self.accept_queue)?;
        map.entry("acceptQueueLimit", self.accept_queue_limit)?;
        map.0.end()
    }
}

impl Serialize for Mptcp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("info", &self.info)?;
        map.serialize_entry("subflows", &self.subflows)?;
        map.end()
    }
}

impl Serialize for Subflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("localAddr", self.local_addr)?;
        map.entry("remoteAddr", self.remote_addr)?;
        map.entry("info", Some(self.info))?;
        map.0.end()
    }
}

impl Serialize for SocketMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("rxAllocBytes", self.rx_alloc_bytes)?;
        map.entry("rxBufferBytes", self.rx_buffer_bytes)?;
        map.entry("txAllocBytes", self.tx_alloc_bytes)?;
        map.entry("txBufferBytes", self.tx_buffer_bytes)?;
        map.entry("forwardAllocBytes", self.forward_alloc_bytes)?;
        map.entry("txQueuedBytes", self.tx_queued_bytes)?;
        map.entry("optionBytes", self.option_bytes)?;
        map.entry("backlogBytes", self.backlog_bytes)?;
        map.entry("droppedPackets", self.dropped_packets)?;
        map.0.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("system", Some(self.system))?;
        map.entry("structure", Some(self.structure))?;
        map.entry("name", Some(self.name))?;
        map.entry("key", Some(self.key))?;
        map.entry("offset", Some(self.offset))?;
        map.entry("width", Some(self.width))?;
        map.entry("bits", self.bits.map(|bits| [bits.shift, bits.len]))?;
        map.entry("minLength", Some(self.min_len))?;
        map.entry("type", Some(format_args!("{}", self.ty)))?;
        map.entry("unit", Some(format_args!("{}", self.unit)))?;
        map.entry("kind", Some(format_args!("{}", self.kind)))?;
        map.entry("since", Some(self.since))?;
        map.entry("doc", Some(self.doc))?;
        map.entry("facts", Some(self.facts().collect::<Vec<_>>()))?;
        map.0.end()
    }
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("name", Some(self.name))?;
        map.entry("key", self.key)?;
        map.entry("doc", Some(self.doc.trim()))?;
        map.0.end()
    }
}

/// A map that leaves absent entries out.
struct Present<M>(M);

impl<M: SerializeMap> Present<M> {
    fn entry<T: Serialize>(&mut self, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.0.serialize_entry(key, &value),
            None => Ok(()),
        }
    }

    fn time(&mut self, key: &'static str, value: Option<Duration>) -> Result<(), M::Error> {
        self.entry(key, value.map(Nanos))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
