//! Connections of the test's own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A listener with connections, both ends of which are here.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) listener: TcpListener,
    pub(crate) clients: Vec<TcpStream>,
    pub(crate) servers: Vec<TcpStream>,
}

impl Scene {
    /// With so many connections over IPv4.
    pub(crate) fn new(connections: usize) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), connections)
    }

    /// The same over IPv6, or `None` where there is none.
    pub(crate) fn ipv6(connections: usize) -> Option<Self> {
        let address = Ipv6Addr::LOCALHOST;
        TcpListener::bind((address, 0)).ok()?;
        Some(Self::at(address.into(), connections))
    }

    fn at(address: IpAddr, connections: usize) -> Self {
        let listener = listen(address);
        let server = listener.local_addr().unwrap();
        let mut scene = Self { listener, clients: Vec::new(), servers: Vec::new() };
        for _ in 0..connections {
            scene.clients.push(TcpStream::connect(server).unwrap());
            scene.servers.push(scene.listener.accept().unwrap().0);
        }
        scene
    }

    /// The port of the server, which nobody else has while this scene lasts.
    pub(crate) fn port(&self) -> String {
        self.listener.local_addr().unwrap().port().to_string()
    }

    /// Sends bytes from the first client, all of which are read.
    pub(crate) fn talk(&mut self, bytes: usize) {
        self.clients[0].write_all(&vec![b'x'; bytes]).unwrap();
        self.servers[0].read_exact(&mut vec![0; bytes]).unwrap();
    }
}

/// At a port that no connection has, not even one that is over.
///
/// The kernel gives the ports of those (`TIME_WAIT`) to new listeners, so it is not asked for one: below
/// the ports that it gives, only those are taken that somebody wants.
fn listen(address: IpAddr) -> TcpListener {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    loop {
        let number = process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = 12_000 + (number % 20_000) as u16;
        if let Ok(listener) = TcpListener::bind((address, port))
            && !is_left_behind(port)
        {
            return listener;
        }
    }
}

/// Whether the kernel's own tables name the port in anything but a listener.
fn is_left_behind(port: u16) -> bool {
    const LISTEN: &str = "0A";

    let end = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let columns: Vec<_> = line.split_whitespace().skip(1).take(3).collect();
            matches!(*columns, [local, remote, state] if state != LISTEN
                && (local.ends_with(&end) || remote.ends_with(&end)))
        })
    })
}
