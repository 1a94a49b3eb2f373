//! The JSON of a socket: durations are integer nanoseconds, absent keys are left out.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};
use tcpinfo::Queues;

use crate::{
    Attribute, Entry, EntryBuf, Interfaces, Md5Key, MptcpSubflowInfo, Shutdown, SocketOptions,
    Timer, TimerKind, TlsInfo, TlsPlace, Ulp,
};

/// An [`Entry`] whose JSON calls interfaces by their names, as [`Entry::named`] makes it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    entry: Entry<'a>,
    interfaces: &'a Interfaces,
}

impl<'a> Entry<'a> {
    /// The same for JSON in which interfaces have these names: `127.0.0.1%lo:80`, as `ss` prints it.
    /// Without it there is `127.0.0.1%if1:80`.
    pub const fn named(self, interfaces: &'a Interfaces) -> Named<'a> {
        Named { entry: self, interfaces }
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static UNNAMED: Interfaces = Interfaces::unnamed();
        self.named(&UNNAMED).serialize(serializer)
    }
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.text("localAddr", self.entry.local_end(self.interfaces))?;
        map.text("remoteAddr", self.entry.remote_end())?;
        map.entry("protocol", self.entry.is_mptcp().then_some("mptcp"))?;
        map.entry("state", Some(self.entry.state()))?;
        map.entry("cookie", Some(self.entry.cookie()))?;
        map.entry("interface", self.entry.interface())?;
        map.entry("uid", self.entry.uid())?;
        map.entry("inode", self.entry.inode())?;
        let queues = self.entry.queues();
        map.entry("queues", (queues != Queues::default()).then_some(queues))?;
        map.entry("timer", self.entry.timer())?;
        map.entry("info", self.entry.tcp_info())?;
        map.entry("mptcpInfo", self.entry.mptcp_info())?;
        map.entry("congestion", self.entry.congestion())?;
        map.entry("memory", self.entry.memory())?;
        map.entry("tos", self.entry.tos())?;
        map.entry("trafficClass", self.entry.traffic_class())?;
        map.entry("classId", self.entry.class_id())?;
        map.entry("mark", self.entry.mark())?;
        map.entry("cgroupId", self.entry.cgroup_id())?;
        map.entry("shutdown", self.entry.shutdown())?;
        map.entry("ipv6Only", self.entry.is_ipv6_only())?;
        map.entry("options", self.entry.options())?;
        map.entry("ulp", self.entry.ulp())?;
        if self.entry.md5_keys().next().is_some() {
            map.0.serialize_entry("md5Keys", &Keys(self.entry))?;
        }
        let mut unknown = self.entry.unknown_attributes().peekable();
        if unknown.peek().is_some() {
            map.0.serialize_entry("unknownAttributes", &Unknown(self.entry))?;
        }
        map.0.end()
    }
}

impl Serialize for EntryBuf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entry().serialize(serializer)
    }
}

impl Serialize for Timer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("kind", Some(self.kind))?;
        map.time("expires", Some(self.expires))?;
        map.entry("count", Some(self.count))?;
        map.0.end()
    }
}

impl Serialize for TimerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Shutdown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("receive", &self.receive)?;
        map.serialize_entry("send", &self.send)?;
        map.end()
    }
}

/// The names of those that are set.
impl Serialize for SocketOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = [
            ("recverr", self.recverr),
            ("isIcsk", self.is_icsk),
            ("freebind", self.freebind),
            ("hdrincl", self.hdrincl),
            ("mcLoop", self.mc_loop),
            ("transparent", self.transparent),
            ("mcAll", self.mc_all),
            ("nodefrag", self.nodefrag),
            ("bindAddressNoPort", self.bind_address_no_port),
            ("recverrRfc4884", self.recverr_rfc4884),
            ("deferConnect", self.defer_connect),
        ];
        serializer.collect_seq(names.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name))
    }
}

impl Serialize for Ulp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("name", Some(self.name()).filter(|name| !name.is_empty()))?;
        map.entry("tls", self.tls())?;
        map.entry("mptcp", self.mptcp())?;
        map.0.end()
    }
}

impl Serialize for TlsInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("version", self.version)?;
        map.entry("cipher", self.cipher)?;
        map.entry("tx", self.tx)?;
        map.entry("rx", self.rx)?;
        map.entry("zeroCopy", Some(self.is_zero_copy))?;
        map.entry("withoutPadding", Some(self.is_without_padding))?;
        map.entry("txMaxPayloadLen", self.tx_max_payload_len)?;
        map.0.end()
    }
}

impl Serialize for TlsPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self {
            Self::Program => "program",
            Self::Software => "software",
            Self::Device => "device",
            Self::DeviceRecord => "device-record",
            Self::Unknown(number) => {
                return serializer.collect_str(&format_args!("unknown ({number})"));
            }
        };
        serializer.serialize_str(name)
    }
}

impl Serialize for MptcpSubflowInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = Present(serializer.serialize_map(None)?);
        map.entry("remoteToken", self.remote_token)?;
        map.entry("localToken", self.local_token)?;
        map.entry("relativeWriteSequence", self.relative_write_sequence)?;
        map.entry("mapSequence", self.map_sequence)?;
        map.entry("mapSubflowSequence", self.map_subflow_sequence)?;
        map.entry("subflowOffset", self.subflow_offset)?;
        map.entry("mapDataLen", self.map_data_len)?;
        map.entry("flags", self.flags)?;
        map.entry("remoteId", self.remote_id)?;
        map.entry("localId", self.local_id)?;
        map.0.end()
    }
}

struct Keys<'a>(Entry<'a>);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.md5_keys())
    }
}

/// Without the key, which is secret.
impl Serialize for Md5Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("addr", &Text(self.addr))?;
        map.serialize_entry("prefixLen", &self.prefix_len)?;
        map.serialize_entry("keyLen", &self.key.len())?;
        map.end()
    }
}

/// Hexadecimal digits by number. Of a number that comes several times the first is taken, so that no
/// key does.
struct Unknown<'a>(Entry<'a>);

impl Serialize for Unknown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_first = |(place, one): &(usize, Attribute<'_>)| {
            self.0.unknown_attributes().position(|other| other.number == one.number) == Some(*place)
        };
        let firsts = self.0.unknown_attributes().enumerate().filter(is_first);
        serializer.collect_map(firsts.map(|(_, one)| (Text(one.number), Text(Hex(one.payload)))))
    }
}

struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

    fn text<T: fmt::Display>(&mut self, key: &'static str, value: T) -> Result<(), M::Error> {
        self.entry(key, Some(Text(value)))
    }

    fn time(&mut self, key: &'static str, value: Option<Duration>) -> Result<(), M::Error> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.entry(key, value.map(nanos))
    }
}
