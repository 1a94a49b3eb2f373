//! A certificate for one run, and how programs come to trust it.

use std::{env, fs, io, net::Ipv4Addr, path::PathBuf, process, sync::Arc};

use rcgen::{CertificateParams, SanType};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

#[path = "../../../crates/httpstat/src/tls/backend/mod.rs"]
mod backend;

pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Identity {
    pub(super) fn new() -> io::Result<Self> {
        let key = backend::Key::generate().ok_or_else(|| io::Error::other("no key"))?;
        let mut params =
            CertificateParams::new([String::from("localhost")]).map_err(io::Error::other)?;
        params.serial_number = Some(1_u64.into());
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key: key.into_der(),
        })
    }

    pub(super) fn server_config(&self, alpn: &[u8]) -> io::Result<Arc<ServerConfig>> {
        let provider = backend::provider().map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Arc::new(config))
    }

    /// A file of this certificate and the system's authorities, which programs have to read too.
    pub(super) fn authorities(&self) -> io::Result<PathBuf> {
        let system = SYSTEM.iter().find_map(|path| fs::read_to_string(path).ok());
        let path = env::temp_dir().join(format!("conniver-bench-{}.pem", process::id()));
        fs::write(&path, system.unwrap_or_default() + &self.pem)?;
        Ok(path)
    }
}

const SYSTEM: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
