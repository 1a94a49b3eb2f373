//! Where connections cannot be listed yet.

use crate::tool::run;

#[test]
fn it_is_said_that_they_cannot_be_listed() {
    for arguments in [&["list"][..], &[], &["--summary"], &["lookup", "127.0.0.1:1", "127.0.0.1:2"]]
    {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (1, ""), "{run:?}");
        assert!(run.complaint().contains("--from"), "{run:?}");
    }
}
