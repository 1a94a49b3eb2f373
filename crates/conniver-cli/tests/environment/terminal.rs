//! In a terminal of several widths.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::scene::Scene;

pub(crate) fn the_table_fits() {
    let scene = Scene::new(3);
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_conniver");
    for width in [40, 80, 120, 200, 500] {
        let screen = screen(folder.path(), width, &format!("{program} --port {}", scene.port()));
        let lines: Vec<_> = screen.lines().map(str::trim_end).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        let shown = format!("at {width}: {screen}");
        assert!(lines[0].starts_with("STATE"), "{shown}");
        let last = lines.last().unwrap();
        assert_eq!(*last, "status 0", "{shown}");
        let columns = lines[0].split_whitespace().count();
        let least = match width {
            40 => continue, // State and addresses need more.
            80 => 5,
            120 => 9,
            200 => 16,
            _ => 30,
        };
        assert!(columns >= least, "{columns} columns {shown}");
        assert_eq!(lines.len(), 8, "no line is broken {shown}");
        assert!(
            lines[1..7].iter().all(|line| line.split_whitespace().count() == columns),
            "{shown}"
        );
    }
    // A program that another test just starts holds what this one holds for a moment.
    let is_cut = (0..20).any(|_| is_cut_at_names(&scene.port(), program));
    assert!(is_cut, "names of programs are not cut");
    // The long view is broken at words.
    let screen = screen(folder.path(), 80, &format!("{program} -i --local-port {}", scene.port()));
    for line in screen.lines().filter(|line| !line.trim().is_empty()) {
        let is_part = line.starts_with("    ")
            || line.starts_with("ESTABLISHED ")
            || line.starts_with("status ");
        assert!(is_part, "{line:?} in {screen}");
    }
}

/// Whether of columns that are named all are there, and names of programs cut, at a width that lacks
/// three places.
fn is_cut_at_names(port: &str, program: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let chosen = format!("{program} -p --port {port} -c state,local,remote,process");
    let whole = screen(folder.path(), 200, &chosen);
    assert!(!whole.contains('…'), "{whole}");
    let widest = whole.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
    let width = widest - 3;
    let cut = screen(folder.path(), width, &chosen);
    let is_alike = |(whole, cut): (&str, &str)| match cut.trim_end().strip_suffix('…') {
        Some(begin) => whole.starts_with(begin) && begin.chars().count() + 1 == width,
        None => cut.trim_end() == whole.trim_end(),
    };
    cut.contains('…') && whole.lines().zip(cut.lines()).all(is_alike)
}

/// What a terminal of this width shows when the command has ended.
pub(crate) fn screen(folder: &std::path::Path, width: usize, command: &str) -> String {
    // One of its own each time, for a server takes a while to end.
    let socket = folder.join(format!("tmux-{width}-{}", command.len()));
    let tmux = || {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&socket).args(["-f", "/dev/null"]).env_remove("TMUX");
        tmux
    };
    // Waits after it, for the screen is gone with the last program.
    let script = format!("{command}; echo status $?; sleep 60");
    let width = width.to_string();
    let status = tmux()
        .args(["new-session", "-d", "-x", &width, "-y", "100", "sh", "-c", &script])
        .status()
        .unwrap();
    assert!(status.success());
    let begun = Instant::now();
    let screen = loop {
        let output = tmux().args(["capture-pane", "-p"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if text.contains("status ") {
            break text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
        thread::sleep(Duration::from_millis(20));
    };
    let _ = tmux().arg("kill-server").status();
    screen
}
