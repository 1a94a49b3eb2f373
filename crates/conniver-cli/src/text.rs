//! Text that grows at the end of a buffer: numbers, times and addresses without an allocation each.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sockdiag::End;

use crate::escape::is_treacherous;

/// Appends to a buffer of text.
pub(crate) trait Put {
    /// As it is.
    fn put(&mut self, text: &str);

    /// What came from elsewhere, made harmless.
    fn put_escaped(&mut self, text: &str);

    fn put_number(&mut self, number: u64);

    /// With `0x` in front, for it may have no other letters.
    fn put_hex(&mut self, number: u64);

    /// With exactly this many decimals, of a number of that fraction: 1234 with 2 is `12.34`.
    fn put_decimal(&mut self, number: u64, decimals: u32);

    /// With three digits and the unit that suits: `412µs`, `3.41ms`, `12m05s`.
    fn put_time(&mut self, time: Duration);

    /// With all its digits: `412µs`, `3.413ms`, `12.5s`.
    fn put_exact_time(&mut self, time: Duration);

    /// Whole up to four digits, else three digits in powers of a thousand: `1460`, `65.5kB`.
    fn put_size(&mut self, bytes: u64);

    /// As `ss` writes it.
    fn put_end(&mut self, end: &End<'_>);

    fn put_ip(&mut self, address: &IpAddr);
}

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

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

    #[inline]
    fn put_number(&mut self, mut number: u64) {
        if number < 10 {
            return self.push(b'0' + number as u8);
        }
        let mut digits = [0; 20];
        let mut start = digits.len();
        while number >= 100 {
            let pair = (number % 100) as usize;
            number /= 100;
            start -= 2;
            digits[start..start + 2].copy_from_slice(&PAIRS[2 * pair..2 * pair + 2]);
        }
        if number >= 10 {
            let pair = number as usize;
            start -= 2;
            digits[start..start + 2].copy_from_slice(&PAIRS[2 * pair..2 * pair + 2]);
        } else {
            start -= 1;
            digits[start] = b'0' + number as u8;
        }
        self.extend_from_slice(&digits[start..]);
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

    fn put_decimal(&mut self, number: u64, decimals: u32) {
        let scale = 10_u64.pow(decimals);
        self.put_number(number / scale);
        if decimals > 0 {
            self.push(b'.');
            let mut place = scale / 10;
            while place > 0 {
                self.push(b'0' + (number / place % 10) as u8);
                place /= 10;
            }
        }
    }

    fn put_time(&mut self, time: Duration) {
        let micros = micros(time);
        match micros {
            0..1_000 => {
                self.put_number(micros);
                self.put("µs");
            }
            1_000..999_500 => {
                self.put_three_digits(micros, 1_000);
                self.put("ms");
            }
            999_500..99_950_000 => {
                self.put_three_digits(micros, 1_000_000);
                self.put("s");
            }
            _ => {
                let seconds = micros.saturating_add(500_000) / 1_000_000;
                let (large, small, names) = match seconds {
                    0..3_600 => (seconds / 60, seconds % 60, ("m", "s")),
                    3_600..86_400 => (seconds / 3_600, seconds / 60 % 60, ("h", "m")),
                    _ => (seconds / 86_400, seconds / 3_600 % 24, ("d", "h")),
                };
                self.put_number(large);
                self.put(names.0);
                self.push(b'0' + (small / 10) as u8);
                self.push(b'0' + (small % 10) as u8);
                self.put(names.1);
            }
        }
    }

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

    fn put_size(&mut self, bytes: u64) {
        let (scale, unit) = match bytes {
            0..10_000 => return self.put_number(bytes),
            10_000..999_500 => (1_000, "kB"),
            999_500..999_500_000 => (1_000_000, "MB"),
            999_500_000..999_500_000_000 => (1_000_000_000, "GB"),
            _ => (1_000_000_000_000, "TB"),
        };
        self.put_three_digits(bytes, scale);
        self.put(unit);
    }

    #[inline]
    fn put_end(&mut self, end: &End<'_>) {
        match (end.addr(), end.interface()) {
            // The same, but faster.
            (SocketAddr::V4(four), None) if four.port() != 0 => {
                self.put_octets(four.ip().octets());
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
            IpAddr::V4(four) => self.put_octets(four.octets()),
            IpAddr::V6(six) => {
                let _ = write!(self, "{six}");
            }
        }
    }
}

trait PutParts {
    fn put_octets(&mut self, octets: [u8; 4]);

    /// The number in units of the scale, rounded to three digits, of numbers from one unit on.
    fn put_three_digits(&mut self, number: u64, scale: u64);
}

impl PutParts for Vec<u8> {
    fn put_octets(&mut self, octets: [u8; 4]) {
        for (position, octet) in octets.into_iter().enumerate() {
            if position > 0 {
                self.push(b'.');
            }
            self.put_number(u64::from(octet));
        }
    }

    fn put_three_digits(&mut self, number: u64, scale: u64) {
        // Of three digits each range ends where rounding would make a fourth.
        let round = |unit: u64| number.saturating_add(unit / 2) / unit;
        let hundredths = round(scale / 100);
        if hundredths < 1_000 {
            return self.put_decimal(hundredths, 2);
        }
        let tenths = round(scale / 10);
        if tenths < 1_000 {
            return self.put_decimal(tenths, 1);
        }
        self.put_number(round(scale));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The numbers 00 to 99.
static PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[2 * number] = b'0' + number as u8 / 10;
        pairs[2 * number + 1] = b'0' + number as u8 % 10;
        number += 1;
    }
    pairs
};

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
