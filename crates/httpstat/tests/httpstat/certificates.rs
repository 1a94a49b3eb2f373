//! What is shown of a server's certificates, good and bad.

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, NameConstraints, SanType,
    date_time_ymd,
};
use rustls::{ServerConnection, Stream, pki_types::CertificateDer};
use serde_json::Value;

use crate::{
    authority::{Authority, Issued, LOOPBACK, site, write},
    server,
    tool::{Run, hop, run, run_json},
};

/// Makes a request to a server with this certificate, whose authority is trusted.
fn trusting(change: impl FnOnce(&mut CertificateParams)) -> (Run, Value) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let url = site(authority.issue(change).config());
    run_json(&["--cacert", &authority.file(folder.path()), &url])
}

/// Makes a request to a server with this certificate, whatever it is, as a person would see it.
fn shown(issued: &Issued, options: &[&str]) -> Run {
    let url = site(issued.config());
    let run = run(&[&["-k", &url], options].concat());
    assert_eq!(run.code, 0, "{run:?}");
    run
}

fn leaf(run: &Value) -> &Value {
    &run["hops"][0]["tls"]["certificates"][0]
}

#[test]
fn the_facts_of_a_certificate_are_there() {
    let (_, run) = trusting(|params| {
        params.distinguished_name.push(DnType::CommonName, "example.com");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        let name = SanType::DnsName("www.example.com".try_into().unwrap());
        params.subject_alt_names.push(name);
        params.not_after = date_time_ymd(2099, 12, 31);
    });
    let tls = &run["hops"][0]["tls"];
    assert_eq!(tls["verified"], true);
    assert_eq!(tls["checked_against"], "file");
    assert_eq!(tls["handshake"], "full");
    assert_eq!(tls["signature_scheme"], "ecdsa_secp256r1_sha256");
    assert_eq!(tls.get("client_certificate"), None);
    let leaf = leaf(&run);
    assert_eq!(leaf["common_name"], "example.com");
    assert_eq!(leaf["subject"], "CN=example.com, O=Example\\, Inc.");
    assert_eq!(leaf["issuer"], "O=Tests, CN=Authority");
    assert_eq!(leaf["serial"], "0badcafe");
    assert_eq!(leaf["names"][0]["value"], LOOPBACK.to_string());
    assert_eq!(leaf["names"][1]["kind"], "dns");
    assert_eq!(leaf["names"][1]["value"], "www.example.com");
    assert_eq!(leaf["not_before"], "2020-01-01T00:00:00Z");
    assert_eq!(leaf["not_after"], "2099-12-31T00:00:00Z");
    assert_eq!(leaf["key"], "ECDSA P-256");
    assert_eq!(leaf["signature_algorithm"], "ecdsa-with-SHA256");
    assert_eq!(leaf["is_authority"], false);
    // The same day, counted by another calendar.
    let end = Duration::from_secs(4_102_358_400);
    let left = end - SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let days = i64::try_from(left.as_secs() / 86_400).unwrap();
    assert!((days..=days + 1).contains(&leaf["days_left"].as_i64().unwrap()), "{leaf}");
}

#[test]
fn the_whole_chain_is_shown_when_asked_for() {
    let authority = Authority::new();
    let mut issued = authority.issue(|params| params.not_after = date_time_ymd(2099, 12, 31));
    issued.chain.push(authority.certificate.clone());
    let brief = shown(&issued, &[]).stdout;
    assert!(brief.contains("certificate 127.0.0.1 · by Tests Authority · expires in "), "{brief}");
    assert!(!brief.contains("SHA-256"), "{brief}");
    let full = shown(&issued, &["-v"]).stdout;
    assert!(full.contains("certificate 2 O=Tests, CN=Authority"), "{full}");
    assert_eq!(full.matches("SHA-256 ").count(), 2, "{full}");
    assert_eq!(full.matches("issuer O=Tests, CN=Authority").count(), 2, "{full}");
}

#[test]
fn a_certificate_that_is_not_trusted_is_shown() {
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change); 3] = [
        ("has expired", |params| params.not_after = date_time_ymd(2021, 1, 1)),
        ("not valid yet", |params| params.not_before = date_time_ymd(2098, 1, 1)),
        ("it is valid for other.test, not for 127.0.0.1", |params| {
            params.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
        }),
    ];
    for (complaint, change) in cases {
        let (run, value) = trusting(change);
        assert_eq!(run.code, 60, "{run:?}");
        assert!(run.complaint().contains(complaint), "{run:?}");
        let tls = &value["hops"][0]["tls"];
        assert_eq!(tls["verified"], false);
        assert_eq!(tls["checked_against"], "file");
        assert_eq!(tls.get("version"), None);
        assert_eq!(tls["certificates"].as_array().unwrap().len(), 1);
        assert_eq!(leaf(&value)["issuer"], "O=Tests, CN=Authority");
    }
}

/// As curl has it. What is demanded of other certificates is demanded of these too.
#[test]
fn an_authority_may_be_the_server_itself_if_it_is_the_one_named() {
    type Change = fn(&mut CertificateParams);
    let asked = |served: &Issued, named: &[&Issued]| {
        let folder = tempfile::tempdir().unwrap();
        let pem: String = named.iter().map(|issued| issued.pem.as_str()).collect();
        let file = write(folder.path(), "named.pem", &pem);
        run_json(&["--cacert", &file, &site(served.config())])
    };
    let itself = |change: Change| Authority::itself(change);
    let (good, other) = (itself(|_| {}), itself(|_| {}));
    for named in [[&good, &other], [&other, &good]] {
        let (run, value) = asked(&good, &named);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["verified"], true);
        assert_eq!(leaf(&value)["is_authority"], true);
    }
    let serving = itself(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(asked(&serving, &[&serving]).0.code, 0);

    let refused = |served: &Issued, named: &Issued, complaint: &str| {
        let (run, value) = asked(served, &[named]);
        assert_eq!(run.code, 60, "{run:?}");
        assert!(run.complaint().contains(complaint), "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["verified"], false);
    };
    // It has the same subject, and is another all the same.
    refused(&good, &other, "that of a certificate authority, not of a server");
    let cases: [(&str, Change); 5] = [
        ("it has expired", |params| params.not_after = date_time_ymd(2021, 1, 1)),
        ("it is not valid yet", |params| params.not_before = date_time_ymd(2098, 1, 1)),
        ("it is valid for other.test, not for 127.0.0.1", |params| {
            params.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
        }),
        ("it is not meant for servers", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        ("that of a certificate authority, not of a server", |params| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".to_owned())];
            let excluded_subtrees = Vec::new();
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        }),
    ];
    for (complaint, change) in cases {
        let issued = itself(change);
        refused(&issued, &issued, complaint);
    }
    // The certificate is the one named, and the key is not its own.
    let thief = Issued { chain: good.chain.clone(), ..itself(|_| {}) };
    let (run, value) = asked(&thief, &[&good]);
    assert_eq!(run.code, 60, "{run:?}");
    assert_eq!(value.get("hops").map(|hops| hops[0].get("response").is_none()), Some(true));
}

#[test]
fn a_stranger_is_shown_to_a_person() {
    let url = site(Authority::new().issue(|_| {}).config());
    let run = run(&[&url]);
    assert_eq!(run.code, 60, "{run:?}");
    assert!(run.complaint().contains("issuer is unknown"), "{run:?}");
    assert!(run.stdout.contains("certificate 127.0.0.1 · by Tests Authority"), "{run:?}");
}

#[test]
fn the_end_of_validity_is_told_in_time() {
    let authority = Authority::new();
    let warning = |days: i64| {
        let issued = authority.issue(|params| {
            let span = Duration::from_secs(days.unsigned_abs() * 86_400 + 3_600);
            let now = SystemTime::now();
            let end = if days < 0 { now - span } else { now + span };
            params.not_after = end.into();
        });
        let run = shown(&issued, &["--color", "always"]);
        let warnings = run.stdout.lines().filter(|line| line.contains("\x1b[31m"));
        let warnings = warnings
            .filter(|line| line.contains("the certificate ") && !line.contains("was not checked"));
        let plain = |line: &str| anstream::adapter::strip_str(line).to_string();
        (plain(&run.stdout), warnings.map(plain).collect::<Vec<_>>().join("|"))
    };
    let (_, none) = warning(30);
    assert_eq!(none, "");
    let (brief, soon) = warning(3);
    assert!(brief.contains("expires in 3 days ("), "{brief}");
    assert!(soon.contains("the certificate expires in 3 days"), "{soon}");
    let (brief, over) = warning(-2);
    assert!(brief.contains("expires 3 days ago ("), "{brief}");
    assert!(over.contains("the certificate has expired"), "{over}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let evil = "a\x1b[2J\0\u{7}.test\u{9b}1m\u{202e}";
    let ascii = "b\x1b]0;title\x07\0.test";
    let issued = Authority::new().issue(|params| {
        params.distinguished_name.push(DnType::CommonName, evil);
        params.subject_alt_names = vec![
            SanType::DnsName(ascii.try_into().unwrap()),
            SanType::URI(ascii.try_into().unwrap()),
            SanType::Rfc822Name(ascii.try_into().unwrap()),
        ];
    });
    let url = site(issued.config());
    let treacherous =
        |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    for options in [&["-k"] as &[_], &["-k", "-v"], &[], &["--format", "json"]] {
        let run = run(&[&[url.as_str()], options].concat());
        assert!(!treacherous(&run.stdout), "{}", run.stdout);
        assert!(!treacherous(&run.stderr), "{}", run.stderr);
        assert!(run.stdout.contains(".test"), "{}", run.stdout);
    }
    let (_, value) = run_json(&["-k", &url]);
    assert_eq!(leaf(&value)["common_name"], evil);
    assert_eq!(leaf(&value)["names"][0]["value"], ascii);
}

#[test]
fn a_thousand_names_are_counted() {
    let issued = Authority::new().issue(|params| {
        params.subject_alt_names = (0..1_000)
            .map(|n| SanType::DnsName(format!("name{n}.test").try_into().unwrap()))
            .collect();
    });
    let brief = shown(&issued, &[]).stdout;
    assert!(brief.contains("name0.test, name1.test, name2.test, 997 more"), "{brief}");
    let full = shown(&issued, &["-v"]).stdout;
    assert!(full.contains("name999.test"), "{full}");
    let hop = hop(&["-k", &site(issued.config())]);
    assert_eq!(hop["tls"]["certificates"][0]["names"].as_array().unwrap().len(), 1_000);
    // The complaint about another name is one line of bearable length.
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let issued = authority.issue(|params| {
        params.subject_alt_names = (0..1_000)
            .map(|n| SanType::DnsName(format!("name{n}.test").try_into().unwrap()))
            .collect();
    });
    let run = run(&["--cacert", &authority.file(folder.path()), &site(issued.config())]);
    assert_eq!(run.code, 60);
    assert!(run.complaint().len() < 400, "{run:?}");
}

#[test]
fn a_chain_of_a_hundred_is_taken() {
    let authority = Authority::new();
    let mut issued = authority.issue(|_| {});
    issued.chain.extend(std::iter::repeat_n(authority.certificate.clone(), 99));
    let hop = hop(&["-k", &site(issued.config())]);
    assert_eq!(hop["tls"]["certificates"].as_array().unwrap().len(), 100);
    let (run, _) = run_json(&[&site(issued.config())]);
    assert_eq!(run.code, 60, "{run:?}");
}

#[test]
fn garbage_in_the_place_of_a_certificate_is_no_certificate() {
    for garbage in [vec![0x30; 500], vec![0xff; 500], b"\x1b[31m not DER".to_vec()] {
        let mut issued = Authority::new().issue(|_| {});
        issued.chain = vec![CertificateDer::from(garbage)];
        for options in [&[] as &[&str], &["-k"]] {
            let url = site(issued.config());
            let (run, value) = run_json(&[options, &[url.as_str()]].concat());
            assert!([35, 60].contains(&run.code), "{run:?}");
            assert_eq!(value["error"]["phase"], "tls");
            let certificate = leaf(&value).as_object().unwrap();
            assert_eq!(certificate.keys().collect::<Vec<_>>(), ["sha256"]);
        }
        let run = run(&["-k", &site(issued.config())]);
        assert!(run.stdout.contains("cannot be read"), "{run:?}");
    }
}

#[test]
fn garbage_behind_a_good_certificate_is_shown_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut issued = authority.issue(|_| {});
    issued.chain.push(CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01]));
    let run = run(&["-v", "--cacert", &authority.file(folder.path()), &site(issued.config())]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("certificate 2 4 bytes that cannot be read"), "{run:?}");
}

#[test]
fn an_alert_is_named() {
    // Fatal: handshake_failure, protocol_version, unrecognized_name.
    for (code, name) in
        [(40, "HandshakeFailure"), (70, "ProtocolVersion"), (112, "UnrecognisedName")]
    {
        let address = server::raw(move |mut stream| {
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.write_all(&[21, 3, 3, 0, 2, 2, code]).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (run, value) = run_json(&["-k", &format!("https://{address}/")]);
        assert_eq!(run.code, 35, "{run:?}");
        assert!(run.complaint().contains(name), "{run:?}");
        assert_eq!(value["hops"][0].get("tls"), None);
    }
}

#[test]
fn an_alert_after_the_handshake_is_named() {
    for (response, when) in [
        ("", "while waiting for the response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthat", "after 4 bytes of the body"),
    ] {
        let config = Arc::new(Authority::new().issue(|_| {}).config());
        let address = server::raw(move |mut socket| {
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut tls, &mut socket);
            let mut request = [0; 4_096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(response.as_bytes()).unwrap();
            stream.flush().unwrap();
            // What comes in one piece with an alert is lost to it.
            thread::sleep(Duration::from_millis(300));
            // A record that nobody encrypted, about which rustls complains to the client.
            let garbage = [23, 3, 3, 0, 20].into_iter().chain([0; 20]).collect::<Vec<u8>>();
            tls.read_tls(&mut garbage.as_slice()).unwrap();
            tls.process_new_packets().unwrap_err();
            while tls.wants_write() {
                tls.write_tls(&mut socket).unwrap();
            }
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let (run, value) = run_json(&["-k", &format!("https://{address}/")]);
        assert_eq!(run.code, 56, "{run:?}");
        let complaint = format!("TLS ended with the alert BadRecordMac {when}");
        assert!(run.complaint().contains(&complaint), "{run:?}");
        assert_eq!(value["hops"][0]["tls"]["handshake"], "full");
    }
}

#[test]
fn versions_can_be_chosen() {
    let authority = Authority::new();
    let version = |options: &[&str]| {
        let url = site(authority.issue(|_| {}).config());
        hop(&[&["-k", &url], options].concat())["tls"]["version"].clone()
    };
    assert_eq!(version(&["--tlsv1.2"]), "TLS 1.3");
    assert_eq!(version(&["--tlsv1.3"]), "TLS 1.3");
    assert_eq!(version(&["--tls-max", "1.2"]), "TLS 1.2");
    assert_eq!(hop(&["--demo", "--tls-max", "1.2"])["tls"]["version"], "TLS 1.2");

    let old = authority.issue(|_| {}).config_for(None, &[&rustls::version::TLS12]);
    let (run, _) = run_json(&["-k", "--tlsv1.3", &site(old)]);
    assert_eq!(run.code, 35, "{run:?}");
    let none = crate::tool::run(&["--tlsv1.3", "--tls-max", "1.2", "https://127.0.0.1:1/"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("no version"), "{none:?}");
    assert_eq!(none.stdout, "", "nothing was begun");
}
