//! The command as a person uses it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
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
    let end = Instant::now() + Duration::from_secs(20);
    while process.exists() {
        assert!(Instant::now() < end, "it goes on without a terminal");
        thread::sleep(Duration::from_millis(20));
    }
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
