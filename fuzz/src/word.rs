//! Numbers in a structure's bytes, put together by hand.

use tcpinfo::{fields::Field, native::ByteOrder};

/// The field's number, if the bytes hold all of its word.
pub(crate) fn number(bytes: &[u8], order: ByteOrder, field: &Field) -> Option<u64> {
    let word = read(bytes.get(field.offset..field.offset + field.width)?, order);
    Some(match field.bits {
        None => word,
        Some(bits) => word >> low_bit(field, order) & ((1 << bits.len) - 1),
    })
}

pub(crate) fn read(bytes: &[u8], order: ByteOrder) -> u64 {
    let join = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    match order {
        ByteOrder::Big => bytes.iter().fold(0, join),
        ByteOrder::Little => bytes.iter().rev().fold(0, join),
    }
}

pub(crate) fn write(slot: &mut [u8], mut word: u64, order: ByteOrder) {
    let low_first = slot.iter_mut();
    let mut put = |byte: &mut u8| {
        *byte = word as u8;
        word >>= 8;
    };
    match order {
        ByteOrder::Little => low_first.for_each(&mut put),
        ByteOrder::Big => low_first.rev().for_each(&mut put),
    }
}

/// C compilers fill a word from its low end on little-endian machines, from its high end on others.
pub(crate) fn low_bit(field: &Field, order: ByteOrder) -> u32 {
    let Some(bits) = field.bits else { return 0 };
    match order {
        ByteOrder::Little => bits.shift,
        ByteOrder::Big => 8 * field.width as u32 - bits.shift - bits.len,
    }
}

/// The same numbers as a machine of the other byte order would hold them, or `None` if the bytes end
/// inside a word. Bytes that no field names stay as they are.
pub(crate) fn mirrored<'a>(
    bytes: &[u8],
    order: ByteOrder,
    fields: impl Iterator<Item = &'a Field> + Clone,
) -> Option<Vec<u8>> {
    let other = other(order);
    let mut out = bytes.to_vec();
    let whole = fields.clone().filter(|field| field.bits.is_none() && field.width > 1);
    for field in whole {
        if (field.offset + 1..field.offset + field.width).contains(&bytes.len()) {
            return None;
        }
        let Some(word) = number(bytes, order, field) else { continue };
        write(&mut out[field.offset..field.offset + field.width], word, other);
    }
    let parts = || fields.clone().filter(|field| field.bits.is_some());
    for field in parts() {
        if (field.offset + 1..field.offset + field.width).contains(&bytes.len()) {
            return None;
        }
        let Some(slot) = out.get_mut(field.offset..field.offset + field.width) else { continue };
        let word = parts()
            .filter(|part| part.offset == field.offset)
            .map(|part| number(bytes, order, part).unwrap_or_default() << low_bit(part, other))
            .fold(0, |word, part| word | part);
        write(slot, word, other);
    }
    Some(out)
}

pub(crate) fn other(order: ByteOrder) -> ByteOrder {
    match order {
        ByteOrder::Little => ByteOrder::Big,
        ByteOrder::Big => ByteOrder::Little,
    }
}
