//! Other network namespaces than the thread's own.

use std::{
    fmt,
    path::{Path, PathBuf},
    thread,
};

use crate::{Error, ErrorKind, Events, SockDiag, sys::enter};

/// A network namespace: which sockets the kernel is asked for is settled where the netlink socket is
/// opened.
///
/// Entering another takes `CAP_SYS_ADMIN` over it. A thread made for it does so; the caller's stays where
/// it is.
///
/// ```
/// use sockdiag::{Namespace, SockDiag};
///
/// let own = Namespace::of_process(std::process::id());
/// match SockDiag::open_in(&own) {
///     Ok(mut diag) => println!("{:?}", diag.dump(&sockdiag::Dump::new())),
///     Err(error) => println!("{error}"), // which privilege is missing, or that there is none such
/// }
/// assert!(Namespace::named("a/b").is_none());
/// assert_eq!(Namespace::named("blue").unwrap().to_string(), "blue");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace {
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Named(String),
    At(PathBuf),
    OfProcess(u32),
}

impl Namespace {
    /// The namespace that `ip netns` calls so, which lies in `/run/netns` or `/var/run/netns`; `None` if
    /// that cannot be a name, for it is empty or a path.
    pub fn named(name: &str) -> Option<Self> {
        let is_name = !name.is_empty() && !matches!(name, "." | "..");
        let is_name = is_name && !name.contains(['/', '\0']);
        is_name.then(|| Self { place: Place::Named(name.to_owned()) })
    }

    /// The namespace at this path: a file that `ip netns` or a container's runtime made, or
    /// `/proc/PID/ns/net`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::At(path.into()) }
    }

    /// The namespace in which this process runs.
    pub const fn of_process(id: u32) -> Self {
        Self { place: Place::OfProcess(id) }
    }

    /// Where it may be, the likeliest first.
    fn paths(&self) -> Vec<PathBuf> {
        match &self.place {
            Place::Named(name) => {
                ["/run/netns", "/var/run/netns"].map(|dir| Path::new(dir).join(name)).into()
            }
            Place::At(path) => vec![path.clone()],
            Place::OfProcess(id) => vec![PathBuf::from(format!("/proc/{id}/ns/net"))],
        }
    }

    /// Does something in it, in a thread made for that.
    pub(crate) fn within<R: Send>(
        &self,
        work: impl FnOnce() -> Result<R, Error> + Send,
    ) -> Result<R, Error> {
        let inside = || {
            enter(&self.paths())?;
            work()
        };
        let done = thread::scope(|scope| {
            let helper = thread::Builder::new().name("sockdiag-namespace".to_owned());
            match helper.spawn_scoped(scope, inside) {
                Ok(thread) => thread.join().unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Other, "the thread in the namespace panicked"))
                }),
                Err(os) => Err(Error::os(
                    ErrorKind::Other,
                    "a thread for the namespace cannot be made",
                    os,
                )),
            }
        });
        done.map_err(|error| error.in_namespace(self))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Named(name) => f.write_str(name),
            Place::At(path) => path.display().fmt(f),
            Place::OfProcess(id) => write!(f, "process {id}"),
        }
    }
}

impl SockDiag {
    /// Opens a socket in another network namespace; it may then be used anywhere.
    ///
    /// # Errors
    ///
    /// [`NoNamespace`](ErrorKind::NoNamespace) if there is no such namespace,
    /// [`NotPermitted`](ErrorKind::NotPermitted) if this user may not enter it, and as of
    /// [`open`](Self::open).
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        namespace.within(Self::open)
    }
}

impl Events {
    /// Listens in another network namespace.
    ///
    /// # Errors
    ///
    /// As of [`SockDiag::open_in`] and [`Events::open`].
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        Self::open_in_with_buffer(namespace, Self::BUFFER_BYTES)
    }

    /// The same with a buffer of another size.
    ///
    /// # Errors
    ///
    /// As of [`open_in`](Self::open_in).
    pub fn open_in_with_buffer(namespace: &Namespace, bytes: usize) -> Result<Self, Error> {
        namespace.within(|| Self::open_with_buffer(bytes))
    }
}
