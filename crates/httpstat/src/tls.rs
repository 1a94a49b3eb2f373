//! The TLS handshake and what was agreed in it.

pub(crate) mod backend;
mod trust;

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, InvalidMessage,
    ProtocolVersion, pki_types::ServerName,
};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use crate::{
    error::{Error, Kind, reason},
    exchange::Versions,
    memory,
    target::Target,
};
pub(crate) use trust::Trust;

/// Everything about TLS that can be prepared before the clock starts.
#[derive(Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    checks_certificates: bool,
}

impl Client {
    pub(crate) fn new(trust: &Trust, versions: Versions) -> Result<Self, Error> {
        // Each record is decrypted into memory of its own.
        memory::keep_freed();
        let provider = backend::provider().map_err(|why| Error::new(Kind::Handshake, why))?;
        let mut config = trust.client_config(Arc::new(provider))?;
        config.alpn_protocols = match versions {
            Versions::Both => vec![HTTP2.to_vec(), HTTP1.to_vec()],
            Versions::Http1 => vec![HTTP1.to_vec()],
            Versions::Http2 => vec![HTTP2.to_vec()],
        };
        let checks_certificates = !matches!(trust, Trust::Anybody);
        Ok(Self { config: Arc::new(config), checks_certificates })
    }

    /// Shakes hands over `stream`.
    pub(crate) async fn handshake<S>(
        &self,
        target: &Target,
        stream: S,
    ) -> Result<(TlsStream<S>, Session), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(target)?;
        let stream = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
            .map_err(|error| failure(&error, target))?;
        let session = Session::of(stream.get_ref().1, self.checks_certificates);
        Ok((stream, session))
    }
}

/// What both sides agreed on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Session {
    pub(crate) version: String,
    /// As IANA spells it.
    pub(crate) cipher: String,
    /// The key exchange group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alpn: Option<String>,
    /// Whether the server proved who it is.
    pub(crate) verified: bool,
}

impl Session {
    pub(crate) fn is_http2(&self) -> bool {
        self.alpn.as_deref().is_some_and(|alpn| alpn.as_bytes() == HTTP2)
    }

    fn of(connection: &ClientConnection, verified: bool) -> Self {
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
                other => format!("{other:?}"),
            },
            cipher: connection.negotiated_cipher_suite().map_or_else(String::new, |suite| {
                format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
            }),
            group: connection
                .negotiated_key_exchange_group()
                .map(|group| format!("{:?}", group.name())),
            alpn: connection.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
            verified,
        }
    }
}

fn server_name(target: &Target) -> Result<ServerName<'static>, Error> {
    let domain = match target.host() {
        Host::Ipv4(ip) => return Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Host::Ipv6(ip) => return Ok(ServerName::from(std::net::IpAddr::from(ip))),
        Host::Domain(domain) => domain.to_owned(),
    };
    ServerName::try_from(domain).map_err(|_| {
        Error::new(Kind::Url, format!("{} cannot be the name in a certificate", target.host()))
    })
}

fn failure(error: &io::Error, target: &Target) -> Error {
    let endpoint = target.endpoint();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, message) = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => (
            Kind::Certificate,
            format!(
                "the certificate of {endpoint} is not trusted: {}; {}",
                distrust(why, target),
                remedy(why)
            ),
        ),
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => (
            Kind::Handshake,
            format!("{endpoint} does not speak TLS; try http:// instead of https://"),
        ),
        Some(rustls::Error::AlertReceived(alert)) => (
            Kind::Handshake,
            format!("{endpoint} refused the handshake with the alert {alert:?}{}", hint(*alert)),
        ),
        Some(other) => (Kind::Handshake, format!("with {endpoint}: {other}")),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            Kind::Handshake,
            format!("{endpoint} closed the connection during the handshake; does it speak TLS?"),
        ),
        None => (
            Kind::Handshake,
            format!("with {endpoint}: {}; does the port speak TLS?", reason(error)),
        ),
    };
    Error::new(kind, message)
}

fn remedy(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::UnknownIssuer => {
            "accept it with -k, or trust its issuer with --cacert FILE"
        }
        _ => "accept it with -k",
    }
}

fn distrust(why: &CertificateError, target: &Target) -> String {
    match why {
        CertificateError::UnknownIssuer => "its issuer is unknown".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => format!("it is not valid for {}", target.host()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(SHOWN_NAMES).map(String::as_str).collect();
            format!("it is valid for {}, not for {}", names.join(", "), target.host())
        }
        CertificateError::Other(why) => match why.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "it is that of a certificate authority, not of a server".to_owned()
            }
            why => why.to_owned(),
        },
        other => other.to_string(),
    }
}

fn hint(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion => "; it may support only versions older than TLS 1.2",
        AlertDescription::UnrecognisedName => "; it knows no site of this name",
        AlertDescription::CertificateRequired => "; it wants a client certificate",
        _ => "",
    }
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";
const SHOWN_NAMES: usize = 3;
