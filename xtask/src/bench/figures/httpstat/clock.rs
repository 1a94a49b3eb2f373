//! A server that takes its time, and notes when it did what.
//!
//! Its clock is this process's, not that of the program it is compared with. What only the client
//! sees has no figure: the name lookup, and when a connection began.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::bench::{cost::Trouble, tls::Identity};

use super::program::Program;

/// The phases that a server sees both ends of.
#[derive(Clone, Copy)]
pub(in crate::bench) enum Phase {
    Tls,
    Server,
    Transfer,
    /// From the connection to the last byte.
    Total,
}

/// When the server did what.
pub(super) struct Stamps {
    accepted: Instant,
    encrypted: Instant,
    request_read: Instant,
    first_byte: Instant,
    last_byte: Instant,
}

impl Stamps {
    pub(super) fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Tls => self.encrypted - self.accepted,
            Phase::Server => self.first_byte - self.request_read,
            Phase::Transfer => self.last_byte - self.first_byte,
            Phase::Total => self.last_byte - self.accepted,
        }
    }
}

/// What httpstat says of a phase in its JSON.
pub(super) fn reported(report: &[u8], phase: Phase) -> Result<Duration, Trouble> {
    let key = match phase {
        Phase::Tls => "tls",
        Phase::Server => "server",
        Phase::Transfer => "transfer",
        Phase::Total => "total",
    };
    let report: Value =
        serde_json::from_slice(report).map_err(|error| Trouble::Failed(error.to_string()))?;
    report["hops"][0]["timings_ms"][key]
        .as_f64()
        .map(|milliseconds| Duration::from_secs_f64(milliseconds / 1e3))
        .ok_or_else(|| Trouble::Failed(format!("the report has no {key}")))
}

/// It is served until the process ends.
pub(super) struct Site {
    address: SocketAddr,
    authorities: PathBuf,
    served: Receiver<io::Result<Stamps>>,
}

impl Site {
    pub(super) fn serve() -> Result<Self, Trouble> {
        let identity = Identity::new()?;
        let config = identity.server_config(b"http/1.1")?;
        let authorities = identity.authorities()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, served) = channel();
        thread::spawn(move || serve(&listener, &config, &sender));
        Ok(Self { address, authorities, served })
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    pub(super) fn httpstat(&self) -> Result<Program, Trouble> {
        Program::httpstat_that_trusts(Some(&self.authorities))
    }

    /// Those of the oldest connection that was not yet asked for.
    pub(super) fn stamps(&self) -> Result<Stamps, Trouble> {
        let served = self.served.recv_timeout(Duration::from_secs(10));
        Ok(served.map_err(|_| Trouble::Failed("nobody connected".to_owned()))??)
    }
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, sender: &Sender<io::Result<Stamps>>) {
    while let Ok((stream, _)) = listener.accept() {
        if sender.send(answer(stream, Arc::clone(config))).is_err() {
            return;
        }
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Stamps> {
    let accepted = Instant::now();
    stream.set_nodelay(true)?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    sleep(DELAY);
    let mut socket = &stream;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    let encrypted = Instant::now();

    let mut stream = StreamOwned::new(tls, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let request_read = Instant::now();

    sleep(DELAY);
    let first_byte = Instant::now();
    let mut last_byte = first_byte;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")?;
    for piece in b"hello" {
        sleep(DELAY / 4);
        last_byte = Instant::now();
        stream.write_all(&[*piece])?;
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(Stamps { accepted, encrypted, request_read, first_byte, last_byte })
}

const DELAY: Duration = Duration::from_millis(40);
