//! Proxies: which one a request goes through, and how to get through it.

use std::{
    env, fmt,
    future::{Ready, ready},
    io,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, Uri,
    client::conn::http1,
    header::{HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT},
};
use hyper_util::{
    client::{legacy::connect::proxy::SocksV5, proxy::matcher::Matcher},
    rt::TokioIo,
};
use tower_service::Service;
use url::{Host, Url};

use crate::{
    dial,
    error::{Error, Kind, reason},
    escape,
    exchange::{Head, MAX_HEAD_LEN, MAX_HEADERS, Stream},
    failure,
    request::USER_AGENT_VALUE,
    stamp::{End, Stamped, Stamps},
    target::{Credentials, Endpoint, Target, redact},
};

/// The proxies that the user or the environment names, and what is not to go through them.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Holds the rules of `NO_PROXY`; whatever it intercepts is not excepted.
    exceptions: Option<Matcher>,
}

impl Proxies {
    /// From `--proxy` and `--noproxy`, each of which stands in the place of the environment's word.
    pub(crate) fn new(given: Option<&str>, exceptions: Option<&str>) -> Result<Self, Error> {
        let variable = |names: &[&str]| {
            names.iter().find_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)))
        };
        let (http, https) = match given {
            Some(url) => {
                let option = Some(("--proxy".to_owned(), url.to_owned()));
                (option.clone(), option)
            }
            None => {
                let all = variable(&["all_proxy", "ALL_PROXY"]);
                // A web server hands the header "Proxy" to its CGI programs as HTTP_PROXY.
                let is_cgi = env::var_os("REQUEST_METHOD").is_some();
                let names = ["http_proxy", "HTTP_PROXY"];
                (
                    variable(if is_cgi { &names[..1] } else { &names }).or(all.clone()),
                    variable(&["https_proxy", "HTTPS_PROXY"]).or(all),
                )
            }
        };
        let exceptions = match exceptions {
            Some(list) => Some(list.to_owned()),
            None => variable(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list),
        };
        // The matcher below would apply it to names only, and not to addresses.
        if exceptions.as_deref().is_some_and(|list| list.split(',').any(|rule| rule.trim() == "*"))
        {
            return Ok(Self::default());
        }
        let parse = |named: Option<(String, String)>| match named {
            Some((source, url)) if !url.is_empty() => Proxy::parse(&url, &source).map(Some),
            _ => Ok(None),
        };
        let matcher = |list: String| Matcher::builder().all("http://proxy").no(list).build();
        Ok(Self { http: parse(http)?, https: parse(https)?, exceptions: exceptions.map(matcher) })
    }

    /// Gives these credentials to every proxy, as `--proxy-user` does.
    pub(crate) fn identify(&mut self, credentials: &Credentials) {
        for proxy in [&mut self.http, &mut self.https].into_iter().flatten() {
            proxy.credentials = Some(credentials.clone());
        }
    }

    /// Whether one of them is reached over TLS.
    pub(crate) fn want_tls(&self) -> bool {
        let named = [&self.http, &self.https].into_iter().flatten();
        named.into_iter().any(|proxy| proxy.kind == ProxyKind::Https)
    }

    pub(crate) fn of(&self, target: &Target, endpoint: &Endpoint) -> Option<Proxy> {
        let proxy = if target.is_https() { &self.https } else { &self.http };
        let url: Uri = format!("http://{endpoint}/").parse().ok()?;
        let excepted =
            self.exceptions.as_ref().is_some_and(|rules| rules.intercept(&url).is_none());
        proxy.clone().filter(|_| !excepted)
    }
}

/// Something between this program and the server that knows about it.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    kind: ProxyKind,
    pub(crate) endpoint: Endpoint,
    credentials: Option<Credentials>,
    /// As it may be shown.
    pub(crate) url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyKind {
    Http,
    /// The same behind TLS.
    Https,
    /// Which is told an address.
    Socks5,
    /// Which is told a name, and looks it up itself.
    Socks5h,
}

impl Proxy {
    fn parse(text: &str, source: &str) -> Result<Self, Error> {
        let refused = |why: &dyn fmt::Display| {
            let message = format!("{source} names the proxy \"{}\": {why}", redact(text));
            Error::new(Kind::Proxy, message)
        };
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = url.map_err(|error| refused(&error))?;
        let (kind, port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" => (ProxyKind::Socks5, SOCKS_PORT),
            "socks5h" => (ProxyKind::Socks5h, SOCKS_PORT),
            other => {
                let known = "http, https, socks5 and socks5h are known";
                return Err(refused(&format_args!("\"{other}\" is no kind of proxy; {known}")));
            }
        };
        // For schemes that are not of the web, the host is not yet understood.
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(refused(&"no host"))?;
        let host = Host::parse(host).map_err(|error| refused(&error))?;
        let endpoint = Endpoint { host, port: url.port().unwrap_or(port) };
        let credentials = Credentials::of(&url);
        Ok(Self { kind, url: format!("{}://{endpoint}", url.scheme()), endpoint, credentials })
    }

    /// The proxy as something to shake hands with, if it wants that.
    pub(crate) fn tls_target(&self) -> Option<Target> {
        (self.kind == ProxyKind::Https).then(|| Target::parse(&self.url).ok())?
    }

    /// Whether it is asked for a whole URL, instead of a way to the server.
    pub(crate) fn forwards(&self, target: &Target) -> bool {
        matches!(self.kind, ProxyKind::Http | ProxyKind::Https) && !target.is_https()
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.credentials.as_ref().map(Credentials::header)
    }

    /// Has the proxy connect to the server: the stream leads there when this ends.
    pub(crate) async fn tunnel(
        &self,
        stream: Box<dyn Stream>,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn Stream>, Error> {
        match self.kind {
            ProxyKind::Http | ProxyKind::Https => self.connect(stream, endpoint).await,
            ProxyKind::Socks5 => {
                let address = match dial::literal(endpoint) {
                    Some(address) => address,
                    None => *dial::resolve(endpoint).await?.first().ok_or_else(|| {
                        Error::new(Kind::Resolve, format!("{} has no address", endpoint.host))
                    })?,
                };
                self.socks(stream, &address.to_string(), endpoint).await
            }
            ProxyKind::Socks5h => self.socks(stream, &endpoint.to_string(), endpoint).await,
        }
    }

    /// RFC 9110, section 9.3.6.
    async fn connect(
        &self,
        stream: Box<dyn Stream>,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn Stream>, Error> {
        let name = format!("the proxy {}", self.url);
        let stamps = Stamps::default();
        let failed = |error: hyper::Error| failure::of_head(&error, &stamps.seen(), &name);
        let unsendable = |error: &dyn fmt::Display| {
            Error::new(Kind::Proxy, format!("cannot ask {name} for {endpoint}: {error}"))
        };
        let authority = endpoint.to_string();
        let host = HeaderValue::try_from(&authority).map_err(|error| unsendable(&error))?;
        let mut request = Request::connect(&authority)
            .header(HOST, host)
            .header(USER_AGENT, USER_AGENT_VALUE)
            .body(Empty::<Bytes>::new())
            .map_err(|error| unsendable(&error))?;
        if let Some(value) = self.authorization() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_LEN)
            .handshake(TokioIo::new(Stamped::http1(stream, stamps.clone())))
            .await
            .map_err(failed)?;
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(failed)?;
        stamps.head_understood();
        if !response.status().is_success() {
            let hint = match response.status().as_u16() {
                407 if self.credentials.is_some() => "; it does not take these credentials",
                407 => "; give it credentials with --proxy-user",
                _ => "",
            };
            let status = escape::bytes(&Head::of(&response).status_line());
            let message = format!("{name} answered \"{status}\" when asked for {endpoint}{hint}");
            return Err(Error::new(Kind::Proxy, message));
        }
        let tunnel = hyper::upgrade::on(response).await.map_err(failed)?;
        Ok(Box::new(TokioIo::new(tunnel)))
    }

    /// RFC 1928, and RFC 1929 for credentials.
    async fn socks(
        &self,
        stream: Box<dyn Stream>,
        wanted: &str,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn Stream>, Error> {
        let refused = |why: &dyn fmt::Display| {
            let message = format!("{} did not lead to {endpoint}: {why}", self.url);
            Error::new(Kind::Proxy, message)
        };
        let proxy = Uri::from_static("socks5://proxy");
        let wanted: Uri = format!("tunnel://{wanted}/").parse().map_err(|error| refused(&error))?;
        let stamps = Stamps::default();
        let stream = TokioIo::new(Stamped::http1(stream, stamps.clone()));
        let mut socks = SocksV5::new(proxy, Connected(Some(stream)));
        if let Some(credentials) = &self.credentials {
            let (user, password) = credentials.texts();
            if user.is_empty() || user.len() > MAX_SOCKS_TEXT || password.len() > MAX_SOCKS_TEXT {
                return Err(refused(&"user name and password may have 1 to 255 bytes"));
            }
            socks = socks.with_auth(user, password);
        }
        let stream = socks.call(wanted).await.map_err(|error| {
            let seen = stamps.seen();
            match (seen.read, seen.write_error) {
                (Some(End::Failed(why)), _) | (None, Some(why)) => refused(&reason(&why)),
                (Some(End::Closed), _) if seen.beginning.is_empty() => {
                    refused(&"it closed the connection; is it a SOCKS proxy?")
                }
                (Some(End::Closed), _) => refused(&"it closed the connection in the middle"),
                _ => refused(&error.to_string().trim_start_matches("SOCKS error: ")),
            }
        })?;
        stamps.head_understood();
        Ok(Box::new(stream.into_inner()))
    }
}

/// A connector that is connected already.
struct Connected<S>(Option<S>);

impl<S> Service<Uri> for Connected<S> {
    type Response = S;
    type Error = io::Error;
    type Future = Ready<io::Result<S>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// RFC 1928, section 3.
const SOCKS_PORT: u16 = 1080;
/// RFC 1929, section 2.
const MAX_SOCKS_TEXT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        let target = Target::parse(url).unwrap();
        Some(proxies.of(&target, &target.endpoint())?.url)
    }

    #[test]
    fn kinds_and_ports_are_understood() {
        let shown = |text| Proxy::parse(text, "--proxy").map(|proxy| proxy.url);
        for (text, url) in [
            ("127.0.0.1:3128", "http://127.0.0.1:3128"),
            ("http://me:secret@Proxy/", "http://proxy:80"),
            ("https://proxy", "https://proxy:443"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("socks5h://proxy:9", "socks5h://proxy:9"),
        ] {
            assert_eq!(shown(text).unwrap(), url);
        }
        for text in
            ["ftp://proxy", "http://", "http://exa mple", "socks5://", "socks5://me:secret@a b"]
        {
            let error = shown(text).unwrap_err();
            assert_eq!(error.kind, Kind::Proxy, "{text}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn exceptions_go_direct() {
        let proxies =
            Proxies::new(Some("proxy:1"), Some("example.com, 10.0.0.0/8, 192.0.2.1, ::1")).unwrap();
        for direct in
            ["http://example.com/", "https://a.example.com/", "http://10.1.2.3/", "http://[::1]/"]
        {
            assert_eq!(chosen(&proxies, direct), None, "{direct}");
        }
        for through in ["http://notexample.com/", "http://192.0.2.2/", "https://[::2]/"] {
            assert_eq!(chosen(&proxies, through).unwrap(), "http://proxy:1", "{through}");
        }
        let none = Proxies::new(Some("proxy:1"), Some("*")).unwrap();
        assert_eq!(chosen(&none, "http://anything/"), None);
        assert_eq!(chosen(&none, "http://192.0.2.1/"), None);
    }
}
