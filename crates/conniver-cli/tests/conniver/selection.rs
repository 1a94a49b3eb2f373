//! Which sockets are listed.

use std::{collections::BTreeSet, net::Shutdown, time::Instant};

use crate::{
    scene::Scene,
    tool::{Run, command, printed, run, sockets},
};

/// The local addresses of what is listed.
fn listed(arguments: &[&str]) -> BTreeSet<String> {
    let text = |socket: serde_json::Value| socket["localAddr"].as_str().unwrap().to_owned();
    sockets(arguments).into_iter().map(text).collect()
}

#[test]
fn flags_and_the_language_of_ss_choose_the_same() {
    let scene = Scene::new(2);
    let port = scene.port();
    let server = scene.listener.local_addr().unwrap().to_string();
    let clients: BTreeSet<_> =
        scene.clients.iter().map(|client| client.local_addr().unwrap().to_string()).collect();
    let first = &scene.clients[0].local_addr().unwrap().port().to_string();

    assert_eq!(listed(&["--remote-port", &port]), clients);
    assert_eq!(listed(&["dport", "=", &format!(":{port}")]), clients);
    assert_eq!(listed(&[&format!("dport = :{port}")]), clients);
    assert_eq!(listed(&["--local-port", &port]), [server.clone()].into());
    assert_eq!(listed(&["--port", &port]).len(), 3);
    assert_eq!(listed(&["--remote-port", &port, "--local-port", first]).len(), 1);
    assert_eq!(listed(&["--remote-port", &port, &format!("sport = :{first}")]).len(), 1);
    let range = format!("{port}-{port}");
    assert_eq!(listed(&["--remote-port", &range]), clients);
    assert_eq!(listed(&["--remote-port", &port, "--remote", "127.0.0.0/8"]), clients);
    assert_eq!(listed(&["--remote-port", &port, "--address", "127.0.0.1"]), clients);
    assert_eq!(listed(&["--remote-port", &port, "--local", "10.0.0.0/8"]).len(), 0);
    assert_eq!(listed(&["--remote-port", &port, "-4"]), clients);
    assert_eq!(listed(&["--remote-port", &port, "-6"]).len(), 0);
    assert_eq!(listed(&["--remote-port", &port, "--state", "established"]), clients);
    assert_eq!(listed(&["--remote-port", &port, "--state", "time-wait,syn-sent"]).len(), 0);
    assert_eq!(listed(&["state", "established", "dport", "=", &port.clone()]), clients);
}

#[test]
fn a_filter_holds_for_what_is_not_shown() {
    let mut scene = Scene::new(2);
    scene.talk(30_000);
    let filter = format!("dport = :{} and bytes_sent >= 30k", scene.port());
    let found = run(&["-H", "--columns", "local", &filter]);
    assert_eq!(
        found.stdout.trim_end(),
        scene.clients[0].local_addr().unwrap().to_string(),
        "{found:?}"
    );
}

#[test]
fn listeners_are_shown_if_they_are_asked_for() {
    let scene = Scene::new(1);
    let port = scene.port();
    let states = |arguments: &[&str]| -> Vec<String> {
        let mut states: Vec<_> = sockets(&[&["--port", &port], arguments].concat())
            .iter()
            .map(|socket| socket["state"].as_str().unwrap().to_owned())
            .collect();
        states.sort();
        states
    };
    assert_eq!(states(&[]), ["ESTABLISHED", "ESTABLISHED"]);
    assert_eq!(states(&["-l"]), ["LISTEN"]);
    assert_eq!(states(&["-l", "state", "established"]).len(), 0);
    assert_eq!(states(&["-a", "exclude time-wait"]), ["ESTABLISHED", "ESTABLISHED", "LISTEN"]);
    assert_eq!(states(&["state", "listening"]), ["LISTEN"]);
    assert_eq!(states(&["--state", "listening,established"]).len(), 3);
    scene.clients[0].shutdown(Shutdown::Write).unwrap();
    // The acknowledgement is on its way for a moment.
    let begun = Instant::now();
    while states(&[]).contains(&"FIN_WAIT1".to_owned()) && begun.elapsed().as_secs() < 10 {}
    assert_eq!(states(&[]), ["CLOSE_WAIT", "FIN_WAIT2"]);
}

#[test]
fn ipv6_is_listed_beside_ipv4() {
    let Some(scene) = Scene::ipv6(1) else { return };
    let port = scene.port();
    let client = scene.clients[0].local_addr().unwrap().to_string();
    assert_eq!(listed(&["--remote-port", &port]), [client.clone()].into());
    assert_eq!(listed(&["--remote-port", &port, "-6"]), [client.clone()].into());
    assert_eq!(listed(&["--remote-port", &port, "--remote", "::1"]), [client].into());
    assert_eq!(listed(&["--remote-port", &port, "-4"]).len(), 0);
}

#[test]
fn a_process_is_found_by_its_number_and_named() {
    let scene = Scene::new(1);
    let port = scene.port();
    let own = std::process::id().to_string();
    let found = sockets(&["--port", &port, "--pid", &own, "--process"]);
    assert_eq!(found.len(), 2);
    for socket in &found {
        let holders = socket["process"].as_array().unwrap();
        assert!(holders.iter().any(|holder| holder["pid"] == std::process::id()), "{socket:#}");
    }
    assert!(sockets(&["--port", &port])[0].get("process").is_none(), "only if it is asked for");
    // In every form, by which descriptor.
    let client = scene.clients[0].local_addr().unwrap().port().to_string();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&scene.clients[0]);
    let long = printed(&["--local-port", &client, "--info", "--process"]);
    assert!(long.contains(&format!("/{own}(fd={fd})")), "{long}");
    let csv = printed(&["--local-port", &client, "--columns", "fd", "--format", "csv", "-H"]);
    assert_eq!(csv, format!("{fd}\n"));
    let nobody = run(&["--pid", "4194304"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.complaint().contains("4194304"), "{nobody:?}");
}

#[test]
fn what_was_saved_is_listed_as_if_it_were_there() {
    let mut scene = Scene::new(3);
    scene.talk(2_000);
    let port = scene.port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump").to_str().unwrap().to_owned();
    let live = listed(&["--port", &port]);
    assert_eq!(run(&["--save", &file, "--port", &port]).code, 0);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left");
    drop(scene);

    assert_eq!(listed(&["--from", &file]), live);
    assert_eq!(listed(&["--from", &file, "-l"]).len(), 1);
    assert_eq!(listed(&["--from", &file, "dport", "=", &port]).len(), 3);
    assert_eq!(listed(&["--from", &file, "bytes_sent = 2000"]).len(), 1);
    assert_eq!(sockets(&["--from", &file, "-a", "--limit", "2"]).len(), 2);
    let summary = run(&["--from", &file, "-s"]).stdout;
    assert!(summary.contains("6 ESTABLISHED, 1 LISTEN"), "{summary}");

    let mut reading = command(&["--from", "-", "-H", "--columns", "state"]);
    let reading = reading.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8(reading.stdout).unwrap(), "ESTABLISHED\n".repeat(6));

    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 30]).unwrap();
    let cut = run(&["--from", &file, "--format", "csv"]);
    assert_eq!(cut.code, 1);
    assert!(cut.complaint().contains(&file), "{cut:?}");
    for nonsense in [b"".as_slice(), b"no recording at all, whatever it is"] {
        std::fs::write(&file, nonsense).unwrap();
        assert_eq!(run(&["--from", &file]).code, 1);
    }
    assert!(run(&["--from", "/no/such/file"]).complaint().contains("/no/such/file"));
    assert_eq!(run(&["--save", "/no/such/folder/file"]).code, 1);
}

/// A program holds the connection as its standard input, and bears a name that would clear the screen.
#[test]
fn a_hostile_name_is_harmless() {
    use std::os::{fd::OwnedFd, unix::fs::symlink};

    let scene = Scene::new(1);
    let port = scene.port();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("\x1b[2Ja,\"b\n");
    symlink(env!("CARGO_BIN_EXE_conniver"), &path).unwrap();
    let shown = |form: &[&str]| {
        let socket = OwnedFd::from(scene.clients[0].try_clone().unwrap());
        let output = std::process::Command::new(&path)
            .args(
                ["--remote-port", &port, "-p", "-H"]
                    .iter()
                    .filter(|one| **one != "-H" || !form.contains(&"jsonl")),
            )
            .args(form)
            .stdin(socket)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = shown(&["--columns", "process"]);
    assert!(table.contains("\\x1b[2Ja,\"b\\n/") && !table.contains('\x1b'), "{table:?}");
    assert_eq!(table.lines().count(), 1);
    let csv = shown(&["--columns", "process,state", "--format", "csv"]);
    assert!(csv.contains("\\x1b[2Ja,\"\"b\\n/") && csv.starts_with('"'), "{csv:?}");
    let json = shown(&["--format", "jsonl"]);
    let socket = crate::tool::check(json.trim_end());
    let commands: Vec<_> = socket["process"]
        .as_array()
        .unwrap()
        .iter()
        .map(|holder| holder["command"].as_str().unwrap())
        .collect();
    assert!(commands.contains(&"\x1b[2Ja,\"b\n"), "{commands:?}");
}

/// However it is ended while it waits for more, there is no part of a file.
#[test]
#[cfg(target_os = "linux")]
fn a_file_is_saved_whole_or_not_at_all() {
    use std::{
        fs,
        os::unix::process::{CommandExt as _, ExitStatusExt as _},
        process::Stdio,
        thread,
        time::Duration,
    };

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list");
    let names = || fs::read_dir(&folder).unwrap().count();
    let arguments = ["--from", "-", "--save", file.to_str().unwrap()];
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut command = command(&arguments);
        // Under nohup, or in the background, it would be ignored.
        let heed = move || {
            // SAFETY: takes no pointers.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: signal() may be called between fork and exec.
        unsafe { command.pre_exec(heed) };
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let _list = child.stdin.take();
        let holds_file = || {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
            let mut targets = descriptors.filter_map(|one| fs::read_link(one.unwrap().path()).ok());
            targets.any(|target| target.starts_with(folder.path()))
        };
        while !holds_file() {
            thread::sleep(Duration::from_millis(5));
        }
        let id = i32::try_from(child.id()).unwrap();
        // SAFETY: a plain system call that takes no pointers, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert_eq!(names(), 0, "{signal}");
    }
}

/// In a file that may not become longer.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_may_not_grow_is_not_saved() {
    let scene = Scene::new(20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list");
    std::fs::write(&file, "before").unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -f 8; exec $0 --port $1 --save $2", env!("CARGO_BIN_EXE_conniver")]);
    let run = Run::from(shell.arg(scene.port()).arg(&file).output().unwrap());
    assert_eq!((run.code, &*run.stdout), (1, ""), "{run:?}");
    assert!(run.complaint().ends_with("list: File too large"), "{run:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}
