//! What a certificate says of itself (RFC 5280), read from bytes that nobody vouches for.
//!
//! Text stays as it was sent, so that whoever shows it must make it harmless. Nothing here decides
//! about trust, and what is left out of a certificate or broken in it is absent.

mod der;
mod oid;
mod time;

use std::net::IpAddr;

use der::{
    BIT_STRING, BMP_STRING, BOOLEAN, Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader,
    SEQUENCE, SET, TELETEX_STRING, UNIVERSAL_STRING, constructed, context,
};
pub(crate) use time::{DAY, Time};

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) subject: Name,
    pub(crate) issuer: Name,
    /// As the certificate holds it, most significant byte first.
    pub(crate) serial: Vec<u8>,
    /// Absent if it is not a time that RFC 5280 allows.
    pub(crate) not_before: Option<Time>,
    pub(crate) not_after: Option<Time>,
    pub(crate) key: Key,
    /// What the issuer signed with.
    pub(crate) signature: String,
    /// The names that the certificate is good for.
    pub(crate) names: Vec<AltName>,
    /// Whether it may sign other certificates.
    pub(crate) is_authority: bool,
    /// Whether it is meant for servers, or says nothing of what it is meant for.
    pub(crate) may_serve: bool,
}

/// Attributes and their values, in the certificate's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Vec<(String, Vec<u8>)>);

/// A public key, as far as one can compare it with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) algorithm: String,
    pub(crate) bits: Option<usize>,
}

/// One of the subject's alternative names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AltName {
    Dns(Vec<u8>),
    Ip(IpAddr),
    Email(Vec<u8>),
    Uri(Vec<u8>),
}

impl Certificate {
    /// Reads the outer form of a certificate, which must be whole, and what is within.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let mut outer = Reader::new(der).enter(SEQUENCE)?;
        let mut body = outer.enter(SEQUENCE)?;
        let signature = outer.enter(SEQUENCE)?.value(OBJECT_IDENTIFIER)?;

        // The version follows from what else is there.
        body.value(constructed(0));
        let serial = body.value(INTEGER)?.to_vec();
        body.value(SEQUENCE)?;
        let issuer = Name::of(body.enter(SEQUENCE)?);
        let mut validity = body.enter(SEQUENCE)?;
        let (not_before, not_after) = (validity.next()?, validity.next()?);
        let subject = Name::of(body.enter(SEQUENCE)?);
        let key = Key::of(body.enter(SEQUENCE)?)?;
        let mut certificate = Self {
            subject,
            issuer,
            serial,
            not_before: Time::of(not_before),
            not_after: Time::of(not_after),
            key,
            signature: oid::signature(signature),
            names: Vec::new(),
            is_authority: false,
            may_serve: true,
        };
        let extensions = body.find(|element| element.tag == constructed(3));
        let extensions =
            extensions.and_then(|element| Reader::new(element.content).enter(SEQUENCE));
        for extension in extensions.into_iter().flatten() {
            certificate.extend(extension);
        }
        Some(certificate)
    }

    fn extend(&mut self, extension: Element<'_>) -> Option<()> {
        let mut parts = Reader::new(extension.content);
        let kind = parts.value(OBJECT_IDENTIFIER)?;
        parts.value(BOOLEAN);
        if kind == oid::EXTENDED_KEY_USAGE {
            // Unless it says so below.
            self.may_serve = false;
        }
        let mut value = Reader::new(parts.value(OCTET_STRING)?).enter(SEQUENCE)?;
        match kind {
            oid::SUBJECT_ALT_NAME => self.names.extend(value.filter_map(AltName::of)),
            oid::BASIC_CONSTRAINTS => {
                self.is_authority = value.value(BOOLEAN).is_some_and(|flag| flag != [0]);
            }
            oid::EXTENDED_KEY_USAGE => {
                self.may_serve = value.any(|purpose| {
                    purpose.tag == OBJECT_IDENTIFIER && purpose.content == oid::SERVER_AUTH
                });
            }
            _ => {}
        }
        Some(())
    }
}

impl Name {
    /// The value of the last common name, which is the most specific one.
    pub(crate) fn common_name(&self) -> Option<&[u8]> {
        self.0.iter().rfind(|(key, _)| key == oid::COMMON_NAME).map(|(_, value)| value.as_slice())
    }

    /// The value of the first attribute of this kind.
    pub(crate) fn attribute(&self, kind: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == kind).map(|(_, value)| value.as_slice())
    }

    /// All of it in one line, `CN=example.com, O=Example`, so that no value can pose as another
    /// attribute (RFC 4514, section 2.4).
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        for (position, (key, value)) in self.0.iter().enumerate() {
            if position > 0 {
                line.extend_from_slice(b", ");
            }
            line.extend_from_slice(key.as_bytes());
            line.push(b'=');
            for byte in value {
                if b",+\"\\<>;=".contains(byte) {
                    line.push(b'\\');
                }
                line.push(*byte);
            }
        }
        line
    }

    fn of(sets: Reader<'_>) -> Self {
        let sets = sets.filter(|set| set.tag == SET);
        let attributes = sets.flat_map(|set| Reader::new(set.content)).filter_map(|attribute| {
            let mut parts = Reader::new(attribute.content);
            let kind = parts.value(OBJECT_IDENTIFIER)?;
            Some((oid::attribute(kind), text(parts.next()?)))
        });
        Self(attributes.collect())
    }
}

impl Key {
    fn of(mut parts: Reader<'_>) -> Option<Self> {
        let mut algorithm = parts.enter(SEQUENCE)?;
        let kind = algorithm.value(OBJECT_IDENTIFIER)?;
        // The first byte tells how many bits of the last do not count.
        let bits = parts.value(BIT_STRING)?.split_first().map(|(_, bits)| bits);
        if oid::RSA.contains(&kind) {
            let modulus = bits.and_then(|bits| Reader::new(bits).enter(SEQUENCE)?.value(INTEGER));
            return Some(Self { algorithm: oid::key(kind), bits: modulus.map(bit_length) });
        }
        if kind == oid::ELLIPTIC {
            let curve = algorithm.value(OBJECT_IDENTIFIER).map_or_else(
                || "elliptic curve of its own".to_owned(),
                |curve| format!("ECDSA {}", oid::key(curve)),
            );
            return Some(Self { algorithm: curve, bits: None });
        }
        Some(Self { algorithm: oid::key(kind), bits: None })
    }
}

impl AltName {
    /// RFC 5280, section 4.2.1.6. The kinds that no HTTP client looks at are left out.
    fn of(element: Element<'_>) -> Option<Self> {
        const EMAIL: u8 = context(1);
        const DNS: u8 = context(2);
        const URI: u8 = context(6);
        const IP: u8 = context(7);

        let content = element.content;
        Some(match element.tag {
            EMAIL => Self::Email(content.to_vec()),
            DNS => Self::Dns(content.to_vec()),
            URI => Self::Uri(content.to_vec()),
            IP => Self::Ip(match content.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(content).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(content).ok()?),
            }),
            _ => return None,
        })
    }
}

/// A string of one of the many kinds as UTF-8, as far as its sender kept to the kind.
fn text(element: Element<'_>) -> Vec<u8> {
    let content = element.content;
    let wide = |width: usize| {
        let units = content.chunks(width).map(|unit| {
            let unit = unit.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        units.collect::<String>().into_bytes()
    };
    match element.tag {
        // In theory a code with shifts; in practice Latin-1.
        TELETEX_STRING => wide(1),
        BMP_STRING => wide(2),
        UNIVERSAL_STRING => wide(4),
        _ => content.to_vec(),
    }
}

fn bit_length(number: &[u8]) -> usize {
    let mut digits = number.iter().skip_while(|digit| **digit == 0);
    let Some(first) = digits.next() else { return 0 };
    digits.count() * 8 + (8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests;
