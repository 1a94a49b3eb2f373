//! A short text that is made in registers.

use super::Put;

/// A text of up to 16 bytes, the first the lowest.
///
/// What was just written to memory in small parts cannot be read back as a whole before it has got there,
/// so a cell whose width decides where it is written costs several times as much as one that never was in
/// memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    bytes: u128,
    len: u32,
    /// How many places of a terminal's line it takes.
    width: u32,
}

impl Word {
    const CAPACITY: u32 = u128::BITS / 8;

    /// Whether all that was put into it is there.
    #[inline]
    pub(crate) const fn is_whole(&self) -> bool {
        self.len <= Self::CAPACITY
    }

    #[inline]
    pub(crate) const fn width(&self) -> usize {
        self.width as usize
    }

    /// Appends it to a buffer.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len.min(Self::CAPACITY) as usize;
        // A copy of known length is two instructions, one of another length is a call.
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.truncate(end);
    }

    #[inline(always)]
    fn push(&mut self, bytes: u64, len: u32) {
        self.bytes |= u128::from(bytes).checked_shl(8 * self.len).unwrap_or_default();
        self.len += len;
    }
}

impl Put for Word {
    #[inline(always)]
    fn put(&mut self, text: &str) {
        for byte in text.bytes() {
            self.push(byte.into(), 1);
            // All but the bytes within a character.
            self.width += u32::from(byte & 0xc0 != 0x80);
        }
    }

    #[inline(always)]
    fn put_ascii(&mut self, bytes: u64, len: u32) {
        self.push(bytes, len);
        self.width += len;
    }
}

/// The eight digits of a number below 10⁸, zeros in front included, as numbers 0 to 9, the first the
/// lowest byte.
#[inline]
pub(super) const fn eight_digits(number: u64) -> u64 {
    // Two numbers of four digits, four of two, eight of one; products and shifts instead of divisions,
    // exact for numbers as small as these.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 5_243) >> 19) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x0f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &Word) -> String {
        let mut bytes = b"before ".to_vec();
        word.append_to(&mut bytes);
        String::from_utf8(bytes.split_off(7)).unwrap()
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in (0..100_000_000).step_by(7_919).chain(0..20_000).chain([99_999_999]) {
            let digits = eight_digits(number).to_le_bytes().map(|digit| (b'0' + digit) as char);
            assert_eq!(String::from_iter(digits), format!("{number:08}"));
        }
    }

    #[test]
    fn a_word_is_what_was_put_into_it_if_it_is_whole() {
        let mut word = Word::default();
        for (put, all, width) in [
            ("", "", 0),
            ("45", "45", 2),
            ("µs", "45µs", 4),
            (" 日本", "45µs 日本", 7),
            ("1234", "45µs 日本1234", 11),
        ] {
            word.put(put);
            assert!(word.is_whole() || all.len() > 16);
            if word.is_whole() {
                assert_eq!((text(&word).as_str(), word.width()), (all, width));
            }
        }
        let mut word = Word::default();
        word.put_number(1_234_567_890_123_456);
        assert_eq!((word.is_whole(), text(&word).as_str()), (true, "1234567890123456"));
        word.put_number(7);
        assert!(!word.is_whole());
        word.put_number(u64::MAX);
        assert!(!word.is_whole());
    }
}
