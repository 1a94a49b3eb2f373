//! Sockets of other network namespaces.

use std::{net::TcpListener, path::Path, time::Duration};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    thread::{CapabilitySet, CapabilitySets, gettid, set_capabilities},
};
use sockdiag::{Dump, ErrorKind, Event, Events, Filter, Interfaces, Lookup, Namespace, SockDiag};

use super::scene::{connect, in_network, rename_loopback};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_namespace_is_found_by_name_path_and_process", found),
    ("what_is_no_namespace_is_said", missing),
    ("a_missing_privilege_is_said", forbidden),
    ("interfaces_have_the_names_of_their_namespace", interfaces),
];

/// Takes every capability from the thread, and those that it makes.
pub(crate) fn give_up_privileges() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).unwrap();
}

fn found() {
    in_network(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, server) = connect(&listener);
        let lookup = Lookup::new(client.local_addr().unwrap(), client.peer_addr().unwrap());
        let cookie = tcpinfo::cookie(&client).unwrap();
        let lookup = lookup.cookie(cookie);
        let id = u32::try_from(gettid().as_raw_nonzero().get()).unwrap();
        let path = format!("/proc/{id}/ns/net");
        std::fs::create_dir_all("/run/netns").unwrap();
        std::os::unix::fs::symlink(&path, "/run/netns/blue").unwrap();

        let named = Namespace::named("blue").unwrap();
        let all = [named.clone(), Namespace::at(&path), Namespace::of_process(id)];
        // From yet another network.
        in_network(|| {
            assert_eq!(SockDiag::open().unwrap().lookup(&lookup).unwrap(), None);
            for namespace in &all {
                let mut diag = SockDiag::open_in(namespace).unwrap();
                assert!(diag.lookup(&lookup).unwrap().is_some(), "{namespace}");
                let mut entries = diag.dump(&Dump::new()).unwrap();
                let mut count = 0;
                while let Some(entry) = entries.next() {
                    entry.unwrap();
                    count += 1;
                }
                assert_eq!(count, 3, "client, server and listener");
            }
            // The thread did not move.
            assert_eq!(SockDiag::open().unwrap().lookup(&lookup).unwrap(), None);
        });

        let events = in_network(|| Events::open_in(&named).unwrap());
        let more = Events::open_in_with_buffer(&named, 100_000).unwrap();
        assert_eq!(more.buffer_bytes(), 100_000);
        drop((client, server));
        for mut events in [events, more] {
            loop {
                match events.next(Some(Duration::from_secs(60))).unwrap() {
                    Some(Event::Ended(entry)) if entry.cookie() == cookie => break,
                    Some(Event::Ended(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

fn missing() {
    for name in ["", ".", "..", "a/b", "a\0b"] {
        assert_eq!(Namespace::named(name), None, "{name}");
    }
    let (pipe, text) = (Path::new("/run/pipe"), Path::new("/run/text"));
    mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::fs::write(text, "0").unwrap();
    for namespace in [
        Namespace::named("none-such").unwrap(),
        Namespace::at("/proc/self/ns/none-such"),
        // One past the highest that a kernel gives.
        Namespace::of_process(1 << 22 | 1),
        Namespace::at("/proc/self/ns/mnt"),
        Namespace::at("/dev/null"),
        Namespace::at("/"),
        Namespace::at("/proc/self/ns"),
        Namespace::at("/proc/self/stat"),
        Namespace::at(text),
        // Whoever opens it waits for somebody to write.
        Namespace::at(pipe),
    ] {
        let error = SockDiag::open_in(&namespace).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoNamespace, "{error}");
        assert_eq!(error.namespace(), Some(&namespace));
        assert!(error.os_error().is_some());
        assert!(error.to_string().contains(&namespace.to_string()), "{error}");
        assert_eq!(Events::open_in(&namespace).unwrap_err().kind(), ErrorKind::NoNamespace);
    }
    for none in ["/run/pipe", "/run/text", "/dev/null", "/proc/self/ns/mnt", "/proc/self/stat", "/"]
    {
        let error = SockDiag::open_in(&Namespace::at(none)).unwrap_err().to_string();
        assert!(error.contains("that file is no network namespace"), "{error}");
    }
}

fn forbidden() {
    in_network(|| {
        give_up_privileges();
        let own = Namespace::of_process(std::process::id());
        let error = SockDiag::open_in(&own).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error}");
        assert!(error.to_string().contains("CAP_SYS_"), "{error}");
        let io: std::io::Error = error.into();
        assert_eq!(io.kind(), std::io::ErrorKind::PermissionDenied);
    });
}

fn interfaces() {
    in_network(|| {
        rename_loopback("lo", "first").unwrap();
        let id = u32::try_from(gettid().as_raw_nonzero().get()).unwrap();
        let theirs = Interfaces::of(Namespace::of_process(id));
        in_network(|| {
            rename_loopback("lo", "second").unwrap();
            let own = Interfaces::of_thread();
            let index = own.index("second").unwrap();
            assert_eq!(own.name(index).unwrap(), "second");
            assert_eq!(own.index("lo"), None);
            assert_eq!(own.name(index + 77), None);
            assert_eq!(theirs.index("first"), Some(index));
            assert_eq!(theirs.name(index).unwrap().to_string(), "first");
            assert_eq!(theirs.index("second"), None);
            let filter = Filter::parse("dev = first", &theirs).unwrap();
            assert_eq!(filter, Filter::interface(index));
            assert!(Filter::parse("dev = first", &own).is_err());

            // A new name is known soon.
            rename_loopback("second", "third").unwrap();
            assert_eq!(own.index("third"), Some(index));
            let begun = std::time::Instant::now();
            while own.name(index).unwrap() != "third" {
                assert!(begun.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let nowhere = Interfaces::of(Namespace::named("none-such").unwrap());
        assert_eq!((nowhere.name(1), nowhere.index("lo")), (None, None));
    });
}
