//! The command as a person uses it.

use std::{
    fs::{self, File},
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
    process::{Command, Stdio},
    ptr, thread,
    time::{Duration, Instant},
};

use crate::{PANIC, pane::Pane};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_person_looks_filters_resizes_and_quits", a_person_looks_filters_resizes_and_quits),
    ("ctrl_c_ends_it", ctrl_c_ends_it),
    ("signals_end_it", signals_end_it),
    ("it_is_suspended_and_goes_on", it_is_suspended_and_goes_on),
    ("it_goes_on_after_somebody_else_stopped_it", it_goes_on_after_somebody_else_stopped_it),
    ("a_panic_leaves_the_terminal_whole", a_panic_leaves_the_terminal_whole),
    ("it_ends_with_its_terminal", it_ends_with_its_terminal),
    ("a_terminal_that_has_gone_is_no_panic", a_terminal_that_has_gone_is_no_panic),
    ("nonsense_is_said_before_the_terminal_is_taken", nonsense_is_said_before),
];

const CONNIVER: &str = env!("CARGO_BIN_EXE_conniver");

/// Both ends of a connection, and the ports of the client and the server.
struct Talk {
    _ends: (TcpStream, TcpStream),
    client: String,
    server: String,
}

impl Talk {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let client = format!("127.0.0.1:{}", stream.local_addr().unwrap().port());
        let (peer, _) = listener.accept().unwrap();
        Self { _ends: (stream, peer), client, server: format!("127.0.0.1:{}", address.port()) }
    }

    fn port(&self) -> &str {
        self.server.rsplit(':').next().unwrap()
    }
}

/// Watches one connection.
fn watch(talk: &Talk) -> Pane {
    let pane = Pane::new();
    pane.start(&format!("{CONNIVER} watch --port {}", talk.port()));
    pane.wait_for(&talk.client);
    pane
}

fn a_person_looks_filters_resizes_and_quits() {
    // A program is named, whatever it calls itself.
    fs::write("/proc/self/comm", "\x1b[7mevil").unwrap();
    let (talk, other) = (Talk::new(), Talk::new());
    let pane = Pane::new();
    pane.start(&format!("{CONNIVER} watch --sort local -n 0.2"));
    pane.wait_for("LOCAL");
    pane.press(&["/"]);
    pane.wait_for("filter:");
    pane.type_text("sport = :nowhere-at-all");
    pane.press(&["Enter"]);
    pane.wait_for("^^^^");
    pane.press(&["C-u", "C-k"]);
    pane.type_text(&format!("sport = :{} or dport = :{}", talk.port(), talk.port()));
    pane.press(&["Enter"]);
    let screen = pane.wait("one connection", |screen| {
        screen.starts_with("2 sockets") && !screen.contains(&other.client)
    });
    assert!(screen.contains(&talk.client) && screen.contains(&talk.server), "{screen}");
    pane.wait("rates", |screen| screen.contains("tx 0B/s rx 0B/s"));
    pane.press(&["Down", "Enter"]);
    pane.wait_for("RTT");
    let (client, server) = (&talk.client, &talk.server);
    pane.wait("the pane", |screen| {
        let ways = [format!("{client} → {server}"), format!("{server} → {client}")];
        ways.iter().any(|way| screen.contains(way))
    });
    for (width, height) in [("40", "10"), ("8", "3"), ("1", "1"), ("120", "40")] {
        pane.tmux(&["resize-window", "-x", width, "-y", height]);
        thread::sleep(Duration::from_millis(100));
    }
    pane.wait("the larger picture", |screen| {
        screen.lines().count() > 30 && screen.contains("delivery_rate") | screen.contains("rate")
    });
    pane.press(&["Enter"]);
    pane.press(&["p"]);
    let name = format!("\\x1b[7mevil/{}", std::process::id());
    pane.wait("the program", |screen| screen.contains("PROCESS") && screen.contains(&name));
    pane.press(&["q"]);
    pane.expect_end(0);
}

fn ctrl_c_ends_it() {
    let talk = Talk::new();
    let pane = watch(&talk);
    pane.press(&["C-c"]);
    pane.expect_end(130);
}

fn signals_end_it() {
    let talk = Talk::new();
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let pane = watch(&talk);
        assert_eq!((pane.fact("alternate_on"), pane.fact("cursor_flag")), ("1".into(), "0".into()));
        pane.kill(signal);
        pane.expect_end(code);
    }
}

fn it_is_suspended_and_goes_on() {
    let talk = Talk::new();
    let pane = watch(&talk);
    for stop in [&(|| pane.press(&["C-z"])) as &dyn Fn(), &|| pane.kill("TSTP")] {
        stop();
        pane.wait("the shell", |screen| screen.contains("code=1"));
        pane.expect_as_before();
        pane.enter("clear; echo be''gin; fg; echo code=$?");
        pane.wait("the picture", |screen| {
            screen.contains(&talk.client) && screen.contains("LOCAL")
        });
        assert_eq!(pane.fact("alternate_on"), "1");
    }
    pane.press(&["?"]);
    pane.wait_for("Keys");
    pane.press(&["Escape"]);
    pane.wait_for("LOCAL");
    pane.press(&["q"]);
    pane.expect_end(0);
}

fn it_goes_on_after_somebody_else_stopped_it() {
    let talk = Talk::new();
    let pane = watch(&talk);
    // Nothing can be done before that.
    pane.kill("STOP");
    pane.wait("the shell", |screen| screen.contains("code=1"));
    // What Enter sends is the end of a line only where the terminal is not raw.
    pane.type_text("stty sane; fg; echo code=$?");
    pane.press(&["C-j"]);
    thread::sleep(Duration::from_millis(300));
    pane.press(&["?"]);
    pane.wait_for("Keys");
    pane.press(&["q"]);
    pane.wait_for("LOCAL");
    pane.press(&["q"]);
    pane.wait("the end", |screen| screen.contains("code=0"));
    assert_eq!((pane.fact("alternate_on"), pane.fact("cursor_flag")), ("0".into(), "1".into()));
}

fn a_panic_leaves_the_terminal_whole() {
    for place in ["here", "elsewhere"] {
        let pane = Pane::new();
        let program = std::env::current_exe().unwrap();
        pane.start(&format!("env {PANIC}={place} {}", program.display()));
        pane.wait_for("taken");
        let screen = pane.expect_end(101);
        assert!(screen.contains("on purpose"), "{screen}");
        assert!(!screen.contains("taken"), "{screen}");
    }
}

fn it_ends_with_its_terminal() {
    let talk = Talk::new();
    let pane = watch(&talk);
    let process = Path::new("/proc").join(pane.pid());
    assert!(process.exists());
    pane.tmux(&["kill-server"]);
    let end = Instant::now() + Duration::from_secs(60);
    while process.exists() {
        assert!(Instant::now() < end, "it goes on without a terminal");
        thread::sleep(Duration::from_millis(20));
    }
}

fn a_terminal_that_has_gone_is_no_panic() {
    for has_stderr in [true, false] {
        let (ours, theirs) = pair_of_terminals();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = Command::new(CONNIVER);
        command.args(["watch", "-n", "0.1"]).stdin(end()).stdout(end());
        command.stderr(if has_stderr { Stdio::piped() } else { end() });
        let mut watch = command.spawn().unwrap();
        // It holds the other end as well.
        drop(command);
        drop(theirs);
        let mut screen = File::from(ours);
        let mut taken = Vec::new();
        while !taken.ends_with(b"look") {
            let mut byte = [0];
            screen.read_exact(&mut byte).unwrap();
            taken.push(byte[0]);
        }
        drop(screen);
        assert_eq!(watch.wait().unwrap().code(), Some(1));
        if let Some(mut stderr) = watch.stderr.take() {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            assert!(said.starts_with("conniver: the terminal is lost"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

/// Both ends of a terminal that is nobody's, so that no signal tells of its end.
fn pair_of_terminals() -> (OwnedFd, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both numbers and the size are there, and nothing else is asked for.
    let status = unsafe {
        libc::openpty(&mut ours, &mut theirs, ptr::null_mut(), ptr::null(), &raw const size)
    };
    assert_eq!(status, 0);
    // SAFETY: the call has just opened it for this function.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: likewise.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    for end in [&ours, &theirs] {
        // SAFETY: it is open, and this changes its flags alone.
        let status = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        assert_eq!(status, 0);
    }
    (ours, theirs)
}

fn nonsense_is_said_before() {
    let pane = Pane::new();
    pane.start(&format!("{CONNIVER} watch dport = nonsense"));
    let screen = pane.expect_end(2);
    assert!(screen.contains("^^^^^^^^"), "{screen}");
    let pane = Pane::new();
    pane.start(&format!("{CONNIVER} watch --netns /x"));
    let screen = pane.expect_end(1);
    assert!(screen.contains("conniver: ") && screen.contains("/x"), "{screen}");
}
