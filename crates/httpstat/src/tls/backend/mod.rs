//! The cryptography TLS is built on.
//!
//! graviola where it exists and the processor is young enough, else ring if it is built in. Without
//! either, everything but TLS works.

#[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod graviola;
#[cfg(feature = "ring")]
mod ring;

use std::sync::Arc;

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::{SignatureScheme, crypto::CryptoProvider, pki_types::PrivateKeyDer, sign};

/// The algorithms of TLS, or why there are none on this machine.
pub(crate) fn provider() -> Result<CryptoProvider, &'static str> {
    Ok(chosen()?.provider)
}

/// A new ECDSA P-256 key, with which certificates can be signed and served.
pub(crate) struct Key {
    der: PrivateKeyDer<'static>,
    signing: Arc<dyn sign::SigningKey>,
    /// The uncompressed public point.
    point: Vec<u8>,
}

impl Key {
    pub(crate) fn generate() -> Option<Self> {
        let backend = chosen().ok()?;
        let der = (backend.generate_key)()?;
        let signing = backend.provider.key_provider.load_private_key(der.clone_key()).ok()?;
        let spki = signing.public_key()?;
        // RFC 5480, section 2.2: the point is what a SubjectPublicKeyInfo ends with.
        let point = spki.get(spki.len().checked_sub(POINT_LEN)?..)?.to_vec();
        Some(Self { der, signing, point })
    }

    pub(crate) fn into_der(self) -> PrivateKeyDer<'static> {
        self.der
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signing
            .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .and_then(|signer| signer.sign(message).ok())
            .ok_or(rcgen::Error::RemoteKeyError)
    }
}

/// What a cryptography library contributes.
struct Backend {
    provider: CryptoProvider,
    generate_key: fn() -> Option<PrivateKeyDer<'static>>,
}

fn chosen() -> Result<Backend, &'static str> {
    #[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
    if let Some(backend) = graviola::backend() {
        return Ok(backend);
    }
    #[cfg(feature = "ring")]
    if let Some(backend) = ring::backend() {
        return Ok(backend);
    }
    Err("this build has no TLS for this processor; build it with --features ring")
}

const POINT_LEN: usize = 65;
