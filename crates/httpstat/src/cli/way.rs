//! Options about the way to the server.

use std::path::PathBuf;

use super::WAY;
use crate::{
    dial::Family,
    error::Error,
    proxy::Proxies,
    route::{Detour, Interface, Pin, Route},
    target::Credentials,
    tls::Trust,
};

#[derive(Debug, clap::Args)]
pub(crate) struct WayArgs {
    /// Use IPv4 only
    #[arg(help_heading = WAY, short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(help_heading = WAY, short = '6', long)]
    ipv6: bool,

    /// Take these addresses for a host and port, instead of looking it up; "*" is every host
    #[arg(help_heading = WAY, long, value_name = "HOST:PORT:ADDRESS[,...]")]
    resolve: Vec<Pin>,

    /// Connect to another host and port than the URL names; empty parts mean any and the same
    #[arg(help_heading = WAY, long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    connect_to: Vec<Detour>,

    /// Connect from this address, or on Linux from this network device
    #[arg(help_heading = WAY, long, value_name = "ADDRESS")]
    interface: Option<Interface>,

    /// Go through a proxy: http, https, socks5, or socks5h, which looks names up itself
    ///
    /// Without this option the environment counts: http_proxy, https_proxy and all_proxy, also in
    /// capitals. Without a port it is 80, 443 or 1080. An empty URL means none.
    #[arg(help_heading = WAY, short = 'x', long, value_name = "URL")]
    proxy: Option<String>,

    /// Reach these hosts without a proxy: names with all below them, addresses, networks, or "*"
    ///
    /// Without this option, what no_proxy or NO_PROXY says counts.
    #[arg(help_heading = WAY, long, value_name = "HOST,...")]
    noproxy: Option<String>,

    /// User name and password for the proxy
    #[arg(help_heading = WAY, short = 'U', long, value_name = "USER:PASSWORD")]
    proxy_user: Option<String>,

    /// Trust the authorities in this PEM file for an https proxy, instead of the system's
    #[arg(help_heading = WAY, long, value_name = "FILE")]
    proxy_cacert: Option<PathBuf>,

    /// Accept any certificate of an https proxy
    #[arg(help_heading = WAY, long)]
    proxy_insecure: bool,
}

impl WayArgs {
    /// To a site of our own, no proxy leads that the environment names.
    pub(crate) fn route(&self, is_demo: bool) -> Result<Route, Error> {
        let given = self.proxy.as_deref().or(is_demo.then_some(""));
        let mut proxies = Proxies::new(given, self.noproxy.as_deref())?;
        if let Some(user) = &self.proxy_user {
            proxies.identify(&Credentials::from_argument(user));
        }
        Ok(Route {
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Family::Ipv4,
                (_, true) => Family::Ipv6,
                _ => Family::Any,
            },
            pins: self.resolve.clone(),
            detours: self.connect_to.clone(),
            interface: self.interface.clone(),
            proxies,
        })
    }

    pub(crate) fn proxy_trust(&self) -> Trust {
        match &self.proxy_cacert {
            _ if self.proxy_insecure => Trust::Anybody,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        }
    }
}
