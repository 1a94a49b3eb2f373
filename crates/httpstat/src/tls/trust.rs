//! Which certificates are believed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
};

use crate::error::{Error, Kind, reason};

/// Whose signature makes a server's certificate trustworthy.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Whoever the operating system trusts.
    System,
    /// The certificates of a PEM file and nobody else.
    File(PathBuf),
    /// One certificate and nothing else.
    Only(CertificateDer<'static>),
    /// Anybody: the certificate is not checked.
    Anybody,
}

impl Trust {
    pub(crate) fn client_config(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(Kind::Handshake, error.to_string()))?;
        let builder = match self {
            Self::System => with_system_roots(builder)?,
            Self::File(path) => builder.with_root_certificates(read(path)?),
            Self::Only(certificate) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(certificate.clone())
                    .map_err(|error| Error::new(Kind::Certificate, error.to_string()))?;
                builder.with_root_certificates(roots)
            }
            Self::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
            }
        };
        Ok(builder.with_no_client_auth())
    }
}

#[cfg(not(target_os = "android"))]
fn with_system_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;

    builder.with_platform_verifier().map_err(|error| {
        let message = format!(
            "the system's trusted certificates could not be loaded: {error}; install them, or name \
             a file with --cacert"
        );
        Error::new(Kind::Certificate, message)
    })
}

/// Android's own verifier is reached through a Java virtual machine, which a command has not.
#[cfg(target_os = "android")]
fn with_system_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Ok(builder.with_root_certificates(roots))
}

fn read(path: &Path) -> Result<RootCertStore, Error> {
    let unusable = |why: &dyn std::fmt::Display| {
        Error::new(Kind::Certificate, format!("cannot use --cacert {}: {why}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    let unreadable = |error| match error {
        pem::Error::Io(error) => unusable(&reason(&error)),
        error => unusable(&error),
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it holds no certificate in PEM form"));
    }
    Ok(roots)
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
