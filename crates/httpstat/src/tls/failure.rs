//! Why a handshake failed, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use crate::{
    error::{self, Error, Kind},
    target::Target,
};

/// The options by which somebody is trusted who otherwise is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remedies {
    anybody: &'static str,
    issuer: &'static str,
}

impl Remedies {
    pub(crate) const SERVER: Self = Self { anybody: "-k", issuer: "--cacert" };
    pub(crate) const PROXY: Self = Self { anybody: "--proxy-insecure", issuer: "--proxy-cacert" };

    fn of(self, why: &CertificateError) -> String {
        let Self { anybody, issuer } = self;
        match why {
            CertificateError::UnknownIssuer => {
                format!("accept it with {anybody}, or trust its issuer with {issuer} FILE")
            }
            _ => format!("accept it with {anybody}"),
        }
    }
}

pub(crate) fn failure(error: &io::Error, target: &Target, remedies: Remedies) -> Error {
    let endpoint = target.endpoint();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, message) = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => (
            Kind::Certificate,
            format!(
                "the certificate of {endpoint} is not trusted: {}; {}",
                distrust(why, target),
                remedies.of(why)
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
        Some(rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => (
            Kind::Handshake,
            format!(
                "{endpoint} speaks only versions of TLS that this program does not, or that \
                 --tlsv1.3 or --tls-max excludes"
            ),
        ),
        Some(other) => (Kind::Handshake, format!("with {endpoint}: {other}")),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            Kind::Handshake,
            format!("{endpoint} closed the connection during the handshake; does it speak TLS?"),
        ),
        None => (
            Kind::Handshake,
            format!("with {endpoint}: {}; does the port speak TLS?", error::reason(error)),
        ),
    };
    Error::new(kind, message)
}

/// Why a connection failed that may be encrypted, in the middle of a sentence.
///
/// With TLS 1.3 a server may refuse a client's certificate when that has already sent its request.
pub(crate) fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => {
            let hint = hint(*alert);
            let comma = if hint.is_empty() { "" } else { "," };
            format!("TLS ended with the alert {alert:?}{hint}{comma}")
        }
        _ => error::reason(error),
    }
}

fn distrust(why: &CertificateError, target: &Target) -> String {
    match why {
        CertificateError::UnknownIssuer => "its issuer is unknown".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::BadEncoding => "it is malformed".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName => format!("it is not valid for {}", target.host()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(SHOWN_NAMES).map(|name| bare(name)).collect();
            match names.is_empty() {
                true => format!("it is valid for no name, also not for {}", target.host()),
                false => format!("it is valid for {}, not for {}", names.join(", "), target.host()),
            }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not meant for servers (extended key usage)".to_owned()
        }
        CertificateError::Other(why) => match why.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "it is that of a certificate authority, not of a server (basicConstraints CA:TRUE)"
                    .to_owned()
            }
            why => why.to_owned(),
        },
        other => other.to_string(),
    }
}

/// A name without what the verifier writes around it: `DnsName("a.test")`, `IpAddress(192.0.2.1)`.
fn bare(name: &str) -> &str {
    let inner = ["DnsName(", "IpAddress("].iter().find_map(|kind| name.strip_prefix(kind));
    inner.and_then(|inner| inner.strip_suffix(')')).map_or(name, |inner| inner.trim_matches('"'))
}

fn hint(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion => "; it may support only versions older than TLS 1.2",
        AlertDescription::UnrecognisedName => "; it knows no site of this name",
        AlertDescription::CertificateRequired => {
            "; it wants a client certificate, which -E FILE presents"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => "; it does not accept the client certificate",
        _ => "",
    }
}

const SHOWN_NAMES: usize = 3;

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn names_are_bare() {
        assert_eq!(bare("DnsName(\"*.a.test\")"), "*.a.test");
        assert_eq!(bare("IpAddress(::1)"), "::1");
        assert_eq!(bare("DirectoryName"), "DirectoryName");
    }
}
