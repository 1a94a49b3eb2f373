//! Servers whose behaviour is known, on threads of their own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// A request whose head was read.
pub(crate) struct Request {
    pub(crate) stream: BufReader<TcpStream>,
    /// Bytes of its body, still to be read.
    pub(crate) length: u64,
}

/// Hands each request to `answer`.
pub(crate) fn serve(listener: TcpListener, answer: fn(Request)) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut length = 0;
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(number) = line.strip_prefix("content-length: ") {
                        length = number.trim().parse().unwrap();
                    }
                    line.clear();
                }
                answer(Request { stream, length });
            });
        }
    });
    address
}

/// The same on loopback, as a URL.
pub(crate) fn local(answer: fn(Request)) -> String {
    format!("http://{}/", serve(TcpListener::bind("127.0.0.1:0").unwrap(), answer))
}

impl Request {
    /// The head of a response with a body of so many bytes.
    pub(crate) fn head(&mut self, length: usize) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        self.write(head.as_bytes());
    }

    /// A client that has seen enough may be gone already.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads so much of the body.
    pub(crate) fn read(&mut self, length: u64) {
        let taken = (&mut self.stream).take(length);
        let _ = std::io::copy(&mut { taken }, &mut std::io::sink());
    }
}

/// Ten bursts with a pause after each.
pub(crate) fn pausing(mut request: Request) {
    request.head(10 * 100_000);
    for _ in 0..10 {
        request.write(&[b'x'; 100_000]);
        thread::sleep(Duration::from_millis(60));
    }
}

/// Two hundred bytes a time, without a pause that a sample would see.
pub(crate) fn trickling(mut request: Request) {
    request.stream.get_ref().set_nodelay(true).unwrap();
    request.head(150 * 200);
    for _ in 0..150 {
        request.write(&[b'x'; 200]);
        thread::sleep(Duration::from_millis(4));
    }
}

/// As much as goes through.
pub(crate) fn generous(mut request: Request) {
    const PIECE: usize = 1 << 20;
    request.head(GENEROUS as usize);
    for _ in 0..GENEROUS as usize / PIECE {
        request.write(&[b'x'; PIECE]);
    }
}

pub(crate) const GENEROUS: u64 = 24 << 20;

/// Five bytes.
pub(crate) fn brief(mut request: Request) {
    request.head(5);
    request.write(b"hello");
}

/// Takes a body as fast as it comes.
pub(crate) fn taking(mut request: Request) {
    let length = request.length;
    request.read(length);
    request.head(2);
    request.write(b"ok");
}

/// Takes no part of a body for a second.
pub(crate) fn reluctant(request: Request) {
    thread::sleep(Duration::from_secs(1));
    taking(request);
}
