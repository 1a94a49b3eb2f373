//! The netlink socket: the only place that knows the running system.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "sys/linux.rs"]
mod running;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "sys/unsupported.rs"]
mod running;

mod interfaces;

pub(crate) use interfaces::Links;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use running::{DIRECTORY_BUFFER_LEN, READ, READ_DIRECTORY, cgroups};
pub(crate) use running::{
    Netlink, NetlinkEvents, cgroup_id, enter, kernel_release, without_cgroups,
};
