//! Certificates: any bytes, ones that are whole, and ones that were damaged.

use std::{fmt::Write as _, net::IpAddr};

use crate::{
    input::Input,
    x509::{AltName, Certificate},
};

/// Which of the three; then what it is made of.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => is_bounded(input.rest()),
        1 => {
            let wanted = Wanted::new(&mut input);
            let found = Certificate::parse(&wanted.encode()).expect("it is whole");
            wanted.is(&found);
        }
        _ => {
            let mut der = Wanted::new(&mut input).encode();
            for _ in 0..=input.byte() % 8 {
                let place = input.cut() % der.len();
                der[place] = input.byte();
            }
            der.truncate(der.len() - usize::from(input.byte()) % der.len() / 16);
            is_bounded(&der);
        }
    }
}

/// What is read is never much more than what was there, and all of it can be shown.
fn is_bounded(der: &[u8]) {
    let Some(found) = Certificate::parse(der) else { return };
    let mut held = found.serial.len() + found.signature.len() + found.key.algorithm.len();
    for name in [&found.subject, &found.issuer] {
        held += name.0.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        assert!(
            name.line().len()
                <= name.0.iter().fold(0, |sum, (k, v)| sum + k.len() + 2 * v.len() + 3)
        );
        assert_eq!(name.common_name().is_some(), name.0.iter().any(|(key, _)| key == "CN"));
    }
    held += found.names.iter().map(|name| 1 + content(name).len()).sum::<usize>();
    assert!(held <= 8 * der.len() + 64, "{held} bytes from {}", der.len());
    assert!(found.key.bits.is_none_or(|bits| bits <= 8 * der.len()));
    for time in [found.not_before, found.not_after].into_iter().flatten() {
        assert!((FIRST_SECOND..=LAST_SECOND).contains(&time.unix()));
        assert_eq!(time.to_string().len(), 20);
        assert!(time.to_string().starts_with(&time.date()));
    }
}

fn content(name: &AltName) -> Vec<u8> {
    match name {
        AltName::Dns(name) | AltName::Email(name) | AltName::Uri(name) => name.clone(),
        AltName::Ip(IpAddr::V4(ip)) => ip.octets().to_vec(),
        AltName::Ip(IpAddr::V6(ip)) => ip.octets().to_vec(),
    }
}

/// What a certificate is to say.
struct Wanted {
    serial: Vec<u8>,
    issuer: Vec<(usize, Vec<u8>)>,
    subject: Vec<(usize, Vec<u8>)>,
    times: [i64; 2],
    names: Vec<(u8, Vec<u8>)>,
    /// Bytes of an RSA modulus without a leading zero; none for an elliptic curve.
    modulus: usize,
    is_authority: bool,
}

impl Wanted {
    fn new(input: &mut Input<'_>) -> Self {
        let text = |input: &mut Input<'_>| {
            let length = usize::from(input.byte());
            input.bytes(length).to_vec()
        };
        let name = |input: &mut Input<'_>| {
            (0..input.byte() % 4)
                .map(|_| (usize::from(input.byte()) % ATTRIBUTES.len(), text(input)))
                .collect()
        };
        Self {
            serial: text(input),
            issuer: name(input),
            subject: name(input),
            times: [0, 1].map(|_| {
                let number = input.bytes(6).iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
                FIRST_SECOND + number % (LAST_SECOND - FIRST_SECOND + 1)
            }),
            names: (0..input.byte() % 6)
                .map(|_| {
                    let (kind, mut value) = (input.byte() % 9, text(input));
                    if kind == 7 {
                        value.resize(if value.len() % 2 == 0 { 4 } else { 16 }, 1);
                    }
                    (kind, value)
                })
                .collect(),
            modulus: usize::from(input.byte()) * 2,
            is_authority: input.byte() & 1 == 1,
        }
    }

    fn is(&self, found: &Certificate) {
        assert_eq!(found.serial, self.serial);
        for (name, wanted) in [(&found.issuer, &self.issuer), (&found.subject, &self.subject)] {
            assert_eq!(name.0.len(), wanted.len());
            for ((key, value), (attribute, text)) in name.0.iter().zip(wanted) {
                assert_eq!(key, ATTRIBUTES[*attribute].1);
                assert_eq!(value, text);
            }
        }
        for (time, wanted) in [found.not_before, found.not_after].into_iter().zip(self.times) {
            assert_eq!(time.expect("it is a time").unix(), wanted);
        }
        let shown = self.names.iter().filter(|(kind, _)| [1, 2, 6, 7].contains(kind));
        assert_eq!(found.names.len(), shown.clone().count());
        for (name, (_, wanted)) in found.names.iter().zip(shown) {
            assert_eq!(content(name), *wanted);
        }
        match self.modulus {
            0 => assert_eq!(found.key.algorithm, "ECDSA P-256"),
            length => assert_eq!(found.key.bits, Some(8 * length - 7)),
        }
        assert_eq!(found.is_authority, self.is_authority);
        assert_eq!(found.signature, "sha256WithRSAEncryption");
    }

    fn encode(&self) -> Vec<u8> {
        let signature = sequence(&element(6, SHA256_WITH_RSA));
        let name = |attributes: &[(usize, Vec<u8>)]| {
            let sets = attributes.iter().map(|(attribute, text)| {
                let pair = [element(6, ATTRIBUTES[*attribute].0), element(12, text)].concat();
                element(0x31, &sequence(&pair))
            });
            sequence(&sets.collect::<Vec<_>>().concat())
        };
        let times = self.times.map(|time| element(0x18, generalized(time).as_bytes())).concat();
        let key = match self.modulus {
            0 => {
                let algorithm = [element(6, ELLIPTIC), element(6, P_256)].concat();
                [sequence(&algorithm), element(3, &[0, 4, 1, 2])].concat()
            }
            length => {
                let mut modulus = vec![0; length + 1];
                modulus[1] = 1;
                let numbers = [element(2, &modulus), element(2, &[3])].concat();
                let bits = [&[0], sequence(&numbers).as_slice()].concat();
                [sequence(&element(6, RSA)), element(3, &bits)].concat()
            }
        };
        let names = self.names.iter().map(|(kind, value)| element(0x80 | kind, value));
        let names = sequence(&names.collect::<Vec<_>>().concat());
        let authority: &[u8] = if self.is_authority { &[1, 1, 0xff] } else { &[] };
        let extensions = [
            // Critical, as this one often is.
            sequence(
                &[
                    element(6, &[0x55, 29, 19]),
                    element(1, &[0xff]),
                    element(4, &sequence(authority)),
                ]
                .concat(),
            ),
            sequence(&[element(6, &[0x55, 29, 17]), element(4, &names)].concat()),
        ]
        .concat();
        let body = [
            element(0xa0, &element(2, &[2])),
            element(2, &self.serial),
            signature.clone(),
            name(&self.issuer),
            sequence(&times),
            name(&self.subject),
            sequence(&key),
            element(0xa3, &sequence(&extensions)),
        ]
        .concat();
        sequence(&[sequence(&body), signature, element(3, &[0])].concat())
    }
}

fn sequence(content: &[u8]) -> Vec<u8> {
    element(0x30, content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..128 => vec![tag, length as u8],
        128..256 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), content].concat()
}

/// The calendar, walked through year by year and month by month.
fn generalized(time: i64) -> String {
    let (mut days, second) =
        (time.div_euclid(86_400) - FIRST_SECOND / 86_400, time.rem_euclid(86_400));
    let is_leap = |year: i64| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let mut year = 0;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let mut text = String::new();
    let _ = write!(text, "{year:04}{:02}{:02}", month + 1, days + 1);
    let _ = write!(text, "{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60);
    text
}

/// The first second of the year 0, and the last of 9999, as `date -u +%s` tells them.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;
const SHA256_WITH_RSA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 1, 11];
const RSA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 1, 1];
const ELLIPTIC: &[u8] = &[42, 134, 72, 206, 61, 2, 1];
const P_256: &[u8] = &[42, 134, 72, 206, 61, 3, 1, 7];
const ATTRIBUTES: [(&[u8], &str); 5] = [
    (&[85, 4, 3], "CN"),
    (&[85, 4, 10], "O"),
    (&[85, 4, 6], "C"),
    (&[9, 146, 38, 137, 147, 242, 44, 100, 1, 25], "DC"),
    (&[85, 4, 13], "2.5.4.13"),
];
