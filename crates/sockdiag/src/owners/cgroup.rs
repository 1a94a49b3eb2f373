use std::fmt;

/// Where a process is in the hierarchies of cgroups, as `/proc/PID/cgroup` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: Box<str>,
    container: Option<Container>,
}

impl Cgroup {
    /// Reads lines such as `0::/system.slice/ssh.service`, or `4:memory:/docker/…` of version 1.
    pub(super) fn parse(text: &str) -> Self {
        let paths = || {
            text.lines().filter_map(|line| {
                let (number, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                Some((number, controllers, path))
            })
        };
        // The one hierarchy of version 2, then the one in which a service manager keeps its units, then
        // whatever is not at the top. A machine with both versions may use only the first.
        let named = |wanted: fn(&(&str, &str, &str)) -> bool| {
            paths().find(wanted).map(|(_, _, path)| path).filter(|path| *path != "/")
        };
        let path = named(|(number, controllers, _)| *number == "0" && controllers.is_empty())
            .or_else(|| named(|(_, controllers, _)| *controllers == "name=systemd"))
            .or_else(|| named(|(_, _, path)| *path != "/"))
            .unwrap_or("/");
        let container = Container::of_path(path)
            .or_else(|| paths().find_map(|(_, _, path)| Container::of_path(path)));
        Self { path: path.into(), container }
    }

    /// The path of the cgroup: of version 2, or of version 1 if the process is in none of that.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The container, if the path is one that a container's runtime makes.
    pub const fn container(&self) -> Option<&Container> {
        self.container.as_ref()
    }
}

/// A container, as the name of its cgroup tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    id: Box<str>,
    runtime: Option<&'static str>,
}

/// Prefixes of the names that runtimes give to cgroups; the longer before what they begin with.
const RUNTIMES: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
    ("lxc.payload.", "lxc"),
    ("machine-", "machine"),
];

/// Names of cgroups above those of containers.
const PARENTS: &[(&str, &str)] =
    &[("docker", "docker"), ("lxc", "lxc"), ("libpod_parent", "podman")];

impl Container {
    /// Its identity: 64 hexadecimal digits from most runtimes, a name from others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first twelve digits of a long identity, as container tools show it; otherwise all of it.
    pub fn short_id(&self) -> &str {
        if is_digest(&self.id) { self.id.get(..12).unwrap_or(&self.id) } else { &self.id }
    }

    /// What runs it, if the name tells: `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `machine`
    /// (systemd's).
    pub const fn runtime(&self) -> Option<&'static str> {
        self.runtime
    }

    /// The innermost of a path.
    fn of_path(path: &str) -> Option<Self> {
        let mut names = path.rsplit('/').filter(|name| !name.is_empty()).peekable();
        while let Some(name) = names.next() {
            let parent = names.peek().copied();
            if let Some(found) = Self::of_name(name, parent) {
                return Some(found);
            }
        }
        None
    }

    fn of_name(name: &str, parent: Option<&str>) -> Option<Self> {
        let bare = name.strip_suffix(".scope").or_else(|| name.strip_suffix(".service"));
        let bare = bare.unwrap_or(name);
        // Of podman, what watches over a container and is not in it.
        if bare.starts_with("libpod-conmon-") || bare.starts_with("crio-conmon-") {
            return None;
        }
        let by_prefix = RUNTIMES
            .iter()
            .find_map(|(prefix, runtime)| Some((bare.strip_prefix(prefix)?, *runtime)));
        let by_parent = || {
            let runtime = PARENTS.iter().find(|(name, _)| parent == Some(*name))?.1;
            Some((bare, runtime))
        };
        // As the runtime of Kubernetes names them below its own slice, or below one of version 1.
        let after_colon = bare.rsplit(':').next().unwrap_or(bare);
        if let Some((id, runtime)) = by_prefix.or_else(by_parent) {
            let has_name = matches!(runtime, "lxc" | "machine");
            return (has_name && !id.is_empty() || is_digest(id))
                .then(|| Self { id: id.into(), runtime: Some(runtime) });
        }
        is_digest(after_colon).then(|| Self { id: after_colon.into(), runtime: None })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn the_path_is_that_of_the_hierarchy_that_is_used() {
        for (text, path) in [
            ("0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
            ("12:memory:/a\n1:name=systemd:/user.slice\n0::/b\n", "/b"),
            ("12:memory:/a\n1:name=systemd:/user.slice\n0::/\n", "/user.slice"),
            ("12:cpu,cpuacct:/a:b\n3:pids:/\n", "/a:b"),
            ("0::/\n", "/"),
            ("", "/"),
            ("nonsense\n0\n", "/"),
        ] {
            assert_eq!(Cgroup::parse(text).path(), path, "{text:?}");
        }
    }

    #[test]
    fn containers_are_known_by_the_names_of_their_cgroups() {
        let id = id();
        for (path, runtime) in [
            (format!("/docker/{id}"), Some("docker")),
            (format!("/system.slice/docker-{id}.scope"), Some("docker")),
            (format!("/system.slice/docker-{id}.scope/init.scope"), Some("docker")),
            (
                format!("/kubepods.slice/kubepods-burstable.slice/cri-containerd-{id}.scope"),
                Some("containerd"),
            ),
            (format!("/kubepods/besteffort/pod1234/{id}"), None),
            (
                format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"),
                None,
            ),
            (format!("/kubepods.slice/crio-{id}.scope/container"), Some("cri-o")),
            (format!("/machine.slice/libpod-{id}.scope/container"), Some("podman")),
            (format!("/ecs/task/{id}"), None),
        ] {
            let cgroup = Cgroup::parse(&format!("0::{path}\n"));
            let container = cgroup.container().unwrap_or_else(|| panic!("{path}"));
            assert_eq!((container.id(), container.runtime()), (&*id, runtime), "{path}");
            assert_eq!(container.to_string(), "0123456789ab");
        }
        for (path, name, runtime) in [
            ("/lxc/web/ns", "web", "lxc"),
            ("/lxc.payload.web/system.slice/x.service", "web", "lxc"),
            ("/machine.slice/machine-web.scope", "web", "machine"),
        ] {
            let cgroup = Cgroup::parse(&format!("7:pids:{path}\n0::/\n"));
            let container = cgroup.container().unwrap();
            assert_eq!((container.id(), container.runtime()), (name, Some(runtime)), "{path}");
            assert_eq!(container.short_id(), name);
        }
        for path in [
            "/user.slice/user-0.slice/session-1.scope".to_owned(),
            "/system.slice/docker.service".to_owned(),
            "/docker".to_owned(),
            "/docker/buildx".to_owned(),
            format!("/machine.slice/libpod-conmon-{id}.scope"),
            format!("/x/{id}0"),
            "/".to_owned(),
        ] {
            assert_eq!(Cgroup::parse(&format!("0::{path}")).container(), None, "{path}");
        }
    }
}
