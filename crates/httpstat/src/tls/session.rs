//! What is known of a TLS session, whether its handshake succeeded or not.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    CommonState, HandshakeKind, ProtocolVersion, SignatureScheme,
    crypto::{CryptoProvider, hash},
    pki_types::CertificateDer,
};
use serde::Serialize;

use super::{
    notes::{ClientCertificate, Notes},
    x509::{Certificate, DAY},
};

/// What both sides agreed on, and who the server says it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Session {
    /// Absent, like all that is agreed on, if the handshake failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// As IANA spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cipher: Option<String>,
    /// The key exchange group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// What the server signed the handshake with; a resumed one is not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature_scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alpn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handshake: Option<Handshake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) early_data: Option<EarlyData>,
    /// Whether the server proved who it is.
    pub(crate) verified: bool,
    /// Whose signatures were to count.
    pub(crate) checked_against: Authority,
    /// Absent if the server did not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate: Option<ClientCertificate>,
    #[serde(rename = "certificates", skip_serializing_if = "Chain::is_empty")]
    pub(crate) chain: Chain,
    /// What becomes known while the connection is already used.
    #[serde(skip)]
    pub(super) late: Option<Arc<Mutex<Self>>>,
}

/// Which kind of handshake it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Handshake {
    Full,
    /// The server wanted another key exchange group than was guessed, at the cost of a round trip.
    FullWithRetry,
    Resumed,
}

/// What became of a request in the first flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EarlyData {
    /// It is not known yet whether the server takes it.
    Offered,
    Accepted,
    /// It was sent again after the handshake.
    Rejected,
}

/// Whose signature makes a certificate trustworthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Authority {
    System,
    File,
    /// The certificate that this program made for itself.
    Demo,
    Nobody,
}

/// The certificates that the server sent, its own first.
#[derive(Clone)]
pub(crate) struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    seen: SystemTime,
    sha256: Option<&'static dyn hash::Hash>,
}

/// One of them, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) certificate: Option<Certificate>,
    pub(crate) fingerprint: Option<String>,
    pub(crate) length: usize,
    /// Whole days from the connection to the end of validity; negative when it is over.
    pub(crate) days_left: Option<i64>,
    pub(crate) is_early: bool,
}

impl Session {
    pub(super) fn new(provider: &CryptoProvider, checked_against: Authority) -> Self {
        let suites = provider.cipher_suites.iter().filter_map(|suite| suite.tls13());
        let mut hashes = suites.map(|suite| suite.common.hash_provider);
        let sha256 = hashes.find(|hash| hash.algorithm() == hash::HashAlgorithm::SHA256);
        Self {
            version: None,
            cipher: None,
            group: None,
            signature_scheme: None,
            alpn: None,
            handshake: None,
            early_data: None,
            verified: false,
            checked_against,
            client_certificate: None,
            chain: Chain { certificates: Vec::new(), seen: SystemTime::now(), sha256 },
            late: None,
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.alpn.as_deref().is_some_and(|alpn| alpn.as_bytes() == super::HTTP2)
    }

    /// Takes in what became known after the connection began to be used.
    pub(crate) fn settle(&mut self) {
        if let Some(late) = self.late.take() {
            *self = late.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
    }

    pub(super) fn note(&mut self, notes: Notes) {
        if !notes.chain.is_empty() {
            self.verified = notes.believed && self.checked_against != Authority::Nobody;
            self.chain.certificates = notes.chain;
        }
        if let Some(scheme) = notes.signature {
            self.signature_scheme = Some(scheme_name(scheme));
        }
        self.client_certificate = notes.client_certificate.or(self.client_certificate);
    }

    /// Takes in what a finished handshake agreed on.
    pub(crate) fn agree(&mut self, connection: &CommonState, took_early_data: bool) {
        self.version = Some(match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
            other => format!("{other:?}"),
        });
        self.cipher = connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"));
        self.group =
            connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        self.alpn =
            connection.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into_owned());
        self.handshake = connection.handshake_kind().map(|kind| match kind {
            HandshakeKind::Full => Handshake::Full,
            HandshakeKind::FullWithHelloRetryRequest => Handshake::FullWithRetry,
            HandshakeKind::Resumed => Handshake::Resumed,
        });
        if self.early_data.is_some() {
            self.early_data = Some(match took_early_data {
                true => EarlyData::Accepted,
                false => EarlyData::Rejected,
            });
        }
        // A resumed session has the certificates, and the trust, of the one it resumes.
        if self.handshake == Some(Handshake::Resumed) {
            self.verified = self.checked_against != Authority::Nobody;
            let chain = connection.peer_certificates().unwrap_or_default();
            self.chain.certificates =
                chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        }
    }
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The certificates, read.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Seen> {
        self.certificates.iter().map(|der| {
            let certificate = Certificate::parse(der);
            let hash = self.sha256.map(|sha256| sha256.hash(der));
            let after = |time: i64| time.saturating_sub(self.now());
            let end = certificate.as_ref().and_then(|certificate| certificate.not_after);
            let begin = certificate.as_ref().and_then(|certificate| certificate.not_before);
            Seen {
                fingerprint: hash.map(|hash| hex(hash.as_ref())),
                length: der.len(),
                days_left: end.map(|end| after(end.unix()).div_euclid(DAY)),
                is_early: begin.is_some_and(|begin| after(begin.unix()) > 0),
                certificate,
            }
        })
    }

    fn now(&self) -> i64 {
        let since = self.seen.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} certificates)", self.certificates.len())
    }
}

/// As IANA spells it.
fn scheme_name(scheme: SignatureScheme) -> String {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => "ecdsa_secp256r1_sha256".to_owned(),
        SignatureScheme::ECDSA_NISTP384_SHA384 => "ecdsa_secp384r1_sha384".to_owned(),
        SignatureScheme::ECDSA_NISTP521_SHA512 => "ecdsa_secp521r1_sha512".to_owned(),
        SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256".to_owned(),
        SignatureScheme::RSA_PSS_SHA384 => "rsa_pss_rsae_sha384".to_owned(),
        SignatureScheme::RSA_PSS_SHA512 => "rsa_pss_rsae_sha512".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Digits without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
