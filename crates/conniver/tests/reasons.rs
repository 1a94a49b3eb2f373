//! Why a connection ended, against what was really done to it.

#![cfg(target_os = "linux")]

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use conniver::{CloseReason, Conn, Options, Report, report_channel};
use socket2::SockRef;
use tcpinfo::{State, TcpInfo};

struct Scene {
    ours: Conn<TcpStream>,
    theirs: TcpStream,
    reports: Receiver<Report>,
}

impl Scene {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let (observer, reports) = report_channel(1);
        Self { ours: Options::new().observer(observer).wrap(client), theirs, reports }
    }

    /// Waits until the kernel has made of the connection what the peer did to it.
    fn await_state(&self, state: State) {
        let begin = Instant::now();
        while TcpInfo::read(&self.ours).unwrap().state() != Some(state) {
            assert!(begin.elapsed() < Duration::from_secs(60), "never came to {state}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(self) -> CloseReason {
        drop(self.ours);
        self.reports.try_recv().unwrap().reason
    }

    /// Whether the peer meets a reset when we close.
    fn end_and_look_at_the_peer(self) -> (CloseReason, bool) {
        drop(self.ours);
        let mut theirs = self.theirs;
        theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let was_reset = theirs.read_to_end(&mut Vec::new()).is_err();
        (self.reports.try_recv().unwrap().reason, was_reset)
    }
}

#[test]
fn closing_an_open_connection_is_a_local_close() {
    assert_eq!(Scene::new().end_and_look_at_the_peer(), (CloseReason::LocalClose, false));
}

#[test]
fn an_end_that_was_read_is_a_peer_close() {
    let mut scene = Scene::new();
    scene.theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(scene.ours.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(scene.end(), CloseReason::PeerClose);
}

#[test]
fn an_end_that_nobody_read_is_a_peer_close() {
    let scene = Scene::new();
    scene.theirs.shutdown(Shutdown::Write).unwrap();
    scene.await_state(State::CloseWait);
    assert_eq!(scene.end(), CloseReason::PeerClose);
}

#[test]
fn who_ends_first_closes_even_if_the_other_follows() {
    let mut scene = Scene::new();
    scene.ours.shutdown(Shutdown::Write).unwrap();
    scene.theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(scene.ours.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(scene.end(), CloseReason::LocalClose);

    let mut scene = Scene::new();
    scene.theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(scene.ours.read(&mut [0; 8]).unwrap(), 0);
    scene.ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(scene.end(), CloseReason::PeerClose);

    let scene = Scene::new();
    scene.theirs.shutdown(Shutdown::Write).unwrap();
    scene.await_state(State::CloseWait);
    scene.ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(scene.end(), CloseReason::PeerClose, "known from before our own end");
}

#[test]
fn received_bytes_that_nobody_read_make_the_close_a_reset() {
    let mut scene = Scene::new();
    scene.theirs.write_all(&[1; 100]).unwrap();
    scene.ours.peek(&mut [0; 1]).unwrap();
    assert_eq!(scene.end_and_look_at_the_peer(), (CloseReason::ResetSent, true));
}

#[test]
fn bytes_that_were_read_past_the_wrapper_are_read() {
    let mut scene = Scene::new();
    scene.ours.write_all(&[1; 10]).unwrap();
    scene.theirs.write_all(&[1; 100]).unwrap();
    scene.ours.get_ref().read_exact(&mut [0; 100]).unwrap();
    scene.theirs.read_exact(&mut [0; 10]).unwrap();
    assert_eq!(scene.end_and_look_at_the_peer(), (CloseReason::LocalClose, false));
}

#[test]
fn a_linger_time_of_zero_makes_the_close_a_reset() {
    let scene = Scene::new();
    SockRef::from(&scene.ours).set_linger(Some(Duration::ZERO)).unwrap();
    assert_eq!(scene.end_and_look_at_the_peer(), (CloseReason::ResetSent, true));

    let scene = Scene::new();
    SockRef::from(&scene.ours).set_linger(Some(Duration::from_secs(1))).unwrap();
    assert_eq!(scene.end_and_look_at_the_peer(), (CloseReason::LocalClose, false));
}

#[test]
fn a_reset_that_was_met_is_received() {
    let mut scene = Scene::new();
    SockRef::from(&scene.theirs).set_linger(Some(Duration::ZERO)).unwrap();
    let (ours, reports) = (&mut scene.ours, &scene.reports);
    drop(scene.theirs);
    ours.read_to_end(&mut Vec::new()).unwrap_err();
    drop(scene.ours);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::ResetReceived);
}

#[test]
fn a_reset_that_nobody_met_is_received() {
    let scene = Scene::new();
    SockRef::from(&scene.theirs).set_linger(Some(Duration::ZERO)).unwrap();
    let Scene { ours, theirs, reports } = scene;
    drop(theirs);
    let begin = Instant::now();
    while TcpInfo::read(&ours).unwrap().state() != Some(State::Close) {
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    drop(ours);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::ResetReceived);
}

#[test]
fn a_reset_that_somebody_else_met_is_unknown() {
    let Scene { ours, theirs, reports } = Scene::new();
    SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    let begin = Instant::now();
    while TcpInfo::read(&ours).unwrap().state() != Some(State::Close) {
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    assert!(ours.get_ref().take_error().unwrap().is_some());
    drop(ours);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::Unknown);
}

#[test]
fn writing_into_a_connection_that_was_reset_is_a_reset_received() {
    let Scene { mut ours, theirs, reports } = Scene::new();
    SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    while ours.write_all(&[0; 1000]).is_ok() {}
    drop(ours);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::ResetReceived);
}

/// A peer whose window stays closed is given up after the time that is set.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let Scene { mut ours, theirs: _theirs, reports } = Scene::new();
    SockRef::from(&ours).set_tcp_user_timeout(Some(Duration::from_millis(50))).unwrap();
    while ours.write_all(&[0; 100_000]).is_ok() {}
    drop(ours);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::TimedOut);
}

#[test]
fn a_panic_cancels() {
    let Scene { ours, theirs: _theirs, reports } = Scene::new();
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let _ours = ours;
        panic!("on purpose");
    }));
    assert!(panic.is_err());
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::Cancelled);
}

#[test]
fn a_stream_that_is_given_back_lives_on() {
    let Scene { ours, mut theirs, .. } = Scene::new();
    let (mut stream, report) = ours.into_inner();
    assert_eq!(report.reason, CloseReason::GivenBack);
    stream.write_all(&[1]).unwrap();
    theirs.read_exact(&mut [0]).unwrap();
}

#[test]
fn an_error_of_its_own_is_an_error() {
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }

    let (observer, reports) = report_channel(1);
    let mut conn = Options::new().observer(observer).wrap_opaque(Broken);
    conn.read(&mut [0]).unwrap_err();
    drop(conn);
    assert_eq!(reports.try_recv().unwrap().reason, CloseReason::Error);
}
