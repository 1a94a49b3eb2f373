//! The request, from the command line to what is sent.

use std::{str::FromStr, sync::Arc};

use hyper::{
    Method, Request,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
        HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
    },
    http::uri::{Authority, PathAndQuery, Scheme, Uri},
};

use crate::{
    error::{Error, Kind},
    netrc::Netrc,
    payload::{Payload, Upload},
    target::Target,
};

/// What the user wants of a request, wherever it goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) method: Method,
    /// In the place of the defaults, and changed by the edits.
    pub(crate) headers: HeaderMap,
    pub(crate) edits: Vec<HeaderEdit>,
    pub(crate) payload: Option<Payload>,
    /// Credentials of hosts, for those that have none of their own.
    pub(crate) netrc: Option<Arc<Netrc>>,
}

/// A request as it was decided on, from which a redirect makes the next.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) target: Target,
    pub(crate) method: Method,
    headers: HeaderMap,
    edits: Vec<HeaderEdit>,
    pub(crate) payload: Option<Payload>,
    netrc: Option<Arc<Netrc>>,
    /// A redirect has led away from the origin that the user named.
    pub(crate) is_elsewhere: bool,
}

impl Ask {
    pub(crate) fn new(target: Target, wishes: Wishes) -> Self {
        let Wishes { method, headers: wanted, edits, payload, netrc } = wishes;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if payload.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        }
        let mut ask = Self { target, method, headers, edits, payload, netrc, is_elsewhere: false };
        ask.identify();
        for (name, value) in &wanted {
            ask.headers.insert(name, value.clone());
        }
        ask
    }

    /// Changes where the request goes.
    pub(crate) fn go_to(&mut self, target: Target) {
        self.target = target;
        self.identify();
    }

    /// Sends these headers no longer.
    pub(crate) fn forget(&mut self, names: &[HeaderName]) {
        for name in names {
            self.headers.remove(name);
        }
        self.edits.retain(|edit| !names.contains(edit.name()));
    }

    /// The headers that will be sent or left out, of those that can be chosen.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.keys().chain(self.edits.iter().map(HeaderEdit::name))
    }

    fn identify(&mut self) {
        let host = || self.target.host().to_string();
        let known = || self.netrc.as_ref().and_then(|netrc| netrc.credentials(&host()));
        if let Some(credentials) = self.target.credentials.clone().or_else(known) {
            self.headers.insert(AUTHORIZATION, credentials.header());
        }
    }
}

/// A request that is complete but for the protocol it will be sent over.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    /// The value of `Host` or `:authority`.
    authority: HeaderValue,
    path: PathAndQuery,
    url: Uri,
    headers: HeaderMap,
    payload: Upload,
    is_forwarded: bool,
}

impl Draft {
    pub(crate) fn new(ask: &Ask) -> Result<Self, Error> {
        let target = &ask.target;
        let malformed =
            |what: &str| Error::new(Kind::Url, format!("{what} of {}", target.as_str()));
        let mut headers = ask.headers.clone();
        let host = HeaderValue::try_from(target.authority())
            .map_err(|_| malformed("cannot send the host name"))?;
        headers.insert(HOST, host.clone());
        let payload = ask.payload.as_ref().map(Payload::open).transpose()?;
        if let Some(payload) = &payload {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.len()));
        }
        apply(&mut headers, &ask.edits);
        Ok(Self {
            method: ask.method.clone(),
            // HTTP cannot do without it, so that it can be replaced but not omitted.
            authority: headers.remove(HOST).unwrap_or(host),
            path: PathAndQuery::from_str(target.path_and_query())
                .map_err(|_| malformed("cannot send the path and query"))?,
            url: Uri::from_str(target.as_str()).map_err(|_| malformed("cannot send the whole"))?,
            headers,
            payload: payload.unwrap_or_default(),
            is_forwarded: false,
        })
    }

    /// Bytes of the request body.
    pub(crate) fn payload_len(&self) -> u64 {
        self.payload.len()
    }

    /// Makes it a request that a proxy forwards, instead of the server's own.
    pub(crate) fn forwarded_by(&mut self, authorization: Option<HeaderValue>) {
        self.is_forwarded = true;
        if let Some(value) = authorization {
            self.headers.entry(PROXY_AUTHORIZATION).or_insert(value);
        }
    }

    /// For HTTP/1.1: the path alone, for a proxy the whole URL, and a `Host` header in front.
    pub(crate) fn into_http1(self) -> Request<Upload> {
        let mut request = Request::new(self.payload);
        *request.method_mut() = self.method;
        *request.uri_mut() = match self.is_forwarded {
            true => self.url,
            false => Uri::from(self.path),
        };
        request.headers_mut().insert(HOST, self.authority);
        request.headers_mut().extend(self.headers);
        request
    }

    /// For HTTP/2 and HTTP/3: the whole URL, from which the pseudo-headers are made.
    pub(crate) fn into_http2(self) -> Result<Request<Upload>, Error> {
        let authority = Authority::try_from(self.authority.as_bytes()).map_err(|_| {
            Error::new(
                Kind::Send,
                "the Host header given with -H is no authority, as HTTP/2 and HTTP/3 need it",
            )
        })?;
        let uri = Uri::builder()
            .scheme(self.url.scheme().cloned().unwrap_or(Scheme::HTTPS))
            .authority(authority)
            .path_and_query(self.path)
            .build()
            .map_err(|error| Error::new(Kind::Send, error.to_string()))?;
        let mut request = Request::new(self.payload);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

/// One `--header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderEdit {
    /// `Name: value`, or `Name;` for an empty value.
    Send(HeaderName, HeaderValue),
    /// `Name:`
    Omit(HeaderName),
}

impl HeaderEdit {
    fn name(&self) -> &HeaderName {
        match self {
            Self::Send(name, _) | Self::Omit(name) => name,
        }
    }
}

impl FromStr for HeaderEdit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "write \"Name: value\", \"Name:\" to omit it, or \"Name;\" to send it empty";

        let name = |name: &str| HeaderName::from_str(name.trim()).map_err(|_| FORM);
        if let Some((left, value)) = text.split_once(':') {
            return match value.trim() {
                "" => Ok(Self::Omit(name(left)?)),
                value => {
                    let value = HeaderValue::from_str(value)
                        .map_err(|_| "a header value cannot hold control characters")?;
                    Ok(Self::Send(name(left)?, value))
                }
            };
        }
        let empty = text.strip_suffix(';').ok_or(FORM)?;
        Ok(Self::Send(name(empty)?, HeaderValue::from_static("")))
    }
}

/// The first edit of a header replaces the default, the next ones add to it.
fn apply(headers: &mut HeaderMap, edits: &[HeaderEdit]) {
    for (position, edit) in edits.iter().enumerate() {
        match edit {
            HeaderEdit::Omit(name) => {
                headers.remove(name);
            }
            HeaderEdit::Send(name, value) => {
                let mut before = edits.iter().take(position);
                let repeated =
                    before.any(|edit| matches!(edit, HeaderEdit::Send(n, _) if n == name));
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION);
                match repeated {
                    true => headers.append(name, value),
                    false => headers.insert(name, value).is_some(),
                };
            }
        }
    }
}

pub(crate) const USER_AGENT_VALUE: &str = concat!("httpstat/", env!("CARGO_PKG_VERSION"));
const FORM: &str = "application/x-www-form-urlencoded";

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(url: &str, edits: &[&str]) -> Draft {
        let edits = edits.iter().map(|edit| edit.parse().unwrap()).collect();
        let wishes = Wishes { edits, ..Wishes::default() };
        Draft::new(&Ask::new(Target::parse(url).unwrap(), wishes)).unwrap()
    }

    #[test]
    fn defaults_can_be_replaced_repeated_and_omitted() {
        let edits = ["Accept: text/html", "accept: text/plain", "User-Agent:", "X-Empty;"];
        let request = draft("http://example.com/a?b", &edits).into_http1();
        let all = |name: &str| request.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("accept"), ["text/html", "text/plain"]);
        assert!(all("user-agent").is_empty());
        assert_eq!(all("x-empty"), [""]);
        assert_eq!(all("host"), ["example.com"]);
        assert_eq!(request.uri(), "/a?b");
    }

    #[test]
    fn a_host_header_becomes_the_authority() {
        let http1 = draft("https://127.0.0.1:8443/", &["Host: example.com"]).into_http1();
        assert_eq!(http1.headers()["host"], "example.com");
        let http2 = draft("https://127.0.0.1:8443/", &["Host: example.com"]).into_http2().unwrap();
        assert_eq!(http2.uri(), "https://example.com/");
        assert!(!http2.headers().contains_key("host"));
    }

    #[test]
    fn nonsense_is_no_header() {
        for text in ["", "no colon", ": value", "na me: value", "x: a\r\ny: b", ";"] {
            assert!(text.parse::<HeaderEdit>().is_err(), "{text:?}");
        }
    }
}
