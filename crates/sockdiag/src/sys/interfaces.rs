//! Network interfaces by number and by name.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod running {
    use std::os::fd::OwnedFd;

    use rustix::net::{
        AddressFamily, SocketFlags, SocketType,
        netdevice::{index_to_name_inlined, name_to_index},
        socket_with,
    };

    /// A socket of the network namespace in which it was opened.
    #[derive(Debug)]
    pub(crate) struct Links(OwnedFd);

    impl Links {
        pub(crate) fn open() -> Option<Self> {
            let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
            socket_with(family, SocketType::DGRAM, flags, None).ok().map(Self)
        }

        /// Gives the name to a function.
        pub(crate) fn name<R>(&self, index: u32, read: impl FnOnce(&str) -> R) -> Option<R> {
            let name = index_to_name_inlined(&self.0, index).ok()?;
            Some(read(name.as_str()))
        }

        pub(crate) fn index(&self, name: &str) -> Option<u32> {
            name_to_index(&self.0, name).ok()
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod running {
    /// There are none that `sockdiag` could tell of.
    #[derive(Debug)]
    pub(crate) enum Links {}

    impl Links {
        pub(crate) const fn open() -> Option<Self> {
            None
        }

        pub(crate) fn name<R>(&self, _: u32, _: impl FnOnce(&str) -> R) -> Option<R> {
            match *self {}
        }

        pub(crate) fn index(&self, _: &str) -> Option<u32> {
            match *self {}
        }
    }
}

pub(crate) use running::Links;
