//! Connections of the test's own.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
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
        let listener = TcpListener::bind((address, 0)).unwrap();
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
