//! Which way a request takes to the server that its URL names.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use url::Host;

use crate::{
    dial::Family,
    proxy::{Proxies, Proxy},
    target::{Endpoint, Target},
};

/// Everything that the user said about the way.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) family: Family,
    pub(crate) pins: Vec<Pin>,
    pub(crate) detours: Vec<Detour>,
    pub(crate) interface: Option<Interface>,
    pub(crate) proxies: Proxies,
}

impl Route {
    /// The server to speak to, and the proxy to reach it through.
    pub(crate) fn to(&self, target: &Target) -> (Endpoint, Option<Proxy>) {
        let endpoint = self.detoured(target.endpoint());
        let proxy = self.proxies.of(target, &endpoint);
        (endpoint, proxy)
    }

    /// The addresses that `--resolve` gives to a name.
    pub(crate) fn pinned(&self, endpoint: &Endpoint) -> Option<Vec<SocketAddr>> {
        // The last one counts, as with every other option.
        let pin = self.pins.iter().rev().find(|pin| pin.is_for(endpoint))?;
        Some(pin.ips.iter().map(|ip| SocketAddr::new(*ip, endpoint.port)).collect())
    }

    fn detoured(&self, endpoint: Endpoint) -> Endpoint {
        let Some(detour) = self.detours.iter().find(|detour| detour.is_for(&endpoint)) else {
            return endpoint;
        };
        Endpoint {
            host: detour.to_host.clone().unwrap_or(endpoint.host),
            port: detour.to_port.unwrap_or(endpoint.port),
        }
    }
}

/// `--resolve HOST:PORT:ADDRESS[,ADDRESS]...`, where the host may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Absent for every host.
    host: Option<Host>,
    port: u16,
    ips: Vec<IpAddr>,
}

impl Pin {
    fn is_for(&self, endpoint: &Endpoint) -> bool {
        self.port == endpoint.port && self.host.as_ref().is_none_or(|host| *host == endpoint.host)
    }
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write HOST:PORT:ADDRESS[,ADDRESS]...";
        // curl keeps what begins with "+" for some time only, which is longer than a run.
        let (host, rest) = split_host(text.strip_prefix('+').unwrap_or(text)).ok_or(FORM)?;
        let (port, addresses) = rest.split_once(':').ok_or(FORM)?;
        let ip = |text: &str| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            bare.unwrap_or(text).parse().map_err(|_| format!("\"{text}\" is no address; {FORM}"))
        };
        Ok(Self {
            host: if host == "*" { None } else { Some(parse_host(host)?) },
            port: parse_port(port)?,
            ips: addresses.split(',').map(ip).collect::<Result<_, _>>()?,
        })
    }
}

/// `--connect-to HOST1:PORT1:HOST2:PORT2`, where each part may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detour {
    host: Option<Host>,
    port: Option<u16>,
    to_host: Option<Host>,
    to_port: Option<u16>,
}

impl Detour {
    fn is_for(&self, endpoint: &Endpoint) -> bool {
        self.host.as_ref().is_none_or(|host| *host == endpoint.host)
            && self.port.is_none_or(|port| port == endpoint.port)
    }
}

impl FromStr for Detour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write HOST1:PORT1:HOST2:PORT2, where parts may be empty";
        let (host, rest) = split_host(text).ok_or(FORM)?;
        let (port, rest) = rest.split_once(':').ok_or(FORM)?;
        let (to_host, to_port) = split_host(rest).ok_or(FORM)?;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let host_of = |text| given(text).map(|text| parse_host(&text)).transpose();
        let port_of = |text| given(text).map(|text| parse_port(&text)).transpose();
        Ok(Self {
            host: host_of(host)?,
            port: port_of(port)?,
            to_host: host_of(to_host)?,
            to_port: port_of(to_port)?,
        })
    }
}

/// `--interface`: where connections start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Address(IpAddr),
    /// A network device, which only some systems can be told to use.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Device(String),
}

impl FromStr for Interface {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("host!");
        if let Ok(ip) = host.unwrap_or(text).parse() {
            return Ok(Self::Address(ip));
        }
        if host.is_some() {
            return Err("write the address, not a name".to_owned());
        }
        let device = text.strip_prefix("if!").unwrap_or(text);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !device.is_empty() && device.len() < 16 && !device.contains(['/', '\0']) {
            return Ok(Self::Device(device.to_owned()));
        }
        match device.is_empty() {
            true => Err("it is empty; write an address of this machine".to_owned()),
            false => Err(format!("\"{device}\" is no address of this machine's network")),
        }
    }
}

/// What stands before the first colon that is not part of an IPv6 address, and what stands after.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let end = match text.starts_with('[') {
        true => text.find(']')? + 1,
        false => text.find(':')?,
    };
    Some((&text[..end], text[end..].strip_prefix(':')?))
}

fn parse_host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|error| format!("\"{text}\" is no host: {error}"))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Target::parse(url).unwrap().endpoint()
    }

    #[test]
    fn a_name_can_be_pinned_to_addresses() {
        let pins = ["example.com:443:127.0.0.1,[::1]", "*:80:192.0.2.1", "+[::2]:1:::3"];
        let route =
            Route { pins: pins.map(|pin| pin.parse().unwrap()).to_vec(), ..Route::default() };
        let pinned = |url| route.pinned(&endpoint(url));
        let both: Vec<SocketAddr> =
            vec!["127.0.0.1:443".parse().unwrap(), "[::1]:443".parse().unwrap()];
        assert_eq!(pinned("https://EXAMPLE.com/"), Some(both));
        assert_eq!(pinned("http://any/"), Some(vec!["192.0.2.1:80".parse().unwrap()]));
        assert_eq!(pinned("http://[::2]:1/"), Some(vec!["[::3]:1".parse().unwrap()]));
        assert_eq!(pinned("https://example.com:444/"), None);
    }

    #[test]
    fn a_connection_can_be_led_elsewhere() {
        let led = |detour: &str, url: &str| {
            let detours = vec![detour.parse().unwrap()];
            Route { detours, ..Route::default() }.to(&Target::parse(url).unwrap()).0.to_string()
        };
        assert_eq!(led("a:80:b:81", "http://a/"), "b:81");
        assert_eq!(led("a:80:b:81", "http://c/"), "c:80");
        assert_eq!(led("::[::1]:", "http://c/"), "[::1]:80");
        assert_eq!(led(":80::8080", "http://c/"), "c:8080");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "h", "h:80", "h:80:", "h:80:name", "h:99999:1.2.3.4", "[::1:80:::1"] {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
        for text in ["", "a", "a:80", "a:80:b", "a:x:b:1"] {
            assert!(text.parse::<Detour>().is_err(), "{text}");
        }
        for text in ["", "host!name", "if!"] {
            assert!(text.parse::<Interface>().is_err(), "{text}");
        }
    }
}
