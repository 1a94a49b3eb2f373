//! Object identifiers and the names they go by.

/// The name of an attribute in a distinguished name, as OpenSSL and RFC 4514 shorten it.
pub(super) fn attribute(oid: &[u8]) -> String {
    named(oid, &ATTRIBUTES)
}

/// The name of a signature algorithm.
pub(super) fn signature(oid: &[u8]) -> String {
    named(oid, &SIGNATURES)
}

/// The name of a kind of key, or of a curve.
pub(super) fn key(oid: &[u8]) -> String {
    named(oid, &KEYS)
}

fn named(oid: &[u8], table: &[(&[u8], &str)]) -> String {
    match table.iter().find(|(known, _)| *known == oid) {
        Some((_, name)) => (*name).to_owned(),
        None => dotted(oid),
    }
}

/// X.690, section 8.19: arcs in base 128, the first two of them in one.
fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<String> = Vec::new();
    let mut arc = 0u64;
    for byte in oid.iter().take(MAX_SHOWN_LEN) {
        arc = arc.saturating_mul(128) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if arcs.is_empty() {
            let root = (arc / 40).min(2);
            arcs.push(root.to_string());
            arc -= root * 40;
        }
        arcs.push(arc.to_string());
        arc = 0;
    }
    if oid.len() > MAX_SHOWN_LEN {
        arcs.push("…".to_owned());
    }
    arcs.join(".")
}

pub(super) const COMMON_NAME: &str = "CN";
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(super) const RSA: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10],
];
pub(super) const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// RFC 5280, appendix A.1, and RFC 4519.
const ATTRIBUTES: [(&[u8], &str); 13] = [
    (&[0x55, 4, 3], COMMON_NAME),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// RFC 3279, RFC 4055, RFC 5758, RFC 8410 and RFC 9881.
const SIGNATURES: [(&[u8], &str); 16] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "md5WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "sha1WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSASSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "sha256WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], "sha384WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], "sha512WithRSAEncryption"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ecdsa-with-SHA1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1], "ecdsa-with-SHA224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ecdsa-with-SHA256"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ecdsa-with-SHA384"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ecdsa-with-SHA512"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17], "ML-DSA-44"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18], "ML-DSA-65"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19], "ML-DSA-87"),
];

/// The same, and RFC 5480.
const KEYS: [(&[u8], &str); 12] = [
    (RSA[0], "RSA"),
    (RSA[1], "RSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256"),
    (&[0x2b, 0x81, 4, 0, 0x0a], "secp256k1"),
    (&[0x2b, 0x81, 4, 0, 0x21], "P-224"),
    (&[0x2b, 0x81, 4, 0, 0x22], "P-384"),
    (&[0x2b, 0x81, 4, 0, 0x23], "P-521"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17], "ML-DSA-44"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18], "ML-DSA-65"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19], "ML-DSA-87"),
];

/// Longer ones exist in attacks only.
const MAX_SHOWN_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_shown_in_digits() {
        assert_eq!(attribute(&[0x55, 4, 3]), "CN");
        assert_eq!(attribute(&[0x55, 4, 13]), "2.5.4.13");
        assert_eq!(
            signature(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2]),
            "1.2.840.113549.1.1.2"
        );
        assert_eq!(key(&[0x88, 0x37, 3]), "2.999.3");
        assert_eq!(key(&[]), "");
    }

    #[test]
    fn an_endless_one_is_cut() {
        assert!(key(&[1; 100_000]).len() < 200);
        assert!(key(&[0xff; 100_000]).len() < 200);
    }
}
