//! Connections in the states that no descriptor, or hardly one, can show.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use sockdiag::{EntryBuf, Lookup, TimerKind};
use socket2::{Domain, SockRef, Socket, Type};
use tcpinfo::{Queues, State};

use super::scene::{Pair, Test, can_deafen, deafen, find, found, lookup_of, pair, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("time_wait_is_told_and_kept_small", time_wait),
        test("a_close_is_followed_to_its_end", closing),
        test("a_half_closed_connection_that_nobody_holds_is_small", abandoned),
        Test {
            name: "a_handshake_that_is_not_over_is_told_at_both_ends",
            needs: can_deafen(),
            run: handshake,
        },
        Test {
            name: "retransmissions_in_vain_are_counted",
            needs: can_deafen(),
            run: retransmissions,
        },
    ]
}

fn in_state(lookup: &Lookup, state: State) -> EntryBuf {
    until(state.name(), || find(lookup).filter(|buf| buf.entry().state() == state))
}

fn time_wait() {
    let Pair { client, server, listener: _listener } = pair();
    let (ours, theirs) = (lookup_of(&client), lookup_of(&server));
    drop(client);
    in_state(&theirs, State::CloseWait);
    drop(server);
    let buf = in_state(&ours, State::TimeWait);
    let entry = buf.entry();
    assert!(entry.is_mini());
    assert!(entry.native_tcp_info().is_none() && entry.tcp_info().is_none());
    assert_eq!((entry.uid(), entry.inode()), (None, None));
    assert_eq!(entry.queues(), Queues::default());
    let timer = entry.timer().unwrap();
    assert_eq!((timer.kind, timer.count), (TimerKind::TimeWait, 0));
    assert!(timer.expires <= Duration::from_secs(60) && timer.expires > Duration::from_secs(1));
    assert_eq!(entry.local_addr(), ours.local_addr());
    // The end that closed last is gone, and the listener is not mistaken for it.
    until("the other end is gone", || find(&theirs).is_none().then_some(()));
}

fn closing() {
    let Pair { client, server, listener: _listener } = pair();
    let (ours, theirs) = (lookup_of(&client), lookup_of(&server));
    client.shutdown(std::net::Shutdown::Write).unwrap();
    in_state(&ours, State::FinWait2);
    in_state(&theirs, State::CloseWait);
    assert!(!find(&ours).unwrap().entry().is_mini());
    server.shutdown(std::net::Shutdown::Write).unwrap();
    in_state(&ours, State::TimeWait);
    until("the other end is gone", || find(&theirs).is_none().then_some(()));
}

/// The kernel gives up the socket of who closed, and keeps the state.
fn abandoned() {
    let Pair { client, server, listener: _listener } = pair();
    let ours = lookup_of(&client);
    drop(client);
    let buf = in_state(&ours, State::FinWait2);
    let entry = buf.entry();
    assert_eq!(entry.inode(), None);
    assert_eq!(entry.is_mini(), entry.native_tcp_info().is_none());
    assert_eq!(
        entry.is_mini(),
        entry.timer().is_some_and(|timer| timer.kind == TimerKind::TimeWait)
    );
    assert_eq!(found(&server).entry().state(), State::CloseWait);
}

fn handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deafen(&client);
    client.set_nonblocking(true).unwrap();
    client.connect(&listener.local_addr().unwrap().into()).unwrap_err();
    let local = client.local_addr().unwrap().as_socket().unwrap();
    let ours = Lookup::new(local, listener.local_addr().unwrap());
    let theirs = Lookup::new(listener.local_addr().unwrap(), local);

    let buf = in_state(&ours, State::SynSent);
    assert!(!buf.entry().is_mini());
    assert_eq!(buf.entry().timer().unwrap().kind, TimerKind::Retransmit);
    assert_eq!(buf.entry().queues(), Queues::default());
    assert_eq!(buf.entry().cookie(), tcpinfo::cookie(&client).unwrap());

    let buf = in_state(&theirs, State::SynRecv);
    let entry = buf.entry();
    assert!(entry.is_mini());
    assert!(entry.tcp_info().is_none());
    assert_eq!((entry.uid(), entry.inode()), (None, None));
    assert_eq!(entry.queues(), Queues::default());
    assert_eq!(entry.timer().unwrap().kind, TimerKind::Retransmit);
    // The connection that it becomes has the same cookie.
    let cookie = entry.cookie();
    SockRef::from(&client).detach_filter().unwrap();
    let (server, _) = listener.accept().unwrap();
    assert_eq!(tcpinfo::cookie(&server).unwrap(), cookie);
    assert!(find(&theirs.cookie(cookie)).is_some());
}

fn retransmissions() {
    let Pair { client, server, listener: _listener } = pair();
    deafen(&server);
    std::io::Write::write_all(&mut &client, b"into the void").unwrap();
    let timer = until("a second retransmission", || {
        let timer = found(&client).entry().timer()?;
        (timer.kind == TimerKind::Retransmit && timer.count >= 2).then_some(timer)
    });
    let again = found(&client);
    let retransmits = again.entry().native_tcp_info().unwrap().retransmits().value();
    assert!(retransmits >= Some(timer.count), "{timer:?}, {retransmits:?}");
    assert_eq!(again.entry().queues().queued_bytes, Some(13));
    drop::<TcpStream>(client);
}
