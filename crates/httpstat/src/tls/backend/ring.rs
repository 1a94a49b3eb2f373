//! ring, for every processor; building it takes a C compiler.

use rcgen::KeyPair;
use rustls::{
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::Backend;

pub(super) fn backend() -> Option<Backend> {
    Some(Backend { provider: ring::default_provider(), generate_key })
}

fn generate_key() -> Option<PrivateKeyDer<'static>> {
    let key = KeyPair::generate().ok()?;
    Some(PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}
