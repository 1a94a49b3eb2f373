//! How TLS is spoken, as the command line says it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use url::Host;

use super::{Remedies, Trust};
use crate::{
    error::{Error, Kind},
    exchange::Versions,
    target::Target,
};

/// The options of the command line, spelt as curl spells them where it has them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Accept any certificate
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Trust the authorities in this PEM file instead of the system's
    ///
    /// A server may also show one of these certificates itself, if it is good for the server's name.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Present the certificate in this PEM file if the server asks for one
    ///
    /// The file holds the certificate first, then those that lead to its authority, and the key
    /// unless --key names it. It is presented to the host of the URL only, not to others that
    /// redirects lead to.
    #[arg(short = 'E', long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The key of --cert, in a PEM file of its own
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Speak TLS 1.2 or later, which is the default
    #[arg(long = "tlsv1.2", overrides_with = "tlsv1_3")]
    tlsv1_2: bool,

    /// Speak TLS 1.3 or later
    #[arg(long = "tlsv1.3")]
    tlsv1_3: bool,

    /// Speak no later version than this
    #[arg(long, value_name = "VERSION")]
    tls_max: Option<Version>,

    /// Let later connections of this run resume the sessions of earlier ones
    ///
    /// Without it every handshake is a full one, so that the times of connections can be compared.
    #[arg(long)]
    tls_resume: bool,

    /// The same, and send the request with the first flight of TLS 1.3 where the server allows it
    ///
    /// Such data can be sent again by whoever records it, so that only GET, HEAD and OPTIONS
    /// without a body are sent this way.
    #[arg(long)]
    tls_earlydata: bool,
}

/// The versions that exist here; older ones are broken, and not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3", alias = "default")]
    Tls13,
}

/// All that is decided about TLS before the first connection.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) trust: Trust,
    /// The files of certificate and key.
    pub(super) identity: Option<(PathBuf, Option<PathBuf>)>,
    /// Whom they are meant for; absent means whoever asks.
    pub(super) host: Option<Host>,
    oldest: Version,
    newest: Version,
    /// The protocols to offer, the preferred one first.
    pub(super) protocols: Vec<Vec<u8>>,
    pub(super) resumes: bool,
    pub(super) early_data: bool,
    /// Whom the user can trust by which options.
    pub(super) remedies: Remedies,
}

impl TlsArgs {
    /// What makes no sense together, although each alone does.
    pub(crate) fn contradiction(&self) -> Option<String> {
        self.options().versions().err().map(|error| error.message)
    }

    /// For both versions of HTTP.
    pub(crate) fn options(&self) -> Options {
        let trust = match &self.cacert {
            _ if self.insecure => Trust::Anybody,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        Options {
            identity: self.cert.clone().map(|certificate| (certificate, self.key.clone())),
            oldest: if self.tlsv1_3 { Version::Tls13 } else { Version::Tls12 },
            newest: self.tls_max.unwrap_or(Version::Tls13),
            resumes: self.tls_resume || self.tls_earlydata,
            early_data: self.tls_earlydata,
            ..Options::trusting(trust)
        }
    }
}

impl Options {
    /// The defaults, with this trust.
    pub(crate) fn trusting(trust: Trust) -> Self {
        Self {
            trust,
            identity: None,
            host: None,
            oldest: Version::Tls12,
            newest: Version::Tls13,
            protocols: Vec::new(),
            resumes: false,
            early_data: false,
            remedies: Remedies::SERVER,
        }
        .speaking(Versions::Both)
    }

    /// For connections to a proxy, which has options of its own.
    pub(crate) fn for_proxy(trust: Trust) -> Self {
        let options = Self { remedies: Remedies::PROXY, ..Self::trusting(trust) };
        options.speaking(Versions::Http1)
    }

    /// Checks servers in another way.
    pub(crate) fn checking(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Presents the user's certificate to this host only.
    pub(crate) fn meant_for(mut self, target: &Target) -> Self {
        self.host = Some(target.host().to_owned());
        self
    }

    /// Offers these versions of HTTP.
    pub(crate) fn speaking(mut self, versions: Versions) -> Self {
        let protocols: &[&[u8]] = match versions {
            Versions::Both => &[super::HTTP2, super::HTTP1],
            Versions::Http1 => &[super::HTTP1],
            Versions::Http2 => &[super::HTTP2],
        };
        self.protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
        match (self.oldest, self.newest) {
            (Version::Tls12, Version::Tls12) => Ok(vec![&TLS12]),
            (Version::Tls12, Version::Tls13) => Ok(vec![&TLS13, &TLS12]),
            (Version::Tls13, Version::Tls13) => Ok(vec![&TLS13]),
            (Version::Tls13, Version::Tls12) => Err(Error::new(
                Kind::Handshake,
                "--tlsv1.3 and --tls-max 1.2 leave no version to speak; give one of them",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        tls: TlsArgs,
    }

    fn options(arguments: &[&str]) -> Options {
        Alone::try_parse_from([&["httpstat"], arguments].concat()).unwrap().tls.options()
    }

    #[test]
    fn versions_are_bounded_as_curl_bounds_them() {
        let versions = |arguments: &[&str]| {
            let versions = options(arguments).versions().ok()?;
            Some(versions.iter().map(|version| version.version).collect::<Vec<_>>())
        };
        let (old, new) = (TLS12.version, TLS13.version);
        assert_eq!(versions(&[]), Some(vec![new, old]));
        assert_eq!(versions(&["--tlsv1.2"]), Some(vec![new, old]));
        assert_eq!(versions(&["--tlsv1.3"]), Some(vec![new]));
        assert_eq!(versions(&["--tlsv1.3", "--tlsv1.2"]), Some(vec![new, old]));
        assert_eq!(versions(&["--tls-max", "1.2"]), Some(vec![old]));
        assert_eq!(versions(&["--tls-max", "default"]), Some(vec![new, old]));
        assert_eq!(versions(&["--tls-max", "1.2", "--tlsv1.3"]), None);
    }

    #[test]
    fn early_data_needs_resumption() {
        assert!(!options(&[]).resumes);
        assert!(options(&["--tls-resume"]).resumes);
        let early = options(&["--tls-earlydata"]);
        assert!(early.resumes && early.early_data);
    }

    #[test]
    fn a_key_without_certificate_is_refused() {
        assert!(Alone::try_parse_from(["httpstat", "--key", "k"]).is_err());
    }
}
