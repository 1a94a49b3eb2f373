//! Who holds which sockets, beside our own descriptors, our children, and what `ss -p` shows.

use std::{
    collections::BTreeSet,
    io,
    net::{TcpListener, TcpStream},
    num::NonZeroUsize,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
};

use sockdiag::Owners;

use super::scene::{Pair, Test, inode, needs, pair, test, until};

pub(crate) fn tests() -> Vec<Test> {
    let ss = Command::new("ss").arg("-V").output();
    let can_sleep = Command::new("sleep").arg("0").status();
    let sleep = needs(can_sleep.is_ok_and(|status| status.success()), "sleep is missing");
    let both = needs(ss.is_ok_and(|output| output.status.success()), "ss is missing").and(sleep);
    vec![
        test("every_socket_of_ours_is_found_by_each_of_its_descriptors", own),
        Test { name: "a_socket_that_was_passed_on_has_several_owners", needs: sleep, run: shared },
        Test { name: "ss_shows_the_same_owners", needs: both, run: as_ss },
        test("several_threads_find_what_one_finds", threads),
        Test { name: "what_may_not_be_looked_into_is_counted", needs: sleep, run: gaps },
    ]
}

fn holders(owners: &Owners, inode: u32) -> BTreeSet<(u32, u32)> {
    owners.of(inode).map(|owner| (owner.process.pid(), owner.descriptor)).collect()
}

fn own() {
    let Pair { client, server, listener } = pair();
    let again = client.try_clone().unwrap();
    let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let owners = Owners::scan().unwrap();
    let pid = std::process::id();
    let number = |socket: &dyn AsRawFd| u32::try_from(socket.as_raw_fd()).unwrap();
    let expected = BTreeSet::from([(pid, number(&client)), (pid, number(&again))]);
    assert_eq!(holders(&owners, inode(&client)), expected);
    assert_eq!(holders(&owners, inode(&server)), BTreeSet::from([(pid, number(&server))]));
    assert_eq!(holders(&owners, inode(&listener)), BTreeSet::from([(pid, number(&listener))]));
    assert_eq!(holders(&owners, inode(&datagram)), BTreeSet::from([(pid, number(&datagram))]));
    assert_eq!(holders(&owners, 0), BTreeSet::new());

    let process = owners.of(inode(&server)).next().unwrap().process;
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(process.command(), comm.trim_end());
    assert_eq!(process.parent(), std::os::unix::process::parent_id());
    let words: Vec<String> = std::env::args().collect();
    assert_eq!(process.command_line().unwrap(), words);
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = process.cgroup().unwrap();
    assert!(path.path() == "/" || cgroups.contains(path.path()), "{path:?}");
    assert!(owners.processes().is_sorted_by_key(|process| process.pid()));
}

/// A process that holds our socket as its standard input.
fn with_socket(socket: &impl AsFd) -> Child {
    let socket: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
    Command::new("sleep").arg("1000").stdin(Stdio::from(socket)).spawn().unwrap()
}

fn shared() {
    let Pair { client, .. } = pair();
    let mut children = [with_socket(&client), with_socket(&client)];
    let inode = inode(&client);
    let ours = (std::process::id(), u32::try_from(client.as_raw_fd()).unwrap());
    let mut expected: BTreeSet<_> = children.iter().map(|child| (child.id(), 0)).collect();
    expected.insert(ours);
    // Between `fork` and `exec` a child has all that we have.
    let mut owners = until("the children hold it", || {
        let owners = Owners::scan().unwrap();
        (holders(&owners, inode) == expected).then_some(owners)
    });
    let of_child = |owners: &Owners, child: &Child| {
        owners.of(inode).find(|owner| owner.process.pid() == child.id()).unwrap().process.clone()
    };
    let first = of_child(&owners, &children[0]);
    assert_eq!(first.command(), "sleep");
    assert_eq!(first.parent(), std::process::id());
    assert_eq!(first.command_line().unwrap(), ["sleep", "1000"]);

    children[0].kill().unwrap();
    // One that has ended and was not waited for holds nothing, and is no gap.
    until("the child is over", || {
        owners.refresh().unwrap();
        (!owners.of(inode).any(|owner| owner.process.pid() == children[0].id())).then_some(())
    });
    children[0].wait().unwrap();
    assert_eq!(first.command_line().unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(first.cgroup().unwrap_err().kind(), io::ErrorKind::NotFound);
    expected.remove(&(first.pid(), 0));
    assert_eq!(holders(&owners, inode), expected);
    children[1].kill().unwrap();
    children[1].wait().unwrap();
}

fn as_ss() {
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    let mut children: Vec<_> = pairs.iter().take(4).map(|pair| with_socket(&pair.client)).collect();
    let ours: Vec<&TcpStream> =
        pairs.iter().flat_map(|pair| [&pair.client, &pair.server]).collect();
    let pids: BTreeSet<u32> = children.iter().map(Child::id).chain([std::process::id()]).collect();
    until("ss shows the same owners", || {
        let owners = Owners::scan().unwrap();
        let output = Command::new("ss").args(["-tanHepO"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs = |inode: u32| -> Option<BTreeSet<(u32, u32)>> {
            let word = format!("ino:{inode}");
            let line = text.lines().find(|line| line.split_whitespace().any(|one| one == word))?;
            let (_, users) = line.split_once("users:((")?;
            let (users, _) = users.split_once("))")?;
            let value = |user: &str, name: &str| -> Option<u32> {
                user.split(',').find_map(|part| part.strip_prefix(name)?.parse().ok())
            };
            users
                .split("),(")
                .map(|user| Some((value(user, "pid=")?, value(user, "fd=")?)))
                .collect()
        };
        // Other tests fork, too, and a child has everything for a moment.
        ours.iter()
            .all(|stream| {
                let inode = inode(*stream);
                let own = holders(&owners, inode);
                own.iter().all(|(pid, _)| pids.contains(pid)) && theirs(inode) == Some(own)
            })
            .then_some(())
    });
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn threads() {
    let pairs: Vec<_> = (0..20).map(|_| pair()).collect();
    for threads in [1, 2, 5] {
        let owners = Owners::scan_on(NonZeroUsize::new(threads).unwrap()).unwrap();
        for pair in &pairs {
            let own = |socket: &dyn AsRawFd| {
                (std::process::id(), u32::try_from(socket.as_raw_fd()).unwrap())
            };
            assert!(holders(&owners, inode(&pair.client)).contains(&own(&pair.client)));
            assert!(holders(&owners, inode(&pair.server)).contains(&own(&pair.server)));
        }
        assert!(owners.processes().is_sorted_by_key(|process| process.pid()));
    }
}

/// In a thread that is nobody, if we may become that.
fn gaps() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let mut child = with_socket(&listener);
    let pid = child.id();
    until("the child holds it", || {
        Owners::scan().unwrap().of(inode).any(|owner| owner.process.pid() == pid).then_some(())
    });
    std::thread::spawn(move || {
        const NOBODY: libc::c_long = 65_534;
        // SAFETY: numbers only; without the C library's help it is of this thread alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        let owners = Owners::scan().unwrap();
        let found: BTreeSet<u32> = owners.of(inode).map(|owner| owner.process.pid()).collect();
        // The threads of a process may always look into each other.
        assert!(found.contains(&std::process::id()));
        if changed == 0 {
            assert!(!found.contains(&pid), "{found:?}");
            assert!(owners.gaps().not_permitted > 0);
            assert!(owners.gaps().to_string().contains("CAP_SYS_PTRACE"), "{}", owners.gaps());
        }
        // Threads of the kernel hold nothing, and are nothing to regret.
        let is_of_the_kernel = |stat: &str| -> Option<bool> {
            let flags: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()?;
            Some(flags & 0x0020_0000 != 0)
        };
        let stats: Vec<String> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
            .filter(|stat| stat.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        let kernel = stats.iter().filter(|stat| is_of_the_kernel(stat) == Some(true)).count();
        let most = stats.len() - kernel;
        // Others may have come and gone.
        assert!(kernel < 20 || owners.gaps().not_permitted < most + 10, "{}", owners.gaps());
    })
    .join()
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}
