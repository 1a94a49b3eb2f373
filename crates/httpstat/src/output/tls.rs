//! What TLS made known, and the certificates in words.

use serde::{Serialize, Serializer};

use super::{
    View,
    pretty::{ABSENT, DOT, flow},
    style::{BAD, paint},
};
use crate::{
    escape,
    hop::Hop,
    tls::{Authority, Chain, ClientCertificate, EarlyData, Handshake, Seen, Session, hex, x509},
    units,
};

/// The lines for a person.
pub(super) fn lines(hop: &Hop, view: &View) -> String {
    let Some(tls) = &hop.tls else { return String::new() };
    let mut text = agreed(tls, view);
    let mut chain = tls.chain.seen();
    if let Some(leaf) = chain.next() {
        text.push_str(&brief(&leaf, view));
        if view.verbose {
            text.push_str(&full(&leaf, view));
            for (number, seen) in chain.enumerate() {
                text.push_str(&heading(number + 2, &seen, view));
                text.push_str(&full(&seen, view));
            }
        }
        text.push_str(&warnings(&leaf));
    }
    if tls.checked_against == Authority::Nobody {
        text.push_str(&warning("the certificate was not checked (-k)"));
    }
    text
}

fn agreed(tls: &Session, view: &View) -> String {
    let mut facts = Vec::new();
    if let Some(version) = &tls.version {
        let or_absent = |fact: &Option<String>| fact.clone().unwrap_or_else(|| ABSENT.to_owned());
        facts.push(("", version.clone()));
        facts.push(("", or_absent(&tls.cipher)));
        facts.push(("", or_absent(&tls.group)));
        facts.push(("ALPN", tls.alpn.as_deref().map_or_else(|| ABSENT.to_owned(), escape::text)));
    }
    let kind = match tls.handshake {
        Some(Handshake::Full) => view.verbose.then_some("full handshake"),
        Some(Handshake::FullWithRetry) => Some("full handshake with a retry"),
        Some(Handshake::Resumed) => Some("resumed"),
        None => None,
    };
    let early = tls.early_data.map(|early| match early {
        EarlyData::Offered => "early data offered",
        EarlyData::Accepted => "early data accepted",
        EarlyData::Rejected => "early data rejected",
    });
    let client = tls.client_certificate.map(|answer| match answer {
        ClientCertificate::Sent => "client certificate sent",
        ClientCertificate::NotGiven => "client certificate asked for, none given (-E)",
        ClientCertificate::Withheld => "client certificate asked for, but meant for another host",
        ClientCertificate::Unsuitable => {
            "client certificate asked for, but no signature of the key is accepted"
        }
    });
    facts.extend([kind, early, client].into_iter().flatten().map(|fact| ("", fact.to_owned())));
    if let Some(scheme) = tls.signature_scheme.as_ref().filter(|_| view.verbose) {
        facts.push(("signed with", scheme.clone()));
    }
    flow(facts, DOT, view)
}

/// The one line that says for whom, from whom and how long.
fn brief(seen: &Seen, view: &View) -> String {
    let Some(certificate) = &seen.certificate else {
        return warning(&format!("the certificate ({} bytes) cannot be read", seen.length));
    };
    let issuer = &certificate.issuer;
    let organisation = issuer.attribute("O").or_else(|| issuer.common_name());
    let issuer = match (organisation, issuer.common_name()) {
        (Some(organisation), Some(name)) if organisation != name => {
            format!("{} {}", short(organisation), short(name))
        }
        (Some(name), _) => short(name),
        (None, _) => ABSENT.to_owned(),
    };
    let facts = [
        ("certificate", names(certificate, SHOWN_NAMES)),
        ("by", issuer),
        ("expires", expiry(certificate, seen)),
    ];
    flow(facts, DOT, view)
}

fn heading(number: usize, seen: &Seen, view: &View) -> String {
    let subject = match &seen.certificate {
        Some(certificate) => line(&certificate.subject),
        None => format!("{} bytes that cannot be read", seen.length),
    };
    flow([(format!("certificate {number}").as_str(), subject)], DOT, view)
}

fn full(seen: &Seen, view: &View) -> String {
    let mut facts = Vec::new();
    if let Some(certificate) = &seen.certificate {
        let time = |time: &Option<x509::Time>| time.map_or_else(unreadable, |t| t.to_string());
        facts.push(("subject", line(&certificate.subject)));
        facts.push(("issuer", line(&certificate.issuer)));
        facts.push(("serial", serial(certificate)));
        facts.push(("from", time(&certificate.not_before)));
        facts.push(("to", time(&certificate.not_after)));
        facts.push(("key", key(&certificate.key)));
        facts.push(("signature", certificate.signature.clone()));
        if certificate.names.len() > SHOWN_NAMES {
            facts.push(("names", names(certificate, usize::MAX)));
        }
    }
    facts.extend(seen.fingerprint.clone().map(|fingerprint| ("SHA-256", fingerprint)));
    let facts = facts.into_iter().map(|(label, value)| flow([(label, value)], DOT, view));
    facts.map(|fact| format!("  {fact}")).collect()
}

fn warnings(leaf: &Seen) -> String {
    if leaf.is_early {
        return warning("the certificate is not valid yet");
    }
    match leaf.days_left {
        Some(days) if days < 0 => warning("the certificate has expired"),
        Some(days) if days < SOON => warning(&format!("the certificate expires {}", within(days))),
        _ => String::new(),
    }
}

fn warning(text: &str) -> String {
    paint(BAD, text) + "\n"
}

fn expiry(certificate: &x509::Certificate, seen: &Seen) -> String {
    let (Some(end), Some(days)) = (&certificate.not_after, seen.days_left) else {
        return unreadable();
    };
    format!("{} ({})", within(days), end.date())
}

fn within(days: i64) -> String {
    let count = units::count(days.unsigned_abs());
    match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        ..0 => format!("{} ago", if days == -1 { "1 day".to_owned() } else { count + " days" }),
        _ => format!("in {count} days"),
    }
}

fn unreadable() -> String {
    "at a time that cannot be read".to_owned()
}

/// The names that it is good for, or else the one it used to be known by.
fn names(certificate: &x509::Certificate, limit: usize) -> String {
    let mut list: Vec<_> =
        certificate.names.iter().take(limit).map(|name| short(&value(name))).collect();
    if list.is_empty() {
        let name = certificate.subject.common_name();
        return name.map_or_else(|| "for no name".to_owned(), short);
    }
    let left = certificate.names.len() - list.len();
    if left > 0 {
        list.push(format!("{} more", units::count(left as u64)));
    }
    list.join(", ")
}

fn line(name: &x509::Name) -> String {
    match name.line().as_slice() {
        [] => ABSENT.to_owned(),
        line => escape::bytes(line),
    }
}

/// Harmless and not longer than a name of the DNS can be.
fn short(name: &[u8]) -> String {
    match name.get(..MAX_NAME_LEN) {
        Some(beginning) if name.len() > MAX_NAME_LEN => escape::bytes(beginning) + "…",
        _ => escape::bytes(name),
    }
}

fn value(name: &x509::AltName) -> Vec<u8> {
    match name {
        x509::AltName::Dns(name) | x509::AltName::Email(name) | x509::AltName::Uri(name) => {
            name.clone()
        }
        x509::AltName::Ip(ip) => ip.to_string().into_bytes(),
    }
}

fn serial(certificate: &x509::Certificate) -> String {
    hex(certificate.serial.get(..MAX_SERIAL_LEN).unwrap_or(&certificate.serial))
}

fn key(key: &x509::Key) -> String {
    match key.bits {
        Some(bits) => format!("{} {bits} bits", key.algorithm),
        None => key.algorithm.clone(),
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.seen().map(|seen| CertificateView::of(&seen)))
    }
}

/// A certificate in JSON. Only the fingerprint is there if it cannot be read.
#[derive(Default, Serialize)]
struct CertificateView {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<NameView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_algorithm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_authority: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

#[derive(Serialize)]
struct NameView {
    kind: &'static str,
    value: String,
}

impl CertificateView {
    fn of(seen: &Seen) -> Self {
        let view = Self { sha256: seen.fingerprint.clone(), ..Self::default() };
        let Some(certificate) = &seen.certificate else { return view };
        let text = escape::invalid_only;
        Self {
            subject: Some(text(&certificate.subject.line())),
            common_name: certificate.subject.common_name().map(text),
            names: Some(certificate.names.iter().map(NameView::of).collect()),
            issuer: Some(text(&certificate.issuer.line())),
            serial: Some(serial(certificate)),
            not_before: certificate.not_before.map(|time| time.to_string()),
            not_after: certificate.not_after.map(|time| time.to_string()),
            days_left: seen.days_left,
            key: Some(certificate.key.algorithm.clone()),
            key_bits: certificate.key.bits,
            signature_algorithm: Some(certificate.signature.clone()),
            is_authority: Some(certificate.is_authority),
            ..view
        }
    }
}

impl NameView {
    fn of(name: &x509::AltName) -> Self {
        let kind = match name {
            x509::AltName::Dns(_) => "dns",
            x509::AltName::Ip(_) => "ip",
            x509::AltName::Email(_) => "email",
            x509::AltName::Uri(_) => "uri",
        };
        Self { kind, value: escape::invalid_only(&value(name)) }
    }
}

const SHOWN_NAMES: usize = 3;
const MAX_NAME_LEN: usize = 253;
/// RFC 5280, section 4.1.2.2, allows 20.
const MAX_SERIAL_LEN: usize = 64;
/// Days in which nobody should have to renew a certificate in haste.
const SOON: i64 = 14;
