//! An authority that serves under its own certificate, as self-signed ones that say CA:TRUE do.
//!
//! webpki takes no authority for a server, whoever it is. Where the user has named this very
//! certificate, byte for byte, that protects nobody: its key could sign another for the same name,
//! which would be believed. What such another would have to fulfil is demanded of this one: the name,
//! the time, the purpose, and in the handshake that the server holds the key. An authority that is
//! limited to certain names could not sign for every other, and so it is left to webpki.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::x509::Certificate;

/// Believes these authorities as servers, and of all others whom the inner verifier believes.
#[derive(Debug)]
pub(super) struct Itself {
    authorities: Vec<CertificateDer<'static>>,
    inner: Arc<dyn ServerCertVerifier>,
}

impl Itself {
    pub(super) fn new(
        mut named: Vec<CertificateDer<'static>>,
        inner: Arc<dyn ServerCertVerifier>,
    ) -> Self {
        named.retain(is_unlimited_authority);
        Self { authorities: named, inner }
    }
}

impl ServerCertVerifier for Itself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.authorities.iter().any(|authority| authority == end_entity) {
            return believe(end_entity, server_name, now);
        }
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

/// Whether it may sign for every name.
fn is_unlimited_authority(der: &CertificateDer<'static>) -> bool {
    let mut alone = RootCertStore::empty();
    let is_unlimited = alone.add(der.clone()).is_ok()
        && alone.roots.iter().all(|anchor| anchor.name_constraints.is_none());
    is_unlimited && Certificate::parse(der).is_some_and(|found| found.is_authority)
}

fn believe(
    der: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    // This refuses extensions that are critical and unknown, too.
    let parsed = ParsedCertificate::try_from(der)?;
    let certificate = Certificate::parse(der).ok_or(CertificateError::BadEncoding)?;
    let (Some(begin), Some(end)) = (certificate.not_before, certificate.not_after) else {
        return Err(CertificateError::BadEncoding.into());
    };
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < begin.unix() {
        return Err(CertificateError::NotValidYet.into());
    }
    if seconds > end.unix() {
        return Err(CertificateError::Expired.into());
    }
    if !certificate.may_serve {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&parsed, server_name)?;
    Ok(ServerCertVerified::assertion())
}
