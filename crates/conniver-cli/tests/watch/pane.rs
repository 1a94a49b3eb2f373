//! A shell in a real terminal, which tmux plays.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Whether there is what it takes.
pub(crate) fn is_possible() -> bool {
    let mut command = Command::new("tmux");
    command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A shell in a terminal of 80 by 24, whose settings and screen are noted.
#[derive(Debug)]
pub(crate) struct Pane {
    folder: TempDir,
    settings: String,
}

/// A busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(40);

impl Pane {
    pub(crate) fn new() -> Self {
        let mut pane = Self { folder: TempDir::new().unwrap(), settings: String::new() };
        pane.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "env PS1= sh -i",
        ]);
        // What is typed into an input line is not to be taken for what is printed.
        pane.enter("stty -a > before; echo be''gin; set -m");
        pane.wait("the shell", |screen| screen.lines().any(|line| line == "begin"));
        pane.settings = fs::read_to_string(pane.path("before")).unwrap();
        assert!(pane.settings.contains("icanon"), "{}", pane.settings);
        pane
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.current_dir(self.folder.path()).env("TMUX_TMPDIR", self.folder.path());
        for variable in ["TMUX", "ENV", "NO_COLOR"] {
            command.env_remove(variable);
        }
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types text as it is.
    pub(crate) fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses keys by tmux's names.
    pub(crate) fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// A line for the shell.
    pub(crate) fn enter(&self, line: &str) {
        self.type_text(line);
        self.press(&["Enter"]);
    }

    /// Starts a program, whose number is in the file `pid` then.
    pub(crate) fn start(&self, program: &str) {
        self.enter(&format!("sh -c 'echo $$ > pid; exec {program}'; echo code=$?"));
    }

    /// Sends the program a signal.
    pub(crate) fn kill(&self, signal: &str) {
        let pid = self.pid();
        let killed = Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(killed.success());
    }

    pub(crate) fn pid(&self) -> String {
        fs::read_to_string(self.path("pid")).unwrap().trim().to_owned()
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What tmux knows of the terminal.
    pub(crate) fn fact(&self, name: &str) -> String {
        let fact = self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]);
        fact.trim().to_owned()
    }

    /// Waits until the screen is as expected.
    pub(crate) fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "waited in vain for {what}:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// The program has ended with this code, and the terminal is as it was.
    pub(crate) fn expect_end(&self, code: u8) -> String {
        let code = format!("code={code}");
        let screen = self.wait(&code, |screen| screen.lines().any(|line| line.ends_with(&code)));
        self.expect_as_before();
        screen
    }

    /// Settings, screen and cursor are those of the shell.
    pub(crate) fn expect_as_before(&self) {
        let screen = self.screen();
        assert!(screen.lines().any(|line| line == "begin"), "the shell's screen:\n{screen}");
        assert_eq!(self.fact("alternate_on"), "0", "{screen}");
        assert_eq!(self.fact("cursor_flag"), "1", "{screen}");
        self.enter("stty -a > after; echo do''ne");
        self.wait("the settings", |screen| screen.lines().any(|line| line == "done"));
        let after = fs::read_to_string(self.path("after")).unwrap();
        // Its size is not the program's.
        let settings = |text: &str| text.split_once(';').unwrap().1.to_owned();
        let rest = |text: &str| {
            let parts: Vec<_> = settings(text)
                .split(';')
                .filter(|part| !part.contains("rows") && !part.contains("columns"))
                .map(str::to_owned)
                .collect();
            parts
        };
        assert_eq!(rest(&after), rest(&self.settings));
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
