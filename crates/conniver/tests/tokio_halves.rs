//! Halves of tokio's TCP stream, and the calls that tokio's streams have besides reading and writing.

#![cfg(feature = "tokio")]

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll},
};

use conniver::{Conn, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn bare_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

async fn pair() -> (Conn<TcpStream>, TcpStream) {
    let (client, server) = bare_pair().await;
    (Options::new().wrap(client), server)
}

async fn heard(server: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    server.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn all_buffers_of_a_vectored_write_reach_the_peer() {
    let (mut conn, mut server) = pair().await;
    let bufs = [IoSlice::new(b"ab"), IoSlice::new(b"cde")];

    assert!(conn.is_write_vectored());
    assert_eq!(conn.write_vectored(&bufs).await.unwrap(), 5);
    assert_eq!(heard(&mut server, 5).await, b"abcde");
    {
        let (_read, mut write) = conn.split();
        assert!(write.is_write_vectored());
        assert_eq!(write.write_vectored(&bufs).await.unwrap(), 5);
        assert_eq!(heard(&mut server, 5).await, b"abcde");
    }
    let (_read, mut write) = conn.into_split();
    assert!(write.is_write_vectored());
    assert_eq!(write.write_vectored(&bufs).await.unwrap(), 5);
    assert_eq!(heard(&mut server, 5).await, b"abcde");

    let now = write.snapshot();
    assert_eq!((now.tx_bytes, now.tx_ops), (15, 3));
}

#[tokio::test]
async fn direct_calls_of_owned_halves_are_counted() {
    let (conn, mut server) = pair().await;
    let (read, write) = conn.into_split();
    write.writable().await.unwrap();
    assert_eq!(write.try_write(b"abc").unwrap(), 3);
    let bufs = [IoSlice::new(b"d"), IoSlice::new(b"ef")];
    assert_eq!(write.try_write_vectored(&bufs).unwrap(), 3);
    assert_eq!(heard(&mut server, 6).await, b"abcdef");

    assert_eq!(read.try_read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    server.write_all(b"xyz").await.unwrap();
    read.readable().await.unwrap();
    assert_eq!(read.try_read(&mut []).unwrap(), 0);
    assert_eq!(read.snapshot().rx_ended_at, None, "an empty buffer says nothing");
    assert_eq!(read.try_read(&mut [0; 8]).unwrap(), 3);
    drop(server);
    loop {
        read.readable().await.unwrap();
        match read.try_read(&mut [0; 8]) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            end => break assert_eq!(end.unwrap(), 0),
        }
    }
    let now = read.snapshot();
    assert_eq!((now.tx_bytes, now.tx_ops, now.rx_bytes, now.rx_ops), (6, 2, 3, 1));
    assert!(now.rx_ended_at.is_some());
    assert_eq!((now.rx_err, now.tx_err), (None, None));
}

#[tokio::test]
async fn direct_vectored_reads_are_counted() {
    let (conn, mut server) = pair().await;
    server.write_all(b"abcde").await.unwrap();
    conn.readable().await.unwrap();
    let (mut two, mut four) = ([0; 2], [0; 4]);
    let bufs = &mut [IoSliceMut::new(&mut two), IoSliceMut::new(&mut four)];
    assert_eq!(conn.try_read_vectored(bufs).unwrap(), 5);
    assert_eq!((&two, &four), (b"ab", b"cde\0"));
    assert_eq!((conn.snapshot().rx_bytes, conn.snapshot().rx_ops), (5, 1));
}

#[tokio::test]
async fn a_read_without_room_says_nothing_about_the_end() {
    let (mut conn, mut server) = pair().await;
    server.write_all(b"x").await.unwrap();
    assert_eq!(conn.read(&mut []).await.unwrap(), 0);
    assert_eq!(conn.snapshot().rx_ended_at, None);
    let (mut read, _write) = conn.split();
    assert_eq!(read.read(&mut []).await.unwrap(), 0);
    assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 1);
    drop(server);
    assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(conn.snapshot().rx_ended_at.is_some());
}

/// Fails to flush and to shut down.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(ErrorKind::ConnectionAborted.into()))
    }
}

#[tokio::test]
async fn errors_of_flush_and_shutdown_are_errors_of_writing() {
    let mut conn = Options::new().wrap_opaque(Stuck);
    assert_eq!(conn.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(conn.snapshot().tx_err.unwrap().kind, ErrorKind::BrokenPipe);
    assert_eq!(conn.shutdown().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    let now = conn.snapshot();
    assert_eq!(now.tx_err.unwrap().kind, ErrorKind::ConnectionAborted);
    assert_eq!((now.tx_ended_at, now.rx_err), (None, None));
}

#[cfg(target_os = "linux")]
mod descriptor {
    use std::{
        os::fd::{AsFd, AsRawFd},
        path::PathBuf,
        sync::{Barrier, Mutex, mpsc},
    };

    use conniver::{Observer, Report, Snapshot};
    use tcpinfo::{State, TcpInfo};

    use super::*;

    /// The socket itself is asked, by a second descriptor.
    #[tokio::test]
    async fn a_forgotten_half_sends_no_end_until_the_other_is_dropped() {
        let (client, mut server) = bare_pair().await;
        let second = client.as_fd().try_clone_to_owned().unwrap();
        let state = || TcpInfo::read(&second).unwrap().state();
        let (mut read, write) = Options::new().wrap(client).into_split();
        write.forget();
        assert_eq!(state(), Some(State::Established));
        assert_eq!(server.try_read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        server.write_all(b"x").await.unwrap();
        read.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(read.snapshot().tx_ended_at, None);
        drop(second);
        drop(read);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    }

    /// Says of each event whether the socket still has its descriptor.
    struct Watch {
        path: String,
        socket: PathBuf,
        told: Mutex<mpsc::Sender<(&'static str, bool)>>,
    }

    impl Watch {
        fn tell(&self, event: &'static str) {
            let open = std::fs::read_link(&self.path).is_ok_and(|now| now == self.socket);
            self.told.lock().unwrap().send((event, open)).unwrap();
        }
    }

    impl Observer for Watch {
        fn closing(&self, conn: &Snapshot) {
            assert!(conn.info().is_some());
            self.tell("closing");
        }

        fn closed(&self, _: &Report) {
            self.tell("closed");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_last_of_two_halves_that_go_at_once_closes_between_closing_and_closed() {
        for _ in 0..500 {
            let (client, _server) = bare_pair().await;
            let path = format!("/proc/self/fd/{}", client.as_raw_fd());
            let socket = std::fs::read_link(&path).unwrap();
            let (told, events) = mpsc::channel();
            let watch = Watch { path, socket, told: Mutex::new(told) };
            let (read, write) = Options::new().observer(watch).wrap(client).into_split();
            let together = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    together.wait();
                    drop(read);
                });
                together.wait();
                drop(write);
            });
            assert_eq!(
                events.try_iter().collect::<Vec<_>>(),
                [("closing", true), ("closed", false)]
            );
        }
    }
}
