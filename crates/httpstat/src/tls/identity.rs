//! The certificate with which this program says who it is.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::error::{Error, Kind, reason};

/// Reads certificate and key, and makes sure that they belong together.
pub(super) fn read(
    certificate: &Path,
    key: Option<&Path>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Error> {
    let pem = content("--cert", certificate)?;
    if key.is_none() {
        refuse_encrypted("--cert", certificate, &pem)?;
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable("--cert", certificate, &error))?;
    if chain.is_empty() {
        return Err(unusable("--cert", certificate, &missing(&pem, "certificate")));
    }

    let (option, path, pem) = match key {
        Some(path) => ("--key", path, content("--key", path)?),
        None => ("--cert", certificate, pem),
    };
    refuse_encrypted(option, path, &pem)?;
    let unusable = |why: &dyn std::fmt::Display| unusable(option, path, why);
    let key = match PrivateKeyDer::pem_slice_iter(&pem).next() {
        Some(key) => key.map_err(|error| unusable(&error))?,
        None if option == "--cert" => {
            let why = "it holds a certificate but no key; name the key's file with --key";
            return Err(unusable(&why));
        }
        None => return Err(unusable(&missing(&pem, "key"))),
    };
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        unusable(
            &"this program takes RSA, ECDSA (P-256 and P-384) and Ed25519 keys, and this is none \
              or damaged; see what it is with: openssl pkey -noout -text",
        )
    })?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        // A library that does not show the public half of a key leaves the check to the server.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(identity))
        }
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(unusable(&format_args!(
                "its key does not belong to the first certificate in {}",
                certificate.display()
            )))
        }
        Err(error) => Err(unusable(&error)),
    }
}

fn content(option: &str, path: &Path) -> Result<Vec<u8>, Error> {
    let read = |path| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(MAX_LEN + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read(path).map_err(|error| unusable(option, path, &reason(&error)))?;
    if content.len() as u64 > MAX_LEN {
        return Err(unusable(option, path, &"it is too long for a certificate or key"));
    }
    Ok(content)
}

fn unusable(option: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Identity, format!("cannot use {option} {}: {why}", path.display()))
}

/// RFC 7468, section 11, and the older form of RFC 1421.
fn refuse_encrypted(option: &str, path: &Path, pem: &[u8]) -> Result<(), Error> {
    let has = |wanted: &[u8]| pem.windows(wanted.len()).any(|window| window == wanted);
    if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        let why = format!(
            "its key is encrypted; decrypt it with: openssl pkey -in {} -out decrypted.pem",
            path.display()
        );
        return Err(unusable(option, path, &why));
    }
    Ok(())
}

/// Why nothing was found, for a file that was made by another convention.
fn missing(content: &[u8], what: &str) -> String {
    // DER, and so PKCS#12, begins with the tag of a sequence.
    let hint = match content.first() {
        Some(0x30) => {
            "; if it is PKCS#12, convert it with: openssl pkcs12 -nodes -in FILE -out FILE.pem"
        }
        _ => "",
    };
    format!("it holds no {what} in PEM form{hint}")
}

/// Far more than a chain of certificates needs.
const MAX_LEN: u64 = 1 << 20;
