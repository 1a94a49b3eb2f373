//! Connections to look at.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use sockdiag::{EntryBuf, Lookup, SockDiag};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// Whether this machine can run it.
    pub(crate) needs: Result<(), &'static str>,
    pub(crate) run: fn(),
}

pub(crate) const fn test(name: &'static str, run: fn()) -> Test {
    Test { name, needs: Ok(()), run }
}

pub(crate) fn needs(possible: bool, why: &'static str) -> Result<(), &'static str> {
    if possible { Ok(()) } else { Err(why) }
}

/// Addresses of both protocols, as far as this machine has them.
pub(crate) fn loopbacks() -> Vec<SocketAddr> {
    ["127.0.0.1:0", "[::1]:0"]
        .into_iter()
        .map(|address| address.parse().unwrap())
        .filter(|address: &SocketAddr| TcpListener::bind(address).is_ok())
        .collect()
}

/// The ends of a connection: who connected, who accepted, and the listener between.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    pub(crate) listener: TcpListener,
}

pub(crate) fn pair() -> Pair {
    pair_at("127.0.0.1:0".parse().unwrap())
}

pub(crate) fn pair_at(address: SocketAddr) -> Pair {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    Pair { client, server, listener }
}

/// A listener that takes both protocols, and a client of the older one.
pub(crate) fn mapped_pair() -> Option<Pair> {
    let listener = TcpListener::bind("[::]:0").ok()?;
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let (server, _) = listener.accept().ok()?;
    Some(Pair { client, server, listener })
}

/// The ends of a connection of Multipath TCP, and the listener; `None` if the kernel has none.
pub(crate) fn mptcp_pair() -> Option<(TcpStream, TcpStream, Socket)> {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(262))).ok();
    let listener = socket()?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).ok()?;
    listener.listen(1).ok()?;
    let client = socket()?;
    client.connect(&listener.local_addr().ok()?).ok()?;
    let (server, _) = listener.accept().ok()?;
    Some((client.into(), server.into(), listener))
}

/// The connection as its own end sees it.
pub(crate) fn lookup_of(stream: &TcpStream) -> Lookup {
    Lookup::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

pub(crate) fn find(lookup: &Lookup) -> Option<EntryBuf> {
    let mut diag = SockDiag::open().unwrap();
    diag.lookup(lookup).unwrap().map(|entry| entry.to_buf())
}

pub(crate) fn found(stream: &TcpStream) -> EntryBuf {
    find(&lookup_of(stream)).expect("the connection is there")
}

/// Has the socket hear nothing any more.
pub(crate) fn deafen(socket: &impl AsFd) {
    try_deafen(socket).unwrap();
}

fn try_deafen(socket: &impl AsFd) -> std::io::Result<()> {
    const RETURN_NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);
    SockRef::from(socket).attach_filter(&[RETURN_NOTHING])
}

pub(crate) fn can_deafen() -> Result<(), &'static str> {
    let possible = TcpListener::bind("127.0.0.1:0").is_ok_and(|socket| try_deafen(&socket).is_ok());
    needs(possible, "this user may not attach a filter to a socket")
}

/// As `/proc` shows it.
pub(crate) fn inode(socket: &impl AsFd) -> u32 {
    let link = format!("/proc/self/fd/{}", socket.as_fd().as_raw_fd());
    let target = std::fs::read_link(link).unwrap();
    let text = target.to_str().unwrap();
    text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).unwrap().parse().unwrap()
}

/// Waits until something is so, far longer than it can take on a loaded machine.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
