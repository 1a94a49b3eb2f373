//! Text that grows at the end of a buffer: numbers, times and addresses without an allocation each.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sockdiag::End;

use crate::escape::is_treacherous;

mod word;

pub(crate) use word::Word;

/// Takes text at its end.
pub(crate) trait Put {
    /// As it is.
    fn put(&mut self, text: &str);

    /// Up to eight bytes of ASCII, the first the lowest; the others are zero.
    fn put_ascii(&mut self, bytes: u64, len: u32);

    #[inline]
    fn put_number(&mut self, number: u64) {
        match number {
            0..10 => self.put_ascii(u64::from(b'0') + number, 1),
            10..100_000_000 => {
                let digits = word::eight_digits(number);
                let zeros = digits.trailing_zeros() / 8;
                self.put_ascii((digits | ZEROS) >> (8 * zeros), 8 - zeros);
            }
            _ => self.put_large_number(number),
        }
    }

    #[cold]
    fn put_large_number(&mut self, number: u64) {
        self.put_number(number / 100_000_000);
        self.put_ascii(word::eight_digits(number % 100_000_000) | ZEROS, 8);
    }

    /// With exactly this many decimals, of a number of that fraction: 1234 with 2 is `12.34`.
    #[inline]
    fn put_decimal(&mut self, number: u64, decimals: u32) {
        let scale = 10_u64.pow(decimals);
        self.put_number(number / scale);
        if decimals > 0 {
            self.put_ascii(b'.'.into(), 1);
            let mut place = scale / 10;
            while place > 0 {
                self.put_ascii(u64::from(b'0') + number / place % 10, 1);
                place /= 10;
            }
        }
    }

    /// The number in units of the scale, rounded to three digits, of numbers from one unit on.
    #[inline]
    fn put_three_digits<const SCALE: u64>(&mut self, number: u64) {
        // Of three digits each range ends where rounding would make a fourth.
        let round = |unit: u64| number.saturating_add(unit / 2) / unit;
        let hundredths = round(SCALE / 100);
        if hundredths < 1_000 {
            return self.put_decimal(hundredths, 2);
        }
        let tenths = round(SCALE / 10);
        if tenths < 1_000 {
            return self.put_decimal(tenths, 1);
        }
        self.put_number(round(SCALE));
    }

    /// With three digits and the unit that suits: `412µs`, `3.41ms`, `12m05s`.
    #[inline]
    fn put_time(&mut self, time: Duration) {
        let micros = micros(time);
        match micros {
            0..1_000 => {
                self.put_number(micros);
                self.put("µs");
            }
            1_000..999_500 => {
                self.put_three_digits::<1_000>(micros);
                self.put("ms");
            }
            999_500..99_950_000 => {
                self.put_three_digits::<1_000_000>(micros);
                self.put("s");
            }
            _ => self.put_long_time(micros),
        }
    }

    #[cold]
    fn put_long_time(&mut self, micros: u64) {
        let seconds = micros.saturating_add(500_000) / 1_000_000;
        let (large, small, names) = match seconds {
            0..3_600 => (seconds / 60, seconds % 60, ("m", "s")),
            3_600..86_400 => (seconds / 3_600, seconds / 60 % 60, ("h", "m")),
            _ => (seconds / 86_400, seconds / 3_600 % 24, ("d", "h")),
        };
        self.put_number(large);
        self.put(names.0);
        self.put_ascii(u64::from(b'0') + small / 10, 1);
        self.put_ascii(u64::from(b'0') + small % 10, 1);
        self.put(names.1);
    }

    /// With all its digits: `412µs`, `3.413ms`, `12.5s`.
    fn put_exact_time(&mut self, time: Duration) {
        let micros = micros(time);
        let (mut number, mut decimals, unit) = match micros {
            0..1_000 => (micros, 0, "µs"),
            1_000..1_000_000 => (micros, 3, "ms"),
            _ => (micros, 6, "s"),
        };
        while decimals > 0 && number % 10 == 0 {
            number /= 10;
            decimals -= 1;
        }
        self.put_decimal(number, decimals);
        self.put(unit);
    }

    /// Whole up to four digits, else three digits in powers of a thousand: `1460`, `65.5kB`.
    #[inline]
    fn put_size(&mut self, bytes: u64) {
        match bytes {
            0..10_000 => self.put_number(bytes),
            10_000..999_500 => {
                self.put_three_digits::<1_000>(bytes);
                self.put("kB");
            }
            999_500..999_500_000 => {
                self.put_three_digits::<1_000_000>(bytes);
                self.put("MB");
            }
            999_500_000..999_500_000_000 => {
                self.put_three_digits::<1_000_000_000>(bytes);
                self.put("GB");
            }
            _ => {
                self.put_three_digits::<1_000_000_000_000>(bytes);
                self.put("TB");
            }
        }
    }
}

/// Eight times `0`.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn put_ascii(&mut self, bytes: u64, len: u32) {
        let end = self.len() + len as usize;
        // A copy of known length is an instruction, one of another length is a call.
        self.extend_from_slice(&bytes.to_le_bytes());
        self.truncate(end);
    }
}

/// Appends what may be long to a buffer of text.
pub(crate) trait PutText {
    /// What came from elsewhere, made harmless.
    fn put_escaped(&mut self, text: &str);

    /// With `0x` in front, for it may have no other letters.
    fn put_hex(&mut self, number: u64);

    /// Two digits each, with nothing in front or in between.
    fn put_bytes(&mut self, bytes: &[u8]);

    /// As `ss` writes it.
    fn put_end(&mut self, end: &End<'_>);

    fn put_ip(&mut self, address: &IpAddr);
}

impl PutText for Vec<u8> {
    fn put_escaped(&mut self, text: &str) {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.put(text);
        }
        for c in text.chars() {
            match c {
                '\t' => self.put("\\t"),
                '\r' => self.put("\\r"),
                '\n' => self.put("\\n"),
                c if is_treacherous(c) && c.is_ascii() => {
                    self.put("\\x");
                    let _ = write!(self, "{:02x}", u32::from(c));
                }
                c if is_treacherous(c) => {
                    let _ = write!(self, "\\u{{{:x}}}", u32::from(c));
                }
                c => self.put(c.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let _ = write!(self, "{byte:02x}");
        }
    }

    fn put_hex(&mut self, number: u64) {
        let mut digits = [0; 16];
        let mut start = digits.len();
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        self.put("0x");
        self.extend_from_slice(&digits[start..]);
    }

    #[inline]
    fn put_end(&mut self, end: &End<'_>) {
        match (end.addr(), end.interface()) {
            // The same, but faster.
            (SocketAddr::V4(four), None) if four.port() != 0 => {
                put_octets(four.ip().octets(), self);
                self.push(b':');
                self.put_number(u64::from(four.port()));
            }
            (_, None) => {
                let _ = write!(self, "{end}");
            }
            // Whoever makes an interface may call it anything.
            (_, Some(_)) => self.put_escaped(&end.to_string()),
        }
    }

    fn put_ip(&mut self, address: &IpAddr) {
        match address {
            IpAddr::V4(four) => put_octets(four.octets(), self),
            IpAddr::V6(six) => {
                let _ = write!(self, "{six}");
            }
        }
    }
}

fn put_octets(octets: [u8; 4], out: &mut Vec<u8>) {
    for (position, octet) in octets.into_iter().enumerate() {
        if position > 0 {
            out.push(b'.');
        }
        out.put_number(u64::from(octet));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        put(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn numbers_are_what_the_standard_library_writes() {
        let mut number = 1_u64;
        for step in 0..64 {
            for number in [number, number - 1, number + 1, 10_u64.pow(step % 20) - 1] {
                assert_eq!(text(|out| out.put_number(number)), number.to_string());
                assert_eq!(text(|out| out.put_hex(number)), format!("{number:#x}"));
            }
            number = number.wrapping_mul(3).max(1);
        }
        assert_eq!(text(|out| out.put_number(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn ends_are_what_the_library_writes() {
        for (address, interface) in [
            ("1.2.3.4:5", 0),
            ("255.255.255.255:65535", 0),
            ("127.0.0.1:80", 7),
            ("0.0.0.0:0", 0),
            ("[::1]:80", 0),
            ("[::]:80", 7),
            ("[fe80::1]:443", 3),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let mut bytes = [0; 72];
            bytes[4..6].copy_from_slice(&address.port().to_be_bytes());
            match address.ip() {
                IpAddr::V4(four) => {
                    bytes[0] = 2;
                    bytes[8..12].copy_from_slice(&four.octets());
                }
                IpAddr::V6(six) => {
                    bytes[0] = 10;
                    bytes[8..24].copy_from_slice(&six.octets());
                }
            }
            bytes[40] = interface;
            let entry = sockdiag::Entry::from_bytes(&bytes).unwrap();
            let end = entry.local_end(crate::interface::names());
            assert_eq!(text(|out| out.put_end(&end)), end.to_string());
            assert_eq!(text(|out| out.put_ip(&address.ip())), address.ip().to_string());
        }
    }

    #[test]
    fn times_keep_three_digits_across_the_units() {
        let cases = [
            (0, "0µs", "0µs"),
            (412, "412µs", "412µs"),
            (999, "999µs", "999µs"),
            (1_000, "1.00ms", "1ms"),
            (9_996, "10.0ms", "9.996ms"),
            (99_960, "100ms", "99.96ms"),
            (204_000, "204ms", "204ms"),
            (999_499, "999ms", "999.499ms"),
            (999_500, "1.00s", "999.5ms"),
            (12_340_000, "12.3s", "12.34s"),
            (99_949_999, "99.9s", "99.949999s"),
            (125_000_000, "2m05s", "125s"),
            (3_600_000_000, "1h00m", "3600s"),
            (190_000_000_000, "2d04h", "190000s"),
        ];
        for (micros, short, exact) in cases {
            let time = Duration::from_micros(micros);
            assert_eq!(text(|out| out.put_time(time)), short);
            assert_eq!(text(|out| out.put_exact_time(time)), exact);
        }
        assert_eq!(text(|out| out.put_time(Duration::MAX)), "213503982d08h");
    }

    #[test]
    fn sizes_keep_three_digits_across_the_units() {
        let cases = [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0kB"),
            (65_536, "65.5kB"),
            (999_499, "999kB"),
            (999_500, "1.00MB"),
            (5_920_000_000, "5.92GB"),
            (u64::MAX, "18446744TB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(text(|out| out.put_size(bytes)), expected);
        }
    }

    #[test]
    fn what_is_escaped_is_what_a_line_would_be() {
        for hostile in ["plain name", "\x1b[2J\x07", "a\nb\t\u{202e}c", "日本\u{9b}", "\x7f"] {
            assert_eq!(text(|out| out.put_escaped(hostile)), crate::escape::line(hostile));
        }
    }
}
