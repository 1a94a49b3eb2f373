//! What rustls asks of us in the middle of a handshake, and tells nobody afterwards.
//!
//! Verifiers and resolvers are shared by all handshakes of a client, because sessions are resumed
//! only under the same ones. Whatever they note, they note on the thread that drives the handshake,
//! and whoever drives it collects the notes at once.

use std::{cell::RefCell, sync::Arc};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use serde::Serialize;

/// What was noted since the notes were last collected.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// As the server sent it, its own certificate first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Whether the verifier believed it.
    pub(super) believed: bool,
    /// What the server proved with that it has the key.
    pub(super) signature: Option<SignatureScheme>,
    pub(super) client_certificate: Option<ClientCertificate>,
}

impl Notes {
    pub(super) fn is_empty(&self) -> bool {
        self.chain.is_empty() && self.signature.is_none() && self.client_certificate.is_none()
    }
}

/// How a server was answered that asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientCertificate {
    Sent,
    /// There was none to send.
    NotGiven,
    /// It is meant for another host.
    Withheld,
    /// The server accepts no signature that its key can make.
    Unsuitable,
}

/// Does some part of a handshake and collects what was noted in it.
pub(super) fn collect<T>(part: impl FnOnce() -> T) -> (T, Notes) {
    NOTES.take();
    (part(), NOTES.take())
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

fn note(write: impl FnOnce(&mut Notes)) {
    NOTES.with_borrow_mut(write);
}

/// Leaves every decision to another verifier.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|certificate| certificate.clone().into_owned()).collect();
        note(|notes| {
            notes.chain = chain;
            notes.believed = verdict.is_ok();
        });
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        note(|notes| notes.signature = Some(dss.scheme));
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        note(|notes| notes.signature = Some(dss.scheme));
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}

/// Presents one certificate, or none.
#[derive(Debug)]
pub(super) struct Presenting {
    identity: Option<Arc<CertifiedKey>>,
    /// Why not, if there is none.
    otherwise: ClientCertificate,
}

impl Presenting {
    pub(super) fn to_whoever_asks(identity: Option<Arc<CertifiedKey>>) -> Self {
        Self { identity, otherwise: ClientCertificate::NotGiven }
    }

    pub(super) fn withheld() -> Self {
        Self { identity: None, otherwise: ClientCertificate::Withheld }
    }
}

impl ResolvesClientCert for Presenting {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let answer = match &self.identity {
            None => self.otherwise,
            Some(identity) if identity.key.choose_scheme(sigschemes).is_none() => {
                ClientCertificate::Unsuitable
            }
            Some(_) => ClientCertificate::Sent,
        };
        note(|notes| notes.client_certificate = Some(answer));
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
