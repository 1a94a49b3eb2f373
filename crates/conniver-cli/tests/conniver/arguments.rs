//! What is said of arguments, sensible or not, on every system.

use serde_json::Value;

use crate::tool::{Run, command, printed, run};

#[test]
fn nonsense_is_refused_and_named() {
    let cases: &[(&[&str], &str)] = &[
        (&["--columns", "nope"], "\"nope\""),
        (&["--columns", "rtt,,local"], "\"\""),
        (&["--sort", "nope"], "\"nope\""),
        (&["--sort", "-"], "\"\""),
        (&["--state", "open"], "\"open\""),
        (&["--user", "no such user"], "\"no such user\""),
        (&["--format", "json", "--columns", "rtt"], "--columns"),
        (&["-i", "-H"], "--no-header"),
        (&["-s", "--format", "csv"], "summary"),
        (&["--netns", ""], "\"\""),
        (&["-p", "watch"], "conniver watch ..."),
        (&["-4", "lookup", "127.0.0.1:1", "127.0.0.1:2"], "conniver lookup ..."),
    ];
    for (arguments, named) in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{arguments:?}: {run:?}");
        let complaint = run.complaint();
        assert!(complaint.starts_with("conniver: ") && complaint.contains(named), "{complaint}");
    }
}

#[test]
fn what_clap_refuses_is_a_usage_error() {
    let cases: &[&[&str]] = &[
        &["--port", "65536"],
        &["--port", "9-3"],
        &["--remote", "localhost"],
        &["--remote", "10.0.0.0/33"],
        &["--limit", "-1"],
        &["--limit", "many"],
        &["--pid", "0x1"],
        &["--format", "xml"],
        &["-l", "-a"],
        &["-s", "--sort", "rtt"],
        &["-s", "-p"],
        &["-s", "-H"],
        &["-i", "--format", "json"],
        &["--from", "a", "--netns", "b"],
        &["--from", "a", "-p"],
        &["--from", "a", "--columns", "+process"],
        &["--from", "a", "--pid", "1"],
        &["watch", "--from", "a"],
        &["life", "--from", "a"],
        &["life", "autobound"],
        &["life", "dport = :1 or fwmark = 1"],
        &["serve", "--label", "chosen=autobound"],
        &["--bogus"],
        &["lookup"],
        &["lookup", "127.0.0.1:1"],
        &["lookup", "127.0.0.1", "127.0.0.1:2"],
        &["lookup", "127.0.0.1:1", "127.0.0.1:2", "--cookie", "xyz"],
        &["lookup", "127.0.0.1:1", "127.0.0.1:2", "--netns", ""],
        &["schema", "extra"],
        &["schema", "life", "--all"],
        &["schema", "list", "--json"],
        &["schema", "summary", "--json"],
        &["--generate", "nothing"],
    ];
    for arguments in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{arguments:?}: {run:?}");
    }
}

#[test]
fn a_filter_that_is_none_is_shown_with_its_place() {
    for filter in
        ["dport = :443 or sprot = :80", "( dport = :1", "dport", "rtt > 5", "state nowhere"]
    {
        let run = run(&[filter]);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{run:?}");
        let lines: Vec<_> = run.stderr.lines().collect();
        assert!(lines[0].starts_with("conniver: "), "{run:?}");
        assert_eq!(lines[1], filter);
        assert!(lines[2].contains('^') && lines[2].trim_matches([' ', '^']).is_empty(), "{run:?}");
    }
    assert!(run(&["dport", "=", "\x1b[2J"]).stderr.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn the_schema_explains_every_field() {
    let all: Value = serde_json::from_str(&printed(&["schema", "--all", "--json"])).unwrap();
    let names = |system: &str| -> Vec<&str> {
        let of_system = |field: &&Value| field["system"] == system;
        all.as_array()
            .unwrap()
            .iter()
            .filter(of_system)
            .map(|field| field["name"].as_str().unwrap())
            .collect()
    };
    assert_eq!(all.as_array().unwrap().len(), tcpinfo::schema().count());
    for field in tcpinfo::schema() {
        assert!(names(&field.system.to_string()).contains(&field.name));
    }
    let text = printed(&["schema", "--all"]);
    for name in ["rtt  (µs, gauge, since Linux 2.4; \"rtt\" in JSON)", "struct tcp_connection_info"]
    {
        assert!(text.contains(name), "{name}");
    }
    if let Some(system) = tcpinfo::System::CURRENT {
        let own: Value = serde_json::from_str(&printed(&["schema", "--json"])).unwrap();
        assert_eq!(own.as_array().unwrap().len(), names(&system.to_string()).len());
    }
}

#[test]
fn what_is_written_has_a_schema() {
    let in_sources = include_str!("../../schema/conniver.schema.json");
    assert_eq!(printed(&["schema", "list"]), in_sources);
    for command in ["list", "connections", "summary", "life"] {
        let schema: Value = serde_json::from_str(&printed(&["schema", command])).unwrap();
        assert!(jsonschema::meta::is_valid(&schema), "{command}");
        let validator = jsonschema::validator_for(&schema).unwrap();
        let of_both = serde_json::json!({
            "localAddr": "[::1]:80", "remoteAddr": "[::1]:9", "state": "CLOSE", "cookie": 7,
        });
        assert_eq!(validator.is_valid(&of_both), command == "list", "{command}");
        let array = serde_json::json!([of_both, of_both]);
        assert_eq!(validator.is_valid(&array), command == "connections", "{command}");
        let line = serde_json::json!([of_both, { "endedAt": 1 }]);
        assert!(!validator.is_valid(&line), "{command}");
        let mut end = of_both.clone();
        end["endedAt"] = 1.into();
        end["reason"] = "reset".into();
        assert_eq!(validator.is_valid(&end), command == "life", "{command}");
        end["surprise"] = 1.into();
        assert!(!validator.is_valid(&end), "{command}");
    }
}

#[test]
fn help_completions_and_the_manual_know_every_option() {
    let help = printed(&["list", "--help"]);
    let options: Vec<_> = help
        .split_whitespace()
        .map(|word| word.trim_end_matches([',', '.', ';']))
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .collect();
    assert!(options.len() > 20, "{options:?}");
    for (command, reads_files) in [("list", true), ("watch", false), ("life", false)] {
        let help = printed(&[command, "--help"]);
        assert_eq!(help.contains("--from <FILE>"), reads_files, "{command}");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh", "man"] {
        let text = printed(&["--generate", shell]).replace("\\-", "-");
        for option in &options {
            assert!(text.contains(option.trim_start_matches('-')), "{option} in {shell}");
        }
        for command in ["list", "lookup", "schema"] {
            assert!(text.contains(command), "{command} in {shell}");
        }
    }
    assert!(printed(&["--version"]).starts_with("conniver "));
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let all: &[&[&str]] = &[
        &["--help"],
        &["-h"],
        &["help", "watch"],
        &["life", "--help"],
        &["--version"],
        &["schema"],
        &["schema", "life"],
        &["list", "--columns", "help"],
        &["--generate", "man"],
        &["--generate", "zsh"],
    ];
    for arguments in all {
        let output = command(arguments).stdout(full.try_clone().unwrap()).output().unwrap();
        let run = Run::from(output);
        assert_eq!(run.code, 1, "{arguments:?}: {run:?}");
        let expected = "conniver: cannot write to the standard output: No space left on device";
        assert_eq!(run.complaint(), expected, "{arguments:?}");
    }
    // Whoever has seen enough of it is not told.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for arguments in all {
        let run =
            Run::from(command(arguments).stdout(writer.try_clone().unwrap()).output().unwrap());
        assert_eq!((run.code, &*run.stderr), (0, ""), "{arguments:?}: {run:?}");
    }
}
