//! A server of HTTP/2 that says exactly what a test wants, frame by frame.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use crate::server::{self, Identity};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200` of the static table.
pub(crate) const OK: &[u8] = &[0x88];

/// One connection, whose request has been read up to its first HEADERS frame.
pub(crate) struct Http2<S>(pub(crate) S);

impl<S: Read + Write> Http2<S> {
    /// The preface, settings and the head of the request.
    fn begin(mut stream: S, settings: &[u8]) -> io::Result<Self> {
        stream.read_exact(&mut [0; 24])?;
        let mut this = Self(stream);
        this.frame(SETTINGS, 0, 0, settings)?;
        while this.next()?.0 != HEADERS {}
        Ok(this)
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame)?;
        self.0.flush()
    }

    /// Kind and flags of the next frame.
    pub(crate) fn next(&mut self) -> io::Result<(u8, u8)> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header)?;
        let [l0, l1, l2, kind, flags, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        self.0.read_exact(&mut payload)?;
        Ok((kind, flags))
    }

    /// Reads until the client leaves.
    pub(crate) fn linger(&mut self) {
        while self.next().is_ok() {}
    }
}

/// A field that is not in any table; both parts are shorter than 127 bytes.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// Serves every connection so, over TLS that needs `-k`.
pub(crate) fn serve<F>(settings: &'static [u8], behave: F) -> SocketAddr
where
    F: Fn(&mut Http2<Stream>) -> io::Result<()> + Send + Sync + 'static,
{
    let config = Identity::for_loopback().config(rustls::ALL_VERSIONS, &["h2"]);
    server::raw_tls(config, move |stream| {
        if let Ok(mut connection) = Http2::begin(stream, settings) {
            // A client that has seen enough leaves in the middle.
            let _ = behave(&mut connection);
        }
    })
}

pub(crate) type Stream = rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>;
