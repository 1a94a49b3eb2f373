//! A certificate that exists for one run.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use rcgen::{CertificateParams, DnType, SanType};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::tls::backend::{self, Key};

/// A self-signed certificate for this machine and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn generate() -> Option<Self> {
        let key = Key::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "httpstat demo");
        params.serial_number = Some(1u64.into());
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().ok()?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        let certificate = params.self_signed(&key).ok()?;
        Some(Self { certificate: certificate.der().clone(), key: key.into_der() })
    }

    pub(crate) fn server_config(self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = backend::provider().map_err(|why| rustls::Error::General(why.to_owned()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], self.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
