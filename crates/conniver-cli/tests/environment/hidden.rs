//! Where `/proc` does not show all processes, or nothing at all.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{scene::Scene, terminal::screen, tool::Run};

/// Whether this is root, with the programs to mount something that nobody else sees.
pub(crate) fn can_mount() -> bool {
    let tried = "mount -t tmpfs tmpfs /mnt && setpriv --reuid 65534 true";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", tried]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A command of a shell with mounts of its own, in which `$0` is the program, where everybody may run
/// it, and `$1` a port.
pub(crate) fn shell(script: &str, port: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("conniver");
    std::fs::copy(env!("CARGO_BIN_EXE_conniver"), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(program).arg(port).stdin(Stdio::null());
    command.current_dir("/");
    (folder, command)
}

pub(crate) fn run(script: &str, port: &str) -> Run {
    let (_folder, mut command) = shell(script, port);
    Run::from(command.output().unwrap())
}

const NOBODY: &str = "exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all";

pub(crate) fn are_said() {
    let scene = Scene::new(2);
    let port = scene.port();
    let hidden = "mount -t proc -o hidepid=2 proc /proc";

    // Of root's connections nobody knows the program, and must know why.
    let list = run(&format!("{hidden} && {NOBODY} $0 list -p --port $1"), &port);
    assert_eq!((list.code, list.stdout.lines().count()), (0, 5), "{list:?}");
    let complaint = list.complaint();
    assert!(complaint.contains("not every socket's process is known: /proc hides"), "{complaint}");
    assert!(complaint.contains("hidepid") && complaint.contains("CAP_SYS_PTRACE"), "{complaint}");

    // Of its own connections everything is known, whatever is hidden.
    let none = run(&format!("{hidden} && {NOBODY} $0 list -p --port 1"), &port);
    assert_eq!((none.code, &*none.stderr), (0, ""), "{none:?}");

    let life = run(&format!("{hidden} && {NOBODY} $0 life --duration 100ms"), &port);
    assert_eq!(life.code, 0, "{life:?}");
    assert!(life.complaint().contains("/proc hides"), "{life:?}");

    // Whoever may look into all of them is told of all.
    let able =
        "--inh-caps=+sys_ptrace,+dac_read_search --ambient-caps=+sys_ptrace,+dac_read_search";
    let able = format!("exec setpriv --reuid 65534 --regid 65534 --clear-groups {able}");
    let list = run(&format!("{hidden} && {able} $0 list -p --port $1"), &port);
    assert_eq!((list.code, &*list.stderr), (0, ""), "{list:?}");

    // In a container that shares the network.
    let list = run("exec unshare --pid --fork --mount-proc $0 list -p --port $1", &port);
    assert_eq!(list.code, 0, "{list:?}");
    assert!(list.complaint().contains("outside of this PID namespace"), "{list:?}");
    // One that sees the machine's processes sees all.
    let list = run("exec unshare --pid --fork $0 list -p --port $1", &port);
    assert_eq!((list.code, &*list.stderr), (0, ""), "{list:?}");

    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let is_in_container = own.as_os_str() != "pid:[4026531836]";
    for (script, are_hidden) in [
        (format!("{hidden} && {NOBODY} $0"), true),
        ("exec setpriv --reuid 65534 $0".to_owned(), is_in_container),
    ] {
        let metrics = metrics(&script);
        let expected = format!("\nconniver_processes_hidden {}\n", u8::from(are_hidden));
        assert!(metrics.contains(&expected), "{script}: {metrics}");
    }
}

pub(crate) fn are_said_after_watching() {
    let scene = Scene::new(1);
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && {NOBODY} timeout --foreground -s INT 2 $0 watch -p --port $1"
    );
    let (folder, command) = shell(&script, &scene.port());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let screen = screen(folder.path(), 200, &words.join(" "));
    let expected = "conniver: not every socket's process is known: /proc hides";
    assert!(screen.contains(expected), "{screen}");
}

/// What the server that this script starts says of itself.
fn metrics(script: &str) -> String {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let script = format!("{script} serve --by process --listen {address}");
    let (_folder, mut command) = shell(&script, "");
    let server = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    loop {
        if let Ok(text) = page(&address) {
            drop(server);
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{script} does not serve");
        thread::sleep(Duration::from_millis(20));
    }
}

fn page(address: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text)?;
    Ok(text)
}

pub(crate) fn without_proc() {
    let scene = Scene::new(1);
    let port = scene.port();
    let empty = "mount -t tmpfs tmpfs /proc";
    let list = run(&format!("{empty} && exec $0 list -p --port $1"), &port);
    assert_eq!((list.code, &*list.stdout), (1, ""), "{list:?}");
    assert!(list.complaint().contains("/proc is not mounted"), "{list:?}");
    let list = run(&format!("{empty} && exec $0 list --port $1"), &port);
    assert_eq!((list.code, &*list.stderr), (0, ""), "{list:?}");

    for arguments in ["-N 1", "--pid 1", "life --pid 1", "'cgroup = /'", "-N /proc/1/ns/net"] {
        let list = run(&format!("{empty} && exec $0 {arguments}"), &port);
        let (first, _) = list.stderr.split_once('\n').unwrap();
        assert!(first.contains("/proc") && first.contains("not mounted"), "{arguments}: {list:?}");
        assert!(list.code > 0 && list.stdout.is_empty(), "{list:?}");
    }
    let none = "umount -R /sys/fs/cgroup || umount -lR /sys/fs/cgroup";
    let list = run(&format!("{none}; exec $0 'cgroup = /'"), &port);
    assert!(list.stderr.contains("version 2 are not mounted"), "{list:?}");

    let hidden = "mount -t proc -o hidepid=2 proc /proc";
    for arguments in ["-N 1", "--pid 1"] {
        let list = run(&format!("{hidden} && {NOBODY} $0 {arguments}"), &port);
        assert_eq!((list.code, &*list.stdout), (1, ""), "{list:?}");
        assert!(list.complaint().contains("or /proc hides it"), "{arguments}: {list:?}");
    }
}
