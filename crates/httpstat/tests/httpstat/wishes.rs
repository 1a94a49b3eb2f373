//! Wishes in the environment.

use crate::{
    server::canned,
    tool::{Run, command},
};

fn wished(variables: &[(&str, &str)], arguments: &[&str], body: &str) -> Run {
    let length = body.len();
    let address = canned(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
    let url = format!("http://{address}/");
    let mut command = command(&[&[url.as_str()], arguments].concat());
    Run::from(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn the_beginning_of_the_body_can_be_shown() {
    let shown = wished(&[("HTTPSTAT_SHOW_BODY", "true")], &[], "first\x1b[31m\r\nsecond");
    assert!(shown.stdout.contains("\nfirst\\x1b[31m\nsecond\n"), "{}", shown.stdout);
    let long = wished(&[("HTTPSTAT_SHOW_BODY", "true")], &[], &"x".repeat(2_000));
    assert!(long.stdout.contains(&format!("\n{}\n… 977 B more", "x".repeat(1_023))), "{long:?}");
    assert!(!wished(&[], &[], "first").stdout.contains("first"));
}

#[test]
fn ends_can_be_hidden_and_speeds_shown() {
    let plain = wished(&[], &[], "body").stdout;
    assert!(plain.contains("connected to") && !plain.contains("upload"), "{plain}");
    let variables = [("HTTPSTAT_SHOW_IP", "false"), ("HTTPSTAT_SHOW_SPEED", "true")];
    let wished = wished(&variables, &["-d", "data"], "body").stdout;
    assert!(!wished.contains("connected to"), "{wished}");
    assert!(wished.contains("download ") && wished.contains("upload "), "{wished}");
}

#[test]
fn the_body_can_be_saved_without_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().to_str().unwrap();
    let variable = if cfg!(windows) { "TMP" } else { "TMPDIR" };
    let run = wished(&[("HTTPSTAT_SAVE_BODY", "true"), (variable, temporary)], &[], "body");
    let files: Vec<_> =
        folder.path().read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{run:?}");
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "body");
    assert!(run.stdout.contains("saved to"), "{run:?}");
}

#[test]
fn the_format_and_the_detail_can_be_chosen() {
    let json = wished(&[("HTTPSTAT_METRICS_ONLY", "true")], &[], "body").stdout;
    assert!(json.starts_with('{'), "{json}");
    let chosen = wished(&[("HTTPSTAT_METRICS_ONLY", "true")], &["--format", "pretty"], "").stdout;
    assert!(chosen.starts_with("GET http://"), "{chosen}");
    let verbose = wished(&[("HTTPSTAT_DEBUG", "true")], &[], "").stdout;
    assert!(verbose.contains("Kernel fields"), "{verbose}");
}

#[test]
fn a_wish_that_makes_no_sense_is_a_usage_error() {
    let run = wished(&[("HTTPSTAT_SHOW_IP", "perhaps")], &[], "");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("HTTPSTAT_SHOW_IP"), "{run:?}");
}
