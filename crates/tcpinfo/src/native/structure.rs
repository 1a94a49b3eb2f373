//! What the decoders of all systems share: the bytes, the rows of a field table, and the macro that
//! makes a structure of such a table.

use crate::{Reading, fields::Bits, fields::Field};

/// The byte order of the machine that filled a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "kernels run in two byte orders")]
pub enum ByteOrder {
    /// Least significant byte first: x86, Arm, RISC-V.
    Little,
    /// Most significant byte first: s390x, big-endian MIPS and PowerPC, SPARC.
    Big,
}

impl ByteOrder {
    /// The byte order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// A structure as the kernel returned it: at most `CAPACITY` bytes, the rest of which are zero.
#[derive(Clone, Copy)]
// Aligned so that clearing and moving it does not cross cache lines: 3 % of a reading. In this
// order, so that an enum of structures finds room for the smaller ones before `order`, and needs
// no word of its own to tell them apart.
#[repr(C, align(64))]
pub(crate) struct Raw<const CAPACITY: usize> {
    bytes: [u8; CAPACITY],
    len: u16,
    order: ByteOrder,
    /// What one system's decoder was told beside the bytes.
    pub(crate) hint: u8,
}

impl<const CAPACITY: usize> Raw<CAPACITY> {
    pub(crate) const EMPTY: Self =
        Self { bytes: [0; CAPACITY], len: 0, order: ByteOrder::NATIVE, hint: 0 };

    pub(crate) fn from_bytes_in(bytes: &[u8], order: ByteOrder) -> Self {
        Self::hinted(bytes, order, 0)
    }

    /// The same with what the decoder is told beside the bytes.
    #[inline(always)]
    pub(crate) fn hinted(bytes: &[u8], order: ByteOrder, hint: u8) -> Self {
        let mut raw = Self { order, hint, ..Self::EMPTY };
        for (slot, byte) in raw.bytes.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        raw.set_len(bytes.len());
        raw
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn order(&self) -> ByteOrder {
        self.order
    }

    /// The whole buffer, for a system call to fill.
    #[allow(dead_code, reason = "each system fills its own structure only")]
    #[inline]
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8; CAPACITY] {
        &mut self.bytes
    }

    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = u16::try_from(len.min(CAPACITY)).unwrap_or_default();
    }

    #[inline]
    pub(crate) fn first(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk().copied()
    }

    /// Whether another kind of machine filled it. The one that asks is then a rare one.
    #[inline(always)]
    fn is_foreign(&self) -> bool {
        let is_foreign = self.order != ByteOrder::NATIVE;
        if is_foreign {
            unlikely();
        }
        is_foreign
    }

    /// The field's bits, whatever they mean.
    #[inline(always)]
    pub(crate) fn extract(&self, field: &Field) -> Option<u64> {
        let word = match field.width {
            1 => u64::from(self.array::<1>(field.offset)?[0]),
            2 => {
                let raw = u16::from_ne_bytes(self.array(field.offset)?);
                u64::from(if self.is_foreign() { raw.swap_bytes() } else { raw })
            }
            4 => {
                let raw = u32::from_ne_bytes(self.array(field.offset)?);
                u64::from(if self.is_foreign() { raw.swap_bytes() } else { raw })
            }
            _ => {
                let raw = u64::from_ne_bytes(self.array(field.offset)?);
                if self.is_foreign() { raw.swap_bytes() } else { raw }
            }
        };
        let little = matches!(self.order, ByteOrder::Little);
        Some(match field.bits {
            None => word,
            Some(Bits { shift, len }) => {
                let word_bits = u64::BITS.min(8 * u32::try_from(field.width).ok()?);
                let shift = if little { shift } else { word_bits.checked_sub(shift + len)? };
                (word >> shift) & ((1 << len) - 1)
            }
        })
    }

    /// The field's bits, or zero where the returned length does not cover it.
    #[inline(always)]
    pub(crate) fn number(&self, field: &Field) -> u64 {
        self.present(field).value().unwrap_or_default()
    }

    /// The field's bits, if the returned length covers it.
    #[inline(always)]
    pub(crate) fn present(&self, field: &Field) -> Reading<u64> {
        if self.len() < field.min_len {
            return Reading::Absent;
        }
        match self.extract(field) {
            Some(raw) => Reading::Value(raw),
            None => Reading::Absent,
        }
    }
}

/// The branch that leads here is not taken mostly.
#[cold]
const fn unlikely() {}

impl<const CAPACITY: usize> PartialEq for Raw<CAPACITY> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order && self.hint == other.hint && self.as_bytes() == other.as_bytes()
    }
}

impl<const CAPACITY: usize> Eq for Raw<CAPACITY> {}

/// One line of a field table: the field, and when its number means something.
pub(crate) struct Row<Rule> {
    pub(crate) field: Field,
    pub(crate) rule: Rule,
}

/// Declares a structure: its type, the rows of its fields, the table of them, and one documented
/// method for each.
///
/// The type needs a method `judge(&self, &Row<Rule>, u64) -> Reading<u64>`, which says whether a
/// number that is there means something.
///
/// The head is the type, the system, the C structure, the prefix of the names in it, and how many
/// bytes are known and kept. A line is `name: Type, "jsonKey", offset word [shift, len], Unit, Kind, "since" >= length, Rule,
/// "meaning";`. The brackets are for a bit field, `>= length` for a field that is there only from a
/// returned length although its bytes are older, and `name = "Kernel's"` for a kernel whose names
/// are not of our form.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $Name:ident: $system:ident $structure:literal, $prefix:literal, since $release:literal,
        known $known:literal of $capacity:literal bytes;
        $(
            $name:ident $(= $kernel:literal)?: $ty:ident, $key:literal,
            $offset:literal $word:ident $([$shift:literal, $len:literal])?,
            $unit:ident, $kind:ident, $since:literal $(>= $min_len:literal)?, $rule:ident,
            $meaning:literal;
        )*
    ) => {
        $(#[$doc])*
        ///
        /// Each field is a method that gives a [`Reading`], and [`fields`](Self::fields) walks over
        /// all of them. Bytes past the last known field are kept and returned by
        /// [`unknown_tail`](Self::unknown_tail).
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $Name(pub(crate) $crate::native::structure::Raw<$capacity>);

        impl $Name {
            /// The most bytes that are asked for and kept.
            pub const CAPACITY: usize = $capacity;

            /// The length up to which this version of the crate knows the fields.
            pub const KNOWN_LEN: usize = $known;

            #[allow(dead_code, reason = "each system fills its own structure only")]
            pub(crate) const EMPTY: Self = Self($crate::native::structure::Raw::EMPTY);

            /// Takes over a structure of this machine's byte order: any length, down to none.
            ///
            /// Bytes past [`CAPACITY`](Self::CAPACITY) are not kept.
            pub fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_bytes_in(bytes, $crate::native::ByteOrder::NATIVE)
            }

            /// Takes over a structure that was captured on a machine of the given byte order.
            pub fn from_bytes_in(bytes: &[u8], order: $crate::native::ByteOrder) -> Self {
                Self($crate::native::structure::Raw::from_bytes_in(bytes, order))
            }

            /// The bytes as the kernel returned them.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// The length that the kernel returned.
            #[inline]
            pub const fn returned_len(&self) -> usize {
                self.0.len()
            }

            /// The byte order of the machine that filled the structure.
            pub const fn byte_order(&self) -> $crate::native::ByteOrder {
                self.0.order()
            }

            /// Bytes past the last field that this version of the crate knows.
            pub fn unknown_tail(&self) -> &[u8] {
                self.as_bytes().get(Self::KNOWN_LEN..).unwrap_or_default()
            }

            /// Every field of the table with its reading, in the order of the structure.
            pub fn fields(
                &self,
            ) -> impl Iterator<
                Item = (&'static $crate::fields::Field, $crate::Reading<$crate::fields::Value>),
            > + '_ {
                (0..).map_while(|index| self.nth(index))
            }

            pub(crate) fn nth(
                &self,
                index: usize,
            ) -> Option<(&'static $crate::fields::Field, $crate::Reading<$crate::fields::Value>)> {
                let row = ROWS.get(index)?;
                let reading = self.raw(row);
                Some((
                    &row.field,
                    reading.map(|raw| $crate::fields::Value::from_raw(raw, &row.field)),
                ))
            }

            /// The reading of the field with the given kernel name, or `None` if there is no such
            /// field.
            pub fn field(&self, name: &str) -> Option<$crate::Reading<$crate::fields::Value>> {
                self.fields().find(|(field, _)| field.name == name).map(|(_, reading)| reading)
            }

            /// The field's number, after the rules of presence and meaning.
            #[inline(always)]
            fn raw(&self, row: &$crate::native::structure::Row<Rule>) -> $crate::Reading<u64> {
                match self.0.present(&row.field) {
                    $crate::Reading::Value(raw) => self.judge(row, raw),
                    answer => answer,
                }
            }

            $(
                #[doc = $meaning]
                #[doc = ""]
                #[doc = concat!(
                    "`", $prefix, first!($($kernel,)? stringify!($name)), "`, since ", $release,
                    $since, ".",
                )]
                #[inline]
                pub fn $name(&self) -> $crate::Reading<$ty> {
                    self.raw(&row::$name).map(|raw| {
                        <$ty as $crate::fields::FromRaw>::from_raw(raw, &row::$name.field)
                    })
                }
            )*
        }

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut out = f.debug_struct(stringify!($Name));
                for (field, reading) in self.fields() {
                    if let $crate::Reading::Value(value) = reading {
                        out.field(field.name, &format_args!("{value}"));
                    }
                }
                if !self.unknown_tail().is_empty() {
                    out.field("unknown_tail", &self.unknown_tail());
                }
                out.finish()
            }
        }

        /// Every field of the structure, in its order.
        pub fn schema() -> impl Iterator<Item = &'static $crate::fields::Field> {
            ROWS.iter().map(|row| &row.field)
        }

        static ROWS: &[$crate::native::structure::Row<Rule>] = &[$(row::$name),*];

        /// Where the fields lie, for comparison with a C library's structure.
        #[allow(dead_code, non_upper_case_globals, reason = "for the running system, by name")]
        pub(crate) mod offset {
            $(pub(crate) const $name: usize = $offset;)*
        }

        #[allow(non_upper_case_globals, reason = "a row bears its field's name")]
        mod row {
            use super::*;
            use $crate::{
                fields::{Bits, Field, FromRaw, Kind, Unit},
                native::structure::Row,
            };

            $(pub(super) const $name: Row<Rule> = Row {
                field: Field {
                    system: $crate::System::$system,
                    structure: $structure,
                    name: first!($($kernel,)? stringify!($name)),
                    accessor: stringify!($name),
                    key: $key,
                    offset: $offset,
                    width: size_of::<$word>(),
                    bits: first!($(Some(Bits { shift: $shift, len: $len }),)? None::<Bits>),
                    min_len: first!($($min_len,)? $offset + size_of::<$word>()),
                    ty: <$ty as FromRaw>::TYPE,
                    unit: Unit::$unit,
                    kind: Kind::$kind,
                    since: $since,
                    doc: $meaning,
                },
                rule: Rule::$rule,
            };)*

            const _: () = {
                $(assert!($name.field.offset + $name.field.width <= $known, "past the known end");)*
                assert!($known <= $capacity && $capacity % 8 == 0);
            };
        }
    };
}

macro_rules! first {
    ($first:expr $(, $rest:expr)?) => {
        $first
    };
}

pub(crate) use {first, structure};
