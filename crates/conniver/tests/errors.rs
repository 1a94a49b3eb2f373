//! What counts as an error of a connection, and where a report shows it.

use std::io::{self, ErrorKind, Read, Write};

use conniver::{Close, Options, report_channel};

/// Fails with what it is told.
struct Fails(fn() -> io::Error);

impl Read for Fails {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0())
    }
}

impl Write for Fails {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0())
    }
}

impl Close for Fails {
    fn close(self) -> io::Result<()> {
        Err(self.0())
    }
}

/// `ETIMEDOUT` is the kernel giving the connection up; a deadline shows as `EAGAIN`.
#[cfg(unix)]
#[test]
fn a_connection_that_the_kernel_gave_up_has_an_error() {
    let mut conn =
        Options::new().wrap_opaque(Fails(|| io::Error::from_raw_os_error(libc::ETIMEDOUT)));
    assert_eq!(conn.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(conn.write(&[0; 1]).unwrap_err().kind(), ErrorKind::TimedOut);
    let now = conn.snapshot();
    for failure in [&now.rx_err, &now.tx_err] {
        let failure = failure.as_ref().unwrap();
        assert_eq!((failure.kind, failure.code), (ErrorKind::TimedOut, Some(libc::ETIMEDOUT)));
    }
}

#[test]
fn what_says_nothing_about_the_connection_is_no_error() {
    let passing: [fn() -> io::Error; 4] = [
        || ErrorKind::WouldBlock.into(),
        || ErrorKind::Interrupted.into(),
        || ErrorKind::TimedOut.into(),
        || io::Error::new(ErrorKind::TimedOut, "a deadline of the caller's"),
    ];
    for error in passing {
        let mut conn = Options::new().wrap_opaque(Fails(error));
        let _ = (conn.read(&mut [0; 1]), conn.write(&[0; 1]), conn.flush());
        let now = conn.snapshot();
        assert_eq!((&now.rx_err, &now.tx_err), (&None, &None), "{:?}", error());
    }
}

#[test]
fn the_last_error_of_a_side_is_kept() {
    struct Next(u32);
    impl Read for Next {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            Err(io::Error::other(format!("number {}", self.0)))
        }
    }
    let mut conn = Options::new().wrap_opaque(Next(0));
    for _ in 0..3 {
        assert!(conn.read(&mut [0; 1]).is_err());
    }
    assert_eq!(conn.snapshot().rx_err.unwrap().text, "number 3");
}

#[test]
fn the_line_of_a_report_shows_every_error() {
    let (observer, reports) = report_channel(1);
    let options = Options::new().observer(observer);
    let mut conn = options.wrap_opaque(Fails(|| io::Error::other("it \"broke\"")));
    let _ = (conn.read(&mut [0; 1]), conn.write(&[0; 1]));
    assert!(conn.close().is_err());
    let line = reports.try_recv().unwrap().to_string();
    for name in ["rx_err", "tx_err", "close_err"] {
        assert!(line.contains(&format!(r#" {name}="it \"broke\"""#)), "{line}");
    }
    assert!(line.contains(" info_err=\"kernel facts unavailable"), "{line}");
}

#[test]
fn a_close_asks_the_stream_and_gives_its_answer() {
    let (observer, reports) = report_channel(1);
    let options = Options::new().observer(observer);
    let conn = options.wrap_opaque(Fails(|| ErrorKind::StorageFull.into()));
    assert_eq!(conn.close().unwrap_err().kind(), ErrorKind::StorageFull);
    let report = reports.try_recv().unwrap();
    assert_eq!(report.close_err.as_ref().unwrap().kind, ErrorKind::StorageFull);

    // Also where nobody watches.
    let conn = Options::new().wrap_opaque(Fails(|| ErrorKind::StorageFull.into()));
    assert_eq!(conn.close().unwrap_err().kind(), ErrorKind::StorageFull);
}

/// What `close(2)` says is not lost, as it is by a drop.
#[cfg(unix)]
#[test]
fn the_answer_of_the_operating_system_to_a_close_is_given() {
    use std::{net::TcpStream, os::fd::FromRawFd};

    // SAFETY: the number is far above the limit of open files, so it belongs to nobody.
    let nobody = unsafe { TcpStream::from_raw_fd(i32::MAX) };
    let error = Options::new().wrap_opaque(nobody).close().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}
