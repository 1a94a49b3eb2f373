//! What a filter's text may call by name, and who knows the numbers.

use crate::Interfaces;

/// Knows the numbers behind names of services, interfaces and cgroups.
pub trait FilterNames {
    /// The port of a TCP service, such as 443 of `https`.
    fn service(&self, name: &str) -> Option<u16>;

    /// The index of a network interface, such as 1 of `lo`.
    fn interface(&self, name: &str) -> Option<u32>;

    /// The number of a cgroup (version 2), the inode of its directory, by its path.
    fn cgroup(&self, path: &str) -> Option<u64>;

    /// Why no cgroup is found by its path, if that is so of all of them, such as that they are not
    /// mounted. Unless it is written otherwise, nothing is known of that.
    fn without_cgroups(&self) -> Option<&str> {
        None
    }
}

/// The names of this system: `/etc/services`, the interfaces of this thread's network namespace, the
/// cgroups where they are mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made by its name")]
pub struct SystemNames;

/// No names: ports, interfaces and cgroups are given by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made by its name")]
pub struct NoNames;

impl FilterNames for NoNames {
    fn service(&self, _: &str) -> Option<u16> {
        None
    }

    fn interface(&self, _: &str) -> Option<u32> {
        None
    }

    fn cgroup(&self, _: &str) -> Option<u64> {
        None
    }
}

impl FilterNames for SystemNames {
    fn service(&self, name: &str) -> Option<u16> {
        let services = std::fs::read("/etc/services").ok()?;
        tcp_service(&String::from_utf8_lossy(&services), name)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        Interfaces::of_thread().index(name)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        crate::sys::cgroup_id(path)
    }

    fn without_cgroups(&self) -> Option<&str> {
        crate::sys::without_cgroups()
    }
}

/// The names of this system, but for the interfaces, which are those of that network namespace.
impl FilterNames for Interfaces {
    fn service(&self, name: &str) -> Option<u16> {
        SystemNames.service(name)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        self.index(name)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        SystemNames.cgroup(path)
    }

    fn without_cgroups(&self) -> Option<&str> {
        crate::sys::without_cgroups()
    }
}

/// The port in the text of `/etc/services`: lines of a name, `port/protocol`, and other names.
fn tcp_service(services: &str, wanted: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let name = words.next()?;
        let port = words.next()?.strip_suffix("/tcp")?;
        let is_wanted = name == wanted || words.any(|other| other == wanted);
        if is_wanted { port.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_name_and_by_alias() {
        let text =
            "# of a system\nhttp 80/tcp www # the web\nsyslog\t514/udp\nshell 514/tcp cmd\nodd\n";
        for (name, port) in [("http", 80), ("www", 80), ("shell", 514), ("cmd", 514)] {
            assert_eq!(tcp_service(text, name), Some(port));
        }
        for name in ["syslog", "the", "web", "odd", "80/tcp", ""] {
            assert_eq!(tcp_service(text, name), None, "{name}");
        }
    }
}
