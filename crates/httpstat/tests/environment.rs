//! What can be tested only where the machine has something to test it with.
//!
//! A test whose need is not met is reported as ignored, and so never mistaken for a success.

#[path = "httpstat/tool.rs"]
mod tool;

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

use tool::{Run, check, command, hop, run};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("a_foreign_server_is_measured", has_python(), a_foreign_server_is_measured),
        trial("ipv6_is_spoken", has_ipv6(), ipv6_is_spoken),
        trial("a_refused_leg_does_not_kill_the_request", has_namespaces(), a_refused_leg),
        trial("a_family_can_be_chosen", has_namespaces(), a_family_can_be_chosen),
        trial("an_interrupt_shows_what_is_known", has_kill(), an_interrupt_shows_what_is_known),
        trial("an_interrupted_series_shows_what_was_done", has_kill(), an_interrupted_series),
        trial("progress_is_shown_and_erased", has_terminals(), progress_is_shown_and_erased),
        trial("junit_is_read_by_another_parser", has_python(), junit_is_read_by_another_parser),
        trial("a_signal_leaves_no_file", has_kill(), a_signal_leaves_no_file),
        trial("a_lost_terminal_leaves_no_file", has_signals(), a_lost_terminal_leaves_no_file),
        trial("nohup_is_left_in_force", has_signals(), nohup_is_left_in_force),
        trial("a_signal_ends_a_report_nobody_reads", has_kill(), a_signal_ends_a_stuck_report),
        trial("a_pipe_without_partner_ends_at_the_limit", has_fifo(), a_pipe_without_partner),
        trial("a_terminal_shows_progress_for_a_while", has_script(), a_terminal_shows_progress),
        trial("a_full_disk_leaves_no_file", has_tmpfs(), a_full_disk_leaves_no_file),
        trial("a_reader_that_stops_ends_at_the_limit", has_fifo(), a_reader_that_stops),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, possible: bool, test: impl FnOnce() + Send + 'static) -> Trial {
    let test = move || -> Result<(), Failed> {
        test();
        Ok(())
    };
    Trial::test(name, test).with_ignored_flag(!possible)
}

/// `python3 -m http.server`, an implementation that shares nothing with the command.
fn a_foreign_server_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "content").unwrap();
    let mut server = Python::serve(folder.path());
    let port = server.port();
    let found = hop(&[&format!("http://127.0.0.1:{port}/file")]);
    assert_eq!(found["response"]["status_line"], "HTTP/1.0 200 OK");
    assert_eq!(found["response"]["body_bytes"], "content".len());
    let missing = hop(&[&format!("http://127.0.0.1:{port}/missing")]);
    assert_eq!(missing["response"]["status_code"], 404);
}

fn ipv6_is_spoken() {
    let port = serve(IpAddr::V6(Ipv6Addr::LOCALHOST));
    let hop = hop(&["-6", &format!("http://[::1]:{port}/")]);
    assert_eq!(hop["response"]["remote_ip"], "::1");
}

fn a_refused_leg() {
    let mut failed = 0;
    for ip in LOOPBACK {
        let run = with_two_addresses(&[], &format!("http://{NAME}:{}/", serve(ip)));
        assert_eq!(run["ok"], true, "{run:#}");
        let hop = &run["hops"][0];
        assert_eq!(hop["response"]["remote_ip"], ip.to_string());
        let (last, before) = hop["attempts"].as_array().unwrap().split_last().unwrap();
        assert_eq!(last["outcome"], "connected");
        assert!(before.iter().all(|attempt| attempt["outcome"] == "failed"), "{run:#}");
        failed += before.len();
    }
    // Whichever family is tried first, it was the wrong one once.
    assert_eq!(failed, 1);
}

fn a_family_can_be_chosen() {
    for (option, ip) in ["-4", "-6"].into_iter().zip(LOOPBACK) {
        let run = with_two_addresses(&[option], &format!("http://{NAME}:{}/", serve(ip)));
        assert_eq!(run["hops"][0]["attempts"].as_array().unwrap().len(), 1, "{run:#}");
        assert_eq!(run["hops"][0]["response"]["remote_ip"], ip.to_string());
    }
}

fn an_interrupt_shows_what_is_known() {
    let run = signalled("-INT", &[]);
    assert_eq!(run.code, 130, "{run:?}");
    assert!(run.stdout.contains("Server processing"), "{run:?}");
    assert!(run.complaint().contains("no response from"), "{run:?}");
}

/// The third request gets no answer, and then the command is interrupted.
fn an_interrupted_series() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.json");
    let child = piped(&[&url, "-n", "100", "--save", saved.to_str().unwrap()]);
    let mut answered = 0;
    let waiting = loop {
        let mut stream = listener.accept().unwrap().0;
        let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        head.find(String::is_empty).unwrap();
        if answered == 2 {
            break stream;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        answered += 1;
    };
    kill("-INT", &child);
    let run = Run::from(child.wait_with_output().unwrap());
    drop(waiting);
    assert_eq!(run.code, 130, "{run:?}");
    assert!(run.stdout.contains("2 of 100 runs over fresh connections · 2 succeeded"), "{run:?}");
    assert!(run.complaint().contains("Ctrl-C"), "{run:?}");
    let saved = check(&std::fs::read_to_string(saved).unwrap());
    assert_eq!(saved["error"]["kind"], "interrupted");
    assert_eq!(saved["statistics"]["total"]["count"], 2);
}

/// What the line shows at any time, and at the end, is found out by doing what a terminal does.
fn progress_is_shown_and_erased() {
    let url = format!("http://127.0.0.1:{}/", serve(LOOPBACK[0]));
    let httpstat = command(&[&url, "-n", "4", "--warmup", "1"]);
    let script = "import os, pty, subprocess, sys\n\
                  ours, theirs = pty.openpty()\n\
                  child = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=theirs)\n\
                  os.close(theirs)\n\
                  os.set_blocking(ours, False)\n\
                  try:\n\
                  \x20   while part := os.read(ours, 65536): sys.stderr.buffer.write(part)\n\
                  except OSError: pass\n\
                  sys.stdout.buffer.write(child.stdout)\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(httpstat.get_program())
        .args(httpstat.get_args())
        .output();
    let run = Run::from(output.unwrap());
    let mut line = Vec::new();
    let mut column = 0;
    let mut seen = Vec::new();
    for c in run.stderr.chars() {
        match c {
            '\r' => {
                seen.push(line.iter().collect::<String>().trim_end().to_owned());
                column = 0;
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    for part in ["warm-up ", " 1/4", " 3/4"] {
        assert!(seen.iter().any(|line| line.contains(part)), "{part:?} is not in {seen:?}");
    }
    assert!(line.iter().all(|c| *c == ' ') && column == 0, "{line:?}");
    assert!(run.stdout.contains("4 of 4 runs"), "{run:?}");
}

fn junit_is_read_by_another_parser() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("junit.xml");
    let url = format!("http://127.0.0.1:{}/?a&b='%22<\u{85}\u{ffff}>", serve(LOOPBACK[0]));
    let limits = ["--slo", "total<0,tls=1", "--junit", path.to_str().unwrap()];
    assert_eq!(run(&[[url.as_str()].as_slice(), &limits].concat()).code, 4);
    let script = "import sys, xml.etree.ElementTree as tree\n\
                  suite = tree.parse(sys.argv[1]).getroot().find('testsuite')\n\
                  tags = [child.tag for case in suite for child in case]\n\
                  print(suite.get('tests'), len(suite), *tags)\n";
    let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
    assert_eq!(Run::from(output).stdout, "7 7 failure skipped\n");
}

fn a_signal_leaves_no_file() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let run = signalled(signal, &["-o", folder.path().join("body").to_str().unwrap()]);
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}

fn a_lost_terminal_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = signalled("-HUP", &["-o", folder.path().join("body").to_str().unwrap()]);
    assert_eq!(run.code, 129, "{run:?}");
    assert!(run.stdout.contains("Server processing"), "{run:?}");
    assert!(run.complaint().contains("SIGHUP"), "{run:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

/// Who ignores the signal, as `nohup` does, has it ignored by what it starts.
fn nohup_is_left_in_force() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let httpstat = command(&[&format!("http://{}/", listener.local_addr().unwrap())]);
    let child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(httpstat.get_program())
        .args(httpstat.get_args())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty).unwrap();
    kill("-HUP", &child);
    // A signal that is heeded arrives well before this answer.
    thread::sleep(Duration::from_millis(100));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
}

/// Sends a signal while the command waits for a response.
fn signalled(signal: &str, options: &[&str]) -> Run {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let child = piped(&[&[url.as_str()], options].concat());
    let (stream, _) = listener.accept().unwrap();
    // With the request here, the command can only be waiting for the response.
    BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty).unwrap();
    kill(signal, &child);
    Run::from(child.wait_with_output().unwrap())
}

fn a_signal_ends_a_stuck_report() {
    // More than a pipe holds, so that the command is stuck from the first byte read.
    let url = format!("http://127.0.0.1:{}/{}", serve(LOOPBACK[0]), "x".repeat(60_000));
    let mut child = piped(&[&url, "-v", "--format", "json"]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    kill("-TERM", &child);
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 143, "{run:?}");
    assert!(run.complaint().contains("nobody read the report"), "{run:?}");

    let mut child = piped(&[&url, "-v", "--format", "json", "-o", "-"]);
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_exact(&mut [0]).unwrap();
    kill("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

fn a_pipe_without_partner() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let data = format!("@{pipe}");
    for option in [["-o", &pipe], ["-d", &data], ["--baseline", &pipe], ["--save", &pipe]] {
        let limit = ["http://127.0.0.1:1/", "--max-time", "0.2"];
        let run = run(&[limit.as_slice(), &option].concat());
        assert_eq!(run.code, 28, "{run:?}");
        assert!(run.complaint().contains("--max-time"), "{run:?}");
        assert!(run.complaint().contains("a file or pipe that an option names"), "{run:?}");
    }
}

fn a_reader_that_stops() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        head.find(String::is_empty);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 64 * 1024]).is_ok() {}
    });
    let child = piped(&[&url, "-o", &pipe, "--max-time", "1"]);
    let reader = std::fs::File::open(&pipe).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    drop(reader);
    assert_eq!(run.code, 28, "{run:?}");
    assert!(run.complaint().contains("no end of the body"), "{run:?}");
}

fn a_terminal_shows_progress() {
    let port = answering(LOOPBACK[0], |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")?;
        stream.write_all(&[b'x'; 1000])?;
        // Longer than what is too short for a bar.
        thread::sleep(Duration::from_millis(1_500));
        stream.write_all(&[b'x'; 1000])
    });
    let url = format!("http://127.0.0.1:{port}/");
    let program = command(&[]);
    let program = program.get_program().to_str().unwrap();
    let on_terminal = |options: &str| {
        let script =
            format!("stty rows 24 cols 60 <&1; '{program}' {url} {options} --format jsonl");
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &script, "/dev/null"]).stdin(Stdio::null());
        let run = Run::from(command.stderr(Stdio::piped()).output().unwrap());
        let (bar, report) = run.stdout.split_once("{\"schema").unwrap();
        assert!(report.contains("\"ok\":true"), "{report}");
        bar.to_owned()
    };
    let bar = on_terminal("");
    let lines: Vec<_> = bar.split('\r').filter(|line| !line.is_empty()).collect();
    let (erased, shown) = lines.split_last().unwrap();
    // Within the half second that is left, and at most ten times a second.
    assert!((1..=6).contains(&shown.len()), "{bar:?}");
    for line in shown {
        assert!(line.starts_with("download "), "{bar:?}");
        assert!(line.contains(" 50% 1.00 kB of 2.00 kB"), "{bar:?}");
        assert!(line.chars().count() < 60, "{bar:?}");
    }
    assert!(erased.chars().all(|c| c == ' ') && bar.ends_with('\r'), "{bar:?}");
    assert_eq!(on_terminal("--no-progress-meter"), "");
    assert_eq!(on_terminal("-s"), "");
    assert_eq!(run(&[&url]).stderr, "");
}

fn a_full_disk_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let port = answering(LOOPBACK[0], |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(&[0; 64 * 1024])?;
        }
    });
    let url = format!("http://127.0.0.1:{port}/");
    // What is left on the small disk follows the report.
    let script = "\"$@\"; code=$?; ls -A \"$0\"; exit $code";
    let command = command(&[&url, "-o", path.to_str().unwrap(), "--format", "jsonl"]);
    let output = on_small_disk(folder.path(), script)
        .arg(command.get_program())
        .args(command.get_args())
        .output();
    let run = Run::from(output.unwrap());
    assert_eq!(run.code, 23, "{run:?}");
    assert!(run.complaint().contains("cannot write to"), "{run:?}");
    assert!(run.complaint().contains("no space left"), "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
}

/// What is added as arguments runs in the script, with a disk of 1 MiB in this folder.
fn on_small_disk(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$0\" && ";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg(format!("{mount}{script}")).arg(folder);
    command
}

fn piped(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(signal: &str, child: &Child) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

fn fifo(folder: &Path) -> String {
    let path = folder.join("pipe").to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Runs the command where a name stands for both loopback addresses.
fn with_two_addresses(options: &[&str], url: &str) -> Value {
    let mut hosts = tempfile::NamedTempFile::new().unwrap();
    for ip in LOOPBACK {
        writeln!(hosts, "{ip} {NAME}").unwrap();
    }
    let command = command(&[options, &[url, "--format", "json"]].concat());
    let output =
        in_namespace(hosts.path()).arg(command.get_program()).args(command.get_args()).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

/// What is added as arguments runs with another `/etc/hosts`.
fn in_namespace(hosts: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts);
    command
}

/// Answers every connection to this address; the port is free in the other family.
fn serve(ip: IpAddr) -> u16 {
    let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    answering(ip, |stream| stream.write_all(empty))
}

/// Reads each request to the end of its head, then has it answered; a client that has seen enough
/// may be gone by then.
fn answering(
    ip: IpAddr,
    answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            head.find(String::is_empty);
            let _ = answer(&mut stream);
        }
    });
    port
}

fn has_python() -> bool {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn has_terminals() -> bool {
    cfg!(unix) && has_python()
}

fn has_kill() -> bool {
    Command::new("kill").arg("-l").stdout(Stdio::null()).status().is_ok()
}

/// What signals a process ignores is told to safe code on Linux only.
fn has_signals() -> bool {
    cfg!(target_os = "linux") && has_kill()
}

fn has_fifo() -> bool {
    cfg!(unix) && Command::new("mkfifo").arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn has_namespaces() -> bool {
    let status = in_namespace(Path::new("/etc/hosts")).arg("true").stderr(Stdio::null()).status();
    has_ipv6() && status.is_ok_and(|status| status.success())
}

fn has_script() -> bool {
    let version = Command::new("script").arg("--version").stdout(Stdio::null()).status();
    cfg!(target_os = "linux") && version.is_ok_and(|status| status.success())
}

fn has_tmpfs() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let mut command = on_small_disk(folder.path(), "true");
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
const NAME: &str = "both.test";

struct Python(Child);

impl Python {
    fn serve(folder: &Path) -> Self {
        let arguments = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"];
        let child = Command::new("python3")
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// From the line with which it says that it is ready.
    fn port(&mut self) -> u16 {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("port ").unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
