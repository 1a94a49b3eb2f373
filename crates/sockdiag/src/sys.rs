//! The netlink socket: the only place that knows the running system.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "sys/linux.rs"]
mod running;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "sys/unsupported.rs"]
mod running;

pub(crate) use running::{
    Netlink, NetlinkEvents, cgroup_id, enter, interface_index, kernel_release, without_cgroups,
};
