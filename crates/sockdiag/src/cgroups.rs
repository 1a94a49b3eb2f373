//! Which cgroup a number stands for.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod walk;

use std::io;

/// The paths of cgroups (version 2), found in one walk through where they are mounted.
///
/// The kernel tells of a socket [the number of its cgroup](crate::Entry::cgroup_id), and what a number
/// stands for only to who has `CAP_DAC_READ_SEARCH`. So all cgroups are looked at once, and every question
/// after that is answered from memory. What was made later is found by another walk.
///
/// ```
/// use sockdiag::{Cgroups, Dump, SockDiag};
///
/// # if !sockdiag::is_supported() { return }
/// let _server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let cgroups = match Cgroups::scan() {
///     Ok(cgroups) => cgroups,
///     Err(error) => return eprintln!("{error}"), // no such cgroups are mounted here
/// };
/// let mut diag = SockDiag::open().unwrap();
/// let mut entries = diag.dump(&Dump::new()).unwrap();
/// while let Some(entry) = entries.next() {
///     let entry = entry.unwrap();
///     let path = entry.cgroup_id().and_then(|id| cgroups.path(id));
///     println!("{} {}", entry.local_addr(), path.unwrap_or("of a cgroup that is not seen here"));
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Cgroups {
    /// In the order of numbers.
    paths: Vec<(u64, Box<str>)>,
}

impl Cgroups {
    /// Looks at all cgroups below the place where they are mounted. One that goes meanwhile, or may not
    /// be read, is passed over with what is in it. Links are not followed, nor is what is mounted
    /// below.
    ///
    /// # Errors
    ///
    /// No cgroups of version 2 are mounted, or `/proc`, which tells where, is not
    /// ([`NotFound`](io::ErrorKind::NotFound)); they cannot be read at all; or this is another system than
    /// Linux ([`Unsupported`](io::ErrorKind::Unsupported)).
    pub fn scan() -> io::Result<Self> {
        let mut paths = find()?;
        paths.sort_unstable();
        Ok(Self { paths })
    }

    /// The path of a cgroup as `ss -e` prints it: below the place where cgroups are mounted, such as
    /// `/system.slice/ssh.service`, and `/` for the first of them. Bytes that are no text are replaced.
    ///
    /// `None` of a cgroup that is gone while sockets that were made in it are still there, that was made
    /// after the walk, or that is outside of what is mounted here, as in a container.
    pub fn path(&self, id: u64) -> Option<&str> {
        let place = self.paths.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.paths.get(place).map(|(_, path)| &**path)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn find() -> io::Result<Vec<(u64, Box<str>)>> {
    walk::find()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn find() -> io::Result<Vec<(u64, Box<str>)>> {
    let why = crate::sys::without_cgroups().unwrap_or_default();
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
