use std::{io, path::PathBuf, time::Duration};

use crate::{Error, ErrorKind, conversation::Transport, events::Source};

/// There is none.
#[derive(Debug)]
pub(crate) enum Netlink {}

impl Netlink {
    pub(crate) fn open(_: Duration) -> Result<(Self, u32), Error> {
        Err(Error::new(ErrorKind::Unsupported, "only Linux has NETLINK_SOCK_DIAG"))
    }
}

impl Transport for Netlink {
    fn send(&self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    fn receive(&self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    fn receive_at_once(&self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

pub(crate) const fn cgroup_id(_: &str) -> Option<u64> {
    None
}

pub(crate) const fn without_cgroups() -> Option<&'static str> {
    Some("only Linux has cgroups")
}

/// There are none.
#[derive(Debug)]
pub(crate) enum NetlinkEvents {}

impl NetlinkEvents {
    pub(crate) fn open(_: usize) -> Result<Self, Error> {
        Err(Error::new(ErrorKind::Unsupported, "only Linux has NETLINK_SOCK_DIAG"))
    }

    pub(crate) fn buffer_bytes(&self) -> usize {
        match *self {}
    }
}

impl Source for NetlinkEvents {
    fn receive(&self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    fn wait(&self, _: Option<Duration>) -> io::Result<bool> {
        match *self {}
    }

    fn dropped(&self) -> Option<u32> {
        match *self {}
    }
}

pub(crate) fn enter(_: &[PathBuf]) -> Result<(), Error> {
    Err(Error::new(ErrorKind::Unsupported, "only Linux has network namespaces"))
}

pub(crate) const fn kernel_release() -> String {
    String::new()
}
