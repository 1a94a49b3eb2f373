//! Which certificates are believed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
};

use super::{itself::Itself, session::Authority};
use crate::error::{Error, Kind, reason};

/// Whose signature makes a server's certificate trustworthy.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Whoever the operating system trusts.
    System,
    /// The certificates of a PEM file, and nobody else but whom they sign.
    File(PathBuf),
    /// One certificate and nothing else.
    Only(CertificateDer<'static>),
    /// Anybody: the certificate is not checked.
    Anybody,
}

impl Trust {
    pub(super) const fn authority(&self) -> Authority {
        match self {
            Self::System => Authority::System,
            Self::File(_) => Authority::File,
            Self::Only(_) => Authority::Demo,
            Self::Anybody => Authority::Nobody,
        }
    }

    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let roots = match self {
            Self::System => return of_system(provider),
            Self::File(path) => {
                let (roots, named) = read(path)?;
                return Ok(Arc::new(Itself::new(named, of_roots(roots, provider)?)));
            }
            Self::Only(certificate) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(certificate.clone())
                    .map_err(|error| Error::new(Kind::Certificate, error.to_string()))?;
                roots
            }
            Self::Anybody => return Ok(Arc::new(Unchecked(Arc::clone(provider)))),
        };
        of_roots(roots, provider)
    }
}

fn of_roots(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| Error::new(Kind::Certificate, error.to_string()))?)
}

#[cfg(not(target_os = "android"))]
fn of_system(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
    let verifier = verifier.map_err(|error| {
        let message = format!(
            "the system's trusted certificates could not be loaded: {error}; install them, or name \
             a file with --cacert"
        );
        Error::new(Kind::Certificate, message)
    })?;
    Ok(Arc::new(verifier))
}

/// Android's own verifier is reached through a Java virtual machine, which a command has not.
#[cfg(target_os = "android")]
fn of_system(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    of_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }, provider)
}

/// The certificates of a file, also as they stand there.
fn read(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let unusable = |why: &dyn std::fmt::Display| {
        Error::new(Kind::Certificate, format!("cannot use --cacert {}: {why}", path.display()))
    };
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    let unreadable = |error| match error {
        pem::Error::Io(error) => unusable(&reason(&error)),
        error => unusable(&error),
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
        named.push(certificate);
    }
    if roots.is_empty() {
        return Err(unusable(&"it holds no certificate in PEM form"));
    }
    Ok((roots, named))
}

/// Accepts every certificate, but still demands that the server holds its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
