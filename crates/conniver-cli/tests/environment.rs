//! What can be tested only where the machine has something to test it with.
//!
//! A test whose need is not met is reported as ignored, and so never mistaken for a success.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "environment/hidden.rs"]
mod hidden;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "population/keys.rs"]
#[allow(dead_code, reason = "not all forms are compared here")]
mod keys;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "environment/saved.rs"]
mod saved;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "conniver/scene.rs"]
mod scene;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "../../sockdiag/tests/network/shown.rs"]
#[allow(dead_code, reason = "no recordings are compared here")]
mod shown;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "environment/ss.rs"]
mod ss;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "environment/terminal.rs"]
mod terminal;
#[path = "conniver/tool.rs"]
mod tool;

use std::{
    io::Write as _,
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let manual =
        trial("the_manual_is_read_by_another_program", has("man", "--version"), the_manual_is_read);
    let trials = [manual].into_iter().chain(beside_others()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn beside_others() -> Vec<Trial> {
    let has_ss = has("ss", "-V");
    vec![
        trial("ss_shows_the_same_sockets", has_ss, ss::the_same_sockets),
        trial("ss_shows_the_same_facts", has_ss, ss::the_same_facts),
        trial("ss_reads_what_was_saved", has_ss, ss::what_was_saved),
        trial("what_ss_saved_is_read", has_ss && ss::can_save(), ss::what_ss_saved),
        trial("other_programs_read_the_forms", has("python3", "--version"), ss::other_parsers),
        trial("the_table_fits_the_terminal", has("tmux", "-V"), terminal::the_table_fits),
        trial("hidden_processes_are_said", hidden::can_mount(), hidden::are_said),
        trial(
            "hidden_processes_are_said_after_the_live_view",
            has("tmux", "-V") && hidden::can_mount(),
            hidden::are_said_after_watching,
        ),
        trial("a_proc_that_is_not_mounted_is_said", hidden::can_mount(), hidden::without_proc),
        trial("a_full_disk_leaves_no_part_of_a_file", hidden::can_mount(), saved::on_full_disk),
        trial("a_signal_leaves_no_named_part_of_a_file", hidden::can_mount(), saved::without_proc),
    ]
}

/// There is nothing to list.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn beside_others() -> Vec<Trial> {
    Vec::new()
}

fn trial(name: &str, possible: bool, test: impl FnOnce() + Send + 'static) -> Trial {
    if !possible {
        eprintln!("{name} is ignored: a program or a privilege that it needs is missing");
    }
    let test = move || -> Result<(), Failed> {
        test();
        Ok(())
    };
    Trial::test(name, test).with_ignored_flag(!possible)
}

fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn the_manual_is_read() {
    let page = tool::printed(&["--generate", "man"]);
    let mut command = Command::new("man");
    command.args(["--warnings", "-l", "-"]).env("MANWIDTH", "80").env("MAN_KEEP_FORMATTING", "");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["NAME", "SYNOPSIS", "OPTIONS", "COMMAND LOOKUP", "COMMAND SCHEMA"] {
        assert!(text.contains(part), "{part}");
    }
}
