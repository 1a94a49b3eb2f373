//! What a person and a terminal get to see.

use std::process::Stdio;

use crate::{
    server,
    tool::{Run, command, run, run_json},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Test: value\r\n\r\nhello";

#[test]
fn the_report_shows_every_part() {
    let address = server::canned(OK);
    let run = run(&[&format!("http://{address}/")]);
    let parts = [
        format!("GET http://{address}/\n"),
        format!("connected to {address} from 127.0.0.1:"),
        "HTTP/1.1 200 OK\n".to_owned(),
        "x-test: value\n".to_owned(),
        "body: 5 B discarded".to_owned(),
        "TCP connect".to_owned(),
        "Server processing".to_owned(),
        "Content transfer".to_owned(),
        "start transfer".to_owned(),
        "Socket".to_owned(),
        "received ".to_owned(),
    ];
    for part in parts {
        assert!(run.stdout.contains(&part), "{part:?} is not in\n{}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[cfg(target_os = "linux")]
#[test]
fn the_socket_is_described_at_both_ends_of_its_life() {
    let url = format!("http://{}/", server::canned(OK));
    let brief = run(&[&url]).stdout;
    for part in ["Round-trip time", "Congestion window", "Retransmitted", "Segment size"] {
        assert!(brief.contains(part), "{part:?} is not in\n{brief}");
    }
    let verbose = run(&[&url, "-v"]).stdout;
    for part in ["Kernel fields", "snd_cwnd", "> accept: */*", "connected after"] {
        assert!(!brief.contains(part) && verbose.contains(part), "{part:?} is not in\n{verbose}");
    }
}

#[test]
fn lines_of_the_report_fit_into_80_columns() {
    let (address, _) = server::site(None, |_| hyper::Response::default());
    for arguments in [["--demo", "-v"], [&format!("http://{address}/"), "-v"]] {
        for line in run(&arguments).stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn colours_follow_the_option_the_terminal_and_the_environment() {
    let url = format!("http://{}/", server::canned(OK));
    let is_coloured = |arguments: &[&str], no_color: bool| {
        let mut command = command(arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        Run::from(command.output().unwrap()).stdout.contains("\x1b[")
    };
    assert!(!is_coloured(&[&url], false), "a pipe is no terminal");
    assert!(is_coloured(&[&url, "--color", "always"], false));
    assert!(!is_coloured(&[&url, "--color", "never"], false));
    assert!(!is_coloured(&[&url, "--no-color"], false));
    assert!(!is_coloured(&[&url, "--color", "always", "--format", "json"], false));
    assert!(!is_coloured(&[&url], true));
}

#[test]
fn headers_cannot_steer_the_terminal() {
    let head = b"HTTP/1.1 200 O\xc2\x9bK\r\nContent-Length: 0\r\nX-Utf8: na\xc3\xafve \xc2\x9b2J\
                 \xe2\x80\xae\r\nX-Raw: \x9b2J\xff\r\n\r\n";
    let url = format!("http://{}/", server::canned(head.as_slice()));
    let pretty = run(&[&url]);
    assert!(pretty.stdout.contains("x-utf8: naïve \\u{9b}2J\\u{202e}\n"), "{pretty:?}");
    assert!(pretty.stdout.contains("x-raw: \\x9b2J\\xff\n"), "{pretty:?}");
    let (json, value) = run_json(&[&url]);
    let headers = &value["hops"][0]["response"]["headers"];
    assert_eq!(headers[1][1], "naïve \u{9b}2J\u{202e}");
    assert_eq!(headers[2][1], "\\x9b2J\\xff");
    for text in [pretty.stdout, json.stdout] {
        let steering = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(steering), "{text:?}");
    }
}

#[test]
fn a_header_with_a_control_character_is_refused_without_showing_it() {
    let response = "HTTP/1.1 200 OK\r\nX-Evil: \x1b]0;title\x07\r\n\r\n";
    let url = format!("http://{}/", server::canned(response));
    for run in [run(&[&url]), run_json(&[&url]).0] {
        assert_eq!(run.code, 8);
        assert!(!format!("{}{}", run.stdout, run.stderr).contains('\x1b'), "{run:?}");
    }
}

#[test]
fn json_is_spread_out_and_jsonl_is_one_line() {
    let url = format!("http://{}/", server::canned(OK));
    let spread = run(&[&url, "--format", "json"]).stdout;
    assert!(spread.lines().count() > 10 && spread.ends_with("}\n"), "{spread}");
    let value: serde_json::Value = serde_json::from_str(&spread).unwrap();
    assert_eq!(value["schema_version"], 1);
}

#[test]
fn verbose_shows_the_version_alone_or_above_the_report() {
    let version = concat!("httpstat ", env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["-v", "-V", "--version"] {
        let run = run(&[flag]);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, version, ""));
    }
    let url = format!("http://{}/", server::canned(OK));
    assert!(run(&["-v", &url]).stdout.starts_with(&format!("{version}GET {url}\n")));
}

#[test]
fn the_help_fits_into_80_columns_and_lists_the_exit_codes() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for line in help.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for code in [0, 2, 3, 6, 7, 8, 18, 23, 26, 28, 35, 52, 55, 56, 60, 130] {
        assert!(help.stdout.contains(&format!("\n  {code:>3}  ")), "{code} is not in the help");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn completions_and_manual_know_every_option() {
    let help = run(&["--help"]).stdout;
    // Text that mentions an option is farther to the right.
    let options = help.lines().filter_map(|line| {
        let line = line.strip_prefix("      --").or(line.split_once(", --").map(|(_, name)| name));
        line?.split([' ', ',', '=', '[']).next()
    });
    let options: Vec<_> = options.filter(|option| !option.is_empty()).collect();
    assert!(options.len() > 30, "{options:?}");
    for what in ["bash", "elvish", "fish", "powershell", "zsh", "man"] {
        let text = run(&["--generate", what]).stdout.replace('\\', "");
        for option in &options {
            assert!(text.contains(option), "{what} knows nothing of {option}");
        }
    }
}

#[test]
fn a_full_disk_is_a_failure_to_write() {
    let url = format!("http://{}/", server::canned(OK));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&[&url]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let report = Run::from(output);
    assert_eq!(report.code, 23, "{report:?}");
    assert!(report.complaint().contains("cannot write the report"), "{report:?}");

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        command(&["--generate", "man"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let manual = Run::from(output);
    assert_eq!(manual.code, 23, "{manual:?}");
    assert!(manual.complaint().contains("cannot write to the standard output"), "{manual:?}");

    let (body, value) = run_json(&[&url, "-o", "/dev/full"]);
    assert_eq!(body.code, 23, "{body:?}");
    assert_eq!(value["error"]["kind"], "output");
}
