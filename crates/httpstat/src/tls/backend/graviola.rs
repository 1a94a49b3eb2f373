//! graviola, which needs no C compiler, for processors made since about 2014.

use graviola::signing::ecdsa::{P256, SigningKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::Backend;

pub(super) fn backend() -> Option<Backend> {
    processor_is_supported()
        .then(|| Backend { provider: rustls_graviola::default_provider(), generate_key })
}

fn generate_key() -> Option<PrivateKeyDer<'static>> {
    let key = SigningKey::<P256>::generate().ok()?;
    let mut der = [0; DER_LEN];
    Some(PrivatePkcs8KeyDer::from(key.to_pkcs8_der(&mut der).ok()?.to_vec()).into())
}

/// What graviola asserts before its first operation; asked here so that it never has to panic.
#[cfg(target_arch = "x86_64")]
fn processor_is_supported() -> bool {
    is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("adx")
        && is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "aarch64")]
fn processor_is_supported() -> bool {
    use std::arch::is_aarch64_feature_detected;

    is_aarch64_feature_detected!("aes")
        && is_aarch64_feature_detected!("pmull")
        && is_aarch64_feature_detected!("sha2")
}

/// Ample for a P-256 key.
const DER_LEN: usize = 256;
