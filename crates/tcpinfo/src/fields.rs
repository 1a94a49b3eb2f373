//! The description of one field of a kernel's structure, and what such a field can hold.

use std::{fmt, time::Duration};

use crate::{
    AccEcnOption, CaState, EcnMode, FastOpenFailure, Options, State, System,
    info::{FACTS, SOURCES},
};

/// One field of an operating system's structure: where it lies and what it means.
///
/// Decoding, JSON, dynamic access and the printed schema all come from these rows.
///
/// ```
/// let rtt = tcpinfo::native::linux::schema().find(|field| field.name == "rtt").unwrap();
/// assert_eq!((rtt.offset, rtt.width), (68, 4));
/// assert_eq!(rtt.unit, tcpinfo::fields::Unit::Microseconds);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The system whose structure it belongs to.
    pub system: System,
    /// That structure, as C names it.
    pub structure: &'static str,
    /// The kernel's own name, without a prefix such as `tcpi_`.
    pub name: &'static str,
    /// The method that reads it; the same as `name` but where the kernel's names are not of Rust's
    /// form.
    pub accessor: &'static str,
    /// The key in JSON.
    pub key: &'static str,
    /// Position of the first byte in the structure.
    pub offset: usize,
    /// Size in bytes of the word that holds the field.
    pub width: usize,
    /// Where the field lies inside that word, if it does not fill it.
    pub bits: Option<Bits>,
    /// The smallest returned length at which the field is there.
    pub min_len: usize,
    /// What the raw number stands for.
    pub ty: Type,
    /// The unit of the raw number.
    pub unit: Unit,
    /// How the number behaves over a connection's life.
    pub kind: Kind,
    /// The oldest version of the system that is known to have the field.
    pub since: &'static str,
    /// Meaning and traps, in one or two sentences.
    pub doc: &'static str,
}

impl Field {
    /// The facts of [`TcpInfo`](crate::TcpInfo) that are made of this field.
    ///
    /// ```
    /// let mut fields = tcpinfo::native::linux::schema();
    /// let mss = fields.find(|field| field.name == "snd_mss").unwrap();
    /// assert!(mss.facts().eq(["tx_mss", "tx_ssthresh", "tx_cwnd"]));
    /// ```
    pub fn facts(&self) -> impl Iterator<Item = &'static str> {
        let (system, accessor) = (self.system, self.accessor);
        let sources = if self.is_main() { SOURCES } else { &[] };
        sources
            .iter()
            .filter(move |source| (source.system, source.field) == (system, accessor))
            .map(|source| source.fact)
    }

    /// Whether it is of the structure that every reading asks for.
    fn is_main(&self) -> bool {
        self.structure == self.system.structure()
    }
}

/// One fact of the portable view, [`TcpInfo`](crate::TcpInfo).
///
/// ```
/// use tcpinfo::{System, fields::Fact};
///
/// let cwnd = Fact::all().find(|fact| fact.name == "tx_cwnd").unwrap();
/// let on_linux = cwnd.fields().filter(|field| field.system == System::Linux);
/// assert!(on_linux.map(|field| field.name).eq(["snd_cwnd", "snd_mss"]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// The method of [`TcpInfo`](crate::TcpInfo).
    pub name: &'static str,
    /// The key in JSON; none for the options, which have two.
    pub key: Option<&'static str>,
    /// Its meaning, in one or two sentences.
    pub doc: &'static str,
}

impl Fact {
    /// Every fact, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        FACTS.iter()
    }

    /// The fields that it is made of, on all systems that have it.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        let fact = self.name;
        let sources = SOURCES.iter().filter(move |source| source.fact == fact);
        sources.filter_map(|source| {
            crate::schema().find(|field| {
                field.is_main() && (field.system, field.accessor) == (source.system, source.field)
            })
        })
    }
}

/// A C bit field: `len` bits, `shift` bits in, counted in the order of declaration.
///
/// A compiler for a little-endian target allocates from the least significant bit, one for a
/// big-endian target from the most significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bits {
    /// Number of bits declared before this field in the same word.
    pub shift: u32,
    /// Number of bits of this field.
    pub len: u32,
}

/// What a field's raw number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// A flag.
    Bool,
    /// A number.
    Unsigned,
    /// A span of time.
    Duration,
    /// [`State`].
    State,
    /// [`CaState`].
    CaState,
    /// [`Options`].
    Options,
    /// [`FastOpenFailure`].
    FastOpenFailure,
    /// [`EcnMode`].
    EcnMode,
    /// [`AccEcnOption`].
    AccEcnOption,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bool => "bool",
            Self::Unsigned => "unsigned",
            Self::Duration => "duration",
            Self::State => "state",
            Self::CaState => "ca_state",
            Self::Options => "options",
            Self::FastOpenFailure => "fast_open_failure",
            Self::EcnMode => "ecn_mode",
            Self::AccEcnOption => "accecn_option",
        })
    }
}

/// The unit of a field's raw number in the kernel's structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// A code, a flag or a set of flags.
    None,
    /// Something counted: events, probes, shifts.
    Count,
    /// TCP segments.
    Segments,
    /// IP packets.
    Packets,
    /// Connections.
    Connections,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// A place in the sequence of bytes, modulo 2^32.
    Sequence,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "",
            Self::Count => "count",
            Self::Segments => "segments",
            Self::Packets => "packets",
            Self::Connections => "connections",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Sequence => "sequence",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
        })
    }
}

/// How a field behaves over a connection's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Rises and falls.
    Gauge,
    /// Only rises, until it wraps at its width or the socket is disconnected.
    Counter,
    /// A code or a set of flags.
    Label,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Label => "label",
        })
    }
}

/// The typed value of any field.
///
/// ```
/// use std::time::Duration;
/// use tcpinfo::fields::Value;
///
/// assert_eq!(Value::Duration(Duration::from_micros(42)).to_string(), "42µs");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A flag.
    Bool(bool),
    /// A number, in the field's [`Unit`].
    Unsigned(u64),
    /// A span of time.
    Duration(Duration),
    /// A connection's state.
    State(State),
    /// The state of loss recovery.
    CaState(CaState),
    /// The options negotiated.
    Options(Options),
    /// Why Fast Open failed.
    FastOpenFailure(FastOpenFailure),
    /// The kind of explicit congestion notification.
    EcnMode(EcnMode),
    /// What was seen of the Accurate ECN option.
    AccEcnOption(AccEcnOption),
}

impl Value {
    #[inline]
    pub(crate) fn from_raw(raw: u64, field: &Field) -> Self {
        match field.ty {
            Type::Bool => Self::Bool(bool::from_raw(raw, field)),
            Type::Unsigned => Self::Unsigned(raw),
            Type::Duration => Self::Duration(Duration::from_raw(raw, field)),
            Type::State => Self::State(State::from_raw(raw, field)),
            Type::CaState => Self::CaState(CaState::from_raw(raw, field)),
            Type::Options => Self::Options(<Options as FromRaw>::from_raw(raw, field)),
            Type::FastOpenFailure => Self::FastOpenFailure(FastOpenFailure::from_raw(raw, field)),
            Type::EcnMode => Self::EcnMode(EcnMode::from_raw(raw, field)),
            Type::AccEcnOption => Self::AccEcnOption(AccEcnOption::from_raw(raw, field)),
        }
    }
}

macro_rules! value_from {
    ($($variant:ident($ty:ty)),*) => {$(
        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

value_from!(
    Bool(bool),
    Unsigned(u8),
    Unsigned(u32),
    Unsigned(u64),
    Duration(Duration),
    State(State),
    CaState(CaState)
);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Duration(value) => fmt::Debug::fmt(value, f),
            Self::State(value) => value.fmt(f),
            Self::CaState(value) => value.fmt(f),
            Self::Options(value) => value.fmt(f),
            Self::FastOpenFailure(value) => value.fmt(f),
            Self::EcnMode(value) => value.fmt(f),
            Self::AccEcnOption(value) => value.fmt(f),
        }
    }
}

/// A type that a field's raw number can be turned into.
pub(crate) trait FromRaw: Sized {
    /// How the table names this type.
    const TYPE: Type;

    fn from_raw(raw: u64, field: &Field) -> Self;
}

macro_rules! unsigned_from_raw {
    ($($integer:ty),*) => {$(
        impl FromRaw for $integer {
            const TYPE: Type = Type::Unsigned;

            #[inline]
            fn from_raw(raw: u64, _: &Field) -> Self {
                Self::try_from(raw).unwrap_or(Self::MAX)
            }
        }
    )*};
}

unsigned_from_raw!(u8, u16, u32, u64);

impl FromRaw for bool {
    const TYPE: Type = Type::Bool;

    #[inline]
    fn from_raw(raw: u64, _: &Field) -> Self {
        raw != 0
    }
}

impl FromRaw for Duration {
    const TYPE: Type = Type::Duration;

    #[inline]
    fn from_raw(raw: u64, field: &Field) -> Self {
        match field.unit {
            Unit::Milliseconds => Self::from_millis(raw),
            _ => Self::from_micros(raw),
        }
    }
}

impl FromRaw for Options {
    const TYPE: Type = Type::Options;

    #[inline]
    fn from_raw(raw: u64, _: &Field) -> Self {
        Self::from_raw(raw)
    }
}

macro_rules! code_from_raw {
    ($($code:ident),*) => {$(
        impl FromRaw for $code {
            const TYPE: Type = Type::$code;

            #[inline]
            fn from_raw(raw: u64, _: &Field) -> Self {
                Self::from_linux(u8::try_from(raw).unwrap_or(u8::MAX))
            }
        }
    )*};
}

impl FromRaw for State {
    const TYPE: Type = Type::State;

    #[inline]
    fn from_raw(raw: u64, field: &Field) -> Self {
        let code = u8::try_from(raw).unwrap_or(u8::MAX);
        match field.system {
            System::Linux => Self::from_linux(code),
            System::Windows => Self::from_windows(code),
            System::Apple | System::FreeBsd | System::NetBsd | System::OpenBsd => {
                Self::from_bsd(code)
            }
        }
    }
}

code_from_raw!(CaState, FastOpenFailure, EcnMode, AccEcnOption);
