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
    let cookie = format!("{:x}", tcpinfo::cookie(client).unwrap());
    printed(&["lookup", &local, &remote, "--cookie", &cookie]);
    let other = run(&["lookup", &local, &remote, "--cookie", "1"]);
    assert_eq!((other.code, &*other.stdout), (1, ""));
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
