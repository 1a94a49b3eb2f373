//! Paths of cgroups beside what the standard library finds, filters, and `ss`.

use std::{collections::BTreeMap, net::TcpListener, os::unix::fs::MetadataExt, path::Path};

use sockdiag::{Cgroups, Dump, FilterNames, SockDiag, SystemNames};

use super::{
    scene::{Test, needs, until},
    shown::{cgroups_at, has_ss, ss},
};

pub(crate) fn tests() -> Vec<Test> {
    let mounted = needs(cgroups_at().is_some(), "no cgroups of version 2 are mounted");
    let both = mounted.and(needs(has_ss(), "ss is missing"));
    vec![
        Test { name: "every_cgroup_has_the_path_of_its_directory", needs: mounted, run: every },
        Test { name: "ss_shows_the_same_cgroups", needs: both, run: as_ss },
    ]
}

/// Number and path of every directory, as far as they can be read.
fn directories(at: &Path, path: &str, all: &mut BTreeMap<u64, String>) {
    let Ok(found) = at.symlink_metadata() else { return };
    all.insert(found.ino(), if path.is_empty() { "/" } else { path }.to_owned());
    for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            directories(&entry.path(), &path, all);
        }
    }
}

fn every() {
    let root = cgroups_at().unwrap();
    let expected = || {
        let mut all = BTreeMap::new();
        directories(Path::new(&root), "", &mut all);
        all
    };
    // Others may make some at any time.
    let (cgroups, all) = until("a moment in which no cgroup comes or goes", || {
        let (before, cgroups, after) = (expected(), Cgroups::scan().unwrap(), expected());
        (before == after).then_some((cgroups, after))
    });
    for (id, path) in &all {
        assert_eq!(cgroups.path(*id), Some(&**path));
        if !all.contains_key(&(id + 1)) {
            assert_eq!(cgroups.path(id + 1), None);
        }
    }
    assert_eq!(cgroups.path(u64::MAX), None);
    // And back.
    for (id, path) in all.iter().take(20) {
        assert_eq!(SystemNames.cgroup(path), Some(*id), "{path}");
    }
}

fn as_ss() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let filter = format!("sport = :{}", listener.local_addr().unwrap().port());
    let mut diag = SockDiag::open().unwrap();
    let mut entries = diag.dump(&Dump::new().filter(&filter.parse().unwrap())).unwrap();
    let id = entries.next().unwrap().unwrap().cgroup_id();
    let shown = ss(&["-tl", &filter]);
    let theirs = shown[0].facts.get("cgroup").map(String::as_str);
    let cgroups = Cgroups::scan().unwrap();
    match theirs {
        // It is outside of what is mounted here, or may not be asked for by its number.
        Some(path) if path.starts_with("unreachable:") => {}
        path => assert_eq!(id.and_then(|id| cgroups.path(id)), path),
    }
}
