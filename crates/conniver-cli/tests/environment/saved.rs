//! Files that cannot be completed.

use std::{fs, os::unix::process::ExitStatusExt as _, process::Stdio, thread, time::Duration};

use crate::{
    hidden::{run, shell},
    scene::Scene,
};

pub(crate) fn on_full_disk() {
    let scene = Scene::new(40);
    let port = scene.port();
    // What is there is kept, and nothing is beside it.
    let script = "mount -t tmpfs -o size=16k tmpfs /mnt && cd /mnt && echo before > list; \
                  $0 --save list --port $1; echo $? $(ls -A) $(cat list)";
    let saved = run(script, &port);
    assert_eq!(saved.stdout, "1 list before\n", "{saved:?}");
    assert_eq!(saved.complaint(), "conniver: cannot write to list: No space left on device");
    let script = "mount -t tmpfs -o size=16k tmpfs /mnt && cd /mnt && mount -t tmpfs none /proc; \
                  $0 --save list --port $1; echo $? $(ls -A)";
    let saved = run(script, &port);
    assert_eq!(saved.stdout, "1\n", "{saved:?}");
    assert_eq!(saved.complaint(), "conniver: cannot write to list: No space left on device");
}

/// Without `/proc` a file has a name from its beginning.
pub(crate) fn without_proc() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("list");
    let names = || fs::read_dir(&place).unwrap().count();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let script = "mount -t tmpfs none /proc && exec $0 --from - --save $1";
        let (_folder, mut command) = shell(script, file.to_str().unwrap());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let _list = child.stdin.take();
        // It waits for the list to begin.
        while names() == 0 {
            thread::sleep(Duration::from_millis(5));
            assert_eq!(child.try_wait().unwrap(), None);
        }
        let id = i32::try_from(child.id()).unwrap();
        // SAFETY: a plain system call that takes no pointers, to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert_eq!(names(), 0);
    }
}
