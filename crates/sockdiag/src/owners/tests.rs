use proptest::prelude::*;

use super::*;

#[test]
fn a_line_of_proc_is_read_whatever_the_name() {
    let rest = " S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n";
    for name in ["sshd", "a b", ") S 1 (", "((", "", "\u{fffd}"] {
        let line = format!("4242 ({name}){rest}");
        let stat = Stat::parse(line.as_bytes()).unwrap();
        assert_eq!(stat.command, name.as_bytes());
        assert_eq!((stat.state, stat.parent), (b'S', 41));
        assert_eq!((stat.flags, stat.started), (4_194_560, 987_654));
        assert!(!stat.is_without_descriptors());
    }
    let kernel = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 12 0";
    assert!(Stat::parse(kernel).unwrap().is_without_descriptors());
    let zombie = b"9 (x) Z 1 0 0 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12 0";
    assert!(Stat::parse(zombie).unwrap().is_without_descriptors());
    for broken in [b"".as_slice(), b"1 (x", b"1 (x)", b"1 (x) S", b"1 (x) S y", b")("] {
        assert_eq!(Stat::parse(broken), None);
    }
}

#[test]
fn gaps_say_what_to_do() {
    let gaps = Gaps { not_permitted: 3, vanished: 1, ..Gaps::default() };
    let text = gaps.to_string();
    assert!(text.starts_with("3 processes may not") && text.contains("root"), "{text}");
    assert!(text.ends_with(", 1 process ended meanwhile"), "{text}");
    assert_eq!(Gaps { vanished: 2, ..Gaps::default() }.to_string(), "2 processes ended meanwhile");
    assert!(Gaps::default().is_empty());
    let hidden = Gaps { hidden: true, ..Gaps::default() };
    assert!(hidden.may_hold() && !hidden.is_empty());
    assert!(hidden.to_string().starts_with("/proc hides processes (hidepid"), "{hidden}");
    let both = Gaps { not_permitted: 1, vanished: 1, ..hidden }.to_string();
    assert!(both.starts_with("1 process may not") && both.contains("/proc hides others"), "{both}");
    assert!(both.ends_with(", 1 process ended meanwhile"), "{both}");
    let outside = Gaps { outside: true, ..Gaps::default() };
    assert!(
        outside.may_hold() && outside.to_string().starts_with("processes outside"),
        "{outside}"
    );
    assert!(!Gaps { vanished: 1, ..Gaps::default() }.may_hold());
}

proptest! {
    #[test]
    fn every_inode_is_found_and_no_other(
        inodes in prop::collection::vec(prop_oneof![0..60u32, any::<u32>(), 4_000_000_000..4_000_001_000u32], 0..300),
        others in prop::collection::vec(any::<u32>(), 0..20),
    ) {
        let process = Process { pid: 7, parent: 1, command: "x".into(), started: 0 };
        let holders: Vec<_> = (0..)
            .zip(&inodes)
            .map(|(descriptor, inode)| Holder { inode: *inode, process: 0, descriptor })
            .collect();
        let found = Found { processes: vec![process], holders, gaps: Gaps::default() };
        let owners = Owners::new(found, NonZeroUsize::MIN);
        for inode in inodes.iter().chain(&others).copied().chain([0, 1, 59, 60, u32::MAX]) {
            let expected: Vec<u32> = (0..)
                .zip(&inodes)
                .filter(|(_, held)| **held == inode)
                .map(|(descriptor, _)| descriptor)
                .collect();
            let told: Vec<_> = owners.of(inode).map(|owner| owner.descriptor).collect();
            prop_assert_eq!(told, expected);
        }
        prop_assert!(owners.index.begins.len() <= 2 * inodes.len() + 3);
    }
}
