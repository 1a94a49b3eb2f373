//! The TLS handshake and what was agreed in it.

pub(crate) mod backend;
mod early;
mod failure;
mod identity;
mod itself;
mod notes;
mod options;
mod session;
mod trust;
pub(crate) mod x509;

use std::{
    collections::HashMap,
    future::poll_fn,
    ops::DerefMut,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::Method;
use rustls::{ClientConfig, client::Resumption, crypto::CryptoProvider, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Host;

use crate::{
    error::{Error, Kind},
    exchange::Stream,
    memory,
    request::Ask,
    target::Target,
};
use early::Early;
pub(crate) use failure::{Remedies, failure, reason};
pub(crate) use notes::ClientCertificate;
use notes::{Noting, Presenting};
pub(crate) use options::{Options, TlsArgs};
pub(crate) use session::{Authority, Chain, EarlyData, Handshake, Seen, Session, hex};
pub(crate) use trust::Trust;

/// Everything about TLS that can be prepared before the clock starts, for all connections of a run.
#[derive(Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    /// For other hosts than the one that the user's certificate is meant for.
    anonymous: Arc<ClientConfig>,
    intended: Option<Host>,
    authority: Authority,
    early_data: bool,
    remedies: Remedies,
    /// What was agreed on with whom, which early data must be written for.
    protocols: Mutex<HashMap<ServerName<'static>, Option<String>>>,
}

/// Whether a request does no harm when it is sent twice, as those with early data can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeatable {
    Yes,
    No,
}

impl Repeatable {
    pub(crate) fn of(ask: &Ask) -> Self {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&ask.method);
        if is_safe && ask.payload.is_none() { Self::Yes } else { Self::No }
    }
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        // Each record is decrypted into memory of its own.
        memory::keep_freed();
        Self::with(options, backend::provider())
    }

    /// For HTTP/3 alone, whose handshake is part of QUIC.
    #[cfg(feature = "http3")]
    pub(crate) fn for_quic(options: &Options) -> Result<Self, Error> {
        let mut options = options.clone();
        options.protocols = vec![HTTP3.to_vec()];
        options.early_data = false;
        if !options.versions()?.contains(&&rustls::version::TLS13) {
            let message = "HTTP/3 needs TLS 1.3, which --tls-max excludes";
            return Err(Error::new(Kind::Handshake, message));
        }
        // graviola's provider for rustls has no keys for QUIC.
        Self::with(&options, Ok(rustls::crypto::ring::default_provider()))
    }

    fn with(
        options: &Options,
        provider: Result<CryptoProvider, &'static str>,
    ) -> Result<Self, Error> {
        let provider = provider.map_err(|why| Error::new(Kind::Handshake, why))?;
        let provider = Arc::new(provider);
        let identity = options.identity.as_ref();
        let identity = identity
            .map(|(certificate, key)| identity::read(certificate, key.as_deref(), &provider))
            .transpose()?;
        let verifier = options.trust.verifier(&provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&options.versions()?)
            .map_err(|error| Error::new(Kind::Handshake, error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Noting(verifier)))
            .with_client_cert_resolver(Arc::new(Presenting::to_whoever_asks(identity)));
        config.alpn_protocols.clone_from(&options.protocols);
        config.enable_early_data = options.early_data;
        if !options.resumes {
            config.resumption = Resumption::disabled();
        }
        let mut anonymous = config.clone();
        anonymous.client_auth_cert_resolver = Arc::new(Presenting::withheld());
        Ok(Self {
            config: Arc::new(config),
            anonymous: Arc::new(anonymous),
            intended: options.identity.is_some().then(|| options.host.clone()).flatten(),
            authority: options.trust.authority(),
            early_data: options.early_data,
            remedies: options.remedies,
            protocols: Mutex::default(),
        })
    }

    /// With the user's certificate for the host that it is meant for.
    pub(crate) fn config_for(&self, target: &Target) -> &Arc<ClientConfig> {
        let is_intended = self.intended.as_ref().is_none_or(|host| *host == target.host());
        if is_intended { &self.config } else { &self.anonymous }
    }

    /// What is known of a handshake before it begins.
    #[cfg(feature = "http3")]
    pub(crate) fn begin(&self) -> Session {
        Session::new(self.config.crypto_provider(), self.authority)
    }

    /// Shakes hands over `stream`, or leaves that to the first write if the request can go along.
    ///
    /// What is learnt on the way is in `session` also when it fails.
    pub(crate) async fn handshake<S>(
        &self,
        target: &Target,
        repeatable: Repeatable,
        stream: S,
        session: &mut Option<Session>,
    ) -> Result<Box<dyn Stream>, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = server_name(target)?;
        let config = self.config_for(target);
        let mut connecting = TlsConnector::from(Arc::clone(config))
            .early_data(self.early_data && repeatable == Repeatable::Yes)
            .connect(name.clone(), stream);
        let begin = || Session::new(config.crypto_provider(), self.authority);
        let connected = poll_fn(|cx| {
            let (polled, notes) = notes::collect(|| Pin::new(&mut connecting).poll(cx));
            if !notes.is_empty() {
                session.get_or_insert_with(begin).note(notes);
            }
            polled
        })
        .await;
        let stream = connected.map_err(|error| failure(&error, target, self.remedies))?;
        let session = session.get_or_insert_with(begin);
        let (_, connection) = stream.get_ref();
        if connection.is_handshaking() {
            session.alpn = self.protocols().get(&name).cloned().flatten();
            session.early_data = Some(EarlyData::Offered);
            let late = Arc::new(Mutex::new(session.clone()));
            session.late = Some(Arc::clone(&late));
            return Ok(Box::new(Early::new(stream, late)));
        }
        session.agree(connection, connection.is_early_data_accepted());
        if self.early_data {
            self.protocols().insert(name, session.alpn.clone());
        }
        Ok(Box::new(stream))
    }

    fn protocols(&self) -> impl DerefMut<Target = HashMap<ServerName<'static>, Option<String>>> {
        self.protocols.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a part of a handshake over QUIC and adds to the session what is learnt in it.
#[cfg(feature = "http3")]
pub(crate) fn noting<T>(session: &mut Session, part: impl FnOnce() -> T) -> T {
    let (done, notes) = notes::collect(part);
    session.note(notes);
    done
}

pub(crate) fn server_name(target: &Target) -> Result<ServerName<'static>, Error> {
    let domain = match target.host() {
        Host::Ipv4(ip) => return Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Host::Ipv6(ip) => return Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Host::Domain(domain) => domain.to_owned(),
    };
    ServerName::try_from(domain).map_err(|_| {
        Error::new(Kind::Url, format!("{} cannot be the name in a certificate", target.host()))
    })
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";
#[cfg(feature = "http3")]
const HTTP3: &[u8] = b"h3";
