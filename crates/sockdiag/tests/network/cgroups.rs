//! Cgroups of the test's own, and sockets in them.
//!
//! All are below one that is made for the test, and go with it.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr},
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use sockdiag::{Cgroups, Dump, SockDiag};

use super::{
    scene::{mount, unshare},
    shown::{cgroups_at, has_ss, ss},
};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("the_cgroup_of_a_socket_has_the_path_that_ss_prints", of_socket),
    ("a_thousand_cgroups_have_their_paths", thousand),
    ("cgroups_that_come_and_go_do_no_harm", vanishing),
    ("what_is_mounted_below_cgroups_is_none", covered),
    ("without_cgroups_it_is_said_why", without),
];

/// Whether this user may make cgroups.
pub(crate) fn possible() -> Result<(), String> {
    let root = cgroups_at().ok_or("no cgroups of version 2 are mounted")?;
    let probe = Path::new(&root).join(format!("sockdiag-probe-{}", std::process::id()));
    let made = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
    made.map_err(|error| format!("this user may not make cgroups at {root}: {error}"))
}

/// A cgroup of this test, which goes with all that is in it.
struct Tree {
    directory: PathBuf,
    /// As it is told.
    path: String,
}

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockdiag-test-{}-{number}", std::process::id());
        let directory = Path::new(&cgroups_at().unwrap()).join(&name);
        fs::create_dir(&directory).unwrap();
        Self { directory, path: format!("/{name}") }
    }

    /// Makes a cgroup in it, and says its number.
    fn make(&self, name: impl AsRef<OsStr>) -> u64 {
        let directory = self.directory.join(name.as_ref());
        fs::create_dir(&directory).unwrap();
        directory.metadata().unwrap().ino()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = remove(&self.directory);
    }
}

/// Of cgroups only directories are removed, and their files go with them.
fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

/// Says to a process what it is to look at.
const VARIABLE: &str = "CGROUPS_LOOK";

/// Starts this program again, which looks at something by itself.
fn look(what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(VARIABLE, what).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What such a process does; nothing in any other. Call it before anything else.
pub(crate) fn look_if_asked() -> Option<ExitCode> {
    let what = std::env::var(VARIABLE).ok()?;
    let (kind, place) = what.split_once(':').unwrap();
    match kind {
        "socket" => {
            fs::write(Path::new(place).join("cgroup.procs"), "0").unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            println!("{}", listener.local_addr().unwrap().port());
            io::stdout().flush().unwrap();
            // Until the other end is closed.
            let _ = io::stdin().read_to_end(&mut Vec::new());
        }
        "covered" => {
            cover(place);
            fs::create_dir(Path::new(place).join("inside")).unwrap();
            let cgroups = Cgroups::scan().unwrap();
            let covering = Path::new(place).metadata().unwrap().ino();
            let inside = Path::new(place).join("inside").metadata().unwrap().ino();
            println!("{:?} {:?}", cgroups.path(covering), cgroups.path(inside));
            println!("{cgroups:?}");
        }
        "without" => {
            if place != "unmounted" {
                cover(place);
            } else {
                unshare(libc::CLONE_NEWNS).unwrap();
                while let Some(place) = cgroups_at() {
                    let place = CString::new(place).unwrap();
                    // SAFETY: a C string that lives through the call.
                    assert_eq!(unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) }, 0);
                }
            }
            let error = Cgroups::scan().unwrap_err();
            println!("{:?} {error}", error.kind());
        }
        other => panic!("{other}"),
    }
    Some(ExitCode::SUCCESS)
}

/// Mounts something else there, which only this process sees.
fn cover(place: &str) {
    unshare(libc::CLONE_NEWNS).unwrap();
    let place = CString::new(place).unwrap();
    mount(Some(c"tmpfs"), &place, Some(c"tmpfs"), 0, None).unwrap();
}

/// What such a process says.
fn said(what: &str) -> String {
    let output = look(what).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn of_socket() {
    let tree = Tree::new();
    tree.make("outer.slice");
    let id = tree.make("outer.slice/inner.service");
    let path = format!("{}/outer.slice/inner.service", tree.path);
    let directory = tree.directory.join("outer.slice/inner.service");
    let mut child = look(&format!("socket:{}", directory.display())).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let filter = format!("sport = :{}", line.trim());

    let told = || {
        let mut diag = SockDiag::open().unwrap();
        let mut entries = diag.dump(&Dump::new().filter(&filter.parse().unwrap())).unwrap();
        let id = entries.next().unwrap().unwrap().cgroup_id();
        // Linux 5.8.
        id.unwrap_or_else(|| panic!("this kernel does not tell of cgroups"))
    };
    assert_eq!(told(), id);
    let cgroups = Cgroups::scan().unwrap();
    assert_eq!(cgroups.path(id), Some(&*path));
    if has_ss() {
        assert_eq!(ss(&["-tl", &filter])[0].facts["cgroup"], path);
    }
    let filtered = format!("{filter} and cgroup = {path}");
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&Dump::new().filter(&filtered.parse().unwrap())).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().cgroup_id(), Some(id));

    drop(child.stdin.take());
    child.wait().unwrap();
    drop(tree);
    assert_eq!(cgroups.path(id), Some(&*path), "what was known stays");
    assert_eq!(Cgroups::scan().unwrap().path(id), None);
}

fn thousand() {
    let tree = Tree::new();
    let mut expected = BTreeMap::new();
    let mut put = |name: &str| {
        expected.insert(tree.make(name), format!("{}/{name}", tree.path));
    };
    for number in 0..50 {
        put(&format!("{number}"));
        for inner in 0..20 {
            put(&format!("{number}/{inner}.scope"));
        }
    }
    // One in the other.
    let mut deep = String::from("deep");
    put(&deep);
    for _ in 0..200 {
        deep += "/in";
        put(&deep);
    }
    put("a name with spaces");
    expected.insert(
        tree.make(OsStr::from_bytes(b"no\xfftext")),
        format!("{}/no\u{fffd}text", tree.path),
    );
    let cgroups = Cgroups::scan().unwrap();
    assert_eq!(expected.len(), 1_253);
    for (id, path) in &expected {
        assert_eq!(cgroups.path(*id), Some(&**path));
    }
    assert_eq!(cgroups.path(1_000_000_000_000), None);
}

fn vanishing() {
    let tree = Tree::new();
    let stays = tree.make("stays");
    thread::scope(|scope| {
        let scans = scope.spawn(|| {
            let mut seen = 0;
            for _ in 0..300 {
                let cgroups = Cgroups::scan().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(cgroups.path(stays), Some(&*format!("{}/stays", tree.path)));
                seen += usize::from(format!("{cgroups:?}").contains("/inner"));
            }
            assert!(seen > 0);
        });
        while !scans.is_finished() {
            for number in 0..20 {
                tree.make(format!("{number}"));
                tree.make(format!("{number}/inner"));
            }
            for number in 0..20 {
                remove(&tree.directory.join(format!("{number}"))).unwrap();
            }
        }
    });
}

fn covered() {
    let tree = Tree::new();
    let (id, inner) = (tree.make("covered"), tree.make("covered/cgroup"));
    let said = said(&format!("covered:{}", tree.directory.join("covered").display()));
    let (of_mounted, all) = said.split_once('\n').unwrap();
    // The numbers of the other file system are small, and may be those of cgroups.
    assert!(!of_mounted.contains("inside"), "{said}");
    assert!(!all.contains("covered/"), "{said}");
    assert!(all.contains(&format!("({id}, \"{}/covered\")", tree.path)), "{said}");
    assert!(!all.contains(&format!("({inner}, ")), "{said}");
}

fn without() {
    let text = said("without:unmounted");
    assert!(text.starts_with("NotFound ") && text.contains("mount -t cgroup2"), "{text}");
    let text = said(&format!("without:{}", cgroups_at().unwrap()));
    assert!(text.starts_with("NotFound ") && text.contains("mounted over"), "{text}");
}
