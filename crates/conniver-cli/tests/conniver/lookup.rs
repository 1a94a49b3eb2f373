//! One connection, found by its addresses.

use crate::{
    scene::Scene,
    tool::{check, printed, run},
};

#[test]
fn a_connection_is_found_by_its_addresses() {
    let mut scene = Scene::new(1);
    scene.talk(4_000);
    let client = &scene.clients[0];
    let (local, remote) =
        (client.local_addr().unwrap().to_string(), client.peer_addr().unwrap().to_string());
    let text = printed(&["lookup", &local, &remote]);
    assert!(text.starts_with(&format!("ESTABLISHED {local} {remote} ")), "{text}");
    assert!(text.contains(" bytes_sent:4000 "), "{text}");
    let socket = check(printed(&["lookup", &local, &remote, "--json"]).trim_end());
    assert_eq!(socket["localAddr"], local);
    assert_eq!(socket["info"]["txBytes"], 4_000);
    let cookie = tcpinfo::cookie(client).unwrap();
    assert!(text.contains(&format!(" cookie:{cookie:#x} ")), "{text}");
    for cookie in [format!("{cookie:#x}"), cookie.to_string(), format!("sk:{cookie:x}")] {
        printed(&["lookup", &local, &remote, "--cookie", &cookie]);
        let filter = format!("cookie = {cookie}");
        assert!(printed(&[&filter, "-c", "local", "-H"]).starts_with(&local), "{filter}");
    }
    let text = printed(&["dport", "=", &format!(":{}", scene.port()), "-H", "-c", "cookie"]);
    let shown = text.trim();
    printed(&["lookup", &local, &remote, "--cookie", shown]);
    let other = run(&["lookup", &local, &remote, "--cookie", "1"]);
    assert_eq!((other.code, &*other.stdout), (1, ""));
    assert!(other.complaint().contains(&format!("cookie {cookie:#x}")), "{other:?}");
    let long = run(&["lookup", &local, &remote, "--cookie", "0x1ffffffffffffffff"]);
    assert!(long.code == 2 && long.stderr.contains("64 bits"), "{long:?}");
    let long = run(&["cookie = 18446744073709551616"]);
    assert!(long.code == 2 && long.stderr.contains("64 bits"), "{long:?}");
}

#[test]
fn a_listener_is_no_connection() {
    let scene = Scene::new(0);
    let local = scene.listener.local_addr().unwrap().to_string();
    let found = run(&["lookup", &local, "127.0.0.1:9"]);
    assert_eq!((found.code, &*found.stdout), (1, ""));
    assert!(found.complaint().contains(&format!("{local} -> 127.0.0.1:9")), "{found:?}");
    assert_eq!(run(&["lookup", "127.0.0.1:0", "127.0.0.1:9"]).code, 2);
}

#[test]
fn a_connection_is_found_in_a_file() {
    let mut scene = Scene::new(2);
    scene.talk(4_000);
    let ends = |place: usize| {
        let client = &scene.clients[place];
        [client.local_addr().unwrap().to_string(), client.peer_addr().unwrap().to_string()]
    };
    let ([local, remote], [other, _]) = (ends(0), ends(1));
    let cookie = tcpinfo::cookie(&scene.clients[0]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump").to_str().unwrap().to_owned();
    printed(&["--save", &file, "--port", &scene.port()]);
    let nowhere = scene.listener.local_addr().unwrap().to_string();
    drop(scene);

    let found = |more: &[&str]| run(&[&["lookup", "--from", &file], more].concat());
    for address in [local.clone(), local.replace("127.0.0.1", "[::ffff:127.0.0.1]")] {
        let text = found(&[&address, &remote]).stdout;
        assert!(text.starts_with(&format!("ESTABLISHED {local} {remote} ")), "{text}");
        assert!(text.contains(" bytes_sent:4000 "), "{text}");
        // What a number stands for on this machine need not be so where it was saved.
        assert!(!text.contains(" cgroup:"), "{text}");
    }
    let json = found(&[&local, &remote, "--json", "--cookie", &cookie.to_string()]).stdout;
    assert_eq!(check(json.trim_end())["cookie"], cookie);
    for nothing in [
        &[&*local, &*remote, "--cookie", "1"][..],
        &[&*local, &*other],
        &[&*nowhere, "127.0.0.1:9"],
    ] {
        let run = found(nothing);
        assert_eq!((run.code, &*run.stdout), (1, ""), "{nothing:?}");
        assert!(run.complaint().contains(&file), "{run:?}");
    }
    assert_eq!(found(&[&local, &remote, "--netns", "x"]).code, 2);
    assert_eq!(found(&[&local, &remote, "-p"]).code, 2);
    std::fs::write(&file, "nonsense that is no recording").unwrap();
    assert!(found(&[&local, &remote]).complaint().contains(&file));
}
