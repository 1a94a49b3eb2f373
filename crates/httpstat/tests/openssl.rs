//! TLS beside OpenSSL, an implementation that shares nothing with the command.
//!
//! Where it is not installed, these tests are reported as ignored.

#[path = "httpstat/tool.rs"]
mod tool;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

use tool::{hop, run, run_json};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let version = Command::new("openssl").arg("version").stderr(Stdio::null()).output();
    // Version 3 is the first whose dates can be compared as they are written.
    let possible = version.is_ok_and(|version| version.stdout.starts_with(b"OpenSSL 3"));
    let trial = |name: &str, test: fn()| {
        let test = move || -> Result<(), Failed> {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(!possible)
    };
    let trials = vec![
        trial("the_facts_of_a_certificate_are_openssls", the_facts_of_a_certificate),
        trial("a_request_for_another_group_is_seen", a_request_for_another_group),
        trial("tls_1_2_is_spoken", tls_1_2_is_spoken),
        trial("versions_before_tls_1_2_are_refused", versions_before_tls_1_2),
        trial("keys_of_all_forms_are_presented", keys_of_all_forms_are_presented),
        trial("an_encrypted_key_is_refused_and_decrypted_as_told", an_encrypted_key),
        trial("a_key_of_an_unknown_kind_is_refused", a_key_of_an_unknown_kind),
        trial("a_client_without_certificate_is_told_so", a_client_without_certificate),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn the_facts_of_a_certificate() {
    for (kind, key) in [
        (["rsa:2048", ""], "RSA"),
        (["ec", "ec_paramgen_curve:P-384"], "ECDSA P-384"),
        (["ed25519", ""], "Ed25519"),
    ] {
        let folder = Folder::new();
        folder.certificate("server", kind);
        let server = Server::start(&folder, &[]);
        // The others have a signature that is not made everywhere.
        let (_, value) = run_json(&["-k", &server.url()]);
        let seen = &value["hops"][0]["tls"]["certificates"][0];
        let told = folder.openssl(&[
            "x509",
            "-in",
            "server.pem",
            "-noout",
            "-serial",
            "-startdate",
            "-enddate",
            "-dateopt",
            "iso_8601",
            "-fingerprint",
            "-sha256",
            "-subject",
            "-nameopt",
            "RFC2253",
        ]);
        let fact = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} in {told}")).to_owned()
        };
        let time = |name| fact(name).replace(' ', "T").replacen("TT", "T", 1);
        assert_eq!(seen["serial"], fact("serial=").to_lowercase());
        assert_eq!(seen["not_before"], time("notBefore="));
        assert_eq!(seen["not_after"], time("notAfter="));
        let fingerprint = fact("sha256 Fingerprint=").replace(':', "").to_lowercase();
        assert_eq!(seen["sha256"], fingerprint);
        assert_eq!(seen["subject"], "CN=server, O=Tests\\, Inc.");
        assert_eq!(seen["names"][0]["value"], "127.0.0.1");
        assert!([29, 30].contains(&seen["days_left"].as_i64().unwrap()), "{seen}");
        assert_eq!(seen["key"], key);
        let bits = (key == "RSA").then_some(2_048);
        assert_eq!(seen.get("key_bits").and_then(serde_json::Value::as_u64), bits);
    }
}

fn a_request_for_another_group() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    let server = Server::start(&folder, &["-groups", "P-384"]);
    let hop = hop(&["--cacert", &folder.file("server.pem"), &server.url()]);
    assert_eq!(hop["tls"]["handshake"], "full_with_retry");
    assert_eq!(hop["tls"]["group"], "secp384r1");
    assert_eq!(hop["tls"]["verified"], true);
    assert_eq!(hop["tls"]["signature_scheme"], "rsa_pss_rsae_sha512", "{}", hop["tls"]);
    let run = run(&["--cacert", &folder.file("server.pem"), &server.url()]);
    assert!(run.stdout.contains("full handshake with a retry"), "{run:?}");
}

fn tls_1_2_is_spoken() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    let server = Server::start(&folder, &["-tls1_2"]);
    let hop = hop(&["--cacert", &folder.file("server.pem"), &server.url()]);
    assert_eq!(hop["tls"]["version"], "TLS 1.2");
    assert_eq!(hop["tls"]["handshake"], "full");
    let (run, _) = run_json(&["-k", "--tlsv1.3", &server.url()]);
    assert_eq!(run.code, 35, "{run:?}");
}

fn versions_before_tls_1_2() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    for version in ["-tls1", "-tls1_1"] {
        let server = Server::start(&folder, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        let (run, value) = run_json(&["-k", &server.url()]);
        assert_eq!(run.code, 35, "{run:?}");
        assert!(run.complaint().contains("versions older than TLS 1.2"), "{run:?}");
        assert_eq!(value["error"]["phase"], "tls");
    }
}

fn keys_of_all_forms_are_presented() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    folder.certificate("rsa", RSA);
    folder.openssl(&["rsa", "-in", "rsa.key", "-traditional", "-out", "pkcs1.key"]);
    folder.certificate("ec", ["ec", "ec_paramgen_curve:P-256"]);
    folder.openssl(&["ec", "-in", "ec.key", "-out", "sec1.key"]);
    folder.certificate("ec384", ["ec", "ec_paramgen_curve:P-384"]);
    folder.certificate("ed25519", ["ed25519", ""]);
    for (certificate, key, label) in [
        ("rsa.pem", "rsa.key", "BEGIN PRIVATE KEY"),
        ("rsa.pem", "pkcs1.key", "BEGIN RSA PRIVATE KEY"),
        ("ec.pem", "ec.key", "BEGIN PRIVATE KEY"),
        ("ec.pem", "sec1.key", "BEGIN EC PRIVATE KEY"),
        ("ec384.pem", "ec384.key", "BEGIN PRIVATE KEY"),
        ("ed25519.pem", "ed25519.key", "BEGIN PRIVATE KEY"),
    ] {
        assert!(std::fs::read_to_string(folder.file(key)).unwrap().contains(label));
        let authority = folder.file(certificate);
        for version in ["-tls1_2", "-tls1_3"] {
            let demand = [version, "-Verify", "1", "-verify_return_error", "-CAfile", &authority];
            let server = Server::start(&folder, &demand);
            let (certificate, key) = (folder.file(certificate), folder.file(key));
            let hop = hop(&["-k", &server.url(), "--cert", &certificate, "--key", &key]);
            assert_eq!(hop["tls"]["client_certificate"], "sent", "{key} {version}");
            assert_eq!(hop["response"]["status_code"], 200);
        }
    }
}

fn an_encrypted_key() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    let secret = ["-aes128", "-passout", "pass:secret", "-out", "encrypted.key"];
    for form in
        [&["pkey", "-in", "server.key"] as &[_], &["rsa", "-traditional", "-in", "server.key"]]
    {
        folder.openssl(&[form, &secret].concat());
        let (certificate, key) = (folder.file("server.pem"), folder.file("encrypted.key"));
        let (run, _) = run_json(&["https://127.0.0.1:1/", "--cert", &certificate, "--key", &key]);
        assert_eq!(run.code, 58, "{run:?}");
        let told = format!("openssl pkey -in {key} -out decrypted.pem");
        assert!(run.complaint().ends_with(&told), "{run:?}");
        let told = ["pkey", "-in", &key, "-out", "decrypted.pem", "-passin", "pass:secret"];
        folder.openssl(&told);
        let key = folder.file("decrypted.pem");
        let (run, _) = run_json(&["https://127.0.0.1:1/", "--cert", &certificate, "--key", &key]);
        assert_eq!(run.code, 7, "{run:?}");
    }
}

fn a_key_of_an_unknown_kind() {
    let folder = Folder::new();
    folder.certificate("client", ["ec", "ec_paramgen_curve:secp256k1"]);
    let (certificate, key) = (folder.file("client.pem"), folder.file("client.key"));
    let (run, _) = run_json(&["https://127.0.0.1:1/", "--cert", &certificate, "--key", &key]);
    assert_eq!(run.code, 58, "{run:?}");
    assert!(run.complaint().contains("RSA, ECDSA (P-256 and P-384) and Ed25519"), "{run:?}");
}

fn a_client_without_certificate() {
    let folder = Folder::new();
    folder.certificate("server", RSA);
    for (version, code) in [("-tls1_2", 35), ("-tls1_3", 56)] {
        let server = Server::start(&folder, &[version, "-Verify", "1"]);
        let (run, value) = run_json(&["-k", &server.url()]);
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["client_certificate"], "not_given");
    }
}

const RSA: [&str; 2] = ["rsa:2048", ""];

/// Where the files of a test are.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes a self-signed certificate and its key.
    fn certificate(&self, name: &str, [kind, option]: [&str; 2]) {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let subject = format!("/CN={name}/O=Tests, Inc.");
        let mut arguments = vec!["req", "-x509", "-nodes", "-days", "30", "-newkey", kind];
        if !option.is_empty() {
            arguments.extend(["-pkeyopt", option]);
        }
        arguments.extend(["-keyout", &key, "-out", &certificate, "-subj", &subject]);
        arguments.extend(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        self.openssl(&arguments);
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// `openssl s_server`, which answers every request with a page about the connection.
struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn start(folder: &Folder, options: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(["-cert", "server.pem", "-key", "server.key"])
            .args(options)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned));
        // What it says later must find somebody who listens.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port: port.unwrap() }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
