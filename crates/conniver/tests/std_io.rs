//! The wrapper of a std stream does what the bare stream does, through `&mut Conn` and `&Conn`.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use conniver::{Conn, Options};

fn pair() -> (Conn<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Options::new().wrap(client), listener.accept().unwrap().0)
}

#[test]
fn all_buffers_of_a_vectored_write_reach_the_peer_and_are_counted() {
    let (mut conn, mut server) = pair();
    let bufs = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(conn.write_vectored(&bufs).unwrap(), 5);
    assert_eq!((&conn).write_vectored(&bufs).unwrap(), 5);
    let mut heard = [0; 10];
    server.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"abcdeabcde");
    let now = conn.snapshot();
    assert_eq!((now.tx_bytes, now.tx_ops, now.rx_bytes), (10, 2, 0));
}

#[test]
fn all_buffers_of_a_vectored_read_are_filled_and_counted() {
    let (mut conn, mut server) = pair();
    for shared in [false, true] {
        server.write_all(b"abcde").unwrap();
        let (mut two, mut four) = ([0; 2], [0; 4]);
        let bufs = &mut [IoSliceMut::new(&mut two), IoSliceMut::new(&mut four)];
        let moved = if shared { (&conn).read_vectored(bufs) } else { conn.read_vectored(bufs) };
        assert_eq!(moved.unwrap(), 5);
        assert_eq!((&two, &four), (b"ab", b"cde\0"));
    }
    let now = conn.snapshot();
    assert_eq!((now.rx_bytes, now.rx_ops, now.tx_bytes), (10, 2, 0));
}

/// Counts how often it is flushed, and fails on the second time.
#[derive(Default)]
struct Flushed(AtomicU32);

impl Write for &Flushed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.fetch_add(1, Relaxed) {
            0 => Ok(()),
            _ => Err(ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Write for Flushed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

#[test]
fn flushes_reach_the_stream_and_their_errors_the_report() {
    type Flush = fn(&mut Conn<Flushed>) -> io::Result<()>;
    let ways: [Flush; 2] = [|conn| conn.flush(), |conn| (&*conn).flush()];
    for flush in ways {
        let mut conn = Options::new().wrap_opaque(Flushed::default());
        flush(&mut conn).unwrap();
        assert_eq!(conn.get_ref().0.load(Relaxed), 1);
        assert_eq!(conn.snapshot().tx_err, None);
        assert_eq!(flush(&mut conn).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        let (_, report) = conn.into_inner();
        assert_eq!(report.tx_err.as_ref().unwrap().kind, ErrorKind::ConnectionAborted);
        assert_eq!(report.rx_err, None);
    }
}

#[test]
fn only_a_shutdown_that_covers_writing_ends_the_sending_side() {
    for (how, ends) in [(Shutdown::Read, false), (Shutdown::Write, true), (Shutdown::Both, true)] {
        let (conn, mut server) = pair();
        conn.shutdown(how).unwrap();
        assert_eq!(conn.snapshot().tx_ended_at.is_some(), ends, "{how:?}");
        assert_eq!(conn.snapshot().rx_ended_at, None, "the peer has not ended its stream");
        if ends {
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        }
    }
}

#[test]
fn a_shutdown_that_comes_too_late_is_no_error_of_writing() {
    for how in [Shutdown::Read, Shutdown::Write] {
        let (conn, server) = pair();
        (&conn).write_all(b"unread").unwrap();
        server.peek(&mut [0; 1]).unwrap();
        drop(server); // with unread data: the kernel resets the connection
        // Takes the reset off the socket without the wrapper's knowing.
        assert_eq!(
            conn.get_ref().read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(conn.shutdown(how).unwrap_err().kind(), ErrorKind::NotConnected);
        let now = conn.snapshot();
        assert_eq!((now.tx_err, now.tx_ended_at), (None, None), "{how:?}");
    }
}

#[test]
fn peeked_bytes_are_counted_when_they_are_read() {
    let (mut conn, mut server) = pair();
    server.write_all(b"abc").unwrap();
    assert_eq!(conn.peek(&mut [0; 2]).unwrap(), 2);
    let now = conn.snapshot();
    assert_eq!((now.rx_bytes, now.rx_ops, now.first_rx_at), (0, 0, None));
    conn.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(conn.snapshot().rx_bytes, 3);
    drop(server);
    assert_eq!(conn.peek(&mut [0; 1]).unwrap(), 0);
    assert_eq!(conn.snapshot().rx_ended_at, None, "the end was not read yet");
}

#[test]
fn the_end_of_the_stream_is_noted_by_the_read_that_meets_it_and_once() {
    type Reader = fn(&mut Conn<TcpStream>, &mut [u8]) -> io::Result<usize>;
    let ways: [Reader; 4] = [
        |conn, buf| conn.read(buf),
        |conn, buf| (&*conn).read(buf),
        |conn, buf| conn.read_vectored(&mut [IoSliceMut::new(buf)]),
        |conn, buf| (&*conn).read_vectored(&mut [IoSliceMut::new(buf)]),
    ];
    for read in ways {
        let (mut conn, mut server) = pair();
        server.write_all(b"x").unwrap();
        assert_eq!(read(&mut conn, &mut []).unwrap(), 0);
        assert_eq!(conn.snapshot().rx_ended_at, None, "an empty buffer says nothing");
        assert_eq!(read(&mut conn, &mut [0; 1]).unwrap(), 1);
        drop(server);
        assert_eq!(read(&mut conn, &mut [0; 1]).unwrap(), 0);
        let ended = conn.snapshot().rx_ended_at;
        assert!(ended.is_some());
        assert_eq!(read(&mut conn, &mut [0; 1]).unwrap(), 0);
        assert_eq!(conn.snapshot().rx_ended_at, ended, "the first time counts");
        assert_eq!((conn.snapshot().rx_bytes, conn.snapshot().rx_ops), (1, 1));
    }
}

#[test]
fn settings_reach_the_socket_and_come_back() {
    let (conn, _server) = pair();
    let (reading, writing) = (Some(Duration::from_secs(3)), Some(Duration::from_secs(4)));
    conn.set_read_timeout(reading).unwrap();
    conn.set_write_timeout(writing).unwrap();
    conn.set_nodelay(true).unwrap();
    conn.set_ttl(42).unwrap();
    let bare = conn.get_ref();
    assert_eq!((bare.read_timeout().unwrap(), bare.write_timeout().unwrap()), (reading, writing));
    assert_eq!((conn.read_timeout().unwrap(), conn.write_timeout().unwrap()), (reading, writing));
    assert!(bare.nodelay().unwrap() && conn.nodelay().unwrap());
    assert_eq!((bare.ttl().unwrap(), conn.ttl().unwrap()), (42, 42));
    assert_eq!(conn.local_addr().unwrap(), bare.local_addr().unwrap());
    assert_eq!(conn.peer_addr().unwrap(), bare.peer_addr().unwrap());
    assert!(conn.take_error().unwrap().is_none());
    conn.set_nonblocking(true).unwrap();
    assert_eq!((&conn).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}
