//! One walk through the directories of cgroups, each of which waits in a list until it is read.

use std::{io, mem::MaybeUninit};

use rustix::{
    fs::{CWD, FileType, FsWord, Mode, OFlags, RawDir, fstat, fstatfs, openat},
    io::Errno,
};

use crate::sys::{DIRECTORY_BUFFER_LEN, READ_DIRECTORY, cgroups};

/// No link leads elsewhere.
const READ_OWN_DIRECTORY: OFlags = READ_DIRECTORY.union(OFlags::NOFOLLOW);

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: FsWord = 0x6367_7270;

pub(super) fn find() -> io::Result<Vec<(u64, Box<str>)>> {
    let place = cgroups().map_err(|why| io::Error::new(io::ErrorKind::NotFound, why))?;
    let failed = |errno: Errno| {
        let os = io::Error::from(errno);
        io::Error::new(os.kind(), format!("cannot look for the paths of cgroups at {place}: {os}"))
    };
    let root = openat(CWD, &*place, READ_OWN_DIRECTORY, Mode::empty()).map_err(failed)?;
    let first = fstat(&root).map_err(failed)?;
    if fstatfs(&root).map_err(failed)?.f_type != CGROUP2_MAGIC {
        let text = format!("the cgroups at {place} are hidden by what is mounted over them");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }

    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER_LEN];
    // The first one's path is empty until the end.
    let mut all: Vec<(u64, Vec<u8>)> = vec![(first.st_ino, Vec::new())];
    let mut next = 0;
    while let Some((_, path)) = all.get(next) {
        next += 1;
        let path = path.clone();
        let name = path.strip_prefix(b"/").unwrap_or(b".");
        let directory = match openat(&root, name, READ_OWN_DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            // Not this one's fault.
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(failed(errno)),
            Err(_) => continue,
        };
        if fstat(&directory).map_or(true, |found| found.st_dev != first.st_dev) {
            continue;
        }
        let mut entries = RawDir::new(&directory, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name().to_bytes();
            if entry.file_type() == FileType::Directory && !matches!(name, b"." | b"..") {
                all.push((entry.ino(), [&*path, b"/", name].concat()));
            }
        }
    }
    let text = |path: &[u8]| match path {
        [] => "/".into(),
        path => String::from_utf8_lossy(path).into(),
    };
    Ok(all.into_iter().map(|(id, path)| (id, text(&path))).collect())
}
