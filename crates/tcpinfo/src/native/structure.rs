//! What the decoders of all systems share: the bytes, the rows of a field table, and the macro that
//! makes a structure of such a table.

use crate::fields::Field;

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

/// Where the bytes of a structure are: [`Kept`] in it, or [`Lent`] from a buffer.
///
/// Whichever it is, every field reads the same.
pub trait Bytes: Copy + Raw {}

impl<const CAPACITY: usize> Bytes for Kept<CAPACITY> {}
impl Bytes for Lent<'_> {}

/// At most `CAPACITY` bytes, the rest of which are zero.
#[derive(Clone, Copy)]
// Aligned so that clearing and moving it does not cross cache lines: 3 % of a reading. In this
// order, so that an enum of structures finds room for the smaller ones before `order`, and needs
// no word of its own to tell them apart.
#[repr(C, align(64))]
pub struct Kept<const CAPACITY: usize> {
    bytes: [u8; CAPACITY],
    len: u16,
    order: ByteOrder,
    hint: u8,
}

/// The bytes where they came, such as in the buffer of a netlink socket: nothing is copied.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    hint: u8,
}

impl<const CAPACITY: usize> Kept<CAPACITY> {
    pub(crate) const EMPTY: Self =
        Self { bytes: [0; CAPACITY], len: 0, order: ByteOrder::NATIVE, hint: 0 };

    #[inline(always)]
    pub(crate) fn copy(bytes: &[u8], order: ByteOrder, hint: u8) -> Self {
        let mut kept = Self { order, hint, ..Self::EMPTY };
        for (slot, byte) in kept.bytes.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        kept.set_len(bytes.len());
        kept
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

    pub(crate) fn set_hint(&mut self, hint: u8) {
        self.hint = hint;
    }
}

impl<'a> Lent<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8], order: ByteOrder, hint: u8) -> Self {
        Self { bytes, order, hint }
    }
}

use sealed::Raw;

mod sealed {
    use super::{ByteOrder, Kept, Lent, unlikely};
    use crate::{
        Reading,
        fields::{Bits, Field},
    };

    /// What the decoders need of the bytes.
    #[allow(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Raw {
        /// The bytes, and zeros behind them if that is cheaper to look into.
        fn padded(&self) -> &[u8];

        fn len(&self) -> usize;

        fn order(&self) -> ByteOrder;

        /// What one system's decoder was told beside the bytes.
        fn hint(&self) -> u8;

        #[inline]
        fn as_bytes(&self) -> &[u8] {
            self.padded().get(..self.len()).unwrap_or_default()
        }

        #[inline(always)]
        fn first(&self) -> u8 {
            self.padded().first().copied().unwrap_or_default()
        }

        #[inline(always)]
        fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
            self.padded().get(offset..)?.first_chunk().copied()
        }

        /// Whether another kind of machine filled it. The one that asks is then a rare one.
        #[inline(always)]
        fn is_foreign(&self) -> bool {
            let is_foreign = self.order() != ByteOrder::NATIVE;
            if is_foreign {
                unlikely();
            }
            is_foreign
        }

        /// The field's bits, whatever they mean.
        #[inline(always)]
        fn extract(&self, field: &Field) -> Option<u64> {
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
            let little = matches!(self.order(), ByteOrder::Little);
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
        fn number(&self, field: &Field) -> u64 {
            self.present(field).value().unwrap_or_default()
        }

        /// The field's bits, if the returned length covers it.
        #[inline(always)]
        fn present(&self, field: &Field) -> Reading<u64> {
            if self.len() < field.min_len {
                return Reading::Absent;
            }
            match self.extract(field) {
                Some(raw) => Reading::Value(raw),
                None => Reading::Absent,
            }
        }
    }

    impl<const CAPACITY: usize> Raw for Kept<CAPACITY> {
        #[inline(always)]
        fn padded(&self) -> &[u8] {
            &self.bytes
        }

        #[inline(always)]
        fn len(&self) -> usize {
            usize::from(self.len)
        }

        #[inline(always)]
        fn order(&self) -> ByteOrder {
            self.order
        }

        #[inline(always)]
        fn hint(&self) -> u8 {
            self.hint
        }
    }

    impl Raw for Lent<'_> {
        #[inline(always)]
        fn padded(&self) -> &[u8] {
            self.bytes
        }

        #[inline(always)]
        fn len(&self) -> usize {
            self.bytes.len()
        }

        #[inline(always)]
        fn order(&self) -> ByteOrder {
            self.order
        }

        #[inline(always)]
        fn hint(&self) -> u8 {
            self.hint
        }
    }
}

/// The branch that leads here is not taken mostly.
#[cold]
const fn unlikely() {}

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
        #[derive(Clone, Copy)]
        pub struct $Name<B = $crate::native::Kept<$capacity>>(pub(crate) B);

        impl $Name {
            /// The most bytes that are asked for and kept.
            pub const CAPACITY: usize = $capacity;

            /// The length up to which this version of the crate knows the fields.
            pub const KNOWN_LEN: usize = $known;

            #[allow(dead_code, reason = "each system fills its own structure only")]
            pub(crate) const EMPTY: Self = Self($crate::native::Kept::EMPTY);

            /// Takes over a structure of this machine's byte order: any length, down to none.
            ///
            /// Bytes past [`CAPACITY`](Self::CAPACITY) are not kept.
            pub fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_bytes_in(bytes, $crate::native::ByteOrder::NATIVE)
            }

            /// Takes over a structure that was captured on a machine of the given byte order.
            pub fn from_bytes_in(bytes: &[u8], order: $crate::native::ByteOrder) -> Self {
                Self($crate::native::Kept::copy(bytes, order, 0))
            }
        }

        impl<B: $crate::native::Bytes> $Name<B> {
            /// A copy that holds its bytes itself, up to [`CAPACITY`](Self::CAPACITY) of them.
            #[inline]
            pub fn to_kept(&self) -> $Name {
                $Name($crate::native::Kept::copy(self.0.as_bytes(), self.0.order(), self.0.hint()))
            }

            /// The bytes as the kernel returned them.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// The length that the kernel returned.
            #[inline]
            pub fn returned_len(&self) -> usize {
                self.0.len()
            }

            /// The byte order of the machine that filled the structure.
            pub fn byte_order(&self) -> $crate::native::ByteOrder {
                self.0.order()
            }

            /// Bytes past the last field that this version of the crate knows.
            pub fn unknown_tail(&self) -> &[u8] {
                self.as_bytes().get($known..).unwrap_or_default()
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

        /// Equal if the bytes, their order and what is known of their kernel are.
        impl<B: $crate::native::Bytes, C: $crate::native::Bytes> PartialEq<$Name<C>> for $Name<B> {
            fn eq(&self, other: &$Name<C>) -> bool {
                self.0.order() == other.0.order()
                    && self.0.hint() == other.0.hint()
                    && self.0.as_bytes() == other.0.as_bytes()
            }
        }

        impl<B: $crate::native::Bytes> Eq for $Name<B> {}

        impl<B: $crate::native::Bytes> std::fmt::Debug for $Name<B> {
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
