//! A small HTTPS site on loopback, so that there is something to measure without a network.

mod certificate;
mod site;

use std::{
    net::{Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs as _},
    thread,
};

use rustls::pki_types::CertificateDer;

use crate::error::{Error, Kind};
use certificate::Identity;

/// A site that is being served until the process ends.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) url: String,
    /// Made for this run; nobody else has reason to trust it.
    pub(crate) certificate: CertificateDer<'static>,
}

impl Demo {
    /// Serves the site from a thread of its own, so that measuring does not disturb serving.
    pub(crate) fn start() -> Result<Self, Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Connect, format!("the demo site cannot be served: {why}"))
        };
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| failed(&error))?;
        let port = listener.local_addr().map_err(|error| failed(&error))?.port();
        // `localhost` may mean both; where IPv6 is missing, the other one is enough.
        let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok();
        let identity = Identity::generate().ok_or_else(|| failed(&"no certificate"))?;
        let certificate = identity.certificate.clone();
        let config = identity.server_config().map_err(|error| failed(&error))?;

        let listeners = [Some(listener), ipv6].into_iter().flatten().collect();
        thread::Builder::new()
            .name("demo-site".to_owned())
            .spawn(move || site::serve(listeners, config))
            .map_err(|error| failed(&error))?;
        Ok(Self { url: format!("https://{}:{port}/", host()), certificate })
    }
}

/// The name, so that a lookup is part of the demonstration, where it leads to this machine.
fn host() -> &'static str {
    let mut addresses = ("localhost", 0).to_socket_addrs().into_iter().flatten().peekable();
    let is_here = addresses.peek().is_some() && addresses.all(|address| address.ip().is_loopback());
    if is_here { "localhost" } else { "127.0.0.1" }
}
