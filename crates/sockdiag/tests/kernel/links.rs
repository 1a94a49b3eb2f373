//! Interfaces, scopes and network namespaces, in a network of the test's own.

use std::{
    io,
    net::{SocketAddr, SocketAddrV6, TcpListener, TcpStream},
    process::Command,
};

use sockdiag::{ErrorKind, Lookup, SockDiag};
use socket2::{Domain, SockRef, Socket, Type};

use super::scene::{Test, find, found, lookup_of, needs, pair};

pub(crate) fn tests() -> Vec<Test> {
    let possible =
        needs(in_network(|| ()).is_some(), "this user may not make a network, or `ip` is missing");
    vec![
        Test { name: "an_address_of_one_link_needs_its_scope", needs: possible, run: scopes },
        Test {
            name: "a_socket_that_is_bound_to_an_interface_needs_it",
            needs: possible,
            run: bound,
        },
        Test { name: "another_network_has_sockets_of_its_own", needs: possible, run: namespaces },
    ]
}

/// Runs something in a thread with a network of its own: `lo`, and a pair of interfaces. The network
/// goes with the thread.
fn in_network<T: Send>(run: impl FnOnce() -> T + Send) -> Option<T> {
    let inside = || {
        own_network().ok()?;
        ip("link set lo up")?;
        ip("link add near type veth peer name far")?;
        ip("link set near up")?;
        ip("link set far up")?;
        ip("address add fe80::9/64 dev near nodad")?;
        Some(run())
    };
    std::thread::scope(|scope| scope.spawn(inside).join()).unwrap()
}

fn own_network() -> io::Result<()> {
    // SAFETY: a plain system call that takes no pointers.
    let status = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn ip(arguments: &str) -> Option<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output().ok()?;
    output.status.success().then_some(())
}

fn index(interface: &str) -> u32 {
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: the name is a C string that lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "{interface}");
    index
}

fn scopes() {
    in_network(|| {
        let near = index("near");
        let address = SocketAddrV6::new("fe80::9".parse().unwrap(), 0, 0, near);
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            let buf = found(stream);
            assert_eq!(buf.entry().interface(), Some(near));
            assert_eq!(buf.entry().local_addr(), stream.local_addr().unwrap());
            assert_eq!(buf.entry().remote_addr(), stream.peer_addr().unwrap());

            let bare = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
            let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            assert!(find(&Lookup::new(bare(local), remote)).is_some(), "one scope is enough");
            assert!(find(&Lookup::new(local, bare(remote))).is_some(), "one scope is enough");
            let without = Lookup::new(bare(local), bare(remote));
            assert_eq!(find(&without), None);
            assert!(find(&without.interface(near)).is_some());
            assert_eq!(find(&without.interface(near + 77)), None);
            let mut diag = SockDiag::open().unwrap();
            let two = lookup_of(stream).interface(near + 77);
            assert_eq!(diag.lookup(&two).unwrap_err().kind(), ErrorKind::BadQuestion);
        }
    })
    .unwrap();
}

fn bound() {
    in_network(|| {
        let lo = index("lo");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        SockRef::from(&socket).bind_device(Some(b"lo")).unwrap();
        socket.connect(&listener.local_addr().unwrap().into()).unwrap();
        let client = TcpStream::from(socket);
        let (server, _) = listener.accept().unwrap();
        let lookup = lookup_of(&client);
        assert_eq!(find(&lookup), None);
        assert_eq!(find(&lookup.interface(lo + 77)), None);
        assert_eq!(find(&lookup.interface(lo)).unwrap().entry().interface(), Some(lo));
        // What is bound to none is found with any.
        let theirs = lookup_of(&server);
        for lookup in [theirs, theirs.interface(lo)] {
            assert_eq!(find(&lookup).unwrap().entry().interface(), None, "{lookup}");
        }
    })
    .unwrap();
}

fn namespaces() {
    let outside = pair();
    let lookup = lookup_of(&outside.client);
    let mut ours = SockDiag::open().unwrap();
    in_network(|| {
        // A socket stays where it was opened, whoever uses it.
        assert!(ours.lookup(&lookup).unwrap().is_some());
        assert_eq!(find(&lookup), None);
        let inside = pair();
        assert!(find(&lookup_of(&inside.client)).is_some());
        let cookie = tcpinfo::cookie(&inside.client).unwrap();
        assert_eq!(ours.lookup(&lookup_of(&inside.client).cookie(cookie)).unwrap(), None);
    })
    .unwrap();
}
