//! The TLS handshake inside QUIC.
//!
//! quinn has a session of its own, but tells neither the cipher nor why it failed, except as text.

use std::{
    any::Any,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use quinn::{
    ConnectError, ConnectionId, Side, TransportErrorCode,
    crypto::{
        self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey,
        rustls::QuicClientConfig,
    },
};
use quinn_proto::{TransportError, transport_parameters::TransportParameters};
use rustls::{
    ClientConfig,
    pki_types::ServerName,
    quic::{ClientConnection, KeyChange, Secrets, Version},
};

use crate::tls::{self, Session};

/// What one attempt to connect shakes hands with.
pub(super) struct Handshake {
    pub(super) config: Arc<ClientConfig>,
    /// The same, as quinn wants it.
    pub(super) quinn: Arc<QuicClientConfig>,
    pub(super) name: ServerName<'static>,
    /// What is known of it, also when it fails.
    pub(super) session: Arc<Mutex<Session>>,
    /// Why TLS gave up, if it did.
    pub(super) failure: Arc<OnceLock<rustls::Error>>,
}

impl crypto::ClientConfig for Handshake {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        parameters: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        if version != QUIC_VERSION_1 {
            return Err(ConnectError::UnsupportedVersion);
        }
        let quinn = Arc::clone(&self.quinn).start_session(version, server_name, parameters)?;
        let mut encoded = Vec::new();
        parameters.write(&mut encoded);
        let tls = ClientConnection::new(
            Arc::clone(&self.config),
            Version::V1,
            self.name.clone(),
            encoded,
        )
        // Only a configuration without TLS 1.3 is refused.
        .map_err(|_| ConnectError::UnsupportedVersion)?;
        Ok(Box::new(Watched { tls, quinn, next: None, announced: false, handshake: self }))
    }
}

/// A handshake and the keys that come out of it.
struct Watched {
    tls: ClientConnection,
    /// For what the protocol fixes, whatever is agreed in the handshake.
    quinn: Box<dyn crypto::Session>,
    next: Option<Secrets>,
    announced: bool,
    handshake: Arc<Handshake>,
}

impl crypto::Session for Watched {
    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        self.quinn.initial_keys(id, side)
    }

    fn is_valid_retry(&self, id: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.quinn.is_valid_retry(id, header, payload)
    }

    /// Nobody asks: it is all part of the [`Session`].
    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    /// The same.
    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        Some(false)
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let mut session = lock(&self.handshake.session);
        tls::noting(&mut session, || self.tls.read_hs(bytes)).map_err(|error| {
            let alert = self.tls.alert().map(|alert| TransportErrorCode::crypto(alert.into()));
            let failed = TransportError {
                code: alert.unwrap_or(TransportErrorCode::PROTOCOL_VIOLATION),
                frame: None,
                reason: error.to_string(),
            };
            // Only the first failure is one of the handshake; what follows comes from it.
            let _ = self.handshake.failure.set(error);
            failed
        })?;
        let is_news = !self.announced && !self.tls.is_handshaking();
        if is_news {
            session.agree(&self.tls, false);
            self.announced = true;
        }
        Ok(is_news)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(encoded) = self.tls.quic_transport_parameters() else { return Ok(None) };
        Ok(Some(TransportParameters::read(Side::Client, &mut Cursor::new(encoded))?))
    }

    fn write_handshake(&mut self, bytes: &mut Vec<u8>) -> Option<Keys> {
        let keys = match self.tls.write_hs(bytes)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.next = Some(next);
                keys
            }
        };
        let (local, remote) = (keys.local, keys.remote);
        Some(Keys {
            header: KeyPair { local: Box::new(local.header), remote: Box::new(remote.header) },
            packet: KeyPair { local: Box::new(local.packet), remote: Box::new(remote.packet) },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.next.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(keys.local), remote: Box::new(keys.remote) })
    }

    /// Nobody asks: HTTP/3 binds nothing to its connection.
    fn export_keying_material(
        &self,
        _output: &mut [u8],
        _label: &[u8],
        _context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

pub(super) fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

const QUIC_VERSION_1: u32 = 1;
