//! One socket in every state that a descriptor can reach, over loopback and without privileges.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use tcpinfo::{State, TcpInfo};

use super::raw;

/// A socket in a certain state, and the others that hold it there.
pub(crate) struct Scene {
    pub(crate) subject: OwnedFd,
    pub(crate) state: State,
    /// Payload that the program moved, as far as the subject can know of it.
    pub(crate) moved: Moved,
    pub(crate) others: Vec<OwnedFd>,
}

/// What the test itself counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    pub(crate) written: usize,
    pub(crate) arrived: usize,
    pub(crate) unread: usize,
    /// Whether we have sent or received the end of the stream.
    pub(crate) fin_queued: bool,
    pub(crate) fin_arrived: bool,
}

impl AsFd for Scene {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.subject.as_fd()
    }
}

impl Scene {
    fn new(subject: impl Into<OwnedFd>, state: State) -> Self {
        Self { subject: subject.into(), state, moved: Moved::default(), others: Vec::new() }
    }

    fn with(mut self, other: impl Into<OwnedFd>) -> Self {
        self.others.push(other.into());
        self
    }

    fn moved(mut self, moved: Moved) -> Self {
        self.moved = moved;
        self
    }
}

pub(crate) type Make = fn() -> Scene;

/// Every scene by its name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Make)> {
    [WITHOUT_CONNECTION, LISTENERS, ATTEMPTS, CONNECTIONS].into_iter().flatten().copied()
}

/// Whether a scene needs a socket that hears nothing.
pub(crate) fn needs_deafness(name: &str) -> bool {
    let names =
        ["syn_recv", "established_with_a_full_send_buffer", "fin_wait1", "last_ack", "given_up"];
    names.contains(&name)
}

const WITHOUT_CONNECTION: &[(&str, Make)] = &[
    ("fresh", fresh),
    ("bound", bound),
    ("refused", refused),
    ("listening_no_more", listening_no_more),
    ("disconnected", disconnected),
    ("disconnected_before_the_handshake", disconnected_syn_sent),
];

const LISTENERS: &[(&str, Make)] = &[
    ("listening_with_an_empty_queue", listening_empty),
    ("listening_with_a_queue", listening),
    ("listening_with_an_overflowing_queue", listening_overflowed),
];

/// Between the first SYN and the end of the handshake.
const ATTEMPTS: &[(&str, Make)] =
    &[("syn_sent_to_a_full_listener", syn_sent), ("syn_recv", syn_recv)];

/// After the handshake, to the end.
const CONNECTIONS: &[(&str, Make)] = &[
    ("established_and_idle", established_idle),
    ("established_after_an_exchange", established_after_exchange),
    ("established_with_unread_data", established_unread),
    ("established_with_a_full_peer_window", peer_window_full),
    ("established_with_a_full_send_buffer", send_buffer_full),
    ("connected_again", connected_again),
    ("fin_wait1", fin_wait1),
    ("fin_wait1_with_unsent_data", fin_wait1_with_unsent_data),
    ("fin_wait2", fin_wait2),
    ("close_wait", close_wait),
    ("last_ack", last_ack),
    ("closing", closing),
    ("closed_by_us_first", closed_by_us_first),
    ("closed_by_the_peer_first", closed_by_the_peer_first),
    ("reset", reset),
    ("given_up", given_up),
];

/// A connection over loopback; the first is the one that connected.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

pub(crate) fn state(sock: &impl AsFd) -> Option<State> {
    TcpInfo::read(sock).unwrap().state()
}

/// What the client wrote and what the server answered in [`exchange`].
pub(crate) const SENT: usize = 12_345;
pub(crate) const ANSWERED: usize = 678;

/// Moves data both ways and leaves nothing under way.
pub(crate) fn exchange(mut client: &TcpStream, mut server: &TcpStream) -> Moved {
    client.write_all(&[1; SENT]).unwrap();
    server.read_exact(&mut [0; SENT]).unwrap();
    server.write_all(&[2; ANSWERED]).unwrap();
    client.read_exact(&mut [0; ANSWERED]).unwrap();
    Moved { written: SENT, arrived: ANSWERED, ..Moved::default() }
}

/// Writes until the kernel takes no more.
pub(crate) fn fill(mut stream: &TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    loop {
        match stream.write(&[3; 30_000]) {
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
            Err(error) => panic!("{error}"),
        }
    }
}

fn fresh() -> Scene {
    Scene::new(raw::tcp(), State::Close)
}

fn bound() -> Scene {
    let socket = raw::tcp();
    raw::bind(&socket, 0);
    Scene::new(socket, State::Close)
}

fn refused() -> Scene {
    // The port of a connected socket: nobody listens there, and nobody else can take it.
    let (holder, peer) = pair();
    let socket = raw::tcp();
    let error = raw::connect(&socket, holder.local_addr().unwrap().port()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    Scene::new(socket, State::Close).with(holder).with(peer)
}

/// A listener for `backlog` connections, and one for each of `clients` that waits to be accepted.
pub(crate) fn listener(backlog: i32, clients: usize) -> Scene {
    let socket = raw::tcp();
    raw::bind(&socket, 0);
    raw::listen(&socket, backlog);
    let port = raw::local_port(&socket);
    (0..clients).fold(Scene::new(socket, State::Listen), |scene, _| {
        let client = raw::tcp();
        raw::connect(&client, port).unwrap();
        scene.with(client)
    })
}

fn listening_empty() -> Scene {
    listener(7, 0)
}

fn listening() -> Scene {
    listener(7, 3)
}

/// One more than the limit, which is as long as a queue can be.
fn listening_overflowed() -> Scene {
    let scene = listener(2, 3);
    let late = raw::tcp();
    raw::begin_connect(&late, raw::local_port(&scene.subject));
    scene.with(late)
}

fn listening_no_more() -> Scene {
    let scene = listener(2, 1);
    raw::disconnect(&scene.subject);
    Scene { state: State::Close, ..scene }
}

fn syn_sent() -> Scene {
    let full = listener(0, 1);
    let socket = raw::tcp();
    raw::begin_connect(&socket, raw::local_port(&full.subject));
    let mut scene = Scene::new(socket, State::SynSent).with(full.subject);
    scene.others.extend(full.others);
    scene
}

/// Two sockets that connect to each other. The first one's SYN meets a deaf listener on the
/// second's port, and the answer to the second one's SYN meets a deaf socket.
fn syn_recv() -> Scene {
    let (deaf_listener, deaf) = (raw::tcp(), raw::tcp());
    for socket in [&deaf_listener, &deaf] {
        raw::deafen(socket);
        raw::set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1).unwrap();
    }
    raw::bind(&deaf_listener, 0);
    let port = raw::local_port(&deaf_listener);
    raw::bind(&deaf, port);
    raw::listen(&deaf_listener, 1);
    let subject = raw::tcp();
    raw::bind(&subject, 0);
    raw::begin_connect(&subject, port);
    raw::begin_connect(&deaf, raw::local_port(&subject));
    raw::until("SYN_RECV", || state(&subject) == Some(State::SynRecv));
    Scene::new(subject, State::SynRecv).with(deaf_listener).with(deaf)
}

fn established_idle() -> Scene {
    let (client, server) = pair();
    Scene::new(client, State::Established).with(server)
}

fn established_after_exchange() -> Scene {
    let (client, server) = pair();
    let moved = exchange(&client, &server);
    Scene::new(client, State::Established).with(server).moved(moved)
}

fn established_unread() -> Scene {
    let (client, mut server) = pair();
    server.write_all(&[4; 4321]).unwrap();
    client.peek(&mut [0]).unwrap();
    let moved = Moved { arrived: 4321, unread: 4321, ..Moved::default() };
    Scene::new(client, State::Established).with(server).moved(moved)
}

/// Both sides of a connection whose peer does not read, with the payload that was written.
pub(crate) fn stuck() -> (TcpStream, TcpStream, Moved) {
    let (client, server) = pair();
    let written = fill(&client);
    (client, server, Moved { written, ..Moved::default() })
}

fn peer_window_full() -> Scene {
    let (client, server, moved) = stuck();
    Scene::new(client, State::Established).with(server).moved(moved)
}

/// Everything is sent, nothing is acknowledged, and the program cannot write more.
fn send_buffer_full() -> Scene {
    let (client, server) = pair();
    raw::set_option(&client, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    raw::deafen(&server);
    let written = fill(&client);
    Scene::new(client, State::Established).with(server).moved(Moved { written, ..Moved::default() })
}

fn fin_wait1() -> Scene {
    let (client, server) = pair();
    raw::deafen(&server);
    client.shutdown(Shutdown::Write).unwrap();
    Scene::new(client, State::FinWait1)
        .with(server)
        .moved(Moved { fin_queued: true, ..Moved::default() })
}

fn fin_wait1_with_unsent_data() -> Scene {
    let (client, server, moved) = stuck();
    client.shutdown(Shutdown::Write).unwrap();
    Scene::new(client, State::FinWait1).with(server).moved(Moved { fin_queued: true, ..moved })
}

fn fin_wait2() -> Scene {
    let (client, mut server) = pair();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    raw::until("FIN_WAIT2", || state(&client) == Some(State::FinWait2));
    Scene::new(client, State::FinWait2)
        .with(server)
        .moved(Moved { fin_queued: true, ..Moved::default() })
}

/// With data that is still to be read.
fn close_wait() -> Scene {
    let (client, mut server) = pair();
    server.write_all(&[4; 321]).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    raw::until("CLOSE_WAIT", || state(&client) == Some(State::CloseWait));
    let moved = Moved { arrived: 321, unread: 321, fin_arrived: true, ..Moved::default() };
    Scene::new(client, State::CloseWait).with(server).moved(moved)
}

fn last_ack() -> Scene {
    let (client, server) = pair();
    server.shutdown(Shutdown::Write).unwrap();
    raw::until("CLOSE_WAIT", || state(&client) == Some(State::CloseWait));
    raw::deafen(&server);
    client.shutdown(Shutdown::Write).unwrap();
    let moved = Moved { fin_queued: true, fin_arrived: true, ..Moved::default() };
    Scene::new(client, State::LastAck).with(server).moved(moved)
}

/// Our FIN waits behind data that the peer has no room for, while the peer's arrives.
fn closing() -> Scene {
    let (client, server, moved) = stuck();
    client.shutdown(Shutdown::Write).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    raw::until("CLOSING", || state(&client) == Some(State::Closing));
    Scene::new(client, State::Closing).with(server).moved(Moved {
        fin_queued: true,
        fin_arrived: true,
        ..moved
    })
}

fn closed_both(first_is_subject: bool) -> Scene {
    let (client, server) = pair();
    let moved = exchange(&client, &server);
    let (first, second) = if first_is_subject { (&client, &server) } else { (&server, &client) };
    first.shutdown(Shutdown::Write).unwrap();
    raw::until("CLOSE_WAIT", || state(second) == Some(State::CloseWait));
    second.shutdown(Shutdown::Write).unwrap();
    raw::until("CLOSE", || state(&client) == Some(State::Close));
    Scene::new(client, State::Close).with(server).moved(Moved {
        fin_queued: true,
        fin_arrived: true,
        ..moved
    })
}

fn closed_by_us_first() -> Scene {
    closed_both(true)
}

fn closed_by_the_peer_first() -> Scene {
    closed_both(false)
}

fn reset() -> Scene {
    let (mut client, server) = pair();
    let moved = exchange(&client, &server);
    client.write_all(&[5; 100]).unwrap();
    server.peek(&mut [0]).unwrap();
    drop(server); // with unread data: the kernel sends a reset
    raw::until("CLOSE", || state(&client) == Some(State::Close));
    Scene::new(client, State::Close).moved(Moved { written: SENT + 100, ..moved })
}

/// The kernel's own timeout ended it.
fn given_up() -> Scene {
    let (mut client, server) = pair();
    raw::set_option(&client, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 1).unwrap();
    raw::deafen(&server);
    client.write_all(&[6; 100]).unwrap();
    raw::until("CLOSE", || state(&client) == Some(State::Close));
    Scene::new(client, State::Close).with(server).moved(Moved { written: 100, ..Moved::default() })
}

fn disconnected() -> Scene {
    let (client, server) = pair();
    exchange(&client, &server);
    raw::disconnect(&client);
    Scene::new(client, State::Close).with(server)
}

fn disconnected_syn_sent() -> Scene {
    let scene = syn_sent();
    raw::disconnect(&scene.subject);
    Scene { state: State::Close, ..scene }
}

fn connected_again() -> Scene {
    let (client, server) = pair();
    exchange(&client, &server);
    raw::disconnect(&client);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    raw::connect(&client, listener.local_addr().unwrap().port()).unwrap();
    let again = listener.accept().unwrap().0;
    Scene::new(client, State::Established).with(server).with(again)
}
