//! Servers that want to know who the client is.

use std::{path::Path, sync::Arc};

use hyper::{Response, body::Bytes};
use rcgen::{DnType, SanType};
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use crate::{
    authority::{Authority, Issued, LOOPBACK, pem, site, write},
    server,
    tool::{Run, hop, run, run_json},
};

/// A client's certificate and key in one file.
fn together(folder: &Path, identity: &Issued) -> String {
    write(folder, "identity.pem", &format!("{}{}", identity.pem, identity.key_pem))
}

#[test]
fn a_client_certificate_in_one_file_or_two_is_presented() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.issue(|_| {});
    let both = together(folder.path(), &identity);
    let certificate = write(folder.path(), "certificate.pem", &identity.pem);
    let key = write(folder.path(), "key.pem", &identity.key_pem);
    for version in [&TLS12, &TLS13] {
        for options in [&["-E", both.as_str()] as &[_], &["--cert", &certificate, "--key", &key]] {
            let url = site(authority.issue(|_| {}).config_for(Some(&authority), &[version]));
            let hop = hop(&[&["-k", url.as_str()], options].concat());
            assert_eq!(hop["tls"]["client_certificate"], "sent");
            assert_eq!(hop["response"]["status_code"], 200);
        }
    }
    let url = site(authority.issue(|_| {}).config_for(Some(&authority), &[&TLS13]));
    let run = run(&["-k", &url, "-E", &both]);
    assert!(run.stdout.contains("client certificate sent"), "{run:?}");
}

#[test]
fn a_server_that_does_not_ask_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let both = together(folder.path(), &authority.issue(|_| {}));
    let hop = hop(&["-k", &site(authority.issue(|_| {}).config()), "-E", &both]);
    assert_eq!(hop["tls"].get("client_certificate"), None);
}

#[test]
fn a_server_that_demands_a_certificate_says_so() {
    let authority = Authority::new();
    // With TLS 1.3 the refusal comes when the client already sends its request.
    for (version, code) in [(&TLS12, 35), (&TLS13, 56)] {
        let url = site(authority.issue(|_| {}).config_for(Some(&authority), &[version]));
        let (run, value) = run_json(&["-k", &url]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.complaint().contains("client certificate, which -E FILE presents"), "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["client_certificate"], "not_given");
        assert_eq!(value["hops"][0]["tls"]["certificates"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_certificate_that_the_server_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let stranger = together(folder.path(), &Authority::named("Stranger").issue(|_| {}));
    for (version, code) in [(&TLS12, 35), (&TLS13, 56)] {
        let url = site(authority.issue(|_| {}).config_for(Some(&authority), &[version]));
        let (run, value) = run_json(&["-k", &url, "-E", &stranger]);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.complaint().contains("does not accept the client certificate"), "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["client_certificate"], "sent");
    }
}

/// What is wrong with the files is said before anything is connected to.
fn refused(options: &[&str]) -> Run {
    let (run, value) = run_json(&[options, &["https://127.0.0.1:1/"]].concat());
    assert_eq!(run.code, 58, "{run:?}");
    assert_eq!(value["hops"], Value::Array(Vec::new()));
    run
}

#[test]
fn files_that_cannot_be_used_are_refused_before_connecting() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (identity, other) = (Authority::new().issue(|_| {}), Authority::new().issue(|_| {}));
    let certificate = write(folder, "certificate.pem", &identity.pem);
    let key = write(folder, "other.pem", &other.key_pem);
    let says = |options: &[&str], words: &str| {
        let run = refused(options);
        assert!(run.complaint().contains(words), "{words}: {run:?}");
    };

    says(&["-E", "/no/such/file"], "--cert /no/such/file");
    says(&["-E", &key], "no certificate");
    says(&["-E", &certificate], "name the key's file with --key");
    says(&["-E", &certificate, "--key", &certificate], "no key");
    says(&["-E", &certificate, "--key", &key], "does not belong to the first certificate");
    let der = folder.join("identity.p12");
    std::fs::write(&der, &identity.chain[0]).unwrap();
    says(&["-E", der.to_str().unwrap()], "openssl pkcs12");

    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"secret");
    let old = identity
        .key_pem
        .replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n");
    for encrypted in [encrypted, old] {
        let both = write(folder, "encrypted.pem", &format!("{}{encrypted}", identity.pem));
        says(&["-E", &both], "is encrypted; decrypt it with: openssl pkey -in");
        let alone = write(folder, "key.pem", &encrypted);
        says(&["-E", &certificate, "--key", &alone], "is encrypted; decrypt it");
    }
    let nonsense = write(folder, "nonsense.pem", &pem("PRIVATE KEY", b"nonsense"));
    says(&["-E", &certificate, "--key", &nonsense], "RSA, ECDSA");
    let long = write(folder, "long.pem", &"x".repeat(2 << 20));
    says(&["-E", &long], "too long");
}

#[test]
fn a_redirect_to_another_host_does_not_get_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let both = together(folder.path(), &authority.issue(|_| {}));
    let server = authority.issue(|params| {
        params.distinguished_name.push(DnType::CommonName, "server");
        params.subject_alt_names =
            vec![SanType::IpAddress(LOOPBACK), SanType::DnsName("localhost".try_into().unwrap())];
    });
    let other = site(server.config_for(Some(&authority), &[&TLS13]));
    for (host, answer, code) in [("localhost", "withheld", 56), ("127.0.0.1", "sent", 0)] {
        let next = other.replace("127.0.0.1", host);
        let config = Arc::new(server.config_for(Some(&authority), &[&TLS13]));
        let (address, _) = server::site(Some(config), move |_| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = hyper::StatusCode::FOUND;
            response.headers_mut().insert("location", next.parse().unwrap());
            response
        });
        let url = format!("https://{address}/");
        let (run, value) = run_json(&["-k", "-4", "-L", "-E", &both, &url]);
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["client_certificate"], "sent");
        assert_eq!(value["hops"][1]["tls"]["client_certificate"], answer);
    }
}
