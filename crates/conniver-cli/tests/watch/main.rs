//! `conniver watch` in a real terminal, and where there is none.
//!
//! A test whose need is not met is reported as ignored, and so never mistaken for a success.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod pane;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(dead_code, reason = "only what happens at a panic is of interest here")]
#[path = "../../src/watch/terminal.rs"]
mod terminal;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod trials;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(how) = std::env::var_os(PANIC) {
        return panic_in_a_terminal(how == "elsewhere");
    }
    let arguments = Arguments::from_args();
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(unused_mut))]
    let mut trials = vec![trial("without_a_terminal_it_says_so", true, without_a_terminal)];
    #[cfg(any(target_os = "linux", target_os = "android"))]
    trials.extend(trials::ALL.iter().map(|(name, test)| trial(name, pane::is_possible(), *test)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, is_possible: bool, test: fn()) -> Trial {
    let test = move || -> Result<(), Failed> {
        test();
        Ok(())
    };
    Trial::test(name, test).with_ignored_flag(!is_possible)
}

fn without_a_terminal() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conniver"));
    let output = command.arg("watch").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("conniver: watch needs a terminal"), "{complaint}");
    assert_eq!((complaint.lines().count(), output.stdout.len()), (1, 0));
}

/// With this in its environment, this program takes the terminal and panics.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PANIC: &str = "CONNIVER_TEST_PANIC";

/// With the code that gives the terminal back when the command panics.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn panic_in_a_terminal(is_elsewhere: bool) -> ExitCode {
    use std::{thread, time::Duration};

    let mut screen = terminal::Screen::take().unwrap();
    let text = "taken";
    screen.draw(|frame| frame.render_widget(text, frame.area())).unwrap();
    // Long enough for others to see it.
    thread::sleep(Duration::from_secs(1));
    if !is_elsewhere {
        panic!("on purpose");
    }
    assert!(thread::spawn(|| panic!("on purpose")).join().is_err());
    drop(screen);
    eprintln!("{}", terminal::last_words().unwrap());
    ExitCode::from(101)
}
