//! A certificate authority for tests, and whatever else may stand in the place of a certificate.

use std::{net::IpAddr, path::Path, sync::Arc};

use hyper::{Response, body::Bytes};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, SanType, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use crate::{
    backend::{self, Key},
    server,
};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, Key>,
    pub(crate) pem: String,
    pub(crate) certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.serial_number = Some(1u64.into());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Tests");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = Key::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for 127.0.0.1 that is its own authority, but for what is changed.
    pub(crate) fn itself(change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::default();
        params.serial_number = Some(1u64.into());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names = vec![SanType::IpAddress(LOOPBACK)];
        params.not_before = date_time_ymd(2020, 1, 1);
        change(&mut params);
        let key = Key::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Issued::new(&certificate, key)
    }

    /// A certificate for 127.0.0.1, but for what is changed.
    pub(crate) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::default();
        params.serial_number = Some(0x0bad_cafe_u64.into());
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::IpAddress(LOOPBACK)];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = Key::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued::new(&certificate, key)
    }

    /// Writes the authority's certificate where `--cacert` can find it.
    pub(crate) fn file(&self, folder: &Path) -> String {
        write(folder, "authority.pem", &self.pem)
    }
}

impl Issued {
    fn new(certificate: &Certificate, key: Key) -> Self {
        let key = key.into_der();
        Self {
            pem: certificate.pem(),
            key_pem: pem("PRIVATE KEY", key.secret_der()),
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    /// A configuration that serves exactly this, however little it is a certificate.
    pub(crate) fn config(&self) -> ServerConfig {
        self.config_for(None, &[&TLS12, &TLS13])
    }

    /// The same, for clients that this authority knows.
    pub(crate) fn config_for(
        &self,
        clients: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(backend::provider().unwrap());
        let key = provider.key_provider.load_private_key(self.key.clone_key()).unwrap();
        let certified = CertifiedKey::new(self.chain.clone(), key);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
    }
}

/// A site that answers everything with 200 and nothing.
pub(crate) fn site(config: ServerConfig) -> String {
    let (address, _) = server::site(Some(Arc::new(config)), |_| Response::new(Bytes::new()));
    format!("https://{address}/")
}

pub(crate) fn write(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// RFC 7468.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for chunk in line.chunks(3) {
            let bits = [0, 1, 2].map(|place| u32::from(*chunk.get(place).unwrap_or(&0)));
            let bits = bits[0] << 16 | bits[1] << 8 | bits[2];
            for place in 0..4 {
                let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize % 64];
                text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
