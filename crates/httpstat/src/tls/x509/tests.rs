use std::net::Ipv6Addr;

use proptest::{collection::vec, prelude::*};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, SanType, date_time_ymd,
};

use super::*;
use crate::tls::backend;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(0x0bad_cafe_u64.into());
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    params.self_signed(&backend::Key::generate().unwrap()).unwrap().der().to_vec()
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84], length.as_slice(), content].concat()
}

#[test]
fn what_was_put_in_comes_out() {
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, "example.com");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CountryName, "GR");
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2051, 1, 2);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names = vec![
            SanType::DnsName("example.com".try_into().unwrap()),
            SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
            SanType::Rfc822Name("me@example.com".try_into().unwrap()),
            SanType::URI("spiffe://example/a".try_into().unwrap()),
        ];
    });
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.subject.line(), b"CN=example.com, O=Example\\, Inc., C=GR");
    assert_eq!(certificate.subject.common_name(), Some(b"example.com".as_slice()));
    assert_eq!(certificate.subject, certificate.issuer);
    assert_eq!(certificate.serial, [0x0b, 0xad, 0xca, 0xfe]);
    assert_eq!(certificate.not_before.unwrap().to_string(), "2024-02-29T00:00:00Z");
    assert_eq!(certificate.not_after.unwrap().to_string(), "2051-01-02T00:00:00Z");
    assert_eq!(certificate.key, Key { algorithm: "ECDSA P-256".to_owned(), bits: None });
    assert_eq!(certificate.signature, "ecdsa-with-SHA256");
    assert!(certificate.is_authority);
    assert_eq!(
        certificate.names,
        [
            AltName::Dns(b"example.com".to_vec()),
            AltName::Ip(Ipv6Addr::LOCALHOST.into()),
            AltName::Email(b"me@example.com".to_vec()),
            AltName::Uri(b"spiffe://example/a".to_vec()),
        ]
    );
}

#[test]
fn a_certificate_without_extensions_has_no_names() {
    let certificate = Certificate::parse(&made(|_| {})).unwrap();
    assert_eq!(certificate.names, []);
    assert!(!certificate.is_authority);
    assert_eq!(certificate.subject.line(), b"");
    assert_eq!(certificate.subject.common_name(), None);
}

#[test]
fn no_value_poses_as_another_attribute() {
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, "a, O=Bank + \"x\"\\");
    });
    let line = Certificate::parse(&der).unwrap().subject.line();
    assert_eq!(line, b"CN=a\\, O\\=Bank \\+ \\\"x\\\"\\\\");
}

#[test]
fn strings_of_old_kinds_become_utf_8() {
    let decode = |tag, content: &[u8]| text(Element { tag, content });
    assert_eq!(decode(TELETEX_STRING, b"Z\xfcrich"), "Zürich".as_bytes());
    assert_eq!(decode(BMP_STRING, &[0x03, 0xa9, 0, b'x']), "Ωx".as_bytes());
    assert_eq!(decode(UNIVERSAL_STRING, &[0, 1, 0xf6, 0]), "😀".as_bytes());
    assert_eq!(decode(BMP_STRING, &[0xd8, 0, 7]), "\u{fffd}\u{7}".as_bytes());
    assert_eq!(decode(0x0c, b"\xff\0\x1b"), b"\xff\0\x1b");
}

#[test]
fn the_size_of_an_rsa_key_is_that_of_its_modulus() {
    let key = |modulus: &[u8]| {
        let numbers = [element(INTEGER, modulus), element(INTEGER, &[1, 0, 1])].concat();
        let bits = [&[0], element(SEQUENCE, &numbers).as_slice()].concat();
        let algorithm = element(SEQUENCE, &element(OBJECT_IDENTIFIER, oid::RSA[0]));
        let parts = [algorithm, element(BIT_STRING, &bits)].concat();
        let key = Key::of(Reader::new(&parts)).unwrap();
        (key.algorithm, key.bits)
    };
    let bits = |number| ("RSA".to_owned(), Some(number));
    assert_eq!(key(&[[0, 0x80].as_slice(), &[0; 255]].concat()), bits(2_048));
    assert_eq!(key(&[1, 0]), bits(9));
    assert_eq!(key(&[0]), bits(0));
    assert_eq!(key(&[]), bits(0));
}

#[test]
fn a_time_that_is_none_hides_nothing_else() {
    let mut der = made(|params| params.not_after = date_time_ymd(2051, 1, 2));
    let place = der.windows(8).position(|window| window == b"20510102").unwrap();
    der[place..place + 8].copy_from_slice(b"20511302");
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.not_after, None);
    assert!(certificate.not_before.is_some());
}

/// Broken at every place in every way, a certificate is read or not, and nothing else happens.
#[test]
fn damage_is_survived() {
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, "example.com");
        params.subject_alt_names = vec![SanType::DnsName("example.com".try_into().unwrap())];
    });
    for end in 0..der.len() {
        assert_eq!(Certificate::parse(&der[..end]), None);
    }
    for place in 0..der.len() {
        for byte in 0..=255 {
            let mut broken = der.clone();
            broken[place] = byte;
            if let Some(certificate) = Certificate::parse(&broken) {
                let held: usize = certificate.names.len() + certificate.subject.line().len();
                assert!(held < 8 * der.len());
            }
        }
    }
}

/// What is no certificate at all, from nothing to something that is deep and wide.
#[test]
fn garbage_is_no_certificate() {
    assert_eq!(Certificate::parse(&[]), None);
    assert_eq!(Certificate::parse(&[0x30; 100_000]), None);
    assert_eq!(Certificate::parse(&[0xff; 100_000]), None);
    let mut deep = Vec::new();
    for _ in 0..2_000 {
        deep = element(SEQUENCE, &deep);
    }
    assert_eq!(Certificate::parse(&deep), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_certificate_or_not(bytes in vec(any::<u8>(), 0..2_000)) {
        let _ = Certificate::parse(&bytes);
        let _ = Certificate::parse(&element(SEQUENCE, &element(SEQUENCE, &bytes)));
    }

    #[test]
    fn values_of_any_bytes_come_out_as_they_went_in(
        values in vec((any::<bool>(), vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let sets = values.iter().map(|(is_common_name, value)| {
            let kind = [0x55, 4, if *is_common_name { 3 } else { 10 }];
            let pair = [element(OBJECT_IDENTIFIER, &kind), element(0x0c, value)].concat();
            element(SET, &element(SEQUENCE, &pair))
        });
        let sets = sets.collect::<Vec<_>>().concat();
        let name = Name::of(Reader::new(&sets));
        let keys = values.iter().map(|(is_common_name, value)| {
            (if *is_common_name { "CN" } else { "O" }.to_owned(), value.clone())
        });
        prop_assert_eq!(&name.0, &keys.collect::<Vec<_>>());
        let last = values.iter().rfind(|(is_common_name, _)| *is_common_name);
        prop_assert_eq!(name.common_name(), last.map(|(_, value)| value.as_slice()));
        // What separates attributes occurs nowhere else.
        let line = name.line();
        let separators = line.iter().enumerate().filter(|(place, byte)| {
            let escapes = line[..*place].iter().rev().take_while(|byte| **byte == b'\\').count();
            **byte == b'=' && escapes % 2 == 0
        });
        prop_assert_eq!(separators.count(), values.len());
    }

    #[test]
    fn several_damages_are_survived(places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..9)) {
        let mut der = made(|params| {
            params.subject_alt_names = vec![SanType::DnsName("example.com".try_into().unwrap())];
        });
        for (place, byte) in places {
            let place = place.index(der.len());
            der[place] = byte;
        }
        let _ = Certificate::parse(&der);
    }
}
