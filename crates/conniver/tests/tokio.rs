//! Asynchronous connections: the same promises under cancellation, shutdown and splitting.

#![cfg(feature = "tokio")]

mod kernel;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::mpsc::{Receiver, TryRecvError},
    task::{Context, Poll},
    time::Duration,
};

use conniver::{Conn, Options, Report, report_channel};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

fn watched() -> (Options, Receiver<Report>) {
    let (observer, reports) = report_channel(64);
    (Options::new().observer(observer), reports)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn only(reports: &Receiver<Report>) -> Report {
    let report = reports.recv_timeout(Duration::from_secs(60)).expect("no report");
    assert!(reports.try_recv().is_err(), "more than one report");
    report
}

fn none(reports: &Receiver<Report>) {
    assert!(matches!(reports.try_recv(), Err(TryRecvError::Empty)), "a report too early");
}

#[tokio::test]
async fn counts_equal_those_of_the_peer() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let mut conn = options.wrap(client);
    let peer = tokio::spawn(async move {
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).await.unwrap();
        server.write_all(&bytes[..100]).await.unwrap();
        bytes.len() as u64
    });
    for size in 1..300 {
        conn.write_all(&vec![0; size]).await.unwrap();
        let _ = conn.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).await.unwrap();
    }
    conn.shutdown().await.unwrap();
    conn.read_to_end(&mut Vec::new()).await.unwrap();
    drop(conn);
    let report = only(&reports);
    assert_eq!(report.tx_bytes, peer.await.unwrap());
    assert_eq!(report.rx_bytes, 100);
    assert!(report.tx_ended_at.unwrap() <= report.rx_ended_at.unwrap());
    assert_eq!((&report.rx_err, &report.tx_err), (&None, &None));
}

#[tokio::test]
async fn close_report_survives_a_cancelled_task() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let (began, begun) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut conn = options.wrap(client);
        conn.write_all(b"then nothing").await.unwrap();
        began.send(()).unwrap();
        let _ = conn.read(&mut [0; 1]).await; // nothing ever comes
    });
    begun.await.unwrap();
    none(&reports);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let report = only(&reports);
    assert_eq!((report.tx_bytes, &report.rx_err), (12, &None));
    assert_eq!(report.closed_info().is_some(), kernel::answers());
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 12);
}

#[test]
fn close_report_survives_the_shutdown_of_the_runtime() {
    let (options, reports) = watched();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (sender, opened) = std::sync::mpsc::channel();
    let server = runtime.block_on(async {
        let (client, server) = pair().await;
        tokio::spawn(async move {
            let mut conn = options.wrap(client);
            sender.send(()).unwrap();
            let _ = conn.read(&mut [0; 1]).await;
        });
        server
    });
    opened.recv().unwrap();
    runtime.shutdown_timeout(Duration::from_secs(60));
    let report = only(&reports);
    assert_eq!(report.closed_info().is_some(), kernel::answers());
    drop(server);
}

#[tokio::test]
async fn a_timeout_that_drops_a_read_loses_no_byte() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let mut conn = options.wrap(client);
    let mut buf = [0; 16];
    for round in 0..20 {
        let wait = tokio::time::timeout(Duration::from_micros(50), conn.read(&mut buf)).await;
        assert!(wait.is_err(), "nothing was sent");
        server.write_all(&[round; 3]).await.unwrap();
        conn.read_exact(&mut buf[..3]).await.unwrap();
        assert_eq!(buf[..3], [round; 3]);
    }
    drop(conn);
    let report = only(&reports);
    assert_eq!((report.rx_bytes, &report.rx_err), (60, &None));
}

#[tokio::test]
async fn owned_halves_report_once_whichever_is_dropped_last() {
    for read_first in [true, false] {
        let (options, reports) = watched();
        let (client, mut server) = pair().await;
        let (mut read, mut write) = options.wrap(client).into_split();
        let sender = tokio::spawn(async move {
            write.write_all(b"from one task").await.unwrap();
            write
        });
        server.write_all(b"to another").await.unwrap();
        read.read_exact(&mut [0; 10]).await.unwrap();
        let write = sender.await.unwrap();
        if read_first {
            drop(read);
            none(&reports);
            drop(write);
        } else {
            drop(write);
            none(&reports);
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"from one task", "dropping the half must send the end");
            drop(read);
        }
        let report = only(&reports);
        assert_eq!((report.tx_bytes, report.rx_bytes), (13, 10));
        assert!(report.tx_ended_at.is_some());
        assert_eq!(report.closed_info().is_some(), kernel::answers());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_dropped_at_the_same_time_report_once_with_facts() {
    for _ in 0..200 {
        let (options, reports) = watched();
        let (client, _server) = pair().await;
        let (read, write) = options.wrap(client).into_split();
        let one = tokio::spawn(async move { drop(read) });
        let other = tokio::spawn(async move { drop(write) });
        one.await.unwrap();
        other.await.unwrap();
        let report = only(&reports);
        assert_eq!(report.closed_info().is_some(), kernel::answers());
    }
}

#[tokio::test]
async fn a_forgotten_half_keeps_the_connection_open_for_the_other() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let (mut read, write) = options.wrap(client).into_split();
    write.forget();
    none(&reports);
    server.write_all(b"still here").await.unwrap();
    read.read_exact(&mut [0; 10]).await.unwrap();
    drop(read);
    let report = only(&reports);
    assert_eq!((report.rx_bytes, report.tx_ended_at), (10, None));
}

#[tokio::test]
async fn reunited_halves_are_one_connection_again() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let (read, mut write) = options.wrap(client).into_split();
    write.write_all(b"abc").await.unwrap();
    let mut conn = read.reunite(write).unwrap();
    none(&reports);
    conn.write_all(b"def").await.unwrap();
    server.read_exact(&mut [0; 6]).await.unwrap();
    drop(conn);
    assert_eq!(only(&reports).tx_bytes, 6);

    let (a, _far_a) = pair().await;
    let (b, _far_b) = pair().await;
    let (read_a, write_a) = options.wrap(a).into_split();
    let (read_b, write_b) = options.wrap(b).into_split();
    let error = read_a.reunite(write_b).unwrap_err();
    assert!(error.to_string().contains("different connections"));
    none(&reports);
    drop((error, write_a, read_b));
    assert_eq!(reports.try_iter().count(), 2);
}

#[tokio::test]
async fn borrowed_halves_count_for_the_connection() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let mut conn = options.wrap(client);
    {
        let (mut read, mut write) = conn.split();
        assert!(write.is_write_vectored());
        write.write_all(b"four").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        server.write_all(b"five!").await.unwrap();
        read.read_exact(&mut [0; 5]).await.unwrap();
    }
    none(&reports);
    drop(conn);
    let report = only(&reports);
    assert_eq!((report.tx_bytes, report.rx_bytes), (4, 5));
}

#[tokio::test]
async fn into_inner_and_close_end_the_wrapper() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let mut conn = options.wrap(client);
    conn.write_all(b"ab").await.unwrap();
    let (mut stream, report) = conn.into_inner();
    assert_eq!(report.tx_bytes, 2);
    stream.write_all(b"cd").await.unwrap();
    none(&reports);
    let conn = options.wrap(stream);
    conn.close().unwrap();
    assert_eq!(only(&reports).close_err, None);
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"abcd");
}

#[tokio::test]
async fn readiness_and_direct_calls_count_and_peeking_does_not() {
    let (options, reports) = watched();
    let (client, mut server) = pair().await;
    let conn = options.wrap(client);
    conn.writable().await.unwrap();
    assert_eq!(conn.try_write(b"abc").unwrap(), 3);
    let bufs = [IoSlice::new(b"de"), IoSlice::new(b"f")];
    assert_eq!(conn.try_write_vectored(&bufs).unwrap(), 3);
    server.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(conn.try_read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    server.write_all(b"xyz").await.unwrap();
    let mut buf = [0; 8];
    assert_eq!(conn.peek(&mut buf).await.unwrap(), 3);
    assert!(conn.ready(Interest::READABLE).await.unwrap().is_readable());
    assert_eq!(conn.try_read(&mut buf).unwrap(), 3);
    drop(server);
    conn.readable().await.unwrap();
    assert_eq!(conn.try_read(&mut buf).unwrap(), 0);
    drop(conn);
    let report = only(&reports);
    assert_eq!((report.tx_bytes, report.rx_bytes), (6, 3));
    assert_eq!((report.tx_ops, report.rx_ops), (2, 1));
    assert!(report.rx_ended_at.is_some());
    assert_eq!(report.rx_err, None);
}

#[tokio::test]
async fn a_pipe_in_memory_counts_and_says_that_facts_are_unavailable() {
    let (options, reports) = watched();
    let (near, mut far) = tokio::io::duplex(8);
    let mut conn = options.wrap_opaque(near);
    let writer = tokio::spawn(async move {
        conn.write_all(&[1; 100]).await.unwrap();
        conn.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    writer.await.unwrap();
    let report = only(&reports);
    assert_eq!((report.tx_bytes, heard.len()), (100, 100));
    assert!(report.info_err.is_some());
}

#[tokio::test]
async fn resets_are_errors_of_the_direction_that_met_them() {
    let (options, reports) = watched();
    let (client, server) = pair().await;
    let mut conn = options.wrap(client);
    conn.write_all(b"unread").await.unwrap();
    server.peek(&mut [0; 1]).await.unwrap();
    drop(server);
    assert!(conn.read(&mut [0; 1]).await.is_err());
    drop(conn);
    let report = only(&reports);
    let failure = report.rx_err.as_ref().unwrap();
    assert_eq!(failure.kind, io::ErrorKind::ConnectionReset);
    assert_eq!(report.tx_err, None);
}

/// A stream that fills the buffer and then fails in the same call, and says what it supports.
struct Odd {
    vectored: bool,
}

impl AsyncRead for Odd {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(b"abc");
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Odd {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }
}

#[tokio::test]
async fn bytes_that_came_with_an_error_are_counted() {
    let mut conn = Options::new().wrap_opaque(Odd { vectored: false });
    assert!(conn.read(&mut [0; 8]).await.is_err());
    let (_, report) = conn.into_inner();
    assert_eq!(report.rx_bytes, 3);
    assert!(report.first_rx_at.is_some() && report.rx_err.is_some());
}

#[test]
fn vectored_support_is_that_of_the_stream() {
    for vectored in [true, false] {
        let conn: Conn<Odd> = Options::new().wrap_opaque(Odd { vectored });
        assert_eq!(conn.is_write_vectored(), vectored);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_future_of_the_callers_connects_and_may_be_dropped() {
    use std::sync::{Arc, Mutex};

    use conniver::{FailReason, FailedConn, Observer};

    struct Reasons(Arc<Mutex<Vec<FailReason>>>);

    impl Observer for Reasons {
        fn failed(&self, failed: &FailedConn) {
            self.0.lock().unwrap().push(failed.reason);
        }
    }

    let reasons = Arc::<Mutex<Vec<FailReason>>>::default();
    let connector = Options::new().observer(Reasons(Arc::clone(&reasons))).connector();
    let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
    let mut conn = connector.connect_tokio_with("a pair", async { Ok(near) }).await.unwrap();
    conn.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(conn.handle().tx_bytes(), 5);

    let never = std::future::pending::<io::Result<tokio::net::UnixStream>>();
    let connect = connector.connect_tokio_with("nobody", never);
    tokio::time::timeout(Duration::from_millis(5), connect).await.unwrap_err();
    assert_eq!(*reasons.lock().unwrap(), [FailReason::Cancelled]);
}
