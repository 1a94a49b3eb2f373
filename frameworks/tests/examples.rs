//! The programs in `examples/` run, and say what they promise.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// The program of an example, which cargo builds for the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile: PathBuf = test.ancestors().nth(2).unwrap().into();
    let program =
        profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{program:?} is not built: run the tests of the whole package");
    Command::new(program)
}

fn text(output: Output) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A server that ends with this.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = example(name).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        Self { url: url.unwrap().to_owned(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client against a server.
fn client(name: &str, server: &Server) -> String {
    text(example(name).arg(&server.url).output().unwrap())
}

#[test]
fn the_client_of_hyper_says_which_connection_it_used() {
    for server in ["hyper_server", "axum"] {
        let said = client("hyper_client", &Server::start(server));
        assert_eq!(said.matches("200 OK").count(), 2, "{said}");
        // The second is another one if the first was not free again in time.
        let uses = ["  new connection", "  same connection"].map(|use_| said.matches(use_).count());
        assert!(uses == [1, 1] || uses == [2, 0], "{said}");
        assert!(said.contains("closed: example client"), "{said}");
    }
}

#[test]
fn the_client_of_reqwest_is_observed() {
    let said = client("reqwest", &Server::start("hyper_server"));
    assert!(said.contains("new connection: 127.0.0.1:"), "{said}");
    assert!(said.contains("round trip Some("), "{said}");
    assert_eq!(said.matches("200 OK over Some(127.0.0.1:").count(), 2, "{said}");
}

#[test]
fn tls_websocket_and_grpc_bring_both_ends() {
    let tls = text(example("tls").output().unwrap());
    assert!(tls.contains("answer: hello") && tls.contains("bytes on the wire"), "{tls}");
    let websocket = text(example("websocket").output().unwrap());
    assert!(websocket.contains("three: 11 bytes there, 7 back"), "{websocket}");
    let grpc = text(example("tonic").output().unwrap());
    assert!(grpc.contains("the service says Serving") && grpc.contains("asked by Some"), "{grpc}");
    for said in [tls, websocket, grpc] {
        assert!(said.contains("closed: client 127.0.0.1:"), "{said}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for (name, argument, expected) in [
        ("hyper_client", None, "usage: hyper_client URL"),
        ("hyper_client", Some("http://nowhere.invalid/"), "nowhere.invalid"),
        ("reqwest", None, "usage: reqwest URL"),
        ("reqwest", Some("http://nowhere.invalid/"), "failed: resolution"),
        ("postgres", None, "usage: postgres CONFIG"),
        ("postgres", Some("user=nobody"), "names no host"),
        ("redis", Some("nowhere.invalid:6379"), "nowhere.invalid"),
        ("hyper_server", Some("nonsense"), "invalid socket address"),
    ] {
        let output = example(name).args(argument).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(expected), "{name}: {errors}");
    }
}
