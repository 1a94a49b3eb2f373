//! From a host name to an established TCP connection, over IPv6 and IPv4 at once.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};
use url::Host;

use crate::{
    error::{Error, Kind, reason},
    route::Interface,
    target::Endpoint,
};

/// Which addresses may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Any,
    Ipv4,
    Ipv6,
}

impl Family {
    fn admits(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => ip.is_ipv4(),
            Self::Ipv6 => ip.is_ipv6(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Ipv4 => "IPv4 ",
            Self::Ipv6 => "IPv6 ",
        }
    }
}

/// The address, if it is one already, so that nothing needs to be looked up.
pub(crate) fn literal(endpoint: &Endpoint) -> Option<SocketAddr> {
    let ip = match endpoint.host {
        Host::Ipv4(ip) => IpAddr::from(ip),
        Host::Ipv6(ip) => IpAddr::from(ip),
        Host::Domain(_) => return None,
    };
    Some(SocketAddr::new(ip, endpoint.port))
}

/// Asks the system's resolver, the one every other program here uses.
pub(crate) async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
    let host = endpoint.host.to_string();
    match tokio::net::lookup_host((host.as_str(), endpoint.port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => {
            let why = reason(&error).replace("failed to lookup address information: ", "");
            let why = why.trim_end();
            Err(Error::new(
                Kind::Resolve,
                format!("could not resolve {host}: {why}; check the name and the network"),
            ))
        }
    }
}

/// The addresses in the order of attempts: families alternate, beginning with the resolver's first
/// choice (RFC 8305, section 4).
pub(crate) fn order(
    found: &[SocketAddr],
    family: Family,
    endpoint: &Endpoint,
) -> Result<VecDeque<SocketAddr>, Error> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found {
        if family.admits(address.ip()) && !unique.contains(address) {
            unique.push(*address);
        }
    }
    let prefers_ipv6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|address| address.is_ipv6() == prefers_ipv6);
    let mut other = other.into_iter();
    let mut ordered = VecDeque::new();
    for address in preferred {
        ordered.push_back(address);
        ordered.extend(other.next());
    }
    ordered.extend(other);
    if ordered.is_empty() {
        let message = format!("{} has no {}address", endpoint.host, family.name());
        return Err(Error::new(Kind::Resolve, message));
    }
    Ok(ordered)
}

/// One try to connect to one address.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
    /// Absent while the attempt is under way.
    pub(crate) ended: Option<Instant>,
    pub(crate) outcome: Outcome,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Connected,
    Failed {
        kind: io::ErrorKind,
        reason: String,
    },
    /// Another attempt won, or time ran out.
    Abandoned,
}

/// Connects to the first address that answers (RFC 8305, section 5).
///
/// The next address is tried when an attempt fails, or after 250 ms without an answer. Every attempt
/// is in `attempts` from the moment it begins, so that they are known also when this future is
/// dropped.
pub(crate) async fn race<C, F, S>(
    mut addresses: VecDeque<SocketAddr>,
    attempts: &mut Vec<Attempt>,
    connect: C,
) -> Option<S>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        if let Some(address) = addresses.pop_front() {
            let number = attempts.len();
            attempts.push(Attempt::begin(address));
            let attempt = connect(address);
            running.spawn(async move { (number, attempt.await, Instant::now()) });
        }
        let finished = tokio::select! {
            finished = running.join_next() => finished?,
            () = sleep(ATTEMPT_DELAY), if !addresses.is_empty() => continue,
        };
        let Ok((number, result, at)) = finished else { continue };
        let attempt = attempts.get_mut(number)?;
        attempt.ended = Some(at);
        match result {
            Ok(stream) => {
                attempt.outcome = Outcome::Connected;
                return Some(stream);
            }
            Err(error) => {
                let reason = reason(&error);
                attempt.outcome = Outcome::Failed { kind: error.kind(), reason };
            }
        }
    }
}

/// Opens one connection, without the delay that would hold back a small request.
pub(crate) async fn connect(address: SocketAddr, from: Option<Interface>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    match from {
        Some(Interface::Address(ip)) => socket.bind(SocketAddr::new(ip, 0))?,
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some(Interface::Device(name)) => socket.bind_device(Some(name.as_bytes()))?,
        None => {}
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Why no attempt succeeded.
pub(crate) fn failure(attempts: &[Attempt], endpoint: &Endpoint) -> Error {
    let failed = attempts.iter().filter_map(|attempt| match &attempt.outcome {
        Outcome::Failed { kind, reason } => Some((attempt.address, *kind, reason)),
        _ => None,
    });
    let list: Vec<_> =
        failed.clone().map(|(address, _, reason)| format!("{address} ({reason})")).collect();
    let all = |wanted| failed.clone().all(|(_, kind, _)| kind == wanted);
    let hint = if all(io::ErrorKind::ConnectionRefused) {
        format!("; is a server listening on port {}?", endpoint.port)
    } else if all(io::ErrorKind::NetworkUnreachable) {
        "; is this machine online?".to_owned()
    } else {
        String::new()
    };
    Error::new(Kind::Connect, format!("could not connect to {}{hint}", list.join(" or ")))
}

impl Attempt {
    /// How long it took, once it has ended.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.ended.map(|ended| ended.saturating_duration_since(self.started))
    }

    fn begin(address: SocketAddr) -> Self {
        Self { address, started: Instant::now(), ended: None, outcome: Outcome::Abandoned }
    }
}

/// RFC 8305, section 8: the recommended value.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    const V6: [&str; 3] = ["[2001:db8::1]:80", "[2001:db8::2]:80", "[2001:db8::3]:80"];
    const V4: [&str; 2] = ["192.0.2.1:80", "192.0.2.2:80"];

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn endpoint() -> Endpoint {
        Endpoint { host: Host::Domain("example.com".to_owned()), port: 80 }
    }

    #[test]
    fn families_alternate_from_the_resolvers_first_choice() {
        let found = addresses(&[V6[0], V6[1], V6[2], V4[0], V4[0], V4[1]]);
        let any = order(&found, Family::Any, &endpoint()).unwrap();
        assert_eq!(any, addresses(&[V6[0], V4[0], V6[1], V4[1], V6[2]]));
        let only = order(&found, Family::Ipv4, &endpoint()).unwrap();
        assert_eq!(only, addresses(&V4));
    }

    #[test]
    fn a_family_without_addresses_is_a_failed_lookup() {
        let error = order(&addresses(&V6), Family::Ipv4, &endpoint()).unwrap_err();
        assert_eq!(error.kind, Kind::Resolve);
        assert!(error.message.contains("no IPv4 address"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_delays_the_next_attempt_by_a_quarter_second() {
        let begun = tokio::time::Instant::now();
        let mut attempts = Vec::new();
        let winner = race(addresses(&[V6[0], V4[0]]).into(), &mut attempts, |address| async move {
            match address.is_ipv6() {
                true => std::future::pending().await,
                false => Ok(address),
            }
        })
        .await;
        assert_eq!(winner, Some(addresses(&V4)[0]));
        assert_eq!(begun.elapsed().as_millis(), 250);
        assert!(matches!(attempts[0].outcome, Outcome::Abandoned));
        assert!(matches!(attempts[1].outcome, Outcome::Connected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_address_moves_on_at_once() {
        let begun = tokio::time::Instant::now();
        let mut attempts = Vec::new();
        let winner = race(addresses(&[V6[0], V4[0]]).into(), &mut attempts, |address| async move {
            match address.is_ipv6() {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => Ok(address),
            }
        })
        .await;
        assert_eq!(winner, Some(addresses(&V4)[0]));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(matches!(attempts[0].outcome, Outcome::Failed { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_can_still_win() {
        let mut attempts = Vec::new();
        let winner = race(addresses(&[V6[0], V4[0]]).into(), &mut attempts, |address| async move {
            let millis = if address.is_ipv6() { 400 } else { 1_000 };
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, io::Error>(address)
        })
        .await;
        assert_eq!(winner, Some(addresses(&V6)[0]));
        assert_eq!(attempts.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_when_all_fail() {
        let mut attempts = Vec::new();
        let found = addresses(&[V6[0], V4[0], V6[1]]);
        let winner: Option<()> = race(found.into(), &mut attempts, |_| async {
            Err(io::ErrorKind::ConnectionRefused.into())
        })
        .await;
        assert_eq!(winner, None);
        assert_eq!(attempts.len(), 3);
        let error = failure(&attempts, &endpoint());
        assert_eq!(error.kind, Kind::Connect);
        assert!(error.message.contains("listening on port 80"), "{error}");
    }
}
