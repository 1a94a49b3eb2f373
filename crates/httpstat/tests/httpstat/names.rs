//! Bodies saved under the name that the response or the URL gives them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    server::canned,
    tool::{Run, command},
};

fn answer(disposition: &str) -> String {
    let header = match disposition {
        "" => String::new(),
        text => format!("Content-Disposition: {text}\r\n"),
    };
    format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 4\r\n\r\nbody")
}

/// Runs in the folder, and says what lies there afterwards.
fn saved(folder: &Path, url: &str, options: &[&str]) -> (Run, Vec<String>) {
    let output = command(&[&[url, "-O"], options].concat()).current_dir(folder).output().unwrap();
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    (Run::from(output), names)
}

#[test]
fn the_name_comes_from_the_response_or_else_from_the_path() {
    for (disposition, path, name) in [
        ("", "/a/file.txt?query", "file.txt"),
        ("", "/a%20b", "a b"),
        ("attachment; filename=\"given.txt\"", "/path", "given.txt"),
        ("attachment; filename=x; filename*=UTF-8''na%C3%AFve.txt", "/path", "naïve.txt"),
        ("attachment; filename=\"../../../etc/passwd\"", "/path", "passwd"),
        ("attachment; filename=\"/etc/passwd\"", "/path", "passwd"),
        ("attachment; filename=\"..\"", "/path", "path"),
        ("attachment; filename*=UTF-8''a%00b%2f..%5Cc%1b[2J", "/path", "c_[2J"),
        ("attachment; filename=\"NUL\"", "/path", "_NUL"),
        ("attachment; filename=\".bashrc\"", "/path", "_bashrc"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{}{path}", canned(answer(disposition)));
        let (run, names) = saved(folder.path(), &url, &["--format", "jsonl"]);
        assert_eq!((run.code, names), (0, vec![name.to_owned()]), "{run:?}");
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "body");
        let value: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(value["hops"][0]["response"]["saved_to"], name);
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    let url = format!("http://{}/file", canned(answer("")));
    let (run, names) = saved(folder.path(), &url, &[]);
    assert_eq!((run.code, names), (23, vec!["file".to_owned()]), "{run:?}");
    assert!(run.complaint().contains("the file exists; remove it"), "{run:?}");
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
}

#[test]
fn without_a_name_or_an_end_no_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/", canned(answer("attachment; filename=\"..\"")));
    let (run, names) = saved(folder.path(), &url, &[]);
    assert_eq!((run.code, names.len()), (23, 0), "{run:?}");
    let url = format!("http://{}/file", canned(answer("").replace(": 4", ": 9")));
    let (run, names) = saved(folder.path(), &url, &[]);
    assert_eq!((run.code, names.len()), (18, 0), "{run:?}");
}
