//! Sockets that are bound to an interface, beside `ss`.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    process::Command,
};

use socket2::{Domain, Socket, Type};

use crate::{
    network::{in_network, set_loopback},
    population::link_local,
    tool::{check, printed, run, sockets},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("ends_are_written_as_ss_writes_them", written),
    ("what_is_written_of_an_end_finds_it", read),
    ("who_is_bound_is_found_or_it_is_said_how", found),
];

/// What `lo` is called here, and nowhere else.
const NAME: &str = "the,loop";

/// Listeners and connections, bound to an interface and not.
#[derive(Debug, Default)]
struct Scene {
    listeners: Vec<TcpListener>,
    streams: Vec<TcpStream>,
}

impl Scene {
    fn new() -> Self {
        rename_loopback().unwrap();
        let mut scene = Self::default();
        let link = link_local().ok();
        let addresses = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0", "[::ffff:127.0.0.1]:0"];
        let addresses = addresses.map(|address| address.parse::<SocketAddr>().unwrap());
        for address in addresses.into_iter().chain(link) {
            for is_bound in [false, true] {
                scene.add(address, is_bound, false);
                if address.ip().is_ipv6() && address.ip().is_unspecified() {
                    scene.add(address, is_bound, true);
                }
            }
        }
        scene
    }

    fn add(&mut self, address: SocketAddr, is_bound: bool, is_v6_only: bool) {
        let socket = socket(address, is_bound);
        if is_v6_only {
            socket.set_only_v6(true).unwrap();
        }
        socket.bind(&address.into()).unwrap();
        socket.listen(8).unwrap();
        let listener = TcpListener::from(socket);
        if !address.ip().is_unspecified() {
            for is_over in [false, true] {
                let there = listener.local_addr().unwrap();
                let client = self::socket(there, is_bound);
                client.connect(&there.into()).unwrap();
                let (client, server) = (TcpStream::from(client), listener.accept().unwrap().0);
                if is_over {
                    // What closes first is remembered.
                    drop(client);
                    drop(server);
                } else {
                    self.streams.extend([client, server]);
                }
            }
        }
        self.listeners.push(listener);
    }
}

fn socket(address: SocketAddr, is_bound: bool) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    if is_bound {
        socket.bind_device(Some(NAME.as_bytes())).unwrap();
    }
    socket
}

fn rename_loopback() -> io::Result<()> {
    set_loopback(false)?;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let ioctl = |number: libc::c_ulong, name: &str, tail: &[u8]| {
        // `struct ifreq`: 16 bytes of name, and 24 of what is asked.
        let mut request = [0_u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..16 + tail.len()].copy_from_slice(tail);
        // SAFETY: the request reads one `ifreq`, which lives through the call.
        let status = unsafe { libc::ioctl(socket.as_raw_fd(), number as _, request.as_mut_ptr()) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    ioctl(libc::SIOCSIFNAME as _, "lo", NAME.as_bytes())?;
    ioctl(libc::SIOCSIFFLAGS as _, NAME, &[libc::IFF_UP as u8])
}

/// Both ends of each socket as `ss` prints them.
fn ss(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let output = Command::new("ss").args(["-tanOH"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let ends = text.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[3].to_owned(), words[4].to_owned())
    });
    ends.collect()
}

/// The same as the command writes them.
fn listed(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let found = sockets(&[&["-a"], arguments].concat());
    found.iter().map(|one| (text(&one["localAddr"]), text(&one["remoteAddr"]))).collect()
}

fn written() {
    let _scene = Scene::new();
    let theirs = ss(&[]);
    for bound in ["127.0.0.1", "0.0.0.0", "*", "[::]", "[::1]", "[::ffff:127.0.0.1]"] {
        let begin = format!("{bound}%{NAME}:");
        assert!(theirs.iter().any(|(local, _)| local.starts_with(&begin)), "{bound} in {theirs:?}");
    }
    assert_eq!(listed(&[]), theirs);
    let of_interface = format!("dev = {NAME}");
    assert_eq!(listed(&[&of_interface]), ss(&[&of_interface]));
    assert!(!ss(&[&of_interface]).is_empty());

    // The other forms, whose heads are one line.
    let absent = |(local, remote): &(String, String)| match remote.strip_suffix(":*") {
        Some(_) => (local.clone(), "-".to_owned()),
        None => (local.clone(), remote.clone()),
    };
    let shown: BTreeSet<_> = theirs.iter().map(absent).collect();
    let pair = |line: &str, at: usize| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[at].to_owned(), words[at + 1].to_owned())
    };
    let table = printed(&["-a", "-H", "--columns", "local,remote"]);
    assert_eq!(table.lines().map(|line| pair(line, 0)).collect::<BTreeSet<_>>(), shown);
    let long = printed(&["-a", "-i"]);
    let heads = long.lines().filter(|line| !line.starts_with(' '));
    assert_eq!(heads.map(|line| pair(line, 1)).collect::<BTreeSet<_>>(), theirs);
    let csv = printed(&["-a", "-H", "--format", "csv", "--columns", "local"]);
    let locals: BTreeSet<_> = csv.lines().map(|line| line.trim_matches('"')).collect();
    assert_eq!(locals, shown.iter().map(|(local, _)| &**local).collect());

    // Names are those of the network that is asked, and unknown of one that was recorded.
    let place = network_of_thread();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump");
    printed(&["-a", "--save", file.to_str().unwrap()]);
    in_network(|| {
        assert_eq!(listed(&[]), BTreeSet::new());
        assert_eq!(listed(&["--netns", &place]), theirs);
        let chosen = listed(&["--netns", &place, &of_interface]);
        assert!(!chosen.is_empty() && chosen.is_subset(&theirs), "{chosen:?}");
        assert_eq!(run(&[&*of_interface]).code, 2, "there is none such here");
    });
    let recorded = listed(&["--from", file.to_str().unwrap()]);
    let unnamed = |(local, remote): &(String, String)| {
        (local.replace(&format!("%{NAME}:"), "%if1:"), remote.clone())
    };
    assert_eq!(recorded, theirs.iter().map(unnamed).collect());
    check(printed(&["-a", "--format", "jsonl", "--limit", "1"]).trim_end());
}

fn read() {
    let _scene = Scene::new();
    let all = ss(&[]);
    for (local, remote) in &all {
        let filter = format!("src {local} and dst {remote}");
        let found = listed(&[&filter]);
        assert!(found.contains(&(local.clone(), remote.clone())), "{filter} has {found:?}");
        let is_bound = |end: &str| end.contains('%');
        let is_alike = |(other, _): &(String, String)| !is_bound(local) || is_bound(other);
        assert!(found.iter().all(is_alike), "{filter} has {found:?}");
        // As `ss` finds it.
        let (address, interface) = match local.split_once('%') {
            None => (local.clone(), None),
            Some((address, rest)) => {
                let (name, port) = rest.split_once(':').unwrap();
                (format!("{address}:{port}"), Some(name))
            }
        };
        let of_interface = interface.map_or(String::new(), |name| format!("and dev = {name}"));
        // What is any to us is every address of the family to `ss`.
        if !address.starts_with("0.0.0.0") && !address.starts_with("[::]") {
            let theirs = ss(&[&format!("src {address} and dst {remote} {of_interface}")]);
            assert_eq!(found, theirs, "{filter}");
        }
    }
    // Other ways to write the same.
    let linked = all.iter().find(|(local, _)| local.starts_with("[fe80::1]%"));
    let Some((local, _)) = linked else { return };
    let port = local.rsplit_once(':').unwrap().1;
    let expected = listed(&[&format!("src {local}")]);
    for end in ["[fe80::1%NAME]:PORT", "[fe80::1%1]:PORT", "[fe80::1]%if1:PORT", "[fe80::1]%1:PORT"]
    {
        let end = end.replace("NAME", NAME).replace("PORT", port);
        assert_eq!(listed(&[&format!("src {end}")]), expected, "{end}");
    }
}

/// The path of the network namespace of this thread.
fn network_of_thread() -> String {
    // SAFETY: a plain system call that takes no pointers.
    let id = unsafe { libc::gettid() };
    format!("/proc/{id}/ns/net")
}

fn found() {
    let _scene = Scene::new();
    let all: BTreeSet<_> =
        ss(&[]).into_iter().filter(|(_, remote)| !remote.ends_with(":*")).collect();
    assert!(all.iter().any(|(local, _)| local.contains('%')));
    for (local, remote) in &all {
        let socket = check(printed(&["lookup", local, remote, "--json"]).trim_end());
        assert!(socket["localAddr"] == **local && socket["remoteAddr"] == **remote, "{socket:#}");
        let Some((address, rest)) = local.split_once('%') else { continue };
        let bare = format!("{address}{}", &rest[rest.find(':').unwrap()..]);
        let missed = run(&["lookup", &bare, remote]);
        assert_eq!((missed.code, &*missed.stdout), (1, ""), "{missed:?}");
        let complaint = missed.complaint();
        for part in [&format!("{bare} -> {remote}"), &format!("--interface {NAME},"), local] {
            assert!(complaint.contains(part.as_str()), "{part} in {complaint}");
        }
        let port = bare.rsplit_once(':').unwrap().1;
        for way in [&["--interface", NAME][..], &["--interface", "1"], &["--interface", "if1"]] {
            printed(&[&["lookup", &*bare, &**remote], way].concat());
        }
        for end in [format!("{address}%1:{port}"), format!("{address}%if1:{port}")] {
            printed(&["lookup", &end, remote]);
        }
        if let Some(six) = address.strip_suffix(']') {
            printed(&["lookup", &format!("{six}%{NAME}]:{port}"), remote]);
        }
        let two = run(&["lookup", local, remote, "--interface", "77"]);
        assert!(two.code == 2 && two.complaint().contains("two"), "{two:?}");
        let other = run(&["lookup", &bare, remote, "--interface", "77"]);
        assert!(other.code == 1 && other.complaint().contains(NAME), "{other:?}");
    }
    // From another network, where there is no interface of this name.
    let place = network_of_thread();
    in_network(|| {
        for (local, remote) in &all {
            let socket = printed(&["lookup", local, remote, "--json", "--netns", &place]);
            assert_eq!(check(socket.trim_end())["localAddr"], **local);
        }
        let (local, remote) = all.iter().find(|(local, _)| local.contains(NAME)).unwrap();
        assert_eq!(run(&["lookup", local, remote]).code, 2);
        let (local, remote) = all.iter().find(|(local, _)| !local.contains('%')).unwrap();
        assert_eq!(run(&["lookup", local, remote]).code, 1);
        let missed = run(&["lookup", local, "127.0.0.1:9", "-N", &place]);
        assert!(missed.code == 1 && missed.complaint().contains(&place), "{missed:?}");
    });
    let nowhere = run(&["lookup", "127.0.0.1:80", "127.0.0.1:9", "--netns", "none-such"]);
    assert!(nowhere.code == 1 && nowhere.complaint().contains("none-such"), "{nowhere:?}");
    let unknown = run(&["lookup", "127.0.0.1%lo:80", "127.0.0.1:9"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("ip link"), "{unknown:?}");
}
