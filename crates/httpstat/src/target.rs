//! What the user typed as URL, understood once.

use std::fmt;

use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::error::{Error, Kind};

/// Where the request goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Without credentials and fragment, so that it can be shown anywhere.
    url: Url,
    pub(crate) credentials: Option<Credentials>,
}

impl Target {
    /// Parses a URL as people type it: without a scheme it means `https`, or `http` on port 80.
    pub(crate) fn parse(input: &str) -> Result<Self, Error> {
        let quoted = format!("\"{}\"", redact(input));
        let url = with_scheme(input).map_err(|error| {
            let hint = match error {
                url::ParseError::InvalidIpv6Address if input.contains('%') => {
                    " (URLs hold no zone identifiers)"
                }
                _ => "",
            };
            Error::new(Kind::Url, format!("{quoted} is not a URL: {error}{hint}"))
        })?;
        Self::of(url).ok_or_else(|| {
            let message =
                format!("{quoted} is neither http nor https, which is all this program speaks");
            Error::new(Kind::Url, message)
        })
    }

    /// Where a `Location` header leads from here; nothing is wrong with the URL but its scheme if
    /// there is no error to tell.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Option<url::ParseError>> {
        Self::of(self.url.join(location)?).ok_or(None)
    }

    fn of(mut url: Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let credentials = Credentials::of(&url);
        // These fail only for URLs that cannot have a host, which http and https always have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Some(Self { url, credentials })
    }

    /// The URL as it may be shown: without credentials and fragment.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn host(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_string(),
        }
    }

    /// Scheme, host and port: within one, secrets may be told.
    pub(crate) fn origin(&self) -> url::Origin {
        self.url.origin()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.host().to_owned(), port: self.port() }
    }

    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

/// Something to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// User name and password from a URL, sent as HTTP Basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let decode = |text| percent_decode_str(text).collect();
        let given = !url.username().is_empty() || url.password().is_some();
        given.then(|| Self {
            user: decode(url.username()),
            password: decode(url.password().unwrap_or_default()),
        })
    }

    /// From `USER:PASSWORD`; without a colon, the password is empty.
    pub(crate) fn from_argument(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self::new(user, password)
    }

    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// User name and password as text.
    pub(crate) fn texts(&self) -> (String, String) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.user), text(&self.password))
    }

    /// The value of the `Authorization` header (RFC 7617).
    pub(crate) fn header(&self) -> HeaderValue {
        let text =
            format!("Basic {}", base64(&[&self.user, b":".as_slice(), &self.password].concat()));
        let mut value =
            HeaderValue::try_from(text).expect("base64 holds only visible ASCII characters");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The input without whatever might be a password, for a URL that could not be parsed.
pub(crate) fn redact(input: &str) -> String {
    let (scheme, rest) = match input.find("//") {
        Some(slashes) => input.split_at(slashes + 2),
        None => ("", input),
    };
    match rest.rfind('@') {
        Some(at) => format!("{scheme}…{}", &rest[at..]),
        None => input.to_owned(),
    }
}

fn with_scheme(input: &str) -> Result<Url, url::ParseError> {
    let input = input.trim();
    let is_scheme =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if input.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)) {
        return Url::parse(input);
    }
    let rest = input.strip_prefix("//").unwrap_or(input);
    let https = Url::parse(&format!("https://{rest}"))?;
    if https.port() == Some(80) {
        return Url::parse(&format!("http://{rest}"));
    }
    Ok(https)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let sextet = (group >> (18 - 6 * position)) & 63;
            text.push(match position <= chunk.len() {
                true => char::from(ALPHABET[sextet as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str) -> String {
        Target::parse(input).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_missing_scheme_means_https_except_on_port_80() {
        assert_eq!(shown("example.com"), "https://example.com/");
        assert_eq!(shown("//example.com/a?b#c"), "https://example.com/a?b");
        assert_eq!(shown("example.com:80/x"), "http://example.com/x");
        assert_eq!(shown("localhost:8080"), "https://localhost:8080/");
        assert_eq!(shown("[::1]:80"), "http://[::1]/");
        assert_eq!(shown("example.com/?u=http://other/"), "https://example.com/?u=http://other/");
    }

    #[test]
    fn what_is_not_a_web_address_is_refused() {
        for input in ["", "http://", "ftp://example.com/", "http://exa mple/", "http://h:99999/"] {
            assert_eq!(Target::parse(input).unwrap_err().kind, Kind::Url, "{input:?}");
        }
    }

    #[test]
    fn the_host_header_names_only_an_unusual_port() {
        let authority = |input| Target::parse(input).unwrap().authority();
        assert_eq!(authority("http://example.com:80/"), "example.com");
        assert_eq!(authority("https://example.com:80/"), "example.com:80");
        assert_eq!(authority("http://[::1]:8080/"), "[::1]:8080");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let target = Target::parse("http://Aladdin:open%20sesame@example.com/").unwrap();
        assert_eq!(target.as_str(), "http://example.com/");
        let header = target.credentials.as_ref().unwrap().header();
        assert_eq!(header.to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{target:?}").contains("sesame"));
        let broken = Target::parse("http://me:sesame@exa mple/").unwrap_err();
        assert!(!broken.message.contains("sesame"), "{broken}");
    }

    #[test]
    fn base64_gives_the_vectors_of_the_rfc() {
        let vectors =
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(str::as_bytes).map(base64);
        assert_eq!(vectors, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
