//! `conniver` inside the frameworks that people use: `examples/` are programs to copy from, and
//! `tests/` prove each integration against the real framework. Here is what they share.

use std::{io, net::Ipv4Addr, sync::Arc};

use rcgen::{CertificateParams, SanType};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

#[path = "../../crates/httpstat/src/tls/backend/mod.rs"]
mod backend;

/// Both sides of TLS on this machine, for one run: the client trusts the server, and nobody else.
///
/// # Errors
///
/// If there is no cryptography for this processor in this build.
pub fn tls() -> io::Result<(ClientConfig, ServerConfig)> {
    let provider = Arc::new(backend::provider().map_err(io::Error::other)?);
    let key = backend::Key::generate().ok_or_else(|| io::Error::other("no key was generated"))?;
    let mut params =
        CertificateParams::new([String::from("localhost")]).map_err(io::Error::other)?;
    params.serial_number = Some(1_u64.into());
    params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    let certificate = params.self_signed(&key).map_err(io::Error::other)?.der().clone();

    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(io::Error::other)?;
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into_der())
        .map_err(io::Error::other)?;
    Ok((client, server))
}
