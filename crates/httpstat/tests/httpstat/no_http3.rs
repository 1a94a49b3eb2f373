//! A build without HTTP/3 knows what it lacks.

use crate::tool::run;

#[test]
fn http3_asks_for_another_build() {
    for option in ["--http3", "--http3-only"] {
        let run = run(&[option, "https://127.0.0.1:1/"]);
        assert_eq!(run.code, 2, "{run:?}");
        for part in [option, "without HTTP/3", "--features http3"] {
            assert!(run.stderr.contains(part), "{part:?} is not in {run:?}");
        }
    }
}
